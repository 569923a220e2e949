//! Wrong words on the command line: each is bad usage, exit code 2, and the message names the right
//! ones.

use std::path::Path;

use crate::runs::{SMALL, small_agent, small_run, write_config};
use crate::support::{finish, liprl, text};

/// Runs the program, which has to refuse its arguments with these words.
fn refused<'a>(args: impl IntoIterator<Item = &'a str>, words: &[&str]) {
    let args: Vec<&str> = args.into_iter().collect();
    let (code, _, stderr) = finish(liprl(&args));
    assert_eq!(code, 2, "{args:?}: {stderr}");
    for part in words {
        assert!(stderr.contains(part), "{args:?}: {part} is not in {stderr}");
    }
}

#[test]
fn wrong_words_get_the_nearest_right_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = small_run(folder.path(), &format!("{SMALL}{}", small_agent("sac")), "900");
    let (run, out) = (text(&run), folder.path().join("x.png"));
    for metric in ["eval/retrun_mean", "Eval/Return_Mean"] {
        refused(
            ["plot", run, "--metric", metric, "--out", text(&out)],
            &["names are eval/return_mean, ", "liprl metrics RUN"],
        );
    }
    refused(
        ["report", run, "--metric", "eval/lenght_mean", "--out", text(folder.path())],
        &["names are eval/length_mean, "],
    );
    refused(["eval", run, "--disturb", "unifrm:1"], &["did you mean `uniform`?"]);
    let config = write_config(folder.path(), &format!("{SMALL}{}", small_agent("sac")));
    refused(["check", text(&config), "--set", "agent.kind=sca"], &["did you mean `sac`?"]);
    // Five names, not a hundred.
    let (_, _, stderr) = finish(liprl(["plot", run, "--metric", "x", "--out", text(&out)]));
    assert_eq!(stderr.matches(", ").count(), 4, "{stderr}");
}

#[test]
fn a_folder_of_runs_is_told_from_a_run() {
    let folder = tempfile::tempdir().expect("a folder");
    for seed in 0..10 {
        let run = folder.path().join(format!("v/seed-{seed}"));
        std::fs::create_dir_all(&run).expect("made");
        std::fs::write(run.join("metrics.jsonl"), "").expect("written");
    }
    for command in [&["eval"][..], &["certify"], &["record", "--episodes", "1", "--out", "x.hdf5"]] {
        let args = command.iter().copied().chain([text(folder.path())]);
        refused(args, &["is a folder of runs; name one of them: ", "v/seed-7, and 2 more"]);
    }
}

#[test]
fn configs_and_sweep_files_are_told_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = write_config(folder.path(), &format!("{SMALL}{}", small_agent("sac")));
    let sweep = folder.path().join("sweep.yaml");
    let base = config.file_name().and_then(|name| name.to_str()).expect("a name");
    std::fs::write(&sweep, format!("base: {base}\naxes: {{agent.gamma: [0.9]}}\nset: {{steps: 200}}\n"))
        .expect("written");
    let (config, sweep) = (text(&config), text(&sweep));
    let is_sweep = format!("is a sweep file: `liprl sweep {sweep}`");
    refused(["train", sweep], &[&is_sweep]);
    refused(["check", sweep], &[&is_sweep]);
    refused(["record", sweep, "--expert", "lqr", "--episodes", "1", "--out", "x.h5"], &[&is_sweep]);
    refused(["sweep", config], &[&format!("is the config of one run: `liprl train {config}`")]);

    let out = folder.path().join("out");
    let (code, _, stderr) = finish(liprl(["sweep", sweep, "--out", text(&out)]));
    assert_eq!(code, 0, "{stderr}");
    refused(["sweep", text(&out)], &[&format!("`liprl sweep {sweep}` launches it"), "liprl sweep status"]);
    refused(["train", text(&out)], &["is a sweep's folder"]);
    refused(["sweep", text(&out.join("gamma=0.9/seed-0"))], &["is a run folder", "--resume"]);
}

#[test]
fn wrong_files_and_endings_are_bad_usage() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = small_run(folder.path(), &format!("{SMALL}{}", small_agent("sac")), "400");
    let run = text(&run);
    for name in ["x.npz", "x", "x.hdf5.gz"] {
        let out = folder.path().join(name);
        refused(["record", run, "--episodes", "1", "--out", text(&out)], &["has to end in .hdf5 or .h5"]);
        assert!(!out.exists());
    }
    let missing = folder.path().join("missing");
    let missing = text(&missing);
    refused(["plot", run, "--out", "x.gif"], &[".png, .svg or .pdf"]);
    refused(["plot", missing, "--out", "x.png"], &["there is no run folder"]);
    refused(["report", missing, "--out", missing], &["there is no run folder"]);
    refused(["report", run, "--out", "x.html"], &["--out names a folder"]);
    refused(["tradeoff", missing, "--out", "x.png"], &["there is no run folder"]);
    refused(["demos", "inspect", missing], &["there is no file"]);
    refused(["sweep", "status", missing], &["not a sweep's folder"]);
    refused(["plot", "--peer", &format!("A={missing}"), "--out", "x.png"], &[missing]);
    assert!(!Path::new(missing).exists());
}

#[test]
fn the_report_of_a_single_run_has_its_metrics() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = small_run(folder.path(), &format!("{SMALL}{}", small_agent("sac")), "400");
    let out = folder.path().join("report");
    let (code, words, stderr) = finish(liprl(["report", text(&run), "--out", text(&out)]));
    assert!(code == 0 && words.contains("`liprl plot` draws any of its metrics"), "{words}{stderr}");
    let page = std::fs::read_to_string(out.join("report.html")).expect("a page");
    for part in ["One run on Pendulum-v1, done", "<svg", "All that the run logged", "<code>train/critic_loss</code>"] {
        assert!(page.contains(part), "{part}");
    }
}
