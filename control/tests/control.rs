//! Optimal control of the reference systems against numbers from elsewhere: SciPy's Riccati and
//! Lyapunov solvers, a published page, and simulation.

#![allow(clippy::unwrap_used, reason = "a test may stop here")]

#[path = "control/bounds.rs"]
mod bounds;
#[path = "control/experts.rs"]
mod experts;
#[path = "control/tables.rs"]
mod tables;
