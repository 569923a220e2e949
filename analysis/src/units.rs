//! Units of metrics, and the measurements that bounds bound.
//!
//! Numbers of different units are not set beside each other: figures have a row of panels for each
//! unit, and tables are ordered by unit.

/// Slope of a critic where it sees the environment's own observations.
const RAW_VALUE: &str = "reward per unit of (s, a), s in the environment's units";
/// Slope of a critic in its inputs.
const SEEN_VALUE: &str = "reward per unit of what the critic sees";
/// Slope of a policy in the environment's units.
const RAW_POLICY: &str = "action per unit of s, in the environment's units";

/// Names, in which `*` stands for any text, with their units. The first that fits counts.
const UNITS: &[(&str, &str)] = &[
    ("eval/return_*", "return"),
    ("train/return_mean", "return"),
    ("*/length_mean", "steps of an episode"),
    ("train/q_mean", "reward"),
    ("train/reward_mean", "reward"),
    ("train/shaped_reward", "reward"),
    ("train/absorbing_reward", "reward"),
    ("train/robust_gain", "reward"),
    ("train/entropy", "nats"),
    ("train/discriminator_loss", "nats"),
    ("train/discriminator_entropy", "nats"),
    ("train/discriminator_accuracy_*", "share of rows"),
    ("train/discriminator_logit_*", "logit"),
    ("train/value_gradient_above", "share of rows"),
    ("train/violated_share", "share of points"),
    ("train/mse", "squared units of action"),
    ("lipschitz/q*_gradient_standardised/*", SEEN_VALUE),
    ("lipschitz/q*_gradient/*", RAW_VALUE),
    ("lipschitz/value/*", "reward per unit of s as the critic sees it"),
    ("lipschitz/product_bound/critic*", SEEN_VALUE),
    ("lipschitz/product_bound/discriminator", "logit per unit of what the discriminator sees"),
    ("lipschitz/product_bound/actor", "action per unit of what the policy sees"),
    ("lipschitz/product_bound/policy", "action per unit of what the policy sees"),
    ("lipschitz/product_bound/*", "output per unit of what the network sees"),
    ("lipschitz/by_construction/*", "output per unit of what the network sees"),
    ("lipschitz/product_bound_log/*", "natural logarithm of a bound"),
    ("lipschitz/spectral_norm/*", "output per unit of a layer's input"),
    ("lipschitz/policy_jacobian/*", RAW_POLICY),
    ("lipschitz/certificate/*", RAW_POLICY),
    ("lipschitz/alpha", RAW_POLICY),
    ("lipschitz/certified", RAW_POLICY),
    ("lipschitz/sampled", RAW_POLICY),
    ("lipschitz/violation/*", RAW_POLICY),
    ("lipschitz/expert_slope", RAW_POLICY),
    ("lipschitz/demonstration_mse", "squared units of action"),
    ("lipschitz/oracle/*", "squared units of action"),
    ("lipschitz/residual", "units of action"),
    ("lipschitz/forced_error", "units of action"),
    ("lipschitz/coverage", "units of s"),
    ("lipschitz/discriminator_gradient/*", "logit per unit of its raw input"),
    ("lipschitz/penalised_gradient_norm", "logit per unit of the penalty's input"),
    ("lipschitz/reward_gradient/*", "reward per unit of its raw input"),
    ("lipschitz/delta", "reward per unit of its raw input"),
    ("lipschitz/paper_estimate*", "reward per unit of its raw input"),
    ("lipschitz/sound_bound*", "reward per unit of its raw input"),
    ("lipschitz/share_above_target/*", "share of rows"),
    ("lipschitz/penalised_share_above_target", "share of rows"),
    ("lipschitz/within_target/*", "at most 1, if the constraint holds"),
    ("lipschitz/kappa_floor_share", "share of rows"),
    ("lipschitz/kappa_*", "factor of the reward"),
    ("lipschitz/gamma2c/*", "γ²C, below 1 for the estimate"),
    ("lipschitz/sound_factor", "ρ, below 1 for the bound"),
    ("lipschitz/model_jacobian/*", "s' per unit of (s, a)"),
    ("lipschitz/model_sum_gradient/*", "s' per unit of (s, a)"),
    ("lipschitz/simulator_jacobian/*", "s' per unit of (s, a)"),
    ("q_bias/*", "discounted reward"),
    ("model/value_aware_error_log/*", "natural logarithm of squared reward"),
    ("model/value_aware_error_mean_log/*", "natural logarithm of squared reward"),
    ("model/value_aware_error*", "squared reward"),
    ("model/error_relative/*", "relative to no change"),
    ("model/reward_error/*", "reward"),
    ("model/error*", "the environment's units of s"),
    ("model/disagreement/*", "the environment's units of s"),
    ("model/rollout_length", "steps of a rollout"),
    ("model/buffer_size", "transitions"),
    ("model/imagined_ended", "share of rows"),
    ("model/imagined", "transitions"),
    ("model/dropped", "transitions"),
    ("model/train_rows", "transitions"),
    ("model/fit_epochs", "epochs"),
    ("model/fit_steps", "gradient steps"),
    ("perf/steps_per_s", "environment steps per second"),
    ("perf/*_s", "seconds"),
];

