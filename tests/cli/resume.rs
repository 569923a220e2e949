//! A run that was killed, stopped, damaged or extended and then resumed equals one that was not.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use liprl_logbook::{Checkpoints, Keep, RunFolder};
use rand::RngExt;
use serde_json::Value;

use crate::runs::{
    SMALL, SMALL_IMITATION, SMALL_MODEL_BASED, assert_same_traces, differences, newest_step, random_moments, signal,
    small_agent, start, summary, train, train_through, train_with_kills, wait_for_checkpoints, words_of, write_config,
};
use crate::support::{finish, liprl};

#[test]
fn a_sac_run_killed_at_random_moments_equals_one_never_killed() {
    killed_equals_whole(&format!("{SMALL}{}", small_agent("sac")));
}

#[test]
fn a_td3_run_killed_at_random_moments_equals_one_never_killed() {
    killed_equals_whole(&format!("{SMALL}{}", small_agent("td3")));
}

#[test]
fn an_imitation_killed_at_random_moments_equals_one_never_killed() {
    killed_equals_whole(SMALL_IMITATION);
}

#[test]
fn a_model_based_run_killed_at_random_moments_equals_one_never_killed() {
    killed_equals_whole(SMALL_MODEL_BASED);
}

/// From step 400 on every step begins a fit, which takes nearly all of its time. The end of
/// standard input stops a run as SIGTERM does, and can come before the first step: so it falls into
/// a fit on any machine.
#[test]
fn a_stop_in_the_middle_of_a_fit_leaves_a_checkpoint_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = SMALL_MODEL_BASED.replace("learning_starts: 200", "learning_starts: 400");
    let config = config.replace("refit_every: 100", "refit_every: 1").replace("max_epochs: 5", "max_epochs: 10");
    assert!(config.contains("starts: 400") && config.contains("every: 1\n") && config.contains("epochs: 10"));
    let config = write_config(folder.path(), &config);
    let (whole, stopped) = (folder.path().join("whole"), folder.path().join("stopped"));
    train_through(&config, &whole, &["--steps", "440"]);
    train_through(&config, &stopped, &["--steps", "400"]);
    let (mut moments, mut midway) = (random_moments(), 0);
    for attempt in 0.. {
        let mut command = train(&config, &stopped, &["--steps", "440", "--resume", "--stop-at-eof"]);
        let mut child = start(command.stdin(Stdio::piped()));
        if attempt % 2 == 1 {
            // Other moments of a fit, if the machine is quick enough; nothing depends on it.
            std::thread::sleep(Duration::from_secs_f64(moments.random_range(0.0..0.3)));
        }
        drop(child.stdin.take());
        let (code, words) = words_of(child);
        midway += u32::from(words.contains("in the learning after step"));
        assert!(matches!(code, Some(0 | 143)), "{code:?}: {words}");
        if code == Some(0) || midway == 3 {
            break;
        }
    }
    train_through(&config, &stopped, &["--steps", "440", "--resume"]);
    assert!(midway > 0, "no stop fell into a fit");
    assert_same_traces(&whole, &stopped);
}

/// Half the bits are exact to resume too, where the processor has bf16; elsewhere the setting is
/// refused with the remedy.
#[test]
fn a_run_in_bf16_killed_at_random_moments_equals_one_never_killed() {
    let agent = "agent: {kind: sac, learning_starts: 200, actor: {hidden: [128, 128]}, critic: {hidden: [128, 128]}}";
    let config = format!("{}precision: bf16\n{agent}\n", SMALL.replace("2400", "1200"));
    if std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| text.contains("avx512_bf16")) {
        killed_equals_whole(&config);
        let folder = tempfile::tempdir().expect("a folder");
        let [half, whole] = ["half", "whole"].map(|name| folder.path().join(name));
        train_through(&write_config(folder.path(), &config), &half, &["--steps", "300"]);
        train_through(&write_config(folder.path(), &config.replace("bf16", "f32")), &whole, &["--steps", "300"]);
        assert!(!differences(&half, &whole).is_empty(), "bf16 changes nothing");
    } else {
        let folder = tempfile::tempdir().expect("a folder");
        let path = write_config(folder.path(), &config);
        let (code, _, stderr) = finish(train(&path, &folder.path().join("run"), &[]));
        assert!(code == 2 && stderr.contains("leave `precision` out"), "{code}: {stderr}");
    }
}

