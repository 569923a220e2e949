//! Sweeps with values, links and lock files that would reach out of the sweep's folder.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::runs::summary;
use crate::support::{finish, liprl, text};
use crate::sweeps::SweepFixture;

/// A `PATH` on which `sbatch` takes every script.
fn with_sbatch(sweep: &SweepFixture, command: &mut Command) {
    let bin = sweep.folder.path().join("bin");
    std::fs::create_dir_all(&bin).expect("a folder");
    for (name, text) in [("sbatch", "#!/bin/bash\necho 7\n"), ("squeue", "#!/bin/bash\n")] {
        std::fs::write(bin.join(name), text).expect("written");
        std::fs::set_permissions(bin.join(name), std::fs::Permissions::from_mode(0o755)).expect("allowed");
    }
    command.env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default()));
}

#[test]
fn values_in_slurm_s_script_are_quoted_or_refused() {
    let sweep = SweepFixture::new(
        "launcher: {kind: slurm, partition: \"a b\", constraint: \"[x|y]&z's\", setup: ['echo ready', 'false', 'touch ran']}\n",
    );
    let mut command = sweep.command(&[]);
    with_sbatch(&sweep, &mut command);
    // The folder's name has a pattern of Slurm's.
    let out = sweep.folder.path().join("a %j b");
    command.args(["--out".as_ref(), out.as_os_str()]);
    let (code, _, stderr) = finish(command);
    assert!(code == 2 && stderr.contains("--out"), "{code}: {stderr}");
    let launch = |file: &std::path::Path, out: &std::path::Path| {
        let mut command = liprl(["sweep".as_ref(), file.as_os_str(), "--out".as_ref(), out.as_os_str()]);
        with_sbatch(&sweep, &mut command);
        finish(command)
    };
    let file = sweep.folder.path().join("sweep.yaml");
    let (code, _, stderr) = launch(&file, &out);
    assert_eq!(code, 0, "{stderr}");
    let script = std::fs::read_to_string(out.join(".sweep/slurm/array-001.sh")).expect("a script");
    for line in [
        "#SBATCH --partition='a b'\n".to_owned(),
        "#SBATCH --constraint='[x|y]&z'\\''s'\n".to_owned(),
        format!("#SBATCH --output='{}/a %%j b/.sweep/slurm/%A_%a.log'\n", text(sweep.folder.path())),
    ] {
        assert!(script.contains(&line), "{line}: {script}");
    }
    // A line of setup that fails ends the task before the run begins.
    let mut task = Command::new("bash");
    task.arg(out.join(".sweep/slurm/array-001.sh")).current_dir(sweep.folder.path());
    let (code, stdout, stderr) = finish(task);
    assert!(code != 0 && stdout == "ready\n", "{code}: {stdout}{stderr}");
    assert!(stderr.contains("a line of setup failed: false"), "{stderr}");
    assert!(!sweep.folder.path().join("ran").exists() && !out.join("small").exists());

    let planted = sweep.folder.path().join("x\ntouch planted");
    let (code, _, stderr) = launch(&file, &planted);
    assert!(code == 1 && stderr.contains("line break"), "{code}: {stderr}");
    let backslash = sweep.folder.path().join("a\\b");
    let (code, _, stderr) = launch(&file, &backslash);
    assert!(code == 1 && stderr.contains("a backslash"), "{code}: {stderr}");
    for value in ["partition: \"gpu\\ntouch planted\"", "mem: \"8G\\r\"", "time: \"1\\n2\""] {
        sweep.write(&format!("launcher: {{kind: slurm, {value}}}\n"));
        let (code, _, stderr) = launch(&file, &sweep.out());
        assert!(code == 1 && stderr.contains("line break"), "{value}: {code}: {stderr}");
        let left = std::fs::read_dir(sweep.out().join(".sweep/slurm")).expect("a folder").count();
        assert_eq!(left, 0, "nothing is left of a refused submission");
    }
}

#[test]
fn a_lock_file_is_not_believed_when_it_points_elsewhere() {
    let sweep = SweepFixture::new("set: {steps: 300}\n");
    sweep.launch(&[], 0);
    let file = sweep.run("sweep.lock.json");
    let good = std::fs::read_to_string(&file).expect("a lock file");
    let victim = sweep.folder.path().join("x");
    std::fs::rename(sweep.run("small/seed-0"), &victim).expect("moved");
    for elsewhere in ["../x", text(&victim), "small/../../x"] {
        std::fs::write(&file, good.replace("small/seed-0", elsewhere)).expect("written");
        for args in [
            &["sweep", "status", text(&sweep.out())][..],
            &["sweep", text(&sweep.folder.path().join("sweep.yaml")), "--out", text(&sweep.out())],
        ] {
            let (code, _, stderr) = finish(liprl(args));
            assert!(code != 0 && stderr.contains("sweep.lock.json: the run folder"), "{args:?}: {code}: {stderr}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_linked_folder_of_the_launchers_is_not_written_through() {
    let sweep = SweepFixture::new("set: {steps: 300}\n");
    let victim = sweep.folder.path().join("victim");
    std::fs::create_dir(&victim).expect("a folder");
    std::fs::create_dir(sweep.out()).expect("a folder");
    std::os::unix::fs::symlink(&victim, sweep.run(".sweep")).expect("a link");
    let words = sweep.launch(&[], 2);
    assert!(words.contains(".sweep`: it is a symbolic link"), "{words}");
    assert_eq!(std::fs::read_dir(&victim).expect("a folder").count(), 0);
}

#[cfg(unix)]
#[test]
fn plot_and_report_see_linked_runs_as_status_does() {
    let sweep = SweepFixture::new("set: {steps: 400}\nseeds: [0, 1]\naxes: {agent.gamma: [0.9, 0.99]}\n");
    sweep.launch(&[], 0);
    let far = sweep.folder.path().join("far");
    std::fs::create_dir(&far).expect("a folder");
    for (at, name) in [("gamma=0.9/seed-0", "s0"), ("gamma=0.99", "v")] {
        std::fs::rename(sweep.run(at), far.join(name)).expect("moved");
        std::os::unix::fs::symlink(far.join(name), sweep.run(at)).expect("a link");
    }
    std::os::unix::fs::symlink(sweep.out(), sweep.run("gamma=0.9/circle")).expect("a link");
    assert!(sweep.status().1.contains("4 done"));
    let out = sweep.folder.path().join("o.svg");
    let (code, _, stderr) = finish(liprl(["plot", text(&sweep.out()), "--no-lines", "--out", text(&out)]));
    assert_eq!(code, 0, "{stderr}");
    let table = std::fs::read_to_string(out.with_extension("csv")).expect("a table");
    let seeds: Vec<&str> = table.lines().skip(1).map(|line| line.rsplit(',').next().expect("seeds")).collect();
    assert_eq!(seeds, ["2", "2"], "{table}");
    let (code, stdout, stderr) =
        finish(liprl(["report", text(&sweep.out()), "--out", text(&sweep.folder.path().join("page"))]));
    assert!(code == 0 && stdout.contains("2 and 2 runs"), "{stdout}{stderr}");
    // Going on writes into the folders behind the links.
    sweep.write("set: {steps: 600}\nseeds: [0, 1]\naxes: {agent.gamma: [0.9, 0.99]}\n");
    assert!(sweep.launch(&[], 0).contains("4 done"));
    assert_eq!(summary(&far.join("s0"))["steps"], 600);
}
