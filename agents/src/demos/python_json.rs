//! JSON as Python writes it: infinities and NaN are bare words, which JSON does not have.

use serde_json::{Value, json};

/// Python's words, and the texts that stand for them here.
const WORDS: [(&str, &str); 3] = [("-Infinity", "\"-inf\""), ("Infinity", "\"inf\""), ("NaN", "\"nan\"")];

/// Reads a JSON text. Infinities and NaN become the texts `inf`, `-inf` and `nan`.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    serde_json::from_str(&quoted(text)).map_err(|error| error.to_string())
}

/// A number as Python writes it.
pub(super) fn number(x: f64) -> String {
    match x {
        f64::INFINITY => "Infinity".into(),
        f64::NEG_INFINITY => "-Infinity".into(),
        _ if x.is_nan() => "NaN".into(),
        _ => json!(x).to_string(),
    }
}

/// Puts quotes around Python's words outside texts.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut inside) = (text, false);
    while let Some(c) = rest.chars().next() {
        let word = WORDS.iter().find(|(word, _)| !inside && rest.starts_with(word));
        let taken = match word {
            Some((word, quoted)) => {
                out.push_str(quoted);
                word.len()
            }
            None => {
                inside ^= c == '"';
                let escaped = if inside && c == '\\' { rest[1..].chars().next().map_or(0, char::len_utf8) } else { 0 };
                out.push_str(&rest[..c.len_utf8() + escaped]);
                c.len_utf8() + escaped
            }
        };
        rest = &rest[taken..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_words_are_read_and_texts_are_left_alone() {
        let text = r#"{"a": [0.7, Infinity], "b": -Infinity, "c": NaN, "Infinity": "NaN \" Infinity é\\", "d": 1}"#;
        let read = parse(text).unwrap();
        let wanted = json!({"a": [0.7, "inf"], "b": "-inf", "c": "nan", "Infinity": "NaN \" Infinity é\\", "d": 1});
        assert_eq!(read, wanted);
        assert!(parse(r#"{"a": Infinite}"#).is_err());
        assert_eq!([f64::INFINITY, f64::NEG_INFINITY, 0.5].map(number), ["Infinity", "-Infinity", "0.5"]);
    }
}
