//! A term over the updates of one learner: when it is due, on which rows, in which units, with
//! which draws.

use std::ops::Range;

use liprl_nets::{Weights, autograd::finite, slice_of};
use liprl_numerics::{NormaliserOptions, RunningNormaliser, StateIo, StreamRng};
use tch::Tensor;

use super::{
    StateUnits, ValueRegulariser,
    term::{Networks, Per, TermBatch, TermRows, TermSettings, TermShare, TermSizes, TermState, TermSums, ValueTerm},
};
use crate::{AgentError, Batch, Metrics, Setup, actor_critic::batch::DeviceBatch};

/// The term of one learner.
#[derive(Debug)]
pub(crate) struct Regulariser {
    term: Box<dyn ValueTerm>,
    settings: TermSettings,
    critics: usize,
    act_dim: usize,
    /// Moments of the observations the term has looked at.
    moments: RunningNormaliser,
    rng: StreamRng,
    due: bool,
    pub(super) state: TermState,
    /// The observations of the term's rows, `[n, O]`.
    seen: Vec<f32>,
}

impl Regulariser {
    /// The term that `config` asks for; `None` if that is `none`.
    pub(crate) fn new(config: &ValueRegulariser, critics: usize, setup: &Setup) -> Option<Self> {
        config.term().map(|term| Self::of(term, critics, setup))
    }

    /// This term for a learner of so many critics.
    pub(crate) fn of(term: Box<dyn ValueTerm>, critics: usize, setup: &Setup) -> Self {
        Self {
            settings: term.settings(),
            term,
            critics,
            act_dim: setup.act_dim,
            // Only the moments are used, neither clip nor floor.
            moments: RunningNormaliser::new(setup.obs_dim, NormaliserOptions::default()),
            rng: setup.streams.rng("value-regulariser"),
            due: false,
            state: TermState { unit: vec![1.0; setup.obs_dim], ..TermState::default() },
            seen: Vec::new(),
        }
    }

    /// Gets ready for the update after `updates` others: rows, units, draws.
    pub(crate) fn begin(&mut self, batch: &Batch, updates: u64) -> Result<(), AgentError> {
        let Self { settings, state, .. } = self;
        self.due = updates.is_multiple_of(settings.every);
        if !self.due {
            return Ok(());
        }
        let obs_dim = state.unit.len();
        state.rows.clear();
        state.rows.extend(spread(settings.rows, batch.size()));
        state.weight = settings.lambda * settings.every as f64 / state.rows.len().max(1) as f64;
        let obs = slice_of(&batch.obs)?;
        self.seen.clear();
        for row in &state.rows {
            self.seen.extend_from_slice(&obs[row * obs_dim..(row + 1) * obs_dim]);
        }
        if settings.units == StateUnits::Std {
            self.moments.update(&self.seen);
            state.unit.iter_mut().zip(self.moments.variance()).for_each(|(unit, v)| *unit = v.sqrt() as f32);
        }
        let sizes = TermSizes { rows: state.rows.len(), obs_dim, act_dim: self.act_dim, critics: self.critics };
        self.term.draw(sizes, &mut self.rng, &mut state.draws);
        Ok(())
    }

    /// The term's numbers, if this update has it.
    pub(crate) fn due(&self) -> Option<&TermState> {
        self.due.then_some(&self.state)
    }

    /// `loss` with the term if it is due, by autograd, and the term's sums. `replayed` are the
    /// critics' outputs `[B]` at the batch's pairs.
    pub(crate) fn add_to(
        &self,
        loss: &Tensor,
        networks: &Networks<'_>,
        on: &DeviceBatch,
        replayed: &[Tensor],
    ) -> Result<(Tensor, TermSums), AgentError> {
        let Some(state) = self.due() else { return Ok((loss.shallow_clone(), TermSums::default())) };
        let rows: Vec<i64> = state.rows.iter().map(|&row| row as i64).collect();
        let rows = Tensor::f_from_slice(&rows)?.f_to(on.obs.device())?;
        let replayed = replayed.iter().map(|outputs| outputs.f_index_select(0, &rows)).collect::<Result<_, _>>()?;
        let (added, sums) = self.term.loss(networks, &TermBatch { on: on.select(&rows)?, replayed }, state)?;
        Ok((loss + added, sums))
    }

    /// True if the term has a CPU form for these networks.
    pub(crate) fn has_rows(&self, networks: &Networks<'_>, weights: &[Weights]) -> Result<bool, AgentError> {
        Ok(self.term.rows(TermShare { rows: vec![0], first: 0 }, networks, weights)?.is_some())
    }

    /// The CPU form for the term's rows among `range` of a batch of `batch`; `None` if it has none
    /// there.
    pub(crate) fn rows(
        &self,
        networks: &Networks<'_>,
        weights: &[Weights],
        range: Range<usize>,
        batch: usize,
    ) -> Result<Option<Box<dyn TermRows>>, AgentError> {
        let all = || spread(self.settings.rows, batch);
        let first = all().filter(|&row| row < range.start).count();
        let rows: Vec<usize> = all().filter(|row| range.contains(row)).map(|row| row - range.start).collect();
        if rows.is_empty() {
            return Ok(None);
        }
        self.term.rows(TermShare { rows, first }, networks, weights)
    }

    /// Adds the metrics of an update that had the term, from sums over all rows and critics.
    pub(crate) fn report(&self, sums: &TermSums, updates: u64, metrics: &mut Metrics) -> Result<(), AgentError> {
        if !self.due {
            return Ok(());
        }
        finite("the value regulariser's term", sums[0], updates)?;
        let rows = self.state.rows.len().max(1) as f64;
        for ((name, per), sum) in self.term.metrics().into_iter().zip(sums) {
            metrics.add(name, sum / if per == Per::Row { rows } else { rows * self.critics as f64 });
        }
        Ok(())
    }

    /// Everything that changes.
    pub(crate) fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), AgentError> {
        self.moments.state(&mut io.scope("value-regulariser/moments"))?;
        Ok(io.value("streams/value-regulariser", &mut self.rng)?)
    }
}

/// `limit` of a batch's rows, evenly spread; all if it has no more.
fn spread(limit: usize, batch: usize) -> impl Iterator<Item = usize> {
    let count = limit.min(batch);
    (0..count).map(move |i| i * batch / count)
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
        let mut term = Regulariser::of(Box::new(config), 2, &setup);
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
        assert!((term.state.weight - 0.2 * 3.0 / 4.0).abs() < 1e-15);
        let std = Tensor::cat(&seen, 0).std_dim([0i64].as_slice(), false, false);
        testing::assert_gradient(&term.state.unit, &std);
    }
}
