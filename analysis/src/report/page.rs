//! The report as one page of HTML that asks for nothing outside itself.

mod answer;
mod facts;
mod figures;

use std::fmt::Write;

use super::experiment::Experiment;
use super::findings::Findings;
use super::options::ReportOptions;
use super::run_record::RunState;
use super::wording::with_ends;
use crate::draw::escape;
use crate::{ConfidenceInterval, Figure};

const STYLE: &str = include_str!("style.css");

pub(super) fn html(experiment: &Experiment, findings: &Findings, options: &ReportOptions) -> String {
    let sections: Vec<(&str, &str, String)> = vec![
        ("answer", "Question and answer", answer::answer(experiment, findings)),
        ("returns", "Final, mean and best", figures::returns(experiment, findings)),
        ("reach", "How soon", figures::reach(experiment, findings)),
        ("curves", "Curves", figures::curves(experiment, options)),
        ("profile", "Performance profile", figures::profile(experiment, findings, options)),
        ("lipschitz", "Lipschitz diagnostics", figures::lipschitz(experiment)),
        ("cost", "Cost", facts::cost(experiment)),
        ("runs", "Runs that are not compared", facts::unfinished(experiment)),
        ("settings", "What differs between the variants", facts::settings(experiment)),
        ("origin", "What was run", facts::origin(experiment)),
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
    let done = experiment.runs.iter().filter(|member| member.state == RunState::Done).count();
    let tasks: Vec<&str> = experiment.tasks().into_iter().filter(|task| !task.is_empty()).collect();
    format!(
        "{} variants on {}, {} runs of which {done} are done. Compared by the {} <code>{}</code>{}.",
        experiment.variants().len(),
        if tasks.is_empty() { "an unnamed task".to_owned() } else { escape(&tasks.join(", ")) },
        experiment.runs.len(),
        experiment.score.name(),
        escape(&experiment.metric),
        experiment.window
    )
}

/// A table: a caption, heads, and rows whose first cell names the row. Cells are HTML already.
fn table(caption: &str, heads: &[&str], rows: &[Vec<String>]) -> String {
    let mut out = format!("<div class=\"wide\"><table>\n<caption>{caption}</caption>\n<thead><tr>");
    let is_number = |cell: &str| cell.starts_with(|c: char| c.is_ascii_digit() || "+-–−".contains(c));
    for (column, head) in heads.iter().enumerate() {
        // A head stands where its column's words do.
        let words = rows.first().and_then(|row| row.get(column)).is_some_and(|cell| !is_number(cell));
        let _ = write!(out, "<th scope=\"col\"{}>{head}</th>", if words { " class=\"words\"" } else { "" });
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        out.push_str("<tr>");
        for (index, cell) in row.iter().enumerate() {
            let _ = match (index, is_number(cell)) {
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

fn interval(found: Option<ConfidenceInterval>) -> String {
    found.map_or("–".to_owned(), with_ends)
}
