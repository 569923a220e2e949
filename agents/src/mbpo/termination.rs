//! The ends of imagined episodes: a task's own rule, read off the observation, a user's rule, or a
//! learned one.
//!
//! Differs from the rules in the authors' code of Janner et al. 2019 in:
//! 1. a misplaced parenthesis there let entries of Hopper's state below −100 pass; here both sides
//!    count;
//! 2. limits and `terminate_when_unhealthy` are those of the task's options, not fixed.

use garde::Validate;
use liprl_envs::{EnvSpec, Given, registry};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::termination_model::TerminationModelConfig;
use crate::{AgentError, TaskContext};

/// The rule by which imagined episodes end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub enum TerminationConfig {
    /// The task's own rule, if this program has it; never if the task cannot end an episode.
    #[default]
    Known,
    /// Never.
    Never,
    /// A classifier of (s, a, s'), trained on the real transitions after each fit.
    Learned(#[garde(dive)] TerminationModelConfig),
    /// The next observation leaves a region.
    Leaves {
        /// The region, one interval for each observation that has one.
        #[garde(length(min = 1), dive)]
        region: Vec<Interval>,
    },
    /// The next observation is in a region.
    Reaches {
        /// The region, one interval for each observation that has one.
        #[garde(length(min = 1), dive)]
        region: Vec<Interval>,
    },
}

/// An interval of one observation, ends included.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct Interval {
    /// Index of the observation, from 0.
    pub index: usize,
    /// Its least value. Default: no limit.
    #[serde(default)]
    pub low: Option<f64>,
    /// Its greatest value. Default: no limit.
    #[serde(default)]
    pub high: Option<f64>,
}

/// The rule of one task, on the next observation.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// Episodes do not end.
    Never,
    /// Episodes end outside these limits.
    Leaves(Vec<Limit>),
    /// Episodes end within all of these limits.
    Reaches(Vec<Limit>),
    /// InvertedDoublePendulum-v5: episodes end if the tip, 0.6 (cos θ₁ + cos(θ₁ + θ₂)), is not above this
    /// height.
    TipBelow(f32),
    /// A classifier decides.
    Learned(TerminationModelConfig),
}

/// Limits of one observation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// Index of the observation.
    pub index: usize,
    /// Least value.
    pub low: f32,
    /// Greatest value.
    pub high: f32,
    /// True if the ends are outside.
    pub open: bool,
}

impl Limit {
    fn new(index: usize, (low, high): (f64, f64), open: bool) -> Self {
        Self { index, low: low as f32, high: high as f32, open }
    }

    /// True if the observation is within; false for NaN.
    fn holds(&self, obs: &[f32]) -> bool {
        let x = obs[self.index];
        if self.open { self.low < x && x < self.high } else { self.low <= x && x <= self.high }
    }
}

impl Rule {
    /// True if an episode ends in `next`. False for a learned rule, which needs more than `next`.
    pub fn ends(&self, next: &[f32]) -> bool {
        match self {
            Self::Never | Self::Learned(_) => false,
            Self::Leaves(limits) => !limits.iter().all(|limit| limit.holds(next)),
            Self::Reaches(limits) => limits.iter().all(|limit| limit.holds(next)),
            Self::TipBelow(height) => {
                let (sin, cos) = ([next[1], next[2]], [next[3], next[4]]);
                let tip = 0.6 * (cos[0] + cos[0] * cos[1] - sin[0] * sin[1]);
                tip <= *height
            }
        }
    }

