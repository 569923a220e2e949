//! Options of a report.

use std::str::FromStr;

use crate::bootstrap::Bootstrap;
use crate::error::AnalysisError;
use crate::panel::ReferenceLine;
use crate::stats;

/// Number of a run's curve by which variants are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Score {
    /// The last value.
    #[default]
    Last,
    /// The highest value, which picks the luckiest evaluation.
    Best,
    /// The mean of all values: the area under the curve if they are evenly spaced.
    Mean,
}

impl Score {
    /// Name in sweeps and commands.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::Best => "best",
            Self::Mean => "mean",
        }
    }

    /// Score of a run with these values, in the order of their steps; `None` for no values.
    pub fn of(self, values: &[f64]) -> Option<f64> {
        let last = *values.last()?;
        Some(match self {
            Self::Last => last,
            Self::Best => stats::range(values.iter().copied()).1,
            Self::Mean => stats::mean(values),
        })
    }
}

impl FromStr for Score {
    type Err = AnalysisError;

    fn from_str(name: &str) -> Result<Self, AnalysisError> {
        let known = [Self::Last, Self::Best, Self::Mean];
        let found = known.into_iter().find(|score| score.name() == name);
        found.ok_or_else(|| AnalysisError::Request(format!("score `{name}`: it is one of last, best, mean")))
    }
}

/// Options of a report; each takes the place of the sweep's own.
#[derive(Clone, Debug, Default)]
pub struct ReportOptions {
    /// Metric compared. Default: the sweep's, else `eval/return_mean`.
    pub metric: Option<String>,
    /// Variant that the others are compared with. Default: the sweep's, else the first by name.
    pub baseline: Option<String>,
    /// Number of a run's curve that is compared. Default: the sweep's, else [`Score::Last`].
    pub score: Option<Score>,
    /// First step that counts in tables. Default: the sweep's, else 0.
    pub from: Option<u64>,
    /// Last step that counts in tables. Default: no limit.
    pub to: Option<u64>,
    /// Target whose time is listed. Default: the sweep's, if the metric is the sweep's too, else
    /// none.
    pub reach: Option<f64>,
    /// Metrics shown beside the one compared; `*` stands for any text. Default: the sweep's, else
    /// those usual for the agent.
    pub metrics: Option<Vec<String>>,
    /// Pairs of metrics whose rank correlation is asked for. Default: none.
    pub relate: Vec<(String, String)>,
    /// Horizontal lines in the curves.
    pub references: Vec<ReferenceLine>,
    /// Bootstrap of all intervals.
    pub bootstrap: Bootstrap,
}
