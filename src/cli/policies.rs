//! Arguments of the commands that run or certify a trained policy.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use liprl_control::certify::Norm;
use liprl_numerics::Activation;

use super::number;
use crate::certify::BoxChoice;
use crate::config::EnvConfig;
use crate::export::ExportFormat;
use crate::import::{ImportOptions, Squash, activations};
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
    /// Smooth the policy: act by the mean action of several observations with Gaussian noise of this
    /// standard deviation, in the observation's units
    #[arg(long, value_name = "SIGMA", value_parser = positive)]
    pub smooth: Option<f64>,
    /// With --smooth, noisy observations for each action
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1_000_000), requires = "smooth")]
    pub samples: u32,
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

/// Arguments of `import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// A policy of another program: an archive of Stable-Baselines3, a checkpoint of CleanRL or
    /// rsl_rl, a state dict (torch.save), safetensors or ONNX
    pub file: PathBuf,
    /// The environment it acts in; with options as in a config: --env '{id: Ant-v5, …}'
    #[arg(long, value_name = "ID", value_parser = env)]
    pub env: EnvConfig,
    /// Facts that the file does not say.
    #[command(flatten)]
    pub foreign: ForeignArgs,
    /// The policy file to write; one that is there is replaced
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// Facts about another program's file.
#[derive(Debug, Args)]
pub struct ForeignArgs {
    /// Take the arrays whose names begin with this: --prefix actor.
    #[arg(long, value_name = "NAME")]
    pub prefix: Option<String>,
    /// Activation of the hidden layers, if the file does not say it: relu, tanh, elu, swish,
    /// max_min or leaky_relu:SLOPE
    #[arg(long, value_parser = activations::by_argument)]
    pub activation: Option<Activation>,
    /// Map from outputs to actions, if the file does not say it
    #[arg(long, value_enum)]
    pub squash: Option<Squash>,
    /// Standardisation of observations: what VecNormalize of Stable-Baselines3 saved
    #[arg(long, value_name = "FILE.pkl")]
    pub normaliser: Option<PathBuf>,
}

impl ForeignArgs {
    /// The choices.
    pub(crate) fn options(&self) -> ImportOptions {
        let Self { prefix, activation, squash, normaliser } = self;
        ImportOptions {
            prefix: prefix.clone(),
            activation: *activation,
            squash: *squash,
            normaliser: normaliser.clone(),
        }
    }

    /// True if something is given.
    pub(crate) fn any(&self) -> bool {
        self.prefix.is_some() || self.activation.is_some() || self.squash.is_some() || self.normaliser.is_some()
    }
}

