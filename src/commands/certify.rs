//! `liprl certify`: proven upper bounds on a trained network's Lipschitz constant, each beside a
//! lower bound, as a table or as JSON.

use std::fmt::Write;
use std::process::ExitCode;
use std::time::Duration;

use liprl_agents::demos::DemonstrationsConfig;
use liprl_control::PolicyHead;
use liprl_control::certify::{Ended, LocalOptions, Network, Takes};
use serde_json::{Value, json};

use crate::agent::networks;
use crate::certify::{
    BoundOptions, BoundRow, BoxChoice, LeastBound, MethodKind, bound_rows, constant_by_construction,
    demonstrated_inputs, least_bounds, visited_inputs,
};
use crate::cli::{CertifyArgs, CertifyMethod};
use crate::config::Config;
use crate::load::LoadedPolicy;
use crate::terminal::{self, print, rounded_down, rounded_up};
use crate::usage::Usage;

/// Certifies one network of a run, or a policy's closed loop.
pub fn certify(args: &CertifyArgs) -> anyhow::Result<ExitCode> {
    if args.closed_loop {
        return super::closed_loop::certify(args);
    }
    let mut loaded = super::open_policy(&args.run)?;
    let (takes, network) = network(args, &loaded)?;
    let inputs = match data(args, &loaded)? {
        Some(named) => demonstrated_inputs(&loaded.task.demonstrations(&named)?, takes),
        None => visited_inputs(&mut loaded, takes, args.episodes, args.seed)?,
    };
    let construction = if args.network == "policy" { constant_by_construction(&loaded.policy) } else { None };
    let rows = bound_rows(&network, &inputs, &options(args, construction))?;
    let clamped = args.network == "policy" && loaded.policy.head() == PolicyHead::Clamp;
    if args.json {
        let report = json!({
            "run": loaded.origin,
            "step": loaded.step,
            "env": loaded.env,
            "network": {
                "name": network.name(),
                "inputs": network.inputs(),
                "hidden": network.hidden(),
                "outputs": network.outputs(),
                "activation": network.activation(),
                "tanh": network.squashed(),
                "cut_off": clamped,
                "from": input_label(takes),
                "to": output_label(network.name()),
            },
            "episodes": args.episodes,
            "data": args.data,
            "seed": args.seed,
            "points": inputs.len() / network.inputs(),
            "bounds": rows.iter().map(to_json).collect::<Vec<Value>>(),
            "least": least_bounds(&rows).iter().map(least_to_json).collect::<Vec<Value>>(),
        });
        return print(&format!("{report:#}\n"));
    }
    print(&report(&loaded, takes, (&network, clamped), &rows)?)
}

/// The demonstrations that stand for visited states: those of the command line, or without an
/// environment those that the policy was learned from.
fn data(args: &CertifyArgs, loaded: &LoadedPolicy) -> anyhow::Result<Option<DemonstrationsConfig>> {
    if args.data.is_some() || loaded.task.spaces_alone().is_none() {
        return Ok(args.data.as_deref().map(DemonstrationsConfig::from));
    }
    let config = loaded.config.as_ref().map(|text| Config::parse("config.yaml", text, &[])).transpose()?;
    match config.as_ref().and_then(|config| config.agent.demonstrations()) {
        Some(named) => Ok(Some(named.clone())),
        None => Err(Usage(format!(
            "{} was learned without an environment, so no states can be visited; name demonstrations by --data FILE",
            loaded.origin.display()
        ))
        .into()),
    }
}

fn options(args: &CertifyArgs, construction: Option<f64>) -> BoundOptions {
    let methods = match args.method {
        CertifyMethod::All => MethodKind::ALL.to_vec(),
        CertifyMethod::Product => vec![MethodKind::Product],
        CertifyMethod::Lipsdp => vec![MethodKind::Lipsdp],
        CertifyMethod::Local => vec![MethodKind::Local],
    };
    BoundOptions {
        methods,
        boxes: if args.boxes.is_empty() { BoxChoice::DEFAULT.to_vec() } else { args.boxes.clone() },
        boxes_around: args.states as usize,
        construction,
        seed: args.seed,
        time_limit: Duration::from_secs_f64(args.time_limit.unwrap_or(60.0)),
    }
}

/// Loads the network that the arguments name.
fn network(args: &CertifyArgs, loaded: &LoadedPolicy) -> anyhow::Result<(Takes, Network)> {
    if args.network == "policy" {
        let (_, half_width) = loaded.task.action_range();
        return Ok((Takes::State, loaded.policy.to_certify(half_width.to_vec())?));
    }
    let all = networks(&args.run)?;
    let names: Vec<&str> = all.iter().map(|network| network.name.as_str()).chain(["policy"]).collect();
    let names = names.join(", ");
    match all.into_iter().find(|network| network.name == args.network) {
        Some(found) => Ok((found.takes, found.network?)),
        None => {
            Err(Usage(format!("there is no network `{}` in {}; it has {names}", args.network, args.run.display()))
                .into())
        }
    }
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

fn input_label(takes: Takes) -> &'static str {
    match takes {
        Takes::State => "observation",
        Takes::StateAction => "observation and action in [-1, 1]",
        Takes::StateState => "observation and next observation",
        Takes::StateActionState => "observation, action in [-1, 1] and next observation",
    }
}

fn output_label(network: &str) -> &'static str {
    match network {
        "policy" => "action in the environment's units",
        "reward" => "logit of the discriminator",
        "model" => "next observation",
        "termination" => "logit of an episode's end",
        _ if network.ends_with("_log_variance") => {
            "log-variance of reward and change of observation, before its bounds"
        }
        _ if network.starts_with("model_") => "reward and change of observation",
        _ => "value",
    }
}

fn report(
    loaded: &LoadedPolicy,
    takes: Takes,
    (network, clamped): (&Network, bool),
    rows: &[BoundRow],
) -> anyhow::Result<String> {
    let mut text = String::new();
    let hidden: String = network.hidden().iter().map(|units| format!("{units} → ")).collect();
    let activation = serde_json::to_value(network.activation())?;
    let activation = activation.as_str().map_or_else(|| activation.to_string(), str::to_owned);
    let output = match (clamped, network.squashed()) {
        (true, _) => ", actions clamped to their bounds",
        (false, true) => ", tanh output",
        (false, false) => "",
    };
    writeln!(
        text,
        "{} of {} ({}, step {}): {} → {hidden}{}, {activation}{output}",
        network.name(),
        loaded.origin.display(),
        loaded.env.id,
        loaded.step,
        network.inputs(),
        network.outputs()
    )?;
    writeln!(text, "Lipschitz constants from {} to {}", input_label(takes), output_label(network.name()))?;
    if clamped {
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
