//! Off-policy GAIL's rewards: returns of replayed windows under every setting, terminations, exact
//! resume, and the metrics that its page lists.
#![allow(clippy::unwrap_used)] // a test may stop here

use liprl_agents::{
    Agent, AgentConfig, AgentError, Flags, Metrics, Replay, ReplayConfig, Setup, TaskContext, Transition, Visited,
    WindowBatch,
    actor_critic::Rewards,
    demos::{Demonstrations, Episode},
    gail::{GailConfig, LearnedReward},
};
use liprl_numerics::{State, StateIo, Streams};
use serde_json::{Value, json};
use tch::Device;

#[path = "support/merge.rs"]
mod merge;

use merge::merge;

const OBS: usize = 3;
const ACT: usize = 2;
const GAMMA: f64 = 0.9;

fn setup() -> Setup {
    Setup { obs_dim: OBS, act_dim: ACT, streams: Streams::new(3), device: Device::Cpu, threads: 1 }
}

/// Numbers in [-1, 1] that look random, a fixed one for each place.
fn number(i: usize) -> f64 {
    ((i as f64 + 1.0) * 12.9898).sin()
}

/// Episodes of 30 steps near observation 1, the last of which is ended by the task in every second
/// one.
fn demonstrations() -> Demonstrations {
    let episodes = (0..4).map(|e| Episode {
        observations: (0..31 * OBS).map(|i| 1.0 + 0.1 * number(i + 1000 * e)).collect(),
        actions: (0..30 * ACT).map(|i| 0.5 * number(i + 500 * e)).collect(),
        rewards: vec![1.0; 30],
        terminations: (0..30).map(|t| e % 2 == 0 && t == 29).collect(),
        truncations: (0..30).map(|t| e % 2 == 1 && t == 29).collect(),
        ..Episode::default()
    });
    Demonstrations { episodes: episodes.collect(), ..Demonstrations::default() }
}

fn context(can_terminate: bool) -> TaskContext {
    TaskContext { demonstrations: Some(demonstrations()), can_terminate, ..TaskContext::NONE }
}

fn config(more: Value) -> Value {
    let mut config = json!({
        "keep_every": 2,
        "policy": {"kind": "td3", "gamma": GAMMA, "n_step": 10, "batch_size": 8, "buffer_size": 1000, "learning_starts": 12,
            "actor": {"hidden": [16]}, "critic": {"hidden": [16]}, "update_every": 2, "updates": 2},
        "discriminator": {"hidden": [12, 11], "batch_size": 8},
    });
    merge(&mut config, &more);
    config
}

fn learned_reward(more: Value, can_terminate: bool) -> Result<LearnedReward, AgentError> {
    let config: GailConfig = serde_json::from_value(config(more)).unwrap();
    LearnedReward::new(&config, config.policy_settings().0.gamma, &context(can_terminate), &setup())
}

/// A replay of episodes of these lengths, `true` for those the task ended; the last one goes on.
fn fill(learned: &mut LearnedReward, episodes: &[(usize, bool)], rest: usize) -> Replay {
    let priorities = None;
    let mut replay = Replay::new(ReplayConfig { capacity: 1000, obs_dim: OBS, act_dim: ACT, priorities }).unwrap();
    let steps = episodes.iter().flat_map(|&(len, ended)| (0..len).map(move |t| (t + 1 == len, ended)));
    for (i, (last, ended)) in steps.chain((0..rest).map(|_| (false, false))).enumerate() {
        let numbers: Vec<f32> = (0..2 * OBS + ACT).map(|k| number(i * 20 + k) as f32).collect();
        let (obs, rest) = numbers.split_at(OBS);
        let (action, next_obs) = rest.split_at(ACT);
        let (terminated, truncated) = (last && ended, last && !ended);
        let reward = number(7 * i) as f32;
        learned.observe(&Transition { obs, action, reward, next_obs, terminated, truncated }, &mut replay).unwrap();
    }
    replay
}

