//! `liprl sweep`: what a file expands to, what is refused, and that nothing is done twice or lost.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::runs::{
    SMALL, assert_same_traces, newest_step, python, signal, small_agent, summary, train_through, wait_for_checkpoints,
    write_config,
};
use crate::support::{finish, liprl, root, yaml_files};

/// A folder with a small base config and a sweep over it.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(sweep: &str) -> Self {
        let place = Self { folder: tempfile::tempdir().expect("a folder") };
        write_config(place.folder.path(), &format!("{SMALL}{}", small_agent("sac")));
        place.write(sweep);
        place
    }

    fn write(&self, sweep: &str) {
        std::fs::write(self.file(), format!("base: small.yaml\nexperiment: try\n{sweep}")).expect("written");
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("sweep.yaml")
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn run(&self, name: &str) -> PathBuf {
        self.out().join(name)
    }

    fn sweep(&self, more: &[&str]) -> Command {
        let (file, out) = (self.file(), self.out());
        let words = ["sweep".as_ref(), file.as_os_str(), "--out".as_ref(), out.as_os_str()];
        liprl(words.into_iter().chain(more.iter().map(|word| word.as_ref())))
    }

    /// Launches and expects an exit code; gives what was said.
    fn launch(&self, more: &[&str], code: i32) -> String {
        let (found, _, stderr) = finish(self.sweep(more));
        assert_eq!(found, code, "{stderr}");
        stderr
    }

    /// Variant and seed → id, as the dry run lists them.
    fn plan(&self) -> BTreeMap<(String, String), String> {
        let (code, stdout, stderr) = finish(self.sweep(&["--dry-run"]));
        assert_eq!(code, 0, "{stderr}");
        listed(&stdout)
    }

    fn status(&self) -> (i32, String) {
        let (code, stdout, stderr) = finish(liprl(["sweep".as_ref(), "status".as_ref(), self.out().as_os_str()]));
        assert_eq!(stderr, "");
        (code, stdout)
    }
}

