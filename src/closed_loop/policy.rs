//! The policy as bounds and simulations use it: in f64, with actions in the environment's units.
//!
//! A run acts in f32, which moves an action by some 1e-7 of its size. Tables, which exist only in f32,
//! carry that error here too.

use std::time::Duration;

use liprl_control::bounds::Constant;
use liprl_control::certify::{Network, Norm, Region};
use liprl_control::{Policy, PolicySlope};
use liprl_envs::systems::Model;

use crate::certify::{BoundMethod, constant_by_construction, upper_bound};
use crate::load::LoadedPolicy;
use crate::perturb::trajectory;

/// The effect of rounding to f32 on an action in `[-1, 1]` and on its observation.
const ROUNDING: f64 = 1e-6;

pub(super) struct LoopPolicy {
    policy: Policy,
    /// The policy in f64 with its gradients; `None` for a table.
    pub(super) gradient: Option<PolicySlope>,
    network: Option<Network>,
    centre: Vec<f64>,
    half_width: Vec<f64>,
    action: Vec<f64>,
    narrow: (Vec<f32>, Vec<f32>),
}

impl LoopPolicy {
    pub(super) fn new(loaded: &LoadedPolicy) -> anyhow::Result<Self> {
        let (centre, half_width) = loaded.task.action_range();
        let policy = loaded.policy.clone();
        let gradient = PolicySlope::new(&policy);
        // A network that no certificate covers is refused; tables have constants of their own.
        let network = policy.network().is_some().then(|| policy.to_certify(half_width.to_vec())).transpose()?;
        Ok(Self {
            gradient,
            network,
            centre: centre.to_vec(),
            half_width: half_width.to_vec(),
            action: vec![0.0; policy.act_dim()],
            narrow: (vec![0.0; policy.obs_dim()], vec![0.0; policy.act_dim()]),
            policy,
        })
    }

    /// Writes π(obs), in the environment's units, into `u`.
    pub(super) fn act(&mut self, obs: &[f64], u: &mut [f64]) -> anyhow::Result<()> {
        if let Some(policy) = &mut self.gradient {
            policy.act(obs, &mut self.action);
        } else {
            let (narrow_obs, action) = &mut self.narrow;
            narrow_obs.iter_mut().zip(obs).for_each(|(narrow, obs)| *narrow = *obs as f32);
            self.policy.act(narrow_obs, action)?;
            self.action.iter_mut().zip(action).for_each(|(wide, narrow)| *wide = f64::from(*narrow));
        }
        for (i, u) in u.iter_mut().enumerate() {
            *u = self.centre[i] + self.half_width[i] * self.action[i];
        }
        Ok(())
    }

    /// Writes an input in the environment's units as an action, in `[-1, 1]` if within bounds.
    pub(super) fn as_action(&self, u: &[f64], action: &mut [f64]) {
        for (i, action) in action.iter_mut().enumerate() {
            *action = (u[i] - self.centre[i]) / self.half_width[i];
        }
    }

    /// The attack on this policy along a trajectory of `model`.
    pub(super) fn attack(&self, model: &dyn Model) -> trajectory::Attack {
        trajectory::Attack::of(model.boxed(), self.centre.clone(), self.half_width.clone())
    }

    /// The largest rounding error of an action.
    pub(super) fn rounding(&self) -> f64 {
        let widest = self.half_width.iter().map(|h| h * h).sum::<f64>().sqrt();
        if self.gradient.is_some() { 1e-12 * widest } else { ROUNDING * widest }
    }

    /// The least Lipschitz constant that is proven everywhere, and the method that proves it.
    pub(super) fn constant(&self, time_limit: Duration) -> anyhow::Result<(Constant, &'static str)> {
        let construction = constant_by_construction(&self.policy);
        let (found, by) = self.computed(time_limit)?;
        match construction {
            Some(constructed) if constructed < found => Ok((Constant::certified(constructed), "construction")),
            _ => Ok((Constant::certified(found), by)),
        }
    }

    /// A constant that is proven here.
    fn computed(&self, time_limit: Duration) -> anyhow::Result<(f64, &'static str)> {
        if let Some(network) = &self.network {
            return Ok((upper_bound(network, Norm::L2, BoundMethod::Lipsdp, time_limit)?.upper, "lipsdp"));
        }
        if let Some(table) = self.policy.table() {
            return Ok((table.alpha(), "all pairs of the table"));
        }
        anyhow::bail!("the policy has neither network nor table")
    }

    /// A proven constant over the box `low` … `high` of observations, at most `everywhere`.
    pub(super) fn constant_over(
        &self,
        low: &[f64],
        high: &[f64],
        everywhere: f64,
        time_limit: Duration,
    ) -> anyhow::Result<f64> {
        let Some(network) = &self.network else { return Ok(everywhere) };
        let region = Region::new(low.to_vec(), high.to_vec())?;
        let method = BoundMethod::Local { region: &region, tolerance: 1e-2 };
        Ok(upper_bound(network, Norm::L2, method, time_limit)?.upper.min(everywhere))
    }
}
