//! Feedback policies of 64-64 units on 50,000 pairs of Hopper's size (11 numbers to 3): seconds to build
//! (neighbours, worst pair), to train by each constraint, and for an epoch. One JSON object a line.
//!
//! `cargo bench -p liprl-agents --bench feedback -- [--updates N] [--pairs N]`

use std::{env, error::Error, io::Write, time::Instant};

use liprl_agents::{
    Agent, Metrics, Setup, TaskContext,
    demos::{Demonstrations, Episode},
    feedback::{Feedback, FeedbackConfig},
};
use liprl_numerics::Streams;
use rand::RngExt;
use serde_json::json;
use tch::Device;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let (updates, pairs) = (argument("--updates", 4000)?, argument("--pairs", 50_000)?);
    let context = TaskContext { demonstrations: Some(demonstrations(pairs)), can_terminate: true, ..TaskContext::NONE };
    let setup = Setup { obs_dim: 11, act_dim: 3, streams: Streams::new(0), device: Device::Cpu, threads: 1 };
    for activation in ["tanh", "relu"] {
        for constraint in [
            json!({"kind": "none"}),
            json!({"kind": "primal_dual", "alpha": 2.0}),
            json!({"kind": "primal_dual", "alpha": 2.0, "form": "slope"}),
            json!({"kind": "penalty", "alpha": 2.0}),
            json!({"kind": "by_construction", "alpha": 2.0, "layers": "spectral"}),
            json!({"kind": "by_construction", "alpha": 2.0, "layers": "sandwich"}),
        ] {
            let network = json!({"hidden": [64, 64], "activation": activation});
            let config: FeedbackConfig = serde_json::from_value(json!({"network": network, "constraint": constraint}))?;
            let start = Instant::now();
            let mut agent = Feedback::new(&config, &setup, &context)?;
            let build = start.elapsed().as_secs_f64();
            let (start, mut metrics) = (Instant::now(), Metrics::default());
            (0..updates).try_for_each(|_| agent.update(&mut metrics))?;
            let train = start.elapsed().as_secs_f64();
            let epoch = train / updates as f64 * (pairs as f64 / config.batch_size as f64);
            let line = json!({"library": "liprl", "what": "feedback", "pairs": pairs, "activation": activation, "constraint": constraint,
                "build_s": build, "updates": updates, "train_s": train, "epoch_s": epoch});
            writeln!(std::io::stdout(), "{line}")?;
        }
    }
    Ok(())
}

fn argument(name: &str, default: usize) -> Outcome<usize> {
    let mut arguments = env::args().skip_while(|argument| argument != name).skip(1);
    Ok(arguments.next().map(|value| value.parse()).transpose()?.unwrap_or(default))
}

/// Smooth actions at random observations, so that constraints bind somewhere.
fn demonstrations(pairs: usize) -> Demonstrations {
    let mut rng = Streams::new(1).rng("demonstrations");
    let observations: Vec<f64> = (0..(pairs + 1) * 11).map(|_| rng.random_range(-1.0..1.0)).collect();
    let actions = observations.chunks_exact(11).take(pairs);
    let actions = actions.flat_map(|x| [0, 1, 2].map(|k| (2.0 * x[k] + x[k + 3] * x[k + 6]).sin())).collect();
    let episode = Episode {
        observations,
        actions,
        rewards: vec![0.0; pairs],
        terminations: vec![false; pairs],
        truncations: (0..pairs).map(|t| t + 1 == pairs).collect(),
        ..Episode::default()
    };
    Demonstrations { episodes: vec![episode], ..Demonstrations::default() }
}
