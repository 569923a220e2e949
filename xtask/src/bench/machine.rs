//! The machine of a measurement.

use std::path::Path;
use std::process::Command;

use fs_err as fs;

/// Processor, cores, operating system and commit, in one line.
pub(crate) fn describe(root: &Path) -> String {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let processor = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| processor(&text));
    let commit = git(root, &["rev-parse", "--short", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    let changes = git(root, &["status", "--porcelain", "--untracked-files=no"]).is_some_and(|list| !list.is_empty());
    format!(
        "{}, {cores} cores, {}, commit {commit}{}",
        processor.as_deref().unwrap_or("unknown processor"),
        std::env::consts::OS,
        if changes { " with uncommitted changes" } else { "" }
    )
}

fn processor(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").current_dir(root).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_named_as_the_kernel_names_it() {
        let text = "processor\t: 0\nvendor_id\t: X\nmodel name\t: Some CPU @ 2.5GHz: v2\nmodel name\t: other\n";
        assert_eq!(processor(text).as_deref(), Some("Some CPU @ 2.5GHz: v2"));
        assert_eq!(processor("no such line"), None);
    }
}
