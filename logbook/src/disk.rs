//! File operations that survive a kill or a power cut: a file is written beside its place, synced,
//! then renamed into it.

use std::io::{self, Write};
use std::path::Path;

use fs_err as fs;

/// Replaces `path` by `bytes` in one step. A reader, or a kill at any instant, sees the old file or
/// the new one, whole.
///
/// # Errors
/// If the folder is missing or read-only or the disk is full; the old file is then unchanged.
pub fn write_atomic(path: impl AsRef<Path>, bytes: &[u8]) -> io::Result<()> {
    let path = path.as_ref();
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = folder.join(format!(".{name}.{}.tmp", std::process::id()));
    let written = write_synced(&beside, bytes).and_then(|()| rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written?;
    sync_folder(folder)
}

/// Writes a file and waits until it is on the disk. A kill may leave part of it, so nothing may
/// refer to it before.
pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::File::create(path)?;
    #[cfg(test)]
    if let Err(killed) = fault::point() {
        file.write_all(&bytes[..bytes.len() / 2])?;
        return Err(killed);
    }
    file.write_all(bytes)?;
    file.sync_all()
}

pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(test)]
    fault::point()?;
    fs::rename(from, to)
}

pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    #[cfg(test)]
    fault::point()?;
    fs::create_dir(path)
}

/// Removes a file, or a folder file by file.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            remove(&entry?.path())?;
        }
    }
    #[cfg(test)]
    fault::point()?;
    if path.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) }
}

/// Makes renames and new names in a folder durable. Systems that cannot open folders lack this call
/// and do not need it.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    #[cfg(test)]
    fault::point()?;
    if cfg!(unix) { fs::File::open(path)?.sync_all() } else { Ok(()) }
}

/// Faults for tests: after a number of file operations every further one fails, as if the process
/// had been killed there.
#[cfg(test)]
pub(crate) mod fault {
    use std::cell::Cell;
    use std::io;

    thread_local! {
        static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
    }

    /// Lets `operations` more operations through on this thread; `None` removes the limit.
    pub(crate) fn set(operations: Option<usize>) {
        LEFT.set(operations);
    }

    pub(crate) fn point() -> io::Result<()> {
        match LEFT.get() {
            Some(0) => Err(io::Error::other("killed here")),
            Some(left) => {
                LEFT.set(Some(left - 1));
                Ok(())
            }
            None => Ok(()),
        }
    }
}
