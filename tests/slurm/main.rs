//! `liprl sweep` through a real Slurm of one node. `cargo xtask slurm-test` starts it and runs
//! these tests, which are otherwise ignored.

// Test code fails by panicking.
#![allow(clippy::expect_used, clippy::panic)]

#[allow(dead_code, reason = "not everything the command line's tests need is needed here")]
#[path = "../cli/runs.rs"]
mod runs;
#[allow(dead_code, reason = "not everything the command line's tests need is needed here")]
#[path = "../cli/support.rs"]
mod support;
#[allow(dead_code, reason = "not everything the command line's tests need is needed here")]
#[path = "../cli/sweeps.rs"]
mod sweeps;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use runs::{assert_same_traces, kill_holder, newest_step, summary, train_through};
use support::finish;
use sweeps::SweepFixture;

/// A sweep through Slurm.
struct SlurmFixture {
    sweep: SweepFixture,
}

impl SlurmFixture {
    fn new(sweep: &str) -> Self {
        Self { sweep: SweepFixture::new(sweep) }
    }

    fn run(&self, name: &str) -> PathBuf {
        self.sweep.run(name)
    }

    fn launch(&self, more: &[&str], code: i32) -> String {
        let (found, _, stderr) = finish(self.sweep.command(more));
        assert_eq!(found, code, "{stderr}\n{}", self.logs());
        stderr
    }

    fn status(&self) -> String {
        self.sweep.status().1
    }

