//! The worst perturbations along a trajectory, by gradients of its cost through the environment's
//! equations and the policy.
//!
//! From the state of the observation the closed loop is simulated for 50 steps with δ_t at step t,
//! ‖δ_t‖ = ε:
//!
//! ```text
//! s_t = h(x_t) + δ_t      u_t = centre + half_width π(s_t)      x_{t+1} = f(x_t, u_t)      J = Σ c(x_t, u_t)
//! g_t = J_πᵀ half_width (c_u + Bᵀλ_{t+1})      λ_t = c_x + Aᵀλ_{t+1} + Cᵀg_t      ∂J/∂δ_t = g_t
//! ```
//!
//! All δ_t are moved at once by Adam, 20 steps of 8e-3, and each is then scaled to length ε.
//! Horizon, steps, learning rate and a norm for each time step are those of Barbara, Wang and
//! Manchester (arXiv 2405.11432). Their start is not published; here it is the costliest of three
//! random choices. The costliest trajectory of all iterations is used.

use liprl_agents::AgentError;
use liprl_control::PolicySlope;
use liprl_envs::Env;
use liprl_envs::systems::Model;
use liprl_numerics::StreamRng;

use super::vector::{direction, norm, scale_to};

/// Steps of one plan.
pub(crate) const HORIZON: usize = 50;
const ITERATIONS: i32 = 20;
const LEARNING_RATE: f64 = 8e-3;
/// Adam's constants.
const BETA: (f64, f64) = (0.9, 0.999);
const EPS: f64 = 1e-8;
/// Random starts; the costliest is improved.
const STARTS: usize = 3;
/// Conditional gradients of `plan_by_adjoint` from each start.
const ADJOINT_STEPS: usize = 6;

/// The attack and its buffers.
pub(crate) struct Attack {
    model: Box<dyn Model>,
    centre: Vec<f64>,
    half_width: Vec<f64>,
    /// `[HORIZON, O]` each: current and costliest perturbations, gradient, and Adam's moments.
    delta: Vec<f64>,
    worst: Vec<f64>,
    gradient: Vec<f64>,
    first: Vec<f64>,
    second: Vec<f64>,
    /// `[HORIZON + 1, n]`.
    states: Vec<f64>,
    /// `[HORIZON, m]`, in `[-1, 1]` and in the environment's units.
    actions: Vec<f64>,
    inputs: Vec<f64>,
    perturbed: Vec<f64>,
    a: Vec<f64>,
    b: Vec<f64>,
    c: Vec<f64>,
    cx: Vec<f64>,
    cu: Vec<f64>,
    costate: Vec<f64>,
}

impl Attack {
    /// The attack in this environment, on observations of `obs_dim` numbers.
    ///
    /// # Errors
    /// [`AgentError::BadConfig`] if the environment has no equations, or if its observations are
    /// not theirs.
    pub(super) fn new(env: &dyn Env, obs_dim: usize, act_dim: usize) -> Result<Self, AgentError> {
        let id = &env.spec().id;
        let bad = |problem: String| AgentError::BadConfig { setting: "--disturb trajectory".to_owned(), problem };
        let none = || {
            bad(format!(
                "{id} has no equations that can be differentiated; pgd, bias and uniform work on every environment"
            ))
        };
        let model = env.model().ok_or_else(none)?.boxed();
        let (o, m) = (model.observation_dim(), model.input_dim());
        if (o, m) != (obs_dim, act_dim) {
            let problem = format!(
                "{id}: the policy is for ({obs_dim}, {act_dim}) observations and actions, the equations for ({o}, {m})"
            );
            return Err(bad(problem));
        }
        let bounds = || env.action_space().low.iter().zip(&env.action_space().high);
        let centre = bounds().map(|(low, high)| 0.5 * (low + high)).collect();
        let half_width = bounds().map(|(low, high)| 0.5 * (high - low)).collect();
        Ok(Self::of(model, centre, half_width))
    }

