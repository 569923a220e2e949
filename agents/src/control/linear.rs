//! Linear systems once more, as far as a figure of the trade-off wants them: whether equations are linear, the expert scaled down to a
//! constant α as a policy, and what B1 to B4 make of a learned policy's cost.

use faer::{Mat, MatRef, Scale};
use liprl_envs::systems::Model;

use super::{
    ControlError, Lqr,
    bounds::{Constant, Costs, Stability, disturbed_error, learning_error},
};
use crate::{
    AgentError, Policy, PolicyHead,
    nets::{Activation, Init, Mlp},
};

/// The model's problem where its equations are linear and nothing limits the input; none of any other model.
///
/// # Errors
/// As [`Lqr::new`].
pub fn linear(model: &dyn Model) -> Result<Option<Lqr>, ControlError> {
    let n = model.state_dim();
    let plain = model.observation_dim() == n && !(0..n).any(|i| model.is_angle(i));
    (plain && model.is_linear()).then(|| Lqr::of(model)).transpose()
}

impl Lqr {
    /// The optimal feedback scaled to the constant `alpha`: K α/‖K‖₂, `[m, n]`.
    ///
    /// # Errors
    /// [`ControlError::NotConverged`] where the norm is not found.
    pub fn scaled(&self, alpha: f64) -> Result<Mat<f64>, ControlError> {
        Ok(Scale(alpha / self.slope()?) * &self.optimal.gain)
    }
}

/// u = −Kx as a policy, its actions divided by the action space's `half_width [m]` and clamped to `[-1, 1]`.
pub fn linear_policy(gain: MatRef<'_, f64>, half_width: &[f64]) -> Policy {
    let (m, n) = (gain.nrows(), gain.ncols());
    let mlp = Mlp::new(n, &[], m, Activation::Tanh, false, Init::Uniform);
    let mut params = vec![0.0; mlp.len()];
    // Its one layer's weights [m, n] come first, its biases are zero.
    (0..m * n).for_each(|at| params[at] = (-gain[(at / n, at % n)] / half_width[at / n]) as f32);
    Policy::new(&mlp, params, m, None).with_head(PolicyHead::Clamp)
}

/// What B1 to B4 prove of a policy on a linear system.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct CostBound {
    /// e: how far the policy is from the expert anywhere in the region.
    pub error: f64,
    /// How far the disturbed loop strays from the expert's.
    pub tube: f64,
    /// Mean cost of the episodes, at most.
    pub cost: f64,
}

/// Cells that the region is cut into.
const CELLS: f64 = 65_536.0;
/// Enlargements of the region until it holds the tube.
const ROUNDS: usize = 30;

/// B4's bound on the mean cost of u = π(x + δ), ‖δ‖ ≤ `epsilon`, over `steps` from each of `starts [E, n]`; none where no region holds its own
/// tube, or the states have more than 3 numbers.
///
/// The expert answers everywhere, so B1's samples are the cells' centres: ê is the largest error there, δ half a cell's diagonal. A5 is met by
/// enlarging the region around the expert's states until the tube that follows from its e lies inside.
///
/// # Errors
/// [`ControlError`] for constants out of range; [`AgentError`] where the policy is for other sizes.
pub fn cost_bound(
    lqr: &Lqr,
    policy: &mut Policy,
    half_width: &[f64],
    alpha: Constant,
    epsilon: f64,
    (starts, steps): (&[f64], u32),
) -> Result<Option<CostBound>, AgentError> {
    let n = lqr.a.nrows();
    if n > 3 || starts.is_empty() {
        return Ok(None);
    }
    let stability = Stability::linear(lqr.optimal.closed_loop.as_ref(), lqr.b.as_ref(), steps as usize)?;
    let slope = Constant::certified(lqr.slope()?);
    let shown = Shown::of(lqr, starts, steps);
    let mut reach = 0.0;
    for _ in 0..ROUNDS {
        let (largest, half) = shown.errors(lqr, policy, half_width, reach)?;
        let error = learning_error(Constant::certified(largest), alpha, slope, Constant::certified(half))?;
        let total = if epsilon > 0.0 { disturbed_error(error, alpha, epsilon)? } else { error };
        let tube = stability.tube(total)?;
        if tube.value + epsilon <= reach {
            let states = Constant::certified(shown.states + tube.value);
            let inputs = Constant::certified(shown.inputs + slope.value * tube.value + total.value);
            let regret = stability.regret(total, Costs::quadratic(lqr, states, inputs)?, 1.0, u64::from(steps))?;
            let cost = shown.cost + regret.value;
            return Ok(Some(CostBound { error: error.value, tube: tube.value, cost }));
        }
        reach = 1.05 * (tube.value + epsilon);
        if !reach.is_finite() || reach > 1e6 {
            return Ok(None);
        }
    }
    Ok(None)
}

