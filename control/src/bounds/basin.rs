//! Around the equilibrium of a nonlinear system: an ellipsoid in which the linear expert's loop contracts, which a disturbed loop does not leave.
//!
//! With ‖x‖_P = √(xᵀPx), P the Riccati solution at the equilibrium, and E_R = {‖x‖_P ≤ R}, small enough for |Kx| to keep within the actuator's limit:
//! on E_R the Jacobian of F*(x) = f(x, −Kx) lies in the hull of the A_v − B_vK, so ρ = max ‖P^½(A_v − B_vK)P^-½‖ contracts ‖·‖_P by the mean value
//! theorem, E_R being convex, and F*(0) = 0 keeps it inside. An input off by e moves the next state by at most L_P e in ‖·‖_P, L_P = max ‖P^½B_v‖. So
//! ‖x_t‖_P ≤ ρᵗ‖x_0‖_P + L_P e/(1 − ρ), and while that is at most R nothing leaves E_R (A5). Where no hull is known, A and B are looked at in points
//! (x, −Kx): where f is not affine in u, as the cart-pole's, A hangs on the input too.

use faer::{Mat, MatRef};
use liprl_envs::systems::Model;
use liprl_numerics::linalg::spectral_norm;

use super::{
    super::{
        ControlError, Lqr,
        algebra::{dense, extreme_eigenvalues, linearisation, solve},
        gain::in_norm,
    },
    Constant, Stability,
};

/// Radii that are tried, each half the last one.
const HALVINGS: u32 = 12;
/// Points at which Jacobians are looked at where their hull is not known.
const SAMPLES: u32 = 4000;

/// The ellipsoid and what holds in it.
#[derive(Clone, Debug)]
pub struct Basin {
    /// R.
    pub radius: f64,
    /// Half the sides of the box around E_R, `[n]`.
    pub half: Vec<f64>,
    /// ρ.
    pub rate: Constant,
    /// κ = √cond(P).
    pub overshoot: f64,
    /// L_P, in ‖·‖_P.
    pub reach: Constant,
    /// √λ_min(P): ‖x‖₂ is at most ‖x‖_P over this.
    pub shortest: f64,
    /// √λ_max(P): ‖x‖_P is at most this times ‖x‖₂.
    pub longest: f64,
    weight: Mat<f64>,
}

impl Basin {
    /// The largest in which the loop of the optimal feedback contracts, of radii that halve from where the input meets its limit (`at most` in every
    /// coordinate where it has none). Certified where the model knows the hull of its Jacobians, estimated from samples where not.
    ///
    /// # Errors
    /// [`ControlError::NotStable`] where the loop contracts in none of them; [`ControlError::NotConverged`] where a decomposition fails.
    pub fn of(model: &dyn Model, lqr: &Lqr, at_most: f64) -> Result<Self, ControlError> {
        let (n, m) = (model.state_dim(), model.input_dim());
        let (weight, gain) = (&lqr.optimal.cost, &lqr.optimal.gain);
        let inverse = solve(weight.as_ref(), Mat::<f64>::identity(n, n).as_ref());
        let spread = gain * &inverse * gain.transpose();
        let limit = model.input_limit();
        let mut radius = (0..m).map(|j| limit / spread[(j, j)].sqrt()).fold(f64::INFINITY, f64::min);
        let width = |radius: f64| -> Vec<f64> { (0..n).map(|i| radius * inverse[(i, i)].sqrt()).collect() };
        let widest = width(1.0).into_iter().fold(0.0, f64::max);
        // A hair less than where the input meets its limit.
        radius = (radius * (1.0 - 1e-9)).min(at_most / widest);
        let (least, largest) = extreme_eigenvalues(weight.as_ref())?;
        let mut last = f64::INFINITY;
        for _ in 0..HALVINGS {
            let half = width(radius);
            let (jacobians, proven) = jacobians(model, &half, gain);
            let (mut rate, mut reach) = (0.0f64, 0.0f64);
            for (a, b) in &jacobians {
                rate = rate.max(spectral_norm(in_norm((a - b * gain).as_ref(), weight.as_ref())?.as_ref())?);
                reach = reach.max(reach_of(b.as_ref(), weight.as_ref())?);
            }
            if rate < 1.0 {
                let constant = if proven { Constant::certified } else { Constant::estimated };
                return Ok(Self {
                    radius,
                    half,
                    rate: constant(rate * (1.0 + 1e-12)),
                    overshoot: (largest / least).sqrt(),
                    reach: constant(reach * (1.0 + 1e-12)),
                    shortest: least.sqrt(),
                    longest: largest.sqrt(),
                    weight: weight.clone(),
                });
            }
            (last, radius) = (rate, 0.5 * radius);
        }
        Err(ControlError::NotStable {
            radius: last,
            what: "a region around the equilibrium in which the loop contracts",
        })
    }

