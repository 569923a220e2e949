//! Constructions, constraints and Muon beside independent forms of them.

use garde::Validate;
use liprl_numerics::{Activation, Init, State, Streams, testing::numbers};
use tch::{
    Kind,
    nn::{self, OptimizerConfig},
};

use super::*;
use crate::{
    LipschitzConfig, MuonConfig, NetworkConfig, WeightConstraint,
    layers::Layers,
    lipschitz::product_bound,
    testing::{assert_gradient, assert_nearly},
};

const ALPHA: f64 = 3.0;

fn network(config: OptimiserConfig) -> TrainState {
    let mlp = Mlp::new(5, &[16, 9], 3, Activation::Relu, false, Init::Uniform);
    TrainState::new(vec![mlp; 2], config, Device::Cpu, &mut Streams::new(4).rng("optim")).unwrap()
}

fn by_construction(layers: Layers) -> OptimiserConfig {
    let lipschitz = Some(LipschitzConfig { layers, alpha: ALPHA });
    OptimiserConfig { lipschitz, ..OptimiserConfig::adam(1e-2) }
}

fn constrained(constraint: WeightConstraint) -> OptimiserConfig {
    OptimiserConfig { constraint: Some(constraint), ..OptimiserConfig::adam(1e-2) }
}

fn muon(lr: f64, weight_decay: f64) -> OptimiserConfig {
    let rule = Optimiser::Muon(MuonConfig { lr, weight_decay, ..MuonConfig::default() });
    OptimiserConfig { rule, ..OptimiserConfig::adam(1e-2) }
}

/// Every kind that has more than plain weights.
fn all() -> Vec<OptimiserConfig> {
    let capped = WeightConstraint::SoftCap { alpha: ALPHA };
    vec![
        by_construction(Layers::Sandwich),
        by_construction(Layers::Bjorck),
        constrained(WeightConstraint::SpectralNormalise { alpha: ALPHA }),
        constrained(WeightConstraint::SvdClip { alpha: ALPHA, every: 3 }),
        constrained(WeightConstraint::Decay { rate: 0.1 }),
        muon(0.1, 0.2),
        OptimiserConfig { constraint: Some(capped), ..muon(0.1, 0.2) },
    ]
}

/// Takes a step down this gradient, split over two members, with a target.
fn step(network: &mut TrainState, gradient: &[f32], target: &mut Target) -> f64 {
    let team = Team::new(2).unwrap();
    let [mut first, mut second] = [0.25, 0.75].map(|share| {
        let mut part = network.gradient().unwrap();
        part.slice_mut().iter_mut().zip(gradient).for_each(|(part, g)| *part = share * g);
        part
    });
    network.step(&team, &mut [&mut first, &mut second], Some((target, 0.1))).unwrap()
}

/// Each weight matrix, f64.
fn matrices(network: &TrainState) -> Vec<Tensor> {
    let (params, mut offset, mut all) = (network.params().tensor().to_kind(Kind::Double), 0, Vec::new());
    for mlp in network.mlps() {
        for layer in &mlp.layers {
            let (outputs, inputs) = (layer.outputs as i64, layer.inputs as i64);
            let flat = params.narrow(0, (offset + layer.start) as i64, outputs * inputs);
            all.push(flat.view([outputs, inputs]).copy());
        }
        offset += mlp.len();
    }
    all
}

fn norm(w: &Tensor) -> f64 {
    w.svd(true, true).1.max().double_value(&[])
}

