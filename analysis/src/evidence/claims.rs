//! The table of claims: claim, effect, size of the experiment, controls, outcome.

use std::path::Path;

use super::manifest::{Claim, Evidence, Expectation};
use super::samples::{Runs, number, with_interval};
use crate::bootstrap::{Bootstrap, ConfidenceInterval};
use crate::error::AnalysisError;
use crate::number::counted;
use crate::scores::Estimator;

/// Runs of a variant below which no claim is said to hold.
const ENOUGH_RUNS: usize = 3;

/// The table in Markdown.
pub(super) fn claims(results: &Path, evidence: &Evidence) -> Result<String, AnalysisError> {
    let mut text = "| claim | effect here [95 % interval] | seeds, steps | controls | outcome |\n\
                    | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for claim in &evidence.claims {
        let Some(source) = evidence.sources.get(&claim.of) else { continue };
        text.push_str(&row(&Runs::of(results, source)?, claim)?);
    }
    Ok(text)
}

fn row(runs: &Runs, claim: &Claim) -> Result<String, AnalysisError> {
    let nothing =
        |variant: &str| AnalysisError::Request(format!("no run of `{variant}` logged `{}`", claim.column.metric));
    let sample = |variant: &String| runs.sample(variant, &claim.column)?.ok_or_else(|| nothing(variant));
    let (ours, theirs) = (sample(&claim.ours)?, sample(&claim.theirs)?);
    let difference = Bootstrap::default().difference(&ours.scores, &theirs.scores, Estimator::InterquartileMean)?;
    let (a, b) = (ours.interval().value, theirs.interval().value);
    let what = claim.column.head.as_ref().unwrap_or(&claim.column.metric);
    let effect = format!("{what} {} against {}: {}", number(a), number(b), with_interval(difference));
    let seeds = ours.runs().min(theirs.runs());
    let mut size = format!("{}, {} steps", counted(seeds, "seed"), number(ours.steps as f64));
    if !claim.paper.is_empty() {
        size.push_str(&format!(" (paper: {})", claim.paper));
    }
    let controls =
        claim.controls.iter().map(|control| Ok(format!("`{control}` {}", number(sample(control)?.interval().value))));
    let controls = controls.collect::<Result<Vec<_>, AnalysisError>>()?.join(", ");
    let controls = if controls.is_empty() { "none".to_owned() } else { controls };
    let outcome = outcome(difference, claim.expect, seeds);
    let why = if claim.why.is_empty() { String::new() } else { format!(": {}", claim.why) };
    Ok(format!("| {} | {effect} | {size} | {controls} | **{outcome}**{why} |\n", claim.claim))
}

/// The outcome of a claim from its difference's interval.
fn outcome(difference: ConfidenceInterval, expect: Expectation, seeds: usize) -> &'static str {
    let (above, below) = (difference.low > 0.0, difference.high < 0.0);
    let (claimed, opposite) = match expect {
        Expectation::More => (above, below),
        Expectation::Less => (below, above),
    };
    match () {
        () if seeds < ENOUGH_RUNS => "open, too few seeds",
        () if claimed => "holds",
        () if opposite => "does not hold, the opposite is seen",
        () => "open, the interval has zero in it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_holds_if_its_interval_is_on_its_side() {
        let interval = |low, high| ConfidenceInterval { value: 0.5 * (low + high), low, high };
        for (low, high, expect, seeds, words) in [
            (1.0, 2.0, Expectation::More, 5, "holds"),
            (1.0, 2.0, Expectation::Less, 5, "does not hold, the opposite is seen"),
            (-2.0, -1.0, Expectation::Less, 3, "holds"),
            (-1.0, 1.0, Expectation::More, 5, "open, the interval has zero in it"),
            (1.0, 2.0, Expectation::More, 2, "open, too few seeds"),
        ] {
            assert_eq!(outcome(interval(low, high), expect, seeds), words);
        }
    }
}
