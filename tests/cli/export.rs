//! `liprl export`: each format acts as the policy does.

use std::path::{Path, PathBuf};
use std::process::Command;

use liprl::load::LoadedPolicy;
use liprl::rollout::run_episode;
use liprl::task::Task;
use liprl_control::Policy;
use liprl_numerics::{RunningNormaliser, Streams};
use rand_distr::{Distribution, StandardNormal};
use serde_json::{Value, json};
use tch::{CModule, Tensor};

use crate::certify::with_first_weight;
use crate::runs::{SMALL, SMALL_IMITATION, SMALL_MODEL_BASED, python, small_agent, small_run};
use crate::support::{finish, liprl, root, text};

/// Observations of each comparison.
const OBSERVATIONS: usize = 1000;

/// The Python blocks of docs/policies.md, in order.
fn blocks() -> Vec<String> {
    let page = std::fs::read_to_string(root().join("docs/policies.md")).expect("the page");
    let blocks = page.split("```python\n").skip(1);
    blocks.map(|rest| rest.split("```").next().expect("a block").to_owned()).collect()
}

fn run_python(script: &str, args: &[&str]) -> String {
    let mut command = Command::new(python());
    command.current_dir(root()).args(["-c", script]).args(args);
    let (code, stdout, stderr) = finish(command);
    assert_eq!(code, 0, "{stderr}");
    stdout
}

fn export(policy: &Path, to: &str, units: &str, out: &Path) -> String {
    let args = ["export", text(policy), "--to", to, "--actions", units, "--out", text(out)];
    let (code, stdout, stderr) = finish(liprl(args));
    assert_eq!(code, 0, "{stderr}");
    stdout
}

/// A small feedback policy under this constraint.
fn feedback(constraint: &str) -> String {
    format!(
        "env: DoubleIntegrator-v0\nsteps: 20\neval: {{every: 20, episodes: 1}}\nagent: {{kind: feedback, \
         expert: {{kind: lqr}}, expert_episodes: 1, duplicates: average, \
         network: {{hidden: [8, 8], activation: tanh}}, constraint: {constraint}}}\n"
    )
}

/// Manner of a comparison.
#[derive(Clone, Copy)]
struct Case {
    units: &'static str,
    /// True for observations of the policy's own episodes, false for random ones.
    met: bool,
    /// Largest difference of two actions, in half widths.
    close: f64,
}

const ENV: Case = Case { units: "env", met: false, close: 1e-6 };
const UNIT: Case = Case { units: "unit", ..ENV };
/// The shipped policies were trained long and have large weights, which amplify the rounding of f32
/// on both sides: to 2e-6 for Hopper, whose Lipschitz bound is 2,000.
const SHIPPED: Case = Case { met: true, close: 5e-6, ..ENV };

/// Policies to compare, with their observations and actions, in one folder.
struct Cases {
    folder: tempfile::TempDir,
    list: Vec<Value>,
}

