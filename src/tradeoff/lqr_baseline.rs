//! Linear policies on a linear system with quadratic cost: the expert's gain scaled to other
//! constants, and B4's bounds.

use std::time::Duration;

use liprl_control::{Lqr, linear_policy};

use super::measure::{RunCosts, TestPlan, costs};
use crate::closed_loop::{LoopOptions, cost_bounds};
use crate::load::LoadedPolicy;
use crate::task::Task;

/// The time for each bound on a policy's constant: a sweep has many policies.
const TIME_LIMIT: Duration = Duration::from_secs(2);

/// The expert's gain scaled to a constant, and its costs.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct ScaledExpert {
    /// α, the norm of its gain.
    pub alpha: f64,
    /// Mean cost of the episodes, undisturbed and then under each perturbation.
    pub costs: Vec<f64>,
}

/// A linear system, its expert, and the linear policies that others are compared with.
pub struct LqrBaseline {
    lqr: Lqr,
    half_width: Vec<f64>,
    /// Steps of an episode.
    steps: u32,
    /// ‖K‖₂, the expert's constant.
    pub expert_constant: f64,
    /// The expert's gain scaled to other constants.
    pub scaled: Vec<ScaledExpert>,
}

impl LqrBaseline {
    /// The system behind `task`; `None` if it is not linear or has no time limit.
    pub fn of(task: &Task) -> anyhow::Result<Option<Self>> {
        let (model, steps) = (task.env().model().map(|model| model.boxed()), task.env().spec().max_episode_steps);
        let (Some(model), Some(steps)) = (model, steps) else { return Ok(None) };
        let Some(lqr) = liprl_control::linear(&*model)? else { return Ok(None) };
        let (half_width, expert_constant) = (task.action_range().1.to_vec(), lqr.slope()?);
        Ok(Some(Self { lqr, half_width, steps, expert_constant, scaled: Vec::new() }))
    }

    /// Runs the expert scaled to each of these constants, except to those that do not stabilise.
    pub fn run_scaled(&mut self, task: &mut Task, plan: &TestPlan, alphas: &[f64]) -> anyhow::Result<()> {
        for &alpha in alphas {
            let gain = self.lqr.scaled(alpha)?;
            if self.lqr.cost_of(gain.as_ref()).is_err() {
                continue;
            }
            let policy = linear_policy(gain.as_ref(), &self.half_width);
            self.scaled.push(ScaledExpert { alpha, costs: costs(task, &policy, plan)? });
        }
        Ok(())
    }

