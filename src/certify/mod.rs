//! Lipschitz bounds of one network: upper bounds by every method that applies, everywhere and over
//! boxes, each beside the largest Jacobian norm observed.
//!
//! | file | content |
//! | --- | --- |
//! | `method` | one upper bound by one method |
//! | `boxes` | the boxes around the inputs that episodes visit, and given ones |
//! | `construction` | the constant of policies that have one by construction |
//! | `least` | the least proven bound of each norm and region |
//! | `rows` | the methods and boxes of a report, in its order |
//! | `inputs` | the inputs that a network gets in greedy episodes, or at demonstrations |
//!
//! Methods and proofs are in [`liprl_control::certify`].

mod boxes;
mod construction;
mod inputs;
mod least;
mod method;
mod rows;

pub(crate) use boxes::BoxChoice;
pub(crate) use construction::constant_by_construction;
pub(crate) use inputs::{demonstrated_inputs, visited_inputs};
pub(crate) use least::{LeastBound, least_bounds};
pub(crate) use method::{BoundMethod, upper_bound};
pub(crate) use rows::{BoundOptions, BoundRow, MethodKind, bound_rows};
