//! The reference systems' gains, rates and costs, against NumPy and SciPy.

use faer::{Mat, Scale};
use liprl_control::{
    ControlError, Lqr, contraction, lyapunov, power_sum, riccati, scanned_contraction, spectral_norm, spectral_radius,
    testing::{noise_cost, nominal_cost, tube},
};
use liprl_envs::{
    make,
    systems::{CartPole, Pendulum},
};
use serde_json::json;

/// The problem behind an environment's name.
pub(crate) fn named(id: &str, options: serde_json::Value) -> Lqr {
    let env = make(id, &serde_json::from_value(options).unwrap()).unwrap();
    Lqr::of(env.model().unwrap()).unwrap()
}

fn matrix(rows: &[&[f64]]) -> Mat<f64> {
    Mat::from_fn(rows.len(), rows[0].len(), |i, j| rows[i][j])
}

/// Asserts six printed decimals or six digits, whichever is coarser.
fn assert_printed(found: f64, printed: f64, what: &str) {
    let tolerance = 0.51e-6 + 1e-6 * printed.abs();
    assert!((found - printed).abs() <= tolerance, "{what}: {found}, printed {printed}");
}

/// Asserts as many digits after the decimal point as are printed.
fn assert_digits(found: f64, printed: &str, what: &str) {
    let decimals = printed.split_once('.').map_or(0, |(_, digits)| digits.len() as i32);
    let value: f64 = printed.parse().unwrap();
    assert!((found - value).abs() <= 0.51 * 10f64.powi(-decimals), "{what}: {found}, printed {printed}");
}

