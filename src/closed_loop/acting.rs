//! The policy as bounds and simulations use it: f64, actions in the environment's units. A run acts in f32, which moves an action by some 1e-7 of its
//! size; policies that are only at hand in f32 (tables, networks whose layers see all before them) carry that here too.

use std::time::Duration;

use liprl_control::{
    Policy, PolicySlope,
    bounds::Constant,
    certify::{Input, LocalOptions, Network, Norm, Region, SdpOptions, lipsdp, local_bound},
};
use liprl_envs::systems::Model;

use crate::{disturb::trajectory, saved::Saved};

/// What rounding to f32 can do to an action in `[-1, 1]` and to what comes in.
const ROUNDING: f64 = 1e-6;

pub(super) struct Acting {
    policy: Policy,
    /// In f64, and for attacks; none of a table or a dense network.
    pub(super) slope: Option<PolicySlope>,
    network: Option<Network>,
    centre: Vec<f64>,
    half_width: Vec<f64>,
    action: Vec<f64>,
    narrow: (Vec<f32>, Vec<f32>),
}

impl Acting {
    pub(super) fn new(saved: &Saved) -> anyhow::Result<Self> {
        let (centre, half_width) = saved.task.action_range();
        let policy = saved.policy.clone();
        let slope = PolicySlope::new(&policy);
        // A network that no certificate covers is refused; tables and dense ones have constants of their own.
        let network = slope.is_some().then(|| policy.to_certify(half_width.to_vec())).transpose()?;
        Ok(Self {
            slope,
            network,
            centre: centre.to_vec(),
            half_width: half_width.to_vec(),
            action: vec![0.0; policy.act_dim()],
            narrow: (vec![0.0; policy.obs_dim()], vec![0.0; policy.act_dim()]),
            policy,
        })
    }

    /// π(obs) in the environment's units.
    pub(super) fn act(&mut self, obs: &[f64], u: &mut [f64]) -> anyhow::Result<()> {
        if let Some(slope) = &mut self.slope {
            slope.act(obs, &mut self.action);
        } else {
            let (seen, action) = &mut self.narrow;
            seen.iter_mut().zip(obs).for_each(|(seen, obs)| *seen = *obs as f32);
            self.policy.act(seen, action)?;
            self.action.iter_mut().zip(action).for_each(|(wide, narrow)| *wide = f64::from(*narrow));
        }
        for (i, u) in u.iter_mut().enumerate() {
            *u = self.centre[i] + self.half_width[i] * self.action[i];
        }
        Ok(())
    }

    /// The worst errors along a trajectory of `model`, on this policy.
    pub(super) fn attack(&self, model: &dyn Model) -> trajectory::Attack {
        trajectory::Attack::of(model.boxed(), self.centre.clone(), self.half_width.clone())
    }

    /// What the action can be off by for want of digits.
    pub(super) fn rounding(&self) -> f64 {
        let widest = self.half_width.iter().map(|h| h * h).sum::<f64>().sqrt();
        if self.slope.is_some() { 1e-12 * widest } else { ROUNDING * widest }
    }

    /// A proven Lipschitz constant everywhere, and where it comes from.
    pub(super) fn everywhere(&self, time_limit: Duration) -> anyhow::Result<(Constant, &'static str)> {
        if let Some(network) = &self.network {
            let options = SdpOptions { time_limit: Some(time_limit), ..SdpOptions::default() };
            return Ok((Constant::certified(lipsdp(network, &options)?.upper), "lipsdp"));
        }
        if let Some(table) = self.policy.table() {
            return Ok((Constant::certified(table.alpha()), "all pairs of the table"));
        }
        let Some((mlp, params)) = self.policy.network() else {
            anyhow::bail!("the policy has neither network nor table")
        };
        let inputs = self.policy.normaliser().map_or_else(Vec::new, Input::standardised);
        let scale = |input: &Input| match input {
            Input::Standardised { scale, .. } => scale.abs(),
            Input::Held(_) => 0.0,
        };
        let steepest = inputs.iter().map(scale).fold(if inputs.is_empty() { 1.0 } else { 0.0 }, f64::max);
        let widest = self.half_width.iter().copied().fold(0.0, f64::max);
        let product = liprl_nets::lipschitz::product_bound(&mlp, &tch::Tensor::f_from_slice(params)?)?;
        Ok((Constant::certified(product * steepest * widest), "product"))
    }

    /// A proven constant over the box `low` … `high` of observations, where that is smaller than `everywhere`.
    pub(super) fn over(&self, low: &[f64], high: &[f64], everywhere: f64, time: Duration) -> anyhow::Result<f64> {
        let Some(network) = &self.network else { return Ok(everywhere) };
        let region = Region::new(low.to_vec(), high.to_vec())?;
        let options = LocalOptions { time_limit: Some(time), tolerance: 1e-2, ..LocalOptions::default() };
        Ok(local_bound(network, &region, Norm::L2, &options)?.upper.min(everywhere))
    }
}
