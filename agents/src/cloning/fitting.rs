//! The copy of a policy that is fitted. It has an optimiser of its own: the policy's stays as it was.
//!
//! On a CPU gradients are written by hand; elsewhere, and as their specification, they are autograd's.

use liprl_nets::{
    Buffer, Gradient, LrSchedule, Pass, Team, Weights,
    autograd::{gradient, leaf},
    optim::{OptimiserConfig, Trained},
};
use liprl_numerics::StreamRng;
use tch::{Device, Tensor};

use super::{CloningConfig, PolicyDistribution};
use crate::AgentError;

/// Rows whose loss is measured at a time.
const MEASURED: usize = 4096;

/// A copy of the policy while it is fitted.
pub(super) struct Fitting {
    distribution: PolicyDistribution,
    pub(super) policy: Trained,
    weight_decay: f64,
    min_log_std: f64,
    by_hand: Option<ByHand>,
}

/// The hand-written form's buffers.
struct ByHand {
    team: Team,
    weights: Weights,
    pass: Pass,
    gradient: Gradient,
}

impl Fitting {
    pub(super) fn new(
        actor: &Trained,
        distribution: PolicyDistribution,
        config: &CloningConfig,
        rng: &StreamRng,
    ) -> Result<Self, AgentError> {
        let (mlp, device) = (actor.mlps()[0].clone(), actor.params().tensor().device());
        let optimiser = OptimiserConfig { lr: config.lr, schedule: LrSchedule::Constant, clip_norm: None };
        // The first weights it draws from a copy of the stream are replaced at once.
        let mut policy = Trained::new(vec![mlp.clone()], optimiser, device, &mut rng.clone())?;
        policy.set_params(&actor.params().to_vec()?)?;
        let by_hand = match device {
            Device::Cpu => Some(ByHand {
                team: Team::new(1)?,
                weights: policy.weights().swap_remove(0),
                pass: Pass::new(&mlp, config.batch_size)?,
                gradient: policy.gradient()?,
            }),
            _ => None,
        };
        Ok(Self { distribution, policy, weight_decay: config.weight_decay, min_log_std: config.min_log_std, by_hand })
    }

    /// One Adam step on a minibatch; returns L before it.
    pub(super) fn step(&mut self, obs: &Tensor, action: &Tensor) -> Result<f64, AgentError> {
        let Some(by_hand) = &mut self.by_hand else {
            let (loss, gradient) = self.loss_autograd(obs, action)?;
            self.policy.step_tensor(&gradient)?;
            return Ok(loss);
        };
        let loss = by_hand.loss(self.distribution, self.min_log_std, obs, action)?;
        if self.weight_decay > 0.0 {
            let (decay, gradient) = (self.weight_decay as f32, by_hand.gradient.slice_mut());
            gradient.iter_mut().zip(self.policy.params().slice()).for_each(|(g, p)| *g += decay * p);
        }
        self.policy.step(&by_hand.team, &mut [&mut by_hand.gradient], None)?;
        Ok(loss)
    }

    /// L and its gradient, weight decay included, on any device.
    fn loss_autograd(&self, obs: &Tensor, action: &Tensor) -> Result<(f64, Tensor), AgentError> {
        let (params, device) = (leaf(self.policy.params().tensor()), self.policy.params().tensor().device());
        let output = self.policy.forward(0, &params, &obs.f_to(device)?);
        let loss = self.distribution.loss(&output, &action.f_to(device)?, self.min_log_std);
        let gradient = gradient(&loss, &params)? + self.policy.params().tensor() * self.weight_decay;
        Ok((loss.f_double_value(&[])?, gradient))
    }

    /// L on these rows.
    pub(super) fn measure(&self, obs: &Tensor, action: &Tensor, rows: &[i64]) -> Result<f64, AgentError> {
        let (params, mut sum) = (self.policy.params().tensor(), 0.0);
        for part in rows.chunks(MEASURED) {
            let index = Tensor::f_from_slice(part)?;
            let (obs, action) = (obs.f_index_select(0, &index)?, action.f_index_select(0, &index)?);
            let loss = tch::no_grad(|| {
                let output = self.policy.forward(0, params, &obs.f_to(params.device())?);
                self.distribution.loss(&output, &action.f_to(params.device())?, self.min_log_std).f_double_value(&[])
            })?;
            sum += loss * part.len() as f64;
        }
        Ok(sum / rows.len() as f64)
    }
}

