//! Policies given by a table of state–action pairs: the closest Lipschitz values (the oracle) and
//! their extension to all states.

mod oracle;
mod points;
mod table;

pub use oracle::{Constrained, Fit, closest};
pub use points::{Points, slope};
pub use table::Table;
