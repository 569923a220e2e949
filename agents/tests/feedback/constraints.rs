//! The constants that each constraint keeps, and the errors that it reaches.

use std::collections::BTreeMap;

use liprl_agents::{Agent, Metrics, Setup, TaskContext, Visited, feedback::Feedback};
use liprl_control::{
    Policy,
    certify::{LowerOptions, Norm, lower_bound, product},
};
use liprl_numerics::{StreamRng, Streams};
use rand::RngExt;
use serde_json::json;

use super::{
    HALF_WIDTH, K, NORM, act, agent, config, demonstrations, error, least_error, measured, setup, states, trained,
};

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

/// The largest slope of a pair that 40 climbs find. Random steps of both points are kept if the slope
/// grows and the points stay further apart than f32 resolves.
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

/// Before training, during and after. From above: the construction's own proof, and for layers whose
/// constant is the product of norms, exact singular values of the stored weights. From below: slopes of
/// pairs and Jacobians that climb.
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
fn soft_constraints_pull_the_jacobian_down_and_log_their_violation() {
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
            // Near the least error for the constant that it does keep.
            let (reached, least) = (error(&agent), least_error(found["lipschitz/sampled"].max(alpha)));
            assert!(reached < 1.3 * least_error(alpha), "{constraint}: {reached}");
            assert!(slopes || reached > 0.5 * least, "{constraint}: {reached} {least}");
        }
    }
}

/// One seed gives one network and the same batches whatever the constraint is, so that runs differ by
/// the constraint alone.
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

    // Edges alone allow a smaller error and a larger constant, which is logged.
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
    let context = TaskContext { demonstrations, action_half_width: vec![2.0, 0.5], ..TaskContext::NONE };
    let setup = Setup { act_dim: 2, ..setup() };
    for normalise in ["none", "scalar", "coordinate"] {
        for output in ["clamp", "tanh"] {
            for constraint in
                [json!({"kind": "by_construction", "alpha": 1.5}), json!({"kind": "primal_dual", "alpha": 1.5})]
            {
                let config = config(json!({"normalise": normalise, "output": output, "constraint": constraint}));
                let mut agent = Feedback::new(&config, &setup, &context).unwrap();
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