impl ByHand {
    /// L and, in `self.gradient`, its gradient with respect to the parameters, weight decay not included.
    fn loss(
        &mut self,
        distribution: PolicyDistribution,
        min_log_std: f64,
        obs: &Tensor,
        action: &Tensor,
    ) -> Result<f64, AgentError> {
        let (rows, act_dim) = action.size2()?;
        let action = Buffer::rows_of(action, 0..rows as usize)?;
        self.pass.forward(&self.weights, obs)?;
        let (output, slopes) = self.pass.output_and_gradient();
        let loss = distribution.loss_by_hand(output, action.slice(), act_dim as usize, min_log_std, slopes);
        self.pass.backward(&self.weights, obs, Some((&mut self.gradient, 0)))?;
        Ok(loss)
    }
}

#[cfg(test)]
mod tests {
    use liprl_nets::testing::{assert_close, assert_gradient};
    use liprl_numerics::{Streams, testing::numbers};
    use tch::{
        Kind,
        nn::{self, OptimizerConfig},
    };

    use super::*;
    use crate::{
        actor_critic::testing::{self},
        cloning::distribution::tests::{actions, distributions},
    };

    fn observations(rows: usize) -> Tensor {
        tch::set_num_threads(1);
        Tensor::from_slice(&numbers(rows * 5, "cloned observations")).view([rows as i64, 5])
    }

    fn fitting(net: &liprl_nets::NetworkConfig, distribution: PolicyDistribution, config: &CloningConfig) -> Fitting {
        let policy = testing::policy(net, 5, if distribution == PolicyDistribution::Gaussian { 6 } else { 3 });
        Fitting::new(&policy, distribution, config, &Streams::new(1).rng("cloning")).unwrap()
    }

    #[test]
    fn gradients_by_hand_equal_autograd() {
        let (obs, action) = (observations(37), actions(37, 3));
        let config = CloningConfig { batch_size: 37, ..CloningConfig::default() };
        for (net, _, _) in testing::networks() {
            for distribution in distributions() {
                let mut fitting = fitting(&net, distribution, &config);
                let (expected, autograd) = fitting.loss_autograd(&obs, &action).unwrap();
                let by_hand = fitting.by_hand.as_mut().unwrap();
                assert_close(by_hand.loss(distribution, config.min_log_std, &obs, &action).unwrap(), expected);
                assert_gradient(by_hand.gradient.slice(), &autograd);
                let rows: Vec<i64> = (0..37).collect();
                assert_close(fitting.measure(&obs, &action, &rows).unwrap(), expected);
            }
        }
    }

    #[test]
    fn twenty_steps_with_weight_decay_equal_libtorch_s_adam() {
        let (obs, action) = (observations(37), actions(37, 3));
        let config = CloningConfig { batch_size: 37, lr: 1e-2, weight_decay: 0.3, ..CloningConfig::default() };
        let net = testing::networks().swap_remove(6).0; // tanh, which has no kinks
        let mut fitting = fitting(&net, PolicyDistribution::Deterministic, &config);
        let store = nn::VarStore::new(Device::Cpu);
        let params = store.root().var_copy("params", fitting.policy.params().tensor());
        let mut adam = nn::Adam { wd: 0.3, ..nn::Adam::default() }.build(&store, 1e-2).unwrap();
        for _ in 0..20 {
            let output = fitting.policy.forward(0, &params, &obs);
            adam.backward_step(&(output.tanh() - &action).square().mean(Kind::Float));
            fitting.step(&obs, &action).unwrap();
        }
        testing::assert_nearly(fitting.policy.params().slice(), &Vec::<f32>::try_from(params.detach()).unwrap());
    }
}
