//! Returns, time to a target, curves, performance profile and metrics.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::super::experiment::Experiment;
use super::super::files::Files;
use super::super::findings::Findings;
use super::super::metrics::{UnitGroup, missing, shown};
use super::super::options::ReportOptions;
use super::super::outcomes::interquartile_mean;
use super::super::run_record::RunState;
use super::super::table::{Cell, Table};
use crate::bootstrap::Bootstrap;
use crate::curve::{Band, Curve};
use crate::draw::DISTINCT;
use crate::figure::Figure;
use crate::labels::{caption, references};
use crate::panel::Panel;
use crate::scores::Scores;
use crate::stats;
use crate::units::{unit_of, unlike_bounds};

/// Thresholds of a performance profile.
const THRESHOLDS: usize = 101;
/// Resamples of a profile and of metrics, as the paper uses for profiles.
const RESAMPLES: usize = 2000;
/// Most panels of one unit.
const PANELS: usize = 9;

/// Place of a variant's colour and marker; one for all if they would repeat.
pub(super) fn place(experiment: &Experiment, variant: &str) -> usize {
    let variants = experiment.variants();
    if variants.len() > DISTINCT { 0 } else { variants.iter().position(|name| *name == variant).unwrap_or(0) }
}

pub(super) fn returns(files: &mut Files, experiment: &Experiment, findings: &Findings) -> Markup {
    let name = row_name(experiment);
    let rows = findings.returns.iter().map(|row| -> Vec<Cell> {
        let (mean, std) = if row.last.is_some() { row.mean_std } else { (f64::NAN, f64::NAN) };
        vec![
            name(&row.variant, &row.task).into(),
            format!("{} of {}", row.runs.0, row.runs.1).into(),
            Cell::Interval(row.last),
            Cell::Number(mean),
            Cell::Number(std),
            Cell::Interval(row.mean),
            Cell::Interval(row.best),
        ]
    });
    let caption = format!("`{}`{} of finished runs, 95 % intervals", experiment.metric, experiment.window);
    let heads = ["variant", "runs", "final, IQM", "final, mean", "std", "mean, IQM", "best, IQM"];
    html! {
        (files.table(Table::new("returns", caption, heads, rows)))
        p.quiet {
            "Final: a run's last value. Mean: the mean of all its values. Best: its highest value, which picks the \
             luckiest evaluation. std: standard deviation over runs."
        }
    }
}

/// Names rows by variant, and by task if there are several.
pub(super) fn row_name(experiment: &Experiment) -> impl Fn(&str, &str) -> String {
    let several = experiment.tasks().len() > 1;
    move |variant, task| if several { format!("{variant} · {task}") } else { variant.to_owned() }
}

/// Time to the target; empty without one.
pub(super) fn reach(files: &mut Files, experiment: &Experiment, findings: &Findings) -> Markup {
    let Some(value) = experiment.reach else { return Markup::default() };
    let name = row_name(experiment);
    let rows = findings.reach.iter().map(|row| -> Vec<Cell> {
        let runs = format!("{} of {}", row.runs.0, row.runs.1);
        let name = name(&row.variant, &row.task);
        vec![name.into(), runs.into(), Cell::Interval(row.steps), Cell::Interval(row.seconds)]
    });
    let caption = format!("Until `{}`{} was {value} or more, 95 % intervals", experiment.metric, experiment.window);
    let heads = ["variant", "finished runs that reached it", "steps, IQM", "seconds, IQM"];
    html! {
        (files.table(Table::new("reach", caption, heads, rows)))
        p.quiet {
            "Steps and seconds to the first value as high, over the runs that reached it. If some did not, the \
             numbers flatter. Seconds are the run's own; they depend on how many ran side by side."
        }
    }
}

