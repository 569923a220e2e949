//! What the runs cost, which are not compared, in what their settings differ and what made them.

use std::collections::{BTreeMap, BTreeSet};

use liprl_logbook::RunSummary;

use super::super::experiment::Experiment;
use super::super::run_record::{RunRecord, RunState};
use super::super::settings::{Settings, differing};
use super::super::wording::short;
use super::table;
use crate::draw::escape;
use crate::stats;

pub(super) fn cost(experiment: &Experiment) -> String {
    let mut rows = Vec::new();
    let mut total = 0.0;
    for variant in experiment.variants() {
        let done = |member: &&RunRecord| member.state == RunState::Done;
        let of = |pick: fn(&RunSummary) -> Option<f64>| -> Vec<f64> {
            experiment.of(variant).filter(done).filter_map(|member| pick(member.summary.as_ref()?)).collect()
        };
        let spread = |values: &[f64]| {
            let (low, high) =
                values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(*x), h.max(*x)));
            match values {
                [] => "–".to_owned(),
                _ if low == high => short(low),
                _ => format!("{} ({} to {})", short(stats::mean(values)), short(low), short(high)),
            }
        };
        let summaries = experiment.of(variant).filter_map(|member| member.summary.as_ref());
        let together = summaries.map(|summary| summary.seconds / 3600.0).sum();
        total += together;
        let memory = of(|summary| summary.peak_memory_bytes.map(|bytes| bytes as f64 / 1e9));
        rows.push(vec![
            escape(variant),
            spread(&of(|summary| (summary.steps > 0).then_some(summary.steps_per_second))),
            spread(&of(|summary| Some(summary.seconds / 3600.0))),
            short(together),
            spread(&memory),
            spread(&of(|summary| summary.parameters.map(|count| count as f64))),
        ]);
    }
    let caption = format!("Mean over finished runs (least to most); {} hours in all", short(total));
    let heads =
        ["variant", "steps/s", "hours a run", "hours together, unfinished ones too", "peak memory, GB", "parameters"];
    table(&caption, &heads, &rows)
        + "<p class=\"quiet\">Wall-clock time as the runs measured it; how many ran side by side changes it. Memory: the most a run's process \
           held. Parameters: the numbers its agent learns. “–” where an older program did not log it.</p>\n"
}

pub(super) fn unfinished(experiment: &Experiment) -> String {
    let set_aside = match experiment.set_aside {
        0 => String::new(),
        count => format!("<p>Left out of this page, because the sweep file no longer names them: {count}.</p>\n"),
    };
    let others: Vec<&RunRecord> = experiment.runs.iter().filter(|member| member.state != RunState::Done).collect();
    if others.is_empty() {
        return format!("<p>None: every run is done.</p>\n{set_aside}");
    }
    let rows: Vec<Vec<String>> = others
        .iter()
        .map(|member| {
            let folder = member.folder.strip_prefix(&experiment.folder).unwrap_or(&member.folder);
            let (state, why) = match &member.state {
                RunState::Failed(reason) => ("failed", escape(reason)),
                RunState::Killed => (
                    "killed",
                    "its process is gone and left no word; <code>--resume</code> goes on from its last checkpoint"
                        .to_owned(),
                ),
                RunState::Stopped => {
                    ("stopped", "by a signal, after a checkpoint; <code>--resume</code> goes on".to_owned())
                }
                RunState::Shorter(planned) => (
                    "stopped",
                    format!("at the end it had; the sweep now plans {planned} steps, and launching it again goes on"),
                ),
                RunState::Missing => ("not begun", "the sweep plans it".to_owned()),
                RunState::Running | RunState::Done => ("running", String::new()),
            };
            let steps = member.summary.as_ref().map_or(0, |summary| summary.steps);
            vec![escape(&folder.display().to_string()), state.to_owned(), steps.to_string(), why]
        })
        .collect();
    table("Every run that is not done", &["run", "state", "step", "why"], &rows)
        + "<p class=\"quiet\">These are in the curves as far as they came, and in no table. Where failures depend on the variant, leaving them out \
           flatters it.</p>\n"
        + &set_aside
}

pub(super) fn settings(experiment: &Experiment) -> String {
    let configs: Vec<&Settings> =
        experiment.runs.iter().map(|member| &member.settings).filter(|settings| !settings.is_empty()).collect();
    let paths = differing(&configs);
    if paths.is_empty() {
        return "<p>Nothing but the seeds.</p>\n".to_owned();
    }
    let variants = experiment.variants();
    let heads: Vec<String> =
        std::iter::once("setting".to_owned()).chain(variants.iter().map(|name| escape(name))).collect();
    let rows: Vec<Vec<String>> = paths
        .iter()
        .map(|path| {
            let cell = |variant: &&str| {
                let of = experiment.of(variant).filter(|member| !member.settings.is_empty());
                let values: BTreeSet<&str> =
                    of.map(|member| member.settings.get(*path).map_or("–", String::as_str)).collect();
                escape(&values.into_iter().collect::<Vec<_>>().join(" | "))
            };
            std::iter::once(format!("<code>{}</code>", escape(path))).chain(variants.iter().map(cell)).collect()
        })
        .collect();
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    let first = configs
        .first()
        .map(|settings| settings.iter().map(|(path, value)| format!("{path}: {value}\n")).collect::<String>());
    table("Settings that are not the same in all runs; “–”: not there", &heads, &rows)
        + &format!(
            "<details><summary>All settings of the first run</summary><pre>{}</pre></details>\n",
            escape(&first.unwrap_or_default())
        )
}

pub(super) fn origin(experiment: &Experiment) -> String {
    let mut facts: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for made in experiment.runs.iter().filter_map(|member| member.provenance.as_ref()) {
        let commit = made.git_commit.as_deref().map_or("unknown".to_owned(), |commit| {
            let changed = if made.git_dirty == Some(true) { ", with changes in no commit" } else { "" };
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
    let rows: Vec<Vec<String>> = facts
        .iter()
        .map(|(fact, values)| {
            let values: Vec<String> = values.iter().map(|value| escape(value)).collect();
            vec![(*fact).to_owned(), format!("<span>{}</span>", values.join("<br>"))]
        })
        .collect();
    let mut out = table("From the runs' provenance", &["", "value"], &rows);
    if facts.get("commit").is_some_and(|commits| commits.len() > 1) {
        out += "<p><strong>The runs were made by more than one state of the program</strong>; a difference between variants may be that.</p>\n";
    }
    out
}
