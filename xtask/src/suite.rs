//! `cargo xtask test`: all checks that a change must pass.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::process::{cargo, show_and_keep, words};
use crate::setup;

/// The checks, quickest first. All build with the one optimised profile.
const STEPS: &[&[&str]] = &[
    &["fmt", "--all", "--check"],
    &["clippy", "--release", "--workspace", "--all-targets", "--", "-D", "warnings"],
    &["test", "--release", "--workspace"],
    &["test", "--release", "--package", "liprl-envs", "--features", "gymnasium-rs", "--test", "gymnasium_rs"],
    &["run", "--quiet", "--package", "xtask", "--", "wheel", "--test"],
    &["run", "--quiet", "--package", "xtask", "--", "lab"],
];

/// The test of the report in a real browser, if one is installed.
const BROWSER: &[&str] = &["test", "--release", "--package", "liprl-analysis", "--test", "browser", "--", "--ignored"];

/// The test of Gymnasium-Robotics, if LIPRL_ROBOTICS_PYTHON names a Python that has it.
const ROBOTICS: &[&str] = &["test", "--release", "--package", "liprl-envs", "--test", "python_env", "--", "--ignored"];

/// Licences and sources of the dependencies, if cargo-deny is installed. Advisories are left to those
/// who can fetch their database: `cargo deny check advisories`.
const DENY: &[&str] = &["deny", "check", "bans", "licenses", "sources"];

/// True if cargo finds a program of this name on the path, as `cargo-deny`.
fn installed(name: &str) -> bool {
    let places = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&places).any(|place| place.join(name).is_file())
}

/// True if the browser test finds a browser.
fn browser() -> bool {
    let names = ["chromium-headless-shell", "chromium", "google-chrome", "chromium-browser"];
    std::env::var_os("LIPRL_BROWSER").is_some() || names.iter().any(|name| installed(name))
}

/// True if the system has EGL, without which MuJoCo tasks cannot be drawn.
fn egl() -> bool {
    let list = std::process::Command::new("ldconfig").arg("-p").output();
    list.is_ok_and(|list| String::from_utf8_lossy(&list.stdout).contains("libEGL.so.1"))
}

/// Runs every step, also after one has failed, and prints a summary.
pub(crate) fn run(root: &Path) -> Result<()> {
    setup::run(root, setup::Options { cuda: false, test: true, peers: false })?;
    let mut rows = Vec::new();
    let mut failed = 0;
    let (with_browser, with_deny) = (browser(), installed("cargo-deny"));
    let with_robotics = std::env::var_os("LIPRL_ROBOTICS_PYTHON").is_some();
    let others = [(with_deny, &DENY), (with_browser, &BROWSER), (with_robotics, &ROBOTICS)];
    for step in STEPS.iter().chain(others.into_iter().filter_map(|(there, step)| there.then_some(step))) {
        let mut command = cargo(root, step);
        // A failing test program does not keep the following ones from being run.
        if step[0] == "test" && !step.contains(&"--") {
            command.arg("--no-fail-fast");
        }
        let words = words(&command);
        println!("\n{words}");
        let start = Instant::now();
        let (good, lines) = show_and_keep(&mut command)?;
        let count = Count::of(&lines);
        failed += usize::from(!good);
        let verdict = if good { "ok" } else { "FAILED" };
        rows.push(format!("{verdict:6} {:5.0} s  {words}{count}", start.elapsed().as_secs_f64()));
    }
    if !with_browser {
        rows.push(
            "not run        the report in a browser: no Chromium (apt-get install chromium-headless-shell)".to_owned(),
        );
    }
    if !with_robotics {
        rows.push(
            "not run        an environment of Gymnasium-Robotics: LIPRL_ROBOTICS_PYTHON names no Python with gymnasium 1.4.0, \
             gymnasium-robotics 1.4.2 and mujoco 3.3.0"
                .to_owned(),
        );
    }
    if !with_deny {
        rows.push(
            "not run        the dependencies' licences and sources: no cargo-deny (cargo install cargo-deny --locked)"
                .to_owned(),
        );
    }
    if !egl() {
        rows.push(
            "not run        pictures of MuJoCo tasks: no EGL (apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri)"
                .to_owned(),
        );
    }
    println!("\n{}", rows.join("\n"));
    if failed > 0 {
        bail!("{failed} of {} steps failed", STEPS.len());
    }
    Ok(())
}

/// Tests counted over the closing lines of a step's test programs.
#[derive(Debug, Default, PartialEq)]
struct Count {
    passed: u64,
    failed: u64,
}

impl Count {
    fn of(lines: &[String]) -> Self {
        let mut count = Self::default();
        for line in lines.iter().filter(|line| line.starts_with("test result: ")) {
            let number = |label: &str| -> u64 {
                let words: Vec<&str> = line.split([' ', ';', '.']).filter(|word| !word.is_empty()).collect();
                let pair = words.windows(2).find(|pair| pair[1] == label);
                pair.and_then(|pair| pair[0].parse().ok()).unwrap_or(0)
            };
            count.passed += number("passed");
            count.failed += number("failed");
        }
        count
    }
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self { passed: 0, failed: 0 } => Ok(()),
            Self { passed, failed } => write!(f, ": {passed} passed; {failed} failed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_counted_over_all_programs() {
        let output = "running 3 tests\ntest a ... ok\n\
            test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
            test result: FAILED. 40 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s\n";
        let lines: Vec<String> = output.lines().map(str::to_owned).collect();
        assert_eq!(Count::of(&lines), Count { passed: 43, failed: 2 });
        assert_eq!(Count::of(&lines).to_string(), ": 43 passed; 2 failed");
        assert_eq!(Count::of(&lines[..2]).to_string(), "");
    }
}