fn killed_equals_whole(config: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = write_config(folder.path(), config);
    let whole = folder.path().join("whole");
    train_through(&config, &whole, &[]);
    let mut moments = random_moments();
    // Each attempt is compared. It is repeated if every process ended before its kill, which a test
    // that the machine kept from running can miss.
    let midway = (0..100).any(|attempt| {
        let killed = folder.path().join(format!("killed-{attempt}"));
        let (_, resumed_midway) = train_with_kills(&config, &killed, &mut moments);
        assert_same_traces(&whole, &killed);
        resumed_midway > 0
    });
    assert!(midway, "no kill fell between a checkpoint and the end");
}

#[test]
fn signals_stop_after_a_checkpoint_and_the_run_goes_on_from_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = write_config(folder.path(), &format!("{SMALL}{}", small_agent("sac")));
    let (whole, stopped) = (folder.path().join("whole"), folder.path().join("stopped"));
    train_through(&config, &whole, &[]);
    for (name, step, code) in [("TERM", 150, 143), ("INT", 1050, 130)] {
        let mut child = start(&mut train(&config, &stopped, &["--resume"]));
        wait_for_checkpoints(&mut child, &stopped, step);
        signal(&child, name);
        assert_eq!(child.wait().expect("the child ends").code(), Some(code), "SIG{name}");
        assert_eq!(summary(&stopped)["status"], "stopped");
    }
    let stopped_at = summary(&stopped)["steps"].as_u64().expect("a number");
    let words = train_through(&config, &stopped, &["--resume"]);
    assert!(words.contains(&format!("resumed at step {stopped_at}\n")), "{words}");
    assert_eq!(summary(&stopped)["status"], "done");
    assert_same_traces(&whole, &stopped);
}

#[test]
fn damaged_checkpoints_are_passed_over_and_the_run_comes_out_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = write_config(folder.path(), &format!("{SMALL}{}", small_agent("sac")));
    let (whole, damaged) = (folder.path().join("whole"), folder.path().join("damaged"));
    train_through(&config, &whole, &[]);
    let flip = |path: &Path| {
        let mut bytes = std::fs::read(path).expect("the part is there");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(path, bytes).expect("written");
    };
    let truncate = |path: &Path| {
        let file = std::fs::File::options().write(true).open(path).expect("the part is there");
        file.set_len(file.metadata().expect("a length").len() / 2).expect("truncated");
    };
    let stop_and_harm = |part: &str, harm: &dyn Fn(&Path)| {
        let mut child = start(&mut train(&config, &damaged, &["--resume"]));
        let wanted = newest_step(&damaged) + 450;
        wait_for_checkpoints(&mut child, &damaged, wanted);
        signal(&child, "TERM");
        assert_eq!(child.wait().expect("the child ends").code(), Some(143));
        harm(&damaged.join(format!("checkpoints/step_{:09}/{part}", newest_step(&damaged))));
    };
    stop_and_harm("agent.safetensors", &truncate);
    stop_and_harm("env.bin", &flip);
    let words = train_through(&config, &damaged, &["--resume"]);
    assert!(words.contains("passed over") && words.contains("env.bin"), "{words}");
    assert_same_traces(&whole, &damaged);
}

#[test]
fn a_run_killed_before_its_first_checkpoint_restarts_with_clean_logs() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = write_config(folder.path(), &format!("{SMALL}{}", small_agent("td3")));
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    for run in [&whole, &killed] {
        train_through(&config, run, &["--steps", "300"]);
    }
    // The files that a kill before the first checkpoint leaves: logs, but no checkpoint.
    std::fs::remove_dir_all(killed.join("checkpoints")).expect("removed");
    let text = std::fs::read_to_string(killed.join("summary.json")).expect("a summary").replace("done", "running");
    std::fs::write(killed.join("summary.json"), text).expect("written");
    let words = train_through(&config, &killed, &["--steps", "300", "--resume"]);
    assert!(words.contains("starting from the beginning"), "{words}");
    assert_same_traces(&whole, &killed);
    let events = |run: &Path| {
        let files = std::fs::read_dir(run).expect("a folder").filter_map(Result::ok);
        files.filter(|file| file.file_name().to_string_lossy().starts_with("events.out")).count()
    };
    assert_eq!((events(&whole), events(&killed)), (1, 1));
}

