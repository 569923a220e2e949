//! Files of a run folder that were damaged, replaced or edited: never a panic, always an error that
//! names the file. Results that cannot be written are refused before the work.

use std::path::{Path, PathBuf};
use std::process::Command;

use liprl::load::LoadedPolicy;
use liprl_analysis::Run;
use liprl_logbook::{Checkpoints, Keep, RunFolder, tensorboard::read_scalars};
use liprl_numerics::{StreamRng, Streams};
use rand::RngExt;

use crate::runs::{SMALL, small_agent, small_run, train_through};
use crate::support::{finish, liprl, text};

/// A run of 300 steps.
fn short_run(folder: &Path) -> PathBuf {
    small_run(folder, &format!("{SMALL}{}", small_agent("sac")), "300")
}

/// Cuts the bytes off, flips a bit, or replaces some bytes.
fn mutated(bytes: &[u8], rng: &mut StreamRng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = rng.random_range(0..bytes.len());
    match rng.random_range(0..3) {
        0 => bytes.truncate(at),
        1 => bytes[at] ^= 1 << rng.random_range(0..8),
        _ => bytes[at..].iter_mut().take(8).for_each(|byte| *byte = rng.random_range(0..=255)),
    }
    bytes
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> =
        entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect();
    files.sort();
    files
}

/// The complaints of everything that reads a run folder, without its training.
fn complaints(run: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut note = |result: Result<Vec<String>, String>| all.extend(result.unwrap_or_else(|error| vec![error]));
    note(LoadedPolicy::open(run).map(|_| Vec::new()).map_err(|error| format!("{error:#}")));
    note(liprl::agent::networks(run).map(|_| Vec::new()).map_err(|error| format!("{error:#}")));
    let read = Run::read(run, "eval/return_mean").map_err(|error| error.to_string());
    note(read.map(|(_, warnings)| warnings.iter().map(ToString::to_string).collect()));
    match RunFolder::open(run) {
        Err(error) => note(Err(error.to_string())),
        Ok(folder) => {
            note(folder.summary().map(|_| Vec::new()).map_err(|error| error.to_string()));
            note(folder.provenance().map(|_| Vec::new()).map_err(|error| error.to_string()));
            let newest = Checkpoints::open(&folder).latest_valid().map_err(|error| error.to_string());
            note(newest.map(|found| found.map(|found| found.warnings).unwrap_or_default()));
        }
    }
    for file in files(run).into_iter().filter(|file| text(file).contains("tfevents")) {
        note(read_scalars(&file, |_| true).map(|_| Vec::new()).map_err(|error| error.to_string()));
    }
    all
}

#[test]
fn a_damaged_file_of_a_run_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = short_run(folder.path());
    assert_eq!(complaints(&run), Vec::<String>::new());
    let mut rng = Streams::new(7).rng("damage");
    let files: Vec<PathBuf> = files(&run).into_iter().filter(|file| !file.ends_with(".lock")).collect();
    let mut complained = 0;
    for round in 0..100 {
        let file = &files[round % files.len()];
        let good = std::fs::read(file).expect("read");
        std::fs::write(file, mutated(&good, &mut rng)).expect("written");
        let name = file.file_name().and_then(|name| name.to_str()).expect("a name");
        let found = complaints(&run);
        complained += usize::from(!found.is_empty());
        for complaint in found {
            assert!(complaint.contains(name), "round {round}, {}: {complaint}", file.display());
        }
        std::fs::write(file, good).expect("written");
    }
    // Some changes of a log or a text leave it readable.
    assert!(complained > 40, "{complained}");
}

#[test]
fn a_damaged_policy_file_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = short_run(folder.path());
    let good = std::fs::read(run.join("checkpoints/step_000000300/policy.safetensors")).expect("a policy");
    let file = folder.path().join("policy.safetensors");
    let mut rng = Streams::new(8).rng("damage");
    let mut refused = 0;
    for round in 0..100 {
        // Most of the file is weights; its head is where damage shows.
        let head = if round % 2 == 0 { good.len() } else { 1500 };
        let bytes = [mutated(&good[..head], &mut rng), good[head..].to_vec()].concat();
        std::fs::write(&file, bytes).expect("written");
        if let Err(error) = LoadedPolicy::open(&file) {
            refused += 1;
            let message = format!("{error:#}");
            assert!(message.contains("policy.safetensors"), "round {round}: {message}");
        }
    }
    assert!(refused > 30, "{refused}");
}

/// The parts are damaged before they are sealed by checksums, as another program would.
#[test]
fn a_part_of_a_checkpoint_that_does_not_fit_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = short_run(folder.path());
    let mut checkpoints = Checkpoints::open(&RunFolder::open(&run).expect("a run folder"));
    let newest = checkpoints.latest_valid().expect("checkpoints").expect("a checkpoint").checkpoint;
    let parts: Vec<(String, Vec<u8>)> =
        newest.names().map(|name| (name.to_owned(), newest.get(name).expect("a part"))).collect();
    let step = newest.step();
    for (damaged, _) in parts.iter().filter(|(name, _)| name != "policy.safetensors") {
        let mut writer = checkpoints.begin(step).expect("a checkpoint begun");
        for (name, bytes) in &parts {
            let bytes = if name == damaged { &bytes[..bytes.len() / 2] } else { &bytes[..] };
            writer.put(name, bytes).expect("a part");
        }
        writer.commit(Keep { last: 1, best: None }).expect("committed");
        let (code, _, stderr) = finish(liprl(["train", text(&run), "--resume", "--steps", "600"]));
        let named = format!("checkpoints/step_{step:09}/{damaged}: ");
        assert!(code == 1 && stderr.contains(&named), "{damaged}: {code}: {stderr}");
        assert!(!stderr.contains("internal error"), "{stderr}");
    }
}

