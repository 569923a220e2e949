use liprl_numerics::{StreamRng, Streams};

use super::*;

/// Branin's function on the unit square; its least value is 0.397887….
fn branin(at: &[f64]) -> f64 {
    let (x, y) = (-5.0 + 15.0 * at[0], 15.0 * at[1]);
    let pi = std::f64::consts::PI;
    let bowl = (y - 5.1 / (4.0 * pi * pi) * x * x + 5.0 / pi * x - 6.0).powi(2);
    bowl + 10.0 * (1.0 - 1.0 / (8.0 * pi)) * x.cos() + 10.0
}

/// Rosenbrock's valley with two settings of another kind: a learning rate from 1e-5 to 1e-1 on a
/// logarithmic axis, and a category. Its least value is 0.
fn valley(at: &[f64]) -> f64 {
    let exponent = -5.0 + 4.0 * at[0];
    let (x, y) = (-2.0 + 4.0 * at[1], -2.0 + 4.0 * at[2]);
    let rosenbrock = 100.0 * (y - x * x).powi(2) + (1.0 - x).powi(2);
    (exponent + 3.0).powi(2) + 0.1 * rosenbrock.ln_1p() + [0.0, 0.5, 1.0, 0.25][at[3] as usize]
}

struct TestFunction {
    name: &'static str,
    of: fn(&[f64]) -> f64,
    axes: &'static [Axis],
    least: f64,
}

const FUNCTIONS: [TestFunction; 2] = [
    TestFunction { name: "branin", of: branin, axes: &[Axis::Interval; 2], least: 0.397_887_357_729_738_16 },
    TestFunction {
        name: "valley",
        of: valley,
        axes: &[Axis::Interval, Axis::Interval, Axis::Interval, Axis::Categories(4)],
        least: 0.0,
    },
];

/// Best value of one search minus the least value. The first ten points are random, or all; points
/// of one batch do not know each other's results.
fn regret(function: &TestFunction, points: usize, startup: usize, batch: usize, seed: u64) -> f64 {
    let mut rng = Streams::new(seed).rng("test");
    let mut trials: Vec<Trial> = Vec::new();
    while trials.len() < points {
        let told = trials.len();
        while trials.len() < (told + batch).min(points) {
            let at = if trials.len() < startup {
                random(function.axes, &mut rng)
            } else {
                let pending = |(index, trial): (usize, &Trial)| Trial {
                    value: if index < told { trial.value } else { f64::NEG_INFINITY },
                    ..trial.clone()
                };
                ask(function.axes, &trials.iter().enumerate().map(pending).collect::<Vec<_>>(), &mut rng)
            };
            trials.push(Trial { value: -(function.of)(&at), at });
        }
    }
    trials.iter().map(|trial| -trial.value).fold(f64::INFINITY, f64::min) - function.least
}

fn random(axes: &[Axis], rng: &mut StreamRng) -> Vec<f64> {
    let of = |axis: &Axis| match axis {
        Axis::Interval => rng.random(),
        Axis::Categories(number) => rng.random_range(0..*number) as f64,
    };
    axes.iter().map(of).collect()
}

