//! `liprl report`.

use std::process::ExitCode;

use liprl_analysis::report::{ReportOptions, report as write};
use liprl_logbook::SweepLock;

use crate::cli::ReportArgs;
use crate::references::lines;
use crate::terminal::{print, warn};
use crate::usage::Usage;

/// Writes a sweep's report.
pub fn report(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    if args.out.extension().is_some_and(|ending| ending == "html") {
        let problem = format!("{}: --out names a folder; the page in it is report.html", args.out.display());
        return Err(Usage(problem).into());
    }
    let own = SweepLock::read(&args.sweep)?.map(|lock| lock.report.metric);
    let metric = args.metric.clone().or(own).unwrap_or_else(|| "eval/return_mean".to_owned());
    let options = ReportOptions {
        metric: args.metric.clone(),
        baseline: args.baseline.clone(),
        score: args.score.map(Into::into),
        from: args.from,
        to: args.to,
        reach: args.reach,
        metrics: (!args.show.is_empty()).then(|| args.show.clone()),
        relate: args.relate.clone(),
        references: lines(&args.lines, args.no_lines, std::slice::from_ref(&args.sweep), &metric)?,
        ..ReportOptions::default()
    };
    let written = write(&args.sweep, &args.out, &options)?;
    written.warnings.iter().for_each(warn);
    print(&format!("{}\n{}\n", written.answer, written.page.display()))
}
