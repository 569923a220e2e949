use liprl_numerics::{Activation, Mlp, linalg::spectral_norm};
use rand::RngExt;

use super::*;
use crate::certify::{
    network::{Input, OutputMap, testing::*},
    product::product,
};

fn bound(network: &Network) -> f64 {
    lipsdp(network, &SdpOptions::default()).unwrap().upper
}

#[test]
fn small_networks_whose_constant_is_known() {
    // |x| = relu(x) + relu(−x).
    let abs = by_hand(&[(&[1.0, -1.0], &[0.0, 0.0]), (&[1.0, 1.0], &[0.0])], 1, Activation::Relu);
    assert!((bound(&abs) - 1.0).abs() < 1e-6, "{}", bound(&abs));
    assert!((product(&abs, Norm::L2).unwrap() - 2.0).abs() < 1e-6);
    // relu(x₁ − x₂) + relu(x₁ + x₂): slopes (1, ±1) and (2, 0).
    let two = by_hand(&[(&[1.0, -1.0, 1.0, 1.0], &[0.0, 0.0]), (&[1.0, 1.0], &[0.0])], 2, Activation::Relu);
    assert!((bound(&two) - 2.0).abs() < 1e-6, "{}", bound(&two));
}

/// `last` times the neurons, whose slopes are in `sectors`, of `first` x.
fn one_layer(first: &[[f64; 2]], sectors: &[(f64, f64)], last: &[&[f64]]) -> f64 {
    let weight = Mat::from_fn(first.len(), 2, |i, j| first[i][j]);
    let last = Mat::from_fn(last.len(), first.len(), |i, j| last[i][j]);
    let search = Search::begin(&SdpOptions::default());
    search.solve(&[weight], vec![sectors.to_vec()], (0.0, 1.0), last, None).unwrap().unwrap().upper
}

/// The larger and the smaller of two numbers, by ReLUs and by neurons that pass a number on (slope
/// 1). With r = relu(x₁ − x₂) alone, (x₂ + r, x₁ − r), LipSDP finds the true 1; with relu(x₂ − x₁)
/// for the smaller one, it takes the two for independent: √2.
#[test]
fn max_min_by_two_relus_and_by_one() {
    let (relu, pass) = ((0.0, 1.0), (1.0, 1.0));
    let two =
        one_layer(&[[1.0, -1.0], [-1.0, 1.0], [0.0, 1.0]], &[relu, relu, pass], &[&[1.0, 0.0, 1.0], &[0.0, -1.0, 1.0]]);
    assert!(two >= 2f64.sqrt() * (1.0 - 1e-9) && two < 2f64.sqrt() * (1.0 + 1e-3), "{two}");
    let one =
        one_layer(&[[1.0, -1.0], [1.0, 0.0], [0.0, 1.0]], &[relu, pass, pass], &[&[1.0, 0.0, 1.0], &[-1.0, 1.0, 0.0]]);
    assert!((1.0..1.001).contains(&one), "{one}");
}

#[test]
fn a_network_that_is_linear_in_effect_has_its_matrix_s_norm() {
    let mut rng = rng("linear");
    let linear = gaussian(&[4, 3], Activation::Relu, false, &mut rng);
    let norm = spectral_norm(linear.weights()[0].as_ref()).unwrap();
    assert!((bound(&linear) / norm - 1.0).abs() < 1e-8);
    // LeakyReLU of slope 1 is the identity.
    let identity = gaussian(&[3, 5, 4, 2], Activation::LeakyRelu(1.0), false, &mut rng);
    let w = identity.weights();
    let matrix = &w[2] * &(&w[1] * &w[0]);
    let norm = spectral_norm(matrix.as_ref()).unwrap();
    let found = bound(&identity);
    assert!(found >= norm && found < norm * 1.01, "{found} {norm}");
}

