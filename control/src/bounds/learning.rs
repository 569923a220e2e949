//! B1: a policy's error everywhere from its error on the data; and the data that forbid a small one.

use liprl_numerics::neighbours::{Tree, distance};

use super::{Constant, ControlError};

/// Two samples and what they say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// The samples' rows.
    pub rows: (usize, usize),
    /// ‖x_i − x_j‖.
    pub states_apart: f64,
    /// ‖u_i − u_j‖.
    pub actions_apart: f64,
}

impl Pair {
    /// ‖u_i − u_j‖/‖x_i − x_j‖; infinite for two answers to one state.
    pub fn slope(&self) -> f64 {
        self.actions_apart / self.states_apart
    }

    /// The error that any α-Lipschitz policy makes on at least one of the two: ½(‖u_i − u_j‖ − α‖x_i − x_j‖).
    pub fn forced_error(&self, alpha: f64) -> f64 {
        0.5 * (self.actions_apart - alpha * self.states_apart).max(0.0)
    }
}

/// B1: e = sup_X ‖π − π*‖ ≤ ê + (α + ℓ*)δ, `residual` being ê = max_i ‖π(x_i) − u_i‖ (plus the expert's own noise, if it has any). α is 0 for a
/// policy that always does the same.
///
/// # Errors
/// [`ControlError::BadInput`] for a negative constant.
pub fn learning_error(
    residual: Constant,
    alpha: Constant,
    expert: Constant,
    coverage: Constant,
) -> Result<Constant, ControlError> {
    let slopes = alpha.at_least_zero("α")? + expert.at_least_zero("ℓ*")?;
    let value = residual.at_least_zero("ê")? + slopes * coverage.at_least_zero("δ")?;
    Ok(Constant::from(value, &[residual, alpha, expert, coverage]))
}

/// B1 in mean: E_μ‖π − π*‖ ≤ (1/N)Σ‖π(x_i) − u_i‖ + (α + ℓ*) W₁(μ, μ_N), by Kantorovich's duality: x ↦ ‖π(x) − π*(x)‖ is (α + ℓ*)-Lipschitz.
///
/// # Errors
/// As [`learning_error`].
pub fn expected_error(
    mean_residual: Constant,
    alpha: Constant,
    expert: Constant,
    transport: Constant,
) -> Result<Constant, ControlError> {
    learning_error(mean_residual, alpha, expert, transport)
}

/// What measurement errors of size ε add: e + αε, the error of u = π(x + δ) against π*(x). With `learning_error`'s e this is the trade-off
/// U(α, ε) = ê(α) + (α + ℓ*)δ + αε, of which the first falls with α and the rest rises.
///
/// # Errors
/// [`ControlError::BadInput`] for α < 0 or ε < 0.
pub fn disturbed_error(error: Constant, alpha: Constant, epsilon: f64) -> Result<Constant, ControlError> {
    let size = Constant::certified(epsilon).at_least_zero("ε")?;
    Ok(Constant::from(error.at_least_zero("e")? + alpha.at_least_zero("α")? * size, &[error, alpha]))
}

/// The pair that forces the greatest error on an α-Lipschitz policy, if any forces one: ê is at least its `forced_error`. `states [N, n]`,
/// `actions [N, m]`, row-major.
///
/// # Errors
/// [`ControlError::BadInput`] for α ≤ 0 or rows that do not match.
pub fn forced_error(
    states: &[f64],
    actions: &[f64],
    n: usize,
    m: usize,
    alpha: f64,
) -> Result<Option<Pair>, ControlError> {
    Constant::certified(alpha).above_zero("α")?;
    // A pair can only beat the best so far within (‖Δu‖ − best)/α.
    let score = |pair: &Pair| pair.actions_apart - alpha * pair.states_apart;
    let radius = |apart: f64, best: f64| (apart - best) / alpha;
    Ok(worst_pair(states, actions, n, m, score, radius)?.filter(|pair| pair.forced_error(alpha) > 0.0))
}

/// The pair with the steepest slope: a lower estimate of ℓ*, and a refutation of any smaller one. None where no two actions differ.
///
/// # Errors
/// [`ControlError::BadInput`] for rows that do not match.
pub fn steepest_pair(states: &[f64], actions: &[f64], n: usize, m: usize) -> Result<Option<Pair>, ControlError> {
    let score = |pair: &Pair| if pair.actions_apart > 0.0 { pair.slope() } else { 0.0 };
    worst_pair(states, actions, n, m, score, |apart, best| if best > 0.0 { apart / best } else { f64::INFINITY })
}

