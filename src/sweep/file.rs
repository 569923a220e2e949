//! The contents of a sweep file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::ValueEnum;
use garde::Validate;
use liprl_analysis::report::Score;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::distribution::Distribution;
use super::search::SearchConfig;
use crate::config::schema_of;

/// A sweep: one base config, the settings that vary, and the launcher of its runs.
#[derive(Clone, Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct SweepFile {
    /// The config every run starts from; a relative path starts at the sweep file's folder.
    pub base: PathBuf,
    /// Name of the experiment, and of its folder in `runs/`. Default: the sweep file's name without
    /// `.yaml`.
    #[serde(default)]
    pub experiment: Option<String>,
    /// The question of the sweep, and options of `liprl report`. Nothing here changes a run.
    #[serde(default)]
    pub report: ReportConfig,
    /// Each variant is run once with each of these. Default `[0]`.
    #[serde(default = "default_seeds")]
    #[garde(length(min = 1))]
    pub seeds: Vec<u64>,
    /// Settings of every run: dotted path → value, put over the base.
    #[serde(default)]
    pub set: Map<String, Value>,
    /// Full grid: dotted path → values.
    #[serde(default)]
    pub axes: BTreeMap<String, AxisValues>,
    /// Lists of one length that vary together: dotted path → values.
    #[serde(default)]
    pub zip: BTreeMap<String, AxisValues>,
    /// Settings drawn at random.
    #[serde(default)]
    #[garde(dive)]
    pub random: Option<RandomConfig>,
    /// Named settings to compare: name → dotted path → value. Each is combined with every point of
    /// the other parts.
    #[serde(default)]
    pub variants: BTreeMap<String, Map<String, Value>>,
    /// Settings searched for, in place of `axes`, `zip`, `random` and `variants`.
    #[serde(default)]
    #[garde(dive)]
    pub search: Option<SearchConfig>,
    /// Consequences of some settings, applied in this order.
    #[serde(default)]
    #[garde(dive)]
    pub when: Vec<WhenConfig>,
    /// The launcher of runs. Default: this machine.
    #[serde(default)]
    #[garde(dive)]
    pub launcher: LauncherConfig,
}

/// The values of a setting.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum AxisValues {
    /// A list of values, which name their variants themselves, or a mapping of names to values.
    List(Vec<Value>),
    /// Names, each a part of its variants' names, with their values.
    Named(Map<String, Value>),
}

fn default_seeds() -> Vec<u64> {
    vec![0]
}

/// The question of the sweep, and options of its report.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReportConfig {
    /// The question, in words. Default: none.
    pub question: Option<String>,
    /// Title of the figure. Default: none.
    pub figure: Option<String>,
    /// The metric compared. Default `eval/return_mean`.
    pub metric: String,
    /// Name of the variant that the others are compared with. Default: none, all are compared
    /// alike.
    pub baseline: Option<String>,
    /// The number of a run's curve that is compared. Default `last`.
    pub score: ScoreChoice,
    /// Tables omit what was logged before this step. Default `0`.
    pub from: u64,
    /// Tables list the steps until runs reach this value of the metric. Default: off.
    pub reach: Option<f64>,
    /// Metrics shown beside the one compared; `*` stands for any text, as in `model/error/*`.
    /// Default: those usual for the agent.
    pub metrics: Vec<String>,
}

/// The number of a run's curve that is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ScoreChoice {
    /// The last value.
    #[default]
    Last,
    /// The highest value, which picks the luckiest evaluation.
    Best,
    /// The mean of all values: the area under the curve if they are evenly spaced.
    Mean,
}

impl From<ScoreChoice> for Score {
    fn from(choice: ScoreChoice) -> Self {
        match choice {
            ScoreChoice::Last => Self::Last,
            ScoreChoice::Best => Self::Best,
            ScoreChoice::Mean => Self::Mean,
        }
    }
}

impl Default for ReportConfig {
    fn default() -> Self {
        Self {
            question: None,
            figure: None,
            metric: "eval/return_mean".to_owned(),
            baseline: None,
            score: ScoreChoice::default(),
            from: 0,
            reach: None,
            metrics: Vec::new(),
        }
    }
}

/// Settings drawn at random.
#[derive(Clone, Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct RandomConfig {
    /// Number of points. More points keep the earlier ones.
    #[garde(range(min = 1, max = 100_000))]
    pub points: u32,
    /// Seed of the draws. Default `0`.
    #[serde(default)]
    pub seed: u64,
    /// Dotted path → distribution; each path is drawn independently.
    pub draw: BTreeMap<String, Distribution>,
}

/// A consequence of some settings.
#[derive(Clone, Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct WhenConfig {
    /// True if every dotted path has this value, or one of these values if a list is given.
    #[serde(rename = "if")]
    pub condition: Map<String, Value>,
    /// Settings that replace others if the condition is true. Default: none.
    #[serde(default)]
    pub set: Map<String, Value>,
    /// Leave the combination out if the condition is true. Default `false`.
    #[serde(default)]
    pub skip: bool,
}

/// The launcher of runs.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema, Validate)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LauncherConfig {
    /// Processes on this machine.
    Local(#[garde(dive)] LocalConfig),
    /// One job array of Slurm.
    Slurm(#[garde(dive)] Box<SlurmConfig>),
}

impl Default for LauncherConfig {
    fn default() -> Self {
        Self::Local(LocalConfig::default())
    }
}

/// Processes on this machine.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct LocalConfig {
    /// Runs at a time. Default: as many as fit on the cores, by each run's `threads`.
    #[garde(inner(range(min = 1)))]
    pub jobs: Option<usize>,
}

/// A job array of Slurm; each key is `sbatch`'s option of that name unless it says otherwise.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct SlurmConfig {
    /// Default: the cluster's.
    pub partition: Option<String>,
    /// Time limit of one task, `[days-]hours:minutes:seconds`; a longer run is resumed by the next
    /// task. Default: the partition's.
    pub time: Option<String>,
    /// Default: the runs' `threads`.
    #[garde(inner(range(min = 1)))]
    pub cpus_per_task: Option<usize>,
    /// Generic resources, such as `gpu:1`. Default: none.
    pub gres: Option<String>,
    /// Memory of one task, such as `8G`. Default: the partition's.
    pub mem: Option<String>,
    /// Default: the user's.
    pub account: Option<String>,
    /// Default: the account's.
    pub qos: Option<String>,
    /// Default: none.
    pub constraint: Option<String>,
    /// Tasks at a time, the `%N` of `--array`. Default: as many as Slurm allows.
    #[garde(inner(range(min = 1)))]
    pub throttle: Option<usize>,
    /// Seconds before the time limit at which a run writes a checkpoint and is queued again.
    /// Default `120`.
    #[garde(range(min = 1, max = 65535))]
    pub signal_before: u32,
    /// Lines of the script before liprl starts, such as `module load …`. Default: none.
    pub setup: Vec<String>,
}

impl Default for SlurmConfig {
    fn default() -> Self {
        Self {
            partition: None,
            time: None,
            cpus_per_task: None,
            gres: None,
            mem: None,
            account: None,
            qos: None,
            constraint: None,
            throttle: None,
            signal_before: 120,
            setup: Vec::new(),
        }
    }
}

/// JSON Schema of a sweep file.
pub fn schema() -> Value {
    schema_of::<SweepFile>("liprl sweep")
}
