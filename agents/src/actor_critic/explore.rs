//! Exploration around a deterministic policy: noise on its actions, adaptive noise on its weights,
//! or both.
//!
//! Parameter noise (Plappert et al. 2018, arXiv 1706.01905): an episode is acted by a copy of the
//! policy whose weights and biases (not LayerNorm's) got N(0, σ²) added. Every so often another
//! such copy is compared with the policy on a batch: where it moves the actions by less than δ
//! (root mean square), σ grows by a factor, else it shrinks by it.

use liprl_nets::{Buffer, Forward, Weights, optim::TrainState};
use liprl_numerics::{Mlp, Single, StateIo, StreamRng};
use rand_distr::{Distribution, StandardNormal};

use super::{ParameterNoise, Td3Config, learner::Acting};
use crate::{AgentError, Batch, Metrics, Noise, Setup};

/// The noise on a policy's actions and weights.
#[derive(Debug)]
pub(super) struct Explorer {
    action_noise: Noise,
    rng: StreamRng,
    perturbed: Option<Perturbed>,
}

/// The episode's perturbed copy of the policy.
#[derive(Debug)]
struct Perturbed {
    config: ParameterNoise,
    single: Single,
    std: f64,
    /// The copy's parameters; empty when the next action has to draw one.
    params: Vec<f32>,
    /// The policy and another copy of it, to be compared.
    compared: Option<[Compared; 2]>,
}

/// A network on the CPU, wherever the policy trains, with room for a batch.
#[derive(Debug)]
struct Compared {
    params: Buffer,
    weights: Weights,
    forward: Forward,
}

impl Compared {
    fn new(mlp: &Mlp, rows: usize) -> Result<Self, AgentError> {
        let params = Buffer::zeros(&[mlp.len()])?;
        Ok(Self { weights: Weights::new(mlp, &params, 0), params, forward: Forward::new(mlp, rows)? })
    }
}

impl Explorer {
    pub(super) fn new(config: &Td3Config, actor: &TrainState, setup: &Setup) -> Self {
        Self {
            action_noise: Noise::new(config.action_noise, setup.act_dim),
            rng: setup.streams.rng("exploration"),
            perturbed: config.parameter_noise.map(|config| Perturbed {
                config,
                single: Single::new(&actor.mlps()[0]),
                std: config.initial_std,
                params: Vec::new(),
                compared: None,
            }),
        }
    }

    /// An exploring action of the policy at `obs`.
    pub(super) fn act(
        &mut self,
        actor: &TrainState,
        acting: &mut Acting,
        obs: &[f32],
        action: &mut [f32],
    ) -> Result<(), AgentError> {
        let head = match &mut self.perturbed {
            None => acting.head(actor, obs)?,
            Some(perturbed) => {
                if perturbed.params.is_empty() {
                    perturbed.params = actor.params().to_vec()?;
                    perturb(&actor.mlps()[0], &mut perturbed.params, perturbed.std, &mut self.rng);
                }
                perturbed.single.forward(&perturbed.params, obs)
            }
        };
        action.iter_mut().zip(head).for_each(|(action, head)| *action = head.tanh());
        self.action_noise.perturb(&mut self.rng, action);
        Ok(())
    }

    /// The episode ended: Ornstein–Uhlenbeck goes back to zero, the next action draws a new copy.
    pub(super) fn end_episode(&mut self) {
        self.action_noise.reset();
        if let Some(perturbed) = &mut self.perturbed {
            perturbed.params.clear();
        }
    }

    /// After update number `updates`: compares a copy with the policy on the batch's observations
    /// when it is time.
    pub(super) fn adapt(
        &mut self,
        actor: &TrainState,
        batch: &Batch,
        updates: u64,
        metrics: &mut Metrics,
    ) -> Result<(), AgentError> {
        let Some(perturbed) = &mut self.perturbed else { return Ok(()) };
        if !updates.is_multiple_of(perturbed.config.adapt_every) {
            return Ok(());
        }
        let distance = perturbed.distance(actor, batch, &mut self.rng)?;
        let factor = perturbed.config.factor;
        perturbed.std *= if distance < perturbed.config.delta { factor } else { 1.0 / factor };
        metrics.add("train/parameter_noise_distance", distance);
        metrics.add("train/parameter_noise_std", perturbed.std);
        Ok(())
    }

