//! The data of a fit: inputs (s, a), standardised, and targets (reward, s' − s), raw or standardised.

use liprl_numerics::StateIo;

use crate::{AgentError, Replay, replay::Row};

/// x ↦ (x − mean)/std of each coordinate.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaler {
    /// Mean.
    pub mean: Vec<f32>,
    /// Inverse standard deviation.
    pub inverse: Vec<f32>,
}

impl Scaler {
    /// The scaler that changes nothing.
    pub fn identity(dim: usize) -> Self {
        Self { mean: vec![0.0; dim], inverse: vec![1.0; dim] }
    }

    /// The scaler of inputs, by the moments of these rows of the buffer.
    pub fn of_inputs(replay: &Replay, rows: &[u32]) -> Self {
        Self::of(replay.config().obs_dim + replay.config().act_dim, replay, rows, |row, x| {
            row.obs.iter().chain(row.action).zip(x).for_each(|(raw, x)| *x = *raw);
        })
    }

    /// The scaler of targets, by the moments of these rows of the buffer.
    pub fn of_targets(replay: &Replay, rows: &[u32]) -> Self {
        Self::of(replay.config().obs_dim + 1, replay, rows, target)
    }

    /// The scaler by the moments of the numbers that `read` reads (division by the number of rows).
    /// Deviations below 1e-12 count as 1.
    fn of(dim: usize, replay: &Replay, rows: &[u32], read: impl Fn(&Row<'_>, &mut [f32])) -> Self {
        let (mut mean, mut squares) = (vec![0.0; dim], vec![0.0; dim]);
        let mut numbers = vec![0.0; dim];
        let mut each = |at: &mut dyn FnMut(usize, f64)| {
            for row in rows.iter().filter_map(|&row| replay.get(row)) {
                read(&row, &mut numbers);
                numbers.iter().enumerate().for_each(|(j, &x)| at(j, f64::from(x)));
            }
        };
        each(&mut |j, x| mean[j] += x);
        mean.iter_mut().for_each(|mean| *mean /= rows.len().max(1) as f64);
        each(&mut |j, x| squares[j] += (x - mean[j]).powi(2));
        let inverse = |sum: &f64| {
            let std = (sum / rows.len().max(1) as f64).sqrt();
            if std < 1e-12 { 1.0 } else { (1.0 / std) as f32 }
        };
        Self { mean: mean.iter().map(|&x| x as f32).collect(), inverse: squares.iter().map(inverse).collect() }
    }

    /// Standardises (s, a) into `x`.
    pub fn apply(&self, obs: &[f32], action: &[f32], x: &mut [f32]) {
        let (state, rest) = x.split_at_mut(obs.len());
        state.copy_from_slice(obs);
        rest.copy_from_slice(action);
        self.standardise(x);
    }

    /// Standardises `x`, which may be shorter than the scaler: its first coordinates.
    pub fn standardise(&self, x: &mut [f32]) {
        let each = self.mean.iter().zip(&self.inverse);
        x.iter_mut().zip(each).for_each(|(x, (mean, inverse))| *x = (*x - mean) * inverse);
    }

    /// Everything.
    pub(super) fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), AgentError> {
        io.f32("mean", &mut self.mean)?;
        Ok(io.f32("inverse", &mut self.inverse)?)
    }
}

/// Standardisation of inputs and targets.
#[derive(Clone, Copy, Debug)]
pub struct Scalers<'a> {
    /// (s, a).
    pub inputs: &'a Scaler,
    /// (reward, s' − s); changes nothing if targets are raw.
    pub targets: &'a Scaler,
}

/// Writes (reward, s' − s) to `y`.
fn target(row: &Row<'_>, y: &mut [f32]) {
    y[0] = row.reward;
    let deltas = row.next_obs.iter().zip(row.obs);
    y[1..].iter_mut().zip(deltas).for_each(|(y, (next, obs))| *y = next - obs);
}

/// Rows of inputs and targets.
#[derive(Debug)]
pub struct FitData {
    x: Vec<f32>,
    y: Vec<f32>,
    inputs: usize,
    predicted: usize,
}

impl FitData {
    /// `x [N, inputs]` and `y [N, predicted]`, flat.
    pub fn new(x: Vec<f32>, y: Vec<f32>, inputs: usize, predicted: usize) -> Self {
        Self { x, y, inputs, predicted }
    }

    /// These rows of the buffer, in this order, standardised.
    pub fn of(replay: &Replay, rows: &[u32], scalers: Scalers<'_>) -> Self {
        let (obs_dim, act_dim) = (replay.config().obs_dim, replay.config().act_dim);
        let (inputs, predicted) = (obs_dim + act_dim, obs_dim + 1);
        let mut data = Self::new(vec![0.0; rows.len() * inputs], vec![0.0; rows.len() * predicted], inputs, predicted);
        let slots = data.x.chunks_exact_mut(inputs).zip(data.y.chunks_exact_mut(predicted));
        for ((x, y), row) in slots.zip(rows.iter().filter_map(|&row| replay.get(row))) {
            scalers.inputs.apply(row.obs, row.action, x);
            target(&row, y);
            scalers.targets.standardise(y);
        }
        data
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.y.len() / self.predicted
    }

    /// Coordinates of a target.
    pub fn predicted(&self) -> usize {
        self.predicted
    }

    /// Copies rows into `x [R, inputs]` and `y [R, predicted]`.
    pub fn gather(&self, rows: &[u32], x: &mut [f32], y: &mut [f32]) {
        let slots = x.chunks_exact_mut(self.inputs).zip(y.chunks_exact_mut(self.predicted));
        for ((x, y), &row) in slots.zip(rows) {
            x.copy_from_slice(&self.x[row as usize * self.inputs..][..self.inputs]);
            y.copy_from_slice(&self.y[row as usize * self.predicted..][..self.predicted]);
        }
    }

    /// Inputs and targets of consecutive rows.
    pub fn range(&self, rows: std::ops::Range<usize>) -> (&[f32], &[f32]) {
        (
            &self.x[rows.start * self.inputs..rows.end * self.inputs],
            &self.y[rows.start * self.predicted..rows.end * self.predicted],
        )
    }
}
