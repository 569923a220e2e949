//! The penalty's CPU form against autograd, and both against numbers worked out by hand.

use liprl_nets::{
    NetworkConfig,
    autograd::{gradient, leaf},
    lipschitz::Sides,
    testing::{assert_close, assert_gradient},
};
use liprl_numerics::{Activation, Streams};

use super::*;
use crate::{
    Setup,
    actor_critic::{
        CriticLoss, Learner, OffPolicyConfig, Sac, SacConfig,
        batch::{DeviceBatch, Rows},
        critics::{equations, rows::CriticRows},
        testing,
        value::{Regulariser, ValueRegulariser},
    },
};

const B: usize = 41;

fn setup() -> Setup {
    Setup { obs_dim: 5, act_dim: 3, streams: Streams::new(5), device: tch::Device::Cpu, threads: 1 }
}

#[test]
fn gradient_by_hand_equals_double_backward_however_the_rows_are_shared() {
    let base = ValuePenaltyConfig { target: 0.05, rows: 23, lambda: 2.0, ..ValuePenaltyConfig::default() };
    for config in [
        base,
        ValuePenaltyConfig { sides: Sides::Two, units: StateUnits::Raw, every: 2, ..base },
        ValuePenaltyConfig { rows: 1000, ..base },
    ] {
        for activation in [Activation::Relu, Activation::LeakyRelu(0.1), Activation::MaxMin] {
            let net = NetworkConfig {
                hidden: liprl_numerics::testing::widths(activation, &[32, 19]),
                activation,
                ..NetworkConfig::default()
            };
            let (critics, actor) = (testing::critics(&net, 5, 3, 2), testing::policy(&net, 5, 6));
            let mut term = Regulariser::of(Box::new(config), 2, &setup());

            let batch = testing::batch(B, 5, 3);
            term.begin(&batch, 0).unwrap();
            let params = leaf(critics.params().tensor());
            let on = DeviceBatch::of(&batch, tch::Device::Cpu).unwrap();
            let replayed = values(&critics, &params, &on.obs, &on.action).unwrap();
            let target = testing::numbers(B, "targets");
            let kind = CriticLoss::Squared;
            let loss = equations::loss(&replayed, &Tensor::from_slice(&target), &on.weight, kind);
            let networks = Networks { actor: &actor, critics: &critics, params: &params, scale: 1.0 };
            assert!(term.has_rows(&networks, &critics.weights()).unwrap());
            let (total, sums) = term.add_to(&loss, &networks, &on, &replayed).unwrap();
            assert!((&total - &loss).double_value(&[]) > 1e-3);
            let expected = gradient(&total, &params).unwrap();
            for split in [0, 20] {
                let shares = [0..split, split..B].into_iter().filter(|share| !share.is_empty());
                let (mut sum, mut by_hand) = (vec![0.0; expected.numel()], TermSums::default());
                for share in shares {
                    let mut rows = CriticRows::new(&critics, &critics.target().unwrap(), share.len(), 5)
                        .unwrap()
                        .regularised(term.rows(&networks, &critics.weights(), share.clone(), B).unwrap());
                    rows.target = target[share.clone()].to_vec();
                    let part = Rows::of(&batch, share).unwrap();
                    let sums = rows.critic_gradient(&part, kind, B, term.due()).unwrap();
                    liprl_numerics::kernels::add(&mut sum, rows.gradient.slice());
                    by_hand = std::array::from_fn(|i| by_hand[i] + sums.term[i]);
                }
                assert_gradient(&sum, &expected);
                by_hand.iter().zip(sums).for_each(|(a, b)| assert_close(*a, b));
            }
        }
    }
}

#[test]
fn smooth_critics_are_left_to_autograd() {
    let of = |activation, value_regulariser| {
        let critic = NetworkConfig { activation, ..NetworkConfig::default() };
        let shared = OffPolicyConfig { critic, value_regulariser, ..OffPolicyConfig::default() };
        Sac::new(&SacConfig { shared, ..SacConfig::default() }, &setup()).unwrap()
    };
    let penalty = ValueRegulariser::new("gradient_penalty", Box::new(ValuePenaltyConfig::default()));
    assert!(!of(Activation::Tanh, penalty.clone()).critics().has_rows());
    assert!(of(Activation::Relu, penalty).critics().has_rows());
    assert!(of(Activation::Tanh, ValueRegulariser::default()).critics().has_rows());
}

/// A linear critic's gradient is its weight: the penalty is worked out by hand.
#[test]
fn a_linear_critic_s_penalty_worked_out_by_hand() {
    // Q = relu(3 s₁ + 4 s₂ + 100 + 7 a) has the gradient (3, 4) in s, of norm 5; with units 2 and 1, (6, 4).
    let config = ValuePenaltyConfig { target: 2.0, units: StateUnits::Raw, ..ValuePenaltyConfig::default() };
    let setup = Setup { obs_dim: 2, act_dim: 1, ..setup() };
    let mut term = Regulariser::of(Box::new(config), 1, &setup);
    let net = NetworkConfig { hidden: vec![1], ..NetworkConfig::default() };
    let (mut critics, actor) = (testing::critics(&net, 2, 1, 1), testing::policy(&net, 2, 1));
    critics.set_params(&[3.0, 4.0, 7.0, 100.0, 1.0, 0.0]).unwrap();
    let batch = testing::batch(8, 2, 1);
    let _ = batch.weight.shallow_clone().fill_(1.0);
    term.begin(&batch, 0).unwrap();
    let on = DeviceBatch::of(&batch, tch::Device::Cpu).unwrap();
    let networks = Networks { actor: &actor, critics: &critics, params: critics.params().tensor(), scale: 1.0 };
    let at = TermBatch { on, replayed: Vec::new() };
    let (loss, sums) = config.loss(&networks, &at, &term.state).unwrap();
    assert_close(loss.double_value(&[]), 0.1 * 9.0);
    sums.iter().zip([8.0 * 9.0, 8.0 * 5.0, 8.0]).for_each(|(sum, expected)| assert_close(*sum, expected));
    term.state.unit = vec![2.0, 1.0];
    let (loss, _) = config.loss(&networks, &at, &term.state).unwrap();
    assert_close(loss.double_value(&[]), 0.1 * (52f64.sqrt() - 2.0).powi(2));
}