#[test]
fn more_steps_extend_a_run_as_if_it_had_been_longer_from_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = write_config(folder.path(), &format!("{SMALL}{}", small_agent("td3")));
    let (whole, extended) = (folder.path().join("whole"), folder.path().join("extended"));
    train_through(&config, &whole, &[]);
    train_through(&config, &extended, &["--steps", "1200"]);
    let words = train_through(&config, &extended, &["--steps", "1200", "--resume"]);
    assert!(words.contains("done already, at step 1200"), "{words}");
    train_through(&config, &extended, &["--resume"]);
    assert_same_traces(&whole, &extended);
}

#[test]
fn a_checkpoint_of_an_earlier_version_is_refused_in_one_sentence_but_its_policy_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = write_config(folder.path(), &format!("{SMALL}{}", small_agent("sac")));
    let run = folder.path().join("run");
    train_through(&config, &run, &["--steps", "300"]);
    // As earlier versions wrote it: a session without a format.
    let mut checkpoints = Checkpoints::open(&RunFolder::open(&run).expect("a run folder"));
    let newest = checkpoints.latest_valid().expect("checkpoints").expect("a checkpoint").checkpoint;
    let mut earlier = checkpoints.begin(300).expect("a checkpoint begun");
    for name in newest.names() {
        let mut bytes = newest.get(name).expect("a part");
        if name == "session.json" {
            let mut session: Value = serde_json::from_slice(&bytes).expect("JSON");
            assert_eq!(session.as_object_mut().expect("an object").remove("format"), Some(Value::from(2)));
            bytes = serde_json::to_vec(&session).expect("JSON");
        }
        earlier.put(name, &bytes).expect("a part");
    }
    earlier.commit(Keep { last: 1, best: None }).expect("committed");
    let (code, _, stderr) = finish(train(&config, &run, &["--resume"]));
    let sentence = "checkpoint format 1 is from an earlier version of liprl; this version reads 2. \
                    Start the run again, or resume with the version that wrote it.";
    assert!(code != 0 && stderr.contains(sentence), "{code}: {stderr}");
    let (code, _, stderr) = finish(liprl(["eval".as_ref(), run.as_os_str(), "--episodes".as_ref(), "1".as_ref()]));
    assert_eq!(code, 0, "{stderr}");
}

#[test]
fn an_old_run_is_neither_overwritten_nor_resumed_with_another_config() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = write_config(folder.path(), &format!("{SMALL}{}", small_agent("sac")));
    let run = folder.path().join("run");
    train_through(&config, &run, &["--steps", "300"]);
    // A run that was extended and killed must not pass for done when it is given too few steps.
    let longer = run.with_file_name("longer");
    train_through(&config, &longer, &["--steps", "300"]);
    let stored = std::fs::read_to_string(longer.join("config.yaml")).expect("a config");
    std::fs::write(longer.join("config.yaml"), stored.replace("steps: 300", "steps: 600")).expect("written");
    let text = std::fs::read_to_string(longer.join("summary.json")).expect("a summary").replace("done", "stopped");
    std::fs::write(longer.join("summary.json"), &text).expect("written");
    let (code, _, stderr) = finish(train(&config, &longer, &["--resume", "--steps", "200"]));
    assert_eq!(code, 2);
    assert!(stderr.contains("has `steps`: 600, not 200; a resumed run keeps its config"), "{stderr}");
    assert_eq!(text, std::fs::read_to_string(longer.join("summary.json")).expect("a summary"));

    let before = std::fs::read(run.join("summary.json")).expect("a summary");
    let (code, _, stderr) = finish(train(&config, &run, &["--steps", "300"]));
    assert_eq!(code, 2);
    assert!(stderr.contains("--resume") && stderr.contains("--out"), "{stderr}");
    let (code, _, stderr) = finish(train(&config, &run, &["--resume", "--set", "agent.gamma=0.9"]));
    assert_eq!(code, 2);
    assert!(stderr.contains("`agent.gamma`: 0.99, not 0.9"), "{stderr}");
    assert_eq!(before, std::fs::read(run.join("summary.json")).expect("a summary"), "a refusal changes nothing");
}
