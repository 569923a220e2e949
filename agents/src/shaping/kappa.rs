//! From penalties p ≥ 0 to κ = max(floor, exp(−p/σ)) and r̃ = κ r (arXiv 2006.16785's authors'
//! code, `gail_mod_f`).
//!
//! A *call* is one reward call of the reference: an n-step window, or the whole batch if n is 1.
//! The mean penalty of each call, rows beyond a window's cut left out, goes into a queue of the
//! last `history`. The whole queue is then merged into running moments, whose deviation, never
//! below `std_floor`, is σ. So a call's mean counts `history` times before it leaves the queue;
//! `history: 1` counts each once. κ is computed with the σ that its own call has just moved.
//!
//! By default each row has its κ. With `per_call`, as in the reference, the call's rows share one κ
//! made of the call's mean penalty.
//!
//! κ carries no gradient, and multiplying by it is pessimistic only if r ≥ 0.

use std::collections::VecDeque;

use liprl_numerics::StateIo;

use super::{rows::ShapedRows, running_std::RunningStd};
use crate::{AgentError, Metrics};

/// Settings of κ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KappaOptions {
    /// κ is never smaller, in `[0, 1]`.
    pub floor: f64,
    /// Calls whose mean penalties are merged again with each call, at least 1.
    pub history: usize,
    /// σ is never smaller; positive.
    pub std_floor: f64,
    /// One κ for all rows of a call.
    pub per_call: bool,
}

/// The running scale of the penalties.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Kappa {
    options: KappaOptions,
    /// The last calls' mean penalties, oldest first.
    recent: VecDeque<f64>,
    scale: RunningStd,
}

impl Kappa {
    pub(super) fn new(options: KappaOptions) -> Self {
        Self { recent: VecDeque::with_capacity(options.history), scale: RunningStd::new(options.std_floor), options }
    }

    /// Multiplies each row's reward by its κ.
    pub(super) fn apply(&mut self, penalty: &[f32], rows: &ShapedRows<'_>, reward: &mut [f32], metrics: &mut Metrics) {
        let call = if rows.window > 1 { rows.window } else { reward.len() };
        let (mut sum, mut smallest, mut floored, mut count) = (0.0, 1.0, 0, 0);
        for (index, (reward, penalty)) in reward.chunks_mut(call.max(1)).zip(penalty.chunks(call.max(1))).enumerate() {
            let counts = |row: usize| rows.counts(index * call + row);
            let counted = (0..penalty.len()).filter(|&row| counts(row)).map(|row| f64::from(penalty[row]));
            let Some(mean) = mean(counted) else { continue };
            self.push(mean);
            for (row, (reward, penalty)) in reward.iter_mut().zip(penalty).enumerate() {
                let kappa = self.of(if self.options.per_call { mean } else { f64::from(*penalty) });
                *reward = (f64::from(*reward) * kappa) as f32;
                if counts(row) {
                    sum += kappa;
                    smallest = kappa.min(smallest);
                    floored += usize::from(kappa <= self.options.floor);
                    count += 1;
                }
            }
        }
        if count > 0 {
            metrics.add("lipschitz/kappa_mean", sum / f64::from(count));
            metrics.add("lipschitz/kappa_min", smallest);
            metrics.add("lipschitz/kappa_floor_share", floored as f64 / f64::from(count));
        }
    }

    /// A reward times the κ of its penalty, with σ as it stands.
    pub(super) fn held(&self, penalty: f32, reward: f32) -> f32 {
        (f64::from(reward) * self.of(f64::from(penalty))) as f32
    }

    /// κ of a penalty. A penalty that is not a number stays one, so that the learner's checks see
    /// it.
    fn of(&self, penalty: f64) -> f64 {
        let kappa = (-penalty / self.scale.std()).exp();
        if kappa < self.options.floor { self.options.floor } else { kappa }
    }

    /// One more call with this mean penalty.
    fn push(&mut self, mean: f64) {
        if self.recent.len() >= self.options.history {
            self.recent.pop_front();
        }
        self.recent.push_back(mean);
        self.scale.update(self.recent.iter().copied());
    }

    /// Everything that changes, under `kappa/…`.
    pub(super) fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), AgentError> {
        let mut recent = std::mem::take(&mut self.recent).into();
        io.f64_vec("kappa/recent", &mut recent)?;
        self.recent = recent.into();
        self.scale.state(io, "kappa/moments")
    }
}

/// The penalty of a gradient norm: max(0, norm − target)², or NaN if the norm is NaN.
pub(super) fn penalty(norm: f32, target: f64) -> f32 {
    let beyond = f64::from(norm) - target;
    if beyond < 0.0 { 0.0 } else { beyond.powi(2) as f32 }
}

