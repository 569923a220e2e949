//! Saved states of every kind of agent: complete, and the same after a load.
#![allow(clippy::unwrap_used)] // a test that cannot go on should say so

use liprl_agents::{
    Agent, AgentConfig, Metrics, Setup, TaskContext, Transition,
    demos::{Demonstrations, Episode},
};
use liprl_numerics::{State, Streams};
use serde_json::{Value, json};
use tch::Device;

const OBS: usize = 3;
const ACT: usize = 2;

/// Numbers in [-1, 1] that look random, the same for the same place.
fn number(i: usize) -> f64 {
    ((i as f64 + 1.0) * 12.9898).sin()
}

fn demonstrations() -> Demonstrations {
    let episodes = (0..4).map(|e| Episode {
        observations: (0..31 * OBS).map(|i| number(i + 1000 * e)).collect(),
        actions: (0..30 * ACT).map(|i| 0.5 * number(i + 500 * e)).collect(),
        rewards: vec![1.0; 30],
        terminations: (0..30).map(|t| t == 29).collect(),
        truncations: vec![false; 30],
        ..Episode::default()
    });
    Demonstrations { episodes: episodes.collect(), ..Demonstrations::default() }
}

fn build(config: &Value, seed: u64) -> Box<dyn Agent> {
    let config: AgentConfig = serde_json::from_value(config.clone()).unwrap();
    let context =
        TaskContext { demonstrations: Some(demonstrations()), action_half_width: vec![1.0; ACT], ..TaskContext::NONE };
    let setup = Setup { obs_dim: OBS, act_dim: ACT, streams: Streams::new(seed), device: Device::Cpu, threads: 1 };
    config.build(&setup, &context).unwrap()
}

/// Lets an agent act in a made-up world.
fn run(agent: &mut dyn Agent, steps: usize) {
    let mut action = [0.0; ACT];
    for step in 0..steps {
        while agent.busy() {
            agent.update(&mut Metrics::default()).unwrap();
        }
        let obs = |step: usize| (0..OBS).map(|i| number(step * OBS + i) as f32).collect::<Vec<_>>();
        let (obs, next_obs) = (obs(step), obs(step + 1));
        agent.act(&obs, &mut action).unwrap();
        let (terminated, reward) = (step % 17 == 16, number(step) as f32);
        let transition =
            Transition { obs: &obs, action: &action, reward, next_obs: &next_obs, terminated, truncated: false };
        agent.observe(&transition).unwrap();
        agent.update(&mut Metrics::default()).unwrap();
    }
}

/// Agents of every kind, with as many of the parts that have state as go together.
fn configs() -> Vec<Value> {
    let net = json!({"hidden": [16]});
    let actor_critic = |kind: &str| {
        json!({"kind": kind, "batch_size": 8, "buffer_size": 500, "learning_starts": 12, "actor": net, "critic": net,
            "normalise_observations": {}, "priorities": {}, "normalise_returns": {"pop_art": false},
            "critic_spectral_norm": {"scale": 2.0}, "value_regulariser": {"kind": "robust", "rows": 4}})
    };
    let mut td3 = actor_critic("td3");
    td3["parameter_noise"] = json!({});
    td3["action_noise"] = json!({"kind": "ornstein_uhlenbeck"});
    let policy = json!({"kind": "sac", "batch_size": 8, "learning_starts": 12, "actor": net, "critic": net});
    let gail = |reward: Value| {
        json!({"kind": "gail", "policy": policy, "keep_every": 2, "reward": reward, "monitor": {},
            "discriminator": {"hidden": [12], "batch_size": 8, "standardise": true, "spectral_norm": true}})
    };
    let mut shaped = gail(json!({"kind": "minimax"}));
    shaped["shaping"] = json!({"kind": "purple", "target": 0.1});
    let mbpo = json!({"kind": "mbpo", "termination": {"kind": "learned", "updates": 20},
        "policy": {"learning_starts": 60, "batch_size": 32, "buffer_size": 500, "actor": net, "critic": net},
        "model": {"hidden": [16], "members": 3, "elites": 2, "batch_size": 8}, "refit_every": 40, "epoch_steps": 80,
        "rollouts": 50, "rollout_length": {"first_epoch": 0, "last_epoch": 2, "from": 1, "to": 3}});
    let feedback =
        |constraint: Value| json!({"kind": "feedback", "network": {"hidden": [12]}, "constraint": constraint});
    vec![
        actor_critic("sac"),
        td3,
        shaped,
        gail(json!({"kind": "red", "epochs": 2})),
        mbpo,
        feedback(json!({"kind": "primal_dual", "alpha": 1.0})),
        feedback(json!({"kind": "by_construction", "alpha": 1.0})),
    ]
}

#[test]
fn an_agent_of_another_seed_that_loads_a_state_saves_the_same_bytes() {
    for config in configs() {
        let (mut saved, mut loaded) = (build(&config, 1), build(&config, 2));
        // The last step of a model-based agent begins a fit, which the state then holds.
        run(&mut *saved, 60);
        let bytes = saved.save().unwrap().to_bytes().unwrap();
        assert!(bytes != loaded.save().unwrap().to_bytes().unwrap(), "{config}: nothing to load");
        loaded.load(&State::from_bytes(&bytes).unwrap()).unwrap();
        assert!(bytes == loaded.save().unwrap().to_bytes().unwrap(), "{config}");
        assert_eq!((saved.busy(), loaded.busy()), (config["kind"] == "mbpo", config["kind"] == "mbpo"), "{config}");
    }
}
