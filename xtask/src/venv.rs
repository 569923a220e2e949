//! Virtual environments in the cache, with the libraries that tests and benchmarks compare with.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::cache::{Cache, remove};
use crate::process::show;
use crate::tools::{Tools, check_disk};

/// A virtual environment.
pub(crate) struct Venv {
    /// Its folder in the cache; the packages' versions are part of it, so two releases of liprl can
    /// share a cache.
    pub(crate) folder: String,
    /// Packages to install, as pip's requirements with hashes.
    pub(crate) requirements: &'static str,
    /// Modules that must then be importable.
    pub(crate) modules: &'static [&'static str],
    /// Download and installed files together, in MB.
    pub(crate) disk_mb: u64,
}

impl Venv {
    /// The environment `name` with these packages.
    pub(crate) fn new(name: &str, requirements: &'static str, modules: &'static [&'static str], disk_mb: u64) -> Self {
        // FNV-1a: any stable hash that distinguishes lists of versions.
        let hash =
            requirements.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        Self { folder: format!("venv-{name}-{hash:08x}"), requirements, modules, disk_mb }
    }

    /// Returns the environment's folder, made if it or its Python is missing. It is made in place,
    /// because its scripts contain its path; until it is stamped it counts as missing.
    pub(crate) fn make(&self, cache: &Cache, tools: &Tools) -> Result<PathBuf> {
        let folder = cache.path(&self.folder);
        let python = folder.join("bin/python");
        if cache.has(&self.folder, self.requirements) && python.exists() {
            println!("Python packages: already in {}", folder.display());
            return Ok(folder);
        }
        let system_python = tools.python_with_venv()?;
        check_disk(&cache.path(""), self.disk_mb, "the Python environment")?;
        println!("Python packages: installing {} and what they need", self.modules.join(", "));
        remove(&folder)?;
        show(Command::new(&system_python).args(["-m", "venv"]).arg(&folder))?;
        let requirements = folder.join("requirements.txt");
        fs_err::write(&requirements, self.requirements)?;
        let mut install = Command::new(&python);
        install.args(["-m", "pip", "install", "--quiet", "--no-cache-dir", "--disable-pip-version-check"]);
        show(install.args(["--require-hashes", "--requirement"]).arg(&requirements))
            .context("check the network (behind a proxy: HTTPS_PROXY), then run this again")?;
        show(Command::new(&python).args(["-c", &format!("import {}", self.modules.join(", "))]))?;
        cache.stamp(&self.folder, self.requirements)?;
        Ok(folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::tests::script;

    /// A python3 whose `-m venv` makes an environment with itself as interpreter; `install` is its
    /// `pip install`.
    fn python(folder: &std::path::Path, install: &str) -> Tools {
        let body = format!(
            "export PATH=/usr/bin:/bin\n\
             case \"$*\" in\n\
             *'-m venv '*) echo x >> {log}; mkdir -p $3/bin; cp \"$0\" $3/bin/python ;;\n\
             *'pip install'*) {install} ;;\n\
             esac",
            log = folder.join("made").display()
        );
        script(&folder.join("python3"), &body);
        Tools::in_path(folder)
    }

    #[test]
    fn an_environment_is_made_once_and_again_when_its_python_is_gone() {
        let (bin, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let cache = Cache::open(home.path().to_path_buf()).unwrap();
        let venv = Venv::new("test", "a==1", &["a"], 1);
        let made = || fs_err::read_to_string(bin.path().join("made")).unwrap().lines().count();

        let tools = python(bin.path(), "exit 1");
        assert!(format!("{:#}", venv.make(&cache, &tools).unwrap_err()).contains("check the network"));
        let tools = python(bin.path(), ":");
        let folder = venv.make(&cache, &tools).unwrap();
        assert_eq!(made(), 2, "what a failed installation left must not count");
        venv.make(&cache, &tools).unwrap();
        assert_eq!(made(), 2);
        fs_err::remove_file(folder.join("bin/python")).unwrap();
        venv.make(&cache, &tools).unwrap();
        assert_eq!(made(), 3);
    }

    #[test]
    fn other_versions_have_another_folder() {
        let folder = |requirements| Venv::new("test", requirements, &[], 1).folder;
        assert_ne!(folder("a==1\nb==1"), folder("a==1\nb==2"));
        // FNV-1a of "a", from its authors' table of test vectors.
        assert_eq!(folder("a"), "venv-test-e40c292c");
    }
}
