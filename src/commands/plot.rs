//! `liprl plot`.

use std::fmt::Write;
use std::process::ExitCode;

use liprl_analysis::{PlotOptions, plot as draw};

use crate::cli::{LegendChoice, PlotArgs};
use crate::references::lines;
use crate::terminal::{print, warn};

/// Draws learning curves.
pub fn plot(args: &PlotArgs) -> anyhow::Result<ExitCode> {
    let options = PlotOptions {
        paths: args.runs.clone(),
        peers: args.peers.clone(),
        metric: args.metric.clone(),
        band: args.band.into(),
        smooth: args.smooth as usize,
        references: lines(&args.lines, args.no_lines, &args.runs, &args.metric)?,
        title: args.title.clone(),
        y_label: args.ylabel.clone(),
        labels: args.labels.clone(),
        no_legend: args.legend == LegendChoice::None,
    };
    let report = draw(&options, &args.out)?;
    report.warnings.iter().for_each(warn);
    let mut text = String::new();
    writeln!(text, "{}\n{}", report.picture.display(), report.table.display())?;
    print(&text)
}
