//! Searches of `liprl sweep` with real runs.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::runs::{assert_same_traces, newest_step, start, summary, train_through, wait_for_checkpoints};
use crate::support::{finish, liprl, text};
use crate::sweeps::SweepFixture;

const SEARCH: &str = "report: {metric: eval/return_mean}
set: {steps: 800}
search:
  points: 5
  parallel: 2
  startup: 2
  confirm: 1
  draw:
    agent.gamma: {uniform: {low: 0.5, high: 0.99}}
    agent.actor.lr: {log_uniform: {low: 1e-5, high: 1e-2}}
    agent.n_step: {choice: [1, 3]}
";

fn lock(sweep: &SweepFixture) -> Value {
    serde_json::from_slice(&std::fs::read(sweep.run("sweep.lock.json")).expect("a plan")).expect("JSON")
}

/// The plan and its results without the places of its files.
fn search_of(sweep: &SweepFixture) -> [Value; 3] {
    let lock = lock(sweep);
    ["variants", "runs", "search"].map(|part| lock[part].clone())
}

#[test]
fn a_search_that_was_killed_goes_on_exactly_and_confirms_its_best_point() {
    let whole = SweepFixture::new(SEARCH);
    let words = whole.launch(&[], 0);
    assert!(words.contains("6 done, 0 failed"), "{words}");
    let best = lock(&whole)["search"]["best"].clone();
    let (variant, again) = (best["variant"].as_str().expect("a point"), best["confirmation"].as_str().expect("a name"));
    assert_eq!(again, format!("confirm-{variant}"));
    assert!(
        words.contains(&format!("the best of 5 points is {variant}, run again with fresh seeds as {again}")),
        "{words}"
    );
    // The best by the runs' own summaries, and its settings with the next seed.
    let score =
        |point: &str| summary(&whole.run(&format!("{point}/seed-0")))["final_return"].as_f64().expect("a return");
    assert!((0..5).all(|point| score(&format!("s{point:03}")) <= score(variant)));
    let other = train_with(&whole, variant, 1);
    assert_same_traces(&other, &whole.run(&format!("{again}/seed-1")));

    // Killed in each batch, and launched again.
    let killed = SweepFixture::new(SEARCH);
    for run in ["s000/seed-0", "s002/seed-0", "s004/seed-0"] {
        let mut launcher = start(&mut killed.command(&["--jobs", "1"]));
        wait_for_checkpoints(&mut launcher, &killed.run(run), 150);
        launcher.kill().expect("it runs");
        launcher.wait().expect("it ends");
    }
    killed.launch(&["--resume"], 0);
    assert_eq!(search_of(&killed), search_of(&whole));
    assert_same_traces(&whole.run("s003/seed-0"), &killed.run("s003/seed-0"));
    // There is nothing left to do.
    let words = killed.launch(&[], 0);
    assert!(!words.contains("begun"), "{words}");
    let report = killed.folder.path().join("report");
    let (code, answer, stderr) = finish(liprl(["report", text(&killed.out()), "--out", text(&report)]));
    assert_eq!(code, 0, "{stderr}");
    assert!(
        answer.contains(&format!("The best of 5 points is {variant}")) && answer.contains("fresh seeds"),
        "{answer}"
    );
}

/// Trains a point with another seed, by the config that the sweep keeps.
fn train_with(sweep: &SweepFixture, variant: &str, seed: u64) -> std::path::PathBuf {
    let folder = sweep.folder.path().join("alone");
    let config = sweep.run(&format!("{variant}/seed-0/config.yaml"));
    train_through(&config, &folder, &["--seed", &seed.to_string()]);
    folder
}

