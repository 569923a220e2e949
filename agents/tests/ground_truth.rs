//! Learning on problems whose answers are known: values of a two-state chain solved by hand,
//! policies of a linear-quadratic regulator against Riccati's.

#![allow(clippy::unwrap_used)] // a test that cannot go on should say so

use liprl_agents::{Agent, AgentConfig, Metrics, Setup, TaskContext, Transition};
use liprl_numerics::Streams;
use rand::RngExt;
use serde_json::{Value, json};
use tch::Device;

fn build(mut config: Value, extra: Value, obs_dim: usize) -> Box<dyn Agent> {
    config.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    let config: AgentConfig = serde_json::from_value(config).unwrap();
    config
        .build(
            &Setup { obs_dim, act_dim: 1, streams: Streams::new(1), device: Device::Cpu, threads: 1 },
            &TaskContext::NONE,
        )
        .unwrap()
}

/// Values of the replayed pairs after learning the chain 0 → 1 → 0 …, which pays `unit` on leaving
/// 0 and twice that on leaving 1 whatever the action. `end` says what happens on leaving 1:
/// nothing, a termination or a time limit.
fn chain(config: Value, end: &str, unit: f32) -> Vec<f32> {
    let net = json!({"hidden": [32], "lr": 3e-3});
    let shared = json!({"gamma": 0.5, "tau": 0.05, "batch_size": 32, "buffer_size": 1000, "learning_starts": 100, "actor": net, "critic": net});
    let mut agent = build(config, shared, 2);
    let states = [[1.0, 0.0], [0.0, 1.0]];
    let mut metrics = Metrics::default();
    for step in 0..1600 {
        let (state, next) = (step % 2, (step + 1) % 2);
        let mut action = [0.0];
        agent.act(&states[state], &mut action).unwrap();
        let (terminated, truncated) = (end == "terminated" && state == 1, end == "truncated" && state == 1);
        let reward = unit * (1.0 + state as f32);
        agent
            .observe(&Transition {
                obs: &states[state],
                action: &action,
                reward,
                next_obs: &states[next],
                terminated,
                truncated,
            })
            .unwrap();
        agent.update(&mut metrics).unwrap();
    }
    let histograms = agent.histograms().unwrap();
    histograms.into_iter().find(|(name, _)| name == "values/critic_0").unwrap().1
}

/// Holds the chain's values against those worked out by hand: V₀ = 1 + γ V₁ and V₁ = 2 + γ V₀ with
/// γ = ½, so V₀ = 8/3 and V₁ = 10/3, in units of `unit`. A time limit changes neither; a
/// termination makes V₁ = 2 and V₀ = 2.
fn assert_values(config: &Value, unit: f32) {
    for (end, expected) in
        [("never", [8.0 / 3.0, 10.0 / 3.0]), ("truncated", [8.0 / 3.0, 10.0 / 3.0]), ("terminated", [2.0, 2.0])]
    {
        let values = chain(config.clone(), end, unit);
        let near = |value: f32, expected: f64| (f64::from(value / unit) - expected).abs() < 0.05;
        for value in &values {
            assert!(expected.iter().any(|&expected| near(*value, expected)), "{end}: {value}, {config}");
        }
        for expected in expected {
            assert!(values.iter().any(|&value| near(value, expected)), "{end}: none near {expected}, {config}");
        }
    }
}

#[test]
fn values_of_a_two_state_chain_are_those_worked_out_by_hand() {
    let sac = json!({"kind": "sac", "temperature": {"kind": "fixed", "alpha": 0.0}});
    let td3 = json!({"kind": "td3", "policy_delay": 2});
    let ddpg = json!({"kind": "td3", "twin": false, "policy_delay": 1, "target_noise": 0.0});
    let long = json!({"kind": "td3", "n_step": 3, "critic_loss": "huber"});
    let rounds = json!({"kind": "td3", "updates": 2, "update_every": 2, "delay_counts": "rounds", "target_updates": "every_update"});
    for config in [sac, td3, ddpg, long, rounds] {
        assert_values(&config, 1.0);
    }
}

#[test]
fn distributional_critics_expect_the_chain_s_values() {
    for n_step in [1, 3] {
        for head in [
            json!({"kind": "categorical", "v_min": 0, "v_max": 5}),
            json!({"kind": "categorical", "v_min": -1, "v_max": 6, "atoms": 8}),
            json!({"kind": "quantile", "quantiles": 10}),
        ] {
            assert_values(&json!({"kind": "td3", "twin": false, "critic_head": head, "n_step": n_step}), 1.0);
        }
    }
}

/// Large rewards are out of reach of plain critics in so few steps of Adam. Where they are small,
/// Pop-Art would first have to unlearn random values that it keeps.
#[test]
fn normalised_critics_learn_the_chain_s_values_in_any_units() {
    let sac = json!({"kind": "sac", "temperature": {"kind": "fixed", "alpha": 0.0}});
    let (td3, ddpg) = (json!({"kind": "td3"}), json!({"kind": "td3", "twin": false, "n_step": 3}));
    for config in [sac, td3, ddpg] {
        for (pop_art, rate, unit) in [(true, 0.01, 1.0), (true, 0.01, 1e5), (false, 0.03, 1e5), (false, 0.03, 1e-3)] {
            let mut config = config.clone();
            config["normalise_returns"] = json!({"pop_art": pop_art, "rate": rate});
            assert_values(&config, unit);
        }
    }
    let plain = chain(json!({"kind": "td3"}), "never", 1e5);
    assert!(plain.iter().all(|value| *value < 1e5), "{plain:?}");
}

