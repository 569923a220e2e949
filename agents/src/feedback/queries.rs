//! Queries to an expert while training, by DAgger or DART.

use liprl_numerics::{StateIo, StreamRng};
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};

use super::{expert::QueriedExpert, expert_config::QueriesConfig, pairs::LabelledPairs};
use crate::AgentError;

/// The expert, and the state of the queries to it.
pub(super) struct Queries {
    config: QueriesConfig,
    expert: Box<dyn QueriedExpert>,
    /// Queries so far.
    asked: u64,
    /// Lower triangle L of the noise's covariance LLᵀ, `[A, A]`, for DART.
    noise: Vec<f64>,
    rng: StreamRng,
    /// The observation of `label`; empty at first.
    at: Vec<f32>,
    label: Vec<f32>,
}

impl Queries {
    /// Queries to `expert` by `config`, for actions of `act_dim` numbers.
    pub(super) fn new(config: &QueriesConfig, expert: Box<dyn QueriedExpert>, act_dim: usize, rng: StreamRng) -> Self {
        let mut queries = Self {
            config: config.clone(),
            expert,
            asked: 0,
            noise: Vec::new(),
            rng,
            at: Vec::new(),
            label: vec![0.0; act_dim],
        };
        // Before the learner's errors are known, the noise is isotropic.
        let each = 1.0 / act_dim as f64;
        queries.shape_noise(
            &(0..act_dim * act_dim).map(|at| if at % (act_dim + 1) == 0 { each } else { 0.0 }).collect::<Vec<_>>(),
        );
        queries
    }

    /// Writes the expert's action at `obs` into `label`. It is a function of `obs` alone, so that a
    /// checkpoint needs nothing of the expert.
    fn label(&mut self, obs: &[f32]) -> Result<(), AgentError> {
        if self.at != obs {
            self.at.clear();
            self.expert.begin();
            self.expert.act(obs, &mut self.label)?;
            self.at.extend_from_slice(obs);
        }
        Ok(())
    }

    /// True while rounds are left.
    pub(super) fn open(&self) -> bool {
        let (rounds, steps) = self.config.rounds();
        self.asked < rounds * steps
    }

    /// True if a round has just ended.
    pub(super) fn round_ended(&self) -> bool {
        self.asked > 0 && self.asked.is_multiple_of(self.config.rounds().1)
    }

    /// True if the noise is shaped again after each round.
    pub(super) fn wants_errors(&self) -> bool {
        matches!(self.config, QueriesConfig::Dart { .. })
    }

    /// True if the next step is the expert's, whose action is then in `action`. Otherwise the step is the
    /// learner's.
    pub(super) fn act(&mut self, obs: &[f32], action: &mut [f32]) -> Result<bool, AgentError> {
        let (rounds, steps) = self.config.rounds();
        match self.config {
            QueriesConfig::Dagger { .. } => {
                let beta = 1.0 - (self.asked / steps) as f64 / rounds as f64;
                if self.rng.random_range(0.0..1.0) >= beta {
                    return Ok(false);
                }
                self.label(obs)?;
                action.copy_from_slice(&self.label);
            }
            QueriesConfig::Dart { .. } => {
                self.label(obs)?;
                action.copy_from_slice(&self.label);
                let a = action.len();
                let draws: Vec<f64> = (0..a).map(|_| StandardNormal.sample(&mut self.rng)).collect();
                for (i, action) in action.iter_mut().enumerate() {
                    let noise: f64 = (0..=i).map(|j| self.noise[i * a + j] * draws[j]).sum();
                    *action = (*action + noise as f32).clamp(-1.0, 1.0);
                }
            }
        }
        Ok(true)
    }

    /// Adds `obs` with the expert's action to `data`.
    pub(super) fn ask(&mut self, obs: &[f32], data: &mut LabelledPairs) -> Result<(), AgentError> {
        self.label(obs)?;
        data.push(obs, &self.label);
        self.asked += 1;
        Ok(())
    }

    /// Gives DART's noise the shape of the learner's errors, by their second moments `[A, A]`, and the
    /// configured trace (Laskey et al., section 4: the maximum-likelihood covariance, scaled to the error
    /// that is expected in the end).
    pub(super) fn shape_noise(&mut self, moments: &[f64]) {
        let QueriesConfig::Dart { noise, .. } = self.config else { return };
        let a = self.label.len();
        let trace: f64 = (0..a).map(|i| moments[i * a + i]).sum();
        if trace <= 0.0 {
            return; // without an error the old shape stays
        }
        let mut factor = vec![0.0; a * a];
        for i in 0..a {
            for j in 0..=i {
                let sum: f64 = (0..j).map(|k| factor[i * a + k] * factor[j * a + k]).sum();
                let rest = noise / trace * moments[i * a + j] - sum;
                // Errors in a plane leave a zero pivot.
                factor[i * a + j] = match (i == j, factor[j * a + j]) {
                    (true, _) => rest.max(0.0).sqrt(),
                    (false, pivot) if pivot > 1e-12 => rest / pivot,
                    (false, _) => 0.0,
                };
            }
        }
        self.noise = factor;
    }

    /// Everything that changes, but the rows.
    pub(super) fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), AgentError> {
        io.value("queries/asked", &mut self.asked)?;
        io.value("streams/queries", &mut self.rng)?;
        Ok(io.f64("queries/noise", &mut self.noise)?)
    }
}
