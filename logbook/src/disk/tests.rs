//! Writes beside links, special files and leftovers.

use super::*;
use fs_err::os::unix::fs::symlink;

/// A folder with a file outside of it that nothing may change.
fn with_victim() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let (inside, victim) = (place.path().join("inside"), place.path().join("victim"));
    fs::create_dir(&inside).unwrap();
    fs::create_dir(&victim).unwrap();
    fs::write(victim.join("thesis.tex"), "precious").unwrap();
    (place, inside, victim)
}

#[test]
fn writes_and_removals_do_not_follow_links() {
    let (_place, inside, victim) = with_victim();
    let thesis = victim.join("thesis.tex");
    let file = inside.join("summary.json");
    // In the place of the file, and of its temporary.
    for planted in [&file, &beside(&file)] {
        for target in [&thesis, &victim.join("not there")] {
            symlink(target, planted).unwrap();
            write_atomic(&file, b"new").unwrap();
            assert_eq!(fs::read(&file).unwrap(), b"new");
            assert!(fs::symlink_metadata(&file).unwrap().is_file());
            fs::remove_file(&file).unwrap();
        }
    }
    symlink(&victim, inside.join("notes")).unwrap();
    remove(&inside).unwrap();
    assert_eq!(fs::read(&thesis).unwrap(), b"precious");
    assert_eq!(fs::read_dir(&victim).unwrap().count(), 1);
}

#[test]
fn own_files_and_folders_are_not_links_or_special_files() {
    let (_place, inside, victim) = with_victim();
    let path = inside.join("run.log");
    let open = || open_own(&path, fs::OpenOptions::new().create(true).append(true));
    for target in [victim.join("thesis.tex"), victim.join("not there"), "/dev/null".into()] {
        symlink(target, &path).unwrap();
        let message = open().unwrap_err().to_string();
        assert!(message.contains("run.log") && message.contains("is a symbolic link"), "{message}");
        assert!(own_folder(&path).unwrap_err().to_string().contains("is a symbolic link"));
        fs::remove_file(&path).unwrap();
    }
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert!(open().unwrap_err().to_string().contains("is a pipe"));
    fs::remove_file(&path).unwrap();
    open().unwrap();
    assert_eq!(fs::read_dir(&victim).unwrap().count(), 1);
}

#[test]
fn leftovers_of_ended_processes_are_removed_and_no_others() {
    let (_place, inside, _) = with_victim();
    let file = inside.join("o.svg");
    // No process has a number as high as 4194305.
    let others = [".o.svg.tmp".to_owned(), format!(".a.{}.tmp", std::process::id()), ".b.4194305.tmp".to_owned()];
    for name in others.iter().map(String::as_str).chain([".o.svg.4194305.tmp"]) {
        fs::write(inside.join(name), "half").unwrap();
    }
    write_output(&file, b"whole").unwrap();
    assert!(!inside.join(".o.svg.4194305.tmp").exists());
    assert!(others.iter().all(|name| inside.join(name).exists()));
    remove_leftovers(&inside, |_| true);
    assert!(!inside.join(&others[2]).exists() && inside.join(&others[1]).exists());
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let (_place, inside, _) = with_victim();
    let message = |path: &Path| write_output(path, b"x").unwrap_err().to_string();
    assert!(message(&inside).ends_with("inside` is a folder; name a file in it"), "{}", message(&inside));
    let missing = message(&inside.join("none/o.svg"));
    assert!(missing.contains("none/o.svg` cannot be written: No such file"), "{missing}");
    let device = message(Path::new("/dev/null"));
    assert!(device.contains("`/dev/null`") && device.contains("is a device"), "{device}");
    assert_eq!(fs::read_dir(&inside).unwrap().count(), 0);
}

#[test]
fn a_result_of_a_writer_takes_its_name_only_when_it_is_whole() {
    let (_place, inside, _) = with_victim();
    let file = inside.join("o.pt");
    fs::write(&file, "old").unwrap();
    let failed = write_output_by(&file, |beside| {
        fs::write(beside, "half")?;
        Err(io::Error::other("wrong"))
    });
    assert_eq!(failed.unwrap_err().to_string(), "wrong");
    assert_eq!(fs::read_to_string(&file).unwrap(), "old");
    write_output_by(&file, |beside| fs::write(beside, "new")).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "new");
    assert_eq!(fs::read_dir(&inside).unwrap().count(), 1);
}
