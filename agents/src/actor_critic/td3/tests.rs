//! The CPU form against the equations, and the times at which networks move.

use liprl_nets::{
    autograd::{gradient, leaf},
    testing::{assert_close, assert_gradient, assert_nearly},
};
use liprl_numerics::Streams;

use super::*;
use crate::actor_critic::{
    Backup, CategoricalConfig, CriticHead, DelayCounts, OffPolicyConfig, QuantileConfig, ReturnsConfig,
    outputs::values, testing,
};

fn setup() -> Setup {
    Setup { obs_dim: 5, act_dim: 3, streams: Streams::new(5), device: Device::Cpu, threads: 2 }
}

/// Four updates by hand and by autograd, the actor learning in every second one and the targets moving in three.
fn compare(config: &Td3Config) {
    let (mut by_hand, mut autograd) = (Td3::new(config, &setup()).unwrap(), Td3::new(config, &setup()).unwrap());
    if !testing::has_rows(&config.shared.critic, &config.shared.value_regulariser) {
        assert!(!by_hand.critics.has_rows(), "an update by autograd alone is left uncompared");
        return;
    }
    assert!(by_hand.critics.has_rows(), "there is no CPU form to compare");
    let batch = testing::batch(41, 5, 3);
    let _ = batch.discount.narrow(0, 3, 9).fill_(0.0);
    for update in 0..4u64 {
        for td3 in [&mut by_hand, &mut autograd] {
            td3.smoothing = testing::numbers(41 * 3, &format!("smoothing {update}"));
            td3.critics.begin(&batch, update).unwrap();
        }
        let moves = Moves { actor: update % 2 == 0, targets: update != 3 };
        let a = by_hand.update_rows(&batch, moves).unwrap();
        let b = autograd.update_tensors(&batch, moves).unwrap();
        let (q, other) = (&a.critics, &b.critics);
        assert_nearly(&[q.loss, q.q_mean, q.norm], &[other.loss, other.q_mean, other.norm]);
        assert_nearly(&q.term, &other.term);
        let (a, b) = (a.actor.unwrap_or_default(), b.actor.unwrap_or_default());
        assert_nearly(&[a.0, a.1], &[b.0, b.1]);
        assert_nearly(by_hand.critics.errors(), autograd.critics.errors());
        assert_nearly(by_hand.actor_target.params.slice(), autograd.actor_target.params.slice());
        assert_nearly(by_hand.critics.targets.params.slice(), autograd.critics.targets.params.slice());
    }
}

#[test]
fn updates_by_hand_follow_those_by_autograd() {
    for (net, critic_loss, count) in testing::networks() {
        let backup = Backup::Soft { minimum_weight: 0.75 };
        let (actor, critic, twin) = (net.clone(), net, count == 2);
        let shared = OffPolicyConfig { actor, critic, critic_loss, tau: 0.1, ..OffPolicyConfig::default() };
        let config = Td3Config { shared, backup, twin, ..Td3Config::default() };
        compare(&config);
        for pop_art in [false, true] {
            let returns = ReturnsConfig { pop_art, rate: 0.2, ..ReturnsConfig::default() };
            let shared = OffPolicyConfig { normalise_returns: Some(returns), ..config.shared.clone() };
            compare(&Td3Config { shared, ..config.clone() });
        }
    }
}

#[test]
fn regularised_updates_by_hand_follow_those_by_autograd() {
    for (net, critic_loss, count) in testing::networks().into_iter().filter(|(net, ..)| !net.layer_norm) {
        let (actor, critic, twin) = (net.clone(), net, count == 2);
        let plain = OffPolicyConfig { actor, critic, critic_loss, tau: 0.1, ..OffPolicyConfig::default() };
        for value_regulariser in testing::regularisers() {
            for critic_spectral_norm in testing::spectral_norms() {
                let shared = OffPolicyConfig {
                    critic_spectral_norm,
                    value_regulariser: value_regulariser.clone(),
                    ..plain.clone()
                };
                compare(&Td3Config { shared, twin, ..Td3Config::default() });
            }
        }
    }
}

#[test]
fn distributional_updates_by_hand_follow_those_by_autograd() {
    let categorical = |clamp| CriticHead::Categorical(CategoricalConfig { atoms: 11, v_min: -2.0, v_max: 3.0, clamp });
    let quantile = |reference_tiling| {
        CriticHead::Quantile(QuantileConfig { quantiles: 21, reference_tiling, ..QuantileConfig::default() })
    };
    for critic_head in [categorical(None), categorical(Some(0.01)), quantile(false), quantile(true)] {
        for (net, _, _) in testing::networks() {
            let (actor, critic) = (net.clone(), net);
            let shared = OffPolicyConfig { actor, critic, tau: 0.1, ..OffPolicyConfig::default() };
            compare(&Td3Config { shared, critic_head, twin: false, ..Td3Config::default() });
        }
    }
}

#[test]
fn the_actor_and_the_targets_move_when_they_are_due() {
    // Delay 2 counted in rounds of two updates, and targets in every update or only with the actor.
    for (target_updates, targets_move) in
        [(TargetUpdates::Delayed, [1, 1, 0, 0, 1, 1]), (TargetUpdates::EveryUpdate, [1; 6])]
    {
        let delay_counts = DelayCounts::Rounds;
        let shared = OffPolicyConfig { updates: 2, ..OffPolicyConfig::default() };
        let config = Td3Config { shared, delay_counts, target_updates, ..Td3Config::default() };
        let mut td3 = Td3::new(&config, &setup()).unwrap();
        let batch = testing::batch(16, 5, 3);
        for (actor_moves, targets_move) in [1, 1, 0, 0, 1, 1].into_iter().zip(targets_move) {
            let now = |td3: &Td3| {
                [td3.actor.params(), &td3.actor_target.params, &td3.critics.targets.params].map(|p| p.to_vec().unwrap())
            };
            let before = now(&td3);
            td3.update(&batch, &mut Metrics::default()).unwrap();
            let moved = [0, 1, 2].map(|i| i32::from(now(&td3)[i] != before[i]));
            assert_eq!(moved, [actor_moves, targets_move, targets_move]);
        }
    }
}

#[test]
fn a_distributional_critic_with_a_twin_is_refused() {
    let critic_head = CriticHead::Quantile(QuantileConfig::default());
    let error = Td3::new(&Td3Config { critic_head, ..Td3Config::default() }, &setup()).unwrap_err().to_string();
    assert!(error.starts_with("critic_head: quantile") && error.contains("put `twin: false`"), "{error}");
}

#[test]
fn deterministic_gradient_by_hand_equals_autograd() {
    for (net, _, count) in testing::networks() {
        let batch = testing::batch(37, 5, 3);
        let critics = testing::critics(&net, 5, 3, count);
        let policy = testing::policy(&net, 5, 3);
        let mut share = testing::share(&policy, &critics, &batch);
        rows::actor_gradient(&mut share).unwrap();

        let params = leaf(policy.params().tensor());
        let action = policy.forward(0, &params, &batch.obs).tanh();
        let values = values(&critics, critics.params().tensor(), &batch.obs, &action).unwrap();
        let expected = equations::actor_loss(&values);
        assert_close(share.actor_loss / 37.0, expected.double_value(&[]));
        assert_gradient(share.actor.gradient.slice(), &gradient(&expected, &params).unwrap());
    }
}
