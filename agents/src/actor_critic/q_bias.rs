//! Bias of the critics' values at evaluations, for agents that learn from the environment's rewards as
//! they are.
//!
//! | metric | meaning |
//! | --- | --- |
//! | `q_bias/mean` | mean of min Q(s, a) − G over the evaluation's pairs; G is the discounted return that followed there |
//! | `q_bias/std` | its standard deviation over them |
//! | `q_bias/return_mean` | mean of G |
//!
//! G is the greedy policy's and has no entropy bonus, both of which SAC's Q has. Pairs of an episode that
//! a time limit cut off too soon (γᵗ > 0.02) are left out; without any pair there is no such metric.

use super::ProbedPairs;

/// Adds the bias of the critics' least value at these pairs, if they are an evaluation's: others have no
/// episodes to follow.
pub(crate) fn q_bias(probe: &ProbedPairs, gamma: f64, metrics: &mut Vec<(String, f64)>) {
    let returns = probe.pairs.returns(gamma);
    let known: Vec<(f64, f64)> = probe.least.iter().zip(&returns).filter_map(|(q, g)| Some((*q, (*g)?))).collect();
    if known.is_empty() {
        return;
    }
    let n = known.len() as f64;
    let mean = known.iter().map(|(q, g)| q - g).sum::<f64>() / n;
    let variance = known.iter().map(|(q, g)| (q - g - mean).powi(2)).sum::<f64>() / n;
    metrics.push(("q_bias/mean".into(), mean));
    metrics.push(("q_bias/std".into(), variance.sqrt()));
    metrics.push(("q_bias/return_mean".into(), known.iter().map(|(_, g)| g).sum::<f64>() / n));
}
