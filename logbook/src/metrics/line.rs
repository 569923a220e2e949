//! One line of `metrics.jsonl`, read for a few wanted metrics.
//!
//! A scanner reads lines of the form that this program writes: an object without blanks, plain
//! names, numbers and nulls. It only looks at what it skips. All other lines go to `serde_json`,
//! which decides whether they are JSON at all.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer;
use serde::de::{IgnoredAny, MapAccess, Visitor};

/// A logging event, read from a line.
pub(super) struct LogLine<'l> {
    /// Environment step.
    pub(super) step: u64,
    /// Seconds since the run's start; NaN if the line lacks them.
    pub(super) wall_s: f64,
    /// Wanted metrics, in the line's order; NaN if one was not finite.
    pub(super) values: Vec<(Cow<'l, str>, f64)>,
}

impl<'l> LogLine<'l> {
    /// Reads a line; `None` if it is damaged or has no step.
    pub(super) fn read(line: &'l [u8], wanted: &dyn Fn(&str) -> bool) -> Option<Self> {
        plain(line, wanted).or_else(|| json(line, wanted))
    }
}

/// Reads a line of any form.
fn json<'l>(line: &'l [u8], wanted: &dyn Fn(&str) -> bool) -> Option<LogLine<'l>> {
    let mut json = serde_json::Deserializer::from_slice(line);
    let event = json.deserialize_map(LineVisitor { wanted }).ok()??;
    json.end().ok().map(|()| event)
}

/// Reads a line of the form that this program writes; `None` for any other.
fn plain<'l>(line: &'l [u8], wanted: &dyn Fn(&str) -> bool) -> Option<LogLine<'l>> {
    let text = std::str::from_utf8(line).ok()?;
    let (mut step, mut wall_s, mut values) = (None, f64::NAN, Vec::new());
    let mut at = 0;
    loop {
        // `{` before the first name, `,` before the others, and a `"` after it.
        let opening = if at == 0 { b'{' } else { b',' };
        if line.get(at..at + 2)? != [opening, b'"'] {
            return None;
        }
        let name_at = at + 2;
        // A name ends at its quote. Escapes, and control characters, which JSON does not allow, are
        // for `serde_json`.
        let stops = |&byte: &u8| byte == b'"' || byte == b'\\' || byte < b' ';
        let name_end = name_at + line[name_at..].iter().position(stops)?;
        if line.get(name_end..name_end + 2)? != b"\":" {
            return None;
        }
        let name = &text[name_at..name_end];
        let value_at = name_end + 2;
        let value_end = value_end(line, value_at)?;
        let value = &text[value_at..value_end];
        if name == "step" {
            step = Some(value.parse().ok()?);
        } else if name == "wall_s" {
            wall_s = number(value)?;
        } else if wanted(name) {
            values.push((Cow::Borrowed(name), number(value)?));
        }
        at = value_end;
        if line[at..] == *b"}\n" {
            return Some(LogLine { step: step?, wall_s, values });
        }
    }
}

/// End of the number or null at `at`; `None` if there is neither.
fn value_end(line: &[u8], at: usize) -> Option<usize> {
    if line[at..].starts_with(b"null") {
        return Some(at + 4);
    }
    let digits = |from: usize| {
        let count = line[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        (count > 0).then_some(from + count)
    };
    let whole = at + usize::from(line.get(at) == Some(&b'-'));
    let mut end = digits(whole)?;
    // JSON knows no 01.
    if line[whole] == b'0' && end > whole + 1 {
        return None;
    }
    if line.get(end) == Some(&b'.') {
        end = digits(end + 1)?;
    }
    if matches!(line.get(end), Some(b'e' | b'E')) {
        end = digits(end + 1 + usize::from(matches!(line.get(end + 1), Some(b'+' | b'-'))))?;
    }
    Some(end)
}

/// A number, NaN for null; `None` for one beyond the range of f64, which `serde_json` rejects.
fn number(text: &str) -> Option<f64> {
    if text == "null" { Some(f64::NAN) } else { text.parse().ok().filter(|value: &f64| value.is_finite()) }
}

/// Selects the wanted metrics of a JSON object without building the others.
struct LineVisitor<'a> {
    wanted: &'a dyn Fn(&str) -> bool,
}

