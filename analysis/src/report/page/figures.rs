//! Returns, time to a target, curves, performance profile and Lipschitz diagnostics.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::super::experiment::Experiment;
use super::super::findings::Findings;
use super::super::options::ReportOptions;
use super::super::outcomes::interquartile_mean;
use super::super::run_record::RunState;
use super::super::wording::short;
use super::elements::{Cell, figure, table};
use crate::bootstrap::Bootstrap;
use crate::curve::{Band, Curve};
use crate::figure::Figure;
use crate::labels::{caption, references};
use crate::panel::Panel;
use crate::scores::Scores;
use crate::stats;

/// Thresholds of a performance profile.
const THRESHOLDS: usize = 101;
/// Resamples of a profile and of diagnostics, as the paper uses for profiles.
const RESAMPLES: usize = 2000;

pub(super) fn returns(experiment: &Experiment, findings: &Findings) -> Markup {
    let name = row_name(experiment);
    let rows: Vec<[Cell; 6]> = findings
        .returns
        .iter()
        .map(|row| {
            [
                name(&row.variant, &row.task).into(),
                format!("{} of {}", row.runs.0, row.runs.1).into(),
                Cell::interval(row.last),
                format!("{} ± {}", short(row.mean_std.0), short(row.mean_std.1)).into(),
                Cell::interval(row.mean),
                Cell::interval(row.best),
            ]
        })
        .collect();
    let caption =
        html! { code { (experiment.metric) } (experiment.window.to_string()) " of finished runs, 95 % intervals" };
    html! {
        (table(caption, &["variant", "runs", "final, IQM", "final, mean ± std", "mean, IQM", "best, IQM"], &rows))
        p.quiet {
            "Final: a run's last value. Mean: the mean of all its values. Best: its highest value, which picks the \
             luckiest evaluation."
        }
    }
}

/// Names rows by variant, and by task if there are several.
fn row_name(experiment: &Experiment) -> impl Fn(&str, &str) -> String {
    let several = experiment.tasks().len() > 1;
    move |variant, task| if several { format!("{variant} · {task}") } else { variant.to_owned() }
}

/// Time to the target; empty without one.
pub(super) fn reach(experiment: &Experiment, findings: &Findings) -> Markup {
    let Some(value) = experiment.reach else { return Markup::default() };
    let name = row_name(experiment);
    let rows: Vec<[Cell; 4]> = findings
        .reach
        .iter()
        .map(|row| {
            let runs = format!("{} of {}", row.runs.0, row.runs.1);
            let name = name(&row.variant, &row.task);
            [name.into(), runs.into(), Cell::interval(row.steps), Cell::interval(row.seconds)]
        })
        .collect();
    let caption = html! {
        "Until " code { (experiment.metric) } (experiment.window.to_string()) " was " (short(value))
        " or more, 95 % intervals"
    };
    html! {
        (table(caption, &["variant", "finished runs that reached it", "steps, IQM", "seconds, IQM"], &rows))
        p.quiet {
            "Steps and seconds to the first value as high, over the runs that reached it. If some did not, the \
             numbers flatter. Seconds are the run's own; they depend on how many ran side by side."
        }
    }
}

/// Curves of a metric: a panel for each task.
fn panels(experiment: &Experiment, metric: &str, options: Option<&ReportOptions>) -> Vec<Panel> {
    let variants = experiment.variants();
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

fn legend(experiment: &Experiment) -> Vec<String> {
    experiment.variants().into_iter().map(str::to_owned).collect()
}

pub(super) fn curves(experiment: &Experiment, options: &ReportOptions) -> Markup {
    let panels = panels(experiment, &experiment.metric, Some(options));
    let drawn = Figure {
        title: experiment.figure.clone().unwrap_or_default(),
        caption: caption(&panels, Band::default(), 1),
        legend: legend(experiment),
        panels,
        ..Figure::default()
    };
    figure(&drawn, "All runs that logged the metric, also unfinished ones. Not smoothed.")
}

/// Performance profile, on the tasks that all variants with finished runs have; empty without such
/// tasks, or if all scores are equal.
pub(super) fn profile(experiment: &Experiment, findings: &Findings, options: &ReportOptions) -> Markup {
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
        legend: legend(experiment),
        panels: vec![panel],
        ..Figure::default()
    };
    let mut meaning =
        "If one curve lies above another everywhere, its variant is better whichever score matters.".to_owned();
    if !left_out.is_empty() {
        meaning += &format!(" Left out, without finished runs of every variant: {}.", left_out.join(", "));
    }
    figure(&drawn, &meaning)
}

/// Lipschitz diagnostics; empty if no run logged any.
pub(super) fn lipschitz(experiment: &Experiment) -> Markup {
    let logged = experiment.runs.iter().flat_map(|run| run.series.keys());
    let names: BTreeSet<&String> = logged.filter(|name| name.starts_with("lipschitz/")).collect();
    if names.is_empty() {
        return Markup::default();
    }
    let variants = experiment.variants();
    let bootstrap = Bootstrap { resamples: RESAMPLES, ..Bootstrap::default() };
    let last = |variant: &str, name: &str| {
        let done = experiment.of(variant).filter(|run| run.state == RunState::Done);
        let values: Vec<f64> = done.filter_map(|run| Some(run.scored(name, experiment.window).last()?.1)).collect();
        Cell::interval(interquartile_mean(&values, &bootstrap).ok().flatten())
    };
    let row = |name: &&String| -> Vec<Cell> {
        let quantity = Cell::words(html! { code { (name) } });
        std::iter::once(quantity).chain(variants.iter().map(|variant| last(variant, name))).collect()
    };
    let heads: Vec<&str> = std::iter::once("quantity").chain(variants.iter().copied()).collect();
    let caption = html! { "Last value" (experiment.window.to_string()) " of finished runs, IQM and 95 % interval" };
    html! {
        (figure(
            &diagnostics(experiment, &names),
            "95th percentiles over visited states, for quantities that vary over states.",
        ))
        (table(caption, &heads, &names.iter().map(row).collect::<Vec<_>>()))
    }
}

/// Curves of the diagnostics. Of twin critics one is drawn, and no shares: the table has them.
fn diagnostics(experiment: &Experiment, names: &BTreeSet<&String>) -> Figure {
    let drawn = |name: &&&String| {
        !["/q2_", "standardised", "share_above", "within_"].iter().any(|part| name.contains(part))
            && !name.ends_with("_2")
    };
    let mut shown = Vec::new();
    for name in names.iter().filter(drawn).take(9) {
        for mut panel in panels(experiment, name, None) {
            let points = panel.curves.iter().flat_map(|(_, curve)| &curve.points);
            let (low, high) = stats::range(points.map(|point| point.centre));
            panel.log = low > 0.0 && high > 20.0 * low;
            panel.y_label = if panel.log { "logarithmic".to_owned() } else { String::new() };
            let short = name.trim_start_matches("lipschitz/");
            panel.title = if panel.title.is_empty() { short.to_owned() } else { format!("{short}, {}", panel.title) };
            shown.push(panel);
        }
    }
    shown.truncate(12);
    Figure {
        caption: caption(&shown, Band::default(), 1),
        legend: legend(experiment),
        panels: shown,
        ..Figure::default()
    }
}
