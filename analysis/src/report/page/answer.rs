//! The question and its answer: each variant against the baseline, and the effect of each axis.

use maud::{Markup, html};

use super::super::compare::Comparison;
use super::super::experiment::Experiment;
use super::super::findings::Findings;
use super::super::wording::{signed, with_signed_ends};
use super::elements::{Cell, table};

pub(super) fn answer(experiment: &Experiment, findings: &Findings) -> Markup {
    html! {
        @if let Some(question) = &experiment.question {
            p { strong { (question) } }
        } @else if experiment.runs.len() > 1 && findings.search.is_none() {
            p {
                "The sweep does not name a question (" code { "report.question" }
                " in its file); the variants are compared as they are."
            }
        }
        div.answer {
            @for sentence in findings.answer().lines() { p { (sentence) } }
        }
        @if !findings.comparisons.is_empty() {
            (comparisons(findings))
            (notes(findings))
            (effects(findings))
        }
    }
}

/// Each variant against the baseline.
fn comparisons(findings: &Findings) -> Markup {
    let row = |found: &Comparison| -> [Cell; 7] {
        let share = if found.of == 0.0 || findings.scaled {
            "–".to_owned()
        } else {
            format!("{:+.1} %", 100.0 * found.difference.value / found.of.abs())
        };
        let by_seed = match found.by_seed {
            None => "–".to_owned(),
            // One pair has no spread.
            Some((found, 1)) => format!("{} (1)", signed(found.value)),
            Some((found, seeds)) => format!("{} ({seeds})", with_signed_ends(found)),
        };
        let improvement = found.improvement;
        [
            (&found.variant).into(),
            with_signed_ends(found.difference).into(),
            share.into(),
            format!("{:.2} [{:.2}, {:.2}]", improvement.value, improvement.low, improvement.high).into(),
            by_seed.into(),
            format!("{} / {}", found.runs.0, found.runs.1).into(),
            found.verdict().into(),
        ]
    };
    table(
        html! { "Each variant against " (findings.baseline) ", 95 % intervals" },
        &[
            "variant",
            "difference of IQMs",
            "of the baseline",
            "P(improvement)",
            "by seed (pairs)",
            "runs",
            "conclusion",
        ],
        &findings.comparisons.iter().map(row).collect::<Vec<_>>(),
    )
}

/// Terms and reservations, below the comparisons.
fn notes(findings: &Findings) -> Markup {
    let compared = |name: &str| {
        name == findings.baseline || findings.comparisons.iter().any(|comparison| comparison.variant == name)
    };
    let left_out: Vec<&str> = findings.scores.keys().map(String::as_str).filter(|name| !compared(name)).collect();
    html! {
        p.quiet {
            "IQM: interquartile mean over runs. P(improvement): probability that a run of the variant scores above one \
             of the baseline; ties count half. By seed: mean difference of runs of one seed, drawn as pairs. \
             Intervals: percentiles of a bootstrap over seeds, stratified by task. “Higher” and “lower” need both \
             intervals to exclude no effect. “Higher” describes the metric; it does not mean better."
            @if findings.comparisons.len() > 1 {
                " The intervals of the " (findings.comparisons.len()) " comparisons are not corrected for their number: \
                 of twenty without an effect, about one seems to have one."
            }
            @if findings.comparisons.iter().any(|found| found.runs.0.min(found.runs.1) < 10) {
                " With fewer than about ten seeds, bootstrap intervals are too narrow: treat effects near their ends \
                 as unproven."
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
fn effects(findings: &Findings) -> Markup {
    let rows: Vec<[Cell; 7]> = findings
        .effects
        .iter()
        .map(|found| {
            [
                (&found.axis).into(),
                Cell::words(html! { (found.from) " → " (found.to) }),
                with_signed_ends(found.difference).into(),
                format!("{} to {}", signed(found.range.0), signed(found.range.1)).into(),
                found.settings.to_string().into(),
                found.runs.to_string().into(),
                found.verdict().into(),
            ]
        })
        .collect();
    let heads =
        ["axis", "from → to", "mean difference of IQMs", "least to most", "settings", "fewest runs", "conclusion"];
    html! {
        @if !rows.is_empty() {
            (table(html! { "What each axis does, largest first, 95 % intervals" }, &heads, &rows))
            p.quiet {
                "The difference of interquartile means, averaged over the settings of the other axes with finished \
                 runs of both values; beside it the least and the greatest of these differences. If their signs \
                 differ, the axis acts together with others, and the mean says little. Intervals: each variant's \
                 runs are drawn independently, stratified by task."
            }
        }
    }
}
