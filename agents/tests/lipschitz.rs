//! Policies and critics with a Lipschitz constant: what their files and evaluations state, beside
//! sampled Jacobians.
#![allow(clippy::unwrap_used)] // a test that cannot go on should say so

use liprl_agents::{
    Agent, AgentConfig, Metrics, Setup, TaskContext, Transition, Visited,
    actor_critic::{Learner, Sac, SacConfig},
    cloning::CloningConfig,
};
use liprl_control::{Policy, PolicySlope};
use liprl_numerics::{Streams, testing::numbers};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

const OBS: usize = 3;
const ACT: usize = 2;
const HALF_WIDTH: [f64; ACT] = [2.0, 0.5];
const ALPHA: f64 = 1.5;

fn setup() -> Setup {
    Setup { obs_dim: OBS, act_dim: ACT, streams: Streams::new(5), device: Device::Cpu, threads: 1 }
}

fn agent(kind: &str, more: Value) -> Box<dyn Agent> {
    let mut config = json!({"kind": kind, "batch_size": 32, "buffer_size": 500, "learning_starts": 40});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let config: AgentConfig = serde_json::from_value(config).unwrap();
    let context = TaskContext { action_half_width: HALF_WIDTH.to_vec(), ..TaskContext::NONE };
    config.build(&setup(), &context).unwrap()
}

/// Lets the agent learn to follow a steep function of observations of different sizes.
fn train(agent: &mut dyn Agent, steps: usize) {
    let random = numbers((steps + 1) * OBS, "observations");
    let obs = |t: usize| [random[t * OBS], 0.1 * random[t * OBS + 1], 5.0 * random[t * OBS + 2]];
    for t in 0..steps {
        let (now, next_obs, mut action) = (obs(t), obs(t + 1), [0.0; ACT]);
        agent.act(&now, &mut action).unwrap();
        let reward = -(action[0] - (40.0 * now[1]).tanh()).powi(2) - (action[1] + (3.0 * now[0]).tanh()).powi(2);
        let (terminated, truncated) = (t % 5 == 4, false);
        let transition = Transition { obs: &now, action: &action, reward, next_obs: &next_obs, terminated, truncated };
        agent.observe(&transition).unwrap();
        agent.update(&mut Metrics::default()).unwrap();
    }
}

/// The largest spectral norm of the policy's Jacobian in the environment's units at some points.
fn steepest(policy: &Policy) -> f64 {
    let (mut slope, mut largest) = (PolicySlope::new(policy).unwrap(), 0f64);
    for x in numbers(300 * OBS, "points").chunks_exact(OBS) {
        let obs = [f64::from(x[0]), 0.1 * f64::from(x[1]), 5.0 * f64::from(x[2])];
        slope.act(&obs, &mut [0.0; ACT]);
        let mut jacobian = Vec::new();
        for k in 0..ACT {
            let (mut by_action, mut row) = ([0.0; ACT], [0.0; OBS]);
            by_action[k] = HALF_WIDTH[k];
            slope.pull_back(&by_action, &mut row);
            jacobian.extend(row);
        }
        let jacobian = Tensor::from_slice(&jacobian).view([ACT as i64, OBS as i64]);
        largest = largest.max(jacobian.svd(true, true).1.max().double_value(&[]));
    }
    largest
}

#[test]
fn a_policy_s_stated_constant_bounds_its_jacobians_in_the_environment_s_units() {
    let actor = |layers: &str| json!({"hidden": [16, 16], "lr": 3e-3, "lipschitz": {"layers": layers, "alpha": ALPHA}});
    let critic = json!({"hidden": [32], "lr": 3e-3});
    for (kind, layers, normalise) in
        [("sac", "sandwich", json!({})), ("td3", "cayley", json!(null)), ("td3", "ldlt", json!({}))]
    {
        let standardised = !normalise.is_null();
        let more = json!({"actor": actor(layers), "critic": critic, "normalise_observations": normalise});
        let mut agent = agent(kind, more);
        train(&mut *agent, 900);
        let policy = agent.policy().unwrap();
        let stated = policy.about()["lipschitz"]["certified"].as_f64().unwrap();
        let scale = policy.normaliser().map_or(1.0, |n| n.scale().iter().copied().fold(0.0, f64::max));
        assert_eq!(standardised, scale > 5.0, "the second coordinate is the smallest");
        assert!(stated <= ALPHA * scale * HALF_WIDTH[0] && stated > 0.9 * ALPHA * scale * HALF_WIDTH[0]);
        let found = steepest(&policy);
        assert!(found <= stated && found > 0.1 * stated, "{kind} {layers}: {found} of {stated}");
    }
}

