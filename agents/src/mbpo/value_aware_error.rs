//! The value-aware model error (Farahmand 2018; Zheng et al. 2023): the distance between the Bellman
//! operators of the true and the learned dynamics on a value function,
//!
//! L = γ² E[(E V(s') − E V(ŝ'))²] ≤ γ² E[(V(ŝ') − V(s'))²],
//!
//! s' from the task and ŝ' from the model at the same (s, a). The right-hand side can be measured, and
//! is what is logged. If V is K-Lipschitz on a set with both next states in it, it is at most
//! γ² K² E‖ŝ' − s'‖², and |T*Q − T̂*Q|(s, a) ≤ γ K W₁(P(·|s, a), P̂(·|s, a)).
//! With a model that draws, it contains the variance of the draws; so it is also measured with the
//! model's mean.

use crate::AgentError;

/// γ² mean (V(ŝ') − V(s'))², given both values of each row; 0 without rows.
///
/// # Errors
/// [`AgentError::BadConfig`] if the numbers of values differ.
pub fn value_aware_error(gamma: f64, real: &[f64], imagined: &[f64]) -> Result<f64, AgentError> {
    if real.len() != imagined.len() {
        let problem = format!("{} values of real states, {} of imagined ones", real.len(), imagined.len());
        return Err(AgentError::BadConfig { setting: "value-aware error".into(), problem });
    }
    let squares: f64 = real.iter().zip(imagined).map(|(real, imagined)| (imagined - real).powi(2)).sum();
    Ok(gamma * gamma * squares / real.len().max(1) as f64)
}
