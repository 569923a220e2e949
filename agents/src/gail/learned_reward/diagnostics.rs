//! Gradient norms of the learned reward, and the paper's estimates from them (arXiv 2006.16785;
//! docs/derivations/liayn.md).
//!
//! `<where>` and `<statistic>` are those of `actor_critic::diagnostics`. In addition `<where>` is
//! `penalised` at points of the gradient penalty.
//!
//! | metric | meaning |
//! | --- | --- |
//! | `lipschitz/discriminator_gradient/<where>/<statistic>` | ‖∇D‖₂ of the logit with respect to its raw input |
//! | `lipschitz/reward_gradient/<where>/<statistic>` | ‖∇r‖₂ = \|dr/dx\| ‖∇D‖₂ |
//! | `lipschitz/share_above_target/<where>` | share of rows with ‖∇D‖ > k, in the penalty's units |
//! | `lipschitz/within_target/<where>` | mean exp(−max(0, ‖∇D‖ − k)²) in the penalty's units: 1 if the constraint holds |
//! | `lipschitz/model_jacobian/visited/<statistic>` | ‖∂f̂/∂(s, a)‖₂ of the forward model, largest singular value |
//! | `lipschitz/model_sum_gradient/visited/<statistic>` | ‖∇ Σⱼ f̂ⱼ‖₂, which the authors' code uses instead |
//! | `lipschitz/gamma2c/of_means` | γ²C as that code logs it: from mean sum-gradients of model and policy |
//! | `lipschitz/gamma2c/mean`, `…/max` | γ² A² max(1, B²) over states, A and B spectral norms of model and policy |
//! | `lipschitz/delta` | δ: largest ‖∇r‖ over the visited rows |
//! | `lipschitz/paper_estimate` | Δ∞ = δ/√(1 − max γ²C): the paper's estimate of ‖∇Q‖, not a bound; left out if γ²C ≥ 1 |
//! | `lipschitz/paper_estimate_over_horizon` | that estimate over the first H = ⌈1/(1 − γ)⌉ rewards, which exists for any γ²C (left out if it overflows); not a bound either |
//! | `lipschitz/sound_factor` | ρ = γA√(1 + B²) of the largest A and B |
//! | `lipschitz/sound_bound` | δ/(1 − ρ) ≥ ‖∇Q‖ if these constants held everywhere; left out if ρ ≥ 1 |
//! | `lipschitz/sound_bound_over_horizon` | the bound for the first H rewards, any ρ; left out if it overflows |

use liprl_nets::lipschitz::{
    gamma2c_of_means, gamma2c_per_row, network_constants, paper_estimate, paper_estimate_over, share_above,
    sound_bound, sound_bound_over, sound_factor, summarise,
};
use tch::Tensor;

use super::{
    LearnedReward,
    source::{Source, tensor},
};
use crate::{AgentError, Flags, Visited, actor_critic::ProbedPairs, gail::discriminator_config::Units, shaping::Steps};

/// Gradient norms of logit and reward with respect to raw rows.
struct RewardGradientStats {
    /// ‖∇D‖ in the environment's units and in the penalty's; `None` without a discriminator.
    of_logit: Option<(Vec<f64>, Vec<f64>)>,
    /// ‖∇r‖.
    of_reward: Vec<f64>,
}

