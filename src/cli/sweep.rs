//! Arguments of `sweep`.

use std::path::PathBuf;

use clap::builder::TypedValueParser;
use clap::{Args, Subcommand, ValueEnum};

/// Arguments of `sweep`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct SweepArgs {
    /// The subcommand; `None` launches the sweep.
    #[command(subcommand)]
    pub command: Option<SweepCommand>,
    /// A sweep file
    pub sweep: Option<PathBuf>,
    /// Runs at a time [default: as many as fit on the cores, by each run's threads]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..).map(|jobs| jobs as usize))]
    pub jobs: Option<usize>,
    /// Launcher of the runs [default: the sweep file's]
    #[arg(long)]
    pub launcher: Option<LauncherKind>,
    /// Check everything and list the runs, their steps and estimated hours; start nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Also retry failed runs
    #[arg(long)]
    pub resume: bool,
    /// Retries of a failed run with --resume, over all launches
    #[arg(long, default_value_t = 2)]
    pub retries: u32,
    /// Folder of the sweep's runs [default: runs/<experiment>]
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Replace one value of the base config, by the YAML's path: --set steps=1e5
    #[arg(long = "set", value_name = "KEY.PATH=VALUE")]
    pub sets: Vec<String>,
    /// Only go on with a search whose last batch is over; called by the jobs that wait for a batch
    #[arg(long, hide = true)]
    pub next: bool,
}

/// Sweep subcommands.
#[derive(Debug, Subcommand)]
pub enum SweepCommand {
    /// Print the progress of each run; exit code 1 if any failed
    Status {
        /// A sweep's folder
        folder: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Do one run of a Slurm array; called by the array's script
    #[command(hide = true)]
    Task {
        /// The sweep's folder
        folder: PathBuf,
        /// The array's list of runs
        #[arg(long)]
        array: PathBuf,
    },
}

/// Launchers of a sweep's runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LauncherKind {
    /// Processes on this machine
    Local,
    /// A job array of Slurm
    Slurm,
}
