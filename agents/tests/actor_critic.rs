//! Whole agents: exact resume, the same result on any number of threads and by autograd, the metrics their pages list.
#![allow(clippy::unwrap_used)] // a test that cannot go on should say so

use liprl_agents::{Agent, AgentConfig, Metrics, Setup, TaskContext, Transition, Visited, VisitedEpisode};
use liprl_control::Policy;
use liprl_numerics::{State, StateIo, Streams};
use serde_json::json;
use tch::Device;

const OBS: usize = 4;
const ACT: usize = 2;

fn build(config: serde_json::Value, threads: usize) -> Box<dyn Agent> {
    let config: AgentConfig = serde_json::from_value(config).unwrap();
    let setup = Setup { obs_dim: OBS, act_dim: ACT, streams: Streams::new(11), device: Device::Cpu, threads };
    config.build(&setup, &TaskContext::NONE).unwrap()
}

/// A small deterministic world: what an agent experiences depends on its actions only.
struct World {
    obs: Vec<f32>,
    step: usize,
}

impl World {
    fn new() -> Self {
        Self { obs: vec![0.1; OBS], step: 0 }
    }

    fn run(&mut self, agent: &mut dyn Agent, steps: usize, metrics: &mut Metrics) -> Vec<f32> {
        let mut actions = Vec::new();
        for _ in 0..steps {
            let mut action = [0.0; ACT];
            agent.act(&self.obs, &mut action).unwrap();
            actions.extend_from_slice(&action);
            self.step += 1;
            let next: Vec<f32> = (0..OBS)
                .map(|i| 0.9 * self.obs[i] + 0.3 * action[i % ACT] + 0.05 * ((self.step * (i + 1)) as f32).sin())
                .collect();
            let reward = -next.iter().map(|x| x * x).sum::<f32>();
            let (terminated, truncated) = (self.step.is_multiple_of(17), self.step.is_multiple_of(29));
            let transition =
                Transition { obs: &self.obs, action: &action, reward, next_obs: &next, terminated, truncated };
            agent.observe(&transition).unwrap();
            agent.update(metrics).unwrap();
            self.obs = if terminated || truncated { vec![0.1; OBS] } else { next };
        }
        actions
    }
}

fn small(kind: &str, extra: serde_json::Value) -> serde_json::Value {
    let net = json!({"hidden": [16, 16]});
    let mut config =
        json!({"kind": kind, "batch_size": 32, "buffer_size": 500, "learning_starts": 40, "actor": net, "critic": net});
    config.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    config
}

