//! A run's config, read strictly from YAML.
//!
//! File and command line become one tree of values with places ([`node`]). It is checked against
//! the JSON Schema ([`check`]) before serde turns it into [`Config`]; garde's ranges come last.
//! Every error is shown at its place in the text.

mod check;
mod env;
mod error;
mod flatten;
mod messages;
mod node;
mod overrides;
mod paths;
mod python;
mod schema;
mod settings;

use std::path::Path;

use garde::Validate;
use liprl_agents::AgentConfig;
use liprl_logbook::{limits, read_text};
use liprl_nets::Precision;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use env::EnvConfig;
pub use error::ConfigError;
pub use overrides::Override;
pub use paths::MissingFile;

pub(crate) use env::RECORDED;
pub(crate) use error::Sources;
pub(crate) use flatten::{difference, flatten};
pub(crate) use node::{Key, Node, Span, Value, parse};
pub(crate) use overrides::{insert, names};
pub(crate) use schema::schema_of;
pub(crate) use settings::{explain, page};

use check::Checker;
use serde::de::DeserializeOwned;

/// One training run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct Config {
    /// The task: an id such as `Hopper-v5`, `{id: …}` with the task's options beside it, or an
    /// environment in Python, `{python: …}`. For `feedback` also `demonstrations`: the spaces of
    /// `agent.demonstrations`, without evaluation.
    pub env: EnvConfig,
    /// Environment steps of training.
    #[garde(range(min = 1))]
    pub steps: u64,
    /// Root of every random number of the run. Default `0`.
    #[serde(default)]
    pub seed: u64,
    /// libtorch and worker threads of this run. Default `1`.
    #[serde(default = "default_threads")]
    #[garde(range(min = 1, max = 1024))]
    pub threads: usize,
    /// Device of the networks: `cpu`, `cuda` or `cuda:N`. Default `cpu`.
    #[serde(default = "default_device")]
    #[schemars(regex(pattern = "^(cpu|cuda(:[0-9]+)?)$"))]
    #[garde(custom(is_device))]
    pub device: String,
    /// Products of the networks' passes on a CPU: `f32`, or `bf16` (8 significant bits, weights and
    /// gradients stay f32; needs AVX512-BF16 or AMX). Default `f32`.
    #[serde(default)]
    #[garde(skip)]
    pub precision: Precision,
    /// The learner: `kind` and that kind's own keys.
    #[garde(dive)]
    pub agent: AgentConfig,
    /// Greedy evaluation on separate environments.
    #[serde(default)]
    #[garde(dive)]
    pub eval: EvalConfig,
    /// Complete states to resume from.
    #[serde(default)]
    #[garde(dive)]
    pub checkpoint: CheckpointConfig,
    /// Metrics and TensorBoard.
    #[serde(default)]
    #[garde(dive)]
    pub log: LogConfig,
    /// Training ends early when an evaluation's mean return reaches this. Default: never.
    #[serde(default)]
    pub stop_at_return: Option<f64>,
}

/// Proven bounds on the policy's Lipschitz constant.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct CertificateConfig {
    /// Seconds for LipSDP, whose bound is valid also if they run out; 0: the product of norms
    /// alone. They change the logged bounds, not the training. Default `1`.
    #[garde(range(min = 0.0, max = 3600.0))]
    pub time_limit: f64,
}

impl Default for CertificateConfig {
    fn default() -> Self {
        Self { time_limit: 1.0 }
    }
}

/// Greedy evaluation on separate environments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct EvalConfig {
    /// Environment steps between evaluations. Default `10_000`.
    #[garde(range(min = 1))]
    pub every: u64,
    /// Episodes of one evaluation. Default `10`.
    #[garde(range(min = 1))]
    pub episodes: u32,
    /// States of an evaluation at which the simulator's Jacobian is measured
    /// (`lipschitz/simulator_jacobian`), on tasks that give access to their state. Each costs 2 (O
    /// + A) environment steps. Default `0`.
    #[garde(skip)]
    pub simulator_jacobian: usize,
    /// Films of evaluations, in TensorBoard's Images tab: the first episode of every n-th one, as a
    /// GIF of up to a megabyte. 0: none. A machine that cannot draw is told once, and the run goes
    /// on. Default `0`.
    #[garde(skip)]
    pub video_every: u64,
    /// Proven bounds on the policy's Lipschitz constant at each evaluation; `perf/certificate_s` is
    /// their time. Default: none.
    #[garde(dive)]
    pub certificate: Option<CertificateConfig>,
}

impl Default for EvalConfig {
    fn default() -> Self {
        Self { every: 10_000, episodes: 10, certificate: None, simulator_jacobian: 0, video_every: 0 }
    }
}

/// Complete states to resume from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointConfig {
    /// Environment steps between checkpoints. Default `50_000`.
    #[garde(range(min = 1))]
    pub every: u64,
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        Self { every: 50_000 }
    }
}

/// Metrics and TensorBoard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct LogConfig {
    /// Environment steps between logging events. Default `1000`.
    #[garde(range(min = 1))]
    pub every: u64,
    /// Write TensorBoard event files. Default `true`.
    pub tensorboard: bool,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { every: 1000, tensorboard: true }
    }
}

