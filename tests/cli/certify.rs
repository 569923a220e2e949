//! `liprl certify` on policy files and runs.

use std::path::Path;

use serde_json::Value;

use crate::runs::{SMALL, SMALL_IMITATION, small_agent, traces, train_through, write_config};
use crate::support::{finish, liprl};

/// What certify says in JSON.
fn report(args: &[&str]) -> Value {
    let (code, json, stderr) = finish(liprl(["certify", "--json"].iter().chain(args)));
    assert_eq!(code, 0, "{stderr}");
    serde_json::from_str(&json).expect("JSON")
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

/// The upper bound of a row.
fn upper(report: &Value, norm: &str, region: &str, method: &str) -> f64 {
    let rows = report["bounds"].as_array().expect("rows");
    let fits = |row: &&Value| {
        row["norm"] == norm && row["method"] == method && row["region"].as_str().expect("a text").starts_with(region)
    };
    number(&rows.iter().find(fits).unwrap_or_else(|| panic!("{norm} {region} {method}"))["upper"])
}

/// Lower ≤ upper in every row and box.
fn assert_order(report: &Value) {
    let rows = report["bounds"].as_array().expect("rows");
    for row in rows {
        assert!(number(&row["lower"]) <= number(&row["upper"]), "{row}");
        let same_norm = rows.iter().filter(|other| other["norm"] == row["norm"]);
        for wider in same_norm.filter(|other| other["region"] == "everywhere") {
            assert!(number(&row["lower"]) <= number(&wider["lower"]), "{row}");
            assert!(number(&row["upper"]) <= number(&wider["upper"]) || row["region"] == "everywhere", "{row}");
        }
        assert!(number(&row["upper"]).is_finite());
        for part in row["boxes"].as_array().expect("boxes") {
            assert!(number(&part["lower"]) <= number(&part["upper"]), "{row}");
        }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn a_policy_file_has_a_table_and_bounds_in_their_order() {
    let policy = "demos/inverted_pendulum.policy.safetensors";
    let args = [policy, "--episodes", "1", "--states", "2", "--time-limit", "0.5"];
    let report = report(&args);
    assert_order(&report);
    assert_eq!(report["network"]["inputs"], 4);
    let (product, sdp) = (upper(&report, "l2", "everywhere", "product"), upper(&report, "l2", "everywhere", "lipsdp"));
    let box_sdp = upper(&report, "l2", "data", "lipsdp");
    assert!(sdp <= product && box_sdp <= sdp * (1.0 + 1e-9), "{box_sdp} {sdp} {product}");
    assert!(upper(&report, "linf", "state±0.1std", "local") <= upper(&report, "linf", "everywhere", "product"));
    let (code, table, stderr) = finish(liprl(["certify"].iter().chain(&args)));
    assert_eq!(code, 0, "{stderr}");
    assert!(table.starts_with("policy of demos/inverted_pendulum.policy.safetensors (InvertedPendulum-v5"), "{table}");
    assert!(table.contains("to action in the environment's units"), "{table}");
    let rows = |method: &str| table.lines().filter(|line| line.split_whitespace().any(|word| word == method)).count();
    assert_eq!((rows("product"), rows("lipsdp"), rows("local")), (2, 3, 4), "{table}");
}

/// The action's scale and the task's units are in the constant: Pendulum's torque goes from −2 to 2.
#[test]
fn a_run_s_policy_and_critics_are_certified() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = write_config(folder.path(), &format!("{SMALL}{}", small_agent("sac")));
    let run = folder.path().join("runs/small/seed-0");
    train_through(&config, &run, &["--steps", "900", "--quiet"]);
    for network in ["policy", "critic_0", "critic_1"] {
        let report = report(&[
            text(&run),
            "--network",
            network,
            "--episodes",
            "1",
            "--states",
            "2",
            "--box",
            "state±0.01",
            "--time-limit",
            "1",
        ]);
        assert_order(&report);
        assert_eq!(report["network"]["inputs"], if network == "policy" { 3 } else { 4 });
        // On so small a box the bounds are sharp.
        let row = report["bounds"].as_array().expect("rows").iter().find(|row| row["method"] == "local");
        let row = row.expect("a local row");
        assert!(number(&row["ratio"]) < 1.5, "{row}");
    }
    let (code, _, stderr) = finish(liprl(["certify", text(&run), "--network", "reward"]));
    assert!(
        code == 2 && stderr.contains("no network `reward`") && stderr.contains("critic_0, critic_1, policy"),
        "{stderr}"
    );
}

#[test]
fn an_imitator_s_reward_is_certified() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = write_config(folder.path(), SMALL_IMITATION);
    let run = folder.path().join("runs/small/seed-0");
    train_through(&config, &run, &["--steps", "600", "--quiet"]);
    let report = report(&[text(&run), "--network", "reward", "--episodes", "1", "--states", "2", "--time-limit", "1"]);
    assert_order(&report);
    assert_eq!(report["network"]["to"], "logit of the discriminator");
    assert!(upper(&report, "l2", "everywhere", "lipsdp") <= upper(&report, "l2", "everywhere", "product"));
}

#[test]
fn what_cannot_be_certified_is_refused_with_its_reason() {
    let policy = "demos/inverted_pendulum.policy.safetensors";
    for (args, wanted) in [
        (vec![policy, "--network", "critic_0"], "holds a policy alone"),
        (vec![policy, "--box", "everything"], "expected data, state±R or state±Rstd"),
        (vec![policy, "--box", "state±-1"], "is no radius"),
        (vec![policy, "--time-limit=-1"], "is not between"),
        (vec![policy, "--method", "smoothing"], "possible values: all, product, lipsdp, local"),
        (vec!["configs"], "neither a run folder"),
    ] {
        let (code, _, stderr) = finish(liprl(["certify"].into_iter().chain(args.iter().copied())));
        assert!(code == 2 && stderr.contains(wanted), "{args:?}: {code} {stderr}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let agent = small_agent("sac").replace("{hidden: [32, 32]}", "{hidden: [16], layer_norm: true}");
    let config = write_config(folder.path(), &format!("{SMALL}{agent}"));
    let run = folder.path().join("runs/small/seed-0");
    train_through(&config, &run, &["--steps", "600", "--quiet"]);
    let (code, _, stderr) = finish(liprl(["certify", text(&run)]));
    assert!(code == 1 && stderr.contains("policy: has LayerNorm"), "{code} {stderr}");
}

/// A feedback policy trained on an expert's recorded episodes of `task`; the run folder.
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

/// Double integrator and oscillator, a network and a table: in no run, random, biased or attacked, is a bound broken; the identity holds.
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
        // Without a constraint on the network there is often nothing to prove (`networks_keep_their_bounds_over_a_thousand_runs` has such as there is): then it says why.
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
    assert!(code == 2 && stderr.contains("is no size"), "{code} {stderr}");
}

/// Networks cloned from the linear expert, over a thousand runs with random, constant and worst errors, the latter step by step and along the
/// trajectory: every bound is there, is not broken, and says something. The pendulum is the nonlinear one, with the torque to hold its basin.
#[test]
fn networks_keep_their_bounds_over_a_thousand_runs() {
    let linear = "start: box, start_width: [1, 1], max_episode_steps: 60";
    let pendulum = "observation: angle, max_torque: 12, start: box, start_width: [0.2, 1], max_episode_steps: 60";
    for (task, options, constraint, sizes, looseness) in [
        ("DoubleIntegrator-v0", linear, "{kind: by_construction, alpha: 1.9}", "0.02,0.1", 20.0),
        ("Oscillator-v0", linear, "{kind: by_construction, alpha: 3.7}", "0.02,0.1", 20.0),
        // Contraction in one norm stands for the exact gain: an order looser.
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
        assert_eq!(names[..3], ["B1 error, by covering", "B2 tube", "B3 regret"]);
        let b4 = ["B4 error e + αε", "B4 tube", "B4 from the learned loop", "B4 regret"];
        assert_eq!(names[3..], [b4, b4].concat());
        for row in rows {
            println!("{task} {row}");
            assert!(row["provenance"] == "certified" && number(&row["bound"]).is_finite(), "{task}: {row}");
            assert!(number(&row["met"]) <= number(&row["bound"]), "{task}: {row}");
            // How far a bound is from what happens. The regret on the pendulum is charged for the whole basin at every step; undisturbed, errors of
            // either sign cancel, which no bound can count on.
            let regret = row["name"].as_str().is_some_and(|name| name.contains("regret"));
            let loose = regret && (options == pendulum || row["epsilon"] == 0.0);
            assert!(loose || number(&row["ratio"]) < looseness, "{task}: {row}");
        }
        if options == linear {
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

/// What `eval.certificate` logs is what `certify` says of that checkpoint, and nothing else depends on it.
#[test]
fn a_periodic_certificate_is_certify_s_and_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |name: &str, eval: &str| {
        let small = SMALL.replace("episodes: 2}", eval).replace("steps: 2400", "steps: 800");
        let config = write_config(folder.path(), &format!("{small}{}", small_agent("sac")));
        let run = folder.path().join(name);
        train_through(&config, &run, &["--quiet"]);
        run
    };
    let (on, off) = (run("on", "episodes: 2, certificate: {time_limit: 60}}"), run("off", "episodes: 2}"));
    let log = std::fs::read_to_string(on.join("metrics.jsonl")).expect("metrics.jsonl");
    let events: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let logged: Vec<&Value> = events.iter().filter(|event| !event["perf/certificate_s"].is_null()).collect();
    let steps: Vec<u64> = logged.iter().map(|event| event["step"].as_u64().expect("a step")).collect();
    assert_eq!(steps, [400, 800]);
    for event in &logged {
        let of = |name: &str| number(&event[format!("lipschitz/certificate/{name}")]);
        assert!(number(&event["perf/certificate_s"]) > 0.0);
        assert!(of("met") <= of("lipsdp") && of("lipsdp") <= of("product"), "{event}");
    }
    let checkpoint = on.join("checkpoints/step_000000800");
    let found =
        report(&[text(&checkpoint), "--episodes", "1", "--states", "1", "--time-limit", "60", "--method", "product"]);
    assert_eq!(upper(&found, "l2", "everywhere", "product"), number(&logged[1]["lipschitz/certificate/product"]));
    let found =
        report(&[text(&checkpoint), "--episodes", "1", "--states", "1", "--time-limit", "60", "--method", "lipsdp"]);
    assert_eq!(upper(&found, "l2", "everywhere", "lipsdp"), number(&logged[1]["lipschitz/certificate/lipsdp"]));

    let (on, off) = (traces(&on), traces(&off));
    let without = |bytes: &[u8]| -> Value {
        let mut event: Value = serde_json::from_slice(bytes).expect("JSON");
        event.as_object_mut().expect("an object").retain(|name, _| !name.starts_with("lipschitz/certificate/"));
        event
    };
    assert!(off.len() > 10 && off.keys().eq(on.keys()));
    for (name, bytes) in off.iter().filter(|(name, _)| *name != "tensorboard") {
        let same = if name.starts_with("metrics/") { without(&on[name]) == without(bytes) } else { on[name] == *bytes };
        assert!(same, "{name} differs");
    }
}

/// A policy file with another number for its first weight.
fn with_first_weight(policy: &Path, weight: f32) -> Vec<u8> {
    let mut bytes = std::fs::read(policy).expect("a policy");
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes")) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).expect("a header");
    let start = header["params"]["data_offsets"][0].as_u64().expect("an offset") as usize + 8 + length;
    bytes[start..start + 4].copy_from_slice(&weight.to_le_bytes());
    bytes
}

/// What cannot be proven is said, and no number is printed for it; what time cut short is valid, and marked.
#[test]
fn a_bound_that_is_not_proven_is_not_shown() {
    let policy = "demos/inverted_pendulum.policy.safetensors";
    let rushed = [policy, "--episodes", "1", "--states", "2", "--time-limit", "0.001"];
    let found = report(&rushed);
    assert_order(&found);
    let rows = found["bounds"].as_array().expect("rows");
    for method in ["lipsdp", "local"] {
        assert!(rows.iter().any(|row| row["method"] == method && row["finished"] == false), "{method}: {found}");
    }
    let (code, table, stderr) = finish(liprl(["certify"].iter().chain(&rushed)));
    assert!(
        code == 0 && table.contains("* the time limit came first: valid, and more time may lower it"),
        "{table}{stderr}"
    );

    let folder = tempfile::tempdir().expect("a folder");
    let refused = |path: &Path, more: &[&str], wanted: &str| {
        let (code, stdout, stderr) = finish(liprl(["certify", text(path)].iter().chain(more)));
        assert!(code == 1 && stdout.is_empty() && stderr.contains(wanted), "{wanted}: {code} {stdout}{stderr}");
    };
    for weight in [f32::NAN, f32::INFINITY] {
        let broken = folder.path().join("broken.policy.safetensors");
        std::fs::write(&broken, with_first_weight(&crate::support::root().join(policy), weight)).expect("written");
        refused(&broken, &[], "policy: the weight of layer 0 is not finite; there is no bound on such a network");
    }
    let train = |name: &str, constraint: &str| {
        let config = write_config(
            folder.path(),
            &format!(
                "env: DoubleIntegrator-v0\nsteps: 20\nagent: {{kind: feedback, expert: {{kind: lqr}}, expert_episodes: 1, duplicates: average, \
                 network: {{hidden: [8, 8]}}, constraint: {constraint}}}\neval: {{every: 20, episodes: 1}}\n"
            ),
        );
        let run = folder.path().join(name);
        train_through(&config, &run, &["--quiet"]);
        run
    };
    let dense = train("dense", "{kind: by_construction, alpha: 1, layers: ldlt_residual}");
    refused(&dense, &[], "policy: has layers that see everything before them; its construction bounds it");
    let table = train("table", "{kind: kirszbraun, alpha: 1, rows: 20}");
    refused(&table, &[], "policy: extends a table of actions; its constant, checked on all pairs, is in the file");

    // A policy that has learnt nothing: its error grows faster than any region.
    let raw = train("raw", "{kind: none}");
    let loop_ = ["--closed-loop", "--epsilon", "0.05", "--runs", "4", "--horizon", "20", "--time-limit", "1"];
    let found = report(&[&[text(&raw)][..], &loop_].concat());
    assert!(found["bounds"].as_array().expect("rows").iter().all(|row| row["bound"].is_null()), "{found}");
    for region in found["regions"].as_array().expect("regions") {
        assert!(region["low"].is_null() && number(&region["failed"]["tube"]) > number(&region["failed"]["radius"]));
    }
    let (code, shown, stderr) = finish(liprl(["certify", text(&raw)].iter().chain(&loop_)));
    assert!(code == 0 && shown.contains("ε = 0.05: none proven, as assumption A5 fails. Within "), "{shown}{stderr}");
    assert!(shown.contains("no region that was tried holds its own tube"), "{shown}");
    assert!(
        shown.lines().filter(|line| line.starts_with("B")).all(|line| line.ends_with("-         -  none proven")),
        "{shown}"
    );

    // What was met of a network is no slope of the policy that cuts its actions off.
    let (code, shown, stderr) =
        finish(liprl(["certify", text(&raw), "--episodes", "1", "--states", "1", "--time-limit", "0.2"]));
    assert!(code == 0 && shown.contains("relu, actions cut off at their bounds"), "{shown}{stderr}");
    assert!(
        shown.contains("proven: of the policy, and of its network before the cut; met: of the network alone"),
        "{shown}"
    );
}
