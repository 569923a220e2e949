//! `liprl plot`.

use std::fmt::Write;
use std::process::ExitCode;

use liprl_analysis::{Band, Line, plot as draw};

use crate::cli::PlotArgs;

/// Draws learning curves.
pub fn plot(args: &PlotArgs) -> anyhow::Result<ExitCode> {
    let lines = args.lines.iter().map(|(label, y)| Line { label: label.clone(), y: *y }).collect();
    let report = draw(&args.runs, &args.metric, Band::default(), lines, &args.out)?;
    for warning in &report.warnings {
        eprintln!("warning: {warning}");
    }
    let mut text = String::new();
    writeln!(text, "{}\n{}", report.picture.display(), report.table.display())?;
    super::print(&text)
}
