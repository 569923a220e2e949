//! Time to a target: the steps and seconds after which runs reach a value of the metric.

use super::experiment::Experiment;
use super::outcomes::interquartile_mean;
use super::run_record::{RunState, Window};
use super::wording::with_ends;
use crate::bootstrap::{Bootstrap, ConfidenceInterval};
use crate::error::AnalysisError;

/// Time to the target of one variant on one task.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reach {
    pub(super) variant: String,
    pub(super) task: String,
    /// The target.
    pub(super) value: f64,
    /// Steps that were looked at.
    pub(super) window: Window,
    /// Finished runs that logged the target or more, and all finished runs.
    pub(super) runs: (usize, usize),
    /// Interquartile mean of the step of the first such value; `None` if no run logged one.
    pub(super) steps: Option<ConfidenceInterval>,
    /// Interquartile mean of the seconds from the run's start to that value.
    pub(super) seconds: Option<ConfidenceInterval>,
}

impl Reach {
    /// The time in a sentence.
    pub(super) fn sentence(&self) -> String {
        let (reached, finished) = self.runs;
        let (value, window) = (self.value, self.window);
        let mut sentence = format!("{} reached {value}{window} in {reached} of {finished} runs", self.variant);
        if let Some(steps) = self.steps {
            sentence += &format!(" after {} steps", with_ends(steps));
        }
        if let Some(seconds) = self.seconds {
            sentence += &format!(" and {} s", with_ends(seconds));
        }
        sentence + "."
    }
}

/// Time to the target `value`, for each variant and task with finished runs.
pub(super) fn reach(experiment: &Experiment, value: f64, bootstrap: &Bootstrap) -> Result<Vec<Reach>, AnalysisError> {
    let (window, mut found) = (experiment.window, Vec::new());
    for (variant, task, mut runs) in experiment.groups() {
        runs.retain(|run| run.state == RunState::Done);
        if runs.is_empty() {
            continue;
        }
        let first = runs.iter().filter_map(|run| {
            let (step, _) = run.scored(&experiment.metric, window).find(|(_, logged)| *logged >= value)?;
            Some((step as f64, run.seconds.get(&step).copied().unwrap_or(f64::NAN)))
        });
        let (steps, seconds): (Vec<f64>, Vec<f64>) = first.unzip();
        // A log without a clock has steps all the same.
        let timed = if seconds.iter().all(|seconds| seconds.is_finite()) { &seconds[..] } else { &[] };
        found.push(Reach {
            variant: variant.to_owned(),
            task: task.to_owned(),
            value,
            window,
            runs: (steps.len(), runs.len()),
            steps: interquartile_mean(&steps, bootstrap)?,
            seconds: interquartile_mean(timed, bootstrap)?,
        });
    }
    Ok(found)
}
