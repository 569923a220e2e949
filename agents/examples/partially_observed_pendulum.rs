//! The pendulum without its velocity: recurrent models, free, with norms of at most 1, and convex
//! (arXiv 2401.07494), beside perceptrons on stacked observations. Prints a Markdown table: errors on
//! held-out episodes as shares of the targets' variance, without and with noise on what the model
//! sees, and proven constants of a step and of a sequence, all in standardised units. Medians over
//! seeds [least, largest].
//!
//! `cargo run --release -p liprl-agents --example partially_observed_pendulum -- [--seeds N] [--updates N]`

use std::{env, error::Error, io::Write};

use liprl_envs::Options;
use liprl_nets::{
    lipschitz::product_bound,
    optim::OptimiserConfig,
    recurrent::{Projection, Recurrent},
    regression::Regression,
};
use liprl_numerics::{Activation, Init, Mlp, StreamRng, Streams};
use rand::RngExt;
use tch::{Device, Kind, Tensor};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Steps of an episode, and the first ones, of which no error counts: the velocity has to be found.
const TIMES: i64 = 20;
const SKIP: i64 = 5;
/// Episodes to learn from and to test on, and episodes a batch.
const EPISODES: [i64; 2] = [1000, 200];
const BATCH: i64 = 64;
/// cos θ, sin θ and the torque; the changes of cos θ and sin θ.
const INPUTS: usize = 3;
const OUTPUTS: usize = 2;
const NOISE: f64 = 0.1;

fn main() -> Outcome<()> {
    tch::set_num_threads(1);
    let (seeds, updates) = (argument("--seeds", 5)?, argument("--updates", 3000)?);
    let names = [
        "perceptron, 1 observation",
        "perceptron, 2",
        "perceptron, 3",
        "perceptron, 5",
        "recurrent, free",
        "recurrent, norms ≤ 1",
        "recurrent, convex, norms ≤ 1",
    ];
    let mut rows = vec![Vec::new(); names.len()];
    for seed in 0..seeds {
        let streams = Streams::new(seed);
        let mut rng = streams.rng("data");
        let [data, test] = EPISODES.map(|episodes| episodes_of(episodes, &mut rng));
        let (mut data, mut test) = (data?, test?);
        standardise(&mut data, &mut test);
        for (stacked, rows) in [1, 2, 3, 5].into_iter().zip(&mut rows) {
            rows.push(perceptron(stacked, &data, &test, updates, &mut streams.rng("perceptron"))?);
        }
        let projections = [Projection::None, Projection::Lipschitz, Projection::ConvexLipschitz];
        for (projection, rows) in projections.into_iter().zip(&mut rows[4..]) {
            rows.push(recurrent(projection, &data, &test, updates, &mut streams.rng("recurrent"))?);
        }
    }
    let mut out = std::io::stdout();
    writeln!(out, "| model | error | with noise {NOISE} | constant of a step | of {TIMES} steps |")?;
    writeln!(out, "| --- | --- | --- | --- | --- |")?;
    for (name, rows) in names.iter().zip(rows) {
        let cell = |i: usize| {
            let mut values: Vec<f64> = rows.iter().map(|row: &[f64; 4]| row[i]).collect();
            values.sort_by(f64::total_cmp);
            let digits = if i < 2 { 4 } else { 1 };
            let (median, least, most) = (values[values.len() / 2], values[0], values[values.len() - 1]);
            format!("{median:.digits$} [{least:.digits$}, {most:.digits$}]")
        };
        writeln!(out, "| {name} | {} | {} | {} | {} |", cell(0), cell(1), cell(2), cell(3))?;
    }
    Ok(())
}

/// Inputs and targets `[episodes, TIMES, …]`.
struct Data {
    x: Tensor,
    y: Tensor,
}

/// Episodes under random torques.
fn episodes_of(episodes: i64, rng: &mut StreamRng) -> Outcome<Data> {
    let mut env = liprl_envs::make("Pendulum-v1", &Options::new())?;
    let (mut x, mut y, mut obs) = (Vec::new(), Vec::new(), vec![0.0; 3]);
    for _ in 0..episodes {
        env.reset(Some(rng.random()), &Options::new(), &mut obs)?;
        for _ in 0..TIMES {
            let (before, torque) = (obs.clone(), rng.random_range(-2.0..2.0));
            env.step(&[torque], &mut obs)?;
            x.extend([before[0] as f32, before[1] as f32, torque as f32]);
            y.extend([(obs[0] - before[0]) as f32, (obs[1] - before[1]) as f32]);
        }
    }
    let shaped = |numbers: &[f32], width: usize| Tensor::from_slice(numbers).view([episodes, TIMES, width as i64]);
    Ok(Data { x: shaped(&x, INPUTS), y: shaped(&y, OUTPUTS) })
}

