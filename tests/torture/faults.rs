//! Faults around a run: special files, links, huge files, signals, places that cannot be written.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Tally;
use crate::limits::run;
use crate::runs::{SMALL, small_agent, small_run, start, summary, wait_for_checkpoints, write_config};
use crate::support::{finish, liprl, text};

/// A scenario: the command, the exit codes that are right, and a word of the message.
struct Refusal {
    args: Vec<String>,
    codes: &'static [i32],
    says: &'static str,
}

fn refusal(args: &[&str], codes: &'static [i32], says: &'static str) -> Refusal {
    Refusal { args: args.iter().map(|arg| (*arg).to_owned()).collect(), codes, says }
}

/// Tries each scenario once.
pub(crate) fn faults(folder: &Path) -> Tally {
    let mut tally = Tally::new("faults (special, linked and huge files, limits, signals, unwritable places)");
    let place = folder.join("faults");
    std::fs::create_dir_all(&place).expect("a folder");
    let trained = small_run(&place, &format!("{SMALL}{}", small_agent("sac")), "450");
    for Refusal { args, codes, says } in refusals(&place, &trained) {
        tally.count(run(liprl(&args)).and_then(|end| {
            let right = end.code.is_some_and(|code| codes.contains(&code)) && end.stderr.contains(says);
            let told = || {
                format!("`{}`: ended with {:?}, not {codes:?} and `{says}`: {}", args.join(" "), end.code, end.stderr)
            };
            if right { Ok(()) } else { Err(told()) }
        }));
    }
    for name in ["HUP", "USR1", "USR2", "XCPU", "TERM", "INT"] {
        tally.count(stopped_by(&place, name));
    }
    tally.count(links_in_checkpoints_are_not_followed(&place, &trained));
    tally.count(linked_runs_are_seen(&place, &trained));
    tally
}

/// Commands on files that are not what they should be.
fn refusals(place: &Path, trained: &Path) -> Vec<Refusal> {
    let fifo = place.join("fifo.yaml");
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo runs").success());
    let huge = |name: &str| -> PathBuf {
        let path = place.join(name);
        let file = std::fs::File::create(&path).expect("a file");
        // A hole: it takes no room on the disk.
        file.set_len(64 << 30).expect("a length");
        path
    };
    let config = |name: &str, body: &str| -> PathBuf {
        let path = place.join(name);
        std::fs::write(&path, body).expect("written");
        path
    };
    let imitate = |demonstrations: &Path| {
        format!("env: Pendulum-v1\nsteps: 100\nagent: {{kind: gail, demonstrations: {}}}\n", demonstrations.display())
    };
    let wide = "{hidden: [65536, 65536]}";
    let wide = format!("env: Pendulum-v1\nsteps: 100\nagent: {{kind: sac, actor: {wide}, critic: {wide}}}\n");
    let inside_a_file = config("plain", "").join("run");
    let (fifo, trained) = (text(&fifo), text(trained));
    let keys: String = (0..100_000).map(|i| format!("k{i}: 1\n")).collect();
    let of_fifo = config("of_fifo.yaml", &imitate(Path::new(fifo)));
    let of_zero = config("of_zero.yaml", &imitate(Path::new("/dev/zero")));
    let of_huge = config("of_huge.yaml", &imitate(&huge("huge.hdf5")));
    let small = place.join("small.yaml");
    vec![
        refusal(&["check", fifo], &[1, 2], "fifo.yaml"),
        refusal(&["check", "/dev/zero"], &[1, 2], "/dev/zero"),
        refusal(&["check", text(place)], &[1, 2], "faults"),
        refusal(&["check", text(&huge("huge.yaml"))], &[1, 2], "huge.yaml"),
        refusal(&["sweep", fifo, "--dry-run"], &[1, 2], "fifo.yaml"),
        refusal(&["eval", fifo], &[1, 2], "fifo.yaml"),
        refusal(&["eval", "/dev/zero"], &[1, 2], "/dev/zero"),
        refusal(&["eval", text(&huge("huge.safetensors"))], &[1, 2], "huge.safetensors"),
        refusal(&["demos", "inspect", fifo], &[1, 2], "fifo.yaml"),
        refusal(&["demos", "inspect", "/dev/zero"], &[1, 2], "/dev/zero"),
        refusal(&["demos", "inspect", text(place)], &[1, 2], "faults"),
        refusal(&["train", text(&of_fifo), "--out", text(&place.join("a"))], &[1, 2], "fifo.yaml"),
        refusal(&["train", text(&of_zero), "--out", text(&place.join("b"))], &[1, 2], "/dev/zero"),
        refusal(&["train", text(&of_huge), "--out", text(&place.join("c"))], &[1, 2], "huge.hdf5"),
        refusal(&["train", text(&small), "--out", text(&inside_a_file)], &[1, 2], "plain"),
        refusal(&["train", text(&config("wide.yaml", &wide)), "--out", text(&place.join("d"))], &[2], "memory"),
        refusal(&["check", text(&config("keys.yaml", &keys))], &[2], "unknown key"),
        refusal(&["plot", trained, "--out", "/proc/nowhere/x.svg"], &[1, 2], "/proc/nowhere"),
        refusal(&["plot", trained, "--out", text(place)], &[1, 2], "faults"),
        refusal(&["report", trained, "--out", text(&small)], &[1, 2], "small.yaml"),
        refusal(&["record", trained, "--episodes", "1", "--out", "/proc/nowhere.hdf5"], &[1, 2], "/proc/nowhere"),
        refusal(&["sweep", "status", text(place)], &[1, 2], "faults"),
    ]
}

