//! The copy of a policy that is fitted. It has an optimiser of its own: the policy's stays as it
//! was.

use liprl_nets::{Fitter, optim::TrainState, slice_of};
use tch::Tensor;

use super::{config::CloningConfig, distribution::PolicyDistribution};
use crate::AgentError;

/// Rows whose loss is measured at a time.
const MEASURED: usize = 4096;

/// A copy of the policy while it is fitted.
pub(super) struct Fitting {
    distribution: PolicyDistribution,
    fitter: Fitter,
    min_log_std: f64,
}

impl Fitting {
    pub(super) fn new(
        actor: &TrainState,
        distribution: PolicyDistribution,
        config: &CloningConfig,
    ) -> Result<Self, AgentError> {
        let fitter = Fitter::new(actor.copy(config.lr)?)?.with_weight_decay(config.weight_decay);
        Ok(Self { distribution, fitter, min_log_std: config.min_log_std })
    }

    /// The policy as it is now.
    pub(super) fn policy(&self) -> &TrainState {
        self.fitter.net()
    }

    /// Takes one Adam step on a minibatch; returns L before it.
    pub(super) fn step(&mut self, obs: &Tensor, action: &Tensor) -> Result<f64, AgentError> {
        let (act_dim, action) = (action.size2()?.1 as usize, slice_of(action)?);
        let (distribution, min_log_std) = (self.distribution, self.min_log_std);
        let loss = |output: &[f32], slopes: &mut [f32]| {
            distribution.loss_by_hand(output, action, act_dim, min_log_std, slopes)
        };
        Ok(self.fitter.step(obs, loss)?)
    }

    /// L on these rows.
    pub(super) fn measure(&self, obs: &Tensor, action: &Tensor, rows: &[i64]) -> Result<f64, AgentError> {
        let (params, mut sum) = (self.policy().params().tensor(), 0.0);
        for part in rows.chunks(MEASURED) {
            let index = Tensor::f_from_slice(part)?;
            let (obs, action) = (obs.f_index_select(0, &index)?, action.f_index_select(0, &index)?);
            let loss = tch::no_grad(|| {
                let output = self.policy().forward(0, params, &obs.f_to(params.device())?);
                self.distribution.loss(&output, &action.f_to(params.device())?, self.min_log_std).f_double_value(&[])
            })?;
            sum += loss * part.len() as f64;
        }
        Ok(sum / rows.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use liprl_nets::{
        autograd::{gradient, leaf},
        testing::{assert_close, assert_gradient},
    };
    use liprl_numerics::testing::numbers;
    use tch::{
        Device, Kind,
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
        Fitting::new(&policy, distribution, config).unwrap()
    }

    #[test]
    fn gradients_by_hand_equal_autograd() {
        let (obs, action) = (observations(37), actions(37, 3));
        let config = CloningConfig { batch_size: 37, ..CloningConfig::default() };
        for (net, _, _) in testing::networks() {
            for distribution in distributions() {
                let mut fitting = fitting(&net, distribution, &config);
                let params = leaf(fitting.policy().params().tensor());
                let output = fitting.policy().forward(0, &params, &obs);
                let loss = distribution.loss(&output, &action, config.min_log_std);
                let (expected, flat) = (loss.double_value(&[]), slice_of(&action).unwrap());
                let by_hand = fitting.fitter.gradient_by_hand(&obs, |output, slopes| {
                    distribution.loss_by_hand(output, flat, 3, config.min_log_std, slopes)
                });
                let (value, by_hand) = by_hand.unwrap().unwrap();
                assert_close(value, expected);
                assert_gradient(by_hand, &gradient(&loss, &params).unwrap());
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
        let params = store.root().var_copy("params", fitting.policy().params().tensor());
        let mut adam = nn::Adam { wd: 0.3, ..nn::Adam::default() }.build(&store, 1e-2).unwrap();
        for _ in 0..20 {
            let output = fitting.policy().forward(0, &params, &obs);
            adam.backward_step(&(output.tanh() - &action).square().mean(Kind::Float));
            fitting.step(&obs, &action).unwrap();
        }
        testing::assert_nearly(fitting.policy().params().slice(), &Vec::<f32>::try_from(params.detach()).unwrap());
    }
}
