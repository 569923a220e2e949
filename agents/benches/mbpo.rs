//! The parts of model-based policy optimisation at Hopper's sizes (11 observations, 3 actions, model
//! 4 × 200 swish, policy 256-256), in alternation: fits of one network and of seven on the same data and
//! steps, rollouts with the policy, SAC's updates inside MBPO and by itself. Then the hours to 75,000
//! steps of Hopper that follow from these rates. One JSON object a line.
//!
//! `cargo bench -p liprl-agents --bench mbpo -- [--threads N] [--repeats N]`

use std::{collections::HashMap, env, error::Error, time::Instant};

use liprl_agents::{
    Agent, AgentConfig, Flags, Metrics, Replay, ReplayConfig, Setup, TaskContext, Transition,
    actor_critic::{Learner, Sac, SacConfig},
    mbpo::{Dynamics, Length, MbpoConfig, ModelConfig, Profile, RolloutLength, RolloutOptions, RolloutWorkers, Rule},
};
use liprl_numerics::Streams;
use rand::RngExt;
use serde_json::{Value, json};
use tch::Device;

mod shared;

use shared::{Floor, rate, report};

const OBS: usize = 11;
const ACT: usize = 3;
/// Real transitions: Hopper's after 20,000 steps.
const ROWS: usize = 20_000;
/// Gradient steps of a fit that is timed: one epoch.
const STEPS: u64 = 63;
const ROLLOUTS: usize = 20_000;
const UPDATES: u64 = 200;
/// Models whose hours are printed, by their names among rollouts and fits, with the gradient steps of
/// their fits on Hopper. These are means over the first 75,000 steps, from the logs in
/// docs/results/mbrl/hopper_longer before 30,000 steps and after.
const MODELS: [(&str, f64); 2] = [("single_deterministic", 1190.0), ("ensemble_of_7_probabilistic", 2617.0)];

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let (threads, repeats) = (argument("--threads", 1)?, argument("--repeats", 3)?);
    let mut medians = HashMap::new();
    let mut tell = |what: String, values: Vec<f64>| -> Outcome<()> {
        let median = report(&what, threads, values)?;
        medians.insert(what, median);
        Ok(())
    };
    let replay = filled(ROWS)?;
    for (name, prediction) in [("deterministic", "deterministic"), ("probabilistic", "probabilistic")] {
        let (mut single, mut ensemble, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..repeats {
            let one = fit_seconds(&json!({"prediction": prediction, "members": 1}), &replay, threads)?;
            let seven = fit_seconds(&json!({"prediction": prediction, "members": 7}), &replay, threads)?;
            single.push(STEPS as f64 / one);
            ensemble.push(STEPS as f64 / seven);
            ratios.push(seven / one);
        }
        tell(format!("fit_steps_per_s_single_{name}"), single)?;
        tell(format!("fit_steps_per_s_ensemble_of_7_{name}"), ensemble)?;
        tell(format!("fit_single_over_ensemble_{name}"), ratios)?;
    }
    for (name, model) in [
        ("single_deterministic", json!({"prediction": "deterministic", "members": 1})),
        ("single_probabilistic", json!({"members": 1})),
        ("ensemble_of_7_probabilistic", json!({})),
    ] {
        let (rates, shares) = rollout_rates(&model, &replay, threads, repeats)?;
        tell(format!("rollout_steps_per_s_{name}"), rates)?;
        tell(format!("rollout_share_of_floor_{name}"), shares)?;
    }
    let (mut inside, mut plain) = (learning(true, threads)?, learning(false, threads)?);
    let (mut inside_rates, mut plain_rates) = (Vec::new(), Vec::new());
    for repeat in 0..=repeats {
        let rates = (update_rate(&mut *inside)?, update_rate(&mut *plain)?);
        // The first round warms caches and clocks up.
        if repeat > 0 {
            inside_rates.push(rates.0);
            plain_rates.push(rates.1);
        }
    }
    let ratios = inside_rates.iter().zip(&plain_rates).map(|(inside, plain)| inside / plain).collect();
    tell("updates_per_s_inside_mbpo".into(), inside_rates)?;
    tell("updates_per_s_plain_sac".into(), plain_rates)?;
    tell("inside_over_plain".into(), ratios)?;
    for (model, fit_steps) in MODELS {
        let rate = |what: &str| medians[&format!("{what}_{model}")];
        let (fit, rollout_rate) = (fit_steps / rate("fit_steps_per_s"), rate("rollout_steps_per_s"));
        let seconds = hopper_seconds(medians["updates_per_s_inside_mbpo"], fit, rollout_rate);
        report(&format!("hopper_75000_steps_hours_{model}"), threads, vec![seconds / 3600.0])?;
    }
    Ok(())
}

