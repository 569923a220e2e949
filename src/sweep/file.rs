//! What a sweep file may say.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::ValueEnum;
use garde::Validate;
use liprl_analysis::report::Score;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::draw::Distribution;

/// A sweep: one base config, what varies over it, and how its runs are started.
#[derive(Clone, Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct SweepFile {
    /// The config every run starts from; a relative path starts at the sweep file's folder.
    pub base: PathBuf,
    /// Name of the experiment, and of its folder in `runs/`. Default: the sweep file's name without `.yaml`.
    #[serde(default)]
    pub experiment: Option<String>,
    /// What the sweep asks, and how `liprl report` answers. Nothing here changes a run.
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
    pub axes: BTreeMap<String, Vec<Value>>,
    /// Lists of one length that vary together: dotted path → values.
    #[serde(default)]
    pub zip: BTreeMap<String, Vec<Value>>,
    /// Points drawn at random.
    #[serde(default)]
    #[garde(dive)]
    pub random: Option<RandomConfig>,
    /// Named settings to compare: name → dotted path → value. Each is combined with every point of the other parts.
    #[serde(default)]
    pub variants: BTreeMap<String, Map<String, Value>>,
    /// What follows from some settings, in this order.
    #[serde(default)]
    #[garde(dive)]
    pub when: Vec<WhenConfig>,
    /// How runs are started. Default: on this machine.
    #[serde(default)]
    #[garde(dive)]
    pub launcher: LauncherConfig,
}

fn default_seeds() -> Vec<u64> {
    vec![0]
}

/// What the sweep asks, and how it is answered.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReportConfig {
    /// The question, in words. Default: none.
    pub question: Option<String>,
    /// Title of the figure. Default: none.
    pub figure: Option<String>,
    /// The metric compared. Default `eval/return_mean`.
    pub metric: String,
    /// The variant the others are compared with, by its name. Default: none, all are compared alike.
    pub baseline: Option<String>,
    /// What of a run's curve is compared. Default `last`.
    pub score: ScoreChoice,
    /// Tables leave out what was logged before this step. Default `0`.
    pub from: u64,
    /// How soon runs reach this value of the metric is listed. Default: not.
    pub reach: Option<f64>,
}

/// The number that a run's curve is compared by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ScoreChoice {
    /// The last value.
    #[default]
    Last,
    /// The highest value, which picks the luckiest evaluation.
    Best,
    /// The mean of all values: the area under the curve where they are evenly spaced.
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
        }
    }
}

/// Points drawn at random.
#[derive(Clone, Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct RandomConfig {
    /// How many. More points leave the earlier ones as they were.
    #[garde(range(min = 1, max = 100_000))]
    pub points: u32,
    /// Root of the draws. Default `0`.
    #[serde(default)]
    pub seed: u64,
    /// Dotted path → distribution; each path is drawn by itself.
    pub draw: BTreeMap<String, Distribution>,
}

/// A consequence of some settings.
#[derive(Clone, Debug, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct WhenConfig {
    /// Holds where every dotted path has this value, or one of these values when a list is given.
    #[serde(rename = "if")]
    pub condition: Map<String, Value>,
    /// Settings put over the others where it holds. Default: none.
    #[serde(default)]
    pub set: Map<String, Value>,
    /// Leave the combination out where it holds. Default `false`.
    #[serde(default)]
    pub skip: bool,
}

/// How runs are started.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema, Validate)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LauncherConfig {
    /// As processes of this machine.
    Local(#[garde(dive)] LocalConfig),
    /// As one job array of Slurm.
    Slurm(#[garde(dive)] Box<SlurmConfig>),
}

impl Default for LauncherConfig {
    fn default() -> Self {
        Self::Local(LocalConfig::default())
    }
}

/// Processes of this machine.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct LocalConfig {
    /// Runs at a time. Default: as many as the cores have room for, by each run's `threads`.
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
    /// Time limit of one task, `[days-]hours:minutes:seconds`; a run that needs longer goes on in the next. Default: the partition's.
    pub time: Option<String>,
    /// Default: the runs' `threads`.
    #[garde(inner(range(min = 1)))]
    pub cpus_per_task: Option<usize>,
    /// Such as `gpu:1`. Default: none.
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
    /// Seconds before the time limit at which a run is told to write a checkpoint and is queued again. Default `120`.
    #[garde(range(min = 1, max = 65535))]
    pub signal_before: u32,
    /// Lines of the script before liprl is started, such as `module load …`. Default: none.
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
    let mut schema = schemars::schema_for!(SweepFile).to_value();
    if let Some(map) = schema.as_object_mut() {
        map.insert("title".to_owned(), "liprl sweep".into());
    }
    schema
}
