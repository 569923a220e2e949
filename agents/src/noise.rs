//! Exploration noise on actions, in the policy's `[-1, 1]` units.

use garde::Validate;
use liprl_numerics::{StateIo, StreamRng};
use rand::RngExt;
use rand_distr::StandardNormal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::AgentError;

/// Noise added to a deterministic policy's actions, in `[-1, 1]` units.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ActionNoise {
    /// The policy as it is.
    None,
    /// Independent normal draws.
    Gaussian {
        /// Standard deviation. 0.1 in Fujimoto et al. 2018, section 6.1.
        #[garde(range(min = 0.0))]
        std: f64,
    },
    /// Ornstein–Uhlenbeck: x ← x − θ x dt + σ √dt N(0, 1), restarted at 0 with each episode.
    OrnsteinUhlenbeck {
        /// Pull towards zero. Default `0.15` (Lillicrap et al. 2016, section 7).
        #[serde(default = "ou_theta")]
        #[garde(range(min = 0.0))]
        theta: f64,
        /// Diffusion. Default `0.2` (Lillicrap et al. 2016, section 7).
        #[serde(default = "ou_sigma")]
        #[garde(range(min = 0.0))]
        sigma: f64,
        /// Time step, in the units of θ. Default `0.01` (OpenAI baselines' DDPG).
        #[serde(default = "ou_dt")]
        #[garde(range(min = 1e-9))]
        dt: f64,
    },
}

fn ou_theta() -> f64 {
    0.15
}

fn ou_sigma() -> f64 {
    0.2
}

fn ou_dt() -> f64 {
    0.01
}

/// A noise process over the coordinates of an action.
#[derive(Clone, Debug, PartialEq)]
pub struct Noise {
    kind: ActionNoise,
    /// Ornstein–Uhlenbeck's x; zero and unused for the others.
    x: Vec<f64>,
}

impl Noise {
    /// The process for actions of `act_dim` numbers, at its start.
    pub fn new(kind: ActionNoise, act_dim: usize) -> Self {
        Self { kind, x: vec![0.0; act_dim] }
    }

    /// Starts anew, as at the beginning of each episode.
    pub fn reset(&mut self) {
        self.x.fill(0.0);
    }

    /// Advances by one step, adds the noise to the action and clips the sum to `[-1, 1]`.
    pub fn perturb(&mut self, rng: &mut StreamRng, action: &mut [f32]) {
        let mut normal = || rng.sample::<f64, _>(StandardNormal);
        for (action, x) in action.iter_mut().zip(&mut self.x) {
            let noise = match self.kind {
                ActionNoise::None => 0.0,
                ActionNoise::Gaussian { std } => std * normal(),
                // Euler–Maruyama on dx = −θ x dt + σ dW.
                ActionNoise::OrnsteinUhlenbeck { theta, sigma, dt } => {
                    *x += -theta * *x * dt + sigma * dt.sqrt() * normal();
                    *x
                }
            };
            *action = (f64::from(*action) + noise).clamp(-1.0, 1.0) as f32;
        }
    }

    /// The process's position. The generator belongs to the caller.
    pub fn state(&mut self, io: &mut StateIo<'_>, name: &str) -> Result<(), AgentError> {
        Ok(io.f64(name, &mut self.x)?)
    }
}

#[cfg(test)]
mod tests {
    use liprl_numerics::{State, Streams};

    use super::*;

    const OU: ActionNoise = ActionNoise::OrnsteinUhlenbeck { theta: 0.15, sigma: 0.2, dt: 0.01 };

    fn variance(xs: &[f64]) -> f64 {
        xs.iter().map(|x| x * x).sum::<f64>() / xs.len() as f64
    }

    #[test]
    fn gaussian_has_the_asked_standard_deviation() {
        let (mut rng, mut noise) = (Streams::new(1).rng("noise"), Noise::new(ActionNoise::Gaussian { std: 0.1 }, 1));
        let draws: Vec<f64> = (0..40_000)
            .map(|_| {
                let mut action = [0.0];
                noise.perturb(&mut rng, &mut action);
                f64::from(action[0])
            })
            .collect();
        // The variance estimate of n normal draws has relative standard deviation √(2/n) = 0.7%.
        assert!((variance(&draws) / 0.01 - 1.0).abs() < 0.035);
    }

    #[test]
    fn ornstein_uhlenbeck_spreads_as_the_recursion_says() {
        // x₀ = 0 and xₖ₊₁ = a xₖ + b ξ give Var xₖ = b² (1 − a²ᵏ) / (1 − a²).
        let (a, b2, k) = (1.0 - 0.15 * 0.01_f64, 0.04 * 0.01_f64, 50);
        let expected = b2 * (1.0 - a.powi(2 * k)) / (1.0 - a * a);
        let (mut rng, mut noise) = (Streams::new(2).rng("noise"), Noise::new(OU, 1));
        let ends: Vec<f64> = (0..20_000)
            .map(|_| {
                noise.reset();
                (0..k).for_each(|_| noise.perturb(&mut rng, &mut [0.0]));
                noise.x[0]
            })
            .collect();
        assert!((variance(&ends) / expected - 1.0).abs() < 0.05);
    }

    #[test]
    fn a_step_of_ornstein_uhlenbeck_is_the_formula() {
        let (mut rng, mut noise) = (Streams::new(3).rng("noise"), Noise::new(OU, 1));
        noise.x[0] = 0.8;
        let xi: f64 = rng.clone().sample(StandardNormal);
        let mut action = [-0.25];
        noise.perturb(&mut rng, &mut action);
        let x = 0.8 + 0.15 * (0.0 - 0.8) * 0.01 + 0.2 * 0.1 * xi;
        assert!((noise.x[0] - x).abs() < 1e-15);
        assert_eq!(action, [(x - 0.25) as f32]);
    }

    #[test]
    fn actions_stay_in_bounds_and_none_changes_nothing() {
        let mut rng = Streams::new(4).rng("noise");
        let mut action = [0.9_f32; 64];
        Noise::new(ActionNoise::Gaussian { std: 5.0 }, 64).perturb(&mut rng, &mut action);
        assert!(action.iter().all(|a| (-1.0..=1.0).contains(a)) && action.contains(&1.0) && action.contains(&-1.0));
        let mut action = [0.3, -0.4];
        Noise::new(ActionNoise::None, 2).perturb(&mut rng, &mut action);
        assert_eq!(action, [0.3, -0.4]);
    }

    #[test]
    fn a_restored_process_goes_on_like_the_saved_one() {
        let mut rng = Streams::new(5).rng("noise");
        let mut saved = Noise::new(OU, 3);
        (0..10).for_each(|_| saved.perturb(&mut rng, &mut [0.0; 3]));
        let state = State::of(|io| saved.state(io, "noise")).unwrap();
        let mut loaded = Noise::new(OU, 3);
        loaded.state(&mut StateIo::load_from(&state), "noise").unwrap();
        assert_eq!(loaded, saved);
    }
}