impl Cases {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), list: Vec::new() }
    }

    /// Exports a policy in each format and compares TorchScript with it.
    fn add(&mut self, name: &str, policy: &Path, case: Case) {
        let LoadedPolicy { policy: mut trained, mut task, origin, .. } = LoadedPolicy::open(policy).expect("a policy");
        let file = |ending: &str| self.folder.path().join(format!("{name}.{ending}"));
        let origin = if origin.is_dir() { origin.join("policy.safetensors") } else { origin };
        std::fs::copy(origin, file("policy.safetensors")).expect("copied");
        let obs = if case.met { met_by(&mut trained, &mut task) } else { drawn(&trained) };
        let mut actions = vec![0.0; OBSERVATIONS * trained.act_dim()];
        for (obs, action) in obs.chunks_exact(trained.obs_dim()).zip(actions.chunks_exact_mut(trained.act_dim())) {
            trained.act(obs, action).expect("an action");
        }
        let bytes = |numbers: &[f32]| numbers.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
        std::fs::write(file("obs"), bytes(&obs)).expect("written");
        std::fs::write(file("actions"), bytes(&actions)).expect("written");
        let (centre, half_width) = task.action_range();
        for (to, ending) in [("onnx", "onnx"), ("npz", "npz"), ("torchscript", "pt")] {
            export(policy, to, case.units, &file(ending));
        }
        let sizes = (trained.obs_dim(), trained.act_dim());
        for batch in [None, Some(1), Some(64)] {
            let mut found = by_torchscript(&file("pt"), &obs, sizes, batch);
            if case.units == "env" {
                let rows = found.chunks_exact_mut(centre.len()).flat_map(|row| row.iter_mut().enumerate());
                rows.for_each(|(i, action)| *action = (*action - centre[i]) / half_width[i]);
            }
            let differences = found.iter().zip(&actions).map(|(found, action)| (found - f64::from(*action)).abs());
            let worst = differences.fold(0.0, f64::max);
            assert!(found.len() == actions.len() && worst <= case.close, "{name}, {batch:?}: {worst:e}");
        }
        self.list.push(json!({
            "name": name, "obs_dim": trained.obs_dim(), "centre": centre, "half_width": half_width,
            "units": case.units, "close": case.close,
        }));
    }

    /// Compares ONNX Runtime, Python's PyTorch, numpy and the documentation's loader with the policies. Returns for
    /// each its name, differences and facts.
    fn compare(self) -> Vec<Value> {
        let loader = self.folder.path().join("loader.py");
        std::fs::write(&loader, &blocks()[0]).expect("written");
        std::fs::write(self.folder.path().join("cases.json"), json!(self.list).to_string()).expect("written");
        let script = std::fs::read_to_string(root().join("tests/cli/exported.py")).expect("the script");
        let found = run_python(&script, &[text(&loader), text(self.folder.path())]);
        let found: Vec<Value> = serde_json::from_str(&found).expect("JSON");
        assert_eq!(found.len(), self.list.len());
        for (found, case) in found.iter().zip(&self.list) {
            let differences = found["differences"].as_object().expect("differences");
            assert_eq!(differences.len(), 7);
            for (how, difference) in differences {
                assert!(difference.as_f64() <= case["close"].as_f64(), "{}, {how}: {difference}", case["name"]);
            }
        }
        found
    }
}

/// Observations about as far out as those of training, some beyond the clip.
fn drawn(policy: &Policy) -> Vec<f32> {
    let mut rng = Streams::new(3).rng("observations");
    let obs = (0..OBSERVATIONS * policy.obs_dim()).map(|i| {
        let z: f64 = StandardNormal.sample(&mut rng);
        let moments = |normaliser: &RunningNormaliser| normaliser.moments(i % policy.obs_dim());
        let (mean, scale) = policy.normaliser().map_or((0.0, 1.0), moments);
        (mean + 2.0 * z / scale) as f32
    });
    obs.collect()
}

/// Observations of the policy's episodes.
fn met_by(policy: &mut Policy, task: &mut Task) -> Vec<f32> {
    let (mut obs, wanted) = (Vec::new(), OBSERVATIONS * task.obs_dim());
    for seed in 0.. {
        run_episode(task, policy, seed, |task, _| obs.extend(task.raw_obs().iter().map(|&x| x as f32))).expect("runs");
        if obs.len() >= wanted {
            break;
        }
    }
    obs.truncate(wanted);
    obs
}

/// The file's actions in batches of a size; without a size, for each observation by itself, `[O]`.
fn by_torchscript(file: &Path, obs: &[f32], (obs_dim, act_dim): (usize, usize), batch: Option<usize>) -> Vec<f64> {
    let module = CModule::load(file).expect("a module");
    let batches = obs.chunks(obs_dim * batch.unwrap_or(1)).flat_map(|rows| {
        let (count, obs) = (rows.len() / obs_dim, Tensor::from_slice(rows));
        let obs = if batch.is_none() { obs } else { obs.view([count as i64, obs_dim as i64]) };
        let actions = module.forward_ts(&[obs]).expect("actions");
        let wanted: &[usize] = if batch.is_none() { &[act_dim] } else { &[count, act_dim] };
        assert_eq!(actions.size(), wanted.iter().map(|&size| size as i64).collect::<Vec<_>>());
        Vec::<f64>::try_from(actions.view([-1]).to_kind(tch::Kind::Double)).expect("numbers")
    });
    batches.collect()
}

fn trained(folder: &Path, name: &str, config: &str, steps: &str) -> PathBuf {
    let folder = folder.join(name);
    std::fs::create_dir(&folder).expect("created");
    small_run(&folder, config, steps)
}

