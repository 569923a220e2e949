//! `liprl plot`.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use liprl_analysis::{Line, PlotOptions, plot as draw};

use crate::cli::PlotArgs;
use crate::references::references;

/// Draws learning curves.
pub fn plot(args: &PlotArgs) -> anyhow::Result<ExitCode> {
    let options = PlotOptions {
        paths: args.runs.clone(),
        peers: args.peers.clone(),
        metric: args.metric.clone(),
        band: args.band.into(),
        smooth: args.smooth as usize,
        references: lines(&args.lines, args.no_lines, &args.runs, &args.metric)?,
    };
    let report = draw(&options, &args.out)?;
    for warning in &report.warnings {
        crate::tell(format_args!("warning: {warning}"));
    }
    let mut text = String::new();
    writeln!(text, "{}\n{}", report.picture.display(), report.table.display())?;
    super::print(&text)
}

/// The horizontal lines: those that come by themselves unless `none` are wanted, and those a command line asks for.
pub(super) fn lines(given: &[(String, f64)], none: bool, runs: &[PathBuf], metric: &str) -> anyhow::Result<Vec<Line>> {
    let given: Vec<Line> = given.iter().map(|(label, y)| Line { label: label.clone(), y: *y }).collect();
    if none {
        return Ok(given);
    }
    let (mut lines, faults) = references(runs, metric)?;
    for fault in faults {
        crate::tell(format_args!("warning: {fault}"));
    }
    // Whoever names a line knows better.
    let name = |label: &str| label.rsplit(':').next().unwrap_or_default().trim().to_owned();
    lines.retain(|own| !given.iter().any(|line| name(&line.label) == name(&own.label)));
    lines.extend(given);
    Ok(lines)
}
