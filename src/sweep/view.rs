//! A plan as text, names of states, and lists of failed runs.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use liprl_analysis::counted;
use liprl_logbook::SweepRun;

use super::folder::{RunState, SweepFolder, read_summary};
use super::plan::Plan;
use super::progress::RunProgress;
use super::search::{PrunedRun, is_confirmation};
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
    let (variants, runs) = (plan.variants.len(), plan.runs.len());
    let counts = match &plan.search {
        None => format!("{} × {}", counted(variants, "variant"), counted(runs / variants, "seed")),
        Some(search) => {
            let asked = plan.variants.iter().filter(|variant| !is_confirmation(&variant.name)).count();
            format!(
                "{asked} of {} points of the search so far, × {}",
                search.points,
                counted(search.seeds.len(), "seed")
            )
        }
    };
    let _ = writeln!(text, "\n{counts} = {} in {}; {steps} steps to take", counted(runs, "run"), folder.display());
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

/// The speeds of the runs in a variant's folder, once they learn.
fn rates(variant: &Path) -> Vec<f64> {
    let entries = std::fs::read_dir(variant).into_iter().flatten().flatten();
    let rate = |run: &Path| {
        let summary = read_summary(run).ok().flatten()?;
        RunProgress::read(run).rate.or(Some(summary.steps_per_second))
    };
    entries.filter_map(|entry| rate(&entry.path())).filter(|rate| *rate > 0.0).collect()
}

/// The name of a state.
pub(super) fn word(state: &RunState) -> &'static str {
    match state {
        RunState::Waiting => "waiting",
        RunState::Running(_) => "running",
        RunState::Done => "done",
        RunState::Stopped => "stopped",
        RunState::Killed => "killed",
        RunState::Pruned(_) => "pruned",
        RunState::Failed(_) => "failed",
    }
}

/// The progress of a search in a sentence; `None` without one.
pub fn search(folder: &SweepFolder) -> Option<String> {
    let search = folder.lock.search.as_ref()?;
    let points = folder.runs().map(|run| run.variant.as_str()).filter(|name| !is_confirmation(name));
    let asked = points.collect::<BTreeSet<_>>().len();
    let Some(best) = &search.best else {
        return Some(format!("search: {asked} of {} points asked for", search.points));
    };
    let again = best.confirmation.as_ref().map(|name| format!(", run again with fresh seeds as {name}"));
    Some(format!("search: the best of {} points is {}{}", best.points, best.variant, again.unwrap_or_default()))
}

/// Lists runs that a rule stopped, each with its reason.
pub fn pruned<'a>(pruned: impl IntoIterator<Item = (&'a SweepRun, &'a PrunedRun)>) -> String {
    pruned.into_iter().map(|(run, pruned)| format!("{}: {}\n", run.folder.display(), pruned.reason)).collect()
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
