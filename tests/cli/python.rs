//! Environments in Python through the whole program. Those that misbehave are in
//! envs/tests/environments/odd.py.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use serde_json::{Value, json};

use crate::runs::{
    assert_same_traces, newest_step, python, small_agent, start, summary, train, train_through, wait_for_checkpoints,
    wait_until, words_of, write_config,
};
use crate::support::{finish, liprl, root, text};

/// A small config of an environment in Python; `env` has the keys that name it.
fn config(folder: &Path, env: &str, agent: &str) -> PathBuf {
    let odd = root().join("envs/tests/environments");
    let env = format!("{{{env}, interpreter: {}, folder: {}}}", python().display(), odd.display());
    let events = "steps: 1200\neval: {every: 400, episodes: 2}\ncheckpoint: {every: 150}\nlog: {every: 70}\n";
    write_config(folder, &format!("env: {env}\n{events}{agent}"))
}

fn run(args: &[&str]) -> String {
    let (code, stdout, stderr) = finish(liprl(args));
    assert_eq!(code, 0, "{args:?}: {stderr}");
    stdout + &stderr
}

/// Processes that a process has started, and those that they have.
fn descendants(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let children: Vec<u32> =
        lists.flat_map(|list| list.split(' ').filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect();
    children.iter().flat_map(|child| [vec![*child], descendants(*child)].concat()).collect()
}

fn lives(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    !status.is_empty() && !status.contains("State:\tZ")
}

fn assert_all_end(workers: &[u32]) {
    assert!(!workers.is_empty());
    wait_until("the workers end", || !workers.iter().any(|pid| lives(*pid)));
}

#[test]
fn every_command_takes_an_environment_in_python() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let env = "python: Odd/Well-v0, import: [odd], kwargs: {scale: 0.5}, wrappers: [\"odd:Double\"], info: [drift]";
    let config = config(folder.path(), env, &small_agent("sac"));
    let said = run(&["check", text(&config)]);
    for words in
        ["# Odd/Well-v0 in ", "gymnasium 1.4.0", "time limit 15", "it repeats: two processes agree", "odd.py SHA-256"]
    {
        assert!(said.contains(words), "{words}:\n{said}");
    }
    let out = folder.path().join("run");
    train_through(&config, &out, &["--steps", "450"]);
    let provenance: Value =
        serde_json::from_slice(&std::fs::read(out.join("provenance.json")).expect("a file")).expect("JSON");
    assert_eq!(provenance["python"]["entry_point"], json!("odd:Well"), "{provenance}");
    assert_eq!(provenance["libraries"]["gymnasium"], json!("1.4.0"));
    assert!(provenance["python"]["version"].as_str().expect("a version").starts_with("3."));
    assert_eq!(provenance["python"]["spec"]["kwargs"], json!({"scale": 0.5}));
    assert!(std::fs::read_to_string(out.join("python.log")).expect("a log").contains("odd.py is imported"));

    let said = run(&["eval", text(&out), "--episodes", "2", "--disturb", "uniform:0.1"]);
    assert!(said.contains("Odd/Well-v0: return"), "{said}");
    // The policy by itself, from elsewhere.
    let policy = out.join(format!("checkpoints/step_{:09}/policy.safetensors", newest_step(&out)));
    let copy = folder.path().join("copy.safetensors");
    std::fs::copy(policy, &copy).expect("copied");
    let mut elsewhere = liprl(["eval", text(&copy), "--episodes", "2"]);
    elsewhere.current_dir(folder.path());
    let (code, stdout, stderr) = finish(elsewhere);
    assert!(code == 0 && stdout.contains("Odd/Well-v0: return"), "{stderr}");

    let demos = path("demos.hdf5");
    run(&["record", text(&out), "--episodes", "3", "--out", &demos]);
    let said = run(&["demos", "inspect", &demos]);
    assert!(said.contains("Odd/Well-v0") && said.contains("Double"), "{said}");
    let script = "import sys, h5py; print(h5py.File(sys.argv[1])['episode_0/infos/drift'].shape)";
    let shape = Command::new(python()).args(["-c", script, &demos]).output().expect("python starts");
    assert_eq!(String::from_utf8_lossy(&shape.stdout), "(16,)\n");

    let small = "{learning_starts: 30, batch_size: 8, actor: {hidden: [8]}, critic: {hidden: [8]}}";
    for (kind, agent) in [
        (
            "gail",
            format!(
                "{{kind: gail, demonstrations: {demos}, keep_every: 1, policy: {{kind: td3, {}, discriminator: {{hidden: [8], batch_size: 8}}}}",
                &small[1..]
            ),
        ),
        (
            "mbpo",
            format!(
                "{{kind: mbpo, termination: {{kind: never}}, policy: {small}, model: {{hidden: [8], members: 2, elites: 2, max_epochs: 1}}, rollouts: 50}}"
            ),
        ),
        (
            "feedback",
            format!(
                "{{kind: feedback, constraint: {{kind: penalty, alpha: 5}}, expert: {{kind: run, path: {}}}, expert_episodes: 2, queries: {{kind: dagger, rounds: 1, steps: 20}}}}",
                text(&out)
            ),
        ),
    ] {
        let config = self::config(folder.path(), env, &format!("agent: {agent}\n"));
        let out = folder.path().join(kind);
        train_through(&config, &out, &["--steps", "90", "--set", "eval.every=45"]);
        run(&["eval", text(&out), "--episodes", "1"]);
    }

    // The wrapper is a part of the task.
    let plain = self::config(
        folder.path(),
        "python: Odd/Well-v0, import: [odd], kwargs: {scale: 0.5}",
        &format!("agent: {{kind: gail, demonstrations: {demos}, keep_every: 1}}\n"),
    );
    let (code, _, stderr) = finish(liprl(["check", text(&plain)]));
    assert!(code == 2 && stderr.contains("behind the wrapper Double, the task has none"), "{stderr}");
}

