//! Evaluation under perturbed observations.

use serde_json::Value;

use crate::runs::{SMALL, small_agent, small_run, write_config};
use crate::support::{finish, liprl, text};

/// The config of a small run on this task.
fn config_on(task: &str) -> String {
    format!("{}{}", SMALL.replace("Pendulum-v1", task), small_agent("td3"))
}

#[test]
fn every_disturbance_is_reported_drawn_and_repeatable() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = small_run(folder.path(), &config_on("{id: PendulumSwingUp-v0, max_episode_steps: 120}"), "600");
    let picture = folder.path().join("robustness.svg");
    let eval = |more: &[&str]| {
        let args = ["eval", text(&run), "--episodes", "3", "--seed", "5"];
        let (code, out, stderr) = finish(liprl(args.iter().chain(more)));
        assert_eq!(code, 0, "{stderr}");
        out
    };
    let all = [
        "--disturb",
        "uniform:0.3",
        "--disturb",
        "bias:0.3",
        "--disturb",
        "pgd:0.1,0.3",
        "--disturb",
        "critic:0.3",
        "--disturb",
        "trajectory:0.3",
    ];
    let drawn = [&all[..], &["--json", "--figure", text(&picture)]].concat();
    let report = eval(&drawn);
    assert_eq!(report, eval(&[&all[..], &["--json"]].concat()), "the same seed is the same disturbance");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let plain: Value = serde_json::from_str(&eval(&["--json"])).expect("JSON");
    assert_eq!(report["episodes"], plain["episodes"], "the undisturbed episodes stay what they were");
    assert!(plain.get("disturbances").is_none());
    let rows = report["disturbances"].as_array().expect("a list");
    let names: Vec<_> =
        rows.iter().map(|row| (row["kind"].as_str().expect("a kind"), row["epsilon"].as_f64())).collect();
    assert_eq!(
        names,
        [("uniform", 0.3), ("bias", 0.3), ("pgd", 0.1), ("pgd", 0.3), ("critic", 0.3), ("trajectory", 0.3)]
            .map(|(k, e)| (k, Some(e)))
    );
    for row in rows {
        assert_eq!(row["episodes"].as_array().map(Vec::len), Some(3));
        assert_ne!(row["episodes"], plain["episodes"], "{row}");
    }
    let drawing = std::fs::read_to_string(&picture).expect("a picture");
    assert!(["uniform", "bias", "pgd", "critic", "trajectory"].iter().all(|name| drawing.contains(name)));

    let words = eval(&["--disturb", "pgd:0.1,0.3"]);
    assert!(words.starts_with("PendulumSwingUp-v0: return "), "{words}");
    assert_eq!(words.lines().filter(|line| line.starts_with("pgd ")).count(), 2, "{words}");
}

#[test]
fn what_cannot_be_disturbed_is_bad_usage() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = small_run(folder.path(), &config_on("{id: MountainCarContinuous-v0, max_episode_steps: 100}"), "600");
    let refuse = |words: &[&str], problem: &str| {
        let (code, _, stderr) = finish(liprl(["eval", text(&run)].iter().chain(words)));
        assert!(code == 2 && stderr.contains(problem), "{code}: {stderr}");
    };
    refuse(&["--disturb", "trajectory:0.1"], "MountainCarContinuous-v0 has no equations that can be differentiated");
    refuse(&["--disturb", "noise:0.1"], "there is no disturbance `noise`");
    refuse(&["--disturb", "pgd:0"], "above 0");
    refuse(&["--disturb", "pgd"], "KIND:EPS");
    refuse(&["--figure", "x.png"], "--disturb");
    refuse(&["--disturb", "pgd:0.1", "--figure", "x.gif"], ".png, .svg or .pdf");
}