fn default_threads() -> usize {
    1
}

fn default_device() -> String {
    "cpu".to_owned()
}

fn is_device(name: &str, _: &()) -> garde::Result {
    let index = name.strip_prefix("cuda:").is_some_and(|index| index.parse::<u32>().is_ok());
    let known = index || ["cpu", "cuda"].contains(&name);
    if known { Ok(()) } else { Err(garde::Error::new(format!("the text `{name}`, expected cpu, cuda or cuda:N"))) }
}

impl Config {
    /// Reads a file, applies the command line's overrides, and looks up the files that it names.
    /// Builds nothing.
    pub fn load(path: &Path, overrides: &[Override]) -> Result<Self, LoadError> {
        let mut config = Self::load_as_written(path, overrides)?;
        config.resolve_paths(&[path.parent().unwrap_or(Path::new(""))])?;
        Ok(config)
    }

    /// Does the same, but leaves the paths of other files as they are; those may not be there.
    pub fn load_as_written(path: &Path, overrides: &[Override]) -> Result<Self, LoadError> {
        let text = read_text(path, limits::CONFIG)?;
        Ok(Self::parse(&path.display().to_string(), &text, overrides)?)
    }

    /// Reads a text instead; `label` stands for the file in error messages.
    pub fn parse(label: &str, text: &str, overrides: &[Override]) -> Result<Self, ConfigError> {
        let (tree, sources) = parse_tree(label, text, overrides)?;
        read(&tree, &sources, &schema())
    }

    /// The config with every default, as the run folder keeps it.
    pub fn to_yaml(&self) -> Result<String, serde_saphyr::ser::Error> {
        serde_saphyr::to_string(self)
    }
}

/// The keys at the top of a YAML file; `None` if it cannot be read as a mapping.
pub(crate) fn top_keys(path: &Path) -> Option<Vec<String>> {
    let tree = parse(&read_text(path, limits::CONFIG).ok()?, 0).ok()?;
    let Value::Map(entries) = tree.value else { return None };
    Some(entries.into_iter().map(|(key, _)| key.name).collect())
}

/// Reads a text and applies the command line's overrides.
fn parse_tree(label: &str, text: &str, overrides: &[Override]) -> Result<(Node, Sources), ConfigError> {
    let mut sources = Sources::default();
    let source = sources.add(label, text);
    let mut tree = node::parse(text, source).map_err(|fault| sources.error(fault.span, fault.problem, None))?;
    for value in overrides {
        value.apply(&mut tree, &mut sources)?;
    }
    Ok((tree, sources))
}

/// The error of a setting that turned out wrong when it was built, at its place in the file or among
/// the overrides. `setting` may leave out the keys before it: those of the agent and its policy are
/// tried. `None` if no part of it is in the text.
pub fn error_at(path: &Path, overrides: &[Override], setting: &str, problem: &str) -> Option<ConfigError> {
    let text = read_text(path, limits::CONFIG).ok()?;
    let (tree, sources) = parse_tree(&path.display().to_string(), &text, overrides).ok()?;
    let names = [setting.to_owned(), format!("agent.{setting}"), format!("agent.policy.{setting}")];
    let places = names.iter().map(|name| nearest_parent(&tree, name));
    let (depth, node) = places.reduce(|best, other| if other.0 > best.0 { other } else { best })?;
    (depth > 0).then(|| sources.error(node.span, format!("`{setting}`: {problem}"), None))
}

/// JSON Schema of a config file, with the registered environments and their options.
pub fn schema() -> serde_json::Value {
    schema_of::<Config>("liprl config")
}

/// Checks a tree against its schema, deserialises it and checks the ranges.
pub(crate) fn read<T>(tree: &Node, sources: &Sources, schema: &serde_json::Value) -> Result<T, ConfigError>
where
    T: DeserializeOwned + Validate<Context = ()>,
{
    Checker { root: schema, sources }.check(tree, schema, "")?;
    let read: T =
        serde_json::from_value(tree.to_json()).map_err(|error| sources.error(tree.span, error.to_string(), None))?;
    read.validate().map_err(|report| range_error(&report, tree, sources))?;
    Ok(read)
}

/// A config that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Its contents are invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file that it names is not there.
    #[error(transparent)]
    Missing(#[from] MissingFile),
}

/// garde's first error at the place of its value.
fn range_error(report: &garde::Report, tree: &Node, sources: &Sources) -> ConfigError {
    let Some((path, error)) = report.iter().next() else { return sources.error(tree.span, "out of range", None) };
    let path = liprl_agents::setting_path(path);
    let (_, node) = nearest_parent(tree, &path);
    sources.error(node.span, format!("`{path}` is {error}"), None)
}

/// The value under a dotted path, or its nearest parent in the text, and how many parts of the path
/// lead there.
fn nearest_parent<'a>(tree: &'a Node, path: &str) -> (usize, &'a Node) {
    let mut found = (0, tree);
    for part in path.split('.') {
        let Some(child) = found.1.get(part) else { break };
        found = (found.0 + 1, child);
    }
    found
}
