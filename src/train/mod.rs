//! `liprl train`: the loop and its run folder.
//!
//! | metric | meaning |
//! | --- | --- |
//! | `eval/return_mean`, `…/return_std` | mean and standard deviation of the return over an evaluation's greedy episodes |
//! | `eval/length_mean` | their mean number of steps |
//! | `train/return_mean`, `…/length_mean` | return and steps of the training episodes that ended since the last event |
//! | `train/episodes` | training episodes that ended, since the start |
//! | `train/simulator_restarts` | times that the simulator started over, since the start; left out while 0 |
//! | `perf/steps_per_s`, `…/updates_per_s` | environment steps and updates per second since the last event |

mod certificate;
mod checkpoint;
mod folder;
mod inputs;
mod progress;
mod run;
mod session;
mod simulator;
mod video;

use std::path::{Path, PathBuf};

use crate::config::Config;

pub use folder::{Start, open};
pub use run::TrainEnd;
pub(crate) use run::run;
pub use session::{Counters, Evaluation, Session};

/// Options of one run.
pub struct TrainOptions {
    /// The config.
    pub config: Config,
    /// The run folder.
    pub out: PathBuf,
    /// Resume the run of an existing folder.
    pub resume: bool,
    /// Print nothing but errors.
    pub quiet: bool,
    /// Treat the end of standard input as a SIGTERM.
    pub stop_at_eof: bool,
}

/// The run folder of a command line without `--out`: `runs/<config's folder>/<config's
/// name>/seed-<n>`.
pub fn default_folder(config_path: &Path, seed: u64) -> PathBuf {
    let name = |part: Option<&std::ffi::OsStr>| part.map(|part| part.to_string_lossy().into_owned());
    let full = std::path::absolute(config_path).unwrap_or_else(|_| config_path.to_owned());
    let experiment = name(full.parent().and_then(Path::file_name)).unwrap_or_else(|| "runs".to_owned());
    let variant = name(full.file_stem()).unwrap_or_else(|| "run".to_owned());
    PathBuf::from("runs").join(experiment).join(variant).join(format!("seed-{seed}"))
}
