//! The bounds against simulation: in a thousand episodes each, none may be exceeded.

use faer::{Mat, Scale};
use liprl_control::{
    Lqr,
    bounds::{
        Constant, Costs, Provenance, Stability, coverage, disturbed_error, forced_error, learning_error, linear_regret,
        steepest_pair,
    },
    spectral_norm,
    testing::{noise_cost, nominal_cost, stage_cost},
};
use liprl_numerics::Streams;
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use serde_json::json;

use crate::tables::named;

const RUNS: usize = 1000;
const STEPS: usize = 150;

/// Perturbation of measurements.
#[derive(Clone, Copy, Debug)]
enum Attack {
    Random,
    Bias,
    /// Along the gain's direction, with the sign of the state: the worst for one step.
    Steepest,
}

/// u = −Kx + size sin(w·x + phase): off by at most `size`, with a Lipschitz constant of at most ‖K‖
/// + size ‖w‖.
struct Learned<'a> {
    lqr: &'a Lqr,
    size: f64,
    wave: [f64; 2],
    phase: f64,
}

impl Learned<'_> {
    fn act(&self, x: &[f64; 2]) -> f64 {
        let gain = &self.lqr.optimal.gain;
        let wave = (self.wave[0] * x[0] + self.wave[1] * x[1] + self.phase).sin();
        -gain[(0, 0)] * x[0] - gain[(0, 1)] * x[1] + self.size * wave
    }
}

