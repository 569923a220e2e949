//! Lipschitz bounds of one network: upper bounds by every method that applies, everywhere and over
//! boxes, each beside the largest Jacobian norm observed.
//!
//! | file | content |
//! | --- | --- |
//! | `method` | one upper bound by one method |
//! | `boxes` | the boxes around the inputs that episodes visit |
//! | `rows` | the methods and boxes of a report, in its order |
//! | `inputs` | the inputs that a network gets in greedy episodes |
//!
//! Methods and proofs are in [`liprl_control::certify`].

mod boxes;
mod inputs;
mod method;
mod rows;

pub(crate) use boxes::BoxChoice;
pub(crate) use inputs::visited_inputs;
pub(crate) use method::{BoundMethod, upper_bound};
pub(crate) use rows::{BoundOptions, BoundRow, MethodKind, bound_rows};
