//! Returns, curves, performance profile and Lipschitz diagnostics.

use std::collections::BTreeSet;

use super::super::experiment::Experiment;
use super::super::findings::Findings;
use super::super::options::ReportOptions;
use super::super::run_record::RunState;
use super::super::wording::short;
use super::{figure, interval, table};
use crate::draw::escape;
use crate::labels::{caption, references};
use crate::{Band, Bootstrap, ConfidenceInterval, Curve, Figure, Panel, curve::CurvePoint};

/// Thresholds of a performance profile.
const THRESHOLDS: usize = 101;
/// Resamples of a profile and of diagnostics, as the paper uses for profiles.
const RESAMPLES: usize = 2000;

pub(super) fn returns(experiment: &Experiment, findings: &Findings) -> String {
    let name = row_name(experiment);
    let rows: Vec<Vec<String>> = findings
        .returns
        .iter()
        .map(|row| {
            let mean = format!("{} ± {}", short(row.mean_std.0), short(row.mean_std.1));
            vec![
                name(&row.variant, &row.task),
                format!("{} of {}", row.runs.0, row.runs.1),
                interval(row.last),
                mean,
                interval(row.mean),
                interval(row.best),
            ]
        })
        .collect();
    let (metric, window) = (escape(&experiment.metric), experiment.window);
    let caption = format!("<code>{metric}</code>{window} of finished runs, 95 % intervals");
    table(&caption, &["variant", "runs", "final, IQM", "final, mean ± std", "mean, IQM", "best, IQM"], &rows)
        + "<p class=\"quiet\">Final: the last value a run logged. Mean: of all it logged. Best: its highest, which picks the luckiest evaluation.</p>\n"
}

/// Names rows by variant, and by task where there are several.
fn row_name(experiment: &Experiment) -> impl Fn(&str, &str) -> String {
    let several = experiment.tasks().len() > 1;
    move |variant, task| escape(&if several { format!("{variant} · {task}") } else { variant.to_owned() })
}

pub(super) fn reach(experiment: &Experiment, findings: &Findings) -> String {
    let Some(value) = experiment.reach else { return String::new() };
    let name = row_name(experiment);
    let rows: Vec<Vec<String>> = findings
        .reach
        .iter()
        .map(|row| {
            let runs = format!("{} of {}", row.runs.0, row.runs.1);
            vec![name(&row.variant, &row.task), runs, interval(row.steps), interval(row.seconds)]
        })
        .collect();
    let (metric, window) = (escape(&experiment.metric), experiment.window);
    let caption = format!("Until <code>{metric}</code>{window} was {} or more, 95 % intervals", short(value));
    table(&caption, &["variant", "finished runs that reached it", "steps, IQM", "seconds, IQM"], &rows)
        + "<p class=\"quiet\">The first value as high, of the runs that reached it alone: where some did not, the others' numbers flatter. Seconds are \
           the run's own clock; how many ran side by side changes it.</p>\n"
}

/// Curves of a metric: a panel for each task.
fn panels(experiment: &Experiment, metric: &str, options: Option<&ReportOptions>) -> Vec<Panel> {
    let variants = experiment.variants();
    let tasks = experiment.tasks();
    let several = tasks.len() > 1;
    let names: BTreeSet<Option<&str>> = tasks.iter().copied().map(Some).collect();
    let of_task = |task: &str| {
        let curve = |(place, variant): (usize, &&str)| {
            let members = experiment.of(variant).filter(|member| member.task == task);
            let runs: Vec<_> = members.filter_map(|member| member.run(metric)).collect();
            let label = (*variant).to_owned();
            (!runs.is_empty())
                .then(|| (place, Curve::from_runs(label, &runs.iter().collect::<Vec<_>>(), Band::default(), 1)))
        };
        Panel {
            title: if several { task.to_owned() } else { String::new() },
            y_label: metric.to_owned(),
            log: false,
            from_zero: true,
            log_x: false,
            curves: variants.iter().enumerate().filter_map(curve).collect(),
            references: options.map(|options| references(&options.references, Some(task), &names)).unwrap_or_default(),
        }
    };
    tasks.into_iter().map(of_task).filter(|panel| !panel.curves.is_empty()).collect()
}

fn legend(experiment: &Experiment) -> Vec<String> {
    experiment.variants().into_iter().map(str::to_owned).collect()
}

pub(super) fn curves(experiment: &Experiment, options: &ReportOptions) -> String {
    let panels = panels(experiment, &experiment.metric, Some(options));
    let drawn = Figure {
        title: experiment.figure.clone().unwrap_or_default(),
        caption: caption(&panels, Band::default(), 1),
        x_label: String::new(),
        legend: legend(experiment),
        panels,
    };
    figure(&drawn, "All runs that logged the metric, unfinished ones too. Not smoothed.")
}