#[test]
fn steps_of_a_construction_equal_libtorch_s_adam_on_the_free_numbers() {
    for layers in [Layers::Sandwich, Layers::Ldlt, Layers::Spectral, Layers::Cayley] {
        let mut network = network(by_construction(layers));
        let mut target = network.target().unwrap();
        let c = numbers(network.params().slice().len(), "curvatures");
        let own = LipschitzMlp::new(layers, 5, &[16, 9], 3, Activation::Relu, ALPHA).unwrap();
        let store = nn::VarStore::new(Device::Cpu);
        let free = store.root().var_copy("free", network.learned().tensor());
        let mut adam = nn::Adam::default().build(&store, 1e-2).unwrap();
        let len = own.len() as i64;
        for _ in 0..20 {
            let plain = |i| own.effective(&free.narrow(0, i * len, len)).unwrap().flat().unwrap();
            let plain = Tensor::cat(&[plain(0), plain(1)], 0);
            adam.backward_step(&((plain - 1.0).square() * Tensor::from_slice(&c)).sum(Kind::Double));
            let each = network.params().slice().iter().zip(&c);
            let gradient: Vec<f32> = each.map(|(w, c)| 2.0 * c * (w - 1.0)).collect();
            step(&mut network, &gradient, &mut target);
        }
        assert_nearly(network.learned().slice(), &Vec::<f32>::try_from(free.detach()).unwrap());
        let weights = own.effective(&free.narrow(0, len, len)).unwrap().flat().unwrap();
        let start = network.mlps()[0].len();
        assert_nearly(&network.params().slice()[start..], &Vec::<f32>::try_from(weights.to_kind(Kind::Float)).unwrap());
    }
}

#[test]
fn slices_and_tensors_take_the_same_steps() {
    for config in all() {
        let config = OptimiserConfig { clip_norm: Some(3.0), ..config };
        let (mut by_slice, mut by_tensor) = (network(config), network(config));
        let (mut target, mut other) = (by_slice.target().unwrap(), by_slice.target().unwrap());
        for i in 0..7 {
            let gradient = numbers(by_slice.params().slice().len(), &format!("gradient {i}"));
            let first = step(&mut by_slice, &gradient, &mut target);
            let second = by_tensor.step_tensor(&Tensor::from_slice(&gradient)).unwrap();
            assert!((first / second - 1.0).abs() < 1e-6, "{config:?}");
            other.follow(by_tensor.params(), 0.1).unwrap();
        }
        assert_gradient(by_slice.params().slice(), by_tensor.params().tensor());
        assert_gradient(target.params.slice(), other.params.tensor());
    }
}

#[test]
fn a_restored_network_goes_on_to_the_bit() {
    for config in all() {
        let mut saved = network(config);
        let mut target = saved.target().unwrap();
        let gradient = |i| numbers(saved.params().slice().len(), &format!("gradient {i}"));
        let gradients: Vec<Vec<f32>> = (0..9).map(gradient).collect();
        gradients[..4].iter().for_each(|gradient| assert!(step(&mut saved, gradient, &mut target) > 0.0));
        let state = State::of(|io| saved.state(io)).unwrap();
        let mlps = saved.mlps().to_vec();
        let mut loaded = TrainState::new(mlps, config, Device::Cpu, &mut Streams::new(9).rng("other")).unwrap();
        loaded.state(&mut StateIo::load_from(&state)).unwrap();
        assert_eq!(loaded.params().slice(), saved.params().slice());
        for gradient in &gradients[4..] {
            step(&mut saved, gradient, &mut target);
            step(&mut loaded, gradient, &mut target);
        }
        assert_eq!(loaded.params().slice(), saved.params().slice(), "{config:?}");
    }
}

#[test]
fn every_constraint_keeps_its_norms() {
    let soft_cap = WeightConstraint::SoftCap { alpha: ALPHA };
    for (config, tolerance) in [
        (constrained(WeightConstraint::SvdClip { alpha: ALPHA, every: 1 }), 0.0),
        (OptimiserConfig { constraint: Some(soft_cap), ..muon(0.05, 0.0) }, 0.0),
        (OptimiserConfig { constraint: Some(soft_cap), ..muon(0.9, 0.3) }, 0.0),
        (constrained(soft_cap), 0.0),
        (constrained(WeightConstraint::SpectralNormalise { alpha: ALPHA }), 2e-2),
    ] {
        let (mut network, limit) = (network(config), ALPHA.powf(1.0 / 3.0));
        let mut target = network.target().unwrap();
        let mut reached = 0f64;
        for i in 0..60 {
            let mut gradient = numbers(network.params().slice().len(), &format!("gradient {}", i / 20));
            gradient.iter_mut().for_each(|g| *g += 0.5);
            step(&mut network, &gradient, &mut target);
            for w in matrices(&network) {
                assert!(norm(&w) <= limit * (1.0 + tolerance), "{config:?} {}", norm(&w));
                reached = reached.max(norm(&w));
            }
        }
        // Without the constraint they would be far above.
        assert!(reached > 0.98 * limit, "{config:?} {reached}");
        let len = network.mlps()[0].len() as i64;
        let bound = product_bound(&network.mlps()[0], &network.params().tensor().narrow(0, 0, len)).unwrap();
        assert!(bound <= ALPHA * (1.0 + tolerance).powi(3), "{config:?} {bound}");
    }
}

