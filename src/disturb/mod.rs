//! A policy that sees falsified observations: x + δ with ‖δ‖₂ ≤ ε, in the observation's own units.
//!
//! | kind | δ | file |
//! | --- | --- | --- |
//! | `uniform` | uniform in the ball, anew at each step | here |
//! | `bias` | one direction for the whole episode, of length ε | here |
//! | `pgd` | at each step what changes the action most: projected gradient ascent on ‖π(x + δ) − π(x)‖² | `pgd` |
//! | `critic` | at each step what the agent's first critic likes least: projected gradient ascent on −Q(x, π(x + δ)), Q and its slope at the true x | `pgd` |
//! | `trajectory` | over 50 steps at a time what raises their cost most, by gradients through the environment's equations | `trajectory` |
//!
//! Random directions are the same for every ε, so a curve over ε compares like with like.

pub(crate) mod pgd;
pub(crate) mod trajectory;

use std::{fmt, str::FromStr};

use liprl_agents::AgentError;
use liprl_control::{Policy, PolicySlope, certify::Network};
use liprl_envs::Env;
use liprl_numerics::{StreamRng, Streams};
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};

use crate::rollout::Actor;

/// How observations are falsified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Uniform in the ball, anew at each step.
    Uniform,
    /// One direction for the whole episode.
    Bias,
    /// The worst for each step's action.
    Pgd,
    /// The worst for each step's value, as the agent's critic sees it.
    Critic,
    /// The worst along the trajectory.
    Trajectory,
}

impl Kind {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Uniform, "uniform"),
        (Self::Bias, "bias"),
        (Self::Pgd, "pgd"),
        (Self::Critic, "critic"),
        (Self::Trajectory, "trajectory"),
    ];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(kind, _)| kind == self).map_or("", |(_, name)| name);
        f.pad(name)
    }
}

/// A kind of disturbance and the sizes to try: `pgd:0.05,0.1`.
#[derive(Clone, Debug, PartialEq)]
pub struct Disturb {
    /// The kind.
    pub kind: Kind,
    /// ε, each above 0, ascending.
    pub sizes: Vec<f64>,
}

impl FromStr for Disturb {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Kind::ALL.map(|(_, name)| name).join(", ");
        let (name, sizes) = text.split_once(':').ok_or("expected KIND:EPS[,EPS…], such as pgd:0.05,0.1")?;
        let kind = Kind::ALL.iter().find(|(_, known)| *known == name.trim()).map(|(kind, _)| *kind);
        let kind = kind.ok_or_else(|| format!("there is no disturbance `{name}`; there are {}", names()))?;
        let size = |text: &str| match text.trim().parse::<f64>() {
            Ok(size) if size.is_finite() && size > 0.0 => Ok(size),
            Ok(size) => {
                Err(format!("ε must be a finite number above 0, found {size} (no disturbance is always shown)"))
            }
            Err(_) => Err(format!("`{text}` is not a number")),
        };
        let mut sizes = sizes.split(',').map(size).collect::<Result<Vec<_>, _>>()?;
        sizes.sort_by(f64::total_cmp);
        sizes.dedup();
        Ok(Self { kind, sizes })
    }
}

/// A policy behind a disturbance.
pub struct Disturbed {
    policy: Policy,
    /// For kinds that climb it.
    slope: Option<PolicySlope>,
    kind: Kind,
    epsilon: f64,
    rng: StreamRng,
    trajectory: Option<trajectory::Attack>,
    step: usize,
    /// δ `[O]`.
    delta: Vec<f64>,
    obs: Vec<f64>,
    seen: Vec<f32>,
    scratch: pgd::Scratch,
    /// Q(s, a), for the kind that lowers it.
    critic: Option<Network>,
}

impl Disturbed {
    /// The policy in this environment; `critic` is Q(s, a) for the kind that needs one.
    ///
    /// # Errors
    /// [`AgentError::BadConfig`] where the critic is missing, and where a trajectory attack finds no equations to go through.
    pub fn new(
        policy: &Policy,
        env: &dyn Env,
        critic: Option<Network>,
        kind: Kind,
        epsilon: f64,
    ) -> Result<Self, AgentError> {
        if kind == Kind::Critic && critic.is_none() {
            let problem = "there is no critic of scalar values to be lowered; `pgd` needs none".to_owned();
            return Err(AgentError::BadConfig { setting: "--disturb critic".into(), problem });
        }
        let dim = policy.obs_dim();
        let trajectory = match kind {
            Kind::Trajectory => Some(trajectory::Attack::new(env, dim, policy.act_dim())?),
            Kind::Uniform | Kind::Bias | Kind::Pgd | Kind::Critic => None,
        };
        let slope =
            match kind {
                Kind::Uniform | Kind::Bias => None,
                Kind::Pgd | Kind::Critic | Kind::Trajectory => Some(PolicySlope::new(policy).ok_or_else(|| {
                    AgentError::BadConfig {
                        setting: "--disturb".into(),
                        problem:
                            "this policy has no network whose slope could be climbed; `uniform` and `bias` need none"
                                .into(),
                    }
                })?),
            };
        Ok(Self {
            slope,
            policy: policy.clone(),
            kind,
            epsilon,
            rng: Streams::new(0).rng(""),
            trajectory,
            step: 0,
            delta: vec![0.0; dim],
            obs: vec![0.0; dim],
            seen: vec![0.0; dim],
            scratch: pgd::Scratch::new(dim, policy.act_dim()),
            critic,
        })
    }

