//! Whole numbers as people write them: `1000000`, `1_000_000` and `1e6` are the same count.

use std::fmt;

use serde::de::{Deserializer, Error, Unexpected, Visitor};

/// For `#[serde(deserialize_with)]` on counts: accepts integers, whole floats and digits with underscores.
pub fn deserialize<'de, D: Deserializer<'de>, T: TryFrom<u64>>(deserializer: D) -> Result<T, D::Error> {
    let count = deserializer.deserialize_any(Count)?;
    T::try_from(count).map_err(|_| D::Error::invalid_value(Unexpected::Unsigned(count), &"a smaller count"))
}

struct Count;

impl Visitor<'_> for Count {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number, such as 1000000, 1_000_000 or 1e6")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<u64, E> {
        Ok(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<u64, E> {
        u64::try_from(value).map_err(|_| E::invalid_value(Unexpected::Signed(value), &self))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<u64, E> {
        // Above 2^53 a float no longer names one integer.
        if value.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&value) {
            Ok(value as u64)
        } else {
            Err(E::invalid_value(Unexpected::Float(value), &self))
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
        let digits = text.replace('_', "");
        match (digits.parse::<u64>(), digits.parse::<f64>()) {
            (Ok(value), _) => Ok(value),
            (_, Ok(value)) => self.visit_f64(value),
            _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::{from_value, json};

    #[derive(Deserialize)]
    struct Holder {
        #[serde(deserialize_with = "super::deserialize")]
        n: usize,
    }

    fn read(value: serde_json::Value) -> Result<usize, String> {
        from_value::<Holder>(json!({ "n": value })).map(|holder| holder.n).map_err(|error| error.to_string())
    }

    #[test]
    fn all_spellings_of_a_million_agree() {
        for value in [json!(1_000_000), json!(1e6), json!("1_000_000"), json!("1e6")] {
            assert_eq!(read(value), Ok(1_000_000));
        }
    }

    #[test]
    fn fractions_negatives_and_words_are_refused() {
        for value in [json!(1.5), json!(-3), json!(-3.0), json!("many"), json!(1e300)] {
            assert!(read(value).unwrap_err().contains("whole number"));
        }
    }
}
