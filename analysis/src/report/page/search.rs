//! A search: the best point on fresh seeds, the importance of each setting, and all points.

use maud::{Markup, html};

use super::super::files::Files;
use super::super::findings::Findings;
use super::super::search::{PointRow, SearchFindings};
use super::super::table::{Cell, Table};

/// The section of a search; empty without one.
pub(super) fn search(files: &mut Files, findings: &Findings) -> Markup {
    let Some(found) = &findings.search else { return Markup::default() };
    html! {
        (best(files, found))
        (importance(files, found))
        (points(files, found))
    }
}

fn best(files: &mut Files, found: &SearchFindings) -> Markup {
    let Some(best) = &found.best else { return Markup::default() };
    let own = Cell::Number(best.score.unwrap_or(f64::NAN));
    let (name, seeds) = (best.name.as_str(), found.seeds.to_string());
    let mut rows: Vec<Vec<Cell>> = vec![vec![name.into(), "the search's own, optimistic".into(), own, seeds.into()]];
    if let (Some(name), Some((fresh, runs))) = (&best.confirmation, best.confirmed) {
        let runs = runs.to_string().into();
        rows.push(vec![name.as_str().into(), "fresh seeds".into(), Cell::Interval(Some(fresh)), runs]);
    }
    let caption = "The best point: mean score, with a 95 % interval over fresh seeds";
    files.table(Table::new("best", caption, ["", "", "score", "runs"], rows))
}

fn importance(files: &mut Files, found: &SearchFindings) -> Markup {
    let percent = |share: f64| format!("{:.0} %", 100.0 * share);
    let rows: Vec<Vec<Cell>> = found
        .importance
        .iter()
        .map(|(path, of)| {
            let share = format!("{} [{}, {}]", percent(of.share.value), percent(of.share.low), percent(of.share.high));
            vec![Cell::code(path), share.into(), percent(of.chance).into()]
        })
        .collect();
    let heads = ["setting", "share of the variance", "by chance"];
    html! {
        @if !rows.is_empty() {
            (files.table(Table::new("importance", "Importance of each setting by itself", heads, rows)))
            p.quiet {
                "Share of the variance of the points' ranks between the quartiles of a number, or between choices, with \
                 a bootstrap interval over points. By chance: the share that a setting without effect is expected to \
                 have. What settings do only together is not seen. A method that models results looks where they are \
                 good, so that settings of little spread there seem to matter less. Pruned points count with the score \
                 they came to, failed ones as the worst."
            }
        }
    }
}

fn points(files: &mut Files, found: &SearchFindings) -> Markup {
    let row = |(place, point): (usize, &PointRow)| -> Vec<Cell> {
        let mut cells: Vec<Cell> = vec![
            point.name.as_str().into(),
            (place + 1).to_string().into(),
            Cell::Number(point.score.unwrap_or(f64::NAN)),
            format!("{} of {}", point.runs.0, point.runs.1).into(),
        ];
        cells.extend(point.settings.iter().map(|value| Cell::from(value.as_str())));
        cells.extend([point.state.into(), point.why.as_deref().unwrap_or_default().into()]);
        cells
    };
    let heads = ["point", "place", "score", "runs"].into_iter().chain(found.paths.iter().map(String::as_str));
    let rows = found.points.iter().enumerate().map(row);
    files.table(Table::new("points", "All points, best first", heads.chain(["state", "why"]), rows))
}
