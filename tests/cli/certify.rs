//! `liprl certify` on policy files and runs.

use std::path::Path;

use serde_json::Value;

use crate::runs::{SMALL, SMALL_IMITATION, small_agent, small_run, traces, train_through, write_config};
use crate::support::{finish, liprl, root, text};

/// The JSON that `liprl certify` prints.
pub(crate) fn report(args: &[&str]) -> Value {
    let (code, json, stderr) = finish(liprl(["certify", "--json"].iter().chain(args)));
    assert_eq!(code, 0, "{stderr}");
    serde_json::from_str(&json).expect("JSON")
}

pub(crate) fn number(value: &Value) -> f64 {
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
    let (table, least) = table.split_once("\nnorm  region           at least").expect("the least bounds");
    assert!(
        ["product", "lipsdp", "local"].iter().any(|method| least.lines().nth(1).is_some_and(|l| l.ends_with(method)))
    );
    let rows = |method: &str| table.lines().filter(|line| line.split_whitespace().any(|word| word == method)).count();
    assert_eq!((rows("product"), rows("lipsdp"), rows("local")), (2, 3, 4), "{table}");
}

/// The action's scale and the task's units are in the constant: Pendulum's torque goes from −2 to
/// 2.
#[test]
fn a_run_s_policy_and_critics_are_certified() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = small_run(folder.path(), &format!("{SMALL}{}", small_agent("sac")), "900");
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
    let run = small_run(folder.path(), SMALL_IMITATION, "600");
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
        (vec![policy, "--box", "everything"], "expected data, state±R, state±Rstd, LOW:HIGH or CENTRE±R"),
        (vec![policy, "--box", "state±-1"], "`-1` is not a valid radius"),
        (vec![policy, "--time-limit=-1"], "is not between"),
        (vec![policy, "--method", "interval"], "possible values: all, product, lipsdp, local, smoothing"),
        (vec!["configs"], "neither a run folder"),
    ] {
        let (code, _, stderr) = finish(liprl(["certify"].into_iter().chain(args.iter().copied())));
        assert!(code == 2 && stderr.contains(wanted), "{args:?}: {code} {stderr}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let agent = small_agent("sac").replace("{hidden: [32, 32]}", "{hidden: [16], layer_norm: true}");
    let run = small_run(folder.path(), &format!("{SMALL}{agent}"), "600");
    let (code, _, stderr) = finish(liprl(["certify", text(&run)]));
    assert!(code == 1 && stderr.contains("policy: has LayerNorm"), "{code} {stderr}");
}

/// `eval.certificate` logs the numbers that `certify` finds for that checkpoint, and changes nothing
/// else.
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
        // The session has the config, in which the two runs differ.
        let kept = |name: &String| !name.starts_with("lipschitz/certificate/") && name != "config";
        event.as_object_mut().expect("an object").retain(|name, _| kept(name));
        event
    };
    assert!(off.len() > 10 && off.keys().eq(on.keys()));
    for (name, bytes) in off.iter().filter(|(name, _)| *name != "tensorboard") {
        let partly = name.starts_with("metrics/") || name == "checkpoint/session.json";
        let same = if partly { without(&on[name]) == without(bytes) } else { on[name] == *bytes };
        assert!(same, "{name} differs");
    }
}

/// A policy file with another number for its first weight.
pub(crate) fn with_first_weight(policy: &Path, weight: f32) -> Vec<u8> {
    let mut bytes = std::fs::read(policy).expect("a policy");
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes")) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).expect("a header");
    let start = header["params"]["data_offsets"][0].as_u64().expect("an offset") as usize + 8 + length;
    bytes[start..start + 4].copy_from_slice(&weight.to_le_bytes());
    bytes
}

/// One limit for the whole command: a wide network has a bound on the product of norms at least, and
/// all methods say that the time ended them.
#[test]
fn the_time_limit_holds_for_a_wide_network_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let agent = "agent: {kind: sac, learning_starts: 300, actor: {hidden: [600, 600]}, critic: {hidden: [8]}}\n";
    let run = small_run(folder.path(), &format!("{SMALL}{agent}"), "50");
    let found = report(&[text(&run), "--episodes", "1", "--states", "2", "--time-limit", "0"]);
    assert_order(&found);
    let product = upper(&found, "l2", "everywhere", "product");
    for row in found["bounds"].as_array().expect("rows").iter().filter(|row| row["norm"] == "l2") {
        assert_eq!((number(&row["upper"]), &row["finished"]), (product, &false.into()), "{row}");
    }
}

