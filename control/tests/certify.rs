//! Certificates against cvxpy, against the exact constants of networks small enough to enumerate,
//! and on trained policies.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop here")]

use std::{path::Path, process::Command};

use clarabel::{
    algebra::CscMatrix,
    solver::{DefaultSettingsBuilder, DefaultSolver, IPSolver, NonnegativeConeT, SolverStatus},
};
use faer::Mat;
use liprl_control::{
    Policy,
    certify::{
        Input, LocalOptions, LowerOptions, Network, Norm, OutputMap, Region, SdpOptions, lipsdp, lipsdp_on,
        local_bound, lower_bound, product,
    },
};
use liprl_numerics::{Activation, Init, Mlp, StreamRng, Streams};
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The answers of certify.py.
fn python() -> Vec<Value> {
    let program = std::env::var_os("LIPRL_PYTHON").map_or(root().join(".deps/venv/bin/python"), Into::into);
    let output = Command::new(&program)
        .arg(root().join("control/tests/certify.py"))
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask setup --test`", program.display()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A network of these matrices, `[out, in]` row-major in f64 that f32 holds exactly, and biases.
fn network(name: &str, weights: &[Vec<Vec<f64>>], biases: &[Vec<f64>], activation: Activation) -> Network {
    let sizes: Vec<usize> = weights.iter().map(Vec::len).collect();
    let (outputs, hidden) = sizes.split_last().unwrap();
    let mlp = Mlp::new(weights[0][0].len(), hidden, *outputs, activation, false, Init::Uniform);
    let layers = weights.iter().zip(biases);
    let params: Vec<f32> =
        layers.flat_map(|(w, b)| w.iter().flatten().chain(b).map(|&x| x as f32).collect::<Vec<_>>()).collect();
    let raw = vec![Input::RAW; mlp.inputs()];
    Network::new(name, &mlp, &params, &raw, OutputMap::Linear(vec![1.0; *outputs])).unwrap()
}

#[test]
fn lipsdp_agrees_with_cvxpy() {
    let answers = python();
    assert_eq!(answers.len(), 9);
    for answer in answers {
        let name = answer["name"].as_str().unwrap();
        let weights: Vec<Vec<Vec<f64>>> = serde_json::from_value(answer["weights"].clone()).unwrap();
        let biases: Vec<Vec<f64>> = weights.iter().map(|w| vec![0.25; w.len()]).collect();
        let activation = serde_json::from_value(answer["activation"].clone()).unwrap();
        let network = network(name, &weights, &biases, activation);
        let number = |key: &str| answer[key].as_f64().unwrap();
        let found = lipsdp(&network, &SdpOptions::default()).unwrap();
        let (reference, ratio) = (number("neuron"), found.upper / number("neuron"));
        println!("{name}: {} cvxpy {reference} ratio {ratio} in {} evaluations", found.upper, found.evaluations);
        assert!(found.finished && (1.0 - 1e-6..1.0 + 1e-5).contains(&ratio), "{name}: {ratio}");
        assert!(found.upper <= number("layer") * (1.0 + 1e-6), "{name}: one multiplier for each layer is no better");
        let own = product(&network, Norm::L2).unwrap();
        assert!((own / number("product") - 1.0).abs() < 1e-7, "{name}: {own}");
        if name.starts_with("positive") {
            // All slopes at 1: the bound is the norm of the matrices' product, and exact.
            let (own, theirs) = (found.upper / number("linear") - 1.0, reference / number("linear") - 1.0);
            println!("{name}: above the exact constant by {own:.1e}, cvxpy's by {theirs:.1e}");
            assert!((0.0..1e-6).contains(&own) && theirs.abs() < 1e-6, "{name}: {own} {theirs}");
        }
    }
}

/// A small random network with its matrices as numbers, for enumeration.
struct Small {
    weights: Vec<Vec<Vec<f64>>>,
    biases: Vec<Vec<f64>>,
    slope: f64,
    network: Network,
}

impl Small {
    fn new(sizes: &[usize], slope: f64, rng: &mut StreamRng) -> Self {
        let mut draw = |spread: f64| {
            let draw: f64 = StandardNormal.sample(rng);
            f64::from((spread * draw) as f32)
        };
        let mut weights = Vec::new();
        let mut biases = Vec::new();
        for (&from, &to) in sizes.iter().zip(&sizes[1..]) {
            let spread = (2.0 / from as f64).sqrt();
            weights.push((0..to).map(|_| (0..from).map(|_| draw(spread)).collect()).collect());
            biases.push((0..to).map(|_| draw(0.3)).collect());
        }
        let activation = if slope == 0.0 { Activation::Relu } else { Activation::LeakyRelu(slope) };
        let network = network("small", &weights, &biases, activation);
        Self { weights, biases, slope, network }
    }

    /// The largest norms, ℓ2 and ℓ∞, over all linear pieces of the network (that reach into the
    /// box).
    fn exact(&self, region: Option<&Region>) -> [f64; 2] {
        let inputs = self.weights[0][0].len();
        let identity = (0..inputs).map(|i| (0..inputs).map(|j| f64::from(u8::from(i == j))).collect()).collect();
        let mut pieces = Pieces { small: self, constraints: Vec::new(), most: [0.0; 2] };
        for i in 0..region.map_or(0, Region::dim) {
            let (low, high) = (region.unwrap().low()[i], region.unwrap().high()[i]);
            let unit: Vec<f64> = (0..inputs).map(|j| f64::from(u8::from(i == j))).collect();
            pieces.constraints.push((unit.iter().map(|x| -x).collect(), high));
            pieces.constraints.push((unit, -low));
        }
        pieces.visit(0, identity, vec![0.0; inputs], &mut Vec::new());
        pieces.most
    }
}

/// A walk over all linear pieces: both signs of each neuron, as long as some inputs remain.
struct Pieces<'a> {
    small: &'a Small,
    /// Each a and b with a·x + b ≥ 0.
    constraints: Vec<(Vec<f64>, f64)>,
    most: [f64; 2],
}

impl Pieces<'_> {
    /// Visits the pieces of layer `layer`, whose inputs are `matrix` x + `offset`; `signs` are
    /// those chosen in it so far.
    fn visit(&mut self, layer: usize, matrix: Vec<Vec<f64>>, offset: Vec<f64>, signs: &mut Vec<bool>) {
        let (weight, bias) = (&self.small.weights[layer], &self.small.biases[layer]);
        let row = |i: usize| -> (Vec<f64>, f64) {
            let a = (0..matrix[0].len()).map(|j| weight[i].iter().zip(&matrix).map(|(w, m)| w * m[j]).sum()).collect();
            (a, weight[i].iter().zip(&offset).map(|(w, o)| w * o).sum::<f64>() + bias[i])
        };
        let rows: Vec<(Vec<f64>, f64)> = (0..weight.len()).map(row).collect();
        if layer + 1 == self.small.weights.len() {
            let jacobian = Mat::from_fn(rows.len(), matrix[0].len(), |i, j| rows[i].0[j]);
            let spectral = jacobian.singular_values().unwrap()[0];
            let sums = rows.iter().map(|row| row.0.iter().map(|x| x.abs()).sum()).fold(0.0, f64::max);
            self.most = [self.most[0].max(spectral), self.most[1].max(sums)];
            return;
        }
        if signs.len() == rows.len() {
            let slopes: Vec<f64> = signs.iter().map(|&on| if on { 1.0 } else { self.small.slope }).collect();
            let next = rows.iter().zip(&slopes).map(|((a, _), d)| a.iter().map(|a| a * d).collect()).collect();
            let offset = rows.iter().zip(&slopes).map(|((_, b), d)| b * d).collect();
            return self.visit(layer + 1, next, offset, &mut Vec::new());
        }
        let (a, b) = &rows[signs.len()];
        for on in [true, false] {
            let sign = if on { 1.0 } else { -1.0 };
            self.constraints.push((a.iter().map(|a| sign * a).collect(), sign * b));
            if has_inside(&self.constraints) {
                signs.push(on);
                self.visit(layer, matrix.clone(), offset.clone(), signs);
                signs.pop();
            }
            self.constraints.pop();
        }
    }
}

/// True if some x has a·x + b > 0 for all of these: by the largest s ≤ 1 with a·x + b ≥ s.
fn has_inside(constraints: &[(Vec<f64>, f64)]) -> bool {
    let n = constraints[0].0.len();
    // Variables x, s; s − a·x + slack = b for each, s + slack = 1.
    let mut rows: Vec<Vec<f64>> =
        constraints.iter().map(|(a, _)| a.iter().map(|a| -a).chain([1.0]).collect()).collect();
    rows.push((0..n).map(|_| 0.0).chain([1.0]).collect());
    let b: Vec<f64> = constraints.iter().map(|(_, b)| *b).chain([1.0]).collect();
    let matrix = CscMatrix::from(&rows);
    let mut q = vec![0.0; n];
    q.push(-1.0);
    let settings = DefaultSettingsBuilder::default().verbose(false).build().unwrap();
    let cones = [NonnegativeConeT(b.len())];
    let mut solver = DefaultSolver::new(&CscMatrix::zeros((n + 1, n + 1)), &q, &matrix, &b, &cones, settings).unwrap();
    solver.solve();
    matches!(solver.solution.status, SolverStatus::Solved | SolverStatus::AlmostSolved) && solver.solution.x[n] > 1e-7
}

#[test]
fn bounds_keep_their_order_on_two_hundred_networks() {
    let mut rng = Streams::new(7).rng("two hundred networks");
    let (mut sharp, mut found, mut sdp_gain, mut local_gain) = (0, 0, 0.0, 0.0);
    for index in 0..200 {
        let inputs = 2 + index % 2;
        let sizes = [inputs, 3 + index % 3, 3, 1 + index % 3];
        let small = Small::new(&sizes, [0.0, 0.0, 0.2][index % 3], &mut rng);
        let centre: Vec<f64> = (0..inputs).map(|_| rng.random_range(-1.0..1.0)).collect();
        let region = Region::around(&centre, &vec![0.5; inputs]).unwrap();
        let (global, local) = (small.exact(None), small.exact(Some(&region)));
        let sdp = lipsdp(&small.network, &SdpOptions::default()).unwrap();
        let sdp_box = lipsdp_on(&small.network, &region, &SdpOptions::default()).unwrap().upper;
        let limits = LocalOptions { leaves: 200, tolerance: 1e-3, ..LocalOptions::default() };
        for (i, norm) in [Norm::L2, Norm::Linf].into_iter().enumerate() {
            let product = product(&small.network, norm).unwrap();
            let refined = local_bound(&small.network, &region, norm, &limits).unwrap().upper;
            let say = format!("network {index}, {norm:?}: {global:?} {local:?} {refined} {product}");
            assert!(local[i] <= global[i] * (1.0 + 1e-9), "{say}");
            assert!(local[i] <= refined && refined <= product && global[i] <= product, "{say}");
            sharp += usize::from(refined <= local[i] * 1.02);
            local_gain += refined / product / 400.0;
            if norm == Norm::L2 || index % 4 == 0 {
                let options = LowerOptions { points: &centre, ..LowerOptions::default() };
                let lower = lower_bound(&small.network, norm, &options, &mut rng).unwrap().lower;
                let in_box = LowerOptions { region: Some(&region), ..LowerOptions::default() };
                let lower_box = lower_bound(&small.network, norm, &in_box, &mut rng).unwrap().lower;
                let say = format!("{say} {lower} {lower_box}");
                assert!(lower <= global[i] * (1.0 + 1e-9) && lower_box <= local[i] * (1.0 + 1e-9), "{say}");
                // Pieces smaller than any sample may be missed, but seldom.
                found += usize::from(lower_box >= 0.9 * local[i]);
            }
            if norm == Norm::L2 {
                let say = format!("{say} {sdp:?} {sdp_box}");
                assert!(global[0] <= sdp.upper && sdp.upper <= product && sdp.finished, "{say}");
                assert!(local[0] <= sdp_box && sdp_box <= sdp.upper * (1.0 + 1e-4), "{say}");
                sdp_gain += sdp.upper / product / 200.0;
            }
        }
    }
    println!(
        "local bounds within 2% of exact: {sharp} of 400; LipSDP/product {sdp_gain:.3}, local/product {local_gain:.3}"
    );
    println!("lower bounds within 10% of exact: {found} of 250");
    assert!(sharp > 200 && found > 215 && sdp_gain < 0.6 && local_gain < 0.4);
}

/// Twelve tiny ReLU networks and a centre for each.
fn tiny() -> Vec<(Small, Vec<f64>)> {
    let mut rng = Streams::new(3).rng("tiny networks");
    let sizes: [&[usize]; 6] = [&[2, 8, 2], &[2, 6, 6, 2], &[2, 10, 8, 1], &[3, 8, 3], &[3, 6, 6, 2], &[3, 5, 5, 5, 2]];
    let mut networks = Vec::new();
    for sizes in sizes.iter().chain(&sizes) {
        let small = Small::new(sizes, 0.0, &mut rng);
        networks.push((small, (0..sizes[0]).map(|_| rng.random_range(-1.0..1.0)).collect()));
    }
    networks
}

#[test]
fn bounds_of_thirty_six_tiny_problems_are_nearly_exact() {
    let mut ratios = Vec::new();
    for (index, (small, centre)) in tiny().iter().enumerate() {
        for radius in [0.1, 0.3, 1.0] {
            let region = Region::around(centre, &vec![radius; centre.len()]).unwrap();
            let exact = small.exact(Some(&region));
            let limits = LocalOptions { leaves: 4000, ..LocalOptions::default() };
            for (i, norm) in [Norm::L2, Norm::Linf].into_iter().enumerate() {
                let found = local_bound(&small.network, &region, norm, &limits).unwrap();
                let ratio = found.upper / exact[i];
                // The exact constant is by linear programs and a decomposition, to 1e-12.
                assert!(ratio >= 1.0 - 1e-12 && found.lower <= exact[i] * (1.0 + 1e-12), "{index} ±{radius} {norm:?}");
                assert!(found.finished() == (found.upper <= found.lower * (1.0 + 1.1e-6)), "{index}: {found:?}");
                ratios.push(ratio);
            }
        }
    }
    for mut ratios in [0, 1].map(|norm| ratios.iter().copied().skip(norm).step_by(2).collect::<Vec<f64>>()) {
        ratios.sort_by(f64::total_cmp);
        println!("median {}, worst {}", ratios[18], ratios[35]);
        assert!(ratios[18] <= 1.001 && ratios[35] < 1.01, "{ratios:?}");
    }
}

#[test]
fn every_linear_piece_of_a_hand_example_is_found() {
    // relu(x₁ − x₂) + relu(x₁ + x₂): slopes (0, 0), (1, ±1), (2, 0); over the box around (1, 0) of
    // radius ½ only the last.
    let mut small = Small::new(&[2, 2, 1], 0.0, &mut Streams::new(0).rng("hand"));
    small.weights = vec![vec![vec![1.0, -1.0], vec![1.0, 1.0]], vec![vec![1.0, 1.0]]];
    small.biases = vec![vec![0.0; 2], vec![0.0]];
    let close = |a: [f64; 2], b: [f64; 2]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
    assert!(close(small.exact(None), [2.0, 2.0]));
    let diagonal = Region::new(vec![-0.5, 0.6], vec![0.5, 1.0]).unwrap();
    assert!(close(small.exact(Some(&diagonal)), [2f64.sqrt(), 2.0]));
}

#[test]
fn shipped_policies_are_what_is_certified_and_bounds_keep_their_order() {
    let mut rng = Streams::new(1).rng("policies");
    let quick = SdpOptions { evaluations: 60, ..SdpOptions::default() };
    for task in ["inverted_pendulum", "hopper"] {
        let bytes = std::fs::read(root().join(format!("demos/{task}.policy.safetensors"))).unwrap();
        let mut policy = Policy::load(&bytes).unwrap();
        let network = policy.to_certify(vec![1.0; policy.act_dim()]).unwrap();
        let centre: Vec<f64> = (0..policy.obs_dim()).map(|_| rng.random_range(-0.5..0.5)).collect();
        for _ in 0..20 {
            let x: Vec<f64> = centre.iter().map(|c| c + rng.random_range(-1.0..1.0)).collect();
            let seen: Vec<f32> = x.iter().map(|&x| x as f32).collect();
            let mut action = vec![0.0; policy.act_dim()];
            policy.act(&seen, &mut action).unwrap();
            for (own, theirs) in network.forward(&x).iter().zip(&action) {
                assert!((own - f64::from(*theirs)).abs() < 1e-3, "{task}: {own} {theirs}");
            }
        }
        let region = Region::around(&centre, &vec![0.01; centre.len()]).unwrap();
        let options = LowerOptions { points: &centre, ..LowerOptions::default() };
        let in_box = LowerOptions { region: Some(&region), ..options };
        let limits = LocalOptions { leaves: 4, ..LocalOptions::default() };
        let (product2, sdp) = (product(&network, Norm::L2).unwrap(), lipsdp(&network, &quick).unwrap().upper);
        let sdp_box = lipsdp_on(&network, &region, &quick).unwrap().upper;
        for norm in [Norm::L2, Norm::Linf] {
            let lower = lower_bound(&network, norm, &options, &mut rng).unwrap().lower;
            let lower_box = lower_bound(&network, norm, &in_box, &mut rng).unwrap().lower;
            let local = local_bound(&network, &region, norm, &limits).unwrap().upper;
            println!(
                "{task} {norm:?}: lower {lower:.4} sdp {sdp:.4} product {product2:.4}; box {lower_box:.4} {local:.4} {sdp_box:.4}"
            );
            assert!(lower_box <= local && local <= product(&network, norm).unwrap(), "{task}");
            if norm == Norm::L2 {
                assert!(lower <= sdp && sdp <= product2 && lower_box <= sdp_box && sdp_box <= product2, "{task}");
            }
        }
    }
}
