//! The equations of a system, in a form that can be differentiated.

use std::f64::consts::PI;

use super::Matrix;

/// The weights of a stage cost eᵀQe + uᵀRu.
#[derive(Clone, Debug, PartialEq)]
pub struct Quadratic {
    /// Q, symmetric positive semidefinite, `[n, n]`.
    pub state: Matrix,
    /// R, symmetric positive definite, `[m, m]`.
    pub input: Matrix,
}

/// What the environment shows of a state with one angle θ, measured from upright.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AngleObservation {
    /// The state itself, θ not wrapped.
    Angle,
    /// cos θ and sin θ where θ stands.
    Trig,
}

/// A discrete-time system x⁺ = f(x, u) with its derivatives, its cost and what is observed of it. All in f64; nothing allocates.
///
/// Where f has a kink (an actuator's limit), the derivative is that of the side on which the input still acts. The Jacobians are tested
/// against central differences.
pub trait Model: Send + Sync {
    /// The same model for somebody else to keep.
    fn boxed(&self) -> Box<dyn Model>;

    /// Numbers in a state, n.
    fn state_dim(&self) -> usize;

    /// Numbers in an input, m.
    fn input_dim(&self) -> usize;

    /// Numbers in an observation, o.
    fn observation_dim(&self) -> usize {
        self.state_dim()
    }

    /// How far each input acts either way: beyond it an input counts as this. Infinite where nothing limits it.
    fn input_limit(&self) -> f64 {
        f64::INFINITY
    }

    /// Whether this coordinate of the state is an angle, which costs what it is after wrapping to ±π.
    fn is_angle(&self, _coordinate: usize) -> bool {
        false
    }

    /// Seconds between states; 0 where the system has no unit of time.
    fn dt(&self) -> f64;

    /// The weights of the stage cost.
    fn cost_weights(&self) -> &Quadratic;

    /// f: `x [n]` and `u [m]` to `next [n]`.
    fn advance(&self, x: &[f64], u: &[f64], next: &mut [f64]);

    /// ∂f/∂x `[n, n]` into `a` and ∂f/∂u `[n, m]` into `b`, row-major.
    fn jacobians(&self, x: &[f64], u: &[f64], a: &mut [f64], b: &mut [f64]);

    /// Pairs (A, B) in whose convex hull (∂f/∂x, ∂f/∂u) lies for every state of the box `low` … `high` and every input within the limit, none
    /// of which meets another of the model's own limits; `None` where nothing is known. One pair, for any box, is a linear system.
    fn jacobian_hull(&self, _low: &[f64], _high: &[f64]) -> Option<Vec<(Matrix, Matrix)>> {
        None
    }

    /// Whether f is linear everywhere: nothing limits the input, and one pair is the hull of all Jacobians.
    fn is_linear(&self) -> bool {
        let anywhere = vec![1.0; self.state_dim()];
        let opposite: Vec<f64> = anywhere.iter().map(|x| -x).collect();
        let hull = self.jacobian_hull(&opposite, &anywhere);
        self.input_limit().is_infinite() && hull.is_some_and(|hull| hull.len() == 1)
    }

    /// What is seen of `x [n]`: `obs [o]`.
    fn observe(&self, x: &[f64], obs: &mut [f64]) {
        obs.copy_from_slice(x);
    }

    /// ∂(obs)/∂x, `[o, n]` row-major, into `c`.
    fn observation_jacobian(&self, _x: &[f64], c: &mut [f64]) {
        let n = self.state_dim();
        c.fill(0.0);
        (0..n).for_each(|i| c[i * n + i] = 1.0);
    }

    /// A state that is seen as `obs [o]`, angles in ±π: the inverse of `observe`, and the nearest there is to one for an observation that
    /// no state has.
    fn state_of(&self, obs: &[f64], x: &mut [f64]) {
        x.copy_from_slice(obs);
    }

    /// The coordinate of a state as it counts in the cost: angles wrapped.
    fn deviation(&self, x: &[f64], coordinate: usize) -> f64 {
        if self.is_angle(coordinate) { wrap(x[coordinate]) } else { x[coordinate] }
    }

    /// The stage cost eᵀQe + uᵀRu, of the input that acts.
    fn cost(&self, x: &[f64], u: &[f64]) -> f64 {
        let (weights, limit) = (self.cost_weights(), self.input_limit());
        let state = form(&weights.state, |i| self.deviation(x, i));
        state + form(&weights.input, |i| u[i].clamp(-limit, limit))
    }

    /// ∂c/∂x = 2Qe into `cx [n]` and ∂c/∂u = 2Ru into `cu [m]`, the latter zero for an input beyond its limit. At θ = ±π, where the wrapped
    /// angle jumps, that of θ = −π.
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
pub(super) fn wrap(angle: f64) -> f64 {
    (angle + PI).rem_euclid(2.0 * PI) - PI
}

impl AngleObservation {
    /// Numbers in an observation of a state with `n` numbers.
    pub(super) fn dim(self, n: usize) -> usize {
        n + usize::from(self == Self::Trig)
    }

