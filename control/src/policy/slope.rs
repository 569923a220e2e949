//! A policy's derivative by the observation.

use liprl_numerics::{PullBack, Streams};
use rand_distr::{Distribution, StandardNormal};

use super::{Policy, PolicyHead};

/// A policy's derivative, for attacks on it, in f64. The weights are taken as they are stored.
#[derive(Clone, Debug)]
pub struct PolicySlope {
    policy: Policy,
    pass: PullBack,
    seen: Vec<f64>,
    /// The head's slope at each output.
    slope: Vec<f64>,
    by_head: Vec<f64>,
    /// Draws of noise on the observation, `[n, O]`, whose mean action is meant; empty for the action
    /// itself.
    noise: Vec<f64>,
    /// The last observation, and buffers for one draw.
    obs: Vec<f64>,
    noisy: Vec<f64>,
    one: Vec<f64>,
}

impl PolicySlope {
    /// The derivative of this policy; `None` for a table.
    pub fn new(policy: &Policy) -> Option<Self> {
        let (mlp, _) = policy.network()?;
        Some(Self {
            pass: PullBack::new(&mlp),
            seen: vec![0.0; mlp.inputs()],
            slope: vec![0.0; mlp.outputs()],
            by_head: vec![0.0; mlp.outputs()],
            noise: Vec::new(),
            obs: vec![0.0; mlp.inputs()],
            noisy: vec![0.0; mlp.inputs()],
            one: vec![0.0; policy.act_dim().max(mlp.inputs())],
            policy: policy.clone(),
        })
    }

    /// The derivative of the mean action over `draws` draws of N(0, σ²I) on the observation, made
    /// once; with σ = 0 of the action itself.
    #[must_use]
    pub fn with_noise(mut self, sigma: f64, draws: usize) -> Self {
        let mut rng = Streams::new(0).rng("smoothing/attack");
        let count = if sigma == 0.0 { 0 } else { draws * self.obs.len() };
        let draw = |_| sigma * <StandardNormal as Distribution<f64>>::sample(&StandardNormal, &mut rng);
        self.noise = (0..count).map(draw).collect();
        self
    }

    /// Writes the action at `obs [O]` into `action [A]`, in `[-1, 1]` and not rounded to f32;
    /// `pull_back` then refers to this observation.
    pub fn act(&mut self, obs: &[f64], action: &mut [f64]) {
        self.obs.copy_from_slice(obs);
        if self.noise.is_empty() {
            return self.act_at(obs, action);
        }
        let width = action.len();
        self.mean(action, |slope, noise, one| slope.act_noisy(noise, &mut one[..width]));
    }

    /// Writes the mean over the draws of noise of what `each` writes for one of them, first in a buffer
    /// as wide as observations and actions.
    fn mean(&mut self, out: &mut [f64], mut each: impl FnMut(&mut Self, &[f64], &mut [f64])) {
        let (noise, mut one) = (std::mem::take(&mut self.noise), std::mem::take(&mut self.one));
        let dim = self.obs.len();
        let share = dim as f64 / noise.len() as f64;
        out.fill(0.0);
        for noise in noise.chunks_exact(dim) {
            each(self, noise, &mut one);
            out.iter_mut().zip(&one).for_each(|(out, one)| *out += share * one);
        }
        (self.noise, self.one) = (noise, one);
    }

    /// Acts at the last observation with this noise.
    fn act_noisy(&mut self, noise: &[f64], action: &mut [f64]) {
        let mut noisy = std::mem::take(&mut self.noisy);
        noisy.iter_mut().zip(&self.obs).zip(noise).for_each(|((noisy, obs), noise)| *noisy = obs + noise);
        self.act_at(&noisy, action);
        self.noisy = noisy;
    }

    fn act_at(&mut self, obs: &[f64], action: &mut [f64]) {
        self.seen.copy_from_slice(obs);
        if let (Some(normaliser), Some(options)) = (&self.policy.normaliser, self.policy.shape.normaliser) {
            for (i, x) in self.seen.iter_mut().enumerate() {
                let (mean, slope) = normaliser.moments(i);
                *x = ((*x - mean) * slope).clamp(-options.clip, options.clip);
            }
        }
        let head = self.pass.forward(&self.policy.params, &self.seen);
        self.slope.fill(0.0);
        for ((action, slope), &head) in action.iter_mut().zip(&mut self.slope).zip(head) {
            (*action, *slope) = match self.policy.shape.head {
                PolicyHead::Tanh => (head.tanh(), 1.0 - head.tanh().powi(2)),
                PolicyHead::Clamp => (head.clamp(-1.0, 1.0), f64::from(u8::from(head.abs() < 1.0))),
            };
        }
    }

    /// Writes a function's derivative by the observation into `by_obs [O]`, given its derivative by
    /// the action, `by_action [A]`. Call `act` first.
    pub fn pull_back(&mut self, by_action: &[f64], by_obs: &mut [f64]) {
        if self.noise.is_empty() {
            return self.pull_back_at(by_action, by_obs);
        }
        let width = by_obs.len();
        self.mean(by_obs, |slope, noise, one| {
            slope.act_noisy(noise, &mut one[..by_action.len()]);
            slope.pull_back_at(by_action, &mut one[..width]);
        });
    }

    fn pull_back_at(&mut self, by_action: &[f64], by_obs: &mut [f64]) {
        self.by_head.copy_from_slice(&self.slope);
        self.by_head.iter_mut().zip(by_action).for_each(|(slope, by_action)| *slope *= by_action);
        self.pass.back(&self.policy.params, &self.by_head, by_obs);
        if let (Some(normaliser), Some(options)) = (&self.policy.normaliser, self.policy.shape.normaliser) {
            for (i, (by_obs, seen)) in by_obs.iter_mut().zip(&self.seen).enumerate() {
                *by_obs *= if seen.abs() >= options.clip { 0.0 } else { normaliser.moments(i).1 };
            }
        }
    }
}
