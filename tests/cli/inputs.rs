//! Files that a config names: found from any folder, told apart by their contents, held against the
//! task.

use std::path::PathBuf;

use crate::support::{finish, liprl, root, run_in, temporary, text};

const CONFIG: &str = "
env: InvertedPendulum-v5
steps: 60
eval: {every: 1000, episodes: 1}
checkpoint: {every: 30}
agent:
  kind: gail
  demonstrations: data/d.hdf5
  policy: {kind: sac, learning_starts: 20, batch_size: 16, actor: {hidden: [8]}, critic: {hidden: [8]}}
  discriminator: {hidden: [8], batch_size: 16}
";

/// A folder with `config.yaml` and `data/d.hdf5`.
fn project() -> (tempfile::TempDir, PathBuf) {
    let (folder, path) = temporary();
    std::fs::create_dir(path.join("data")).expect("made");
    std::fs::copy(root().join("demos/inverted_pendulum.hdf5"), path.join("data/d.hdf5")).expect("copied");
    std::fs::write(path.join("config.yaml"), CONFIG).expect("written");
    (folder, path)
}

#[test]
fn paths_begin_at_the_configs_folder_and_a_run_resumes_from_any() {
    let (_folder, path) = project();
    let elsewhere = path.join("elsewhere");
    std::fs::create_dir(&elsewhere).expect("made");
    let (code, _, stderr) = run_in(&elsewhere, &["train", "../config.yaml", "--out", "../run", "--quiet"]);
    assert_eq!(code, 0, "{stderr}");
    let kept = std::fs::read_to_string(path.join("run/config.yaml")).expect("a config");
    let absolute = format!("demonstrations: {}", path.join("data/d.hdf5").display());
    assert!(kept.contains(&absolute), "{kept}");
    for (here, args) in [
        (&elsewhere, ["train", "../run", "--resume", "--steps", "70"]),
        (&path, ["train", "run", "--resume", "--steps", "80"]),
    ] {
        let (code, _, stderr) = run_in(here, &args);
        assert_eq!(code, 0, "{stderr}");
    }
    let (code, _, stderr) =
        run_in(&elsewhere, &["train", "../config.yaml", "--out", "../run", "--resume", "--steps", "90"]);
    assert_eq!(code, 0, "{stderr}");
}

#[test]
fn paths_begin_at_the_current_folder_too_or_at_home() {
    let (_folder, path) = project();
    std::fs::create_dir(path.join("configs")).expect("made");
    let config = path.join("configs/config.yaml");
    std::fs::write(&config, CONFIG).expect("written");
    let (code, resolved, stderr) = run_in(&path, &["check", text(&config)]);
    assert_eq!(code, 0, "{stderr}");
    assert!(resolved.contains(text(&path.join("data/d.hdf5"))), "{resolved}");
    std::fs::write(&config, CONFIG.replace("data/d.hdf5", "~/data/d.hdf5")).expect("written");
    let mut command = liprl(["check", text(&config)]);
    command.env("HOME", &path);
    let (code, resolved, stderr) = finish(command);
    assert_eq!(code, 0, "{stderr}");
    assert!(resolved.contains(text(&path.join("data/d.hdf5"))), "{resolved}");
}

#[test]
fn a_missing_file_is_told_with_both_places() {
    let (_folder, path) = project();
    let elsewhere = path.join("elsewhere");
    std::fs::create_dir(&elsewhere).expect("made");
    for (set, setting, name) in [
        ("agent.demonstrations=no.hdf5", "agent.demonstrations", "no.hdf5"),
        ("env={id: InvertedPendulum-v5, xml_file: ./no.xml}", "env.xml_file", "no.xml"),
        ("agent={kind: feedback, expert: {kind: run, path: no}, expert_episodes: 1}", "agent.expert.path", "no"),
    ] {
        let (code, _, stderr) = run_in(&elsewhere, &["check", "../config.yaml", "--set", set]);
        assert_eq!(code, 2, "{stderr}");
        let there = path.join("elsewhere/..").join(name);
        let words = format!(
            "`{setting}`: there is no file or folder {}, nor {}",
            there.display(),
            elsewhere.join(name).display()
        );
        assert!(stderr.contains(&words), "{stderr}\nshould say: {words}");
    }
}