/// Brings each column of both to mean 0 and deviation 1 of the first.
fn standardise(data: &mut Data, test: &mut Data) {
    for (of, other) in [(&mut data.x, &mut test.x), (&mut data.y, &mut test.y)] {
        let mean = of.mean_dim([0i64, 1].as_slice(), true, None::<Kind>);
        let deviation = of.std_dim([0i64, 1].as_slice(), false, true);
        *of = (&*of - &mean) / &deviation;
        *other = (&*other - &mean) / &deviation;
    }
}

fn batch(data: &Data, rng: &mut StreamRng) -> Data {
    let rows: Vec<i64> = (0..BATCH).map(|_| rng.random_range(0..EPISODES[0])).collect();
    let rows = Tensor::from_slice(&rows);
    Data { x: data.x.index_select(0, &rows), y: data.y.index_select(0, &rows) }
}

/// Mean square error without and with noise, and the two constants.
fn recurrent(projection: Projection, data: &Data, test: &Data, updates: u64, rng: &mut StreamRng) -> Outcome<[f64; 4]> {
    let config = OptimiserConfig::adam(1e-3);
    let mut network = Recurrent::new(INPUTS, &[64, 64], OUTPUTS, projection, config, rng)?;
    for _ in 0..updates {
        let Data { x, y } = batch(data, rng);
        network.step(&x, &y, SKIP)?;
    }
    let error = |x: &Tensor| {
        let error = network.forward(x)?.slice(1, SKIP, None, 1) - test.y.slice(1, SKIP, None, 1);
        Ok::<_, Box<dyn Error>>(error.square().mean(None).double_value(&[]))
    };
    Ok([error(&test.x)?, error(&noisy(&test.x))?, network.per_step()?, network.per_sequence(TIMES as usize)?])
}

fn perceptron(stacked: i64, data: &Data, test: &Data, updates: u64, rng: &mut StreamRng) -> Outcome<[f64; 4]> {
    let inputs = stacked as usize * INPUTS;
    let mlp = Mlp::new(inputs, &[64, 64], OUTPUTS, Activation::Relu, false, Init::default());
    let mut network = Regression::new("loss", mlp, OptimiserConfig::adam(1e-3), Device::Cpu, rng)?;
    for _ in 0..updates {
        let Data { x, y } = batch(data, rng);
        network.update(&windows(&x, stacked), &targets(&y))?;
    }
    let mut error = |x: &Tensor| {
        let error = Tensor::from_slice(&network.predict(&windows(x, stacked))?) - targets(&test.y).flatten(0, -1);
        Ok::<_, Box<dyn Error>>(error.square().mean(None).double_value(&[]))
    };
    let errors = [error(&test.x)?, error(&noisy(&test.x))?];
    let constant = product_bound(&network.net().mlps()[0], network.net().params().tensor())?;
    // Each input is in as many windows as are stacked.
    Ok([errors[0], errors[1], constant, constant * (stacked as f64).sqrt()])
}

/// The last `stacked` inputs of each time from SKIP on, `[rows, stacked · INPUTS]`.
fn windows(x: &Tensor, stacked: i64) -> Tensor {
    let parts: Vec<Tensor> = (0..stacked).map(|back| x.slice(1, SKIP - back, TIMES - back, 1)).collect();
    Tensor::cat(&parts, 2).view([-1, stacked * INPUTS as i64]).contiguous()
}

fn targets(y: &Tensor) -> Tensor {
    y.slice(1, SKIP, None, 1).reshape([-1, OUTPUTS as i64]).contiguous()
}

/// With the same Gaussian noise on cos θ and sin θ for every model.
fn noisy(x: &Tensor) -> Tensor {
    tch::manual_seed(0);
    let noise = Tensor::randn(x.size(), (Kind::Float, Device::Cpu)) * NOISE;
    let _ = noise.slice(2, 2, None, 1).zero_();
    x + noise
}

fn argument(name: &str, default: u64) -> Outcome<u64> {
    let mut words = env::args();
    Ok(match words.by_ref().find(|word| word == name) {
        Some(_) => words.next().ok_or("a number is missing")?.parse()?,
        None => default,
    })
}
