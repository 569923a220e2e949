//! Adam, Polyak averaging, clipping and schedules as passes over flat buffers.
//!
//! | file | content |
//! | --- | --- |
//! | `adam` | Adam's constants and the numbers of one step |
//! | `train_state` | networks with their parameters and moments |
//! | `target` | networks that follow others slowly |
//! | `step` | one fused step over flat buffers |
//! | `flat` | views and rescaling of flat buffers |

mod adam;
mod flat;
mod step;
mod target;
mod train_state;

pub use adam::{BETA1, BETA2, EPS, OptimiserConfig};
pub use target::Target;
pub use train_state::TrainState;