pub(super) fn profile(experiment: &Experiment, findings: &Findings, options: &ReportOptions) -> String {
    let all = || findings.scores.values().flat_map(|scores| scores.flat());
    let (low, high) = all().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(x), h.max(x)));
    if low >= high {
        return String::new();
    }
    let thresholds: Vec<f64> =
        (0..THRESHOLDS).map(|n| low + (high - low) * (n as f64 / (THRESHOLDS - 1) as f64 * 1.04 - 0.02)).collect();
    let bootstrap = Bootstrap { resamples: RESAMPLES, ..options.bootstrap };
    // The colours are those of the curves, also where a variant has no finished run.
    let variants = experiment.variants();
    let curve = |(variant, scores): (&String, &crate::Scores)| {
        let place = variants.iter().position(|name| name == variant).unwrap_or(0);
        let shares = bootstrap.profile(scores, &thresholds).into_iter().zip(&thresholds);
        let point = |(share, tau): (ConfidenceInterval, &f64)| CurvePoint {
            x: *tau,
            centre: share.value,
            low: share.low,
            high: share.high,
            seeds: scores.runs(),
        };
        let points = shares.map(point).collect();
        (place, Curve { label: variant.clone(), points, seeds: scores.runs(), interpolated: false })
    };
    let panel = Panel {
        y_label: "share of runs above τ".to_owned(),
        curves: findings.scores.iter().map(curve).collect(),
        ..Panel::default()
    };
    let drawn = Figure {
        caption: "share of finished runs above each score, pointwise 95% interval".to_owned(),
        x_label: if findings.scaled { "scaled score τ" } else { "score τ" }.to_owned(),
        legend: legend(experiment),
        panels: vec![panel],
        ..Figure::default()
    };
    figure(
        &drawn,
        "Where one curve lies above another everywhere, its variant is better whichever score one cares about.",
    )
}

pub(super) fn lipschitz(experiment: &Experiment) -> String {
    let names: BTreeSet<&String> = experiment
        .runs
        .iter()
        .flat_map(|member| member.series.keys())
        .filter(|name| name.starts_with("lipschitz/"))
        .collect();
    if names.is_empty() {
        return String::new();
    }
    let variants = experiment.variants();
    let bootstrap = Bootstrap { resamples: RESAMPLES, ..Bootstrap::default() };
    let last = |variant: &str, name: &String| -> Option<ConfidenceInterval> {
        let done = experiment.of(variant).filter(|member| member.state == RunState::Done);
        let values = done.filter_map(|member| Some(member.scored(name, experiment.window).last()?.1)).collect();
        let scores = crate::Scores::new([(String::new(), values)]).ok()?;
        Some(bootstrap.estimate(&scores, crate::Estimator::InterquartileMean))
    };
    let heads: Vec<String> =
        std::iter::once("quantity".to_owned()).chain(variants.iter().map(|name| escape(name))).collect();
    let rows: Vec<Vec<String>> = names
        .iter()
        .map(|name| {
            let cells = variants.iter().map(|variant| interval(last(variant, name)));
            std::iter::once(format!("<code>{}</code>", escape(name))).chain(cells).collect()
        })
        .collect();
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    let mut shown = Vec::new();
    // Of twin critics one is drawn, and no shares: the table has them.
    let drawn = |name: &&&String| {
        !["/q2_", "standardised", "share_above", "within_"].iter().any(|part| name.contains(part))
            && !name.ends_with("_2")
    };
    for name in names.iter().filter(drawn).take(9) {
        for mut panel in panels(experiment, name, None) {
            let values = || panel.curves.iter().flat_map(|(_, curve)| &curve.points).map(|point| point.centre);
            let (low, high) = values().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(x), h.max(x)));
            panel.log = low > 0.0 && high > 20.0 * low;
            panel.y_label = if panel.log { "logarithmic".to_owned() } else { String::new() };
            let short = name.trim_start_matches("lipschitz/");
            panel.title = if panel.title.is_empty() { short.to_owned() } else { format!("{short}, {}", panel.title) };
            shown.push(panel);
        }
    }
    shown.truncate(12);
    let drawn = Figure {
        caption: caption(&shown, Band::default(), 1),
        legend: legend(experiment),
        panels: shown,
        ..Figure::default()
    };
    figure(&drawn, "95th percentiles over visited states where a quantity varies over states.")
        + &table(&format!("Last value{} of finished runs, IQM and 95 % interval", experiment.window), &heads, &rows)
}
