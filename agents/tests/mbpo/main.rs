//! Model-based policy optimisation on a linear system and on the continuous cart-pole.
#![allow(clippy::unwrap_used)] // a test that cannot go on should say so

mod agent;
mod bench;
mod certified;
mod fits;
#[path = "../support/merge.rs"]
mod merge;
mod rollouts;
mod termination;
mod value_aware;

use liprl_agents::{
    Flags, Replay, ReplayConfig, Setup, Transition,
    mbpo::{Dynamics, ModelConfig, Profile},
};
use liprl_numerics::{StreamRng, Streams};
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use serde_json::{Value, json};
use tch::Device;

const OBS: usize = 3;
const ACT: usize = 2;

fn setup(threads: usize) -> Setup {
    Setup { obs_dim: OBS, act_dim: ACT, streams: Streams::new(3), device: Device::Cpu, threads }
}

fn normal(rng: &mut StreamRng) -> f32 {
    StandardNormal.sample(rng)
}

/// s' = s + 0.1 (M s + N a), r = s₀ − a₁, with episodes of 50 steps.
fn linear(rows: usize) -> Replay {
    let mut replay =
        Replay::new(ReplayConfig { capacity: rows, obs_dim: OBS, act_dim: ACT, priorities: None }).unwrap();
    let mut rng = Streams::new(5).rng("linear");
    let mut obs = [0.0; OBS];
    for row in 0..rows {
        if row % 50 == 0 {
            obs = [(); OBS].map(|()| normal(&mut rng));
        }
        let action = [(); ACT].map(|()| rng.random_range(-1.0f32..1.0));
        let next_obs = [
            obs[0] + 0.1 * (obs[1] + action[0]),
            obs[1] + 0.1 * (-obs[0] + 0.5 * action[1]),
            0.9 * obs[2] + 0.1 * action[0],
        ];
        let truncated = row % 50 == 49;
        let step = Transition {
            obs: &obs,
            action: &action,
            reward: obs[0] - action[1],
            next_obs: &next_obs,
            terminated: false,
            truncated,
        };
        replay.push(&step, Flags::NONE).unwrap();
        obs = next_obs;
    }
    replay
}

fn model(more: Value) -> ModelConfig {
    let mut config = json!({"hidden": [32, 32], "weight_decay": [0, 0, 0], "batch_size": 64});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(config).unwrap()
}

fn fitted(
    config: &ModelConfig,
    replay: &Replay,
    threads: usize,
) -> (Dynamics, liprl_agents::mbpo::dynamics::FitReport) {
    let mut dynamics = Dynamics::new(config, Profile::Authors, &setup(threads)).unwrap();
    dynamics.begin_fit(replay).unwrap();
    loop {
        if let Some(report) = dynamics.advance_fit(replay, 7).unwrap() {
            return (dynamics, report);
        }
    }
}

/// Predictions of the mean by one member at rows of `replay`.
fn predictions(dynamics: &Dynamics, replay: &Replay, member: u32, rows: usize) -> (Vec<f32>, Vec<f32>) {
    let (mut obs, mut action) = (Vec::new(), Vec::new());
    replay.rows().take(rows).for_each(|row| {
        obs.extend_from_slice(row.obs);
        action.extend_from_slice(row.action);
    });
    let (mut reward, mut next) = (vec![0.0; rows], vec![0.0; rows * OBS]);
    let mut predictor = dynamics.predictor(rows).unwrap();
    predictor.predict(dynamics.view(), &obs, &action, &vec![member; rows], None, &mut reward, &mut next).unwrap();
    (reward, next)
}
