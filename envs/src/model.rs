//! The equations of a system, in a form that can be differentiated.

use std::f64::consts::PI;

use crate::matrix::Matrix;

/// The weights of a stage cost eᵀQe + uᵀRu.
#[derive(Clone, Debug, PartialEq)]
pub struct Quadratic {
    /// Q, symmetric positive semidefinite, `[n, n]`.
    pub state: Matrix,
    /// R, symmetric positive definite, `[m, m]`.
    pub input: Matrix,
}

impl Quadratic {
    /// Rejects weights that are not such matrices, with the name of the weight and the reason.
    pub(crate) fn check(&self) -> Result<(), (&'static str, &'static str)> {
        if !self.state.is_symmetric() {
            return Err(("q", "is not symmetric"));
        }
        if !self.input.is_symmetric() {
            return Err(("r", "is not symmetric"));
        }
        // The shift lets a semidefinite matrix pass in spite of rounding.
        if !self.state.is_positive_definite(1e-10) {
            return Err(("q", "is not positive semidefinite: a state would be rewarded for being far away"));
        }
        if !self.input.is_positive_definite(0.0) {
            return Err(("r", "is not positive definite: every input must cost something"));
        }
        Ok(())
    }
}

/// A discrete-time system x⁺ = f(x, u) with its derivatives, cost and observation. All in f64;
/// steps and derivatives allocate nothing.
///
/// At a kink of f (an actuator's limit), the derivative is that of the side on which the input
/// still acts. The Jacobians are tested against central differences.
pub trait Model: Send + Sync {
    /// A copy of this model.
    fn boxed(&self) -> Box<dyn Model>;

    /// Numbers in a state, n.
    fn state_dim(&self) -> usize;

    /// Numbers in an input, m.
    fn input_dim(&self) -> usize;

    /// Numbers in an observation, o.
    fn observation_dim(&self) -> usize {
        self.state_dim()
    }

    /// The bound ±limit that inputs are clipped to; infinite without one.
    fn input_limit(&self) -> f64 {
        f64::INFINITY
    }

    /// True if this coordinate of the state is an angle, which is wrapped to ±π in the cost.
    fn is_angle(&self, _coordinate: usize) -> bool {
        false
    }

    /// Seconds between states; 0 if the system has no unit of time.
    fn dt(&self) -> f64;

    /// The weights of the stage cost.
    fn cost_weights(&self) -> &Quadratic;

    /// Writes f(`x [n]`, `u [m]`) into `next [n]`.
    fn advance(&self, x: &[f64], u: &[f64], next: &mut [f64]);

    /// Writes ∂f/∂x `[n, n]` into `a` and ∂f/∂u `[n, m]` into `b`, row-major.
    fn jacobians(&self, x: &[f64], u: &[f64], a: &mut [f64], b: &mut [f64]);

    /// Pairs (A, B) whose convex hull contains (∂f/∂x, ∂f/∂u) for every state of the box `low` …
    /// `high` and every input within the limit. `None` if no hull is known, or if the box reaches
    /// another of the model's limits. A linear system has one pair for every box.
    fn jacobian_hull(&self, _low: &[f64], _high: &[f64]) -> Option<Vec<(Matrix, Matrix)>> {
        None
    }

    /// True if f is linear everywhere: the input has no limit, and one pair is the hull of all
    /// Jacobians.
    fn is_linear(&self) -> bool {
        let anywhere = vec![1.0; self.state_dim()];
        let opposite: Vec<f64> = anywhere.iter().map(|x| -x).collect();
        let hull = self.jacobian_hull(&opposite, &anywhere);
        self.input_limit().is_infinite() && hull.is_some_and(|hull| hull.len() == 1)
    }

    /// Writes the observation of `x [n]` into `obs [o]`.
    fn observe(&self, x: &[f64], obs: &mut [f64]) {
        obs.copy_from_slice(x);
    }

    /// Writes ∂(obs)/∂x, `[o, n]` row-major, into `c`.
    fn observation_jacobian(&self, _x: &[f64], c: &mut [f64]) {
        let n = self.state_dim();
        c.fill(0.0);
        (0..n).for_each(|i| c[i * n + i] = 1.0);
    }

    /// Writes the state that is observed as `obs [o]` into `x [n]`, angles in ±π: the inverse of
    /// `observe`. An observation that no state has gives the nearest state.
    fn state_of(&self, obs: &[f64], x: &mut [f64]) {
        x.copy_from_slice(obs);
    }

    /// A coordinate of the state as it enters the cost: angles wrapped.
    fn deviation(&self, x: &[f64], coordinate: usize) -> f64 {
        if self.is_angle(coordinate) { wrap(x[coordinate]) } else { x[coordinate] }
    }

    /// The stage cost eᵀQe + uᵀRu of the clipped input.
    fn cost(&self, x: &[f64], u: &[f64]) -> f64 {
        let (weights, limit) = (self.cost_weights(), self.input_limit());
        let state = form(&weights.state, |i| self.deviation(x, i));
        state + form(&weights.input, |i| u[i].clamp(-limit, limit))
    }

    /// Writes ∂c/∂x = 2Qe into `cx [n]` and ∂c/∂u = 2Ru into `cu [m]`, the latter zero for an input
    /// beyond its limit. The wrapped angle jumps at θ = ±π; the gradient there is that of θ = −π.
    fn cost_gradient(&self, x: &[f64], u: &[f64], cx: &mut [f64], cu: &mut [f64]) {
        let (weights, limit) = (self.cost_weights(), self.input_limit());
        for (i, cx) in cx.iter_mut().enumerate() {
            *cx = 2.0 * weights.state.row(i).iter().enumerate().map(|(j, q)| q * self.deviation(x, j)).sum::<f64>();
        }
        for (i, cu) in cu.iter_mut().enumerate() {
            let slope: f64 = weights.input.row(i).iter().zip(u).map(|(r, u)| r * u.clamp(-limit, limit)).sum();
            *cu = if u[i].abs() > limit { 0.0 } else { 2.0 * slope };
        }
    }
}

fn form(weights: &Matrix, e: impl Fn(usize) -> f64) -> f64 {
    (0..weights.rows).map(|i| e(i) * weights.row(i).iter().enumerate().map(|(j, w)| w * e(j)).sum::<f64>()).sum()
}

/// The angle in [−π, π).
pub(crate) fn wrap(angle: f64) -> f64 {
    (angle + PI).rem_euclid(2.0 * PI) - PI
}