/// The windows that start at these rows, relabelled.
fn windows(learned: &mut LearnedReward, replay: &Replay, starts: &[u32], n: usize) -> WindowBatch {
    let mut window = WindowBatch::new(starts.len(), OBS, ACT, n, GAMMA);
    // Draw until every window starts at its row: sampling is the only way to whole windows.
    let mut rng = Streams::new(1).rng("windows");
    let mut singles = Vec::new();
    for &start in starts {
        let mut single = WindowBatch::new(1, OBS, ACT, n, GAMMA);
        while single.batch.index[0] != start || single.batch.reward.double_value(&[0]) == 0.0 {
            replay.sample_window(&mut rng, &mut single).unwrap();
        }
        singles.push(single);
    }
    let stack =
        |of: &dyn Fn(&WindowBatch) -> tch::Tensor| tch::Tensor::cat(&singles.iter().map(of).collect::<Vec<_>>(), 0);
    window.obs = stack(&|w| w.obs.shallow_clone());
    window.action = stack(&|w| w.action.shallow_clone());
    window.reward = stack(&|w| w.reward.shallow_clone());
    window.next_obs = stack(&|w| w.next_obs.shallow_clone());
    window.mask = stack(&|w| w.mask.shallow_clone());
    window.batch.discount = stack(&|w| w.batch.discount.shallow_clone());
    window.flags = singles.iter().flat_map(|w| w.flags.clone()).collect();
    window.batch.flags = singles.iter().flat_map(|w| w.batch.flags.clone()).collect();
    learned.relabel(&mut window, &mut Metrics::default()).unwrap();
    window
}

fn read(tensor: &tch::Tensor) -> Vec<f64> {
    Vec::try_from(tensor.to_kind(tch::Kind::Double).flatten(0, -1)).unwrap()
}

/// Σ_{k<m} γᵏ.
fn sum(m: i32) -> f64 {
    (1.0 - GAMMA.powi(m)) / (1.0 - GAMMA)
}

fn assert_all_close(a: &[f64], b: &[f64]) {
    assert_eq!(a.len(), b.len());
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0), "{i}: {a} and {b}");
    }
}

/// The page's table: n = 10, an episode ended at row 14 of 30. Rows 5, 6, 10, 14 and 25 begin
/// windows of 10, 9, 5, 1 and 5 steps.
const STARTS: [u32; 5] = [5, 6, 10, 14, 25];
const LENGTHS: [i32; 5] = [10, 9, 5, 1, 5];

#[test]
fn windows_end_with_the_episode_and_by_a_quirk_one_of_them_goes_on() {
    for (quirk, discounts) in
        [(false, [0.0, 0.0, 0.0, 0.0, GAMMA.powi(5)]), (true, [GAMMA.powi(10), 0.0, 0.0, 0.0, GAMMA.powi(5)])]
    {
        let reward = json!({"kind": "constant", "value": 2.0});
        let more = json!({"reward": reward, "absorbing": "off", "reference": {"open_last_step": quirk}});
        let mut learned = learned_reward(more, true).unwrap();
        let replay = fill(&mut learned, &[(15, true)], 15);
        let window = windows(&mut learned, &replay, &STARTS, 10);
        assert_all_close(&read(&window.batch.discount), &discounts);
        assert_all_close(&read(&window.batch.reward), &LENGTHS.map(|m| 2.0 * sum(m)));
    }
}

#[test]
fn an_absorbing_state_makes_ending_worth_what_going_on_is() {
    // With one reward everywhere, absorbing state included, every return is r / (1 − γ): ending
    // neither gains nor loses.
    let more = json!({"reward": {"kind": "constant", "value": 2.0}, "absorbing": "value"});
    let mut learned = learned_reward(more, true).unwrap();
    let replay = fill(&mut learned, &[(15, true)], 15);
    assert_eq!(replay.len(), 30, "absorbing transitions are not stored");
    let window = windows(&mut learned, &replay, &STARTS, 10);
    let value = 2.0 / (1.0 - GAMMA);
    let whole = |window: &WindowBatch, value: f64| -> Vec<f64> {
        read(&window.batch.reward).iter().zip(read(&window.batch.discount)).map(|(r, d)| r + d * value).collect()
    };
    assert_all_close(&whole(&window, value), &[value; 5]);
    // A factor on every reward, the absorbing state's included, is a change of units.
    let more = json!({"reward": {"kind": "constant", "value": 2.0}, "shaping": {"kind": "constant", "factor": 0.5}});
    let mut shaped = learned_reward(more, true).unwrap();
    let replay = fill(&mut shaped, &[(15, true)], 15);
    assert_all_close(&whole(&windows(&mut shaped, &replay, &STARTS, 10), value / 2.0), &[value / 2.0; 5]);
}

