//! Launches of `liprl sweep`: no run is done twice or lost.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::{Value, json};

use crate::runs::{
    assert_same_traces, kill_holder, newest_step, python, signal, start, summary, train_through, wait_for_checkpoints,
    wait_until, words_of,
};
use crate::support::{finish, liprl, root, text};
use crate::sweeps::SweepFixture;

/// A task may begin before `sbatch` returns, so its list must exist by then.
#[test]
fn slurm_s_list_is_written_before_the_job_is_submitted_and_removed_if_it_is_refused() {
    let sweep = SweepFixture::new("seeds: [0, 1]\n");
    let bin = sweep.out().with_file_name("bin");
    std::fs::create_dir_all(&bin).expect("a folder");
    // Accepts the job as Slurm does if the list that the script names is complete.
    let sbatch = "#!/bin/bash\nlist=$(grep -o '/[^ ]*array-[0-9]*.json' \"$2\")\ngrep -q '\"runs\"' \"$list\" || exit 1\n[ -e \"$(dirname \"$0\")/full\" ] && exit 1\necho 7\n";
    for (name, text) in [("sbatch", sbatch), ("squeue", "#!/bin/bash\n")] {
        std::fs::write(bin.join(name), text).expect("written");
        std::fs::set_permissions(bin.join(name), std::fs::Permissions::from_mode(0o755)).expect("allowed");
    }
    let submit = || {
        let mut command = sweep.command(&["--launcher", "slurm"]);
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", bin.display()));
        words_of(start(&mut command))
    };
    let lists = || {
        std::fs::read_dir(sweep.out().join(".sweep/slurm"))
            .expect("a folder")
            .filter_map(Result::ok)
            .filter(|file| file.path().extension().is_some_and(|ending| ending == "json"))
            .map(|file| std::fs::read_to_string(file.path()).expect("a list"))
            .collect::<Vec<_>>()
    };
    std::fs::write(bin.join("full"), "").expect("written");
    let (code, words) = submit();
    assert_eq!(code, Some(1), "{words}");
    assert!(lists().is_empty(), "{:?}", lists());
    std::fs::remove_file(bin.join("full")).expect("removed");
    let (code, words) = submit();
    assert_eq!(code, Some(0), "{words}");
    assert!(lists().len() == 1 && lists()[0].contains("\"7\""), "{:?}", lists());
}

#[test]
fn launching_again_does_what_is_missing_and_a_changed_run_is_refused() {
    let sweep = SweepFixture::new("set: {steps: 300}\naxes: {agent.gamma: [0.9, 0.99]}\n");
    sweep.launch(&[], 0);
    let before = std::fs::read(sweep.run("gamma=0.9/seed-0/metrics.jsonl")).expect("metrics");
    let words = sweep.launch(&[], 0);
    assert!(!words.contains("begun") && words.contains("2 done, 0 failed"), "{words}");

    sweep.write("set: {steps: 300}\nseeds: [0, 1]\naxes: {agent.gamma: [0.9, 0.99]}\n");
    let words = sweep.launch(&[], 0);
    assert_eq!(words.matches(": begun").count(), 2, "{words}");
    assert!(words.contains("4 done"), "{words}");
    assert_eq!(std::fs::read(sweep.run("gamma=0.9/seed-0/metrics.jsonl")).expect("metrics"), before);

    sweep.write("set: {steps: 300, agent.tau: 0.5}\naxes: {agent.gamma: [0.9, 0.99]}\n");
    for args in [&[][..], &["--dry-run"]] {
        let words = sweep.launch(args, 2);
        assert!(words.contains("gamma=0.9/seed-0: `agent.tau` was 0.005, now 0.5"), "{words}");
    }
    // Runs that are not begun may change, and so may runs whose folders were moved away; moved
    // back, they belong to the sweep again.
    let (variant, aside) = (sweep.run("gamma=0.99"), sweep.folder.path().join("aside"));
    std::fs::rename(&variant, &aside).expect("moved");
    let slower = "when: [{if: {agent.gamma: 0.99}, set: {agent.tau: 0.5}}]\n";
    sweep.write(&format!("set: {{steps: 300}}\nseeds: [0, 1]\naxes: {{agent.gamma: [0.9, 0.99]}}\n{slower}"));
    let words = sweep.launch(&[], 0);
    assert!(words.matches(": begun").count() == 2 && words.contains("4 done"), "{words}");
    let config = std::fs::read_to_string(variant.join("seed-1/config.yaml")).expect("a config");
    assert!(config.contains("tau: 0.5"), "{config}");
    std::fs::remove_dir_all(&variant).and_then(|()| std::fs::rename(&aside, &variant)).expect("moved back");

    // More steps extend the runs; the runs of a removed seed stay, but are no longer counted.
    sweep.write("set: {steps: 450}\naxes: {agent.gamma: [0.9, 0.99]}\n");
    let words = sweep.launch(&[], 0);
    assert!(words.contains("2 done"), "{words}");
    assert_eq!(summary(&sweep.run("gamma=0.9/seed-0"))["steps"], 450);
    assert!(
        std::fs::read_to_string(sweep.run("gamma=0.9/seed-0/run.log")).expect("a log").contains("resumed at step 300")
    );
    assert_eq!(summary(&sweep.run("gamma=0.9/seed-1"))["steps"], 300);
    let (code, status) = sweep.status();
    assert_eq!((code, status.matches(" done\n").count()), (0, 2), "{status}");
}