fn variants() -> Vec<serde_json::Value> {
    vec![
        small("sac", json!({})),
        small(
            "sac",
            json!({"n_step": 3, "critic_loss": "huber", "target_update_every": 2, "updates": 2, "update_every": 2,
                "normalise_observations": {}, "priorities": {}, "temperature": {"kind": "fixed", "alpha": 0.0},
                "actor": {"hidden": [16], "activation": "swish", "layer_norm": true, "clip_norm": 0.5, "lr_schedule": {"linear": {"updates": 1000}}}}),
        ),
        small("td3", json!({})),
        small(
            "td3",
            json!({"twin": false, "policy_delay": 1, "target_noise": 0.0, "action_noise": {"kind": "ornstein_uhlenbeck"},
                "parameter_noise": {"adapt_every": 3}, "n_step": 4, "backup": {"soft": {"minimum_weight": 0.75}},
                "actor": {"hidden": [16], "layer_norm": true, "init": {"orthogonal": {"output_gain": 0.01}}, "clip_norm": 40}}),
        ),
        small(
            "td3",
            json!({"twin": false, "critic_head": {"kind": "categorical", "v_min": -10, "v_max": 0, "clamp": 0.01}, "n_step": 3,
                "priorities": {}, "target_updates": "every_update"}),
        ),
        small(
            "td3",
            json!({"twin": false, "critic_head": {"kind": "quantile", "quantiles": 12, "reference_tiling": true}, "priorities": {},
                "updates": 2, "update_every": 2, "delay_counts": "rounds"}),
        ),
        small("td3", json!({"normalise_returns": {"rate": 0.05}, "priorities": {}, "n_step": 2})),
        small("sac", json!({"normalise_returns": {"pop_art": false}, "priorities": {}})),
        small(
            "sac",
            json!({"critic_spectral_norm": {"scale": 2}, "priorities": {}, "normalise_returns": {"pop_art": false},
                "value_regulariser": {"kind": "robust", "adversary": {"pgd": {"steps": 2}}, "action": "sample", "every": 2, "rows": 9}}),
        ),
        small(
            "sac",
            json!({"value_regulariser": {"kind": "robust", "adversary": "uniform"}, "normalise_observations": {}}),
        ),
        small(
            "td3",
            json!({"critic_spectral_norm": {"scale": 2}, "normalise_observations": {},
                "value_regulariser": {"kind": "gradient_penalty", "target": 0.1}}),
        ),
        small(
            "td3",
            json!({"actor": {"hidden": [16, 16], "lipschitz": {"alpha": 2}}, "normalise_observations": {},
                "critic": {"hidden": [16], "lipschitz": {"alpha": 20, "layers": "ldlt"}, "clip_norm": 5}}),
        ),
        small(
            "sac",
            json!({"actor": {"hidden": [16], "weight_constraint": {"kind": "spectral_normalise", "alpha": 2}},
                "critic": {"hidden": [16], "optimiser": {"muon": {}}, "weight_constraint": {"kind": "soft_cap", "alpha": 9}},
                "value_regulariser": {"kind": "robust", "adversary": "uniform"}}),
        ),
        small(
            "td3",
            json!({"critic": {"hidden": [16], "activation": "tanh"}, "value_regulariser": {"kind": "gradient_penalty", "every": 2}}),
        ),
    ]
}

fn restore(agent: &mut dyn Agent, from: &mut dyn Agent) {
    let state = State::from_bytes(&from.save().unwrap().to_bytes().unwrap()).unwrap();
    agent.load(&state).unwrap();
    for ((_, to), (_, from)) in agent.replays().into_iter().zip(from.replays()) {
        to.state(&mut StateIo::load_from(&State::of(|io| from.state(io)).unwrap())).unwrap();
        for (chunk, _) in from.chunks() {
            to.restore_chunk(chunk, &from.chunk_bytes(chunk)).unwrap();
        }
    }
}

#[test]
fn a_restored_agent_goes_on_as_if_never_stopped() {
    for config in variants() {
        for threads in [1, 2] {
            let (mut one, mut other) = (build(config.clone(), threads), build(config.clone(), threads));
            let mut world = World::new();
            world.run(&mut *one, 93, &mut Metrics::default());
            restore(&mut *other, &mut *one);
            let mut copy = World { obs: world.obs.clone(), step: world.step };
            let (mut metrics, mut metrics_copy) = (Metrics::default(), Metrics::default());
            let actions = world.run(&mut *one, 60, &mut metrics);
            assert_eq!(actions, copy.run(&mut *other, 60, &mut metrics_copy), "{config}");
            assert_eq!(metrics.drain(), metrics_copy.drain());
            assert_eq!(one.save().unwrap(), other.save().unwrap());
            assert_eq!(one.updates(), other.updates());
            assert!(actions.iter().any(|action| action.abs() > 0.01 && action.abs() < 0.99));
        }
    }
}

#[test]
fn threads_change_nothing_but_rounding() {
    for config in variants() {
        let losses = [1, 2, 3].map(|threads| {
            let mut metrics = Metrics::default();
            World::new().run(&mut *build(config.clone(), threads), 45, &mut metrics);
            metrics.drain().into_iter().map(|(_, value)| value).collect::<Vec<_>>()
        });
        for other in &losses[1..] {
            for (a, b) in losses[0].iter().zip(other) {
                assert!((a - b).abs() < 1e-3 * a.abs().max(0.1), "{a} and {b}, {config}");
            }
        }
    }
}

