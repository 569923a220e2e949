//! Queried experts, exact resume, metrics, refusals.

use liprl_agents::{
    Agent, AgentError, Metrics, TaskContext, Transition,
    demos::Demonstrations,
    feedback::{Feedback, QueriedExpert},
};
use liprl_numerics::{State, StateIo};
use serde_json::{Value, json};

use super::{HALF_WIDTH, NORM, agent, config, context, demonstrations, expert, measured, setup, states, trained};

/// The linear expert.
struct Linear;

impl QueriedExpert for Linear {
    fn act(&mut self, obs: &[f32], action: &mut [f32]) -> Result<(), AgentError> {
        let x = [f64::from(obs[0]), f64::from(obs[1])];
        action[0] = (expert(&x) / HALF_WIDTH) as f32;
        Ok(())
    }
}

/// Steps of the double integrator, restarted from a corner of growing size every 50 steps.
struct Plant {
    x: [f64; 2],
    step: usize,
}

impl Plant {
    fn new() -> Self {
        Self { x: [1.0, 0.0], step: 0 }
    }

    fn obs(&self) -> [f32; 2] {
        [self.x[0] as f32, self.x[1] as f32]
    }

    fn run(&mut self, agent: &mut Feedback, steps: usize, metrics: &mut Metrics) {
        for _ in 0..steps {
            let (obs, mut action) = (self.obs(), [0.0]);
            agent.act(&obs, &mut action).unwrap();
            let u = f64::from(action[0]) * HALF_WIDTH;
            self.x = [self.x[0] + 0.1 * self.x[1] + 0.005 * u, self.x[1] + 0.1 * u];
            self.step += 1;
            let truncated = self.step.is_multiple_of(50);
            let next_obs = self.obs();
            let transition = Transition {
                obs: &obs,
                action: &action,
                reward: 0.0,
                next_obs: &next_obs,
                terminated: false,
                truncated,
            };
            agent.observe(&transition).unwrap();
            agent.update(metrics).unwrap();
            if truncated {
                let turn = (self.step / 50) as f64;
                self.x = [turn.sin(), (1.7 * turn).cos()];
            }
        }
    }
}

fn querying(queries: Value, constraint: Value) -> Feedback {
    let config = config(json!({"queries": queries, "constraint": constraint}));
    let context = TaskContext { demonstrations: None, ..context() };
    Feedback::with_expert(&config, &setup(), &context, Some(Box::new(Linear))).unwrap()
}

#[test]
fn queried_experts_are_cloned_where_the_learner_goes() {
    for kind in ["dagger", "dart"] {
        let queries = json!({"kind": kind, "rounds": 5, "steps": 100});
        for constraint in [json!({"kind": "none"}), json!({"kind": "primal_dual", "alpha": 2.0 * NORM})] {
            let mut agent = querying(queries.clone(), constraint);
            let (mut plant, mut metrics) = (Plant::new(), Metrics::default());
            plant.run(&mut agent, 1200, &mut metrics);
            // 500 rows were queried, no more.
            let rows = measured(&mut agent);
            assert!(rows["lipschitz/demonstration_mse"] < 5e-3, "{kind}: {}", rows["lipschitz/demonstration_mse"]);
            let queried = metrics.drain().into_iter().find(|(name, _)| name == "train/queried_rows").unwrap().1;
            assert!(queried < 500.0 && queried > 350.0, "{queried}");
            // By itself it brings the plant to rest.
            plant.x = [1.0, -0.5];
            for _ in 0..100 {
                let mut action = [0.0];
                agent.act_greedy(&plant.obs(), &mut action).unwrap();
                let u = f64::from(action[0]) * HALF_WIDTH;
                plant.x = [plant.x[0] + 0.1 * plant.x[1] + 0.005 * u, plant.x[1] + 0.1 * u];
            }
            assert!(plant.x[0].hypot(plant.x[1]) < 0.15, "{kind}: {:?}", plant.x);
        }
    }
}

