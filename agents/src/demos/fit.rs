//! Demonstrations held against a task: all that the file says about its environment.

use liprl_envs::{BoxSpace, EnvSpec, OptionDoc, Options, registry};
use serde_json::Value;

use super::{
    config::{Accept, DemonstrationsConfig},
    demonstrations::{DemoMeta, DemoSpec, Demonstrations},
};

/// Gymnasium's wrappers that change no observation, action or reward. `RescaleAction` changes the
/// action space, which is compared by itself. `FlattenObservation` does as the reader does.
const HARMLESS_WRAPPERS: [&str; 10] = [
    "DataCollector",
    "FlattenObservation",
    "HumanRendering",
    "OrderEnforcing",
    "PassiveEnvChecker",
    "RecordEpisodeStatistics",
    "RecordVideo",
    "RenderCollection",
    "RescaleAction",
    "TimeLimit",
];

/// Options that concern pictures or the time limit, which changes no single step.
const HARMLESS_OPTIONS: [&str; 10] = [
    "camera_id",
    "camera_name",
    "default_camera_config",
    "disable_env_checker",
    "height",
    "max_episode_steps",
    "max_geom",
    "render_mode",
    "visual_options",
    "width",
];

/// Relative difference of two bounds that are the same but for rounding to f32.
const ROUNDING: f64 = 1e-6;

impl DemoMeta {
    /// Names of the wrappers around the environment.
    pub fn wrapper_names(&self) -> Vec<&str> {
        self.wrappers.iter().map(|wrapper| wrapper["name"].as_str().unwrap_or("without a name")).collect()
    }
}

impl Demonstrations {
    /// Compares the file's description with the task, and maps actions between their boxes.
    pub(super) fn fit(&mut self, task: &DemoSpec<'_>, config: &DemonstrationsConfig) -> Result<(), String> {
        if let Some(env) = self.meta.env.as_ref().filter(|env| env.id != task.env.id) {
            return Err(format!("holds demonstrations of {}, expected {}", env.id, task.env.id));
        }
        let (o, a) = (task.observation_space.dim(), task.action_space.dim());
        if (self.obs_dim(), self.act_dim()) != (o, a) {
            return Err(format!(
                "has observations of {} and actions of {} numbers, {} has {o} and {a}; \
                 was it recorded with other options?",
                self.obs_dim(),
                self.act_dim(),
                task.env.id
            ));
        }
        let wrappers = self.other_wrappers(task.env);
        let option = self.meta.env.as_ref().and_then(|env| other_option(&env.options, &task.env.options, &env.id));
        // Wrappers and options that are accepted may have changed the spaces too.
        let mut spaces = config.accepts(Accept::Spaces);
        let differences = [(Accept::Wrappers, wrappers), (Accept::Options, option)];
        for (kind, difference) in differences {
            let Some(difference) = difference else { continue };
            if !config.accepts(kind) {
                return Err(format!("{difference}; {}", kind.remedy()));
            }
            spaces = true;
        }
        if let Some(space) = &self.meta.observation_space
            && let Some(difference) = other_bounds("observations", space, task.observation_space)
            && !spaces
        {
            return Err(format!("{difference}; {}", Accept::Spaces.remedy()));
        }
        self.fit_actions(task.action_space, spaces)
    }

    /// The difference between the wrappers of the file and those of the task, which only a task in
    /// Python has. A file that names no environment may have any.
    fn other_wrappers(&self, task: &EnvSpec) -> Option<String> {
        // Without the action space it made, a rescaling is unknown.
        let unknown = |name: &str| name == "RescaleAction" && self.meta.action_space.is_none();
        let mut theirs = self.meta.wrapper_names();
        theirs.retain(|name| !HARMLESS_WRAPPERS.contains(name) || unknown(name));
        let ours = task.python.iter().flat_map(|python| &python.config.wrappers).map(|wrapper| wrapper.name());
        let ours: Vec<&str> = ours.filter(|name| !HARMLESS_WRAPPERS.contains(name)).collect();
        match (theirs.as_slice(), ours.as_slice()) {
            (theirs, ours) if theirs == ours => None,
            ([], _) if self.meta.env.is_none() => None,
            ([], ours) => Some(format!("was recorded without wrappers, the task has {}", ours.join(", "))),
            ([first, ..], []) => Some(format!("was recorded behind the wrapper {first}, the task has none")),
            (theirs, ours) => Some(format!(
                "was recorded behind the wrappers {}, the task has {}",
                theirs.join(", "),
                ours.join(", ")
            )),
        }
    }

