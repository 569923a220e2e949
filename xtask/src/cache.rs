//! The user's cache folder, shared by every clone: each part is fetched once, completely or not at
//! all.

use std::fs::TryLockError;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use fs_err as fs;

use crate::parts::{Part, requirement};
use crate::tools::{Tools, check_disk};
use crate::wheels;

/// A file written into a folder last, with the origin of its contents.
const STAMP: &str = ".complete";

/// The cache, locked for this process.
pub(crate) struct Cache {
    folder: PathBuf,
    _lock: fs::File,
}

impl Cache {
    /// Opens the cache at `folder`, which is created if missing. Waits while another setup holds
    /// it.
    pub(crate) fn open(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder).context("the cache folder cannot be made; LIPRL_CACHE sets another")?;
        let lock = fs::File::create(folder.join("lock"))?;
        match lock.file().try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                println!("waiting for another setup that is using {}", folder.display());
                lock.file().lock()?;
            }
            Err(TryLockError::Error(error)) => return Err(error).context("the cache folder cannot be locked"),
        }
        Ok(Self { folder, _lock: lock })
    }

    /// This user's cache folder: `LIPRL_CACHE`, else `liprl` in the system's cache folder.
    pub(crate) fn place(variable: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf> {
        let variable = |name| variable(name).filter(|value| !value.as_os_str().is_empty());
        let own = match variable("LIPRL_CACHE") {
            Some(own) => Some(std::path::absolute(own)?),
            None => None,
        };
        own.or_else(|| variable("XDG_CACHE_HOME").filter(|path| path.is_absolute()).map(|path| path.join("liprl")))
            .or_else(|| variable("HOME").map(|home| home.join(".cache/liprl")))
            .context("neither LIPRL_CACHE nor HOME is set: set LIPRL_CACHE to a folder for downloads")
    }

    /// A path inside the cache.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// True if the folder `name` was completed from exactly `origin`.
    pub(crate) fn has(&self, name: &str, origin: &str) -> bool {
        fs::read_to_string(self.path(name).join(STAMP)).is_ok_and(|stamp| stamp == origin)
    }

    /// Marks the folder `name` as complete.
    pub(crate) fn stamp(&self, name: &str, origin: &str) -> Result<()> {
        Ok(fs::write(self.path(name).join(STAMP), origin)?)
    }

    /// Returns the folder of `part`, fetched if it is missing. Remains of an interrupted attempt
    /// are removed, except complete wheels.
    pub(crate) fn fetch(&self, part: &Part, tools: &Tools) -> Result<PathBuf> {
        let folder = self.path(part.folder);
        let wheels = part.wheels.iter().filter_map(|wheel| requirement(part.requirements, wheel));
        let origin = wheels.collect::<Vec<_>>().join("\n");
        if self.has(part.folder, &origin) {
            println!("{}: already in {}", part.name, folder.display());
            return Ok(folder);
        }
        let python = tools.python_with_pip()?;
        check_disk(&self.folder, part.disk_mb, part.name)?;
        println!("{}: fetching {}", part.name, part.wheels.join(", "));

        let downloads = self.path("downloads").join(part.folder);
        let partial = self.path("partial").join(part.folder);
        remove(&partial)?;
        fs::create_dir_all(&downloads)?;
        for made in ["pip", "folder"] {
            fs::create_dir_all(partial.join(made))?;
        }
        wheels::download(&python, part, &downloads, &partial.join("pip"))?;
        wheels::unpack(&python, &downloads, part.take, &partial.join("unpacked"))?;
        (part.arrange)(&partial.join("unpacked"), &partial.join("folder"))
            .and_then(|()| check(&partial.join("folder"), part))
            .inspect_err(|_| drop(remove(&downloads)))
            .with_context(|| format!("the wheels of {} do not hold what is expected", part.name))?;

        remove(&folder)?;
        fs::rename(partial.join("folder"), &folder)?;
        self.stamp(part.folder, &origin)?;
        remove(&partial)?;
        remove(&downloads)?;
        Ok(folder)
    }
}

/// Checks that every file of a part is there and complete.
fn check(folder: &Path, part: &Part) -> Result<()> {
    for (file, least) in part.expect {
        let size = fs::metadata(folder.join(file))?.len();
        if size < *least {
            bail!("{file} has {size} bytes, at least {least} were expected");
        }
    }
    Ok(())
}

