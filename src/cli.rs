//! The command line's words.

use std::path::PathBuf;

use clap::builder::TypedValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use liprl_analysis::{Band, Peer};

use crate::disturb::Disturb;
use crate::sweep::file::ScoreChoice;

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
    /// Run many variants and seeds of one config, here or on Slurm, and go on where an earlier launch ended
    Sweep(SweepArgs),
    /// Run a trained policy greedily and report its returns
    Eval(EvalArgs),
    /// Draw what feedback policies cost, undisturbed and disturbed, against their Lipschitz constant
    Tradeoff(TradeoffArgs),
    /// Record a trained policy's episodes as demonstrations
    Record(RecordArgs),
    /// Prove how steep a trained network can be, everywhere and where it has been
    Certify(CertifyArgs),
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
    Schema {
        /// Of sweep files instead
        #[arg(long)]
        sweep: bool,
    },
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
    /// Stop after a checkpoint when standard input ends; how `liprl sweep` stops its runs
    #[arg(long, hide = true)]
    pub stop_at_eof: bool,
}

/// Arguments of `sweep`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct SweepArgs {
    /// What to do other than to launch.
    #[command(subcommand)]
    pub command: Option<SweepCommand>,
    /// A sweep file
    pub sweep: Option<PathBuf>,
    /// Runs at a time [default: as many as the cores have room for, by each run's threads]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..).map(|jobs| jobs as usize))]
    pub jobs: Option<usize>,
    /// Where runs are started [default: what the sweep file says]
    #[arg(long)]
    pub launcher: Option<LauncherKind>,
    /// Check everything and list the runs, their steps and estimated hours; start nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Also begin runs again that failed
    #[arg(long)]
    pub resume: bool,
    /// How often --resume begins a run again that fails, over all launches
    #[arg(long, default_value_t = 2)]
    pub retries: u32,
    /// Folder of the sweep's runs [default: runs/<experiment>]
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Replace one value of the base config, by the YAML's path: --set steps=1e5
    #[arg(long = "set", value_name = "KEY.PATH=VALUE")]
    pub sets: Vec<String>,
}

/// What can be done with a sweep other than to launch it.
#[derive(Debug, Subcommand)]
pub enum SweepCommand {
    /// Say how far each run is; exit code 1 if any failed
    Status {
        /// A sweep's folder
        folder: PathBuf,
    },
    /// Do one run of a Slurm array; what the array's script calls
    #[command(hide = true)]
    Task {
        /// The sweep's folder
        folder: PathBuf,
        /// The array's list of runs
        #[arg(long)]
        array: PathBuf,
    },
}

/// Where runs are started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LauncherKind {
    /// As processes of this machine
    Local,
    /// As a job array of Slurm
    Slurm,
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
    /// Falsify the observations by up to EPS (Euclidean norm, the observation's units): uniform, bias, pgd, critic or trajectory, such as
    /// --disturb pgd:0.05,0.1; may be given several times
    #[arg(long = "disturb", value_name = "KIND:EPS[,EPS…]")]
    pub disturb: Vec<Disturb>,
    /// With --disturb, draw the return against EPS: .png or .svg
    #[arg(long, value_name = "FILE.{png,svg}", requires = "disturb")]
    pub figure: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `tradeoff`.
