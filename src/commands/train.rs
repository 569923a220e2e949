//! `liprl train`.

use std::process::ExitCode;

use crate::cli::TrainArgs;
use crate::memory::MemoryEstimate;
use crate::signals::Signals;
use crate::task::Task;
use crate::terminal::tell;
use crate::threads::set_threads;
use crate::train::{self, Start, TrainEnd, TrainOptions};

/// Trains in a new run folder, or resumes the run of an existing one.
pub fn train(args: &TrainArgs) -> anyhow::Result<ExitCode> {
    // A signal while the run is being built counts too.
    let signals = Signals::listen()?;
    let config = super::load(&args.config)?;
    let out = match &args.out {
        Some(out) => out.clone(),
        None if args.config.config.is_dir() => args.config.config.clone(),
        None => train::default_folder(&args.config.config, config.seed),
    };
    let options = TrainOptions { config, out, resume: args.resume, quiet: args.quiet, stop_at_eof: args.stop_at_eof };
    let task = Task::of(&options.config).map_err(|error| super::at_its_setting(&args.config, error.into()))?;
    MemoryEstimate::of(&options.config, &task).check()?;
    set_threads(options.config.threads);
    let say = |line: &str| {
        if !options.quiet {
            tell(format_args!("{line}"));
        }
    };
    let spec = task.env().spec().clone();
    // Its process, if it has one, ends before those of the run begin.
    drop(task);
    let start = train::open(&options, &spec).map_err(|error| super::at_its_setting(&args.config, error))?;
    match &start {
        Start::Finished(steps) => {
            say(&format!("{}: done already, at step {steps}; more --steps would extend it", options.out.display()));
        }
        Start::New(folder, _) => say(&format!("run folder: {}", folder.path().display())),
        Start::Resume(resumption) => say(&format!("run folder: {}", resumption.folder.path().display())),
    }
    match train::run(start, &options, &signals)? {
        TrainEnd::Done => Ok(ExitCode::SUCCESS),
        TrainEnd::Stopped(code) => Ok(ExitCode::from(code)),
    }
}
