//! LipSDP, one multiplier per neuron (Fazlyab et al. 2019, arXiv 1906.04893), in the Euclidean norm: everywhere, and over a box with the slopes
//! that the box leaves to each neuron.
//!
//! `elimination` has the bound that any multipliers give; here they are chosen. From a start that is always feasible and no worse than the product of
//! norms, L-BFGS lowers the smoothed bound over their logarithms while the smoothing is taken away in stages; the best multipliers met are then proven by a
//! factorisation of the whole matrix inequality. Stopping early costs tightness, never validity. Multipliers for pairs of neurons
//! are not offered: the constraint they stand for does not hold in general (Pauli et al. 2021, arXiv 2005.02929).

use std::time::{Duration, Instant};

use faer::Mat;

use super::{
    CertifyError, MARGIN, Network, Norm, Region,
    algebra::scale_rows,
    elimination::Problem,
    lbfgs::{End, Limits, Point, Trial, minimise},
    local::{Slopes, slopes_on},
    product::product,
    reduce::{Reduced, WIDTH, normalised},
    slopes::sector,
};

/// Smoothing parameter of the first stage, relative to the bound; each stage has `SHARPER` times the last one's.
const FIRST_STAGE: f64 = 20.0;
const SHARPER: f64 = 4.0;
const STAGES: u32 = 7;

/// Iterations of one stage, and the relative progress below which it has settled.
const LIMITS: Limits = Limits { iterations: 100, tolerance: 1e-9 };

/// Inflations of ρ that are tried until the factorisation goes through, each `SHARPER` times the last one.
const FIRST_INFLATION: f64 = 1e-9;
const INFLATIONS: u32 = 20;

/// Where that takes more than `CHEAP`, multipliers these shares of the way back to the start are tried too.
const CHEAP: f64 = 1e-5;
const BACK: [f64; 4] = [0.01, 0.1, 0.5, 1.0];

/// Two stages in a row that lower ρ by less than this, relatively, are the end.
const IDLE: f64 = 1e-9;

/// What to spend on it.
#[derive(Clone, Copy, Debug, Default)]
pub struct SdpOptions {
    /// Stop looking for better multipliers after this long; none: when they are found.
    pub time_limit: Option<Duration>,
}

/// A LipSDP bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SdpBound {
    /// The constant is at most this.
    pub upper: f64,
    /// False where the time limit came before the best multipliers.
    pub finished: bool,
    /// Multipliers tried.
    pub evaluations: usize,
}

/// A bound on the network's ℓ2 constant everywhere, at most [`product`]'s.
///
/// # Errors
/// [`CertifyError::NotConverged`] where a decomposition fails or no multipliers met can be proven.
pub fn lipsdp(network: &Network, options: &SdpOptions) -> Result<SdpBound, CertifyError> {
    let everywhere = network.hidden().iter().map(|&units| vec![sector(network.activation()); units]).collect();
    let hidden = &network.weights()[..network.weights().len() - 1];
    let bound = solve(hidden, everywhere, sector(network.activation()), network.last_weight(), options)?;
    Ok(SdpBound { upper: bound.upper.min(product(network, Norm::L2)?), ..bound })
}

/// A bound on the network's ℓ2 constant over a box.
///
/// # Errors
/// As [`lipsdp`]; [`CertifyError::BadRegion`] for a box of another dimension.
pub fn lipsdp_on(network: &Network, region: &Region, options: &SdpOptions) -> Result<SdpBound, CertifyError> {
    let Some(Slopes { hidden, head }) = slopes_on(network, region, &[])? else {
        return Ok(SdpBound { upper: 0.0, finished: true, evaluations: 0 });
    };
    let steepest: Vec<f64> = head.iter().map(|(least, most)| least.abs().max(most.abs())).collect();
    let last = network.weights().last().map_or_else(|| Mat::zeros(0, 0), |last| scale_rows(last.as_ref(), &steepest));
    let weights = &network.weights()[..hidden.len()];
    let bound = solve(weights, hidden, sector(network.activation()), last, options)?;
    // Over the box, what holds everywhere holds too, but costs another solution; the product is at hand.
    Ok(SdpBound { upper: bound.upper.min(product(network, Norm::L2)?), ..bound })
}

