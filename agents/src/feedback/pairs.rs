//! The pairs that a feedback policy learns from: demonstrated ones, and those queried from an expert.

use liprl_control::{bounds::Pair, tables::Points};

use super::config::{Duplicates, FeedbackConfig};
use crate::{AgentError, demos::Demonstrations};

/// Most rows among which the worst pair is searched for, an even choice of them: time can grow as their
/// square.
const SEARCHED: usize = 4096;

/// Distance of two actions, in [-1, 1], above which they contradict each other at one observation; below
/// it they differ by rounding.
const SAME: f64 = 1e-6;

/// Pairs of an observation and the expert's action there.
#[derive(Clone, Debug)]
pub(super) struct LabelledPairs {
    /// Observations in the environment's units, `[N, O]`.
    pub(super) obs: Vec<f32>,
    /// Actions in `[-1, 1]`, `[N, A]`.
    pub(super) action: Vec<f32>,
    /// Episode and step of each demonstrated row; queried rows come after them.
    places: Vec<(usize, usize)>,
    pub(super) obs_dim: usize,
    pub(super) act_dim: usize,
    /// The environment's action for an action of 1, less that for 0, `[A]`.
    pub(super) half_width: Vec<f64>,
}

impl LabelledPairs {
    /// The demonstrated pairs that `config` keeps; empty without demonstrations.
    pub(super) fn new(
        demonstrations: Option<&Demonstrations>,
        config: &FeedbackConfig,
        (obs_dim, act_dim): (usize, usize),
        half_width: &[f64],
    ) -> Result<Self, AgentError> {
        let half_width = if half_width.is_empty() { vec![1.0; act_dim] } else { half_width.to_vec() };
        let (obs, action, places) = (Vec::new(), Vec::new(), Vec::new());
        let mut data = Self { obs, action, places, obs_dim, act_dim, half_width };
        let Some(demonstrations) = demonstrations else { return Ok(data) };
        let there = demonstrations.episodes.len();
        let wanted = config.episodes.unwrap_or(there);
        if wanted > there {
            return Err(bad("episodes", format!("{wanted} are asked for, the demonstrations have {there}")));
        }
        for (number, episode) in demonstrations.episodes[..wanted].iter().enumerate() {
            for step in (0..episode.len()).step_by(config.keep_every) {
                data.obs.extend(episode.observation(step).iter().map(|&x| x as f32));
                // An expert may go beyond the bounds; the environment then acts as at them.
                data.action.extend(episode.action(step).iter().map(|&x| (x as f32).clamp(-1.0, 1.0)));
                data.places.push((number, step));
            }
        }
        Ok(data)
    }

    /// Rows, N.
    pub(super) fn len(&self) -> usize {
        self.obs.len() / self.obs_dim
    }

    /// Rows that were demonstrated, the first ones.
    pub(super) fn demonstrated(&self) -> usize {
        self.places.len()
    }

    /// Adds a row.
    pub(super) fn push(&mut self, obs: &[f32], action: &[f32]) {
        self.obs.extend_from_slice(obs);
        self.action.extend(action.iter().map(|a| a.clamp(-1.0, 1.0)));
    }

    /// These rows in the environment's units, actions about their centre.
    pub(super) fn points(&self, rows: &[usize]) -> Points {
        let (o, a) = (self.obs_dim, self.act_dim);
        let mut points = Points { obs_dim: o, act_dim: a, ..Points::default() };
        for &row in rows {
            points.x.extend(self.obs[row * o..][..o].iter().map(|&x| f64::from(x)));
            let action = self.action[row * a..][..a].iter().zip(&self.half_width);
            points.u.extend(action.map(|(&a, half_width)| f64::from(a) * half_width));
        }
        points
    }

