//! Damaged files of every format that the program reads.

use std::path::{Path, PathBuf};
use std::process::Command;

use liprl_numerics::StreamRng;
use rand::RngExt;

use crate::Tally;
use crate::damage::damage;
use crate::limits::run;
use crate::runs::{SMALL, small_agent, small_run};
use crate::support::{liprl, root, yaml_files};

/// A format: files to damage and the commands that then read them.
struct Format {
    name: &'static str,
    /// The folder that is copied for each case, and the files in it of which one is damaged.
    folder: PathBuf,
    files: Vec<PathBuf>,
    /// Commands for the copied folder and the damaged file.
    commands: fn(&Path, &Path) -> Vec<Vec<String>>,
}

/// Damages `count` files of each format and runs the commands that read them.
pub(crate) fn damaged(folder: &Path, count: usize, rng: &mut StreamRng) -> Vec<Tally> {
    formats(&folder.join("originals")).into_iter().map(|format| of_format(&format, folder, count, rng)).collect()
}

fn of_format(format: &Format, folder: &Path, count: usize, rng: &mut StreamRng) -> Tally {
    let mut tally = Tally::new(format!("damaged files: {}", format.name));
    for case in 0..count {
        let copy = folder.join("damaged");
        copy_folder(&format.folder, &copy);
        let file = &format.files[rng.random_range(0..format.files.len())];
        let victim = copy.join(file);
        let mut bytes = std::fs::read(&victim).expect("the original is there");
        let how = damage(&mut bytes, rng);
        std::fs::write(&victim, &bytes).expect("written");
        for words in (format.commands)(&copy, &victim) {
            tally.count(read_well(liprl(&words), &victim).map_err(|problem| {
                format!("case {case}, {how} in {}: `{}`: {problem}", file.display(), words.join(" "))
            }));
        }
        std::fs::remove_dir_all(&copy).expect("removed");
    }
    tally
}

/// The command succeeds, or fails with a message that names the file or its folder.
fn read_well(command: Command, victim: &Path) -> Result<(), String> {
    let end = run(command)?;
    match end.code {
        Some(0) => Ok(()),
        Some(1 | 2) => {
            let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
            let names = [name(victim), victim.parent().and_then(name)];
            let named = names.into_iter().flatten().any(|name| end.stderr.contains(&name));
            if named { Ok(()) } else { Err(format!("the message names no file: {}", end.stderr)) }
        }
        code => Err(format!("ended with {code:?}: {}", end.stderr)),
    }
}

fn words(all: &[&dyn AsRef<Path>]) -> Vec<String> {
    all.iter().map(|word| word.as_ref().to_string_lossy().into_owned()).collect()
}

