//! Effects on return, sample efficiency and slopes, and rank correlations of two metrics.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::super::ablation::AblationRow;
use super::super::experiment::Experiment;
use super::super::files::Files;
use super::super::findings::Findings;
use super::super::relate::Relation;
use super::super::table::{Cell, Table};
use super::figures::{place, row_name};
use crate::curve::Curve;
use crate::draw::DISTINCT;
use crate::figure::Figure;
use crate::forest::{Forest, ForestColumn};
use crate::number::minus;
use crate::panel::Panel;
use crate::stats;

/// Effects by measure; empty without comparisons.
pub(super) fn ablation(files: &mut Files, experiment: &Experiment, findings: &Findings) -> Markup {
    let found = &findings.ablation;
    if found.is_empty() {
        return Markup::default();
    }
    let name = row_name(experiment);
    let row = |row: &AblationRow| -> Vec<Cell> {
        let p = |of: fn(&super::super::ablation::AblationEffect) -> f64| row.effect.as_ref().map_or(f64::NAN, of);
        let runs = match row.short_of {
            0 => row.runs.to_string(),
            n => format!("{}, {n} of them short of it", row.runs),
        };
        vec![
            row.measure.as_str().into(),
            name(&row.variant, &row.task).into(),
            Cell::Interval(row.value),
            Cell::Difference(row.effect.map(|effect| effect.difference)),
            Cell::Probability(p(|effect| effect.p)),
            Cell::Probability(p(|effect| effect.holm)),
            runs.into(),
        ]
    };
    let tests = found.iter().filter(|row| row.effect.is_some()).count();
    let table = Table::new(
        "ablation",
        format!("Interquartile means of finished runs, and differences from {}, 95 % intervals", findings.baseline),
        ["measure", "variant", "IQM", "difference", "p", "Holm", "runs"],
        found.iter().map(row),
    );
    html! {
        (files.forest("ablation", &forest(experiment, findings), "95 % intervals; the table has the numbers."))
        (files.table(table))
        p.quiet {
            "Area: under the curve by trapezoids, per step. Steps to 0.9: until a run is 0.9 of the way from the first \
             to the last interquartile mean of the baseline; runs that never are count with their last step, so that \
             such a mean is too low. Slopes are last values at visited states. p: permutation test of means, two-sided; \
             Holm: corrected for all " (tests) " tests of this table together. The intervals are not corrected."
        }
    }
}

/// A column for each measure.
fn forest(experiment: &Experiment, findings: &Findings) -> Forest {
    let with_effect = || findings.ablation.iter().filter(|row| row.effect.is_some());
    let name = row_name(experiment);
    let (mut measures, mut rows): (Vec<&AblationRow>, Vec<(&str, &str)>) = (Vec::new(), Vec::new());
    for row in with_effect() {
        if measures.iter().all(|other| other.measure != row.measure) {
            measures.push(row);
        }
        if !rows.contains(&(row.variant.as_str(), row.task.as_str())) {
            rows.push((&row.variant, &row.task));
        }
    }
    let cell = |measure: &str, (variant, task): &(&str, &str)| {
        let fits = |row: &&AblationRow| row.measure == measure && row.variant == *variant && row.task == *task;
        with_effect().find(fits)?.effect.map(|effect| effect.difference)
    };
    let column = |measure: &&AblationRow| ForestColumn {
        title: measure.measure.split(", `").next().unwrap_or_default().replace('`', ""),
        x_label: measure.unit.clone(),
        cells: rows.iter().map(|row| cell(&measure.measure, row)).collect(),
        also: Vec::new(),
    };
    Forest {
        title: format!("Effects, as differences from {}", findings.baseline),
        caption: String::new(),
        rows: rows.iter().map(|(variant, task)| (place(experiment, variant), name(variant, task))).collect(),
        columns: measures.iter().map(column).collect(),
    }
}

/// Rank correlations with their scatter figures; empty if none was asked for.
pub(super) fn relations(files: &mut Files, experiment: &Experiment, findings: &Findings) -> Markup {
    let row = |relation: &Relation| -> Vec<Vec<Cell>> {
        let cells = relation.rows.iter().map(|row| {
            vec![
                format!("{} : {}", relation.x, relation.y).into(),
                row.over.as_str().into(),
                Cell::Difference(row.spearman),
                Cell::Difference(row.kendall),
                row.runs.to_string().into(),
            ]
        });
        cells.collect()
    };
    let table = Table::new(
        "relations",
        "Rank correlations with 95 % intervals over runs",
        ["metrics", "", "Spearman's ρ", "Kendall's τ", "runs"],
        findings.relations.iter().flat_map(row),
    );
    html! {
        @for (at, relation) in findings.relations.iter().enumerate() {
            (files.figure(&format!("relation_{}", at + 1), &scatter(experiment, relation), &minus(&relation.sentence())))
        }
        (files.table(table))
        @if !findings.relations.is_empty() {
            p.quiet {
                "Over time: a run's values of the second metric with the newest of the first, correlated within each \
                 run, mean over runs. Intervals draw runs as wholes. Over runs, variants differ in more than these \
                 two metrics: a correlation does not show a cause."
            }
        }
    }
}

/// A point for each run, and beside it one for each logged value.
fn scatter(experiment: &Experiment, relation: &Relation) -> Figure {
    let few = experiment.variants().len() <= DISTINCT;
    let panel = |title: &str, points: &[(String, Vec<(f64, f64)>)]| {
        let numbers = |of: fn(&(f64, f64)) -> f64| {
            let (low, high) = stats::range(points.iter().flat_map(|(_, pairs)| pairs.iter().map(of)));
            low > 0.0 && high > 20.0 * low
        };
        let curve = |(variant, pairs): &(String, Vec<(f64, f64)>)| {
            let place = if few { place(experiment, variant) } else { 0 };
            (place, Curve::of_points(variant.as_str(), pairs.iter().map(|(x, y)| [*x, *y, *y, *y])))
        };
        Panel {
            title: title.to_owned(),
            y_label: relation.y.clone(),
            x_label: relation.x.clone(),
            log_x: numbers(|pair| pair.0),
            log: numbers(|pair| pair.1),
            scatter: true,
            curves: points.iter().map(curve).collect(),
            ..Panel::default()
        }
    };
    let panels = vec![
        panel(&format!("a point a run ({} values)", experiment.score.name()), &relation.runs),
        panel("a point a logged value", &relation.time),
    ];
    let named: BTreeSet<&str> = relation.runs.iter().map(|(variant, _)| variant.as_str()).collect();
    let legend = experiment.variants().into_iter().map(str::to_owned).collect();
    Figure {
        title: format!("{} against {}", relation.y, relation.x),
        caption: if few { String::new() } else { format!("{} variants in one colour", named.len()) },
        x_label: relation.x.clone(),
        legend: if few { legend } else { Vec::new() },
        panels: panels.into_iter().filter(|panel| !panel.curves.is_empty()).collect(),
        columns: 2,
    }
}
