//! Time of one optimiser step of a 256-256 network, plain Adam's and with each constant or constraint, in
//! one run. One JSON object a line; `ratio` is to plain Adam. Times are the least of the rounds, as other
//! programs only add.
//!
//! `cargo bench -p liprl-nets --bench constraints`

use std::{error::Error, time::Instant};

use liprl_nets::{
    LipschitzConfig, MuonConfig, Optimiser, Team, WeightConstraint,
    layers::Layers,
    optim::{OptimiserConfig, TrainState},
};
use liprl_numerics::{Activation, Init, Mlp, Streams, testing::numbers};
use tch::Device;

/// Rounds, and steps in each.
const ROUNDS: usize = 15;
const STEPS: usize = 10;

fn main() -> Result<(), Box<dyn Error>> {
    tch::set_num_threads(1);
    let adam = OptimiserConfig::adam(3e-4);
    let lipschitz = |layers| OptimiserConfig { lipschitz: Some(LipschitzConfig { layers, alpha: 4.0 }), ..adam };
    let limited = |constraint| OptimiserConfig { constraint: Some(constraint), ..adam };
    let muon = OptimiserConfig { rule: Optimiser::Muon(MuonConfig::default()), ..adam };
    let alpha = 4.0;
    let kinds = [
        ("adam", adam),
        ("muon", muon),
        ("muon, soft_cap", OptimiserConfig { constraint: Some(WeightConstraint::SoftCap { alpha }), ..muon }),
        ("spectral_normalise", limited(WeightConstraint::SpectralNormalise { alpha })),
        ("decay", limited(WeightConstraint::Decay { rate: 0.1 })),
        ("svd_clip", limited(WeightConstraint::SvdClip { alpha, every: 1 })),
        ("svd_clip, every 10", limited(WeightConstraint::SvdClip { alpha, every: 10 })),
        ("lipschitz spectral", lipschitz(Layers::Spectral)),
        ("lipschitz aol", lipschitz(Layers::Aol)),
        ("lipschitz sandwich", lipschitz(Layers::Sandwich)),
        ("lipschitz ldlt", lipschitz(Layers::Ldlt)),
    ];
    for hidden in [[32, 32], [256, 256]] {
        let mut least = Vec::new();
        for (_, config) in kinds {
            let mlp = Mlp::new(17, &hidden, 12, Activation::Relu, false, Init::Uniform);
            let mut network = TrainState::new(vec![mlp], config, Device::Cpu, &mut Streams::new(1).rng("bench"))?;
            let (team, mut gradient, mut times) = (Team::new(1)?, network.gradient()?, Vec::new());
            let numbers = numbers(network.params().slice().len(), "gradient");
            for round in 0..=ROUNDS {
                let start = Instant::now();
                for _ in 0..STEPS {
                    gradient.slice_mut().copy_from_slice(&numbers);
                    network.step(&team, &mut [&mut gradient], None)?;
                }
                if round > 0 {
                    times.push(start.elapsed().as_secs_f64() / STEPS as f64); // the first round warms up
                }
            }
            least.push(times.into_iter().fold(f64::INFINITY, f64::min));
        }
        for ((name, _), seconds) in kinds.iter().zip(&least) {
            let (ms, ratio) = (1e3 * seconds, seconds / least[0]);
            println!(
                "{}",
                format_args!("{{\"what\":\"{name}\",\"hidden\":{hidden:?},\"ms\":{ms:.3},\"ratio\":{ratio:.1}}}")
            );
        }
    }
    Ok(())
}
