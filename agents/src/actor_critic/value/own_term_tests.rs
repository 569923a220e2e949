//! A term of one's own in one file: its settings, its metric and its loss by autograd, and nothing else.

use liprl_nets::NetworkConfig;
use liprl_numerics::Streams;
use tch::{Device, Tensor};

use super::{
    Networks, Regulariser, StateUnits, TermState, TermSums,
    term::{Per, TermBatch, TermSettings, ValueTerm},
};
use crate::{
    AgentError, Metrics, Setup,
    actor_critic::{Learner, OffPolicyConfig, Sac, SacConfig, Td3, Td3Config, testing},
};

/// λ Σⱼ mean Qⱼ(s, a)²: pulls the values towards zero.
#[derive(Debug)]
struct SmallValues {
    lambda: f64,
}

impl ValueTerm for SmallValues {
    fn settings(&self) -> TermSettings {
        TermSettings { lambda: self.lambda, units: StateUnits::Raw, rows: 64, every: 1 }
    }

    fn metrics(&self) -> Vec<(&'static str, Per)> {
        vec![("train/squared_value", Per::Row)]
    }

    fn loss(&self, _: &Networks<'_>, batch: &TermBatch, state: &TermState) -> Result<(Tensor, TermSums), AgentError> {
        let squares = batch.replayed.iter().map(|values| values.square().sum(values.kind()));
        let sum = squares.reduce(|a, b| a + b).unwrap_or_default();
        Ok((&sum * state.weight, [sum.double_value(&[]), 0.0, 0.0]))
    }
}

/// The mean squared value of each critic's, after some updates on one batch with λ, as the metric says it.
fn squared_value(learner: &mut dyn Learner) -> f64 {
    let batch = testing::batch(32, 5, 3);
    let _ = batch.reward.shallow_clone().g_add_scalar_(3.0);
    let mut metrics = Metrics::default();
    for _ in 0..60 {
        metrics = Metrics::default();
        learner.update(&batch, &mut metrics).unwrap();
    }
    let (_, value) = metrics.drain().into_iter().find(|(name, _)| name == "train/squared_value").unwrap();
    let before = learner.critics().values(&batch.obs, &batch.action).unwrap();
    let now: f64 = before.iter().map(|values| values.square().mean(None).double_value(&[])).sum();
    assert!((value - now).abs() < 0.2 * (now + 0.1), "the metric is of the values before the last step: {value} {now}");
    value
}

#[test]
fn a_term_needs_its_loss_by_autograd_alone() {
    let setup = Setup { obs_dim: 5, act_dim: 3, streams: Streams::new(5), device: Device::Cpu, threads: 2 };
    let critic = NetworkConfig { hidden: vec![32, 19], lr: 3e-3, ..NetworkConfig::default() };
    let shared = OffPolicyConfig { critic, ..OffPolicyConfig::default() };
    let term = |lambda| Some(Regulariser::of(Box::new(SmallValues { lambda }), 2, &setup));
    let sac = |lambda| {
        let mut sac = Sac::new(&SacConfig { shared: shared.clone(), ..SacConfig::default() }, &setup).unwrap();
        assert!(sac.critics().has_rows());
        sac.regularise(term(lambda)).unwrap();
        assert!(!sac.critics().has_rows(), "without a CPU form the update is autograd's");
        squared_value(&mut sac)
    };
    let td3 = |lambda| {
        let mut td3 = Td3::new(&Td3Config { shared: shared.clone(), ..Td3Config::default() }, &setup).unwrap();
        td3.regularise(term(lambda)).unwrap();
        squared_value(&mut td3)
    };
    for (free, pulled) in [(sac(0.0), sac(10.0)), (td3(0.0), td3(10.0))] {
        assert!(pulled < 0.5 * free, "{pulled} {free}");
    }
}