/// A run that this signal stops leaves a checkpoint and goes on from it.
fn stopped_by(place: &Path, signal: &str) -> Result<(), String> {
    let config = write_config(place, &format!("{SMALL}{}", small_agent("sac")));
    let out = place.join(format!("stopped-{signal}"));
    let mut child = start(&mut crate::runs::train(&config, &out, &["--quiet"]));
    wait_for_checkpoints(&mut child, &out, 300);
    crate::runs::signal(&child, signal);
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    let (status, steps) = (summary(&out)["status"].clone(), summary(&out)["steps"].as_u64());
    let left = out.join(format!("checkpoints/step_{:09}", steps.unwrap_or(0)));
    match output.status.code() {
        // A run that was done already on a slow machine took no notice.
        Some(0) if status == "done" => Ok(()),
        Some(129..) if status == "stopped" && left.is_dir() => Ok(()),
        code => Err(format!("SIG{signal}: ended with {code:?} and status {status}, checkpoint {}", left.display())),
    }
}

/// Links among the checkpoints lead out of the run folder; nothing behind them changes.
fn links_in_checkpoints_are_not_followed(place: &Path, trained: &Path) -> Result<(), String> {
    let (run, outside) = (place.join("linked"), place.join("outside"));
    copy(trained, &run);
    std::fs::create_dir_all(&outside).expect("a folder");
    std::fs::write(outside.join("thesis.tex"), "precious").expect("written");
    for name in ["checkpoints/step_000000001", "checkpoints/.notes", "checkpoints/shared/notes", "checkpoints/notes"] {
        std::fs::create_dir_all(run.join("checkpoints/shared")).expect("a folder");
        symlink(&outside, run.join(name)).expect("a link");
    }
    let (code, _, stderr) = finish(liprl(["train", text(&run), "--resume", "--steps", "900", "--quiet"]));
    let there = std::fs::read_to_string(outside.join("thesis.tex"));
    let alone = std::fs::read_dir(&outside).map_or(0, Iterator::count) == 1;
    if code == 0 && alone && there.is_ok_and(|text| text == "precious") {
        return Ok(());
    }
    Err(format!(
        "links among checkpoints: exit {code}, {}: {stderr}",
        if alone { "outside unchanged" } else { "outside changed" }
    ))
}

/// A tree of links to runs is plotted, and a circle of links ends.
fn linked_runs_are_seen(place: &Path, trained: &Path) -> Result<(), String> {
    let tree = place.join("tree");
    std::fs::create_dir_all(&tree).expect("a folder");
    symlink(trained, tree.join("a")).expect("a link");
    symlink(&tree, tree.join("circle")).expect("a link");
    let out = tree.join("plot.svg");
    let end = run(liprl(["plot", text(&tree), "--no-lines", "--out", text(&out)]))?;
    if end.code == Some(0) && out.is_file() { Ok(()) } else { Err(format!("linked runs: {}", end.stderr)) }
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-r").arg(from).arg(to).status().expect("cp runs").success());
}