/// Curves of a metric by some variants: a panel for each task.
fn panels(experiment: &Experiment, variants: &[&str], metric: &str, options: Option<&ReportOptions>) -> Vec<Panel> {
    let tasks = experiment.tasks();
    let several = tasks.len() > 1;
    let names: BTreeSet<Option<&str>> = tasks.iter().copied().map(Some).collect();
    let of_task = |task: &str| {
        let curve = |(place, variant): (usize, &&str)| {
            let of_task = experiment.of(variant).filter(|run| run.task == task);
            let runs: Vec<_> = of_task.filter_map(|run| run.run(metric)).collect();
            let label = (*variant).to_owned();
            (!runs.is_empty())
                .then(|| (place, Curve::from_runs(label, &runs.iter().collect::<Vec<_>>(), Band::default(), 1)))
        };
        Panel {
            title: if several { task.to_owned() } else { String::new() },
            y_label: metric.to_owned(),
            from_zero: true,
            curves: variants.iter().enumerate().filter_map(curve).collect(),
            references: options.map(|options| references(&options.references, Some(task), &names)).unwrap_or_default(),
            ..Panel::default()
        }
    };
    tasks.into_iter().map(of_task).filter(|panel| !panel.curves.is_empty()).collect()
}

fn legend(variants: &[&str]) -> Vec<String> {
    variants.iter().map(|variant| (*variant).to_owned()).collect()
}

/// Curves of the metric compared.
pub(super) fn curves(experiment: &Experiment, options: &ReportOptions) -> Figure {
    let variants = experiment.variants();
    let panels = panels(experiment, &variants, &experiment.metric, Some(options));
    Figure {
        title: experiment.figure.clone().unwrap_or_default(),
        caption: caption(&panels, Band::default(), 1),
        legend: legend(&variants),
        panels,
        ..Figure::default()
    }
}

/// Performance profile, on the tasks that all variants with finished runs have; empty without such
/// tasks, or if all scores are equal.
pub(super) fn profile(
    files: &mut Files,
    experiment: &Experiment,
    findings: &Findings,
    options: &ReportOptions,
) -> Markup {
    let everywhere = |task: &&str| findings.scores.values().all(|scores| scores.names().any(|name| name == *task));
    let all: BTreeSet<&str> = findings.scores.values().flat_map(Scores::names).collect();
    let shared: BTreeSet<&str> = all.iter().copied().filter(everywhere).collect();
    let left_out: Vec<&str> = all.difference(&shared).copied().collect();
    let scores: Vec<(&String, Scores)> =
        findings.scores.iter().filter_map(|(variant, scores)| Some((variant, scores.on(&shared)?))).collect();
    let (low, high) = stats::range(scores.iter().flat_map(|(_, scores)| scores.flat()));
    if low >= high {
        return Markup::default();
    }
    let threshold = |n| stats::between(low, high, n as f64 / (THRESHOLDS - 1) as f64 * 1.04 - 0.02);
    let thresholds: Vec<f64> = (0..THRESHOLDS).map(threshold).map(|tau| tau.clamp(f64::MIN, f64::MAX)).collect();
    let bootstrap = Bootstrap { resamples: RESAMPLES, ..options.bootstrap };
    // The colours are those of the curves, also if a variant has no finished run.
    let variants = experiment.variants();
    let curve = |(variant, scores): &(&String, Scores)| {
        let place = variants.iter().position(|name| name == variant).unwrap_or(0);
        let shares = bootstrap.profile(scores, &thresholds).into_iter().zip(&thresholds);
        (
            place,
            Curve::of_points(variant.as_str(), shares.map(|(share, tau)| [*tau, share.value, share.low, share.high])),
        )
    };
    let panel = Panel {
        y_label: "share of runs above τ".to_owned(),
        curves: scores.iter().map(curve).collect(),
        ..Panel::default()
    };
    let drawn = Figure {
        caption: "share of finished runs above each score, pointwise 95% interval".to_owned(),
        x_label: if findings.scaled { "scaled score τ" } else { "score τ" }.to_owned(),
        legend: legend(&variants),
        panels: vec![panel],
        ..Figure::default()
    };
    let mut meaning =
        "If one curve lies above another everywhere, its variant is better whichever score matters.".to_owned();
    if !left_out.is_empty() {
        meaning += &format!(" Left out, without finished runs of every variant: {}.", left_out.join(", "));
    }
    files.figure("profile", &drawn, &meaning)
}

