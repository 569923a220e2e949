//! `cargo xtask wheel`: the program and its Python functions as a binary wheel.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use fs_err as fs;

use crate::cache::{Cache, remove};
use crate::parts::{LIBTORCH_CPU, MUJOCO, TEST_REQUIREMENTS, WHEEL_REQUIREMENTS, requirement};
use crate::process::{clear_defaults, own_installation, show};
use crate::setup;
use crate::tools::Tools;
use crate::venv::Venv;

/// The use of the wheel in an empty environment, outside the repository.
const CHECK: &str = include_str!("wheel_check.py");

/// Builds the wheel and returns its path.
pub(crate) fn build(root: &Path) -> Result<PathBuf> {
    setup::run(root, setup::Options { cuda: false, test: false, peers: false })?;
    let cache = Cache::open(Cache::place(|name| std::env::var_os(name).map(PathBuf::from))?)?;
    let venv = Venv::new("wheel", WHEEL_REQUIREMENTS, &["maturin"], 100).make(&cache, &Tools::of_user())?;
    let folder = root.join("target/wheels");
    remove(&folder)?;
    let mut maturin = Command::new(venv.join("bin/maturin"));
    maturin.current_dir(root.join("python")).args(["build", "--release", "--out"]).arg(&folder);
    show(clear_defaults(root, &mut maturin))?;
    let wheel = fs::read_dir(&folder)?.filter_map(Result::ok).map(|entry| entry.path());
    let wheel = wheel.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "whl"));
    let wheel = wheel.with_context(|| format!("maturin left no wheel in {}", folder.display()))?;
    println!("{}: {} MB", wheel.display(), fs::metadata(&wheel)?.len() / 1_000_000);
    Ok(wheel)
}

/// Builds the wheel, installs it into an empty virtual environment and uses it from a folder of its
/// own. The libraries of the torch wheel, 2 GB with what it needs, are those that setup has taken
/// out of it.
pub(crate) fn check(root: &Path) -> Result<()> {
    let wheel = build(root)?;
    let folder = tempfile::tempdir()?;
    let python = folder.path().join("venv/bin/python");
    show(Command::new(Tools::of_user().python_with_venv()?).args(["-m", "venv"]).arg(folder.path().join("venv")))?;
    let packages = ["numpy", "gymnasium", "cloudpickle", "farama-notifications", "typing-extensions", "mujoco"];
    // A package may have a version for each range of Pythons.
    let versions =
        |name: &'static str| TEST_REQUIREMENTS.lines().filter(move |line| line.starts_with(&format!("{name}==")));
    let wheels = packages.iter().flat_map(|name| versions(name)).filter_map(|line| line.split([' ', ';']).next());
    let blocks = wheels.filter_map(|wheel| requirement(TEST_REQUIREMENTS, wheel)).map(str::trim_end);
    let requirements = blocks.collect::<Vec<_>>().join("\n");
    let list = folder.path().join("requirements.txt");
    fs::write(&list, requirements)?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"];
    show(Command::new(&python).args(pip).args(["--require-hashes", "--requirement"]).arg(&list))?;
    show(Command::new(&python).args(pip).arg(&wheel))?;
    let place = "import sysconfig; print(sysconfig.get_path('purelib'))";
    let packages = Command::new(&python).args(["-c", place]).output()?;
    let packages = PathBuf::from(String::from_utf8(packages.stdout)?.trim());
    fs::create_dir_all(packages.join("torch"))?;
    let libtorch = own_installation(root, &LIBTORCH_CPU).map_or_else(|| root.join(".deps/libtorch"), PathBuf::from);
    fs::os::unix::fs::symlink(fs::canonicalize(libtorch.join("lib"))?, packages.join("torch/lib"))?;
    let script = folder.path().join("check.py");
    fs::write(&script, CHECK)?;
    let mut check = Command::new(&python);
    // Nothing of the repository: neither its folders nor the variables that cargo sets.
    check.arg(&script).current_dir(folder.path()).env_remove("LD_LIBRARY_PATH");
    show(clear_defaults(root, &mut check).env("EXPECTED_MUJOCO", MUJOCO))
}