#[test]
fn a_sweep_finds_files_beside_its_base() {
    let (_folder, path) = project();
    let elsewhere = path.join("elsewhere");
    std::fs::create_dir(&elsewhere).expect("made");
    std::fs::write(path.join("sweep.yaml"), "base: config.yaml\nseeds: [0]\naxes: {agent.keep_every: [10, 20]}\n")
        .expect("written");
    let (code, _, stderr) = run_in(&elsewhere, &["sweep", "../sweep.yaml", "--out", "out", "--dry-run"]);
    assert_eq!(code, 0, "{stderr}");
}

#[test]
fn a_resumed_run_refuses_other_demonstrations_and_follows_moved_ones() {
    let (_folder, path) = project();
    let (code, _, stderr) = run_in(&path, &["train", "config.yaml", "--out", "run", "--quiet"]);
    assert_eq!(code, 0, "{stderr}");
    let (data, moved) = (path.join("data/d.hdf5"), path.join("data/moved.hdf5"));
    let provenance = std::fs::read(path.join("run/provenance.json")).expect("provenance");
    let provenance: serde_json::Value = serde_json::from_slice(&provenance).expect("JSON");
    let digest = std::process::Command::new("sha256sum").arg(&data).output().expect("a digest").stdout;
    let digest = String::from_utf8(digest).expect("text");
    assert_eq!(provenance["inputs"]["agent.demonstrations"].as_str(), digest.split_whitespace().next());
    std::fs::rename(&data, &moved).expect("moved");
    std::fs::copy(root().join("demos/hopper.hdf5"), &data).expect("copied");
    let (code, _, stderr) = run_in(&path, &["train", "run", "--resume", "--steps", "70"]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("`agent.demonstrations` names another file") && stderr.contains("SHA-256"), "{stderr}");
    let set = format!("agent.demonstrations={}", moved.display());
    let (code, _, stderr) = run_in(&path, &["train", "run", "--resume", "--steps", "70", "--set", &set]);
    assert_eq!(code, 0, "{stderr}");
    let kept = std::fs::read_to_string(path.join("run/config.yaml")).expect("a config");
    assert!(kept.contains(text(&moved)), "{kept}");
}

#[test]
fn exceptions_stand_beside_the_file_and_its_description_is_listed() {
    let (_folder, path) = project();
    let config = "env: {id: InvertedPendulum-v5, reset_noise_scale: 0.02}";
    std::fs::write(path.join("config.yaml"), CONFIG.replace("env: InvertedPendulum-v5", config)).expect("written");
    let (code, _, stderr) = run_in(&path, &["check", "config.yaml"]);
    assert!(code == 2 && stderr.contains("config.yaml:8:19: `agent.demonstrations`: "), "{code} {stderr}");
    assert!(stderr.contains("with reset_noise_scale: 0.01, the task has reset_noise_scale: 0.02"), "{stderr}");
    let accept = "agent.demonstrations.accept=[options]";
    let (code, resolved, stderr) = run_in(&path, &["check", "config.yaml", "--set", accept]);
    assert_eq!(code, 0, "{stderr}");
    assert!(resolved.contains("file: ") && resolved.contains("skip_bad_episodes: false"), "{resolved}");
    let (code, _, stderr) = run_in(&path, &["check", "config.yaml", "--set", "agent.demonstrations.accept=[option]"]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("did you mean `options`?"), "{stderr}");
    let (_, listing, _) = run_in(&path, &["demos", "inspect", "data/d.hdf5"]);
    for line in ["max_episode_steps  1000", "options            none", "action space       [-3, 3] in each of 1"] {
        assert!(listing.contains(line), "{listing}");
    }
}
