//! `liprl sweep`: many runs of one config with some settings varied.
//!
//! A sweep file ([`file`]) is resolved into a plan ([`Plan`]): variants, seeds, each run's complete
//! config and an id hashed from it. Everything is checked before anything is started. The plan is
//! written to the sweep's folder ([`SweepFolder`]), and launchers ([`local`], [`slurm`]) complete
//! its missing runs: each run is claimed by one of them ([`claim`]) and done by a process of its
//! own. The progress of a sweep is in its run folders alone. A search ([`SearchConfig`]) chooses its
//! variants by the results of earlier ones, so its plan is made again after each batch.

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
mod search;
pub mod slurm;
mod status;
mod variants;
mod view;

pub use distribution::Distribution;
pub use error::PlanError;
pub use folder::{RunFailure, RunState, SweepFolder};
pub use plan::{Plan, PlannedRun};
pub use search::{PrunedRun, SearchConfig};
pub use status::{SweepStatus, report_command};
pub use variants::Variant;
pub use view::{dry_run, failures, pruned, search as search_progress};
