//! `liprl sweep`: many runs of one config with some settings varied.
//!
//! A sweep file ([`file`]) is resolved into a plan ([`Plan`]): variants, seeds, each run's complete
//! config and an id hashed from it. Everything is checked before anything is started. The plan is
//! written to the sweep's folder ([`SweepFolder`]), and launchers ([`local`], [`slurm`]) complete
//! its missing runs: each run is claimed by one of them ([`claim`]) and done by a process of its
//! own. The progress of a sweep is in its run folders alone.

pub mod claim;
mod distribution;
mod error;
mod expand;
pub mod file;
mod folder;
mod hash;
pub mod local;
mod merge;
mod name;
mod plan;
mod process;
mod progress;
mod screen;
pub mod slurm;
mod status;
mod variants;
mod view;

pub use distribution::Distribution;
pub use error::PlanError;
pub use folder::{RunFailure, RunState, SweepFolder};
pub use plan::{Plan, PlannedRun};
pub use status::{SweepStatus, report_command};
pub use variants::Variant;
pub use view::{dry_run, failures};