#[test]
fn a_sweep_over_environments_in_python_names_and_runs_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let base = config(folder.path(), "python: Odd/Well-v0, import: [odd]", &small_agent("td3"));
    let sweep = folder.path().join("sweep.yaml");
    let name = base.file_name().expect("a name").to_string_lossy().into_owned();
    let axes = "axes: {env.python: [Odd/Well-v0, Pendulum-v1]}\nseeds: [0]\n";
    std::fs::write(&sweep, format!("base: {name}\nset: {{steps: 150}}\n{axes}")).expect("written");
    let out = folder.path().join("out");
    run(&["sweep", text(&sweep), "--out", text(&out), "--jobs", "1"]);
    for variant in ["python=Odd-Well-v0", "python=Pendulum-v1"] {
        assert_eq!(summary(&out.join(variant).join("seed-0"))["status"], "done", "{variant}");
    }
    assert!(run(&["sweep", text(&sweep), "--out", text(&out)]).contains("done"), "nothing is left to do");
}

/// `kill -9`, and no worker outlives it.
#[test]
fn a_killed_run_resumes_to_the_bit_and_leaves_no_worker() {
    for (env, kind) in [("python: Pendulum-v1", "td3"), ("entry: \"odd:Well\"", "sac")] {
        let folder = tempfile::tempdir().expect("a folder");
        let config = config(folder.path(), env, &small_agent(kind));
        let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
        train_through(&config, &whole, &[]);
        for step in [300, 750] {
            let mut child = start(&mut train(&config, &killed, &["--resume"]));
            wait_for_checkpoints(&mut child, &killed, step);
            let workers = descendants(child.id());
            assert_eq!(workers.len(), 2, "of training and evaluation");
            child.kill().expect("it runs");
            child.wait().expect("it ends");
            assert_all_end(&workers);
        }
        let words = train_through(&config, &killed, &["--resume"]);
        assert!(words.contains("resumed at step") && !words.contains("warning"), "{words}");
        assert_same_traces(&whole, &killed);
    }
}