#[test]
fn two_launchers_side_by_side_do_each_run_once() {
    let sweep = SweepFixture::new("set: {steps: 300}\nseeds: [0, 1, 2]\naxes: {agent.gamma: [0.9, 0.99]}\n");
    let launchers = [0, 1, 2].map(|_| start(&mut sweep.command(&["--jobs", "1"])));
    let ended = launchers.map(words_of);
    for (code, words) in &ended {
        assert_eq!(*code, Some(0), "{words}");
        assert!(words.contains("6 done, 0 failed"), "{words}");
    }
    let all: String = ended.into_iter().map(|(_, words)| words).collect();
    for seed in 0..3 {
        for gamma in ["0.9", "0.99"] {
            let run = format!("gamma={gamma}/seed-{seed}");
            assert_eq!(all.matches(&format!("{run}: begun\n")).count(), 1, "{all}");
            let log = std::fs::read_to_string(sweep.run(&run).join("run.log")).expect("a log");
            assert!(!log.contains("resumed"), "{log}");
        }
    }
}

#[test]
fn a_killed_launcher_stops_its_runs_and_the_next_one_resumes_them_exactly() {
    let sweep = SweepFixture::new("seeds: [0, 1]\n");
    let mut launcher = start(&mut sweep.command(&["--jobs", "2"]));
    let runs = ["small/seed-0", "small/seed-1"].map(|run| sweep.run(run));
    runs.iter().for_each(|run| wait_for_checkpoints(&mut launcher, run, 150));
    launcher.kill().expect("it runs");
    launcher.wait().expect("it ends");
    // The runs notice by themselves, write a checkpoint and end.
    wait_until("the runs stop", || runs.iter().all(|run| summary(run)["status"] != "running"));
    let words = sweep.launch(&["--resume"], 0);
    assert!(words.contains("2 done, 0 failed"), "{words}");
    let whole = sweep.folder.path().join("whole");
    train_through(&sweep.base(), &whole, &["--seed", "1"]);
    assert_same_traces(&whole, &runs[1]);
}

#[test]
fn ctrl_c_lets_every_run_write_a_checkpoint() {
    let sweep = SweepFixture::new("seeds: [0, 1, 2]\nset: {steps: 1e6}\n");
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let launcher = start(&mut sweep.command(&["--jobs", "2"]));
        let runs = ["small/seed-0", "small/seed-1"].map(|run| sweep.run(run));
        let before = runs.each_ref().map(|run| newest_step(run));
        wait_until("both runs go on", || runs.iter().zip(before).all(|(run, before)| newest_step(run) > before));
        signal(&launcher, name);
        let (found, words) = words_of(launcher);
        assert_eq!(found, Some(code), "{words}");
        assert!(words.contains("0 done, 0 failed, 3 unfinished"), "{words}");
        for run in &runs {
            let summary = summary(run);
            assert_eq!(summary["status"], "stopped");
            assert_eq!(summary["steps"].as_u64().expect("a number"), newest_step(run));
        }
    }
    assert!(!sweep.run("small/seed-2").exists());
    assert!(
        std::fs::read_dir(sweep.run(".sweep/claims"))
            .expect("claims")
            .flatten()
            .all(|entry| entry.file_name() == ".lock")
    );
}

