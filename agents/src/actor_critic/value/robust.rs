//! Robust regularisation [Z]: L = Σⱼ mean w max (Qⱼ(s', π(s')) − Qⱼ(s, a))² over |s'ᵢ − sᵢ| ≤ ε uᵢ,
//! (s, a) replayed, uᵢ the length of one unit along coordinate i.
//!
//! The maximum is sought by s' ← clip(s' + η u sign ∇ₛ' (Q(s', π(s')) − Q(s, a))²) from s' = s:
//! once with η = ε (FGSM), or several times (PGD). No random start is needed: a and π(s) differ, so
//! the gap at s is not zero. The gradient passes through π(s') here; in the loss s' is a constant
//! and π does not learn.
//!
//! `rows` is the CPU form. Sources: [Z] Zheng et al. 2023, "Is Model Ensemble Necessary?" (arXiv
//! 2302.01244); [G] Goodfellow et al. 2015 (arXiv 1412.6572); [P] Madry et al. 2018 (arXiv
//! 1706.06083); [K] Karras et al. 2020 (arXiv 1912.04958).

mod rows;
#[cfg(test)]
mod tests;

use garde::Validate;
use liprl_nets::{Weights, autograd::gradient, gaussian, optim::TrainState};
use liprl_numerics::StreamRng;
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{
    StateUnits,
    term::{
        Networks, Per, TermBatch, TermDraws, TermRows, TermSettings, TermShare, TermSizes, TermState, TermSums,
        ValueTerm,
    },
};
use crate::{AgentError, actor_critic::outputs::values};

use rows::RobustRows;

/// Robust regularisation [Z]: λ mean max (Q(s', π(s')) − Q(s, a))² over ‖s' − s‖∞ ≤ ε. The value of
/// the policy at any state near a replayed one is to be near that of the replayed pair.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct RobustConfig {
    /// λ, the weight of the term beside the critics' loss; both are means over the batch. 0
    /// measures the term and changes nothing. Default `0.1`, which is ours: [Z] names none.
    #[garde(range(min = 0.0, max = 1e9))]
    pub lambda: f64,
    /// ε, how far each coordinate of the state may be moved, in `units`. 0 leaves (Q(s, π(s)) −
    /// Q(s, a))². Default `0.03`, which is ours.
    #[garde(range(min = 0.0, max = 1e9))]
    pub epsilon: f64,
    /// Unit of ε. Default `std`.
    pub units: StateUnits,
    /// Rule that moves the state. Default `fgsm` [Z].
    #[garde(dive)]
    pub adversary: Adversary,
    /// π(s') in the term: the policy's mean, or a sample whose noise is the same at s and s'.
    /// Default `mean`.
    pub action: PolicyAction,
    /// Each critic's own adversary moves the state for it [Z], or the first critic's for both.
    /// Default `each`.
    pub against: Against,
    /// Makes Q(s, a) a constant of the term, so that only Q(s', π(s')) is pulled. Default `false`:
    /// the formula of [Z] has both.
    pub detach: bool,
    /// Rows of each batch the term looks at, evenly spread; more than the batch has are all of it.
    /// Default `64`. The rows of a batch are drawn alike, so the mean over some of them has the
    /// same expectation as that over all; its spread grows with 1/√rows, its cost falls with the
    /// rows.
    #[garde(range(min = 1))]
    pub rows: usize,
    /// Critic updates from one with the term to the next. The term then counts `every` times, so
    /// that the mean of the gradients is the same (as in [K], section 4.1). Default `1`.
    #[garde(range(min = 1))]
    pub every: u64,
}

impl Default for RobustConfig {
    fn default() -> Self {
        Self {
            lambda: 0.1,
            epsilon: 0.03,
            units: StateUnits::Std,
            adversary: Adversary::Fgsm,
            action: PolicyAction::Mean,
            against: Against::Each,
            detach: false,
            rows: 64,
            every: 1,
        }
    }
}

/// Choice of the perturbed state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub enum Adversary {
    /// One step of ε along the sign of the term's gradient, through the policy too [G], [Z].
    #[default]
    Fgsm,
    /// Several such steps, each followed by a return into the box [P]: `{pgd: {steps: 5}}`.
    Pgd {
        /// Steps, at least 1.
        #[garde(range(min = 1, max = 1000))]
        steps: usize,
        /// Length of a step in the units of ε. Default: 2.5 ε / steps [P].
        #[serde(default)]
        #[garde(inner(range(min = 0.0)))]
        step_size: Option<f64>,
    },
    /// s' is uniform in the box: the control that tells what the adversary adds.
    Uniform,
}

/// The policy's action at a state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PolicyAction {
    /// tanh μ(s).
    #[default]
    Mean,
    /// tanh(μ(s) + σ(s) ξ), ξ standard normal: for SAC.
    Sample,
}

/// The critic whose term the adversary raises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Against {
    /// Each critic's: one perturbation for each.
    #[default]
    Each,
    /// The first critic's: one perturbation for all, at about 7/8 of the cost. Critics that learn
    /// the same targets are steep in much the same directions; for the second the perturbation is
    /// then not a maximum.
    First,
}

impl RobustConfig {
    /// Steps of the adversary and their length in units.
    fn steps(&self) -> (usize, f64) {
        match self.adversary {
            Adversary::Fgsm => (1, self.epsilon),
            Adversary::Pgd { steps, step_size } => (steps, step_size.unwrap_or(2.5 * self.epsilon / steps as f64)),
            Adversary::Uniform => (0, 0.0),
        }
    }
}

