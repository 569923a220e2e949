//! Feedback policies from demonstrations under a Lipschitz constraint (arXiv 2103.16629).

pub mod oracle;
pub mod points;
pub mod table;