fn advance(lqr: &Lqr, x: &[f64; 2], u: f64) -> [f64; 2] {
    let row = |i: usize| lqr.a[(i, 0)] * x[0] + lqr.a[(i, 1)] * x[1] + lqr.b[(i, 0)] * u;
    [row(0), row(1)]
}

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// Checks B2, B3 and B4 for one system at one ε; prints their tightness.
fn check(name: &str, lqr: &Lqr, width: f64, size: f64, epsilon: f64) {
    let sure = Constant::certified;
    let slope = spectral_norm(lqr.optimal.gain.as_ref()).unwrap();
    let alpha = slope + size * 3.72;
    let error = disturbed_error(sure(size), sure(alpha), epsilon).unwrap();
    let linear = Stability::linear(lqr.optimal.closed_loop.as_ref(), lqr.b.as_ref(), STEPS).unwrap();
    let by_norm = liprl_control::contraction(lqr.optimal.closed_loop.as_ref(), lqr.optimal.cost.as_ref()).unwrap();
    let input = spectral_norm(lqr.b.as_ref()).unwrap();
    let contracting = Stability::contracting(sure(by_norm.overshoot), sure(by_norm.rate), sure(input)).unwrap();
    let tube = linear.tube(error).unwrap();
    assert_eq!(tube.provenance, Provenance::Certified);
    assert!(tube.value <= contracting.tube(error).unwrap().value);

    let mut rng = Streams::new(17).rng(name);
    let (mut farthest, mut dearest, mut dearest_share, mut identity_share) = (0.0f64, 0.0f64, 0.0f64, 0.0f64);
    for run in 0..RUNS {
        let angle = rng.random_range(0.0..std::f64::consts::TAU);
        let learned = Learned {
            lqr,
            size,
            wave: [3.72 * angle.cos(), 3.72 * angle.sin()],
            phase: rng.random_range(0.0..std::f64::consts::TAU),
        };
        let attack = [Attack::Random, Attack::Bias, Attack::Steepest][run % 3];
        let start = [rng.random_range(-width..width), rng.random_range(-width..width)];
        let (mut x, mut expert) = (start, start);
        let direction: [f64; 2] = std::array::from_fn(|_| StandardNormal.sample(&mut rng));
        let (mut cost, mut expert_cost, mut excess) = (0.0, 0.0, 0.0);
        let (mut states, mut inputs) = (0.0f64, 0.0f64);
        for t in 0..STEPS {
            let gain = &lqr.optimal.gain;
            let delta: [f64; 2] = match attack {
                Attack::Random => {
                    let raw: [f64; 2] = std::array::from_fn(|_| StandardNormal.sample(&mut rng));
                    let radius = epsilon * rng.random_range(0.0..1.0f64).sqrt();
                    raw.map(|d| radius * d / norm(&raw))
                }
                Attack::Bias => direction.map(|d| epsilon * d / norm(&direction)),
                Attack::Steepest => {
                    let along = x[0] * gain[(0, 0)] + x[1] * gain[(0, 1)];
                    std::array::from_fn(|i| -epsilon * along.signum() * gain[(0, i)] / slope)
                }
            };
            let u = learned.act(&[x[0] + delta[0], x[1] + delta[1]]);
            let best = -gain[(0, 0)] * expert[0] - gain[(0, 1)] * expert[1];
            cost += stage_cost(lqr, &x, &[u]);
            expert_cost += stage_cost(lqr, &expert, &[best]);
            excess += lqr.excess(&x, &[u]);
            states = states.max(norm(&x)).max(norm(&expert));
            inputs = inputs.max(u.abs()).max(best.abs());
            (x, expert) = (advance(lqr, &x, u), advance(lqr, &expert, best));
            let strayed = norm(&[x[0] - expert[0], x[1] - expert[1]]);
            let allowed = linear.tube_after(error, t as u64 + 1).unwrap().value;
            assert!(strayed <= allowed + 1e-12, "{name} {attack:?} ε = {epsilon} step {t}: {strayed} above {allowed}");
            farthest = farthest.max(strayed);
        }
        // The identity holds for any policy and disturbance, up to rounding.
        let left = cost + lqr.optimal_cost(&x);
        let right = lqr.optimal_cost(&start) + excess;
        assert!((left - right).abs() <= 1e-10 * right.max(1.0), "{name}: {left} {right}");
        let costs = Costs::quadratic(lqr, sure(states), sure(inputs)).unwrap();
        let allowed = linear.regret(error, costs, 1.0, STEPS as u64).unwrap().value;
        let regret = cost - expert_cost;
        assert!(regret <= allowed, "{name} {attack:?} ε = {epsilon}: regret {regret} above {allowed}");
        // By the identity: much sharper, because each step counts its own error.
        let sharper = linear_regret(lqr, error, lqr.optimal_cost(&expert), STEPS as u64).unwrap().value;
        assert!(regret <= sharper, "{name} {attack:?} ε = {epsilon}: regret {regret} above {sharper}");
        identity_share = identity_share.max(regret / sharper);
        dearest = dearest.max(regret);
        dearest_share = dearest_share.max(regret / allowed);
    }
    println!(
        "{name} ε = {epsilon}: strayed {farthest:.4} of at most {:.4} ({:.1} times), by κ/(1 − ρ) {:.3}; regret {dearest:.3}, at most {:.3} of its bound, {:.3} of the identity's",
        tube.value,
        tube.value / farthest,
        contracting.tube(error).unwrap().value,
        dearest_share,
        identity_share
    );
    assert!(identity_share > 0.5, "{name}: the bound is too far from the observed values");
    assert!(farthest > 0.05 * tube.value, "{name}: the bound is too far from the observed values");
}

#[test]
fn no_run_breaks_a_bound() {
    for epsilon in [0.0, 0.05, 0.2] {
        check("double integrator", &named("DoubleIntegrator-v0", json!({})), 1.0, 0.05, epsilon);
        check("oscillator", &named("Oscillator-v0", json!({})), 1.0, 0.05, epsilon);
        check("pendulum upright", &named("UprightPendulum-v0", json!({})), 0.1, 0.05, epsilon);
    }
}

/// Compares the double integrator's bound, G (0.05 + 2.0611 ε), with numbers computed elsewhere.
#[test]
fn the_double_integrators_tube() {
    let lqr = named("DoubleIntegrator-v0", json!({}));
    let linear = Stability::linear(lqr.optimal.closed_loop.as_ref(), lqr.b.as_ref(), 0).unwrap();
    for (epsilon, printed) in [(0.0, 0.0771), (0.05, 0.2359), (0.2, 0.7125)] {
        let error = disturbed_error(Constant::certified(0.05), Constant::certified(2.0611), epsilon).unwrap();
        let tube = linear.tube(error).unwrap().value;
        assert!((tube - printed).abs() < 0.6e-4, "{tube} {printed}");
    }
}

