//! Writes that survive a kill or a power cut, and that stay in their folder. A file is written
//! beside its place, synced, then renamed into it. Neither a write nor a removal follows a symbolic
//! link.

use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::read::{kind_of, refused};

/// Replaces `path` by `bytes` in one step. A reader, or a kill at any instant, sees the old file or
/// the new one, whole. A link at `path` is replaced itself.
///
/// # Errors
/// If the folder is missing or read-only or the disk is full; the old file is then unchanged.
pub fn write_atomic(path: impl AsRef<Path>, bytes: &[u8]) -> io::Result<()> {
    let path = path.as_ref();
    let beside = beside(path);
    let written = write_synced(&beside, bytes).and_then(|()| rename(&beside, path));
    if let Err(error) = written {
        let _ = fs::remove_file(&beside);
        let cause = cause(&error);
        return Err(io::Error::new(error.kind(), format!("failed to write file `{}`: {cause}", path.display())));
    }
    sync_folder(folder_of(path))
}

/// Writes a command's result (a figure, a table, a page) as [`write_atomic`] does, and removes what
/// a killed process left of the same file.
///
/// # Errors
/// Those of [`check_output`] and [`write_atomic`].
pub fn write_output(path: impl AsRef<Path>, bytes: &[u8]) -> io::Result<()> {
    let path = path.as_ref();
    prepare_output(path)?;
    write_atomic(path, bytes)
}

/// Checks that a result can be written, and removes what a killed process left of it.
fn prepare_output(path: &Path) -> io::Result<()> {
    check_output(path)?;
    let name = path.file_name().unwrap_or_default();
    remove_leftovers(folder_of(path), |of| name == of);
    Ok(())
}

/// Has `write` make a command's result beside its place, which is its argument, then renames it as
/// [`write_output`] does. Nothing is left of a result that `write` fails to make.
///
/// # Errors
/// Those of `write`, of [`check_output`] and of the rename.
pub fn write_output_by<E: From<io::Error>>(
    path: impl AsRef<Path>,
    write: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let path = path.as_ref();
    prepare_output(path)?;
    let beside = beside(path);
    let rename = || fs::File::open(&beside)?.sync_all().and_then(|()| rename(&beside, path));
    if let Err(error) = write(&beside).and_then(|()| Ok(rename()?)) {
        let _ = fs::remove_file(&beside);
        return Err(error);
    }
    Ok(sync_folder(folder_of(path))?)
}

/// Checks that a result can be written to `path`, before the work for it is done.
///
/// # Errors
/// If the path is a folder or a device, or its folder is missing or read-only.
pub fn check_output(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref();
    if path.is_dir() || path.file_name().is_none() {
        let problem = format!("`{}` is a folder; name a file in it", path.display());
        return Err(io::Error::new(ErrorKind::IsADirectory, problem));
    }
    if let Ok(there) = fs::metadata(path)
        && !there.is_file()
    {
        return Err(refused("write", path, &kind_of(&there)));
    }
    let probe = beside(path);
    let problem = |error: io::Error| {
        io::Error::new(error.kind(), format!("`{}` cannot be written: {}", path.display(), cause(&error)))
    };
    write_new(&probe, b"").and_then(|_| fs::remove_file(&probe)).map_err(problem)
}

/// Removes temporaries that killed processes left in a folder, of the files whose names are
/// `wanted`. One that cannot be removed is tried again the next time.
pub fn remove_leftovers(folder: &Path, wanted: impl Fn(&str) -> bool) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some((of, process)) = name.to_str().and_then(temporary) else { continue };
        if wanted(of) && is_gone(process) {
            let _ = remove(&entry.path());
        }
    }
}

/// Temporary name of `path`: `.<name>.<process>.tmp` beside it.
pub(crate) fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    folder_of(path).join(format!(".{name}.{}.tmp", std::process::id()))
}

/// Name and process in a temporary name.
fn temporary(name: &str) -> Option<(&str, u32)> {
    let (name, process) = name.strip_prefix('.')?.strip_suffix(".tmp")?.rsplit_once('.')?;
    Some((name, process.parse().ok()?))
}

/// True if no process of this machine has the number now, as far as the system tells.
pub(crate) fn is_gone(process: u32) -> bool {
    let processes = Path::new("/proc");
    processes.join("self").exists() && !processes.join(process.to_string()).exists()
}

/// The system's words of an error about a temporary file, whose name would only confuse.
fn cause(error: &io::Error) -> String {
    let text = error.to_string();
    text.rsplit_once("`: ").map_or(text.clone(), |(_, cause)| cause.to_owned())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Opens a file of the program's own for writing, with the options given. A link, a device or a
/// pipe in its place is refused at once.
///
/// # Errors
/// Those of opening, and the refusal.
pub fn open_own(path: &Path, options: &mut fs::OpenOptions) -> io::Result<fs::File> {
    #[cfg(unix)]
    fs_err::os::unix::fs::OpenOptionsExt::custom_flags(options, libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let opened = options.open(path);
    match fs::symlink_metadata(path) {
        Ok(there) if !there.is_file() => Err(refused("write", path, &kind_of(&there))),
        _ => opened,
    }
}

/// Creates a folder of the program's own unless it is there. A link in its place is refused.
///
/// # Errors
/// If it cannot be created, and the refusal.
pub fn own_folder(path: &Path) -> io::Result<()> {
    // Made first and looked at afterwards: another process may make it at the same time.
    match create_folder(path) {
        Ok(()) => return sync_folder(folder_of(path)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let there = fs::symlink_metadata(path)?;
    if there.is_dir() { Ok(()) } else { Err(refused("write into", path, &kind_of(&there))) }
}

/// Writes a new file and waits until it is on the disk. A kill may leave part of it, so nothing may
/// refer to it before.
pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_new(path, bytes)?.sync_all()
}

/// Creates a file. A file or link of this name is removed first: a killed process of the same
/// number may have left it.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<fs::File> {
    let created = fs::File::create_new(path);
    let mut file = match created {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            fs::File::create_new(path)?
        }
        other => other?,
    };
    #[cfg(test)]
    if let Err(killed) = fault::point() {
        file.write_all(&bytes[..bytes.len() / 2])?;
        return Err(killed);
    }
    file.write_all(bytes)?;
    Ok(file)
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

/// Removes a file or a link, or a folder file by file.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    // Not `is_dir`, which follows a link out of the folder.
    let is_folder = fs::symlink_metadata(path)?.is_dir();
    if is_folder {
        for entry in fs::read_dir(path)? {
            remove(&entry?.path())?;
        }
    }
    #[cfg(test)]
    fault::point()?;
    if is_folder { fs::remove_dir(path) } else { fs::remove_file(path) }
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

#[cfg(test)]
mod tests;
