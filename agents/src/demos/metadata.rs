//! Minari 0.5's `metadata.json`: environment and spaces are JSON texts inside the JSON.

use liprl_envs::{BoxSpace, EnvSpec};
use serde_json::{Map, Value, json};

use super::demonstrations::{DemoMeta, Demonstrations};

/// The version of the layout; every Minari from 0.5.0 on accepts it.
const MINARI_VERSION: &str = "0.5.0";

/// Keys that are made from the data, not taken from `DemoMeta::extra`.
const DERIVED: [&str; 10] = [
    "total_episodes",
    "total_steps",
    "data_format",
    "jpeg_encoding",
    "observation_space",
    "action_space",
    "env_spec",
    "dataset_id",
    "minari_version",
    "dataset_size",
];

/// Types of the stored arrays, also those of the spaces.
pub(super) struct Types {
    pub(super) observations: &'static str,
    pub(super) actions: &'static str,
}

/// The metadata as text.
pub(super) fn print(demonstrations: &Demonstrations, id: &str, types: &Types) -> String {
    let meta = &demonstrations.meta;
    let unbounded = |dim| BoxSpace::uniform(dim, f64::NEG_INFINITY, f64::INFINITY);
    let observation_space = meta.observation_space.clone().unwrap_or_else(|| unbounded(demonstrations.obs_dim()));
    let action_space = meta.action_space.clone().unwrap_or_else(|| unbounded(demonstrations.act_dim()));
    let mut all = Map::new();
    all.insert("total_episodes".into(), json!(demonstrations.episodes.len()));
    all.insert("total_steps".into(), json!(demonstrations.episodes.iter().map(|episode| episode.len()).sum::<usize>()));
    all.insert("data_format".into(), json!("hdf5"));
    all.insert("jpeg_encoding".into(), json!(false));
    all.insert("observation_space".into(), json!(print_space(&observation_space, types.observations)));
    all.insert("action_space".into(), json!(print_space(&action_space, types.actions)));
    if let Some(env) = &meta.env {
        all.insert("env_spec".into(), json!(print_env(env).to_string()));
    }
    all.insert("dataset_id".into(), json!(id));
    all.insert("minari_version".into(), json!(MINARI_VERSION));
    all.extend(meta.extra.clone().into_iter().filter(|(key, _)| !DERIVED.contains(&key.as_str())));
    Value::Object(all).to_string()
}

/// Reads metadata of any origin. Missing entries and kinds not known here (spaces other than a box)
/// stay unknown.
pub(super) fn parse(text: &str) -> Result<DemoMeta, String> {
    let mut all: Map<String, Value> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let take = |key: &str| all.get(key).and_then(Value::as_str).map(str::to_owned);
    let (observation_space, action_space) = (take("observation_space"), take("action_space"));
    let env = take("env_spec").map(|text| parse_env(&text)).transpose()?;
    all.retain(|key, _| !DERIVED.contains(&key.as_str()));
    Ok(DemoMeta {
        env,
        observation_space: observation_space.and_then(|text| parse_space(&text)),
        action_space: action_space.and_then(|text| parse_space(&text)),
        extra: all,
    })
}

/// Python's JSON writes infinities as bare words, which Rust's does not.
fn print_space(space: &BoxSpace, dtype: &str) -> String {
    let list = |side: &[f64]| {
        let bounds: Vec<String> = side
            .iter()
            .map(|&bound| match bound {
                f64::INFINITY => "Infinity".into(),
                f64::NEG_INFINITY => "-Infinity".into(),
                _ => json!(bound).to_string(),
            })
            .collect();
        bounds.join(", ")
    };
    let (low, high) = (list(&space.low), list(&space.high));
    format!(r#"{{"type": "Box", "dtype": "{dtype}", "shape": [{}], "low": [{low}], "high": [{high}]}}"#, space.dim())
}

fn parse_space(text: &str) -> Option<BoxSpace> {
    let quoted = text.replace("-Infinity", "\"-inf\"").replace("Infinity", "\"inf\"");
    let space: Value = serde_json::from_str(&quoted).ok()?;
    let side = |key: &str| -> Option<Vec<f64>> {
        let bound = |bound: &Value| bound.as_f64().or_else(|| bound.as_str()?.parse().ok());
        space.get(key)?.as_array()?.iter().map(bound).collect()
    };
    let (low, high) = (side("low")?, side("high")?);
    (space.get("type")? == "Box" && low.len() == high.len()).then_some(BoxSpace { low, high })
}

fn print_env(env: &EnvSpec) -> Value {
    let kwargs: Map<String, Value> =
        env.options.clone().into_iter().filter(|(key, _)| key != "max_episode_steps").collect();
    json!({
        "id": env.id,
        "entry_point": entry_point(&env.id),
        "reward_threshold": null,
        "nondeterministic": false,
        "max_episode_steps": env.max_episode_steps,
        "order_enforce": true,
        "disable_env_checker": false,
        "kwargs": kwargs,
        "additional_wrappers": [],
        "vector_entry_point": null,
    })
}

fn parse_env(text: &str) -> Result<EnvSpec, String> {
    let spec: Value = serde_json::from_str(text).map_err(|error| format!("env_spec: {error}"))?;
    let id = spec.get("id").and_then(Value::as_str).ok_or("env_spec: has no id")?.to_owned();
    let max_episode_steps = spec.get("max_episode_steps").and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
    let kwargs = spec.get("kwargs").and_then(Value::as_object).cloned().unwrap_or_default();
    Ok(EnvSpec { id, max_episode_steps, options: kwargs.into_iter().collect() })
}

/// Gymnasium's path to the class of a task, by which Minari makes the environment; `None` for a
/// user's own.
fn entry_point(id: &str) -> Option<String> {
    let (module, class) = match id {
        "Pendulum-v1" => ("classic_control.pendulum", "Pendulum"),
        "MountainCarContinuous-v0" => ("classic_control.continuous_mountain_car", "Continuous_MountainCar"),
        "InvertedPendulum-v5" => ("mujoco.inverted_pendulum_v5", "InvertedPendulum"),
        "InvertedDoublePendulum-v5" => ("mujoco.inverted_double_pendulum_v5", "InvertedDoublePendulum"),
        "Reacher-v5" => ("mujoco.reacher_v5", "Reacher"),
        "Swimmer-v5" => ("mujoco.swimmer_v5", "Swimmer"),
        "Hopper-v5" => ("mujoco.hopper_v5", "Hopper"),
        "Walker2d-v5" => ("mujoco.walker2d_v5", "Walker2d"),
        "HalfCheetah-v5" => ("mujoco.half_cheetah_v5", "HalfCheetah"),
        "Ant-v5" => ("mujoco.ant_v5", "Ant"),
        "Humanoid-v5" => ("mujoco.humanoid_v5", "Humanoid"),
        "HumanoidStandup-v5" => ("mujoco.humanoidstandup_v5", "HumanoidStandup"),
        "Pusher-v5" => ("mujoco.pusher_v5", "Pusher"),
        _ => return None,
    };
    Some(format!("gymnasium.envs.{module}:{class}Env"))
}
