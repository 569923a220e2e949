//! SAC's gradient update by hand against the same update by autograd (17 observations, 6 actions,
//! nets 256-256, batch 256), in alternation, for critics and policies of ReLU, ReLU with LayerNorm, and
//! tanh. One JSON object a line.
//!
//! `cargo bench -p liprl-agents --bench forms -- [--threads N] [--updates N] [--repeats N]`

use std::{env, error::Error, time::Instant};

use liprl_agents::{
    Batch, Metrics, Setup,
    actor_critic::{Learner, OffPolicyConfig, Sac, SacConfig},
};
use liprl_nets::NetworkConfig;
use liprl_numerics::{Activation, Streams, testing::numbers};
use tch::{Device, Tensor};

mod shared;

use shared::report;

const OBS: usize = 17;
const ACT: usize = 6;
const ROWS: usize = 256;

fn main() -> Result<(), Box<dyn Error>> {
    let threads = argument("--threads", 1)?;
    let (updates, repeats) = (argument("--updates", 200)?, argument("--repeats", 7)?);
    let batch = batch()?;
    for (name, activation, layer_norm) in [
        ("relu", Activation::Relu, false),
        ("relu_layer_norm", Activation::Relu, true),
        ("tanh", Activation::Tanh, false),
    ] {
        let net = NetworkConfig { activation, layer_norm, ..NetworkConfig::default() };
        let config = SacConfig {
            shared: OffPolicyConfig { actor: net.clone(), critic: net, ..OffPolicyConfig::default() },
            ..SacConfig::default()
        };
        let streams = Streams::new(0);
        let setup = Setup { obs_dim: OBS, act_dim: ACT, streams, device: Device::Cpu, threads };
        let (mut by_hand, mut autograd) = (Sac::new(&config, &setup)?, Sac::new(&config, &setup)?.by_autograd());
        let (mut by_hand_ms, mut autograd_ms) = (Vec::new(), Vec::new());
        for repeat in 0..=repeats {
            let times = [milliseconds(&mut by_hand, &batch, updates)?, milliseconds(&mut autograd, &batch, updates)?];
            // The first round warms caches and clocks up.
            if repeat > 0 {
                by_hand_ms.push(times[0]);
                autograd_ms.push(times[1]);
            }
        }
        let ratios = autograd_ms.iter().zip(&by_hand_ms).map(|(autograd, by_hand)| autograd / by_hand).collect();
        report(&format!("by_hand_ms/{name}"), threads, by_hand_ms)?;
        report(&format!("autograd_ms/{name}"), threads, autograd_ms)?;
        report(&format!("autograd_over_by_hand/{name}"), threads, ratios)?;
    }
    Ok(())
}

/// Milliseconds an update.
fn milliseconds(sac: &mut Sac, batch: &Batch, updates: usize) -> Result<f64, Box<dyn Error>> {
    let (start, mut metrics) = (Instant::now(), Metrics::default());
    for _ in 0..updates {
        sac.update(batch, &mut metrics)?;
    }
    Ok(start.elapsed().as_secs_f64() * 1e3 / updates as f64)
}

fn batch() -> Result<Batch, Box<dyn Error>> {
    let batch = Batch::new(ROWS, OBS, ACT, 1, 0.99);
    let fill = |tensor: &Tensor, name: &str| -> Result<(), Box<dyn Error>> {
        let drawn = Tensor::f_from_slice(&numbers(tensor.numel(), name))?.f_tanh()?;
        tensor.shallow_clone().f_copy_(&drawn.f_view_as(tensor)?)?;
        Ok(())
    };
    fill(&batch.obs, "obs")?;
    fill(&batch.action, "action")?;
    fill(&batch.reward, "reward")?;
    fill(&batch.next_obs, "next_obs")?;
    let _ = batch.discount.shallow_clone().f_fill_(0.99)?;
    Ok(batch)
}

fn argument(name: &str, default: usize) -> Result<usize, Box<dyn Error>> {
    let mut arguments = env::args().skip_while(|argument| argument != name).skip(1);
    Ok(arguments.next().map(|value| value.parse()).transpose()?.unwrap_or(default))
}
