//! `liprl train`: the loop, its run folder, its end.

mod certificate;
mod checkpoint;
mod folder;
mod hparams;
mod progress;
mod run;
mod session;
mod signals;
mod simulator;

use std::path::{Path, PathBuf};
use std::sync::Once;

use crate::config::Config;

pub use checkpoint::{POLICY, agent_state, policy};
pub use folder::{Start, open};
pub(crate) use hparams::{difference, flatten};
pub use run::{End, run};
pub use session::{Counters, Evaluation, Session, build_agent};
pub(crate) use signals::Signals;

/// How one training was asked for.
pub struct Order {
    /// What to train.
    pub config: Config,
    /// The run folder.
    pub out: PathBuf,
    /// Go on in an existing folder.
    pub resume: bool,
    /// Print nothing but errors.
    pub quiet: bool,
    /// Take the end of standard input for a SIGTERM.
    pub stop_at_eof: bool,
}

/// Where a run goes when nobody says: `runs/<config's folder>/<config's name>/seed-<n>`.
pub fn default_folder(config_path: &Path, seed: u64) -> PathBuf {
    let name = |part: Option<&std::ffi::OsStr>| part.map(|part| part.to_string_lossy().into_owned());
    let full = std::path::absolute(config_path).unwrap_or_else(|_| config_path.to_owned());
    let experiment = name(full.parent().and_then(Path::file_name)).unwrap_or_else(|| "runs".to_owned());
    let variant = name(full.file_stem()).unwrap_or_else(|| "run".to_owned());
    PathBuf::from("runs").join(experiment).join(variant).join(format!("seed-{seed}"))
}

/// Gives libtorch and rayon the run's threads. Of several calls in a process the first counts for rayon and between operations: both take
/// no second answer.
pub fn set_threads(threads: usize) {
    static ONCE: Once = Once::new();
    let count = i32::try_from(threads).unwrap_or(i32::MAX);
    tch::set_num_threads(count);
    ONCE.call_once(|| tch::set_num_interop_threads(1));
    // An error only says that the pool exists already, which happens when one process runs twice, in tests.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
}
