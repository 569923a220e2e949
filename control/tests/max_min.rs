//! Certificates of max_min networks: against cvxpy, against all orders of all pairs, and in their order.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop here")]

use std::{path::Path, process::Command};

use faer::Mat;
use liprl_control::certify::{
    Ended, Input, LocalOptions, LowerOptions, Network, Norm, OutputMap, Region, SdpOptions, lipsdp, lipsdp_on,
    local_bound, lower_bound, product,
};
use liprl_numerics::{Activation, Init, Mlp, Single, StreamRng, Streams};
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use serde_json::Value;

/// The answers of max_min.py.
fn python() -> Vec<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let program = std::env::var_os("LIPRL_PYTHON").map_or(root.join(".deps/venv/bin/python"), Into::into);
    let output = Command::new(&program)
        .arg(root.join("control/tests/max_min.py"))
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask setup --test`", program.display()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Weights `[out, in]` row-major and biases.
type Layers = Vec<(Mat<f64>, Vec<f64>)>;

fn network(layers: &Layers) -> Network {
    let sizes: Vec<usize> = layers.iter().map(|(w, _)| w.nrows()).collect();
    let (outputs, hidden) = sizes.split_last().unwrap();
    let mlp = Mlp::new(layers[0].0.ncols(), hidden, *outputs, Activation::MaxMin, false, Init::Uniform);
    let raw = vec![Input::RAW; mlp.inputs()];
    Network::new("pairs", &mlp, &flat(layers), &raw, OutputMap::Linear(vec![1.0; *outputs])).unwrap()
}

fn flat(layers: &Layers) -> Vec<f32> {
    let layer = |(w, b): &(Mat<f64>, Vec<f64>)| {
        let rows = (0..w.nrows()).flat_map(|i| w.row(i).iter().copied().collect::<Vec<f64>>());
        rows.chain(b.iter().copied()).map(|x| x as f32).collect::<Vec<f32>>()
    };
    layers.iter().flat_map(layer).collect()
}

fn random(sizes: &[usize], rng: &mut StreamRng) -> Layers {
    let mut draw = |spread: f64| {
        let draw: f64 = StandardNormal.sample(rng);
        f64::from((spread * draw) as f32)
    };
    let layer = |pair: &[usize]| {
        let spread = (pair[0] as f64).recip().sqrt();
        (Mat::from_fn(pair[1], pair[0], |_, _| draw(spread)), vec![0.0; pair[1]])
    };
    let mut layers: Layers = sizes.windows(2).map(layer).collect();
    layers.iter_mut().for_each(|(_, bias)| bias.iter_mut().for_each(|b| *b = draw(0.3)));
    layers
}

fn norm(a: &Mat<f64>) -> f64 {
    a.singular_values().unwrap()[0]
}

/// The largest norms, ℓ2 and ℓ∞, over all orders of all pairs, if these are few.
fn all_orders(layers: &Layers) -> [f64; 2] {
    let pairs: usize = layers[..layers.len() - 1].iter().map(|(w, _)| w.nrows() / 2).sum();
    let mut most = [0f64; 2];
    for pattern in 0..1usize << pairs {
        let (mut matrix, mut at) = (layers[0].0.clone(), 0);
        for (w, _) in &layers[1..] {
            let swapped = |i: usize| if pattern >> (at + i / 2) & 1 == 1 { i ^ 1 } else { i };
            let y = Mat::from_fn(matrix.nrows(), matrix.ncols(), |i, j| matrix[(swapped(i), j)]);
            at += matrix.nrows() / 2;
            matrix = w * y;
        }
        let sums = (0..matrix.nrows()).map(|i| matrix.row(i).iter().map(|x| x.abs()).sum()).fold(0.0, f64::max);
        most = [most[0].max(norm(&matrix)), most[1].max(sums)];
    }
    most
}

fn sdp(network: &Network) -> f64 {
    let found = lipsdp(network, &SdpOptions::default()).unwrap();
    assert!(found.finished);
    found.upper
}

#[test]
fn lipsdp_agrees_with_cvxpy_and_is_below_the_published_constraint() {
    let answers = python();
    assert_eq!(answers.len(), 4);
    for answer in answers {
        let weights: Vec<Vec<Vec<f64>>> = serde_json::from_value(answer["weights"].clone()).unwrap();
        let layer = |w: Vec<Vec<f64>>| (Mat::from_fn(w.len(), w[0].len(), |i, j| w[i][j]), vec![0.25; w.len()]);
        let network = network(&weights.into_iter().map(layer).collect());
        let number = |key: &str| answer[key].as_f64().unwrap();
        let (found, own) = (sdp(&network), product(&network, Norm::L2).unwrap());
        let ratio = found / number("joint");
        println!("{}: {found}, cvxpy {} published {}", answer["name"], number("joint"), number("published"));
        assert!((1.0 - 1e-6..1.0 + 1e-5).contains(&ratio), "{}: {ratio}", answer["name"]);
        assert!(found <= number("published") * (1.0 + 1e-6) && number("published") <= own * (1.0 + 1e-6));
        assert!((own / number("product") - 1.0).abs() < 1e-7, "{own}");
    }
}

#[test]
fn one_pair_by_hand() {
    let close = |found: f64, exact: f64| assert!((0.0..1e-6).contains(&(found / exact - 1.0)), "{found} {exact}");
    let unit = |w: Mat<f64>| {
        let zeros = vec![0.0; w.nrows()];
        (w, zeros)
    };
    let identity = || unit(Mat::identity(2, 2));
    let row = |a: f64, b: f64| unit(Mat::from_fn(1, 2, |_, j| [a, b][j]));
    // A permutation; the sum x₁ + x₂, |x₁ − x₂| and 3 max + 4 min: norms 1, √2, √2 and 5.
    for (last, exact) in [(identity(), 1.0), (row(1.0, 1.0), 2f64.sqrt()), (row(1.0, -1.0), 2f64.sqrt())] {
        close(sdp(&network(&vec![identity(), last])), exact);
    }
    close(sdp(&network(&vec![identity(), row(3.0, 4.0)])), 5.0);
    // max(x, x) + min(x, x) = 2x, max(x, −x) − min(x, −x) = 2|x|, and max(x, −x) + min(x, −x) = 0.
    let column = |a: f64, b: f64| unit(Mat::from_fn(2, 1, |i, _| [a, b][i]));
    close(sdp(&network(&vec![column(1.0, 1.0), row(1.0, 1.0)])), 2.0);
    close(sdp(&network(&vec![column(1.0, -1.0), row(1.0, -1.0)])), 2.0);
    assert!(sdp(&network(&vec![column(1.0, -1.0), row(1.0, 1.0)])) < 1e-6);
    // |(|x₁|)| after two pairs of ±: the product of norms is 2, the constant 1.
    let half = |w: Mat<f64>| unit(w);
    let twice = vec![
        half(Mat::from_fn(2, 1, |i, _| [1.0, -1.0][i])),
        half(Mat::from_fn(2, 2, |i, j| [[0.5, -0.5], [-0.5, 0.5]][i][j])),
        row(0.5, -0.5),
    ];
    close(sdp(&network(&twice)), 1.0);
}

#[test]
fn what_is_certified_is_what_acts() {
    let mut rng = Streams::new(2).rng("pairs act");
    let layers = random(&[3, 8, 6, 2], &mut rng);
    let mlp = Mlp::new(3, &[8, 6], 2, Activation::MaxMin, false, Init::Uniform);
    let inputs = [Input::Standardised { mean: 0.2, scale: 1.5, clip: f64::INFINITY }, Input::Held(0.4), Input::RAW];
    let params = flat(&layers);
    let network = Network::new("pairs", &mlp, &params, &inputs, OutputMap::Tanh(vec![1.0, 2.0])).unwrap();
    assert_eq!((network.hidden(), network.activation()), (vec![8, 6], Activation::MaxMin));
    let mut single = Single::new(&mlp);
    let mut sharp = 0;
    for _ in 0..300 {
        let x = [rng.random_range(-1.0..1.0), rng.random_range(-1.0..1.0)];
        let out = single.forward(&params, &[((x[0] - 0.2) * 1.5) as f32, 0.4, x[1] as f32]);
        for ((own, theirs), scale) in network.forward(&x).iter().zip(out).zip([1.0, 2.0]) {
            assert!((own - scale * f64::from(*theirs).tanh()).abs() < 1e-5, "{own} {theirs}");
        }
        let Some(jacobian) = network.jacobian(&x) else { continue };
        for j in 0..2 {
            let moved = |by: f64| {
                let mut moved = x;
                moved[j] += by;
                network.forward(&moved)
            };
            let off = moved(1e-6).into_iter().zip(moved(-1e-6)).enumerate();
            // A kink within the step leaves a difference.
            sharp += off.filter(|(i, (a, b))| ((a - b) / 2e-6 - jacobian[(*i, j)]).abs() < 1e-6).count();
        }
    }
    assert!(sharp > 4 * 290, "{sharp} of 1200");
    let odd = Mlp::new(3, &[7], 2, Activation::MaxMin, false, Init::Uniform);
    let error = Network::new("odd", &odd, &vec![0.1; odd.len()], &inputs, OutputMap::Linear(vec![1.0; 2]));
    assert!(error.unwrap_err().to_string().contains("make every hidden width even"));
}

#[test]
fn bounds_keep_their_order_on_sixty_networks() {
    let mut rng = Streams::new(9).rng("pairs in order");
    let (mut gain, mut exact_boxes) = (0.0, 0);
    for index in 0..60 {
        let inputs = 2 + index % 3;
        let sizes = [vec![inputs, 6, 1 + index % 2], vec![inputs, 4, 6, 2], vec![inputs, 4, 4, 4, 1]];
        let layers = random(&sizes[index % 3], &mut rng);
        let (network, orders) = (network(&layers), all_orders(&layers));
        let centre: Vec<f64> = (0..inputs).map(|_| rng.random_range(-1.0..1.0)).collect();
        let region = Region::around(&centre, &vec![0.3; inputs]).unwrap();
        let (global, boxed) = (sdp(&network), lipsdp_on(&network, &region, &SdpOptions::default()).unwrap().upper);
        for (i, kind) in [Norm::L2, Norm::Linf].into_iter().enumerate() {
            let product = product(&network, kind).unwrap();
            let by_hand: f64 = match kind {
                Norm::L2 => layers.iter().map(|(w, _)| norm(w)).product(),
                Norm::Linf => (layers.iter())
                    .map(|(w, _)| (0..w.nrows()).map(|i| w.row(i).iter().map(|x| x.abs()).sum()).fold(0.0, f64::max))
                    .product(),
            };
            assert!((product / by_hand - 1.0).abs() < 1e-8, "{index} {kind:?}: {product} {by_hand}");
            let lower = LowerOptions { points: &centre, ..LowerOptions::default() };
            let lower = lower_bound(&network, kind, &lower, &mut rng).unwrap().lower;
            let within = LowerOptions { region: Some(&region), ..LowerOptions::default() };
            let lower_box = lower_bound(&network, kind, &within, &mut rng).unwrap().lower;
            let limits = LocalOptions { leaves: 500, ..LocalOptions::default() };
            let local = local_bound(&network, &region, kind, &limits).unwrap();
            let say = format!("{index} {kind:?}: {lower} {lower_box} {local:?} {orders:?} {global} {boxed} {product}");
            assert!(lower <= orders[i] * (1.0 + 1e-9) && orders[i] <= product * (1.0 + 1e-9), "{say}");
            assert!(lower_box <= local.upper && local.upper <= orders[i].max(lower_box) * (1.0 + 1e-3), "{say}");
            exact_boxes += usize::from(local.ended == Ended::Finished);
            if kind == Norm::L2 {
                assert!(orders[0] <= global && global <= product && boxed <= global * (1.0 + 1e-4), "{say}");
                assert!(lower_box <= boxed, "{say}");
                gain += global / product / 60.0;
            }
        }
    }
    println!("LipSDP/product {gain:.3}, boxes solved {exact_boxes} of 120");
    assert!(gain < 0.9 && exact_boxes > 100);
}
