//! Table, figure, CSV and JSON of a trade-off.

use liprl_analysis::{ConfidenceInterval, Curve, Figure, Panel, ReferenceLine};
use serde_json::{Value, json};

use super::{RunGroup, Tradeoff};
use crate::terminal::dynamic_table;

/// Names and sizes of the perturbations by index; 0 is undisturbed.
fn conditions(tradeoff: &Tradeoff) -> Vec<(String, f64)> {
    let disturbed = tradeoff.plan.perturbations.iter().map(|(kind, epsilon)| (format!("{kind} {epsilon}"), *epsilon));
    std::iter::once(("undisturbed".to_owned(), 0.0)).chain(disturbed).collect()
}

fn expert_constant(tradeoff: &Tradeoff) -> Option<f64> {
    tradeoff.baseline.as_ref().map(|baseline| baseline.expert_constant)
}

fn cost(group: &RunGroup, condition: usize) -> Option<ConfidenceInterval> {
    group.mean(|run| if condition == 0 { Some(run.nominal) } else { run.disturbed.get(condition - 1).copied() })
}

fn bound(group: &RunGroup, condition: usize) -> Option<ConfidenceInterval> {
    group.mean(|run| run.bounds.get(condition).copied().flatten())
}

/// Constants, errors and costs of each group.
pub fn table(tradeoff: &Tradeoff) -> String {
    let names = conditions(tradeoff);
    let header = ["policy", "runs", "certified", "mse"].map(str::to_owned);
    let header: Vec<String> = header.into_iter().chain(names.iter().map(|(name, _)| name.clone())).collect();
    let short = |found: Option<ConfidenceInterval>| found.map_or("-".to_owned(), |found| format!("{:.4}", found.value));
    let long = |found: Option<ConfidenceInterval>| {
        found.map_or("-".to_owned(), |f| format!("{:.1} ±{:.1}", f.value, 0.5 * (f.high - f.low)))
    };
    let cells = |group: &RunGroup| {
        let mut cells = vec![group.name(), group.runs.len().to_string()];
        cells.extend([short(group.mean(|run| run.certified)), short(group.mean(|run| run.mse))]);
        cells.extend((0..names.len()).map(|condition| long(cost(group, condition))));
        cells
    };
    let columns = header.len();
    dynamic_table(header, 1..columns, tradeoff.groups.iter().map(cells).collect())
}

/// All numbers, run by run.
pub fn json(tradeoff: &Tradeoff) -> Value {
    let expert = expert_constant(tradeoff);
    let interval =
        |found: Option<ConfidenceInterval>| found.map(|i| json!({"mean": i.value, "low": i.low, "high": i.high}));
    let groups: Vec<Value> = tradeoff
        .groups
        .iter()
        .map(|group| {
            let costs: Vec<Value> = conditions(tradeoff)
                .into_iter()
                .enumerate()
                .map(|(condition, (name, epsilon))| {
                    json!({
                        "condition": name, "epsilon": epsilon, "cost": interval(cost(group, condition)),
                        "u": interval(group.mean(|run| run.u(epsilon, expert))), "b4_cost": interval(bound(group, condition)),
                    })
                })
                .collect();
            json!({"constraint": group.constraint, "alpha": group.alpha, "costs": costs, "runs": group.runs})
        })
        .collect();
    json!({
        "env": tradeoff.task, "episodes": tradeoff.plan.episodes, "seed": tradeoff.plan.seed,
        "interval": "95 % bootstrap of the mean over runs",
        "expert_constant": expert, "scaled_expert": tradeoff.baseline.as_ref().map(|baseline| &baseline.scaled), "groups": groups,
    })
}

/// One line for each group and condition.
pub fn csv(tradeoff: &Tradeoff) -> String {
    let expert = expert_constant(tradeoff);
    let mut text =
        "constraint,alpha,runs,certified,mse,oracle_mse,condition,epsilon,cost,low,high,u,b4_cost\n".to_owned();
    let number = |x: Option<f64>| x.map_or(String::new(), |x| x.to_string());
    let value = |found: Option<ConfidenceInterval>| number(found.map(|found| found.value));
    for group in &tradeoff.groups {
        for (condition, (name, epsilon)) in conditions(tradeoff).into_iter().enumerate() {
            let found = cost(group, condition);
            let cells = [
                group.constraint.clone(),
                number(group.alpha),
                group.runs.len().to_string(),
                value(group.mean(|run| run.certified)),
                value(group.mean(|run| run.mse)),
                value(group.mean(|run| run.oracle_mse)),
                name,
                epsilon.to_string(),
                value(found),
                number(found.map(|found| found.low)),
                number(found.map(|found| found.high)),
                value(group.mean(|run| run.u(epsilon, expert))),
                value(bound(group, condition)),
            ];
            text += &(cells.join(",") + "\n");
        }
    }
    text
}

