//! The report as one page of HTML that asks for nothing outside itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::ReportOptions;
use super::compare::{Findings, short, signed};
use super::gather::{Experiment, Member, State};
use super::settings::{Settings, differing};
use crate::draw::escape;
use crate::{Band, Bootstrap, Curve, Figure, Interval, Panel, curve::Point, stats};

const STYLE: &str = include_str!("style.css");
/// Thresholds of a performance profile.
const THRESHOLDS: usize = 101;
/// Resamples of a profile and of diagnostics, as the paper uses for profiles.
const RESAMPLES: usize = 2000;

pub(super) fn html(experiment: &Experiment, findings: &Findings, options: &ReportOptions) -> String {
    let sections: Vec<(&str, &str, String)> = vec![
        ("answer", "Question and answer", answer(experiment, findings)),
        ("returns", "Final and best", returns(experiment, findings)),
        ("curves", "Curves", curves(experiment, options)),
        ("profile", "Performance profile", profile(experiment, findings, options)),
        ("lipschitz", "Lipschitz diagnostics", lipschitz(experiment)),
        ("cost", "Cost", cost(experiment)),
        ("runs", "Runs that are not compared", unfinished(experiment)),
        ("settings", "What differs between the variants", settings(experiment)),
        ("origin", "What was run", origin(experiment)),
    ];
    let title = escape(experiment.figure.as_deref().unwrap_or(&experiment.name));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>{title}</h1>\n<p class=\"quiet\">{}</p>\n<nav aria-label=\"Sections\">",
        overview(experiment)
    );
    let shown = || sections.iter().filter(|(_, _, body)| !body.is_empty());
    for (id, title, _) in shown() {
        // Writing to a String cannot fail, here and below.
        let _ = write!(page, "<a href=\"#{id}\">{title}</a> ");
    }
    page.push_str("</nav>\n</header>\n<main>\n");
    for (id, title, body) in shown() {
        let _ = write!(page, "<section id=\"{id}\">\n<h2>{title}</h2>\n{body}</section>\n");
    }
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

fn overview(experiment: &Experiment) -> String {
    let done = experiment.members.iter().filter(|member| member.state == State::Done).count();
    let tasks: Vec<&str> = experiment.tasks().into_iter().filter(|task| !task.is_empty()).collect();
    format!(
        "{} variants on {}, {} runs of which {done} are done. Compared by <code>{}</code>.",
        experiment.variants().len(),
        if tasks.is_empty() { "an unnamed task".to_owned() } else { escape(&tasks.join(", ")) },
        experiment.members.len(),
        escape(&experiment.metric)
    )
}

/// A table: a caption, heads, and rows whose first cell names the row. Cells are HTML already.
fn table(caption: &str, heads: &[&str], rows: &[Vec<String>]) -> String {
    let mut out = format!("<div class=\"wide\"><table>\n<caption>{caption}</caption>\n<thead><tr>");
    for head in heads {
        let _ = write!(out, "<th scope=\"col\">{head}</th>");
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        out.push_str("<tr>");
        for (index, cell) in row.iter().enumerate() {
            let number = cell.starts_with(|c: char| c.is_ascii_digit() || "+-–−".contains(c));
            let _ = match (index, number) {
                (0, _) => write!(out, "<th scope=\"row\">{cell}</th>"),
                (_, true) => write!(out, "<td>{cell}</td>"),
                (_, false) => write!(out, "<td class=\"words\">{cell}</td>"),
            };
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table></div>\n");
    out
}

fn figure(figure: &Figure, words: &str) -> String {
    format!("<figure>\n{}<figcaption class=\"quiet\">{words}</figcaption>\n</figure>\n", figure.inline_svg())
}

fn interval(found: Option<Interval>) -> String {
    found.map_or("–".to_owned(), |found| {
        format!("{} [{}, {}]", short(found.value), short(found.low), short(found.high))
    })
}

fn answer(experiment: &Experiment, findings: &Findings) -> String {
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
            let Interval { value, low, high } = found.difference;
            vec![
                escape(&found.variant),
                format!("{} [{}, {}]", signed(value), signed(low), signed(high)),
                share,
                format!("{:.2} [{:.2}, {:.2}]", found.improvement.value, found.improvement.low, found.improvement.high),
                format!("{} / {}", found.runs.0, found.runs.1),
                found.verdict().to_owned(),
            ]
        })
        .collect();
    let caption = format!("Each variant against {}, 95 % intervals", escape(&findings.baseline));
    let heads = ["variant", "difference of IQMs", "of the baseline", "P(improvement)", "runs", "conclusion"];
    out += &table(&caption, &heads, &rows);
    out += "<p class=\"quiet\">IQM: interquartile mean over runs. P(improvement): how likely a run of the variant ends above one of the \
            baseline, ties half. Intervals: percentiles of a bootstrap over seeds, stratified by task. “Higher” and “lower” need both intervals \
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
        out +=
            " Scores are scaled for each task so that 0 is the lowest and 1 the highest final value of any run here.";
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
    out + "</p>\n"
}

