//! The shipped configs, and resolved configs.

use std::path::Path;

use serde_json::Value;

use crate::runs::{python, train_through};
use crate::support::{finish, liprl, root, text, yaml_files};

#[test]
fn every_shipped_config_builds() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = yaml_files(&root().join("configs"));
    assert!(!files.is_empty());
    for file in files.into_iter().filter(|file| !is_sweep(file)) {
        let demonstrations = demonstrations_of(&file, folder.path());
        let sets = demonstrations.iter().flat_map(|set| ["--set", set]);
        let path = text(&file);
        let mut check = liprl(["check", path].into_iter().chain(sets));
        // Of those in Python.
        check.env("VIRTUAL_ENV", python().parent().and_then(Path::parent).expect("a virtual environment"));
        let (code, _, stderr) = finish(check);
        assert_eq!(code, 0, "{path}:\n{stderr}");
    }
}

fn is_sweep(file: &Path) -> bool {
    file.components().any(|part| ["ablations", "sweeps"].iter().any(|name| part.as_os_str() == *name))
}

pub(crate) fn read_yaml(file: &Path) -> Value {
    serde_saphyr::from_str(&std::fs::read_to_string(file).expect("a file")).expect("YAML")
}

/// Overrides for a config whose demonstrations are not shipped: they name all steps of an untrained
/// policy instead.
pub(crate) fn demonstrations_of(config: &Path, folder: &Path) -> Vec<String> {
    let config = read_yaml(config);
    let Some(named) = config["agent"]["demonstrations"].as_str().filter(|named| !root().join(named).exists()) else {
        return Vec::new();
    };
    let own = folder.join(Path::new(named).file_name().expect("a name"));
    if !own.exists() {
        let (sac, run) = (folder.join("sac.yaml"), own.with_extension("run"));
        let yaml = format!("env: {}\nsteps: 20\nagent: {{kind: sac}}\neval: {{episodes: 1}}\n", config["env"]);
        std::fs::write(&sac, yaml).expect("written");
        train_through(&sac, &run, &["--quiet"]);
        let args = ["record", text(&run), "--episodes", "5", "--out", text(&own)];
        let (code, _, stderr) = finish(liprl(args));
        assert_eq!(code, 0, "{stderr}");
    }
    vec![format!("agent.demonstrations={}", own.display()), "agent.keep_every=1".to_owned()]
}

#[test]
fn shipped_configs_train() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["sac/hopper", "sac/mountain_car_continuous", "td3/half_cheetah", "td3/inverted_pendulum"] {
        let (config, out) = (root().join(format!("configs/{name}.yaml")), folder.path().join(name));
        let sets = ["agent.learning_starts=100", "agent.batch_size=16", "eval.every=150", "eval.episodes=1"];
        let more = sets.iter().flat_map(|set| ["--set", set]).chain(["--steps", "300", "--quiet"]);
        train_through(&config, &out, &more.collect::<Vec<_>>());
        let metrics = std::fs::read_to_string(out.join("metrics.jsonl")).expect("metrics");
        assert_eq!(metrics.matches("eval/return_mean").count(), 2, "{name}:\n{metrics}");
    }
}

#[test]
fn a_shipped_imitation_trains() {
    let folder = tempfile::tempdir().expect("a folder");
    let (config, out) = (root().join("configs/liayn/inverted_double_pendulum.yaml"), folder.path().join("run"));
    let sets = ["eval.every=50", "eval.episodes=2", "log.every=50"];
    let more = sets.iter().flat_map(|set| ["--set", set]).chain(["--steps", "100", "--quiet"]);
    train_through(&config, &out, &more.collect::<Vec<_>>());
    let metrics = std::fs::read_to_string(out.join("metrics.jsonl")).expect("metrics");
    for name in
        ["eval/return_mean", "train/discriminator_loss", "train/gradient_penalty", "lipschitz/penalised_gradient_norm"]
    {
        assert_eq!(metrics.matches(name).count(), 2, "{name}:\n{metrics}");
    }
}

