//! Feedback policies: what each constraint keeps and fits, against the exact optimum; queried experts; exact resume; the metrics listed.
#![allow(clippy::unwrap_used)] // a test that cannot go on should say so

use std::collections::BTreeMap;

use liprl_agents::{
    Agent, AgentError, Lesson, Metrics, Policy, Setup, State, StreamRng, Streams, Transition, Visited,
    demos::{Demonstrations, Episode},
    feedback::{
        Feedback, FeedbackConfig, Teacher,
        oracle::{Constrained, closest},
        points::Points,
    },
    lipschitz::certify::{LowerOptions, Norm, lower_bound, product},
};
use liprl_envs::NumpyRng;
use rand::RngExt;
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

fn lesson() -> Lesson {
    let demonstrations = Some(demonstrations(&states(), |x| vec![expert(x) / HALF_WIDTH]));
    Lesson { demonstrations, can_terminate: false, task: None, expert: None, action_half_width: vec![HALF_WIDTH] }
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
    Feedback::new(&config(more), &setup(), &lesson())
}

fn trained(more: Value, updates: usize) -> Feedback {
    let mut agent = agent(more).unwrap();
    let mut metrics = Metrics::default();
    (0..updates).for_each(|_| agent.update(&mut metrics).unwrap());
    agent
}

