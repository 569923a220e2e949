//! Environments around environments.

mod absorbing_state;
mod action_repeat;
mod forward;
mod observation_noise;
mod time_limit;

pub use absorbing_state::AbsorbingState;
pub use action_repeat::ActionRepeat;
pub use observation_noise::ObservationNoise;
pub use time_limit::TimeLimit;
