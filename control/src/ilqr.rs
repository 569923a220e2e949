//! Optimal inputs of a nonlinear system over a finite horizon: iterative LQR with bounded input.
//!
//! min Σ_{t<N} c(x_t, u_t) + e_NᵀP e_N over u_0 … u_{N−1} with |u_t| ≤ limit, from a given x₀.
//! Around a trajectory the dynamics are linearised and the cost, quadratic in e and u, is kept. The
//! resulting problem is solved backwards in time, the input's bounds included (Tassa, Mansard and
//! Todorov 2014; for a single input the box-constrained minimum is a clamp). The new inputs are
//! tried with shorter and shorter steps until the true cost falls. With V' the cost-to-go's
//! derivatives at the next state:
//!
//! ```text
//! Q_x = c_x + AᵀV'_x            Q_xx = 2Q + AᵀV'_xx A         k = clamp(−Q_u/Q_uu, −limit − u, limit − u)
//! Q_u = c_u + BᵀV'_x            Q_ux = BᵀV'_xx A              K = −Q_ux/Q_uu, 0 where k is clamped
//! Q_uu = 2R + BᵀV'_xx B + μ     V_x = Q_x + K Q_u + k Q_ux + k Q_uu K     V_xx = Q_xx + KᵀQ_uu K + KᵀQ_ux + Q_uxᵀK
//! ```

use faer::Mat;
use liprl_envs::systems::Model;

/// Inputs, the states that follow from them, and their cost.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    /// `[N]`: one input.
    pub(super) inputs: Vec<f64>,
    /// `[N + 1, n]`.
    pub(super) states: Vec<f64>,
    /// Stage costs and terminal cost.
    pub(super) cost: f64,
}

/// The problem and the scratch space of its solution.
pub(super) struct Ilqr {
    model: Box<dyn Model>,
    horizon: usize,
    /// P, row-major `[n, n]`.
    terminal: Vec<f64>,
    feedforward: Vec<f64>,
    feedback: Vec<f64>,
    trial: Plan,
    a: Vec<f64>,
    b: Vec<f64>,
    vx: Vec<f64>,
    vxx: Vec<f64>,
    /// V'_xx A `[n, n]` and V'_xx B `[n]`; below, the derivatives of Q.
    va: Vec<f64>,
    vb: Vec<f64>,
    qx: Vec<f64>,
    qxx: Vec<f64>,
    qux: Vec<f64>,
}

/// Decrease of the cost that never counts as progress: at rest at the equilibrium a plan costs 0.
const NEGLIGIBLE: f64 = 1e-9;
/// Step lengths, tried in this order.
const STEPS: [f64; 6] = [1.0, 0.5, 0.25, 0.1, 0.03, 0.01];

impl Ilqr {
    /// The problem of `horizon` steps of a model with one input, with the terminal weight P `[n,
    /// n]`.
    pub(super) fn new(model: Box<dyn Model>, horizon: usize, terminal: &Mat<f64>) -> Self {
        let n = model.state_dim();
        let terminal = (0..n * n).map(|i| terminal[(i / n, i % n)]).collect();
        let (vector, square) = (vec![0.0; n], vec![0.0; n * n]);
        Self {
            horizon,
            terminal,
            feedforward: vec![0.0; horizon],
            feedback: vec![0.0; horizon * n],
            trial: Plan::default(),
            a: square.clone(),
            b: vector.clone(),
            vx: vector.clone(),
            vxx: square.clone(),
            va: square.clone(),
            vb: vector.clone(),
            qx: vector.clone(),
            qxx: square,
            qux: vector,
            model,
        }
    }

    pub(super) fn model(&self) -> &dyn Model {
        &*self.model
    }

    /// Follows `policy(t, x)` from `x0` with clamped inputs and writes `plan`. Stops with an
    /// infinite cost once the cost exceeds `worst`.
    pub(super) fn follow(
        &self,
        x0: &[f64],
        worst: f64,
        plan: &mut Plan,
        mut policy: impl FnMut(&dyn Model, usize, &[f64]) -> f64,
    ) {
        let (n, limit) = (x0.len(), self.model.input_limit());
        plan.inputs.resize(self.horizon, 0.0);
        plan.states.resize((self.horizon + 1) * n, 0.0);
        plan.states[..n].copy_from_slice(x0);
        plan.cost = 0.0;
        for t in 0..self.horizon {
            let (past, future) = plan.states.split_at_mut((t + 1) * n);
            let x = &past[t * n..];
            let u = [policy(&*self.model, t, x).clamp(-limit, limit)];
            plan.inputs[t] = u[0];
            plan.cost += self.model.cost(x, &u);
            if plan.cost > worst || plan.cost.is_nan() {
                plan.cost = f64::INFINITY;
                return;
            }
            self.model.advance(x, &u, &mut future[..n]);
        }
        plan.cost += self.terminal_cost(&plan.states[self.horizon * n..]);
        if !plan.cost.is_finite() {
            plan.cost = f64::INFINITY;
        }
    }

    fn terminal_cost(&self, x: &[f64]) -> f64 {
        let (n, e) = (x.len(), |i| self.model.deviation(x, i));
        (0..n).map(|i| e(i) * (0..n).map(|j| self.terminal[i * n + j] * e(j)).sum::<f64>()).sum()
    }