    /// The attack through these equations on a policy whose actions are `centre [m]` and ±
    /// `half_width [m]`.
    pub(crate) fn of(model: Box<dyn Model>, centre: Vec<f64>, half_width: Vec<f64>) -> Self {
        let (n, o, m) = (model.state_dim(), model.observation_dim(), model.input_dim());
        let (deltas, vector) = (vec![0.0; HORIZON * o], vec![0.0; n]);
        Self {
            centre,
            half_width,
            delta: deltas.clone(),
            worst: deltas.clone(),
            gradient: deltas.clone(),
            first: deltas.clone(),
            second: deltas,
            states: vec![0.0; (HORIZON + 1) * n],
            actions: vec![0.0; HORIZON * m],
            inputs: vec![0.0; HORIZON * m],
            perturbed: vec![0.0; o],
            a: vec![0.0; n * n],
            b: vec![0.0; n * m],
            c: vec![0.0; o * n],
            cx: vector.clone(),
            cu: vec![0.0; m],
            costate: vector,
            model,
        }
    }

    /// δ at a step after `plan`.
    pub(crate) fn at(&self, step: usize) -> &[f64] {
        let o = self.perturbed.len();
        &self.worst[step * o..(step + 1) * o]
    }

    /// Finds the perturbations of the next `HORIZON` steps from the state of `obs`.
    pub(crate) fn plan(&mut self, policy: &mut PolicySlope, obs: &[f64], epsilon: f64, rng: &mut StreamRng) {
        let (n, o) = (self.model.state_dim(), obs.len());
        self.model.state_of(obs, &mut self.states[..n]);
        let mut highest = f64::NEG_INFINITY;
        for _ in 0..STARTS {
            self.delta.chunks_exact_mut(o).for_each(|delta| direction(rng, epsilon, delta));
            self.keep_if_costlier(policy, &mut highest);
        }
        self.delta.copy_from_slice(&self.worst);
        self.first.fill(0.0);
        self.second.fill(0.0);
        self.simulate(policy);
        for iteration in 1..=ITERATIONS {
            self.differentiate(policy);
            self.ascend(iteration);
            self.delta.chunks_exact_mut(o).for_each(|delta| scale_to(epsilon, delta));
            self.keep_if_costlier(policy, &mut highest);
        }
    }

    /// As `plan`, by conditional gradients: each δ_t is put to where the cost's derivative by it
    /// points, from the costliest of three random choices and of the directions that its adjoint
    /// gives. It needs no rate, so it is as good for any ε, and exact after one step where the cost is
    /// linear in the δ.
    pub(crate) fn plan_by_adjoint(&mut self, policy: &mut PolicySlope, obs: &[f64], epsilon: f64, rng: &mut StreamRng) {
        let (n, o) = (self.model.state_dim(), obs.len());
        self.model.state_of(obs, &mut self.states[..n]);
        let mut highest = f64::NEG_INFINITY;
        for _ in 0..STARTS {
            self.delta.chunks_exact_mut(o).for_each(|delta| direction(rng, epsilon, delta));
            self.keep_if_costlier(policy, &mut highest);
            for _ in 0..ADJOINT_STEPS {
                self.differentiate(policy);
                let pairs = self.delta.chunks_exact_mut(o).zip(self.gradient.chunks_exact(o));
                pairs.filter(|(_, gradient)| norm(gradient) > 0.0).for_each(|(delta, gradient)| {
                    delta.copy_from_slice(gradient);
                    scale_to(epsilon, delta);
                });
                self.keep_if_costlier(policy, &mut highest);
            }
        }
    }

    fn keep_if_costlier(&mut self, policy: &mut PolicySlope, highest: &mut f64) {
        let cost = self.simulate(policy);
        if cost > *highest {
            *highest = cost;
            self.worst.copy_from_slice(&self.delta);
        }
    }

    /// Simulates the trajectory under `delta` and returns its cost; fills `states`, `actions` and
    /// `inputs`.
    fn simulate(&mut self, policy: &mut PolicySlope) -> f64 {
        let (n, m) = (self.model.state_dim(), self.model.input_dim());
        let mut cost = 0.0;
        for t in 0..HORIZON {
            self.perturb(t);
            let action = &mut self.actions[t * m..(t + 1) * m];
            policy.act(&self.perturbed, action);
            let input = &mut self.inputs[t * m..(t + 1) * m];
            for (i, input) in input.iter_mut().enumerate() {
                *input = self.centre[i] + self.half_width[i] * action[i];
            }
            let (past, future) = self.states.split_at_mut((t + 1) * n);
            cost += self.model.cost(&past[t * n..], input);
            self.model.advance(&past[t * n..], input, &mut future[..n]);
        }
        cost
    }