/// The other shapings see the absorbing row too. With κ 1 everywhere nothing changes. With κ at its
/// floor all of a return that ends there does, r(absorbing)/(1 − γ) included.
#[test]
fn shapings_by_gradients_precondition_the_absorbing_reward() {
    let returns = |shaping: Value| {
        // A last layer that is not near zero, so that the logit's gradient is large everywhere.
        let last_layer = json!({"init": {"orthogonal": {"output_gain": 3.0}}});
        let mut learned = learned_reward(json!({"shaping": shaping, "discriminator": last_layer}), true).unwrap();
        let replay = fill(&mut learned, &[(15, true)], 15);
        read(&windows(&mut learned, &replay, &[5], 10).batch.reward)
    };
    let plain = returns(Value::Null);
    assert_eq!(returns(json!({"kind": "gradient", "target": 100.0})), plain);
    assert_eq!(returns(json!({"kind": "purple", "target": 100.0})), plain);
    let floored =
        json!({"kind": "gradient", "target": 0.0, "floor": 0.5, "std_floor": 1e-6, "history": 1, "per_call": true});
    assert_all_close(&returns(floored), &[plain[0] / 2.0]);
}

#[test]
fn the_mean_reward_is_of_rows_within_their_windows() {
    let mut learned = learned_reward(json!({"reward": {"kind": "environment"}, "absorbing": "off"}), true).unwrap();
    let replay = fill(&mut learned, &[(15, true)], 15);
    let mut window = windows(&mut learned, &replay, &[13, 14], 10);
    let mut metrics = Metrics::default();
    learned.relabel(&mut window, &mut metrics).unwrap();
    let mean = metrics.drain().into_iter().find(|(name, _)| name == "train/reward_mean").unwrap().1;
    // Rows 13 and 14, and 14 again: three of the twenty slots.
    assert_all_close(&[mean], &[(number(7 * 13) + 2.0 * number(7 * 14)) / 3.0]);
}

/// A time limit that counts as a termination has nothing after it, unless the task ended the
/// episode, which it did in no demonstrated time limit.
#[test]
fn time_limits_taken_for_terminations_lead_to_no_absorbing_state() {
    let more = json!({"reward": {"kind": "constant", "value": 2.0}, "absorbing": "value", "reference": {"timeouts_terminate": true}});
    let mut learned = learned_reward(more, true).unwrap();
    let replay = fill(&mut learned, &[(15, false), (15, true)], 5);
    let window = windows(&mut learned, &replay, &[10, 25], 10);
    assert_all_close(&read(&window.batch.discount), &[0.0, 0.0]);
    assert_all_close(&read(&window.batch.reward), &[2.0 * sum(5), 2.0 / (1.0 - GAMMA)]);
    let state = State::of(|io| learned.state(io)).unwrap();
    assert_eq!(state.get::<u64>("imitation/terminations").unwrap(), 1);
}

/// If observations hardly vary, their standardised ones are a hundred times as large, and so is the
/// logit's gradient in raw units. The penalty holds the gradient in its own units at k.
#[test]
fn gradients_are_compared_with_the_target_in_the_penalty_s_units() {
    let share = |units: &str, target: f64| {
        let penalty = json!({"units": units, "target": target});
        let mut agent =
            agent(json!({"discriminator": {"standardise": true, "spectral_norm": false, "gradient_penalty": penalty}}));
        for i in 0..40 {
            let numbers: Vec<f32> = (0..2 * OBS + ACT).map(|k| 0.1 * number(i * 20 + k) as f32).collect();
            let (obs, rest) = numbers.split_at(OBS);
            let (action, next_obs) = rest.split_at(ACT);
            let step = Transition { obs, action, reward: 0.0, next_obs, terminated: false, truncated: false };
            agent.observe(&step).unwrap();
        }
        let metrics = agent.diagnose(&Visited::default()).unwrap();
        let value = |name: &str| metrics.iter().find(|(other, _)| other == name).unwrap().1;
        let norm = |which: &str| value(&format!("lipschitz/discriminator_gradient/replay/{which}"));
        (
            value("lipschitz/share_above_target/replay"),
            value("lipschitz/within_target/replay"),
            norm("q50"),
            norm("max"),
        )
    };
    // An untrained logit's gradient is small; in raw units it is larger by 1/0.1, the floor of the
    // moments' deviation.
    let (_, _, median, most) = share("environment", 1.0);
    let (above, within, ..) = share("environment", median);
    assert!((0.3..=0.7).contains(&above) && within < 1.0, "{above} {within}");
    let (above, within, ..) = share("network", median);
    assert_eq!((above, within), (0.0, 1.0), "of at most {most} in raw units");
}