    /// Improves `plan` at most `iterations` times, until an iteration saves, or is expected to
    /// save, less than `tolerance` of its cost.
    pub(super) fn improve(&mut self, plan: &mut Plan, iterations: u32, tolerance: f64) {
        let mut damping = 0.0;
        for _ in 0..iterations {
            let expected = self.backward(plan, damping);
            let least = tolerance * plan.cost + NEGLIGIBLE;
            if damping == 0.0 && expected <= least {
                return;
            }
            let before = plan.cost;
            if self.forward(plan) {
                damping = if damping < 1e-6 { 0.0 } else { 0.2 * damping };
                if before - plan.cost <= least {
                    return;
                }
            } else if damping > 1e3 {
                return;
            } else {
                damping = (5.0 * damping).max(1e-3);
            }
        }
    }

    /// Follows `plan` from `x0 [n]`, which may differ from its first state, with the gains around
    /// it. If that diverges the plan costs infinity.
    pub(super) fn track(&mut self, x0: &[f64], plan: &mut Plan) {
        self.backward(plan, 0.0);
        let mut trial = std::mem::take(&mut self.trial);
        self.follow(x0, f64::INFINITY, &mut trial, |_, t, x| plan.inputs[t] + self.correction(plan, t, x));
        std::mem::swap(plan, &mut trial);
        self.trial = trial;
    }

    /// K (x − the plan's state) at step `t`.
    fn correction(&self, plan: &Plan, t: usize, x: &[f64]) -> f64 {
        let n = x.len();
        let (gains, planned) = (&self.feedback[t * n..(t + 1) * n], &plan.states[t * n..(t + 1) * n]);
        gains.iter().zip(x).zip(planned).map(|((k, x), planned)| k * (x - planned)).sum()
    }

    /// Computes k and K at every step of the plan; returns by how much they would lower the cost of
    /// a linear system.
    fn backward(&mut self, plan: &Plan, damping: f64) -> f64 {
        let mut expected = 0.0;
        let (n, limit) = (self.model.state_dim(), self.model.input_limit());
        let last = &plan.states[self.horizon * n..];
        for i in 0..n {
            self.vx[i] = 2.0 * (0..n).map(|j| self.terminal[i * n + j] * self.model.deviation(last, j)).sum::<f64>();
        }
        self.vxx.iter_mut().zip(&self.terminal).for_each(|(v, p)| *v = 2.0 * p);
        for t in (0..self.horizon).rev() {
            let (x, u) = (&plan.states[t * n..(t + 1) * n], [plan.inputs[t]]);
            self.model.jacobians(x, &u, &mut self.a, &mut self.b);
            let mut cu = [0.0];
            self.model.cost_gradient(x, &u, &mut self.qx, &mut cu);
            let weights = self.model.cost_weights();
            for i in 0..n {
                for j in 0..n {
                    self.va[i * n + j] = (0..n).map(|k| self.vxx[i * n + k] * self.a[k * n + j]).sum();
                }
                self.vb[i] = (0..n).map(|k| self.vxx[i * n + k] * self.b[k]).sum();
            }
            for i in 0..n {
                self.qx[i] += (0..n).map(|k| self.a[k * n + i] * self.vx[k]).sum::<f64>();
                self.qux[i] = (0..n).map(|k| self.b[k] * self.va[k * n + i]).sum();
                for j in 0..n {
                    self.qxx[i * n + j] = 2.0 * weights.state.at(i, j)
                        + (0..n).map(|k| self.a[k * n + i] * self.va[k * n + j]).sum::<f64>();
                }
            }
            let dot = |v: &[f64], b: &[f64]| v.iter().zip(b).map(|(v, b)| v * b).sum::<f64>();
            let qu = cu[0] + dot(&self.b, &self.vx);
            let quu = 2.0 * weights.input.at(0, 0) + dot(&self.b, &self.vb) + damping;
            let wanted = -qu / quu;
            let step = wanted.clamp(-limit - u[0], limit - u[0]);
            let free = step == wanted;
            self.feedforward[t] = step;
            expected -= step * (qu + 0.5 * step * quu);
            let gains = &mut self.feedback[t * n..(t + 1) * n];
            for (gain, qux) in gains.iter_mut().zip(&self.qux) {
                *gain = if free { -qux / quu } else { 0.0 };
            }
            for i in 0..n {
                self.vx[i] = self.qx[i] + gains[i] * qu + step * self.qux[i] + step * quu * gains[i];
                for j in 0..n {
                    self.vxx[i * n + j] = self.qxx[i * n + j]
                        + gains[i] * quu * gains[j]
                        + gains[i] * self.qux[j]
                        + self.qux[i] * gains[j];
                }
            }
        }
        expected
    }

    /// Takes the longest step that lowers the cost; false if there is none.
    fn forward(&mut self, plan: &mut Plan) -> bool {
        let n = self.model.state_dim();
        let mut trial = std::mem::take(&mut self.trial);
        let mut improved = false;
        for length in STEPS {
            self.follow(&plan.states[..n], plan.cost, &mut trial, |_, t, x| {
                plan.inputs[t] + length * self.feedforward[t] + self.correction(plan, t, x)
            });
            if trial.cost < plan.cost {
                std::mem::swap(plan, &mut trial);
                improved = true;
                break;
            }
        }
        self.trial = trial;
        improved
    }
}
