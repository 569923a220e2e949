//! Logs under interruptions, full disks and removed folders.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking; the lint exempts only functions marked #[test]"
)]

use std::path::{Path, PathBuf};

use fs_err as fs;
use liprl_logbook::tensorboard::Records;
use liprl_logbook::{HParam, LogPosition, Logger, LoggerOptions, Provenance, RunFolder, Status, read_series};

fn run(place: &Path, name: &str) -> RunFolder {
    RunFolder::create(place.join(name), "", &Provenance::collect("0.1.0", ".", &[], 1, None)).unwrap()
}

fn begin(logger: &mut Logger) {
    logger.hparams(None, &[("agent.kind".to_owned(), HParam::Text("sac".to_owned()))]);
    logger.text(0, "config", "env: X\n");
}

fn log(logger: &mut Logger, steps: std::ops::Range<u64>) {
    for step in steps {
        let x = step as f64;
        logger.scalars(step, x / 8.0, &[("train/loss", x.sin()), ("train/odd", if step == 70 { f64::NAN } else { x })]);
        if step % 10 == 0 {
            logger.histogram(step, "weights", &[x as f32, 1.0, 2.0]);
        }
    }
}

fn event_files(run: &RunFolder) -> Vec<PathBuf> {
    let names = fs::read_dir(run.path()).unwrap().map(|e| e.unwrap().path());
    names.filter(|p| p.file_name().unwrap().to_string_lossy().contains("tfevents")).collect()
}

/// Records of the run's one event file, without times.
fn events(run: &RunFolder) -> Vec<Vec<u8>> {
    let files = event_files(run);
    assert_eq!(files.len(), 1, "{files:?}");
    let records: Result<Vec<_>, _> = Records::new(&fs::read(&files[0]).unwrap()[..]).collect();
    let records = records.unwrap();
    // The wall time is field 1, a double, so it stands in bytes 1 to 9; a session's start and end
    // repeat it in their metadata.
    let without_clock = |r: Vec<u8>| if r.windows(7).any(|w| w == b"hparams") { Vec::new() } else { r[9..].to_vec() };
    records.into_iter().map(without_clock).collect()
}

fn assert_same_logs(a: &RunFolder, b: &RunFolder) {
    assert_eq!(fs::read_to_string(a.metrics_path()).unwrap(), fs::read_to_string(b.metrics_path()).unwrap());
    assert_eq!(events(a), events(b));
}

#[test]
fn logs_of_a_resumed_run_equal_those_of_one_never_stopped() {
    let place = tempfile::tempdir().unwrap();
    let whole = run(place.path(), "whole");
    let mut logger = Logger::create(&whole, LoggerOptions::default());
    begin(&mut logger);
    log(&mut logger, 0..100);
    logger.finish(&Status::Done);
    assert_eq!(events(&whole).len(), 1 + 2 + 100 + 10 + 1);

    for flushed in [false, true] {
        let killed = run(place.path(), &format!("killed-{flushed}"));
        let mut logger = Logger::create(&killed, LoggerOptions::default());
        begin(&mut logger);
        log(&mut logger, 0..40);
        let position = logger.position();
        assert_eq!(position.metrics_bytes, fs::metadata(killed.metrics_path()).unwrap().len());
        log(&mut logger, 40..77);
        if flushed {
            logger.flush();
        }
        std::mem::forget(logger);
        let stored: LogPosition = serde_json::from_str(&serde_json::to_string(&position).unwrap()).unwrap();
        let mut logger = Logger::resume(&killed, &stored, LoggerOptions::default());
        log(&mut logger, 40..60);
        let position = logger.position();
        log(&mut logger, 60..65);
        drop(logger);
        let mut logger = Logger::resume(&killed, &position, LoggerOptions::default());
        log(&mut logger, 60..100);
        logger.finish(&Status::Done);
        assert_eq!(logger.take_warnings().len(), 1, "the NaN of step 70");
        assert_same_logs(&killed, &whole);
    }
}

#[test]
fn a_run_killed_before_its_first_checkpoint_starts_its_logs_again() {
    let place = tempfile::tempdir().unwrap();
    let (whole, killed) = (run(place.path(), "whole"), run(place.path(), "killed"));
    fs::write(killed.path().join("events.out.tfevents.1.elsewhere"), "another program's").unwrap();
    for (folder, steps) in [(&whole, 0..20), (&killed, 0..13)] {
        let mut logger = Logger::create(folder, LoggerOptions::default());
        begin(&mut logger);
        log(&mut logger, steps);
    }
    let mut logger = Logger::resume(&killed, &LogPosition::default(), LoggerOptions::default());
    begin(&mut logger);
    log(&mut logger, 0..20);
    drop(logger);
    fs::remove_file(killed.path().join("events.out.tfevents.1.elsewhere")).unwrap();
    assert_same_logs(&killed, &whole);
}

