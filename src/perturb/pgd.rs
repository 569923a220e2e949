//! The worst perturbation for one step, by projected gradient ascent (Madry et al. 2018, on a
//! policy).

use liprl_control::PolicySlope;
use liprl_control::certify::Network;
use liprl_numerics::StreamRng;

use super::vector::{direction, norm, scale_to};

/// Random starts; there is an ascent from each and one from its opposite.
const STARTS: usize = 3;
/// Steps of an ascent.
const STEPS: u32 = 10;
/// Length of an ascent's first step, as a share of ε. Steps shrink to zero, so that an ascent does
/// not end between two corners.
const STEP: f64 = 0.5;

/// Preallocated vectors.
pub(crate) struct Scratch {
    reference: Vec<f64>,
    by_action: Vec<f64>,
    by_obs: Vec<f64>,
    perturbed: Vec<f64>,
    best: Vec<f64>,
    start: Vec<f64>,
}

impl Scratch {
    pub(crate) fn new(obs_dim: usize, act_dim: usize) -> Self {
        let (obs, action) = (vec![0.0; obs_dim], vec![0.0; act_dim]);
        Self {
            reference: action.clone(),
            by_action: action,
            by_obs: obs.clone(),
            perturbed: obs.clone(),
            best: obs.clone(),
            start: obs,
        }
    }
}

/// Writes the best δ found for ‖π(obs + δ) − π(obs)‖² with ‖δ‖ ≤ ε, actions in `[-1, 1]`, into
/// `delta [O]`.
pub(crate) fn worst(
    policy: &mut PolicySlope,
    obs: &[f64],
    epsilon: f64,
    rng: &mut StreamRng,
    delta: &mut [f64],
    scratch: &mut Scratch,
) {
    let mut reference = std::mem::take(&mut scratch.reference);
    policy.act(obs, &mut reference);
    furthest(policy, &reference, obs, epsilon, rng, delta, scratch);
    scratch.reference = reference;
}

/// Writes the best δ found for ‖π(obs + δ) − reference‖² with ‖δ‖ ≤ ε, actions in `[-1, 1]`, into
/// `delta [O]`.
pub(crate) fn furthest(
    policy: &mut PolicySlope,
    reference: &[f64],
    obs: &[f64],
    epsilon: f64,
    rng: &mut StreamRng,
    delta: &mut [f64],
    scratch: &mut Scratch,
) {
    let moved = |policy: &mut PolicySlope, perturbed: &[f64], by_action: &mut [f64]| {
        policy.act(perturbed, by_action);
        by_action.iter_mut().zip(reference).for_each(|(by, r)| *by -= r);
        (norm(by_action), true)
    };
    maximise(policy, obs, epsilon, rng, delta, scratch, (moved, 0.0));
}

/// Writes the best δ found for −Q(obs, π(obs + δ)) with ‖δ‖ ≤ ε into `delta [O]`.
pub(super) fn least_value(
    policy: &mut PolicySlope,
    critic: &Network,
    obs: &[f64],
    epsilon: f64,
    rng: &mut StreamRng,
    delta: &mut [f64],
    scratch: &mut Scratch,
) {
    let mut pair = obs.to_vec();
    pair.resize(critic.inputs(), 0.0);
    let value = |policy: &mut PolicySlope, perturbed: &[f64], by_action: &mut [f64]| {
        policy.act(perturbed, &mut pair[obs.len()..]);
        let value = critic.forward(&pair)[0];
        // At a kink of Q its gradient is not known.
        let Some(jacobian) = critic.jacobian(&pair) else { return (-value, false) };
        by_action.iter_mut().enumerate().for_each(|(i, by)| *by = -jacobian[(0, obs.len() + i)]);
        (-value, true)
    };
    maximise(policy, obs, epsilon, rng, delta, scratch, (value, f64::NEG_INFINITY));
}

/// Ascends from random points and from their opposites, as an action pushed to one side stays
/// there. `objective` gives the value at a perturbed observation, writes the gradient by the action
/// and returns false if it has none; a step without a gradient is skipped. The best point passed
/// whose value is above the least goes into `delta`.
fn maximise(
    policy: &mut PolicySlope,
    obs: &[f64],
    epsilon: f64,
    rng: &mut StreamRng,
    delta: &mut [f64],
    scratch: &mut Scratch,
    (mut objective, least): (impl FnMut(&mut PolicySlope, &[f64], &mut [f64]) -> (f64, bool), f64),
) {
    let Scratch { by_action, by_obs, perturbed, best, start, .. } = scratch;
    best.fill(0.0);
    let mut highest = least;
    for _ in 0..STARTS {
        direction(rng, 0.5 * epsilon, start);
        for side in [1.0, -1.0] {
            delta.iter_mut().zip(start.iter()).for_each(|(delta, start)| *delta = side * start);
            for step in 0..=STEPS {
                let sums = obs.iter().zip(delta.iter()).map(|(obs, delta)| obs + delta);
                perturbed.iter_mut().zip(sums).for_each(|(perturbed, sum)| *perturbed = sum);
                let (value, has_gradient) = objective(policy, perturbed, by_action);
                if value > highest {
                    highest = value;
                    best.copy_from_slice(delta);
                }
                if !has_gradient {
                    continue;
                }
                policy.pull_back(by_action, by_obs);
                let left = 1.0 - f64::from(step) / f64::from(STEPS);
                scale_to(STEP * left * epsilon, by_obs);
                delta.iter_mut().zip(by_obs.iter()).for_each(|(delta, by_obs)| *delta += by_obs);
                if norm(delta) > epsilon {
                    scale_to(epsilon, delta);
                }
            }
        }
    }
    delta.copy_from_slice(best);
}
