//! The report of `liprl certify`, as a table and as JSON.

use std::fmt::Write;

use liprl_control::certify::{Ended, LocalOptions};
use serde_json::{Value, json};

use super::certify::Subject;
use crate::certify::{BoundRow, LeastBound, least_bounds};
use crate::cli::CertifyArgs;
use crate::terminal::{self, rounded_down, rounded_up};

/// The report for programs.
pub(super) fn json(subject: &Subject, args: &CertifyArgs, rows: &[BoundRow]) -> Value {
    let network = &subject.network;
    let (env, step) = subject.task.as_ref().map(|(env, step)| (json!(env), json!(step))).unwrap_or_default();
    json!({
        "run": subject.origin,
        "step": step,
        "env": env,
        "network": {
            "name": network.name(),
            "inputs": network.inputs(),
            "hidden": network.hidden(),
            "outputs": network.outputs(),
            "activation": network.activation(),
            "tanh": network.squashed(),
            "cut_off": subject.clamped,
            "from": subject.from,
            "to": subject.to,
        },
        "episodes": subject.task.as_ref().map(|_| args.visited_episodes()),
        "data": args.data,
        "seed": args.seed,
        "points": subject.inputs.len() / network.inputs(),
        "bounds": rows.iter().map(to_json).collect::<Vec<Value>>(),
        "least": least_bounds(rows).iter().map(least_to_json).collect::<Vec<Value>>(),
    })
}

fn to_json(row: &BoundRow) -> Value {
    let boxes = row.boxes.iter().map(|one| {
        json!({
            "low": one.region.low(),
            "high": one.region.high(),
            "lower": one.lower,
            "upper": one.bound.upper,
            "finished": one.bound.finished(),
            "ended": one.bound.ended,
        })
    });
    json!({
        "norm": row.norm,
        "region": row.region,
        "method": row.method.name(),
        "lower": row.lower,
        "upper": row.bound.upper,
        "ratio": row.ratio(),
        "finished": row.bound.finished(),
        "ended": row.bound.ended,
        "seconds": row.seconds,
        "boxes": boxes.collect::<Vec<Value>>(),
    })
}

fn least_to_json(least: &LeastBound) -> Value {
    let by: Vec<&str> = least.by.iter().map(|method| method.name()).collect();
    json!({"norm": least.norm, "region": least.region, "lower": least.lower, "upper": least.upper, "by": by})
}

/// The report for people.
pub(super) fn report(subject: &Subject, rows: &[BoundRow]) -> anyhow::Result<String> {
    let (mut text, network) = (String::new(), &subject.network);
    let hidden: String = network.hidden().iter().map(|units| format!("{units} → ")).collect();
    let activation = serde_json::to_value(network.activation())?;
    let activation = activation.as_str().map_or_else(|| activation.to_string(), str::to_owned);
    let output = match (subject.clamped, network.squashed()) {
        (true, _) => ", actions clamped to their bounds",
        (false, true) => ", tanh output",
        (false, false) => "",
    };
    let task = subject.task.as_ref().map(|(env, step)| format!(" ({}, step {step})", env.id)).unwrap_or_default();
    writeln!(
        text,
        "{} of {}{task}: {} → {hidden}{}, {activation}{output}",
        network.name(),
        subject.origin.display(),
        network.inputs(),
        network.outputs()
    )?;
    writeln!(text, "Lipschitz constants from {} to {}", subject.from, subject.to)?;
    if subject.clamped {
        writeln!(
            text,
            "proven: of the policy and of its network before clamping; observed: of the network alone, as clamping can lower the constant"
        )?;
    }
    text.push_str(&format!("\n{}{}\n{}", table(rows), footnotes(rows), least_table(&least_bounds(rows))));
    Ok(text)
}

fn table(rows: &[BoundRow]) -> String {
    let header = ["norm", "region", "method", "lower (observed)", "upper (proven)", "ratio", "seconds"];
    let cells = rows.iter().map(|row| {
        [
            row.norm.name().to_owned(),
            row.region.clone(),
            row.method.name().to_owned(),
            rounded_down(row.lower),
            rounded_up(row.bound.upper) + mark(row.bound.ended),
            row.ratio().map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.3}")),
            format!("{:.2}", row.seconds),
        ]
    });
    terminal::table(header, 3..7, cells.collect())
}

/// The bounds that count, one for each norm and region.
fn least_table(bounds: &[LeastBound]) -> String {
    let cells = bounds.iter().map(|least| {
        let by: Vec<&str> = least.by.iter().map(|method| method.name()).collect();
        let (lower, upper) = (rounded_down(least.lower), rounded_up(least.upper));
        [least.norm.name().to_owned(), least.region.clone(), lower, upper, by.join(" and ")]
    });
    terminal::table(["norm", "region", "at least", "at most", "by"], 2..4, cells.collect())
}

/// The mark behind a bound whose search ended early.
fn mark(ended: Ended) -> &'static str {
    match ended {
        Ended::Finished => " ",
        Ended::Indivisible => "‡",
        Ended::LeafLimit => "†",
        Ended::TimeLimit => "*",
    }
}

/// The meaning of those marks that the rows have.
fn footnotes(rows: &[BoundRow]) -> String {
    let mut notes = String::new();
    for (ended, meaning) in [
        (Ended::TimeLimit, "the time limit came first: valid, and more time may lower it (--time-limit)".to_owned()),
        (
            Ended::LeafLimit,
            format!(
                "the limit of {} parts of a box came first: valid, and more time changes nothing; a smaller box may lower it (--box)",
                LocalOptions::default().leaves
            ),
        ),
        (Ended::Indivisible, "nothing can be cut further in f64: valid, and more time changes nothing".to_owned()),
    ] {
        if rows.iter().any(|row| row.bound.ended == ended) {
            let space = if notes.is_empty() { "\n" } else { "" };
            notes += &format!("{space}{} {meaning}\n", mark(ended));
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use liprl_control::certify::{Bound, Norm};

    use crate::certify::MethodKind;

    use super::*;

    #[test]
    fn a_mark_is_explained_where_a_row_has_it() {
        let row = |ended| {
            let (norm, region, bound) = (Norm::L2, "data".to_owned(), Bound { upper: 2.0, lower: 0.0, ended });
            BoundRow { norm, region, method: MethodKind::Local, lower: 1.0, bound, seconds: 0.0, boxes: Vec::new() }
        };
        let (finished, late, full) = (row(Ended::Finished), row(Ended::TimeLimit), row(Ended::LeafLimit));
        let json = to_json(&full);
        assert_eq!((&json["finished"], &json["ended"]), (&json!(false), &json!("leaf_limit")));
        assert_eq!(to_json(&finished)["finished"], true);
        let rows = [finished, late, full];
        assert_eq!(footnotes(&rows[..1]), "");
        let (late, full) = (footnotes(&rows[..2]), footnotes(&rows[2..]));
        assert!(late.starts_with("\n* the time limit came first") && late.lines().count() == 2, "{late}");
        assert!(
            full.starts_with("\n† the limit of 200000 parts") && full.contains("more time changes nothing"),
            "{full}"
        );
        assert_eq!(footnotes(&rows), format!("{late}{}", full.trim_start_matches('\n')));
    }
}
