//! Scalars gathered between two logging events and averaged over them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Running means by name, in order of first appearance. Serialisable, because a checkpoint may fall between two
/// logging events.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Metrics {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    name: Cow<'static, str>,
    #[serde(with = "bits")]
    sum: f64,
    count: u64,
}

impl Metrics {
    /// Adds one value; the event logs the mean of those added since the last.
    pub fn add(&mut self, name: &'static str, value: f64) {
        match self.entries.iter_mut().find(|entry| entry.name == name) {
            Some(entry) => {
                entry.sum += value;
                entry.count += 1;
            }
            None => self.entries.push(Entry { name: name.into(), sum: value, count: 1 }),
        }
    }

    /// Takes over what `other` has gathered, which then starts anew.
    pub(crate) fn take(&mut self, other: &mut Self) {
        for entry in other.entries.drain(..) {
            match self.entries.iter_mut().find(|own| own.name == entry.name) {
                Some(own) => {
                    own.sum += entry.sum;
                    own.count += entry.count;
                }
                None => self.entries.push(entry),
            }
        }
    }

    /// The means, and starts anew.
    pub fn drain(&mut self) -> Vec<(Cow<'static, str>, f64)> {
        self.entries.drain(..).map(|entry| (entry.name, entry.sum / entry.count as f64)).collect()
    }
}

/// A float as its bits: JSON has no NaN, and one must not spoil a checkpoint.
mod bits {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(value.to_bits())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        u64::deserialize(deserializer).map(f64::from_bits)
    }
}
