//! `liprl report`.

use std::process::ExitCode;

use liprl_analysis::report::{ReportOptions, report as write};

use super::plot::lines;
use crate::cli::ReportArgs;

/// Writes a sweep's report.
pub fn report(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    let options = ReportOptions {
        metric: args.metric.clone(),
        baseline: args.baseline.clone(),
        references: lines(&args.lines),
        ..ReportOptions::default()
    };
    let written = write(&args.sweep, &args.out, &options)?;
    for warning in &written.warnings {
        eprintln!("warning: {warning}");
    }
    super::print(&format!("{}\n{}\n", written.answer, written.page.display()))
}
