//! `cargo xtask setup`: libtorch, MuJoCo and the task models, so that plain `cargo build`, `run`
//! and `test` work.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use fs_err as fs;

use crate::cache::Cache;
use crate::parts::{
    ASSETS, LIBMUJOCO, LIBTORCH, LIBTORCH_CPU, LIBTORCH_CUDA, PEER_MODULES, PEER_REQUIREMENTS, Part, TEST_MODULES,
    TEST_REQUIREMENTS,
};
use crate::process::own_installation;
use crate::tools::{Tools, check_disk};
use crate::venv::Venv;

/// Size of the compiled dependencies and the program in the clone's `target/`, in MB.
const BUILD_MB: u64 = 2_000;

/// Parts to set up besides the program's own needs.
pub(crate) struct Options {
    /// libtorch with its GPU libraries.
    pub(crate) cuda: bool,
    /// The Python packages the tests compare with.
    pub(crate) test: bool,
    /// The libraries that `bench` races.
    pub(crate) peers: bool,
}

/// Sets up the clone at `root`. Existing parts are kept.
pub(crate) fn run(root: &Path, options: Options) -> Result<()> {
    let tools = Tools::of_user();
    tools.compiler(std::env::var_os("CXX").as_deref())?;
    if !root.join("target/release").exists() {
        check_disk(root, BUILD_MB, "building liprl")?;
    }
    let cache = Cache::open(Cache::place(|name| std::env::var_os(name).map(PathBuf::from))?)?;
    fs::create_dir_all(root.join(".deps"))?;

    // A setup without `cuda` must not remove the GPU build of a clone that has it.
    let cuda = options.cuda || links_to(root, &LIBTORCH_CUDA, &cache);
    for part in [if cuda { LIBTORCH_CUDA } else { LIBTORCH_CPU }, LIBMUJOCO, ASSETS] {
        match own_installation(root, &part) {
            Some(own) => check_own(&part, Path::new(&own))?,
            None => {
                check_platform(&part, std::env::consts::OS, std::env::consts::ARCH)?;
                let folder = cache.fetch(&part, &tools)?;
                link(&root.join(".deps").join(part.link), &folder.join(part.entry).components().collect::<PathBuf>())?;
            }
        }
    }
    if options.test {
        match std::env::var_os("LIPRL_PYTHON").filter(|python| !python.is_empty()) {
            Some(python) => println!("Python packages: those of LIPRL_PYTHON={}", Path::new(&python).display()),
            None => {
                let folder = Venv::new("test", TEST_REQUIREMENTS, TEST_MODULES, 6_700).make(&cache, &tools)?;
                link(&root.join(".deps/venv"), &folder)?;
            }
        }
    }
    if options.peers {
        let folder = Venv::new("peers", PEER_REQUIREMENTS, PEER_MODULES, 9_000).make(&cache, &tools)?;
        link(&root.join(".deps/venv-peers"), &folder)?;
    }
    Ok(())
}

fn links_to(root: &Path, part: &Part, cache: &Cache) -> bool {
    fs::read_link(root.join(".deps").join(part.link)).is_ok_and(|to| to == cache.path(part.folder).join(part.entry))
}

/// The wheels' libraries run on x86-64 Linux only; other platforms need their own installation.
fn check_platform(part: &Part, os: &str, arch: &str) -> Result<()> {
    if part.native && (os, arch) != ("linux", "x86_64") {
        bail!(
            "setup fetches {} for x86-64 Linux, and this is {arch} {os}. Install it by hand and set {} to its folder, \
             then run this again",
            part.name,
            part.variable
        );
    }
    Ok(())
}

/// Checks the user's own installation, which takes precedence.
fn check_own(part: &Part, own: &Path) -> Result<()> {
    println!("{}: that of {}={}", part.name, part.variable, own.display());
    if !own.is_dir() {
        bail!("{}={} is not a folder; correct or unset it", part.variable, own.display());
    }
    if part.variable == LIBTORCH_CPU.variable {
        if !own.join("lib/libtorch_cpu.so").exists() && !own.join("lib/libtorch_cpu.dylib").exists() {
            bail!("LIBTORCH={} holds no lib/libtorch_cpu; correct or unset it", own.display());
        }
        // A pip installation has no such file; then the build itself tells whether the release
        // fits.
        let version = fs::read_to_string(own.join("build-version")).unwrap_or_else(|_| LIBTORCH.to_owned());
        if version.trim().split('+').next() != Some(LIBTORCH) {
            bail!(
                "LIBTORCH={} is libtorch {}, liprl needs {LIBTORCH}; correct or unset it",
                own.display(),
                version.trim()
            );
        }
    }
    Ok(())
}

/// Points `link` to `to` atomically, so that a concurrent build always finds one of them.
fn link(link: &Path, to: &Path) -> Result<()> {
    match fs::symlink_metadata(link) {
        Ok(there) if !there.is_symlink() => {
            bail!("{} is in the way: it is not a link made by setup. Move it away, then run this again", link.display())
        }
        Ok(_) if fs::read_link(link)? == to => return Ok(()),
        _ => {}
    }
    let new = link.with_extension("new");
    if fs::symlink_metadata(&new).is_ok() {
        fs::remove_file(&new)?;
    }
    fs::os::unix::fs::symlink(to, &new)?;
    Ok(fs::rename(&new, link)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_platforms_are_told_which_variable_to_set() {
        check_platform(&LIBTORCH_CPU, "linux", "x86_64").unwrap();
        check_platform(&ASSETS, "macos", "aarch64").unwrap();
        let message = check_platform(&LIBMUJOCO, "macos", "aarch64").unwrap_err().to_string();
        assert!(message.contains("aarch64 macos") && message.contains("MUJOCO_DYNAMIC_LINK_DIR"), "{message}");
    }

    #[test]
    fn a_users_own_libtorch_must_be_of_the_right_version() {
        let own = tempfile::tempdir().unwrap();
        let refused = |expected: &str| {
            let message = format!("{:#}", check_own(&LIBTORCH_CUDA, own.path()).unwrap_err());
            assert!(message.contains(expected), "{message}");
        };
        refused("holds no lib/libtorch_cpu");
        fs::create_dir(own.path().join("lib")).unwrap();
        fs::write(own.path().join("lib/libtorch_cpu.so"), "").unwrap();
        check_own(&LIBTORCH_CUDA, own.path()).unwrap();
        fs::write(own.path().join("build-version"), "2.9.1+cu128\n").unwrap();
        refused("is libtorch 2.9.1+cu128, liprl needs 2.11.0");
        fs::write(own.path().join("build-version"), "2.11.0+cu128\n").unwrap();
        check_own(&LIBTORCH_CUDA, own.path()).unwrap();
        let message = check_own(&LIBMUJOCO, &own.path().join("no")).unwrap_err().to_string();
        assert!(message.contains("MUJOCO_DYNAMIC_LINK_DIR=") && message.contains("not a folder"), "{message}");
    }

    #[test]
    fn links_are_replaced_but_a_users_folder_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("libtorch");
        for to in ["/old", "/new", "/new"] {
            link(&path, Path::new(to)).unwrap();
            assert_eq!(fs::read_link(&path).unwrap(), Path::new(to));
        }
        let own = folder.path().join("mujoco");
        fs::create_dir(&own).unwrap();
        assert!(link(&own, Path::new("/new")).unwrap_err().to_string().contains("in the way"));
        assert!(own.is_dir());
    }
}