#[test]
fn decay_takes_its_share_of_the_leading_singular_value() {
    let mut network = network(constrained(WeightConstraint::Decay { rate: 0.1 }));
    let mut target = network.target().unwrap();
    let before = matrices(&network);
    let zero = vec![0.0; network.params().slice().len()];
    step(&mut network, &zero, &mut target);
    for (before, after) in before.iter().zip(matrices(&network)) {
        let (u, values, v) = before.svd(true, true);
        let mut values = Vec::<f64>::try_from(values).unwrap();
        values[0] *= 0.9;
        let expected = (u * Tensor::from_slice(&values)).matmul(&v.tr());
        assert!((after - expected).abs().max().double_value(&[]) < 2e-3);
    }
}

#[test]
fn a_step_of_muon_is_the_orthonormal_factor_of_the_momentum() {
    let mut network = network(muon(0.1, 0.2));
    let mut target = network.target().unwrap();
    let before = matrices(&network);
    let mut biases = network.params().slice()[80..96].to_vec();
    let gradient = numbers(network.params().slice().len(), "gradient");
    let mut of_gradient = network.target().unwrap();
    of_gradient.params.slice_mut().copy_from_slice(&gradient);
    step(&mut network, &gradient, &mut target);
    let mut offset = 0;
    for (i, (before, after)) in before.iter().zip(matrices(&network)).enumerate() {
        let layer = network.mlps()[0].layers[i % 3];
        if i == 3 {
            offset = network.mlps()[0].len();
        }
        let part = &gradient[offset + layer.start..offset + layer.bias()];
        let g = Tensor::from_slice(part).to_kind(Kind::Double).view(before.size().as_slice());
        let (u, _, v) = g.svd(true, true);
        let scale = (layer.outputs as f64 / layer.inputs as f64).sqrt();
        let expected = before * (1.0 - 0.1 * 0.2) - u.matmul(&v.tr()) * (0.1 * scale);
        let error = norm(&(after - expected)) / (0.1 * scale);
        assert!(error < 6e-3, "matrix {i}: {error}");
    }
    // The first step of Adam is the rate, against the gradient's sign.
    biases.iter_mut().zip(&gradient[80..96]).for_each(|(bias, g)| *bias -= 1e-2 * g.signum());
    assert_nearly(&biases, &network.params().slice()[80..96]);
}

#[test]
fn weight_decay_bounds_muon_s_matrices() {
    let (decay, lr) = (0.8, 0.2);
    let mut network = network(muon(lr, decay));
    let mut target = network.target().unwrap();
    let first: Vec<f64> = matrices(&network).iter().map(norm).collect();
    let gradient = numbers(network.params().slice().len(), "gradient");
    for _ in 0..60 {
        step(&mut network, &gradient, &mut target);
        for (w, first) in matrices(&network).iter().zip(&first) {
            let (outputs, inputs) = w.size2().unwrap();
            let limit = (outputs as f64 / inputs as f64).sqrt() / decay;
            assert!(norm(w) <= first.max(limit) * (1.0 + 1e-5), "{} {limit}", norm(w));
        }
    }
    // One direction throughout: the bound is reached.
    let (w, limit) = (&matrices(&network)[0], (16f64 / 5.0).sqrt() / decay);
    assert!(norm(w) > 0.99 * limit, "{} {limit}", norm(w));
}

#[test]
fn certified_constants_bound_sampled_jacobians() {
    let mut network = network(by_construction(Layers::Sandwich));
    let mut target = network.target().unwrap();
    for i in 0..30 {
        let gradient = numbers(network.params().slice().len(), &format!("gradient {}", i / 10));
        step(&mut network, &gradient, &mut target);
    }
    let certified = network.certified().unwrap().unwrap();
    assert_eq!(certified.len(), 2);
    let x = Tensor::from_slice(&numbers(200 * 5, "inputs")).view([200, 5]).to_kind(Kind::Double) * 3.0;
    let params = network.params().tensor().to_kind(Kind::Double);
    for (index, certified) in certified.iter().enumerate() {
        let norms = crate::lipschitz::jacobian_norms(|x| Ok(network.forward(index, &params, x)), &x).unwrap();
        let largest = norms.spectral.iter().copied().fold(0.0, f64::max);
        assert!(*certified <= ALPHA && largest <= *certified, "{largest} {certified}");
        assert!(largest > 0.3 * ALPHA, "a constant that is far from used: {largest}");
    }
}

