//! A fit of all members to the real transitions (the authors' code of Janner et al. 2019), in slices:
//! checkpoints can fall between them.
//!
//! A fifth of the rows, at most 5000, is held out, the same for all members. Each member learns from its
//! own draws with replacement from the rest, shuffled again for each epoch. In the end it goes back to
//! its best epoch. Better means a relative fall of its held-out error by more than 1 %. The fit ends
//! after more than five epochs in which no member got better.

use liprl_nets::{Buffer, Forward, Team, Weights};
use liprl_numerics::{StateIo, StreamRng};
use rand::{RngExt, seq::SliceRandom};

use super::{
    ModelConfig, Targets,
    data::{FitData, Scaler, Scalers},
    params::Parameters,
    step::Stepper,
};
use crate::{AgentError, Replay};

/// Rows of one pass when held-out errors are measured.
const MEASURED: usize = 512;

/// Results of a finished fit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FitReport {
    /// Epochs done.
    pub epochs: u64,
    /// Gradient steps, each of all members.
    pub steps: u64,
    /// Mean over members and the last epoch of the loss on training data, without decay and bounds' terms.
    pub train_loss: f64,
    /// Mean over the elites of the held-out mean squared error of (reward, delta), in the targets' units.
    pub holdout_loss: f64,
    /// Rows learned from.
    pub train_rows: usize,
    /// Rows held out.
    pub holdout_rows: usize,
}

/// A fit under way.
#[derive(Debug)]
pub(super) struct Fit {
    /// Rows of the replay buffer.
    train: Vec<u32>,
    pub holdout: Vec<u32>,
    /// Each member's rows among `train`, in the order of this epoch.
    order: Vec<Vec<u32>>,
    epoch: u64,
    /// Rows of this epoch that were learned from.
    done: usize,
    steps: u64,
    loss_sum: f64,
    loss_count: u64,
    /// Epochs since any member got better.
    stale: u64,
    best: Vec<f64>,
    snapshots: Vec<Vec<f32>>,
    /// Made from the replay when first needed, so that a restored fit can wait for its replay.
    loaded: Option<LoadedData>,
}

/// The parts of a fit that follow from its rows and the replay.
#[derive(Debug)]
struct LoadedData {
    train: FitData,
    holdout: FitData,
    /// One for whole batches, then one for an epoch's last batch.
    steppers: Vec<Stepper>,
    scorers: Vec<HoldoutScorer>,
}

/// The parts of the model that a fit changes or reads.
pub(super) struct Subject<'a> {
    pub config: &'a ModelConfig,
    pub params: &'a mut Parameters,
    pub inputs: &'a mut Scaler,
    pub targets: &'a mut Scaler,
    pub rng: &'a mut StreamRng,
    pub team: &'a Team,
}

impl Fit {
    /// Splits the buffer's rows and draws the first epoch.
    pub(super) fn begin(subject: &mut Subject<'_>, replay: &Replay) -> Result<Self, AgentError> {
        let (config, members) = (subject.config, subject.params.members);
        let rows = replay.len();
        if rows < 2 {
            let problem = format!("{rows} transitions cannot be split into some to fit and some to hold out");
            return Err(AgentError::Replay { problem });
        }
        let most = config.holdout_rows.unwrap_or(usize::MAX).min(rows - 1);
        let held = ((rows as f64 * config.holdout_ratio) as usize).clamp(1, most);
        let mut all: Vec<u32> = (0..rows as u32).collect();
        all.shuffle(subject.rng);
        let train = all.split_off(held);
        *subject.inputs = Scaler::of_inputs(replay, &train);
        if config.targets == Targets::Standardised {
            *subject.targets = Scaler::of_targets(replay, &train);
        }
        let count = train.len() as u32;
        let mut order: Vec<Vec<u32>> = (0..members)
            .map(|_| match config.bootstrap {
                Some(false) => (0..count).collect(),
                _ => (0..count).map(|_| subject.rng.random_range(0..count)).collect(),
            })
            .collect();
        order.iter_mut().for_each(|rows| rows.shuffle(subject.rng));
        Ok(Self { train, holdout: all, order, ..Self::empty(subject.params) })
    }

