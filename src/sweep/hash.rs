//! A hash that folder names and ids depend on.

use serde_json::Value;

use crate::config::Config;

/// A config's hash, the same for every order of its keys.
pub(super) fn id(config: &Config) -> String {
    let canonical = sorted(&serde_json::to_value(config).unwrap_or_default()).to_string();
    format!("{:016x}", hash(canonical.as_bytes()))
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(String, Value)> =
                map.iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

/// The 128-bit FNV-1a hash folded to 64 bits; it must never change, as folders depend on it.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let hash = bytes.iter().fold(BASIS, |hash, &byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME));
    (hash >> 64) as u64 ^ hash as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test vectors published with the hash, folded: FNV-1a 128 of "" and of "a".
    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(hash(b""), 0x6c62_272e_07bb_0142 ^ 0x62b8_2175_6295_c58d);
        assert_eq!(hash(b"a"), 0xd228_cb69_6f1a_8caf ^ 0x7891_2b70_4e4a_8964);
    }
}