/// A policy that interpolates expert samples is nowhere off by more than B1.
#[test]
fn an_interpolating_policy_keeps_within_b1() {
    let lqr = named("DoubleIntegrator-v0", json!({}));
    let gain = &lqr.optimal.gain;
    let expert = |x: &[f64]| -gain[(0, 0)] * x[0] - gain[(0, 1)] * x[1];
    let slope = spectral_norm(gain.as_ref()).unwrap();
    let mut rng = Streams::new(23).rng("samples");
    let states: Vec<f64> = (0..300).map(|_| rng.random_range(-1.0..1.0)).collect();
    let actions: Vec<f64> = states.chunks_exact(2).map(expert).collect();
    let steepest = steepest_pair(&states, &actions, 2, 1).unwrap().unwrap().slope();
    assert!(steepest <= slope && steepest > 0.99 * slope, "{steepest} {slope}");
    assert_eq!(forced_error(&states, &actions, 2, 1, 1.001 * slope).unwrap(), None);
    let half = forced_error(&states, &actions, 2, 1, 0.5 * slope).unwrap().unwrap().forced_error(0.5 * slope);
    assert!(half > 0.25, "{half}");

    // McShane's midpoint: the middle of the values that an α-Lipschitz function through the samples
    // may take.
    let alpha = 1.2 * slope;
    let policy = |x: &[f64]| {
        let (mut above, mut below) = (f64::INFINITY, f64::NEG_INFINITY);
        for (sample, u) in states.chunks_exact(2).zip(&actions) {
            let reach = alpha * norm(&[x[0] - sample[0], x[1] - sample[1]]);
            (above, below) = (above.min(u + reach), below.max(u - reach));
        }
        0.5 * (above + below)
    };
    let covered = coverage(&states, &[-1.0; 2], &[1.0; 2], 1e-3, 100_000).unwrap();
    let sure = Constant::certified;
    let bound = learning_error(sure(0.0), sure(alpha), sure(slope), covered.constant()).unwrap();
    assert_eq!(bound.provenance, Provenance::Certified);
    let worst = (0..20_000)
        .map(|_| {
            let x = [rng.random_range(-1.0..1.0), rng.random_range(-1.0..1.0)];
            (policy(&x) - expert(&x)).abs()
        })
        .fold(0.0, f64::max);
    println!("B1: off by {worst:.4}, at most {:.4} ({:.1} times)", bound.value, bound.value / worst);
    assert!(worst <= bound.value && worst > 0.1 * bound.value);
}

/// Scaled gains: the simulated stationary cost under measurement noise equals the closed form, and
/// the best gain under noise is below the best without noise.
#[test]
fn noise_costs_what_the_closed_form_says() {
    let lqr = named("Oscillator-v0", json!({}));
    let cost = |share: f64| {
        let gain: Mat<f64> = Scale(share) * &lqr.optimal.gain;
        (nominal_cost(&lqr, gain.as_ref()).unwrap(), noise_cost(&lqr, gain.as_ref(), 0.1).unwrap(), gain)
    };
    let (_, expected, gain) = cost(0.7);
    let mut rng = Streams::new(29).rng("noise");
    let (mut x, mut sum, steps) = ([0.0; 2], 0.0, 400_000);
    for _ in 0..steps {
        let seen: [f64; 2] = std::array::from_fn(|i| {
            let noise: f64 = StandardNormal.sample(&mut rng);
            x[i] + 0.1 * noise
        });
        let u = -gain[(0, 0)] * seen[0] - gain[(0, 1)] * seen[1];
        sum += stage_cost(&lqr, &x, &[u]);
        x = advance(&lqr, &x, u);
    }
    let found = sum / f64::from(steps);
    assert!((found / expected - 1.0).abs() < 0.02, "{found} {expected}");
    let total = |share: f64| cost(share).0 / 150.0 + cost(share).1;
    assert!(total(0.85) < total(1.0) && cost(0.85).0 > cost(1.0).0);
}
