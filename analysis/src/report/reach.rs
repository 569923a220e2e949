//! How soon runs reach a value of the metric compared: in steps, and by the clock.

use super::compare::{interquartile_mean, short, with_ends};
use super::gather::{Experiment, State, Window};
use crate::{AnalysisError, Bootstrap, Interval};

/// One variant on one task.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reach {
    pub(super) variant: String,
    pub(super) task: String,
    pub(super) value: f64,
    /// The steps that were looked at.
    pub(super) window: Window,
    /// Finished runs that logged the value or a higher one, and all finished runs.
    pub(super) runs: (usize, usize),
    /// Interquartile mean of the step at which they first did; none where no run did.
    pub(super) steps: Option<Interval>,
    /// The same of the seconds since the run began.
    pub(super) seconds: Option<Interval>,
}

impl Reach {
    /// The way in a sentence.
    pub(super) fn sentence(&self) -> String {
        let (reached, finished) = self.runs;
        let (value, window) = (short(self.value), self.window);
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

/// Each variant's way to `value`.
pub(super) fn reach(experiment: &Experiment, value: f64, bootstrap: &Bootstrap) -> Result<Vec<Reach>, AnalysisError> {
    let (window, mut found) = (experiment.window, Vec::new());
    for variant in experiment.variants() {
        for task in experiment.tasks() {
            let of_task = experiment.of(variant).filter(|member| member.task == task);
            let done: Vec<_> = of_task.filter(|member| member.state == State::Done).collect();
            if done.is_empty() {
                continue;
            }
            let first = done.iter().filter_map(|member| {
                let (step, _) = member.scored(&experiment.metric, window).find(|(_, logged)| *logged >= value)?;
                Some((step as f64, member.seconds.get(&step).copied().unwrap_or(f64::NAN)))
            });
            let (steps, seconds): (Vec<f64>, Vec<f64>) = first.unzip();
            // A log without a clock has steps all the same.
            let timed = if seconds.iter().all(|seconds| seconds.is_finite()) { &seconds[..] } else { &[] };
            found.push(Reach {
                variant: variant.to_owned(),
                task: task.to_owned(),
                value,
                window,
                runs: (steps.len(), done.len()),
                steps: interquartile_mean(&steps, bootstrap)?,
                seconds: interquartile_mean(timed, bootstrap)?,
            });
        }
    }
    Ok(found)
}
