//! `liprl certify --closed-loop` on trained feedback policies.

use std::path::Path;

use serde_json::Value;

use crate::certify::{number, report};
use crate::runs::{train_through, write_config};
use crate::support::{finish, liprl, text};

/// Trains a feedback policy on an expert's recorded episodes of `task`; returns the run folder.
fn imitated(folder: &Path, task: &str, agent: &str, episodes: &str) -> std::path::PathBuf {
    let config = write_config(folder, &format!("env: {task}\nsteps: 10\nagent: {{kind: td3}}\n"));
    let demos = folder.join("lqr.hdf5");
    let args = ["record", text(&config), "--expert", "lqr", "--episodes", episodes, "--out", text(&demos)];
    let (code, _, stderr) = finish(liprl(args));
    assert_eq!(code, 0, "{stderr}");
    let agent = agent.replace("DEMOS", text(&demos));
    let config = write_config(
        folder,
        &format!("env: {task}\nsteps: 1500\nagent: {agent}\neval: {{every: 1500, episodes: 1}}\n"),
    );
    let run = folder.join("runs/small/seed-0");
    train_through(&config, &run, &["--quiet"]);
    run
}

/// Double integrator and oscillator, a network and a table: no run, random, biased or attacked,
/// breaks a bound, and the regret identity holds.
#[test]
fn closed_loops_keep_their_bounds_in_simulation_and_under_attack() {
    let network = "{kind: feedback, demonstrations: DEMOS, network: {hidden: [16, 16], lr: 5e-3, lr_schedule: {linear: {updates: 6000}}}, updates: 4, \
        batch_size: 128, constraint: {kind: none}}";
    let table = "{kind: feedback, demonstrations: DEMOS, constraint: {kind: kirszbraun, alpha: 2, rows: 60}, duplicates: average}";
    for (task, agent) in [("DoubleIntegrator-v0", network), ("Oscillator-v0", network), ("DoubleIntegrator-v0", table)]
    {
        let folder = tempfile::tempdir().expect("a folder");
        let task = format!("{{id: {task}, start: box, start_width: [1, 1], max_episode_steps: 60}}");
        let run = imitated(folder.path(), &task, agent, "20");
        let args =
            [text(&run), "--closed-loop", "--epsilon", "0.02", "--runs", "170", "--horizon", "60", "--time-limit", "1"];
        let report = report(&args);
        assert!(number(&report["regret_identity"]) < 1e-9, "{report}");
        let rows = report["bounds"].as_array().expect("rows");
        assert!(rows.iter().any(|row| row["name"] == "B4 tube") && rows.iter().any(|row| row["name"] == "B3 regret"));
        for row in rows.iter().filter(|row| !row["bound"].is_null()) {
            assert!(number(&row["met"]) <= number(&row["bound"]) && row["provenance"] == "certified", "{row}");
        }
        // An unconstrained network often has no bounds; then the report says why. Networks with
        // bounds are in `networks_keep_their_bounds_over_a_thousand_runs`.
        for (region, tube) in report["regions"]
            .as_array()
            .expect("regions")
            .iter()
            .zip(rows.iter().filter(|row| row["name"] == "B2 tube" || row["name"] == "B4 tube"))
        {
            assert_eq!(tube["bound"].is_null(), region["failed"].is_object(), "{task}: {report}");
        }
    }
}

#[test]
fn a_loop_without_equations_is_refused_and_an_unstable_basin_says_so() {
    let policy = "demos/inverted_pendulum.policy.safetensors";
    let (code, _, stderr) = finish(liprl(["certify", policy, "--closed-loop"]));
    assert!(code == 2 && stderr.contains("has no equations to bound its loop by"), "{code} {stderr}");
    let (code, _, stderr) = finish(liprl(["certify", policy, "--closed-loop", "--epsilon=-1"]));
    assert!(code == 2 && stderr.contains("-1 is not a valid size"), "{code} {stderr}");
}