    /// The logs of the tasks.
    fn logs(&self) -> String {
        let entries = std::fs::read_dir(self.run(".sweep/slurm")).into_iter().flatten().flatten();
        let logs =
            entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|ending| ending == "log"));
        logs.map(|path| format!("{}:\n{}", path.display(), std::fs::read_to_string(&path).unwrap_or_default()))
            .collect()
    }

    /// Waits until the sweep's status contains some words; requeued tasks start at once.
    fn wait_for(&self, words: &str, job: &str) {
        self.wait(words, || {
            start_at_once(job);
            self.status().contains(words)
        });
    }

    fn wait(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(3600);
        while !holds() {
            assert!(Instant::now() < deadline, "never: {what}\n{}\n{}\n{}", self.status(), self.logs(), squeue(""));
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Waits until a run has committed a checkpoint.
    fn wait_for_checkpoint(&self, run: &Path) {
        self.wait("a checkpoint", || newest_step(run) >= 300);
    }

    /// The run equals one that `liprl train` did without interruption.
    fn assert_equals_uninterrupted(&self, run: &str, more: &[&str]) {
        let whole = self.sweep.folder.path().join("whole").join(run);
        train_through(&self.sweep.base(), &whole, more);
        assert_same_traces(&whole, &self.run(run));
    }
}

fn slurm(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output().expect("Slurm's programs are on the PATH");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn squeue(job: &str) -> String {
    let job = format!("--jobs={job}");
    let words = ["--noheader", "--array", "--format=%i %t %r", &job];
    slurm("squeue", if job == "--jobs=" { &words[..3] } else { &words })
}

/// The job id in the output of `liprl sweep`.
fn job_of(words: &str) -> String {
    let rest = words.split("to Slurm as job ").nth(1).unwrap_or_else(|| panic!("no job: {words}"));
    rest.chars().take_while(char::is_ascii_digit).collect()
}

/// Starts requeued tasks without the two minutes that Slurm holds them. Three seconds pass first: a
/// node refuses a start whose credential is of the second in which it killed the task before, and
/// Slurm then gives the task up.
fn start_at_once(job: &str) {
    for line in squeue(job).lines().filter(|line| line.contains("BeginTime")) {
        std::thread::sleep(Duration::from_secs(3));
        let task = line.split_whitespace().next().expect("a task");
        slurm("scontrol", &["update", &format!("JobId={task}"), "StartTime=now"]);
    }
}

fn log_of(run: &Path) -> String {
    std::fs::read_to_string(run.join("run.log")).expect("run.log")
}

const ONE: &str = "small/seed-0";

#[test]
#[ignore = "needs Slurm: cargo xtask slurm-test"]
fn a_sweep_goes_through_and_a_stopped_task_is_queued_again_and_resumed_exactly() {
    let fixture = SlurmFixture::new(
        "set: {steps: 6000}\nseeds: [0, 1]\naxes: {agent.gamma: [0.9, 0.99]}\nlauncher: {kind: slurm, time: 0:20:00, throttle: 2}\n",
    );
    let job = job_of(&fixture.launch(&[], 0));
    let run = fixture.run("gamma=0.9/seed-0");
    fixture.wait_for_checkpoint(&run);
    let words = fixture.launch(&[], 0);
    assert!(words.contains("nothing to submit to Slurm; 4 are queued or running already"), "{words}");
    slurm("scancel", &["--signal=TERM", "--batch", &format!("{job}_0")]);
    fixture.wait("it is queued again", || squeue(&job).contains(&format!("{job}_0 PD")));
    assert_eq!(summary(&run)["status"], "stopped", "{}", fixture.logs());
    fixture.wait_for("4 done, 0 failed", &job);
    assert!(log_of(&run).contains("resumed at step"), "{}", log_of(&run));
    fixture.wait("Slurm is through with it", || squeue(&job).is_empty());
    assert!(fixture.launch(&[], 0).contains("nothing to submit to Slurm"));
    fixture.assert_equals_uninterrupted("gamma=0.9/seed-0", &["--set", "agent.gamma=0.9", "--steps", "6000"]);
    fixture.assert_equals_uninterrupted(
        "gamma=0.99/seed-1",
        &["--seed", "1", "--set", "agent.gamma=0.99", "--steps", "6000"],
    );
}

#[test]
#[ignore = "needs Slurm: cargo xtask slurm-test"]
fn a_time_limit_costs_a_run_nothing() {
    // The signal comes within half a minute: Slurm's time limits are in minutes, and its clock is
    // coarse.
    let fixture = SlurmFixture::new("set: {steps: 1e7}\nlauncher: {kind: slurm, time: 0:01:00, signal_before: 55}\n");
    let job = job_of(&fixture.launch(&[], 0));
    let run = fixture.run(ONE);
    fixture.wait("the time limit's signal stops the run", || {
        fixture.status().contains("1 stopped") && squeue(&job).contains("PD")
    });
    let stopped_at = newest_step(&run);
    // Evaluations and logging events coincide there, so that a run which ends there logs nothing
    // else.
    let compared = (stopped_at / 2800 + 1) * 2800;
    fixture.wait("it goes on", || {
        start_at_once(&job);
        newest_step(&run) > compared
    });
    slurm("scancel", &[&job]);
    fixture.wait("the task is gone", || squeue(&job).is_empty());
    assert!(log_of(&run).contains(&format!("resumed at step {stopped_at}")), "{}", log_of(&run));
    let whole = fixture.sweep.folder.path().join("whole");
    train_through(&fixture.sweep.base(), &whole, &["--steps", &compared.to_string()]);
    let events = metrics(&whole, compared);
    assert!(events.len() as u64 >= compared / 70);
    assert_eq!(events, metrics(&run, compared));
}

/// The events that a run logged up to a step, without clock readings.
fn metrics(run: &Path, last_step: u64) -> Vec<serde_json::Map<String, serde_json::Value>> {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).expect("metrics.jsonl");
    let events = text.lines().map(|line| serde_json::from_str(line).expect("a whole line"));
    let mut events: Vec<serde_json::Map<String, serde_json::Value>> = events.collect();
    events.retain(|event| event["step"].as_u64().expect("a step") <= last_step);
    for event in &mut events {
        event.retain(|name, _| name != "wall_s" && !name.starts_with("perf/"));
    }
    events
}

#[test]
#[ignore = "needs Slurm: cargo xtask slurm-test"]
fn a_cancelled_task_stays_away_until_the_sweep_is_launched_again() {
    let fixture = SlurmFixture::new("set: {steps: 20000}\nlauncher: {kind: slurm}\n");
    let job = job_of(&fixture.launch(&[], 0));
    let run = fixture.run(ONE);
    fixture.wait_for_checkpoint(&run);
    slurm("scancel", &[&job]);
    fixture.wait("the run stops", || fixture.status().contains("1 stopped"));
    fixture.wait("the task is gone", || squeue(&job).is_empty());
    let job = job_of(&fixture.launch(&[], 0));
    fixture.wait_for("1 done, 0 failed", &job);
    fixture.assert_equals_uninterrupted(ONE, &["--steps", "20000"]);
}

#[test]
#[ignore = "needs Slurm: cargo xtask slurm-test"]
fn a_killed_run_is_reported_and_retried_with_resume() {
    let fixture = SlurmFixture::new("set: {steps: 20000}\nlauncher: {kind: slurm}\n");
    let job = job_of(&fixture.launch(&[], 0));
    let run = fixture.run(ONE);
    fixture.wait_for_checkpoint(&run);
    kill_holder(&run);
    fixture.wait_for("killed by signal 9", &job);
    fixture.wait("the task is gone", || squeue(&job).is_empty());
    let words = fixture.launch(&[], 1);
    assert!(words.contains("nothing to submit to Slurm") && words.contains("killed by signal 9"), "{words}");
    let job = job_of(&fixture.launch(&["--resume"], 0));
    fixture.wait_for("1 done, 0 failed", &job);
    fixture.assert_equals_uninterrupted(ONE, &["--steps", "20000"]);
}

#[test]
#[ignore = "needs Slurm: cargo xtask slurm-test"]
fn a_refusal_by_slurm_is_shown_in_its_words() {
    let fixture = SlurmFixture::new("set: {steps: 300}\nlauncher: {kind: slurm, partition: nowhere}\n");
    let words = fixture.launch(&[], 1);
    assert!(words.contains("Invalid partition name specified") && words.contains("`launcher:`"), "{words}");
    assert!(fixture.status().contains("1 waiting"), "{}", fixture.status());
}

/// Points of a search that takes two batches and runs the best point again.
const SEARCH: &str = "set: {steps: STEPS}
launcher: {kind: slurm}
search: {points: 4, parallel: 2, startup: 2, confirm: 1, draw: {agent.gamma: {uniform: {low: 0.5, high: 0.99}}}}
";

#[test]
#[ignore = "needs Slurm: cargo xtask slurm-test"]
fn a_search_asks_for_batch_after_batch_by_itself() {
    let search = SEARCH.replace("STEPS", "1200");
    let fixture = SlurmFixture::new(&search);
    let words = fixture.launch(&[], 0);
    assert!(words.contains("submitted 2 runs") && words.contains("goes on with the search after them"), "{words}");
    fixture.wait("the search is done", || fixture.status().contains("5 runs: 5 done"));
    fixture.wait("the last job is through", || squeue("").is_empty());
    // The same points as on one machine.
    let local = SweepFixture::new(&search);
    let (code, _, stderr) = finish(local.command(&["--launcher", "local"]));
    assert_eq!(code, 0, "{stderr}");
    let plan = |out: PathBuf| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(out.join("sweep.lock.json")).expect("a plan")).expect("JSON")
    };
    let (here, there) = (plan(local.out()), plan(fixture.sweep.out()));
    assert_eq!((&here["variants"], &here["search"]), (&there["variants"], &there["search"]));
}

#[test]
#[ignore = "needs Slurm: cargo xtask slurm-test"]
fn a_search_that_is_cancelled_stays_away() {
    let fixture = SlurmFixture::new(&SEARCH.replace("STEPS", "20000"));
    let job = job_of(&fixture.launch(&[], 0));
    fixture.wait_for_checkpoint(&fixture.run("s000/seed-0"));
    slurm("scancel", &[&job]);
    fixture.wait("the runs stop and nothing follows", || squeue("").is_empty());
    let status = fixture.status();
    assert!(status.contains("2 runs: 0 done") && status.contains("2 of 4 points asked for"), "{status}");
}
