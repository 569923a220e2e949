//! Numbers and verdicts as the report words them.

use crate::bootstrap::ConfidenceInterval;

/// Finished runs that either side needs for a conclusion.
const FEWEST_RUNS: usize = 3;

/// Conclusion from an effect that is shown to be positive, shown to be negative, or neither. `runs`
/// are the finished runs of the smaller side.
pub(super) fn verdict(runs: usize, higher: bool, lower: bool) -> &'static str {
    match (higher, lower) {
        _ if runs < FEWEST_RUNS => "too few finished runs to conclude anything",
        (true, _) => "higher",
        (_, true) => "lower",
        _ => "no difference shown",
    }
}

/// An estimate with the ends of its interval.
pub(super) fn with_ends(found: ConfidenceInterval) -> String {
    format!("{} [{}, {}]", short(found.value), short(found.low), short(found.high))
}

/// A difference with the ends of its interval, all with their signs.
pub(super) fn with_signed_ends(found: ConfidenceInterval) -> String {
    format!("{} [{}, {}]", signed(found.value), signed(found.low), signed(found.high))
}

/// A number with its sign.
pub(super) fn signed(value: f64) -> String {
    format!("{}{}", if value >= 0.0 { "+" } else { "" }, short(value))
}

/// A number with about four significant digits.
pub(super) fn short(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => "–".to_owned(),
        0.0 => "0".to_owned(),
        size if size >= 1e6 => format!("{value:.3e}"),
        size if size >= 1000.0 => format!("{value:.0}"),
        size if size >= 100.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        size if size >= 1e-3 => format!("{value:.4}"),
        _ => format!("{value:.2e}"),
    }
}
