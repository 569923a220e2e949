//! Rejected ids, options, slices and actions, with the texts of the errors.

#![allow(clippy::unwrap_used)] // a test that cannot go on should say so

use liprl_envs::{EnvError, OptionValue, Options, make, registry};
use serde_json::{Value, json};

fn refusal(id: &str, options: Value) -> String {
    make(id, &serde_json::from_value(options).unwrap()).err().unwrap().to_string()
}

#[test]
fn unknown_ids_and_options_name_the_nearest() {
    assert_eq!(
        refusal("hopper-v5", json!({})),
        "unknown environment `hopper-v5`, did you mean `Hopper-v5`?; `liprl envs` lists those there are"
    );
    assert_eq!(refusal("Chess", json!({})), "unknown environment `Chess`; `liprl envs` lists those there are");
    assert_eq!(
        refusal("Hopper-v5", json!({"ctrl_cost_wieght": 1})),
        "Hopper-v5: option `ctrl_cost_wieght`: there is no such option, did you mean `ctrl_cost_weight`?"
    );
    assert_eq!(
        refusal("Pendulum-v1", json!({"zzz": 1})),
        "Pendulum-v1: option `zzz`: there is no such option; there are g, max_episode_steps"
    );
}

#[test]
fn wrong_types_and_ranges_say_what_was_expected() {
    for (options, problem) in [
        (json!({"ctrl_cost_weight": "low"}), "`ctrl_cost_weight`: expected a number, found \"low\""),
        (json!({"reset_noise_scale": -0.1}), "`reset_noise_scale`: expected a number of at least 0, found -0.1"),
        (json!({"frame_skip": 0}), "`frame_skip`: expected a whole number of at least 1, found 0"),
        (json!({"frame_skip": 1.5}), "`frame_skip`: expected a whole number of at least 1, found 1.5"),
        (json!({"max_episode_steps": -3}), "`max_episode_steps`: expected a whole number of at least 1, found -3"),
        (json!({"terminate_when_unhealthy": 1}), "`terminate_when_unhealthy`: expected true or false, found 1"),
        (
            json!({"healthy_z_range": [1]}),
            "`healthy_z_range`: expected an interval [low, high] of two numbers, found [1]",
        ),
        (json!({"healthy_z_range": [2, 1]}), "`healthy_z_range`: the lower bound 2 is above the upper bound 1"),
        (json!({"xml_file": 3}), "`xml_file`: expected a piece of text, found 3"),
    ] {
        assert_eq!(refusal("Hopper-v5", options), format!("Hopper-v5: option {problem}"));
    }
    assert_eq!(
        refusal("Ant-v5", json!({"main_body": "head"})),
        "Ant-v5: option `main_body`: the model has no body `head`"
    );
    assert_eq!(
        refusal("Humanoid-v5", json!({"xml_file": "swimmer.xml"})),
        "Humanoid-v5: option `xml_file`: the model has 5 positions, this task needs at least 7"
    );
    let missing = refusal("Hopper-v5", json!({"xml_file": "./nowhere.xml"}));
    assert!(
        missing.starts_with("Hopper-v5: there is no model file ./nowhere.xml; run `cargo xtask setup`"),
        "{missing}"
    );
}

/// The truncated observations of model-based work are options.
#[test]
fn truncated_ant_and_humanoid() {
    let dim = |id, options| make(id, &serde_json::from_value(options).unwrap()).unwrap().observation_space().dim();
    assert_eq!((dim("Ant-v5", json!({})), dim("Humanoid-v5", json!({}))), (105, 348));
    assert_eq!(dim("Ant-v5", json!({"include_cfrc_ext_in_observation": false})), 27);
    let off = json!({
        "include_cinert_in_observation": false, "include_cvel_in_observation": false,
        "include_qfrc_actuator_in_observation": false, "include_cfrc_ext_in_observation": false,
    });
    assert_eq!(dim("Humanoid-v5", off), 45);
}

/// Listings and the schema are made from this: each default is accepted as a value and documented.
#[test]
fn every_default_is_accepted_as_it_is_listed() {
    for entry in registry() {
        let options: Options = entry.options.iter().map(|doc| (doc.name.to_owned(), doc.default.to_json())).collect();
        make(entry.id, &options).unwrap();
        for doc in entry.options {
            let schema = doc.json_schema();
            assert_eq!(schema["default"], doc.default.to_json());
            assert_eq!(schema["description"], doc.doc);
            assert!(matches!(doc.default, OptionValue::Flag(_)) == (schema["type"] == "boolean"));
        }
    }
}

#[test]
fn steps_out_of_turn_and_wrong_slices_are_errors() {
    let mut env = make("Hopper-v5", &Options::new()).unwrap();
    let mut obs = vec![0.0; 11];
    assert!(matches!(env.step(&[0.0; 3], &mut obs), Err(EnvError::NeedsReset { .. })));
    env.reset(Some(0), &Options::new(), &mut obs).unwrap();
    assert!(matches!(env.step(&[0.0; 2], &mut obs), Err(EnvError::WrongLength { what: "action", found: 2, .. })));
    assert!(matches!(env.step(&[0.0; 3], &mut obs[..9]), Err(EnvError::WrongLength { expected: 11, .. })));
    let error = env.step(&[0.0, f64::NAN, 0.0], &mut obs).unwrap_err().to_string();
    assert_eq!(error, "Hopper-v5: action is not finite at coordinate 1");
    let options = serde_json::from_value(json!({"low": 1})).unwrap();
    assert_eq!(
        env.reset(None, &options, &mut obs).unwrap_err().to_string(),
        "Hopper-v5: option `low`: there are no options"
    );
}
