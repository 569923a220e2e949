//! Potential-based shaping, r̃ = r + γ Φ(s') − Φ(s) (Ng, Harada & Russell 1999, theorem 1). Every
//! policy's value changes by −Φ(s) alone, so the best policy stays the best.
//!
//! That needs Φ = 0 if nothing follows: after a termination and in the absorbing state. A time
//! limit is neither. γ is the agent's own, as any other would change the best policy.

use garde::Validate;
use liprl_nets::slice_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rows::{ShapedRows, Shaping, Steps};
use crate::{AgentError, Flags, Metrics};

/// A potential added along the way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct PotentialConfig {
    /// Φ. No default.
    #[garde(dive)]
    pub function: PotentialFunction,
}

/// Φ, a function of some coordinates of an observation as the environment gives it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(rename_all = "snake_case")]
pub enum PotentialFunction {
    /// Σ w s.
    Linear(#[garde(length(min = 1), dive)] Vec<LinearTerm>),
    /// −Σ w (s − c)².
    Quadratic(#[garde(length(min = 1), dive)] Vec<QuadraticTerm>),
}

/// w s of one coordinate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct LinearTerm {
    /// Coordinate of the observation, from 0.
    pub coordinate: usize,
    /// w, in units of reward for one of the coordinate.
    pub weight: f64,
}

/// −w (s − c)² of one coordinate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct QuadraticTerm {
    /// Coordinate of the observation, from 0.
    pub coordinate: usize,
    /// w, in units of reward for the coordinate squared.
    pub weight: f64,
    /// c, the coordinate's value of highest Φ. Default `0`.
    #[serde(default)]
    pub centre: f64,
}

impl PotentialFunction {
    /// Φ of an observation.
    pub fn value(&self, obs: &[f32]) -> f64 {
        match self {
            Self::Linear(terms) => terms.iter().map(|term| term.weight * f64::from(obs[term.coordinate])).sum(),
            Self::Quadratic(terms) => {
                -terms.iter().map(|t| t.weight * (f64::from(obs[t.coordinate]) - t.centre).powi(2)).sum::<f64>()
            }
        }
    }

    fn coordinates(&self) -> Vec<usize> {
        match self {
            Self::Linear(terms) => terms.iter().map(|term| term.coordinate).collect(),
            Self::Quadratic(terms) => terms.iter().map(|term| term.coordinate).collect(),
        }
    }
}

/// The shaping.
#[derive(Clone, Debug)]
pub struct Potential {
    function: PotentialFunction,
    gamma: f64,
    obs_dim: usize,
}

impl Potential {
    /// The shaping for observations of `obs_dim` numbers and an agent that discounts by `gamma`.
    pub fn new(config: &PotentialConfig, obs_dim: usize, gamma: f64) -> Result<Self, AgentError> {
        let function = config.function.clone();
        if let Some(beyond) = function.coordinates().into_iter().find(|&coordinate| coordinate >= obs_dim) {
            let problem = format!("coordinate {beyond} of an observation of {obs_dim} numbers; the first is 0");
            return Err(AgentError::BadConfig { setting: "shaping.function".into(), problem });
        }
        Ok(Self { function, gamma, obs_dim })
    }
}

impl Shaping for Potential {
    fn shape(&mut self, rows: &mut ShapedRows<'_>, reward: &mut [f32], _: &mut Metrics) -> Result<(), AgentError> {
        let Steps { obs, next_obs, flags, .. } = rows.steps;
        let (obs, next) = (slice_of(obs)?, slice_of(next_obs)?);
        let pairs = obs.chunks_exact(self.obs_dim).zip(next.chunks_exact(self.obs_dim));
        for ((reward, (obs, next)), flags) in reward.iter_mut().zip(pairs).zip(flags) {
            let over = flags.contains(Flags::TERMINATED) || flags.contains(Flags::NEXT_ABSORBING);
            let before = if flags.contains(Flags::OBS_ABSORBING) { 0.0 } else { self.function.value(obs) };
            let after = if over { 0.0 } else { self.function.value(next) };
            *reward = (f64::from(*reward) + self.gamma * after - before) as f32;
        }
        Ok(())
    }

    // Φ is 0 there.
    fn shape_absorbing(&mut self, _: &mut ShapedRows<'_>, reward: f32) -> Result<f32, AgentError> {
        Ok(reward)
    }