    /// Writes h(x_t) + δ_t into `perturbed`.
    fn perturb(&mut self, t: usize) {
        let (n, o) = (self.model.state_dim(), self.perturbed.len());
        self.model.observe(&self.states[t * n..(t + 1) * n], &mut self.perturbed);
        self.perturbed.iter_mut().zip(&self.delta[t * o..]).for_each(|(perturbed, delta)| *perturbed += delta);
    }

    /// Writes ∂J/∂δ into `gradient`, after `simulate`.
    fn differentiate(&mut self, policy: &mut PolicySlope) {
        let (n, m, o) = (self.model.state_dim(), self.model.input_dim(), self.perturbed.len());
        self.costate.fill(0.0);
        for t in (0..HORIZON).rev() {
            // `pull_back` differentiates at the last observation that the policy acted on.
            self.perturb(t);
            policy.act(&self.perturbed, &mut self.actions[t * m..(t + 1) * m]);
            let (x, u) = (&self.states[t * n..(t + 1) * n], &self.inputs[t * m..(t + 1) * m]);
            self.model.jacobians(x, u, &mut self.a, &mut self.b);
            self.model.cost_gradient(x, u, &mut self.cx, &mut self.cu);
            for i in 0..m {
                let through: f64 = (0..n).map(|k| self.b[k * m + i] * self.costate[k]).sum();
                self.cu[i] = self.half_width[i] * (self.cu[i] + through);
            }
            let gradient = &mut self.gradient[t * o..(t + 1) * o];
            policy.pull_back(&self.cu, gradient);
            self.model.observation_jacobian(x, &mut self.c);
            for i in 0..n {
                self.cx[i] += (0..n).map(|k| self.a[k * n + i] * self.costate[k]).sum::<f64>();
                self.cx[i] += (0..o).map(|k| self.c[k * n + i] * gradient[k]).sum::<f64>();
            }
            std::mem::swap(&mut self.costate, &mut self.cx);
        }
    }

    /// Makes one ascent step of Adam.
    fn ascend(&mut self, iteration: i32) {
        let (b1, b2) = BETA;
        let (bias1, bias2) = (1.0 - b1.powi(iteration), 1.0 - b2.powi(iteration));
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((delta, g), (first, second)) in self.delta.iter_mut().zip(&self.gradient).zip(moments) {
            *first = b1 * *first + (1.0 - b1) * g;
            *second = b2 * *second + (1.0 - b2) * g * g;
            *delta += LEARNING_RATE * (*first / bias1) / ((*second / bias2).sqrt() + EPS);
        }
    }
}

#[cfg(test)]
mod tests {
    use liprl_agents::{AgentConfig, Setup, TaskContext};
    use liprl_control::Policy;
    use liprl_envs::{Options, make};
    use liprl_numerics::Streams;
    use serde_json::json;

    use super::super::pgd;
    use super::*;

    /// A policy with initial weights.
    fn policy(obs_dim: usize) -> Policy {
        let config: AgentConfig =
            serde_json::from_value(json!({"kind": "td3", "actor": {"hidden": [16, 16]}, "critic": {"hidden": [8]}}))
                .unwrap();
        let setup = Setup { obs_dim, act_dim: 1, streams: Streams::new(4), device: tch::Device::Cpu, threads: 1 };
        config.build(&setup, &TaskContext::NONE).unwrap().policy().unwrap()
    }

