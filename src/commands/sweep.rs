//! `liprl sweep`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cli::{LauncherKind, SweepArgs, SweepCommand};
use crate::config::Override;
use crate::sweep::file::{LauncherConfig, LocalConfig, SlurmConfig};
use crate::sweep::{Plan, PlanError, SweepFolder, SweepStatus, dry_run, failures, local, report_command, slurm};
use crate::terminal::{print, tell, warn};
use crate::usage::Usage;

/// Launches a sweep, or prints its progress.
pub fn sweep(args: &SweepArgs) -> anyhow::Result<ExitCode> {
    match (&args.command, &args.sweep) {
        (Some(SweepCommand::Status { folder, json }), _) => show(folder, *json),
        (Some(SweepCommand::Task { folder, array }), _) => {
            Ok(ExitCode::from(slurm::task(&SweepFolder::open(folder)?, array)?))
        }
        (None, Some(sweep)) => start(args, sweep),
        (None, None) => Err(Usage("name a sweep file, or `status SWEEP_DIR`".to_owned()).into()),
    }
}

fn show(folder: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let folder = SweepFolder::open(folder)?;
    let status = SweepStatus::read(&folder)?;
    print(&if json { format!("{:#}\n", status.to_json()) } else { status.to_text() })?;
    Ok(if status.any_failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The error with the sweep file's name, if its message does not have it.
fn named(file: &Path, error: PlanError) -> anyhow::Error {
    let (name, text) = (file.display().to_string(), error.to_string());
    let error = anyhow::Error::from(error);
    if text.contains(&name) { error } else { error.context(name) }
}

fn start(args: &SweepArgs, sweep: &Path) -> anyhow::Result<ExitCode> {
    let sets: Vec<Override> = args.sets.iter().map(|text| Override::set(text)).collect();
    let plan = Plan::read(sweep, &sets).map_err(|error| match super::config_instead(sweep) {
        Some(usage) => usage.into(),
        None => named(sweep, error),
    })?;
    for warning in &plan.warnings {
        warn(warning);
    }
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from("runs").join(&plan.experiment));
    // Variants with runs were built before.
    let earlier = SweepFolder::open(&out).ok();
    let runs = earlier.iter().flat_map(|sweep| sweep.runs().map(move |run| (sweep, run)));
    let begun: HashSet<&str> =
        runs.filter(|(sweep, run)| sweep.run_folder(run).exists()).map(|(_, run)| run.variant.as_str()).collect();
    let left_out = plan.build(|variant| begun.contains(variant)).map_err(|error| named(sweep, error))?;
    if left_out > 0 {
        let all = plan.variants.len();
        warn(format_args!("{left_out} of {all} variants were checked by their settings alone; a run builds its own"));
    }
    if args.dry_run {
        SweepFolder::check(&out, &plan)?;
        return print(&dry_run(&plan, &out));
    }
    let folder = SweepFolder::write(&out, &plan)?;
    let launcher = match (args.launcher, &plan.launcher) {
        (None, launcher) => launcher.clone(),
        (Some(LauncherKind::Local), LauncherConfig::Local(_))
        | (Some(LauncherKind::Slurm), LauncherConfig::Slurm(_)) => plan.launcher.clone(),
        (Some(LauncherKind::Local), _) => LauncherConfig::Local(LocalConfig::default()),
        (Some(LauncherKind::Slurm), _) => LauncherConfig::Slurm(Box::default()),
    };
    let options = |jobs| local::LaunchOptions { jobs, retry_failed: args.resume, retries: args.retries };
    match launcher {
        LauncherConfig::Local(config) => here(&folder, options(args.jobs.or(config.jobs))),
        LauncherConfig::Slurm(config) => submit(&folder, &config, options(args.jobs)),
    }
}

fn here(folder: &SweepFolder, options: local::LaunchOptions) -> anyhow::Result<ExitCode> {
    let local::LaunchResult { done, failed, unfinished, signal } = local::launch(folder, options)?;
    let left = if unfinished > 0 { format!(", {unfinished} unfinished") } else { String::new() };
    tell(format_args!("{}: {done} done, {} failed{left}", folder.path().display(), failed.len()));
    tell_failures(folder, &failed, options);
    if failed.is_empty() && unfinished == 0 {
        tell(format_args!("{}", report_command(folder)));
    }
    Ok(match signal {
        Some(code) => ExitCode::from(code),
        None if failed.is_empty() && unfinished == 0 => ExitCode::SUCCESS,
        None => ExitCode::FAILURE,
    })
}

fn submit(folder: &SweepFolder, config: &SlurmConfig, options: local::LaunchOptions) -> anyhow::Result<ExitCode> {
    let submitted = slurm::submit(folder, config, options)?;
    let queued = if submitted.queued > 0 {
        format!("; {} are queued or running already", submitted.queued)
    } else {
        String::new()
    };
    match submitted.jobs.as_slice() {
        [] => tell(format_args!("nothing to submit to Slurm{queued}")),
        jobs => tell(format_args!("submitted {} runs to Slurm as job {}{queued}", submitted.runs, jobs.join(", "))),
    }
    tell(format_args!("liprl sweep status {}", folder.path().display()));
    tell_failures(folder, &submitted.failed, options);
    Ok(if submitted.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints the failed runs and the remedy.
fn tell_failures(folder: &SweepFolder, failed: &[(liprl_logbook::SweepRun, String)], options: local::LaunchOptions) {
    if failed.is_empty() {
        return;
    }
    tell(format_args!("\nfailed:\n{}", failures(folder, failed).trim_end()));
    if !options.retry_failed {
        tell(format_args!("--resume retries them from their last checkpoints"));
    }
}
