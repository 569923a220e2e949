//! `liprl sweep`: many runs of one config with some settings varied.
//!
//! A sweep file ([`file`]) is resolved into a plan ([`Plan`]): variants, seeds, each run's whole config and an id hashed
//! from it. Everything is checked before anything is started. The plan is written to the sweep's folder ([`SweepFolder`]), and
//! launchers ([`local`], [`slurm`]) do what is missing of it: each run is claimed by one of them ([`claim`]) and done by a process of
//! its own. How far a sweep is, its run folders say; there is no other state to lose.

pub mod claim;
mod draw;
mod error;
mod expand;
pub mod file;
mod folder;
pub mod local;
mod name;
mod plan;
mod screen;
pub mod slurm;
mod training;
mod view;

pub use draw::Distribution;
pub use error::PlanError;
pub use folder::{Failure, State, SweepFolder};
pub use plan::{Plan, PlannedRun, Variant, id};
pub use view::{dry_run, failures, status};
