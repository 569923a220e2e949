//! Termination rules against the tasks' own.

use liprl_agents::{
    TaskContext,
    mbpo::{Rule, TerminationConfig},
};
use liprl_envs::{Options, make};
use liprl_numerics::Streams;
use rand::RngExt;
use serde_json::{Value, json};

use super::OBS;

/// Steps random episodes of a task and compares its terminations with the rule on the observation.
/// Returns the numbers of terminations and of disagreements.
fn against_the_task(id: &str, options: Value, scale: f64) -> (usize, usize) {
    let options: Options = serde_json::from_value(options).unwrap();
    let mut env = make(id, &options).unwrap();
    let dim = env.observation_space().dim();
    let context =
        TaskContext { can_terminate: env.can_terminate(), task: Some(env.spec().clone()), ..TaskContext::NONE };
    let rule = Rule::new(&TerminationConfig::Known, &context, dim).unwrap();
    let (mut rng, mut obs, mut ended, mut wrong) = (Streams::new(8).rng(id), vec![0.0; dim], 0, 0);
    env.reset(Some(4), &Options::new(), &mut obs).unwrap();
    for _ in 0..4000 {
        let bounds = env.action_space();
        let action: Vec<f64> =
            bounds.low.iter().zip(&bounds.high).map(|(low, high)| scale * rng.random_range(*low..=*high)).collect();
        let step = env.step(&action, &mut obs).unwrap();
        let seen: Vec<f32> = obs.iter().map(|x| *x as f32).collect();
        ended += usize::from(step.terminated);
        wrong += usize::from(rule.ends(&seen) != step.terminated);
        if step.done() {
            env.reset(None, &Options::new(), &mut obs).unwrap();
        }
    }
    (ended, wrong)
}

#[test]
fn the_known_rules_are_the_tasks_own() {
    let humanoid = json!({"include_cinert_in_observation": false, "include_cvel_in_observation": false,
        "include_qfrc_actuator_in_observation": false, "include_cfrc_ext_in_observation": false});
    for (id, options, scale) in [
        ("Hopper-v5", json!({}), 1.0),
        (
            "Hopper-v5",
            json!({"exclude_current_positions_from_observation": false, "healthy_state_range": [-3, 3]}),
            1.0,
        ),
        ("Walker2d-v5", json!({}), 1.0),
        ("Walker2d-v5", json!({"exclude_current_positions_from_observation": false}), 1.0),
        ("Ant-v5", json!({"include_cfrc_ext_in_observation": false, "healthy_z_range": [0.45, 0.9]}), 1.0),
        ("Humanoid-v5", humanoid, 1.0),
        ("InvertedPendulum-v5", json!({}), 1.0),
        ("CartPoleContinuous-v0", json!({}), 1.0),
    ] {
        let (ended, wrong) = against_the_task(id, options, scale);
        assert!(ended > 10 && wrong == 0, "{id}: {ended} ended, {wrong} wrong");
    }
    // The tip's height is that of one simulation step before: the rule may be a step early or late.
    let (ended, wrong) = against_the_task("InvertedDoublePendulum-v5", json!({}), 1.0);
    assert!(ended > 10 && wrong <= ended, "{ended} ended, {wrong} wrong");
    for (id, options) in [("HalfCheetah-v5", json!({})), ("Hopper-v5", json!({"terminate_when_unhealthy": false}))] {
        assert_eq!(against_the_task(id, options, 1.0), (0, 0), "{id}");
    }
}

#[test]
fn hopper_s_rule_counts_entries_on_both_sides() {
    let env = make("Hopper-v5", &Options::new()).unwrap();
    let context = TaskContext { can_terminate: true, task: Some(env.spec().clone()), ..TaskContext::NONE };
    let rule = Rule::new(&TerminationConfig::Known, &context, 11).unwrap();
    let mut obs = [0.0f32; 11];
    obs[0] = 1.2;
    assert!(!rule.ends(&obs));
    for (index, value) in [(0, 0.7), (1, 0.2), (1, -0.2), (5, 100.0), (5, -100.0), (10, -1e9), (3, f32::NAN)] {
        let mut bad = obs;
        bad[index] = value;
        assert!(rule.ends(&bad), "observation {index} at {value}");
    }
}

#[test]
fn a_task_with_neither_rule_nor_head_is_refused_and_own_rules_are_read() {
    let context = TaskContext { can_terminate: true, ..TaskContext::NONE };
    let read = |config: Value| serde_json::from_value::<TerminationConfig>(config).unwrap();
    let rule = |config: Value| Rule::new(&read(config), &context, OBS);
    let error = rule(json!({"kind": "known"})).unwrap_err().to_string();
    assert!(error.contains("no rule is known") && error.contains("kind: learned"), "{error}");
    let error = rule(json!({"kind": "leaves", "region": [{"index": 3, "low": 0}]})).unwrap_err().to_string();
    assert!(error.contains("observation 3 is asked for, there are 3"), "{error}");
    for region in [json!([{"index": 0}]), json!([{"index": 0, "low": 2, "high": 1}])] {
        assert!(rule(json!({"kind": "reaches", "region": region})).is_err());
    }
    let leaves =
        rule(json!({"kind": "leaves", "region": [{"index": 0, "low": -1, "high": 1}, {"index": 2, "high": 5}]}));
    let leaves = leaves.unwrap();
    assert!(!leaves.ends(&[1.0, 9.0, 5.0]) && leaves.ends(&[1.1, 0.0, 0.0]) && leaves.ends(&[0.0, 0.0, 5.1]));
    let reaches = rule(json!({"kind": "reaches", "region": [{"index": 0, "low": 1}, {"index": 1, "low": 0}]})).unwrap();
    assert!(reaches.ends(&[1.0, 0.0, 0.0]) && !reaches.ends(&[1.0, -0.1, 0.0]) && !reaches.ends(&[0.9, 1.0, 0.0]));
    let never = TaskContext { can_terminate: false, ..TaskContext::NONE };
    assert_eq!(Rule::new(&TerminationConfig::Known, &never, OBS).unwrap(), Rule::Never);
}
