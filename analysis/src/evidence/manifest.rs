//! The list of a page's claims, tables and sources.

use std::collections::BTreeMap;
use std::path::Path;

use liprl_logbook::{limits, read_text};
use serde::Deserialize;

use crate::error::AnalysisError;
use crate::report::Score;

/// A page's claims, and where their numbers come from.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Sweeps and their logs, by name.
    pub sources: BTreeMap<String, Source>,
    /// Rows of the table of claims.
    #[serde(default)]
    pub claims: Vec<Claim>,
    /// Tables of variants, by the names of their markers.
    #[serde(default)]
    pub tables: BTreeMap<String, Table>,
}

/// Runs that a page rests on.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The sweep file that makes them, from the repository's root.
    pub sweep: String,
    /// Folder of their thinned logs, below `docs/results`.
    pub logs: String,
    /// Hours of one core that the sweep takes, as measured.
    pub hours: f64,
    /// Metrics kept beside evaluations' returns; a `*` at the end stands for any rest.
    #[serde(default)]
    pub keep: Vec<String>,
    /// Perturbations, as `liprl eval --disturb` takes them, that each run's policy is evaluated under.
    /// Their returns are the metrics `disturb/none` and `disturb/<kind>/<ε>`.
    #[serde(default)]
    pub disturb: Vec<String>,
    /// Episodes of that evaluation.
    #[serde(default = "fifty")]
    pub episodes: u32,
}

fn fifty() -> u32 {
    50
}

/// A claim and the comparison that it rests on.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The claim in words, without numbers of ours.
    pub claim: String,
    /// The source.
    pub of: String,
    /// The variant that the claim is about.
    pub ours: String,
    /// The one that it is compared with.
    pub theirs: String,
    /// The number that is compared.
    #[serde(flatten)]
    pub column: Column,
    /// The claimed sign of ours less theirs.
    pub expect: Expectation,
    /// Variants beside them that could explain the effect away.
    #[serde(default)]
    pub controls: Vec<String>,
    /// Steps and seeds of the paper's own runs, in words.
    #[serde(default)]
    pub paper: String,
    /// The reason of the outcome, in words.
    #[serde(default)]
    pub why: String,
}

/// A number of each run.
#[derive(Clone, Debug, Deserialize)]
pub struct Column {
    /// Heading. Default: the metric.
    #[serde(default)]
    pub head: Option<String>,
    /// The metric.
    #[serde(default = "returns")]
    pub metric: String,
    /// Number of its curve: `last`, `best` or `mean`.
    #[serde(default = "last")]
    pub score: String,
    /// First step that counts.
    #[serde(default)]
    pub from: u64,
    /// Last step that counts. Default: the run's last.
    #[serde(default = "end")]
    pub to: u64,
}

fn end() -> u64 {
    u64::MAX
}

fn returns() -> String {
    "eval/return_mean".to_owned()
}

fn last() -> String {
    "last".to_owned()
}

impl Column {
    pub(super) fn score(&self) -> Result<Score, AnalysisError> {
        self.score.parse()
    }
}

/// The claimed sign of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expectation {
    /// Ours is larger.
    More,
    /// Ours is smaller.
    Less,
}

/// A table with a row for each variant of a source.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// The source.
    pub of: String,
    /// The variants, in order. Default: all.
    #[serde(default)]
    pub variants: Vec<String>,
    /// The columns.
    pub columns: Vec<Column>,
}

impl Evidence {
    /// Reads a list of claims.
    ///
    /// # Errors
    /// If the file cannot be read, or a claim or table names a source that is not there.
    pub fn read(path: &Path) -> Result<Self, AnalysisError> {
        let wrong = |problem: String| AnalysisError::Request(format!("{}: {problem}", path.display()));
        let text = read_text(path, limits::CONFIG).map_err(|error| wrong(error.to_string()))?;
        let evidence: Self = serde_saphyr::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        let named =
            evidence.claims.iter().map(|claim| &claim.of).chain(evidence.tables.values().map(|table| &table.of));
        for name in named {
            if !evidence.sources.contains_key(name) {
                return Err(wrong(format!("there is no source `{name}`")));
            }
        }
        Ok(evidence)
    }
}
