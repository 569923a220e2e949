//! `liprl import` and `certify --net`, on files that the libraries themselves wrote.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use liprl_control::Policy;
use serde_json::Value;

use crate::runs::{SMALL, foreign_files, small_agent, small_run};
use crate::support::{finish, liprl, root, text};

/// The folder that `foreign.py` has filled, once for all tests of this process.
fn foreign() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| foreign_files("foreign"))
}

pub(crate) fn cases() -> Vec<Value> {
    let text = std::fs::read_to_string(foreign().join("cases.json")).expect("the cases");
    serde_json::from_str(&text).expect("JSON")
}

/// Runs the program in the folder of the files.
pub(crate) fn in_folder(args: &[&str]) -> (i32, String, String) {
    let mut command = liprl(args);
    command.current_dir(foreign());
    finish(command)
}

/// Imports a case's file; returns what was printed and the policy file.
pub(crate) fn import(case: &Value, out: &Path) -> String {
    let word = |key: &str| case[key].as_str().expect("a text");
    let mut args = vec!["import", word("file"), "--env", word("env"), "--out", text(out)];
    args.extend(case["args"].as_array().expect("arguments").iter().map(|arg| arg.as_str().expect("a text")));
    let (code, stdout, stderr) = in_folder(&args);
    assert_eq!(code, 0, "{}: {stderr}", case["name"]);
    stdout
}

