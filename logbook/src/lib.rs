//! The run folder: the files of one training run, written so that a kill at any instant loses
//! nothing that was saved.
//!
//! ```text
//! runs/<experiment>/<variant>/seed-<n>/
//!   config.yaml            fully resolved, re-runnable as it is
//!   provenance.json        format version, program, git commit, libraries, processor, command line
//!   summary.json           status, final and best return, seconds, steps per second
//!   metrics.jsonl          one object per logging event
//!   events.out.tfevents.*  the same for TensorBoard, plus histograms, text and images
//!   checkpoints/           complete learner states: the last two and the best
//!   run.log                plain lines, one per event of note
//! ```
//!
//! Three rules shape the crate. A *checkpoint* or *summary* that cannot be written is an error, which
//! the caller judges. A *log* that cannot be written is a warning, reported once
//! ([`Logger::take_warnings`]); it never stops a run. Reading follows symbolic links, writing and
//! removing do not, so that nothing outside a run folder changes.

mod checkpoint;
mod clock;
mod disk;
mod error;
mod folder;
mod json;
mod logger;
mod metrics;
mod provenance;
mod read;
mod sink;
mod summary;
mod sweep;
pub mod tensorboard;
mod zip;

pub use checkpoint::{Checkpoint, CheckpointWriter, Checkpoints, Keep, Recovered};
pub use disk::{check_output, open_own, own_folder, remove_leftovers, write_atomic, write_output, write_output_by};
pub use error::LogbookError;
pub use folder::{CONFIG_FILE, METRICS_FILE, PROVENANCE_FILE, RunFolder, SUMMARY_FILE};
pub use logger::{EventPosition, HParam, LogPosition, Logger, LoggerOptions};
pub use metrics::{Series, metric_names, read_all_series, read_series};
pub use provenance::{FORMAT_VERSION, Provenance, ProvenanceChange};
pub use read::{limits, open_file, read_file, read_text};
pub use summary::{RunSummary, Status, peak_memory_bytes};
pub use sweep::{
    BestPoint, SWEEP_FORMAT_VERSION, SweepLock, SweepReport, SweepRun, SweepSearch, SweepVariant, ToldResult,
    stays_below,
};
pub use zip::{ZipArchive, ZipFile};
