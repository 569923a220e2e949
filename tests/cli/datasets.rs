//! Datasets of Minari by their ids, and demonstrations written anew.

use std::path::{Path, PathBuf};

use liprl_agents::demos::{Demonstrations, Episode};

use crate::runs::python;
use crate::support::{finish, liprl, root, temporary, text};

const CONFIG: &str = "
env: InvertedPendulum-v5
steps: 40
eval: {every: 1000, episodes: 1}
checkpoint: {every: 20}
agent:
  kind: feedback
  demonstrations: {minari: mujoco/inverted_pendulum/expert-v0}
  network: {hidden: [8]}
";

/// A folder with `config.yaml`, and some of Minari's datasets in `datasets`.
fn project() -> (tempfile::TempDir, PathBuf) {
    let (folder, path) = temporary();
    for (id, demos) in [
        ("mujoco/inverted_pendulum/expert-v0", "inverted_pendulum"),
        ("mujoco/inverted_pendulum/medium-v0", "inverted_pendulum"),
        ("mujoco/hopper/expert-v0", "hopper"),
    ] {
        let data = path.join("datasets").join(id).join("data");
        std::fs::create_dir_all(&data).expect("made");
        std::fs::copy(root().join(format!("demos/{demos}.hdf5")), data.join("main_data.hdf5")).expect("copied");
    }
    std::fs::write(path.join("config.yaml"), CONFIG).expect("written");
    (folder, path)
}

/// Runs in a project, whose datasets are Minari's.
fn run(project: &Path, args: &[&str]) -> (i32, String, String) {
    let mut command = liprl(args);
    command.current_dir(project).env("MINARI_DATASETS_PATH", project.join("datasets"));
    finish(command)
}

#[test]
fn a_dataset_is_found_by_its_id_and_kept_by_its_path() {
    let (_folder, path) = project();
    let (code, _, stderr) = run(&path, &["train", "config.yaml", "--out", "run", "--quiet"]);
    assert_eq!(code, 0, "{stderr}");
    let data = path.join("datasets/mujoco/inverted_pendulum/expert-v0");
    let kept = std::fs::read_to_string(path.join("run/config.yaml")).expect("a config");
    assert!(kept.contains(&format!("file: {}\n", data.display())), "{kept}");
    let provenance = std::fs::read(path.join("run/provenance.json")).expect("provenance");
    let provenance: serde_json::Value = serde_json::from_slice(&provenance).expect("JSON");
    let file = data.join("data/main_data.hdf5");
    let digest = std::process::Command::new("sha256sum").arg(&file).output().expect("a digest").stdout;
    let digest = String::from_utf8(digest).expect("text");
    assert_eq!(provenance["inputs"]["agent.demonstrations"].as_str(), digest.split_whitespace().next());
    // By its id or by the path that was kept, the run goes on; with other contents it does not.
    let resume = |config: &str, steps: &str| {
        run(&path, &["train", config, "--out", "run", "--resume", "--quiet", "--steps", steps])
    };
    for (config, steps) in [("config.yaml", "50"), ("run/config.yaml", "60")] {
        let (code, _, stderr) = resume(config, steps);
        assert_eq!(code, 0, "{stderr}");
    }
    let mut other = Demonstrations::read(&file, None).expect("readable");
    other.episodes.pop();
    other.write(&file).expect("written");
    let (code, _, stderr) = resume("config.yaml", "70");
    assert!(code == 2 && stderr.contains("`agent.demonstrations` names another file than the one"), "{stderr}");
}

