//! A table of variants: interquartile means with intervals.

use std::path::Path;

use super::manifest::{Source, Table};
use super::samples::{Runs, number, with_interval};
use crate::error::AnalysisError;

/// The table in Markdown.
pub(super) fn table(results: &Path, source: &Source, table: &Table) -> Result<String, AnalysisError> {
    let runs = Runs::of(results, source)?;
    let variants = if table.variants.is_empty() { runs.variants() } else { table.variants.clone() };
    let heads: Vec<&str> =
        table.columns.iter().map(|column| column.head.as_ref().unwrap_or(&column.metric).as_str()).collect();
    let mut text = format!(
        "| variant | seeds | steps | {} |\n| --- | --- | --- |{}\n",
        heads.join(" | "),
        " --- |".repeat(heads.len())
    );
    for variant in variants {
        let samples = table.columns.iter().map(|column| runs.sample(&variant, column));
        let samples = samples.collect::<Result<Vec<_>, _>>()?;
        let seeds = samples.iter().flatten().map(|sample| sample.runs()).max().unwrap_or(0);
        let steps = samples.iter().flatten().map(|sample| sample.steps).max().unwrap_or(0);
        let cells = samples
            .iter()
            .map(|sample| sample.as_ref().map_or("–".to_owned(), |sample| with_interval(sample.interval())));
        let cells = cells.collect::<Vec<_>>().join(" | ");
        text.push_str(&format!("| {variant} | {seeds} | {} | {cells} |\n", number(steps as f64)));
    }
    Ok(text)
}
