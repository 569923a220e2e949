//! Verdicts and intervals as the report words them.

use crate::bootstrap::ConfidenceInterval;
use crate::number::{short, signed};

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

/// An estimate with the ends of its interval, unless there is a single value.
pub(super) fn with_ends(found: ConfidenceInterval) -> String {
    if found.low == found.high {
        return short(found.value);
    }
    format!("{} [{}, {}]", short(found.value), short(found.low), short(found.high))
}

/// A difference with the ends of its interval, all with their signs.
pub(super) fn with_signed_ends(found: ConfidenceInterval) -> String {
    format!("{} [{}, {}]", signed(found.value), signed(found.low), signed(found.high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_stand_behind_their_estimates() {
        let point = ConfidenceInterval { value: 2.5, low: 2.5, high: 2.5 };
        let wide = ConfidenceInterval { value: 2.5, low: -1.0, high: 1234.0 };
        assert_eq!([with_ends(point), with_ends(wide)], ["2.50", "2.50 [-1.00, 1230]"]);
        assert_eq!(with_signed_ends(wide), "+2.50 [-1.00, +1230]");
    }
}