/// Regrets of searches with seeds from 0, sorted.
fn regrets(function: &TestFunction, points: usize, startup: usize, batch: usize, searches: u64) -> Vec<f64> {
    let mut found: Vec<f64> = (0..searches).map(|seed| regret(function, points, startup, batch, seed)).collect();
    found.sort_by(f64::total_cmp);
    found
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Over 40 searches the means of random and TPE are more than five standard errors apart; half is
/// far from both. Batches of four may cost a quarter.
#[test]
fn half_the_regret_of_random_search_at_equal_trials() {
    for function in &FUNCTIONS {
        let random = mean(&regrets(function, 60, 60, 1, 40));
        for batch in [1, 4] {
            let found = mean(&regrets(function, 60, 10, batch, 40));
            assert!(found < 0.5 * random, "{}, batches of {batch}: {found}, random {random}", function.name);
        }
    }
}

/// Prints the table of docs/results/search.md.
#[test]
#[ignore = "prints a table"]
fn table_of_regrets() {
    const SEARCHES: usize = 100;
    for function in &FUNCTIONS {
        for points in [40, 100] {
            for (method, startup, batch) in [("random", points, 1), ("tpe", 10, 1), ("tpe, batches of 4", 10, 4)] {
                let found = regrets(function, points, startup, batch, SEARCHES as u64);
                println!(
                    "{}, {points} trials, {method}: mean {:.4}, median {:.4}, 90 % {:.4}",
                    function.name,
                    mean(&found),
                    f64::midpoint(found[SEARCHES / 2 - 1], found[SEARCHES / 2]),
                    found[SEARCHES * 9 / 10]
                );
            }
        }
    }
}

/// `_ParzenEstimator.log_pdf` of Optuna 5.0.0 with these observations on `FloatDistribution(0, 1)`
/// and `CategoricalDistribution([0, 1, 2])`, with the parameters of its `TPESampler`.
#[test]
fn densities_equal_optuna_s() {
    let axes = [Axis::Interval, Axis::Categories(3)];
    let asked = [[0.25, 2.0], [0.9, 0.0], [0.0, 1.0]];
    let few = vec![vec![0.6, 0.0], vec![0.1, 2.0], vec![0.2, 2.0]];
    // Older trials than the latest 25 have less weight.
    let many: Vec<Vec<f64>> = (0..30).map(|n| vec![(f64::from(n * 7 % 30) + 0.5) / 30.0, f64::from(n % 3)]).collect();
    for (centres, optuna) in [
        (few, [-0.263_162_828_159_407, -1.327_014_039_653_823, -1.471_951_693_003_985]),
        (many, [-1.148_638_683_864_393, -0.920_185_548_304_778, -1.904_259_252_337_536]),
    ] {
        let density = Density::new(&axes, centres.iter().map(Vec::as_slice).collect());
        for (at, expected) in asked.iter().zip(optuna) {
            let found = density.log_density(at);
            // The normal distribution's share is exact to 1.5e-7.
            assert!((found - expected).abs() < 1e-6, "{at:?}: {found}, Optuna {expected}");
        }
    }
}

/// Shares of 20,000 draws in four quarters and two categories lie within five standard errors of
/// the integral of the density.
#[test]
fn draws_follow_the_density() {
    let axes = [Axis::Interval, Axis::Categories(2)];
    let centres = [vec![0.05, 0.0], vec![0.3, 1.0], vec![0.35, 1.0]];
    let density = Density::new(&axes, centres.iter().map(Vec::as_slice).collect());
    let mut rng = Streams::new(0).rng("test");
    let draws: Vec<Vec<f64>> = (0..20_000).map(|_| density.draw(&mut rng)).collect();
    let mut whole = 0.0;
    for quarter in 0..4 {
        for category in 0..2 {
            let middle = |n: i32| (f64::from(quarter) + (f64::from(n) + 0.5) / 500.0) / 4.0;
            let of = |n: i32| density.log_density(&[middle(n), f64::from(category)]).exp();
            let share = (0..500).map(of).sum::<f64>() / 2000.0;
            whole += share;
            let within = |at: &&Vec<f64>| (at[0] * 4.0) as i32 == quarter && at[1] == f64::from(category);
            let found = draws.iter().filter(within).count() as f64 / 20_000.0;
            let error = (share * (1.0 - share) / 20_000.0).sqrt();
            assert!((found - share).abs() < 5.0 * error, "{quarter} {category}: {found}, expected {share}");
        }
    }
    assert!((whole - 1.0).abs() < 1e-5, "{whole}");
}

#[test]
fn kernels_are_as_wide_as_the_gaps_around_them() {
    // The least width for three kernels and the prior is 1/5.
    assert_eq!(widths(&[0.75, 0.25, 0.375]), [0.375, 0.2, 0.375]);
    assert_eq!(widths(&[0.3]), [0.7]);
    assert!(widths(&[]).is_empty());
    let shares = [(0.0, 0.5), (1.0, 0.841_344_746), (-2.0, 0.022_750_132), (4.0, 0.999_968_329)];
    for (x, share) in shares {
        assert!((normal_share(x) - share).abs() < 1.5e-7, "{x}");
    }
}
