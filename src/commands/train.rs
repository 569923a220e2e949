//! `liprl train`.

use std::process::ExitCode;

use crate::cli::TrainArgs;
use crate::train::{self, End, Order, Start};

/// Trains in a new run folder, or goes on in an old one.
pub fn train(args: &TrainArgs) -> anyhow::Result<ExitCode> {
    let config = super::load(&args.config)?;
    let out = match &args.out {
        Some(out) => out.clone(),
        None if args.config.config.is_dir() => args.config.config.clone(),
        None => train::default_folder(&args.config.config, config.seed),
    };
    let order = Order { config, out, resume: args.resume, quiet: args.quiet, stop_at_eof: args.stop_at_eof };
    train::set_threads(order.config.threads);
    let say = |line: &str| {
        if !order.quiet {
            crate::tell(format_args!("{line}"));
        }
    };
    let start = train::open(&order)?;
    match &start {
        Start::Finished(steps) => {
            say(&format!("{}: done already, at step {steps}; more --steps would extend it", order.out.display()));
        }
        Start::New(folder, _) | Start::Resume(folder, _) => say(&format!("run folder: {}", folder.path().display())),
    }
    match train::run(start, &order)? {
        End::Done => Ok(ExitCode::SUCCESS),
        End::Stopped(code) => Ok(ExitCode::from(code)),
    }
}
