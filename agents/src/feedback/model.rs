//! The policy network while it is fitted, with its gradient.

use liprl_nets::{
    Gradient, Team, Weights,
    layers::LipschitzMlp,
    optim::{OptimiserConfig, TrainState},
};
use liprl_numerics::{Mlp, StateIo, StreamRng};
use tch::{Device, Tensor};

use crate::AgentError;

/// A network whose plain weights are free, or made from free numbers.
#[derive(Debug)]
pub(super) struct Model {
    trained: TrainState,
    pub(super) weights: Weights,
    /// ∂L/∂(plain weights), for the caller to fill.
    pub(super) gradient: Gradient,
    team: Team,
}

impl Model {
    /// First weights from `rng`.
    pub(super) fn new(
        mlp: Mlp,
        layers: Option<LipschitzMlp>,
        config: OptimiserConfig,
        rng: &mut StreamRng,
    ) -> Result<Self, AgentError> {
        let trained = match layers {
            Some(layers) => TrainState::constructed(vec![layers], config, Device::Cpu, rng)?,
            None => TrainState::new(vec![mlp], config, Device::Cpu, rng)?,
        };
        let (weights, gradient) = (trained.weights().swap_remove(0), trained.gradient()?);
        Ok(Self { trained, weights, gradient, team: Team::new(1)? })
    }

    /// The plain network.
    pub(super) fn mlp(&self) -> &Mlp {
        &self.trained.mlps()[0]
    }

    /// Its weights.
    pub(super) fn params(&self) -> &[f32] {
        self.trained.params().slice()
    }

    /// Its weights as a tensor on the same memory.
    pub(super) fn tensor(&self) -> &Tensor {
        self.trained.params().tensor()
    }

    /// A constant proven from the parameterisation, in units of the network's inputs and outputs.
    pub(super) fn certified_by_construction(&self) -> Result<Option<f64>, AgentError> {
        Ok(self.trained.certified()?.and_then(|each| each.first().copied()))
    }

    /// One step down `gradient`; returns its norm before clipping, in the free numbers.
    pub(super) fn step(&mut self) -> Result<f64, AgentError> {
        Ok(self.trained.step(&self.team, &mut [&mut self.gradient], None)?)
    }

    /// Everything that changes.
    pub(super) fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), AgentError> {
        Ok(self.trained.state(io)?)
    }
}