/// A clone has learnt on inputs standardised by the demonstrations' moments, and keeps them until
/// it learns.
#[test]
fn steps_before_learning_do_not_change_a_clone() {
    let more = json!({"warm_start": {"updates": 20}, "policy": {"normalise_observations": {}, "learning_starts": 500}});
    let mut agent = agent(more);
    let (obs, mut before, mut after) = ([0.9, 1.1, 1.0], [0.0; ACT], [0.0; ACT]);
    agent.act(&obs, &mut after).unwrap();
    agent.act_greedy(&obs, &mut before).unwrap();
    let step = |reward| Transition {
        obs: &[50.0, -3.0, 7.0],
        action: &[0.0; ACT],
        reward,
        next_obs: &obs,
        terminated: false,
        truncated: false,
    };
    (0..499).for_each(|i| agent.observe(&step(number(i) as f32)).unwrap());
    agent.act_greedy(&obs, &mut after).unwrap();
    assert_eq!(after, before);
    // The moments are the demonstrations' own, and the policy's observations join them once it
    // learns.
    (0..50).for_each(|i| agent.observe(&step(number(i) as f32)).unwrap());
    agent.act_greedy(&obs, &mut after).unwrap();
    assert_ne!(after, before);
}

#[test]
fn time_limits_go_on_unless_the_quirk_is_on() {
    for (quirk, discount) in [(false, GAMMA.powi(5)), (true, 0.0)] {
        let more = json!({"reward": {"kind": "environment"}, "absorbing": "value", "reference": {"timeouts_terminate": quirk}});
        let mut learned = learned_reward(more, true).unwrap();
        let replay = fill(&mut learned, &[(15, false)], 15);
        let window = windows(&mut learned, &replay, &[10], 10);
        assert_all_close(&read(&window.batch.discount), &[discount]);
        let rewards: f64 = (10..15).map(|i| number(7 * i) * GAMMA.powi(i as i32 - 10)).sum();
        assert_all_close(&read(&window.batch.reward), &[rewards]);
    }
}

#[test]
fn the_reference_s_absorbing_copy_is_stored_after_the_last_step_and_only_there() {
    let mut learned = learned_reward(json!({"absorbing": "reference"}), true).unwrap();
    let replay = fill(&mut learned, &[(4, true), (3, false)], 2);
    assert_eq!(replay.len(), 10);
    let rows: Vec<_> = replay.rows().collect();
    let absorbing: Vec<usize> = (0..10).filter(|&i| rows[i].flags.contains(Flags::OBS_ABSORBING)).collect();
    assert_eq!(absorbing, [4]);
    // The critic sees the last real transition again, the discriminator the absorbing one.
    assert_eq!((rows[3].obs, rows[3].action), (rows[4].obs, rows[4].action));
    assert!(rows[3].flags.contains(Flags::TERMINATED) && rows[4].flags.contains(Flags::TERMINATED));
    let window = windows(&mut learned, &replay, &[3, 4], 5);
    let returns = read(&window.batch.reward);
    assert!((returns[0] - returns[1]).abs() > 1e-6, "each has a reward of its own");
    assert_eq!(read(&window.batch.discount), [0.0, 0.0]);
}

