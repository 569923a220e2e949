//! The agent: exact resume in the middle of a fit too, metrics, refusals, learning.

use liprl_agents::{Agent, AgentConfig, TaskContext, Transition, Visited};
use liprl_envs::{Options, make};
use serde_json::{Value, json};

use super::{
    bench::{Bench, config},
    setup,
};

#[test]
fn a_resumed_agent_goes_on_to_the_bit_between_steps_and_in_the_middle_of_a_fit() {
    let learned = json!({"termination": {"kind": "learned", "updates": 20}, "policy": {"normalise_observations": {}}});
    for more in [
        json!({}),
        json!({"model": {"members": 1, "elites": null, "prediction": "deterministic", "targets": "standardised"}}),
        learned,
    ] {
        let mut whole = Bench::new(config(more.clone()), 1);
        whole.run(99);
        let mut between = whole.resumed(config(more.clone()));
        assert!(whole.everything() == between.everything());
        // Step 100 begins a fit; its first slice, then two more.
        whole.step();
        assert!(whole.agent.busy(), "the fit is too short for this test");
        whole.learn();
        assert!(whole.agent.busy(), "the fit is too short for this test");
        let mut midway = whole.resumed(config(more.clone()));
        whole.finish();
        midway.finish();
        whole.run(150);
        midway.run(150);
        between.run(151);
        assert!(whole.everything() == midway.everything(), "resumed in the middle of a fit, {more}");
        assert!(whole.everything() == between.everything(), "resumed between steps, {more}");
        assert!(whole.agent.updates() == 2 * 190 && whole.agent.dynamics().fits() > 4);
    }
}

#[test]
fn a_step_in_the_middle_of_a_fit_is_an_error() {
    let mut bench = Bench::new(config(json!({})), 1);
    bench.run(59);
    bench.step();
    assert!(bench.agent.busy());
    let step = Transition {
        obs: &[0.0; 4],
        action: &[0.0],
        reward: 0.0,
        next_obs: &[0.0; 4],
        terminated: false,
        truncated: false,
    };
    assert!(bench.agent.observe(&step).unwrap_err().to_string().contains("until `busy` says no"));
}

#[test]
fn the_ports_fit_later_learn_from_few_real_rows_first_and_act_from_the_start() {
    let more = json!({"profile": "ports", "refit_every": 20});
    let mut bench = Bench::new(config(more), 1);
    bench.run(79);
    assert_eq!(
        (bench.agent.dynamics().fits(), bench.agent.updates()),
        (0, 38),
        "one row of 32 is real, it is learned from"
    );
    bench.run(1);
    assert_eq!(bench.agent.dynamics().fits(), 1);
    let mut authors = Bench::new(config(json!({"refit_every": 20})), 1);
    authors.run(60);
    assert_eq!((authors.agent.dynamics().fits(), authors.agent.updates()), (1, 0));
}

#[test]
fn the_model_buffer_grows_with_the_rollouts() {
    let mut bench = Bench::new(config(json!({})), 1);
    // t = 0: k 1, two fits an epoch; t = 160: epoch 2, k 3.
    bench.run(60);
    assert_eq!(bench.agent.imagined().config().capacity, 600);
    assert_eq!(bench.agent.imagined().len(), 300);
    bench.run(160);
    assert_eq!(bench.agent.imagined().config().capacity, 1800);
    assert!(bench.agent.imagined().len() > 900);
}

