//! Checkpoints under kills at every file operation, and damage to every byte.

use std::collections::BTreeSet;

use fs_err as fs;

use super::*;
use crate::disk::fault;
use crate::provenance::Provenance;
use crate::summary::{RunSummary, Status};

const KEEP: Keep = Keep { last: 2, best: None };

/// Bytes of a part at a step; a chunk's depend on its version only. `life` distinguishes the steps
/// of a resumed run from those given up.
fn learner(step: u64, life: &str) -> Vec<u8> {
    format!("learner of step {step}, {life}").into_bytes()
}

fn chunk(index: u64, version: u64, life: &str) -> Vec<u8> {
    format!("chunk {index} version {version}, {life}").into_bytes()
}

fn new_run(place: &tempfile::TempDir) -> RunFolder {
    RunFolder::create(place.path().join("run"), "", &Provenance::collect("0", ".", &[], 1, None)).unwrap()
}

/// Saves a checkpoint. Chunk 0 never changes; chunk 1 changes with each checkpoint. Its version is
/// the step, or one more to replace that checkpoint.
fn save(checkpoints: &mut Checkpoints, step: u64, life: &str) -> Result<Vec<String>, LogbookError> {
    let mut writer = checkpoints.begin(step)?;
    writer.put("learner.safetensors", &learner(step, life))?;
    writer.put_shared("replay-0", 1, || chunk(0, 1, "first"))?;
    let version = step + u64::from(life == "replaced");
    writer.put_shared("replay-1", version, || chunk(1, step, life))?;
    writer.put("counters.json", b"{}")?;
    writer.commit(KEEP)
}

fn assert_is(checkpoint: &Checkpoint, step: u64, life: &str) {
    assert_eq!(checkpoint.step(), step);
    assert_eq!(checkpoint.names().count(), 4);
    assert_eq!(checkpoint.get("learner.safetensors").unwrap(), learner(step, life));
    assert_eq!(checkpoint.get("replay-0").unwrap(), chunk(0, 1, "first"));
    assert_eq!(checkpoint.get("replay-1").unwrap(), chunk(1, step, life));
    assert_eq!(checkpoint.get("counters.json").unwrap(), b"{}");
}