/// A step that hangs does not read its pipe, so the kernel ends it.
#[test]
fn a_worker_that_hangs_ends_with_a_killed_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path(), "entry: \"odd:Hangs\", kwargs: {at: 5}", &small_agent("sac"));
    let out = folder.path().join("run");
    let mut child = start(&mut train(&config, &out, &[]));
    wait_until("the run begins", || out.join("python.log").exists());
    let mut workers = Vec::new();
    wait_until("its workers are there", || {
        workers = descendants(child.id());
        workers.len() == 2
    });
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    assert_all_end(&workers);
}

#[test]
fn state_that_outlives_episodes_is_told_and_the_run_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path(), "entry: \"odd:Remembers\"", &small_agent("td3"));
    let said = run(&["check", text(&config)]);
    assert!(
        said.contains("it does NOT repeat: after other episodes") && said.contains("cut off as truncated"),
        "{said}"
    );
    let out = folder.path().join("run");
    let mut child = start(&mut train(&config, &out, &[]));
    wait_for_checkpoints(&mut child, &out, 450);
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    let words = train_through(&config, &out, &["--resume"]);
    assert!(
        words.contains("odd:Remembers: the same seed and the same") && words.contains("cut off as truncated"),
        "{words}"
    );
    assert_eq!((summary(&out)["status"].clone(), summary(&out)["steps"].clone()), (json!("done"), json!(1200)));
    assert!(std::fs::read_to_string(out.join("run.log")).expect("a log").contains("cut off as truncated"));
}

#[test]
fn a_failing_environment_ends_a_run_with_its_last_line_and_the_last_checkpoint() {
    for (env, words) in [
        ("entry: \"odd:Late\", kwargs: {at: 200}", "ValueError: the leg is broken, raised at "),
        ("entry: \"odd:LateHang\", kwargs: {at: 200}, time_limit: 4", "no answer from Python within 4 s"),
        ("entry: \"odd:LateCrash\", kwargs: {at: 200}", "crashed in native code (signal 11, SIGSEGV)"),
        ("entry: \"odd:LateNan\", kwargs: {at: 200}", "number 1 of the observation is NaN"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let config = config(folder.path(), env, &small_agent("sac"));
        let out = folder.path().join("run");
        let (code, _, stderr) = finish(train(&config, &out, &[]));
        assert_eq!(code, 1, "{env}: {stderr}");
        for words in ["training stopped at step 199: ", words, "The last good checkpoint is that of step 150"] {
            assert!(stderr.contains(words), "{env}: {words}\n{stderr}");
        }
        if env.contains("Late\"") {
            let log = std::fs::read_to_string(out.join("python.log")).expect("a log");
            assert!(log.contains("Traceback") && log.contains("odd.py"), "{log}");
            // Mended, it goes on.
            let mended = out.join("mended");
            std::fs::write(&mended, "").expect("written");
            let words = train_through(&config, &out, &["--resume"]);
            assert!(words.contains("resumed at step 150"), "{words}");
        }
    }
}

/// As a terminal's Ctrl-C, it reaches the whole group; and other signals that reach the workers are
/// survived too.
#[test]
fn an_interrupt_leaves_a_checkpoint() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path(), "entry: \"odd:Well\"", &small_agent("sac"));
    let out = folder.path().join("run");
    let mut command = train(&config, &out, &["--steps", "1e7"]);
    let mut child: Child = start(command.process_group(0));
    wait_for_checkpoints(&mut child, &out, 150);
    let workers = descendants(child.id());
    for worker in &workers {
        for name in ["INT", "TERM", "HUP", "USR1", "USR2"] {
            let status = Command::new("kill").args([format!("-{name}"), worker.to_string()]).status();
            assert!(status.expect("kill").success());
        }
    }
    let wanted = newest_step(&out) + 300;
    wait_for_checkpoints(&mut child, &out, wanted);
    let group = format!("kill -INT -{}", child.id());
    assert!(Command::new("sh").args(["-c", &group]).status().expect("a shell").success());
    let (code, words) = words_of(child);
    assert_eq!(code, Some(130), "{words}");
    assert_eq!(summary(&out)["steps"].as_u64(), Some(newest_step(&out)));
    assert_all_end(&workers);
}

