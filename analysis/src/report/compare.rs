//! What is said about a sweep's finished runs: scores of each variant, and each variant against the baseline.

use std::collections::BTreeMap;

use super::effects::{Effect, effects};
use super::gather::{Experiment, State};
use super::reach::{Reach, reach};
use super::{ReportOptions, Score};
use crate::{AnalysisError, Bootstrap, Estimate, Interval, Scores, stats};

/// Fewer finished runs than this on either side, and nothing is concluded.
pub(super) const FEWEST: usize = 3;

/// One variant on one task.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) variant: String,
    pub(super) task: String,
    /// Runs that are finished, and all of them.
    pub(super) runs: (usize, usize),
    /// Interquartile mean of the last value; none without a finished run.
    pub(super) last: Option<Interval>,
    /// Mean and standard deviation of the last value.
    pub(super) mean_std: (f64, f64),
    /// Interquartile mean of each run's mean value.
    pub(super) mean: Option<Interval>,
    /// Interquartile mean of each run's highest value.
    pub(super) best: Option<Interval>,
}

/// A variant against the baseline.
#[derive(Clone, Debug)]
pub(super) struct Comparison {
    pub(super) variant: String,
    pub(super) runs: (usize, usize),
    /// Difference of interquartile means.
    pub(super) difference: Interval,
    /// The baseline's interquartile mean.
    pub(super) of: f64,
    pub(super) improvement: Interval,
    /// Mean difference of runs of the same seed, and how many there are; none without a seed that both have.
    pub(super) by_seed: Option<(Interval, usize)>,
}

impl Comparison {
    /// What can be concluded, in words.
    pub(super) fn verdict(&self) -> &'static str {
        if self.runs.0.min(self.runs.1) < FEWEST {
            "too few finished runs to conclude anything"
        } else if self.difference.low > 0.0 && self.improvement.low > 0.5 {
            "higher"
        } else if self.difference.high < 0.0 && self.improvement.high < 0.5 {
            "lower"
        } else {
            "no difference shown"
        }
    }
}

/// All that is said about the runs.
#[derive(Clone, Debug)]
pub(super) struct Findings {
    pub(super) rows: Vec<Row>,
    pub(super) baseline: String,
    /// Whether somebody chose the baseline.
    pub(super) baseline_named: bool,
    pub(super) comparisons: Vec<Comparison>,
    /// What each axis does, where there are several.
    pub(super) effects: Vec<Effect>,
    /// How soon runs reach the value asked for.
    pub(super) reach: Vec<Reach>,
    /// Variant → what its runs are compared by, scaled to each task's range where there are several tasks.
    pub(super) scores: BTreeMap<String, Scores>,
    pub(super) scaled: bool,
}

/// The finished runs of a variant on a task.
#[derive(Clone, Debug, Default)]
struct Runs {
    seeds: Vec<String>,
    /// Last value of each.
    last: Vec<f64>,
    /// Mean value of each.
    mean: Vec<f64>,
    /// Highest value of each.
    best: Vec<f64>,
}

impl Runs {
    fn scores(&self, score: Score) -> &[f64] {
        match score {
            Score::Last => &self.last,
            Score::Best => &self.best,
            Score::Mean => &self.mean,
        }
    }
}

type OfTasks = BTreeMap<String, Runs>;
/// Variant → task → runs.
type Values = BTreeMap<String, OfTasks>;

