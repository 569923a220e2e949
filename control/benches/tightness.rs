//! Tightness of the bounds over boxes on six networks, as JSON lines: the bound of one pass, that
//! after branch and bound, the largest norm met, LipSDP in the box and everywhere, seconds. `--
//! --nets FILE` also writes the networks there; benches/peers/auto_lirpa.py and lipsdp.py read them
//! and print such lines for auto_LiRPA and for cvxpy with Clarabel.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench may stop here, and prints")]

use std::time::{Duration, Instant};

use liprl_control::certify::{
    Input, LocalOptions, LowerOptions, Network, Norm, OutputMap, Region, SdpOptions, lipsdp, lipsdp_on, local_bound,
    lower_bound,
};
use liprl_numerics::{Activation, Init, Mlp, Streams};
use rand_distr::{Distribution, StandardNormal};
use serde_json::json;

/// Sizes, activation, radius of the box around 0.1 in each coordinate.
const NETS: [(&[usize], Activation, f64); 6] = [
    (&[4, 32, 32, 2], Activation::Relu, 0.5),
    (&[4, 32, 32, 2], Activation::Tanh, 0.1),
    (&[11, 64, 64, 3], Activation::Relu, 0.05),
    (&[11, 64, 64, 3], Activation::Tanh, 0.05),
    (&[17, 256, 256, 6], Activation::Relu, 0.02),
    (&[17, 256, 256, 6], Activation::Tanh, 0.02),
];

/// Seconds of branch and bound.
const SECONDS: u64 = 8;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let after = |name: &str| arguments.iter().position(|a| a == name).and_then(|at| arguments.get(at + 1));
    let mut written = Vec::new();
    let mut rng = Streams::new(20).rng("networks");
    for (index, (sizes, activation, radius)) in NETS.into_iter().enumerate() {
        let (inputs, outputs) = (sizes[0], sizes[sizes.len() - 1]);
        let mlp = Mlp::new(inputs, &sizes[1..sizes.len() - 1], outputs, activation, false, Init::Uniform);
        let mut params = vec![0.0; mlp.len()];
        let mut layers = Vec::new();
        for layer in &mlp.layers {
            let spread = (2.0 / layer.inputs as f32).sqrt();
            for (at, p) in params[layer.start..layer.scale()].iter_mut().enumerate() {
                let draw: f32 = StandardNormal.sample(&mut rng);
                *p = draw * if at < layer.bias() - layer.start { spread } else { 0.1 };
            }
            layers.push(
                json!({"weight": params[layer.start..layer.bias()], "bias": params[layer.bias()..layer.scale()]}),
            );
        }
        written.push(json!({"sizes": sizes, "activation": activation, "radius": radius, "layers": layers}));
        if after("--only").is_some_and(|only| *only != index.to_string()) {
            continue;
        }
        let network =
            Network::new("net", &mlp, &params, &vec![Input::RAW; inputs], OutputMap::Linear(vec![1.0; outputs]))
                .unwrap();
        let start = Instant::now();
        let everywhere = lipsdp(&network, &SdpOptions::default()).unwrap();
        let line = json!({
            "net": index, "sizes": sizes, "activation": activation, "by": "liprl's LipSDP",
            "upper": everywhere.upper, "seconds": start.elapsed().as_secs_f64(), "finished": everywhere.finished,
        });
        println!("{line}");
        let region = Region::around(&vec![0.1; inputs], &vec![radius; inputs]).unwrap();
        let time_limit = Some(
            after("--seconds").map_or(Duration::from_secs(SECONDS), |s| Duration::from_secs_f64(s.parse().unwrap())),
        );
        for norm in [Norm::L2, Norm::Linf] {
            let start = Instant::now();
            let root =
                local_bound(&network, &region, norm, &LocalOptions { leaves: 0, ..LocalOptions::default() }).unwrap();
            let pass = start.elapsed().as_secs_f64();
            let start = Instant::now();
            let found =
                local_bound(&network, &region, norm, &LocalOptions { time_limit, ..LocalOptions::default() }).unwrap();
            let seconds = start.elapsed().as_secs_f64();
            let options = LowerOptions { region: Some(&region), time_limit, ..LowerOptions::default() };
            let met = lower_bound(&network, norm, &options, &mut Streams::new(20).rng("lower"))
                .unwrap()
                .lower
                .max(found.lower);
            let sdp = (norm == Norm::L2).then(|| {
                let start = Instant::now();
                let sdp =
                    lipsdp_on(&network, &region, &SdpOptions { time_limit, ..SdpOptions::default() }).unwrap().upper;
                (sdp, start.elapsed().as_secs_f64())
            });
            let line = json!({
                "net": index, "sizes": sizes, "activation": activation, "radius": radius, "norm": norm,
                "by": "liprl", "pass": root.upper, "pass_seconds": pass, "upper": found.upper, "met": met,
                "seconds": seconds, "ended": found.ended, "lipsdp": sdp,
            });
            println!("{line}");
        }
    }
    if let Some(file) = after("--nets") {
        std::fs::write(file, json!(written).to_string()).unwrap();
    }
}
