//! A regularising term over the updates of one learner: when it is due, on which rows, in which units, with which draws. The terms
//! themselves are in `robust` and `penalty`.

use std::ops::Range;

use liprl_nets::{Buffer, Gradient, Weights, lipschitz::InputGradient, optim::Trained};
use liprl_numerics::{NormaliserOptions, RunningNormaliser, StateIo, StreamRng};
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use tch::Tensor;

use super::{
    Adversary, Against, PolicyAction, RobustConfig, SpectralCritics, StateUnits, ValueRegulariser,
    penalty::{self, PenaltyRows},
    robust::{self, RobustRows},
};
use crate::{
    AgentError, Batch, Metrics, Setup,
    actor_critic::{batch::Rows, learner::OnDevice},
};

/// Sums over rows and critics of what a term's three metrics average, in their order on the module's page.
pub(crate) type TermSums = [f64; 3];

/// The networks a term is about.
#[derive(Clone, Copy)]
pub(crate) struct Networks<'a> {
    /// The policy, which does not learn from the term.
    pub(crate) actor: &'a Trained,
    /// The critics.
    pub(crate) critics: &'a Trained,
    /// The parameters they are used with, or a leaf that these come from.
    pub(crate) params: &'a Tensor,
    /// What one of their outputs' units is worth in reward.
    pub(crate) scale: f32,
}

/// The term of one learner.
#[derive(Debug)]
pub(crate) struct Regulariser {
    pub(super) config: ValueRegulariser,
    lambda: f64,
    units: StateUnits,
    limit: usize,
    every: u64,
    critics: usize,
    /// Moments of the observations the term has looked at.
    moments: RunningNormaliser,
    rng: StreamRng,
    due: bool,
    /// The rows of this update's batch that the term looks at.
    rows: Vec<usize>,
    /// Their observations, `[n, O]`.
    seen: Vec<f32>,
    /// The length of one of `units` along each coordinate, `[O]`.
    pub(super) unit: Vec<f32>,
    /// ξ of a sampled action, `[n, A]`; empty where the term takes the mean.
    pub(super) noise: Vec<f32>,
    /// Places in the box, each coordinate in `[-1, 1]`, `[perturbations, n, O]`; empty where an adversary finds them.
    pub(super) uniform: Vec<f32>,
    act_dim: usize,
}

impl Regulariser {
    /// The term that `config` asks for; nothing of `none`.
    pub(crate) fn new(config: &ValueRegulariser, critics: usize, setup: &Setup) -> Option<Self> {
        let (lambda, units, limit, every) = config.common()?;
        // Only the moments are used, neither clip nor floor.
        let moments = RunningNormaliser::new(setup.obs_dim, NormaliserOptions::default());
        Some(Self {
            config: *config,
            lambda,
            units,
            limit,
            every,
            critics,
            moments,
            rng: setup.streams.rng("value-regulariser"),
            due: false,
            rows: Vec::new(),
            seen: Vec::new(),
            unit: vec![1.0; setup.obs_dim],
            noise: Vec::new(),
            uniform: Vec::new(),
            act_dim: setup.act_dim,
        })
    }

    /// Whether a CPU's update of these critics with this term can be written out: a gradient penalty needs piecewise linear ones.
    pub(crate) fn is_by_hand(term: Option<&Self>, critics: &Trained) -> Result<bool, AgentError> {
        Ok(match term.map(|term| term.config) {
            Some(ValueRegulariser::GradientPenalty(_)) => InputGradient::new(&critics.mlps()[0], 1)?.is_some(),
            _ => true,
        })
    }

    /// Gets ready for the update after `updates` others: rows, units, draws.
    pub(crate) fn begin(&mut self, batch: &Batch, updates: u64) -> Result<(), AgentError> {
        self.due = updates.is_multiple_of(self.every);
        if !self.due {
            return Ok(());
        }
        let obs_dim = self.unit.len();
        self.rows.clear();
        self.rows.extend(spread(self.limit, batch.size()));
        let obs = Buffer::rows_of(&batch.obs, 0..batch.size())?;
        self.seen.clear();
        for row in &self.rows {
            self.seen.extend_from_slice(&obs.slice()[row * obs_dim..(row + 1) * obs_dim]);
        }
        if self.units == StateUnits::Std {
            self.moments.update(&self.seen);
            self.unit.iter_mut().zip(self.moments.variance()).for_each(|(unit, v)| *unit = v.sqrt() as f32);
        }
        if let ValueRegulariser::Robust(RobustConfig { adversary, action, against, .. }) = self.config {
            if action == PolicyAction::Sample {
                self.noise.resize(self.rows.len() * self.act_dim, 0.0);
                self.noise.iter_mut().for_each(|draw| *draw = StandardNormal.sample(&mut self.rng));
            }
            if adversary == Adversary::Uniform {
                let perturbations = if against == Against::First { 1 } else { self.critics };
                self.uniform.resize(perturbations * self.rows.len() * obs_dim, 0.0);
                self.uniform.iter_mut().for_each(|draw| *draw = self.rng.random_range(-1.0..=1.0));
            }
        }
        Ok(())
    }

