//! Runs of the learned loop: a third under errors uniform in the ball, a third under a constant one, a quarter under the worst for each step's action
//! (projected gradient ascent), a twelfth under the worst along the trajectory (gradients through the equations). A policy without a slope to climb gets
//! random errors of full length for the last two.

use liprl_numerics::{Streams, neighbours::distance};
use rand::RngExt;

use super::{
    Asked,
    acting::Acting,
    bounds::{Bounds, Off},
    setting::Setting,
};
use crate::disturb::{direction, norm, pgd, trajectory};

/// The largest of what was met over all runs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Met {
    /// ‖π(x) − π*(x)‖ on the way.
    pub(super) error: f64,
    /// ‖π(x + δ) − π*(x)‖.
    pub(super) disturbed: f64,
    /// ‖x_t − x*_t‖.
    pub(super) strayed: f64,
    /// From the undisturbed learned loop.
    pub(super) from_learned: f64,
    /// J(π) − J(π*).
    pub(super) regret: f64,
    /// Of the regret identity, relative; none where the system is not linear.
    pub(super) identity: Option<f64>,
    /// Whether some run was beyond a bound at some time.
    pub(super) broken: bool,
}

/// What rounding may add to a simulated number.
const SPARE: f64 = 1e-9;

pub(super) fn run(
    setting: &Setting,
    acting: &mut Acting,
    epsilon: f64,
    bounds: Option<&Bounds>,
    asked: Asked,
) -> anyhow::Result<Met> {
    let (n, m, o) = (setting.model.state_dim(), setting.model.input_dim(), setting.model.observation_dim());
    let (mut met, mut off) = (Met::default(), Off::new(setting));
    let (mut scratch, mut attack) = (pgd::Scratch::new(o, m), acting.attack(&*setting.model));
    let (mut obs, mut seen, mut delta) = (vec![0.0; o], vec![0.0; o], vec![0.0; o]);
    let (mut u, mut best, mut next) = (vec![0.0; m], vec![0.0; m], vec![0.0; n]);
    let linear = setting.basin.is_none();
    for (index, expert) in setting.loops.iter().enumerate() {
        let mut rng = Streams::new(asked.seed.wrapping_add(index as u64)).rng("closed-loop/errors");
        let (mut x, mut own) = (expert[..n].to_vec(), expert[..n].to_vec());
        let (mut cost, mut least, mut excess) = (0.0, 0.0, 0.0);
        direction(&mut rng, epsilon, &mut delta);
        for t in 0..asked.horizon as usize {
            setting.model.observe(&x, &mut obs);
            match index % 3 {
                0 => {
                    let share: f64 = rng.random_range(0.0..1.0);
                    direction(&mut rng, epsilon * share.powf(1.0 / o as f64), &mut delta);
                }
                1 => {}
                _ => match &mut acting.slope {
                    Some(slope) if epsilon > 0.0 && index % 12 == 11 => {
                        let phase = t % trajectory::HORIZON;
                        if phase == 0 {
                            attack.plan(slope, &obs, epsilon, &mut rng);
                        }
                        delta.copy_from_slice(attack.at(phase));
                    }
                    Some(slope) if epsilon > 0.0 => {
                        pgd::worst(slope, &obs, epsilon, &mut rng, &mut delta, &mut scratch)
                    }
                    _ => direction(&mut rng, epsilon, &mut delta),
                },
            }
            seen.iter_mut().zip(&obs).zip(&delta).for_each(|((seen, obs), delta)| *seen = obs + delta);
            met.error = met.error.max(off.at(setting, acting, &x)?);
            acting.act(&seen, &mut u)?;
            setting.best(&x, &mut best);
            met.disturbed = met.disturbed.max(distance(&u, &best));
            cost += setting.model.cost(&x, &u);
            if linear {
                excess += setting.lqr.excess(&x, &u);
            }
            setting.model.advance(&x, &u, &mut next);
            x.copy_from_slice(&next);

            let star = &expert[t * n..];
            setting.best(&star[..n], &mut best);
            least += setting.model.cost(&star[..n], &best);
            setting.model.observe(&own, &mut obs);
            acting.act(&obs, &mut u)?;
            setting.model.advance(&own, &u, &mut next);
            own.copy_from_slice(&next);

            let strayed = distance(&x, &star[n..2 * n]);
            met.strayed = met.strayed.max(strayed);
            met.from_learned = met.from_learned.max(distance(&x, &own));
            if let Some(bounds) = bounds {
                let allowed = bounds.stability.tube_after(bounds.disturbed, t as u64 + 1)?.value;
                met.broken |= strayed > allowed * (1.0 + SPARE) + SPARE;
            }
        }
        met.regret = met.regret.max(cost - least);
        if linear {
            let (left, right) = (cost + setting.lqr.optimal_cost(&x), setting.lqr.optimal_cost(&expert[..n]) + excess);
            let defect = (left - right).abs() / right.abs().max(f64::MIN_POSITIVE);
            met.identity = Some(met.identity.unwrap_or(0.0).max(defect));
        }
    }
    debug_assert!(norm(&delta) <= epsilon * (1.0 + SPARE));
    if let Some(bounds) = bounds {
        let over = |met: f64, bound: f64| met > bound * (1.0 + SPARE) + SPARE;
        met.broken |= over(met.error, bounds.error.value)
            || over(met.disturbed, bounds.disturbed.value)
            || over(met.from_learned, bounds.around_learned.value)
            || over(met.regret, bounds.regret.value)
            || bounds.learnt.is_some_and(|learnt| over(met.error, learnt.error.value));
    }
    Ok(met)
}
