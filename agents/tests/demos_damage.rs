//! Two hundred damaged files for each reader: no panic, no hang, less than 1 GB, and errors that name the
//! file and a place in it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop here")]

mod demos_support;

use std::{
    panic::catch_unwind,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use demos_support::{pendulum, program, python, python_of};
use liprl_agents::demos::{DemonstrationsConfig, DemonstrationsFile};
use serde_json::json;

/// Files of each layout.
const COUNT: usize = 200;
/// Kilobytes of data that the reading process may have.
const KILOBYTES: usize = 1 << 20;
/// Time after which the reading process hangs. It takes seconds.
const PATIENCE: Duration = Duration::from_secs(500);
/// The folder that the reading process is given.
const FOLDER: &str = "LIPRL_DAMAGED";

/// Words of which each error has one: a place in the file, or what is wrong with it as a whole.
const PLACES: [&str; 17] = [
    "episode",
    "data",
    "demo_",
    "mask",
    "observations:",
    "actions:",
    "rewards:",
    "terminals:",
    "timeouts:",
    "metadata",
    "attribute",
    "the list of its groups",
    "is not a readable HDF5 file",
    "is cut off",
    "has neither a group",
    "its observation space",
    "its action space",
];

#[test]
fn damaged_files_of_minari() {
    let folder = tempfile::tempdir().unwrap();
    python(folder.path(), &json!({"work": "make", "name": "pendulum-v0"}));
    survives(&folder.path().join("pendulum-v0"), 60);
}

#[test]
fn damaged_files_of_minari_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let request = json!({"work": "collect", "name": "walk-v0", "space": "sorted"});
    python_of("demos_formats.py", folder.path(), &request);
    survives(&folder.path().join("walk-v0"), 60);
}

#[test]
fn damaged_files_of_liprl() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ours.hdf5");
    pendulum(2).write(&path).unwrap();
    survives(&path, 60);
}

#[test]
fn damaged_files_of_d4rl() {
    for missing in [&[][..], &["next_observations", "timeouts"]] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flat.hdf5");
        let request = json!({"work": "flat", "path": path, "seed": 0, "missing": missing, "limit": 8});
        python_of("demos_formats.py", folder.path(), &request);
        survives(&path, 60);
    }
}

#[test]
fn damaged_files_of_robomimic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("low_dim.hdf5");
    python_of("demos_formats.py", folder.path(), &json!({"work": "robomimic", "path": path, "next_obs": true}));
    survives(&path, 60);
}

/// Damages copies of a sound file or folder and reads them in a process of its own, whose memory is
/// limited. At least `refused` of them are refused.
fn survives(sound: &Path, refused: usize) {
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/demos_damage.py");
    let made =
        Command::new(program()).arg(script).arg(sound).arg(folder.path()).arg(COUNT.to_string()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));

    let limited =
        format!("ulimit -d {KILOBYTES} && exec \"$0\" --exact reads_all --ignored --nocapture --test-threads 1");
    let mut child = Command::new("sh")
        .args(["-c", &limited])
        .arg(std::env::current_exe().unwrap())
        .env(FOLDER, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = child.stdout.take().unwrap();
    let lines = std::thread::spawn(|| std::io::read_to_string(output).unwrap());
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if started.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("the reader hangs, after:\n{}", lines.join().unwrap());
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let lines = lines.join().unwrap();
    assert!(status.success(), "{status}: {lines}");
    let errors: Vec<&str> = lines.lines().filter_map(|line| line.strip_prefix("refused: ")).collect();
    assert!(lines.contains(&format!("read all {COUNT}")) && errors.len() >= refused, "{lines}");
    for error in errors {
        let (_, words) = error.split_once("case-").unwrap_or_else(|| panic!("names no file: {error}"));
        let (_, words) = words.split_once(": ").unwrap_or_else(|| panic!("names no place: {error}"));
        assert!(PLACES.iter().any(|place| words.contains(place)), "names no place: {error}");
    }
}

/// The reading process of `survives`.
#[test]
#[ignore = "reads the folder that another test damages"]
fn reads_all() {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(std::env::var_os(FOLDER).unwrap()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in &files {
        println!("reads {}", file.display());
        for skip_bad_episodes in [false, true] {
            let config = DemonstrationsConfig::Settings(DemonstrationsFile {
                file: file.clone(),
                skip_bad_episodes,
                ..DemonstrationsFile::default()
            });
            let read = catch_unwind(|| config.read(None)).unwrap_or_else(|_| panic!("{}: panics", file.display()));
            if let Err(error) = read {
                println!("refused: {}", error.to_string().replace('\n', " "));
            }
        }
    }
    println!("read all {}", files.len());
}
