//! Run folders: created, read, locked, rejected.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking; the lint exempts only functions marked #[test]"
)]

use std::time::{Duration, Instant};

use fs_err as fs;
use liprl_logbook::{LogbookError, Provenance, RunFolder, RunSummary, Status};

fn provenance() -> Provenance {
    Provenance::collect("0.1.0", concat!(env!("CARGO_MANIFEST_DIR"), "/.."), &[("libtorch", "2.11.0")], 1, None)
}

#[test]
fn created_then_read() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("experiment/variant/seed-0");
    let provenance = provenance();
    let run = RunFolder::create(&path, "env: Pendulum-v1\n", &provenance).unwrap();
    assert_eq!(run.path(), path.canonicalize().unwrap());
    let reader = RunFolder::open(&path).unwrap();
    assert_eq!(reader.config().unwrap(), "env: Pendulum-v1\n");
    assert_eq!(reader.provenance().unwrap(), provenance);
    assert_eq!(reader.summary().unwrap().status, Status::Running);
    let failed = RunSummary {
        status: Status::Failed { reason: "critic loss is NaN".to_owned() },
        steps: 12,
        best_return: Some(-1.5),
        best_step: Some(10),
        ..RunSummary::default()
    };
    run.write_summary(&failed).unwrap();
    assert_eq!(reader.summary().unwrap(), failed);
    let json: serde_json::Value = serde_json::from_slice(&fs::read(path.join("summary.json")).unwrap()).unwrap();
    assert_eq!((json["status"].as_str(), json["reason"].as_str()), (Some("failed"), Some("critic loss is NaN")));
    run.append_log("started\nin two lines").unwrap();
    run.append_log("went on").unwrap();
    let log = fs::read_to_string(path.join("run.log")).unwrap();
    assert_eq!(
        log.lines().map(|l| l.split_once(' ').unwrap().1).collect::<Vec<_>>(),
        ["started", " in two lines", "went on"]
    );
    let hidden = fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(hidden, 1, "nothing temporary is left beside the run");
}

#[test]
fn a_folder_with_something_in_it_is_left_alone() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("run");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("config.yaml"), "mine").unwrap();
    let refused = RunFolder::create(&path, "env: X\n", &provenance());
    assert!(matches!(refused, Err(LogbookError::NotEmpty { .. })), "{refused:?}");
    assert_eq!(fs::read_to_string(path.join("config.yaml")).unwrap(), "mine");
    let refused = RunFolder::create(path.join("config.yaml"), "env: X\n", &provenance());
    assert!(matches!(refused, Err(LogbookError::NotEmpty { .. })), "{refused:?}");
    fs::remove_file(path.join("config.yaml")).unwrap();
    RunFolder::create(&path, "env: X\n", &provenance()).unwrap();
    assert!(matches!(RunFolder::create(&path, "", &provenance()), Err(LogbookError::NotEmpty { .. })));
}

