//! Shaping of the environment's reward in whole agents.
#![allow(clippy::unwrap_used, reason = "a test may stop here")]

use liprl_agents::{Agent, AgentConfig, Metrics, Replay, Setup, TaskContext, Transition, WindowBatch};
use liprl_numerics::Streams;
use rand::RngExt;
use serde_json::{Value, json};
use tch::Device;

const O: usize = 3;
const A: usize = 1;

fn build(config: Value) -> Box<dyn Agent> {
    tch::set_num_threads(1);
    let setup = Setup { obs_dim: O, act_dim: A, streams: Streams::new(7), device: Device::Cpu, threads: 1 };
    let config: AgentConfig = serde_json::from_value(config).unwrap();
    config.build(&setup, &TaskContext::NONE).unwrap()
}

/// Goes through 80 random steps, episodes of 9 among them, whose rewards are `scale` times what they are.
fn live(agent: &mut dyn Agent, scale: f32) -> Metrics {
    let (mut rng, mut metrics) = (Streams::new(1).rng("steps"), Metrics::default());
    let mut obs = [0.0f32; O];
    for step in 1..=80 {
        let mut action = [0.0];
        agent.act(&obs, &mut action).unwrap();
        let next_obs: [f32; O] = std::array::from_fn(|_| rng.random_range(-1.0..1.0));
        let (terminated, truncated) = (step % 18 == 9, step % 18 == 0);
        let reward = scale * (obs[0] + action[0]);
        let transition = Transition { obs: &obs, action: &action, reward, next_obs: &next_obs, terminated, truncated };
        agent.observe(&transition).unwrap();
        agent.update(&mut metrics).unwrap();
        obs = next_obs;
    }
    metrics
}

fn small(kind: &str) -> Value {
    let net = json!({"hidden": [8, 8]});
    json!({"kind": kind, "learning_starts": 10, "batch_size": 16, "buffer_size": 50, "n_step": 3, "actor": net, "critic": net})
}

#[test]
fn half_the_reward_by_shaping_is_half_the_reward_by_the_task() {
    // A half is exact in f32, so the learners must agree to the bit.
    for kind in ["sac", "td3"] {
        for half in [
            json!({"kind": "constant", "factor": 0.5}),
            json!({"kind": "expression", "bonus": "-reward/2"}),
            json!({"kind": "expression", "potential": "0*obs[0]", "bonus": "-0.5*reward + 0*t"}),
        ] {
            let mut shaped = small(kind);
            shaped["shaping"] = half;
            let (mut by_task, mut by_shaping) = (build(small(kind)), build(shaped));
            live(&mut *by_task, 0.5);
            live(&mut *by_shaping, 1.0);
            let (a, b) = (by_task.histograms().unwrap(), by_shaping.histograms().unwrap());
            let weights = |all: &[(String, Vec<f32>)]| {
                all.iter().filter(|(name, _)| name.starts_with("weights/")).cloned().collect::<Vec<_>>()
            };
            assert!(!weights(&a).is_empty());
            assert_eq!(weights(&a), weights(&b), "{kind}");
        }
    }
}

#[test]
fn t_counts_the_steps_of_each_episode_and_survives_a_checkpoint() {
    let mut config = small("td3");
    config["shaping"] = json!({"kind": "expression", "bonus": "0.001*t"});
    let (mut agent, mut restored) = (build(config.clone()), build(config));
    live(&mut *agent, 1.0);
    let state = agent.save().unwrap();
    restored.load(&state).unwrap();
    for ((_, from), (_, to)) in agent.replays().into_iter().zip(restored.replays()) {
        let meta = liprl_numerics::State::of(|io| from.state(io)).unwrap();
        to.state(&mut liprl_numerics::StateIo::load_from(&meta)).unwrap();
        for (chunk, _) in from.chunks() {
            to.restore_chunk(chunk, &from.chunk_bytes(chunk)).unwrap();
        }
        // Row i of the 50 kept is step 31 + i of 80; an episode ends with every ninth step.
        for replay in [&*from, &*to] {
            let windows = windows(replay);
            for (b, &first) in windows.batch.index.iter().enumerate() {
                let age = (first as usize + 50 - 30) % 50;
                let step = 31 + age;
                for row in 0..3 {
                    let at = 9 - (step - 1) % 9; // rows until the episode's end
                    let expected = (step - 1) % 9 + row.min(at - 1).min(80 - step);
                    assert_eq!(windows.t[b * 3 + row] as usize, expected, "step {step}, row {row}");
                }
            }
        }
    }
    // Both go on alike.
    live(&mut *agent, 1.0);
    live(&mut *restored, 1.0);
    assert_eq!(agent.histograms().unwrap(), restored.histograms().unwrap());
}

fn windows(replay: &Replay) -> WindowBatch {
    let mut windows = WindowBatch::new(200, O, A, 3, 0.9);
    replay.sample_window(&mut Streams::new(3).rng("windows"), &mut windows).unwrap();
    windows
}

#[test]
fn what_cannot_be_shaped_is_refused_by_name() {
    let setup = Setup { obs_dim: O, act_dim: A, streams: Streams::new(7), device: Device::Cpu, threads: 1 };
    let expression = |text: &str| json!({"kind": "expression", "bonus": text});
    for (config, words) in [
        (json!({"kind": "sac", "shaping": {"kind": "gradient"}}), "agent.shaping: the environment's reward has no"),
        (json!({"kind": "sac", "shaping": expression("obs[3]")}), "agent.shaping.bonus: column 1: no `obs[3]`"),
        (
            json!({"kind": "mbpo", "termination": {"kind": "never"}, "policy": {"shaping": expression("obs[3]")}}),
            "agent.policy.shaping.bonus: column 1",
        ),
        (
            json!({"kind": "mbpo", "termination": {"kind": "never"}, "policy": {"shaping": expression("t")}}),
            "agent.policy.shaping: reads `t`",
        ),
        (
            json!({"kind": "gail", "reward": {"kind": "environment"}, "absorbing": "off", "policy": {"kind": "td3", "shaping": expression("1")}}),
            "agent.policy.shaping: shapes no reward here",
        ),
    ] {
        let parsed: AgentConfig = serde_json::from_value(config.clone()).unwrap();
        let error = parsed.build(&setup, &TaskContext::NONE).err().unwrap().to_string();
        assert!(error.contains(words), "{config}: {error}");
    }
}