    /// The term, where this update has it.
    pub(crate) fn due(&self) -> Option<&Self> {
        self.due.then_some(self)
    }

    /// Rows the term looks at.
    pub(super) fn rows(&self) -> &[usize] {
        &self.rows
    }

    /// λ times `every` over the rows: the factor of a row's part.
    pub(super) fn share(&self) -> f64 {
        self.lambda * self.every as f64 / self.rows.len().max(1) as f64
    }

    /// The term with its factor by autograd, a scalar, and its sums: the specification of `TermRows`. `replayed` are the critics' outputs `[B]`
    /// at the batch's pairs.
    pub(crate) fn autograd(
        &self,
        networks: &Networks<'_>,
        on: &OnDevice,
        replayed: &[Tensor],
    ) -> Result<(Tensor, TermSums), AgentError> {
        let rows: Vec<i64> = self.rows.iter().map(|&row| row as i64).collect();
        let rows = Tensor::f_from_slice(&rows)?.f_to(on.obs.device())?;
        let pick = |tensor: &Tensor| tensor.f_index_select(0, &rows);
        let picked = OnDevice {
            obs: pick(&on.obs)?,
            action: pick(&on.action)?,
            reward: pick(&on.reward)?,
            discount: pick(&on.discount)?,
            next_obs: pick(&on.next_obs)?,
            weight: pick(&on.weight)?,
        };
        match &self.config {
            ValueRegulariser::Robust(config) => {
                let replayed = replayed.iter().map(pick).collect::<Result<Vec<_>, _>>()?;
                robust::autograd(config, self, networks, &picked, &replayed)
            }
            ValueRegulariser::GradientPenalty(config) => penalty::autograd(config, self, networks, &picked),
            ValueRegulariser::None => Ok((Tensor::f_zeros([], (on.obs.kind(), on.obs.device()))?, TermSums::default())),
        }
    }

    /// Its metrics, from sums over all rows and critics.
    pub(crate) fn report(&self, sums: &TermSums, metrics: &mut Metrics) {
        let rows = self.rows.len().max(1) as f64;
        let each = rows * self.critics as f64;
        let [first, second, third] = *sums;
        match self.config {
            ValueRegulariser::None => {}
            ValueRegulariser::Robust(_) => {
                metrics.add("train/robust_loss", first / rows);
                metrics.add("train/robust_loss_at_zero", second / rows);
                metrics.add("train/robust_gain", third / each);
            }
            ValueRegulariser::GradientPenalty(_) => {
                metrics.add("train/value_penalty", first / rows);
                metrics.add("train/value_gradient_norm", second / each);
                metrics.add("train/value_gradient_above", third / each);
            }
        }
    }

    /// Everything that changes.
    pub(crate) fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), AgentError> {
        self.moments.state(&mut io.scope("value-regulariser/moments"))?;
        Ok(io.value("streams/value-regulariser", &mut self.rng)?)
    }
}

/// `loss` with the term that is due, and the term's sums.
pub(crate) fn add_term(
    regulariser: Option<&Regulariser>,
    loss: &Tensor,
    networks: &Networks<'_>,
    on: &OnDevice,
    replayed: &[Tensor],
) -> Result<(Tensor, TermSums), AgentError> {
    let Some(term) = regulariser.and_then(Regulariser::due) else {
        return Ok((loss.shallow_clone(), TermSums::default()));
    };
    let (added, sums) = term.autograd(networks, on, replayed)?;
    Ok((loss + added, sums))
}

/// The sums of all members.
pub(crate) fn total<'a>(members: impl Iterator<Item = &'a TermSums>) -> TermSums {
    members.fold(TermSums::default(), |total, sums| std::array::from_fn(|i| total[i] + sums[i]))
}

/// Everything the regularisers change, besides the critics themselves, which are loaded already.
pub(crate) fn state(
    spectral: Option<&mut SpectralCritics>,
    regulariser: Option<&mut Regulariser>,
    critics: &mut Trained,
    io: &mut StateIo<'_>,
) -> Result<(), AgentError> {
    if let Some(spectral) = spectral {
        spectral.state(critics, io)?;
    }
    if let Some(regulariser) = regulariser {
        regulariser.state(io)?;
    }
    Ok(())
}

/// `limit` of a batch's rows, evenly spread; all where it has no more.
fn spread(limit: usize, batch: usize) -> impl Iterator<Item = usize> {
    let count = limit.min(batch);
    (0..count).map(move |i| i * batch / count)
}