impl Findings {
    pub(super) fn of(experiment: &Experiment, options: &ReportOptions) -> Result<Self, AnalysisError> {
        let variants = experiment.variants();
        let metric = &experiment.metric;
        if experiment.members.iter().all(|member| !member.series.contains_key(metric)) {
            let known = experiment.members.iter().flat_map(|member| member.series.keys().cloned());
            let known = known.collect::<std::collections::BTreeSet<_>>().into_iter().collect();
            return Err(AnalysisError::NoSuchMetric { metric: metric.clone(), known });
        }
        let window = experiment.window;
        if experiment.members.iter().all(|member| member.scored(metric, window).next().is_none()) {
            let series = || experiment.members.iter().filter_map(|member| member.series.get(metric));
            let first = series().filter_map(|series| Some(*series.first_key_value()?.0)).min().unwrap_or(0);
            let last = series().filter_map(|series| Some(*series.last_key_value()?.0)).max().unwrap_or(0);
            let problem = format!("no value{window}: those of `{metric}` are of steps {first} to {last}");
            return Err(AnalysisError::Question(problem));
        }
        let named = options.baseline.clone().or_else(|| experiment.baseline.clone());
        let baseline = named.clone().unwrap_or_else(|| variants[0].to_owned());
        if !variants.contains(&baseline.as_str()) {
            let problem = format!("baseline `{baseline}`: the variants are {}", variants.join(", "));
            return Err(AnalysisError::Question(problem));
        }
        let values = values(experiment);
        let rows = rows(experiment, &values, &options.bootstrap)?;
        let scaled = experiment.tasks().len() > 1;
        let scores = scores(&values, experiment.score, scaled)?;
        let mut comparisons = Vec::new();
        for (variant, ours) in scores.iter().filter(|(variant, _)| **variant != baseline) {
            let Some(theirs) = scores.get(&baseline) else { break };
            // Variants that were run on other tasks cannot be compared.
            let Ok(difference) = options.bootstrap.difference(ours, theirs, Estimate::InterquartileMean) else {
                continue;
            };
            comparisons.push(Comparison {
                variant: variant.clone(),
                runs: (ours.runs(), theirs.runs()),
                difference,
                of: Estimate::InterquartileMean.of(theirs),
                improvement: options.bootstrap.improvement(ours, theirs)?,
                by_seed: by_seed(&values, &scores, variant, &baseline).map(|differences| {
                    (options.bootstrap.estimate(&differences, Estimate::Mean), differences.flat().count())
                }),
            });
        }
        let effects = effects(&scores, &baseline, &options.bootstrap)?;
        let reach = match experiment.reach {
            Some(value) => reach(experiment, value, &options.bootstrap)?,
            None => Vec::new(),
        };
        Ok(Self { rows, baseline, baseline_named: named.is_some(), comparisons, effects, reach, scores, scaled })
    }

    /// The answer in plain words.
    pub(super) fn answer(&self) -> String {
        if self.comparisons.is_empty() {
            let reason = if self.scores.len() < 2 {
                "fewer than two variants have finished runs"
            } else {
                "the baseline has no finished run on the others' tasks"
            };
            return format!("There is nothing to compare: {reason}.");
        }
        let sentences = self.comparisons.iter().map(|found| {
            format!(
                "{} against {}: {}. Difference of interquartile means {} [{}, {}], probability of improvement {:.2} [{:.2}, {:.2}], \
                 {} and {} runs.",
                found.variant,
                self.baseline,
                found.verdict(),
                signed(found.difference.value),
                signed(found.difference.low),
                signed(found.difference.high),
                found.improvement.value,
                found.improvement.low,
                found.improvement.high,
                found.runs.0,
                found.runs.1
            )
        });
        let sentences = sentences.chain(self.effects.iter().map(Effect::sentence));
        sentences.chain(self.reach.iter().map(Reach::sentence)).collect::<Vec<_>>().join("\n")
    }
}

fn values(experiment: &Experiment) -> Values {
    let mut values = Values::new();
    for member in experiment.members.iter().filter(|member| member.state == State::Done) {
        let series: Vec<f64> = member.scored(&experiment.metric, experiment.window).map(|(_, value)| value).collect();
        let Some(last) = series.last() else { continue };
        let of_task = values.entry(member.variant.clone()).or_default().entry(member.task.clone()).or_default();
        let folder = || member.folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        of_task.seeds.push(member.settings.get("seed").cloned().unwrap_or_else(folder));
        of_task.last.push(*last);
        of_task.mean.push(stats::mean(&series));
        of_task.best.push(series.iter().copied().fold(f64::NEG_INFINITY, f64::max));
    }
    values
}