#[test]
fn an_unknown_id_is_told_with_near_ones_and_the_command_that_fetches_it() {
    let (_folder, path) = project();
    let check = |id: &str| {
        let set = format!("agent.demonstrations={{minari: {id}}}");
        run(&path, &["check", "config.yaml", "--set", &set])
    };
    let (code, _, stderr) = check("mujoco/inverted_pendulum/expert-v1");
    let words = format!(
        "`agent.demonstrations`: mujoco/inverted_pendulum/expert-v1: is not among Minari's datasets in {}; near ones there \
         are: mujoco/inverted_pendulum/expert-v0, mujoco/inverted_pendulum/medium-v0; `minari download \
         mujoco/inverted_pendulum/expert-v1` fetches it",
        path.join("datasets").display()
    );
    assert!(code == 2 && stderr.contains(&words), "{stderr}\nshould say: {words}");
    let (code, _, stderr) = check("D4RL/pen/human-v2");
    assert!(code == 2 && stderr.contains("3 others are there; `minari download D4RL/pen/human-v2`"), "{stderr}");
    let (code, _, stderr) = check("../datasets/mujoco");
    assert!(code == 2 && stderr.contains("is not an id of Minari's"), "{stderr}");
    let (code, _, stderr) = check("a, file: b");
    assert!(code == 2 && stderr.contains("unknown key `minari` in `agent.demonstrations`"), "{stderr}");
    // Without the variable, the place is that below the home folder.
    let mut command = liprl(["check", text(&path.join("config.yaml"))]);
    command.env_remove("MINARI_DATASETS_PATH").env("HOME", &path);
    let (_, _, stderr) = finish(command);
    assert!(stderr.contains(&format!("{}; none is there", path.join(".minari/datasets").display())), "{stderr}");
}

#[test]
fn a_dataset_of_another_task_is_refused() {
    let (_folder, path) = project();
    let set = "agent.demonstrations={minari: mujoco/hopper/expert-v0}";
    let (code, _, stderr) = run(&path, &["check", "config.yaml", "--set", set]);
    assert!(
        code == 2 && stderr.contains("holds demonstrations of Hopper-v5, expected InvertedPendulum-v5"),
        "{stderr}"
    );
}

/// The listing's returns, of the episodes in their order.
fn returns(listing: &str) -> Vec<f64> {
    let rows = listing.lines().skip_while(|line| !line.trim_start().starts_with("episode")).skip(1);
    rows.map(|line| line.split_whitespace().last().and_then(|cell| cell.parse().ok()).expect("a return")).collect()
}

#[test]
fn demonstrations_are_joined_chosen_and_written_in_both_layouts() {
    let (_folder, path) = project();
    let all = Demonstrations::read(root().join("demos/hopper.hdf5"), None).expect("readable");
    let (_, listing, _) = run(&path, &["demos", "inspect", "mujoco/hopper/expert-v0"]);
    assert_eq!(returns(&listing).len(), 10, "{listing}");
    let mut best = returns(&listing);
    best.sort_by(f64::total_cmp);

    let id = "mujoco/hopper/expert-v0";
    let (code, told, stderr) = run(&path, &["demos", "convert", id, "--best", "3", "--out", "best.hdf5"]);
    assert!(code == 0 && told.starts_with("best.hdf5: 3 of 10 episodes, "), "{told}{stderr}");
    let three = Demonstrations::read(path.join("best.hdf5"), None).expect("readable");
    let mut kept = three.summary().returns;
    let among = |one: &Episode| all.episodes.iter().any(|other| other.observations == one.observations);
    assert!(three.episodes.iter().all(among));
    kept.sort_by(f64::total_cmp);
    assert!(kept.iter().zip(&best[7..]).all(|(a, b)| (a - b).abs() < 0.01), "{kept:?}");
    assert_eq!(three.meta.extra["converted_from"], serde_json::json!([id]));

    let two = ["demos", "convert", "best.hdf5", id, "--episodes", "5", "--to", "d4rl", "--out", "flat.hdf5"];
    let (code, told, stderr) = run(&path, &two);
    assert!(code == 0 && told.starts_with("flat.hdf5: 5 of 13 episodes, "), "{told}{stderr}");
    let flat = Demonstrations::read(path.join("flat.hdf5"), None).expect("readable");
    assert_eq!((flat.meta.env, &flat.meta.action_space), (all.meta.env.clone(), &all.meta.action_space));
    let wanted = three.episodes.iter().chain(&all.episodes[..2]);
    for (ours, theirs) in flat.episodes.iter().zip(wanted) {
        assert_eq!(
            (&ours.observations, &ours.actions, &ours.rewards),
            (&theirs.observations, &theirs.actions, &theirs.rewards)
        );
        assert_eq!((&ours.terminations, &ours.truncations), (&theirs.terminations, &theirs.truncations));
    }

    for (args, words) in [
        (&["best.hdf5", "--out", "flat.hdf5"][..], "flat.hdf5 exists already"),
        (&["best.hdf5", "--out", "best.npz"], "the name has to end in .hdf5 or .h5"),
        (&["best.hdf5", "--episodes", "4", "--out", "x.hdf5"], "4 episodes are asked for, there are 3"),
        (&["no.hdf5", "--out", "x.hdf5"], "there is no file no.hdf5"),
        (&["mujoco/hopper/expert-v1", "--out", "x.hdf5"], "near ones there are: mujoco/hopper/expert-v0"),
        (
            &["best.hdf5", "mujoco/inverted_pendulum/expert-v0", "--out", "x.hdf5"],
            "mujoco/inverted_pendulum/expert-v0: holds demonstrations of InvertedPendulum-v5, not of Hopper-v5, unlike best.hdf5",
        ),
    ] {
        let (code, _, stderr) = run(&path, &[&["demos", "convert"], args].concat());
        assert!(code == 2 && stderr.contains(words), "{stderr}\nshould say: {words}");
    }
    assert!(!path.join("x.hdf5").exists());
}