#[test]
fn the_start_gives_the_product_of_norms() {
    let mut rng = rng("start");
    for activation in ACTIVATIONS {
        let network = gaussian(&[3, 8, 9, 7, 2], activation, false, &mut rng);
        let sectors = network.hidden().iter().map(|&n| vec![sector(activation); n]).collect();
        let Reduced::Problem(problem, scale) =
            normalised(&network.weights()[..3], sectors, sector(activation), network.last_weight(), None).unwrap()
        else {
            panic!("a problem")
        };
        let value = problem.value(&feasible(&problem), 1.0).unwrap().unwrap();
        let (start, product) = (scale * value.rho.sqrt(), product(&network, Norm::L2).unwrap());
        assert!(start <= product * (1.0 + 1e-6), "{activation:?}: {start} {product}");
        assert!(start > 0.1 * product, "{activation:?}: {start} {product}");
    }
}

/// Of ρ smoothed, by every multiplier, for every activation and for sectors that differ from neuron
/// to neuron.
#[test]
fn the_gradient_equals_finite_differences() {
    let mut rng = rng("gradient");
    for activation in ACTIVATIONS {
        let network = gaussian(&[4, 6, 5, 3], activation, false, &mut rng);
        let mut sectors: Vec<Vec<(f64, f64)>> = network.hidden().iter().map(|&n| vec![sector(activation); n]).collect();
        sectors[0][1] = (0.2, 0.7);
        sectors[1][2] = (1.0, 1.0);
        let Reduced::Problem(problem, _) =
            normalised(&network.weights()[..2], sectors, sector(activation), network.last_weight(), None).unwrap()
        else {
            panic!("a problem")
        };
        let x: Vec<f64> = feasible(&problem).iter().enumerate().map(|(i, x)| x + 0.05 * (i as f64).sin()).collect();
        let nu = 30.0;
        let value = problem.value(&x, nu).unwrap().unwrap();
        assert!(value.smooth >= value.rho);
        for i in 0..x.len() {
            let moved = |by: f64| {
                let mut moved = x.clone();
                moved[i] += by;
                problem.value(&moved, nu).unwrap().unwrap().smooth
            };
            let h = 1e-5;
            let difference = (moved(h) - moved(-h)) / (2.0 * h);
            let gradient = value.gradient[i];
            assert!(
                (difference - gradient).abs() < 1e-6 * gradient.abs().max(3e-2),
                "{activation:?} {i}: {difference} {gradient}"
            );
        }
    }
}

#[test]
fn a_bound_too_small_is_not_proven() {
    let mut rng = rng("proofs");
    let network = gaussian(&[3, 8, 8, 2], Activation::Relu, false, &mut rng);
    let sectors = network.hidden().iter().map(|&n| vec![(0.0, 1.0); n]).collect();
    let Reduced::Problem(problem, _) =
        normalised(&network.weights()[..2], sectors, (0.0, 1.0), network.last_weight(), None).unwrap()
    else {
        panic!("a problem")
    };
    let x = feasible(&problem);
    let rho = problem.value(&x, 1.0).unwrap().unwrap().rho;
    assert!(problem.proves(&x, rho * (1.0 + 1e-7)) && !problem.proves(&x, rho * (1.0 - 1e-7)));
    assert!(!problem.proves(&x, f64::NAN));
}

#[test]
fn without_time_the_start_is_what_is_proven() {
    let mut rng = rng("time");
    let network = gaussian(&[3, 16, 16, 2], Activation::Tanh, true, &mut rng);
    let product = product(&network, Norm::L2).unwrap();
    let rushed = lipsdp(&network, &SdpOptions { time_limit: Some(Duration::ZERO), ..SdpOptions::default() }).unwrap();
    assert!(!rushed.finished && rushed.upper <= product);
    assert!(rushed.upper > bound(&network));
}

#[test]
fn a_dead_network_has_the_constant_zero() {
    let dead = by_hand(&[(&[1.0, 2.0], &[0.0, 0.0]), (&[0.0, 0.0], &[1.0])], 1, Activation::Relu);
    assert_eq!(bound(&dead), 0.0);
    let off = by_hand(&[(&[1.0], &[-5.0]), (&[3.0], &[0.0])], 1, Activation::Relu);
    let region = Region::new(vec![-1.0], vec![1.0]).unwrap();
    assert_eq!(lipsdp_on(&off, &region, &SdpOptions::default()).unwrap().upper, 0.0);
}

