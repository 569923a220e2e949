//! The CPU form against the equations, and the equations' units.

use liprl_nets::{
    autograd::{gradient, leaf},
    testing::{assert_close, assert_gradient, assert_nearly},
};
use liprl_numerics::Streams;

use super::*;
use crate::actor_critic::{OffPolicyConfig, ReturnsConfig, Temperature, outputs::values, testing};

fn setup() -> Setup {
    Setup { obs_dim: 5, act_dim: 3, streams: Streams::new(5), device: Device::Cpu, threads: 2 }
}

fn compare(config: &SacConfig) {
    let (mut by_hand, mut autograd) = (Sac::new(config, &setup()).unwrap(), Sac::new(config, &setup()).unwrap());
    if !testing::has_rows(&config.shared.critic, &config.shared.value_regulariser) {
        assert!(!by_hand.critics.has_rows(), "an update by autograd alone is left uncompared");
        return;
    }
    assert!(by_hand.critics.has_rows(), "there is no CPU form to compare");
    let batch = testing::batch(41, 5, 3);
    for update in 0..4 {
        for sac in [&mut by_hand, &mut autograd] {
            sac.draws = ["next", "now"].map(|name| testing::numbers(41 * 3, &format!("{name} {update}")));
            sac.critics.begin(&batch, update).unwrap();
        }
        let tau = (update % 2 == 0).then_some(config.shared.tau);
        let a = by_hand.update_rows(&batch, tau).unwrap();
        let b = autograd.update_tensors(&batch, tau).unwrap();
        let (q, other) = (&a.critics, &b.critics);
        assert_nearly(&[q.loss, q.q_mean, q.norm], &[other.loss, other.q_mean, other.norm]);
        assert_nearly(&[a.actor_loss, a.actor_norm, a.log_prob], &[b.actor_loss, b.actor_norm, b.log_prob]);
        assert_nearly(by_hand.critics.errors(), autograd.critics.errors());
        assert_nearly(&q.term, &other.term);
        let params = |sac: &Sac| Vec::<f32>::try_from(sac.critics.params()).unwrap();
        assert_nearly(&params(&by_hand), &params(&autograd));
        assert_nearly(by_hand.critics.targets.params.slice(), autograd.critics.targets.params.slice());
    }
}

#[test]
fn regularised_updates_by_hand_follow_those_by_autograd() {
    for (net, critic_loss, _) in testing::networks().into_iter().filter(|(net, ..)| !net.layer_norm) {
        let (actor, critic) = (net.clone(), net);
        let plain = OffPolicyConfig { actor, critic, critic_loss, tau: 0.1, ..OffPolicyConfig::default() };
        for value_regulariser in testing::regularisers() {
            for critic_spectral_norm in testing::spectral_norms() {
                let normalise_returns = critic_spectral_norm.map(|_| ReturnsConfig {
                    pop_art: false,
                    rate: 0.2,
                    ..ReturnsConfig::default()
                });
                let shared = OffPolicyConfig {
                    critic_spectral_norm,
                    value_regulariser: value_regulariser.clone(),
                    normalise_returns,
                    ..plain.clone()
                };
                compare(&SacConfig { shared, ..SacConfig::default() });
            }
        }
    }
}

#[test]
fn updates_by_hand_follow_those_by_autograd() {
    for (net, critic_loss, _) in testing::networks() {
        let (actor, critic) = (net.clone(), net);
        let plain = OffPolicyConfig { actor, critic, critic_loss, tau: 0.1, ..OffPolicyConfig::default() };
        compare(&SacConfig { shared: plain.clone(), ..SacConfig::default() });
        for pop_art in [false, true] {
            let returns = ReturnsConfig { pop_art, rate: 0.2, ..ReturnsConfig::default() };
            let shared = OffPolicyConfig { normalise_returns: Some(returns), ..plain.clone() };
            compare(&SacConfig { shared, ..SacConfig::default() });
        }
    }
}

/// Critics that stand for the same values in other units have the same targets, actor's loss and
/// actor's step: the entropy counts in units of reward.
#[test]
fn the_temperature_weighs_against_values_in_units_of_reward() {
    let temperature = Temperature::Fixed { alpha: 0.7 };
    // Critics that do not learn, so that the actor sees the same values in both.
    let critic = liprl_nets::NetworkConfig { lr: 0.0, ..Default::default() };
    let shared = OffPolicyConfig { critic, ..OffPolicyConfig::default() };
    let plain = SacConfig { temperature, shared: shared.clone(), ..SacConfig::default() };
    let returns = Some(ReturnsConfig { rate: 1.0, ..ReturnsConfig::default() });
    let shared = OffPolicyConfig { normalise_returns: returns, ..shared };
    let normalised = SacConfig { shared, ..plain.clone() };
    let (mut plain, mut normalised) = (Sac::new(&plain, &setup()).unwrap(), Sac::new(&normalised, &setup()).unwrap());
    let mut batch = testing::batch(41, 5, 3);
    let _ = batch.reward.g_mul_scalar_(50.0).g_add_scalar_(20.0);
    let tau = Some(plain.config.shared.tau);
    for update in 0..2 {
        for sac in [&mut plain, &mut normalised] {
            sac.draws = ["next", "now"].map(|name| testing::numbers(41 * 3, &format!("{name} {update}")));
        }
        let (a, b) = (plain.update_rows(&batch, tau).unwrap(), normalised.update_rows(&batch, tau).unwrap());
        assert_close(a.actor_loss, b.actor_loss);
        assert_close(a.actor_norm, b.actor_norm);
        // Rescaled outputs times the scale, plus the shift: no closer than one rounding of numbers
        // of that size.
        let units = normalised.critics.units();
        let rounding = f64::from(f32::EPSILON * (units.scale + units.shift.abs()));
        assert!(
            (a.critics.q_mean - b.critics.q_mean).abs() <= rounding,
            "{} and {} to {rounding}",
            a.critics.q_mean,
            b.critics.q_mean
        );
        assert_gradient(plain.critics.errors(), &Tensor::from_slice(normalised.critics.errors()));
    }
    let units = normalised.critics.units();
    assert!(units.scale > 30.0 && units.shift > 10.0, "{units:?}");
}

#[test]
fn soft_gradient_by_hand_equals_autograd() {
    for (net, _, count) in testing::networks() {
        let batch = testing::batch(37, 5, 3);
        let critics = testing::critics(&net, 5, 3, count);
        let policy = testing::policy(&net, 5, 6);
        let mut share = testing::share(&policy, &critics, &batch);
        let noise = testing::numbers(37 * 3, "noise");
        rows::actor_gradient(&mut share, &noise, 0.3).unwrap();

        let params = leaf(policy.params().tensor());
        let noise = Tensor::from_slice(&noise).view([37, 3]);
        let (action, log_prob) = gaussian::sample(&policy.forward(0, &params, &batch.obs), &noise);
        let values = values(&critics, critics.params().tensor(), &batch.obs, &action).unwrap();
        let expected = equations::actor_loss(0.3, &log_prob, &values);
        assert_close(share.actor_loss / 37.0, expected.double_value(&[]));
        assert_gradient(share.actor.gradient.slice(), &gradient(&expected, &params).unwrap());
    }
}