/// The blocks of docs/demonstrations.md in a language.
fn blocks(language: &str) -> Vec<String> {
    let page = std::fs::read_to_string(root().join("docs/demonstrations.md")).expect("the page");
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).map(|rest| rest.split("```").next().expect("a block").to_owned()).collect()
}

/// The page's commands run as they stand, beside the shipped demonstrations.
#[test]
fn the_pages_commands_work() {
    let (_folder, path) = project();
    std::os::unix::fs::symlink(root().join("demos"), path.join("demos")).expect("linked");
    let bin = |file: &Path| file.parent().expect("a folder").display().to_string();
    let found = std::env::var("PATH").expect("a path");
    let search = format!("{}:{}:{found}", bin(Path::new(env!("CARGO_BIN_EXE_liprl"))), bin(&python()));
    let commands = blocks("sh");
    assert_eq!(commands.len(), 2);
    let mut shell = std::process::Command::new("bash");
    shell.current_dir(&path).env("PATH", search).args(["-e", "-c", &commands.concat()]);
    let (code, stdout, stderr) = finish(shell);
    assert_eq!(code, 0, "{stderr}");
    let best = Demonstrations::read(path.join("best.hdf5"), None).expect("readable");
    let steps: usize = best.summary().lengths.iter().sum();
    assert!(stdout.ends_with(&format!("\n{steps}\n")), "Minari counts the steps: {stdout}");
}

/// Demonstrations by the page's script are read by the id that it gives them.
#[test]
fn the_pages_script_records_what_is_read() {
    let (_folder, path) = project();
    let scripts = blocks("python");
    assert_eq!(scripts.len(), 1);
    let mut script = std::process::Command::new(python());
    script.env("MINARI_DATASETS_PATH", path.join("datasets")).args(["-c", &scripts[0]]);
    let (code, _, stderr) = finish(script);
    assert_eq!(code, 0, "{stderr}");
    let config = CONFIG.replace("mujoco/inverted_pendulum/expert-v0", "pendulum/scripted-v0");
    let config = config.replace("InvertedPendulum-v5", "Pendulum-v1");
    std::fs::write(path.join("config.yaml"), config).expect("written");
    let (code, _, stderr) = run(&path, &["check", "config.yaml"]);
    assert_eq!(code, 0, "{stderr}");
    let (_, listing, _) = run(&path, &["demos", "inspect", "pendulum/scripted-v0"]);
    assert!(listing.starts_with("Pendulum-v1: 3 episodes, 600 steps\n"), "{listing}");
}

/// The page's config without a task is complete.
#[test]
fn the_pages_config_is_checked() {
    let (_folder, path) = project();
    let id = "D4RL/pen/human-v2";
    let mut set = Demonstrations::read(root().join("demos/hopper.hdf5"), None).expect("readable");
    set.meta.env.as_mut().expect("an environment").id = "AdroitHandPen-v1".to_owned();
    set.write(path.join("datasets").join(id).join("data/main_data.hdf5")).expect("written");
    let config = blocks("yaml").pop().expect("a block");
    std::fs::write(path.join("config.yaml"), config).expect("written");
    let (code, resolved, stderr) = run(&path, &["check", "config.yaml"]);
    assert!(code == 0 && resolved.contains(id) && resolved.contains("env: demonstrations"), "{resolved}{stderr}");
}
