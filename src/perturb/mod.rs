//! A policy under perturbed observations: x + δ with ‖δ‖₂ ≤ ε, in the observation's own units.
//!
//! | kind | δ | file |
//! | --- | --- | --- |
//! | `uniform` | uniform in the ball, anew at each step | `vector` |
//! | `bias` | one direction for the whole episode, of length ε | `vector` |
//! | `pgd` | at each step the one that changes the action most: projected gradient ascent on ‖π(x + δ) − π(x)‖² | `pgd` |
//! | `critic` | at each step the one of least value: projected gradient ascent on −Q(x, π(x + δ)), with the agent's first critic and its gradient at the true x | `pgd` |
//! | `trajectory` | over 50 steps at a time the ones of most cost, by gradients through the environment's equations | `trajectory` |
//!
//! Random directions are the same for every ε, so a curve over ε compares like with like.

mod kind;
pub(crate) mod pgd;
pub(crate) mod trajectory;
pub(crate) mod vector;

use liprl_agents::AgentError;
use liprl_control::certify::Network;
use liprl_control::{PolicySlope, smoothing::Smoothed};
use liprl_envs::Env;
use liprl_numerics::{StreamRng, Streams};

use crate::rollout::{Actor, EpisodeStats, run_episode};
use crate::task::{Task, TaskError};
use vector::{direction, in_ball};

pub use kind::{PerturbationKind, Perturbations};

/// Most draws of noise that an attack on a smoothed policy averages gradients over.
const ATTACKED_DRAWS: usize = 8;

/// A policy under perturbed observations.
pub struct PerturbedPolicy {
    policy: Smoothed,
    /// The policy with its gradients, for kinds that need them.
    gradient: Option<PolicySlope>,
    kind: PerturbationKind,
    epsilon: f64,
    rng: StreamRng,
    trajectory: Option<trajectory::Attack>,
    step: usize,
    /// δ `[O]`.
    delta: Vec<f64>,
    obs: Vec<f64>,
    perturbed: Vec<f32>,
    scratch: pgd::Scratch,
    /// Q(s, a), for the kind that lowers it.
    critic: Option<Network>,
}

impl PerturbedPolicy {
    /// The policy in this environment; `critic` is Q(s, a) for the kind that needs one. Gradients
    /// are those of the mean over as many draws of noise, at most 8; of one draw, those at the
    /// observation itself.
    ///
    /// # Errors
    /// [`AgentError::BadConfig`] if the critic or a policy's gradient is missing, or if the
    /// environment has no equations for a trajectory attack.
    pub fn new(
        smoothed: &Smoothed,
        env: &dyn Env,
        critic: Option<Network>,
        kind: PerturbationKind,
        epsilon: f64,
    ) -> Result<Self, AgentError> {
        use PerturbationKind::{Bias, Critic, Pgd, Trajectory, Uniform};
        if kind == Critic && critic.is_none() {
            let problem = "there is no critic of scalar values to be lowered; `pgd` needs none".to_owned();
            return Err(AgentError::BadConfig { setting: "--disturb critic".into(), problem });
        }
        let policy = smoothed.policy();
        let dim = policy.obs_dim();
        let trajectory = match kind {
            Trajectory => Some(trajectory::Attack::new(env, dim, policy.act_dim())?),
            Uniform | Bias | Pgd | Critic => None,
        };
        let no_gradient = || AgentError::BadConfig {
            setting: "--disturb".into(),
            problem: "this policy has no network to take gradients of; `uniform` and `bias` need none".into(),
        };
        let gradient = match kind {
            Uniform | Bias => None,
            Pgd | Critic | Trajectory => {
                let slope = PolicySlope::new(policy).ok_or_else(no_gradient)?;
                let draws = if smoothed.samples() == 1 { 0 } else { smoothed.samples().min(ATTACKED_DRAWS) };
                Some(slope.with_noise(smoothed.sigma(), draws))
            }
        };
        Ok(Self {
            gradient,
            policy: smoothed.clone(),
            kind,
            epsilon,
            rng: Streams::new(0).rng(""),
            trajectory,
            step: 0,
            delta: vec![0.0; dim],
            obs: vec![0.0; dim],
            perturbed: vec![0.0; dim],
            scratch: pgd::Scratch::new(dim, policy.act_dim()),
            critic,
        })
    }

    /// Finds δ for the observation in `obs`.
    fn perturb(&mut self) {
        let Self { gradient, critic, obs, epsilon, rng, delta, scratch, trajectory, .. } = self;
        match (self.kind, gradient) {
            (PerturbationKind::Uniform, _) => in_ball(rng, *epsilon, delta),
            (PerturbationKind::Pgd, Some(policy)) => pgd::worst(policy, obs, *epsilon, rng, delta, scratch),
            (PerturbationKind::Critic, Some(policy)) => {
                if let Some(critic) = critic {
                    pgd::least_value(policy, critic, obs, *epsilon, rng, delta, scratch);
                }
            }
            (PerturbationKind::Trajectory, Some(policy)) => {
                if let Some(attack) = trajectory {
                    let phase = self.step % trajectory::HORIZON;
                    if phase == 0 {
                        attack.plan(policy, obs, *epsilon, rng);
                    }
                    delta.copy_from_slice(attack.at(phase));
                }
            }
            // A bias stays for the episode; the other kinds are not made without a gradient.
            (_, _) => {}
        }
        self.step += 1;
    }
}

impl Actor for PerturbedPolicy {
    /// Random numbers depend on the seed and the kind alone.
    fn start(&mut self, seed: u64) {
        self.policy.begin(seed);
        self.rng = Streams::new(seed).rng(&format!("disturb/{}", self.kind));
        self.step = 0;
        if self.kind == PerturbationKind::Bias {
            direction(&mut self.rng, self.epsilon, &mut self.delta);
        }
    }

    fn act_greedy(&mut self, obs: &[f32], action: &mut [f32]) -> Result<(), AgentError> {
        self.obs.iter_mut().zip(obs).for_each(|(wide, narrow)| *wide = f64::from(*narrow));
        self.perturb();
        for ((perturbed, obs), delta) in self.perturbed.iter_mut().zip(&self.obs).zip(&self.delta) {
            *perturbed = (obs + delta) as f32;
        }
        Ok(self.policy.act(&self.perturbed, action)?)
    }
}

/// Runs the episodes of these seeds undisturbed, and then under each perturbation.
pub fn run_episodes(
    task: &mut Task,
    policy: &mut Smoothed,
    perturbed: &mut [PerturbedPolicy],
    seeds: impl Iterator<Item = u64> + Clone,
) -> Result<Vec<Vec<EpisodeStats>>, TaskError> {
    let undisturbed = seeds.clone().map(|seed| run_episode(task, policy, seed, |_, _| ()));
    let mut all = vec![undisturbed.collect::<Result<Vec<_>, _>>()?];
    for policy in perturbed {
        let episodes = seeds.clone().map(|seed| run_episode(task, policy, seed, |_, _| ()));
        all.push(episodes.collect::<Result<Vec<_>, _>>()?);
    }
    Ok(all)
}