/// x' = A x + B u, cost x·x + ρ u², discounted: a damped spring, pushed.
struct Regulator;

impl Regulator {
    const A: [[f64; 2]; 2] = [[0.9, 0.3], [-0.2, 0.9]];
    const B: [f64; 2] = [0.2, 0.8];
    const RHO: f64 = 0.3;
    const GAMMA: f64 = 0.9;
    const STARTS: [[f64; 2]; 4] = [[0.5, 0.0], [-0.5, 0.3], [0.2, -0.5], [0.0, 0.4]];

    fn step(x: [f64; 2], u: f64) -> ([f64; 2], f64) {
        let cost = x[0] * x[0] + x[1] * x[1] + Self::RHO * u * u;
        ([0, 1].map(|i| Self::A[i][0] * x[0] + Self::A[i][1] * x[1] + Self::B[i] * u), cost)
    }

    /// Σ γᵗ cost from the four starts, 100 steps each.
    fn cost(mut policy: impl FnMut([f64; 2]) -> f64) -> f64 {
        let mut total = 0.0;
        for mut x in Self::STARTS {
            let mut discount = 1.0;
            for _ in 0..100 {
                let (next, cost) = Self::step(x, policy(x));
                total += discount * cost;
                (x, discount) = (next, discount * Self::GAMMA);
            }
        }
        total
    }

    /// The optimal gain K, u = −K x, by iterating Riccati's equation with √γ A, √γ B.
    fn gain() -> [f64; 2] {
        let root = Self::GAMMA.sqrt();
        let (a, b) = (Self::A.map(|row| row.map(|x| root * x)), Self::B.map(|x| root * x));
        let (mut p, mut k) = ([[1.0, 0.0], [0.0, 1.0]], [0.0; 2]);
        for _ in 0..2000 {
            let pa = [0, 1].map(|i| [0, 1].map(|j| p[i][0] * a[0][j] + p[i][1] * a[1][j]));
            let pb = [0, 1].map(|i| p[i][0] * b[0] + p[i][1] * b[1]);
            let s = Self::RHO + b[0] * pb[0] + b[1] * pb[1];
            k = [0, 1].map(|j| (b[0] * pa[0][j] + b[1] * pa[1][j]) / s);
            let apb = [0, 1].map(|i| a[0][i] * pb[0] + a[1][i] * pb[1]);
            p = [0, 1].map(|i| {
                [0, 1].map(|j| a[0][i] * pa[0][j] + a[1][i] * pa[1][j] - apb[i] * k[j] + f64::from(u8::from(i == j)))
            });
        }
        k
    }
}

#[test]
fn policies_of_a_linear_quadratic_regulator_cost_little_more_than_riccati_s() {
    let k = Regulator::gain();
    let best = Regulator::cost(|x| {
        let u = -k[0] * x[0] - k[1] * x[1];
        assert!(u.abs() < 1.0, "the optimum must lie inside the action bounds");
        u
    });
    // Moving the gain costs more: the recursion found the minimum.
    for (i, by) in [(0, 0.05), (0, -0.05), (1, 0.05), (1, -0.05)] {
        let mut moved = k;
        moved[i] += by;
        assert!(Regulator::cost(|x| -moved[0] * x[0] - moved[1] * x[1]) > best);
    }
    let nothing = Regulator::cost(|_| 0.0);
    let sac = json!({"kind": "sac", "temperature": {"kind": "auto", "initial": 0.1, "target_entropy": -2.0}});
    let td3 = json!({"kind": "td3", "action_noise": {"kind": "gaussian", "std": 0.3}, "target_noise": 0.05});
    for config in [sac, td3] {
        let cost = learn(&config);
        assert!(cost < 1.05 * best, "cost {cost}, Riccati's {best}, doing nothing {nothing}, {config}");
    }
    assert!(nothing > 2.0 * best);
}

/// The discounted cost of the greedy policy after learning from episodes of 25 steps.
fn learn(config: &Value) -> f64 {
    let net = json!({"hidden": [64, 64], "lr": 2e-3, "lr_schedule": {"linear": {"updates": 6000}}});
    let shared = json!({"gamma": Regulator::GAMMA, "batch_size": 64, "tau": 0.02, "buffer_size": 10_000, "learning_starts": 500, "actor": net, "critic": net});
    let mut agent = build(config.clone(), shared, 2);
    let (mut rng, mut metrics) = (Streams::new(8).rng("starts"), Metrics::default());
    let single = |x: [f64; 2]| x.map(|x| x as f32);
    let mut x = Regulator::STARTS[0];
    for step in 1..=6000 {
        let mut action = [0.0];
        agent.act(&single(x), &mut action).unwrap();
        let (next, cost) = Regulator::step(x, f64::from(action[0]));
        let truncated = step % 25 == 0;
        let (obs, next_obs) = (single(x), single(next));
        agent
            .observe(&Transition {
                obs: &obs,
                action: &action,
                reward: -cost as f32,
                next_obs: &next_obs,
                terminated: false,
                truncated,
            })
            .unwrap();
        agent.update(&mut metrics).unwrap();
        x = if truncated { [0, 1].map(|_| rng.random_range(-0.7..0.7)) } else { next };
    }
    Regulator::cost(|x| {
        let mut action = [0.0];
        agent.act_greedy(&single(x), &mut action).unwrap();
        f64::from(action[0])
    })
}