#[test]
fn acting_greedily_and_looking_change_nothing() {
    for config in variants() {
        let mut agent = build(config, 1);
        World::new().run(&mut *agent, 60, &mut Metrics::default());
        let before = agent.save().unwrap();
        let (mut first, mut second) = ([0.0; ACT], [0.0; ACT]);
        agent.act_greedy(&[0.3; OBS], &mut first).unwrap();
        agent.act_greedy(&[0.3; OBS], &mut second).unwrap();
        assert_eq!(first, second);
        let histograms = agent.histograms().unwrap();
        assert!(histograms.iter().any(|(name, values)| name == "values/critic_0" && values.len() == 32));
        assert_eq!(agent.save().unwrap(), before);
    }
}

#[test]
fn an_exported_policy_acts_as_its_agent_does() {
    for config in variants() {
        let mut agent = build(config, 1);
        World::new().run(&mut *agent, 60, &mut Metrics::default());
        let mut exported = agent.policy().unwrap();
        exported.about_mut().insert("env".into(), json!("World-v0"));
        let bytes = exported.to_bytes().unwrap();
        let mut policy = Policy::load(&bytes).unwrap();
        assert_eq!(policy.about()["env"], "World-v0");
        let (mut by_agent, mut by_policy) = ([0.0; ACT], [0.0; ACT]);
        for i in 0..10 {
            let obs = [0.3 * i as f32, -0.1, 0.2, 1.0 - 0.2 * i as f32];
            agent.act_greedy(&obs, &mut by_agent).unwrap();
            policy.act(&obs, &mut by_policy).unwrap();
            assert_eq!(by_agent, by_policy);
        }
        assert!(policy.act(&[0.0; OBS + 1], &mut by_policy).unwrap_err().to_string().contains("the task has (5, 2)"));
        assert!(Policy::load(&bytes[..bytes.len() / 2]).is_err());
    }
}

#[test]
fn a_state_of_another_shape_is_refused_by_name() {
    let state = build(small("sac", json!({})), 1).save().unwrap();
    let mut wider = build(small("sac", json!({"actor": {"hidden": [17, 16]}})), 1);
    assert!(wider.load(&state).unwrap_err().to_string().contains("actor/params"));
}

#[test]
fn a_value_that_is_not_finite_stops_the_update_and_names_the_loss() {
    let mut agent =
        build(small("sac", json!({"critic": {"hidden": [16], "lr": 1.0}, "actor": {"hidden": [16], "lr": 1.0}})), 1);
    let mut state = agent.save().unwrap();
    let n = state.arrays["critic/params"].shape[0];
    state.put_f32("critic/params", &[n], &vec![f32::NAN; n]);
    agent.load(&state).unwrap();
    let (obs, action) = ([0.0; OBS], [0.0; ACT]);
    let transition =
        Transition { obs: &obs, action: &action, reward: 0.0, next_obs: &obs, terminated: false, truncated: false };
    let mut result = Ok(());
    for _ in 0..50 {
        agent.observe(&transition).unwrap();
        result = result.and(agent.update(&mut Metrics::default()));
    }
    assert!(result.unwrap_err().to_string().contains("critics' loss is not finite"));
}

#[test]
fn settings_out_of_range_or_at_odds_are_refused_by_name() {
    let head = |kind: &str| json!({"kind": kind, "v_min": 0, "v_max": 1});
    for (extra, name, remedy) in [
        (json!({"critic_head": head("categorical")}), "critic_head", "put `twin: false`"),
        (json!({"critic_head": {"kind": "quantile"}}), "critic_head", "put `twin: false`"),
        (
            json!({"twin": false, "critic_head": head("categorical"), "normalise_returns": {}}),
            "normalise_returns",
            "leave one",
        ),
        (json!({"updates": 0}), "updates", "1"),
        (
            json!({"actor": {"lipschitz": {"alpha": 1}}, "parameter_noise": {}}),
            "parameter_noise",
            "take `action_noise`",
        ),
        (json!({"critic": {"lipschitz": {"alpha": 1}}, "normalise_returns": {}}), "critic", "pop_art: false"),
        (
            json!({"critic": {"weight_constraint": {"kind": "decay", "rate": 0.1}}, "critic_spectral_norm": {}}),
            "critic",
            "critic_spectral_norm",
        ),
        (json!({"actor": {"lipschitz": {"alpha": 1}, "layer_norm": true}}), "actor.lipschitz", "layer_norm: false"),
        (json!({"critic": {"weight_constraint": {"kind": "soft_cap", "alpha": 1}}}), "critic.weight", "muon: {}"),
    ] {
        let config: AgentConfig = serde_json::from_value(small("td3", extra)).unwrap();
        let streams = Streams::new(0);
        let Err(error) = config
            .build(&Setup { obs_dim: OBS, act_dim: ACT, streams, device: Device::Cpu, threads: 1 }, &TaskContext::NONE)
        else {
            panic!("{config:?} was taken");
        };
        let error = error.to_string();
        assert!(error.starts_with(name) && error.contains(remedy), "{error}");
    }
}

