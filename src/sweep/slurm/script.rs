//! The script of a job array. Values and paths are quoted, or refused where no quoting helps.

use std::fmt::Write;
use std::path::Path;

use liprl_logbook::SweepRun;

use super::SlurmError;
use crate::sweep::file::SlurmConfig;
use crate::sweep::folder::SweepFolder;

/// The job's script.
pub(super) fn script(
    folder: &SweepFolder,
    config: &SlurmConfig,
    jobs: Option<usize>,
    runs: &[SweepRun],
    list: &Path,
    program: &Path,
    here: &Path,
) -> Result<String, SlurmError> {
    let throttle = jobs.or(config.throttle).map(|most| format!("%{most}")).unwrap_or_default();
    let threads = runs.iter().map(|run| run.threads).max().unwrap_or(1);
    let cpus = config.cpus_per_task.unwrap_or(threads);
    let mut options = vec![
        format!("--job-name={}", quoted("the experiment", &format!("liprl-{}", folder.lock.experiment))?),
        format!("--array=0-{}{throttle}", runs.len() - 1),
        format!("--cpus-per-task={cpus}"),
        format!("--chdir={}", quoted_path("the working directory", here)?),
        format!("--output={}", quoted("the sweep's folder", &log_pattern(&folder.slurm())?)?),
        "--open-mode=append".to_owned(),
        "--requeue".to_owned(),
        format!("--signal=B:TERM@{}", config.signal_before),
    ];
    let more = [
        ("partition", &config.partition),
        ("time", &config.time),
        ("gres", &config.gres),
        ("mem", &config.mem),
        ("account", &config.account),
        ("qos", &config.qos),
        ("constraint", &config.constraint),
    ];
    for (name, value) in more {
        if let Some(value) = value {
            options.push(format!("--{name}={}", quoted(&format!("`{name}`"), value)?));
        }
    }
    let mut text =
        String::from("#!/bin/bash\n# Written by `liprl sweep`: task i does the i-th run of the list below.\n");
    for option in options {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "#SBATCH {option}");
    }
    if !config.setup.is_empty() {
        // The run does not begin in an environment that is half set up.
        text.push_str("set -e\ntrap 'echo \"error: a line of setup failed: $BASH_COMMAND\" >&2' ERR\n");
    }
    for line in &config.setup {
        let _ = writeln!(text, "{line}");
    }
    let program = quoted_path("the program's path", program)?;
    let (sweep, list) = (quoted_path("the sweep's folder", folder.path())?, quoted_path("the sweep's folder", list)?);
    let _ = writeln!(text, "exec {program} sweep task {sweep} --array {list}");
    Ok(text)
}

/// Quotes a value for a shell and for `#SBATCH` lines, which have the same quotes. A line ends with
/// a newline even within quotes, so control characters are refused.
fn quoted(what: &str, value: &str) -> Result<String, SlurmError> {
    if value.chars().any(char::is_control) {
        return Err(unquotable(what, value, "a line break or another control character"));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._+-=,%:".contains(c);
    let is_plain = !value.is_empty() && value.chars().all(plain);
    Ok(if is_plain { value.to_owned() } else { format!("'{}'", value.replace('\'', r"'\''")) })
}

fn quoted_path(what: &str, path: &Path) -> Result<String, SlurmError> {
    quoted(what, text_of(what, path)?)
}

/// Pattern of the tasks' log files in a folder. Slurm replaces `%j` and the like in it, `%%` by one
/// `%`, and nothing after a backslash.
fn log_pattern(folder: &Path) -> Result<String, SlurmError> {
    let what = "the sweep's folder";
    let text = text_of(what, folder)?;
    if text.contains('\\') {
        return Err(unquotable(what, text, "a backslash"));
    }
    Ok(format!("{}/%A_%a.log", text.replace('%', "%%")))
}

fn text_of<'a>(what: &str, path: &'a Path) -> Result<&'a str, SlurmError> {
    path.to_str().ok_or_else(|| unquotable(what, &path.to_string_lossy(), "bytes that are not UTF-8"))
}

fn unquotable(what: &str, value: &str, problem: &'static str) -> SlurmError {
    SlurmError::Unquotable { what: what.to_owned(), value: value.to_owned(), problem }
}
