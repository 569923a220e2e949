//! The question and its answer: curves and effects at a glance, a sentence for each variant, and the
//! numbers behind them.

use maud::{Markup, html};

use super::super::compare::Comparison;
use super::super::experiment::Experiment;
use super::super::files::Files;
use super::super::findings::Findings;
use super::super::options::ReportOptions;
use super::super::table::{Cell, Table};
use super::figures::{curves, place};
use crate::forest::{Forest, ForestColumn};
use crate::number::{minus, signed};

pub(super) fn answer(
    files: &mut Files,
    experiment: &Experiment,
    shown: &Experiment,
    findings: &Findings,
    options: &ReportOptions,
) -> Markup {
    let curves = curves(shown, options);
    // Beside wide figures there is no room.
    let is_pair = curves.canvas().width < 800.0 && !findings.comparisons.is_empty();
    html! {
        @if let Some(question) = &experiment.question {
            p { strong { (question) } }
        }
        div.pair[is_pair] {
            (files.figure("curves", &curves, "All runs that logged the metric, also unfinished ones. Not smoothed."))
            (differences(files, experiment, findings))
        }
        div.answer {
            @for sentence in findings.answer().lines() { p { (minus(sentence)) } }
        }
        @if experiment.question.is_none() && experiment.runs.len() > 1 && findings.search.is_none() {
            p.quiet {
                "The sweep does not name a question (" code { "report.question" }
                " in its file); the variants are compared as they are."
            }
        }
        @if !findings.comparisons.is_empty() {
            (comparisons(files, findings))
            (notes(findings))
            (effects(files, findings))
        }
    }
}

/// Differences from the baseline as a forest plot; empty without comparisons.
fn differences(files: &mut Files, experiment: &Experiment, findings: &Findings) -> Markup {
    let found = &findings.comparisons;
    if found.is_empty() {
        return Markup::default();
    }
    let unit = if findings.scaled { "scaled score" } else { &experiment.metric };
    let pairs = |found: &Comparison| found.by_seed.filter(|(_, pairs)| *pairs > 1).map(|(mean, _)| mean);
    let also: Vec<_> = found.iter().map(pairs).collect();
    let in_pairs = if also.iter().any(Option::is_some) { "; below in grey: mean of pairs of one seed" } else { "" };
    let column = ForestColumn {
        title: "difference of interquartile means".to_owned(),
        x_label: unit.to_owned(),
        cells: found.iter().map(|found| Some(found.difference)).collect(),
        also,
    };
    let forest = Forest {
        title: format!("Differences from {}", findings.baseline),
        caption: format!("95% bootstrap intervals{in_pairs}"),
        rows: found.iter().map(|found| (place(experiment, &found.variant), found.variant.clone())).collect(),
        columns: vec![column],
    };
    files.forest("differences", &forest, "Left of the dashed line the variant is lower, right of it higher.")
}

/// Each variant against the baseline.
fn comparisons(files: &mut Files, findings: &Findings) -> Markup {
    let row = |found: &Comparison| -> Vec<Cell> {
        let share = if found.of == 0.0 || findings.scaled {
            "–".to_owned()
        } else {
            format!("{} %", signed(100.0 * found.difference.value / found.of.abs()))
        };
        let (by_seed, pairs) = found.by_seed.map_or((None, 0), |(mean, pairs)| (Some(mean), pairs));
        vec![
            found.variant.as_str().into(),
            Cell::Difference(Some(found.difference)),
            share.into(),
            Cell::Probability(found.p),
            Cell::Probability(found.holm),
            Cell::Interval(Some(found.improvement)),
            Cell::Difference(by_seed),
            pairs.to_string().into(),
            format!("{} / {}", found.runs.0, found.runs.1).into(),
            found.verdict().into(),
        ]
    };
    files.table(Table::new(
        "comparisons",
        format!("Each variant against {}, 95 % intervals", findings.baseline),
        [
            "variant",
            "difference of IQMs",
            "of the baseline",
            "p",
            "Holm",
            "P(improvement)",
            "by seed",
            "pairs",
            "runs",
            "conclusion",
        ],
        findings.comparisons.iter().map(row),
    ))
}

/// Terms and reservations, below the comparisons.
fn notes(findings: &Findings) -> Markup {
    let compared = |name: &str| {
        name == findings.baseline || findings.comparisons.iter().any(|comparison| comparison.variant == name)
    };
    let left_out: Vec<&str> = findings.scores.keys().map(String::as_str).filter(|name| !compared(name)).collect();
    html! {
        p.quiet {
            "IQM: interquartile mean over runs. p: permutation test of the means, two-sided; Holm: corrected for \
             the " (findings.comparisons.len()) " comparisons. P(improvement): probability that a run of the \
             variant scores above one of the baseline; ties count half. By seed: mean difference of runs of one seed, \
             drawn as pairs. Intervals: percentiles of a bootstrap over seeds, stratified by task; they are not \
             corrected. “Higher” and “lower” need both intervals to exclude no effect. “Higher” describes the metric; \
             it does not mean better."
            @if findings.comparisons.iter().any(|found| found.runs.0.min(found.runs.1) < 10) {
                " With fewer than about ten seeds, bootstrap intervals are too narrow: treat effects near their ends \
                 as unproven."
            }
            @if findings.comparisons.iter().any(|found| found.runs.0.min(found.runs.1) < 4) {
                " With three runs on either side no p value can be below 0.1."
            }
            @if findings.scaled {
                " Scores are scaled for each task: 0 is the lowest score of any run here, 1 the highest."
            }
            @if !left_out.is_empty() {
                " Not compared, because without a finished run on the baseline's tasks: " (left_out.join(", ")) "."
            }
            @if findings.comparisons.iter().any(|found| !found.left_out.is_empty()) {
                " Variants with finished runs on different tasks are compared on those that both have; the answer \
                 names the others."
            }
            @if !findings.baseline_named {
                " The sweep does not name a baseline; it is " (findings.baseline) ", the first by name."
            }
        }
    }
}

/// Effect of each axis; empty without effects.
fn effects(files: &mut Files, findings: &Findings) -> Markup {
    let rows = findings.effects.iter().map(|found| -> Vec<Cell> {
        vec![
            found.axis.as_str().into(),
            format!("{} → {}", found.from, found.to).into(),
            Cell::Difference(Some(found.difference)),
            format!("{} to {}", signed(found.range.0), signed(found.range.1)).into(),
            found.settings.to_string().into(),
            found.runs.to_string().into(),
            found.verdict().into(),
        ]
    });
    let heads =
        ["axis", "from → to", "mean difference of IQMs", "least to most", "settings", "fewest runs", "conclusion"];
    let table = Table::new("axes", "What each axis does, largest first, 95 % intervals", heads, rows);
    html! {
        @if !table.rows.is_empty() {
            (files.table(table))
            p.quiet {
                "The difference of interquartile means, averaged over the settings of the other axes with finished \
                 runs of both values; beside it the least and the greatest of these differences. If their signs \
                 differ, the axis acts together with others, and the mean says little. Intervals: each variant's \
                 runs are drawn independently, stratified by task."
            }
        }
    }
}