/// One team member's part of a term by hand.
#[derive(Debug)]
pub(crate) enum TermRows {
    /// Of robust regularisation.
    Robust(Box<RobustRows>),
    /// Of the gradient penalty.
    Penalty(Box<PenaltyRows>),
}

/// Which of a batch's rows a member has a term on.
#[derive(Debug)]
pub(crate) struct Share {
    /// Rows of the member.
    pub(super) rows: Vec<usize>,
    /// How many rows of the term other members have before.
    pub(super) first: usize,
}

impl TermRows {
    /// Buffers for the term's rows among `range` of a batch of `batch`; nothing where it has none there, or no form by hand.
    pub(crate) fn new(
        term: &Regulariser,
        networks: &Networks<'_>,
        weights: &[Weights],
        (range, batch): (Range<usize>, usize),
    ) -> Result<Option<Self>, AgentError> {
        let first = spread(term.limit, batch).filter(|&row| row < range.start).count();
        let rows: Vec<usize> =
            spread(term.limit, batch).filter(|row| range.contains(row)).map(|row| row - range.start).collect();
        if rows.is_empty() {
            return Ok(None);
        }
        let share = Share { rows, first };
        let (obs_dim, act_dim) = (term.unit.len(), term.act_dim);
        Ok(match term.config {
            ValueRegulariser::None => None,
            ValueRegulariser::Robust(config) => {
                let rows = RobustRows::new(config, share, networks, weights, obs_dim, act_dim)?;
                Some(Self::Robust(Box::new(rows)))
            }
            ValueRegulariser::GradientPenalty(config) => {
                PenaltyRows::new(config, share, networks.critics, obs_dim, act_dim)?
                    .map(|rows| Self::Penalty(Box::new(rows)))
            }
        })
    }

    /// Critic number `index`'s part, between its forward over the replayed pairs and the way back: reads its outputs there and adds to
    /// their gradient.
    pub(crate) fn add(
        &mut self,
        term: &Regulariser,
        (index, weights): (usize, &Weights),
        rows: &Rows,
        outputs: (&[f32], &mut [f32]),
        scale: f32,
    ) -> Result<(), AgentError> {
        match self {
            Self::Robust(robust) => robust.add(term, (index, weights), rows, outputs, scale),
            Self::Penalty(_) => Ok(()),
        }
    }

    /// The rest of it, which adds to the parameters' gradient that the way back has written.
    pub(crate) fn finish(
        &mut self,
        term: &Regulariser,
        (index, weights): (usize, &Weights),
        rows: &Rows,
        gradient: &mut Gradient,
    ) -> Result<(), AgentError> {
        match self {
            Self::Robust(robust) => robust.finish(weights, gradient, index),
            Self::Penalty(penalty) => penalty.finish(term, (index, weights), rows, gradient),
        }
    }

    /// The sums of all critics since they were last taken.
    pub(crate) fn take_sums(&mut self) -> TermSums {
        match self {
            Self::Robust(robust) => std::mem::take(&mut robust.sums),
            Self::Penalty(penalty) => std::mem::take(&mut penalty.sums),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{actor_critic::testing, actor_critic::value::ValuePenaltyConfig};

    #[test]
    fn rows_are_spread_evenly() {
        assert_eq!(spread(4, 16).collect::<Vec<_>>(), [0, 4, 8, 12]);
        assert_eq!(spread(3, 8).collect::<Vec<_>>(), [0, 2, 5]);
        assert_eq!(spread(9, 3).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn a_term_of_every_third_update_counts_three_times_and_units_are_deviations_of_all_rows_seen() {
        let config = ValuePenaltyConfig { lambda: 0.2, rows: 4, every: 3, ..ValuePenaltyConfig::default() };
        let setup = Setup {
            obs_dim: 2,
            act_dim: 1,
            streams: liprl_numerics::Streams::new(5),
            device: tch::Device::Cpu,
            threads: 1,
        };
        let mut term = Regulariser::new(&ValueRegulariser::GradientPenalty(config), 2, &setup).unwrap();
        let batch = testing::batch(8, 2, 1);
        let (mut due, mut seen) = (Vec::new(), Vec::new());
        for update in 0..7 {
            let _ = batch.obs.shallow_clone().g_add_scalar_(0.5);
            term.begin(&batch, update).unwrap();
            due.push(term.due().is_some());
            if term.due().is_some() {
                seen.push(batch.obs.index_select(0, &Tensor::from_slice(&[0i64, 2, 4, 6])));
            }
        }
        assert_eq!(due, [true, false, false, true, false, false, true]);
        assert!((term.share() - 0.2 * 3.0 / 4.0).abs() < 1e-15);
        let std = Tensor::cat(&seen, 0).std_dim([0i64].as_slice(), false, false);
        testing::assert_gradient(&term.unit, &std);
    }
}