fn numbers(path: PathBuf) -> Vec<f32> {
    let bytes = std::fs::read(path).expect("numbers");
    bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// The largest difference of a policy file's actions from the library's.
fn difference(policy: &Path, name: &str) -> f64 {
    let mut policy = Policy::load(&std::fs::read(policy).expect("a file")).expect("a policy");
    let (obs, actions) =
        (numbers(foreign().join(format!("{name}.obs"))), numbers(foreign().join(format!("{name}.actions"))));
    let mut action = vec![0.0; policy.act_dim()];
    assert_eq!(obs.len() / policy.obs_dim(), actions.len() / policy.act_dim());
    let rows = obs.chunks_exact(policy.obs_dim()).zip(actions.chunks_exact(policy.act_dim()));
    let mut worst: f64 = 0.0;
    for (obs, wanted) in rows {
        policy.act(obs, &mut action).expect("an action");
        worst = action.iter().zip(wanted).map(|(a, b)| f64::from((a - b).abs())).fold(worst, f64::max);
    }
    worst
}

#[test]
fn every_library_s_policy_acts_as_the_original() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut told = String::new();
    for case in cases() {
        let name = case["name"].as_str().expect("a name");
        let out = folder.path().join(format!("{name}.policy.safetensors"));
        told += &format!("{name}: {}", import(&case, &out));
        let worst = difference(&out, name);
        assert!(worst <= 1e-6, "{name}: {worst:e}");
    }
    assert!(!foreign().join("EXECUTED").exists(), "code of a file ran");
    // One of each answer: kind, layers, activation and its source, actions, standardisation.
    for wanted in [
        "sac: sac.zip: Stable-Baselines3 2.9.2, SAC\n",
        "actor.latent_pi.2      32       16  relu\n",
        "actor.mu               16        1  tanh\n",
        "activation   relu (default of Stable-Baselines3)\n",
        "td3: td3.zip: Stable-Baselines3 2.9.2, TD3\n",
        "activation   elu\n",
        "tqc.zip: Stable-Baselines3 2.9.2, TQC\n",
        "clip_mean ±2",
        "ppo.zip: Stable-Baselines3 2.9.2, PPO\n",
        "a2c.zip: Stable-Baselines3 2.9.2, A2C\n",
        "action_net                      64        1  clip\n",
        "actions      in the environment's units, clipped to its bounds\n",
        "normaliser   4 numbers by mean and deviation, from VecNormalize of vec_normalize.pkl, clipped to ±3\n",
        "cleanrl_td3.cleanrl_model: CleanRL, TD3 or DDPG\n",
        "actions      tanh, scaled by the file\n",
        "activation   elu (default of rsl_rl)\n",
        "normaliser   11 numbers by mean and deviation, from `model_state_dict.actor_obs_normalizer`\n",
        "plain.pt: PyTorch names\n",
        "activation   swish (as given)\n",
        "LayerNorm, swish",
        "fast.onnx: ONNX of pytorch\n",
        "environment  Hopper-v5, 11 observations, 3 actions\n",
    ] {
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
}

/// The commands of the pages about `import` and `--net`, and the mapping that one shows.
#[test]
fn the_pages_commands_run_as_they_stand() {
    let page = |name: &str| std::fs::read_to_string(root().join("docs").join(name)).expect("the page");
    let (policies, certify) = (page("policies.md"), page("certify.md"));
    let lines = policies.lines().chain(certify.lines());
    let commands: Vec<&str> =
        lines.filter(|line| line.starts_with("liprl import ") || line.starts_with("liprl certify --net sac")).collect();
    assert_eq!(commands.len(), 4, "{commands:?}");
    let mut told = String::new();
    for command in commands {
        let words = command.split('#').next().expect("a command").split_whitespace().skip(1);
        let (code, stdout, stderr) = in_folder(&words.collect::<Vec<_>>());
        assert_eq!(code, 0, "{command}: {stderr}");
        told += &stdout;
    }
    let shown = policies.split("```\n").find(|block| block.starts_with("ppo.zip: ")).expect("the mapping");
    assert!(told.contains(shown), "{told}");
}

/// Output of `eval` as JSON.
fn eval(policy: &Path, more: &[&str]) -> Value {
    let (code, json, stderr) = finish(liprl(["eval", text(policy), "--episodes", "3", "--json"].iter().chain(more)));
    assert_eq!(code, 0, "{stderr}");
    serde_json::from_str(&json).expect("JSON")
}

/// Output of `certify` as JSON.
pub(crate) fn certify(args: &[&str]) -> Value {
    let (code, json, stderr) = in_folder(&[&["certify", "--json"], args].concat());
    assert_eq!(code, 0, "{stderr}");
    serde_json::from_str(&json).expect("JSON")
}

#[test]
fn episodes_certificates_and_experts_come_of_a_policy_of_stable_baselines3() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["sac", "ppo"] {
        let case = cases().into_iter().find(|case| case["name"] == name).expect("the case");
        let policy = folder.path().join(format!("{name}.policy.safetensors"));
        import(&case, &policy);
        let report = eval(&policy, &["--disturb", "uniform:0.05", "--disturb", "pgd:0.05"]);
        let found = report["episodes"].as_array().expect("episodes");
        let wanted = case["returns"].as_array().expect("returns");
        assert_eq!(found.len(), wanted.len());
        for (found, wanted) in found.iter().zip(wanted) {
            let (found, wanted) = (found["return"].as_f64().expect("a return"), wanted.as_f64().expect("a return"));
            assert!((found - wanted).abs() <= 1e-3 * wanted.abs().max(1.0), "{name}: {found} {wanted}");
        }
        assert_eq!(report["disturbances"].as_array().expect("rows").len(), 2);

        let demos = folder.path().join(format!("{name}.hdf5"));
        let (code, _, stderr) = finish(liprl(["record", text(&policy), "--episodes", "1", "--out", text(&demos)]));
        assert_eq!(code, 0, "{stderr}");
        let report = certify(&[text(&policy), "--time-limit", "2", "--episodes", "1", "--states", "1", "--norm", "l2"]);
        assert!(report["least"].as_array().expect("bounds").iter().all(|least| least["norm"] == "l2"));

        let env = case["env"].as_str().expect("an id");
        let config = format!(
            "env: {env}\nsteps: 20\neval: {{every: 20, episodes: 1}}\nagent: {{kind: feedback, \
             expert: {{kind: run, path: {}}}, queries: {{kind: dagger, rounds: 2, steps: 10}}, \
             network: {{hidden: [8, 8], activation: tanh}}, constraint: {{kind: penalty, alpha: 5}}}}\n",
            text(&policy)
        );
        let place = folder.path().join(name);
        std::fs::create_dir(&place).expect("created");
        small_run(&place, &config, "20");
    }
}

