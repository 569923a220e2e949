//! Off-policy GAIL on Hopper-v5 at the released defaults of arXiv 2006.16785: environment steps per
//! second, the share of its parts, and the matrix products alone. One JSON object a line.
//!
//! Every 2 steps there are 2 rounds, each one TD3 update on 10-step windows of 64 and one pass over
//! 500 demonstrated transitions in batches of 64.
//!
//! `cargo bench -p liprl-agents --bench gail -- [--threads N] [--steps N] [--repeats N]`

use std::{env, error::Error, time::Instant};

use liprl_agents::{
    Agent, AgentConfig, Metrics, Setup, TaskContext, Transition,
    demos::{Demonstrations, Episode},
};
use liprl_envs::{Env, Options};
use liprl_nets::{Precision, set_precision};
use liprl_numerics::Streams;
use rand::RngExt;
use serde_json::{Value, json};
use tch::Device;

#[path = "../tests/support/merge.rs"]
mod merge;
mod shared;

use merge::merge;
use shared::{Floor, rate, report};

/// A shaping of usual length.
const POTENTIAL: &str = "-abs(obs[1]) - 0.1*obs[3]^2";
const BONUS: &str = "0.1 * (next_obs[0] - obs[0]) - 0.001 * norm(action)^2";

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let threads = argument("--threads", 1)?;
    let (steps, repeats) = (argument("--steps", 400)?, argument("--repeats", 5)?);
    // The work less one part at a time: the difference is the part's share.
    let parts = [
        ("gail_steps_per_s", json!({})),
        ("gail_steps_per_s_without_discriminator", json!({"reward": {"kind": "constant", "value": 1.0}})),
        ("gail_steps_per_s_without_penalty", json!({"discriminator": {"gradient_penalty": {"scale": 0.0}}})),
        ("gail_steps_per_s_constant_shaping", json!({"shaping": {"kind": "constant", "factor": 0.7}})),
        (
            "gail_steps_per_s_expression_shaping",
            json!({"shaping": {"kind": "expression", "potential": POTENTIAL, "bonus": BONUS}}),
        ),
    ];
    let mut worlds = Vec::new();
    for (what, changes) in parts {
        worlds.push((what, World::new(&changes, threads)?, Vec::new()));
    }
    let mut floors: Vec<Floor> = (0..threads).map(|_| two_rounds()).collect();
    let (mut alone, mut in_bf16) = (Vec::new(), Vec::new());
    for repeat in 0..=repeats {
        let rounds = rate(&mut floors, steps / (2 * threads))?;
        if repeat > 0 {
            alone.push(2.0 * rounds);
        }
        for (_, world, rates) in &mut worlds {
            let rate = world.steps_per_s(steps)?;
            if repeat > 0 {
                rates.push(rate); // the first round warms caches and clocks up
            }
        }
        if set_precision(Precision::Bf16).is_ok() {
            let rate = worlds[0].1.steps_per_s(steps)?;
            if repeat > 0 {
                in_bf16.push(rate);
            }
        }
        set_precision(Precision::F32)?;
    }
    let shares = worlds[0].2.iter().zip(&alone).map(|(rate, alone)| rate / alone).collect();
    for (what, _, rates) in worlds {
        report(what, threads, rates)?;
    }
    report("gail_matrix_products_alone_steps_per_s", threads, alone)?;
    report("gail_share_of_floor", threads, shares)?;
    if !in_bf16.is_empty() {
        report("gail_steps_per_s_in_bf16", threads, in_bf16)?;
    }
    Ok(())
}

/// The matrix products of two steps, except those of acting and of parameter noise. These are two
/// updates of TD3, in one of which the actor learns. Each is on windows relabelled by the
/// discriminator and followed by seven steps of the discriminator with its penalty.
fn two_rounds() -> Floor {
    let (batch, obs, act, window, row, steps) = (64, 11, 3, 10, 16, 7);
    let (policy, critic, discriminator) = ([obs, 300, 200, act], [obs + act, 400, 300, 1], [row, 100, 100, 1]);
    let mut floor = Floor::default();
    for learns in [false, true] {
        floor.forward(window * batch, &discriminator);
        floor.forward(batch, &policy); // at the next observations
        (0..4).for_each(|_| floor.forward(batch, &critic)); // targets and critics
        (0..2).for_each(|_| floor.backward(batch, &critic, true));
        if learns {
            floor.forward(batch, &policy);
            floor.forward(batch, &critic);
            floor.backward(batch, &critic, false);
            floor.product(batch, 400, act, false, false); // to the action
            floor.backward(batch, &policy, true);
        }
        for _ in 0..steps {
            floor.forward(2 * batch, &discriminator);
            floor.backward(2 * batch, &discriminator, true);
            // The penalty: input gradients, vectors back to each layer, tangents forward, their
            // outer products.
            floor.forward(batch, &discriminator[..3]);
            floor.product(batch, 100, 100, false, false);
            floor.product(batch, 100, row, false, false);
            floor.forward(batch, &discriminator[..3]);
            floor.product(100, batch, row, true, false);
            floor.product(100, batch, 100, true, false);
        }
    }
    floor
}