fn rows(experiment: &Experiment, values: &Values, bootstrap: &Bootstrap) -> Result<Vec<Row>, AnalysisError> {
    let mut rows = Vec::new();
    for variant in experiment.variants() {
        for task in experiment.tasks() {
            let all = experiment.of(variant).filter(|member| member.task == task).count();
            if all == 0 {
                continue;
            }
            let none = Runs::default();
            let Runs { last, mean, best, .. } = values.get(variant).and_then(|tasks| tasks.get(task)).unwrap_or(&none);
            let interval = |runs: &[f64]| interquartile_mean(runs, bootstrap);
            rows.push(Row {
                variant: variant.to_owned(),
                task: task.to_owned(),
                runs: (last.len(), all),
                last: interval(last)?,
                mean_std: (stats::mean(last), stats::std(last)),
                mean: interval(mean)?,
                best: interval(best)?,
            });
        }
    }
    Ok(rows)
}

/// The interquartile mean over runs of one task; none without a run.
pub(super) fn interquartile_mean(runs: &[f64], bootstrap: &Bootstrap) -> Result<Option<Interval>, AnalysisError> {
    if runs.is_empty() {
        return Ok(None);
    }
    let scores = Scores::new([(String::new(), runs.to_vec())])?;
    Ok(Some(bootstrap.estimate(&scores, Estimate::InterquartileMean)))
}

/// Each variant's scores; of several tasks scaled so that 0 is the lowest and 1 the highest of any variant's.
fn scores(values: &Values, score: Score, scaled: bool) -> Result<BTreeMap<String, Scores>, AnalysisError> {
    let mut ranges: BTreeMap<&String, (f64, f64)> = BTreeMap::new();
    for (task, runs) in values.values().flatten() {
        let range = ranges.entry(task).or_insert((f64::INFINITY, f64::NEG_INFINITY));
        *range = runs.scores(score).iter().fold(*range, |(low, high), x| (low.min(*x), high.max(*x)));
    }
    let scale = |task: &String, x: f64| match ranges.get(task) {
        Some((low, high)) if scaled && high > low => (x - low) / (high - low),
        _ => x,
    };
    let of_variant = |(variant, tasks): (&String, &OfTasks)| {
        let tasks = tasks
            .iter()
            .map(|(task, runs)| (task.clone(), runs.scores(score).iter().map(|x| scale(task, *x)).collect()));
        Ok((variant.clone(), Scores::new(tasks)?))
    };
    values.iter().map(of_variant).collect()
}

/// For each task the differences of two variants' scores by seed; none where they share no seed of some task.
fn by_seed(values: &Values, scores: &BTreeMap<String, Scores>, ours: &str, theirs: &str) -> Option<Scores> {
    let of = |variant: &str| -> Option<BTreeMap<&String, BTreeMap<&String, f64>>> {
        let runs = values.get(variant)?.iter().zip(scores.get(variant)?.tasks());
        Some(
            runs.map(|((task, of), scored)| (task, of.seeds.iter().zip(scored.runs.iter().copied()).collect()))
                .collect(),
        )
    };
    let (ours, theirs) = (of(ours)?, of(theirs)?);
    let differences = ours.into_iter().map(|(task, runs)| {
        let baseline = theirs.get(task)?;
        Some((task.clone(), runs.iter().filter_map(|(seed, x)| Some(x - baseline.get(seed)?)).collect()))
    });
    Scores::new(differences.collect::<Option<Vec<_>>>()?).ok()
}

/// An estimate with its ends.
pub(super) fn with_ends(found: Interval) -> String {
    format!("{} [{}, {}]", short(found.value), short(found.low), short(found.high))
}

/// A number with its sign.
pub(super) fn signed(value: f64) -> String {
    format!("{}{}", if value >= 0.0 { "+" } else { "" }, short(value))
}

/// A number with about four figures.
pub(super) fn short(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => "–".to_owned(),
        0.0 => "0".to_owned(),
        size if size >= 1e6 => format!("{value:.3e}"),
        size if size >= 1000.0 => format!("{value:.0}"),
        size if size >= 100.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        size if size >= 1e-3 => format!("{value:.4}"),
        _ => format!("{value:.2e}"),
    }
}