#[test]
fn metrics_and_diagnostics_are_those_on_their_pages_and_measuring_changes_nothing() {
    let listed = |page: &str| -> Vec<String> {
        page.lines().filter_map(|line| Some(line.strip_prefix("//! | `")?.split('`').next()?.to_owned())).collect()
    };
    let learned = json!({"termination": {"kind": "learned", "updates": 20}});
    let mut bench = Bench::new(config(learned), 1);
    bench.run(110);
    let logged: Vec<String> = bench.metrics.drain().into_iter().map(|(name, _)| name.into_owned()).collect();
    let page = listed(include_str!("../../src/mbpo/mod.rs"));
    let page: Vec<&String> = page.iter().filter(|name| name.contains('/')).collect();
    let missing: Vec<_> = page.iter().filter(|name| !logged.contains(name)).collect();
    assert!(page.len() > 10 && missing.is_empty(), "not logged: {missing:?}");
    let sac = listed(include_str!("../../src/actor_critic/sac.rs"));
    let unlisted: Vec<_> = logged.iter().filter(|name| !page.contains(name) && !sac.contains(name)).collect();
    assert!(unlisted.is_empty(), "not on a page: {unlisted:?}");

    let rows: Vec<_> = bench.agent.imagined().rows().take(40).collect();
    let flat = |of: &dyn Fn(&liprl_agents::replay::Row<'_>) -> Vec<f32>| rows.iter().flat_map(of).collect::<Vec<_>>();
    let visited = Visited {
        obs: flat(&|row| row.obs.to_vec()),
        action: flat(&|row| row.action.to_vec()),
        next_obs: flat(&|row| row.next_obs.to_vec()),
        ..Visited::default()
    };
    let before = bench.everything();
    let metrics = bench.agent.diagnose(&visited).unwrap();
    assert_eq!(metrics, bench.agent.diagnose(&visited).unwrap());
    assert!(before == bench.everything(), "measuring changes nothing");
    assert!(metrics.iter().all(|(_, value)| value.is_finite()), "{metrics:?}");
    let has = |name: &str| metrics.iter().any(|(other, _)| other == name);
    for name in listed(include_str!("../../src/mbpo/diagnostics.rs")).iter().filter(|name| !name.ends_with('…')) {
        let places = ["holdout", "recent", "visited"].map(|place| name.replace("<where>", place));
        let name = name.replace("<h>", "10").replace("<i>", "1");
        let found = if name.contains("<where>") {
            places.iter().all(|name| has(name) || (name.contains("reward") && name.ends_with("visited")))
        } else {
            has(&name)
        };
        assert!(found, "{name} is not measured: {metrics:?}");
    }
    let value = |name: &str| metrics.iter().find(|(other, _)| other == name).map(|(_, value)| *value).unwrap();
    let (raw, log) = (value("model/value_aware_error/holdout"), value("model/value_aware_error_log/holdout"));
    assert!((raw.ln() - log).abs() < 1e-12);

    // A pair that ended its episode is left out, however wrong the model is there.
    let (rows, o, a) = (40, visited.obs.len() / 40, visited.action.len() / 40);
    let mut ended = visited.clone();
    ended.obs.extend_from_slice(&visited.obs[..o]);
    ended.action.extend_from_slice(&visited.action[..a]);
    ended.next_obs.extend(visited.obs[..o].iter().map(|x| x + 1e3));
    ended.terminated = (0..=rows).map(|row| row == rows).collect();
    let mut errors = |visited: &Visited| -> Vec<_> {
        let metrics = bench.agent.diagnose(visited).unwrap();
        metrics.into_iter().filter(|(name, _)| name.starts_with("model/") && name.ends_with("/visited")).collect()
    };
    assert_eq!(errors(&ended), errors(&visited));
    ended.terminated.clear();
    assert_ne!(errors(&ended), errors(&visited));
    assert!(value("model/error_step/10") > value("model/error_step/1"));
}

/// ε counts in deviations of the states that the regulariser has had, mostly imagined ones, even if
/// observations are not standardised. Its moments follow the states' own size, and are saved.
#[test]
fn robust_regularisation_runs_in_the_running_deviations() {
    let regularised =
        json!({"policy": {"value_regulariser": {"kind": "robust", "rows": 16}, "critic_spectral_norm": {"scale": 3}}});
    let mut bench = Bench::new(config(regularised.clone()), 1);
    bench.run(110);
    let state = liprl_numerics::State::of(|io| bench.agent.state(io)).unwrap();
    let moments = |key: &str| state.f64(&format!("value-regulariser/moments/{key}"), &[4]).unwrap().to_vec();
    let count: u64 = state.get("value-regulariser/moments/count").unwrap();
    assert!(count >= 16 * 50, "{count}");
    let count = count as f64;
    let variance: Vec<f64> = moments("m2").iter().map(|m2| m2 / count).collect();
    let imagined: Vec<f64> = bench.agent.imagined().rows().map(|row| f64::from(row.obs[1])).collect();
    let mean = imagined.iter().sum::<f64>() / imagined.len() as f64;
    let own = imagined.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / imagined.len() as f64;
    assert!(variance[1] > 0.25 * own && variance[1] < 4.0 * own, "{variance:?} {own}");
    let logged: Vec<String> = bench.metrics.drain().into_iter().map(|(name, _)| name.into_owned()).collect();
    assert!(logged.iter().any(|name| name.starts_with("train/robust")), "{logged:?}");
    assert!(bench.resumed(config(regularised)).everything() == bench.everything());
}

#[test]
fn registry_builds_it_and_refuses_a_task_without_a_rule() {
    let build = |config: Value, context: &TaskContext| {
        let config: AgentConfig = serde_json::from_value(config).unwrap();
        config.build(&setup(1), context).map(|_| ())
    };
    build(json!({"kind": "mbpo", "termination": {"kind": "never"}}), &TaskContext::NONE).unwrap();
    let error = build(json!({"kind": "mbpo"}), &TaskContext::NONE).unwrap_err().to_string();
    assert!(error.contains("agent.termination") && error.contains("no rule is known"), "{error}");
}

/// A pole falls within 10 to 60 steps under random actions; 600 steps of learning keep it up for most
/// of an episode.
#[test]
fn it_learns_to_balance_a_pole_with_every_model() {
    let net = json!({"hidden": [64, 64], "lr": 1e-3});
    for (prediction, members) in [("deterministic", 1), ("probabilistic", 3)] {
        let policy = json!({"learning_starts": 200, "updates": 8, "batch_size": 128, "actor": net, "critic": net,
            "temperature": {"kind": "auto", "target_entropy": -0.05}});
        let model = json!({"prediction": prediction, "members": members, "hidden": [64, 64], "weight_decay": [2.5e-5, 5e-5, 1e-4],
            "max_epochs": 40});
        let config =
            json!({"policy": policy, "model": model, "refit_every": 100, "epoch_steps": 200, "rollouts": 5000});
        let mut bench = Bench::new(config, 1);
        bench.run(200);
        let random = bench.lengths.iter().sum::<usize>() as f64 / bench.lengths.len() as f64;
        bench.run(800);
        // Greedy episodes from fresh starts.
        let mut env = make("CartPoleContinuous-v0", &Options::new()).unwrap();
        let mut total = 0;
        for seed in 0..5 {
            let (mut obs, mut action) = ([0.0; 4], [0.0f32]);
            env.reset(Some(100 + seed), &Options::new(), &mut obs).unwrap();
            loop {
                bench.agent.act_greedy(&obs.map(|x| x as f32), &mut action).unwrap();
                let step = env.step(&[f64::from(action[0])], &mut obs).unwrap();
                total += 1;
                if step.done() {
                    break;
                }
            }
        }
        let mean = f64::from(total) / 5.0;
        assert!(random < 60.0 && mean > 120.0, "{prediction} of {members}: {random} steps at random, {mean} learned");
    }
}
