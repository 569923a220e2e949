//! The part that gives the rewards, with its networks.

use liprl_numerics::{RunningNormaliser, StreamRng};
use tch::Tensor;

use crate::{
    AgentError, Setup,
    gail::{
        config::GailConfig,
        discriminator::Discriminator,
        discriminator_config::Units,
        encoder::Encoder,
        reward::{LogitReward, RewardSource, RowReward},
    },
    shaping::{GradientOf, no_gradient},
};

/// The part that gives the rewards, with its networks.
pub(super) enum Source {
    Discriminator(Box<Discriminator>, LogitReward),
    Rows(Box<dyn RowReward>),
    Environment,
    Constant(f32),
}

impl Source {
    /// The source of the config's reward. One of rows is fitted to the demonstrated rows, raw,
    /// `[E, I]`.
    pub(super) fn new(
        config: &GailConfig,
        encoder: &Encoder,
        expert_rows: &[f32],
        setup: &Setup,
        rng: &mut StreamRng,
    ) -> Result<Self, AgentError> {
        Ok(match config.reward.source() {
            RewardSource::Logit(form) => {
                let discriminator = Discriminator::new(&config.discriminator, encoder.width(), setup.device, rng)?;
                Self::Discriminator(Box::new(discriminator), form)
            }
            RewardSource::Rows(settings) => {
                let mut rows = expert_rows.to_vec();
                encoder.preprocess(None, &mut rows);
                Self::Rows(settings.fit(&tensor(&rows, encoder.width())?, setup)?)
            }
            RewardSource::Environment => Self::Environment,
            RewardSource::Constant(value) => Self::Constant(value as f32),
        })
    }

    /// ‖∇r‖ or ‖∇D‖ at `count` rows, with respect to raw ones.
    pub(super) fn gradient_norms(
        &mut self,
        of: GradientOf,
        encoder: &Encoder,
        normaliser: Option<&RunningNormaliser>,
        (rows, raw, slopes): (&[f32], &[f32], &mut Vec<f32>),
        count: usize,
    ) -> Result<Vec<f32>, AgentError> {
        match self {
            Self::Discriminator(discriminator, form) => {
                slopes.resize(slopes.len().max(raw.len()), 0.0);
                let slopes = &mut slopes[..raw.len()];
                encoder.slopes(normaliser, Units::Environment, raw, slopes);
                let mut norms = discriminator.gradient_norms(rows, slopes)?;
                if of == GradientOf::Logit {
                    return Ok(norms);
                }
                let logits = discriminator.logits(rows)?;
                for (norm, &x) in norms.iter_mut().zip(logits) {
                    *norm *= (form.slope)(f64::from(x)) as f32;
                }
                Ok(norms)
            }
            // These rows are clipped but never standardised. The gradient is with respect to clipped
            // rows.
            Self::Rows(reward) => reward.gradient_norms(&tensor(rows, encoder.width())?),
            Self::Environment => Err(no_gradient()),
            Self::Constant(_) => Ok(vec![0.0; count]),
        }
    }
}

/// Rows as a tensor, `[R, I]`.
pub(super) fn tensor(rows: &[f32], width: usize) -> Result<Tensor, AgentError> {
    Ok(Tensor::f_from_slice(rows)?.f_view([-1, width as i64])?)
}

#[cfg(test)]
mod tests {
    use liprl_numerics::{Streams, testing::numbers};
    use serde_json::json;

    use super::*;

    #[test]
    fn norms_of_the_logit_are_those_of_finite_differences_and_the_reward_s_are_smaller_by_its_slope() {
        let setup = Setup { obs_dim: 3, act_dim: 2, streams: Streams::new(1), device: tch::Device::Cpu, threads: 1 };
        let discriminator = json!({"hidden": [16], "activation": "tanh", "init": "uniform", "spectral_norm": false});
        let config: GailConfig = serde_json::from_value(json!({"discriminator": discriminator})).unwrap();
        let encoder = Encoder::new(&config.discriminator, (3, 2), false, false);
        let mut source = Source::new(&config, &encoder, &[], &setup, &mut setup.streams.rng("test")).unwrap();
        let rows = numbers(5 * 4, "rows");
        let mut norms = |of| source.gradient_norms(of, &encoder, None, (&rows, &rows, &mut Vec::new()), 4).unwrap();
        let (of_logit, of_reward) = (norms(GradientOf::Logit), norms(GradientOf::Reward));
        let Source::Discriminator(discriminator, form) = &mut source else { unreachable!() };
        let mut logit = |row: &[f32]| f64::from(discriminator.logits(row).unwrap()[0]);
        for (row, (of_logit, of_reward)) in rows.chunks_exact(5).zip(of_logit.into_iter().zip(of_reward)) {
            let mut slope = |i: usize| {
                let [mut up, mut down] = [row.to_vec(), row.to_vec()];
                (up[i], down[i]) = (row[i] + 0.01, row[i] - 0.01);
                (logit(&up) - logit(&down)) / 0.02
            };
            let expected = (0..5).map(|i| slope(i).powi(2)).sum::<f64>().sqrt();
            assert!((f64::from(of_logit) - expected).abs() < 1e-3 * expected, "{of_logit} {expected}");
            let slope = (form.slope)(logit(row));
            assert!((f64::from(of_reward) - slope * f64::from(of_logit)).abs() < 1e-6 && slope < 0.9);
        }
    }
}