    /// A fit without rows, for a saved one to be loaded into.
    pub(super) fn empty(params: &Parameters) -> Self {
        Self {
            train: Vec::new(),
            holdout: Vec::new(),
            order: vec![Vec::new(); params.members],
            epoch: 0,
            done: 0,
            steps: 0,
            loss_sum: 0.0,
            loss_count: 0,
            stale: 0,
            best: vec![f64::INFINITY; params.members],
            snapshots: (0..params.members).map(|e| params.member(e).to_vec()).collect(),
            loaded: None,
        }
    }

    /// Gathers the rows and allocates the buffers.
    fn load_data(&mut self, subject: &Subject<'_>, replay: &Replay) -> Result<(), AgentError> {
        if self.loaded.is_some() {
            return Ok(());
        }
        let (config, params, team) = (subject.config, &*subject.params, subject.team);
        let scalers = Scalers { inputs: subject.inputs, targets: subject.targets };
        let (train, holdout) = (FitData::of(replay, &self.train, scalers), FitData::of(replay, &self.holdout, scalers));
        let (whole, rest) = (config.batch_size.min(train.rows()), train.rows() % config.batch_size);
        let sizes = [whole, rest].into_iter().take(if rest == 0 || rest == whole { 1 } else { 2 });
        let decay = config.decay();
        let steppers =
            sizes.map(|rows| Stepper::new(params, &decay, train.predicted(), rows, team)).collect::<Result<_, _>>()?;
        let shares = team.shares(holdout.rows());
        let scorers = shares.into_iter().map(|rows| HoldoutScorer::new(params, rows)).collect::<Result<_, _>>()?;
        self.loaded = Some(LoadedData { train, holdout, steppers, scorers });
        Ok(())
    }

    /// Makes up to `steps` gradient steps, at most to the end of an epoch. Returns the report once the fit
    /// is finished.
    pub(super) fn advance(
        &mut self,
        subject: &mut Subject<'_>,
        replay: &Replay,
        steps: u64,
    ) -> Result<Option<FitReport>, AgentError> {
        self.load_data(subject, replay)?;
        let Some(loaded) = &mut self.loaded else { return Ok(None) };
        let learn_bounds = subject.config.log_variance.learned != Some(false);
        let total = self.train.len();
        for _ in 0..steps {
            let rows = subject.config.batch_size.min(total - self.done);
            let Some(stepper) = loaded.steppers.iter_mut().find(|stepper| stepper.rows() == rows) else { break };
            let batch: Vec<&[u32]> = self.order.iter().map(|order| &order[self.done..self.done + rows]).collect();
            let loss = stepper.step(subject.params, &loaded.train, &batch, learn_bounds, subject.team)?;
            if !loss.is_finite() {
                return Err(diverged("loss", loss, subject.params.steps()));
            }
            self.loss_sum += loss;
            self.loss_count += 1;
            self.steps += 1;
            self.done += rows;
            if self.done == total {
                break;
            }
        }
        if self.done < total { Ok(None) } else { self.end_epoch(subject) }
    }

    /// Scores the members, keeps what got better, and starts the next epoch or ends the fit.
    fn end_epoch(&mut self, subject: &mut Subject<'_>) -> Result<Option<FitReport>, AgentError> {
        let config = subject.config;
        let losses = self.score(subject)?;
        if let Some(loss) = losses.iter().find(|loss| !loss.is_finite()) {
            return Err(diverged("held-out error", *loss, subject.params.steps()));
        }
        let mut better = false;
        for (member, &loss) in losses.iter().enumerate() {
            let best = self.best[member];
            if best.is_infinite() || (best - loss) / best > config.improvement {
                self.best[member] = loss;
                self.snapshots[member].copy_from_slice(subject.params.member(member));
                better = true;
            }
        }
        self.stale = if better { 0 } else { self.stale + 1 };
        self.epoch += 1;
        let train_loss = self.loss_sum / self.loss_count as f64;
        if self.stale <= config.patience && config.max_epochs.is_none_or(|most| self.epoch < most) {
            self.order.iter_mut().for_each(|rows| rows.shuffle(subject.rng));
            (self.done, self.loss_sum, self.loss_count) = (0, 0.0, 0);
            return Ok(None);
        }
        if config.restore_best != Some(false) {
            self.snapshots.iter().enumerate().for_each(|(e, best)| subject.params.set_member(e, best));
        }
        Ok(Some(FitReport {
            epochs: self.epoch,
            steps: self.steps,
            train_loss,
            holdout_loss: f64::NAN, // set by the caller, which chooses the elites
            train_rows: self.train.len(),
            holdout_rows: self.holdout.len(),
        }))
    }

