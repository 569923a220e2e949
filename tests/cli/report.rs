//! `liprl report` and `liprl plot` on runs the program made itself.

use crate::runs::{SMALL, small_agent, train_through, write_config};
use crate::support::{finish, liprl, text};

#[test]
fn a_small_experiment_is_compared_and_drawn_with_a_peer() {
    let folder = tempfile::tempdir().expect("a folder");
    let experiment = folder.path().join("runs/small");
    for kind in ["sac", "td3"] {
        let config = write_config(folder.path(), &format!("{SMALL}{}", small_agent(kind)));
        for seed in ["0", "1"] {
            let run = experiment.join(format!("{kind}/seed-{seed}"));
            train_through(&config, &run, &["--steps", "900", "--seed", seed, "--quiet"]);
        }
    }
    let question = "question: Which one?\nbaseline: td3\nreport: {metrics: [train/critic_loss]}\n";
    std::fs::write(experiment.join("sweep.yaml"), question).expect("written");
    let out = folder.path().join("report");
    let (code, words, stderr) = finish(liprl(["report", text(&experiment), "--out", text(&out)]));
    assert_eq!(code, 0, "{stderr}");
    assert!(words.starts_with("sac against td3: too few finished runs to conclude anything."), "{words}");
    assert!(words.trim_end().ends_with("report.html"), "{words}");
    let page = std::fs::read_to_string(out.join("report.html")).expect("a page");
    for part in ["Which one?", "2 of 2", "Pendulum-v1", "<code>agent.kind</code>", "lipschitz/", "peak memory"] {
        assert!(page.contains(part), "{part}");
    }
    // The sweep's own metrics, and the files beside the page.
    assert!(page.contains(">train/critic_loss</text>") && !page.contains(">train/q_mean</text>"));
    for file in ["figures/curves.pdf", "figures/differences.svg", "tables/comparisons.tex", "tables/returns.csv"] {
        assert!(out.join(file).exists(), "{file}");
    }
    let numbers = std::fs::read_to_string(out.join("report.json")).expect("JSON");
    let numbers: serde_json::Value = serde_json::from_str(&numbers).expect("JSON");
    assert_eq!(numbers["tables"]["comparisons"]["rows"][0]["variant"], "sac");
    let relate = ["--relate", "train/critic_loss:eval/return_mean", "--show", "train/q_mean"];
    let (code, words, stderr) =
        finish(liprl(["report", text(&experiment), "--out", text(&out)].into_iter().chain(relate)));
    assert!(
        code == 0 && words.contains("Rank correlation of train/critic_loss with eval/return_mean: over runs"),
        "{words}{stderr}"
    );
    assert!(std::fs::read_to_string(out.join("report.html")).expect("a page").contains(">train/q_mean</text>"));
    let malformed = ["report", text(&experiment), "--out", text(&out), "--relate", "train/critic_loss"];
    assert_eq!(finish(liprl(malformed)).0, 2);
    // Linux reports the peak memory of a run: megabytes at least.
    let summary = std::fs::read_to_string(experiment.join("sac/seed-0/summary.json")).expect("a summary");
    let summary: serde_json::Value = serde_json::from_str(&summary).expect("JSON");
    assert!(summary["peak_memory_bytes"].as_u64().expect("a number") > 10_000_000, "{summary}");
    // A policy 3-32-32-2 and two critics 4-32-32-1, with their biases.
    assert_eq!(summary["parameters"], 1250 + 2 * 1249, "{summary}");

    let asked = ["--score", "mean", "--from", "300", "--reach", "-5000"];
    let (code, words, stderr) =
        finish(liprl(["report", text(&experiment), "--out", text(&out)].into_iter().chain(asked)));
    assert!(code == 0 && words.contains("sac reached -5000 from step 300 on in 2 of 2 runs after "), "{words}{stderr}");
    assert_eq!(finish(liprl(["report", text(&experiment), "--out", text(&out), "--reach", "inf"])).0, 2);

    let (code, _, stderr) = finish(liprl(["report", text(&experiment), "--out", text(&out), "--baseline", "ppo"]));
    assert!(code == 2 && stderr.contains("the variants are sac, td3"), "{stderr}");

    let peer = folder.path().join("progress.csv");
    std::fs::write(&peer, "time/total_timesteps,rollout/ep_rew_mean\n400,-1200\n800,-1100\n").expect("written");
    let picture = folder.path().join("curves.svg");
    let peer = format!("SB3={}", text(&peer));
    let args =
        ["plot", text(&experiment), "--peer", &peer, "--band", "median", "--smooth", "2", "--out", text(&picture)];
    let (code, _, stderr) = finish(liprl(args));
    assert_eq!(code, 0, "{stderr}");
    let drawn = std::fs::read_to_string(&picture).expect("a picture");
    for part in ["median over seeds, quartiles", "last 2 points", "SB3 (n=1)", "sac (n=2)", ">random<"] {
        assert!(drawn.contains(part), "{part}");
    }
    let (code, _, stderr) = finish(liprl(["plot", text(&experiment), "--no-lines", "--out", text(&picture)]));
    assert_eq!(code, 0, "{stderr}");
    assert!(!std::fs::read_to_string(&picture).expect("a picture").contains(">random<"));
    assert_eq!(finish(liprl(["plot", "--peer", "SB3", "--out", text(&picture)])).0, 2);
}

#[test]
fn numbers_at_the_ends_of_the_range_are_drawn() {
    let folder = tempfile::tempdir().expect("a folder");
    let table = folder.path().join("progress.csv");
    std::fs::write(&table, "step,return\n0,-1e308\n1,1e308\n2,1e308\n2,1e308\n").expect("written");
    let picture = folder.path().join("curve.svg");
    let peer = format!("P={}", text(&table));
    for line in ["--line=high=1.7e308", "--line=low=-1.7e308"] {
        let (code, _, stderr) = finish(liprl(["plot", "--peer", &peer, "--no-lines", line, "--out", text(&picture)]));
        assert_eq!((code, stderr.as_str()), (0, ""));
        let drawn = std::fs::read_to_string(&picture).expect("a picture");
        assert!(drawn.contains("1.0e308<") && !drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
    }
    let numbers = std::fs::read_to_string(folder.path().join("curve.csv")).expect("a table");
    assert!(numbers.lines().nth(3).is_some_and(|line| line.split(',').nth(3).is_some_and(|x| x.parse() == Ok(1e308))));
    let (code, _, stderr) = finish(liprl(["plot", "--peer", &peer, "--line", "a=1e309", "--out", text(&picture)]));
    assert!(code == 2 && stderr.contains("`1e309` is beyond the largest number, 1.8e308"), "{stderr}");
}