#[test]
fn a_shipped_model_based_config_trains() {
    let folder = tempfile::tempdir().expect("a folder");
    let (config, out) = (root().join("configs/mbrl/inverted_pendulum.yaml"), folder.path().join("run"));
    let sets = [
        "agent.policy.learning_starts=100",
        "agent.policy.updates=1",
        "agent.model.max_epochs=1",
        "agent.rollouts=1000",
    ];
    let more = ["eval.every=60", "eval.episodes=1", "log.every=60"];
    let more = sets.iter().chain(&more).flat_map(|set| ["--set", set]).chain(["--steps", "120", "--quiet"]);
    train_through(&config, &out, &more.collect::<Vec<_>>());
    let metrics = std::fs::read_to_string(out.join("metrics.jsonl")).expect("metrics");
    for name in ["model/holdout_loss", "model/rollout_length", "perf/fit_s", "model/value_aware_error_log/holdout"] {
        assert_eq!(metrics.matches(name).count(), 1, "{name}:\n{metrics}");
    }
}

#[test]
fn a_shipped_feedback_policy_trains_and_its_file_acts() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, set) in [
        ("inverted_pendulum", "agent.oracle=50"),
        ("inverted_double_pendulum", "agent.constraint={kind: kirszbraun, alpha: 20, rows: 60}"),
        ("hopper_dagger", "agent.queries.steps=20"),
    ] {
        let (config, out) = (root().join(format!("configs/feedback/{name}.yaml")), folder.path().join(name));
        let sets = ["agent.oracle=50", set, "eval.every=50", "eval.episodes=1", "log.every=50"];
        let more = sets.iter().flat_map(|set| ["--set", set]).chain(["--steps", "100", "--quiet"]);
        train_through(&config, &out, &more.collect::<Vec<_>>());
        let metrics = std::fs::read_to_string(out.join("metrics.jsonl")).expect("metrics");
        for name in ["eval/return_mean", "lipschitz/certified", "lipschitz/oracle/mse", "lipschitz/violation/visited"] {
            assert_eq!(metrics.matches(name).count(), 2, "{name}:\n{metrics}");
        }
        let (code, _, stderr) = finish(liprl(["eval", text(&out), "--episodes", "1"]));
        assert_eq!(code, 0, "{name}:\n{stderr}");
    }
}

#[test]
fn a_model_based_learner_asks_for_a_rule_where_it_knows_none() {
    let set = "agent.termination={kind: leaves, region: [{index: 99, low: 0}]}";
    let (code, _, stderr) = finish(liprl(["check", "configs/mbrl/hopper.yaml", "--set", set]));
    assert_eq!(code, 2);
    let place = "--set:1:42: `agent.termination.region.0`: observation 99 is asked for, there are 11";
    assert!(stderr.contains(place), "{stderr}");
}

#[test]
fn demonstrations_that_do_not_fit_are_refused_before_training() {
    let config = "configs/liayn/half_cheetah.yaml";
    for (set, words) in [
        (
            "agent.demonstrations=demos/inverted_pendulum.hdf5",
            "holds demonstrations of InvertedPendulum-v5, expected HalfCheetah-v5",
        ),
        ("agent.demonstrations=demos/nowhere.hdf5", "demos/nowhere.hdf5"),
        ("agent.demonstrations=null", "`agent.demonstrations`: is missing"),
        ("agent.episodes=11", "`agent.episodes`: 11 are asked for, the demonstrations have 10"),
        ("agent.keep_every=500", "a batch of the discriminator takes 64"),
        ("agent.absorbing=value", "`agent.absorbing`: this task never ends an episode"),
        ("agent.policy.critic_head={kind: quantile}", "twin: false"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("run");
        let (code, _, stderr) = finish(liprl(["train", config, "--out", text(&out), "--set", set]));
        assert_eq!(code, 2, "{set}");
        assert!(stderr.contains(words), "{set}:\n{stderr}");
        assert!(!out.join("metrics.jsonl").exists(), "{set}: training had begun");
    }
}

#[test]
fn a_checked_config_is_complete_and_reads_back_the_same() {
    let args = ["check", "configs/td3/swimmer.yaml", "--set", "env.frame_skip=2", "--steps", "2_000"];
    let (code, first, _) = finish(liprl(args));
    assert_eq!(code, 0);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, &first).expect("written");
    let (code, second, stderr) = finish(liprl(["check", text(&path)]));
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert_eq!(first, second);
    insta::assert_snapshot!(first);
}