fn solve(
    hidden: &[Mat<f64>],
    sectors: Vec<Vec<(f64, f64)>>,
    widest: (f64, f64),
    last: Mat<f64>,
    options: &SdpOptions,
) -> Result<SdpBound, CertifyError> {
    let deadline = options.time_limit.map(|limit| Instant::now() + limit);
    let (problem, scale) = match normalised(hidden, sectors, widest, last)? {
        Reduced::Constant(norm) => {
            return Ok(SdpBound { upper: norm * MARGIN, finished: true, evaluations: 0 });
        }
        Reduced::Problem(problem, scale) => (problem, scale),
    };
    let start = feasible(&problem);
    let mut evaluations = 0;
    let mut best: Option<(f64, Vec<f64>)> = None;
    let mut evaluate = |x: &[f64], nu: f64, best: &mut Option<(f64, Vec<f64>)>| {
        evaluations += 1;
        let value = problem.value(x, nu)?;
        if let Some(value) = &value
            && best.as_ref().is_none_or(|(rho, _)| value.rho < *rho)
        {
            *best = Some((value.rho, x.to_vec()));
        }
        Ok::<_, CertifyError>(value)
    };
    let mut finished = true;
    evaluate(&start, 1.0, &mut best)?;
    let mut idle = 0;
    for stage in 0..STAGES {
        let Some((rho, x)) = best.clone().filter(|(rho, _)| *rho > 0.0) else { break };
        let nu = FIRST_STAGE * SHARPER.powi(stage as i32) / rho;
        let Some(value) = evaluate(&x, nu, &mut best)? else { break };
        let from = Point { x, value: value.smooth, gradient: value.gradient };
        let (_, end) = minimise(from, LIMITS, |x| {
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok(Trial::Stop);
            }
            let value = evaluate(x, nu, &mut best)?;
            Ok::<_, CertifyError>(value.map_or(Trial::Outside, |value| Trial::Inside(value.smooth, value.gradient)))
        })?;
        if end == End::Stopped {
            finished = false;
            break;
        }
        let lowered = best.as_ref().is_some_and(|(lower, _)| *lower < rho * (1.0 - IDLE));
        idle = if lowered { 0 } else { idle + 1 };
        if idle == 2 {
            break;
        }
    }
    let unproven = CertifyError::NotConverged { what: "LipSDP (no multipliers found could be proven)" };
    let (rho, x) = best.ok_or(CertifyError::NotConverged { what: "LipSDP's start" })?;
    let mut proven = proven(&problem, &x, rho);
    if proven.is_none_or(|proven| proven > rho * (1.0 + CHEAP)) {
        for share in BACK {
            let x: Vec<f64> = x.iter().zip(&start).map(|(x, start)| x + share * (start - x)).collect();
            if let Some(value) = problem.value(&x, 1.0)? {
                let other = self::proven(&problem, &x, value.rho);
                proven = proven.into_iter().chain(other).reduce(f64::min);
            }
        }
    }
    let proven = proven.ok_or(unproven)?;
    Ok(SdpBound { upper: scale * proven.sqrt() * MARGIN, finished, evaluations })
}

/// The smallest inflation of ρ that a factorisation proves.
fn proven(problem: &Problem, x: &[f64], rho: f64) -> Option<f64> {
    // Of a constant that is 0 or nearly so, relative to the product of norms, only the size is found.
    let rho = rho.max(1e-20);
    let inflated = |i: u32| rho * (1.0 + FIRST_INFLATION * SHARPER.powi(i as i32));
    (0..INFLATIONS).map(inflated).find(|&rho| problem.proves(x, rho))
}

