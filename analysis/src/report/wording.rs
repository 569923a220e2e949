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

/// A number with its sign.
pub(super) fn signed(value: f64) -> String {
    format!("{}{}", if value >= 0.0 { "+" } else { "" }, short(value))
}

/// A number with three significant digits, or a whole number of three to six.
pub(super) fn short(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => "–".to_owned(),
        0.0 => "0".to_owned(),
        size if (100.0..1e6).contains(&size) && value.fract() == 0.0 => format!("{value:.0}"),
        size if size >= 999_500.0 => format!("{value:.2e}"),
        size if size >= 1e-3 => {
            let exponent = size.log10().floor();
            let unit = 10_f64.powf(exponent - 2.0);
            let rounded = if unit >= 1.0 { (value / unit).round() * unit } else { value };
            format!("{rounded:.*}", (2.0 - exponent).max(0.0) as usize)
        }
        _ => format!("{value:.2e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_significant_digits() {
        for (value, text) in [
            (0.0, "0"),
            (3748.0, "3748"),
            (3353.6, "3350"),
            (-123_456.7, "-123000"),
            (999_900.5, "1.00e6"),
            (1_234_567.0, "1.23e6"),
            (123.456, "123"),
            (12.345, "12.3"),
            (-1.234, "-1.23"),
            (0.123_45, "0.123"),
            (0.001_234, "0.00123"),
            (0.000_123_4, "1.23e-4"),
            (f64::NAN, "–"),
        ] {
            assert_eq!(short(value), text);
        }
        let point = ConfidenceInterval { value: 2.5, low: 2.5, high: 2.5 };
        assert_eq!((with_ends(point), signed(0.25)), ("2.50".to_owned(), "+0.250".to_owned()));
    }
}
