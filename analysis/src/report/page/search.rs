//! A search: the best point on fresh seeds, the importance of each setting, and all points.

use maud::{Markup, html};

use super::super::findings::Findings;
use super::super::search::{PointRow, SearchFindings};
use super::super::wording::{short, with_ends};
use super::elements::{Cell, table};

/// The section of a search; empty without one.
pub(super) fn search(findings: &Findings) -> Markup {
    let Some(found) = &findings.search else { return Markup::default() };
    html! {
        (best(found))
        (importance(found))
        (points(found))
    }
}

fn best(found: &SearchFindings) -> Markup {
    let Some(best) = &found.best else { return Markup::default() };
    let own = best.score.map_or("–".to_owned(), short);
    let seeds = found.seeds.to_string();
    let mut rows: Vec<[Cell; 4]> =
        vec![[best.name.as_str().into(), "the search's own, optimistic".into(), own.into(), seeds.into()]];
    if let (Some(name), Some((fresh, runs))) = (&best.confirmation, best.confirmed) {
        rows.push([name.as_str().into(), "fresh seeds".into(), with_ends(fresh).into(), runs.to_string().into()]);
    }
    table(
        html! { "The best point: mean score, with a 95 % interval over fresh seeds" },
        &["", "", "score", "runs"],
        &rows,
    )
}

fn importance(found: &SearchFindings) -> Markup {
    let percent = |share: f64| format!("{:.0} %", 100.0 * share);
    let rows: Vec<[Cell; 3]> = found
        .importance
        .iter()
        .map(|(path, of)| {
            let share = format!("{} [{}, {}]", percent(of.share.value), percent(of.share.low), percent(of.share.high));
            [Cell::words(html! { code { (path) } }), share.into(), percent(of.chance).into()]
        })
        .collect();
    html! {
        @if !rows.is_empty() {
            (table(html! { "Importance of each setting by itself" }, &["setting", "share of the variance", "by chance"], &rows))
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

fn points(found: &SearchFindings) -> Markup {
    let row = |(place, point): (usize, &PointRow)| -> Vec<Cell> {
        let score = point.score.map_or("–".to_owned(), short);
        let mut cells: Vec<Cell> = vec![
            point.name.as_str().into(),
            (place + 1).to_string().into(),
            score.into(),
            format!("{} of {}", point.runs.0, point.runs.1).into(),
        ];
        cells.extend(point.settings.iter().map(Cell::from));
        cells.push(point.state.into());
        cells.push(Cell::words(html! { (point.why.as_deref().unwrap_or_default()) }));
        cells
    };
    let heads = ["point", "place", "score", "runs"].into_iter().chain(found.paths.iter().map(String::as_str));
    let heads: Vec<&str> = heads.chain(["state", "why"]).collect();
    table(html! { "All points, best first" }, &heads, &found.points.iter().enumerate().map(row).collect::<Vec<_>>())
}
