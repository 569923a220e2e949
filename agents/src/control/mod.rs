//! Control of known systems: what a learned feedback policy is compared with, and what bounds the difference.
//!
//! | file | what |
//! | --- | --- |
//! | `expert` | something that can be asked for the right action at any observation |

mod expert;

pub use expert::{Expert, Scaled};
