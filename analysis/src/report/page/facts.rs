//! Facts about the runs: their cost, those that are not compared, their settings and their origin.

use std::collections::{BTreeMap, BTreeSet};

use liprl_logbook::RunSummary;
use maud::{Markup, html};

use super::super::experiment::Experiment;
use super::super::files::Files;
use super::super::run_record::{RunRecord, RunState};
use super::super::settings::{Settings, differing};
use super::super::table::{Cell, Table};
use crate::number::short;
use crate::run::LastValue;
use crate::stats;
use crate::units::unit_of;

pub(super) fn cost(files: &mut Files, experiment: &Experiment) -> Markup {
    let mut total = 0.0;
    let row = |variant: &str| -> Vec<Cell> {
        let of = |pick: fn(&RunSummary) -> Option<f64>| {
            let done = experiment.of(variant).filter(|run| run.state == RunState::Done);
            spread(&done.filter_map(|run| pick(run.summary.as_ref()?)).collect::<Vec<_>>()).into()
        };
        let summaries = experiment.of(variant).filter_map(|run| run.summary.as_ref());
        let together = summaries.map(|summary| summary.seconds / 3600.0).sum();
        total += together;
        vec![
            variant.into(),
            of(|summary| (summary.steps > 0).then_some(summary.steps_per_second)),
            of(|summary| Some(summary.seconds / 3600.0)),
            Cell::Number(together),
            of(|summary| summary.peak_memory_bytes.map(|bytes| bytes as f64 / 1e9)),
            of(|summary| summary.parameters.map(|count| count as f64)),
        ]
    };
    let rows: Vec<_> = experiment.variants().into_iter().map(row).collect();
    let caption = format!("Mean over finished runs (least to most); {} hours in all", short(total));
    let heads = ["variant", "steps/s", "hours per run", "hours of all runs", "peak memory, GB", "parameters"];
    html! {
        (files.table(Table::new("cost", caption, heads, rows)))
        p.quiet {
            "Wall-clock time as the runs measured it; it depends on how many ran side by side. Hours of all runs \
             include unfinished ones. Memory: the peak of a run's process. Parameters: the numbers that its agent \
             learns. “–”: not logged by an older program."
        }
    }
}

/// Last value of each metric of a single run; empty for several runs.
pub(super) fn last_values(files: &mut Files, experiment: &Experiment) -> Markup {
    let row = |last: &LastValue| -> Vec<Cell> {
        let unit = unit_of(&last.metric).unwrap_or("–");
        vec![Cell::code(&last.metric), Cell::Number(last.value), unit.into(), last.step.to_string().into()]
    };
    let rows = experiment.last_values.iter().map(row);
    files.table(Table::new("last_values", "Last values", ["metric", "last value", "unit", "step"], rows))
}

/// Mean with the least and the greatest value.
fn spread(values: &[f64]) -> String {
    let (low, high) = stats::range(values.iter().copied());
    match values {
        [] => "–".to_owned(),
        _ if low == high => short(low),
        _ => format!("{} ({} to {})", short(stats::mean(values)), short(low), short(high)),
    }
}

pub(super) fn unfinished(files: &mut Files, experiment: &Experiment) -> Markup {
    let others = experiment.runs.iter().filter(|run| run.state != RunState::Done);
    let rows: Vec<Vec<Cell>> = others
        .map(|run| {
            let folder = run.folder.strip_prefix(&experiment.folder).unwrap_or(&run.folder);
            let (state, why) = state(run);
            let steps = run.summary.as_ref().map_or(0, |summary| summary.steps);
            vec![folder.to_string_lossy().into(), state.into(), steps.to_string().into(), why.into()]
        })
        .collect();
    html! {
        @if rows.is_empty() {
            p { "None: every run is done." }
        } @else {
            (files.table(Table::new("runs", "Every run that is not done", ["run", "state", "step", "why"], rows)))
            p.quiet {
                "These runs are in the curves, as far as they came, and in none of the tables. If failures depend on \
                 the variant, leaving them out flatters it."
            }
        }
        @if experiment.set_aside > 0 {
            p { "Left out of this page, because the sweep file no longer names them: " (experiment.set_aside) "." }
        }
    }
}

