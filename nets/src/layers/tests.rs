use liprl_numerics::{Streams, testing::numbers};
use proptest::prelude::*;
use tch::Device;

use super::*;
use crate::lipschitz::{jacobian_norms, spectral_norms};

const ALL: [Layers; 8] = [
    Layers::Spectral,
    Layers::Bjorck,
    Layers::Cayley,
    Layers::Aol,
    Layers::Sandwich,
    Layers::Ldlt,
    Layers::LdltResidual,
    Layers::Sll,
];

fn net(layers: Layers, sizes: (usize, &[usize], usize), activation: Activation, alpha: f64) -> LipschitzMlp {
    tch::set_num_threads(1);
    LipschitzMlp::new(layers, sizes.0, sizes.1, sizes.2, activation, alpha).unwrap()
}

/// Random free numbers, their first ones times `scale` plus noise of that size on everything else
/// too.
fn raw(net: &LipschitzMlp, scale: f32, seed: u64) -> Tensor {
    let mut first = vec![0.0; net.len()];
    net.initialise(&mut first, &mut Streams::new(seed).rng("init"));
    let noise = numbers(net.len(), &format!("noise {seed}"));
    let mixed: Vec<f32> = first.iter().zip(noise).map(|(f, n)| scale * f + 0.1 * scale * n).collect();
    Tensor::from_slice(&mixed)
}

/// The matrix inequality as one dense matrix, and its largest eigenvalue: [[−ρI, WᵀT, …], …] for
/// inputs and all hidden units.
fn largest_eigenvalue(effective: &Effective, multipliers: &[Tensor], alpha: f64) -> f64 {
    let sizes: Vec<i64> = effective.weights.iter().map(|w| w.size()[1]).collect();
    let total: i64 = sizes.iter().sum();
    let matrix = Tensor::zeros([total, total], (Kind::Double, Device::Cpu));
    let block = |i: usize, j: usize| {
        let start = |k: usize| sizes[..k].iter().sum::<i64>();
        matrix.narrow(0, start(i), sizes[i]).narrow(1, start(j), sizes[j])
    };
    block(0, 0).copy_(&(Tensor::eye(sizes[0], (Kind::Double, Device::Cpu)) * -alpha * alpha));
    for (k, t) in multipliers.iter().enumerate() {
        let tw = &effective.weights[k] * t.unsqueeze(1);
        block(k + 1, k).copy_(&tw);
        block(k, k + 1).copy_(&tw.tr());
        block(k + 1, k + 1).copy_(&(Tensor::diag(t, 0) * -2.0));
    }
    let last = effective.weights.last().unwrap();
    let mut corner = block(sizes.len() - 1, sizes.len() - 1);
    let _ = corner.g_add_(&last.tr().matmul(last));
    matrix.linalg_eigvalsh("L").select(0, -1).double_value(&[])
}

#[test]
fn the_matrix_inequality_holds_in_f64() {
    for layers in [Layers::Sandwich, Layers::Ldlt] {
        for (seed, sizes) in [(5, &[32, 32][..], 3), (3, &[8, 16, 4], 6), (4, &[9], 1)].into_iter().enumerate() {
            for scale in [0.1, 1.0, 10.0] {
                for alpha in [0.5, 1.0, 3.0] {
                    let net = net(layers, sizes, Activation::Tanh, alpha);
                    let effective = net.effective(&raw(&net, scale, seed as u64)).unwrap();
                    let multipliers = effective.multipliers.as_ref().unwrap();
                    let largest = largest_eigenvalue(&effective, multipliers, alpha);
                    let size = multipliers.iter().map(|t| t.max().double_value(&[])).fold(1.0, f64::max);
                    assert!(largest <= 1e-12 * size, "{layers:?} {sizes:?} {scale} {alpha}: {largest}");
                }
            }
        }
    }
}

