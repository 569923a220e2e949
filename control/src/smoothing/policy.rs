//! The smoothed policy: the mean action over noisy copies of the observation.

use liprl_numerics::{StreamRng, Streams};
use rand_distr::{Distribution, StandardNormal};

use super::Estimate;
use crate::{ControlError, Policy};

/// A policy that acts by the mean of m actions of another, each at the observation plus
/// N(0, σ²I); with σ = 0 that policy itself.
#[derive(Clone, Debug)]
pub struct Smoothed {
    policy: Policy,
    sigma: f64,
    samples: usize,
    rng: StreamRng,
    noisy: Vec<f32>,
    one: Vec<f32>,
    /// Sums of actions and of their squares.
    sums: Vec<[f64; 2]>,
}

impl Smoothed {
    /// The policy with noise of deviation `sigma` ≥ 0 on `samples` ≥ 1 copies.
    pub fn new(policy: Policy, sigma: f64, samples: usize) -> Self {
        let (obs, act) = (policy.obs_dim(), policy.act_dim());
        Self {
            policy,
            sigma,
            samples: samples.max(1),
            rng: Streams::new(0).rng("smoothing"),
            noisy: vec![0.0; obs],
            one: vec![0.0; act],
            sums: vec![[0.0; 2]; act],
        }
    }

    /// The policy without noise.
    pub fn plain(policy: Policy) -> Self {
        Self::new(policy, 0.0, 1)
    }

    /// The policy that is smoothed.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// σ.
    pub fn sigma(&self) -> f64 {
        self.sigma
    }

    /// m.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Starts an episode: its noise depends on the seed alone.
    pub fn begin(&mut self, seed: u64) {
        self.rng = Streams::new(seed).rng("smoothing");
    }

    /// Writes the action at `obs [O]` into `action [A]`, in `[-1, 1]`.
    pub fn act(&mut self, obs: &[f32], action: &mut [f32]) -> Result<(), ControlError> {
        if self.sigma == 0.0 {
            return self.policy.act(obs, action);
        }
        self.draw(obs)?;
        let n = self.samples as f64;
        action.iter_mut().zip(&self.sums).for_each(|(action, [sum, _])| *action = (sum / n) as f32);
        Ok(())
    }

    /// Mean and variance of each coordinate over the draws at `obs [O]`, of at least two draws.
    pub fn estimates(&mut self, obs: &[f32]) -> Result<Vec<Estimate>, ControlError> {
        self.draw(obs)?;
        let n = self.samples as f64;
        let estimate = |[sum, squares]: &[f64; 2]| Estimate {
            mean: sum / n,
            variance: ((squares - sum * sum / n) / (n - 1.0)).max(0.0),
        };
        Ok(self.sums.iter().map(estimate).collect())
    }

    fn draw(&mut self, obs: &[f32]) -> Result<(), ControlError> {
        self.sums.fill([0.0; 2]);
        for _ in 0..self.samples {
            for (noisy, obs) in self.noisy.iter_mut().zip(obs) {
                let noise: f64 = StandardNormal.sample(&mut self.rng);
                *noisy = (f64::from(*obs) + self.sigma * noise) as f32;
            }
            self.policy.act(&self.noisy, &mut self.one)?;
            for ([sum, squares], action) in self.sums.iter_mut().zip(&self.one) {
                *sum += f64::from(*action);
                *squares += f64::from(*action).powi(2);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use liprl_numerics::{Activation, Init, Mlp};

    /// tanh(k x), of one number.
    fn tanh_of(k: f32) -> Policy {
        let mlp = Mlp::new(1, &[1], 1, Activation::LeakyRelu(1.0), false, Init::Uniform);
        Policy::new(&mlp, vec![k, 0.0, 1.0, 0.0], 1, None)
    }

    #[test]
    fn draws_have_the_moments_of_an_integral() {
        // E tanh(2(0.3 + 0.5 z)) = E tanh(0.6 + z), by the trapezoidal rule.
        let integral = |f: &dyn Fn(f64) -> f64| -> f64 {
            let step = 1e-3;
            (-8000..=8000)
                .map(|i| f64::from(i) * step)
                .map(|z| f((0.6 + z).tanh()) * (-z * z / 2.0).exp() * step)
                .sum::<f64>()
                / (2.0 * std::f64::consts::PI).sqrt()
        };
        let (mean, square) = (integral(&|a| a), integral(&|a| a * a));
        let mut smoothed = Smoothed::new(tanh_of(2.0), 0.5, 200_000);
        smoothed.begin(3);
        let estimate = smoothed.estimates(&[0.3]).unwrap()[0];
        assert!((estimate.mean - mean).abs() < 5e-3, "{estimate:?} {mean}");
        assert!((estimate.variance - (square - mean * mean)).abs() < 5e-3);
    }

    #[test]
    fn an_episode_repeats_by_its_seed_and_no_noise_is_the_policy() {
        let mut smoothed = Smoothed::new(tanh_of(2.0), 0.5, 3);
        let mut run = |seed: u64| -> Vec<f32> {
            smoothed.begin(seed);
            let mut action = [0.0];
            (0..5).map(|_| smoothed.act(&[0.1], &mut action).map(|()| action[0]).unwrap()).collect()
        };
        let first = run(1);
        assert_eq!(first, run(1));
        assert_ne!(first, run(2));
        assert_ne!(first[0], first[1]);
        let mut action = [0.0];
        Smoothed::plain(tanh_of(2.0)).act(&[0.1], &mut action).unwrap();
        assert_eq!(action[0], 0.2f32.tanh());
    }
}
