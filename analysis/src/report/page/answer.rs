//! The question, and what the runs answer: each variant against the baseline, and the effect of each axis.

use std::fmt::Write;

use super::super::experiment::Experiment;
use super::super::findings::Findings;
use super::super::wording::signed;
use super::table;
use crate::ConfidenceInterval;
use crate::draw::escape;

pub(super) fn answer(experiment: &Experiment, findings: &Findings) -> String {
    let question = experiment.question.as_deref().map_or_else(
        || "<p>The sweep names no question (<code>report.question</code> in its file); the variants are compared as they are.</p>\n".to_owned(),
        |question| format!("<p><strong>{}</strong></p>\n", escape(question)),
    );
    let sentences: String = findings.answer().lines().map(|line| format!("<p>{}</p>\n", escape(line))).collect();
    let mut out = format!("{question}<div class=\"answer\">\n{sentences}</div>\n");
    if findings.comparisons.is_empty() {
        return out;
    }
    let rows: Vec<Vec<String>> = findings
        .comparisons
        .iter()
        .map(|found| {
            let share = if found.of == 0.0 || findings.scaled {
                "–".to_owned()
            } else {
                format!("{:+.1} %", 100.0 * found.difference.value / found.of.abs())
            };
            vec![
                escape(&found.variant),
                with_sign(found.difference),
                share,
                format!("{:.2} [{:.2}, {:.2}]", found.improvement.value, found.improvement.low, found.improvement.high),
                match found.by_seed {
                    None => "–".to_owned(),
                    // One pair has no spread.
                    Some((found, 1)) => format!("{} (1)", signed(found.value)),
                    Some((found, seeds)) => format!("{} ({seeds})", with_sign(found)),
                },
                format!("{} / {}", found.runs.0, found.runs.1),
                found.verdict().to_owned(),
            ]
        })
        .collect();
    let caption = format!("Each variant against {}, 95 % intervals", escape(&findings.baseline));
    let heads =
        ["variant", "difference of IQMs", "of the baseline", "P(improvement)", "by seed (pairs)", "runs", "conclusion"];
    out += &table(&caption, &heads, &rows);
    out += "<p class=\"quiet\">IQM: interquartile mean over runs. P(improvement): how likely a run of the variant scores above one of the \
            baseline, ties half. By seed: mean difference of runs of one seed, drawn as pairs. Intervals: percentiles of a bootstrap over seeds, stratified by task. “Higher” and “lower” need both intervals \
            to exclude no effect; “higher” is a statement about the metric, not a judgement.";
    if findings.comparisons.len() > 1 {
        let _ = write!(
            out,
            " The intervals are not corrected for being {}: of twenty comparisons without an effect about one would seem to have one.",
            findings.comparisons.len()
        );
    }
    if findings.comparisons.iter().any(|found| found.runs.0.min(found.runs.1) < 10) {
        out += " With fewer than about ten seeds a bootstrap's intervals are too narrow; take effects near their edge as unproven.";
    }
    if findings.scaled {
        out += " Scores are scaled for each task so that 0 is the lowest and 1 the highest of any run here.";
    }
    let compared =
        |name: &&String| **name == findings.baseline || findings.comparisons.iter().any(|c| c.variant == **name);
    let left_out: Vec<String> =
        findings.scores.keys().filter(|name| !compared(name)).map(|name| escape(name)).collect();
    if !left_out.is_empty() {
        let _ =
            write!(out, " Not compared, because it was run on other tasks than the baseline: {}.", left_out.join(", "));
    }
    if !findings.baseline_named {
        let _ =
            write!(out, " The sweep names no baseline, so it is {}, the first by name.", escape(&findings.baseline));
    }
    out += "</p>\n";
    out + &effects(findings)
}

/// The effect of each axis.
fn effects(findings: &Findings) -> String {
    if findings.effects.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<String>> = findings
        .effects
        .iter()
        .map(|found| {
            vec![
                escape(&found.axis),
                format!("<span>{} → {}</span>", escape(&found.from), escape(&found.to)),
                with_sign(found.difference),
                format!("{} to {}", signed(found.range.0), signed(found.range.1)),
                found.settings.to_string(),
                found.runs.to_string(),
                found.verdict().to_owned(),
            ]
        })
        .collect();
    let heads =
        ["axis", "from → to", "mean difference of IQMs", "least to most", "settings", "fewest runs", "conclusion"];
    table("What each axis does, largest first, 95 % intervals", &heads, &rows)
        + "<p class=\"quiet\">The mean, over the settings of the other axes in which both values have finished runs, of the difference of \
           interquartile means; least and most of these differences beside it. Where they differ in sign the axis does not act by itself, and the \
           mean says little. Intervals: each variant's runs drawn by themselves, stratified by task.</p>\n"
}

fn with_sign(found: ConfidenceInterval) -> String {
    format!("{} [{}, {}]", signed(found.value), signed(found.low), signed(found.high))
}
