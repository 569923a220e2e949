//! Model-predictive control: plan from every state, apply the plan's first input.
//!
//! Iterative LQR makes the plan over a finite horizon; the linearised system's cost-to-go stands
//! for the rest. Such a plan is a local optimum (number of swings, side), so several guesses are
//! followed first and the cheapest few improved. A guess is a push one way, then inputs that feed
//! or brake the swing, then the saturated linear feedback; the times to switch vary. The planner
//! draws no random numbers.

use std::f64::consts::TAU;

use garde::Validate;
use liprl_envs::systems::Model;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    error::ControlError,
    expert::{Expert, check_sizes},
    ilqr::{Ilqr, Plan},
    lqr::Lqr,
};

/// Horizon and effort of the planner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct MpcConfig {
    /// Steps planned ahead. Default 100: two swings of Gymnasium's pendulum and the time to come to
    /// rest.
    #[garde(range(min = 1, max = 10_000))]
    pub horizon: u32,
    /// Most improvements of each plan. Default 40.
    #[garde(range(min = 1, max = 10_000))]
    pub iterations: u32,
    /// Share of a plan's cost; an iteration that saves less is the last one. Default 1e-5.
    #[garde(range(min = 0.0, max = 1.0))]
    pub tolerance: f64,
    /// Number of guesses to improve, the cheapest first. Default 4.
    #[garde(range(min = 1, max = 1000))]
    pub starts: u32,
    /// True to go on from the last plan if the state is the one that it predicted, without new
    /// guesses. Default true. If false, the answer depends on the state alone.
    #[garde(skip)]
    pub warm_start: bool,
}

impl Default for MpcConfig {
    fn default() -> Self {
        Self { horizon: 100, iterations: 40, tolerance: 1e-5, starts: 4, warm_start: true }
    }
}

/// The planner as an expert, for a system with one input. At most one coordinate is an angle, and
/// its rate follows it.
pub struct Mpc {
    config: MpcConfig,
    ilqr: Ilqr,
    /// Linear feedback at the equilibrium, `[n]`.
    gain: Vec<f64>,
    /// The rate that guesses feed or brake.
    rate: usize,
    plan: Plan,
    planned: bool,
    candidates: Vec<Plan>,
    state: Vec<f64>,
}

/// Largest distance from the predicted state; it allows for rounding to f32 on the way.
const PREDICTED: f64 = 1e-4;

/// A guess: `push` times the limit for `first` steps, then `pump` times the limit along the swing
/// up to step `second`, then linear feedback.
#[derive(Clone, Copy, Debug)]
struct Guess {
    push: f64,
    first: usize,
    pump: f64,
    second: usize,
}

impl Mpc {
    /// The expert for this model.
    ///
    /// # Errors
    /// [`ControlError::BadInput`] for a model with several inputs;
    /// [`ControlError::NotStabilisable`] if its equilibrium cannot be held.
    pub fn new(model: &dyn Model, config: MpcConfig) -> Result<Self, ControlError> {
        if model.input_dim() != 1 {
            let problem = format!("plans one input, the model has {}", model.input_dim());
            return Err(ControlError::bad("the model-predictive expert", problem));
        }
        if let Err(report) = config.validate() {
            return Err(ControlError::bad("the model-predictive expert", report.to_string().trim().to_owned()));
        }
        let (n, optimal) = (model.state_dim(), Lqr::of(model)?.optimal);
        let angle = (0..n).find(|&i| model.is_angle(i));
        Ok(Self {
            ilqr: Ilqr::new(model.boxed(), config.horizon as usize, &optimal.cost),
            gain: (0..n).map(|j| optimal.gain[(0, j)]).collect(),
            rate: angle.map_or(n - 1, |angle| (angle + 1).min(n - 1)),
            plan: Plan::default(),
            planned: false,
            candidates: Vec::new(),
            state: vec![0.0; n],
            config,
        })
    }

    /// Plans from `x [n]`; returns the first input and the plan's cost, or 0 and an infinite cost
    /// if every guess diverges.
    pub fn plan(&mut self, x: &[f64]) -> (f64, f64) {
        let predicted = self.planned && self.is_predicted(x);
        if self.config.warm_start && predicted {
            self.continue_plan(x);
        } else {
            self.start_anew(x);
        }
        self.planned = self.plan.cost.is_finite();
        let input = if self.planned { self.plan.inputs[0] } else { 0.0 };
        (input, self.plan.cost)
    }

    /// True if the plan leads to `x` next, up to full turns of an angle.
    fn is_predicted(&self, x: &[f64]) -> bool {
        let (model, n) = (self.ilqr.model(), x.len());
        let next = &self.plan.states[n..2 * n];
        (0..n).all(|i| {
            let apart = (model.deviation(x, i) - model.deviation(next, i)).abs();
            apart <= PREDICTED || model.is_angle(i) && TAU - apart <= PREDICTED
        })
    }