/// Multipliers with positive definite Schur complements, as logarithms; for one sector throughout they give the product of norms
/// (proof: `docs/derivations/certificates.md`).
fn feasible(problem: &Problem) -> Vec<f64> {
    let mut log_t = Vec::new();
    // What is behind layer k stretches squared lengths by at most `gain`; weights have norm 1.
    let mut gain = 1.0;
    for layer in problem.layers.iter().rev() {
        let mut steepest = 0f64;
        let own: Vec<f64> = layer
            .sector
            .iter()
            .map(|(alpha, beta)| {
                let (middle, radius) = (0.5 * (alpha + beta), 0.5 * (beta - alpha));
                let share = (radius / middle.abs()).clamp(0.1 * WIDTH, 0.1 / WIDTH);
                let t = 0.5 * gain * (1.0 + share.recip()) * (1.0 + 1e-7);
                steepest = steepest.max((1.0 + share) * middle * middle + 2.0 * t / gain * radius * radius);
                t.ln()
            })
            .collect();
        log_t.splice(0..0, own);
        gain *= steepest;
    }
    log_t
}

#[cfg(test)]
mod tests {
    use liprl_numerics::{Activation, linalg::spectral_norm};

    use super::{super::network::testing::*, *};

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
        solve(&[weight], vec![sectors.to_vec()], (0.0, 1.0), last, &SdpOptions::default()).unwrap().upper
    }

    /// The larger and the smaller of two numbers, by ReLUs and by neurons that pass a number on (slope 1). With r = relu(x₁ − x₂) alone,
    /// (x₂ + r, x₁ − r), LipSDP finds the true 1; with relu(x₂ − x₁) for the smaller one, it takes the two for independent: √2.
    #[test]
    fn max_min_by_two_relus_and_by_one() {
        let (relu, pass) = ((0.0, 1.0), (1.0, 1.0));
        let two = one_layer(
            &[[1.0, -1.0], [-1.0, 1.0], [0.0, 1.0]],
            &[relu, relu, pass],
            &[&[1.0, 0.0, 1.0], &[0.0, -1.0, 1.0]],
        );
        assert!(two >= 2f64.sqrt() * (1.0 - 1e-9) && two < 2f64.sqrt() * (1.0 + 1e-3), "{two}");
        let one = one_layer(
            &[[1.0, -1.0], [1.0, 0.0], [0.0, 1.0]],
            &[relu, pass, pass],
            &[&[1.0, 0.0, 1.0], &[-1.0, 1.0, 0.0]],
        );
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
                normalised(&network.weights()[..3], sectors, sector(activation), network.last_weight()).unwrap()
            else {
                panic!("a problem")
            };
            let value = problem.value(&feasible(&problem), 1.0).unwrap().unwrap();
            let (start, product) = (scale * value.rho.sqrt(), product(&network, Norm::L2).unwrap());
            assert!(start <= product * (1.0 + 1e-6), "{activation:?}: {start} {product}");
            assert!(start > 0.1 * product, "{activation:?}: {start} {product}");
        }
    }

    /// Of ρ smoothed, by every multiplier, for every activation and for sectors that differ from neuron to neuron.
    #[test]
    fn the_gradient_equals_finite_differences() {
        let mut rng = rng("gradient");
        for activation in ACTIVATIONS {
            let network = gaussian(&[4, 6, 5, 3], activation, false, &mut rng);
            let mut sectors: Vec<Vec<(f64, f64)>> =
                network.hidden().iter().map(|&n| vec![sector(activation); n]).collect();
            sectors[0][1] = (0.2, 0.7);
            sectors[1][2] = (1.0, 1.0);
            let Reduced::Problem(problem, _) =
                normalised(&network.weights()[..2], sectors, sector(activation), network.last_weight()).unwrap()
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
                    (difference - gradient).abs() < 1e-6 * gradient.abs().max(1e-2),
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
            normalised(&network.weights()[..2], sectors, (0.0, 1.0), network.last_weight()).unwrap()
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
        let rushed = lipsdp(&network, &SdpOptions { time_limit: Some(Duration::ZERO) }).unwrap();
        assert!(!rushed.finished && rushed.upper <= product(&network, Norm::L2).unwrap());
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
}
