//! Models that a task cannot be learned on: actuators with nothing to choose, and simulations in
//! which MuJoCo starts over.

#![allow(clippy::unwrap_used)] // a test that cannot go on should say so

use std::path::PathBuf;

use liprl_envs::{Env, Options, make};
use serde_json::json;

/// A pole on a cart, with this motor and time step in seconds.
fn model(folder: &tempfile::TempDir, motor: &str, timestep: f64) -> PathBuf {
    let path = folder.path().join("pole.xml");
    let text = format!(
        r#"<mujoco><option timestep="{timestep}"/><worldbody><body name="cart"><joint name="slider" type="slide" axis="1 0 0"/>
<geom size="0.1" mass="1"/><body name="pole"><joint name="hinge" type="hinge" axis="0 1 0"/>
<geom size="0.1" mass="1" pos="0 0 1"/></body></body></worldbody><actuator>{motor}</actuator></mujoco>"#
    );
    std::fs::write(&path, text).unwrap();
    path
}

fn pendulum(model: &PathBuf) -> Result<Box<dyn Env>, liprl_envs::EnvError> {
    let options = json!({"xml_file": model, "reset_noise_scale": 0.01});
    make("InvertedPendulum-v5", &serde_json::from_value::<Options>(options).unwrap())
}

#[test]
fn an_actuator_without_a_range_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let refusal = |motor| pendulum(&model(&folder, motor, 0.02)).err().map(|error| error.to_string());
    let unlimited = refusal(r#"<motor name="push" joint="slider"/>"#).unwrap();
    assert!(unlimited.contains("actuator 0 (push) has the control range [0, 0]"), "{unlimited}");
    assert!(unlimited.contains("`xml_file`") && unlimited.contains("`ctrlrange`"), "{unlimited}");
    let point = refusal(r#"<motor joint="slider" ctrllimited="true" ctrlrange="0 1e-300"/>"#);
    assert_eq!(point, None, "a narrow range is a range");
    assert_eq!(refusal(r#"<motor joint="slider" ctrllimited="true" ctrlrange="-3 3"/>"#), None);
}

#[test]
fn a_step_in_which_the_simulator_starts_over_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let run = |gear: f64| {
        let motor = format!(r#"<motor joint="slider" ctrllimited="true" ctrlrange="-3 3" gear="{gear}"/>"#);
        let mut env = pendulum(&model(&folder, &motor, 0.02)).unwrap();
        let (mut obs, mut restarts) = (vec![0.0; 4], 0);
        for seed in 0..20 {
            env.reset(Some(seed), &Options::new(), &mut obs).unwrap();
            assert!(!env.started_over());
            let step = env.step(&[3.0], &mut obs).unwrap();
            if env.started_over() {
                restarts += 1;
                // The model's own initial state and one or two time steps from it: near zero, far
                // from the speeds that made MuJoCo start over.
                assert!(step.reward.is_finite() && obs[0].abs() < 1e9, "{obs:?}");
            }
        }
        restarts
    };
    assert_eq!(run(1.0), 0);
    assert_eq!(run(1e13), 20, "an acceleration beyond MuJoCo's limit of 1e10 in each first step");
}