/// Names in a folder.
fn listed(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

/// Saves `step` over checkpoints of 10 and 20, killed after every possible number of file
/// operations. Each time the old one or the new one is found whole. A run that resumes from it
/// leaves nothing of the accident behind.
fn killed_everywhere(step: u64) {
    let mut killed_with = BTreeSet::new();
    for operations in 0.. {
        let place = tempfile::tempdir().unwrap();
        let run = new_run(&place);
        let mut checkpoints = Checkpoints::open(&run);
        save(&mut checkpoints, 10, "first").unwrap();
        save(&mut checkpoints, 20, "first").unwrap();
        fault::set(Some(operations));
        let finished = save(&mut checkpoints, step, "replaced").is_ok_and(|warnings| warnings.is_empty());
        fault::set(None);

        let mut checkpoints = Checkpoints::open(&run);
        let found = checkpoints.latest_valid().unwrap().unwrap();
        assert_eq!(found.warnings, Vec::<String>::new(), "after {operations} operations");
        if found.checkpoint.get("learner.safetensors").unwrap() == learner(step, "replaced") {
            assert_is(&found.checkpoint, step, "replaced");
            killed_with.insert("the new one in place");
        } else {
            assert!(!finished);
            killed_with.insert("only the old ones");
            assert_is(&found.checkpoint, 20, "first");
        }
        save(&mut checkpoints, 40, "third").unwrap();
        assert_is(&checkpoints.latest_valid().unwrap().unwrap().checkpoint, 40, "third");
        let newest = found.checkpoint.path().file_name().unwrap().to_string_lossy().into_owned();
        assert_eq!(
            listed(&checkpoints.root),
            BTreeSet::from([newest, "step_000000040".to_owned(), "shared".to_owned()])
        );
        assert_eq!(listed(&checkpoints.root.join("shared")).len(), 3, "chunk 0, and chunk 1 twice");
        if finished {
            assert_eq!(killed_with.len(), 2, "{killed_with:?} after {operations} operations");
            return;
        }
    }
}

#[test]
fn a_kill_during_a_new_checkpoint() {
    killed_everywhere(30);
}

#[test]
fn a_kill_while_a_checkpoint_is_replaced_by_one_of_the_same_step() {
    killed_everywhere(20);
}

#[test]
fn a_kill_during_the_very_first_checkpoint() {
    for operations in 0.. {
        let place = tempfile::tempdir().unwrap();
        let run = new_run(&place);
        fault::set(Some(operations));
        let finished = save(&mut Checkpoints::open(&run), 10, "first").is_ok_and(|warnings| warnings.is_empty());
        fault::set(None);
        match Checkpoints::open(&run).latest_valid().unwrap() {
            Some(found) => assert_is(&found.checkpoint, 10, "first"),
            None => assert!(!finished),
        }
        save(&mut Checkpoints::open(&run), 10, "second").unwrap();
        let found = Checkpoints::open(&run).latest_valid().unwrap().unwrap();
        assert_is(&found.checkpoint, 10, "second");
        if finished {
            return;
        }
    }
}

/// Files of the newest checkpoint that the one before it does not share.
fn own_files(root: &Path) -> Vec<PathBuf> {
    let newest = root.join("step_000000020");
    let mut files: Vec<PathBuf> = listed(&newest).iter().map(|name| newest.join(name)).collect();
    files.extend(
        listed(&root.join("shared"))
            .iter()
            .filter(|n| n.starts_with("replay-1-v20"))
            .map(|n| root.join("shared").join(n)),
    );
    assert_eq!(files.len(), 4);
    files
}

/// Checks that the newest checkpoint is rejected, naming `file`, for the one of step 10.
fn assert_falls_back(run: &RunFolder, file: &Path, what: &str) {
    let found = Checkpoints::open(run).latest_valid().unwrap().unwrap();
    assert_is(&found.checkpoint, 10, "first");
    let name = file.file_name().unwrap().to_string_lossy();
    assert!(found.warnings.len() == 1 && found.warnings[0].contains(&*name), "{what}: {:?}", found.warnings);
}

#[test]
fn a_change_of_any_byte_is_found() {
    let place = tempfile::tempdir().unwrap();
    let run = new_run(&place);
    let mut checkpoints = Checkpoints::open(&run);
    save(&mut checkpoints, 10, "first").unwrap();
    save(&mut checkpoints, 20, "first").unwrap();
    for file in own_files(&checkpoints.root) {
        let good = fs::read(&file).unwrap();
        for at in 0..good.len() {
            for flip in [0x01, 0x10, 0x20, 0xff] {
                let mut bad = good.clone();
                bad[at] ^= flip;
                fs::write(&file, bad).unwrap();
                assert_falls_back(&run, &file, &format!("byte {at} of {} changed by {flip:#x}", file.display()));
            }
        }
        fs::write(&file, &good).unwrap();
    }
    assert_is(&Checkpoints::open(&run).latest_valid().unwrap().unwrap().checkpoint, 20, "first");
}

#[test]
fn a_file_cut_off_extended_or_missing_is_found() {
    let place = tempfile::tempdir().unwrap();
    let run = new_run(&place);
    let mut checkpoints = Checkpoints::open(&run);
    save(&mut checkpoints, 10, "first").unwrap();
    save(&mut checkpoints, 20, "first").unwrap();
    for file in own_files(&checkpoints.root) {
        let good = fs::read(&file).unwrap();
        for length in 0..good.len() {
            fs::write(&file, &good[..length]).unwrap();
            assert_falls_back(&run, &file, &format!("{} cut to {length}", file.display()));
        }
        fs::write(&file, [&good[..], b" "].concat()).unwrap();
        assert_falls_back(&run, &file, "a space more");
        fs::remove_file(&file).unwrap();
        assert_falls_back(&run, &file, "missing");
        fs::write(&file, &good).unwrap();
    }
}

#[test]
fn when_all_are_damaged_each_is_named() {
    let place = tempfile::tempdir().unwrap();
    let run = new_run(&place);
    let mut checkpoints = Checkpoints::open(&run);
    save(&mut checkpoints, 10, "first").unwrap();
    save(&mut checkpoints, 20, "first").unwrap();
    let shared_by_both = checkpoints.root.join("shared/replay-0-v1.0");
    fs::write(shared_by_both, "x").unwrap();
    let error = checkpoints.latest_valid().unwrap_err();
    assert!(matches!(&error, LogbookError::NoValidCheckpoint { reasons, .. } if reasons.len() == 2), "{error}");
    assert!(error.to_string().contains("step_000000020") && error.to_string().contains("replay-0-v1.0"), "{error}");
}

/// The resumed run reaches the version of the damaged chunk again, and must not use it.
#[test]
fn a_damaged_chunk_is_never_used_again() {
    let place = tempfile::tempdir().unwrap();
    let run = new_run(&place);
    let mut checkpoints = Checkpoints::open(&run);
    save(&mut checkpoints, 10, "first").unwrap();
    save(&mut checkpoints, 20, "first").unwrap();
    fs::write(checkpoints.root.join("shared/replay-1-v20.0"), "damaged").unwrap();
    let mut resumed = Checkpoints::open(&run);
    assert_eq!(resumed.latest_valid().unwrap().unwrap().checkpoint.step(), 10);
    save(&mut resumed, 15, "second").unwrap();
    let steps: Vec<u64> = committed(&resumed.root).unwrap().into_iter().map(|(step, _)| step).collect();
    assert_eq!(steps, [10, 15], "the damaged checkpoint of a later step is gone, and counts for nothing");
    save(&mut resumed, 20, "second").unwrap();
    assert_is(&Checkpoints::open(&run).latest_valid().unwrap().unwrap().checkpoint, 20, "second");
}

#[test]
fn a_writer_that_is_dropped_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let run = new_run(&place);
    let mut checkpoints = Checkpoints::open(&run);
    let mut writer = checkpoints.begin(10).unwrap();
    writer.put("learner", b"x").unwrap();
    assert!(writer.put("learner", b"x").unwrap_err().to_string().contains("given twice"));
    for name in ["", ".hidden", "../up", "manifest.json", "a/b", "ä"] {
        assert!(matches!(writer.put(name, b"x"), Err(LogbookError::BadPart { .. })), "{name}");
    }
    drop(writer);
    assert_eq!(listed(&checkpoints.root), BTreeSet::from(["shared".to_owned()]));
    assert!(checkpoints.latest_valid().unwrap().is_none());
}