impl LearnedReward {
    /// Everything in the table above.
    pub(super) fn measure(&mut self, places: &[ProbedPairs]) -> Result<Vec<(String, f64)>, AgentError> {
        let mut metrics = Vec::new();
        let mut delta = None;
        let target = self.config.discriminator.gradient_penalty.target;
        let mut rows: Vec<(&'static str, Vec<f32>)> = Vec::new();
        for place in places {
            rows.push((place.name, self.raw_rows(&place.pairs)));
        }
        rows.push(("penalised", self.penalised_rows(&rows)));
        for (name, raw) in rows.iter().filter(|(_, raw)| !raw.is_empty()) {
            let Some(RewardGradientStats { of_logit, of_reward }) = self.gradient_stats(raw)? else { continue };
            if let Some((of_logit, penalised)) = of_logit {
                summarise("discriminator_gradient", name, &of_logit, &mut metrics);
                let within = penalised.iter().map(|norm| (-(norm - target).max(0.0).powi(2)).exp()).sum::<f64>();
                metrics.push((format!("lipschitz/share_above_target/{name}"), share_above(&penalised, target)));
                metrics.push((format!("lipschitz/within_target/{name}"), within / penalised.len() as f64));
            }
            summarise("reward_gradient", name, &of_reward, &mut metrics);
            if *name == "visited" {
                delta = of_reward.into_iter().reduce(f64::max);
            }
        }
        if let Source::Discriminator(discriminator, _) = &self.source {
            let (mlp, params) = discriminator.network()?;
            network_constants("discriminator", mlp, &Tensor::f_from_slice(&params)?, &mut metrics)?;
            if let Some(certified) = discriminator.trained().certified()? {
                metrics.push(("lipschitz/by_construction/discriminator".to_owned(), certified[0]));
            }
        }
        if let Some(visited) = places.iter().find(|place| place.name == "visited") {
            self.theory(visited, delta, &mut metrics)?;
        }
        Ok(metrics)
    }

    /// Estimates and bounds of ‖∇Q‖ from the forward model, the policy and δ.
    fn theory(
        &mut self,
        visited: &ProbedPairs,
        delta: Option<f64>,
        metrics: &mut Vec<(String, f64)>,
    ) -> Result<(), AgentError> {
        let gamma = self.gamma;
        let flags = vec![Flags::NONE; visited.policy.spectral.len()];
        let view = |numbers: &[f32]| Tensor::f_from_slice(numbers)?.f_view([flags.len() as i64, -1]);
        let (obs, action) = (view(&visited.pairs.obs)?, view(&visited.pairs.action)?);
        let next_obs = view(&visited.pairs.next_obs)?;
        let steps = Steps { obs: &obs, action: &action, next_obs: &next_obs, flags: &flags, t: &[] };
        let Some(model) = &mut self.monitor else { return Ok(()) };
        let model = model.jacobian_norms(&steps)?;
        summarise("model_jacobian", "visited", &model.spectral, metrics);
        summarise("model_sum_gradient", "visited", &model.sum, metrics);
        let per_row = gamma2c_per_row(gamma, &model.spectral, &visited.policy.spectral);
        let largest = |norms: &[f64]| norms.iter().copied().fold(0.0, f64::max);
        let factor = sound_factor(gamma, largest(&model.spectral), largest(&visited.policy.spectral));
        let named = |name: &str, value: f64| (format!("lipschitz/{name}"), value);
        metrics.push(named("gamma2c/of_means", gamma2c_of_means(gamma, &model.sum, &visited.policy.sum)));
        metrics.push(named("gamma2c/mean", per_row.mean));
        metrics.push(named("gamma2c/max", per_row.max));
        metrics.push(named("sound_factor", factor));
        if let Some(delta) = delta {
            let horizon = (1.0 / (1.0 - gamma)).ceil() as usize;
            metrics.push(named("delta", delta));
            let over_horizon = [
                ("paper_estimate_over_horizon", paper_estimate_over(delta, per_row.max, horizon)),
                ("sound_bound_over_horizon", sound_bound_over(delta, factor, horizon)),
            ];
            metrics.extend(over_horizon.iter().filter(|(_, x)| x.is_finite()).map(|&(name, x)| named(name, x)));
            metrics.extend(paper_estimate(delta, per_row.max).map(|estimate| named("paper_estimate", estimate)));
            metrics.extend(sound_bound(delta, factor).map(|bound| named("sound_bound", bound)));
        }
        Ok(())
    }

    /// Pairs as raw rows, `[R, I]`.
    fn raw_rows(&self, Visited { obs, action, next_obs, .. }: &Visited) -> Vec<f32> {
        let count = obs.len() / self.obs_dim;
        let mut rows = vec![0.0; count * self.encoder.width()];
        self.encoder.encode_all((obs, action, next_obs), &vec![Flags::NONE; count], &mut rows);
        rows
    }

    /// Points of the penalty between replayed and demonstrated rows, drawn from a copy of the
    /// stream.
    fn penalised_rows(&self, places: &[(&'static str, Vec<f32>)]) -> Vec<f32> {
        let rows = |wanted: &str| places.iter().find(|(name, _)| *name == wanted).map_or(&[][..], |(_, rows)| rows);
        let (policy, expert, width) = (rows("replay"), rows("expert"), self.encoder.width());
        let mut points = vec![0.0; policy.len().min(expert.len())];
        let penalty = self.config.discriminator.gradient_penalty;
        penalty.draw(policy, expert, (width, self.encoder.second()), &mut self.rng.clone(), &mut points);
        points
    }

    /// ‖∇D‖ and ‖∇r‖ at raw rows; `None` for rewards without a gradient.
    fn gradient_stats(&mut self, raw: &[f32]) -> Result<Option<RewardGradientStats>, AgentError> {
        let (mut rows, mut slopes) = (raw.to_vec(), vec![0.0; raw.len()]);
        let normaliser = self.normaliser.as_ref();
        let wide = |norms: Vec<f32>| norms.into_iter().map(f64::from).collect::<Vec<_>>();
        match &mut self.source {
            Source::Discriminator(discriminator, form) => {
                self.encoder.preprocess(normaliser, &mut rows);
                self.encoder.slopes(normaliser, Units::Environment, raw, &mut slopes);
                let of_logit = wide(discriminator.gradient_norms(&rows, &slopes)?);
                let units = self.config.discriminator.gradient_penalty.units;
                self.encoder.slopes(normaliser, units, raw, &mut slopes);
                let penalised = wide(discriminator.gradient_norms(&rows, &slopes)?);
                let logits = discriminator.logits(&rows)?;
                let of_reward =
                    of_logit.iter().zip(logits).map(|(norm, &x)| norm * (form.slope)(f64::from(x))).collect();
                Ok(Some(RewardGradientStats { of_logit: Some((of_logit, penalised)), of_reward }))
            }
            Source::Rows(reward) => {
                self.encoder.preprocess(None, &mut rows);
                let of_reward = wide(reward.gradient_norms(&tensor(&rows, self.encoder.width())?)?);
                Ok(Some(RewardGradientStats { of_logit: None, of_reward }))
            }
            Source::Environment | Source::Constant(_) => Ok(None),
        }
    }
}
