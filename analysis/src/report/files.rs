//! The files of a report: each figure and table of the page, for papers and programs.

use std::collections::BTreeMap;
use std::path::Path;

use fs_err as fs;
use liprl_logbook::write_output;
use maud::{Markup, html};
use serde_json::{Value, json};

use super::table::Table;
use crate::draw::{Background, Canvas};
use crate::error::AnalysisError;
use crate::figure::Figure;
use crate::forest::Forest;

/// Figures and tables, collected while the page is written.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// Name → shapes and label.
    figures: BTreeMap<String, (Canvas, String)>,
    tables: BTreeMap<String, Table>,
}

impl Files {
    /// The table for the page, with links to its files; empty without rows.
    pub(super) fn table(&mut self, table: Table) -> Markup {
        if table.rows.is_empty() {
            return Markup::default();
        }
        let markup = html! {
            (table.html())
            (links("tables", table.name, ["csv", "tex"]))
        };
        self.tables.insert(table.name.to_owned(), table);
        markup
    }

    /// The figure for the page, with a note below it and links to its files.
    pub(super) fn figure(&mut self, name: &str, figure: &Figure, note: &str) -> Markup {
        self.drawn(name, figure.canvas(), figure.label(), note)
    }

    /// The forest plot for the page, with a note below it and links to its files.
    pub(super) fn forest(&mut self, name: &str, forest: &Forest, note: &str) -> Markup {
        self.drawn(name, forest.canvas(), forest.label(), note)
    }

    fn drawn(&mut self, name: &str, canvas: Canvas, label: &str, note: &str) -> Markup {
        let markup = html! {
            figure {
                (canvas.svg(label, Background::Html))
                figcaption.quiet { (note) " " (links("figures", name, ["svg", "pdf"])) }
            }
        };
        self.figures.insert(name.to_owned(), (canvas, label.to_owned()));
        markup
    }

    /// Writes all files into the folder of the page, and `head` with the tables as `report.json`.
    pub(super) fn write(&self, out: &Path, mut head: Value) -> Result<(), AnalysisError> {
        for folder in ["figures", "tables"] {
            fs::create_dir_all(out.join(folder))?;
        }
        for (name, (canvas, label)) in &self.figures {
            for ending in ["svg", "pdf"] {
                canvas.write(&out.join(format!("figures/{name}.{ending}")), label)?;
            }
        }
        for (name, table) in &self.tables {
            write_output(out.join(format!("tables/{name}.csv")), table.csv().as_bytes())?;
            write_output(out.join(format!("tables/{name}.tex")), table.latex().as_bytes())?;
        }
        head["tables"] = self.tables.iter().map(|(name, table)| (name.clone(), table.json())).collect();
        Ok(write_output(out.join("report.json"), format!("{:#}\n", json!(head)).as_bytes())?)
    }
}

/// Links to the files of a figure or table.
fn links(folder: &str, name: &str, endings: [&str; 2]) -> Markup {
    html! {
        span.files { @for ending in endings { a href={ (folder) "/" (name) "." (ending) } { (ending) } " " } }
    }
}