    /// Adds B4's bounds to the costs of a policy that has a proven constant.
    pub fn bound(&self, loaded: &mut LoadedPolicy, run: &mut RunCosts, plan: &TestPlan) -> anyhow::Result<()> {
        let Some(certified) = run.certified.filter(|alpha| *alpha > 0.0) else { return Ok(()) };
        let sizes: Vec<f64> =
            std::iter::once(0.0).chain(plan.perturbations.iter().map(|(_, epsilon)| *epsilon)).collect();
        let (runs, horizon, seed) = (plan.episodes, self.steps, plan.seed);
        let options = LoopOptions { runs, horizon, seed, time_limit: TIME_LIMIT, all_starts: false };
        run.bounds = cost_bounds(loaded, options, certified, &sizes)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use liprl_control::{
        Policy,
        testing::{noise_cost, nominal_cost, tube},
    };
    use serde_json::json;

    use super::*;
    use crate::config::EnvConfig;
    use crate::rollout;

    fn task(id: &str, options: serde_json::Value) -> Task {
        let options = serde_json::from_value(options).unwrap();
        Task::new(&EnvConfig { id: id.to_owned(), options, python: None }).unwrap()
    }

    /// A policy whose first observation is off by `delta`.
    struct FirstPerturbed {
        policy: Policy,
        delta: Vec<f32>,
        done: bool,
    }

    impl rollout::Actor for FirstPerturbed {
        fn act_greedy(&mut self, obs: &[f32], action: &mut [f32]) -> Result<(), liprl_agents::AgentError> {
            let perturbed: Vec<f32> =
                obs.iter().zip(&self.delta).map(|(x, d)| if self.done { *x } else { x + d }).collect();
            self.done = true;
            Ok(self.policy.act(&perturbed, action)?)
        }
    }

    /// The figure's linear policies, as it runs them, against closed forms. From the unit vectors
    /// as starts the costs add up to tr P, E J from N(0, I). A linear loop's cost under white noise
    /// of variance σ² is σ² times the cost of its responses to a single unit error in each
    /// coordinate. The sum of the norms of these responses is the tube.
    #[test]
    fn linear_policies_sit_on_the_closed_form_curves() {
        for (id, options, shares) in [
            ("DoubleIntegrator-v0", json!({}), [0.2, 0.5, 0.7, 0.85, 1.0, 1.5]),
            ("Oscillator-v0", json!({}), [0.2, 0.5, 0.7, 0.85, 1.0, 1.5]),
            ("UprightPendulum-v0", json!({}), [0.7, 0.8, 0.9, 1.0, 1.25, 1.5]),
        ] {
            let at = |x: [f64; 2]| {
                let mut all = options.clone();
                let more =
                    json!({"start_mean": x, "start_width": [0, 0], "max_episode_steps": 2000, "action_limit": 100});
                all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                task(id, all)
            };
            let plan = TestPlan { perturbations: Vec::new(), episodes: 1, seed: 0 };
            let baseline = LqrBaseline::of(&at([1.0, 0.0])).unwrap().unwrap();
            for share in shares {
                let gain = baseline.lqr.scaled(share * baseline.expert_constant).unwrap();
                let policy: Policy = linear_policy(gain.as_ref(), &baseline.half_width);
                let close = |what: &str, found: f64, expected: f64| {
                    assert!((found / expected - 1.0).abs() < 1e-3, "{id} {share} {what}: {found} {expected}");
                };
                let nominal: f64 =
                    [[1.0, 0.0], [0.0, 1.0]].map(|x| costs(&mut at(x), &policy, &plan).unwrap()[0]).iter().sum();
                close("nominal", nominal, nominal_cost(&baseline.lqr, gain.as_ref()).unwrap());

                let mut resting = at([0.0, 0.0]);
                let (mut noisy, mut responses) = (0.0, Vec::new());
                for coordinate in 0..2 {
                    let delta = (0..2).map(|i| if i == coordinate { 1.0 } else { 0.0 }).collect();
                    let mut perturbed = FirstPerturbed { policy: policy.clone(), delta, done: false };
                    let mut states = Vec::new();
                    let episode = rollout::run_episode(&mut resting, &mut perturbed, 0, |task, step| {
                        if step.is_some() {
                            states.push([task.raw_obs()[0], task.raw_obs()[1]]);
                        }
                    });
                    noisy -= 0.01 * episode.unwrap().total;
                    responses.push(states);
                }
                close("noise", noisy, noise_cost(&baseline.lqr, gain.as_ref(), 0.1).unwrap());
                let norms = responses[0].iter().zip(&responses[1]).map(|(first, second)| {
                    // The largest singular value of a 2 × 2 matrix by its trace and determinant.
                    let (square, det) = (
                        first.iter().chain(second).map(|x| x * x).sum::<f64>(),
                        first[0] * second[1] - first[1] * second[0],
                    );
                    (0.5 * (square + (square * square - 4.0 * det * det).max(0.0).sqrt())).sqrt()
                });
                close("tube", norms.sum(), tube(&baseline.lqr, gain.as_ref()).unwrap());
            }
        }
        let limited = task("PendulumSwingUp-v0", json!({}));
        assert!(LqrBaseline::of(&limited).unwrap().is_none());
    }
}