#[test]
fn rewards_are_those_of_the_discriminator_at_the_time_of_sampling() {
    let mut learned = learned_reward(json!({"absorbing": "value"}), true).unwrap();
    let replay = fill(&mut learned, &[(15, true)], 15);
    let before = read(&windows(&mut learned, &replay, &STARTS, 10).batch.reward);
    let again = read(&windows(&mut learned, &replay, &STARTS, 10).batch.reward);
    assert_eq!(before, again);
    // Untrained, with a head of gain 0.01, D is near ½ everywhere: r = log 2, here and in the
    // absorbing state.
    let expected: Vec<f64> = LENGTHS
        .iter()
        .zip(STARTS)
        .map(|(&m, start)| f64::ln(2.0) * if start < 15 { 1.0 / (1.0 - GAMMA) } else { sum(m) })
        .collect();
    for (a, b) in before.iter().zip(&expected) {
        assert!((a / b - 1.0).abs() < 0.05, "{a} and {b}");
    }
    learned.learn_beside(&replay, &mut Metrics::default()).unwrap();
    assert!(before != read(&windows(&mut learned, &replay, &STARTS, 10).batch.reward));
}

#[test]
fn impossible_settings_are_refused_with_a_remedy() {
    let refused = |more: Value, can_terminate| learned_reward(more, can_terminate).err().unwrap().to_string();
    assert!(refused(json!({"absorbing": "value"}), false).starts_with("agent.absorbing: this task never ends"));
    assert!(refused(json!({"policy": {"gamma": 1.0}}), true).contains("lower gamma"));
    let labels = json!({"uniform": {"low": 1.2, "high": 0.7}});
    assert!(refused(json!({"discriminator": {"expert_labels": labels}}), true).contains("`low` is above `high`"));
    assert!(
        refused(json!({"discriminator": {"batch_size": 80}}), true).contains("a batch of the discriminator takes 80")
    );
    let lipschitz = json!({"discriminator": {"lipschitz": {"alpha": 2}}});
    assert!(refused(lipschitz, true).contains("put `spectral_norm: false`"));
    let swish = json!({"spectral_norm": false, "lipschitz": {"alpha": 2}, "activation": "swish"});
    assert!(refused(json!({"discriminator": swish}), true).contains("take relu"));
    assert!(refused(json!({"episodes": 9}), true).contains("the demonstrations have 4"));
    let environment = json!({"kind": "environment"});
    assert!(
        refused(json!({"reward": environment, "shaping": {"kind": "gradient", "target": 1.0}}), true)
            .contains("the environment's reward has no gradient")
    );
    assert!(
        refused(json!({"reward": environment, "warm_start": {}, "keep_every": 40}), false)
            .starts_with("agent.warm_start: has nothing to clone")
    );
    assert!(
        learned_reward(json!({"reward": environment, "warm_start": {}, "keep_every": 40}), true).is_ok(),
        "the steps that ended episodes are left"
    );
    let red = |keep: u64| json!({"reward": {"kind": "red", "epochs": 1}, "discriminator": {"batch_size": 640}, "keep_every": keep});
    assert!(learned_reward(red(2), true).is_ok(), "no discriminator takes a batch");
    assert!(learned_reward(red(40), true).is_ok(), "absorbing transitions are left");
    assert!(refused(red(40), false).contains("no transition is left of 4 episodes"));
    let config: GailConfig = serde_json::from_value(config(json!({}))).unwrap();
    let nothing = LearnedReward::new(&config, config.policy_settings().0.gamma, &TaskContext::NONE, &setup())
        .err()
        .unwrap()
        .to_string();
    assert!(nothing.starts_with("agent.demonstrations: is missing"), "{nothing}");
    // A task that never ends is fine without an absorbing state.
    assert!(learned_reward(json!({}), false).is_ok());
}

/// The discriminator learns on a thread of its own if its work is large enough beside the learner's: the
/// same numbers, to the bit, as on one thread.
#[test]
fn a_discriminator_beside_the_learner_changes_no_bit() {
    let large = json!({"discriminator": {"hidden": [64, 64], "passes": 2}});
    let small = json!({"discriminator": {"steps": 1}, "policy": {"critic": {"hidden": [64, 64]}, "batch_size": 64}});
    for (more, beside) in [(large, true), (small, false)] {
        let parsed: GailConfig = serde_json::from_value(config(more.clone())).unwrap();
        let kind = json!({"kind": "gail"});
        let mut all = config(more);
        merge(&mut all, &kind);
        let parsed_agent: AgentConfig = serde_json::from_value(all).unwrap();
        let ends = [1, 2].map(|threads| {
            let setup = Setup { threads, ..setup() };
            let mut agent = parsed_agent.build(&setup, &context(true)).unwrap();
            let mut metrics = Metrics::default();
            run(&mut *agent, 0, 60, &mut metrics);
            (agent.save().unwrap().to_bytes().unwrap(), metrics.drain())
        });
        assert_eq!(ends[0].1 == ends[1].1, beside, "metrics of the learner's shares differ by rounding");
        assert_eq!(ends[0].0 == ends[1].0, beside, "{:?}", parsed.discriminator);
    }
}

