//! Refusals of tests/bad_configs/: exit code 2 and a message with line and column.

use crate::support::{finish, liprl, root, text, yaml_files};

#[test]
fn every_bad_config_is_refused_where_it_is_wrong() {
    let files = yaml_files(&root().join("tests/bad_configs"));
    assert!(files.len() >= 25, "the corpus has {} files", files.len());
    let mut messages = String::new();
    for file in files {
        let path = text(file.strip_prefix(root()).expect("below the root"));
        let (code, stdout, stderr) = finish(liprl(["check", path]));
        assert_eq!((code, stdout.as_str()), (2, ""), "{path}:\n{stderr}");
        let place = stderr.strip_prefix(&format!("error: {path}:")).unwrap_or_else(|| panic!("no file:\n{stderr}"));
        let numbers: Vec<_> = place.splitn(3, ':').take(2).map(str::parse::<u32>).collect();
        assert!(numbers.iter().all(|number| matches!(number, Ok(1..))), "{path}: no line and column:\n{stderr}");
        messages.push_str(&stderr);
        messages.push('\n');
    }
    insta::assert_snapshot!(messages);
}

#[test]
fn overrides_are_refused_where_they_are_wrong() {
    let config = "configs/sac/hopper.yaml";
    let sets = ["agent.gama=0.9", "agent.gamma=1.5", "agent..gamma=1", "agent.gamma", "steps=[1", "env.frame_skp=2"];
    let mut messages = String::new();
    for set in sets.into_iter().chain(["agent.kind=td4"]) {
        let (code, stdout, stderr) = finish(liprl(["check", config, "--set", set]));
        assert_eq!((code, stdout.as_str()), (2, ""), "--set {set}:\n{stderr}");
        messages.push_str(&stderr);
        messages.push('\n');
    }
    let (code, _, stderr) = finish(liprl(["check", config, "--steps", "ten"]));
    assert_eq!(code, 2);
    messages.push_str(&stderr);
    insta::assert_snapshot!(messages);
}

#[test]
fn a_missing_file_is_bad_usage() {
    let (code, _, stderr) = finish(liprl(["train", "configs/sac/nowhere.yaml"]));
    assert_eq!(code, 2);
    assert!(stderr.contains("configs/sac/nowhere.yaml"), "{stderr}");
}