impl<'de> Visitor<'de> for LineVisitor<'_> {
    type Value = Option<LogLine<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a step")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut step, mut wall_s, mut values) = (None, f64::NAN, Vec::new());
        while let Some(Key(key)) = map.next_key()? {
            if key == "step" {
                step = Some(map.next_value()?);
            } else if key == "wall_s" {
                wall_s = map.next_value::<Option<f64>>()?.unwrap_or(f64::NAN);
            } else if (self.wanted)(&key) {
                values.push((key, map.next_value::<Option<f64>>()?.unwrap_or(f64::NAN)));
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(step.map(|step| LogLine { step, wall_s, values }))
    }
}

/// A key, borrowed from the line unless it holds an escape.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Checks that scanner and `serde_json` agree on step, time, and the values of names with an
    /// `a`.
    fn agrees(line: &[u8]) {
        let wanted = |name: &str| name.contains('a');
        // NaN equals nothing, but prints alike.
        let all = |event: Option<LogLine<'_>>| event.map(|e| format!("{} {} {:?}", e.step, e.wall_s, e.values));
        let expected = all(json(line, &wanted));
        let text = String::from_utf8_lossy(line);
        assert_eq!(all(LogLine::read(line, &wanted)), expected, "{text}");
        if let Some(taken) = all(plain(line, &wanted)) {
            assert_eq!(Some(taken), expected, "{text}");
        }
    }

    #[test]
    fn is_read_as_json_is() {
        assert!(plain(b"{\"step\":1,\"wall_s\":0.5,\"a\":-1.25e-3,\"b\":null}\n", &|_| true).is_some());
        for line in [
            r#"{"step":1,"wall_s":0.5,"a":-1.25e-3,"b":2}"#,
            r#"{"step":1,"wall_s":0.5,"a":01}"#,
            r#"{"step":1,"wall_s":0.5,"a":1.}"#,
            r#"{"step":1,"wall_s":0.5,"b":.5}"#,
            r#"{"step":1,"wall_s":0.5,"b":1e}"#,
            r#"{"step":1,"wall_s":0.5,"b":1.2.3}"#,
            r#"{"step":1,"wall_s":0.5,"b":-}"#,
            r#"{"step":1,"wall_s":0.5,"b":NaN}"#,
            r#"{"step":1,"wall_s":0.5,"b":1,}"#,
            r#"{"step":1,"wall_s":0.5,"b":1}}"#,
            r#"{"step":1,"wall_s":0.5,"b":1"#,
            r#"{"step":1,"wall_s":0.5,"a":1E+5,"ba":null}"#,
            r#"{"step":1,"wall_s":null,"\u0061":7}"#,
            r#"{ "step": 1, "b": [1, {"a": 2}], "a": 3 }"#,
            r#"{"step":1.5,"a":1}"#,
            r#"{"step":-1,"a":1}"#,
            r#"{"step":null,"a":1}"#,
            r#"{"a":1}"#,
            r#"{}"#,
            "[1]",
            "",
            "{\"step\":1,\"a\tb\":1}",
        ] {
            agrees(format!("{line}\n").as_bytes());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// A line with a byte changed, put in or taken out: as a kill, a full disk or an editor
        /// damages it.
        #[test]
        fn a_damaged_line_is_judged_as_serde_judges_it(
            step in 0..10_000_u64,
            values in prop::collection::btree_map("[ab/_]{1,4}", prop::num::f64::ANY, 0..5),
            place in any::<prop::sample::Index>(),
            byte in prop::sample::select(b"0123456789.eE+-\",:{}nul a\\\n\xff".to_vec()),
            kind in 0..4,
        ) {
            let values: Vec<(&str, f64)> = values.iter().map(|(name, value)| (name.as_str(), *value)).collect();
            let mut line = super::super::encode_line(step, 0.25, &values);
            let at = place.index(line.len());
            match kind {
                0 => line[at] = byte,
                1 => line.insert(at, byte),
                2 => drop(line.remove(at)),
                _ => {}
            }
            prop_assume!(line.ends_with(b"\n"));
            agrees(&line);
        }
    }
}
