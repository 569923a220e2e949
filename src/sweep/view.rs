//! A plan and the progress of a sweep as text.

use std::fmt::Write;
use std::path::Path;

use liprl_logbook::SweepRun;

use super::folder::{RunState, SweepFolder, read_summary};
use super::plan::Plan;
use super::progress::RunProgress;
use super::screen::{duration, first_line};
use crate::terminal::table;

/// Lists the runs of a plan with their states, total steps and estimated hours.
pub fn dry_run(plan: &Plan, folder: &Path) -> String {
    let existing = SweepFolder::open(folder).ok();
    let mut rows = Vec::new();
    let (mut steps, mut seconds, mut unknown) = (0, 0.0, 0);
    for run in &plan.runs {
        let state = existing.as_ref().and_then(|sweep| {
            let listed = sweep.runs().find(|listed| listed.folder == run.folder())?;
            Some(word(&sweep.state(listed).ok()?))
        });
        let (seed, of_run) = (run.config.seed, run.config.steps);
        let state = state.unwrap_or_default().to_owned();
        rows.push([run.variant.clone(), seed.to_string(), of_run.to_string(), run.id.clone(), state]);
        let summary = read_summary(&folder.join(run.folder())).ok().flatten();
        let done = summary.map_or(0, |summary| summary.steps.min(of_run));
        steps += of_run - done;
        match speed(plan, folder, &run.variant) {
            Some(rate) => seconds += (of_run - done) as f64 / rate,
            None => unknown += 1,
        }
    }
    let mut text = table(["variant", "seed", "steps", "id", ""], 1..3, rows);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = plan.runs.iter().map(|run| run.config.threads).max().unwrap_or(1);
    let side_by_side = (cores / threads).max(1).min(plan.runs.len());
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "\n{} variants × {} seeds = {} runs in {}; {steps} steps to take",
        plan.variants.len(),
        plan.runs.len() / plan.variants.len(),
        plan.runs.len(),
        folder.display()
    );
    let _ = match unknown {
        0 => writeln!(
            text,
            "about {:.2} h of one run after the other, {:.2} h on this machine, {side_by_side} at a time",
            seconds / 3600.0,
            seconds / 3600.0 / side_by_side as f64
        ),
        _ => writeln!(text, "hours: unknown, as no earlier run shows the speed"),
    };
    text
}

/// Steps per second of earlier runs: the variant's own, else any of the sweep's, else those of
/// `liprl train` with the base.
fn speed(plan: &Plan, folder: &Path, variant: &str) -> Option<f64> {
    let own = [folder.join(variant)];
    let others: Vec<_> = plan.variants.iter().map(|variant| folder.join(&variant.name)).collect();
    let of_base = crate::train::default_folder(&plan.base, 0).parent().map(Path::to_owned);
    [own.to_vec(), others, of_base.into_iter().collect()].iter().find_map(|folders| {
        let rates: Vec<f64> = folders.iter().flat_map(|folder| rates(folder)).collect();
        (!rates.is_empty()).then(|| rates.iter().sum::<f64>() / rates.len() as f64)
    })
}

/// The speeds of the runs in a variant's folder.
fn rates(variant: &Path) -> Vec<f64> {
    let entries = std::fs::read_dir(variant).into_iter().flatten().flatten();
    let summaries = entries.filter_map(|entry| read_summary(&entry.path()).ok().flatten());
    summaries.map(|summary| summary.steps_per_second).filter(|rate| *rate > 0.0).collect()
}

/// Lists every run of a sweep with its progress; the flag is true if a run failed.
///
/// # Errors
/// If the claims cannot be read.
pub fn status(folder: &SweepFolder) -> std::io::Result<(String, bool)> {
    let (mut rows, mut counts) = (Vec::new(), [0; 6]);
    for run in folder.runs() {
        let state = folder.state(run)?;
        counts[match &state {
            RunState::Done => 0,
            RunState::Failed(_) => 1,
            RunState::Running(_) => 2,
            RunState::Stopped => 3,
            RunState::Killed => 4,
            RunState::Waiting => 5,
        }] += 1;
        let now = RunProgress::read(&folder.run_folder(run));
        let steps = folder.summary(run).map_or(now.step, |summary| summary.steps.max(now.step));
        let last = now.last_return.map_or("–".to_owned(), |value| format!("{value:.1}"));
        let (seed, step) = (run.seed.to_string(), format!("{steps}/{}", run.steps));
        rows.push([run.variant.clone(), seed, step, last, detail(&state, run, &now)]);
    }
    let mut text = table(["variant", "seed", "step", "return", "state"], 1..4, rows);
    let [done, failed, running, stopped, killed, waiting] = counts;
    let killed = if killed > 0 { format!(" {killed} killed,") } else { String::new() };
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "\n{} runs: {done} done, {failed} failed, {running} running, {stopped} stopped,{killed} {waiting} waiting",
        folder.runs().count()
    );
    Ok((text, failed > 0))
}

fn detail(state: &RunState, run: &SweepRun, now: &RunProgress) -> String {
    match state {
        RunState::Running(Some(holder)) => {
            let rate = now.rate.filter(|rate| *rate > 0.0);
            let left = rate.map(|rate| duration(run.steps.saturating_sub(now.step) as f64 / rate));
            let left = left.map(|left| format!(", {left} left")).unwrap_or_default();
            format!("running on {} (process {}){left}", holder.host, holder.launcher.pid)
        }
        RunState::Failed(failure) if failure.times > 1 => {
            format!("failed {} times: {}", failure.times, first_line(&failure.reason))
        }
        RunState::Failed(failure) => format!("failed: {}", first_line(&failure.reason)),
        other => word(other).to_owned(),
    }
}

fn word(state: &RunState) -> &'static str {
    match state {
        RunState::Waiting => "waiting",
        RunState::Running(_) => "running",
        RunState::Done => "done",
        RunState::Stopped => "stopped",
        RunState::Killed => "killed",
        RunState::Failed(_) => "failed",
    }
}

/// Lists failed runs, each with its reason and its log file.
pub fn failures(folder: &SweepFolder, failed: &[(SweepRun, String)]) -> String {
    let mut text = String::new();
    for (run, reason) in failed {
        let _ = writeln!(text, "{}: {}", run.folder.display(), reason.trim().replace('\n', "\n  "));
        let _ = writeln!(text, "  log: {}", folder.log_file(run).display());
    }
    text
}
