//! The report as one page of HTML that requests nothing from outside.

mod answer;
mod effects;
mod facts;
mod figures;
mod search;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::experiment::Experiment;
use super::files::Files;
use super::findings::Findings;
use super::options::ReportOptions;
use super::run_record::RunState;

const STYLE: &str = include_str!("style.css");
/// No script, no request: a browser enforces both.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// The page, and its figures and tables.
pub(super) fn html(experiment: &Experiment, findings: &Findings, options: &ReportOptions) -> (String, Files) {
    let mut files = Files::default();
    // A search has too many points for curves and columns of each.
    let few = findings.search.as_ref().map(|search| search.shown(experiment));
    let shown = few.as_ref().unwrap_or(experiment);
    let mut sections = vec![
        ("answer", "Question and answer", answer::answer(&mut files, experiment, shown, findings, options)),
        ("search", "Search", search::search(&mut files, findings)),
        ("returns", "Final, mean and best", figures::returns(&mut files, experiment, findings)),
        ("ablation", "Return, sample efficiency and slopes", effects::ablation(&mut files, experiment, findings)),
        ("reach", "How soon", figures::reach(&mut files, experiment, findings)),
        ("relation", "Rank correlation", effects::relations(&mut files, experiment, findings)),
    ];
    if few.is_none() {
        let profile = figures::profile(&mut files, experiment, findings, options);
        sections.push(("profile", "Performance profile", profile));
    }
    sections.extend([
        ("metrics", "Metrics", figures::metrics(&mut files, shown, findings)),
        ("last", "All that the run logged", facts::last_values(&mut files, experiment)),
        ("cost", "Cost", facts::cost(&mut files, experiment)),
        ("runs", "Runs that are not compared", facts::unfinished(&mut files, experiment)),
        ("settings", "What differs between the variants", facts::settings(&mut files, shown)),
        ("origin", "What was run", facts::origin(&mut files, experiment)),
    ]);
    let present = || sections.iter().filter(|(_, _, body)| !body.0.is_empty());
    let title = experiment.figure.as_deref().unwrap_or(&experiment.name);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (title) }
                    p.quiet { (overview(experiment)) }
                    nav aria-label="Sections" {
                        @for (id, title, _) in present() { a href={ "#" (id) } { (title) } " " }
                    }
                }
                main {
                    @for (id, title, body) in present() { section id=(id) { h2 { (title) } (body) } }
                }
            }
        }
    };
    (page.into_string(), files)
}

fn overview(experiment: &Experiment) -> Markup {
    let done = experiment.runs.iter().filter(|run| run.state == RunState::Done).count();
    let tasks: Vec<&str> = experiment.tasks().into_iter().filter(|task| !task.is_empty()).collect();
    let tasks = if tasks.is_empty() { "an unnamed task".to_owned() } else { tasks.join(", ") };
    html! {
        @if experiment.runs.len() == 1 {
            "One run on " (tasks) ", " (if done == 1 { "done" } else { "not done" }) ". Scored by the "
        } @else {
            (experiment.variants().len()) " variants on " (tasks) ", " (experiment.runs.len()) " runs of which " (done)
            " are done. Compared by the "
        }
        (experiment.score.name()) " " code { (experiment.metric) }
        (experiment.window.to_string()) "."
    }
}