#[test]
fn copies_are_apart_and_take_the_learned_numbers_over() {
    for config in all() {
        let mut network = network(config);
        let mut copy = network.copy(1e-2).unwrap();
        let mut target = network.target().unwrap();
        let before = network.params().slice().to_vec();
        let gradient = numbers(before.len(), "gradient");
        // Three, after which `svd_clip` has clipped.
        (0..3).for_each(|_| assert!(step(&mut copy, &gradient, &mut target) > 0.0));
        assert_eq!(network.params().slice(), before);
        assert_ne!(copy.params().slice(), before);
        network.set_learned(copy.learned().slice()).unwrap();
        let moved: Vec<f64> = copy.params().slice().iter().map(|&w| f64::from(w)).collect();
        let taken: Vec<f64> = network.params().slice().iter().map(|&w| f64::from(w)).collect();
        assert_nearly(&moved, &taken);
    }
}

#[test]
fn settings_that_would_break_a_constant_are_refused_with_a_remedy() {
    let mlp = |norm| Mlp::new(5, &[8], 3, Activation::Relu, norm, Init::Uniform);
    let build = |config, norm| {
        let made = TrainState::new(vec![mlp(norm)], config, Device::Cpu, &mut Streams::new(4).rng("optim"));
        made.map(drop).unwrap_err().to_string()
    };
    assert!(build(by_construction(Layers::Sll), false).contains("take `sandwich`"));
    assert!(build(by_construction(Layers::Sandwich), true).contains("layer_norm: false"));
    let both = OptimiserConfig { rule: muon(0.1, 0.0).rule, ..by_construction(Layers::Sandwich) };
    assert!(build(both, false).contains("leave them out"));
    assert!(build(constrained(WeightConstraint::SvdClip { alpha: 1.0, every: 1 }), true).contains("without LayerNorm"));
    let mut made = network(by_construction(Layers::Sandwich));
    let weights = made.params().slice().to_vec();
    assert!(made.set_params(&weights).unwrap_err().to_string().contains("free numbers"));
    assert!(made.rescale_outputs(2.0, 0.0).unwrap_err().to_string().contains("pop_art: false"));

    let lipschitz = Some(LipschitzConfig { layers: Layers::Sandwich, alpha: 1.0 });
    let sll = Some(LipschitzConfig { layers: Layers::Sll, alpha: 1.0 });
    let soft_cap = Some(WeightConstraint::SoftCap { alpha: 1.0 });
    let (plain, muon) = (NetworkConfig::default(), Optimiser::Muon(MuonConfig::default()));
    for (config, remedy) in [
        (NetworkConfig { lipschitz, layer_norm: true, ..plain.clone() }, "layer_norm: false"),
        (NetworkConfig { lipschitz: sll, ..plain.clone() }, "take `sandwich`"),
        (NetworkConfig { lipschitz, activation: Activation::Swish, ..plain.clone() }, "take relu"),
        (NetworkConfig { lipschitz, weight_constraint: soft_cap, ..plain.clone() }, "leave one of the two out"),
        (NetworkConfig { lipschitz, optimiser: muon, ..plain.clone() }, "optimiser: adam"),
        (NetworkConfig { weight_constraint: soft_cap, ..plain.clone() }, "muon: {}"),
        (
            NetworkConfig { weight_constraint: soft_cap, optimiser: muon, layer_norm: true, ..plain.clone() },
            "LayerNorm",
        ),
    ] {
        let problem = config.validate().unwrap_err().to_string();
        assert!(problem.contains(remedy), "{problem}");
    }
    NetworkConfig { weight_constraint: soft_cap, optimiser: muon, ..plain.clone() }.validate().unwrap();
    NetworkConfig { lipschitz, ..plain }.validate().unwrap();
}
