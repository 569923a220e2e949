//! Jacobian norms of the simulator at the states of an evaluation, to compare ‖J_f‖ of a learned
//! model with.
//!
//! | metric | meaning |
//! | --- | --- |
//! | `lipschitz/simulator_jacobian/visited/<statistic>` | ‖∂s'/∂(s, a)‖₂ of one environment step, largest singular value, by central differences of 1e-6; s in the environment's units, a in [-1, 1] |

use liprl_agents::AgentError;
use liprl_envs::Step;
use liprl_nets::lipschitz::{spectral_norms, summarise};
use tch::Tensor;

use crate::task::{Task, TaskError};

/// Size of a difference, which leaves half the digits of an f64 for the derivative.
const INCREMENT: f64 = 1e-6;

/// States of an evaluation, and the actions taken there.
pub(super) struct JacobianSamples {
    stride: usize,
    steps: usize,
    /// The state before the running step, if it will be kept.
    pending: Option<Vec<u8>>,
    kept: Vec<(Vec<u8>, Vec<f64>)>,
}

impl JacobianSamples {
    /// Keeps every `stride`-th state.
    pub(super) fn new(stride: usize) -> Self {
        Self { stride, steps: 0, pending: None, kept: Vec::new() }
    }

    /// Watches an episode, as `rollout::run_episode` calls it.
    pub(super) fn watch(&mut self, task: &Task, step: Option<&Step>) {
        if step.is_some()
            && let Some(state) = self.pending.take()
        {
            self.kept.push((state, task.raw_action().to_vec()));
        }
        if step.is_none_or(|step| !step.done()) {
            self.pending = self.steps.is_multiple_of(self.stride).then(|| task.save());
            self.steps += 1;
        }
    }

    /// Measures at `count` of the states, evenly spread; empty if the task does not give access to
    /// its state.
    pub(super) fn measure(&self, task: &mut Task, count: usize) -> Result<Vec<(String, f64)>, TaskError> {
        let mut matrices = Vec::new();
        let count = count.min(self.kept.len());
        for index in 0..count {
            let (state, action) = &self.kept[index * self.kept.len() / count];
            task.restore(state)?;
            let Some(matrix) = task.jacobian(action, INCREMENT)? else { return Ok(Vec::new()) };
            matrices.extend(matrix);
        }
        let mut metrics = Vec::new();
        if count > 0 {
            let shape = [count as i64, task.obs_dim() as i64, -1];
            let matrices = Tensor::f_from_slice(&matrices).and_then(|flat| flat.f_view(shape));
            let norms = spectral_norms(&matrices.map_err(AgentError::from)?).map_err(AgentError::from)?;
            summarise("simulator_jacobian", "visited", &norms, &mut metrics);
        }
        Ok(metrics)
    }
}
