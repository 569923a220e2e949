//! The worst observation for one step: projected gradient ascent on how far the action moves (Madry et al. 2018, on a policy).

use liprl_agents::PolicySlope;

use super::{norm, scale_to};

/// Steps of each ascent.
const STEPS: u32 = 10;
/// Length of a step, as a share of ε.
const STEP: f64 = 0.25;

/// Preallocated vectors.
pub(super) struct Scratch {
    reference: Vec<f64>,
    action: Vec<f64>,
    by_action: Vec<f64>,
    by_obs: Vec<f64>,
    seen: Vec<f64>,
    best: Vec<f64>,
    start: Vec<f64>,
}

impl Scratch {
    pub(super) fn new(obs_dim: usize, act_dim: usize) -> Self {
        let (obs, action) = (vec![0.0; obs_dim], vec![0.0; act_dim]);
        Self {
            reference: action.clone(),
            by_action: action.clone(),
            action,
            by_obs: obs.clone(),
            seen: obs.clone(),
            best: obs.clone(),
            start: obs,
        }
    }
}

/// From `delta [O]` to the best δ found for ‖π(obs + δ) − π(obs)‖² with ‖δ‖ ≤ ε, actions in `[-1, 1]`. Steps along the normalised gradient,
/// projected back into the ball, from `delta` and from its opposite: an action pushed to one side stays there. The best point passed is kept.
pub(super) fn ascend(policy: &mut PolicySlope, obs: &[f64], epsilon: f64, delta: &mut [f64], scratch: &mut Scratch) {
    let Scratch { reference, action, by_action, by_obs, seen, best, start } = scratch;
    policy.act(obs, reference);
    best.fill(0.0);
    start.copy_from_slice(delta);
    let mut farthest = 0.0;
    for step in 0..2 * (STEPS + 1) {
        if step == STEPS + 1 {
            delta.iter_mut().zip(start.iter()).for_each(|(delta, start)| *delta = -start);
        }
        seen.iter_mut().zip(obs).zip(delta.iter()).for_each(|((seen, obs), delta)| *seen = obs + delta);
        policy.act(seen, action);
        by_action.iter_mut().zip(action.iter()).zip(reference.iter()).for_each(|((by, a), r)| *by = a - r);
        let moved = norm(by_action);
        if moved > farthest {
            farthest = moved;
            best.copy_from_slice(delta);
        }
        policy.pull_back(by_action, by_obs);
        scale_to(STEP * epsilon, by_obs);
        delta.iter_mut().zip(by_obs.iter()).for_each(|(delta, by_obs)| *delta += by_obs);
        if norm(delta) > epsilon {
            scale_to(epsilon, delta);
        }
    }
    delta.copy_from_slice(best);
}