/// Metrics beside the one compared: figures by unit, and last values. Empty if no run logged any.
pub(super) fn metrics(files: &mut Files, experiment: &Experiment, findings: &Findings) -> Markup {
    let variants = experiment.distinct(&findings.baseline, &findings.scores);
    let groups = shown(experiment);
    let missing = missing(experiment);
    let logged: BTreeSet<&String> = experiment.runs.iter().flat_map(|run| run.series.keys()).collect();
    let asked: BTreeSet<&String> = groups.iter().flat_map(|group| &group.metrics).collect();
    let mut names: Vec<&String> =
        logged.into_iter().filter(|name| name.starts_with("lipschitz/") || asked.contains(name)).collect();
    names.sort_by_key(|name| (unit_of(name), *name));
    let bounds = unlike_bounds(names.iter().copied());
    // A figure for each unit; those of one metric share one, except bounds in unlike units.
    let is_unlike = |group: &&UnitGroup| bounds.iter().any(|(bound, _)| group.unit == unit_of(bound));
    let (alone, shared): (Vec<&UnitGroup>, Vec<&UnitGroup>) =
        groups.iter().partition(|group| group.metrics.len() > 1 || is_unlike(group));
    let mut drawn: Vec<Figure> = alone.into_iter().map(|group| multiples(experiment, &variants, &[group])).collect();
    drawn.extend((!shared.is_empty()).then(|| multiples(experiment, &variants, &shared)));
    html! {
        @for (at, figure) in drawn.iter().enumerate() { (files.figure(&format!("metrics_{}", at + 1), figure, "")) }
        @if groups.iter().any(|group| group.metrics.len() > PANELS) {
            p.quiet { "Of each unit " (PANELS) " are drawn; the table has all." }
        }
        @if experiment.variants().len() > variants.len() {
            p.quiet { "Drawn are the baseline and the variants with the highest scores." }
        }
        @for metric in missing { p.quiet { "No run logged " code { (metric) } "." } }
        @for (bound, measured) in &bounds {
            p.quiet {
                code { (bound) } " (" (unit_of(bound).unwrap_or_default()) ") and " code { (measured) } " ("
                (unit_of(measured).unwrap_or_default()) ") have different units: the one does not bound the other's \
                 number."
            }
        }
        (last_values(files, experiment, &names))
    }
}

/// A panel for each metric of some units.
fn multiples(experiment: &Experiment, variants: &[&str], groups: &[&UnitGroup]) -> Figure {
    let unit = |group: &UnitGroup| group.unit.unwrap_or("no unit that is known");
    let mut of_units = Vec::new();
    for (group, metric) in groups.iter().flat_map(|group| group.metrics.iter().take(PANELS).map(move |m| (group, m))) {
        for mut panel in panels(experiment, variants, metric, None) {
            let points = panel.curves.iter().flat_map(|(_, curve)| &curve.points);
            let (low, high) = stats::range(points.map(|point| point.centre));
            panel.log = low > 0.0 && high > 20.0 * low;
            panel.y_label = format!("{}{}", unit(group), if panel.log { ", logarithmic" } else { "" });
            panel.title = if panel.title.is_empty() { metric.clone() } else { format!("{metric}, {}", panel.title) };
            of_units.push(panel);
        }
    }
    Figure {
        caption: caption(&of_units, Band::default(), 1),
        legend: legend(variants),
        panels: of_units,
        columns: 3,
        ..Figure::default()
    }
}

/// Last value of each metric by variant, ordered by unit.
fn last_values(files: &mut Files, experiment: &Experiment, names: &[&String]) -> Markup {
    let variants = experiment.variants();
    let bootstrap = Bootstrap { resamples: RESAMPLES, ..Bootstrap::default() };
    let last = |variant: &str, name: &str| {
        let done = experiment.of(variant).filter(|run| run.state == RunState::Done);
        let values: Vec<f64> = done.filter_map(|run| Some(run.scored(name, experiment.window).last()?.1)).collect();
        Cell::Interval(interquartile_mean(&values, &bootstrap).ok().flatten())
    };
    let row = |name: &&String| -> Vec<Cell> {
        let quantity = [Cell::code(name), unit_of(name).unwrap_or("–").into()];
        quantity.into_iter().chain(variants.iter().map(|variant| last(variant, name))).collect()
    };
    let heads = ["quantity", "unit"].into_iter().chain(variants.iter().copied());
    let caption = format!("Last value{} of finished runs, IQM and 95 % interval", experiment.window);
    files.table(Table::new("metrics", caption, heads, names.iter().map(row)))
}
