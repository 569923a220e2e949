//! Checkpoints, used as the training loop does.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking; the lint exempts only functions marked #[test]"
)]

use fs_err as fs;
use liprl_logbook::{Checkpoint, Checkpoints, Keep, LogbookError, Provenance, RunFolder};

const LAST_TWO: Keep = Keep { last: 2, best: None };

fn run(place: &tempfile::TempDir) -> RunFolder {
    let provenance = Provenance::collect("0.1.0", ".", &[], 1, None);
    RunFolder::create(place.path().join("run"), "", &provenance).unwrap()
}

/// Saves a checkpoint whose learner is the step in words and whose one replay chunk has `version`.
fn save(checkpoints: &mut Checkpoints, step: u64, version: u64, keep: Keep) -> bool {
    let mut written = false;
    let mut writer = checkpoints.begin(step).unwrap();
    writer.put("learner", format!("learner of {step}").as_bytes()).unwrap();
    writer
        .put_shared("replay-0", version, || {
            written = true;
            format!("chunk {version}").into_bytes()
        })
        .unwrap();
    writer.commit(keep).unwrap();
    written
}

/// Steps of the folders in `checkpoints/`.
fn steps(run: &RunFolder) -> Vec<u64> {
    let names = fs::read_dir(run.checkpoints_path()).unwrap().map(|entry| entry.unwrap().file_name());
    let step = |name: std::ffi::OsString| name.to_str()?.strip_prefix("step_")?.parse().ok();
    let mut steps: Vec<u64> = names.filter_map(step).collect();
    steps.sort_unstable();
    steps
}

/// Version of a part in a checkpoint's manifest.
fn version(checkpoint: &Checkpoint, part: &str) -> Option<u64> {
    let text = fs::read_to_string(checkpoint.path().join("manifest.json")).unwrap();
    serde_json::from_str::<serde_json::Value>(&text).unwrap()["parts"][part]["version"].as_u64()
}

#[test]
fn the_newest_is_found_and_unchanged_chunks_are_written_once() {
    let place = tempfile::tempdir().unwrap();
    let run = run(&place);
    let mut checkpoints = Checkpoints::open(&run);
    assert!(checkpoints.latest_valid().unwrap().is_none());
    assert!(save(&mut checkpoints, 10, 1, LAST_TWO));
    assert!(!save(&mut checkpoints, 20, 1, LAST_TWO));
    assert!(save(&mut checkpoints, 30, 2, LAST_TWO));
    assert_eq!(steps(&run), [20, 30]);
    let mut again = Checkpoints::open(&run);
    let found = again.latest_valid().unwrap().unwrap();
    assert_eq!((found.checkpoint.step(), found.warnings.len()), (30, 0));
    assert_eq!(found.checkpoint.get("learner").unwrap(), b"learner of 30");
    assert_eq!(found.checkpoint.get("replay-0").unwrap(), b"chunk 2");
    assert_eq!(version(&found.checkpoint, "replay-0"), Some(2));
    assert!(matches!(found.checkpoint.get("policy"), Err(LogbookError::BadPart { .. })));
    assert!(!save(&mut again, 40, 2, LAST_TWO), "a resumed run goes on with the chunks it has read");
    assert_eq!(
        fs::read_dir(run.checkpoints_path().join("shared")).unwrap().count(),
        1,
        "chunk 1 is in no checkpoint now"
    );
}

#[test]
fn the_best_stays() {
    let place = tempfile::tempdir().unwrap();
    let run = run(&place);
    let mut checkpoints = Checkpoints::open(&run);
    for step in [10, 20, 30, 40] {
        save(&mut checkpoints, step, step, Keep { last: 2, best: Some(10) });
    }
    assert_eq!(steps(&run), [10, 30, 40]);
    assert_eq!(checkpoints.load(10).unwrap().get("replay-0").unwrap(), b"chunk 10");
    assert!(checkpoints.load(20).is_err());
}
