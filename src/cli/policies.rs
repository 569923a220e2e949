//! Arguments of the commands that run or certify a trained policy.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::number;
use crate::certify::BoxChoice;
use crate::export::ExportFormat;
use crate::perturb::Perturbations;

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
    /// Perturb the observations by up to EPS (Euclidean norm, the observation's units): uniform,
    /// bias, pgd, critic or trajectory, such as --disturb pgd:0.05,0.1; repeatable
    #[arg(long = "disturb", value_name = "KIND:EPS[,EPS…]")]
    pub disturb: Vec<Perturbations>,
    /// Film the first episode, undisturbed: .mp4 (by `ffmpeg`) or .gif
    #[arg(long, value_name = "FILE.{mp4,gif}")]
    pub video: Option<PathBuf>,
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
    /// Run folders of the agent `feedback` on one task, or folders around them, such as a sweep
    /// over alpha
    #[arg(required = true)]
    pub runs: Vec<PathBuf>,
    /// The picture to write, .png or .svg; its numbers go into a .csv and a .json beside it
    #[arg(long, value_name = "FILE.{png,svg}")]
    pub out: PathBuf,
    /// Perturb the observations by up to EPS, as `eval` does; repeatable
    #[arg(long = "disturb", value_name = "KIND:EPS[,EPS…]")]
    pub disturb: Vec<Perturbations>,
    /// Episodes for each policy and perturbation, the same for all
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub episodes: u32,
    /// Seed of the episodes
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

/// Arguments of `record`.
#[derive(Debug, Args)]
pub struct RecordArgs {
    /// A run folder (its best checkpoint), a checkpoint folder or an exported policy file; with
    /// --expert, a config file
    pub run: PathBuf,
    /// Record an expert instead of a trained policy; the config's environment must have known
    /// equations
    #[arg(long)]
    pub expert: Option<ExpertKind>,
    /// Episodes to record
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub episodes: u32,
    /// The HDF5 file to write, in Minari's layout
    #[arg(long, value_name = "FILE.hdf5")]
    pub out: PathBuf,
    /// Film the first episode: .mp4 (by `ffmpeg`) or .gif
    #[arg(long, value_name = "FILE.{mp4,gif}")]
    pub video: Option<PathBuf>,
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

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// A run folder (its best checkpoint), a checkpoint folder or an exported policy file
    pub run: PathBuf,
    /// Format of the file
    #[arg(long, value_enum)]
    pub to: ExportFormat,
    /// The file to write; one that is there is replaced
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Units of the actions
    #[arg(long, value_enum, default_value_t = ActionUnits::Env)]
    pub actions: ActionUnits,
}

/// Units of an exported policy's actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ActionUnits {
    /// The environment's: scaled to its bounds
    Env,
    /// -1 to 1 in each dimension
    Unit,
}

/// Arguments of `certify`.
#[derive(Debug, Args)]
pub struct CertifyArgs {
    /// A run folder (its best checkpoint), a checkpoint folder or an exported policy file
    pub run: PathBuf,
    /// Method for upper bounds
    #[arg(long, value_enum, default_value_t = CertifyMethod::All)]
    pub method: CertifyMethod,
    /// policy, or another network of the run: critic_0, reward, model, …
    #[arg(long, default_value = "policy")]
    pub network: String,
    /// A region for local bounds: `data` (the smallest box around the visited states) or `state±R`
    /// (boxes of radius R around some of them; `state±Rstd`: R times each coordinate's standard
    /// deviation; +- reads as ±). Repeatable [default: data, state±0.1std]
    #[arg(long = "box", value_name = "data|state±R[std]")]
    pub boxes: Vec<BoxChoice>,
    /// Boxes of one `state±R`
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub states: u32,
    /// Greedy episodes that collect the visited states
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub episodes: u32,
    /// Demonstrations whose observations stand for the visited states, so that no episode is run
    #[arg(long, value_name = "FILE", conflicts_with = "closed_loop")]
    pub data: Option<PathBuf>,
    /// Seed of the episodes and of the search for lower bounds
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Seconds for all bounds together, or with --closed-loop for each bound; a bound is valid also
    /// when its time is up, and at most the product of norms [default: 60, with --closed-loop 10]
    #[arg(long, value_name = "S", value_parser = seconds)]
    pub time_limit: Option<f64>,
    /// Bound the closed loop instead, on an environment with known equations: the policy's error
    /// against the optimal linear feedback, the loop's deviation and its cost, undisturbed and
    /// under measurement errors; each beside the largest value observed in simulation
    #[arg(long, conflicts_with_all = ["method", "network", "boxes"])]
    pub closed_loop: bool,
    /// With --closed-loop, sizes of measurement errors (Euclidean, the observation's units); 0 is
    /// always included
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

/// Methods for upper bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
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

/// A size of measurement errors.
fn size(text: &str) -> Result<f64, String> {
    let value = number(text)?;
    if value.is_finite() && value >= 0.0 {
        Ok(value)
    } else {
        Err(format!("{text} is not a valid size; it must be finite and not negative"))
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    let value = number(text)?;
    if (0.0..=1e9).contains(&value) { Ok(value) } else { Err(format!("{text} is not between 0 and 1e9")) }
}