#[test]
fn a_restored_agent_goes_on_to_the_bit() {
    let constraints = [
        json!({"kind": "none"}),
        json!({"kind": "primal_dual", "alpha": 1.0}),
        json!({"kind": "primal_dual", "alpha": 1.0, "form": "slope"}),
        json!({"kind": "penalty", "alpha": 1.0}),
        json!({"kind": "by_construction", "alpha": 1.0}),
        json!({"kind": "by_construction", "alpha": 1.0, "layers": "ldlt"}),
        json!({"kind": "kirszbraun", "alpha": 1.0, "rows": 50}),
        json!({"kind": "graph", "alpha": 1.0, "vertices": 50}),
    ];
    let params = |agent: &Feedback| agent.policy().unwrap().to_bytes().unwrap();
    let state = |agent: &mut Feedback| State::of(|io| agent.state(io)).unwrap();
    let restore = |saved: &mut Feedback, loaded: &mut Feedback| {
        let state = State::from_bytes(&state(saved).to_bytes().unwrap()).unwrap();
        loaded.state(&mut StateIo::load_from(&state)).unwrap();
    };
    for constraint in constraints {
        let mut saved = trained(json!({"constraint": constraint}), 30);
        let mut loaded = agent(json!({"constraint": constraint})).unwrap();
        restore(&mut saved, &mut loaded);
        let mut metrics = Metrics::default();
        for agent in [&mut saved, &mut loaded] {
            (0..20).for_each(|_| agent.update(&mut metrics).unwrap());
        }
        assert_eq!(params(&saved), params(&loaded), "{constraint}");
        assert_eq!(state(&mut saved), state(&mut loaded), "{constraint}");
    }
    for kind in ["dagger", "dart"] {
        let queries = json!({"kind": kind, "rounds": 5, "steps": 20});
        let constraint = json!({"kind": "primal_dual", "alpha": 1.0});
        let (mut plant, mut metrics) = (Plant::new(), Metrics::default());
        let mut saved = querying(queries.clone(), constraint.clone());
        plant.run(&mut saved, 53, &mut metrics);
        let mut other = Plant { ..plant };
        let mut loaded = querying(queries, constraint);
        restore(&mut saved, &mut loaded);
        plant.run(&mut saved, 60, &mut metrics);
        other.run(&mut loaded, 60, &mut metrics);
        assert_eq!(params(&saved), params(&loaded), "{kind}");
        assert_eq!(state(&mut saved), state(&mut loaded), "{kind}");
    }
}

#[test]
fn measuring_changes_nothing() {
    let mut agent = trained(json!({"constraint": {"kind": "primal_dual", "alpha": 1.0}}), 20);
    let before = State::of(|io| agent.state(io)).unwrap();
    let first = measured(&mut agent);
    assert_eq!(first, measured(&mut agent));
    agent.histograms().unwrap();
    assert_eq!(before, State::of(|io| agent.state(io)).unwrap());
}

#[test]
fn every_metric_is_in_the_module_s_table() {
    let source = include_str!("../../src/feedback/mod.rs");
    let listed = |name: &str| {
        let mut general = name.to_owned();
        for place in ["demonstrations", "between", "visited"] {
            general = general.replace(&format!("/{place}"), "/<where>");
        }
        for statistic in ["mean", "q05", "q50", "q95", "max"] {
            general = general.replace(&format!("<where>/{statistic}"), "<where>/<statistic>");
            general = general.replace(&format!("duals/{statistic}"), "duals/<statistic>");
        }
        let short = name.rsplit('/').next().unwrap();
        source.contains(&format!("`{general}`")) || source.contains(&format!("`…/{short}`"))
    };
    for constraint in [
        json!({"kind": "none"}),
        json!({"kind": "primal_dual", "alpha": 1.0}),
        json!({"kind": "penalty", "alpha": 1.0}),
        json!({"kind": "by_construction", "alpha": 1.0}),
        json!({"kind": "kirszbraun", "alpha": 1.0, "rows": 20}),
    ] {
        let mut agent = agent(json!({"constraint": constraint, "oracle": 20})).unwrap();
        let mut metrics = Metrics::default();
        agent.update(&mut metrics).unwrap();
        let trained = metrics.drain().into_iter().map(|(name, _)| name.into_owned());
        for name in trained.chain(measured(&mut agent).into_keys()) {
            assert!(listed(&name), "{name} is not listed");
        }
    }
}