/// A task as in a config: its id, or a mapping of the id and options.
fn env(text: &str) -> Result<EnvConfig, String> {
    serde_saphyr::from_str(text)
        .map_err(|_| format!("`{text}` is neither an id nor a mapping such as {{id: Ant-v5, …}}"))
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
    pub run: Option<PathBuf>,
    /// Certify the network of this file by itself, without an environment: a policy file, or any
    /// file that `import` reads; in the file's own units
    #[arg(long, value_name = "FILE", conflicts_with_all = ["run", "network", "states", "episodes", "closed_loop"])]
    pub net: Option<PathBuf>,
    /// Certify that simultaneous gradient play converges in the game of this YAML file, by the
    /// small-gain margin: quadratic losses, or adversarial imitation on a finite MDP
    #[arg(long, value_name = "FILE", conflicts_with_all = ["run", "net", "network", "states", "episodes", "closed_loop", "method", "boxes"])]
    pub game: Option<PathBuf>,
    /// With --net, facts that the file does not say.
    #[command(flatten)]
    pub foreign: ForeignArgs,
    /// Norm of both sides [default: both]
    #[arg(long, value_parser = norm)]
    pub norm: Option<Norm>,
    /// Method for upper bounds
    #[arg(long, value_enum, default_value_t = CertifyMethod::All)]
    pub method: CertifyMethod,
    /// policy, or another network of the run: critic_0, reward, model, …
    #[arg(long, default_value = "policy")]
    pub network: String,
    /// A region for local bounds: `data` (the smallest box around the visited states) or `state±R`
    /// (boxes of radius R around some of them; `state±Rstd`: R times each coordinate's standard
    /// deviation), or one box in numbers, `LOW:HIGH` or `CENTRE±R`, each a number for all inputs or a
    /// list with commas; +- reads as ±. Repeatable [default: data, state±0.1std; with --net none]
    #[arg(long = "box", value_name = "data|state±R[std]|LOW:HIGH|CENTRE±R", allow_hyphen_values = true)]
    pub boxes: Vec<BoxChoice>,
    /// Boxes of one `state±R`
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub states: u32,
    /// Greedy episodes that collect the visited states [default: 3, with smoothing 1000]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub episodes: Option<u32>,
    /// Demonstrations whose observations stand for the visited states, so that no episode is run
    #[arg(long, value_name = "FILE", conflicts_with = "closed_loop")]
    pub data: Option<PathBuf>,
    /// Seed of the episodes and of the search for lower bounds
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// With --method smoothing, the standard deviation of Gaussian noise on every observation, in the
    /// observation's units
    #[arg(long, value_name = "SIGMA", value_parser = positive)]
    pub smooth: Option<f64>,
    /// With smoothing, noisy observations for each action that is bounded
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(2..=10_000_000))]
    pub samples: u32,
    /// With smoothing, lengths of an attack on a whole episode: the root of the sum of its squared
    /// errors
    #[arg(long, value_name = "B[,B…]", value_delimiter = ',', default_value = "0.1", value_parser = positive)]
    pub budget: Vec<f64>,
    /// With smoothing, a return that no episode falls below, for a bound on the expected return
    #[arg(long, value_name = "RETURN", value_parser = number, allow_negative_numbers = true)]
    pub least_return: Option<f64>,
    /// With smoothing, the probability that all bounds hold
    #[arg(long, value_name = "P", default_value_t = 0.99, value_parser = probability)]
    pub confidence: f64,
    /// Seconds for all bounds together, or with --closed-loop and smoothing for each bound; a bound is
    /// valid also when its time is up, and at most the product of norms [default: 60, with the two 10]
    #[arg(long, value_name = "S", value_parser = seconds)]
    pub time_limit: Option<f64>,
    /// Bound the closed loop instead, on an environment with known equations: the policy's error
    /// against the optimal linear feedback, the loop's deviation and its cost, undisturbed and
    /// under measurement errors; each beside the largest value observed in simulation
    #[arg(long, conflicts_with_all = ["method", "network", "boxes"])]
    pub closed_loop: bool,
    /// With --closed-loop or smoothing, sizes of measurement errors (Euclidean, the observation's
    /// units); for loops 0 is always included
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

impl CertifyArgs {
    /// Episodes that collect the visited states of boxes.
    pub fn visited_episodes(&self) -> u32 {
        self.episodes.unwrap_or(3)
    }
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
    /// Noise on the observations: bounds on the smoothed policy's actions and returns under attack.
    /// Not among `all`
    Smoothing,
}

fn norm(text: &str) -> Result<Norm, String> {
    [Norm::L2, Norm::Linf].into_iter().find(|norm| norm.name() == text).ok_or_else(|| "expected l2 or linf".to_owned())
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

/// A probability between a half and 1.
fn probability(text: &str) -> Result<f64, String> {
    let value = number(text)?;
    if (0.5..1.0).contains(&value) { Ok(value) } else { Err(format!("{text} is not at least 0.5 and below 1")) }
}

/// A number above 0.
fn positive(text: &str) -> Result<f64, String> {
    let value = number(text)?;
    if value.is_finite() && value > 0.0 { Ok(value) } else { Err(format!("{text} is not a finite number above 0")) }
}

fn seconds(text: &str) -> Result<f64, String> {
    let value = number(text)?;
    if (0.0..=1e9).contains(&value) { Ok(value) } else { Err(format!("{text} is not between 0 and 1e9")) }
}