/// For dense networks: layers see the input and all hidden units before.
fn largest_dense_eigenvalue(effective: &Effective, multipliers: &[Tensor], inputs: i64, alpha: f64) -> f64 {
    let last = effective.weights.last().unwrap();
    let total = last.size()[1];
    let matrix = last.tr().matmul(last);
    let add = |row: i64, column: i64, block: &Tensor| {
        let mut part = matrix.narrow(0, row, block.size()[0]).narrow(1, column, block.size()[1]);
        let _ = part.g_add_(block);
    };
    add(0, 0, &(Tensor::eye(inputs, (Kind::Double, Device::Cpu)) * -alpha * alpha));
    let mut start = inputs;
    for (w, t) in effective.weights.iter().zip(multipliers) {
        let tw = w * t.unsqueeze(1);
        add(start, 0, &tw);
        add(0, start, &tw.tr());
        add(start, start, &(Tensor::diag(t, 0) * -2.0));
        start += w.size()[0];
    }
    assert_eq!(start, total);
    matrix.linalg_eigvalsh("L").select(0, -1).double_value(&[])
}

#[test]
fn the_matrix_inequality_of_residual_networks_holds_in_f64() {
    for layers in [Layers::Sll, Layers::LdltResidual] {
        for (seed, sizes) in [(5, &[16, 16][..], 3), (3, &[8, 8, 8], 6), (4, &[9], 1)].into_iter().enumerate() {
            for scale in [0.1, 1.0, 10.0] {
                for alpha in [0.5, 1.0, 3.0] {
                    let net = net(layers, sizes, Activation::Tanh, alpha);
                    let effective = net.effective(&raw(&net, scale, seed as u64)).unwrap();
                    let multipliers = effective.multipliers.as_ref().unwrap();
                    let largest = largest_dense_eigenvalue(&effective, multipliers, sizes.0 as i64, alpha);
                    let size = multipliers.iter().map(|t| t.max().double_value(&[])).fold(1.0, f64::max);
                    assert!(largest <= 1e-11 * size, "{layers:?} {sizes:?} {scale} {alpha}: {largest}");
                }
            }
        }
    }
}

/// Widths of a residual chain may differ.
#[test]
fn ldlt_residuals_of_unlike_widths_are_certified() {
    let net = net(Layers::LdltResidual, (3, &[9, 4], 2), Activation::Relu, 1.7);
    for scale in [0.3, 3.0] {
        let certified = net.certified(&raw(&net, scale, 5)).unwrap();
        assert!(certified <= 1.7 && certified > 0.1, "{certified}");
    }
}

#[test]
fn max_min_is_for_products_of_norms_and_even_widths_alone() {
    for layers in ALL {
        let built = LipschitzMlp::new(layers, 3, &[8, 8], 2, Activation::MaxMin, 1.0);
        match layers {
            Layers::Spectral | Layers::Bjorck | Layers::Cayley | Layers::Aol => assert!(built.is_ok(), "{layers:?}"),
            _ => {
                let error = built.unwrap_err().to_string();
                assert!(error.contains("activation") && error.contains("cayley"), "{layers:?}: {error}");
            }
        }
    }
    let error = LipschitzMlp::new(Layers::Cayley, 3, &[8, 7], 2, Activation::MaxMin, 1.0).unwrap_err().to_string();
    assert!(error.contains("hidden") && error.contains("even"), "{error}");
}

/// The reason for the refusal: A = diag(1, 0) and B = diag(0, 1) fulfil AAᵀ + BBᵀ = I, and √2 Aᵀ P B
/// has the norm √2 for the swap P.
#[test]
fn a_sandwich_with_max_min_would_exceed_its_constant() {
    let swap = Tensor::from_slice(&[0.0, 1.0, 1.0, 0.0]).view([2, 2]);
    let (a, b) = (Tensor::from_slice(&[1.0, 0.0]).diag(0), Tensor::from_slice(&[0.0, 1.0]).diag(0));
    assert_eq!(a.matmul(&a.tr()) + b.matmul(&b.tr()), Tensor::eye(2, (Kind::Double, Device::Cpu)));
    let jacobian: Tensor = a.tr().matmul(&swap).matmul(&b) * std::f64::consts::SQRT_2;
    assert!((spectral_norms(&jacobian.view([1, 2, 2])).unwrap()[0] - std::f64::consts::SQRT_2).abs() < 1e-12);
}

