//! The shipped configs, and what a config resolves to.

use crate::runs::train_through;
use crate::support::{finish, liprl, root, yaml_files};

#[test]
fn every_shipped_config_builds() {
    let files = yaml_files(&root().join("configs"));
    assert!(!files.is_empty());
    for file in files {
        let path = file.to_str().expect("UTF-8");
        let (code, _, stderr) = finish(liprl(["check", path]));
        assert_eq!(code, 0, "{path}:\n{stderr}");
    }
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
fn a_checked_config_is_complete_and_reads_back_the_same() {
    let args = ["check", "configs/td3/swimmer.yaml", "--set", "env.frame_skip=2", "--steps", "2_000"];
    let (code, first, _) = finish(liprl(args));
    assert_eq!(code, 0);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, &first).expect("written");
    let (code, second, stderr) = finish(liprl(["check", path.to_str().expect("UTF-8")]));
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
fn anchors_and_merge_keys_work() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.yaml");
    let text = "env: Hopper-v5\nsteps: 10\nagent:\n  kind: sac\n  actor: &net {hidden: [64], lr: 1e-3}\n  critic: {<<: *net, lr: 2e-3}\n";
    std::fs::write(&path, text).expect("written");
    let (code, resolved, stderr) = finish(liprl(["check", path.to_str().expect("UTF-8")]));
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(resolved.matches("    - 64\n").count(), 2, "{resolved}");
    assert!(resolved.contains("lr: 0.001\n") && resolved.contains("lr: 0.002\n"), "{resolved}");
}

/// Editors read the committed file; regenerate it with `liprl schema > docs/config.schema.json`.
#[test]
fn the_committed_schema_is_the_programs() {
    let (code, schema, _) = finish(liprl(["schema"]));
    assert_eq!(code, 0);
    let committed = std::fs::read_to_string(root().join("docs/config.schema.json")).expect("docs/config.schema.json");
    assert!(schema == committed, "docs/config.schema.json is out of date: liprl schema > docs/config.schema.json");
}