fn listed(dry_run: &str) -> BTreeMap<(String, String), String> {
    let rows = dry_run.lines().skip(1).take_while(|line| !line.is_empty());
    let words = rows.map(|row| row.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    words.map(|words| ((words[0].clone(), words[1].clone()), words[3].clone())).collect()
}

fn variants(place: &Place) -> Vec<String> {
    let mut names: Vec<String> = place.plan().into_keys().map(|(variant, _)| variant).collect();
    names.dedup();
    names
}

fn start(mut command: Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts")
}

fn words_of(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().expect("it ends");
    (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
}

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn every_bad_sweep_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut messages = String::new();
    for file in yaml_files(&root().join("tests/bad_sweeps")) {
        let path = file.strip_prefix(root()).expect("below the root").to_str().expect("UTF-8");
        let out = folder.path().join("out");
        let (code, stdout, stderr) = finish(liprl(["sweep", path, "--out", out.to_str().expect("UTF-8")]));
        assert_eq!((code, stdout.as_str()), (2, ""), "{path}:\n{stderr}");
        assert!(!out.exists(), "{path} left a folder");
        messages.push_str(&format!("{path}\n{stderr}\n"));
    }
    insta::assert_snapshot!(messages);
    let place = Place::new("seeds: [0, 1]\n");
    let (code, _, stderr) = finish(place.sweep(&["--dry-run", "--set", "seed=7"]));
    assert_eq!(code, 2);
    assert!(stderr.contains("list them under `seeds:`"), "{stderr}");
}

/// A task may begin before `sbatch` has answered, so the list it reads has to be there by then.
#[test]
fn slurm_s_list_is_written_before_the_job_is_handed_in_and_goes_if_it_is_refused() {
    let place = Place::new("seeds: [0, 1]\n");
    let bin = place.out().with_file_name("bin");
    std::fs::create_dir_all(&bin).expect("a folder");
    // Answers as Slurm does where the list that the script names is there and whole.
    let sbatch = "#!/bin/bash\nlist=$(grep -o '/[^ ]*array-[0-9]*.json' \"$2\")\ngrep -q '\"runs\"' \"$list\" || exit 1\n[ -e \"$(dirname \"$0\")/full\" ] && exit 1\necho 7\n";
    for (name, text) in [("sbatch", sbatch), ("squeue", "#!/bin/bash\n")] {
        std::fs::write(bin.join(name), text).expect("written");
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(bin.join(name), std::fs::Permissions::from_mode(0o755)).expect("allowed");
    }
    let hand_in = || {
        let mut command = place.sweep(&["--launcher", "slurm"]);
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", bin.display()));
        words_of(start(command))
    };
    let lists = || {
        std::fs::read_dir(place.out().join(".sweep/slurm"))
            .expect("a folder")
            .filter_map(Result::ok)
            .filter(|file| file.path().extension().is_some_and(|ending| ending == "json"))
            .map(|file| std::fs::read_to_string(file.path()).expect("a list"))
            .collect::<Vec<_>>()
    };
    std::fs::write(bin.join("full"), "").expect("written");
    let (code, words) = hand_in();
    assert_eq!(code, Some(1), "{words}");
    assert!(lists().is_empty(), "{:?}", lists());
    std::fs::remove_file(bin.join("full")).expect("removed");
    let (code, words) = hand_in();
    assert_eq!(code, Some(0), "{words}");
    assert!(lists().len() == 1 && lists()[0].contains("\"7\""), "{:?}", lists());
}

#[test]
fn a_grid_has_every_combination_once_and_zip_pairs() {
    let place = Place::new(
        "seeds: [3, 4]\naxes:\n  agent.gamma: [0.9, 0.99]\n  agent.actor: [{hidden: [16]}, {hidden: [8, 8]}]\nzip:\n  agent.n_step: [1, 3]\n  agent.tau: [0.1, 0.2]\n",
    );
    let plan = place.plan();
    assert_eq!(plan.len(), 16);
    let ids: std::collections::BTreeSet<&String> = plan.values().collect();
    assert_eq!(ids.len(), 16);
    for variant in ["actor=hidden-16,gamma=0.9,n_step=1,tau=0.1", "actor=hidden-8x8,gamma=0.99,n_step=3,tau=0.2"] {
        for seed in ["3", "4"] {
            assert!(plan.contains_key(&(variant.to_owned(), seed.to_owned())), "{plan:?}");
        }
    }
    // A further value and another order of keys change no name and no id.
    place.write(
        "seeds: [4, 3]\nzip:\n  agent.tau: [0.1, 0.2, 0.3]\n  agent.n_step: [1, 3, 5]\naxes:\n  agent.actor: [{hidden: [16]}, {hidden: [8, 8]}]\n  agent.gamma: [0.99, 0.9]\n",
    );
    let more = place.plan();
    assert_eq!(more.len(), 24);
    assert!(plan.iter().all(|(run, id)| more.get(run) == Some(id)));
}

#[test]
fn random_points_come_back_and_more_of_them_keep_the_first() {
    let random = |points: u32, seed: u32| {
        format!(
            "random:\n  points: {points}\n  seed: {seed}\n  draw:\n    agent.actor.lr: {{log_uniform: {{low: 1e-5, high: 1e-2}}}}\n    agent.n_step: {{int: {{low: 1, high: 5}}}}\n    agent.gamma: {{choice: [0.9, 0.95, 0.99]}}\n"
        )
    };
    let place = Place::new(&random(4, 1));
    let few = place.plan();
    assert_eq!(variants(&place), ["r000", "r001", "r002", "r003"]);
    assert_eq!(few, place.plan());
    place.write(&random(9, 1));
    let many = place.plan();
    assert_eq!(many.len(), 9);
    assert!(few.iter().all(|(run, id)| many.get(run) == Some(id)));
    place.write(&random(4, 2));
    assert!(place.plan().iter().all(|(run, id)| few.get(run) != Some(id)));
}

#[test]
fn conditions_set_and_leave_out() {
    let place = Place::new(
        "variants:\n  plain: {}\n  long: {agent.n_step: 5}\naxes: {agent.gamma: [0.9, 0.99]}\nwhen:\n  - {if: {agent.n_step: 5, agent.gamma: [0.9, 0.95]}, skip: true}\n  - {if: {agent.gamma: 0.99}, set: {agent.tau: 0.25, steps: 1200}}\n",
    );
    assert_eq!(variants(&place), ["long,gamma=0.99", "plain,gamma=0.9", "plain,gamma=0.99"]);
    let (_, stdout, _) = finish(place.sweep(&["--dry-run"]));
    let steps = |variant: &str| {
        let row = stdout.lines().find(|line| line.starts_with(variant)).expect("a row");
        row.split_whitespace().nth(2).expect("steps").to_owned()
    };
    assert_eq!([steps("plain,gamma=0.9 "), steps("plain,gamma=0.99")], ["2400", "1200"]);
}

#[test]
fn every_run_of_a_shipped_sweep_builds() {
    let folder = tempfile::tempdir().expect("a folder");
    let shipped = ["ablations", "sweeps"].map(|name| yaml_files(&root().join("configs").join(name)));
    for file in shipped.into_iter().flatten() {
        let sweep = crate::configs::read_yaml(&file);
        let base = file.parent().expect("a folder").join(sweep["base"].as_str().expect("a path"));
        let sets = crate::configs::demonstrations_of(&base, folder.path());
        // Where settings that stand in for missing demonstrations are the sweep's own subject, those are not the base's to set.
        let varied = |set: &&String| !file_sets(&sweep, set.split('=').next().expect("a path"));
        let sets: Vec<&String> = sets.iter().filter(varied).collect();
        let words = ["sweep", file.to_str().expect("UTF-8"), "--dry-run"].into_iter();
        let (code, stdout, stderr) = finish(liprl(words.chain(sets.iter().flat_map(|set| ["--set", set]))));
        assert_eq!(code, 0, "{}:\n{stderr}", file.display());
        assert!(listed(&stdout).len() > 1, "{}: a sweep of one", file.display());
    }
}

fn file_sets(sweep: &Value, path: &str) -> bool {
    ["set", "axes", "zip"].iter().any(|part| sweep[part].get(path).is_some())
}

#[test]
fn launching_again_does_what_is_missing_and_a_changed_run_is_refused() {
    let place = Place::new("set: {steps: 300}\naxes: {agent.gamma: [0.9, 0.99]}\n");
    place.launch(&[], 0);
    let before = std::fs::read(place.run("gamma=0.9/seed-0/metrics.jsonl")).expect("metrics");
    let words = place.launch(&[], 0);
    assert!(!words.contains("begun") && words.contains("2 done, 0 failed"), "{words}");

    place.write("set: {steps: 300}\nseeds: [0, 1]\naxes: {agent.gamma: [0.9, 0.99]}\n");
    let words = place.launch(&[], 0);
    assert_eq!(words.matches(": begun").count(), 2, "{words}");
    assert!(words.contains("4 done"), "{words}");
    assert_eq!(std::fs::read(place.run("gamma=0.9/seed-0/metrics.jsonl")).expect("metrics"), before);

    place.write("set: {steps: 300, agent.tau: 0.5}\naxes: {agent.gamma: [0.9, 0.99]}\n");
    for args in [&[][..], &["--dry-run"]] {
        let words = place.launch(args, 2);
        assert!(words.contains("gamma=0.9/seed-0: `agent.tau` was 0.005, now 0.5"), "{words}");
    }
    // What nobody has begun may change, and so may runs whose folders were moved away; put back, they are the sweep's again.
    let (variant, aside) = (place.run("gamma=0.99"), place.folder.path().join("aside"));
    std::fs::rename(&variant, &aside).expect("moved");
    let slower = "when: [{if: {agent.gamma: 0.99}, set: {agent.tau: 0.5}}]\n";
    place.write(&format!("set: {{steps: 300}}\nseeds: [0, 1]\naxes: {{agent.gamma: [0.9, 0.99]}}\n{slower}"));
    let words = place.launch(&[], 0);
    assert!(words.matches(": begun").count() == 2 && words.contains("4 done"), "{words}");
    let config = std::fs::read_to_string(variant.join("seed-1/config.yaml")).expect("a config");
    assert!(config.contains("tau: 0.5"), "{config}");
    std::fs::remove_dir_all(&variant).and_then(|()| std::fs::rename(&aside, &variant)).expect("moved back");

    // More steps go on with the runs; a seed that is gone keeps its runs, and they are no longer counted.
    place.write("set: {steps: 450}\naxes: {agent.gamma: [0.9, 0.99]}\n");
    let words = place.launch(&[], 0);
    assert!(words.contains("2 done"), "{words}");
    assert_eq!(summary(&place.run("gamma=0.9/seed-0"))["steps"], 450);
    assert!(
        std::fs::read_to_string(place.run("gamma=0.9/seed-0/run.log")).expect("a log").contains("resumed at step 300")
    );
    assert_eq!(summary(&place.run("gamma=0.9/seed-1"))["steps"], 300);
    let (code, status) = place.status();
    assert_eq!((code, status.matches(" done\n").count()), (0, 2), "{status}");
}

#[test]
fn two_launchers_side_by_side_do_each_run_once() {
    let place = Place::new("set: {steps: 300}\nseeds: [0, 1, 2]\naxes: {agent.gamma: [0.9, 0.99]}\n");
    let launchers = [0, 1, 2].map(|_| start(place.sweep(&["--jobs", "1"])));
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
            let log = std::fs::read_to_string(place.run(&run).join("run.log")).expect("a log");
            assert!(!log.contains("resumed"), "{log}");
        }
    }
}