/// The expert's episodes.
struct Shown {
    low: Vec<f64>,
    high: Vec<f64>,
    /// Largest ‖x‖ and ‖u‖.
    states: f64,
    inputs: f64,
    /// Mean cost of an episode.
    cost: f64,
}

impl Shown {
    fn of(lqr: &Lqr, starts: &[f64], steps: u32) -> Self {
        let (n, mut u) = (lqr.a.nrows(), vec![0.0; lqr.b.ncols()]);
        let mut shown =
            Self { low: vec![f64::INFINITY; n], high: vec![f64::NEG_INFINITY; n], states: 0.0, inputs: 0.0, cost: 0.0 };
        let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
        for start in starts.chunks_exact(n) {
            let mut x = start.to_vec();
            for _ in 0..steps {
                lqr.input(&x, &mut u);
                (shown.states, shown.inputs) = (shown.states.max(norm(&x)), shown.inputs.max(norm(&u)));
                for ((low, high), x) in shown.low.iter_mut().zip(&mut shown.high).zip(&x) {
                    (*low, *high) = (low.min(*x), high.max(*x));
                }
                shown.cost += lqr.stage_cost(&x, &u) * n as f64 / starts.len() as f64;
                x = (0..n).map(|i| (0..n).map(|j| lqr.optimal.closed_loop[(i, j)] * x[j]).sum()).collect();
            }
        }
        shown
    }

    /// The policy's largest error at the centres of cells of the box `reach` around the states, and how far a point of the box can be from one.
    fn errors(&self, lqr: &Lqr, policy: &mut Policy, half_width: &[f64], reach: f64) -> Result<(f64, f64), AgentError> {
        let (n, m) = (self.low.len(), half_width.len());
        let per_side = CELLS.powf(1.0 / n as f64).round() as usize;
        let cell: Vec<f64> = (0..n).map(|i| (self.high[i] - self.low[i] + 2.0 * reach) / per_side as f64).collect();
        let (mut seen, mut action, mut largest, mut size) = (vec![0.0f32; n], vec![0.0f32; m], 0.0f64, 0.0f64);
        for index in 0..per_side.pow(n as u32) {
            let mut rest = index;
            for i in 0..n {
                seen[i] = (self.low[i] - reach + (0.5 + (rest % per_side) as f64) * cell[i]) as f32;
                size = size.max(f64::from(seen[i].abs()));
                rest /= per_side;
            }
            policy.act(&seen, &mut action)?;
            let square = (0..m).map(|i| {
                let right: f64 = (0..n).map(|j| lqr.optimal.gain[(i, j)] * f64::from(seen[j])).sum();
                (half_width[i] * f64::from(action[i]) + right).powi(2)
            });
            largest = largest.max(square.sum::<f64>().sqrt());
        }
        // Centres are rounded to f32, by 2⁻²⁴ of their size.
        let half = 0.5 * cell.iter().map(|side| side * side).sum::<f64>().sqrt();
        Ok((largest, half + size * (n as f64).sqrt() * 6e-8))
    }
}