/// Costs against α, a panel for each disturbance, and below them U(α, ε).
pub fn figures(tradeoff: &Tradeoff) -> Figure {
    let expert = expert_constant(tradeoff);
    let mut kinds: Vec<&str> = tradeoff.groups.iter().map(|group| group.constraint.as_str()).collect();
    kinds.dedup();
    let of_kind = |kind: &str| -> Vec<&RunGroup> {
        tradeoff.groups.iter().filter(|group| group.constraint == kind && group.alpha.is_some()).collect()
    };
    let (bounded, free): (Vec<&str>, Vec<&str>) = kinds.into_iter().partition(|kind| !of_kind(kind).is_empty());
    let along = |kind: &str, of: &dyn Fn(&RunGroup) -> Option<ConfidenceInterval>| {
        curve(of_kind(kind).into_iter().filter_map(|group| Some((group.alpha?, of(group)?))))
    };
    let mut legend: Vec<String> = Vec::new();
    let mut place = |name: String| {
        legend.iter().position(|known| *known == name).unwrap_or_else(|| {
            legend.push(name);
            legend.len() - 1
        })
    };
    let (mut costs, mut bounds) = (Vec::new(), Vec::new());
    for (condition, (name, epsilon)) in conditions(tradeoff).into_iter().enumerate() {
        let mut of_cost = panel(&name, "cost of an episode");
        let mut of_bound = panel(&name, "U(α, ε), action's units");
        for kind in &bounded {
            of_cost.curves.push((place((*kind).to_owned()), along(kind, &|group| cost(group, condition))));
            let least = along(kind, &|group| group.mean(|run| run.u(epsilon, expert)));
            of_bound.curves.push((place((*kind).to_owned()), least));
            let proven = along(kind, &|group| bound(group, condition));
            if !proven.points.is_empty() {
                let name = if bounded.len() > 1 { format!("bound B4 of {kind}") } else { "bound B4".to_owned() };
                of_cost.curves.push((place(name), proven));
            }
        }
        if let Some(baseline) = &tradeoff.baseline {
            let exact = |cost: f64| ConfidenceInterval { value: cost, low: cost, high: cost };
            let scaled = baseline.scaled.iter().map(|one| (one.alpha, exact(one.costs[condition])));
            of_cost.curves.push((place("scaled expert".to_owned()), curve(scaled)));
        }
        for kind in &free {
            let group = tradeoff.groups.iter().find(|group| group.constraint == *kind);
            let level = group.and_then(|group| cost(group, condition));
            of_cost.references.extend(level.map(|at| ReferenceLine { label: (*kind).to_owned(), y: at.value }));
        }
        of_bound.curves.retain(|(_, curve)| !curve.points.is_empty());
        costs.push(of_cost);
        bounds.push(of_bound);
    }
    let columns = costs.len().min(4);
    costs.extend(bounds.into_iter().filter(|panel| !panel.curves.is_empty()));
    let runs = tradeoff.groups.iter().map(|group| group.runs.len()).max().unwrap_or(0);
    Figure {
        title: format!("{}: cost against the policy's Lipschitz constant", tradeoff.task),
        caption: format!(
            "mean and 95% interval over up to {runs} runs; {} episodes each; dashed levels: no constraint",
            tradeoff.plan.episodes
        ),
        x_label: "α asked for (action over observation)".to_owned(),
        legend,
        panels: costs,
        columns,
    }
}

fn panel(title: &str, y_label: &str) -> Panel {
    let (title, y_label) = (title.to_owned(), y_label.to_owned());
    Panel { title, y_label, log: true, log_x: true, ..Panel::default() }
}

fn curve(points: impl Iterator<Item = (f64, ConfidenceInterval)>) -> Curve {
    Curve::of_points("", points.map(|(x, at)| [x, at.value, at.low, at.high]))
}
