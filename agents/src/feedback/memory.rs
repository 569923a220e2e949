//! Memory that a feedback policy needs.

use super::{ConstraintConfig, FeedbackConfig};
use crate::memory::{COPIES, MemoryParts, MemorySizes, NUMBER, NetworkSizes};

/// The policy, and pairs of rows.
pub(crate) fn feedback(parts: &mut MemoryParts, config: &FeedbackConfig) {
    let MemorySizes { obs_dim, act_dim, .. } = parts.sizes();
    let (inputs, outputs, rows) = (obs_dim, act_dim, config.batch_size);
    let of = NetworkSizes { hidden: &config.network.hidden, inputs, outputs, count: 1, copies: COPIES, rows };
    parts.networks("agent", "network.hidden", &of);
    // Distances of all pairs, in f64.
    let pairs = |rows: usize| 2.0 * NUMBER * (rows as f64).powi(2);
    if let Some(rows) = config.oracle {
        parts.add("agent.oracle".to_owned(), "pairs", pairs(rows), false);
    }
    if let ConstraintConfig::Kirszbraun { rows, .. } = config.constraint {
        parts.add("agent.constraint.rows".to_owned(), "pairs", pairs(rows), false);
    }
}
