//! Gradient norms of an actor–critic's policy and values where it goes, measured at evaluations.
//!
//! `<where>` is `visited` (pairs of the evaluation's episodes), `replay` or, for imitators,
//! `expert`; `<statistic>` is `mean`, `q05`, `q50`, `q95` or `max` over those rows.
//!
//! | metric | meaning |
//! | --- | --- |
//! | `lipschitz/q1_gradient/<where>/<statistic>` | ‖∂Q₁/∂(s, a)‖₂ with s in the environment's units, a in [-1, 1]; `q2_gradient` likewise |
//! | `lipschitz/q1_gradient_standardised/<where>/<statistic>` | the same with s as the critic sees it, where observations are standardised |
//! | `lipschitz/policy_jacobian/<where>/<statistic>` | ‖∂μ/∂s‖₂, the largest singular value, s in the environment's units |
//! | `lipschitz/value/gradient/<where>/<statistic>` | ‖∇V(s)‖₂ of V(s) = Q₁(s, μ(s)), s as the critic sees it; the next three too |
//! | `lipschitz/value/sampled/<where>/<statistic>` | the largest \|V(s + d) − V(s)\| / ‖d‖₂ of 16 random d in a box of ± 0.03 of the states' deviations |
//! | `lipschitz/value/fgsm/<where>/<statistic>` | the same for d along the signs of ∇V(s), to the box's corner |
//! | `lipschitz/value/product_bound` | product bound of Q₁ (in units of reward) times √(1 + that of the policy squared): above all of those |
//! | `lipschitz/spectral_norm/<network>/<layer>` | exact ‖W‖₂ |
//! | `lipschitz/product_bound/<network>` | product of the layers' proven constants: a bound in what the network sees |
//! | `lipschitz/by_construction/<network>` | constant that its layers prove by construction (`lipschitz`), in the same units |

use liprl_nets::{
    NetsError,
    autograd::standardise,
    lipschitz::{self, JacobianNorms, summarise},
};
use liprl_numerics::RunningNormaliser;
use tch::Tensor;

use super::{Learner, value_gradient::ValueGradientStats};
use crate::{AgentError, Visited};

/// Some pairs, with the gradient norms of policy and values there.
#[derive(Debug)]
pub struct ProbedPairs {
    /// Its name among the metrics.
    pub name: &'static str,
    /// The pairs.
    pub pairs: Visited,
    /// ‖∂Qᵢ/∂(s, a)‖₂ of each critic, row by row.
    pub values: Vec<Vec<f64>>,
    /// Those with respect to standardised observations; empty where they are not standardised.
    pub standardised: Vec<Vec<f64>>,
    /// min Q, row by row.
    pub(super) least: Vec<f64>,
    /// Norms of ∂μ/∂s, row by row.
    pub policy: JacobianNorms,
    /// Gradient norms of the policy's value nearby.
    steepness: ValueGradientStats,
}

impl ProbedPairs {
    /// Measures at these pairs.
    pub(crate) fn new(
        name: &'static str,
        pairs: Visited,
        learner: &dyn Learner,
        normaliser: Option<&RunningNormaliser>,
    ) -> Result<Self, AgentError> {
        let (actor, device) = (learner.actor(), learner.actor().params().tensor().device());
        let obs_dim = actor.mlps()[0].inputs() as i64;
        let obs = Tensor::f_from_slice(&pairs.obs)?.f_view([-1, obs_dim])?.f_to(device)?;
        let action = Tensor::f_from_slice(&pairs.action)?.f_view([obs.size()[0], -1])?.f_to(device)?;
        let act_dim = action.size()[1];
        let see =
            |x: &Tensor| normaliser.map_or_else(|| Ok(x.shallow_clone()), |normaliser| standardise(normaliser, x));
        let count = learner.critics().networks().mlps().len();
        let value = |index: usize, seen: &Tensor, action: &Tensor| -> Result<Tensor, NetsError> {
            Ok(learner.critics().values(seen, action)?.swap_remove(index))
        };
        let split = |x: &Tensor| Ok::<_, NetsError>((x.f_narrow(1, 0, obs_dim)?, x.f_narrow(1, obs_dim, act_dim)?));
        let norms = |x: &Tensor, raw: bool| {
            let each = (0..count).map(|index| {
                let at = |x: &Tensor| {
                    let (obs, action) = split(x)?;
                    value(index, &if raw { see(&obs)? } else { obs }, &action)
                };
                lipschitz::gradient_norms(at, x)
            });
            each.collect::<Result<Vec<_>, _>>()
        };
        let seen = tch::no_grad(|| see(&obs))?;
        let all = tch::no_grad(|| learner.critics().values(&seen, &action))?;
        let least = Tensor::f_stack(&all, 0)?.f_amin([0].as_slice(), false)?;
        let least = Vec::try_from(&least.f_to_kind(tch::Kind::Double)?)?;
        let standardised = match normaliser {
            Some(_) => norms(&Tensor::f_cat(&[&seen, &action], 1)?, false)?,
            None => Vec::new(),
        };
        let values = norms(&Tensor::f_cat(&[&obs, &action], 1)?, true)?;
        let act = |x: &Tensor| {
            let head = actor.forward(0, actor.params().tensor(), &see(x)?);
            Ok(head.f_narrow(1, 0, act_dim)?.f_tanh()?)
        };
        let policy = lipschitz::jacobian_norms(act, &obs)?;
        let steepness = ValueGradientStats::new(learner, &seen)?;
        Ok(Self { name, pairs, values, standardised, least, policy, steepness })
    }

    /// Adds the metrics.
    pub(crate) fn metrics(&self, metrics: &mut Vec<(String, f64)>) {
        for (i, norms) in self.values.iter().enumerate() {
            summarise(&format!("q{}_gradient", i + 1), self.name, norms, metrics);
        }
        for (i, norms) in self.standardised.iter().enumerate() {
            summarise(&format!("q{}_gradient_standardised", i + 1), self.name, norms, metrics);
        }
        summarise("policy_jacobian", self.name, &self.policy.spectral, metrics);
        self.steepness.metrics(self.name, metrics);
    }
}
