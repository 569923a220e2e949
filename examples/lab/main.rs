//! liprl with kinds of your own. Every command knows them: configs, `check`, sweeps, reports.
//!
//! ```sh
//! cargo run --release -- train configs/point.yaml
//! ```

mod agent;
mod env;
mod regulariser;
mod reward;
mod shaping;

use std::process::ExitCode;

use liprl::Extensions;

pub(crate) fn extensions() -> Extensions {
    Extensions::new()
        .env(env::POINT)
        .shaping::<shaping::Clipped>("clipped")
        .reward::<reward::Nearest>("nearest")
        .regulariser::<regulariser::SmallValues>("small_values")
        .agent::<agent::Restless>("restless")
}

fn main() -> ExitCode {
    liprl::main_with(extensions())
}
