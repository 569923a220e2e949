//! The command line: arguments and help.

mod curves;
mod demos;
mod policies;
mod sweep;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use curves::{BandChoice, LegendChoice, PlotArgs, ReportArgs};
pub use demos::{ConvertArgs, DemosCommand, DemosLayout, ReadingArgs};
pub use policies::{
    ActionUnits, CertifyArgs, CertifyMethod, EvalArgs, ExpertKind, ExportArgs, ForeignArgs, ImportArgs, RecordArgs,
    TradeoffArgs,
};
pub use sweep::{LauncherKind, SweepArgs, SweepCommand};

/// Reinforcement and imitation learning in which the Lipschitz constant is a first-class setting.
#[derive(Debug, Parser)]
#[command(name = "liprl", version, arg_required_else_help = true)]
pub struct Cli {
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,
}

/// The program's commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train an agent from a config file
    Train(TrainArgs),
    /// Run many variants and seeds of one config, here or on Slurm; rerun to complete missing runs
    Sweep(SweepArgs),
    /// Run a trained policy greedily and report its returns
    Eval(EvalArgs),
    /// Draw the cost of feedback policies, undisturbed and disturbed, against their Lipschitz
    /// constant
    Tradeoff(TradeoffArgs),
    /// Record a trained policy's episodes as demonstrations
    Record(RecordArgs),
    /// Write a trained policy as ONNX, TorchScript or numpy arrays, for programs that run it
    Export(ExportArgs),
    /// Take over a policy of Stable-Baselines3, CleanRL, rsl_rl, PyTorch or ONNX
    Import(ImportArgs),
    /// Prove Lipschitz bounds of a trained network, everywhere and around visited states
    Certify(CertifyArgs),
    /// Inspect and convert recorded demonstrations
    #[command(subcommand)]
    Demos(DemosCommand),
    /// Draw learning curves of run folders
    Plot(PlotArgs),
    /// Compare a sweep's variants on one page of HTML
    Report(ReportArgs),
    /// List the environments, their spaces and options
    Envs {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON Schema of config files, for editors
    Schema {
        /// Print the schema of sweep files instead
        #[arg(long)]
        sweep: bool,
        /// Print a page of all settings of configs instead, as Markdown
        #[arg(long, conflicts_with = "sweep")]
        markdown: bool,
    },
    /// Draw MuJoCo tasks for another process, which starts this one
    #[command(hide = true)]
    RenderWorker,
    /// Check a config file, build its environment and agent, and print it with every default
    Check(CheckArgs),
    /// List the metrics of a run with their last values, or all that runs may log
    Metrics {
        /// A run folder
        run: Option<PathBuf>,
    },
    /// Write a crate of your own that adds environments, rewards, shapings, regularisers and agents
    New(NewArgs),
}

/// Arguments of `new`.
#[derive(Debug, Args)]
pub struct NewArgs {
    /// Folder to write; its name is the crate's
    pub folder: PathBuf,
    /// Folder of liprl's sources [default: where this program was built]
    #[arg(long)]
    pub liprl: Option<PathBuf>,
}

/// A config file and the overrides of the command line.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// A YAML file, or a run folder (its config.yaml)
    pub config: PathBuf,
    /// Its overrides.
    #[command(flatten)]
    pub overrides: OverrideArgs,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// A YAML file, or a run folder (its config.yaml)
    #[arg(required_unless_present = "explain")]
    pub config: Option<PathBuf>,
    /// Its overrides.
    #[command(flatten)]
    pub overrides: OverrideArgs,
    /// Explain a setting instead, such as agent.tau: type, range, default and meaning; with a
    /// config, for its kinds
    #[arg(long, value_name = "KEY")]
    pub explain: Option<String>,
}

/// Overrides of a config.
#[derive(Clone, Debug, Args)]
pub struct OverrideArgs {
    /// Replace one value, by the YAML's path: --set agent.gamma=0.98
    #[arg(long = "set", value_name = "KEY.PATH=VALUE")]
    pub sets: Vec<String>,
    /// Root of every random number: `seed`
    #[arg(long)]
    pub seed: Option<String>,
    /// Environment steps: `steps`
    #[arg(long)]
    pub steps: Option<String>,
    /// cpu, cuda or cuda:N: `device`
    #[arg(long)]
    pub device: Option<String>,
    /// libtorch and worker threads: `threads`
    #[arg(long)]
    pub threads: Option<String>,
}

/// Arguments of `train`.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// The config.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Run folder to write [default: runs/<config's folder>/<config's name>/seed-<n>]
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Resume from the run folder's newest checkpoint
    #[arg(long)]
    pub resume: bool,
    /// Print nothing but errors
    #[arg(long, short)]
    pub quiet: bool,
    /// Stop after a checkpoint when standard input ends; how `liprl sweep` stops its runs
    #[arg(long, hide = true)]
    pub stop_at_eof: bool,
}

fn number(text: &str) -> Result<f64, String> {
    text.trim().parse().map_err(|_| format!("`{text}` is not a number"))
}

fn finite(text: &str) -> Result<f64, String> {
    let value = number(text)?;
    if value.is_infinite() && text.contains(|c: char| c.is_ascii_digit()) {
        return Err(format!("`{text}` is beyond the largest number, {:.1e}", f64::MAX));
    }
    if value.is_finite() { Ok(value) } else { Err(format!("`{text}` is not finite")) }
}