fn mean(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = numbers.fold((0.0, 0), |(sum, count), x| (sum + x, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

#[cfg(test)]
mod tests {
    use liprl_numerics::State;

    use super::*;
    use crate::shaping::testing::Sample;

    const OPTIONS: KappaOptions = KappaOptions { floor: 0.7, history: 10, std_floor: 0.1, per_call: false };

    /// Shapes rewards of 1, so that they become κ.
    fn kappas(kappa: &mut Kappa, penalty: &[f32], window: usize, mask: Option<&[f32]>) -> (Vec<f32>, Vec<f64>) {
        let sample = Sample::new(penalty.len(), 1, 1);
        let rows = ShapedRows { steps: sample.steps(), window, mask, gradient_norms: &mut |_| Ok(Vec::new()) };
        let (mut reward, mut metrics) = (vec![1.0; penalty.len()], Metrics::default());
        kappa.apply(penalty, &rows, &mut reward, &mut metrics);
        (reward, metrics.drain().into_iter().map(|(_, value)| value).collect())
    }

    fn assert_all(a: &[f32], b: &[f64]) {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).for_each(|(a, b)| assert!((f64::from(*a) - b).abs() < 1e-6, "{a} {b}"));
    }

    #[test]
    fn a_batch_worked_out_by_hand() {
        // One call with mean penalty 0.025. Its moments, of the starting 10⁻⁴ at mean 0 and
        // deviation 1 and of one value, give a variance below 0.01. So σ = 0.1 and κ = exp(−10 p),
        // at least 0.7.
        let penalty = [0.0, 0.02, 0.03, 0.05];
        let (each, metrics) = kappas(&mut Kappa::new(OPTIONS), &penalty, 1, None);
        assert_all(&each, &[1.0, (-0.2f64).exp(), (-0.3f64).exp(), 0.7]);
        let sum = 1.0 + (-0.2f64).exp() + (-0.3f64).exp() + 0.7;
        assert!((metrics[0] - sum / 4.0).abs() < 1e-6);
        assert_eq!(metrics[1..], [0.7, 0.25]);
        let (shared, _) = kappas(&mut Kappa::new(KappaOptions { per_call: true, ..OPTIONS }), &penalty, 1, None);
        assert_all(&shared, &[(-0.25f64).exp(); 4]);
    }

    #[test]
    fn windows_are_calls_of_their_own_and_rows_beyond_a_cut_do_not_count() {
        // Windows (0, 2), (3, 9 beyond the cut): means 1 and 3. After the first, the deviation is
        // that of {1} with 10⁻⁴ of an observation (0, 1): variance (10⁻⁴ + 10⁻⁴ · 1/1.0001)/1.0001
        // = 2·10⁻⁴ < 0.01, so σ = 0.1. The second merges {1, 3}, of mean 2 and variance 1, with
        // 1.0001 observations of mean 1/1.0001 and deviation 0.1.
        let mask = [1.0, 1.0, 1.0, 0.0];
        let (count, mean) = (1.0001, 1.0 / 1.0001);
        let delta: f64 = 2.0 - mean;
        let std = ((0.01 * count + 2.0 + delta * delta * count * 2.0 / (count + 2.0)) / (count + 2.0)).sqrt();
        let options = KappaOptions { floor: 0.0, per_call: true, ..OPTIONS };
        let (shared, metrics) = kappas(&mut Kappa::new(options), &[0.0, 2.0, 3.0, 9.0], 2, Some(&mask));
        let (first, second) = ((-10f64).exp(), (-3.0 / std).exp());
        assert_all(&shared, &[first, first, second, second]);
        assert!((metrics[0] - (2.0 * first + second) / 3.0).abs() < 1e-9);
        let (each, _) =
            kappas(&mut Kappa::new(KappaOptions { floor: 0.0, ..OPTIONS }), &[0.0, 2.0, 3.0, 9.0], 2, Some(&mask));
        assert_all(&each, &[1.0, (-20f64).exp(), second, (-9.0 / std).exp()]);
    }

    #[test]
    fn the_queue_re_adds_its_last_calls() {
        // Calls of means 1 … 5 with a queue of 3 merge {1}, {1 2}, {1 2 3}, {2 3 4}, {3 4 5}.
        let mut kappa = Kappa::new(KappaOptions { history: 3, ..OPTIONS });
        for mean in 1..=5 {
            kappas(&mut kappa, &[mean as f32], 1, None);
        }
        let mut expected = RunningStd::new(0.1);
        for batch in [&[1.0][..], &[1.0, 2.0], &[1.0, 2.0, 3.0], &[2.0, 3.0, 4.0], &[3.0, 4.0, 5.0]] {
            expected.update(batch.iter().copied());
        }
        assert_eq!(kappa.scale, expected);
    }

    #[test]
    fn a_restored_scale_goes_on_to_the_bit() {
        let mut saved = Kappa::new(OPTIONS);
        for i in 0..7 {
            kappas(&mut saved, &[0.3 * i as f32, 1.0], 1, None);
        }
        let state = State::of(|io| saved.state(io)).unwrap();
        let state = State::from_bytes(&state.to_bytes().unwrap()).unwrap();
        let mut loaded = Kappa::new(OPTIONS);
        loaded.state(&mut StateIo::load_from(&state)).unwrap();
        assert_eq!(loaded, saved);
    }

    #[test]
    fn a_norm_that_is_not_a_number_is_hidden_neither_by_the_target_nor_by_the_floor() {
        let (kappa, _) = kappas(&mut Kappa::new(OPTIONS), &[penalty(f32::NAN, 1.0)], 1, None);
        assert!(kappa[0].is_nan());
    }

    #[test]
    fn only_norms_beyond_the_target_are_penalised() {
        assert_eq!([2.0, 7.0, 9.0].map(|norm| penalty(norm, 7.0)), [0.0, 0.0, 4.0]);
    }
}