    /// The rule that `config` names, for the task of `context`.
    pub fn new(config: &TerminationConfig, context: &TaskContext, obs_dim: usize) -> Result<Self, AgentError> {
        let bad = |setting: &str, problem: String| AgentError::BadConfig {
            setting: format!("agent.termination{setting}"),
            problem,
        };
        let limits = |region: &[Interval]| {
            for (i, Interval { index, low, high }) in region.iter().enumerate() {
                if *index >= obs_dim {
                    let problem = format!("observation {index} is asked for, there are {obs_dim}, from 0");
                    return Err(bad(&format!(".region.{i}"), problem));
                }
                if matches!((low, high), (Some(low), Some(high)) if low > high) || (low.is_none() && high.is_none()) {
                    return Err(bad(&format!(".region.{i}"), "needs a low or a high, and low not above high".into()));
                }
            }
            let limit = |Interval { index, low, high }: &Interval| {
                let ends = (low.unwrap_or(f64::NEG_INFINITY), high.unwrap_or(f64::INFINITY));
                Limit::new(*index, ends, false)
            };
            Ok(region.iter().map(limit).collect())
        };
        match config {
            TerminationConfig::Never => Ok(Self::Never),
            TerminationConfig::Learned(head) => Ok(Self::Learned(head.clone())),
            TerminationConfig::Leaves { region } => Ok(Self::Leaves(limits(region)?)),
            TerminationConfig::Reaches { region } => Ok(Self::Reaches(limits(region)?)),
            TerminationConfig::Known if !context.can_terminate => Ok(Self::Never),
            TerminationConfig::Known => {
                let id = context.task.as_ref().map_or("this task", |task| &task.id);
                match context.task.as_ref().map(known).transpose()?.flatten() {
                    Some(rule) => Ok(rule),
                    None => Err(bad(
                        "",
                        format!(
                            "{id} can end an episode, but no rule is known for when; write {{kind: learned}}, or give one as {{kind: leaves, region: \
                             [{{index: 0, low: -1, high: 1}}]}} or {{kind: reaches, region: […]}}, or {{kind: never}}"
                        ),
                    )),
                }
            }
        }
    }
}

/// The rule of a task with these options, if this program has it and the observation shows it.
fn known(task: &EnvSpec) -> Result<Option<Rule>, AgentError> {
    // Wrappers may change what an observation shows.
    if task.python.as_ref().is_some_and(|python| !python.config.wrappers.is_empty()) {
        return Ok(None);
    }
    let Some(entry) = registry().into_iter().find(|entry| entry.id == task.id) else { return Ok(None) };
    let mut own = task.clone();
    own.options.retain(|name, _| entry.options.iter().any(|doc| doc.name == name));
    let bad = |error: liprl_envs::EnvError| AgentError::BadConfig { setting: "env".into(), problem: error.to_string() };
    let given = Given::new(own, entry.options).map_err(bad)?;
    let flag = |name: &str| given.flag(name).map_err(bad);
    let range = |name: &str| given.range(name).map_err(bad);
    let skipped =
        |count: usize| Ok::<_, AgentError>(if flag("exclude_current_positions_from_observation")? { count } else { 0 });
    let unless_kept_up = |limits: Vec<Limit>| {
        Ok(Some(if flag("terminate_when_unhealthy")? { Rule::Leaves(limits) } else { Rule::Never }))
    };
    match &*task.id {
        "Hopper-v5" => {
            // Positions x, z, angle, …: every entry from the angle on stays within the state's range.
            let skip = skipped(1)?;
            let mut limits = vec![
                Limit::new(1 - skip, range("healthy_z_range")?, true),
                Limit::new(2 - skip, range("healthy_angle_range")?, true),
            ];
            let state = range("healthy_state_range")?;
            limits.extend((2 - skip..12 - skip).map(|index| Limit::new(index, state, true)));
            unless_kept_up(limits)
        }
        "Walker2d-v5" => {
            let skip = skipped(1)?;
            unless_kept_up(vec![
                Limit::new(1 - skip, range("healthy_z_range")?, true),
                Limit::new(2 - skip, range("healthy_angle_range")?, true),
            ])
        }
        "Ant-v5" => unless_kept_up(vec![Limit::new(2 - skipped(2)?, range("healthy_z_range")?, false)]),
        "Humanoid-v5" => unless_kept_up(vec![Limit::new(2 - skipped(2)?, range("healthy_z_range")?, true)]),
        "InvertedPendulum-v5" => Ok(Some(Rule::Leaves(vec![Limit::new(1, (-0.2, 0.2), false)]))),
        "InvertedDoublePendulum-v5" => Ok(Some(Rule::TipBelow(1.0))),
        "CartPoleContinuous-v0" => {
            let angle = 12f64.to_radians();
            Ok(Some(Rule::Leaves(vec![Limit::new(0, (-2.4, 2.4), false), Limit::new(2, (-angle, angle), false)])))
        }
        "MountainCarContinuous-v0" => {
            let least = given.number("goal_velocity").map_err(bad)?;
            let goal = [(0, 0.45), (1, least)];
            Ok(Some(Rule::Reaches(goal.map(|(index, low)| Limit::new(index, (low, f64::INFINITY), false)).to_vec())))
        }
        _ => Ok(None),
    }
}
