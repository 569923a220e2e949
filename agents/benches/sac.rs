//! SAC's gradient update (17 observations, 6 actions, nets 256-256, batch 256, sampling included)
//! against the floor of its matrix products alone, in alternation, and one observation through the
//! policy; the update also in bf16, where the processor has that. One JSON object a line.
//!
//! `cargo bench -p liprl-agents --bench sac -- [--threads N] [--updates N] [--repeats N]`
//!
//! With `--regularisers 1` instead the cost of each value regulariser: its update's time over the
//! plain one's, in alternation.

use std::{env, error::Error, hint::black_box, time::Instant};

use liprl_agents::{Agent, AgentConfig, Metrics, Setup, TaskContext, Transition};
use liprl_nets::{Precision, set_precision};
use liprl_numerics::Streams;
use rand::RngExt;
use serde_json::{Value, json};
use tch::Device;

mod shared;

use shared::{Floor, rate, report};

const OBS: usize = 17;
const ACT: usize = 6;

fn main() -> Result<(), Box<dyn Error>> {
    let threads = argument("--threads", 1)?;
    let (updates, repeats) = (argument("--updates", 300)?, argument("--repeats", 5)?);
    if argument("--regularisers", 0)? > 0 {
        return regularisers(threads, updates, repeats);
    }
    let mut agent = agent(threads, &json!({}))?;
    let mut floors: Vec<Floor> = (0..threads).map(|_| products_alone(256, 256)).collect();
    let mut metrics = Metrics::default();
    let (mut update_rates, mut floor_rates, mut bf16_rates) = (Vec::new(), Vec::new(), Vec::new());
    let mut updates_per_s = || {
        let start = Instant::now();
        (0..updates).try_for_each(|_| agent.update(&mut metrics))?;
        Ok::<_, Box<dyn Error>>(updates as f64 / start.elapsed().as_secs_f64())
    };
    for repeat in 0..=repeats {
        let update_rate = updates_per_s()?;
        let floor_rate = rate(&mut floors, updates.div_ceil(threads))?;
        let bf16_rate = set_precision(Precision::Bf16).is_ok().then(&mut updates_per_s).transpose()?;
        set_precision(Precision::F32)?;
        // The first round warms caches and clocks up.
        if repeat > 0 {
            update_rates.push(update_rate);
            floor_rates.push(floor_rate);
            bf16_rates.extend(bf16_rate.map(|rate| (rate, rate / update_rate)));
        }
    }
    let ratios: Vec<f64> = update_rates.iter().zip(&floor_rates).map(|(update, floor)| update / floor).collect();
    report("updates_per_s", threads, update_rates)?;
    report("matrix_products_alone_per_s", threads, floor_rates)?;
    report("share_of_floor", threads, ratios)?;
    if !bf16_rates.is_empty() {
        let (rates, ratios) = bf16_rates.into_iter().unzip();
        report("updates_per_s_in_bf16", threads, rates)?;
        report("bf16_over_f32", threads, ratios)?;
    }

    let (obs, mut action) = ([0.1; OBS], [0.0; ACT]);
    let times = (0..=repeats).map(|_| {
        let start = Instant::now();
        (0..1000).try_for_each(|_| agent.act(black_box(&obs), black_box(&mut action)))?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    });
    report("act_us", threads, times.collect::<Result<_, Box<dyn Error>>>()?)?;
    Ok(())
}

/// Settings and what they are called.
fn variants() -> Vec<(&'static str, Value)> {
    let robust = |extra: Value| {
        let mut term = json!({"kind": "robust"});
        if let (Some(term), Value::Object(extra)) = (term.as_object_mut(), extra) {
            term.extend(extra);
        }
        json!({"value_regulariser": term})
    };
    let norm = json!({"scale": 5});
    vec![
        ("spectral_norm", json!({"critic_spectral_norm": norm})),
        ("robust", robust(json!({}))),
        ("robust_and_spectral_norm", json!({"critic_spectral_norm": norm, "value_regulariser": {"kind": "robust"}})),
        ("robust_first", robust(json!({"against": "first"}))),
        ("robust_all_rows", robust(json!({"rows": 256}))),
        ("robust_all_rows_first", robust(json!({"rows": 256, "against": "first"}))),
        ("robust_all_rows_every_4", robust(json!({"rows": 256, "every": 4}))),
        ("robust_pgd_5", robust(json!({"adversary": {"pgd": {"steps": 5}}}))),
        ("robust_uniform", robust(json!({"adversary": "uniform"}))),
        ("gradient_penalty", json!({"value_regulariser": {"kind": "gradient_penalty"}})),
        ("gradient_penalty_all_rows", json!({"value_regulariser": {"kind": "gradient_penalty", "rows": 256}})),
    ]
}