/// Makes the originals.
fn formats(folder: &Path) -> Vec<Format> {
    std::fs::create_dir_all(folder).expect("a folder");
    let run = small_run(folder, &format!("{SMALL}{}", small_agent("sac")), "450");
    let one_step = folder.join("one_step");
    std::fs::create_dir_all(&one_step).expect("a folder");
    let succeed = |args: &[String]| {
        let end = run_through(args);
        assert!(end.0, "{}: {}", args.join(" "), end.1);
    };
    let demos = one_step.join("demos.hdf5");
    succeed(&words(&[&"record", &run, &"--episodes", &"2", &"--out", &demos]));
    let newest = run.join("checkpoints/step_000000450");
    std::fs::copy(newest.join("policy.safetensors"), one_step.join("policy.safetensors")).expect("copied");
    let sweep = folder.join("sweep");
    std::fs::create_dir_all(&sweep).expect("a folder");
    std::fs::copy(folder.join("small.yaml"), sweep.join("small.yaml")).expect("copied");
    std::fs::write(
        sweep.join("sweep.yaml"),
        "base: small.yaml\nexperiment: torture\nseeds: [0, 1]\nset: {steps: 210}\naxes: {agent.gamma: [0.9, 0.99]}\n",
    )
    .expect("written");
    succeed(&words(&[&"sweep", &sweep.join("sweep.yaml"), &"--out", &sweep.join("runs"), &"--jobs", &"2"]));
    let configs = folder.join("configs");
    copy_folder(&root().join("configs"), &configs);
    let below = |folder: &Path, all: Vec<PathBuf>| -> Vec<PathBuf> {
        all.into_iter().map(|path| path.strip_prefix(folder).expect("below").to_owned()).collect()
    };
    let trains: Vec<PathBuf> = ["sac", "td3", "liayn", "mbrl", "feedback"]
        .iter()
        .flat_map(|kind| yaml_files(&configs.join(kind)))
        .filter(|path| !["ant", "humanoid"].iter().any(|task| path.to_string_lossy().contains(task)))
        .collect();
    let sweeps: Vec<PathBuf> = yaml_files(&configs.join("ablations"));
    let parts = files_in(&newest).into_iter().filter(|part| part.extension().is_some()).collect();
    let events = files_in(&run).into_iter().filter(|path| path.to_string_lossy().contains("events.out")).collect();
    let named = |names: &[&str]| names.iter().map(|name| run.join(name)).collect::<Vec<_>>();
    vec![
        Format {
            name: "configs (YAML)",
            files: below(&configs, trains),
            folder: configs.clone(),
            commands: |_, file| vec![words(&[&"check", &file])],
        },
        Format {
            name: "sweeps (YAML)",
            files: below(&configs, sweeps),
            folder: configs,
            commands: |copy, file| vec![words(&[&"sweep", &file, &"--dry-run", &"--out", &copy.join("runs")])],
        },
        Format {
            name: "demonstrations (HDF5)",
            files: below(&one_step, vec![demos]),
            folder: one_step.clone(),
            commands: |_, file| vec![words(&[&"demos", &"inspect", &file])],
        },
        Format {
            name: "policies (safetensors)",
            files: vec![PathBuf::from("policy.safetensors")],
            folder: one_step,
            commands: |_, file| {
                vec![words(&[&"eval", &file, &"--episodes", &"1"]), words(&[&"certify", &file, &"--time-limit", &"1"])]
            },
        },
        Format {
            name: "checkpoints (safetensors, binary, JSON)",
            files: below(&run, parts),
            folder: run.clone(),
            commands: |copy, _| vec![words(&[&"train", &copy, &"--resume", &"--steps", &"500", &"--quiet"])],
        },
        Format {
            name: "logs (metrics.jsonl, summary.json, provenance.json, config.yaml)",
            files: below(&run, named(&["metrics.jsonl", "summary.json", "provenance.json", "config.yaml"])),
            folder: run.clone(),
            commands: |copy, _| {
                vec![
                    words(&[&"plot", &copy, &"--no-lines", &"--out", &copy.join("plot.svg")]),
                    words(&[&"report", &copy, &"--out", &copy.join("report")]),
                ]
            },
        },
        Format {
            name: "sweep locks (JSON)",
            files: vec![PathBuf::from("runs/sweep.lock.json")],
            folder: sweep,
            commands: |copy, _| {
                vec![
                    words(&[&"sweep", &"status", &copy.join("runs")]),
                    words(&[&"report", &copy.join("runs"), &"--out", &copy.join("report")]),
                ]
            },
        },
        Format {
            name: "event files (TensorBoard)",
            files: below(&run, events),
            folder: run,
            commands: |copy, file| {
                // Without its other logs the run is a peer's.
                std::fs::remove_file(copy.join("metrics.jsonl")).expect("removed");
                let peer = format!("P={}::eval/return_mean", file.parent().unwrap_or(copy).display());
                vec![words(&[&"plot", &"--peer", &peer, &"--no-lines", &"--out", &copy.join("plot.svg")])]
            },
        },
    ]
}

fn run_through(args: &[String]) -> (bool, String) {
    let (code, _, stderr) = crate::support::finish(liprl(args));
    (code == 0, stderr)
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.is_file()).collect();
    files.sort();
    files
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let copy = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_folder(&path, &copy);
        } else {
            std::fs::copy(&path, &copy).expect("copied");
        }
    }
}