fn argument(name: &str, default: usize) -> Outcome<usize> {
    let mut arguments = env::args().skip_while(|argument| argument != name).skip(1);
    Ok(arguments.next().map(|value| value.parse()).transpose()?.unwrap_or(default))
}

/// An agent and its environment.
struct World {
    env: Box<dyn Env>,
    agent: Box<dyn Agent>,
    metrics: Metrics,
    wide: Vec<f64>,
    obs: Vec<f32>,
    next_obs: Vec<f32>,
    action: Vec<f32>,
}

impl World {
    fn new(changes: &Value, threads: usize) -> Outcome<Self> {
        let mut env = liprl_envs::make("Hopper-v5", &Options::new())?;
        let (obs_dim, act_dim) = (env.observation_space().dim(), env.action_space().dim());
        let mut config = released();
        merge(&mut config, changes);
        let config: AgentConfig = serde_json::from_value(config)?;
        let setup = Setup { obs_dim, act_dim, streams: Streams::new(0), device: Device::Cpu, threads };
        let context = TaskContext {
            demonstrations: Some(demonstrations(obs_dim, act_dim)),
            can_terminate: true,
            ..TaskContext::NONE
        };
        let agent = config.build(&setup, &context)?;
        let mut wide = vec![0.0; obs_dim];
        env.reset(Some(0), &Options::new(), &mut wide)?;
        let obs = wide.iter().map(|&x| x as f32).collect();
        let (next_obs, action) = (vec![0.0; obs_dim], vec![0.0; act_dim]);
        let mut world = Self { env, agent, metrics: Metrics::default(), wide, obs, next_obs, action };
        // Until windows have their full length.
        (0..200).try_for_each(|_| world.step())?;
        Ok(world)
    }

    fn steps_per_s(&mut self, steps: usize) -> Outcome<f64> {
        let start = Instant::now();
        (0..steps).try_for_each(|_| self.step())?;
        Ok(steps as f64 / start.elapsed().as_secs_f64())
    }

    fn step(&mut self) -> Outcome<()> {
        self.agent.act(&self.obs, &mut self.action)?;
        let action: Vec<f64> = self.action.iter().map(|&x| f64::from(x)).collect();
        let step = self.env.step(&action, &mut self.wide)?;
        self.next_obs.iter_mut().zip(&self.wide).for_each(|(narrow, &wide)| *narrow = wide as f32);
        self.agent.observe(&Transition {
            obs: &self.obs,
            action: &self.action,
            reward: step.reward as f32,
            next_obs: &self.next_obs,
            terminated: step.terminated,
            truncated: step.truncated,
        })?;
        self.agent.update(&mut self.metrics)?;
        if step.done() {
            self.env.reset(None, &Options::new(), &mut self.wide)?;
            self.obs.iter_mut().zip(&self.wide).for_each(|(narrow, &wide)| *narrow = wide as f32);
        } else {
            std::mem::swap(&mut self.obs, &mut self.next_obs);
        }
        Ok(())
    }
}

/// configs/liayn/hopper.yaml with the labels, the one-sided penalty and the schedule of the
/// authors' release.
fn released() -> Value {
    let net = |hidden: [usize; 2]| json!({"hidden": hidden, "layer_norm": true, "init": {"orthogonal": {"output_gain": 0.01}}, "lr": 2.5e-4});
    let mut actor = net([300, 200]);
    actor["clip_norm"] = json!(40.0);
    actor["lr_schedule"] = json!({"linear": {"updates": 10_000_000}});
    json!({
        "kind": "gail",
        "policy": {
            "kind": "td3", "gamma": 0.995, "n_step": 10, "batch_size": 64, "buffer_size": 100_000, "learning_starts": 0,
            "update_every": 2, "updates": 2, "policy_delay": 2, "delay_counts": "rounds", "target_updates": "every_update",
            "backup": {"soft": {"minimum_weight": 0.75}}, "critic_loss": "huber", "actor": actor, "critic": net([400, 300]),
            "action_noise": {"kind": "ornstein_uhlenbeck"}, "parameter_noise": {"adapt_every": 2},
            "normalise_observations": {"variance_floor": 0.01},
        },
        "discriminator": {
            "expert_labels": {"uniform": {"low": 0.7, "high": 1.2}},
            "gradient_penalty": {"sides": "one"},
        },
    })
}

/// Ten episodes of 1000 steps; their numbers do not matter to the clock.
fn demonstrations(obs_dim: usize, act_dim: usize) -> Demonstrations {
    let mut rng = Streams::new(1).rng("demonstrations");
    let mut numbers = |count: usize| (0..count).map(|_| rng.random_range(-1.0..1.0)).collect::<Vec<f64>>();
    let episodes = (0..10).map(|_| Episode {
        observations: numbers(1001 * obs_dim),
        actions: numbers(1000 * act_dim),
        rewards: vec![1.0; 1000],
        terminations: vec![false; 1000],
        truncations: (0..1000).map(|t| t == 999).collect(),
        ..Episode::default()
    });
    Demonstrations { episodes: episodes.collect(), ..Demonstrations::default() }
}
