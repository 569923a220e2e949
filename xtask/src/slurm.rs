//! `cargo xtask slurm-test`: the Slurm launcher against a real Slurm of one node, started for the
//! tests.

use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use fs_err as fs;

use crate::process::{cargo, show};
use crate::setup;

/// Packages of Debian and Ubuntu.
const PACKAGES: [&str; 4] = ["munge", "slurmctld", "slurmd", "slurm-client"];
/// The programs needed from those packages.
const PROGRAMS: [&str; 8] = ["munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "sinfo"];
/// Time within which the node must be ready.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs the tests. They fail if Slurm is missing and cannot be installed or started; with
/// `if_available` that is only printed.
pub(crate) fn run(root: &Path, if_available: bool) -> Result<()> {
    let path = search_path();
    if let Err(missing) = provide(&path) {
        if if_available {
            println!("\nNOT RUN: the tests of the Slurm launcher. {missing:#}");
            return Ok(());
        }
        return Err(missing);
    }
    setup::run(root, setup::Options { cuda: false, test: true, peers: false })?;
    // Built before the cluster is started: compiling takes longer than anything here.
    show(&mut cargo(root, &["test", "--release", "--package", "liprl", "--test", "slurm", "--no-run"]))?;
    let cluster = match Cluster::start(&path) {
        Err(problem) if if_available => {
            println!("\nNOT RUN: the tests of the Slurm launcher. Slurm does not start on this machine: {problem:#}");
            return Ok(());
        }
        cluster => cluster?,
    };
    let words = ["test", "--release", "--package", "liprl", "--test", "slurm", "--", "--ignored", "--test-threads=1"];
    let mut tests = cargo(root, &words);
    let outcome = show(tests.env("SLURM_CONF", cluster.file("slurm.conf")).env("PATH", &path));
    if outcome.is_err() {
        cluster.show_logs();
    }
    outcome
}

/// The user's PATH with the folders of daemons.
fn search_path() -> std::ffi::OsString {
    let mut folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    folders.extend(["/usr/sbin", "/sbin"].map(PathBuf::from));
    std::env::join_paths(folders).unwrap_or_default()
}

/// Ensures that Slurm's programs are installed.
fn provide(path: &std::ffi::OsStr) -> Result<()> {
    let missing = missing(path);
    if missing.is_empty() {
        return Ok(());
    }
    let packages = PACKAGES.join(" ");
    let wanted = format!("{} missing (Debian, Ubuntu: `apt install {packages}`)", list(&missing));
    if !is_root() || !on_path(path, "apt-get") {
        bail!(wanted);
    }
    println!("installing {packages}");
    // The package lists may be old; if they cannot be updated, the old ones may still work.
    let apt = |words: &[&str]| {
        let mut command = Command::new("apt-get");
        let status = command.args(words).env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    apt(&["-q", "update"]);
    let install: Vec<&str> = ["-q", "-y", "--no-install-recommends", "install"].into_iter().chain(PACKAGES).collect();
    if !apt(&install) || !self::missing(path).is_empty() {
        bail!("{wanted}, and apt-get could not install them");
    }
    Ok(())
}

fn missing(path: &std::ffi::OsStr) -> Vec<&'static str> {
    PROGRAMS.into_iter().filter(|program| !on_path(path, program)).collect()
}

fn on_path(path: &std::ffi::OsStr, program: &str) -> bool {
    std::env::split_paths(path).any(|folder| folder.join(program).is_file())
}

fn list(names: &[&str]) -> String {
    let verb = if names.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", names.join(", "))
}

fn user() -> String {
    let output = Command::new("id").arg("-un").output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

fn is_root() -> bool {
    user() == "root"
}

/// A Slurm of one node: this machine. It is stopped when dropped.
struct Cluster {
    folder: PathBuf,
    path: std::ffi::OsString,
    daemons: Vec<Child>,
}

impl Cluster {
    fn start(path: &std::ffi::OsStr) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("liprl-slurm-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let mut cluster = Self { folder, path: path.to_owned(), daemons: Vec::new() };
        for name in ["state", "spool"] {
            fs::create_dir_all(cluster.file(name))?;
        }
        cluster.write_key()?;
        let host = host()?;
        fs::write(cluster.file("slurm.conf"), cluster.conf(&host, free_port()?, free_port()?))?;
        let file = |name: &str| cluster.file(name).display().to_string();
        let munge = [
            "--foreground".to_owned(),
            // Accept a folder below /tmp.
            "--force".to_owned(),
            format!("--socket={}", file("munge.socket")),
            format!("--key-file={}", file("munge.key")),
            format!("--pid-file={}", file("munged.pid")),
            format!("--seed-file={}", file("munged.seed")),
        ];
        let (conf, socket) = (file("slurm.conf"), cluster.file("munge.socket"));
        cluster.daemon("munged", &munge)?;
        cluster.wait("munged", |_| socket.exists())?;
        cluster.daemon("slurmctld", &["-D".to_owned(), "-f".to_owned(), conf.clone()])?;
        cluster.daemon("slurmd", &["-D".to_owned(), "-f".to_owned(), conf])?;
        cluster.wait("the node", |cluster| cluster.ask("sinfo", &["--noheader", "--format=%T"]).trim() == "idle")?;
        println!("Slurm runs in {}", cluster.folder.display());
        Ok(cluster)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes munge's key, for this cluster alone and readable by its user alone.
    fn write_key(&self) -> Result<()> {
        let mut key = [0; 128];
        std::io::Read::read_exact(&mut fs::File::open("/dev/urandom")?, &mut key)?;
        let path = self.file("munge.key");
        fs::write(&path, key)?;
        show(Command::new("chmod").arg("600").arg(path))
    }

    fn conf(&self, host: &str, controller: u16, node: u16) -> String {
        let user = user();
        let folder = self.folder.display();
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        format!(
            "ClusterName=liprl\n\
             SlurmctldHost={host}(127.0.0.1)\n\
             SlurmctldPort={controller}\n\
             SlurmdPort={node}\n\
             AuthType=auth/munge\n\
             AuthInfo=socket={folder}/munge.socket\n\
             CredType=cred/munge\n\
             SlurmUser={user}\n\
             SlurmdUser={user}\n\
             StateSaveLocation={folder}/state\n\
             SlurmdSpoolDir={folder}/spool\n\
             SlurmctldPidFile={folder}/slurmctld.pid\n\
             SlurmdPidFile={folder}/slurmd.pid\n\
             ProctrackType=proctrack/linuxproc\n\
             TaskPlugin=task/none\n\
             SelectType=select/cons_tres\n\
             SelectTypeParameters=CR_CPU\n\
             JobAcctGatherType=jobacct_gather/none\n\
             MpiDefault=none\n\
             ReturnToService=2\n\
             SchedulerParameters=batch_sched_delay=0\n\
             KillWait=30\n\
             NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN\n\
             PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP\n"
        )
    }

    /// Starts a daemon in the foreground, so that this process can stop it.
    fn daemon(&mut self, program: &str, words: &[String]) -> Result<()> {
        let log = fs::File::create(self.file(&format!("{program}.log")))?.into_parts().0;
        let mut command = Command::new(program);
        command.args(words).env("PATH", &self.path).env("SLURM_CONF", self.file("slurm.conf")).stdin(Stdio::null());
        let child = command.stdout(log.try_clone()?).stderr(log).spawn();
        self.daemons.push(child.with_context(|| format!("could not start {program}"))?);
        Ok(())
    }

    fn ask(&self, program: &str, words: &[&str]) -> String {
        let mut command = Command::new(program);
        command.args(words).env("PATH", &self.path).env("SLURM_CONF", self.file("slurm.conf"));
        command.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
    }

    fn wait(&self, what: &str, ready: impl Fn(&Self) -> bool) -> Result<()> {
        let start = Instant::now();
        while !ready(self) {
            if start.elapsed() > PATIENCE {
                self.show_logs();
                bail!("{what} was not ready after {} s", PATIENCE.as_secs());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// The ends of the daemons' logs.
    fn show_logs(&self) {
        for program in ["munged", "slurmctld", "slurmd"] {
            let text = fs::read_to_string(self.file(&format!("{program}.log"))).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            println!("{program}:\n{}", lines[lines.len().saturating_sub(30)..].join("\n"));
        }
        // A failure to flush changes nothing.
        let _ = std::io::stdout().flush();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.ask("scancel", &["--user", &user()]);
        // Tasks get time to end: their processes are Slurm's children, not ours.
        let start = Instant::now();
        while !self.ask("squeue", &["--noheader"]).is_empty() && start.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(200));
        }
        for daemon in self.daemons.iter_mut().rev() {
            // An error says that it has ended already.
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The machine's name as Slurm expects it.
fn host() -> Result<String> {
    let output = Command::new("hostname").arg("-s").output().context("could not start `hostname`")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A free port.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_programs_are_named_with_the_packages_that_have_them() {
        assert_eq!(missing("/nowhere".as_ref()), PROGRAMS);
        assert_eq!(list(&["slurmd"]), "slurmd is");
        assert_eq!(list(&["slurmctld", "slurmd"]), "slurmctld, slurmd are");
    }
}