fn agent(more: Value) -> Box<dyn Agent> {
    let mut all = config(more);
    all["kind"] = json!("gail");
    let config: AgentConfig = serde_json::from_value(all).unwrap();
    config.build(&setup(), &context(true)).unwrap()
}

/// All parts that have state, in a few combinations.
fn variants() -> Vec<Value> {
    let labels = json!({"uniform": {"low": 0.7, "high": 1.2}});
    let everything = json!({
        "policy": {"parameter_noise": {}, "action_noise": {"kind": "ornstein_uhlenbeck"}, "normalise_observations": {}, "priorities": {},
            "normalise_returns": {"pop_art": true}},
        "discriminator": {"standardise": true, "expert_labels": labels, "fresh_rows": true},
        "shaping": {"kind": "purple", "target": 0.1}, "warm_start": {"updates": 20}});
    let sac = json!({"policy": null, "reward": {"kind": "airl"}, "shaping": {"kind": "gradient", "target": 0.01}});
    let mut sac_config = sac;
    sac_config["policy"] = json!({"kind": "sac", "gamma": GAMMA, "n_step": 3, "batch_size": 8, "learning_starts": 12,
        "actor": {"hidden": [16]}, "critic": {"hidden": [16]}});
    let quantile = json!({"policy": {"twin": false, "critic_head": {"kind": "quantile", "quantiles": 7}}, "reference": true,
        "discriminator": {"loss": {"positive_unlabelled": {"prior": 0.5, "slack": 0.0}}, "input": "state_state"}});
    let red = json!({"reward": {"kind": "red", "epochs": 3}});
    let sandwich = json!({"spectral_norm": false, "lipschitz": {"alpha": 2}});
    let clipped = json!({"spectral_norm": false, "weight_constraint": {"kind": "svd_clip", "alpha": 2}, "optimiser": {"muon": {}}});
    let constant = json!({"discriminator": sandwich, "warm_start": {"updates": 20},
        "policy": {"actor": {"lipschitz": {"alpha": 3}}, "critic": {"lipschitz": {"alpha": 9, "layers": "bjorck"}}}});
    vec![everything, sac_config, quantile, red, constant, json!({"discriminator": clipped})]
}

/// Lets an agent act in a made-up world from step `from` to `to`.
fn run(agent: &mut dyn Agent, from: usize, to: usize, metrics: &mut Metrics) -> Vec<f32> {
    let mut actions = Vec::new();
    let mut action = [0.0; ACT];
    for step in from..to {
        let obs: Vec<f32> = (0..OBS).map(|i| number(step * OBS + i) as f32).collect();
        let next_obs: Vec<f32> = (0..OBS).map(|i| number((step + 1) * OBS + i) as f32).collect();
        agent.act(&obs, &mut action).unwrap();
        actions.extend_from_slice(&action);
        let (terminated, truncated) = (step % 17 == 16, step % 23 == 22 && step % 17 != 16);
        let reward = number(step) as f32;
        let transition = Transition { obs: &obs, action: &action, reward, next_obs: &next_obs, terminated, truncated };
        agent.observe(&transition).unwrap();
        agent.update(metrics).unwrap();
    }
    actions
}

#[test]
fn a_restored_agent_goes_on_as_if_never_stopped() {
    for variant in variants() {
        let mut whole = agent(variant.clone());
        run(&mut *whole, 0, 50, &mut Metrics::default());
        let state = State::from_bytes(&whole.save().unwrap().to_bytes().unwrap()).unwrap();
        let mut resumed = agent(variant.clone());
        resumed.load(&state).unwrap();
        for ((_, from), (_, to)) in whole.replays().into_iter().zip(resumed.replays()) {
            to.state(&mut StateIo::load_from(&State::of(|io| from.state(io)).unwrap())).unwrap();
            for (chunk, _) in from.chunks() {
                to.restore_chunk(chunk, &from.chunk_bytes(chunk)).unwrap();
            }
        }
        let (mut a, mut b) = (Metrics::default(), Metrics::default());
        assert_eq!(run(&mut *whole, 50, 90, &mut a), run(&mut *resumed, 50, 90, &mut b), "{variant}");
        assert_eq!(whole.save().unwrap().to_bytes().unwrap(), resumed.save().unwrap().to_bytes().unwrap());
        assert_eq!(a.drain(), b.drain());
    }
}