/// State of a run that is not done, and its reason.
fn state(run: &RunRecord) -> (&'static str, String) {
    let killed = "its process is gone; `--resume` continues from its last checkpoint";
    match &run.state {
        RunState::Failed(reason) => ("failed", reason.clone()),
        RunState::Pruned(reason) => ("pruned", reason.clone()),
        RunState::Killed => ("killed", killed.to_owned()),
        RunState::Stopped => ("stopped", "by a signal, after a checkpoint; `--resume` continues".to_owned()),
        RunState::Shorter(planned) => {
            let now = format!("the sweep now plans {planned} steps, and launching it again continues");
            ("stopped", format!("at its planned end; {now}"))
        }
        RunState::Missing => ("not begun", "the sweep plans it".to_owned()),
        RunState::Running | RunState::Done => ("running", String::new()),
    }
}

pub(super) fn settings(files: &mut Files, experiment: &Experiment) -> Markup {
    let configs: Vec<&Settings> =
        experiment.runs.iter().map(|run| &run.settings).filter(|settings| !settings.is_empty()).collect();
    let paths = differing(&configs);
    let variants = experiment.variants();
    let cell = |variant: &str, path: &str| {
        let of = experiment.of(variant).filter(|run| !run.settings.is_empty());
        let values: BTreeSet<&str> = of.map(|run| run.settings.get(path).map_or("–", String::as_str)).collect();
        Cell::from(values.into_iter().collect::<Vec<_>>().join(" | "))
    };
    let row = |path: &&str| -> Vec<Cell> {
        std::iter::once(Cell::code(path)).chain(variants.iter().map(|variant| cell(variant, path))).collect()
    };
    let rows: Vec<_> = paths.iter().map(row).collect();
    let heads = std::iter::once("setting").chain(variants.iter().copied());
    let caption = "Settings that differ between runs; “–”: absent";
    html! {
        @if rows.is_empty() {
            p { "Nothing but the seeds." }
        } @else {
            (files.table(Table::new("settings", caption, heads, rows)))
            details {
                summary { "All settings of the first run" }
                pre { @for (path, value) in configs[0] { (path) ": " (value) "\n" } }
            }
        }
    }
}

pub(super) fn origin(files: &mut Files, experiment: &Experiment) -> Markup {
    let mut facts: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for made in experiment.runs.iter().filter_map(|run| run.provenance.as_ref()) {
        let commit = made.git_commit.as_deref().map_or("unknown".to_owned(), |commit| {
            let changed = if made.git_dirty == Some(true) { ", with uncommitted changes" } else { "" };
            format!("{}{changed}", commit.get(..12).unwrap_or(commit))
        });
        let libraries = made.libraries.iter().map(|(name, version)| format!("{name} {version}"));
        let device = made.gpu.as_deref().unwrap_or("cpu");
        let host = format!("{}: {} cores of {}, {}", made.host, made.cores, made.cpu, device);
        for (fact, value) in [
            ("program", format!("liprl {} ({})", made.program_version, made.profile)),
            ("commit", commit),
            ("libraries", libraries.collect::<Vec<_>>().join(", ")),
            ("machine", host),
            ("threads of a run", made.threads.to_string()),
            ("started", made.started.clone()),
        ] {
            facts.entry(fact).or_default().insert(value);
        }
    }
    if facts.get("started").is_some_and(|times| times.len() > 1) {
        let times = facts.remove("started").unwrap_or_default();
        let ends = times.first().zip(times.last()).map(|(first, last)| format!("{first} to {last}"));
        facts.insert("started", ends.into_iter().collect());
    }
    let row = |(fact, values): (&&str, &BTreeSet<String>)| -> Vec<Cell> {
        vec![(*fact).into(), Cell::Lines(values.iter().cloned().collect())]
    };
    html! {
        (files.table(Table::new("origin", "From the runs' provenance", ["", "value"], facts.iter().map(row))))
        @if facts.get("commit").is_some_and(|commits| commits.len() > 1) {
            p {
                strong { "The runs were made by more than one state of the program" }
                "; a difference between variants may come from that."
            }
        }
    }
}