#[derive(Debug, Args)]
pub struct TradeoffArgs {
    /// Run folders of the agent `feedback` on one task, or folders around them, such as a sweep over alpha
    #[arg(required = true)]
    pub runs: Vec<PathBuf>,
    /// The picture to write, .png or .svg; its numbers go into a .csv and a .json beside it
    #[arg(long, value_name = "FILE.{png,svg}")]
    pub out: PathBuf,
    /// Falsify the observations by up to EPS, as `eval` does; may be given several times
    #[arg(long = "disturb", value_name = "KIND:EPS[,EPS…]")]
    pub disturb: Vec<Disturb>,
    /// Episodes for each policy and disturbance, the same for all
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub episodes: u32,
    /// Seed of the episodes
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

/// Arguments of `record`.
#[derive(Debug, Args)]
pub struct RecordArgs {
    /// A run folder (its best checkpoint), a checkpoint folder or an exported policy file; with --expert, a config file
    pub run: PathBuf,
    /// Record an expert on the config's environment, which must be one with known equations, rather than a trained policy
    #[arg(long)]
    pub expert: Option<ExpertKind>,
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

/// Experts made from a system's equations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExpertKind {
    /// Optimal linear feedback
    Lqr,
    /// A planner: iterative LQR over a horizon
    Mpc,
}

/// Arguments of `certify`.
#[derive(Debug, Args)]
pub struct CertifyArgs {
    /// A run folder (its best checkpoint), a checkpoint folder or an exported policy file
    pub run: PathBuf,
    /// Which upper bounds to find
    #[arg(long, value_enum, default_value_t = CertifyMethod::All)]
    pub method: CertifyMethod,
    /// policy, or a network that a run has besides: critic_0, reward, model, …
    #[arg(long, default_value = "policy")]
    pub network: String,
    /// A region for local bounds: `data` (the smallest box around the states visited) or `state±R` (boxes of radius R around some of
    /// them; `state±Rstd`: R times each coordinate's standard deviation; +- reads as ±). Repeatable [default: data, state±0.1std]
    #[arg(long = "box", value_name = "data|state±R[std]")]
    pub boxes: Vec<CertifyBox>,
    /// States that `state±R` takes
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub states: u32,
    /// Greedy episodes that say where the policy goes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub episodes: u32,
    /// Seed of the episodes and of the search for lower bounds
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Seconds for each upper bound; those found so far are valid whenever time is up
    #[arg(long, default_value = "10", value_name = "S", value_parser = seconds)]
    pub time_limit: f64,
    /// Bound the closed loop instead, on an environment with known equations: how far the policy can be off the optimal linear feedback, how far
    /// the loop strays, what that costs, undisturbed and under disturbed measurements; each beside what simulation met
    #[arg(long, conflicts_with_all = ["method", "network", "boxes"])]
    pub closed_loop: bool,
    /// With --closed-loop, sizes of measurement errors (Euclidean, the observation's units); 0 is always there
    #[arg(long, value_name = "EPS[,EPS…]", value_delimiter = ',', default_value = "0.05", value_parser = size)]
    pub epsilon: Vec<f64>,
    /// With --closed-loop, simulated runs for each size
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    pub runs: u32,
    /// With --closed-loop, steps of a run
    #[arg(long, default_value_t = 150, value_parser = clap::value_parser!(u32).range(1..))]
    pub horizon: u32,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Ways to an upper bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum CertifyMethod {
    /// All of them
    All,
    /// The product of the layers' norms, everywhere
    Product,
    /// LipSDP in the Euclidean norm, everywhere and over the boxes
    Lipsdp,
    /// Bounds on the Jacobian over the boxes, refined by branch and bound
    Local,
}

/// A region for local bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CertifyBox {
    /// The smallest box around all visited states.
    Data,
    /// Boxes around some of them.
    State {
        /// How far they reach in each coordinate.
        radius: f64,
        /// Whether that is in standard deviations of the coordinate over the visited states.
        relative: bool,
    },
}

impl std::str::FromStr for CertifyBox {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "data" {
            return Ok(Self::Data);
        }
        let number = text.strip_prefix("state").and_then(|rest| rest.strip_prefix('±').or(rest.strip_prefix("+-")));
        let number = number.ok_or("expected data, state±R or state±Rstd")?;
        let (number, relative) = number.strip_suffix("std").map_or((number, false), |number| (number, true));
        let radius: f64 = number.trim().parse().map_err(|_| format!("`{number}` is not a number"))?;
        let good = radius.is_finite() && radius >= 0.0;
        if good { Ok(Self::State { radius, relative }) } else { Err(format!("`{number}` is no radius")) }
    }
}

/// A size of measurement errors.
fn size(text: &str) -> Result<f64, String> {
    let value: f64 = text.trim().parse().map_err(|_| format!("`{text}` is not a number"))?;
    if value.is_finite() && value >= 0.0 {
        Ok(value)
    } else {
        Err(format!("{text} is no size: finite and not negative"))
    }
}

/// A time in seconds, zero or more.
fn seconds(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| format!("`{text}` is not a number"))?;
    if (0.0..=1e9).contains(&value) { Ok(value) } else { Err(format!("{text} is not between 0 and 1e9")) }
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
    /// Leave out the lines that come by themselves: the demonstrator's return and that of random actions
    #[arg(long)]
    pub no_lines: bool,
    /// A horizontal line, such as a method's published return: --line paper=9359.5, or for one task of several: --line Ant-v5:paper=6000
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
    /// What of a run's curve is compared [default: the sweep's, else last]
    #[arg(long, value_enum)]
    pub score: Option<ScoreChoice>,
    /// Leave out of the tables what was logged before this step [default: the sweep's, else 0]
    #[arg(long, value_name = "STEP")]
    pub from: Option<u64>,
    /// Leave out of the tables what was logged after this step [default: nothing]
    #[arg(long, value_name = "STEP")]
    pub to: Option<u64>,
    /// Also list how soon runs reach this value, in steps and seconds [default: the sweep's for its own metric, else not]
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true, value_parser = finite)]
    pub reach: Option<f64>,
    /// Leave out the lines that come by themselves: the demonstrator's return and that of random actions
    #[arg(long)]
    pub no_lines: bool,
    /// A horizontal line in the curves: --line paper=9359.5, or for one task of several: --line Ant-v5:paper=6000
    #[arg(long = "line", value_name = "NAME=VALUE", value_parser = reference)]
    pub lines: Vec<(String, f64)>,
}

/// A line's name and height.
fn reference(text: &str) -> Result<(String, f64), String> {
    let (name, value) = text.rsplit_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.trim().to_owned(), finite(value)?))
}

fn finite(text: &str) -> Result<f64, String> {
    let value: f64 = text.trim().parse().map_err(|_| format!("`{text}` is not a number"))?;
    if value.is_finite() { Ok(value) } else { Err(format!("`{text}` is not finite")) }
}