/// The runs of one launch come one after the other, so that the first one always goes on and each
/// later one is compared with those before it.
#[test]
fn runs_behind_are_paused_with_a_checkpoint_and_go_on_exactly_when_they_may() {
    let search = |prune: &str| {
        format!(
            "set: {{steps: 8000, eval.every: 200}}\nsearch:\n  method: random\n  points: 4\n  confirm: 0\n  draw: {{agent.gamma: {{uniform: {{low: 0.5, high: 0.99}}}}}}\n{prune}"
        )
    };
    let sweep = SweepFixture::new(&search("  prune: {rule: asha, first: 400, factor: 4}\n"));
    let words = sweep.launch(&["--jobs", "1"], 0);
    let (code, status) = sweep.status();
    assert_eq!(code, 0);
    let (code, json, _) = finish(liprl(["sweep", "status", text(&sweep.out()), "--json"]));
    let found: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(code, 0);
    let runs = found["runs"].as_array().expect("runs");
    let pruned: Vec<&Value> = runs.iter().filter(|run| run["state"] == "pruned").collect();
    // Each one that goes on beats all before it, and four points in rising order have one chance in 24.
    assert!(!pruned.is_empty() && pruned.len() < 4, "{words}");
    assert_eq!(found["counts"]["pruned"].as_u64(), Some(pruned.len() as u64));
    for run in &pruned {
        let reason = run["reason"].as_str().expect("a reason");
        assert!(reason.contains("was not among the best 1/4 of"), "{reason}");
        assert!(status.contains(reason) && words.contains(reason), "{status}");
        assert!(
            run["step"].as_u64().expect("a step") < 8000
                && run["judged"]["value"].as_f64() < run["judged"]["threshold"].as_f64(),
            "{run}"
        );
        let folder = sweep.run(run["folder"].as_str().expect("a folder"));
        assert_eq!(summary(&folder)["status"], "stopped");
        assert_eq!(summary(&folder)["steps"].as_u64(), Some(newest_step(&folder)));
    }
    // Nothing more is done while the rule holds.
    let words = sweep.launch(&[], 0);
    assert!(!words.contains("begun") && words.contains(&format!("{} pruned", pruned.len())), "{words}");

    // Without the rule all go on, as if they had never been stopped.
    sweep.write(&search(""));
    let words = sweep.launch(&[], 0);
    assert!(words.contains("4 done, 0 failed"), "{words}");
    let folder = Path::new(pruned[0]["folder"].as_str().expect("a folder"));
    let alone = sweep.folder.path().join("alone");
    train_through(&sweep.run(text(folder)).join("config.yaml"), &alone, &[]);
    assert_same_traces(&alone, &sweep.out().join(folder));
}

/// A cluster whose `sbatch` accepts every job and whose queue is empty: the tasks and the job that
/// goes on are started here, by the scripts that were handed in.
#[test]
fn on_slurm_a_job_after_each_batch_asks_for_the_next() {
    let sweep = SweepFixture::new(&SEARCH.replace("points: 5", "points: 4").replace("steps: 800", "steps: 300"));
    let bin = sweep.out().with_file_name("bin");
    std::fs::create_dir_all(&bin).expect("a folder");
    for (name, text) in [("sbatch", "#!/bin/bash\necho 7\n"), ("squeue", "#!/bin/bash\n")] {
        std::fs::write(bin.join(name), text).expect("written");
        std::fs::set_permissions(bin.join(name), std::fs::Permissions::from_mode(0o755)).expect("allowed");
    }
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let slurm = sweep.run(".sweep/slurm");
    let on_cluster = |mut command: Command| {
        command.env("PATH", &path).env("SLURM_JOB_ID", "7");
        let (code, _, words) = finish(command);
        assert_eq!(code, 0, "{words}");
        words
    };
    let next = || {
        let mut command = Command::new("bash");
        command.arg(slurm.join("next.sh"));
        on_cluster(command)
    };
    let words = on_cluster(sweep.command(&["--launcher", "slurm", "--set", "agent.tau=0.01"]));
    assert!(
        words.contains("submitted 2 runs") && words.contains("job 7 goes on with the search after them"),
        "{words}"
    );
    let script = std::fs::read_to_string(slurm.join("next.sh")).expect("a script");
    assert!(script.contains("#SBATCH --dependency=afterany:7\n") && script.contains("agent.tau=0.01"), "{script}");
    // If the runs were cancelled, the job that waits for them brings nothing back.
    let words = next();
    assert!(words.contains("nothing to submit") && !words.contains("goes on"), "{words}");
    for (number, runs) in [("001", 2), ("002", 2), ("003", 1)] {
        for task in 0..runs {
            let mut command = liprl(["sweep", "task", text(&sweep.out()), "--array"]);
            command.arg(slurm.join(format!("array-{number}.json")));
            command.env("SLURM_ARRAY_TASK_ID", task.to_string());
            assert!(on_cluster(command).contains(": done"));
        }
        let words = next();
        let expected = match number {
            "001" => "submitted 2 runs",
            "002" => "submitted 1 run ",
            _ => "nothing to submit",
        };
        assert!(words.contains(expected), "{words}");
    }
    let (code, status) = sweep.status();
    assert!(code == 0 && status.contains("5 runs: 5 done") && status.contains("the best of 4 points is"), "{status}");
    // The local launcher would have made the same search.
    let local = SweepFixture::new(&SEARCH.replace("points: 5", "points: 4").replace("steps: 800", "steps: 300"));
    local.launch(&["--set", "agent.tau=0.01"], 0);
    assert_eq!(search_of(&local), search_of(&sweep));
}
