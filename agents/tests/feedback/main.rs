//! Feedback policies: constants and errors of each constraint against the exact optimum; queried
//! experts; exact resume; the listed metrics.
#![allow(clippy::unwrap_used)] // a test that cannot go on should say so

mod agent;
mod constraints;

use std::collections::BTreeMap;

use liprl_agents::{
    Agent, AgentError, Metrics, Setup, TaskContext, Visited,
    demos::{Demonstrations, Episode},
    feedback::{Feedback, FeedbackConfig},
};
use liprl_control::{
    Policy,
    tables::{Constrained, Points, closest},
};
use liprl_envs::NumpyRng;
use liprl_numerics::Streams;
use serde_json::{Value, json};
use tch::Device;

/// The double integrator's LQR expert (Q = I, R = 1) and its norm.
const K: [f64; 2] = [0.917075, 1.635596];
const NORM: f64 = 1.875153;

/// The environment's action for an action of 1.
const HALF_WIDTH: f64 = 3.0;

/// 150 states uniform on [−1, 1]² by NumPy's `default_rng(0)`.
fn states() -> Vec<f64> {
    let mut rng = NumpyRng::new(0);
    (0..300).map(|_| rng.uniform(-1.0, 1.0)).collect()
}

fn expert(x: &[f64]) -> f64 {
    -(K[0] * x[0] + K[1] * x[1])
}

/// One episode that goes through `states`, its actions in [-1, 1].
fn demonstrations(states: &[f64], act: impl Fn(&[f64]) -> Vec<f64>) -> Demonstrations {
    let count = states.len() / 2;
    let episode = Episode {
        observations: states.iter().copied().chain([0.0, 0.0]).collect(),
        actions: states.chunks_exact(2).flat_map(act).collect(),
        rewards: vec![0.0; count],
        terminations: vec![false; count],
        truncations: (0..count).map(|t| t + 1 == count).collect(),
        ..Episode::default()
    };
    Demonstrations { episodes: vec![episode], ..Demonstrations::default() }
}

fn context() -> TaskContext {
    let demonstrations = Some(demonstrations(&states(), |x| vec![expert(x) / HALF_WIDTH]));
    TaskContext { demonstrations, can_terminate: false, task: None, expert: None, action_half_width: vec![HALF_WIDTH] }
}

fn setup() -> Setup {
    Setup { obs_dim: 2, act_dim: 1, streams: Streams::new(3), device: Device::Cpu, threads: 1 }
}

fn config(more: Value) -> FeedbackConfig {
    let mut config = json!({"network": {"hidden": [24, 24], "activation": "relu", "lr": 3e-3, "lr_schedule": {"linear": {"updates": 1500}}},
        "batch_size": 64});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(config).unwrap()
}

fn agent(more: Value) -> Result<Feedback, AgentError> {
    Feedback::new(&config(more), &setup(), &context())
}

fn trained(more: Value, updates: usize) -> Feedback {
    let mut agent = agent(more).unwrap();
    let mut metrics = Metrics::default();
    (0..updates).for_each(|_| agent.update(&mut metrics).unwrap());
    agent
}

fn measured(agent: &mut Feedback) -> BTreeMap<String, f64> {
    let obs: Vec<f32> = states()[..40].iter().map(|&x| x as f32 * 1.5).collect();
    let visited = Visited { action: vec![0.0; 20], next_obs: obs.clone(), obs, ..Visited::default() };
    agent.diagnose(&visited).unwrap().into_iter().collect()
}

/// (1/N) Σ ‖π(x) − u‖² by the policy's file, over the demonstrated states.
fn error(agent: &Feedback) -> f64 {
    let mut policy = Policy::load(&agent.policy().unwrap().to_bytes().unwrap()).unwrap();
    let states = states();
    let square = |x: &[f64]| (f64::from(act(&mut policy, x)) * HALF_WIDTH - expert(x)).powi(2);
    states.chunks_exact(2).map(square).sum::<f64>() / 150.0
}

fn act(policy: &mut Policy, x: &[f64]) -> f32 {
    let mut action = [0.0];
    policy.act(&[x[0] as f32, x[1] as f32], &mut action).unwrap();
    action[0]
}

fn least_error(alpha: f64) -> f64 {
    let x = states();
    let u = x.chunks_exact(2).map(expert).collect();
    closest(&Points { x, u, obs_dim: 2, act_dim: 1 }, alpha, Constrained::All).unwrap().lower
}