    /// The worst pair under `alpha`, among all rows or an even choice of them.
    ///
    /// # Errors
    /// [`AgentError::BadConfig`] for two rows with one observation and different actions that `config`
    /// refuses, and for a forced error larger than it allows.
    pub(super) fn check(&self, config: &FeedbackConfig, alpha: Option<f64>) -> Result<Option<Pair>, AgentError> {
        let all: Vec<usize> = (0..self.len()).collect();
        if config.duplicates == Duplicates::Refuse
            && let Some(worst) = self.points(&all).worst_duplicate()
            && worst.actions_apart > SAME
        {
            let problem = format!(
                "{} and {} have one observation and actions {:.4} apart, which forces an error of {:.4} on every policy; \
                 remove one, or set agent.duplicates: average",
                self.name(worst.rows.0),
                self.name(worst.rows.1),
                worst.actions_apart,
                0.5 * worst.actions_apart
            );
            return Err(bad("demonstrations", problem));
        }
        let Some(alpha) = alpha else { return Ok(None) };
        let rows: Vec<usize> = (0..self.len()).step_by(self.len().div_ceil(SEARCHED).max(1)).collect();
        if rows.is_empty() {
            return Ok(None);
        }
        let worst = self.points(&rows).worst_pair(alpha)?;
        let worst = worst.map(|worst| Pair { rows: (rows[worst.rows.0], rows[worst.rows.1]), ..worst });
        if let (Some(worst), Some(limit)) = (worst, config.max_forced_error)
            && worst.forced_error(alpha) > limit
        {
            // Rounded up, so that the advised alpha is enough.
            let enough = 1e-4 * (1e4 * (worst.actions_apart - 2.0 * limit) / worst.states_apart).ceil();
            let remedy = match worst.states_apart > 0.0 {
                true => format!("raise alpha to at least {enough:.4}, or remove one"),
                false => {
                    "no alpha helps, as the observation is the same: raise max_forced_error, or remove one".to_owned()
                }
            };
            let problem = format!(
                "{} and {} have actions {:.4} apart at observations {:.4} apart; with constant {alpha} every policy errs by {:.4} at one \
                 of them, more than max_forced_error {limit}; {remedy}",
                self.name(worst.rows.0),
                self.name(worst.rows.1),
                worst.actions_apart,
                worst.states_apart,
                worst.forced_error(alpha)
            );
            return Err(bad("constraint.alpha", problem));
        }
        Ok(worst)
    }

    /// The row's place, for messages.
    fn name(&self, row: usize) -> String {
        match self.places.get(row) {
            Some((episode, step)) => format!("step {step} of episode {episode}"),
            None => format!("queried row {}", row - self.places.len()),
        }
    }
}

/// An error about a setting of the agent.
pub(super) fn bad(setting: &str, problem: String) -> AgentError {
    AgentError::BadConfig { setting: format!("agent.{setting}"), problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of an observation and an action of one number each.
    fn data(rows: &[(f32, f32)]) -> LabelledPairs {
        LabelledPairs {
            obs: rows.iter().map(|row| row.0).collect(),
            action: rows.iter().map(|row| row.1).collect(),
            places: (0..rows.len()).map(|step| (0, step)).collect(),
            obs_dim: 1,
            act_dim: 1,
            half_width: vec![1.0],
        }
    }

    #[test]
    fn an_alpha_is_advised_that_is_enough_and_none_where_none_is() {
        let config = FeedbackConfig {
            duplicates: Duplicates::Average,
            max_forced_error: Some(0.125),
            ..FeedbackConfig::default()
        };
        // (0.75 − 2 · 0.125)/0.375 = 1.33333…
        let apart = data(&[(0.0, 0.0), (0.375, 0.75)]);
        let error = apart.check(&config, Some(1.0)).unwrap_err().to_string();
        assert!(error.contains("raise alpha to at least 1.3334, or"), "{error}");
        assert!(apart.check(&config, Some(1.3334)).is_ok() && apart.check(&config, Some(1.3333)).is_err());
        // Two actions at one observation force half their distance, 0.375, under any constant.
        let error = data(&[(0.5, 0.0), (0.5, 0.75)]).check(&config, Some(1e6)).unwrap_err().to_string();
        assert!(error.contains("no alpha helps") && !error.contains("raise alpha"), "{error}");
    }
}
