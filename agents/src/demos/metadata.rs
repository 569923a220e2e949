//! Minari 0.5's `metadata.json`: environment and spaces are JSON texts inside the JSON.

use liprl_envs::{BoxSpace, EnvSpec, OptionValue, registry};
use serde_json::{Map, Value, json};

use super::{
    demonstrations::{DemoMeta, Demonstrations},
    python_json,
    space::FlatSpace,
};

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
        all.insert("env_spec".into(), json!(print_env(env, meta)));
    }
    all.insert("dataset_id".into(), json!(id));
    all.insert("minari_version".into(), json!(MINARI_VERSION));
    all.extend(meta.extra.clone().into_iter().filter(|(key, _)| !DERIVED.contains(&key.as_str())));
    Value::Object(all).to_string()
}

/// A file's metadata, and what it states about its arrays.
pub(super) struct Metadata {
    pub(super) meta: DemoMeta,
    /// Episodes and steps.
    pub(super) totals: (Option<u64>, Option<u64>),
    /// Parts of the observations.
    pub(super) observations: Option<FlatSpace>,
    /// Parts of the actions.
    pub(super) actions: Option<FlatSpace>,
}

/// The wrapper by which Gymnasium makes the observations that are read from parts.
const FLATTENED: &str = "FlattenObservation";

/// Reads metadata of any origin; missing entries stay unknown. An error names the entry.
pub(super) fn parse(mut all: Map<String, Value>) -> Result<Metadata, String> {
    let total = |key: &str| {
        let stated = all.get(key)?;
        stated.as_u64().or_else(|| stated.as_f64().map(|stated| stated as u64))
    };
    let totals = (total("total_episodes"), total("total_steps"));
    let nested = |key: &str| match all.get(key) {
        Some(Value::String(text)) => python_json::parse(text).map_err(|error| format!("metadata: {key}: {error}")),
        other => Ok(other.cloned().unwrap_or_default()),
    };
    let space = |key: &str| FlatSpace::parse(&nested(key)?).map_err(|problem| format!("metadata: {key}: {problem}"));
    let (observations, actions) = (space("observation_space")?, space("action_space")?);
    if actions.as_ref().is_some_and(FlatSpace::has_choices) {
        return Err(
            "metadata: action_space: has actions to choose from; agents here have actions of real numbers".into()
        );
    }
    let spec = nested("env_spec")?;
    let env = parse_env(&spec).map_err(|problem| format!("metadata: env_spec: {problem}"))?;
    let known = env.as_ref().is_none_or(|env| entry_point(env).is_some());
    let other_entry_point = spec["entry_point"].as_str().filter(|_| !known).map(str::to_owned);
    let mut wrappers = spec["additional_wrappers"].as_array().cloned().unwrap_or_default();
    if observations.as_ref().is_some_and(|space| !space.is_row()) {
        let entry_point = format!("gymnasium.wrappers:{FLATTENED}");
        wrappers.push(json!({"name": FLATTENED, "entry_point": entry_point, "kwargs": {}}));
    }
    all.retain(|key, _| !DERIVED.contains(&key.as_str()));
    let meta = DemoMeta {
        env,
        entry_point: other_entry_point,
        wrappers,
        observation_space: observations.as_ref().map(FlatSpace::bounds),
        action_space: actions.as_ref().map(FlatSpace::bounds),
        extra: all,
    };
    Ok(Metadata { meta, totals, observations, actions })
}

fn print_space(space: &BoxSpace, dtype: &str) -> String {
    let list = |side: &[f64]| side.iter().copied().map(python_json::number).collect::<Vec<_>>().join(", ");
    let (low, high) = (list(&space.low), list(&space.high));
    format!(r#"{{"type": "Box", "dtype": "{dtype}", "shape": [{}], "low": [{low}], "high": [{high}]}}"#, space.dim())
}

fn print_env(env: &EnvSpec, meta: &DemoMeta) -> String {
    let given = env.options.iter().filter(|(key, _)| *key != "max_episode_steps");
    let kwargs: Vec<String> =
        given.map(|(key, value)| format!("{}: {}", json!(key), print_option(env, key, value))).collect();
    let entries = [
        ("id", json!(env.id).to_string()),
        ("entry_point", json!(entry_point(env).or_else(|| meta.entry_point.clone())).to_string()),
        ("reward_threshold", "null".into()),
        ("nondeterministic", "false".into()),
        ("max_episode_steps", json!(env.max_episode_steps).to_string()),
        ("order_enforce", "true".into()),
        ("disable_env_checker", "false".into()),
        ("kwargs", format!("{{{}}}", kwargs.join(", "))),
        ("additional_wrappers", json!(meta.wrappers).to_string()),
        ("vector_entry_point", "null".into()),
    ];
    let entries: Vec<String> = entries.into_iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
    format!("{{{}}}", entries.join(", "))
}

/// An option's value. The sides of an interval may be texts here, and are numbers in Python.
fn print_option(env: &EnvSpec, name: &str, given: &Value) -> String {
    let entry = registry().into_iter().find(|entry| entry.id == env.id);
    let option = entry.and_then(|entry| entry.options.iter().find(|option| option.name == name));
    match option.map(|option| option.default.read(given)) {
        Some(Ok(OptionValue::Range(low, high))) => {
            format!("[{}, {}]", python_json::number(low), python_json::number(high))
        }
        _ => given.to_string(),
    }
}

fn parse_env(spec: &Value) -> Result<Option<EnvSpec>, String> {
    if spec.is_null() {
        return Ok(None);
    }
    let id = spec["id"].as_str().ok_or("has no id")?.to_owned();
    let max_episode_steps = spec["max_episode_steps"].as_u64().and_then(|n| u32::try_from(n).ok());
    let kwargs = spec["kwargs"].as_object().cloned().unwrap_or_default();
    Ok(Some(EnvSpec { id, max_episode_steps, options: kwargs.into_iter().collect(), python: None }))
}

/// Gymnasium's path to the class of a task, by which Minari makes the environment; `None` for a
/// user's own.
fn entry_point(env: &EnvSpec) -> Option<String> {
    if let Some(python) = &env.python {
        return python.entry_point.clone();
    }
    let (module, class) = match &*env.id {
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