#[test]
fn badly_scaled_neurons_have_the_bound_of_the_same_network_scaled_well() {
    let mut rng = rng("badly scaled");
    let sizes = [6, 16, 16, 3];
    let mut layers: Vec<(Vec<f32>, Vec<f32>)> = Vec::new();
    for pair in sizes.windows(2) {
        let spread = (2.0 / pair[0] as f32).sqrt();
        layers.push((
            (0..pair[0] * pair[1]).map(|_| spread * rng.random_range(-1.7f32..1.7)).collect(),
            vec![0.0; pair[1]],
        ));
    }
    let bound = |layers: &[(Vec<f32>, Vec<f32>)], slope: Activation| {
        let borrowed: Vec<(&[f32], &[f32])> = layers.iter().map(|(w, b)| (&w[..], &b[..])).collect();
        lipsdp(&by_hand(&borrowed, 6, slope), &SdpOptions::default()).unwrap().upper
    };
    let mut scaled = layers.clone();
    for k in 0..2 {
        for i in 0..16 {
            let factor = [20i32, -20, 0, 7][(i + k) % 4];
            scaled[k].0[i * sizes[k]..(i + 1) * sizes[k]].iter_mut().for_each(|w| *w *= (factor as f32).exp2());
            scaled[k + 1].0.iter_mut().skip(i).step_by(16).for_each(|w| *w *= (-factor as f32).exp2());
        }
    }
    for activation in [Activation::Relu, Activation::LeakyRelu(0.1), Activation::Tanh] {
        let (well, badly) = (bound(&layers, activation), bound(&scaled, activation));
        assert!((badly / well - 1.0).abs() < 1e-5, "{activation:?}: {badly} {well}");
    }
}

/// Residual layers h − 2WᵀT σ(Wh + b), tᵢ = 1/Σⱼ |WWᵀ|ᵢⱼ, have the constant 1 by their construction
/// with multipliers 2T (Araujo et al. 2023), which are among those searched.
#[test]
fn residual_networks_are_within_their_construction_s_constant() {
    let (size, depth, mut rng) = (5, 3, rng("residual"));
    for activation in [Activation::Relu, Activation::Tanh] {
        for scale in [0.3, 1.5] {
            let mlp = Mlp::dense(size, &vec![size; depth], size, activation);
            let mut carried = Mat::<f64>::identity(size, size);
            let mut params = Vec::new();
            let mut take = |weight: &Mat<f64>| {
                params.extend(
                    (0..weight.nrows()).flat_map(|i| weight.row(i).iter().map(|&x| x as f32).collect::<Vec<_>>()),
                );
                params.extend(vec![0.1f32; weight.nrows()]);
            };
            for _ in 0..depth {
                let w = Mat::from_fn(size, size, |_, _| scale * rng.random_range(-1.0..1.0));
                let gram = &w * w.transpose();
                let t: Vec<f64> =
                    (0..size).map(|i| 1.0 / gram.row(i).iter().map(|x: &f64| x.abs()).sum::<f64>()).collect();
                take(&(&w * &carried));
                let columns = carried.ncols();
                carried = Mat::from_fn(size, columns + size, |i, j| match j.checked_sub(columns) {
                    None => carried[(i, j)],
                    Some(unit) => -2.0 * w[(unit, i)] * t[unit],
                });
            }
            take(&carried);
            let raw = vec![Input::RAW; size];
            let network = Network::new("residual", &mlp, &params, &raw, OutputMap::Linear(vec![1.0; size])).unwrap();
            let (found, product) = (bound(&network), product(&network, Norm::L2).unwrap());
            let mut sampled = 0f64;
            for _ in 0..500 {
                let x: Vec<f64> = (0..size).map(|_| rng.random_range(-3.0..3.0)).collect();
                let jacobian = network.jacobian(&x).map(|jacobian| spectral_norm(jacobian.as_ref()).unwrap());
                sampled = sampled.max(jacobian.unwrap_or(0.0));
            }
            // The weights are rounded to 32 bits.
            assert!(sampled <= found && found <= 1.0 + 1e-5, "{activation:?} {scale}: {sampled} {found} {product}");
            assert!(sampled > 0.5 && product > 2.0, "{sampled} {product}");
        }
    }
}