    /// B2's constants, κ L_u being L_P/√λ_min(P), which is sharper than the Euclidean product.
    ///
    /// # Errors
    /// As [`Stability::contracting`].
    pub fn stability(&self) -> Result<Stability, ControlError> {
        let input = self.reach.value / (self.shortest * self.overshoot);
        Stability::contracting(Constant::certified(self.overshoot), self.rate, Constant::from(input, &[self.reach]))
    }

    /// ‖x‖_P.
    pub fn norm(&self, x: &[f64]) -> f64 {
        super::super::algebra::form(self.weight.as_ref(), x).max(0.0).sqrt()
    }

    /// The largest error of the input with which a loop that starts within `start` in ‖·‖_P stays in E_R.
    pub fn allows(&self, start: f64) -> f64 {
        (self.radius - start) * (1.0 - self.rate.value) / self.reach.value
    }

    /// A5: whether a loop that starts within `start` in ‖·‖_P and whose input is off by at most `error` stays in E_R.
    pub fn holds(&self, start: f64, error: f64) -> bool {
        start + self.reach.value * error / (1.0 - self.rate.value) <= self.radius
    }
}

/// max ‖P^½ B d‖ over ‖d‖ ≤ 1: the root of ‖BᵀPB‖.
fn reach_of(b: MatRef<'_, f64>, weight: MatRef<'_, f64>) -> Result<f64, ControlError> {
    Ok(spectral_norm((b.transpose() * weight * b).as_ref())?.sqrt())
}

/// A and B at a point.
type Jacobians = (Mat<f64>, Mat<f64>);

/// Jacobians whose hull holds all of the box, and true; or some of those that u = −Kx, within its limit, meets there, and false.
fn jacobians(model: &dyn Model, half: &[f64], gain: &Mat<f64>) -> (Vec<Jacobians>, bool) {
    let low: Vec<f64> = half.iter().map(|h| -h).collect();
    if let Some(hull) = model.jacobian_hull(&low, half) {
        return (hull.iter().map(|(a, b)| (dense(a), dense(b))).collect(), true);
    }
    let (n, limit) = (half.len(), model.input_limit());
    let at = |x: Vec<f64>| -> Jacobians {
        let pulled = |j: usize| (0..n).map(|i| gain[(j, i)] * x[i]).sum::<f64>();
        let u: Vec<f64> = (0..gain.nrows()).map(|j| (-pulled(j)).clamp(-limit, limit)).collect();
        linearisation(model, &x, &u)
    };
    (points(half).map(at).collect(), false)
}

/// Points of a box around 0. An additive recurrence spreads them evenly: no stream is needed.
fn points(half: &[f64]) -> impl Iterator<Item = Vec<f64>> {
    (0..SAMPLES).map(|index| {
        let share = |i: usize| (f64::from(index) * 2f64.powf(1.0 / (i as f64 + 2.0)) + 0.5).fract();
        half.iter().enumerate().map(|(i, half)| half * (2.0 * share(i) - 1.0)).collect()
    })
}

#[cfg(test)]
mod tests {
    use faer::Side;
    use liprl_envs::systems::{CartPole, Pendulum};
    use liprl_numerics::Streams;
    use rand::RngExt;

    use super::*;
    use crate::bounds::Provenance;

    /// From random pairs in the ellipsoid: the loop contracts by at most ρ, does not leave, and a push moves it by at most L_P.
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

    /// The cart-pole's step is not affine in the force: A − BK is the closed loop's Jacobian, by central differences, only where A and B are taken at
    /// −Kx. (Without the force entries are off by a thousandth here.)
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

    /// Nearby pairs everywhere in the ellipsoid, as a matrix of central differences each: none moves apart faster than ρ.
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
}
