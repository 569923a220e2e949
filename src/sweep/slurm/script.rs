//! The scripts of job arrays, and of the jobs that go on after them. Values and paths are quoted, or
//! refused where no quoting helps.

use std::ffi::OsString;
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
        format!("--output={}", quoted("the sweep's folder", &log_pattern(&folder.slurm(), "%A_%a")?)?),
        "--open-mode=append".to_owned(),
        "--requeue".to_owned(),
        format!("--signal=B:TERM@{}", config.signal_before),
    ];
    options.extend(resources(config, &[("gres", &config.gres), ("constraint", &config.constraint)])?);
    let mut text = head("task i does the i-th run of the list below", &options, config);
    let program = quoted_path("the program's path", program)?;
    let (sweep, list) = (quoted_path("the sweep's folder", folder.path())?, quoted_path("the sweep's folder", list)?);
    let _ = writeln!(text, "exec {program} sweep task {sweep} --array {list}");
    Ok(text)
}

/// The script of the job that goes on with a search after these jobs. It takes seconds on one core.
pub(super) fn next(
    folder: &SweepFolder,
    config: &SlurmConfig,
    after: &[&str],
    program: &Path,
    arguments: &[OsString],
    here: &Path,
) -> Result<String, SlurmError> {
    let mut options = vec![
        format!("--job-name={}", quoted("the experiment", &format!("liprl-{}-next", folder.lock.experiment))?),
        format!("--dependency=afterany:{}", after.join(":")),
        "--cpus-per-task=1".to_owned(),
        format!("--chdir={}", quoted_path("the working directory", here)?),
        format!("--output={}", quoted("the sweep's folder", &log_pattern(&folder.slurm(), "next-%j")?)?),
    ];
    options.extend(resources(config, &[])?);
    let mut text = head("goes on with the search after a batch", &options, config);
    let words = std::iter::once(program.as_os_str()).chain(arguments.iter().map(OsString::as_os_str));
    let words: Vec<String> =
        words.map(|word| quoted_path("a path or setting", Path::new(word))).collect::<Result<_, _>>()?;
    let _ = writeln!(text, "exec {}", words.join(" "));
    Ok(text)
}

/// Options for what a job takes and where it runs.
fn resources(config: &SlurmConfig, more: &[(&str, &Option<String>)]) -> Result<Vec<String>, SlurmError> {
    let all = [
        ("partition", &config.partition),
        ("time", &config.time),
        ("mem", &config.mem),
        ("account", &config.account),
        ("qos", &config.qos),
    ];
    let given = all.iter().chain(more).filter_map(|(name, value)| Some((name, value.as_ref()?)));
    given.map(|(name, value)| Ok(format!("--{name}={}", quoted(&format!("`{name}`"), value)?))).collect()
}

/// The first lines of a script: its options and the lines of `setup`.
fn head(purpose: &str, options: &[String], config: &SlurmConfig) -> String {
    let mut text = format!("#!/bin/bash\n# Written by `liprl sweep`: {purpose}.\n");
    for option in options {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "#SBATCH {option}");
    }
    if !config.setup.is_empty() {
        // Nothing begins in an environment that is half set up.
        text.push_str("set -e\ntrap 'echo \"error: a line of setup failed: $BASH_COMMAND\" >&2' ERR\n");
    }
    for line in &config.setup {
        let _ = writeln!(text, "{line}");
    }
    text
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

/// Pattern of log files of this name in a folder. Slurm replaces `%j` and the like in it, `%%` by one
/// `%`, and nothing after a backslash.
fn log_pattern(folder: &Path, name: &str) -> Result<String, SlurmError> {
    let what = "the sweep's folder";
    let text = text_of(what, folder)?;
    if text.contains('\\') {
        return Err(unquotable(what, text, "a backslash"));
    }
    Ok(format!("{}/{name}.log", text.replace('%', "%%")))
}

fn text_of<'a>(what: &str, path: &'a Path) -> Result<&'a str, SlurmError> {
    path.to_str().ok_or_else(|| unquotable(what, &path.to_string_lossy(), "bytes that are not UTF-8"))
}

fn unquotable(what: &str, value: &str, problem: &'static str) -> SlurmError {
    SlurmError::Unquotable { what: what.to_owned(), value: value.to_owned(), problem }
}
