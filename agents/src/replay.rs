//! One ring buffer for every agent.

/// Placeholder until the buffer lands.
#[derive(Debug)]
pub struct Replay;
