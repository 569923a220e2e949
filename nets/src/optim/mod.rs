//! Adam, Polyak averaging, clipping and schedules as passes over flat buffers; Muon, and Lipschitz
//! constants that steps keep.
//!
//! | file | content |
//! | --- | --- |
//! | `adam` | Adam's constants and the numbers of one step |
//! | `train_state` | networks with their parameters and moments |
//! | `target` | networks that follow others slowly |
//! | `step` | one fused step over flat buffers |
//! | `constants` | their Lipschitz constants, for evaluations |
//! | `flat` | views and rescaling of flat buffers |
//! | `construction` | free numbers in place of weights |
//! | `constraint` | limits on weight matrices, kept after each step |
//! | `muon` | steps along orthonormal factors |
//! | `matrices` | singular values of weight matrices by products |

mod adam;
mod constants;
mod constraint;
mod construction;
mod flat;
mod matrices;
mod muon;
mod step;
mod target;
mod train_state;

pub use adam::{BETA1, BETA2, EPS, OptimiserConfig};
pub use constants::constants;
pub use target::Target;
pub use train_state::TrainState;
