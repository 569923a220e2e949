//! What a sweep comes to and how far it is, as text.

use std::fmt::Write;
use std::path::Path;

use liprl_logbook::{RunSummary, SweepRun};

use super::folder::{State, SweepFolder};
use super::plan::Plan;
use super::screen::{duration, first_line};
use super::training::Progress;

/// The runs of a plan with what is there of them, total steps and estimated hours.
pub fn dry_run(plan: &Plan, folder: &Path) -> String {
    let existing = SweepFolder::open(folder).ok();
    let mut text = String::new();
    let width = plan.variants.iter().map(|variant| variant.name.len()).max().unwrap_or(0).max(7);
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{:width$}  seed        steps  id", "variant");
    let (mut steps, mut seconds, mut unknown) = (0, 0.0, 0);
    for run in &plan.runs {
        let there = existing.as_ref().and_then(|sweep| {
            let listed = sweep.runs().find(|listed| listed.folder == run.folder())?;
            Some(word(&sweep.state(listed).ok()?))
        });
        let state = there.map(|state| format!("  {state}")).unwrap_or_default();
        let (seed, of_run) = (run.config.seed, run.config.steps);
        let _ = writeln!(text, "{:width$}  {seed:>4}  {of_run:>11}  {}{state}", run.variant, run.id);
        let done = summary(&folder.join(run.folder())).map_or(0, |summary| summary.steps.min(of_run));
        steps += of_run - done;
        match speed(plan, folder, &run.variant) {
            Some(rate) => seconds += (of_run - done) as f64 / rate,
            None => unknown += 1,
        }
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = plan.runs.iter().map(|run| run.config.threads).max().unwrap_or(1);
    let side_by_side = (cores / threads).max(1).min(plan.runs.len());
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
        _ => writeln!(text, "hours: unknown, for want of an earlier run to take the speed from"),
    };
    text
}

/// Steps per second of earlier runs: the variant's own, else any of the sweep's, else those of `liprl train` with the base.
fn speed(plan: &Plan, folder: &Path, variant: &str) -> Option<f64> {
    let own = [folder.join(variant)];
    let others: Vec<_> = plan.variants.iter().map(|variant| folder.join(&variant.name)).collect();
    let by_hand = crate::train::default_folder(&plan.base, 0).parent().map(Path::to_owned);
    [own.to_vec(), others, by_hand.into_iter().collect()].iter().find_map(|folders| {
        let rates: Vec<f64> = folders.iter().flat_map(|folder| rates(folder)).collect();
        (!rates.is_empty()).then(|| rates.iter().sum::<f64>() / rates.len() as f64)
    })
}

/// The speeds of the runs in a variant's folder.
fn rates(variant: &Path) -> Vec<f64> {
    let entries = std::fs::read_dir(variant).into_iter().flatten().flatten();
    let summaries = entries.filter_map(|entry| summary(&entry.path()));
    summaries.map(|summary| summary.steps_per_second).filter(|rate| *rate > 0.0).collect()
}

fn summary(run: &Path) -> Option<RunSummary> {
    serde_json::from_slice(&std::fs::read(run.join("summary.json")).ok()?).ok()
}

/// Every run of a sweep and how far it is; whether one of them failed.
///
/// # Errors
/// When the claims cannot be read.
pub fn status(folder: &SweepFolder) -> std::io::Result<(String, bool)> {
    let width = folder.runs().map(|run| run.variant.len()).max().unwrap_or(0).max(7);
    let mut text = String::new();
    let _ = writeln!(text, "{:width$}  seed                 step    return  state", "variant");
    let mut counts = [0; 5];
    for run in folder.runs() {
        let state = folder.state(run)?;
        counts[match &state {
            State::Done => 0,
            State::Failed(_) => 1,
            State::Running(_) => 2,
            State::Stopped | State::Interrupted => 3,
            State::Waiting => 4,
        }] += 1;
        let now = Progress::read(&folder.run_folder(run));
        let steps = folder.summary(run).map_or(now.step, |summary| summary.steps.max(now.step));
        let last = now.last_return.map_or("–".to_owned(), |value| format!("{value:.1}"));
        let step = format!("{steps}/{}", run.steps);
        let _ = writeln!(
            text,
            "{:width$}  {:>4}  {step:>19}  {last:>8}  {}",
            run.variant,
            run.seed,
            detail(&state, run, &now)
        );
    }
    let [done, failed, running, stopped, waiting] = counts;
    let _ = writeln!(
        text,
        "\n{} runs: {done} done, {failed} failed, {running} running, {stopped} stopped, {waiting} waiting",
        folder.runs().count()
    );
    Ok((text, failed > 0))
}

fn detail(state: &State, run: &SweepRun, now: &Progress) -> String {
    match state {
        State::Running(holder) => {
            let rate = now.rate.filter(|rate| *rate > 0.0);
            let left = rate.map(|rate| duration(run.steps.saturating_sub(now.step) as f64 / rate));
            let left = left.map(|left| format!(", {left} left")).unwrap_or_default();
            format!("running on {} (process {}){left}", holder.host, holder.launcher.pid)
        }
        State::Failed(failure) if failure.times > 1 => {
            format!("failed {} times: {}", failure.times, first_line(&failure.reason))
        }
        State::Failed(failure) => format!("failed: {}", first_line(&failure.reason)),
        other => word(other).to_owned(),
    }
}

fn word(state: &State) -> &'static str {
    match state {
        State::Waiting => "waiting",
        State::Running(_) => "running",
        State::Done => "done",
        State::Stopped => "stopped",
        State::Interrupted => "interrupted",
        State::Failed(_) => "failed",
    }
}

/// The failed runs, each with its reason and where more is to be read.
pub fn failures(folder: &SweepFolder, failed: &[(SweepRun, String)]) -> String {
    let mut text = String::new();
    for (run, reason) in failed {
        let _ = writeln!(text, "{}: {}", run.folder.display(), reason.trim().replace('\n', "\n  "));
        let _ = writeln!(text, "  log: {}", folder.log_file(run).display());
    }
    text
}
