//! The command line's words.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use liprl_analysis::{Band, Peer};

/// Reinforcement and imitation learning in which the Lipschitz constant is a first-class setting.
#[derive(Debug, Parser)]
#[command(name = "liprl", version, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The program's commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train an agent as a config file says
    Train(TrainArgs),
    /// Run a trained policy greedily and report its returns
    Eval(EvalArgs),
    /// Record a trained policy's episodes as demonstrations
    Record(RecordArgs),
    /// Look at recorded demonstrations
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
    Schema,
    /// Check a config file, build its environment and agent, and print it with every default
    Check(ConfigArgs),
}

/// A config file and what the command line puts over it.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// A YAML file, or a run folder (its config.yaml)
    pub config: PathBuf,
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
    /// Go on from the run folder's newest checkpoint
    #[arg(long)]
    pub resume: bool,
    /// Print nothing but errors
    #[arg(long, short)]
    pub quiet: bool,
}

/// Arguments of `eval`.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// A run folder (its best checkpoint), a checkpoint folder or an exported policy file
    pub run: PathBuf,
    /// Episodes to run
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub episodes: u32,
    /// Seed of the episodes
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `record`.
#[derive(Debug, Args)]
pub struct RecordArgs {
    /// A run folder (its best checkpoint), a checkpoint folder or an exported policy file
    pub run: PathBuf,
    /// Episodes to record
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub episodes: u32,
    /// The HDF5 file to write, in Minari's layout
    #[arg(long, value_name = "FILE.hdf5")]
    pub out: PathBuf,
    /// Seed of the episodes
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

/// What can be done with demonstrations.
#[derive(Debug, Subcommand)]
pub enum DemosCommand {
    /// Print a file's episodes, lengths and returns
    Inspect {
        /// An HDF5 file in Minari's layout
        file: PathBuf,
    },
}

/// Arguments of `plot`.
#[derive(Debug, Args)]
pub struct PlotArgs {
    /// Run folders, or folders around them: each folder of seed-<n> makes a curve
    #[arg(required_unless_present = "peers")]
    pub runs: Vec<PathBuf>,
    /// A curve of another program: a CSV table, a TensorBoard event file or a folder of them, its column or tag and its column of
    /// steps; once more with the same name for another seed
    #[arg(long = "peer", value_name = "NAME=PATH[::METRIC[::STEP]]")]
    pub peers: Vec<Peer>,
    /// The picture to write: .png or .svg
    #[arg(long, value_name = "FILE.{png,svg}")]
    pub out: PathBuf,
    /// The metric to draw
    #[arg(long, default_value = "eval/return_mean")]
    pub metric: String,
    /// Line and band over the seeds
    #[arg(long, value_enum, default_value_t = BandChoice::Iqm)]
    pub band: BandChoice,
    /// Draw the mean of each run's last N points; 1 does not smooth
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub smooth: u32,
    /// A horizontal line, such as an expert's return: --line expert=9359.5, or for one task of several: --line Ant-v5:expert=6000
    #[arg(long = "line", value_name = "NAME=VALUE", value_parser = reference)]
    pub lines: Vec<(String, f64)>,
}

/// What a curve's line and band are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BandChoice {
    /// Interquartile mean, 95% bootstrap interval
    Iqm,
    /// Mean, one standard deviation
    Mean,
    /// Median, quartiles
    Median,
}

impl From<BandChoice> for Band {
    fn from(choice: BandChoice) -> Self {
        match choice {
            BandChoice::Iqm => Self::InterquartileMean,
            BandChoice::Mean => Self::MeanStd,
            BandChoice::Median => Self::MedianQuartiles,
        }
    }
}

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// A sweep's folder: runs/<experiment>
    pub sweep: PathBuf,
    /// Folder to write report.html into
    #[arg(long)]
    pub out: PathBuf,
    /// The metric compared [default: the sweep's, else eval/return_mean]
    #[arg(long)]
    pub metric: Option<String>,
    /// The variant the others are compared with [default: the sweep's, else the first]
    #[arg(long)]
    pub baseline: Option<String>,
    /// A horizontal line in the curves, such as an expert's return: --line expert=9359.5
    #[arg(long = "line", value_name = "NAME=VALUE", value_parser = reference)]
    pub lines: Vec<(String, f64)>,
}

/// A line's name and height.
fn reference(text: &str) -> Result<(String, f64), String> {
    let (name, value) = text.rsplit_once('=').ok_or("expected NAME=VALUE")?;
    let value: f64 = value.trim().parse().map_err(|_| format!("`{value}` is not a number"))?;
    if value.is_finite() { Ok((name.trim().to_owned(), value)) } else { Err(format!("`{value}` is not finite")) }
}
