//! Ranges and tick marks of axes.

use crate::stats;

/// Range of numbers with a margin on both sides, never empty.
pub(crate) fn extent(numbers: impl Iterator<Item = f64>, margin: f64) -> (f64, f64) {
    let (low, high) = stats::range(numbers);
    if low > high {
        return (0.0, 1.0);
    }
    // Half of the width, which does not overflow.
    let half = high / 2.0 - low / 2.0;
    let around = if half <= 5e-13 * low.abs().max(high.abs()).max(1e-300) {
        0.1 * low.abs().max(1.0)
    } else {
        2.0 * margin * half
    };
    ((low - around).max(f64::MIN), (high + around).min(f64::MAX))
}

/// Share of the way from the first to the second end of an axis.
pub(crate) fn share(at: f64, (first, last): (f64, f64)) -> f64 {
    (at / 2.0 - first / 2.0) / (last / 2.0 - first / 2.0)
}

/// Up to eight round numbers within a range, 1, 2 or 5 times a power of ten apart.
pub(crate) fn ticks(low: f64, high: f64) -> Vec<(f64, String)> {
    ticks_apart(low, high, high / 8.0 - low / 8.0)
}

/// Up to four of them, for narrow axes.
pub(crate) fn few_ticks(low: f64, high: f64) -> Vec<(f64, String)> {
    ticks_apart(low, high, high / 4.0 - low / 4.0)
}

/// Round numbers within a range, at least `rough` apart.
fn ticks_apart(low: f64, high: f64, rough: f64) -> Vec<(f64, String)> {
    let power = 10.0_f64.powf(rough.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].map(|times| times * power).into_iter().find(|step| *step >= rough).unwrap_or(rough);
    let decimals = (-step.log10().floor()).clamp(0.0, 12.0) as usize;
    let from = (low / step - 1e-9).ceil() as i64;
    let to = (high / step + 1e-9).floor() as i64;
    (from..=to).map(|n| (n as f64 * step, number(n as f64 * step, decimals))).collect()
}

fn number(value: f64, decimals: usize) -> String {
    if value.abs() >= 1e6 || (decimals > 4 && value != 0.0) {
        format!("{value:.1e}")
    } else {
        format!("{value:.decimals$}")
    }
}

/// Powers of ten within a range of exponents, or round numbers if there are too few of them.
pub(crate) fn log_ticks(low: f64, high: f64) -> Vec<(f64, String)> {
    let every = ((high - low) / 6.0).ceil().max(1.0) as usize;
    let powers: Vec<i64> = (low.ceil() as i64..=high.floor() as i64).step_by(every).collect();
    let text = |value: f64| if (1e-3..1e5).contains(&value) { format!("{value}") } else { format!("{value:.0e}") };
    if powers.len() >= 3 {
        return powers.into_iter().map(|power| (power as f64, text(10.0_f64.powi(power as i32)))).collect();
    }
    let from = low.floor() as i32;
    let candidates = (from..=high.ceil() as i32).flat_map(|power| [1.0, 2.0, 5.0].map(|times| (times, power)));
    candidates
        .map(|(times, power)| format!("{times}e{power}").parse().unwrap_or(f64::NAN))
        .map(|value: f64| (value.log10(), text(value)))
        .filter(|(at, _)| (low..=high).contains(at))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let texts = |low, high| ticks(low, high).into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        assert_eq!(texts(0.0, 1.0), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(texts(-1200.0, 900.0), ["-1000", "-500", "0", "500"]);
        let powers = log_ticks(-2.3, 3.9).into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        assert_eq!(powers, ["0.01", "1", "100"]);
        let near = log_ticks(0.0, 1.0).into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        assert_eq!(near, ["1", "2", "5", "10"]);
    }

    #[test]
    fn the_largest_numbers_have_axes() {
        let (low, high) = extent([-1e308, 1e308].into_iter(), 0.05);
        assert_eq!((low, high), (-1.1e308, 1.1e308));
        let texts: Vec<String> = ticks(low, high).into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, ["-1.0e308", "-5.0e307", "0", "5.0e307", "1.0e308"]);
        assert_eq!(share(0.0, (low, high)), 0.5);
        let (low, high) = extent([f64::MAX].into_iter(), 0.05);
        assert!(low < high && high == f64::MAX && ticks(low, high).iter().all(|(at, _)| at.is_finite()));
    }

    #[test]
    fn a_flat_line_and_no_line_have_axes() {
        assert_eq!(extent([3.0, 3.0].into_iter(), 0.1), (2.7, 3.3));
        assert_eq!(extent(std::iter::empty(), 0.1), (0.0, 1.0));
    }
}