#[test]
fn a_failing_run_does_not_stop_others_and_is_retried_so_often() {
    let sweep = SweepFixture::new("set: {steps: 300}\nseeds: [0, 1]\n");
    sweep.launch(&[], 0);
    // A run that must be resumed, with all its checkpoints damaged.
    let broken = sweep.run("small/seed-0");
    for entry in std::fs::read_dir(broken.join("checkpoints")).expect("checkpoints").flatten() {
        let manifest = entry.path().join("manifest.json");
        if manifest.exists() {
            std::fs::write(manifest, "{").expect("written");
        }
    }
    sweep.write("set: {steps: 450}\nseeds: [0, 1]\n");
    let words = sweep.launch(&["--jobs", "1"], 1);
    assert!(words.contains("small/seed-1: done") && words.contains("1 done, 1 failed"), "{words}");
    assert!(words.contains("no checkpoint can be used"), "{words}");
    let (code, status) = sweep.status();
    assert_eq!(code, 1);
    assert!(status.contains("no checkpoint can be used"), "{status}");

    let words = sweep.launch(&[], 1);
    assert!(!words.contains("begun") && words.contains("--resume retries them"), "{words}");
    for _ in 0..2 {
        assert!(sweep.launch(&["--resume"], 1).contains("small/seed-0: begun"));
    }
    let words = sweep.launch(&["--resume"], 1);
    assert!(!words.contains("begun"), "{words}");
    let json = ["sweep".as_ref(), "status".as_ref(), sweep.out().as_os_str(), "--json".as_ref()].map(ToOwned::to_owned);
    let (code, words, _) = finish(liprl(&json));
    let found: Value = serde_json::from_str(&words).expect("JSON");
    assert_eq!((code, &found["counts"]["done"], &found["counts"]["failed"]), (1, &json!(1), &json!(1)), "{found}");
    let failed =
        found["runs"].as_array().expect("runs").iter().find(|run| run["state"] == "failed").expect("a failed run");
    assert_eq!(
        (&failed["seed"], &failed["failures"], &failed["steps"]),
        (&json!(0), &json!(3), &json!(450)),
        "{found}"
    );
    assert!(failed["reason"].as_str().expect("a text").contains("no checkpoint can be used"), "{found}");
    let (_, status) = sweep.status();
    assert!(!status.contains("liprl report"), "the sweep is not done: {status}");
    assert!(status.contains("failed 3 times\n") && status.contains("\nfailed:\nsmall/seed-"), "{status}");

    std::fs::remove_dir_all(&broken).expect("removed");
    let words = sweep.launch(&["--resume", "--retries", "3"], 0);
    assert!(words.contains("2 done, 0 failed"), "{words}");
    let (_, status) = sweep.status();
    for words in [words, status] {
        assert!(words.contains(&format!("liprl report {} --out ", text(&sweep.out()))), "{words}");
    }
}

#[test]
fn a_killed_run_is_a_failure_that_says_so() {
    let sweep = SweepFixture::new("set: {steps: 1e6}\n");
    let mut launcher = start(&mut sweep.command(&[]));
    let run = sweep.run("small/seed-0");
    wait_for_checkpoints(&mut launcher, &run, 150);
    kill_holder(&run);
    let (code, words) = words_of(launcher);
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("killed by signal 9, perhaps out of memory"), "{words}");
}

#[test]
fn without_slurm_nothing_is_lost_and_the_remedy_is_named() {
    let sweep = SweepFixture::new("set: {steps: 300}\nlauncher: {kind: slurm, partition: gpu}\n");
    let mut command = sweep.command(&[]);
    command.env("PATH", sweep.folder.path());
    let (code, _, stderr) = finish(command);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("no `sbatch` on the PATH") && stderr.contains("--launcher local"), "{stderr}");
    sweep.launch(&["--launcher", "local"], 0);
}

#[test]
fn a_folder_of_another_run_or_format_is_refused() {
    let sweep = SweepFixture::new("set: {steps: 300}\n");
    let run = sweep.run("small/seed-0");
    train_through(&sweep.base(), &run, &["--steps", "300", "--seed", "7"]);
    let words = sweep.launch(&[], 2);
    assert!(words.contains("small/seed-0: `seed` was 7, now 0"), "{words}");
    let file = run.join("provenance.json");
    let older =
        std::fs::read_to_string(&file).expect("a file").replace("\"format_version\": 1", "\"format_version\": 0");
    std::fs::write(&file, older).expect("written");
    let words = sweep.launch(&[], 2);
    assert!(words.contains("format 0"), "{words}");
    assert!(!sweep.run("sweep.lock.json").exists());

    let (code, _, stderr) = finish(liprl(["sweep", "status", text(sweep.folder.path())]));
    assert_eq!(code, 2);
    assert!(stderr.contains("no sweep.lock.json"), "{stderr}");
}

#[test]
fn tensorboard_groups_the_seeds_of_a_variant_and_lists_what_varies() {
    let sweep = SweepFixture::new("set: {steps: 400}\nseeds: [0, 1]\naxes: {agent.gamma: [0.9, 0.99]}\n");
    sweep.launch(&[], 0);
    let script = root().join("tests/cli/read_hparams.py");
    let output = Command::new(python()).arg(script).arg(sweep.out()).output().expect("python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let runs = ["gamma=0.9/seed-0", "gamma=0.9/seed-1", "gamma=0.99/seed-0", "gamma=0.99/seed-1"];
    assert_eq!(found["runs"], json!(runs));
    for (name, gamma) in [("out/gamma=0.9", 0.9), ("out/gamma=0.99", 0.99)] {
        let row = &found["rows"][name];
        assert_eq!(
            (row["hparams"]["agent.gamma"].as_f64(), row["sessions"].as_u64()),
            (Some(gamma), Some(2)),
            "{found}"
        );
        let variant = name.strip_prefix("out/").expect("a name");
        let last = |seed: u32| {
            summary(&sweep.run(&format!("{variant}/seed-{seed}")))["final_return"].as_f64().expect("a return")
        };
        let mean = f64::midpoint(last(0), last(1));
        let shown = row["metrics"]["eval/return_mean"].as_f64().expect("a number");
        assert!((shown - mean).abs() < 1e-3 * mean.abs(), "{shown}, expected {mean}");
    }
}