#[test]
fn a_removed_run_folder_is_not_created_again() {
    let place = tempfile::tempdir().unwrap();
    let run = new_run(&place);
    let mut checkpoints = Checkpoints::open(&run);
    save(&mut checkpoints, 10, "first").unwrap();
    fs::remove_dir_all(run.path()).unwrap();
    assert!(save(&mut checkpoints, 20, "first").unwrap_err().to_string().contains("checkpoints"));
    assert!(run.write_summary(&RunSummary { status: Status::Done, ..RunSummary::default() }).is_err());
    assert!(run.append_log("x").is_err());
    assert!(!run.path().exists());
}

/// A run with checkpoints of 10 and 20, and a folder elsewhere that nothing may change.
#[cfg(unix)]
fn with_victim(place: &tempfile::TempDir) -> (RunFolder, PathBuf) {
    let run = new_run(place);
    let mut checkpoints = Checkpoints::open(&run);
    save(&mut checkpoints, 10, "first").unwrap();
    save(&mut checkpoints, 20, "first").unwrap();
    let victim = place.path().join("victim");
    fs::create_dir(&victim).unwrap();
    fs::write(victim.join("thesis.tex"), "precious").unwrap();
    (run, victim)
}

#[cfg(unix)]
#[test]
fn links_among_checkpoints_are_removed_and_not_followed() {
    use fs_err::os::unix::fs::symlink;
    let place = tempfile::tempdir().unwrap();
    let (run, victim) = with_victim(&place);
    let root = run.checkpoints_path();
    // A checkpoint moved to another disk, one to be replaced, hidden links, links among the parts,
    // and one in the place of a part that will be written.
    let moved = place.path().join("moved");
    fs::rename(root.join("step_000000010"), &moved).unwrap();
    symlink(&moved, root.join("step_000000010")).unwrap();
    assert_is(&Checkpoints::open(&run).load(10).unwrap(), 10, "first");
    let before = listed(&moved);
    for name in ["step_000000030", "step_000000030.replaced", ".notes", ".step_000000030.tmp", "shared/notes"] {
        symlink(&victim, root.join(name)).unwrap();
    }
    symlink(victim.join("not there"), root.join("shared/replay-1-v30.0")).unwrap();
    symlink(victim.join("not there"), root.join(".nothing")).unwrap();
    let mut checkpoints = Checkpoints::open(&run);
    assert_eq!(checkpoints.latest_valid().unwrap().unwrap().checkpoint.step(), 20);
    assert_eq!(save(&mut checkpoints, 30, "first").unwrap(), Vec::<String>::new());
    assert_is(&checkpoints.latest_valid().unwrap().unwrap().checkpoint, 30, "first");
    let names = ["shared", "step_000000020", "step_000000030"].map(str::to_owned);
    assert_eq!(listed(&root), BTreeSet::from(names));
    assert_eq!(listed(&victim), BTreeSet::from(["thesis.tex".to_owned()]));
    assert_eq!(listed(&moved), before);
}