/// The policy's action `[n, A]` at `obs [n, O]` by autograd, the policy's parameters being
/// constants.
fn act(config: &RobustConfig, actor: &TrainState, obs: &Tensor, noise: &Tensor) -> Result<Tensor, AgentError> {
    let head = actor.forward(0, actor.params().tensor(), obs);
    Ok(match config.action {
        PolicyAction::Mean => head.f_narrow(1, 0, noise.size()[1])?.f_tanh()?,
        PolicyAction::Sample => gaussian::sample(&head, noise).0,
    })
}

impl ValueTerm for RobustConfig {
    fn settings(&self) -> TermSettings {
        TermSettings { lambda: self.lambda, units: self.units, rows: self.rows, every: self.every }
    }

    fn metrics(&self) -> Vec<(&'static str, Per)> {
        vec![
            ("train/robust_loss", Per::Row),
            ("train/robust_loss_at_zero", Per::Row),
            ("train/robust_gain", Per::Value),
        ]
    }

    fn loss(
        &self,
        networks: &Networks<'_>,
        batch: &TermBatch,
        state: &TermState,
    ) -> Result<(Tensor, TermSums), AgentError> {
        let on = &batch.on;
        let (count, obs_dim) = (on.obs.size()[0], on.obs.size()[1]);
        let place =
            |numbers: &[f32]| Tensor::f_from_slice(numbers)?.f_to_device(on.obs.device())?.f_to_kind(on.obs.kind());
        let unit = place(&state.unit)?;
        let noise = match self.action {
            PolicyAction::Mean => on.action.f_zeros_like()?,
            PolicyAction::Sample => place(&state.draws.noise)?.f_view([count, -1])?,
        };
        let value = |index: usize, obs: &Tensor| {
            let action = act(self, networks.actor, obs, &noise)?;
            Ok::<_, AgentError>(values(networks.critics, networks.params, obs, &action)?.swap_remove(index))
        };
        let (low, high) = (&on.obs - &unit * self.epsilon, &on.obs + &unit * self.epsilon);
        let (steps, length) = self.steps();
        let adversary = |index: usize| -> Result<Tensor, AgentError> {
            if self.adversary == Adversary::Uniform {
                let draws = place(&state.draws.uniform)?.f_view([-1, count, obs_dim])?.f_get(index as i64)?;
                return Ok(&on.obs + draws * (&unit * self.epsilon));
            }
            let mut moved = on.obs.shallow_clone();
            for _ in 0..steps {
                let leaf = moved.f_detach()?.set_requires_grad(true);
                let gap = value(index, &leaf)? - batch.replayed[index].f_detach()?;
                let uphill = gradient(&gap.square().f_sum(gap.kind())?, &leaf)?.f_sign()?;
                moved = (leaf.f_detach()? + uphill * (&unit * length)).f_clamp_tensor(Some(&low), Some(&high))?;
            }
            Ok(moved)
        };
        let mut sums = TermSums::default();
        let mut loss = Tensor::f_zeros([], (on.obs.kind(), on.obs.device()))?;
        let mut moved = None;
        for (index, replayed) in batch.replayed.iter().enumerate() {
            let place = match moved.take() {
                Some(first) if self.against == Against::First => first,
                _ => adversary(index)?,
            };
            let anchor = if self.detach { replayed.f_detach()? } else { replayed.shallow_clone() };
            let gap = value(index, &place)? - anchor;
            let part = (gap.square() * &on.weight).f_sum(gap.kind())?;
            let before = tch::no_grad(|| Ok::<_, AgentError>(value(index, &on.obs)? - replayed))?;
            sums[0] += part.f_double_value(&[])?;
            sums[1] += (before.square() * &on.weight).f_sum(before.kind())?.f_double_value(&[])?;
            let gain = (gap.f_detach()?.abs() - before.abs()) * f64::from(networks.scale);
            sums[2] += gain.f_sum(gain.kind())?.f_double_value(&[])?;
            loss += part * state.weight;
            moved = Some(place);
        }
        Ok((loss, sums))
    }

    fn draw(&self, sizes: TermSizes, rng: &mut StreamRng, draws: &mut TermDraws) {
        if self.action == PolicyAction::Sample {
            draws.noise.resize(sizes.rows * sizes.act_dim, 0.0);
            draws.noise.iter_mut().for_each(|draw| *draw = StandardNormal.sample(rng));
        }
        if self.adversary == Adversary::Uniform {
            let perturbations = if self.against == Against::First { 1 } else { sizes.critics };
            draws.uniform.resize(perturbations * sizes.rows * sizes.obs_dim, 0.0);
            draws.uniform.iter_mut().for_each(|draw| *draw = rng.random_range(-1.0..=1.0));
        }
    }

    fn problem(&self, stochastic_policy: bool) -> Option<&'static str> {
        (self.action == PolicyAction::Sample && !stochastic_policy)
            .then_some("for a policy to sample from, and td3's is deterministic: take `action: mean`")
    }

    fn rows(
        &self,
        share: TermShare,
        networks: &Networks<'_>,
        weights: &[Weights],
    ) -> Result<Option<Box<dyn TermRows>>, AgentError> {
        Ok(Some(Box::new(RobustRows::new(*self, share, networks, weights)?)))
    }
}