/// Seconds of configs/mbrl/hopper.yaml to 75,000 steps without evaluations, if no rollout ends early.
fn hopper_seconds(updates_per_s: f64, seconds_a_fit: f64, rollout_steps_per_s: f64) -> f64 {
    let rollout_length = Length::Growing(RolloutLength { first_epoch: 20, last_epoch: 150, from: 1, to: 15 });
    let config = MbpoConfig { rollout_length, ..MbpoConfig::default() };
    let steps = 75_000 - config.policy.learning_starts;
    let fits: Vec<u64> = (0..steps).filter(|t| config.refit_due(*t)).collect();
    let lengths: u64 = fits.iter().map(|t| config.rollout_length.at(config.epoch(*t))).sum();
    let imagined = lengths * config.rollouts as u64;
    (steps * config.policy.shared.updates) as f64 / updates_per_s
        + fits.len() as f64 * seconds_a_fit
        + imagined as f64 / rollout_steps_per_s
}

fn argument(name: &str, default: usize) -> Outcome<usize> {
    let mut arguments = env::args().skip_while(|argument| argument != name).skip(1);
    Ok(arguments.next().map(|value| value.parse()).transpose()?.unwrap_or(default))
}

fn setup(threads: usize) -> Setup {
    Setup { obs_dim: OBS, act_dim: ACT, streams: Streams::new(0), device: Device::Cpu, threads }
}