#[test]
fn certified_constants_never_exceed_alpha_and_sampled_ones_never_the_certified() {
    for layers in ALL {
        for activation in [Activation::Relu, Activation::Tanh, Activation::LeakyRelu(0.1), Activation::MaxMin] {
            if activation == Activation::MaxMin && !layers.product_of_norms() {
                continue;
            }
            for (seed, scale) in [0.1, 1.0, 10.0].into_iter().enumerate() {
                let net = net(layers, (5, &[12, 12], 3), activation, 2.5);
                let raw = raw(&net, scale, seed as u64);
                let certified = net.certified(&raw).unwrap();
                assert!(certified <= 2.5, "{layers:?} {activation:?} {scale}: {certified}");
                let x = Tensor::from_slice(&numbers(300 * 5, "x")).view([300, 5]).to_kind(Kind::Double);
                let norms = jacobian_norms(|x| net.forward(&raw, x), &x).unwrap().spectral;
                let sampled = norms.into_iter().fold(0.0, f64::max);
                assert!(
                    sampled <= certified * (1.0 + 1e-6),
                    "{layers:?} {activation:?} {scale}: {sampled} {certified}"
                );
            }
        }
    }
}

/// A steep target is fitted by gradient descent on the free numbers: whatever they become, α holds.
#[test]
fn training_never_leaves_the_constant() {
    let x = Tensor::from_slice(&numbers(200 * 3, "x")).view([200, 3]);
    let y = (x.narrow(1, 0, 2) * 5.0).sin() * 3.0;
    for layers in ALL {
        let net = net(layers, (3, &[16, 16], 2), Activation::Relu, 1.5);
        let mut numbers = raw(&net, 1.0, 1);
        let error = |raw: &Tensor| (net.forward(raw, &x).unwrap() - &y).square().mean(None);
        let before = error(&numbers).double_value(&[]);
        for step in 0..120 {
            let leaf = numbers.detach().set_requires_grad(true);
            let gradient = Tensor::run_backward(&[error(&leaf)], &[&leaf], false, false).swap_remove(0);
            numbers -= gradient * 0.3;
            if step % 20 == 19 {
                let certified = net.certified(&numbers).unwrap();
                assert!(certified <= 1.5, "{layers:?} after {step}: {certified}");
            }
        }
        assert!(error(&numbers).double_value(&[]) < before, "{layers:?} learnt nothing");
        let norms = jacobian_norms(|x| net.forward(&numbers, x), &x.to_kind(Kind::Double)).unwrap().spectral;
        assert!(norms.into_iter().all(|norm| norm <= 1.5), "{layers:?}");
    }
}

#[test]
fn plain_weights_give_what_the_layers_do() {
    // The sandwich written as its layers, not multiplied together.
    let net = net(Layers::Sandwich, (4, &[6, 5], 2), Activation::Tanh, 2.0);
    let raw = raw(&net, 1.0, 3).to_kind(Kind::Double);
    let x = Tensor::from_slice(&numbers(7 * 4, "x")).view([7, 4]).to_kind(Kind::Double);
    let root = (2.0 * (1.0 - MARGIN)).sqrt();
    let (mut start, mut h) = (0, &x * root);
    let mut take = |rows: i64, columns: i64| {
        start += rows * columns;
        raw.narrow(0, start - rows * columns, rows * columns).view([rows, columns])
    };
    for (inputs, outputs, last) in [(4, 6, false), (6, 5, false), (5, 2, true)] {
        let (a_t, b) = matrices::sandwich(&take(inputs + outputs, outputs)).unwrap();
        let bias = take(1, outputs);
        h = if last {
            h.matmul(&b.tr()) * root + bias
        } else {
            let psi = take(1, outputs).exp();
            let inner = (h.matmul(&b.tr()) / &psi * 2f64.sqrt() + bias).tanh();
            (inner * psi).matmul(&a_t.tr()) * 2f64.sqrt()
        };
    }
    let difference = (net.forward(&raw, &x).unwrap() - h).abs().max().double_value(&[]);
    assert!(difference < 1e-12, "{difference}");
}

