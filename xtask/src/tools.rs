//! The programs and the disk space that setup needs, and the remedy if one is missing.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The oldest Python for which the packages of `requirements/test.txt` are resolved.
const OLDEST_PYTHON_FOR_TESTS: (u32, u32) = (3, 11);

/// The search path of programs.
pub(crate) struct Tools {
    path: OsString,
}

impl Tools {
    /// Searches the user's `PATH`.
    pub(crate) fn of_user() -> Self {
        Self { path: std::env::var_os("PATH").unwrap_or_default() }
    }

    /// Searches the folders of `path`, written like `PATH`.
    #[cfg(test)]
    pub(crate) fn in_path(path: impl Into<OsString>) -> Self {
        Self { path: path.into() }
    }

    fn find(&self, program: &str) -> Option<PathBuf> {
        std::env::split_paths(&self.path).map(|folder| folder.join(program)).find(|file| file.is_file())
    }

    /// Checks for the C++ compiler that builds libtorch's bindings.
    pub(crate) fn compiler(&self, own: Option<&OsStr>) -> Result<()> {
        let own = own.and_then(OsStr::to_str).and_then(|text| text.split_whitespace().next());
        let name = own.unwrap_or("c++");
        if Path::new(name).is_absolute() && Path::new(name).is_file() || self.find(name).is_some() {
            return Ok(());
        }
        bail!(
            "no C++ compiler: `{name}` is not on the PATH. Install one (Debian, Ubuntu: `apt install g++`; Fedora: \
             `dnf install gcc-c++`) or name yours in CXX, then run this again"
        )
    }

    /// Python 3, which unpacks the wheels.
    pub(crate) fn python(&self) -> Result<PathBuf> {
        self.find("python3").context(
            "no `python3` on the PATH. Install Python 3.11 or newer with pip (Debian, Ubuntu: `apt install python3 \
             python3-pip python3-venv`), then run this again",
        )
    }

    /// Python 3 with a working pip, which fetches the wheels.
    pub(crate) fn python_with_pip(&self) -> Result<PathBuf> {
        let python = self.python()?;
        if succeeds(Command::new(&python).args(["-m", "pip", "--version"])) {
            return Ok(python);
        }
        bail!(
            "{} has no pip. Install it (Debian, Ubuntu: `apt install python3-pip`; elsewhere `python3 -m ensurepip`), \
             then run this again",
            python.display()
        )
    }

    /// Python 3 that can make the virtual environment of the tests.
    pub(crate) fn python_with_venv(&self) -> Result<PathBuf> {
        let python = self.python()?;
        if !succeeds(Command::new(&python).args(["-c", "import ensurepip, venv"])) {
            bail!(
                "{} cannot make virtual environments. Install what it lacks (Debian, Ubuntu: `apt install \
                 python3-venv`), then run this again",
                python.display()
            );
        }
        let (major, minor) = OLDEST_PYTHON_FOR_TESTS;
        let recent = format!("import sys; sys.exit(sys.version_info < ({major}, {minor}))");
        if !succeeds(Command::new(&python).args(["-c", &recent])) {
            bail!(
                "the tests' Python packages need Python {major}.{minor}, and {} is older. Put a newer `python3` first \
                 on the PATH, or name the interpreter of an environment of your own in LIPRL_PYTHON",
                python.display()
            );
        }
        Ok(python)
    }
}

/// True if a program could be started and succeeded.
fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// Fails if the disk of `folder` has too little space. Succeeds if the space is not known.
pub(crate) fn check_disk(folder: &Path, needed_mb: u64, what: &str) -> Result<()> {
    let Ok(output) = Command::new("df").arg("-Pk").arg(folder).output() else { return Ok(()) };
    match free_mb(&String::from_utf8_lossy(&output.stdout)) {
        Some(free) if free < needed_mb => bail!(
            "too little disk: {what} needs about {needed_mb} MB in {}, where {free} MB are free. Make room, or set \
             LIPRL_CACHE to a folder on a larger disk",
            folder.display()
        ),
        _ => Ok(()),
    }
}

/// The free megabytes in what `df -Pk` printed.
fn free_mb(df: &str) -> Option<u64> {
    let kilobytes: u64 = df.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
    Some(kilobytes / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_path_names_each_tool_and_how_to_get_it() {
        let nothing = Tools::in_path("");
        let message = nothing.compiler(None).unwrap_err().to_string();
        assert!(message.contains("`c++`") && message.contains("apt install g++"), "{message}");
        for result in [nothing.python(), nothing.python_with_pip(), nothing.python_with_venv()] {
            let message = result.unwrap_err().to_string();
            assert!(message.contains("`python3`") && message.contains("apt install python3"), "{message}");
        }
    }

    #[test]
    fn a_python_without_pip_or_venv_is_told_apart_from_none() {
        let folder = tempfile::tempdir().unwrap();
        crate::process::tests::script(&folder.path().join("python3"), "exit 1");
        let tools = Tools::in_path(folder.path());
        let message = tools.python_with_pip().unwrap_err().to_string();
        assert!(message.contains("has no pip") && message.contains("python3-pip"), "{message}");
        let message = tools.python_with_venv().unwrap_err().to_string();
        assert!(message.contains("virtual environments") && message.contains("python3-venv"), "{message}");
    }

    #[test]
    fn an_old_python_is_told_apart_from_one_without_venv() {
        let folder = tempfile::tempdir().unwrap();
        crate::process::tests::script(&folder.path().join("python3"), "case \"$2\" in *version*) exit 1;; esac");
        let message = Tools::in_path(folder.path()).python_with_venv().unwrap_err().to_string();
        assert!(message.contains("3.11") && message.contains("LIPRL_PYTHON"), "{message}");
    }

    #[test]
    fn the_users_own_compiler_counts() {
        let folder = tempfile::tempdir().unwrap();
        let compiler = folder.path().join("clang++-18");
        crate::process::tests::script(&compiler, "");
        Tools::in_path(folder.path()).compiler(Some(OsStr::new("clang++-18 -march=native"))).unwrap();
        Tools::in_path("").compiler(Some(compiler.as_os_str())).unwrap();
        let message = Tools::in_path("").compiler(Some(OsStr::new("icpx"))).unwrap_err().to_string();
        assert!(message.contains("`icpx`") && message.contains("CXX"), "{message}");
    }

    #[test]
    fn free_room_is_read_from_df() {
        let df = "Filesystem     1024-blocks     Used Available Capacity Mounted on\n\
                  /dev/mapper/home   263174212 27262976  68157440      29% /home/with space\n";
        assert_eq!(free_mb(df), Some(66_560));
        assert_eq!(free_mb("df: /nowhere: No such file or directory\n"), None);
    }

    #[test]
    fn too_little_disk_says_how_much_and_where() {
        let folder = tempfile::tempdir().unwrap();
        check_disk(folder.path(), 0, "libtorch").unwrap();
        let message = check_disk(folder.path(), u64::MAX, "libtorch").unwrap_err().to_string();
        assert!(message.contains("libtorch") && message.contains(&folder.path().display().to_string()), "{message}");
        assert!(message.contains("LIPRL_CACHE"), "{message}");
    }
}
