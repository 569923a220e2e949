use faer::Side;
use liprl_envs::systems::{CartPole, Pendulum};
use liprl_numerics::Streams;
use rand::RngExt;

use super::*;
use crate::bounds::Provenance;

/// Draws random pairs in the ellipsoid: the loop contracts by ρ or better and stays inside, and a
/// push moves it by at most L_P.
#[test]
fn the_pendulum_contracts_in_its_basin() {
    for torque in [2.0, 6.0] {
        let model = Pendulum { max_torque: torque, ..Pendulum::default() };
        let lqr = Lqr::of(&model).unwrap();
        let basin = Basin::of(&model, &lqr, 10.0).unwrap();
        assert_eq!(basin.rate.provenance, Provenance::Certified);
        // At the equilibrium alone ρ would be 0.905209; a little more over the ellipsoid.
        assert!(basin.rate.value > 0.905_208 && basin.rate.value < 1.0, "{basin:?}");
        assert!((basin.overshoot - 7.4398).abs() < 1e-3);
        let mut rng = Streams::new(3).rng("basin");
        let mut draw = || loop {
            let x: Vec<f64> = basin.half.iter().map(|h| rng.random_range(-h..*h)).collect();
            if basin.norm(&x) <= basin.radius {
                return x;
            }
        };
        let gain = &lqr.optimal.gain;
        let act = |x: &[f64]| -(gain[(0, 0)] * x[0] + gain[(0, 1)] * x[1]);
        let advance = |x: &[f64], u: f64| {
            let mut next = [0.0; 2];
            model.advance(x, &[u], &mut next);
            next
        };
        let apart = |a: &[f64], b: &[f64]| basin.norm(&[a[0] - b[0], a[1] - b[1]]);
        let mut steepest = 0.0f64;
        for _ in 0..4000 {
            let (x, y) = (draw(), draw());
            assert!(act(&x).abs() <= torque);
            let (fx, fy) = (advance(&x, act(&x)), advance(&y, act(&y)));
            steepest = steepest.max(apart(&fx, &fy) / apart(&x, &y));
            assert!(basin.norm(&fx) <= basin.rate.value * basin.norm(&x) + 1e-12);
            let pushed = advance(&x, act(&x) + 0.1);
            assert!(apart(&pushed, &fx) <= 0.1 * basin.reach.value + 1e-12);
        }
        assert!(steepest <= basin.rate.value && steepest > 0.98 * basin.rate.value, "{steepest} {basin:?}");
        let most = basin.allows(0.5 * basin.radius);
        assert!(basin.holds(0.5 * basin.radius, 0.999 * most) && !basin.holds(0.5 * basin.radius, 1.001 * most));
        assert!(basin.holds(0.5 * basin.radius, 0.0) && !basin.holds(0.5 * basin.radius, torque));
    }
}

/// The Jacobian of f(x, −Kx), by central differences.
fn closed_loop_slope(model: &CartPole, gain: &Mat<f64>, x: &[f64]) -> Mat<f64> {
    let h = 1e-5;
    let advance = |j: usize, by: f64| {
        let (mut x, mut next) = (x.to_vec(), [0.0; 4]);
        x[j] += by;
        model.advance(&x, &[-(0..4).map(|i| gain[(0, i)] * x[i]).sum::<f64>()], &mut next);
        next
    };
    let columns = [0, 1, 2, 3].map(|j| (advance(j, h), advance(j, -h)));
    Mat::from_fn(4, 4, |i, j| (columns[j].0[i] - columns[j].1[i]) / (2.0 * h))
}

/// The cart-pole's step is not affine in the force: A − BK is the closed loop's Jacobian, by
/// central differences, only where A and B are taken at −Kx. (Without the force entries are off by
/// a thousandth here.)
#[test]
fn sampled_jacobians_are_those_of_the_closed_loop() {
    let model = CartPole::default();
    let gain = Lqr::of(&model).unwrap().optimal.gain;
    // Small enough for the force to keep within its limit.
    let half = [0.2, 0.2, 0.1, 0.2];
    let (jacobians, proven) = jacobians(&model, &half, &gain);
    assert!(!proven);
    for (x, (a, b)) in points(&half).zip(&jacobians).step_by(50) {
        assert!((0..4).map(|i| gain[(0, i)] * x[i]).sum::<f64>().abs() < model.input_limit());
        let (closed, slope) = (a - b * &gain, closed_loop_slope(&model, &gain, &x));
        for (i, j) in (0..16).map(|at| (at / 4, at % 4)) {
            let (ours, theirs) = (closed[(i, j)], slope[(i, j)]);
            assert!((ours - theirs).abs() < 1e-6, "{x:?} {i} {j}: {ours} {theirs}");
        }
    }
}

/// Takes Jacobians by central differences all over the ellipsoid: none expands distances by more
/// than ρ.
#[test]
fn the_cart_pole_contracts_in_its_basin() {
    let model = CartPole::default();
    let lqr = Lqr::of(&model).unwrap();
    let basin = Basin::of(&model, &lqr, 10.0).unwrap();
    assert_eq!(basin.rate.provenance, Provenance::Estimated);
    let gain = &lqr.optimal.gain;
    // ‖x‖_P = ‖Lᵀx‖: L⁻ᵀ takes a sphere to the ellipsoid's boundary.
    let factor = basin.weight.llt(Side::Lower).unwrap();
    let from_sphere = solve(factor.L().transpose(), Mat::<f64>::identity(4, 4).as_ref());
    let (mut rng, mut steepest) = (Streams::new(3).rng("basin"), 0.0f64);
    for _ in 0..4000 {
        let y: Vec<f64> = (0..4).map(|_| rng.random_range(-1.0..1.0)).collect();
        let length = y.iter().map(|y| y * y).sum::<f64>().sqrt();
        // Short of the boundary, so that neighbours are within the limit of the force.
        let share: f64 = rng.random_range(0.0..0.99);
        let scale = share * basin.radius / length;
        let x: Vec<f64> = (0..4).map(|i| scale * (0..4).map(|j| from_sphere[(i, j)] * y[j]).sum::<f64>()).collect();
        assert!(basin.norm(&x) < basin.radius, "{x:?}");
        let slope = closed_loop_slope(&model, gain, &x);
        steepest =
            steepest.max(spectral_norm(in_norm(slope.as_ref(), basin.weight.as_ref()).unwrap().as_ref()).unwrap());
    }
    // Differences are off by h² and by rounding over h, some 1e-10, times √cond(P), some 1e2.
    assert!(steepest <= basin.rate.value + 1e-7, "{steepest} {basin:?}");
}