fn measured(agent: &mut Feedback) -> BTreeMap<String, f64> {
    let obs: Vec<f32> = states()[..40].iter().map(|&x| x as f32 * 1.5).collect();
    let visited = Visited { action: vec![0.0; 20], next_obs: obs.clone(), obs };
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

#[test]
fn no_network_with_a_constant_by_construction_fits_better_than_the_oracle() {
    for layers in ["spectral", "bjorck", "cayley", "aol", "sandwich", "ldlt", "ldlt_residual", "sll"] {
        for share in if layers == "sandwich" { &[0.25, 0.75][..] } else { &[0.5] } {
            let alpha = share * NORM;
            let constraint = json!({"kind": "by_construction", "alpha": alpha, "layers": layers});
            let mut agent = agent(json!({"constraint": constraint, "oracle": if layers == "sandwich" { json!(150) } else { json!(null) }})).unwrap();
            let (mut metrics, before) = (Metrics::default(), error(&agent));
            for update in 0..if layers == "sandwich" { 600 } else { 120 } {
                agent.update(&mut metrics).unwrap();
                if update % 60 == 0 {
                    let certified = measured(&mut agent)["lipschitz/certified"];
                    assert!(certified <= alpha, "{layers} {share} after {update}: {certified} > {alpha}");
                }
            }
            let (found, reached, least) = (measured(&mut agent), error(&agent), least_error(alpha));
            assert!(
                found["lipschitz/certified"] <= alpha && found["lipschitz/sampled"] <= found["lipschitz/certified"]
            );
            assert!(reached >= least - 1e-9, "{layers} {share}: {reached} below the oracle's {least}");
            assert!(reached < before, "{layers} {share} learnt nothing: {before} to {reached}");
            // The tight one comes near.
            assert!(layers != "sandwich" || reached < 1.1 * least + 1e-3, "{share}: {reached}, possible {least}");
            if layers == "sandwich" {
                assert!((found["lipschitz/oracle/mse"] - least).abs() < 1e-6);
                assert!((found["lipschitz/oracle/policy_mse"] - reached).abs() < 1e-5);
            }
        }
    }
}

/// The steepest pair that 40 climbs find, by random steps of both points that keep what is steeper; never closer than f32 can tell apart.
fn steepest_pair(policy: &mut Policy, rng: &mut StreamRng) -> f64 {
    let mut best = 0.0f64;
    for _ in 0..40 {
        let mut pair: [f64; 4] = std::array::from_fn(|_| rng.random_range(-1.5..1.5));
        let (mut own, mut size) = (0.0, 0.5);
        for _ in 0..80 {
            let next = pair.map(|x| x + size * rng.random_range(-1.0..1.0));
            let apart = (next[0] - next[2]).hypot(next[1] - next[3]);
            let slope = HALF_WIDTH * f64::from(act(policy, &next[..2]) - act(policy, &next[2..])).abs() / apart;
            if apart > 0.02 && slope > own {
                (own, pair) = (slope, next);
            } else {
                size = (0.9 * size).max(0.01);
            }
        }
        best = best.max(own);
    }
    best
}

/// Before training, during and after: exact singular values of the weights as they are stored where their product is the constant, the construction's
/// own proof everywhere, and from below pairs and Jacobians that climb.
#[test]
fn constants_by_construction_hold_at_every_checkpoint() {
    let (alpha, mut rng) = (0.8 * NORM, Streams::new(5).rng("climbs"));
    for layers in ["spectral", "bjorck", "cayley", "aol", "sandwich", "ldlt", "ldlt_residual", "sll"] {
        let constraint = json!({"kind": "by_construction", "alpha": alpha, "layers": layers});
        let (mut agent, mut metrics) = (agent(json!({"constraint": constraint})).unwrap(), Metrics::default());
        let (mut updates, mut reached) = (0, 0.0f64);
        for checkpoint in [0, 30, 150, 600] {
            while updates < checkpoint {
                agent.update(&mut metrics).unwrap();
                updates += 1;
            }
            let mut policy = Policy::load(&agent.policy().unwrap().to_bytes().unwrap()).unwrap();
            let certified = measured(&mut agent)["lipschitz/certified"];
            // f32 moves an action by 1e-7 of its size, pairs are 0.02 apart.
            let pair = steepest_pair(&mut policy, &mut rng);
            assert!(certified <= alpha && pair <= alpha * (1.0 + 1e-4), "{layers} {updates}: {certified} {pair}");
            reached = pair;
            if let Ok(network) = policy.to_certify(vec![HALF_WIDTH]) {
                let options = LowerOptions { points: &states(), ..LowerOptions::default() };
                let lower = lower_bound(&network, Norm::L2, &options, &mut rng).unwrap().lower;
                assert!(lower <= certified, "{layers} {updates}: a Jacobian of {lower} above {certified}");
                if matches!(layers, "spectral" | "bjorck" | "cayley" | "aol") {
                    let product = product(&network, Norm::L2).unwrap();
                    assert!(product <= alpha * (1.0 + 1e-9), "{layers} {updates}: {product}");
                }
            } else {
                assert!(matches!(layers, "ldlt_residual" | "sll"), "{layers}");
            }
        }
        println!("{layers}: climbs reach {:.3} of what is allowed", reached / alpha);
        assert!(reached > 0.3 * alpha, "{layers}: {reached} of {alpha} is no test");
    }
}

#[test]
fn room_enough_and_the_expert_is_found() {
    // At the expert's own constant and above, the linear policy is the answer.
    for constraint in [json!({"kind": "none"}), json!({"kind": "by_construction", "alpha": 1.02 * NORM})] {
        let agent = trained(json!({"constraint": constraint}), 1500);
        assert!(error(&agent) < 2e-3, "{constraint}: {}", error(&agent));
        let mut policy = agent.policy().unwrap();
        let slope = |policy: &mut Policy, k: usize| {
            let at = |s: f64| if k == 0 { [s, 0.1] } else { [0.1, s] };
            HALF_WIDTH * f64::from(act(policy, &at(0.4)) - act(policy, &at(-0.4))) / 0.8
        };
        for (k, gain) in K.iter().enumerate() {
            assert!((slope(&mut policy, k) + gain).abs() < 0.08, "{constraint} {k}: {}", slope(&mut policy, k));
        }
    }
}

#[test]
fn soft_constraints_pull_the_jacobian_down_and_say_by_how_much_they_are_violated() {
    let alpha = 0.5 * NORM;
    let free = measured(&mut trained(json!({"constraint": {"kind": "none"}}), 1500));
    assert!(free["lipschitz/sampled"] > 0.95 * NORM);
    for (constraint, allowed) in [
        (json!({"kind": "primal_dual", "alpha": alpha, "dual_lr": 0.05}), 0.2),
        (json!({"kind": "penalty", "alpha": alpha, "scale": 30}), 0.2),
        (json!({"kind": "primal_dual", "alpha": alpha, "form": "slope"}), 0.6),
    ] {
        for activation in ["relu", "tanh"] {
            let network = json!({"hidden": [24, 24], "activation": activation, "lr": 3e-3, "lr_schedule": {"linear": {"updates": 2000}}});
            let mut agent = trained(json!({"constraint": constraint, "network": network}), 2000);
            let found = measured(&mut agent);
            let mean = found["lipschitz/policy_jacobian/between/mean"];
            // Edges constrain slopes along them alone, and bend the Jacobian less.
            let slopes = constraint["form"] == "slope";
            let limit = if slopes { 0.7 * free["lipschitz/policy_jacobian/between/mean"] } else { alpha * 1.1 };
            assert!(mean < limit, "{constraint} {activation}: mean {mean}");
            let fresh = found["lipschitz/violation/between"];
            let largest = found["lipschitz/policy_jacobian/between/max"];
            assert!((fresh - (largest - alpha).max(0.0)).abs() < 1e-12);
            assert!(slopes || fresh < allowed * alpha, "{constraint} {activation}: violated by {fresh} of {alpha}");
            // Nothing is proven but the product of norms.
            assert!(found["lipschitz/certified"] >= found["lipschitz/sampled"]);
            // Near the least error of what it does fulfil.
            let (reached, least) = (error(&agent), least_error(found["lipschitz/sampled"].max(alpha)));
            assert!(reached < 1.3 * least_error(alpha), "{constraint}: {reached}");
            assert!(slopes || reached > 0.5 * least, "{constraint}: {reached} {least}");
        }
    }
}

/// One seed gives one network and the same batches whatever the constraint, so that runs differ by the constraint alone.
#[test]
fn a_constraint_that_never_binds_changes_nothing() {
    let free = trained(json!({"constraint": {"kind": "none"}}), 200);
    let states = &states()[..60];
    for constraint in [json!({"kind": "penalty", "alpha": 1e6}), json!({"kind": "primal_dual", "alpha": 1e6})] {
        let other = trained(json!({"constraint": constraint}), 200);
        let [mut free, mut other] =
            [&free, &other].map(|agent| Policy::load(&agent.policy().unwrap().to_bytes().unwrap()).unwrap());
        for x in states.chunks_exact(2) {
            // Products of twice as many rows are rounded otherwise.
            assert!((act(&mut free, x) - act(&mut other, x)).abs() < 1e-3, "{constraint} at {x:?}");
        }
    }
}

#[test]
fn multipliers_are_active_where_the_constraint_binds_and_zero_where_it_does_not() {
    let duals = |alpha: f64| {
        let mut agent = trained(json!({"constraint": {"kind": "primal_dual", "alpha": alpha}}), 1500);
        let found = measured(&mut agent);
        let histograms = agent.histograms().unwrap();
        assert!(histograms.iter().any(|(name, values)| name == "lipschitz/duals" && values.len() == 150));
        (found["lipschitz/duals/active"], found["lipschitz/duals/mean"], found["lipschitz/complementary_slackness"])
    };
    let (active, mean, slack) = duals(0.5 * NORM);
    assert!(active > 0.5 && mean > 0.05, "{active} {mean}");
    assert!(slack < 0.2 * mean * NORM, "{slack} {mean}");
    let (active, _, slack) = duals(3.0 * NORM);
    assert_eq!((active, slack), (0.0, 0.0));
}

#[test]
fn solved_policies_reach_the_oracle_and_keep_their_constant() {
    let alpha = 0.5 * NORM;
    let mut solved = agent(json!({"constraint": {"kind": "kirszbraun", "alpha": alpha}})).unwrap();
    let found = measured(&mut solved);
    assert!((error(&solved) - least_error(alpha)).abs() < 1e-5, "{} {}", error(&solved), least_error(alpha));
    assert_eq!(found["lipschitz/certified"], alpha);
    assert!(found["lipschitz/sampled"] <= alpha * (1.0 + 1e-6));
    let mut policy = Policy::load(&solved.policy().unwrap().to_bytes().unwrap()).unwrap();
    assert!(policy.network().is_none() && policy.table().is_some());
    for x in [[0.3, -0.2], [5.0, 1.0], [-0.9, 0.9]] {
        let mut action = [0.0];
        solved.act_greedy(&[x[0] as f32, x[1] as f32], &mut action).unwrap();
        assert_eq!(action[0], act(&mut policy, &x));
    }

    // Edges alone allow more: a smaller error, a larger constant, which is said.
    let mut graph = agent(json!({"constraint": {"kind": "graph", "alpha": alpha, "neighbours": 2}})).unwrap();
    let found = measured(&mut graph);
    assert!(
        found["lipschitz/certified"] >= alpha
            && found["lipschitz/sampled"] <= found["lipschitz/certified"] * (1.0 + 1e-6)
    );
    assert!(
        error(&graph) <= least_error(alpha) + 1e-6 && error(&graph) >= least_error(found["lipschitz/certified"]) - 1e-6
    );
    // Fewer vertices than rows: values are shared.
    let few = agent(json!({"constraint": {"kind": "graph", "alpha": 10.0, "vertices": 20}})).unwrap();
    assert!(error(&few) > 1e-3 && error(&few) < 0.5, "{}", error(&few));
}

/// Rows of two actions with unlike half-widths, and coordinates of unlike scale.
#[test]
fn constants_are_in_the_environment_s_units_whatever_lies_between() {
    let scaled: Vec<f64> = states().chunks_exact(2).flat_map(|x| [10.0 * x[0], 0.1 * x[1]]).collect();
    let demonstrations = Some(demonstrations(&scaled, |x| vec![(0.1 * x[0]).sin() * 0.5, (5.0 * x[1]).cos() * 0.5]));
    let lesson = Lesson { demonstrations, action_half_width: vec![2.0, 0.5], ..Lesson::NONE };
    let setup = Setup { act_dim: 2, ..setup() };
    for normalise in ["none", "scalar", "coordinate"] {
        for output in ["clamp", "tanh"] {
            for constraint in
                [json!({"kind": "by_construction", "alpha": 1.5}), json!({"kind": "primal_dual", "alpha": 1.5})]
            {
                let config = config(json!({"normalise": normalise, "output": output, "constraint": constraint}));
                let mut agent = Feedback::new(&config, &setup, &lesson).unwrap();
                let mut metrics = Metrics::default();
                (0..200).for_each(|_| agent.update(&mut metrics).unwrap());
                let visited = Visited::default();
                let found: BTreeMap<String, f64> = agent.diagnose(&visited).unwrap().into_iter().collect();
                let certified = found["lipschitz/certified"];
                assert!(constraint["kind"] == "primal_dual" || certified <= 1.5, "{normalise} {output}: {certified}");
                let mut policy = agent.policy().unwrap();
                let mut at = |x: &[f64]| {
                    let mut action = [0.0; 2];
                    policy.act(&[x[0] as f32, x[1] as f32], &mut action).unwrap();
                    [2.0 * f64::from(action[0]), 0.5 * f64::from(action[1])]
                };
                let mut steepest = 0.0f64;
                for x in scaled.chunks_exact(2) {
                    for y in [[x[0] + 0.05, x[1]], [x[0], x[1] + 0.05], [x[0] - 0.03, x[1] + 0.04]] {
                        let (a, b) = (at(x), at(&y));
                        let step = (a[0] - b[0]).hypot(a[1] - b[1]) / (x[0] - y[0]).hypot(x[1] - y[1]);
                        steepest = steepest.max(step);
                    }
                }
                assert!(
                    steepest <= certified * (1.0 + 1e-4),
                    "{normalise} {output} {constraint}: {steepest} {certified}"
                );
                assert!(found["lipschitz/sampled"] <= certified * (1.0 + 1e-6));
            }
        }
    }
}

/// The linear expert, clipped to what the actuator can do.
struct Linear;

impl Teacher for Linear {
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

fn asking(queries: Value, constraint: Value) -> Feedback {
    let config = config(json!({"queries": queries, "constraint": constraint}));
    let lesson = Lesson { demonstrations: None, ..lesson() };
    Feedback::with_teacher(&config, &setup(), &lesson, Some(Box::new(Linear))).unwrap()
}

#[test]
fn queried_experts_are_cloned_where_the_learner_goes() {
    for kind in ["dagger", "dart"] {
        let queries = json!({"kind": kind, "rounds": 5, "steps": 100});
        for constraint in [json!({"kind": "none"}), json!({"kind": "primal_dual", "alpha": 2.0 * NORM})] {
            let mut agent = asking(queries.clone(), constraint);
            let (mut plant, mut metrics) = (Plant::new(), Metrics::default());
            plant.run(&mut agent, 1200, &mut metrics);
            // 500 rows were asked for, no more.
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
    let restored = |agent: &Feedback| State::from_bytes(&agent.save().unwrap().to_bytes().unwrap()).unwrap();
    for constraint in constraints {
        let mut saved = trained(json!({"constraint": constraint}), 30);
        let mut loaded = agent(json!({"constraint": constraint})).unwrap();
        loaded.load(&restored(&saved)).unwrap();
        let mut metrics = Metrics::default();
        for agent in [&mut saved, &mut loaded] {
            (0..20).for_each(|_| agent.update(&mut metrics).unwrap());
        }
        assert_eq!(params(&saved), params(&loaded), "{constraint}");
        assert_eq!(saved.save().unwrap(), loaded.save().unwrap(), "{constraint}");
    }
    for kind in ["dagger", "dart"] {
        let queries = json!({"kind": kind, "rounds": 5, "steps": 20});
        let constraint = json!({"kind": "primal_dual", "alpha": 1.0});
        let (mut plant, mut metrics) = (Plant::new(), Metrics::default());
        let mut saved = asking(queries.clone(), constraint.clone());
        plant.run(&mut saved, 53, &mut metrics);
        let mut other = Plant { ..plant };
        let mut loaded = asking(queries, constraint);
        loaded.load(&restored(&saved)).unwrap();
        plant.run(&mut saved, 60, &mut metrics);
        other.run(&mut loaded, 60, &mut metrics);
        assert_eq!(params(&saved), params(&loaded), "{kind}");
        assert_eq!(saved.save().unwrap(), loaded.save().unwrap(), "{kind}");
    }
}

#[test]
fn measuring_changes_nothing() {
    let mut agent = trained(json!({"constraint": {"kind": "primal_dual", "alpha": 1.0}}), 20);
    let before = agent.save().unwrap();
    let first = measured(&mut agent);
    assert_eq!(first, measured(&mut agent));
    agent.histograms().unwrap();
    assert_eq!(before, agent.save().unwrap());
}

#[test]
fn every_metric_is_in_the_module_s_table() {
    let source = include_str!("../src/feedback/mod.rs");
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
        let lesson = Lesson { demonstrations: Some(demonstrations), ..lesson() };
        Feedback::new(&config(more), &setup(), &lesson).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(with(twice, json!({})), Ok(()));
    let error = with(apart.clone(), json!({})).unwrap_err();
    assert!(error.contains("step 0 of episode 0 and step 2 of episode 0") && error.contains("0.6000"), "{error}");
    assert_eq!(with(apart.clone(), json!({"duplicates": "average"})), Ok(()));
    assert_eq!(
        with(apart, json!({"duplicates": "average", "constraint": {"kind": "kirszbraun", "alpha": 1.0}})),
        Ok(())
    );
    let none = Lesson { demonstrations: None, ..lesson() };
    let error = Feedback::new(&config(json!({})), &setup(), &none).err().unwrap().to_string();
    assert!(error.contains("agent.demonstrations"), "{error}");
}