#[test]
fn every_metric_is_on_a_page_and_every_one_on_the_page_is_logged() {
    let page = include_str!("../src/gail/learned_reward/mod.rs");
    let listed: Vec<&str> = (page.lines().take_while(|line| line.starts_with("//!")))
        .filter_map(|line| line.strip_prefix("//! | `")?.split('`').next())
        .collect();
    let mut metrics = Metrics::default();
    run(&mut *agent(json!({"monitor": {}})), 0, 40, &mut metrics);
    let logged: Vec<String> = metrics.drain().into_iter().map(|(name, _)| name.into_owned()).collect();
    let missing: Vec<_> = listed.iter().filter(|name| !logged.iter().any(|logged| logged == *name)).collect();
    assert!(listed.len() > 8 && missing.is_empty(), "not logged: {missing:?}");
    let policy = ["critic", "actor", "q_mean"];
    let unlisted: Vec<_> = (logged.iter())
        .filter(|name| !listed.contains(&name.as_str()) && !policy.iter().any(|part| name.contains(part)))
        .collect();
    assert!(unlisted.is_empty(), "not on the page: {unlisted:?}");
}

#[test]
fn diagnostics_are_those_on_their_pages_and_looking_changes_nothing() {
    let mut agent =
        agent(json!({"monitor": {}, "policy": {"normalise_observations": {}, "actor": {"lipschitz": {"alpha": 5}}}}));
    run(&mut *agent, 0, 60, &mut Metrics::default());
    let numbers = |count: usize, from: usize| (0..count).map(|i| number(from + i) as f32).collect::<Vec<_>>();
    let (obs, action, next_obs) = (numbers(20 * OBS, 0), numbers(20 * ACT, 500), numbers(20 * OBS, 900));
    let visited = Visited { obs, action, next_obs, ..Visited::default() };
    let before = agent.save().unwrap().to_bytes().unwrap();
    let metrics = agent.diagnose(&visited).unwrap();
    assert_eq!(metrics, agent.diagnose(&visited).unwrap());
    assert!(before == agent.save().unwrap().to_bytes().unwrap(), "looking changes nothing");
    assert!(metrics.iter().all(|(_, value)| value.is_finite()), "{metrics:?}");
    let pages =
        [include_str!("../src/gail/learned_reward/diagnostics.rs"), include_str!("../src/actor_critic/diagnostics.rs")];
    let listed: Vec<&str> = (pages.iter().flat_map(|page| page.lines()))
        .filter_map(|line| line.strip_prefix("//! | `")?.split(['`', '<']).next())
        .collect();
    let found = |start: &str| metrics.iter().filter(|(name, _)| name.starts_with(start)).count();
    for start in &listed {
        // Estimates and bounds are left out if they do not exist.
        let may_lack = start.ends_with("paper_estimate") || start.ends_with("sound_bound");
        assert!(may_lack || found(start) > 0, "{start} is not logged: {metrics:?}");
    }
    let known = |name: &str| {
        let family = |start: &&&str| name.starts_with(start.trim_end_matches('/'));
        listed.iter().any(|start| family(&start))
            || name.starts_with("lipschitz/q2_gradient")
            || name == "lipschitz/gamma2c/max"
    };
    let unknown: Vec<_> = metrics.iter().filter(|(name, _)| !known(name)).collect();
    assert!(unknown.is_empty(), "not on a page: {unknown:?}");
    for place in ["visited", "replay", "expert"] {
        let norm = |what: &str| {
            let name = format!("lipschitz/{what}/{place}/max");
            metrics.iter().find(|(other, _)| *other == name).map(|(_, value)| *value).unwrap()
        };
        assert!(norm("reward_gradient") <= norm("discriminator_gradient"), "|dr/dx| is at most 1");
        assert!(norm("q1_gradient") > 0.0 && norm("policy_jacobian") > 0.0);
    }
}