    #[test]
    fn the_gradient_is_that_of_differences() {
        let trig = |id: &str, options| make(id, &serde_json::from_value(options).unwrap()).unwrap();
        for (env, obs) in [
            (trig("PendulumSwingUp-v0", json!({})), vec![0.8, 0.6, -1.0]),
            (trig("QuadraticCartPole-v0", json!({"observation": "trig"})), vec![0.1, -0.2, 0.8, 0.6, 0.5]),
            (trig("Oscillator-v0", json!({})), vec![0.5, -1.0]),
        ] {
            let mut slope = PolicySlope::new(&policy(obs.len())).unwrap();
            let mut attack = Attack::new(env.as_ref(), obs.len(), 1).unwrap();
            let n = attack.model.state_dim();
            attack.model.state_of(&obs, &mut attack.states[..n]);
            let mut rng = Streams::new(2).rng("differences");
            attack.delta.chunks_exact_mut(obs.len()).for_each(|delta| direction(&mut rng, 0.1, delta));
            attack.simulate(&mut slope);
            attack.differentiate(&mut slope);
            let (gradient, largest) =
                (attack.gradient.clone(), attack.gradient.iter().fold(0.0f64, |l, g| l.max(g.abs())));
            assert!(largest > 1e-3);
            for i in (0..gradient.len()).step_by(7) {
                let mut moved = |by: f64| {
                    attack.delta[i] += by;
                    let cost = attack.simulate(&mut slope);
                    attack.delta[i] -= by;
                    cost
                };
                let difference = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                assert!((difference - gradient[i]).abs() < 1e-5 * largest, "{i}: {difference} {}", gradient[i]);
            }
        }
    }

    /// Each attack costs more, or moves the action more, than random perturbations, and keeps its
    /// size.
    #[test]
    fn attacks_are_worse_than_chance() {
        let env = make("PendulumSwingUp-v0", &Options::new()).unwrap();
        let mut slope = PolicySlope::new(&policy(3)).unwrap();
        let mut attack = Attack::new(env.as_ref(), 3, 1).unwrap();
        let mut rng = Streams::new(6).rng("attack");
        let (mut scratch, epsilon, mut shares) = (pgd::Scratch::new(3, 1), 0.3, 0.0);
        for step in 0..20 {
            let angle = 0.3 * f64::from(step);
            let obs = [angle.cos(), angle.sin(), 1.0];
            attack.plan_by_adjoint(&mut slope, &obs, epsilon, &mut rng);
            assert!((0..HORIZON).all(|t| (norm(attack.at(t)) - epsilon).abs() < 1e-9));
            attack.delta.copy_from_slice(&attack.worst);
            let by_adjoint = attack.simulate(&mut slope);
            attack.plan(&mut slope, &obs, epsilon, &mut rng);
            assert!((0..HORIZON).all(|t| (norm(attack.at(t)) - epsilon).abs() < 1e-9));
            attack.delta.copy_from_slice(&attack.worst);
            let attacked = attack.simulate(&mut slope);
            for _ in 0..20 {
                attack.delta.chunks_exact_mut(3).for_each(|delta| direction(&mut rng, epsilon, delta));
                assert!(attack.simulate(&mut slope) < attacked.min(by_adjoint));
            }

            let mut delta = [0.0; 3];
            let mut by_chance = 0.0f64;
            for _ in 0..100 {
                direction(&mut rng, epsilon, &mut delta);
                by_chance = by_chance.max(moved(&mut slope, &obs, &delta));
            }
            pgd::worst(&mut slope, &obs, epsilon, &mut rng, &mut delta, &mut scratch);
            assert!(norm(&delta) <= epsilon + 1e-12);
            let found = moved(&mut slope, &obs, &delta) / by_chance;
            // The ascent may stop at a local maximum of the ReLU network, not far below the best of
            // 100 random perturbations.
            assert!(found >= 0.9, "{step}: {found}");
            shares += found / 20.0;
        }
        assert!(shares >= 1.0, "{shares}");
    }

    /// The distance that the action moves.
    fn moved(slope: &mut PolicySlope, obs: &[f64; 3], delta: &[f64; 3]) -> f64 {
        let (mut here, mut there) = ([0.0], [0.0]);
        slope.act(obs, &mut here);
        slope.act(&[obs[0] + delta[0], obs[1] + delta[1], obs[2] + delta[2]], &mut there);
        (here[0] - there[0]).abs()
    }
}
