//! Runs of the learned loop under measurement errors.
//!
//! A third of the runs has errors uniform in the ball and a third a constant one. The others have the
//! worst that four adversaries find, a twelfth of the runs each: projected gradient ascent, at each
//! step, on how far the action moves or on how far it is off the expert's (with one input that is
//! the step's regret); Adam or conditional gradients on the cost along the trajectory, by gradients
//! through the equations. A policy without a gradient gets random errors of full length in place of
//! those.

use liprl_numerics::{Streams, neighbours::distance};

use super::bounds::{ActionError, Bounds};
use super::policy::LoopPolicy;
use super::system::{LoopOptions, System};
use crate::perturb::vector::{direction, in_ball, norm};
use crate::perturb::{pgd, trajectory};

/// The largest values observed over all runs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Observed {
    /// ‖π(x) − π*(x)‖ on the way.
    pub(super) error: f64,
    /// ‖π(x + δ) − π*(x)‖.
    pub(super) disturbed: f64,
    /// ‖x_t − x*_t‖.
    pub(super) deviation: f64,
    /// The distance from the undisturbed learned loop.
    pub(super) from_learned: f64,
    /// J(π) − J(π*).
    pub(super) regret: f64,
    /// The relative defect of the regret identity; `None` on a nonlinear system.
    pub(super) identity: Option<f64>,
    /// True if some run was beyond a bound at some time.
    pub(super) broken: bool,
}

/// A margin for rounding in simulated numbers.
const MARGIN: f64 = 1e-9;

pub(super) fn run(
    system: &System,
    policy: &mut LoopPolicy,
    epsilon: f64,
    bounds: Option<&Bounds>,
    options: LoopOptions,
) -> anyhow::Result<Observed> {
    let (n, m, o) = (system.model.state_dim(), system.model.input_dim(), system.model.observation_dim());
    let (mut observed, mut action_error) = (Observed::default(), ActionError::new(system));
    let (mut scratch, mut attack) = (pgd::Scratch::new(o, m), policy.attack(&*system.model));
    let (mut obs, mut seen, mut delta) = (vec![0.0; o], vec![0.0; o], vec![0.0; o]);
    let (mut u, mut expert_u, mut expert_action) = (vec![0.0; m], vec![0.0; m], vec![0.0; m]);
    let mut next = vec![0.0; n];
    let linear = system.basin.is_none();
    for (index, expert) in system.loops.iter().enumerate() {
        let mut rng = Streams::new(options.seed.wrapping_add(index as u64)).rng("closed-loop/errors");
        let (mut x, mut own) = (expert[..n].to_vec(), expert[..n].to_vec());
        let (mut cost, mut least, mut excess) = (0.0, 0.0, 0.0);
        direction(&mut rng, epsilon, &mut delta);
        for t in 0..options.horizon as usize {
            system.model.observe(&x, &mut obs);
            system.expert_input(&x, &mut expert_u);
            policy.as_action(&expert_u, &mut expert_action);
            match index % 3 {
                0 => in_ball(&mut rng, epsilon, &mut delta),
                1 => {}
                _ => match &mut policy.gradient {
                    Some(policy) if epsilon > 0.0 => match index / 3 % 4 {
                        0 => pgd::worst(policy, &obs, epsilon, &mut rng, &mut delta, &mut scratch),
                        1 => pgd::furthest(policy, &expert_action, &obs, epsilon, &mut rng, &mut delta, &mut scratch),
                        which => {
                            let phase = t % trajectory::HORIZON;
                            match (phase, which) {
                                (0, 2) => attack.plan_by_adjoint(policy, &obs, epsilon, &mut rng),
                                (0, _) => attack.plan(policy, &obs, epsilon, &mut rng),
                                _ => {}
                            }
                            delta.copy_from_slice(attack.at(phase));
                        }
                    },
                    _ => direction(&mut rng, epsilon, &mut delta),
                },
            }
            seen.iter_mut().zip(&obs).zip(&delta).for_each(|((seen, obs), delta)| *seen = obs + delta);
            observed.error = observed.error.max(action_error.at(system, policy, &x)?);
            policy.act(&seen, &mut u)?;
            observed.disturbed = observed.disturbed.max(distance(&u, &expert_u));
            cost += system.model.cost(&x, &u);
            if linear {
                excess += system.lqr.excess(&x, &u);
            }
            system.model.advance(&x, &u, &mut next);
            x.copy_from_slice(&next);

            let star = &expert[t * n..];
            system.expert_input(&star[..n], &mut expert_u);
            least += system.model.cost(&star[..n], &expert_u);
            system.model.observe(&own, &mut obs);
            policy.act(&obs, &mut u)?;
            system.model.advance(&own, &u, &mut next);
            own.copy_from_slice(&next);

            let deviation = distance(&x, &star[n..2 * n]);
            observed.deviation = observed.deviation.max(deviation);
            observed.from_learned = observed.from_learned.max(distance(&x, &own));
            if let Some(bounds) = bounds {
                let allowed = bounds.stability.tube_after(bounds.disturbed, t as u64 + 1)?.value;
                observed.broken |= deviation > allowed * (1.0 + MARGIN) + MARGIN;
            }
        }
        observed.regret = observed.regret.max(cost - least);
        if linear {
            let (left, right) = (cost + system.lqr.optimal_cost(&x), system.lqr.optimal_cost(&expert[..n]) + excess);
            let defect = (left - right).abs() / right.abs().max(f64::MIN_POSITIVE);
            observed.identity = Some(observed.identity.unwrap_or(0.0).max(defect));
        }
    }
    debug_assert!(norm(&delta) <= epsilon * (1.0 + MARGIN));
    if let Some(bounds) = bounds {
        let over = |value: f64, bound: f64| value > bound * (1.0 + MARGIN) + MARGIN;
        observed.broken |= over(observed.error, bounds.error.value)
            || over(observed.disturbed, bounds.disturbed.value)
            || over(observed.from_learned, bounds.around_learned.value)
            || over(observed.regret, bounds.regret.value)
            || bounds.data.is_some_and(|data| over(observed.error, data.error.value));
    }
    Ok(observed)
}