    /// Everything that changes, under `exploration/…`.
    pub(super) fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), AgentError> {
        io.value("streams/exploration", &mut self.rng)?;
        self.action_noise.state(io, "exploration/action_noise")?;
        if let Some(Perturbed { std, params, .. }) = &mut self.perturbed {
            io.scalars("exploration/std", [std])?;
            io.f32_vec("exploration/params", params)?;
        }
        Ok(())
    }
}

impl Perturbed {
    /// Distance between a new copy's actions and the policy's on the batch's observations: root
    /// mean square.
    fn distance(&mut self, actor: &TrainState, batch: &Batch, rng: &mut StreamRng) -> Result<f64, AgentError> {
        let (mlp, rows) = (&actor.mlps()[0], batch.size());
        let [plain, moved] = match &mut self.compared {
            Some(compared) if compared[0].forward.capacity() == rows => compared,
            compared => compared.insert([Compared::new(mlp, rows)?, Compared::new(mlp, rows)?]),
        };
        match actor.params().tensor().device() {
            tch::Device::Cpu => plain.params.slice_mut().copy_from_slice(actor.params().slice()),
            _ => plain.params.fill_from(&actor.params().to_vec()?)?,
        }
        moved.params.slice_mut().copy_from_slice(plain.params.slice());
        perturb(mlp, moved.params.slice_mut(), self.std, rng);
        let heads = plain.forward.run(&plain.weights, &batch.obs)?;
        let moved_heads = moved.forward.run(&moved.weights, &batch.obs)?;
        let squares = heads.iter().zip(moved_heads).map(|(a, b)| f64::from(a.tanh() - b.tanh()).powi(2));
        Ok((squares.sum::<f64>() / heads.len() as f64).sqrt())
    }
}

/// Adds N(0, std²) to every weight and bias, leaving LayerNorm's as they are.
fn perturb(mlp: &Mlp, params: &mut [f32], std: f64, rng: &mut StreamRng) {
    for layer in &mlp.layers {
        for param in &mut params[layer.start..layer.scale()] {
            let draw: f64 = StandardNormal.sample(rng);
            *param += (std * draw) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use liprl_numerics::Streams;

    use super::*;
    use crate::actor_critic::testing;

    #[test]
    fn perturbation_has_its_deviation_and_spares_layer_norm() {
        let net = testing::networks().swap_remove(1).0;
        let policy = testing::policy(&net, 40, 3);
        let plain = policy.params().to_vec().unwrap();
        let mut moved = plain.clone();
        perturb(&policy.mlps()[0], &mut moved, 0.2, &mut Streams::new(1).rng("perturb"));
        let (mut sum, mut count) = (0.0, 0);
        for layer in &policy.mlps()[0].layers {
            for i in layer.start..layer.end() {
                let change = f64::from(moved[i] - plain[i]);
                match i < layer.scale() {
                    true => (sum, count) = (sum + change * change, count + 1),
                    false => assert_eq!(change, 0.0),
                }
            }
        }
        // The estimate of a variance from n normal draws has relative deviation √(2/n); four of
        // those.
        assert!((sum / f64::from(count) / 0.04 - 1.0).abs() < 4.0 * (2.0 / f64::from(count)).sqrt());
    }

    #[test]
    fn the_deviation_settles_where_actions_move_by_delta() {
        let net = testing::networks().swap_remove(0).0;
        let policy = testing::policy(&net, 5, 3);
        let noise = ParameterNoise { delta: 0.1, initial_std: 0.5, factor: 1.1, adapt_every: 1 };
        let config = Td3Config { parameter_noise: Some(noise), ..Td3Config::default() };
        let device = tch::Device::Cpu;
        let setup = Setup { obs_dim: 5, act_dim: 3, streams: Streams::new(2), device, threads: 1 };
        let mut explorer = Explorer::new(&config, &policy, &setup);
        let (batch, mut metrics) = (testing::batch(64, 5, 3), Metrics::default());
        for update in 0..200 {
            if update == 100 {
                metrics = Metrics::default();
            }
            explorer.adapt(&policy, &batch, update, &mut metrics).unwrap();
        }
        let (name, distance) = metrics.drain().swap_remove(0);
        assert_eq!(name, "train/parameter_noise_distance");
        assert!((distance - 0.1).abs() < 0.02, "{distance}");
    }
}