#[test]
fn a_killed_launcher_takes_its_runs_along_and_the_next_one_goes_on_exactly() {
    let place = Place::new("seeds: [0, 1]\n");
    let mut launcher = start(place.sweep(&["--jobs", "2"]));
    let runs = ["small/seed-0", "small/seed-1"].map(|run| place.run(run));
    runs.iter().for_each(|run| wait_for_checkpoints(run, 150));
    launcher.kill().expect("it runs");
    launcher.wait().expect("it ends");
    // Nobody told the runs; they notice, write a checkpoint and end.
    wait_until("the runs stop", || runs.iter().all(|run| summary(run)["status"] != "running"));
    let words = place.launch(&["--resume"], 0);
    assert!(words.contains("2 done, 0 failed"), "{words}");
    let whole = place.folder.path().join("whole");
    train_through(&place.folder.path().join("small.yaml"), &whole, &["--seed", "1"]);
    assert_same_traces(&whole, &runs[1]);
}

#[test]
fn ctrl_c_lets_every_run_write_a_checkpoint() {
    let place = Place::new("seeds: [0, 1, 2]\nset: {steps: 1e6}\n");
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let launcher = start(place.sweep(&["--jobs", "2"]));
        let runs = ["small/seed-0", "small/seed-1"].map(|run| place.run(run));
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
    assert!(!place.run("small/seed-2").exists());
    assert!(
        std::fs::read_dir(place.run(".sweep/claims"))
            .expect("claims")
            .flatten()
            .all(|entry| entry.file_name() == ".lock")
    );
}