#[test]
fn every_learner_s_policy_acts_the_same_in_each_format() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut cases = Cases::new();
    let agent = |kind: &str, net: &str| small_agent(kind).replace("{hidden: [32, 32]}", net);
    let normed = agent("sac", "{hidden: [32, 16], layer_norm: true, activation: {leaky_relu: 0.1}}");
    for (name, config, case) in [
        ("sac", format!("{SMALL}{}", agent("sac", "{hidden: [32, 32], activation: swish}")), ENV),
        ("td3", format!("{SMALL}{}", small_agent("td3")), UNIT),
        (
            "pairs",
            format!("{SMALL}{}", agent("td3", "{hidden: [32, 16], layer_norm: true, activation: max_min}")),
            UNIT,
        ),
        ("normed", format!("{SMALL}{normed}"), ENV),
        ("gail", SMALL_IMITATION.to_owned(), UNIT),
        ("mbpo", SMALL_MODEL_BASED.to_owned(), ENV),
    ] {
        cases.add(name, &trained(folder.path(), name, &config, "600"), case);
    }
    for shipped in ["hopper", "half_cheetah"] {
        cases.add(shipped, &root().join(format!("demos/{shipped}.policy.safetensors")), SHIPPED);
    }
    cases.compare();
}

#[test]
fn every_lipschitz_layer_acts_the_same_in_each_format() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut cases = Cases::new();
    for layers in ["spectral", "bjorck", "cayley", "aol", "sandwich", "ldlt", "ldlt_residual", "sll"] {
        let config = feedback(&format!("{{kind: by_construction, alpha: 1.5, layers: {layers}}}"));
        cases.add(layers, &trained(folder.path(), layers, &config, "20"), ENV);
    }
    let pairs = feedback("{kind: by_construction, alpha: 1.5, layers: cayley}").replace("tanh", "max_min");
    cases.add("max_min", &trained(folder.path(), "max_min", &pairs, "20"), ENV);
    for found in cases.compare() {
        let bound = found["facts"]["lipschitz_bound"].as_f64().expect("a bound");
        let method = found["facts"]["lipschitz_method"].as_str().expect("a method");
        assert!(bound > 0.1 && bound <= 1.5 * (1.0 + 1e-6), "{found}");
        assert!(method == "product" || method == "certified in training, by_construction", "{found}");
    }
}

/// The facts of an `.npz` file.
fn facts(file: &Path) -> Value {
    let script = "import numpy, sys; sys.stdout.write(bytes(numpy.load(sys.argv[1])['about']).decode())";
    serde_json::from_str(&run_python(script, &[text(file)])).expect("JSON")
}

fn bound(file: &Path) -> (f64, String) {
    let facts = facts(file);
    let method = facts["lipschitz_method"].as_str().expect("a method");
    (facts["lipschitz_bound"].as_f64().expect("a bound"), method.to_owned())
}

#[test]
fn a_file_says_what_it_is_and_what_is_proven() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = trained(folder.path(), "run", &format!("{SMALL}{}", small_agent("sac")), "600");
    let onnx = folder.path().join("policy.onnx");
    let said = export(&run, "onnx", "env", &onnx);
    let script = "import json, onnxruntime, sys; \
                  print(json.dumps(onnxruntime.InferenceSession(sys.argv[1]).get_modelmeta().custom_metadata_map))";
    let facts: Value = serde_json::from_str(&run_python(script, &[text(&onnx)])).expect("JSON");
    for (key, wanted) in [
        ("env_id", "Pendulum-v1"),
        ("env", "Pendulum-v1"),
        ("agent", "sac"),
        ("seed", "0"),
        ("actions", "env"),
        ("action_low", "[-2.0]"),
        ("action_high", "[2.0]"),
        ("lipschitz_norm", "l2"),
        ("lipschitz_method", "product"),
    ] {
        assert_eq!(facts[key], wanted, "{key}: {facts}");
    }
    let provenance = std::fs::read(run.join("provenance.json")).expect("provenance.json");
    let provenance: Value = serde_json::from_slice(&provenance).expect("JSON");
    assert_eq!(facts["commit"], provenance["git_commit"]);

    // The bound is the one that `certify` proves; Pendulum's actions reach from -2 to 2.
    let args = ["certify", text(&run), "--method", "product", "--episodes", "1", "--json"];
    let (code, report, stderr) = finish(liprl(args));
    assert_eq!(code, 0, "{stderr}");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let product = report["bounds"].as_array().expect("rows").iter().find(|row| row["norm"] == "l2").expect("a row");
    assert_eq!(facts["lipschitz_bound"], product["upper"].to_string());
    assert_eq!(facts["step"], report["step"].to_string());
    assert!(said.contains("3 → 1, Lipschitz constant at most "), "{said}");
    let unit = folder.path().join("unit.npz");
    export(&run, "npz", "unit", &unit);
    let (halved, _) = bound(&unit);
    let whole = product["upper"].as_f64().expect("a number");
    assert!((2.0 * halved / whole - 1.0).abs() < 1e-6, "{halved} {whole}");
}

