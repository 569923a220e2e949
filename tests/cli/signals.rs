//! Ends of a run by signals: each leaves a checkpoint, and a run that was killed is shown as such.

use std::path::Path;
use std::process::{Child, Command};

use crate::runs::{
    SMALL, kill_holder, newest_step, signal, small_agent, start, summary, train, wait_for_checkpoints, wait_until,
    words_of, write_config,
};
use crate::support::text;
use crate::sweeps::SweepFixture;

/// `liprl train` of a small config, which takes hours, started through a shell line.
fn start_long(folder: &Path, run: &Path, shell: &str) -> Child {
    let config = write_config(folder, &format!("{SMALL}{}", small_agent("sac")));
    let command = train(&config, run, &["--resume", "--steps", "1e7"]);
    let line = format!("{shell} exec \"$@\"");
    let mut through = Command::new("sh");
    through.args(["-c", &line, "sh"]).arg(command.get_program()).args(command.get_args());
    start(through.current_dir(crate::support::root()))
}

/// Asserts that a run has ended after a checkpoint of its last step.
fn assert_stopped(run: &Path, name: &str) {
    let summary = summary(run);
    assert_eq!(summary["status"], "stopped", "SIG{name}");
    assert_eq!(summary["steps"].as_u64(), Some(newest_step(run)), "SIG{name}");
}

#[test]
fn every_signal_that_ends_a_job_leaves_a_checkpoint() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("run");
    for (name, code) in [("HUP", 129), ("USR1", 138), ("USR2", 140), ("XCPU", 152)] {
        // SIGHUP is ignored here if the tests run under nohup.
        let mut child = start_long(folder.path(), &run, "set -- env --default-signal=HUP \"$@\";");
        let wanted = newest_step(&run) + 150;
        wait_for_checkpoints(&mut child, &run, wanted);
        signal(&child, name);
        let (found, words) = words_of(child);
        assert_eq!(found, Some(code), "SIG{name}: {words}");
        assert_stopped(&run, name);
    }
}

/// Among so many signals some come while the checkpoint is being written.
#[test]
fn signals_during_the_checkpoint_change_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("run");
    let mut child = start_long(folder.path(), &run, "");
    wait_for_checkpoints(&mut child, &run, 150);
    let line = "kill -TERM $0; while kill -TERM $0 && kill -HUP $0; do :; done 2> /dev/null";
    let mut sender = Command::new("sh").args(["-c", line, &child.id().to_string()]).spawn().expect("a shell");
    wait_until("it ends", || child.try_wait().expect("it can be asked").is_some());
    let (code, words) = words_of(child);
    sender.wait().expect("it ends");
    assert!(matches!(code, Some(143 | 129)), "{code:?}: {words}");
    assert_stopped(&run, "TERM");
}

#[test]
fn a_run_under_nohup_outlives_its_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("run");
    let mut child = start_long(folder.path(), &run, "trap '' HUP;");
    wait_for_checkpoints(&mut child, &run, 150);
    signal(&child, "HUP");
    let wanted = newest_step(&run) + 450;
    wait_for_checkpoints(&mut child, &run, wanted);
    signal(&child, "TERM");
    assert_eq!(words_of(child).0, Some(143));
    assert_stopped(&run, "TERM");
}

#[test]
fn a_limit_on_file_sizes_is_an_error_of_the_write() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("run");
    let (code, words) = words_of(start_long(folder.path(), &run, "ulimit -f 16;"));
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("File too large") && words.contains("safetensors"), "{words}");
    assert!(words.contains("There is no checkpoint yet"), "{words}");
    assert_eq!(summary(&run)["status"], "failed");
}

/// The launcher is halted first, so that it cannot record the end of its run.
#[test]
fn a_run_whose_process_is_gone_is_shown_as_killed_and_resumed() {
    let sweep = SweepFixture::new("set: {steps: 1e6}\n");
    let run = sweep.run("small/seed-0");
    let mut launcher = start(&mut sweep.command(&[]));
    wait_for_checkpoints(&mut launcher, &run, 150);
    signal(&launcher, "STOP");
    kill_holder(&run);
    assert!(sweep.status().1.contains("running on"), "its launcher holds the claim");
    launcher.kill().expect("it runs");
    launcher.wait().expect("it ends");
    let (code, status) = sweep.status();
    assert!(code == 0 && status.contains(" killed\n") && status.contains("1 killed, 0 waiting"), "{status}");

    // Begun by hand it has no claim, but its lock is held.
    let mut child = start(&mut crate::support::liprl(["train", text(&run), "--resume"]));
    let wanted = newest_step(&run) + 300;
    wait_for_checkpoints(&mut child, &run, wanted);
    let (_, status) = sweep.status();
    assert!(status.contains(" running\n") && !status.contains("killed"), "{status}");
    signal(&child, "TERM");
    assert_eq!(words_of(child).0, Some(143));
    assert!(sweep.status().1.contains("1 stopped"));
}

#[test]
fn an_unreadable_summary_is_told_and_written_anew() {
    let sweep = SweepFixture::new("set: {steps: 300}\n");
    sweep.launch(&[], 0);
    let file = sweep.run("small/seed-0/summary.json");
    let good = std::fs::read_to_string(&file).expect("a summary");
    std::fs::write(&file, &good[..good.len() / 2]).expect("written");
    let (code, status) = sweep.status();
    assert!(code == 1 && status.contains("summary.json: EOF while parsing"), "{code}: {status}");
    sweep.launch(&["--resume"], 0);
    assert_eq!(summary(&sweep.run("small/seed-0"))["status"], "done");
    let log = std::fs::read_to_string(sweep.run("small/seed-0/run.log")).expect("a log");
    assert!(log.contains("summary.json: EOF") && log.contains("it is written anew"), "{log}");
}