/// The metrics in the table of a module's page.
fn listed(source: &str) -> Vec<String> {
    let rows = source.lines().filter_map(|line| line.strip_prefix("//! | `"));
    let mut names: Vec<String> = rows.filter_map(|row| row.split('`').next()).map(str::to_owned).collect();
    names.sort();
    names
}

#[test]
fn every_metric_is_on_its_module_s_page() {
    let (sac, td3) = (include_str!("../src/actor_critic/sac.rs"), include_str!("../src/actor_critic/td3.rs"));
    let optional = json!({"parameter_noise": {"adapt_every": 2}, "normalise_returns": {}});
    for (config, page) in [(small("sac", json!({"normalise_returns": {}})), sac), (small("td3", optional), td3)] {
        let mut metrics = Metrics::default();
        World::new().run(&mut *build(config, 1), 60, &mut metrics);
        let mut emitted: Vec<String> = metrics.drain().into_iter().map(|(name, _)| name.into_owned()).collect();
        emitted.sort();
        assert_eq!(emitted, listed(page));
    }
}

/// The bias of Q at an evaluation's pairs, against the critics in f64 and returns by hand. Where
/// rewards are shaped there is none.
#[test]
fn the_bias_of_q_is_its_distance_from_the_returns_that_followed() {
    for (extra, measured) in [
        (json!({"normalise_observations": {}}), true),
        (json!({"shaping": {"kind": "constant", "factor": 0.5}}), false),
    ] {
        let mut agent = build(small("sac", extra), 1);
        World::new().run(&mut *agent, 120, &mut Metrics::default());
        let (obs, action) = ([[0.1, -0.2, 0.3, 0.4], [0.5, 0.1, -0.3, 0.2f32]], [[0.3, -0.6], [0.1, 0.9f32]]);
        let episode = VisitedEpisode { rewards: vec![2.0, -1.0, 3.0], pairs: vec![0, 2], terminated: true };
        let visited = Visited {
            obs: obs.concat(),
            action: action.concat(),
            next_obs: vec![0.0; 2 * OBS],
            terminated: vec![false; 2],
            episodes: vec![episode],
        };
        let metrics = agent.diagnose(&visited).unwrap();
        let metric = |name: &str| metrics.iter().find(|(known, _)| known == name).map(|(_, value)| *value);
        assert_eq!(metric("q_bias/mean").is_some(), measured);
        if !measured {
            continue;
        }
        let critics = agent.networks().unwrap();
        let least = |row: usize| {
            let pair: Vec<f64> = obs[row].iter().chain(&action[row]).map(|x| f64::from(*x)).collect();
            let each = critics.iter().filter(|net| net.name.starts_with("critic_"));
            each.map(|net| net.network.as_ref().unwrap().forward(&pair)[0]).fold(f64::INFINITY, f64::min)
        };
        let returns = [2.0 - 0.99 + 0.99 * 0.99 * 3.0, 3.0];
        let bias = [least(0) - returns[0], least(1) - returns[1]];
        let mean = (bias[0] + bias[1]) / 2.0;
        assert!((metric("q_bias/mean").unwrap() - mean).abs() < 1e-4, "{metrics:?}");
        assert!((metric("q_bias/std").unwrap() - (bias[0] - mean).abs()).abs() < 1e-4);
        assert!((metric("q_bias/return_mean").unwrap() - (returns[0] + returns[1]) / 2.0).abs() < 1e-9);
    }
}
