//! The commands, one file each.

mod certify;
mod check;
mod closed_loop;
mod demos;
mod envs;
mod eval;
mod plot;
mod record;
mod report;
mod schema;
mod sweep;
mod tradeoff;
mod train;

pub use certify::certify;
pub use check::check;
pub use demos::demos;
pub use envs::envs;
pub use eval::eval;
pub use plot::plot;
pub use record::record;
pub use report::report;
pub use schema::schema;
pub use sweep::sweep;
pub use tradeoff::tradeoff;
pub use train::train;

use crate::cli::ConfigArgs;
use crate::config::{Config, LoadError, Override};

/// Loads the config of a command line, with its overrides.
fn load(args: &ConfigArgs) -> Result<Config, LoadError> {
    let path = if args.config.is_dir() { args.config.join("config.yaml") } else { args.config.clone() };
    let mut overrides: Vec<Override> = args.sets.iter().map(|text| Override::set(text)).collect();
    let flags = [("seed", &args.seed), ("steps", &args.steps), ("device", &args.device), ("threads", &args.threads)];
    overrides.extend(flags.into_iter().filter_map(|(name, value)| Some(Override::flag(name, value.as_ref()?))));
    Config::load(&path, &overrides)
}
