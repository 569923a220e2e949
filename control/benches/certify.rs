//! Time of certificates of a 17-256-256-6 ReLU policy with Gaussian weights: everywhere and over a
//! small box, on one thread. The bounds are printed beside the times, because speed alone says
//! little about a bound.

#![allow(clippy::unwrap_used, reason = "a bench may stop here")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use liprl_control::certify::{
    Input, LocalOptions, LowerOptions, Network, Norm, OutputMap, Region, SdpOptions, lipsdp, local_bound, lower_bound,
    product,
};
use liprl_numerics::{Activation, Init, Mlp, Streams};
use rand_distr::{Distribution, StandardNormal};

/// Weights of variance 1/inputs, no biases.
fn policy() -> Network {
    let mlp = Mlp::new(17, &[256, 256], 6, Activation::Relu, false, Init::Uniform);
    let (mut rng, mut params) = (Streams::new(0).rng("weights"), vec![0.0; mlp.len()]);
    for layer in &mlp.layers {
        let spread = (layer.inputs as f32).sqrt().recip();
        params[layer.start..layer.bias()].iter_mut().for_each(|w| {
            let draw: f32 = StandardNormal.sample(&mut rng);
            *w = spread * draw;
        });
    }
    Network::new("policy", &mlp, &params, &[Input::RAW; 17], OutputMap::Tanh(vec![1.0; 6])).unwrap()
}

fn certificates(criterion: &mut Criterion) {
    let network = policy();
    let region = Region::around(&[0.1; 17], &[0.02; 17]).unwrap();
    let once = LocalOptions { leaves: 0, ..LocalOptions::default() };
    let found = lipsdp(&network, &SdpOptions::default()).unwrap();
    println!(
        "product {:.4}, LipSDP {:.4} in {} evaluations",
        product(&network, Norm::L2).unwrap(),
        found.upper,
        found.evaluations
    );
    let mut group = criterion.benchmark_group("certify");
    group.sample_size(10);
    group.bench_function("product", |b| b.iter(|| product(black_box(&network), Norm::L2).unwrap()));
    group.bench_function("lipsdp", |b| b.iter(|| lipsdp(black_box(&network), &SdpOptions::default()).unwrap()));
    for norm in [Norm::L2, Norm::Linf] {
        group.bench_function(format!("local, no split, {}", norm.name()), |b| {
            b.iter(|| local_bound(black_box(&network), &region, norm, &once).unwrap())
        });
    }
    group.bench_function("lower", |b| {
        let mut rng = Streams::new(0).rng("lower");
        b.iter(|| lower_bound(black_box(&network), Norm::L2, &LowerOptions::default(), &mut rng).unwrap())
    });
    group.finish();
}

criterion_group!(benches, certificates);
criterion_main!(benches);