fn returns(experiment: &Experiment, findings: &Findings) -> String {
    let several = experiment.tasks().len() > 1;
    let rows: Vec<Vec<String>> = findings
        .rows
        .iter()
        .map(|row| {
            let name = if several { format!("{} · {}", row.variant, row.task) } else { row.variant.clone() };
            let mean = format!("{} ± {}", short(row.mean_std.0), short(row.mean_std.1));
            vec![
                escape(&name),
                format!("{} of {}", row.runs.0, row.runs.1),
                interval(row.last),
                mean,
                interval(row.best),
            ]
        })
        .collect();
    let caption = format!("<code>{}</code> of finished runs, 95 % intervals", escape(&experiment.metric));
    table(&caption, &["variant", "runs", "final, IQM", "final, mean ± std", "best, IQM"], &rows)
        + "<p class=\"quiet\">Final: the last value a run logged. Best: its highest, which picks the luckiest evaluation.</p>\n"
}

/// Curves of a metric: a panel for each task.
fn panels(experiment: &Experiment, metric: &str, options: Option<&ReportOptions>) -> Vec<Panel> {
    let variants = experiment.variants();
    let tasks = experiment.tasks();
    let several = tasks.len() > 1;
    let of_task = |task: &str| {
        let curve = |(place, variant): (usize, &&str)| {
            let members = experiment.of(variant).filter(|member| member.task == task);
            let runs: Vec<_> = members.filter_map(|member| member.run(metric)).collect();
            let label = (*variant).to_owned();
            (!runs.is_empty())
                .then(|| (place, Curve::from_runs(label, &runs.iter().collect::<Vec<_>>(), Band::default(), 1)))
        };
        Panel {
            log_x: false,
            title: if several { task.to_owned() } else { String::new() },
            y_label: metric.to_owned(),
            log: false,
            curves: variants.iter().enumerate().filter_map(curve).collect(),
            references: options.map(|options| options.references.clone()).unwrap_or_default(),
        }
    };
    tasks.into_iter().map(of_task).filter(|panel| !panel.curves.is_empty()).collect()
}

fn legend(experiment: &Experiment) -> Vec<String> {
    experiment.variants().into_iter().map(str::to_owned).collect()
}

fn curves(experiment: &Experiment, options: &ReportOptions) -> String {
    let drawn = Figure {
        title: experiment.figure.clone().unwrap_or_default(),
        caption: Band::default().caption().to_owned(),
        x_label: String::new(),
        legend: legend(experiment),
        panels: panels(experiment, &experiment.metric, Some(options)),
    };
    figure(&drawn, "All runs that logged the metric, unfinished ones too. Not smoothed.")
}

fn profile(experiment: &Experiment, findings: &Findings, options: &ReportOptions) -> String {
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
        let point = |(share, tau): (Interval, &f64)| Point {
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

fn lipschitz(experiment: &Experiment) -> String {
    let names: BTreeSet<&String> = experiment
        .members
        .iter()
        .flat_map(|member| member.series.keys())
        .filter(|name| name.starts_with("lipschitz/"))
        .collect();
    if names.is_empty() {
        return String::new();
    }
    let variants = experiment.variants();
    let bootstrap = Bootstrap { resamples: RESAMPLES, ..Bootstrap::default() };
    let last = |variant: &str, name: &String| -> Option<Interval> {
        let done = experiment.of(variant).filter(|member| member.state == State::Done);
        let values: Vec<f64> = done.filter_map(|member| Some(*member.series.get(name)?.last_key_value()?.1)).collect();
        let scores = crate::Scores::new([(String::new(), values)]).ok()?;
        Some(bootstrap.estimate(&scores, crate::Estimate::InterquartileMean))
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
        caption: Band::default().caption().to_owned(),
        legend: legend(experiment),
        panels: shown,
        ..Figure::default()
    };
    figure(&drawn, "95th percentiles over visited states where a quantity varies over states.")
        + &table("Last value of finished runs, IQM and 95 % interval", &heads, &rows)
}

fn cost(experiment: &Experiment) -> String {
    let mut rows = Vec::new();
    let mut total = 0.0;
    for variant in experiment.variants() {
        let of = |pick: fn(&liprl_logbook::Summary) -> Option<f64>| -> Vec<f64> {
            experiment.of(variant).filter_map(|member| member.summary.as_ref()).filter_map(pick).collect()
        };
        let spread = |values: &[f64]| {
            let (low, high) =
                values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(*x), h.max(*x)));
            match values {
                [] => "–".to_owned(),
                _ if low == high => short(low),
                _ => format!("{} ({} to {})", short(stats::mean(values)), short(low), short(high)),
            }
        };
        let hours = of(|summary| Some(summary.seconds / 3600.0));
        total += hours.iter().sum::<f64>();
        let memory = of(|summary| summary.peak_memory_bytes.map(|bytes| bytes as f64 / 1e9));
        rows.push(vec![
            escape(variant),
            spread(&of(|summary| (summary.steps > 0).then_some(summary.steps_per_second))),
            spread(&hours),
            short(hours.iter().sum()),
            spread(&memory),
        ]);
    }
    let caption = format!("Mean over runs (least to most); {} hours in all", short(total));
    let heads = ["variant", "steps/s", "hours a run", "hours together", "peak memory, GB"];
    table(&caption, &heads, &rows)
        + "<p class=\"quiet\">Wall-clock time as the runs measured it; how many ran side by side changes it. Memory: the most a run's process \
           held; “–” where an older program did not log it.</p>\n"
}