/// Random transitions of a smooth task.
fn steps(count: usize, mut each: impl FnMut(&Transition<'_>) -> Outcome<()>) -> Outcome<()> {
    let mut rng = Streams::new(1).rng("bench");
    let mut obs = [0.0f32; OBS];
    for step in 0..count {
        let action = [(); ACT].map(|()| rng.random_range(-1.0f32..1.0));
        let mut next_obs = obs;
        for (i, next) in next_obs.iter_mut().enumerate() {
            *next = 0.9 * obs[i] + 0.1 * (obs[(i + 1) % OBS] + action[i % ACT]).sin();
        }
        let truncated = step % 1000 == 999;
        let reward = next_obs[0];
        each(&Transition { obs: &obs, action: &action, reward, next_obs: &next_obs, terminated: false, truncated })?;
        obs = next_obs;
    }
    Ok(())
}

fn filled(rows: usize) -> Outcome<Replay> {
    let mut replay = Replay::new(ReplayConfig { capacity: rows, obs_dim: OBS, act_dim: ACT, priorities: None })?;
    steps(rows, |step| Ok(replay.push(step, Flags::NONE)?))?;
    Ok(replay)
}

/// Seconds of `STEPS` gradient steps, without the fit's preparation.
fn fit_seconds(model: &Value, replay: &Replay, threads: usize) -> Outcome<f64> {
    let config: ModelConfig = serde_json::from_value(model.clone())?;
    let mut dynamics = Dynamics::new(&config, Profile::Authors, &setup(threads))?;
    dynamics.begin_fit(replay)?;
    dynamics.advance_fit(replay, 3)?;
    let started = Instant::now();
    dynamics.advance_fit(replay, STEPS - 10)?;
    Ok(started.elapsed().as_secs_f64() * STEPS as f64 / (STEPS - 10) as f64)
}

/// State-steps a second of rollouts of five steps, and their ratio to the rate of the matrix products
/// alone, measured in alternation.
fn rollout_rates(model: &Value, replay: &Replay, threads: usize, repeats: usize) -> Outcome<(Vec<f64>, Vec<f64>)> {
    let config: ModelConfig = serde_json::from_value(model.clone())?;
    let setup = setup(threads);
    let dynamics = Dynamics::new(&config, Profile::Authors, &setup)?;
    let sac = Sac::new(&SacConfig::default(), &setup)?;
    let mut workers = RolloutWorkers::new(&dynamics, &sac.actor().mlps()[0], None, threads)?;
    let mut pool = Replay::new(ReplayConfig { capacity: 400_000, ..*replay.config() })?;
    let (mut rng, rule) = (Streams::new(2).rng("rollouts"), Rule::Never);
    let options = RolloutOptions {
        dynamics: &dynamics,
        normaliser: None,
        rule: &rule,
        termination: None,
        length: 5,
        count: ROLLOUTS,
        blow_up: 1e6,
    };
    let (mut rates, mut shares) = (Vec::new(), Vec::new());
    let outputs = if config.prediction.gaussian() { 2 * (OBS + 1) } else { OBS + 1 };
    let mut floors: Vec<Floor> = (0..threads).map(|_| Floor::default()).collect();
    for floor in &mut floors {
        floor.forward(512, &[OBS as i64, 256, 256, 2 * ACT as i64]);
        floor.forward(512, &[(OBS + ACT) as i64, 200, 200, 200, 200, outputs as i64]);
    }
    for repeat in 0..=repeats {
        let floor_rate = 512.0 * rate(&mut floors, 20)?;
        let started = Instant::now();
        let counts = workers.roll_out(options, sac.actor(), replay, &mut pool, &mut rng)?;
        if repeat > 0 {
            let rate = counts.stored as f64 / started.elapsed().as_secs_f64();
            rates.push(rate);
            shares.push(rate / floor_rate);
        }
    }
    Ok((rates, shares))
}

/// An agent whose every `update` is 20 gradient updates.
fn learning(model_based: bool, threads: usize) -> Outcome<Box<dyn Agent>> {
    let policy = json!({"learning_starts": 1000, "updates": 20, "buffer_size": 100_000});
    let mut config = match model_based {
        true => {
            json!({"kind": "mbpo", "policy": policy, "refit_every": 1_000_000, "epoch_steps": 1_000_000, "rollouts": 100_000,
            "model": {"prediction": "deterministic", "members": 1, "max_epochs": 1}})
        }
        false => policy,
    };
    if !model_based {
        config["kind"] = json!("sac");
    }
    let config: AgentConfig = serde_json::from_value(config)?;
    let context = TaskContext { can_terminate: false, ..TaskContext::NONE };
    let mut agent = config.build(&setup(threads), &context)?;
    let mut metrics = Metrics::default();
    // Each samples from 100,000 transitions: imagined ones, or its own.
    steps(if model_based { 1001 } else { 100_000 }, |step| {
        agent.observe(step)?;
        if !model_based {
            return Ok(());
        }
        agent.update(&mut metrics)?;
        while agent.busy() {
            agent.update(&mut metrics)?;
        }
        Ok(())
    })?;
    Ok(agent)
}

fn update_rate(agent: &mut dyn Agent) -> Outcome<f64> {
    let (before, started, mut metrics) = (agent.updates(), Instant::now(), Metrics::default());
    while agent.updates() < before + UPDATES {
        agent.update(&mut metrics)?;
    }
    Ok((agent.updates() - before) as f64 / started.elapsed().as_secs_f64())
}
