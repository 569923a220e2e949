//! B1: a policy's error everywhere from its error on the data, and the pairs of samples that force
//! an error.

use liprl_numerics::neighbours::{Tree, distance};

use super::constant::Constant;
use crate::error::ControlError;

/// Two samples and their distances.
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

    /// The error that any α-Lipschitz policy makes on at least one of the two: ½(‖u_i − u_j‖ −
    /// α‖x_i − x_j‖).
    pub fn forced_error(&self, alpha: f64) -> f64 {
        0.5 * (self.actions_apart - alpha * self.states_apart).max(0.0)
    }
}

/// B1: e = sup_X ‖π − π*‖ ≤ ê + (α + ℓ*)δ. `residual` is ê = max_i ‖π(x_i) − u_i‖, plus the
/// expert's own noise if it has any. α is 0 for a constant policy.
///
/// The bound also holds in mean (Kantorovich's duality, as x ↦ ‖π(x) − π*(x)‖ is (α +
/// ℓ*)-Lipschitz): then ê is the mean residual and δ is W₁(μ, μ_N).
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

/// Error of u = π(x + δ) against π*(x) under measurement errors of size ε: e + αε. With
/// `learning_error`'s e this is the trade-off U(α, ε) = ê(α) + (α + ℓ*)δ + αε, whose first term
/// falls with α and whose other terms rise.
///
/// # Errors
/// [`ControlError::BadInput`] for α < 0 or ε < 0.
pub fn disturbed_error(error: Constant, alpha: Constant, epsilon: f64) -> Result<Constant, ControlError> {
    let size = Constant::certified(epsilon).at_least_zero("ε")?;
    Ok(Constant::from(error.at_least_zero("e")? + alpha.at_least_zero("α")? * size, &[error, alpha]))
}

/// The pair that forces the largest error on an α-Lipschitz policy; `None` if none forces any. ê is
/// at least its `forced_error`. `states [N, n]`, `actions [N, m]`, row-major.
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

/// The pair with the largest slope, a lower bound on ℓ*; `None` if all actions are equal.
///
/// # Errors
/// [`ControlError::BadInput`] for rows that do not match.
pub fn steepest_pair(states: &[f64], actions: &[f64], n: usize, m: usize) -> Result<Option<Pair>, ControlError> {
    let score = |pair: &Pair| if pair.actions_apart > 0.0 { pair.slope() } else { 0.0 };
    worst_pair(states, actions, n, m, score, |apart, best| if best > 0.0 { apart / best } else { f64::INFINITY })
}

/// The pair with the largest positive score. `radius(apart, best)` is the largest distance of two
/// states that can beat `best` with actions `apart`.
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
    // A corner of the box around all actions is the farthest that another action can be.
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
            // Rows at distance 0 are visited for any `best`.
            radius(far, best).max(f64::MIN_POSITIVE)
        });
    }
    Ok(worst)
}

#[cfg(test)]
mod tests;