/// Bounds with the measurements that they bound.
const BOUNDS: &[(&str, &str)] = &[
    ("lipschitz/product_bound/actor", "lipschitz/policy_jacobian/*"),
    ("lipschitz/product_bound/policy", "lipschitz/policy_jacobian/*"),
    ("lipschitz/product_bound/critic_1", "lipschitz/q1_gradient/*"),
    ("lipschitz/product_bound/critic_1", "lipschitz/q1_gradient_standardised/*"),
    ("lipschitz/product_bound/discriminator", "lipschitz/discriminator_gradient/*"),
    ("lipschitz/certificate/product", "lipschitz/policy_jacobian/*"),
    ("lipschitz/certified", "lipschitz/policy_jacobian/*"),
    ("lipschitz/value/product_bound", "lipschitz/value/gradient/*"),
    ("lipschitz/sound_bound", "lipschitz/q1_gradient/*"),
];

/// Unit of a metric; `None` if it has none that is known.
pub fn unit_of(metric: &str) -> Option<&'static str> {
    UNITS.iter().find(|(pattern, _)| matches(pattern, metric)).map(|(_, unit)| *unit)
}

/// Names and patterns whose units are known, or that bound each other.
pub fn known_patterns() -> impl Iterator<Item = &'static str> {
    UNITS.iter().map(|(pattern, _)| *pattern).chain(BOUNDS.iter().flat_map(|(bound, measured)| [*bound, *measured]))
}

/// True if a name fits a pattern, in which `*` stands for any text.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((begin, rest)) => name.strip_prefix(begin).is_some_and(|tail| {
            let mut ends = (0..=tail.len()).filter(|at| tail.is_char_boundary(*at));
            ends.any(|at| matches(rest, &tail[at..]))
        }),
    }
}

/// Bounds among some metrics, each with a measurement that it bounds, in other units.
pub(crate) fn unlike_bounds<'a>(metrics: impl Iterator<Item = &'a String> + Clone) -> Vec<(&'a str, &'a str)> {
    let pair = |(bound, measured): &(&str, &str)| {
        let bound = metrics.clone().find(|metric| metric == bound)?;
        let measured = metrics.clone().find(|metric| matches(measured, metric))?;
        (unit_of(bound) != unit_of(measured)).then_some((bound.as_str(), measured.as_str()))
    };
    BOUNDS.iter().filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stand_for_any_text() {
        for (pattern, name, fits) in [
            ("perf/*_s", "perf/fit_s", true),
            ("perf/*_s", "perf/fit", false),
            ("model/error*", "model/error_step/4", true),
            ("a*b*c", "a/b/b/c", true),
            ("a*b*c", "a/c", false),
            ("eval/return_mean", "eval/return_mean", true),
            ("eval/return_mean", "eval/return_mean2", false),
            ("*", "γ", true),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn units_are_those_of_the_metrics_page() {
        assert_eq!(unit_of("model/value_aware_error_log/visited"), Some("natural logarithm of squared reward"));
        assert_eq!(unit_of("model/value_aware_error/visited"), Some("squared reward"));
        assert_eq!(unit_of("lipschitz/kappa_floor_share"), Some("share of rows"));
        assert_eq!(unit_of("train/critic_loss"), None);
    }

    #[test]
    fn a_bound_in_other_units_is_said_to_be_one() {
        let of = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            unlike_bounds(names.iter()).len()
        };
        assert_eq!(of(&["lipschitz/policy_jacobian/visited/q95", "lipschitz/product_bound/actor"]), 1);
        assert_eq!(of(&["lipschitz/policy_jacobian/visited/q95", "lipschitz/certified"]), 0);
        assert_eq!(of(&["lipschitz/product_bound/actor"]), 0);
    }
}
