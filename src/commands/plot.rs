//! `liprl plot`.

use std::fmt::Write;
use std::process::ExitCode;

use liprl_analysis::{Line, PlotOptions, plot as draw};

use crate::cli::PlotArgs;

/// Draws learning curves.
pub fn plot(args: &PlotArgs) -> anyhow::Result<ExitCode> {
    let options = PlotOptions {
        paths: args.runs.clone(),
        peers: args.peers.clone(),
        metric: args.metric.clone(),
        band: args.band.into(),
        smooth: args.smooth as usize,
        references: lines(&args.lines),
    };
    let report = draw(&options, &args.out)?;
    for warning in &report.warnings {
        eprintln!("warning: {warning}");
    }
    let mut text = String::new();
    writeln!(text, "{}\n{}", report.picture.display(), report.table.display())?;
    super::print(&text)
}

/// The horizontal lines a command line asks for.
pub(super) fn lines(given: &[(String, f64)]) -> Vec<Line> {
    given.iter().map(|(label, y)| Line { label: label.clone(), y: *y }).collect()
}
