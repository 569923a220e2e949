//! The continuous cart-pole with its agent.

use liprl_agents::{
    Agent, Metrics, Setup, TaskContext, Transition,
    mbpo::{Mbpo, MbpoConfig},
};
use liprl_envs::{Env, Options, make};
use liprl_numerics::{State, StateIo, Streams};
use serde_json::{Value, json};
use tch::Device;

use super::merge::merge;

pub(crate) fn config(more: Value) -> Value {
    let mut config = json!({
        "policy": {"learning_starts": 60, "updates": 2, "batch_size": 32, "buffer_size": 5000, "actor": {"hidden": [32, 32]},
            "critic": {"hidden": [32, 32]}},
        "model": {"hidden": [24, 24], "members": 3, "elites": 2, "batch_size": 32, "max_epochs": 60},
        "refit_every": 40, "epoch_steps": 80, "rollouts": 300,
        "rollout_length": {"first_epoch": 0, "last_epoch": 2, "from": 1, "to": 3},
    });
    merge(&mut config, &more);
    config
}

/// The task, the agent and the episodes so far.
pub(crate) struct Bench {
    pub(crate) env: Box<dyn Env>,
    pub(crate) agent: Mbpo,
    pub(crate) obs: Vec<f32>,
    pub(crate) metrics: Metrics,
    /// Lengths of the episodes so far, in steps.
    pub(crate) lengths: Vec<usize>,
    length: usize,
}

impl Bench {
    pub(crate) fn new(config: Value, threads: usize) -> Self {
        let mut env = make("CartPoleContinuous-v0", &Options::new()).unwrap();
        let context = TaskContext { can_terminate: true, task: Some(env.spec().clone()), ..TaskContext::NONE };
        let setup = Setup { obs_dim: 4, act_dim: 1, streams: Streams::new(3), device: Device::Cpu, threads };
        let config: MbpoConfig = serde_json::from_value(config).unwrap();
        let agent = Mbpo::new(&config, &setup, &context).unwrap();
        let mut obs = [0.0; 4];
        env.reset(Some(7), &Options::new(), &mut obs).unwrap();
        let obs = obs.map(|x| x as f32).to_vec();
        Self { env, agent, obs, metrics: Metrics::default(), lengths: Vec::new(), length: 0 }
    }

    /// One step and the first part of its learning.
    pub(crate) fn step(&mut self) {
        let (mut action, mut next) = ([0.0f32], [0.0; 4]);
        self.agent.act(&self.obs, &mut action).unwrap();
        let step = self.env.step(&[f64::from(action[0])], &mut next).unwrap();
        let next_obs = next.map(|x| x as f32);
        let (terminated, truncated, reward) = (step.terminated, step.truncated, step.reward as f32);
        let obs = std::mem::replace(&mut self.obs, next_obs.to_vec());
        self.agent
            .observe(&Transition { obs: &obs, action: &action, reward, next_obs: &next_obs, terminated, truncated })
            .unwrap();
        self.length += 1;
        if step.done() {
            self.lengths.push(std::mem::take(&mut self.length));
            self.env.reset(None, &Options::new(), &mut next).unwrap();
            self.obs = next.map(|x| x as f32).to_vec();
        }
        self.learn();
    }

    pub(crate) fn learn(&mut self) {
        self.agent.update(&mut self.metrics).unwrap();
    }

    pub(crate) fn finish(&mut self) {
        while self.agent.busy() {
            self.learn();
        }
    }

    pub(crate) fn run(&mut self, steps: usize) {
        for _ in 0..steps {
            self.step();
            self.finish();
        }
    }

    /// A copy that went through a checkpoint.
    pub(crate) fn resumed(&mut self, config: Value) -> Self {
        let mut other = Self::new(config, 1);
        let through_bytes = |state: State| State::from_bytes(&state.to_bytes().unwrap()).unwrap();
        let state = through_bytes(State::of(|io| self.agent.state(io)).unwrap());
        other.agent.state(&mut StateIo::load_from(&state)).unwrap();
        for ((name, saved), (other_name, loaded)) in self.agent.replays().into_iter().zip(other.agent.replays()) {
            assert_eq!(name, other_name);
            let state = through_bytes(State::of(|io| saved.state(io)).unwrap());
            loaded.state(&mut StateIo::load_from(&state)).unwrap();
            for (chunk, _) in saved.chunks() {
                loaded.restore_chunk(chunk, &saved.chunk_bytes(chunk)).unwrap();
            }
        }
        other.env.restore(&self.env.save()).unwrap();
        (other.obs, other.length) = (self.obs.clone(), self.length);
        other
    }

    pub(crate) fn everything(&mut self) -> Vec<u8> {
        let mut all = State::of(|io| self.agent.state(io)).unwrap().to_bytes().unwrap();
        for (_, replay) in self.agent.replays() {
            all.extend(State::of(|io| replay.state(io)).unwrap().to_bytes().unwrap());
            replay.chunks().iter().for_each(|(chunk, _)| all.extend(replay.chunk_bytes(*chunk)));
        }
        all.extend(self.env.save());
        all
    }
}
