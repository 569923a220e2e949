//! Virtual environments in the cache: other libraries for the tests to compare with.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::cache::{Cache, remove};
use crate::process::show;
use crate::tools::{Tools, check_disk};

/// A virtual environment.
pub(crate) struct Venv {
    /// Its folder in the cache; the packages' versions are part of it, so two releases of liprl can share a cache.
    pub(crate) folder: String,
    /// What pip installs.
    pub(crate) packages: &'static [&'static str],
    /// What must then be importable.
    pub(crate) modules: &'static [&'static str],
    /// Download and installed files together, in MB.
    pub(crate) disk_mb: u64,
}

impl Venv {
    /// The environment `name` with these packages.
    pub(crate) fn new(
        name: &str,
        packages: &'static [&'static str],
        modules: &'static [&'static str],
        disk_mb: u64,
    ) -> Self {
        // FNV-1a: any stable hash that tells lists of versions apart.
        let hash = packages
            .join("\n")
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        Self { folder: format!("venv-{name}-{hash:08x}"), packages, modules, disk_mb }
    }

    /// The environment's folder, made if it is not there or if its Python is gone. It is made in place, because
    /// its scripts hold its path; until it is stamped it counts as not there.
    pub(crate) fn make(&self, cache: &Cache, tools: &Tools) -> Result<PathBuf> {
        let folder = cache.path(&self.folder);
        let python = folder.join("bin/python");
        let origin = self.packages.join("\n");
        if cache.has(&self.folder, &origin) && python.exists() {
            println!("Python packages: already in {}", folder.display());
            return Ok(folder);
        }
        let system_python = tools.python_with_venv()?;
        check_disk(&cache.path(""), self.disk_mb, "the Python environment")?;
        println!("Python packages: installing {}", self.packages.join(", "));
        remove(&folder)?;
        show(Command::new(&system_python).args(["-m", "venv"]).arg(&folder))?;
        let mut install = Command::new(&python);
        install.args(["-m", "pip", "install", "--quiet", "--no-cache-dir", "--disable-pip-version-check"]);
        show(install.args(self.packages))
            .context("check the network (behind a proxy: HTTPS_PROXY), then run this again")?;
        show(Command::new(&python).args(["-c", &format!("import {}", self.modules.join(", "))]))?;
        cache.stamp(&self.folder, &origin)?;
        Ok(folder)
    }
}