#[test]
fn evaluations_state_the_constants() {
    let (obs, action, next_obs) = (numbers(60, "obs"), numbers(40, "action"), numbers(60, "next"));
    let visited = Visited { obs, action, next_obs, ..Visited::default() };
    let measured = |more: Value| {
        let mut agent = agent("sac", more);
        train(&mut *agent, 100);
        let metrics = agent.diagnose(&visited).unwrap();
        move |name: &str| metrics.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    };
    let of = measured(json!({"actor": {"hidden": [16], "lipschitz": {"alpha": ALPHA}},
        "critic": {"hidden": [16], "lipschitz": {"alpha": 7, "layers": "spectral"}}}));
    let (actor, critic) = (of("lipschitz/by_construction/actor"), of("lipschitz/by_construction/critic_2"));
    assert!(actor.unwrap() <= ALPHA && actor.unwrap() > 0.99 * ALPHA, "{actor:?}");
    assert!(critic.unwrap() <= 7.0 && critic.unwrap() <= of("lipschitz/product_bound/critic_2").unwrap());
    let svd_clip = json!({"kind": "svd_clip", "alpha": ALPHA});
    let of = measured(json!({"actor": {"hidden": [16, 16], "lr": 0.05, "weight_constraint": svd_clip},
        "critic": {"hidden": [16]}}));
    assert_eq!(of("lipschitz/by_construction/actor"), None);
    let bound = of("lipschitz/product_bound/actor").unwrap();
    assert!(bound <= ALPHA && bound > 0.5 * ALPHA, "{bound}");
}

#[test]
fn a_clone_keeps_the_constant_and_learns() {
    let obs = Tensor::from_slice(&numbers(200 * OBS, "cloned")).view([200, OBS as i64]);
    let action = (obs.narrow(1, 0, ACT as i64) * 0.8).tanh();
    let config = CloningConfig { updates: 400, batch_size: 64, lr: 3e-3, weight_decay: 1e-4, ..Default::default() };
    for (setting, steep) in [("lipschitz", false), ("weight_constraint", false), ("lipschitz", true)] {
        let constant = match setting {
            "lipschitz" => json!({"alpha": ALPHA}),
            _ => json!({"kind": "svd_clip", "alpha": ALPHA}),
        };
        let mut actor = json!({"hidden": [16, 16]});
        actor[setting] = constant;
        let sac: SacConfig = serde_json::from_value(json!({"actor": actor})).unwrap();
        let mut sac = Sac::new(&sac, &setup()).unwrap();
        let wanted = if steep { (&obs * 30.0).tanh().narrow(1, 0, ACT as i64) } else { action.shallow_clone() };
        let mut rng = Streams::new(3).rng("cloning");
        let error = |sac: &Sac| {
            let head = sac.actor().forward(0, sac.actor().params().tensor(), &obs).narrow(1, 0, ACT as i64);
            (head.tanh() - &wanted).square().mean(Kind::Double).double_value(&[])
        };
        let before = error(&sac);
        sac.clone_policy(&obs, &wanted.contiguous(), &config, &mut rng).unwrap();
        let after = error(&sac);
        // A function that is too steep leaves an error.
        assert!(steep || after < 0.5 * before, "{setting} {steep}: {before} {after}");
        let params = sac.actor().params().tensor().to_kind(Kind::Double);
        let x = obs.to_kind(Kind::Double);
        let norms = liprl_nets::lipschitz::jacobian_norms(
            |x| Ok(liprl_nets::Autograd::forward(&sac.actor().mlps()[0], &params, x)),
            &x,
        );
        let largest = norms.unwrap().spectral.into_iter().fold(0.0, f64::max);
        assert!(largest <= ALPHA && largest > 0.5, "{setting}: {largest}");
    }
}