#[cfg(unix)]
#[test]
fn special_files_in_the_place_of_inputs_are_refused_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = short_run(folder.path());
    let pipe = folder.path().join("pipe.yaml");
    let make = |path: &Path| assert!(Command::new("mkfifo").arg(path).status().expect("mkfifo runs").success());
    make(&pipe);
    let pipe = text(&pipe);
    for args in [
        &["train", pipe, "--out", "never"][..],
        &["check", pipe],
        &["sweep", pipe, "--out", "never"],
        &["eval", pipe],
        &["check", "/dev/zero"],
        &["eval", "/dev/zero"],
    ] {
        let (code, _, stderr) = finish(liprl(args));
        assert!(matches!(code, 1 | 2) && stderr.contains(args[1]), "{args:?}: {code}: {stderr}");
        assert!(stderr.contains("it is a pipe") || stderr.contains("it is a device"), "{args:?}: {stderr}");
    }
    let out = folder.path().join("o.svg");
    for (name, args) in [
        ("metrics.jsonl", &["plot", text(&run), "--no-lines", "--out", text(&out)][..]),
        ("summary.json", &["eval", text(&run)]),
        ("config.yaml", &["train", text(&run), "--resume"]),
        ("provenance.json", &["train", text(&run), "--resume", "--steps", "600"]),
        ("checkpoints/step_000000300/manifest.json", &["eval", text(&run.join("checkpoints/step_000000300"))]),
    ] {
        let (file, aside) = (run.join(name), folder.path().join("aside"));
        std::fs::rename(&file, &aside).expect("moved");
        make(&file);
        let (code, _, stderr) = finish(liprl(args));
        assert!(matches!(code, 1 | 2) && stderr.contains(&format!("{name}`: it is a pipe")), "{name}: {stderr}");
        std::fs::rename(&aside, &file).expect("moved back");
    }
}

#[test]
fn an_edited_config_is_refused_and_another_program_is_noted() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = short_run(folder.path());
    let file = run.join("config.yaml");
    let good = std::fs::read_to_string(&file).expect("a config");
    std::fs::write(&file, good.replace("gamma: 0.99", "gamma: 0.5")).expect("written");
    let before = std::fs::read(run.join("summary.json")).expect("a summary");
    let (code, _, stderr) = finish(liprl(["train", text(&run), "--resume", "--steps", "600"]));
    assert_eq!(code, 2, "{stderr}");
    let words = "config.yaml: `agent.gamma` is 0.5, and the checkpoint of step 300 was made with 0.99";
    assert!(stderr.contains(words), "{stderr}");
    assert_eq!(std::fs::read(run.join("summary.json")).expect("a summary"), before, "a refusal changes nothing");
    std::fs::write(&file, good).expect("written");

    let provenance = run.join("provenance.json");
    let made = std::fs::read_to_string(&provenance).expect("provenance");
    let version = format!("\"program_version\": \"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(made.contains(&version), "{made}");
    std::fs::write(&provenance, made.replace(&version, "\"program_version\": \"0.0.7\"")).expect("written");
    let stderr = train_through(&run, &run, &["--resume", "--steps", "600"]);
    assert!(stderr.contains("before step 300: program: was liprl 0.0.7"), "{stderr}");
    let log = std::fs::read_to_string(run.join("run.log")).expect("a log");
    assert!(log.contains("program: was liprl 0.0.7"), "{log}");
    let origin = RunFolder::open(&run).and_then(|folder| folder.provenance()).expect("provenance");
    assert_eq!(origin.program_version, "0.0.7");
    assert!(origin.changes.len() == 1 && origin.changes[0].step == 300, "{:?}", origin.changes);
    train_through(&run, &run, &["--resume", "--steps", "700"]);
    let origin = RunFolder::open(&run).and_then(|folder| folder.provenance()).expect("provenance");
    assert_eq!(origin.changes.len(), 1, "the program is the one of the last resumption");
}

#[test]
fn results_that_cannot_be_written_are_refused_and_leave_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = short_run(folder.path());
    let out = folder.path().join("out.svg");
    std::fs::create_dir(&out).expect("a folder");
    let missing = folder.path().join("none/out.svg");
    for (path, problem) in [(&out, "is a folder; name a file in it"), (&missing, "cannot be written: No such file")] {
        for args in [
            &["plot", text(&run), "--no-lines", "--out", text(path)][..],
            &["eval", text(&run), "--episodes", "1", "--disturb", "uniform:0.1", "--figure", text(path)],
        ] {
            let (code, _, stderr) = finish(liprl(args));
            assert!(code == 1 && stderr.contains(problem) && stderr.contains("out.svg"), "{args:?}: {stderr}");
        }
    }
    let file = folder.path().join("o.svg");
    std::fs::write(folder.path().join(".o.svg.4194305.tmp"), "of a killed process").expect("written");
    let (code, _, stderr) = finish(liprl(["plot", text(&run), "--no-lines", "--out", text(&file)]));
    assert_eq!(code, 0, "{stderr}");
    let hidden = std::fs::read_dir(folder.path()).expect("a folder").flatten();
    let hidden: Vec<_> =
        hidden.map(|entry| entry.file_name()).filter(|name| text(Path::new(name)).starts_with('.')).collect();
    assert!(hidden.is_empty(), "{hidden:?}");
}
