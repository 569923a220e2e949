//! SAC's temperature: J(α) = mean(−α (log π(ã|s) + H̄)), a step on log α (Haarnoja et al. 2018, eq. 18).

use liprl_nets::optim::{BETA1, BETA2, EPS};
use liprl_numerics::StateIo;

use super::Temperature;
use crate::AgentError;

/// α, and the Adam that tunes its logarithm if it is tuned. One number, so plain f64 everywhere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tuner {
    /// log α; if α is fixed at 0 the least finite number, whose exponential is 0.
    log_alpha: f64,
    m: f64,
    v: f64,
    steps: u64,
}

impl Tuner {
    /// The start.
    pub(crate) fn new(config: &Temperature) -> Self {
        let alpha = match config {
            Temperature::Auto { initial, .. } => *initial,
            Temperature::Fixed { alpha } => *alpha,
        };
        Self { log_alpha: alpha.ln().max(f64::MIN), m: 0.0, v: 0.0, steps: 0 }
    }

    /// α.
    pub(crate) fn alpha(&self) -> f64 {
        self.log_alpha.exp()
    }

    /// One Adam step, given the batch mean of log π.
    pub(crate) fn step(&mut self, config: &Temperature, mean_log_prob: f64, act_dim: usize) {
        let Temperature::Auto { target_entropy, lr, lr_schedule, .. } = config else { return };
        let target = target_entropy.unwrap_or(-(act_dim as f64));
        let gradient = loss(self.log_alpha, mean_log_prob, target);
        let factor = lr_schedule.factor(self.steps);
        self.steps += 1;
        let power = self.steps.min(i32::MAX as u64) as i32;
        self.m += (1.0 - BETA1) * (gradient - self.m);
        self.v = BETA2 * self.v + (1.0 - BETA2) * gradient * gradient;
        let (m, v) = (self.m / (1.0 - BETA1.powi(power)), self.v / (1.0 - BETA2.powi(power)));
        self.log_alpha -= lr * factor * m / (v.sqrt() + EPS);
    }

    /// Everything, under `temperature/…`.
    pub(crate) fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), AgentError> {
        io.scalars("temperature/log_alpha_m_v", [&mut self.log_alpha, &mut self.m, &mut self.v])?;
        Ok(io.value("temperature/steps", &mut self.steps)?)
    }
}

/// J(α), which is also its derivative with respect to log α.
pub(crate) fn loss(log_alpha: f64, mean_log_prob: f64, target_entropy: f64) -> f64 {
    -log_alpha.exp() * (mean_log_prob + target_entropy)
}

#[cfg(test)]
mod tests {
    use liprl_numerics::State;

    use super::*;

    /// A checkpoint takes finite numbers alone, and the logarithm of 0 is not finite.
    #[test]
    fn a_temperature_of_zero_is_zero_and_can_be_saved() {
        let mut saved = Tuner::new(&Temperature::Fixed { alpha: 0.0 });
        let state = State::of(|io| saved.state(io)).unwrap();
        let numbers = state.f64("temperature/log_alpha_m_v", &[3]).unwrap();
        assert!(numbers.iter().all(|number| number.is_finite()), "{numbers:?}");
        let mut loaded = Tuner::new(&Temperature::Fixed { alpha: 1.0 });
        loaded.state(&mut StateIo::load_from(&state)).unwrap();
        assert_eq!((saved.alpha(), loaded.alpha()), (0.0, 0.0));
    }
}