/// The facts of a policy file.
fn about(policy: &Path) -> Value {
    let policy = Policy::load(&std::fs::read(policy).expect("a file")).expect("a policy");
    Value::Object(policy.about().clone())
}

/// Policies of this program come back from ONNX: with a standardisation, each head, LayerNorm,
/// densely connected layers, and actions in either units.
#[test]
fn own_exports_come_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let feedback = |constraint: &str| {
        format!(
            "env: DoubleIntegrator-v0\nsteps: 20\neval: {{every: 20, episodes: 1}}\nagent: {{kind: feedback, \
             expert: {{kind: lqr}}, expert_episodes: 1, duplicates: average, \
             network: {{hidden: [8, 8], activation: tanh}}, constraint: {constraint}}}\n"
        )
    };
    let sac = format!("{SMALL}{}", small_agent("sac"));
    let swish = sac.replace("{hidden: [32, 32]}", "{hidden: [32, 16], layer_norm: true, activation: swish}");
    for (name, config, steps) in [
        ("sac", sac, "600"),
        ("norm", swish, "600"),
        ("dense", feedback("{kind: by_construction, alpha: 1.5, layers: sll}"), "20"),
        ("clamp", feedback("{kind: penalty, alpha: 1.5}"), "20"),
        ("pairs", feedback("{kind: penalty, alpha: 1.5}").replace("tanh", "max_min"), "20"),
    ] {
        let place = folder.path().join(name);
        std::fs::create_dir(&place).expect("created");
        let run = small_run(&place, &config, steps);
        for units in ["env", "unit"] {
            let (onnx, back) = (place.join("policy.onnx"), place.join("policy.safetensors"));
            let args = ["export", text(&run), "--to", "onnx", "--actions", units, "--out", text(&onnx)];
            let (code, _, stderr) = finish(liprl(args));
            assert_eq!(code, 0, "{stderr}");
            let env = if name == "sac" || name == "norm" { "Pendulum-v1" } else { "DoubleIntegrator-v0" };
            let (code, _, stderr) = finish(liprl(["import", text(&onnx), "--env", env, "--out", text(&back)]));
            assert!(code == 0 && stderr.is_empty(), "{name}, {units}: {stderr}");
            let (original, copy) = (eval(&run, &[]), eval(&back, &[]));
            for (one, other) in original["episodes"]
                .as_array()
                .into_iter()
                .flatten()
                .zip(copy["episodes"].as_array().expect("episodes"))
            {
                let (one, other) =
                    (one["return"].as_f64().expect("a return"), other["return"].as_f64().expect("a return"));
                assert!((one - other).abs() <= 1e-3 * one.abs().max(1.0), "{name}, {units}: {one} {other}");
            }
            let about = about(&back);
            assert_eq!((&about["env"], &about["step"]), (&original["env"], &original["step"]), "{about}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_with_the_file_and_the_remedy() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out.policy.safetensors");
    let refused = |file: &str, more: &[&str], code: i32, wanted: &str| {
        let env: &[&str] = if more.contains(&"--env") { &[] } else { &["--env", "Pendulum-v1"] };
        let (found, stdout, stderr) = in_folder(&[&["import", file, "--out", text(&out)], env, more].concat());
        let file = file.rsplit('/').next().expect("a name");
        let named = stderr.contains(file) || wanted.contains(".pkl: ");
        assert!(found == code && stderr.contains(wanted) && named, "{wanted}: {found} {stdout}{stderr}");
        assert!(!out.exists(), "{wanted}");
    };
    let squash = ["--squash", "tanh", "--activation", "relu"];
    refused("module.pt", &squash, 1, "a whole module is code: save its `state_dict()`");
    refused("legacy.pt", &squash, 1, "is a file of torch before 1.6; load it and save it again");
    refused("script.pt", &squash, 1, "is TorchScript, whose layers are code");
    refused("batch_norm.pt", &squash, 2, "`1`: is a BatchNorm");
    refused("dqn.zip", &[], 2, "data: has discrete actions");
    refused("gelu.zip", &[], 2, "the activation is `<class 'torch.nn.modules.activation.GELU'>`");
    refused("bomb.pkl", &[], 2, "is a pickle without arrays of torch");
    refused("two.pt", &squash, 2, "several networks that fit; choose one: --prefix actor., --prefix target.");
    refused("two.pt", &["--prefix", "critic."], 2, "no layer whose name begins with `critic.`");
    refused("plain.pt", &["--squash", "tanh"], 2, "give it: --activation relu, tanh");
    refused("plain.pt", &["--activation", "silu"], 2, "give it: --squash tanh");
    refused("td3.zip", &["--activation", "relu"], 2, "says that its activation is elu; leave out --activation");
    refused("sac.zip", &["--squash", "none"], 2, "leave out --squash");
    refused(
        "sac.zip",
        &["--env", "Hopper-v5"],
        2,
        "takes observations of 3 numbers, Hopper-v5 gives 11; it may be of another version",
    );
    refused("tqc.zip", &["--env", "Walker2d-v5"], 2, "takes observations of 11 numbers");
    refused(
        "plain.pt",
        &["--env", "Hopper-v5", "--squash", "tanh"],
        2,
        "has no one chain of linear layers from the environment's 11 observations",
    );
    refused("other_scale.cleanrl_model", &[], 2, "scales actions by [4.0], the environment's bounds have [2.0]");
    refused(
        "sac.zip",
        &["--normaliser", "vec_normalize.pkl"],
        2,
        "vec_normalize.pkl: standardises 4 numbers, the network takes 3",
    );
    refused(
        "ppo.zip",
        &["--env", "InvertedPendulum-v5", "--normaliser", "bomb.pkl"],
        2,
        "bomb.pkl: is an object of `posix.system`",
    );
    refused("cases.json", &[], 1, "not a ZIP archive");
    refused("nowhere.zip", &[], 2, "does not exist");
    refused(
        "ppo.zip",
        &["--env", "Pendulum-v1", "--prefix", "mlp_extractor.value_net."],
        2,
        "has no one chain of linear layers",
    );
    let policy = root().join("demos/inverted_pendulum.policy.safetensors");
    refused(text(&policy), &["--env", "InvertedPendulum-v5"], 2, "is a policy of this program already");
    for (args, wanted) in [
        (&["--env", "Hoper-v5"][..], "Hopper-v5"),
        (&["--env", "{id: Pendulum-v1"], "neither an id nor a mapping"),
        (&["--env", "Pendulum-v1", "--activation", "gelu"], "expected relu, tanh, elu, swish"),
    ] {
        let (code, _, stderr) = in_folder(&[&["import", "sac.zip", "--out", text(&out)], args].concat());
        assert!(code == 2 && stderr.contains(wanted), "{wanted}: {stderr}");
    }
    assert!(!foreign().join("EXECUTED").exists(), "code of a file ran");
}

#[test]
fn doubts_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, out) = (folder.path().join("tqc-Hopper-v3.zip"), folder.path().join("out.policy.safetensors"));
    std::fs::copy(foreign().join("tqc.zip"), &file).expect("copied");
    std::fs::copy(foreign().join("vec_normalize.pkl"), folder.path().join("vec_normalize.pkl")).expect("copied");
    let options = "{id: Hopper-v5, reset_noise_scale: 0.001}";
    let (code, _, stderr) = finish(liprl(["import", text(&file), "--env", options, "--out", text(&out)]));
    assert!(code == 0 && stderr.contains("seems to be for Hopper-v3, and is imported for Hopper-v5"), "{stderr}");
    assert!(stderr.contains("vec_normalize.pkl lies beside"), "{stderr}");
    let about = about(&out);
    assert_eq!((&about["agent"], &about["step"], &about["seed"]), (&"tqc".into(), &60.into(), &3.into()), "{about}");
    assert_eq!(about["env"]["reset_noise_scale"], 0.001);
    assert_eq!(about["source"]["file"], "tqc-Hopper-v3.zip");
    let args = ["import", "cleanrl_ppo.cleanrl_model", "--env", "Pendulum-v1", "--out", text(&out)];
    let (code, _, stderr) = in_folder(&args);
    assert!(code == 0 && stderr.contains("CleanRL standardises observations in a wrapper"), "{stderr}");
}
