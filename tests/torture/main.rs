//! Kills, damaged files and faults, drawn from a printed seed, each with a limit on time and memory.
//!
//! `cargo test --release --test torture` runs a short part. `cargo xtask torture` runs all of it and
//! writes the table of docs/results/reliability.md. `LIPRL_TEST_SEED` repeats one.

// Test code fails by panicking, and the shared helpers serve other tests too.
#![allow(clippy::expect_used, clippy::panic, dead_code)]

mod damage;
mod faults;
mod fuzz;
mod kills;
mod limits;
#[path = "../cli/runs.rs"]
mod runs;
#[path = "../cli/support.rs"]
mod support;

use std::io::Write;

/// The cases of one kind and what went wrong in them.
struct Tally {
    kind: String,
    cases: usize,
    failures: Vec<String>,
}

impl Tally {
    fn new(kind: impl Into<String>) -> Self {
        Self { kind: kind.into(), cases: 0, failures: Vec::new() }
    }

    fn count(&mut self, outcome: Result<(), String>) {
        self.cases += 1;
        self.failures.extend(outcome.err());
    }
}

/// Numbers of cases.
#[derive(Clone, Copy)]
struct Amount {
    /// Damaged files of each format.
    files: usize,
    /// Processes killed, at least.
    kills: u32,
}

#[test]
fn a_short_torture_is_survived() {
    torture(Amount { files: 8, kills: 12 });
}

#[test]
#[ignore = "takes 20 minutes: `cargo xtask torture`"]
fn a_long_torture_is_survived() {
    torture(Amount { files: 125, kills: 200 });
}

fn torture(amount: Amount) {
    let mut rng = runs::random_moments();
    let folder = tempfile::tempdir().expect("a folder");
    let mut tallies = vec![kills::killed(folder.path(), amount.kills, &mut rng)];
    tallies.extend(fuzz::damaged(folder.path(), amount.files, &mut rng));
    tallies.push(faults::faults(folder.path()));
    let mut out = std::io::stdout().lock();
    for Tally { kind, cases, failures } in &tallies {
        writeln!(out, "torture | {kind} | {cases} | {} |", failures.len()).expect("standard output");
    }
    let failures: Vec<&String> = tallies.iter().flat_map(|tally| &tally.failures).collect();
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures.into_iter().cloned().collect::<Vec<_>>().join("\n\n")
    );
}