#[test]
fn counts_may_have_exponents_and_underscores() {
    for (written, read) in [("1e6", "1000000"), ("1_000_000", "1000000"), ("2.5e3", "2500"), ("7", "7")] {
        let (code, text, stderr) = finish(liprl(["check", "configs/sac/hopper.yaml", "--steps", written]));
        assert_eq!(code, 0, "{stderr}");
        assert!(text.contains(&format!("\nsteps: {read}\n")), "{written}:\n{text}");
    }
}

#[test]
fn memory_is_estimated_and_what_no_machine_holds_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.yaml");
    let config = |hidden: &str| {
        let agent = format!("{{kind: sac, critic: {{hidden: {hidden}}}}}");
        std::fs::write(&path, format!("env: Pendulum-v1\nsteps: 1e6\nagent: {agent}\n")).expect("written");
    };
    config("[64, 64]");
    let (code, stdout, stderr) = finish(liprl(["check", text(&path)]));
    assert_eq!(code, 0, "{stderr}");
    // A million rows of 3 + 1 + 3 numbers, a reward and a flag.
    assert!(stdout.starts_with("# about ") && stdout.lines().next().is_some_and(|line| line.contains("replay 33 MB")));
    config("[65536, 65536, 65536, 65536, 65536]");
    let out = folder.path().join("run");
    for args in [vec!["check", text(&path)], vec!["train", text(&path), "--out", text(&out)]] {
        let (code, _, stderr) = finish(liprl(args));
        assert!(code == 2 && stderr.contains("agent.critic.hidden is too large"), "{stderr}");
    }
    assert!(!out.exists());
}

#[test]
fn yaml_s_infinity_is_an_open_side() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.yaml");
    let check = |env: &str, steps: &str| {
        std::fs::write(&path, format!("env: {env}\nsteps: {steps}\nagent: {{kind: sac}}\n")).expect("written");
        finish(liprl(["check", text(&path)]))
    };
    let range = |high: &str| format!("{{id: Hopper-v5, healthy_z_range: [0.7, {high}]}}");
    let resolved: Vec<String> = [".inf", "inf", "+.INF"].map(|high| check(&range(high), "10").1).into();
    assert!(resolved[0].contains("healthy_z_range:\n  - 0.7\n  - \"inf\"\n"), "{}", resolved[0]);
    assert!(resolved.iter().all(|text| *text == resolved[0]));
    for (env, steps, wanted) in [
        (range(".nan"), "10", "nan"),
        (range("1e999"), "10", "`1e999` is beyond the largest number, 1.8e308"),
        ("Pendulum-v1".to_owned(), ".inf", "`steps` is the text `inf`, expected a whole number"),
        ("Pendulum-v1".to_owned(), "1e18", "which may have an exponent up to 9007199254740992"),
        ("Pendulum-v1".to_owned(), "1.5", "`steps` is 1.5, expected a whole number of at least 1\n"),
    ] {
        let (code, _, stderr) = check(&env, steps);
        assert!(code != 0 && stderr.contains(wanted), "{wanted}: {stderr}");
    }
}

#[test]
fn anchors_and_merge_keys_work() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.yaml");
    let yaml = "env: Hopper-v5\nsteps: 10\nagent:\n  kind: sac\n  actor: &net {hidden: [64], lr: 1e-3}\n  critic: {<<: *net, lr: 2e-3}\n";
    std::fs::write(&path, yaml).expect("written");
    let (code, resolved, stderr) = finish(liprl(["check", text(&path)]));
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(resolved.matches("    - 64\n").count(), 2, "{resolved}");
    assert!(resolved.contains("lr: 0.001\n") && resolved.contains("lr: 0.002\n"), "{resolved}");
}

/// Editors read the committed schemas. Regenerate them with `liprl schema >
/// docs/config.schema.json` and `liprl schema --sweep > docs/sweep.schema.json`, and the page with
/// `liprl schema --markdown > docs/settings.md`.
#[test]
fn the_committed_schemas_are_the_programs() {
    for (words, file) in [
        (&["schema"][..], "docs/config.schema.json"),
        (&["schema", "--sweep"], "docs/sweep.schema.json"),
        (&["schema", "--markdown"], "docs/settings.md"),
    ] {
        let (code, schema, _) = finish(liprl(words));
        assert_eq!(code, 0);
        let committed = std::fs::read_to_string(root().join(file)).expect("the schema");
        assert!(schema == committed, "{file} is out of date: liprl {} > {file}", words.join(" "));
    }
}