#[test]
fn a_failing_run_stops_no_other_and_is_begun_again_so_often() {
    let place = Place::new("set: {steps: 300}\nseeds: [0, 1]\n");
    place.launch(&[], 0);
    // A run that is to go on, and whose checkpoints are all damaged.
    let broken = place.run("small/seed-0");
    for entry in std::fs::read_dir(broken.join("checkpoints")).expect("checkpoints").flatten() {
        let manifest = entry.path().join("manifest.json");
        if manifest.exists() {
            std::fs::write(manifest, "{").expect("written");
        }
    }
    place.write("set: {steps: 450}\nseeds: [0, 1]\n");
    let words = place.launch(&["--jobs", "1"], 1);
    assert!(words.contains("small/seed-1: done") && words.contains("1 done, 1 failed"), "{words}");
    assert!(words.contains("no checkpoint can be used"), "{words}");
    let (code, status) = place.status();
    assert_eq!(code, 1);
    assert!(status.contains("no checkpoint can be used"), "{status}");

    let words = place.launch(&[], 1);
    assert!(!words.contains("begun") && words.contains("--resume begins them again"), "{words}");
    for _ in 0..2 {
        assert!(place.launch(&["--resume"], 1).contains("small/seed-0: begun"));
    }
    let words = place.launch(&["--resume"], 1);
    assert!(!words.contains("begun"), "{words}");
    assert!(place.status().1.contains("failed 3 times: "));

    std::fs::remove_dir_all(&broken).expect("removed");
    let words = place.launch(&["--resume", "--retries", "3"], 0);
    assert!(words.contains("2 done, 0 failed"), "{words}");
}