    /// Maps actions from the file's box to the task's, if both are bounded.
    fn fit_actions(&mut self, wanted: &BoxSpace, accepted: bool) -> Result<(), String> {
        let Some(space) = self.meta.action_space.clone() else { return Ok(()) };
        let Some(difference) = other_bounds("actions", &space, wanted) else { return Ok(()) };
        let bounded = |space: &BoxSpace| {
            space.low.iter().zip(&space.high).all(|(low, high)| low.is_finite() && high.is_finite() && low < high)
        };
        if !(bounded(&space) && bounded(wanted)) {
            let problem = format!("{difference}; no map between the two is defined; {}", Accept::Spaces.remedy());
            return if accepted { Ok(()) } else { Err(problem) };
        }
        for (i, episode) in self.episodes.iter_mut().enumerate() {
            for (j, x) in episode.actions.iter_mut().enumerate() {
                let k = j % wanted.dim();
                let share = (*x - space.low[k]) / (space.high[k] - space.low[k]);
                *x = wanted.low[k] + share * (wanted.high[k] - wanted.low[k]);
                if !(*x as f32).is_finite() {
                    return Err(format!("episode_{i}/actions: is {x:?} at row {} after scaling", j / wanted.dim()));
                }
            }
        }
        self.notes.push(format!("{difference}; actions are mapped from the one to the other"));
        self.meta.action_space = Some(wanted.clone());
        Ok(())
    }
}

/// The first option in which the file's environment differs from the task, with both values.
fn other_option(file: &Options, task: &Options, id: &str) -> Option<String> {
    let table = registry().into_iter().find(|entry| entry.id == id).map_or(&[][..], |entry| entry.options);
    let names = file.keys().chain(task.keys()).filter(|name| !HARMLESS_OPTIONS.contains(&name.as_str()));
    names.into_iter().find_map(|name| {
        let (theirs, ours) = (value(file, name, table), value(task, name, table));
        (theirs != ours).then(|| format!("was recorded with {name}: {theirs}, the task has {name}: {ours}"))
    })
}

/// The value of an option, its default if it is not given; null if it is not known.
fn value(given: &Options, name: &str, table: &[OptionDoc]) -> Value {
    let known = table.iter().find(|option| option.name == name);
    match (given.get(name), known) {
        (Some(given), Some(option)) => option.default.read(given).map_or_else(|_| given.clone(), |read| read.to_json()),
        (Some(given), None) => given.clone(),
        (None, Some(option)) => option.default.to_json(),
        (None, None) => Value::Null,
    }
}

/// The first coordinate whose bounds differ, with both intervals.
pub(super) fn other_bounds(what: &str, file: &BoxSpace, task: &BoxSpace) -> Option<String> {
    let same = |a: f64, b: f64| a == b || (a - b).abs() <= ROUNDING * a.abs().min(b.abs());
    let sides = |space: &BoxSpace, i: usize| (space.low[i], space.high[i]);
    (0..task.dim()).find_map(|i| {
        let ((low, high), (ours_low, ours_high)) = (sides(file, i), sides(task, i));
        (!(same(low, ours_low) && same(high, ours_high))).then(|| {
            format!(
                "coordinate {i} of its {what} has the bounds [{low}, {high}], that of the task [{ours_low}, {ours_high}]"
            )
        })
    })
}