    /// Starts the episode of this seed: what is random in it depends on the seed and the kind alone.
    pub fn begin(&mut self, seed: u64) {
        self.rng = Streams::new(seed).rng(&format!("disturb/{}", self.kind));
        self.step = 0;
        if self.kind == Kind::Bias {
            direction(&mut self.rng, self.epsilon, &mut self.delta);
        }
    }

    /// δ for the observation in `obs`.
    fn disturb(&mut self) {
        match self.kind {
            Kind::Bias => {}
            Kind::Uniform => {
                let share: f64 = self.rng.random_range(0.0..1.0);
                direction(&mut self.rng, self.epsilon * share.powf(1.0 / self.delta.len() as f64), &mut self.delta);
            }
            Kind::Pgd => {
                let Self { slope, obs, epsilon, rng, delta, scratch, .. } = self;
                if let Some(slope) = slope {
                    pgd::worst(slope, obs, *epsilon, rng, delta, scratch);
                }
            }
            Kind::Critic => {
                let Self { slope, critic, obs, epsilon, rng, delta, .. } = self;
                if let (Some(slope), Some(critic)) = (slope, critic) {
                    pgd::least_value(slope, critic, obs, *epsilon, rng, delta);
                }
            }
            Kind::Trajectory => {
                if let (Some(attack), Some(slope)) = (&mut self.trajectory, &mut self.slope) {
                    let phase = self.step % trajectory::HORIZON;
                    if phase == 0 {
                        attack.plan(slope, &self.obs, self.epsilon, &mut self.rng);
                    }
                    self.delta.copy_from_slice(attack.at(phase));
                }
            }
        }
        self.step += 1;
    }
}

impl Actor for Disturbed {
    fn act_greedy(&mut self, obs: &[f32], action: &mut [f32]) -> Result<(), AgentError> {
        self.obs.iter_mut().zip(obs).for_each(|(wide, narrow)| *wide = f64::from(*narrow));
        self.disturb();
        for ((seen, obs), delta) in self.seen.iter_mut().zip(&self.obs).zip(&self.delta) {
            *seen = (obs + delta) as f32;
        }
        Ok(self.policy.act(&self.seen, action)?)
    }
}

/// A random direction of this length.
pub(crate) fn direction(rng: &mut StreamRng, length: f64, delta: &mut [f64]) {
    delta.fill_with(|| StandardNormal.sample(rng));
    scale_to(length, delta);
}

/// Brings a vector to a length; zero stays zero.
fn scale_to(length: f64, delta: &mut [f64]) {
    let norm = norm(delta);
    if norm > 0.0 {
        delta.iter_mut().for_each(|d| *d *= length / norm);
    }
}

pub(crate) fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disturbances_are_read_and_wrong_ones_explained() {
        let read: Disturb = "pgd:0.2,0.05,0.2".parse().unwrap();
        assert_eq!(read, Disturb { kind: Kind::Pgd, sizes: vec![0.05, 0.2] });
        for (text, problem) in [
            ("pgd", "expected KIND:EPS"),
            ("noise:0.1", "there is no disturbance `noise`; there are uniform, bias, pgd, critic, trajectory"),
            ("bias:0", "above 0, found 0"),
            ("bias:-0.1", "above 0, found -0.1"),
            ("bias:nan", "above 0"),
            ("bias:0.1,big", "`big` is not a number"),
        ] {
            let error = text.parse::<Disturb>().unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
    }

    /// Uniform in the ball: in d dimensions the share of points within r is (r/ε)ᵈ.
    #[test]
    fn uniform_disturbances_fill_the_ball() {
        let mut rng = Streams::new(1).rng("ball");
        let mut delta = [0.0; 3];
        let lengths: Vec<f64> = (0..20_000)
            .map(|_| {
                let share: f64 = rng.random_range(0.0..1.0);
                direction(&mut rng, 0.3 * share.powf(1.0 / 3.0), &mut delta);
                norm(&delta)
            })
            .collect();
        assert!(lengths.iter().all(|length| *length <= 0.3 + 1e-12));
        let inner = lengths.iter().filter(|length| **length < 0.15).count() as f64 / 20_000.0;
        assert!((inner - 0.125).abs() < 0.01, "{inner}");
    }
}