fn regularisers(threads: usize, updates: usize, repeats: usize) -> Result<(), Box<dyn Error>> {
    let mut plain = agent(threads, &json!({}))?;
    let seconds = |agent: &mut Box<dyn Agent>| -> Result<f64, Box<dyn Error>> {
        let (start, mut metrics) = (Instant::now(), Metrics::default());
        for _ in 0..updates {
            agent.update(&mut metrics)?;
        }
        Ok(start.elapsed().as_secs_f64())
    };
    for (name, config) in variants() {
        let mut other = agent(threads, &config)?;
        seconds(&mut plain)?; // warms caches and clocks up
        seconds(&mut other)?;
        let mut ratios = Vec::new();
        for _ in 0..repeats {
            let (before, with, after) = (seconds(&mut plain)?, seconds(&mut other)?, seconds(&mut plain)?);
            ratios.push(2.0 * with / (before + after));
        }
        report(&format!("time_over_plain/{name}"), threads, ratios)?;
    }
    Ok(())
}

fn argument(name: &str, default: usize) -> Result<usize, Box<dyn Error>> {
    let mut arguments = env::args().skip_while(|argument| argument != name).skip(1);
    Ok(arguments.next().map(|value| value.parse()).transpose()?.unwrap_or(default))
}

fn agent(threads: usize, extra: &Value) -> Result<Box<dyn Agent>, Box<dyn Error>> {
    let mut config = json!({"kind": "sac", "buffer_size": 100_000, "learning_starts": 1});
    if let (Some(config), Some(extra)) = (config.as_object_mut(), extra.as_object()) {
        config.extend(extra.clone());
    }
    let config: AgentConfig = serde_json::from_value(config)?;
    let streams = Streams::new(0);
    let mut agent = config
        .build(&Setup { obs_dim: OBS, act_dim: ACT, streams, device: Device::Cpu, threads }, &TaskContext::NONE)?;
    let mut rng = streams.rng("bench");
    for step in 0..20_000 {
        let mut numbers = [0.0f32; 2 * OBS + ACT + 1];
        numbers.iter_mut().for_each(|number| *number = rng.random_range(-1.0..1.0));
        let (obs, rest) = numbers.split_at(OBS);
        let (next_obs, rest) = rest.split_at(OBS);
        let (terminated, truncated) = (false, step % 1000 == 999);
        agent.observe(&Transition { obs, action: &rest[..ACT], reward: rest[ACT], next_obs, terminated, truncated })?;
    }
    Ok(agent)
}

/// Every matrix product of one update.
fn products_alone(batch: i64, hidden: i64) -> Floor {
    let (obs, act, mut floor) = (OBS as i64, ACT as i64, Floor::default());
    let (policy, critic) = ([obs, hidden, hidden, 2 * act], [obs + act, hidden, hidden, 1]);
    floor.forward(batch, &policy); // at the next observations
    (0..2).for_each(|_| floor.forward(batch, &critic)); // target critics
    (0..2).for_each(|_| floor.forward(batch, &critic));
    (0..2).for_each(|_| floor.backward(batch, &critic, true));
    floor.forward(batch, &policy);
    (0..2).for_each(|_| floor.forward(batch, &critic)); // at the policy's actions
    (0..2).for_each(|_| floor.backward(batch, &critic, false));
    (0..2).for_each(|_| floor.product(batch, hidden, act, false, false)); // to the action
    floor.backward(batch, &policy, true);
    floor
}