/// One line of the table of systems: K, ‖K‖₂, spectral radius, (ρ_P, κ_P), κ/(1 − ρ) by P and by
/// scan, Σ‖A_clᵏ‖, G.
struct SystemRow {
    name: &'static str,
    lqr: Lqr,
    gain: &'static [f64],
    norm: f64,
    radius: f64,
    rate: f64,
    overshoot: &'static str,
    sums: [&'static str; 2],
    powers: &'static str,
    reach: f64,
}

fn rows() -> Vec<SystemRow> {
    let cart_pole = CartPole::default();
    let dare = Lqr::new(
        matrix(&[&[-0.9, -0.3], &[0.7, 0.1]]),
        matrix(&[&[1.0], &[1.0]]),
        matrix(&[&[1.0, 0.0], &[0.0, 3.0]]),
        matrix(&[&[0.1]]),
    );
    vec![
        SystemRow {
            name: "double integrator, R = 1",
            lqr: named("DoubleIntegrator-v0", json!({})),
            gain: &[0.917075, 1.635596],
            norm: 1.875153,
            radius: 0.917075,
            rate: 0.951526,
            overshoot: "1.8858",
            sums: ["38.90", "45.53"],
            powers: "24.549",
            reach: 1.54142,
        },
        SystemRow {
            name: "double integrator, R = 0.1",
            lqr: named("DoubleIntegrator-v0", json!({"r": 0.1})),
            gain: &[2.585701, 3.443436],
            norm: 4.306170,
            radius: 0.899170,
            rate: 0.941989,
            overshoot: "2.0107",
            sums: ["34.66", "68.88"],
            powers: "17.531",
            reach: 0.65512,
        },
        SystemRow {
            name: "oscillator",
            lqr: named("Oscillator-v0", json!({})),
            gain: &[1.754918, 3.177733],
            norm: 3.630113,
            radius: 0.875239,
            rate: 0.951683,
            overshoot: "1.9261",
            sums: ["39.86", "58.12"],
            powers: "16.651",
            reach: 0.64294,
        },
        SystemRow {
            name: "pendulum upright, R = 1",
            lqr: named("UprightPendulum-v0", json!({})),
            gain: &[9.192596, 2.159524],
            norm: 9.442847,
            radius: 0.833628,
            rate: 0.838113,
            overshoot: "25.0007",
            sums: ["154.4", "82.28"],
            powers: "23.616",
            reach: 0.75378,
        },
        SystemRow {
            name: "pendulum upright, R = 0.001",
            lqr: Lqr::of(&Pendulum::default()).unwrap(),
            gain: &[19.693217, 5.262500],
            norm: 20.384226,
            radius: 0.853708,
            rate: 0.905209,
            overshoot: "7.4398",
            sums: ["78.49", "105.9"],
            powers: "21.948",
            reach: 0.34075,
        },
        SystemRow {
            name: "cart-pole upright",
            lqr: Lqr::of(&cart_pole).unwrap(),
            gain: &[-0.910126, -2.132488, -30.594563, -7.841506],
            norm: 31.668475,
            radius: 0.983919,
            rate: 0.997240,
            overshoot: "34.175",
            sums: ["12383", "5546"],
            powers: "654.71",
            // 600 terms give 1.78821.
            reach: 1.78838,
        },
        SystemRow {
            name: "MathWorks' page on dare",
            lqr: dare.unwrap(),
            gain: &[-0.221621, -0.129655],
            norm: 0.256761,
            radius: 0.446032,
            rate: 0.890289,
            overshoot: "1.3683",
            sums: ["12.47", "7.674"],
            powers: "3.1342",
            reach: 4.00357,
        },
    ]
}

#[test]
fn gains_and_rates_of_the_reference_systems() {
    for row in rows() {
        let (name, best) = (row.name, &row.lqr.optimal);
        for (j, printed) in row.gain.iter().enumerate() {
            assert_printed(best.gain[(0, j)], *printed, name);
        }
        assert_printed(spectral_norm(best.gain.as_ref()).unwrap(), row.norm, name);
        let closed = best.closed_loop.as_ref();
        assert_printed(spectral_radius(closed).unwrap(), row.radius, name);
        let by_cost = contraction(closed, best.cost.as_ref()).unwrap();
        assert_printed(by_cost.rate, row.rate, name);
        assert_digits(by_cost.overshoot, row.overshoot, name);
        assert_digits(by_cost.sum(), row.sums[0], name);
        let scanned = scanned_contraction(closed, 400).unwrap();
        // A finer scan finds a better rate, never a worse one.
        let printed: f64 = row.sums[1].parse().unwrap();
        assert!((0.99 * printed..=1.0002 * printed).contains(&scanned.sum()), "{name}: {scanned:?}");
        assert!(best.iterations <= 14, "{name}: {} doublings", best.iterations);
        let identity = Mat::<f64>::identity(closed.nrows(), closed.nrows());
        let powers = power_sum(closed, identity.as_ref()).unwrap();
        assert_digits(powers, row.powers, name);
        assert!(powers <= by_cost.sum() && powers <= scanned.sum(), "{name}");
        let printed = row.reach;
        let reach = row.lqr.gain().unwrap();
        assert!((reach - printed).abs() <= 0.51e-5, "{name}: {reach}, printed {printed}");
    }
    let cost = named("DoubleIntegrator-v0", json!({})).optimal.cost;
    for (i, j, printed) in [(0, 0, 17.834931), (0, 1, 10.012492), (1, 1, 17.856586)] {
        assert_printed(cost[(i, j)], printed, "P");
    }
    let (a, b) = liprl_control::linearisation(&CartPole::default(), &[0.0; 4], &[0.0]);
    for (found, printed) in
        [(a[(1, 2)], -0.014341), (a[(3, 2)], 0.315512), (b[(1, 0)], 0.019512), (b[(3, 0)], -0.029268)]
    {
        assert_printed(found, printed, "cart-pole");
    }
}

const SHARES: [f64; 11] = [0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.85, 1.0, 1.25, 1.5, 2.0];

/// Scales K by each share and checks nominal cost tr P, stationary cost per step under measurement
/// noise of 0.1, and tube.
#[test]
fn the_trade_off_of_scaled_gains() {
    let double_integrator = named("DoubleIntegrator-v0", json!({}));
    let oscillator = named("Oscillator-v0", json!({}));
    let noise = |lqr: &Lqr, gain: &Mat<f64>| noise_cost(lqr, gain.as_ref(), 0.1).unwrap();
    let nominal = |lqr: &Lqr, gain: &Mat<f64>| nominal_cost(lqr, gain.as_ref()).unwrap();
    let tube = |lqr: &Lqr, gain: &Mat<f64>| tube(lqr, gain.as_ref()).unwrap();
    type Measure<'a> = &'a dyn Fn(&Lqr, &Mat<f64>) -> f64;
    let lines: [(&str, &Lqr, Measure<'_>, &str); 6] = [
        (
            "double integrator, nominal",
            &double_integrator,
            &nominal,
            "1502.1 416.36 131.54 75.455 45.688 38.039 36.157 35.692 36.530 38.466 44.079",
        ),
        (
            "double integrator, noise",
            &double_integrator,
            &noise,
            ".001352 .001682 .002902 .004884 .011212 .020830 .030306 .041808 .065707 .095874 .17685",
        ),
        (
            "double integrator, tube",
            &double_integrator,
            &tube,
            "7.474 5.537 4.228 3.684 3.194 2.986 2.915 2.890 2.917 2.960 3.034",
        ),
        (
            "oscillator, nominal",
            &oscillator,
            &nominal,
            "80.516 51.622 32.088 24.990 19.715 18.000 17.533 17.411 17.645 18.208 19.972",
        ),
        (
            "oscillator, noise",
            &oscillator,
            &noise,
            ".000158 .000435 .001197 .002237 .005233 .009596 .013873 .019099 .030162 .044575 .085827",
        ),
        ("oscillator, tube", &oscillator, &tube, "1.399 1.713 1.906 1.971 2.038 2.121 2.220 2.334 2.492 2.617 2.810"),
    ];
    for (name, lqr, measure, printed) in lines {
        check(name, lqr, measure, &SHARES, printed);
    }
    let pendulum = named("UprightPendulum-v0", json!({}));
    let shares = [0.7, 0.8, 0.9, 1.0, 1.25, 1.5];
    check("pendulum, nominal", &pendulum, &nominal, &shares, "382.4 310.0 287.4 282.3 299.6 336.4");
    check("pendulum, noise", &pendulum, &noise, &shares, ".7216 .8713 1.0746 1.3189 2.1023 3.1550");
    let cart_pole = Lqr::of(&CartPole::default()).unwrap();
    let shares = [0.5, 0.7, 0.8, 0.9, 1.0, 1.25];
    check("cart-pole, nominal", &cart_pole, &nominal, &shares, "63732 9171 8174 7820 7736 8028");
    check("cart-pole, noise", &cart_pole, &noise, &shares, "7.482 6.166 7.843 9.830 12.107 19.074");
    for share in [0.3, 0.5] {
        let gain = Scale(share) * &pendulum.optimal.gain;
        assert!(matches!(nominal_cost(&pendulum, gain.as_ref()), Err(ControlError::NotStable { .. })), "{share}");
    }
}

fn check(name: &str, lqr: &Lqr, measure: &dyn Fn(&Lqr, &Mat<f64>) -> f64, shares: &[f64], printed: &str) {
    let printed: Vec<&str> = printed.split(' ').collect();
    assert_eq!(shares.len(), printed.len());
    for (share, printed) in shares.iter().zip(printed) {
        let gain = Scale(*share) * &lqr.optimal.gain;
        assert_digits(measure(lqr, &gain), printed, &format!("{name} at {share}"));
    }
}

#[test]
fn solutions_solve_their_equations() {
    // Three states, two inputs, a zero weight on one state.
    let a = matrix(&[&[1.1, 0.3, 0.0], &[-0.2, 0.9, 0.4], &[0.1, 0.0, 1.2]]);
    let b = matrix(&[&[0.0, 0.1], &[1.0, 0.0], &[0.2, -0.5]]);
    let q = matrix(&[&[1.0, 0.2, 0.0], &[0.2, 2.0, 0.0], &[0.0, 0.0, 0.0]]);
    let r = matrix(&[&[0.5, 0.1], &[0.1, 0.4]]);
    let best = riccati(a.as_ref(), b.as_ref(), q.as_ref(), r.as_ref()).unwrap();
    let p = &best.cost;
    // P = Q + KᵀRK + A_clᵀPA_cl, the cost of the gain itself; its own Lyapunov solution.
    let stage = &q + best.gain.transpose() * &r * &best.gain;
    let again = lyapunov(best.closed_loop.as_ref(), stage.as_ref()).unwrap();
    assert!((p - &again).norm_l2() < 1e-12 * p.norm_l2());
    // No other gain is better, whatever the start.
    let lqr = Lqr { a, b, q, r, optimal: best.clone() };
    for (i, j, by) in [(0, 0, 0.05), (1, 2, -0.05), (0, 1, 0.02), (1, 1, 0.04)] {
        let mut gain = best.gain.clone();
        gain[(i, j)] += by;
        let cost = lqr.cost_of(gain.as_ref()).unwrap();
        assert!((&cost - p).self_adjoint_eigenvalues(faer::Side::Lower).unwrap()[0] > -1e-9);
        assert!(nominal_cost(&lqr, gain.as_ref()).unwrap() > nominal_cost(&lqr, best.gain.as_ref()).unwrap());
    }
    // Σ‖AᵏB‖, term by term.
    let (mut term, mut sum) = (lqr.b.clone(), 0.0);
    for _ in 0..2000 {
        sum += spectral_norm(term.as_ref()).unwrap();
        term = &best.closed_loop * &term;
    }
    let gain = lqr.gain().unwrap();
    assert!(gain >= sum && gain - sum < 1e-11 * sum, "{gain} {sum}");
}

#[test]
fn problems_without_a_solution_say_why() {
    let one = matrix(&[&[1.0]]);
    let solve = |a: &[&[f64]], b: &[&[f64]], q: &[&[f64]]| {
        let (a, b, q) = (matrix(a), matrix(b), matrix(q));
        riccati(a.as_ref(), b.as_ref(), q.as_ref(), one.as_ref()).unwrap_err()
    };
    let identity: &[&[f64]] = &[&[1.0, 0.0], &[0.0, 1.0]];
    // An unreached mode that grows, an unreached mode that stays, and a mode without cost.
    let unreached: &[&[f64]] = &[&[1.2, 0.0], &[0.0, 0.5]];
    let kept: &[&[f64]] = &[&[1.0, 0.0], &[0.0, 0.5]];
    let unseen: &[&[f64]] = &[&[0.5, 0.0], &[0.0, 1.0]];
    let one_seen: &[&[f64]] = &[&[1.0, 0.0], &[0.0, 0.0]];
    for (a, q) in [(unreached, identity), (kept, identity), (unseen, one_seen)] {
        let error = solve(a, &[&[0.0], &[1.0]], q);
        assert!(matches!(error, ControlError::NotStabilisable { .. }), "{a:?}: {error}");
        assert!(error.to_string().contains("no stabilising solution"), "{error}");
    }
    for (error, problem) in [
        (solve(&[&[1.0, 0.0]], &[&[1.0]], identity), "A: is 1 × 2, must be 1 × 1"),
        (solve(identity, &[&[1.0]], identity), "B: is 1 × 1, must be 2 × 1"),
        (solve(identity, &[&[1.0], &[0.0]], &[&[1.0, 0.0], &[0.0, -1.0]]), "Q: is not positive semidefinite"),
        (solve(&[&[1.0, f64::NAN], &[0.0, 1.0]], &[&[1.0], &[0.0]], identity), "A: has an entry that is not finite"),
    ] {
        assert!(error.to_string().starts_with(problem), "{error}");
    }
    let error = power_sum(matrix(identity).as_ref(), matrix(identity).as_ref()).unwrap_err();
    assert!(error.to_string().contains("spectral radius is 1"), "{error}");
}