/// A failure to prove is reported without a number; a bound whose time was up is valid, and marked.
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
        std::fs::write(&broken, with_first_weight(&root().join(policy), weight)).expect("written");
        refused(&broken, &[], "policy: the weight of layer 0 is not finite; a bound needs finite numbers");
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
    let found = report(&[text(&dense), "--episodes", "1", "--states", "1", "--time-limit", "1"]);
    assert_order(&found);
    let (lipsdp, construction) =
        (upper(&found, "l2", "everywhere", "lipsdp"), upper(&found, "l2", "everywhere", "construction"));
    assert_eq!(number(&found["least"][0]["upper"]), lipsdp.min(construction), "{found}");
    let table = train("table", "{kind: kirszbraun, alpha: 1, rows: 20}");
    refused(
        &table,
        &[],
        "policy: extends a table of actions and has no network to bound; its constant is in the file, checked on all pairs",
    );

    // An untrained policy: its error grows faster than any region.
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
    let none_proven = |line: &str| line.split_whitespace().rev().take(4).eq(["proven", "none", "-", "-"]);
    let (bounds, meanings) = shown.split_once("\nname ").expect("the meanings of names");
    assert!(bounds.lines().filter(|line| line.starts_with('B')).all(none_proven), "{shown}");
    assert!(meanings.contains("\nA5 ") && meanings.contains("B4 tube"), "{shown}");

    // A Jacobian observed on the network is not one of the policy that clamps its actions.
    let (code, shown, stderr) =
        finish(liprl(["certify", text(&raw), "--episodes", "1", "--states", "1", "--time-limit", "0.2"]));
    assert!(code == 0 && shown.contains("relu, actions clamped to their bounds"), "{shown}{stderr}");
    assert!(
        shown.contains("proven: of the policy and of its network before clamping; observed: of the network alone"),
        "{shown}"
    );
}

#[test]
fn games_are_certified_from_their_files() {
    let game = |file: &str| root().join("examples/games").join(file);
    let json = |file: &str| report(&["--game", text(&game(file))]);
    // The published game at λ = 1.
    let published = json("two_players.yaml");
    for (key, expected) in [("margin", 0.292_893), ("beta", 1.707_107), ("step_proven", 0.201_010)] {
        assert!((number(&published[key]) - expected).abs() < 1e-5, "{key}: {published}");
    }
    let imitation = json("imitation.yaml");
    assert!(
        number(&imitation["margin"]) > 0.0 && number(&imitation["margin"]) <= number(&imitation["rate"]),
        "{imitation}"
    );
    // At the equilibrium the ridge holds the reward at what the policy's features lack.
    for k in 0..2 {
        let missing = [0.7, 0.4][k] - number(&imitation["features"][k]);
        assert!((number(&imitation["reward"][k]) - missing).abs() < 1e-9, "{imitation}");
    }
    let (code, out, stderr) = finish(liprl(["certify", "--game", text(&game("two_players.yaml"))]));
    assert!(code == 0 && out.contains("contracts at a rate of at least 0.292893, everywhere"), "{out}{stderr}");

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("game.yaml");
    for (yaml, problem) in [
        ("kind: quadratic\nplayers: [1]\njacobian: [[1, 2]]\n", "jacobian: is 1 × 2, must be 1 × 1"),
        (
            "kind: quadratic\nplayers: [1, 1]\njacobian: [[1, 0], [0, 1]]\nweights: [1]\n",
            "one positive number for each of 2",
        ),
        ("kind: quadratc\n", "expected one of quadratic, imitation"),
        (
            "kind: imitation\ngamma: 0.9\nstart: [1]\ntransitions: [[[0.5]]]\nfeatures: [[[1]]]\nexpert: [1]\nridge: 1\nentropy: 1\n",
            "sum to 1",
        ),
    ] {
        std::fs::write(&file, yaml).expect("a file");
        let (code, _, stderr) = finish(liprl(["certify", "--game", text(&file)]));
        assert!(code == 2 && stderr.contains(problem) && stderr.contains("game.yaml"), "{code}: {stderr}");
    }
}

#[test]
fn an_actor_s_constant_by_construction_is_shown_and_attacked_along_the_equations() {
    let folder = tempfile::tempdir().expect("a folder");
    let yaml = "env: PendulumSwingUp-v0\nsteps: 300\neval: {every: 300, episodes: 1}\nagent: {kind: sac, batch_size: 16, \
                learning_starts: 50, critic: {hidden: [16]}, actor: {hidden: [16, 16], lipschitz: {alpha: 3}}}\n";
    let run = small_run(folder.path(), yaml, "300");
    let run = text(&run);
    let report = report(&[run, "--episodes", "1", "--states", "1", "--time-limit", "0.5"]);
    assert_order(&report);
    // α times the torque's half-width, 2.
    let constant = upper(&report, "l2", "everywhere", "construction");
    assert!(constant <= 6.0 && constant > 5.9, "{constant}");
    assert!(constant < upper(&report, "l2", "everywhere", "product"));
    let (code, table, stderr) =
        finish(liprl(["eval", run, "--episodes", "1", "--disturb", "trajectory:0.1", "--disturb", "pgd:0.1"]));
    assert_eq!(code, 0, "{stderr}");
    assert!(table.contains("\ntrajectory ") && table.contains("\npgd "), "{table}");
}
