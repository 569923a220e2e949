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
    shaping::no_gradient,
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

    /// ‖∇r‖ at `count` rows, with respect to raw ones.
    pub(super) fn gradient_norms(
        &mut self,
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