/// The pair with the greatest positive score. `radius(apart, best)`: how far apart states may be to beat `best` with actions `apart`.
fn worst_pair(
    states: &[f64],
    actions: &[f64],
    n: usize,
    m: usize,
    score: impl Fn(&Pair) -> f64,
    radius: impl Fn(f64, f64) -> f64,
) -> Result<Option<Pair>, ControlError> {
    if n == 0 || m == 0 || !states.len().is_multiple_of(n) || states.len() / n * m != actions.len() {
        let problem = format!("{} numbers are not as many rows of {n} as {} of {m}", states.len(), actions.len());
        return Err(ControlError::bad("samples", problem));
    }
    if states.iter().chain(actions).any(|x| !x.is_finite()) {
        return Err(ControlError::bad("samples", "a number is not finite"));
    }
    let tree = Tree::new(states, n);
    let action = |row: usize| &actions[row * m..(row + 1) * m];
    // No action is farther from this one than a corner of the box around all.
    let side = |column: usize, pick: fn(f64, f64) -> f64| {
        actions.iter().skip(column).step_by(m).copied().reduce(pick).unwrap_or(0.0)
    };
    let bounds: Vec<(f64, f64)> = (0..m).map(|column| (side(column, f64::min), side(column, f64::max))).collect();
    let reach = |row: usize| {
        let sides = action(row).iter().zip(&bounds).map(|(u, (low, high))| (u - low).max(high - u).powi(2));
        sides.sum::<f64>().sqrt()
    };
    let (mut worst, mut best) = (None, 0.0);
    for row in 0..tree.len() {
        let far = reach(row);
        tree.visit(tree.row(row), radius(far, best).max(f64::MIN_POSITIVE), |other, states_apart| {
            if other > row {
                let actions_apart = distance(action(row), action(other));
                let pair = Pair { rows: (row, other), states_apart, actions_apart };
                if score(&pair) > best {
                    (worst, best) = (Some(pair), score(&pair));
                }
            }
            // Rows at no distance are looked at whatever the best.
            radius(far, best).max(f64::MIN_POSITIVE)
        });
    }
    Ok(worst)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bound_by_hand() {
        let (sure, guess) = (Constant::certified, Constant::estimated);
        let bound = learning_error(sure(0.1), sure(2.0), sure(1.0), sure(0.05)).unwrap();
        assert!((bound.value - 0.25).abs() < 1e-15 && bound == sure(bound.value));
        assert_eq!(learning_error(sure(0.1), sure(2.0), guess(1.0), sure(0.05)).unwrap(), guess(bound.value));
        assert!((disturbed_error(bound, sure(2.0), 0.2).unwrap().value - 0.65).abs() < 1e-15);
        for (found, problem) in [
            (learning_error(sure(0.1), sure(-2.0), sure(1.0), sure(0.05)), "α: must be a finite number of at least 0"),
            (learning_error(sure(0.1), sure(1.0), sure(-1.0), sure(0.05)), "ℓ*: must be a finite number of at least 0"),
            (disturbed_error(bound, sure(2.0), -0.1), "ε: must be a finite number of at least 0, found -0.1"),
        ] {
            let error = found.unwrap_err().to_string();
            assert!(error.starts_with(problem), "{error}");
        }
    }

    /// A policy that always does the same is off by ê + ℓ*δ, and no measurement error moves it.
    #[test]
    fn a_constant_policy_has_bounds() {
        let sure = Constant::certified;
        let bound = learning_error(sure(0.1), sure(0.0), sure(1.0), sure(0.05)).unwrap();
        assert!((bound.value - 0.15).abs() < 1e-15);
        assert_eq!(disturbed_error(bound, sure(0.0), 0.2).unwrap(), bound);
    }

    #[test]
    fn contradictions_are_found_and_weighed() {
        // Two answers to one state, and a steep but consistent pair.
        let (states, actions) = ([0.0, 1.0, 0.0, 1.5], [0.0, 2.0, 0.5, 2.0]);
        let pair = forced_error(&states, &actions, 1, 1, 1.0).unwrap().unwrap();
        assert_eq!((pair.rows, pair.forced_error(1.0)), ((0, 1), 0.5));
        let pair = forced_error(&states, &actions, 1, 1, 5.0).unwrap().unwrap();
        assert_eq!((pair.rows, pair.forced_error(5.0)), ((0, 2), 0.25));
        assert_eq!(steepest_pair(&states, &actions, 1, 1).unwrap().unwrap().slope(), f64::INFINITY);
        assert_eq!(forced_error(&[0.0, 1.0], &[0.0, 1.0], 1, 1, 1.0).unwrap(), None);
        assert!(
            forced_error(&states, &actions, 1, 1, 0.0).is_err() && forced_error(&states, &[1.0], 1, 1, 1.0).is_err()
        );
    }

    proptest! {
        /// Against all pairs.
        #[test]
        fn the_worst_pair_is_the_worst_of_all(numbers in prop::collection::vec(0i32..40, 8..160), alpha in 0.1..3.0f64) {
            let count = numbers.len() / 4;
            let numbers: Vec<f64> = numbers.into_iter().map(|x| 0.1 * f64::from(x)).collect();
            let (states, actions) = numbers[..4 * count].split_at(2 * count);
            let of = |i: usize, j: usize| Pair {
                rows: (i, j),
                states_apart: distance(&states[2 * i..2 * i + 2], &states[2 * j..2 * j + 2]),
                actions_apart: distance(&actions[2 * i..2 * i + 2], &actions[2 * j..2 * j + 2]),
            };
            let pairs = || (0..count).flat_map(|i| (i + 1..count).map(move |j| of(i, j)));
            let expected = pairs().map(|pair| pair.forced_error(alpha)).fold(0.0, f64::max);
            let found = forced_error(states, actions, 2, 2, alpha).unwrap().map_or(0.0, |pair| pair.forced_error(alpha));
            prop_assert!((found - expected).abs() <= 1e-12);
            let expected = pairs().filter(|pair| pair.actions_apart > 0.0).map(|pair| pair.slope()).fold(0.0, f64::max);
            let found = steepest_pair(states, actions, 2, 2).unwrap().map_or(0.0, |pair| pair.slope());
            prop_assert!(found == expected || (found - expected).abs() <= 1e-12 * expected);
        }
    }
}
