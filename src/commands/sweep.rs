//! `liprl sweep`.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use liprl_analysis::counted;

use crate::cli::{LauncherKind, SweepArgs, SweepCommand};
use crate::config::Override;
use crate::sweep::file::{LauncherConfig, LocalConfig, SlurmConfig};
use crate::sweep::slurm::Wanted;
use crate::sweep::{
    Plan, PlanError, SweepFolder, SweepStatus, dry_run, failures, local, pruned as list_pruned, report_command,
    search_progress, slurm,
};
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

fn start(args: &SweepArgs, file: &Path) -> anyhow::Result<ExitCode> {
    let launch = Launch { args, file, sets: args.sets.iter().map(|text| Override::set(text)).collect() };
    let plan = launch.plan()?;
    for warning in &plan.warnings {
        warn(warning);
    }
    if args.dry_run {
        SweepFolder::check(&plan.out, &plan)?;
        return print(&dry_run(&plan, &plan.out));
    }
    let launcher = match (args.launcher, &plan.launcher) {
        (None, launcher) => launcher.clone(),
        (Some(LauncherKind::Local), LauncherConfig::Local(_))
        | (Some(LauncherKind::Slurm), LauncherConfig::Slurm(_)) => plan.launcher.clone(),
        (Some(LauncherKind::Local), _) => LauncherConfig::Local(LocalConfig::default()),
        (Some(LauncherKind::Slurm), _) => LauncherConfig::Slurm(Box::default()),
    };
    let options = |jobs| local::LaunchOptions { jobs, retry_failed: args.resume, retries: args.retries };
    match launcher {
        LauncherConfig::Local(config) => launch.here(plan, options(args.jobs.or(config.jobs))),
        LauncherConfig::Slurm(config) => launch.submit(plan, &config, options(args.jobs)),
    }
}

/// A launch of a sweep file.
struct Launch<'a> {
    args: &'a SweepArgs,
    file: &'a Path,
    sets: Vec<Override>,
}

impl Launch<'_> {
    /// Reads the sweep file and builds what has no run yet.
    fn plan(&self) -> anyhow::Result<Plan> {
        let read = Plan::read(self.file, &self.sets, self.args.out.as_deref());
        let plan = read.map_err(|error| match super::config_instead(self.file) {
            Some(usage) => usage.into(),
            None => named(self.file, error),
        })?;
        // Variants with runs were built before.
        let earlier = SweepFolder::open(&plan.out).ok();
        let runs = earlier.iter().flat_map(|sweep| sweep.runs().map(move |run| (sweep, run)));
        let begun: HashSet<&str> =
            runs.filter(|(sweep, run)| sweep.run_folder(run).exists()).map(|(_, run)| run.variant.as_str()).collect();
        let left_out = plan.build(|variant| begun.contains(variant)).map_err(|error| named(self.file, error))?;
        if left_out > 0 {
            let all = plan.variants.len();
            warn(format_args!(
                "{left_out} of {all} variants were checked by their settings alone; a run builds its own"
            ));
        }
        Ok(plan)
    }

    /// Writes a plan. The points of a search are chosen again, while no other launcher does.
    fn write(&self, plan: Plan) -> anyhow::Result<(Plan, SweepFolder)> {
        let choosing = plan.search.as_ref().map(|_| SweepFolder::lock_plan(&plan.out)).transpose()?;
        let plan = if choosing.is_some() { self.plan()? } else { plan };
        let folder = SweepFolder::write(&plan.out, &plan)?;
        Ok((plan, folder))
    }

    /// Does all runs on this machine; of a search, batch after batch.
    fn here(&self, plan: Plan, options: local::LaunchOptions) -> anyhow::Result<ExitCode> {
        let (mut plan, mut folder) = self.write(plan)?;
        loop {
            let result = local::launch(&folder, options)?;
            if plan.search.is_none() || result.signal.is_some() {
                return Ok(told(&folder, result, options));
            }
            let runs = plan.runs.len();
            (plan, folder) = self.write(plan)?;
            if plan.runs.len() <= runs {
                plan.halt.iter().for_each(warn);
                return Ok(told(&folder, result, options));
            }
            search_progress(&folder).into_iter().for_each(|line| tell(format_args!("{line}")));
        }
    }

    /// Hands missing runs to Slurm; of a search, with a job that goes on after them.
    fn submit(&self, plan: Plan, config: &SlurmConfig, options: local::LaunchOptions) -> anyhow::Result<ExitCode> {
        let before = SweepFolder::open(&plan.out).map_or(0, |folder| folder.runs().count());
        let (plan, folder) = self.write(plan)?;
        let wanted = if self.args.next && plan.runs.len() <= before { Wanted::Promoted } else { Wanted::Missing };
        let submitted = slurm::submit(&folder, config, options, wanted)?;
        let queued = if submitted.queued > 0 {
            format!("; {} are queued or running already", submitted.queued)
        } else {
            String::new()
        };
        match submitted.jobs.as_slice() {
            [] => tell(format_args!("nothing to submit to Slurm{queued}")),
            jobs => {
                let runs = counted(submitted.runs, "run");
                tell(format_args!("submitted {runs} to Slurm as job {}{queued}", jobs.join(", ")));
            }
        }
        if plan.search.is_some() {
            plan.halt.iter().for_each(warn);
            search_progress(&folder).into_iter().for_each(|line| tell(format_args!("{line}")));
            if let Some(job) = slurm::submit_next(&folder, config, &submitted, &self.again())? {
                tell(format_args!("job {job} goes on with the search after them"));
            }
        }
        tell(format_args!("liprl sweep status {}", folder.path().display()));
        tell_failures(&folder, &submitted.failed, options);
        Ok(if submitted.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Arguments of the program that go on with this search.
    fn again(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec!["sweep".into(), self.file.into()];
        words.extend(["--launcher", "slurm", "--next"].map(Into::into));
        if let Some(out) = &self.args.out {
            words.extend(["--out".into(), out.into()]);
        }
        if let Some(jobs) = self.args.jobs {
            words.extend(["--jobs".into(), jobs.to_string().into()]);
        }
        words.extend(self.args.sets.iter().flat_map(|set| ["--set".into(), set.into()]));
        words
    }
}

/// Prints the result of a launch and returns its exit code.
fn told(folder: &SweepFolder, result: local::LaunchResult, options: local::LaunchOptions) -> ExitCode {
    let local::LaunchResult { done, failed, pruned, unfinished, signal } = result;
    let counted = |count: usize, word: &str| if count > 0 { format!(", {count} {word}") } else { String::new() };
    let left = counted(pruned.len(), "pruned") + &counted(unfinished, "unfinished");
    tell(format_args!("{}: {done} done, {} failed{left}", folder.path().display(), failed.len()));
    tell_failures(folder, &failed, options);
    if !pruned.is_empty() {
        tell(format_args!("\npruned:\n{}", list_pruned(pruned.iter().map(|(run, why)| (run, why))).trim_end()));
    }
    search_progress(folder).into_iter().for_each(|line| tell(format_args!("{line}")));
    if failed.is_empty() && unfinished == 0 {
        tell(format_args!("{}", report_command(folder)));
    }
    match signal {
        Some(code) => ExitCode::from(code),
        None if failed.is_empty() && unfinished == 0 => ExitCode::SUCCESS,
        None => ExitCode::FAILURE,
    }
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