/// Networks cloned from the linear expert, over a thousand runs with random, constant and worst
/// errors, the latter step by step and along the trajectory: every bound is there, holds, and is
/// not too loose. The pendulum is nonlinear, with enough torque to stay in its basin.
#[test]
fn networks_keep_their_bounds_over_a_thousand_runs() {
    let linear = "start: box, start_width: [1, 1], max_episode_steps: 60";
    let pendulum = "observation: angle, max_torque: 12, start: box, start_width: [0.2, 1], max_episode_steps: 60";
    for (task, options, constraint, sizes, looseness) in [
        ("DoubleIntegrator-v0", linear, "{kind: by_construction, alpha: 1.9}", "0.02,0.1", 20.0),
        // Its regret varies the most over the box, all of whose starts the bound is for.
        ("Oscillator-v0", linear, "{kind: by_construction, alpha: 3.7}", "0.02,0.1", 30.0),
        // Contraction in one norm replaces the exact gain: an order looser.
        ("PendulumSwingUp-v0", pendulum, "{kind: none}", "0.002,0.005", 400.0),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let steps = if options == linear { 3000 } else { 6000 };
        let agent = format!(
            "{{kind: feedback, expert: {{kind: lqr}}, expert_episodes: 60, expert_noise: 0.01, batch_size: 256, constraint: {constraint}, \
            network: {{hidden: [16, 16], activation: tanh, lr: 5e-3, lr_schedule: {{linear: {{updates: {steps}}}}}}}}}"
        );
        let text_ = format!(
            "env: {{id: {task}, {options}}}\nsteps: {steps}\nagent: {agent}\neval: {{every: {steps}, episodes: 1}}\n"
        );
        let config = write_config(folder.path(), &text_);
        let run = folder.path().join("run");
        train_through(&config, &run, &["--quiet"]);
        let args = ["--closed-loop", "--epsilon", sizes, "--runs", "1000", "--horizon", "40", "--time-limit", "2"];
        let report = report(&[&[text(&run)][..], &args].concat());
        let rows = report["bounds"].as_array().expect("rows");
        let names: Vec<&str> = rows.iter().map(|row| row["name"].as_str().expect("a name")).collect();
        // The episodes that the expert showed count as data, made again from the seed.
        assert_eq!(names[..4], ["B1 error, from the data", "B1 error, by covering", "B2 tube", "B3 regret"]);
        let b4 = ["B4 error e + αε", "B4 tube", "B4 from the learned loop", "B4 regret"];
        assert_eq!(names[4..], [b4, b4].concat());
        for row in rows {
            println!("{task} {row}");
            assert!(row["provenance"] == "certified" && number(&row["bound"]).is_finite(), "{task}: {row}");
            assert!(number(&row["met"]) <= number(&row["bound"]), "{task}: {row}");
            // The ratio of bound to observation. The bound on the pendulum's regret assumes the
            // worst of the basin at every step; without perturbations, errors of either sign
            // cancel, which no bound can use.
            let regret = row["name"].as_str().is_some_and(|name| name.contains("regret"));
            // Demonstrated states lie along loops, so they cover a region badly.
            let sparse = row["name"] == "B1 error, from the data";
            let loose = sparse || regret && (options == pendulum || row["epsilon"] == 0.0);
            assert!(loose || number(&row["ratio"]) < looseness, "{task}: {row}");
        }
        let starts = if options == linear { "box" } else { "basin" };
        let regions = report["regions"].as_array().expect("regions");
        assert!(regions.iter().all(|region| region["starts"] == starts), "{report}");
        if options == linear {
            // The bounds from five runs hold for the starts of all others.
            let args = ["--closed-loop", "--epsilon", sizes, "--runs", "5", "--horizon", "40", "--time-limit", "2"];
            let few = crate::certify::report(&[&[text(&run)][..], &args].concat());
            for (row, other) in rows.iter().zip(few["bounds"].as_array().expect("rows")) {
                assert!(row["name"] == other["name"] && row["meaning"].as_str().is_some_and(|text| !text.is_empty()));
                assert!(number(&row["met"]) <= number(&other["bound"]), "{task}: {row} {other}");
            }
        }
        let by = report["alpha_everywhere_by"].as_str();
        if options == linear {
            // LipSDP may be the larger of the two; certify has both, and takes the less.
            let all = crate::certify::report(&[text(&run), "--episodes", "1", "--states", "1", "--time-limit", "5"]);
            let rows = all["bounds"].as_array().expect("rows").iter();
            let of = |row: &&Value| row["norm"] == "l2" && row["region"] == "everywhere";
            let uppers: Vec<(&str, f64)> =
                rows.filter(of).map(|row| (row["method"].as_str().expect("a name"), number(&row["upper"]))).collect();
            let least = uppers.iter().map(|upper| upper.1).fold(f64::INFINITY, f64::min);
            assert!(uppers.iter().any(|upper| upper.0 == "construction"), "{uppers:?}");
            assert_eq!(number(&all["least"][0]["upper"]), least, "{all}");
            let constants = report["constants"].as_array().expect("constants");
            assert!(number(&constants[0]["value"]) <= least * (1.0 + 1e-4) && by.is_some(), "{uppers:?} {constants:?}");
            assert!(number(&report["regret_identity"]) < 1e-9, "{report}");
            let picture = folder.path().join("tradeoff.svg");
            let (code, _, stderr) = finish(liprl(
                ["tradeoff", text(&run), "--episodes", "20", "--disturb", "trajectory:0.02"]
                    .into_iter()
                    .chain(["--out", text(&picture)]),
            ));
            assert_eq!(code, 0, "{stderr}");
            let json = std::fs::read_to_string(picture.with_extension("json")).expect("JSON");
            let drawn: Value = serde_json::from_str(&json).expect("JSON");
            for condition in drawn["groups"][0]["costs"].as_array().expect("conditions") {
                let (cost, bound) = (number(&condition["cost"]["mean"]), number(&condition["b4_cost"]["mean"]));
                println!("{task}: costs {cost}, at most {bound}");
                assert!(cost <= bound && bound < 1.1 * cost, "{task}: {condition}");
            }
        }
    }
}
