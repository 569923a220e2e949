//! Claims of several launchers, and what may stand in their place.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};

fn claims(folder: &Path) -> Claims {
    Claims::open(folder).unwrap()
}

#[test]
fn a_run_is_claimed_once_and_free_again_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let claims = claims(folder.path());
    let mut claim = claims.take("a").unwrap().unwrap();
    assert!(claims.take("a").unwrap().is_none());
    assert_eq!(claims.holder("a").unwrap().unwrap().launcher, Process::this());
    assert!(claim.renew(Some(&Process::this())).unwrap());
    assert!(claims.take("b").unwrap().is_some());
    drop(claim);
    assert!(claims.holder("a").unwrap().is_none());
    assert!(claims.take("a").unwrap().is_some());
}

#[test]
fn a_claim_can_be_looked_at_where_nothing_can_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let claims = claims(folder.path());
    let claim = claims.take("a").unwrap().unwrap();
    // Rights do not stop root, a folder of that name does.
    fs::create_dir(folder.path().join(format!(".now.{}.tmp", std::process::id()))).unwrap();
    assert_eq!(claims.holder("a").unwrap().unwrap().launcher, Process::this());
    drop(claim);
    assert!(claims.holder("a").unwrap().is_none());
}

#[test]
fn many_at_once_get_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let claims = claims(folder.path());
    for round in 0..50 {
        let id = round.to_string();
        // A claim of a process that is gone has to be cleared away first, in half of the
        // rounds.
        if round % 2 == 0 {
            let gone = Holder { launcher: Process { pid: std::process::id(), began: Some(1) }, ..Holder::this() };
            fs::write(claims.path(&id), serde_json::to_vec(&gone).unwrap()).unwrap();
        }
        let taken = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    if let Some(claim) = claims.take(&id).unwrap() {
                        taken.fetch_add(1, Ordering::Relaxed);
                        std::mem::forget(claim);
                    }
                });
            }
        });
        assert_eq!(taken.into_inner(), 1, "round {round}");
    }
}

#[test]
fn a_claim_ends_with_its_process_here_and_with_its_heartbeat_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let mut claims = claims(folder.path());
    let write = |claims: &Claims, holder: &Holder| {
        fs::write(claims.path("a"), serde_json::to_vec(holder).unwrap()).unwrap();
    };
    let dead = Process { pid: std::process::id(), began: Some(1) };
    let here = Holder { launcher: dead.clone(), ..Holder::this() };
    write(&claims, &here);
    assert!(claims.holder("a").unwrap().is_none(), "its process is gone");
    write(&claims, &Holder { run: Some(Process::this()), ..here });
    assert!(claims.holder("a").unwrap().is_some(), "the launcher is gone, its run is not");
    write(&claims, &Holder { machine: "elsewhere".to_owned(), launcher: dead, ..Holder::this() });
    assert!(claims.holder("a").unwrap().is_some(), "nothing is known of processes elsewhere");
    claims.stale_after = Duration::ZERO;
    assert!(claims.holder("a").unwrap().is_none(), "its heartbeat is old");
}

#[test]
fn a_lost_claim_is_neither_renewed_nor_removed() {
    let folder = tempfile::tempdir().unwrap();
    let claims = claims(folder.path());
    let mut claim = claims.take("a").unwrap().unwrap();
    let other = Holder { machine: "elsewhere".to_owned(), ..Holder::this() };
    fs::write(claims.path("a"), serde_json::to_vec(&other).unwrap()).unwrap();
    assert!(!claim.renew(None).unwrap());
    drop(claim);
    assert!(claims.path("a").exists());
}

#[test]
fn a_claim_cut_short_holds_for_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let mut claims = claims(folder.path());
    fs::write(claims.path("a"), b"").unwrap();
    assert!(claims.take("a").unwrap().is_none());
    claims.stale_after = Duration::ZERO;
    assert!(claims.take("a").unwrap().is_some());
}

#[cfg(unix)]
#[test]
fn planted_links_are_not_written_through() {
    use fs_err::os::unix::fs::symlink;
    let place = tempfile::tempdir().unwrap();
    let (folder, victim) = (place.path().join("claims"), place.path().join("thesis.tex"));
    fs::write(&victim, "precious").unwrap();
    let claims = claims(&folder);
    for name in ["a.json".to_owned(), format!(".now.{}.tmp", std::process::id())] {
        symlink(&victim, folder.join(name)).unwrap();
    }
    symlink(&victim, folder.join(format!(".a.json.{}.tmp", std::process::id()))).unwrap();
    // What cannot be read as a claim holds for a while.
    assert!(claims.take("a").unwrap().is_none());
    let stale = Claims { stale_after: Duration::ZERO, ..claims.clone() };
    let mut claim = stale.take("a").unwrap().unwrap();
    assert!(claim.renew(None).unwrap());
    drop(claim);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");

    fs::remove_file(folder.join(".lock")).unwrap();
    symlink(&victim, folder.join(".lock")).unwrap();
    let problem = claims.take("b").unwrap_err().to_string();
    assert!(problem.contains(".lock`: it is a symbolic link"), "{problem}");
    let link = place.path().join("link");
    symlink(&folder, &link).unwrap();
    assert!(Claims::open(&link).unwrap_err().to_string().contains("link`: it is a symbolic link"));
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
}