/// Elimination from the input's side: D₀ = I, Dₖ = 2I − CₖDₖ₋₁⁻¹Cₖᵀ, and what is left at the output
/// is at most 1 and tends to it.
#[test]
fn ldlt_chains_reach_their_constant_as_weights_grow() {
    let share = |scale| {
        let net = net(Layers::Ldlt, (5, &[32, 32], 3), Activation::Relu, 1.0 / (1.0 - MARGIN));
        let weights = net.effective(&raw(&net, scale, 2)).unwrap().weights;
        let identity = |n: i64| Tensor::eye(n, (Kind::Double, Device::Cpu));
        let mut d = identity(5);
        for w in &weights[..2] {
            d = identity(32) * 2.0 - w.matmul(&d.inverse()).matmul(&w.tr());
        }
        let last = weights[2].matmul(&d.inverse()).matmul(&weights[2].tr());
        last.linalg_eigvalsh("L").select(0, -1).double_value(&[])
    };
    assert!(share(0.1) < share(1.0) && share(1.0) < share(10.0), "{} {} {}", share(0.1), share(1.0), share(10.0));
    assert!(share(10.0) > 0.99 && share(10.0) <= 1.0 + 1e-9, "{}", share(10.0));
}

#[test]
fn a_linear_map_is_certified_exactly() {
    for layers in &ALL[..6] {
        let net = net(*layers, (3, &[], 2), Activation::Relu, 0.7);
        let raw = raw(&net, 1.0, 4);
        let weight = net.effective(&raw).unwrap().weights[0].to_kind(Kind::Float);
        let (certified, norm) = (net.certified(&raw).unwrap(), spectral_norms(&weight).unwrap()[0]);
        assert!((certified - norm).abs() < 1e-6 && certified <= 0.7, "{layers:?}: {certified} {norm}");
    }
}

#[test]
fn multipliers_that_prove_nothing_give_no_bound() {
    let identity = Tensor::eye(3, (Kind::Double, Device::Cpu));
    let bound =
        |t: f64| lmi_bound(&[identity.copy(), identity.copy()], &[Tensor::ones([3], (Kind::Double, Device::Cpu)) * t]);
    // S = 2t − 1 has to be positive; ρ = t²/(2t − 1) is 1 at t = 1 and grows to both sides.
    assert_eq!(bound(0.4).unwrap(), None);
    assert!((bound(1.0).unwrap().unwrap() - 1.0).abs() < 1e-6);
    assert!((bound(2.0).unwrap().unwrap() - (4.0f64 / 3.0).sqrt()).abs() < 1e-6);
    assert_eq!(lmi_bound(&[identity.copy()], &[identity.copy()]).unwrap(), None);
}

#[test]
fn slopes_beyond_0_and_1_and_impossible_constants_are_refused() {
    let new = |activation, alpha| LipschitzMlp::new(Layers::Sandwich, 2, &[4], 1, activation, alpha);
    assert!(new(Activation::Swish, 1.0).unwrap_err().to_string().contains("slopes"));
    for slope in [-0.1, 1.5, f64::NAN] {
        let error = new(Activation::LeakyRelu(slope), 1.0).unwrap_err().to_string();
        assert!(error.contains(&format!("the slope {slope}")), "{error}");
    }
    assert!([0.0, 1.0].into_iter().all(|slope| new(Activation::LeakyRelu(slope), 1.0).is_ok()));
    for alpha in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(new(Activation::Relu, alpha).unwrap_err().to_string().contains("positive and finite"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_pair_is_further_apart_than_alpha_allows(
        which in 0usize..8, seed in 0u64..100, alpha in 0.1f64..10.0, scale in 0.1f32..5.0, inputs in 1usize..5, hidden in 1usize..9
    ) {
        let net = net(ALL[which], (inputs, &[hidden, hidden], 2), Activation::Tanh, alpha);
        let raw = raw(&net, scale, seed);
        let points = |name: &str| {
            Tensor::from_slice(&numbers(50 * inputs, name)).view([50, inputs as i64]).to_kind(Kind::Double)
        };
        let (x, y) = (points("x"), points("y") * 0.1);
        let y = &x + y;
        let lengths = |t: Tensor| Vec::<f64>::try_from(t.norm_scalaropt_dim(2, [1i64].as_slice(), false)).unwrap();
        let apart = lengths(net.forward(&raw, &x).unwrap() - net.forward(&raw, &y).unwrap());
        for (out, within) in apart.into_iter().zip(lengths(&x - &y)) {
            prop_assert!(out <= alpha * within + 1e-12, "{out} {within}");
        }
    }
}
