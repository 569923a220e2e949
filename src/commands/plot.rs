//! `liprl plot`.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use liprl_analysis::{PlotOptions, ReferenceLine, plot as draw};

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
pub(super) fn lines(
    given: &[(String, f64)],
    none: bool,
    runs: &[PathBuf],
    metric: &str,
) -> anyhow::Result<Vec<ReferenceLine>> {
    let given: Vec<ReferenceLine> =
        given.iter().map(|(label, y)| ReferenceLine { label: label.clone(), y: *y }).collect();
    if none {
        return Ok(given);
    }
    let (mut lines, faults) = references(runs, metric)?;
    for fault in faults {
        crate::tell(format_args!("warning: {fault}"));
    }
    lines.retain(|own| !given.iter().any(|line| replaces(&line.label, &own.label)));
    lines.extend(given);
    Ok(lines)
}

/// Whether a line that somebody names takes the place of one that comes by itself, `task:name`: it has its name, and its task or none.
fn replaces(given: &str, own: &str) -> bool {
    let parts = |label: &str| {
        let (task, name) = label.rsplit_once(':').unwrap_or(("", label));
        (task.trim().to_owned(), name.trim().to_owned())
    };
    let ((given_task, given_name), (own_task, own_name)) = (parts(given), parts(own));
    given_name == own_name && (given_task.is_empty() || given_task == own_task)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_line_replaces_those_of_its_name_and_task() {
        let replaced =
            |given| ["Ant-v5:expert", "Hopper-v5:expert", "Ant-v5:random"].map(|own| super::replaces(given, own));
        assert_eq!(replaced("expert"), [true, true, false]);
        assert_eq!(replaced("Ant-v5:expert"), [true, false, false]);
        assert_eq!(replaced("Ant-v5: random"), [false, false, true]);
        assert_eq!(replaced("paper"), [false; 3]);
    }
}
