//! The worst observation for one step: projected gradient ascent on how far the action moves (Madry et al. 2018, on a policy).

use liprl_control::{PolicySlope, certify::Network};
use liprl_numerics::StreamRng;

use super::{direction, norm, scale_to};

/// Random starts; there is an ascent from each and one from its opposite.
const STARTS: usize = 3;
/// Steps of an ascent.
const STEPS: u32 = 10;
/// Length of an ascent's first step, as a share of ε; the last is nothing, so that it does not end between two corners.
const STEP: f64 = 0.5;

/// Preallocated vectors.
pub(crate) struct Scratch {
    reference: Vec<f64>,
    action: Vec<f64>,
    by_action: Vec<f64>,
    by_obs: Vec<f64>,
    seen: Vec<f64>,
    best: Vec<f64>,
    start: Vec<f64>,
}

impl Scratch {
    pub(crate) fn new(obs_dim: usize, act_dim: usize) -> Self {
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

/// The best δ found for ‖π(obs + δ) − π(obs)‖² with ‖δ‖ ≤ ε, actions in `[-1, 1]`, into `delta [O]`: ascents from random points and from their
/// opposites, as an action pushed to one side stays there. The best point passed is kept.
pub(crate) fn worst(
    policy: &mut PolicySlope,
    obs: &[f64],
    epsilon: f64,
    rng: &mut StreamRng,
    delta: &mut [f64],
    scratch: &mut Scratch,
) {
    policy.act(obs, &mut scratch.reference);
    scratch.best.fill(0.0);
    let mut farthest = 0.0;
    for _ in 0..STARTS {
        direction(rng, 0.5 * epsilon, &mut scratch.start);
        for side in [1.0, -1.0] {
            delta.iter_mut().zip(&scratch.start).for_each(|(delta, start)| *delta = side * start);
            ascend(policy, obs, epsilon, delta, scratch, &mut farthest);
        }
    }
    delta.copy_from_slice(&scratch.best);
}

/// Steps along the normalised gradient from `delta`, projected back into the ball; what moves the action farther than `farthest` goes into
/// `best`.
fn ascend(
    policy: &mut PolicySlope,
    obs: &[f64],
    epsilon: f64,
    delta: &mut [f64],
    scratch: &mut Scratch,
    farthest: &mut f64,
) {
    let Scratch { reference, action, by_action, by_obs, seen, best, .. } = scratch;
    for step in 0..=STEPS {
        seen.iter_mut().zip(obs).zip(delta.iter()).for_each(|((seen, obs), delta)| *seen = obs + delta);
        policy.act(seen, action);
        by_action.iter_mut().zip(action.iter()).zip(reference.iter()).for_each(|((by, a), r)| *by = a - r);
        let moved = norm(by_action);
        if moved > *farthest {
            *farthest = moved;
            best.copy_from_slice(delta);
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

/// The best δ found for −Q(obs, π(obs + δ)) with ‖δ‖ ≤ ε, into `delta [O]`: ascents as in `worst`. Where Q has a kink the step is skipped: its
/// slope there is not known.
pub(super) fn least_value(
    policy: &mut PolicySlope,
    critic: &Network,
    obs: &[f64],
    epsilon: f64,
    rng: &mut StreamRng,
    delta: &mut [f64],
) {
    let act_dim = critic.inputs() - obs.len();
    let (mut pair, mut start, mut seen) = (obs.to_vec(), vec![0.0; obs.len()], vec![0.0; obs.len()]);
    let (mut by_obs, mut by_action) = (vec![0.0; obs.len()], vec![0.0; act_dim]);
    pair.resize(critic.inputs(), 0.0);
    let (mut best, mut least) = (vec![0.0; obs.len()], f64::INFINITY);
    for _ in 0..STARTS {
        direction(rng, 0.5 * epsilon, &mut start);
        for side in [1.0, -1.0] {
            delta.iter_mut().zip(&start).for_each(|(delta, start)| *delta = side * start);
            for step in 0..=STEPS {
                seen.iter_mut().zip(obs).zip(delta.iter()).for_each(|((seen, obs), delta)| *seen = obs + delta);
                policy.act(&seen, &mut pair[obs.len()..]);
                let value = critic.forward(&pair)[0];
                if value < least {
                    least = value;
                    best.copy_from_slice(delta);
                }
                let Some(jacobian) = critic.jacobian(&pair) else { continue };
                by_action.iter_mut().enumerate().for_each(|(i, by)| *by = -jacobian[(0, obs.len() + i)]);
                policy.pull_back(&by_action, &mut by_obs);
                let left = 1.0 - f64::from(step) / f64::from(STEPS);
                scale_to(STEP * left * epsilon, &mut by_obs);
                delta.iter_mut().zip(&by_obs).for_each(|(delta, by_obs)| *delta += by_obs);
                if norm(delta) > epsilon {
                    scale_to(epsilon, delta);
                }
            }
        }
    }
    delta.copy_from_slice(&best);
}