#[test]
fn mistakes_are_refused_at_their_place_with_the_remedy() {
    let folder = tempfile::tempdir().expect("a folder");
    for (env, place, words) in [
        ("python: Hoper-v5", "1:15", "Environment `Hoper` doesn't exist"),
        ("python: Pendulum-v1, import: [no_such]", "1:36", "No module named 'no_such'"),
        ("entry: \"odd:Moves\"", "1:14", "its actions are Discrete (Discrete(4))"),
        ("python: Pendulum-v1, wrappers: [Nothing]", "1:38", "`gymnasium.wrappers` has no `Nothing`"),
        ("python: Pendulum-v1, kwarg: {g: 9}", "1:28", "did you mean `kwargs`?"),
        ("python: Pendulum-v1, time_limit: 0", "1:40", "expected a number from 0.001 to 86400"),
        ("python: Pendulum-v1, kwargs: 3", "1:36", "expected a mapping"),
    ] {
        let config = config(folder.path(), env, "agent: {kind: sac}\n");
        for command in ["check", "train"] {
            let (code, _, stderr) = finish(liprl([command, text(&config)]));
            assert!(code == 2 && stderr.contains(words), "{env}: {stderr}");
            assert!(stderr.starts_with(&format!("error: {}:{place}", text(&config))), "{env}: {place}\n{stderr}");
        }
    }
    let bare =
        write_config(folder.path(), "env: {python: Pendulum-v1, interpreter: ./none}\nsteps: 10\nagent: {kind: sac}\n");
    let (code, _, stderr) = finish(liprl(["check", text(&bare)]));
    assert!(code == 2 && stderr.contains("`env.interpreter`: there is no file or folder"), "{stderr}");
}

/// `$VIRTUAL_ENV`, if the config names no interpreter.
#[test]
fn the_active_virtual_environment_is_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = write_config(folder.path(), "env: {python: Pendulum-v1}\nsteps: 10\nagent: {kind: sac}\n");
    let mut check = liprl(["check", text(&config)]);
    check.env("VIRTUAL_ENV", python().parent().and_then(Path::parent).expect("a virtual environment"));
    let (code, stdout, stderr) = finish(check);
    assert!(code == 0 && stdout.contains(&format!("# Pendulum-v1 in {}", python().display())), "{stdout}{stderr}");
}

#[test]
fn code_that_changed_before_a_resumption_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let module = folder.path().join("own.py");
    let code = std::fs::read_to_string(root().join("envs/tests/environments/odd.py")).expect("a file");
    std::fs::write(&module, code.replace("Odd/", "Own/")).expect("written");
    let env = format!("env: {{entry: \"own:Well\", interpreter: {}}}\n", python().display());
    let config =
        write_config(folder.path(), &format!("{env}steps: 300\ncheckpoint: {{every: 150}}\n{}", small_agent("td3")));
    let out = folder.path().join("run");
    train_through(&config, &out, &[]);
    std::fs::write(&module, code.replace("Odd/", "Own/") + "\n# mended\n").expect("written");
    let words = train_through(&config, &out, &["--resume", "--steps", "450"]);
    assert!(words.contains("the run is not what it was before step 300: own.py: was SHA-256 "), "{words}");
    // Its folder moves; the run goes on with the config's new place.
    let moved = folder.path().join("moved");
    std::fs::create_dir(&moved).expect("a folder");
    for file in ["own.py", "small.yaml"] {
        std::fs::rename(folder.path().join(file), moved.join(file)).expect("moved");
    }
    train_through(&moved.join("small.yaml"), &out, &["--resume", "--steps", "600"]);
    assert_eq!(summary(&out)["steps"], json!(600));
}
