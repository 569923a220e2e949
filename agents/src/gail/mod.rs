//! Rewards learnt from demonstrations.

pub mod red;
