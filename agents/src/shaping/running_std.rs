//! Running standard deviation of arXiv 2006.16785's authors: moments over everything since the
//! start, batches merged by Chan, Golub & LeVeque (1983). It starts as 10⁻⁴ of an observation with
//! mean 0 and deviation 1, and is never below a floor. The floored value is merged with the next
//! batch.

use liprl_numerics::StateIo;

use crate::AgentError;

/// Observations the moments start with: enough to divide by, too little to matter.
const FIRST_COUNT: f64 = 1e-4;

/// Mean and deviation of numbers that come in batches.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RunningStd {
    floor: f64,
    count: f64,
    mean: f64,
    std: f64,
}

impl RunningStd {
    /// The deviation before the first batch, 1.
    pub(crate) fn new(floor: f64) -> Self {
        Self { floor, count: FIRST_COUNT, mean: 0.0, std: 1.0 }
    }

    /// The deviation.
    pub(crate) fn std(&self) -> f64 {
        self.std
    }

    /// Adds a batch.
    pub(crate) fn update(&mut self, batch: impl ExactSizeIterator<Item = f64> + Clone) {
        let n = batch.len() as f64;
        if n == 0.0 {
            return;
        }
        let mean = batch.clone().sum::<f64>() / n;
        let m2 = batch.map(|x| (x - mean).powi(2)).sum::<f64>();
        let (delta, total) = (mean - self.mean, self.count + n);
        let variance = (self.std * self.std * self.count + m2 + delta * delta * self.count * n / total) / total;
        self.mean += delta * n / total;
        self.std = variance.max(self.floor * self.floor).sqrt();
        self.count = total;
    }

    /// Everything.
    pub(crate) fn state(&mut self, io: &mut StateIo<'_>, name: &str) -> Result<(), AgentError> {
        Ok(io.scalars(name, [&mut self.count, &mut self.mean, &mut self.std])?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_add_up_to_the_deviation_of_all_numbers() {
        let xs: Vec<f64> = (0..60).map(|i| 3.0 + f64::from(i * i % 17)).collect();
        let mean = xs.iter().sum::<f64>() / 60.0;
        let std = (xs.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 60.0).sqrt();
        for size in [1, 7, 60] {
            let mut running = RunningStd::new(1e-9);
            xs.chunks(size).for_each(|batch| running.update(batch.iter().copied()));
            // The 10⁻⁴ of an observation at 0, of deviation 1, that it starts with moves the
            // variance by 10⁻⁴/60 · (mean² + 1 − std²).
            let expected = (std * std + 1e-4 / 60.0 * (mean * mean + 1.0 - std * std)).sqrt();
            assert!((running.std() - expected).abs() < 1e-6, "{size}: {} {expected}", running.std());
        }
    }

    #[test]
    fn equal_numbers_leave_the_floor() {
        let mut running = RunningStd::new(0.1);
        running.update([0.0; 10].into_iter());
        assert_eq!(running.std(), 0.1);
        running.update([].into_iter());
        assert_eq!(running.std(), 0.1);
    }
}