/// Removes a folder with its contents, if it exists.
pub(crate) fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::tests::script;

    /// A part whose wheel the stand-in for python3 below writes and unpacks.
    const PART: Part = Part {
        name: "a part",
        folder: "part-1.0",
        wheels: &["part==1.0"],
        disk_mb: 1,
        take: &["part/"],
        arrange: |unpacked, folder| Ok(fs::rename(unpacked.join("file"), folder.join("file"))?),
        expect: &[("file", 5)],
        ..crate::parts::ASSETS
    };

    /// A python3 that knows `pip --version`, `pip download` (copies `$WHEEL_SOURCE`'s stand-in
    /// wheel, after `before`) and extraction (copies the wheel's text to `file`), and counts its
    /// downloads.
    fn python(folder: &Path, before: &str, content: &str) -> Tools {
        let body = format!(
            "export PATH=/usr/bin:/bin\n\
             case \"$*\" in\n\
             *'pip --version') ;;\n\
             *'pip download'*) while [ \"$1\" != --dest ]; do shift; done; dest=$2\n\
               echo x >> {folder}/downloads; {before}\n\
               printf %s '{content}' > $dest/part-1.0-py3-none-any.whl ;;\n\
             *) mkdir -p $4; cp $3 $4/file ;;\n\
             esac",
            folder = folder.display()
        );
        script(&folder.join("python3"), &body);
        Tools::in_path(folder)
    }

    fn downloads(folder: &Path) -> usize {
        fs::read_to_string(folder.join("downloads")).unwrap().lines().count()
    }

    #[test]
    fn a_part_is_fetched_once() {
        let bin = tempfile::tempdir().unwrap();
        let home = tempfile::tempdir().unwrap();
        let tools = python(bin.path(), "", "content");
        for _ in 0..2 {
            let cache = Cache::open(home.path().to_path_buf()).unwrap();
            let folder = cache.fetch(&PART, &tools).unwrap();
            assert_eq!(fs::read_to_string(folder.join("file")).unwrap(), "content");
        }
        assert_eq!(downloads(bin.path()), 1);
        assert!(!home.path().join("partial/part-1.0").exists() && !home.path().join("downloads/part-1.0").exists());
    }

    #[test]
    fn an_interrupted_download_restarts_cleanly() {
        let bin = tempfile::tempdir().unwrap();
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::open(home.path().to_path_buf()).unwrap();
        let broken = python(bin.path(), "echo half > $dest/tmp-part; echo 'ERROR: cut off' >&2; exit 1", "");
        let message = cache.fetch(&PART, &broken).unwrap_err().to_string();
        assert!(message.contains("part==1.0") && message.contains("cut off"), "{message}");
        assert!(!cache.path("part-1.0").exists());

        // As if killed half-way through unpacking, too.
        fs::create_dir_all(home.path().join("partial/part-1.0/folder")).unwrap();
        fs::write(home.path().join("partial/part-1.0/folder/leftover"), "old").unwrap();
        let folder = cache.fetch(&PART, &python(bin.path(), "", "content")).unwrap();
        assert_eq!(fs::read_to_string(folder.join("file")).unwrap(), "content");
        assert!(!folder.join("leftover").exists());
        assert_eq!(downloads(bin.path()), 2);
    }

    #[test]
    fn a_folder_without_its_stamp_or_of_other_wheels_is_made_anew() {
        let bin = tempfile::tempdir().unwrap();
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::open(home.path().to_path_buf()).unwrap();
        let tools = python(bin.path(), "", "content");
        let folder = cache.fetch(&PART, &tools).unwrap();
        fs::write(folder.join("file"), "damaged").unwrap();
        fs::write(folder.join(STAMP), "part==0.9").unwrap();
        cache.fetch(&PART, &tools).unwrap();
        assert_eq!(fs::read_to_string(folder.join("file")).unwrap(), "content");
        assert_eq!(downloads(bin.path()), 2);
    }

    #[test]
    fn a_short_file_is_refused_and_its_wheel_not_kept() {
        let bin = tempfile::tempdir().unwrap();
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::open(home.path().to_path_buf()).unwrap();
        let error = cache.fetch(&PART, &python(bin.path(), "", "abc")).unwrap_err();
        let message = format!("{error:#}");
        assert!(message.contains("a part") && message.contains("3 bytes, at least 5"), "{message}");
        assert!(!cache.path("part-1.0").exists() && !home.path().join("downloads/part-1.0").exists());
    }

    /// With the real python3: a wheel whose bytes were damaged after it was written.
    #[test]
    fn a_damaged_wheel_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = folder.path().join("part-1.0-py3-none-any.whl");
        let python = Tools::of_user().python().unwrap();
        let write = "import sys, zipfile\nwith zipfile.ZipFile(sys.argv[1], 'w') as z: z.writestr('part/a', 'A' * 99)";
        let pack =
            || assert!(std::process::Command::new(&python).args(["-c", write]).arg(&wheel).status().unwrap().success());
        let out = folder.path().join("out");
        pack();
        wheels::unpack(&python, folder.path(), &["part/"], &out).unwrap();
        assert_eq!(fs::read_to_string(out.join("part/a")).unwrap(), "A".repeat(99));

        let mut bytes = fs::read(&wheel).unwrap();
        let middle = bytes.windows(8).position(|window| window == b"AAAAAAAA").unwrap();
        bytes[middle + 20] = b'B';
        fs::write(&wheel, bytes).unwrap();
        let message = wheels::unpack(&python, folder.path(), &["part/"], &out).unwrap_err().to_string();
        assert!(message.contains("CRC") && message.contains("run this again"), "{message}");
        assert!(!wheel.exists());
    }

    #[test]
    fn a_second_setup_waits_for_the_first() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().to_path_buf();
        let first = Cache::open(path.clone()).unwrap();
        let (tell, hear) = std::sync::mpsc::channel();
        let second = std::thread::spawn(move || {
            let cache = Cache::open(path).unwrap();
            hear.try_recv().expect("the second setup went on while the first still held the cache");
            drop(cache);
        });
        std::thread::sleep(std::time::Duration::from_millis(200));
        tell.send(()).unwrap();
        drop(first);
        second.join().unwrap();
    }

    #[test]
    fn the_place_follows_the_users_variables() {
        let place = |variables: &'static [(&str, &str)]| {
            Cache::place(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| PathBuf::from(value)))
        };
        assert_eq!(place(&[("HOME", "/h")]).unwrap(), Path::new("/h/.cache/liprl"));
        assert_eq!(place(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")]).unwrap(), Path::new("/x/liprl"));
        assert_eq!(place(&[("HOME", "/h"), ("LIPRL_CACHE", "/l")]).unwrap(), Path::new("/l"));
        assert_eq!(place(&[("HOME", "/h"), ("LIPRL_CACHE", "")]).unwrap(), Path::new("/h/.cache/liprl"));
        assert!(place(&[("LIPRL_CACHE", "here")]).unwrap().is_absolute());
        assert!(place(&[]).unwrap_err().to_string().contains("LIPRL_CACHE"));
    }
}