    /// Each member's held-out error: mean over rows and coordinates of (μ − y)², in the targets' units.
    pub(super) fn score(&mut self, subject: &Subject<'_>) -> Result<Vec<f64>, AgentError> {
        let members = subject.params.members;
        let Some(loaded) = &mut self.loaded else { return Ok(vec![f64::NAN; members]) };
        let holdout = &loaded.holdout;
        subject.team.run(&mut loaded.scorers, |scorer| scorer.score(holdout))?;
        let numbers = (holdout.rows() * holdout.predicted()) as f64;
        Ok((0..members).map(|e| loaded.scorers.iter().map(|scorer| scorer.sums[e]).sum::<f64>() / numbers).collect())
    }

    /// Everything but what the replay gives back.
    pub(super) fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), AgentError> {
        io.indices("train", &mut self.train)?;
        io.indices("holdout", &mut self.holdout)?;
        io.value("epoch", &mut self.epoch)?;
        io.value("done", &mut self.done)?;
        io.value("steps", &mut self.steps)?;
        io.scalars("loss_sum", [&mut self.loss_sum])?;
        io.value("loss_count", &mut self.loss_count)?;
        io.value("stale", &mut self.stale)?;
        for (member, best) in self.best.iter_mut().enumerate() {
            let mut io = io.scope(&member.to_string());
            io.indices("order", &mut self.order[member])?;
            if self.order[member].len() != self.train.len() || self.done > self.train.len() || self.train.is_empty() {
                return Err(io.bad("order", "does not fit the rows learned from").into());
            }
            // A first epoch's best errors are infinite, which a checkpoint takes for damage; −1 stands for it.
            let mut finite = if best.is_infinite() { -1.0 } else { *best };
            io.scalars("best", [&mut finite])?;
            *best = if finite < 0.0 { f64::INFINITY } else { finite };
            io.f32("snapshot", &mut self.snapshots[member])?;
        }
        Ok(())
    }
}

fn diverged(what: &str, value: f64, updates: u64) -> AgentError {
    AgentError::NonFinite { what: format!("the dynamics model's {what}"), value, updates }
}

/// One team member's share of the held-out rows.
#[derive(Debug)]
struct HoldoutScorer {
    rows: std::ops::Range<usize>,
    weights: Vec<Weights>,
    forward: Forward,
    x: Buffer,
    /// Each member's Σ (μ − y)².
    sums: Vec<f64>,
}

impl HoldoutScorer {
    fn new(params: &Parameters, rows: std::ops::Range<usize>) -> Result<Self, AgentError> {
        let (mlp, capacity) = (&params.mlp, rows.len().min(MEASURED));
        Ok(Self {
            rows,
            weights: (0..params.members).map(|e| Weights::new(mlp, &params.values, e * mlp.len())).collect(),
            forward: Forward::new(mlp, capacity)?,
            x: Buffer::zeros(&[capacity, mlp.inputs()])?,
            sums: vec![0.0; params.members],
        })
    }

    fn score(&mut self, data: &FitData) -> Result<(), AgentError> {
        self.sums.fill(0.0);
        let (capacity, dims) = (self.forward.capacity(), data.predicted());
        let mut start = self.rows.start;
        while start < self.rows.end {
            let end = (start + capacity).min(self.rows.end);
            let (x, y) = data.range(start..end);
            self.x.slice_mut()[..x.len()].copy_from_slice(x);
            let x = self.x.tensor().f_narrow(0, 0, (end - start) as i64)?;
            for (weights, sum) in self.weights.iter().zip(&mut self.sums) {
                let output = self.forward.run(weights, &x)?;
                let width = output.len() / (end - start);
                for (output, y) in output.chunks_exact(width).zip(y.chunks_exact(dims)) {
                    *sum += output.iter().zip(y).map(|(mean, y)| f64::from((mean - y) * (mean - y))).sum::<f64>();
                }
            }
            start = end;
        }
        Ok(())
    }
}