fn unfinished(experiment: &Experiment) -> String {
    let others: Vec<&Member> = experiment.members.iter().filter(|member| member.state != State::Done).collect();
    if others.is_empty() {
        return "<p>None: every run is done.</p>\n".to_owned();
    }
    let rows: Vec<Vec<String>> = others
        .iter()
        .map(|member| {
            let folder = member.folder.strip_prefix(&experiment.folder).unwrap_or(&member.folder);
            let (state, why) = match &member.state {
                State::Failed(reason) => ("failed", escape(reason)),
                State::Killed => (
                    "killed",
                    "its process is gone and left no word; <code>--resume</code> goes on from its last checkpoint"
                        .to_owned(),
                ),
                State::Stopped => {
                    ("stopped", "by a signal, after a checkpoint; <code>--resume</code> goes on".to_owned())
                }
                State::Missing => ("not begun", "the sweep plans it".to_owned()),
                State::Running | State::Done => ("running", String::new()),
            };
            let steps = member.summary.as_ref().map_or(0, |summary| summary.steps);
            vec![escape(&folder.display().to_string()), state.to_owned(), steps.to_string(), why]
        })
        .collect();
    table("Every run that is not done", &["run", "state", "step", "why"], &rows)
        + "<p class=\"quiet\">These are in the curves as far as they came, and in no table. Where failures depend on the variant, leaving them out \
           flatters it.</p>\n"
}

fn settings(experiment: &Experiment) -> String {
    let configs: Vec<&Settings> =
        experiment.members.iter().map(|member| &member.settings).filter(|settings| !settings.is_empty()).collect();
    let paths = differing(&configs);
    if paths.is_empty() {
        return "<p>Nothing but the seeds.</p>\n".to_owned();
    }
    let variants = experiment.variants();
    let heads: Vec<String> =
        std::iter::once("setting".to_owned()).chain(variants.iter().map(|name| escape(name))).collect();
    let rows: Vec<Vec<String>> = paths
        .iter()
        .map(|path| {
            let cell = |variant: &&str| {
                let of = experiment.of(variant).filter(|member| !member.settings.is_empty());
                let values: BTreeSet<&str> =
                    of.map(|member| member.settings.get(*path).map_or("–", String::as_str)).collect();
                escape(&values.into_iter().collect::<Vec<_>>().join(" | "))
            };
            std::iter::once(format!("<code>{}</code>", escape(path))).chain(variants.iter().map(cell)).collect()
        })
        .collect();
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    let first = configs
        .first()
        .map(|settings| settings.iter().map(|(path, value)| format!("{path}: {value}\n")).collect::<String>());
    table("Settings that are not the same in all runs; “–”: not there", &heads, &rows)
        + &format!(
            "<details><summary>All settings of the first run</summary><pre>{}</pre></details>\n",
            escape(&first.unwrap_or_default())
        )
}

fn origin(experiment: &Experiment) -> String {
    let mut facts: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for made in experiment.members.iter().filter_map(|member| member.provenance.as_ref()) {
        let commit = made.git_commit.as_deref().map_or("unknown".to_owned(), |commit| {
            let changed = if made.git_dirty == Some(true) { ", with changes in no commit" } else { "" };
            format!("{}{changed}", commit.get(..12).unwrap_or(commit))
        });
        let libraries = made.libraries.iter().map(|(name, version)| format!("{name} {version}"));
        let device = made.gpu.as_deref().unwrap_or("cpu");
        let host = format!("{}: {} cores of {}, {}", made.host, made.cores, made.cpu, device);
        for (fact, value) in [
            ("program", format!("liprl {} ({})", made.program_version, made.profile)),
            ("commit", commit),
            ("libraries", libraries.collect::<Vec<_>>().join(", ")),
            ("machine", host),
            ("threads of a run", made.threads.to_string()),
            ("started", made.started.clone()),
        ] {
            facts.entry(fact).or_default().insert(value);
        }
    }
    if facts.get("started").is_some_and(|times| times.len() > 1) {
        let times = facts.remove("started").unwrap_or_default();
        let ends = times.first().zip(times.last()).map(|(first, last)| format!("{first} to {last}"));
        facts.insert("started", ends.into_iter().collect());
    }
    let rows: Vec<Vec<String>> = facts
        .iter()
        .map(|(fact, values)| {
            let values: Vec<String> = values.iter().map(|value| escape(value)).collect();
            vec![(*fact).to_owned(), format!("<span>{}</span>", values.join("<br>"))]
        })
        .collect();
    let mut out = table("From the runs' provenance", &["", "value"], &rows);
    if facts.get("commit").is_some_and(|commits| commits.len() > 1) {
        out += "<p><strong>The runs were made by more than one state of the program</strong>; a difference between variants may be that.</p>\n";
    }
    out
}