#[test]
fn what_is_not_a_network_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let policy = "demos/inverted_pendulum.policy.safetensors";
    let out = folder.path().join("out.npz");
    let refused = |from: &str, to: &str, out: &Path, wanted: &str| {
        let (code, stdout, stderr) = finish(liprl(["export", from, "--to", to, "--out", text(out)]));
        assert!(code != 0 && stdout.is_empty() && stderr.contains(wanted), "{wanted}: {code} {stderr}");
        assert!(!folder.path().join("out.npz").exists());
        code
    };
    let table = trained(folder.path(), "table", &feedback("{kind: kirszbraun, alpha: 1, rows: 20}"), "20");
    for to in ["onnx", "torchscript", "npz"] {
        assert_eq!(refused(text(&table), to, &out, "extends a table of actions (`constraint: {kind: kirszbraun}`"), 2);
    }
    assert_eq!(refused("configs/feedback/hopper.yaml", "onnx", &out, "is a config and holds no network"), 2);
    assert_eq!(refused(policy, "tflite", &out, "possible values: onnx, torchscript, npz"), 2);
    refused(policy, "npz", &folder.path().join("nowhere/out.npz"), "cannot be written");
    let own = folder.path().join("own.policy.safetensors");
    std::fs::copy(root().join(policy), &own).expect("copied");
    assert_eq!(refused(text(&own), "onnx", &own, "is the policy itself"), 2);
    std::fs::write(&own, with_first_weight(&own, f32::NAN)).expect("written");
    assert_eq!(refused(text(&own), "onnx", &out, "has numbers that are not finite"), 1);
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("the folder").flatten().map(|e| e.file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");

    // LayerNorm is exported, and the file says that nothing is proven.
    let config =
        format!("{SMALL}{}", small_agent("sac").replace("{hidden: [32, 32]}", "{hidden: [8], layer_norm: true}"));
    let run = trained(folder.path(), "norm", &config, "600");
    assert!(export(&run, "npz", "env", &out).contains("Lipschitz constant not proven"));
    let facts = facts(&out);
    assert!(facts.get("lipschitz_bound").is_none(), "{facts}");
    assert!(facts["lipschitz_unproven"].as_str().expect("a reason").contains("LayerNorm"), "{facts}");
}

/// The page's loop in Python has `liprl eval`'s returns, and its call of ONNX Runtime runs.
#[test]
fn the_page_s_loop_over_gymnasium_has_eval_s_returns() {
    let policy = "demos/inverted_double_pendulum.policy.safetensors";
    let (code, report, stderr) = finish(liprl(["eval", policy, "--episodes", "3", "--json"]));
    assert_eq!(code, 0, "{stderr}");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let folder = tempfile::tempdir().expect("a folder");
    let onnx = folder.path().join("policy.onnx");
    export(&root().join(policy), "onnx", "env", &onnx);
    let blocks = blocks();
    // Gymnasium's MuJoCo tasks import a package that is needed only for videos.
    let stub = "import sys, types; sys.modules['imageio'] = types.ModuleType('imageio')";
    let script = format!("{stub}\n{}\n{}\n{}\nprint(*actions[0])", blocks[0], blocks[1], blocks[2]);
    let printed = run_python(&script.replace("policy.onnx", text(&onnx)), &[]);
    let numbers: Vec<f64> = printed.lines().map(|line| line.parse().expect("a number")).collect();
    assert_eq!(numbers.len(), 4, "{printed}");
    for (episode, total) in report["episodes"].as_array().expect("episodes").iter().zip(&numbers) {
        let wanted = episode["return"].as_f64().expect("a number");
        assert!((total - wanted).abs() <= 1e-4, "{total} in Python, {wanted} in liprl");
    }
}
