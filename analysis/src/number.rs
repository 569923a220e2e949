//! Numbers as tables and figures word them: three significant digits.

/// A number with three significant digits.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => "–".to_owned(),
        0.0 => "0".to_owned(),
        size if size >= 999_500.0 => format!("{value:.2e}"),
        size if size >= 1e-3 => {
            // The exponent after rounding: 9.999 is 10.0.
            let text = format!("{size:.2e}");
            let exponent: i32 = text.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0);
            let unit = 10_f64.powi(exponent - 2);
            let rounded = if unit >= 1.0 { (value / unit).round() * unit } else { value };
            format!("{rounded:.*}", (2 - exponent).max(0) as usize)
        }
        _ => format!("{value:.2e}"),
    }
}

/// A number with its sign, except 0.
pub(crate) fn signed(value: f64) -> String {
    format!("{}{}", if value > 0.0 && value.is_finite() { "+" } else { "" }, short(value))
}

/// A probability with two significant digits, and those below 0.001 as that.
pub(crate) fn probability(p: f64) -> String {
    match p {
        p if !p.is_finite() => "–".to_owned(),
        p if p < 0.001 => "<0.001".to_owned(),
        p if p < 0.095 => format!("{p:.*}", if p < 0.0095 { 4 } else { 3 }),
        p => format!("{p:.2}"),
    }
}

/// A number of things: `1 run`, `2 runs`.
#[must_use]
pub fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// The text with minus signs, as wide as plus signs, in place of hyphens before digits.
pub(crate) fn minus(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let is_sign = |at: usize| {
        let after = letters.get(at + 1).is_some_and(char::is_ascii_digit);
        let before = at.checked_sub(1).map(|at| letters[at]);
        let exponent = before == Some('e') && at >= 2 && letters[at - 2].is_ascii_digit();
        letters[at] == '-' && after && (exponent || before.is_none_or(|c| " [(".contains(c)))
    };
    (0..letters.len()).map(|at| if is_sign(at) { '−' } else { letters[at] }).collect()
}

/// Texts of numbers padded so that, in digits of one width, their signs and their decimal points
/// stand below each other.
pub(crate) fn aligned(texts: &[String]) -> Vec<String> {
    // Spaces as wide as a digit and as a full stop.
    let (digit, stop) = ("\u{2007}", "\u{2008}");
    let is_number = |text: &String| text.contains(|c: char| c.is_ascii_digit());
    let split = |text: &String| -> (String, String, String) {
        let text = minus(text);
        let at = text.find(|c: char| c.is_ascii_digit()).unwrap_or(0);
        let (sign, rest) = text.split_at(at);
        let (whole, part) = rest.split_once('.').unwrap_or((rest, ""));
        (sign.to_owned(), whole.to_owned(), part.to_owned())
    };
    let parts: Vec<_> = texts.iter().map(|text| is_number(text).then(|| split(text))).collect();
    let most = |of: fn(&(String, String, String)) -> usize| parts.iter().flatten().map(of).max().unwrap_or(0);
    let (signs, wholes, fractions) =
        (most(|p| p.0.chars().count()), most(|p| p.1.chars().count()), most(|p| p.2.chars().count()));
    let pad = |part: &Option<(String, String, String)>, text: &String| {
        let Some((sign, whole, fraction)) = part else { return text.clone() };
        let count = |text: &str| text.chars().count();
        let fill = |n: usize| digit.repeat(n);
        let end = match (fraction.is_empty(), fractions) {
            (true, 0) => String::new(),
            (true, n) => format!("{stop}{}", fill(n)),
            (false, n) => format!(".{fraction}{}", fill(n - count(fraction))),
        };
        format!("{sign}{}{}{whole}{end}", fill(signs - count(sign)), fill(wholes - count(whole)))
    };
    parts.iter().zip(texts).map(|(part, text)| pad(part, text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_significant_digits() {
        for (value, text) in [
            (0.0, "0"),
            (3748.0, "3750"),
            (3353.6, "3350"),
            (-123_456.7, "-123000"),
            (999_900.5, "1.00e6"),
            (1_234_567.0, "1.23e6"),
            (123.456, "123"),
            (12.345, "12.3"),
            (-1.234, "-1.23"),
            (9.999, "10.0"),
            (0.99951, "1.00"),
            (0.123_45, "0.123"),
            (0.001_234, "0.00123"),
            (0.000_123_4, "1.23e-4"),
            (f64::NAN, "–"),
        ] {
            assert_eq!(short(value), text);
        }
        assert_eq!([signed(0.25), signed(-0.25), signed(0.0)], ["+0.250", "-0.250", "0"]);
        assert_eq!(
            [0.0002, 0.0079, 0.0625, 0.0952, 0.25, 1.0].map(probability),
            ["<0.001", "0.0079", "0.062", "0.10", "0.25", "1.00"]
        );
    }

    #[test]
    fn signs_and_points_stand_below_each_other() {
        let texts = ["+100", "-4.20", "+83.6", "0", "–", "-1.00e-4"].map(String::from);
        let shown = aligned(&texts).join("|").replace('\u{2007}', "_").replace('\u{2008}', ",");
        assert_eq!(shown, "+100,_____|−__4.20___|+_83.6____|___0,_____|–|−__1.00e−4");
        assert_eq!(minus("a-1 [-2, -3e-5] x-y"), "a-1 [−2, −3e−5] x-y");
    }
}