#[test]
fn one_writer_at_a_time() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("run");
    let first = RunFolder::create(&path, "", &provenance()).unwrap();
    match RunFolder::open_for_writing(&path) {
        Err(LogbookError::Locked { holder, .. }) => {
            assert_eq!(holder, format!("{} on {}", std::process::id(), provenance().host));
        }
        other => panic!("{other:?}"),
    }
    RunFolder::open(&path).unwrap();
    drop(first);
    // A program that another test starts now holds a copy of the lock from its fork to its exec.
    let deadline = Instant::now() + Duration::from_secs(3600);
    while let Err(error) = RunFolder::open_for_writing(&path) {
        assert!(matches!(error, LogbookError::Locked { .. }) && Instant::now() < deadline, "{error}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_writer_counts_as_gone_on_its_own_host_alone() {
    let place = tempfile::tempdir().unwrap();
    let here = provenance().host;
    // Nobody holds these locks. An older program's lock has no host; the run's first host counts.
    for (begun_on, lock, gone) in [
        (&*here, format!("4194305 on {here}"), true),
        ("elsewhere", format!("4194305 on {here}"), true),
        (&*here, "4194305 on elsewhere".to_owned(), false),
        // The number is another process' by now.
        (&*here, format!("{} on {here}", std::process::id()), true),
        (&*here, "4194305".to_owned(), true),
        ("elsewhere", "4194305".to_owned(), false),
        (&*here, String::new(), true),
        ("elsewhere", String::new(), false),
    ] {
        let path = place.path().join("run");
        let begun = Provenance { host: begun_on.to_owned(), ..provenance() };
        drop(RunFolder::create(&path, "", &begun).unwrap());
        fs::write(path.join(".lock"), &lock).unwrap();
        let reader = RunFolder::open(&path).unwrap();
        // A process that another test starts has the writer's lock from its fork to its exec.
        (0..1000).find(|_| {
            std::thread::sleep(std::time::Duration::from_millis(1));
            reader.is_locked() == Some(false)
        });
        assert_eq!(reader.writer_is_gone(), gone, "begun on {begun_on}, `{lock}`");
        assert_eq!(reader.is_locked(), Some(false));
        let writer = RunFolder::open_for_writing(&path).unwrap();
        assert_eq!((reader.writer_is_gone(), reader.is_locked()), (false, Some(true)));
        drop(writer);
        fs::remove_dir_all(&path).unwrap();
    }
}

#[test]
fn other_folders_and_other_formats_are_named() {
    let place = tempfile::tempdir().unwrap();
    let message = |path: &std::path::Path| RunFolder::open(path).unwrap_err().to_string();
    assert!(message(&place.path().join("none")).contains("no such folder"));
    assert!(message(place.path()).contains("no provenance.json"));
    let path = place.path().join("run");
    drop(RunFolder::create(&path, "", &provenance()).unwrap());
    let file = path.join("provenance.json");
    let text = fs::read_to_string(&file).unwrap();
    for (stored, expected) in
        [("99", "format 99 by liprl 0.1.0, and this program reads format 1"), ("0", "format 0 by liprl 0.1.0")]
    {
        fs::write(&file, text.replacen("\"format_version\": 1", &format!("\"format_version\": {stored}"), 1)).unwrap();
        assert!(message(&path).contains(expected), "{}", message(&path));
    }
    fs::write(&file, &text[..text.len() / 2]).unwrap();
    assert!(matches!(RunFolder::open(&path), Err(LogbookError::Damaged { .. })));
}

#[test]
fn provenance_knows_this_process() {
    let p = provenance();
    assert_eq!(p.command_line[0], std::env::args().next().unwrap());
    assert_eq!(p.libraries["libtorch"], "2.11.0");
    assert!(p.cores >= 1 && !p.cpu.is_empty() && p.started.ends_with('Z'));
    let head = std::process::Command::new("git").args(["rev-parse", "HEAD"]).output().unwrap();
    let in_git = fs::metadata(concat!(env!("CARGO_MANIFEST_DIR"), "/../.git")).is_ok();
    assert_eq!(p.git_commit.is_some(), in_git);
    if let Some(commit) = p.git_commit {
        assert_eq!(commit, String::from_utf8(head.stdout).unwrap().trim());
    }
    let elsewhere = tempfile::tempdir().unwrap();
    assert_eq!(Provenance::collect("0", elsewhere.path(), &[], 1, None).git_commit, None);
}

#[test]
fn temporaries_of_killed_processes_are_removed_by_the_next() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("run");
    // No process has a number as high as 4194305; our own number may have been another's before.
    for process in [4_194_305, std::process::id()] {
        let left = place.path().join(format!(".run.{process}.tmp"));
        fs::create_dir_all(left.join("checkpoints")).unwrap();
        fs::write(left.join("config.yaml"), "half").unwrap();
    }
    fs::write(place.path().join(".other.4194305.tmp"), "of another program").unwrap();
    drop(RunFolder::create(&path, "", &provenance()).unwrap());
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2, "the run and the other program's file");
    fs::write(path.join(".summary.json.4194305.tmp"), "half").unwrap();
    let before = fs::read_dir(&path).unwrap().count();
    drop(RunFolder::open_for_writing(&path).unwrap());
    assert_eq!(fs::read_dir(&path).unwrap().count(), before - 1);
}

#[cfg(unix)]
#[test]
fn links_and_special_files_in_a_run_folder_are_not_written_through() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("run");
    let victim = place.path().join("thesis.tex");
    fs::write(&victim, "precious").unwrap();
    let run = RunFolder::create(&path, "", &provenance()).unwrap();
    let link = |name: &str| {
        let _ = fs::remove_file(path.join(name));
        std::os::unix::fs::symlink(&victim, path.join(name)).unwrap();
    };
    link("run.log");
    assert!(run.append_log("x").unwrap_err().to_string().contains("run.log`: it is a symbolic link"));
    for name in ["summary.json", "config.yaml", "provenance.json"] {
        link(name);
    }
    run.write_summary(&RunSummary::default()).unwrap();
    run.write_config("env: X\n").unwrap();
    run.write_provenance(&provenance()).unwrap();
    drop(run);
    link(".lock");
    let refused = RunFolder::open_for_writing(&path).unwrap_err().to_string();
    assert!(refused.contains(".lock`: it is a symbolic link"), "{refused}");
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");

    for name in ["summary.json", "config.yaml", "provenance.json"] {
        fs::remove_file(path.join(name)).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(path.join(name)).status().unwrap().success());
    }
    let refused = RunFolder::open(&path).unwrap_err().to_string();
    assert!(refused.contains("provenance.json`: it is a pipe"), "{refused}");
}

#[test]
fn a_resumption_by_another_program_is_noted() {
    let mut recorded = provenance();
    assert_eq!(recorded.resume(&provenance(), 5), Vec::<String>::new());
    assert!(recorded.changes.is_empty());
    let newer = Provenance { program_version: "0.2.0".to_owned(), ..provenance() };
    let told = recorded.resume(&newer, 20);
    assert!(told.len() == 1 && told[0].contains("liprl 0.1.0") && told[0].contains("now liprl 0.2.0"), "{told:?}");
    assert_eq!(recorded.resume(&newer, 30), Vec::<String>::new());
    assert_eq!(recorded.changes.iter().map(|change| change.step).collect::<Vec<_>>(), [20]);
    let text = serde_json::to_string(&recorded).unwrap();
    assert_eq!(serde_json::from_str::<Provenance>(&text).unwrap(), recorded);
    // Older programs noted none.
    let mut older: serde_json::Value = serde_json::from_str(&text).unwrap();
    older.as_object_mut().unwrap().retain(|key, _| key != "changes");
    let mut older: Provenance = serde_json::from_value(older).unwrap();
    assert_eq!(older.resume(&provenance(), 5), Vec::<String>::new());
}