    /// Moves the last plan one step on, fills its end with linear feedback and corrects its inputs
    /// for the distance of `x` from it. In open loop, rounding alone would topple a pendulum before
    /// the horizon.
    fn continue_plan(&mut self, x: &[f64]) {
        let (n, model) = (x.len(), self.ilqr.model());
        let plan = &mut self.plan;
        plan.inputs.rotate_left(1);
        plan.states.rotate_left(n);
        let (past, last) = plan.states.split_at_mut(plan.inputs.len() * n);
        let (limit, at) = (model.input_limit(), plan.inputs.len() - 1);
        plan.inputs[at] = (-feedback(&self.gain, model, &past[at * n..])).clamp(-limit, limit);
        model.advance(&past[at * n..], &plan.inputs[at..], last);
        // The plan's angles may have made full turns.
        let turned = |(i, x): (usize, &f64)| match model.is_angle(i) {
            true => x + TAU * ((past[i] - x) / TAU).round(),
            false => *x,
        };
        let start: Vec<f64> = x.iter().enumerate().map(turned).collect();
        self.ilqr.track(&start, plan);
        if plan.cost.is_finite() {
            self.ilqr.improve(plan, self.config.iterations, self.config.tolerance);
        } else {
            self.start_anew(x);
        }
    }

    /// Plans anew: takes the best of the improved guesses, or a plan of infinite cost if all
    /// diverge.
    fn start_anew(&mut self, x: &[f64]) {
        let keep = self.config.starts as usize;
        let mut best = std::mem::take(&mut self.candidates);
        let mut kept = 0;
        best.resize_with(keep + 1, Plan::default);
        for guess in guesses(self.config.horizon as usize) {
            let worst = if kept < keep { f64::INFINITY } else { best[keep - 1].cost };
            let (ilqr, gain, rate) = (&self.ilqr, &self.gain, self.rate);
            ilqr.follow(x, worst, &mut best[keep], |model, t, x| guess.input(model, gain, rate, t, x));
            let cost = best[keep].cost;
            // Guesses with one trajectory count once.
            if cost >= worst || best[..kept].iter().any(|other| (other.cost - cost).abs() <= 1e-9 * cost) {
                continue;
            }
            let at = best[..kept].partition_point(|other| other.cost < cost);
            kept = (kept + 1).min(keep);
            best[at..].rotate_right(1);
        }
        for plan in &mut best[..kept] {
            self.ilqr.improve(plan, self.config.iterations, self.config.tolerance);
        }
        match (0..kept).min_by(|&i, &j| best[i].cost.total_cmp(&best[j].cost)) {
            Some(found) => std::mem::swap(&mut self.plan, &mut best[found]),
            None => self.plan.cost = f64::INFINITY,
        }
        self.candidates = best;
    }
}

/// Kx with the angles wrapped.
fn feedback(gain: &[f64], model: &dyn Model, x: &[f64]) -> f64 {
    gain.iter().enumerate().map(|(i, k)| k * model.deviation(x, i)).sum()
}

/// All guesses over a horizon.
fn guesses(horizon: usize) -> impl Iterator<Item = Guess> {
    let pushes = [(1.0, 0), (1.0, 6), (-1.0, 6), (1.0, 12), (-1.0, 12), (1.0, 18), (-1.0, 18), (1.0, 26), (-1.0, 26)];
    pushes.into_iter().filter(move |(_, first)| *first <= horizon).flat_map(move |(push, first)| {
        let after =
            move |pump, count| (count..8).map(move |k| Guess { push, first, pump, second: first + k * horizon / 11 });
        after(1.0, 0).chain(after(-1.0, 1))
    })
}

impl Guess {
    fn input(&self, model: &dyn Model, gain: &[f64], rate: usize, t: usize, x: &[f64]) -> f64 {
        let limit = if model.input_limit().is_finite() { model.input_limit() } else { 1.0 };
        if t < self.first {
            self.push * limit
        } else if t < self.second {
            // Along the motion that the input causes; at rest a push.
            let turn = turning(model, rate, x);
            if turn * x[rate] >= 0.0 { self.pump * limit } else { -self.pump * limit }
        } else {
            -feedback(gain, model, x)
        }
    }
}

/// Change of the rate by one unit of input.
fn turning(model: &dyn Model, rate: usize, x: &[f64]) -> f64 {
    let n = x.len();
    let (mut a, mut b) = ([0.0; 64], [0.0; 8]);
    match (a.get_mut(..n * n), b.get_mut(..n)) {
        (Some(a), Some(b)) => {
            model.jacobians(x, &[0.0], a, b);
            b[rate]
        }
        _ => 1.0,
    }
}

impl Expert for Mpc {
    fn obs_dim(&self) -> usize {
        self.ilqr.model().observation_dim()
    }

    fn act_dim(&self) -> usize {
        1
    }

    fn begin(&mut self) {
        self.planned = false;
    }

    fn action(&mut self, obs: &[f64], action: &mut [f64]) -> Result<(), ControlError> {
        check_sizes(self, obs, action)?;
        let mut state = std::mem::take(&mut self.state);
        self.ilqr.model().state_of(obs, &mut state);
        let (input, cost) = self.plan(&state);
        self.state = state;
        if !cost.is_finite() {
            return Err(ControlError::NotConverged { what: "a plan: every guess diverges from this observation," });
        }
        action[0] = input;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