    /// Observes a state whose angle is at `at`.
    pub(super) fn observe(self, at: usize, x: &[f64], obs: &mut [f64]) {
        match self {
            Self::Angle => obs.copy_from_slice(x),
            Self::Trig => {
                obs[..at].copy_from_slice(&x[..at]);
                (obs[at + 1], obs[at]) = x[at].sin_cos();
                obs[at + 2..].copy_from_slice(&x[at + 1..]);
            }
        }
    }

    /// ∂(obs)/∂x, `[o, n]`.
    pub(super) fn jacobian(self, at: usize, x: &[f64], c: &mut [f64]) {
        let n = x.len();
        c.fill(0.0);
        match self {
            Self::Angle => (0..n).for_each(|i| c[i * n + i] = 1.0),
            Self::Trig => {
                (0..at).for_each(|i| c[i * n + i] = 1.0);
                let (sin, cos) = x[at].sin_cos();
                (c[at * n + at], c[(at + 1) * n + at]) = (-sin, cos);
                (at + 1..n).for_each(|i| c[(i + 1) * n + i] = 1.0);
            }
        }
    }

    /// The state behind an observation; a (cos, sin) off the circle counts as its direction.
    pub(super) fn state(self, at: usize, obs: &[f64], x: &mut [f64]) {
        match self {
            Self::Angle => x.copy_from_slice(obs),
            Self::Trig => {
                x[..at].copy_from_slice(&obs[..at]);
                x[at] = obs[at + 1].atan2(obs[at]);
                x[at + 1..].copy_from_slice(&obs[at + 2..]);
            }
        }
    }
}

/// What every model must satisfy; for the tests of the models.
#[cfg(test)]
pub(super) mod testing {
    use super::*;
    use crate::NumpyRng;

    /// Jacobians, gradients and the observation's derivative against central differences at random points; `observe` and `state_of` against
    /// each other.
    pub(in crate::systems) fn check(model: &dyn Model, width: &[f64], input: f64) {
        let (n, m, o) = (model.state_dim(), model.input_dim(), model.observation_dim());
        let mut rng = NumpyRng::new(5);
        for _ in 0..200 {
            let x: Vec<f64> = width.iter().map(|w| rng.uniform(-w, *w)).collect();
            let u: Vec<f64> = (0..m).map(|_| rng.uniform(-input, input)).collect();
            let (mut a, mut b) = (vec![0.0; n * n], vec![0.0; n * m]);
            model.jacobians(&x, &u, &mut a, &mut b);
            let f = |x: &[f64], u: &[f64], out: &mut [f64]| model.advance(x, u, out);
            assert_close(&a, &differences(&x, n, |x, out| f(x, &u, out)), "∂f/∂x");
            assert_close(&b, &differences(&u, n, |u, out| f(&x, u, out)), "∂f/∂u");
            let (mut cx, mut cu) = (vec![0.0; n], vec![0.0; m]);
            model.cost_gradient(&x, &u, &mut cx, &mut cu);
            assert_close(&cx, &differences(&x, 1, |x, out| out[0] = model.cost(x, &u)), "∂c/∂x");
            assert_close(&cu, &differences(&u, 1, |u, out| out[0] = model.cost(&x, u)), "∂c/∂u");
            let (mut c, mut obs, mut back) = (vec![0.0; o * n], vec![0.0; o], vec![0.0; n]);
            model.observation_jacobian(&x, &mut c);
            assert_close(&c, &differences(&x, o, |x, out| model.observe(x, out)), "∂o/∂x");
            model.observe(&x, &mut obs);
            model.state_of(&obs, &mut back);
            assert_close(&back, &x, "the state behind an observation");
        }
    }

    fn assert_close(found: &[f64], expected: &[f64], what: &str) {
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6 * expected.abs().max(1.0), "{what}: {found} {expected}");
        }
    }

    fn differences(x: &[f64], outputs: usize, f: impl Fn(&[f64], &mut [f64])) -> Vec<f64> {
        let (mut jacobian, mut moved) = (vec![0.0; outputs * x.len()], x.to_vec());
        let (mut above, mut below) = (vec![0.0; outputs], vec![0.0; outputs]);
        for i in 0..x.len() {
            moved[i] = x[i] + 1e-5;
            f(&moved, &mut above);
            moved[i] = x[i] - 1e-5;
            f(&moved, &mut below);
            moved[i] = x[i];
            for j in 0..outputs {
                jacobian[j * x.len() + i] = (above[j] - below[j]) / 2e-5;
            }
        }
        jacobian
    }
}
