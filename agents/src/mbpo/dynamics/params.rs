//! The members' parameters in one flat buffer, with the Adam state that trains them all. The buffer has
//! member after member, each laid out as its perceptron is. Then come the log-variance's bounds, which
//! they share: upper bounds, then lower ones.

use liprl_nets::{Buffer, optim::OptimiserConfig};
use liprl_numerics::{Mlp, StateIo, StreamRng, kernels::AdamStep};
use rand_distr::{Distribution, StandardNormal};

use super::ModelConfig;
use crate::AgentError;

/// Values and moments.
#[derive(Debug)]
pub(super) struct Parameters {
    /// One member's shape.
    pub mlp: Mlp,
    /// Number of members.
    pub members: usize,
    pub values: Buffer,
    pub m: Buffer,
    pub v: Buffer,
    /// Numbers of the bounds: 2 D, or 0 without variances.
    pub bounds: usize,
    steps: u64,
    optimiser: OptimiserConfig,
}

impl Parameters {
    /// First weights: normal draws within two deviations of 1/(2 √inputs), zero biases (the authors' code).
    pub(super) fn new(
        config: &ModelConfig,
        inputs: usize,
        predicted: usize,
        rng: &mut StreamRng,
    ) -> Result<Self, AgentError> {
        let gaussian = config.prediction.gaussian();
        let outputs = if gaussian { 2 * predicted } else { predicted };
        let mlp = Mlp::new(inputs, &config.hidden, outputs, config.activation, false, Default::default());
        let (members, bounds) = (config.members, if gaussian { 2 * predicted } else { 0 });
        let len = members * mlp.len() + bounds;
        let mut values = Buffer::zeros(&[len])?;
        let numbers = values.slice_mut();
        for member in 0..members {
            for layer in &mlp.layers {
                let std = 0.5 / (layer.inputs as f64).sqrt();
                let start = member * mlp.len();
                for weight in &mut numbers[start + layer.start..start + layer.bias()] {
                    *weight = (std * truncated(rng)) as f32;
                }
            }
        }
        let (high, low) = numbers[members * mlp.len()..].split_at_mut(bounds / 2);
        high.fill(config.log_variance.high as f32);
        low.fill(config.log_variance.low as f32);
        let optimiser = OptimiserConfig::adam(config.lr);
        let (m, v) = (Buffer::zeros(&[len])?, Buffer::zeros(&[len])?);
        Ok(Self { mlp, members, values, m, v, bounds, steps: 0, optimiser })
    }

    /// Offset of the bounds in `values`.
    pub(super) fn bounds_start(&self) -> usize {
        self.members * self.mlp.len()
    }

    /// One member's parameters.
    pub(super) fn member(&self, member: usize) -> &[f32] {
        &self.values.slice()[member * self.mlp.len()..][..self.mlp.len()]
    }

    /// Overwrites one member's parameters.
    pub(super) fn set_member(&mut self, member: usize, params: &[f32]) {
        let len = self.mlp.len();
        self.values.slice_mut()[member * len..][..len].copy_from_slice(params);
    }

    /// The numbers of the next Adam step.
    pub(super) fn next_step(&mut self) -> AdamStep {
        self.steps += 1;
        self.optimiser.step(self.steps, 0.0)
    }

    /// Gradient steps done.
    pub(super) fn steps(&self) -> u64 {
        self.steps
    }

    /// Everything.
    pub(super) fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), AgentError> {
        for (name, buffer) in [("params", &mut self.values), ("adam/m", &mut self.m), ("adam/v", &mut self.v)] {
            buffer.state(io, name)?;
        }
        Ok(io.value("adam/steps", &mut self.steps)?)
    }
}

/// A standard normal draw within two deviations.
fn truncated(rng: &mut StreamRng) -> f64 {
    loop {
        let draw: f64 = StandardNormal.sample(rng);
        if draw.abs() <= 2.0 {
            return draw;
        }
    }
}

#[cfg(test)]
mod tests {
    use liprl_numerics::Streams;

    use super::*;

    #[test]
    fn first_weights_are_truncated_normal_and_biases_zero() {
        let config = ModelConfig { members: 2, hidden: vec![150, 150], ..ModelConfig::default() };
        let params = Parameters::new(&config, 14, 12, &mut Streams::new(1).rng("model")).unwrap();
        assert_eq!(params.values.slice().len(), 2 * params.mlp.len() + 24);
        assert_ne!(params.member(0), params.member(1));
        for member in 0..2 {
            let numbers = params.member(member);
            for layer in &params.mlp.layers {
                let (weights, std) = (&numbers[layer.start..layer.bias()], 0.5 / (layer.inputs as f64).sqrt());
                assert!(weights.iter().all(|w| f64::from(w.abs()) <= 2.0 * std * 1.000_001));
                assert!(numbers[layer.bias()..layer.end()].iter().all(|b| *b == 0.0));
                // A normal law cut at two deviations has variance 1 − 4 φ(2)/(2 Φ(2) − 1) = 0.7737.
                let variance = weights.iter().map(|w| f64::from(*w).powi(2)).sum::<f64>() / weights.len() as f64;
                let tolerance = 4.0 * (1.2 / weights.len() as f64).sqrt();
                assert!((variance / (std * std * 0.7737) - 1.0).abs() < tolerance, "{variance}");
            }
        }
        let bounds = &params.values.slice()[params.bounds_start()..];
        assert!(bounds[..12].iter().all(|b| *b == 0.5) && bounds[12..].iter().all(|b| *b == -10.0));
    }
}
