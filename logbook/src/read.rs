//! Reading of files in which anything may have taken the place of what was expected: a pipe that
//! never ends, a device, a file of gigabytes. Links are followed.

use std::io::{self, ErrorKind, Read};
use std::path::Path;

use fs_err as fs;

/// Sizes in bytes that files of a kind do not exceed.
pub mod limits {
    /// Configs and sweep files.
    pub const CONFIG: u64 = 4 << 20;
    /// Records of one run: summary, provenance, claim, failure.
    pub const RECORD: u64 = 4 << 20;
    /// Lists of runs or of a checkpoint's parts.
    pub const LIST: u64 = 256 << 20;
    /// Policies.
    pub const POLICY: u64 = 4 << 30;
    /// Logs, which are read piece by piece.
    pub const LOG: u64 = 64 << 30;
    /// One line or record of a log.
    pub const ENTRY: u64 = 64 << 20;
}

/// Opens a regular file of at most `limit` bytes.
///
/// # Errors
/// If it is missing, longer, or not a regular file.
pub fn open_file(path: impl AsRef<Path>, limit: u64) -> io::Result<fs::File> {
    let path = path.as_ref();
    let check = |there: &std::fs::Metadata| match there {
        there if !there.is_file() => Err(refused("read", path, &kind_of(there))),
        there if there.len() > limit => {
            let problem = format!("has {} bytes, more than the {limit} that such a file may have", there.len());
            Err(failed("read", path, ErrorKind::FileTooLarge, &problem))
        }
        _ => Ok(()),
    };
    // Before it is opened, because opening alone can change a device.
    if let Ok(there) = fs::metadata(path) {
        check(&there)?;
    }
    let mut options = fs::OpenOptions::new();
    options.read(true);
    // A pipe that takes the file's place now is opened without waiting for its writer.
    #[cfg(unix)]
    fs_err::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    let file = options.open(path)?;
    check(&file.metadata()?)?;
    Ok(file)
}

/// Reads a regular file of at most `limit` bytes.
///
/// # Errors
/// Those of [`open_file`] and of reading.
pub fn read_file(path: impl AsRef<Path>, limit: u64) -> io::Result<Vec<u8>> {
    let path = path.as_ref();
    let file = open_file(path, limit)?;
    let mut bytes = Vec::with_capacity(file.metadata()?.len() as usize);
    // It may have grown since.
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads a regular file of at most `limit` bytes as text.
///
/// # Errors
/// Those of [`read_file`], and bytes that are not UTF-8.
pub fn read_text(path: impl AsRef<Path>, limit: u64) -> io::Result<String> {
    let path = path.as_ref();
    String::from_utf8(read_file(path, limit)?).map_err(|error| {
        let problem = format!("is not UTF-8 text from byte {} on", error.utf8_error().valid_up_to());
        failed("read", path, ErrorKind::InvalidData, &problem)
    })
}

/// Kind of a file, in words.
pub(crate) fn kind_of(there: &std::fs::Metadata) -> String {
    let kind = there.file_type();
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return "a pipe".to_owned();
        }
        if kind.is_char_device() || kind.is_block_device() {
            return "a device".to_owned();
        }
    }
    match kind {
        kind if kind.is_dir() => "a folder",
        kind if kind.is_symlink() => "a symbolic link, which is not followed here",
        kind if kind.is_file() => "a file",
        _ => "a special file",
    }
    .to_owned()
}

/// Error of a path that is another kind of file than expected.
pub(crate) fn refused(action: &str, path: &Path, kind: &str) -> io::Error {
    failed(action, path, ErrorKind::InvalidInput, &format!("is {kind}"))
}

fn failed(action: &str, path: &Path, kind: ErrorKind, problem: &str) -> io::Error {
    io::Error::new(kind, format!("failed to {action} `{}`: it {problem}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_and_oversized_files_are_refused_at_once() {
        let place = tempfile::tempdir().unwrap();
        let message = |path: &Path| read_file(path, 10).unwrap_err().to_string();
        let pipe = place.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(message(&pipe).ends_with("pipe`: it is a pipe"), "{}", message(&pipe));
        assert!(message(Path::new("/dev/zero")).ends_with("`/dev/zero`: it is a device"));
        assert!(message(place.path()).ends_with("it is a folder"));
        let file = place.path().join("file");
        fs::write(&file, "eleven byte").unwrap();
        assert!(message(&file).ends_with("it has 11 bytes, more than the 10 that such a file may have"));
        fs::write(&file, "ten ä byt").unwrap();
        let link = place.path().join("link");
        fs_err::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(read_text(&link, 10).unwrap(), "ten ä byt");
        fs::write(&file, b"ten \xff").unwrap();
        assert!(read_text(&file, 10).unwrap_err().to_string().contains("file`: it is not UTF-8 text from byte 4 on"));
    }
}