#[test]
fn turning_a_log_off_changes_nothing_else() {
    let place = tempfile::tempdir().unwrap();
    let (both, metrics, events_only) =
        (run(place.path(), "both"), run(place.path(), "metrics"), run(place.path(), "events"));
    for (folder, options) in [
        (&both, LoggerOptions { metrics: true, tensorboard: true }),
        (&metrics, LoggerOptions { metrics: true, tensorboard: false }),
        (&events_only, LoggerOptions { metrics: false, tensorboard: true }),
    ] {
        let mut logger = Logger::create(folder, options);
        begin(&mut logger);
        log(&mut logger, 0..20);
        let position = logger.position();
        log(&mut logger, 20..25);
        drop(logger);
        log(&mut Logger::resume(folder, &position, options), 20..40);
    }
    assert_eq!(fs::read(both.metrics_path()).unwrap(), fs::read(metrics.metrics_path()).unwrap());
    assert_eq!(event_files(&metrics), Vec::<PathBuf>::new());
    assert_eq!(events(&both), events(&events_only));
    assert!(!events_only.metrics_path().exists());
}

#[test]
fn logs_that_lost_their_end_resume_after_their_last_whole_entry() {
    let place = tempfile::tempdir().unwrap();
    let run = run(place.path(), "run");
    let mut logger = Logger::create(&run, LoggerOptions::default());
    log(&mut logger, 0..40);
    let position = logger.position();
    drop(logger);
    for path in [run.metrics_path(), event_files(&run).remove(0)] {
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
    }
    let mut logger = Logger::resume(&run, &position, LoggerOptions::default());
    log(&mut logger, 40..50);
    assert_eq!(logger.take_warnings().iter().filter(|w| w.contains("shorter than at the checkpoint")).count(), 2);
    drop(logger);
    let steps = read_series(run.metrics_path(), "train/loss").unwrap().steps;
    assert_eq!(steps, (0..39).chain(40..50).collect::<Vec<_>>());
    assert_eq!(events(&run).len(), 1 + 39 + 4 + 10 + 1);

    fs::remove_file(run.metrics_path()).unwrap();
    fs::remove_file(event_files(&run).remove(0)).unwrap();
    let mut logger = Logger::resume(&run, &position, LoggerOptions::default());
    log(&mut logger, 50..60);
    assert_eq!(logger.take_warnings().iter().filter(|w| w.contains("begun anew")).count(), 2);
    drop(logger);
    assert_eq!(read_series(run.metrics_path(), "train/loss").unwrap().steps.len(), 10);
    assert_eq!(events(&run).len(), 1 + 10 + 1);
}

#[test]
fn a_removed_folder_is_reported_once_and_not_created_again() {
    let place = tempfile::tempdir().unwrap();
    let run = run(place.path(), "run");
    let mut logger = Logger::create(&run, LoggerOptions::default());
    log(&mut logger, 0..10);
    logger.flush();
    assert_eq!(logger.take_warnings(), Vec::<String>::new());
    fs::remove_dir_all(run.path()).unwrap();
    log(&mut logger, 10..20);
    logger.flush();
    let warnings = logger.take_warnings();
    assert!(warnings.len() == 2 && warnings.iter().all(|w| w.contains("was removed")), "{warnings:?}");
    log(&mut logger, 20..30);
    logger.position();
    logger.finish(&Status::Done);
    assert_eq!(logger.take_warnings(), Vec::<String>::new());
    drop(logger);
    assert!(!run.path().exists());
}

#[cfg(unix)]
#[test]
fn a_log_that_is_a_link_or_a_pipe_stops_nothing_and_is_not_written() {
    let place = tempfile::tempdir().unwrap();
    for kind in ["link", "pipe"] {
        let run = run(place.path(), kind);
        if kind == "link" {
            std::os::unix::fs::symlink(place.path().join("outside"), run.metrics_path()).unwrap();
        } else {
            assert!(std::process::Command::new("mkfifo").arg(run.metrics_path()).status().unwrap().success());
        }
        let mut logger = Logger::create(&run, LoggerOptions::default());
        log(&mut logger, 0..65);
        logger.flush();
        let warnings = logger.take_warnings();
        assert!(warnings.len() == 1 && warnings[0].contains("goes on without this log"), "{warnings:?}");
        drop(logger);
        assert_eq!(events(&run).len(), 1 + 65 + 7, "the other log has everything");
    }
    assert!(!place.path().join("outside").exists());
}