#[cfg(unix)]
#[test]
fn a_linked_folder_of_checkpoints_is_read_and_not_written() {
    use fs_err::os::unix::fs::symlink;
    let place = tempfile::tempdir().unwrap();
    for linked in ["checkpoints", "checkpoints/shared"] {
        let place = tempfile::tempdir_in(place.path()).unwrap();
        let (run, _) = with_victim(&place);
        let (path, elsewhere) = (run.path().join(linked), place.path().join("elsewhere"));
        fs::rename(&path, &elsewhere).unwrap();
        symlink(&elsewhere, &path).unwrap();
        fs::write(elsewhere.join(".notes"), "precious").unwrap();
        let before = listed(&elsewhere);
        let mut checkpoints = Checkpoints::open(&run);
        assert_is(&checkpoints.latest_valid().unwrap().unwrap().checkpoint, 20, "first");
        let problem = save(&mut checkpoints, 30, "first").unwrap_err().to_string();
        assert!(problem.contains(linked) && problem.contains("is a symbolic link"), "{problem}");
        assert_eq!(listed(&elsewhere), before);
        let path = run.path().to_owned();
        drop(run);
        let problem = RunFolder::open_for_writing(&path).unwrap_err().to_string();
        assert!(problem.contains(&format!("{linked}: a symbolic link")), "{problem}");
    }
}

/// A mount point stands in for what cannot be removed: a file of another user, of a reader on a
/// file server, or one that was made immutable.
#[cfg(target_os = "linux")]
#[test]
fn an_entry_that_cannot_be_removed_is_told_once_and_the_checkpoint_counts() {
    let place = tempfile::tempdir().unwrap();
    let (run, _) = with_victim(&place);
    let root = run.checkpoints_path();
    let busy = [root.join(".stays"), root.join("step_000000010/.nfs0001"), root.join("shared/stays")];
    let mount = |program: &str, words: &[&str], path: &Path| {
        std::process::Command::new(program).args(words).arg(path).output().is_ok_and(|output| output.status.success())
    };
    for path in &busy {
        fs::create_dir(path).unwrap();
        if !mount("mount", &["-t", "tmpfs", "tmpfs"], path) {
            // Where mounting is not permitted, the tests with faults remain.
            return;
        }
    }
    fs::write(root.join(".nfs000000000000abcd"), "x").unwrap();
    let mut checkpoints = Checkpoints::open(&run);
    checkpoints.latest_valid().unwrap().unwrap();
    let warnings = save(&mut checkpoints, 30, "first").unwrap();
    assert_eq!(checkpoints.newest_whole(), Some(30));
    let again = save(&mut checkpoints, 40, "first").unwrap();
    let listed = listed(&root);
    for mounted in [root.join(".stays"), root.join(".step_000000010/.nfs0001"), root.join("shared/stays")] {
        assert!(mount("umount", &["--lazy"], &mounted), "{}", mounted.display());
    }
    assert_eq!((warnings.len(), again.len()), (3, 0), "{warnings:?} {again:?}");
    assert!(warnings.iter().any(|warning| warning.contains(".stays")), "{warnings:?}");
    assert!(listed.contains("step_000000040") && listed.contains(".nfs000000000000abcd"), "{listed:?}");
}

#[test]
fn a_part_outside_the_checkpoints_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let run = new_run(&place);
    let mut checkpoints = Checkpoints::open(&run);
    save(&mut checkpoints, 10, "first").unwrap();
    let path = checkpoints.root.join("step_000000010/manifest.json");
    let good = Manifest::read(&path).unwrap();
    for outside in ["../../config.yaml", "/etc/passwd", "../shared/../../config.yaml", "..", ""] {
        let mut parts = good.parts.clone();
        parts.get_mut("counters.json").unwrap().file = outside.to_owned();
        fs::write(&path, Manifest::new(10, parts).encode().unwrap()).unwrap();
        let error = checkpoints.load(10).unwrap_err().to_string();
        assert!(error.contains("manifest.json: it names the part"), "{outside}: {error}");
    }
}
