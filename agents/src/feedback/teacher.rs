//! An expert that can be asked, DAgger's and DART's ways of asking, and where what is asked is kept.

use liprl_control::Policy;
use liprl_numerics::{State, StreamRng};
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};

use super::{asking::QueriesConfig, data::Data};
use crate::AgentError;

/// Someone who knows what to do at any observation.
pub trait Teacher {
    /// Forgets what earlier calls left behind: the next observation does not follow from the last one. Nothing to do for a function of the
    /// observation alone.
    fn begin(&mut self) {}

    /// The action in `[-1, 1]` at `obs [O]`, into `action [A]`.
    fn act(&mut self, obs: &[f32], action: &mut [f32]) -> Result<(), AgentError>;
}

impl Teacher for Policy {
    fn act(&mut self, obs: &[f32], action: &mut [f32]) -> Result<(), AgentError> {
        Ok(Self::act(self, obs, action)?)
    }
}

/// Who acts in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Actor {
    Learner,
    Teacher,
}

/// The asking.
pub(super) struct Queries {
    config: QueriesConfig,
    teacher: Box<dyn Teacher>,
    /// Steps asked for so far.
    asked: u64,
    /// Lower triangle L of the noise's covariance LLᵀ, `[A, A]`, for DART.
    noise: Vec<f64>,
    rng: StreamRng,
    /// The observation that `label` answers; none at first.
    at: Vec<f32>,
    label: Vec<f32>,
}

impl Queries {
    /// Asking `teacher` as `config` says, about actions of `act_dim` numbers.
    pub(super) fn new(config: &QueriesConfig, teacher: Box<dyn Teacher>, act_dim: usize, rng: StreamRng) -> Self {
        let mut queries = Self {
            config: config.clone(),
            teacher,
            asked: 0,
            noise: Vec::new(),
            rng,
            at: Vec::new(),
            label: vec![0.0; act_dim],
        };
        // Before anything is known of the learner's errors the noise has no direction.
        let each = 1.0 / act_dim as f64;
        queries.shape_noise(
            &(0..act_dim * act_dim).map(|at| if at % (act_dim + 1) == 0 { each } else { 0.0 }).collect::<Vec<_>>(),
        );
        queries
    }

    /// What the teacher does at `obs`, into `label`: a function of `obs` alone, so that nothing of the teacher has to be saved.
    fn label(&mut self, obs: &[f32]) -> Result<(), AgentError> {
        if self.at != obs {
            self.at.clear();
            self.teacher.begin();
            self.teacher.act(obs, &mut self.label)?;
            self.at.extend_from_slice(obs);
        }
        Ok(())
    }

    /// Whether anything is still asked.
    pub(super) fn open(&self) -> bool {
        let (rounds, steps) = self.config.rounds();
        self.asked < rounds * steps
    }

    /// Whether a round has just ended.
    pub(super) fn round_ended(&self) -> bool {
        self.asked > 0 && self.asked.is_multiple_of(self.config.rounds().1)
    }

    /// Whether the noise has to be shaped anew after a round.
    pub(super) fn wants_errors(&self) -> bool {
        matches!(self.config, QueriesConfig::Dart { .. })
    }

    /// Writes the teacher's part of the next step into `action` and says whose step it is; the learner's is the caller's to fill in.
    pub(super) fn act(&mut self, obs: &[f32], action: &mut [f32]) -> Result<Actor, AgentError> {
        let (rounds, steps) = self.config.rounds();
        match self.config {
            QueriesConfig::Dagger { .. } => {
                let beta = 1.0 - (self.asked / steps) as f64 / rounds as f64;
                if self.rng.random_range(0.0..1.0) >= beta {
                    return Ok(Actor::Learner);
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
        Ok(Actor::Teacher)
    }

    /// Adds what the teacher does at `obs` to `data`.
    pub(super) fn ask(&mut self, obs: &[f32], data: &mut Data) -> Result<(), AgentError> {
        self.label(obs)?;
        data.push(obs, &self.label);
        self.asked += 1;
        Ok(())
    }

    /// Gives DART's noise the shape of the learner's errors, whose second moments `[A, A]` these are, and the configured trace (Laskey et
    /// al., section 4: the maximum-likelihood covariance, scaled to the error that is expected in the end).
    pub(super) fn shape_noise(&mut self, moments: &[f64]) {
        let QueriesConfig::Dart { noise, .. } = self.config else { return };
        let a = self.label.len();
        let trace: f64 = (0..a).map(|i| moments[i * a + i]).sum();
        if trace <= 0.0 {
            return; // no error yet: the old shape stays
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
    pub(super) fn save(&self, state: &mut State) {
        state.put("queries/asked", &self.asked);
        state.put("streams/queries", &self.rng);
        state.put_f64("queries/noise", &[self.noise.len()], &self.noise);
    }

    /// Takes back what `save` wrote.
    pub(super) fn load(&mut self, state: &State) -> Result<(), AgentError> {
        self.asked = state.get("queries/asked")?;
        self.rng = state.get("streams/queries")?;
        self.noise = state.f64("queries/noise", &[self.noise.len()])?.to_vec();
        Ok(())
    }
}