#[test]
fn bad_input_is_refused_with_the_worst_pair_and_a_remedy() {
    let refused = |more: Value| agent(more).err().map(|error| error.to_string()).unwrap();
    for (more, words) in [
        (json!({"constraint": {"kind": "by_construction", "alpha": 0.0}}), "constraint.alpha"),
        (json!({"constraint": {"kind": "kirszbraun", "alpha": -1.0}}), "constraint.alpha"),
        (json!({"network": {"layer_norm": true}}), "agent.network.layer_norm"),
        (json!({"network": {"activation": "swish"}}), "agent.network.activation"),
        (json!({"episodes": 2}), "agent.episodes: 2 are asked for, the demonstrations have 1"),
        (json!({"queries": {"kind": "dagger"}}), "agent.expert: is missing"),
        (json!({"expert_episodes": 3}), "agent.expert: is missing"),
        (json!({"expert": {"kind": "lqr"}}), "agent.expert: is never asked"),
        (
            json!({"expert": {"kind": "lqr"}, "expert_episodes": 3, "demonstrations": "demos/hopper.hdf5"}),
            "agent.expert_episodes: stands in for demonstrations",
        ),
        (json!({"expert": {"kind": "mpc", "horizon": 0}, "expert_episodes": 3}), "horizon"),
        (json!({"expert_noise": 0.1}), "agent.expert_noise: disturbs expert_episodes"),
        (json!({"expert": {"kind": "lqr"}, "queries": {"kind": "dagger"}}), "the task is not known"),
    ] {
        let error = refused(more);
        assert!(error.contains(words), "{error}");
    }
    let tight = refused(json!({"constraint": {"kind": "by_construction", "alpha": 0.1}, "max_forced_error": 0.5}));
    assert!(tight.contains("of episode 0 have actions") && tight.contains("raise alpha to"), "{tight}");

    // The error that the worst pair forces, by all pairs.
    let mut agent = agent(json!({"constraint": {"kind": "by_construction", "alpha": 0.1}})).unwrap();
    let (x, mut worst) = (states(), 0.0f64);
    for a in x.chunks_exact(2) {
        for b in x.chunks_exact(2) {
            worst = worst.max(0.5 * ((expert(a) - expert(b)).abs() - 0.1 * (a[0] - b[0]).hypot(a[1] - b[1])));
        }
    }
    assert!((measured(&mut agent)["lipschitz/forced_error"] - worst).abs() < 1e-5);

    let twice = demonstrations(&[0.5, 0.5, 0.1, 0.2, 0.5, 0.5], |_| vec![0.1]);
    let mut apart = twice.clone();
    apart.episodes[0].actions[2] = 0.5;
    let with = |demonstrations: Demonstrations, more: Value| {
        let context = TaskContext { demonstrations: Some(demonstrations), ..context() };
        Feedback::new(&config(more), &setup(), &context).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(with(twice, json!({})), Ok(()));
    let error = with(apart.clone(), json!({})).unwrap_err();
    assert!(error.contains("step 0 of episode 0 and step 2 of episode 0") && error.contains("0.6000"), "{error}");
    assert_eq!(with(apart.clone(), json!({"duplicates": "average"})), Ok(()));
    assert_eq!(
        with(apart, json!({"duplicates": "average", "constraint": {"kind": "kirszbraun", "alpha": 1.0}})),
        Ok(())
    );
    let none = TaskContext { demonstrations: None, ..context() };
    let error = Feedback::new(&config(json!({})), &setup(), &none).err().unwrap().to_string();
    assert!(error.contains("agent.demonstrations"), "{error}");
}