#[test]
fn a_killed_run_is_a_failure_that_says_so() {
    let place = Place::new("set: {steps: 1e6}\n");
    let launcher = start(place.sweep(&[]));
    let run = place.run("small/seed-0");
    wait_for_checkpoints(&run, 150);
    let holder = std::fs::read_to_string(run.join(".lock")).expect("the lock names its holder");
    let pid = holder.split_whitespace().next().expect("a process");
    assert!(Command::new("kill").args(["-9", pid]).status().expect("kill runs").success());
    let (code, words) = words_of(launcher);
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("killed by signal 9, perhaps for want of memory"), "{words}");
}

#[test]
fn without_slurm_nothing_is_lost_and_the_remedy_is_named() {
    let place = Place::new("set: {steps: 300}\nlauncher: {kind: slurm, partition: gpu}\n");
    let mut command = place.sweep(&[]);
    command.env("PATH", place.folder.path());
    let (code, _, stderr) = finish(command);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("no `sbatch` on the PATH") && stderr.contains("--launcher local"), "{stderr}");
    place.launch(&["--launcher", "local"], 0);
}

#[test]
fn a_folder_of_another_run_or_format_is_refused() {
    let place = Place::new("set: {steps: 300}\n");
    let run = place.run("small/seed-0");
    train_through(&place.folder.path().join("small.yaml"), &run, &["--steps", "300", "--seed", "7"]);
    let words = place.launch(&[], 2);
    assert!(words.contains("small/seed-0: `seed` was 7, now 0"), "{words}");
    let file = run.join("provenance.json");
    let older =
        std::fs::read_to_string(&file).expect("a file").replace("\"format_version\": 1", "\"format_version\": 0");
    std::fs::write(&file, older).expect("written");
    let words = place.launch(&[], 2);
    assert!(words.contains("format 0"), "{words}");
    assert!(!place.run("sweep.lock.json").exists());

    let (code, _, stderr) = finish(liprl(["sweep", "status", place.folder.path().to_str().expect("UTF-8")]));
    assert_eq!(code, 1);
    assert!(stderr.contains("no sweep.lock.json"), "{stderr}");
}

#[test]
fn tensorboard_groups_the_seeds_of_a_variant_and_lists_what_varies() {
    let place = Place::new("set: {steps: 400}\nseeds: [0, 1]\naxes: {agent.gamma: [0.9, 0.99]}\n");
    place.launch(&[], 0);
    let script = root().join("tests/cli/read_hparams.py");
    let output = Command::new(python()).arg(script).arg(place.out()).output().expect("python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let runs = ["gamma=0.9/seed-0", "gamma=0.9/seed-1", "gamma=0.99/seed-0", "gamma=0.99/seed-1"];
    assert_eq!(found["runs"], serde_json::json!(runs));
    for (name, gamma) in [("out/gamma=0.9", 0.9), ("out/gamma=0.99", 0.99)] {
        let row = &found["rows"][name];
        assert_eq!(
            (row["hparams"]["agent.gamma"].as_f64(), row["sessions"].as_u64()),
            (Some(gamma), Some(2)),
            "{found}"
        );
        let variant = name.strip_prefix("out/").expect("a name");
        let last = |seed: u32| {
            summary(&place.run(&format!("{variant}/seed-{seed}")))["final_return"].as_f64().expect("a return")
        };
        let mean = f64::midpoint(last(0), last(1));
        let shown = row["metrics"]["eval/return_mean"].as_f64().expect("a number");
        assert!((shown - mean).abs() < 1e-3 * mean.abs(), "{shown}, expected {mean}");
    }
}