    fn learn(&mut self, _: &Steps<'_>, _: &mut Metrics) -> Result<(), AgentError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tch::Tensor;

    use super::*;
    use crate::shaping::testing::Sample;

    const GAMMA: f64 = 0.9;

    fn functions() -> [PotentialFunction; 2] {
        let quadratic = |coordinate, weight, centre| QuadraticTerm { coordinate, weight, centre };
        [
            PotentialFunction::Linear(vec![
                LinearTerm { coordinate: 0, weight: -1.5 },
                LinearTerm { coordinate: 1, weight: 2.0 },
            ]),
            PotentialFunction::Quadratic(vec![quadratic(0, 0.7, 3.0), quadratic(1, -0.2, 0.5)]),
        ]
    }

    /// A step between states with two coordinates each.
    type Step = ([f32; 2], [f32; 2], Flags);

    /// Shapes the steps' rewards.
    fn shape(function: &PotentialFunction, steps: &[Step], reward: &mut [f32]) -> Vec<f32> {
        let mut sample = Sample::new(steps.len(), 2, 1);
        let states = |of: fn(&Step) -> [f32; 2]| {
            Tensor::from_slice(&steps.iter().flat_map(of).collect::<Vec<f32>>()).view([-1, 2])
        };
        (sample.obs, sample.next_obs) = (states(|step| step.0), states(|step| step.1));
        sample.flags = steps.iter().map(|step| step.2).collect();
        let config = PotentialConfig { function: function.clone() };
        sample.shape(&mut Potential::new(&config, 2, GAMMA).unwrap(), 1, reward);
        reward.to_vec()
    }

    #[test]
    fn potentials_by_hand() {
        let [linear, quadratic] = functions();
        assert!((linear.value(&[2.0, 0.5]) + 2.0).abs() < 1e-12);
        // −(0.7 · (2 − 3)² − 0.2 · (1.5 − 0.5)²).
        assert!((quadratic.value(&[2.0, 1.5]) + 0.5).abs() < 1e-12);
    }

    #[test]
    fn an_episode_telescopes_to_minus_its_first_potential() {
        // Σ γᵏ (γ Φ(sₖ₊₁) − Φ(sₖ)) = γᵀ Φ(s_T) − Φ(s₀), and Φ(s_T) = 0 after a termination, not
        // after a time limit.
        let states: Vec<[f32; 2]> = (0..7).map(|i| [i as f32 - 2.5, (i * i) as f32 * 0.3]).collect();
        for function in functions() {
            for end in [Flags::TERMINATED, Flags::NEXT_ABSORBING, Flags::TRUNCATED] {
                let steps: Vec<_> =
                    (0..6).map(|i| (states[i], states[i + 1], if i == 5 { end } else { Flags::NONE })).collect();
                let shaped = shape(&function, &steps, &mut [0.0; 6]);
                let sum: f64 = shaped.iter().enumerate().map(|(k, f)| GAMMA.powi(k as i32) * f64::from(*f)).sum();
                let last = if end == Flags::TRUNCATED { function.value(&states[6]) } else { 0.0 };
                let expected = GAMMA.powi(6) * last - function.value(&states[0]);
                assert!((sum - expected).abs() < 1e-5, "{sum} {expected}");
            }
        }
    }

    #[test]
    fn the_absorbing_state_has_no_potential_whatever_its_row_holds() {
        let absorbing = Flags::OBS_ABSORBING | Flags::NEXT_ABSORBING;
        for function in functions() {
            assert_eq!(shape(&function, &[([5.0, 6.0], [7.0, 8.0], absorbing)], &mut [0.25]), [0.25]);
        }
    }

    #[test]
    fn the_advantages_of_a_chain_stay_what_they_were() {
        // States 0 … 4; action 0 goes left (the wall holds), 1 right, with 0.2 probability of
        // staying; leaving 4 rightwards ends the task and pays 1; every step costs 0.05.
        let obs = |state: usize| [state as f32, (state * state % 3) as f32];
        let outcomes = |state: usize, action: usize| {
            let (to, end) = match action {
                0 => (state.saturating_sub(1), false),
                _ => ((state + 1).min(4), state == 4),
            };
            [(0.8, to, end), (0.2, state, false)]
        };
        let solve = |function: Option<&PotentialFunction>| {
            let reward = |state: usize, to: usize, end: bool| {
                let mut reward = [if end { 0.95 } else { -0.05 }];
                if let Some(function) = function {
                    shape(function, &[(obs(state), obs(to), Flags::TERMINATED.when(end))], &mut reward);
                }
                f64::from(reward[0])
            };
            let mut q = [[0.0f64; 2]; 5];
            for _ in 0..300 {
                let value = q.map(|q| q[0].max(q[1]));
                for (state, q) in q.iter_mut().enumerate() {
                    for (action, q) in q.iter_mut().enumerate() {
                        let backup = outcomes(state, action).map(|(p, to, end)| {
                            p * (reward(state, to, end) + if end { 0.0 } else { GAMMA * value[to] })
                        });
                        *q = backup.iter().sum();
                    }
                }
            }
            q
        };
        let plain = solve(None);
        for function in functions() {
            let shaped = solve(Some(&function));
            for (state, (plain, shaped)) in plain.iter().zip(shaped).enumerate() {
                for action in 0..2 {
                    let expected = plain[action] - function.value(&obs(state));
                    assert!(
                        (shaped[action] - expected).abs() < 1e-5,
                        "{state} {action}: {} {expected}",
                        shaped[action]
                    );
                }
                assert_eq!(plain[0] > plain[1], shaped[0] > shaped[1]);
            }
        }
    }
}