/// A linear system out of a config's matrices, and those that do not fit.
#[test]
fn a_linear_system_is_trained_on_from_its_matrices() {
    let folder = tempfile::tempdir().expect("a folder");
    let task =
        "{id: Linear-v0, a: [[1, 0.1], [0, 1]], b: [[0.005], [0.1]], q: [1, 0.5], r: 0.1, max_episode_steps: 40}";
    let run = small_run(folder.path(), &config_on(task), "600");
    let (code, words, stderr) = finish(liprl(["eval", text(&run), "--episodes", "1", "--disturb", "trajectory:0.1"]));
    assert!(code == 0 && words.starts_with("Linear-v0: return -"), "{words}{stderr}");
    let config = write_config(
        folder.path(),
        &format!("env: {{id: Linear-v0, b: [1, 2, 3]}}\nsteps: 10\n{}", small_agent("td3")),
    );
    let (code, _, stderr) = finish(liprl(["check", text(&config)]));
    assert!(
        code == 2 && stderr.contains("small.yaml:1:25: `env.b`: is 3 × 1, must have as many rows as `a`"),
        "{code} {stderr}"
    );
}

#[test]
fn a_smoothed_policy_is_evaluated_and_certified() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = small_run(folder.path(), &config_on("{id: PendulumSwingUp-v0, max_episode_steps: 40}"), "600");
    let json = |words: &[&str]| -> Value {
        let (code, out, stderr) = finish(liprl(words.iter().chain(&["--json"])));
        assert_eq!(code, 0, "{stderr}");
        serde_json::from_str(&out).expect("JSON")
    };
    let eval = |more: &[&str]| json(&[&["eval", text(&run), "--episodes", "3", "--disturb", "pgd:0.3"], more].concat());
    let (plain, smoothed) = (eval(&[]), eval(&["--smooth", "0.4", "--samples", "4"]));
    assert_eq!(smoothed["smoothing"], serde_json::json!({ "sigma": 0.4, "samples": 4 }));
    assert_eq!(smoothed, eval(&["--smooth", "0.4", "--samples", "4"]), "the same seed is the same noise");
    assert_ne!(smoothed["episodes"], plain["episodes"]);
    assert_ne!(smoothed["disturbances"], plain["disturbances"]);

    let words =
        ["certify", text(&run), "--method", "smoothing", "--smooth", "0.4", "--samples", "5000", "--states", "3"];
    let more = ["--budget", "0.1,0.4", "--epsilon", "0.1,0.4", "--episodes", "200", "--least-return", "-700"];
    let report = json(&[&words[..], &more].concat());
    let numbers = |rows: &Value, key: &str| -> Vec<f64> {
        rows.as_array().expect("rows").iter().map(|row| row[key].as_f64().expect("a number")).collect()
    };
    let (actions, returns) = (&report["actions"], &report["returns"]);
    for (lower, upper) in [("observed", "estimated"), ("smoothed", "everywhere"), ("smoothed", "estimated")] {
        let pairs = numbers(actions, lower).into_iter().zip(numbers(actions, upper));
        assert!(pairs.clone().all(|(lower, upper)| lower > 0.0 && lower <= upper), "{actions}");
    }
    let expected = numbers(returns, "expected");
    assert!(expected[0] > expected[1] && expected[1] > -700.0, "{returns}");
    assert!(expected[0] < report["return_mean"].as_f64().expect("a mean"), "{report}");
    // The constant with noise is below the one without, and below that of noise alone.
    let slope = report["lipschitz"]["smoothed_coordinate"].as_f64().expect("a slope");
    let plain = report["lipschitz"]["plain"].as_f64().expect("a constant");
    assert!(slope <= plain && slope <= 2.0 / (0.4 * (2.0 * std::f64::consts::PI).sqrt()), "{slope} {plain}");

    for (words, problem) in [
        (vec!["certify", text(&run), "--method", "smoothing"], "add --smooth SIGMA"),
        (vec!["certify", text(&run), "--smooth", "0.1"], "--smooth is for --method smoothing"),
        (vec!["certify", text(&run), "--method", "smoothing", "--smooth", "0"], "not a finite number above 0"),
        (vec!["eval", text(&run), "--samples", "3"], "--smooth"),
    ] {
        let (code, _, stderr) = finish(liprl(&words));
        assert!(code == 2 && stderr.contains(problem), "{words:?}: {code} {stderr}");
    }
    let (code, _, stderr) = finish(liprl([&words[..], &["--least-return", "-1", "--episodes", "20"]].concat()));
    assert!(code == 1 && stderr.contains("less than the --least-return"), "{code} {stderr}");
}
