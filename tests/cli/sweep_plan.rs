//! The plan of a sweep: its runs, their names and ids, and refusals.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::configs::{demonstrations_of, read_yaml};
use crate::support::{finish, liprl, root, text, yaml_files};
use crate::sweeps::{SweepFixture, listed};

#[test]
fn every_bad_sweep_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut messages = String::new();
    for file in yaml_files(&root().join("tests/bad_sweeps")) {
        let path = text(file.strip_prefix(root()).expect("below the root"));
        let out = folder.path().join("out");
        let (code, stdout, stderr) = finish(liprl(["sweep", path, "--out", text(&out)]));
        assert_eq!((code, stdout.as_str()), (2, ""), "{path}:\n{stderr}");
        assert!(!out.exists(), "{path} left a folder");
        messages.push_str(&format!("{path}\n{stderr}\n"));
    }
    insta::assert_snapshot!(messages);
    let sweep = SweepFixture::new("seeds: [0, 1]\n");
    let (code, _, stderr) = finish(sweep.command(&["--dry-run", "--set", "seed=7"]));
    assert_eq!(code, 2);
    assert!(stderr.contains("list seeds under `seeds:`"), "{stderr}");
}

#[test]
fn a_grid_has_every_combination_once_and_zip_pairs() {
    let sweep = SweepFixture::new(
        "seeds: [3, 4]\naxes:\n  agent.gamma: [0.9, 0.99]\n  agent.actor: [{hidden: [16]}, {hidden: [8, 8]}]\nzip:\n  agent.n_step: [1, 3]\n  agent.tau: [0.1, 0.2]\n",
    );
    let plan = sweep.plan();
    assert_eq!(plan.len(), 16);
    let ids: BTreeSet<&String> = plan.values().collect();
    assert_eq!(ids.len(), 16);
    for variant in ["actor=hidden-16,gamma=0.9,n_step=1,tau=0.1", "actor=hidden-8x8,gamma=0.99,n_step=3,tau=0.2"] {
        for seed in ["3", "4"] {
            assert!(plan.contains_key(&(variant.to_owned(), seed.to_owned())), "{plan:?}");
        }
    }
    // Further values and another order of keys keep names and ids.
    sweep.write(
        "seeds: [4, 3]\nzip:\n  agent.tau: [0.1, 0.2, 0.3]\n  agent.n_step: [1, 3, 5]\naxes:\n  agent.actor: [{hidden: [16]}, {hidden: [8, 8]}]\n  agent.gamma: [0.99, 0.9]\n",
    );
    let more = sweep.plan();
    assert_eq!(more.len(), 24);
    assert!(plan.iter().all(|(run, id)| more.get(run) == Some(id)));
}

#[test]
fn named_values_name_variants_and_change_no_id() {
    let sweep = SweepFixture::new("axes: {agent.actor: [{hidden: [16]}, {hidden: [8, 8]}, {}], agent.gamma: [0.9]}\n");
    let plain: BTreeSet<String> = sweep.plan().into_values().collect();
    sweep
        .write("axes: {agent.actor: {small: {hidden: [16]}, deep: {hidden: [8, 8]}, usual: {}}, agent.gamma: [0.9]}\n");
    let variants = ["actor=deep,gamma=0.9", "actor=small,gamma=0.9", "actor=usual,gamma=0.9"];
    assert_eq!(sweep.variants(), variants);
    assert_eq!(sweep.plan().into_values().collect::<BTreeSet<String>>(), plain);
    sweep.write("zip: {agent.actor: {small: {hidden: [16]}, usual: {}}, agent.tau: [0.1, 0.2]}\n");
    assert_eq!(sweep.variants(), ["actor=small,tau=0.1", "actor=usual,tau=0.2"]);
    // A metric that nothing logs is told before the runs.
    sweep.write("report: {metric: eval/retrun_mean}\n");
    let (code, _, stderr) = finish(sweep.command(&["--dry-run"]));
    assert!(code == 0 && stderr.contains("did you mean `eval/return_mean`?"), "{stderr}");
}

#[test]
fn random_points_come_back_and_more_of_them_keep_the_first() {
    let random = |points: u32, seed: u32| {
        format!(
            "random:\n  points: {points}\n  seed: {seed}\n  draw:\n    agent.actor.lr: {{log_uniform: {{low: 1e-5, high: 1e-2}}}}\n    agent.n_step: {{int: {{low: 1, high: 5}}}}\n    agent.gamma: {{choice: [0.9, 0.95, 0.99]}}\n"
        )
    };
    let sweep = SweepFixture::new(&random(4, 1));
    let few = sweep.plan();
    assert_eq!(sweep.variants(), ["r000", "r001", "r002", "r003"]);
    assert_eq!(few, sweep.plan());
    sweep.write(&random(9, 1));
    let many = sweep.plan();
    assert_eq!(many.len(), 9);
    assert!(few.iter().all(|(run, id)| many.get(run) == Some(id)));
    sweep.write(&random(4, 2));
    assert!(sweep.plan().iter().all(|(run, id)| few.get(run) != Some(id)));
}

#[test]
fn conditions_set_and_leave_out() {
    let sweep = SweepFixture::new(
        "variants:\n  plain: {}\n  long: {agent.n_step: 5}\naxes: {agent.gamma: [0.9, 0.99]}\nwhen:\n  - {if: {agent.n_step: 5, agent.gamma: [0.9, 0.95]}, skip: true}\n  - {if: {agent.gamma: 0.99}, set: {agent.tau: 0.25, steps: 1200}}\n",
    );
    assert_eq!(sweep.variants(), ["long,gamma=0.99", "plain,gamma=0.9", "plain,gamma=0.99"]);
    let (_, stdout, _) = finish(sweep.command(&["--dry-run"]));
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
        let contents = read_yaml(&file);
        let base = file.parent().expect("a folder").join(contents["base"].as_str().expect("a path"));
        let sets = demonstrations_of(&base, folder.path());
        // Substitutes for missing demonstrations must not set what the sweep varies.
        let varied = |set: &&String| !file_sets(&contents, set.split('=').next().expect("a path"));
        let sets: Vec<&String> = sets.iter().filter(varied).collect();
        let words = ["sweep", text(&file), "--dry-run"].into_iter();
        let (code, stdout, stderr) = finish(liprl(words.chain(sets.iter().flat_map(|set| ["--set", set]))));
        assert_eq!(code, 0, "{}:\n{stderr}", file.display());
        assert!(listed(&stdout).len() > 1, "{}: a sweep of one", file.display());
    }
}

fn file_sets(sweep: &Value, path: &str) -> bool {
    ["set", "axes", "zip"].iter().any(|part| sweep[part].get(path).is_some())
}
