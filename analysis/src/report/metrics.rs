//! Metrics that a page shows beside the one compared: the sweep's list, or the agent's usual ones.

use std::collections::BTreeSet;

use super::experiment::Experiment;
use super::run_record::RunRecord;
use crate::units::{matches, unit_of};

/// Metrics of every agent: slopes of the value function and of the policy.
const SLOPES: [&str; 2] = ["lipschitz/q1_gradient/visited/q95", "lipschitz/policy_jacobian/visited/q95"];
/// Those of an agent that learns its reward.
const GAIL: &[&str] = &[
    "train/discriminator_accuracy_*",
    "train/discriminator_logit_*",
    "lipschitz/reward_gradient/visited/q95",
    "lipschitz/paper_estimate*",
    "lipschitz/discriminator_gradient/visited/q95",
    "lipschitz/within_target/visited",
];
/// Those of an agent that learns a model.
const MBPO: &[&str] = &[
    "model/error/*",
    "model/value_aware_error/*",
    "lipschitz/product_bound/critic_1",
    "model/rollout_length",
    "perf/fit_s",
];
/// Those of a feedback policy: its constants and bounds.
const FEEDBACK: &[&str] = &[
    "lipschitz/alpha",
    "lipschitz/certified",
    "lipschitz/sampled",
    "lipschitz/violation/*",
    "train/mse",
    "lipschitz/demonstration_mse",
];
/// Those of SAC and TD3.
const ACTOR_CRITIC: &[&str] = &["train/q_mean", "train/shaped_reward", "train/entropy", "train/alpha"];

/// Metrics that a page shows of an agent's runs if the sweep names none; `*` stands for any text.
pub(super) fn of_agent(kind: &str) -> Vec<String> {
    let own = match kind {
        "gail" => GAIL,
        "mbpo" => MBPO,
        "feedback" => FEEDBACK,
        _ => ACTOR_CRITIC,
    };
    own.iter().chain(&SLOPES).map(|name| (*name).to_owned()).collect()
}

/// Some metrics of one unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnitGroup {
    /// The unit; `None` for metrics without one that is known.
    pub(super) unit: Option<&'static str>,
    pub(super) metrics: Vec<String>,
}

/// Metrics shown that any run logged, grouped by unit, in the order in which they are asked for.
pub(super) fn shown(experiment: &Experiment) -> Vec<UnitGroup> {
    let logged: BTreeSet<&String> = experiment.runs.iter().flat_map(|run| run.series.keys()).collect();
    let mut groups: Vec<UnitGroup> = Vec::new();
    let mut seen = BTreeSet::new();
    for pattern in experiment.runs.iter().flat_map(|run| &run.shown) {
        for metric in logged.iter().filter(|metric| matches(pattern, metric)) {
            if !seen.insert((*metric).clone()) {
                continue;
            }
            let unit = unit_of(metric);
            match groups.iter_mut().find(|group| group.unit == unit) {
                Some(group) => group.metrics.push((*metric).clone()),
                None => groups.push(UnitGroup { unit, metrics: vec![(*metric).clone()] }),
            }
        }
    }
    groups
}

/// Metrics that the sweep or an option asks for and that no run logged.
pub(super) fn missing(experiment: &Experiment) -> Vec<&String> {
    let is_logged = |pattern: &String| {
        let logged = |run: &RunRecord| run.series.keys().any(|metric| matches(pattern, metric));
        experiment.runs.iter().any(logged)
    };
    experiment.metrics.iter().flatten().filter(|pattern| !is_logged(pattern)).collect()
}
