//! The `liprl` program as a library: config, training loop, run folder, command line.

pub mod agent;
mod certify;
pub mod checkpoint_parts;
pub mod cli;
mod closed_loop;
pub mod commands;
pub mod config;
mod export;
mod extensions;
pub mod import;
pub mod load;
mod memory;
mod metric_names;
pub mod panics;
pub mod perturb;
pub mod recorded;
mod references;
pub mod rollout;
mod signals;
mod smoothing;
pub mod sweep;
pub mod task;
mod terminal;
mod threads;
pub mod tradeoff;
pub mod train;
mod usage;
pub mod video;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

pub use extensions::Extensions;
pub use {liprl_agents as agents, liprl_envs as envs, liprl_nets as nets, liprl_numerics as numerics, tch};

use clap::Parser;
use liprl_analysis::AnalysisError;
use liprl_logbook::LogbookError;

use cli::{Cli, Command};
use terminal::tell;
use usage::Usage;

/// Runs the command of this process's arguments with `extensions` and ends the process. Exit codes
/// are those of [`main`].
pub fn main_with(extensions: Extensions) -> ExitCode {
    leave(match extensions.register() {
        Ok(()) => main(std::env::args_os()),
        Err(error) => {
            tell(format_args!("error: {error}"));
            ExitCode::from(2)
        }
    })
}

/// Ends the process without the exit handlers of its libraries: libtorch's take its registrations
/// apart for a third of the time that a short command needs. What is liprl's own is closed by the
/// time a command returns.
fn leave(code: ExitCode) -> ! {
    let _ = std::io::stdout().flush();
    let status = (0..=u8::MAX).find(|status| ExitCode::from(*status) == code);
    // SAFETY: `_exit` reads no memory of this process.
    unsafe { libc::_exit(status.unwrap_or(1).into()) }
}

/// Runs one command. Exit codes: 0 done, 1 failed, 2 bad usage or config, 128 + n stopped by
/// signal n.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    // This program, also if its file has been replaced since it was started.
    liprl_envs::set_render_worker("/proc/self/exe", &["render-worker"]);
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(help) => {
            // Nothing to do if even the message cannot be printed.
            let _ = help.print();
            return ExitCode::from(help.exit_code() as u8);
        }
    };
    let outcome = panics::caught(|| run(cli.command)).unwrap_or_else(|panic| Err(panic.into()));
    outcome.unwrap_or_else(|error| {
        tell(format_args!("error: {error:#}"));
        ExitCode::from(if is_usage(&error) { 2 } else { 1 })
    })
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Train(args) => commands::train(&args),
        Command::Sweep(args) => commands::sweep(&args),
        Command::Eval(args) => commands::eval(&args),
        Command::Tradeoff(args) => commands::tradeoff(&args),
        Command::Record(args) => commands::record(&args),
        Command::Export(args) => commands::export(&args),
        Command::Import(args) => commands::import(&args),
        Command::Certify(args) => commands::certify(&args),
        Command::Demos(args) => commands::demos(&args),
        Command::Plot(args) => commands::plot(&args),
        Command::Report(args) => commands::report(&args),
        Command::Envs { json } => commands::envs(json),
        Command::Schema { sweep, markdown } => commands::schema(sweep, markdown),
        Command::RenderWorker => commands::render_worker(),
        Command::Check(args) => commands::check(&args),
        Command::Metrics { run } => commands::metrics(run.as_deref()),
        Command::New(args) => commands::new(&args),
    }
}

fn is_usage(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.is::<Usage>()
            || cause.is::<config::LoadError>()
            || cause.is::<sweep::PlanError>()
            || cause.downcast_ref().is_some_and(AnalysisError::is_usage)
            || matches!(cause.downcast_ref(), Some(LogbookError::NotARunFolder { .. }))
    })
}
