//! Rewards of replayed windows, and their shaping.

use tch::Tensor;

use super::{
    LearnedReward, Scratch,
    source::{Source, tensor},
};
use crate::{
    AgentError, Flags, Metrics, WindowBatch,
    gail::config::Absorbing,
    replay::f32_slice_mut,
    shaping::{self, Steps, WindowRows},
};

impl LearnedReward {
    /// Writes the rewards of every row of the windows to `scratch.rewards`. Returns r(absorbing), 0
    /// if it has no use.
    pub(super) fn reward_rows(&mut self, window: &mut WindowBatch) -> Result<f32, AgentError> {
        let (count, width) = (window.flags.len(), self.encoder.width());
        let Scratch { rows, raw, rewards, .. } = &mut self.scratch;
        rewards.clear();
        match &self.source {
            Source::Environment => {
                rewards.extend_from_slice(f32_slice_mut(&mut window.reward)?);
                return Ok(0.0);
            }
            Source::Constant(value) => {
                rewards.resize(count, *value);
                return Ok(*value);
            }
            Source::Rows(_) | Source::Discriminator(..) => {}
        }
        raw.resize((count + 1) * width, 0.0);
        let (windows, absorbing) = raw.split_at_mut(count * width);
        let (obs, action) = (f32_slice_mut(&mut window.obs)?, f32_slice_mut(&mut window.action)?);
        let next_obs = f32_slice_mut(&mut window.next_obs)?;
        self.encoder.encode_all((obs, action, next_obs), &window.flags, windows);
        self.encoder.encode_absorbing(absorbing);
        rows.clone_from(raw);
        let normaliser = self.normaliser.as_ref().filter(|_| matches!(self.source, Source::Discriminator(..)));
        self.encoder.preprocess(normaliser, rows);
        match &mut self.source {
            Source::Rows(reward) => rewards.extend(reward.reward(&tensor(rows, width)?)?),
            Source::Discriminator(discriminator, form) => {
                let logits = discriminator.logits(rows)?;
                rewards.extend(logits.iter().map(|&x| (form.value)(f64::from(x)) as f32));
            }
            Source::Environment | Source::Constant(_) => {}
        }
        Ok(rewards.pop().unwrap_or(0.0))
    }

    /// Shapes `scratch.rewards` and r(absorbing), which it returns.
    pub(super) fn shape(
        &mut self,
        window: &WindowBatch,
        absorbing: f32,
        metrics: &mut Metrics,
    ) -> Result<f32, AgentError> {
        let Some(shaping) = &mut self.shaping else { return Ok(absorbing) };
        let Scratch { rows, raw, slopes, rewards, .. } = &mut self.scratch;
        let (encoder, normaliser, source) = (&self.encoder, self.normaliser.as_ref(), &mut self.source);
        let count = window.flags.len();
        // The absorbing row follows the windows' rows if the reward is a function of rows.
        let split = count * encoder.width();
        let (rows, absorbing_rows) = rows.split_at(split.min(rows.len()));
        let (raw, absorbing_raw) = raw.split_at(split.min(raw.len()));
        let mut gradient_norms = |of| source.gradient_norms(of, encoder, normaliser, (rows, raw, slopes), count);
        let steps = WindowRows::all(window)?;
        let mask = Vec::<f32>::try_from(window.mask.f_flatten(0, -1)?)?;
        let (window, mask) = (window.batch.n_step(), Some(&mask[..]));
        let (steps, gradient_norms) = (steps.steps(), &mut gradient_norms);
        let mut all = shaping::ShapedRows { steps, window, mask, gradient_norms };
        shaping.shape(&mut all, rewards, metrics)?;
        if self.absorbing != Absorbing::Value {
            return Ok(absorbing);
        }
        let zeros = |like: &Tensor| Tensor::f_zeros([1, like.size()[1]], (like.kind(), like.device()));
        let (obs, action, next_obs) = (zeros(steps.obs)?, zeros(steps.action)?, zeros(steps.next_obs)?);
        let flags = [Flags::OBS_ABSORBING | Flags::NEXT_ABSORBING];
        let steps = Steps { obs: &obs, action: &action, next_obs: &next_obs, flags: &flags, t: &[] };
        let at = (absorbing_rows, absorbing_raw, slopes);
        let mut gradient_norms = |of| source.gradient_norms(of, encoder, normaliser, (at.0, at.1, at.2), 1);
        let mut one = shaping::ShapedRows { steps, window: 1, mask: None, gradient_norms: &mut gradient_norms };
        shaping.shape_absorbing(&mut one, absorbing)
    }
}
