//! A run on a model whose simulation is unstable.

use serde_json::Value;

use crate::support::{finish, liprl, text};

const MODEL: &str = r#"<mujoco><option timestep="0.02"/><worldbody><body name="cart">
<joint name="slider" type="slide" axis="1 0 0"/><geom size="0.1" mass="1"/><body name="pole">
<joint name="hinge" type="hinge" axis="0 1 0"/><geom size="0.1" mass="1" pos="0 0 1"/></body></body></worldbody>
<actuator><motor joint="slider" ctrllimited="true" ctrlrange="-3 3" gear="3e6"/></actuator></mujoco>"#;

#[test]
fn steps_in_which_the_simulator_starts_over_are_counted_and_told_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = folder.path().join("pole.xml");
    std::fs::write(&model, MODEL).expect("the model is written");
    let config = folder.path().join("config.yaml");
    let yaml = format!(
        "env: {{id: InvertedPendulum-v5, xml_file: {}, max_episode_steps: 20}}\nsteps: 400\nlog: {{every: 100}}\n\
         eval: {{every: 400, episodes: 1}}\nagent: {{kind: sac, n_step: 3, learning_starts: 50, batch_size: 16, \
         actor: {{hidden: [8]}}, critic: {{hidden: [8]}}}}\n",
        text(&model)
    );
    std::fs::write(&config, yaml).expect("the config is written");
    let run = folder.path().join("run");
    let (code, _, stderr) = finish(liprl(["train", text(&config), "--out", text(&run), "--quiet"]));
    assert_eq!((code, &*stderr), (0, ""));
    let log = std::fs::read_to_string(run.join("run.log")).expect("a log");
    assert_eq!(log.matches("the simulation is unstable").count(), 1, "{log}");
    let metrics = std::fs::read_to_string(run.join("metrics.jsonl")).expect("metrics");
    let counts: Vec<f64> = metrics
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok()?["train/simulator_restarts"].as_f64())
        .collect();
    // Actions beyond about half of the range turn the pole so fast that its acceleration passes
    // MuJoCo's limit of 1e10.
    assert!(counts.len() == 4 && counts.is_sorted(), "{counts:?}");
    assert!((10.0..390.0).contains(&counts[3]), "{counts:?}");
}
