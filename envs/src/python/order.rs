//! The first request to a worker: the environment that it is to make.

use serde_json::{Value, json};

use crate::entry::TIME_LIMIT;
use crate::env::Options;
use crate::python_spec::PythonConfig;

/// Purposes that change how an environment is made.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Purpose {
    /// Behind Gymnasium's checker.
    pub(super) check: bool,
    /// To draw pictures.
    pub(super) render: bool,
}

/// The environment that a worker is to make.
pub(super) fn order(id: &str, options: &Options, config: &PythonConfig, purpose: Purpose) -> Value {
    let kwargs: Options =
        options.iter().filter(|(name, _)| *name != TIME_LIMIT).map(|(k, v)| (k.clone(), v.clone())).collect();
    let wrappers = config.wrappers.iter().map(|one| json!({"wrapper": one.class, "kwargs": one.kwargs}));
    json!({
        "parent": std::process::id(),
        "id": id,
        "class": config.is_class,
        "import": config.import,
        "path": config.folder.iter().chain(&config.path).collect::<Vec<_>>(),
        "kwargs": kwargs,
        "max_episode_steps": options.get(TIME_LIMIT),
        "wrappers": wrappers.collect::<Vec<_>>(),
        "info": config.info,
        "check": purpose.check,
        "render": purpose.render,
    })
}
