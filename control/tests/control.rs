//! Optimal control of the reference systems against numbers from elsewhere: SciPy's Riccati and Lyapunov solvers, a published page, and
//! simulation.

#![allow(clippy::unwrap_used)] // a test that cannot go on should say so

#[path = "control/bounds.rs"]
mod bounds;
#[path = "control/experts.rs"]
mod experts;
#[path = "control/tables.rs"]
mod tables;
