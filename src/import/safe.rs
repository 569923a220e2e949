//! Safetensors files with PyTorch's names.

use safetensors::{Dtype, SafeTensors};

use super::fault::Fault;
use super::tensors::{ARRAYS, NumberType, Storage, Tensor, Tensors};

/// Most bytes of the header.
const HEADER: u64 = 16 << 20;

/// Length of the header, if the file begins as safetensors do.
pub(super) fn header_length(bytes: &[u8]) -> Option<u64> {
    let length = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
    (bytes.get(8) == Some(&b'{')).then_some(length)
}

/// True if the header holds the values of a state, as policy files do.
pub(super) fn is_state(bytes: &[u8]) -> bool {
    let metadata = SafeTensors::read_metadata(bytes).ok().and_then(|(_, header)| header.metadata().clone());
    metadata.is_some_and(|metadata| metadata.contains_key("values"))
}

/// Reads the arrays. The format keeps no order of its own, so numbers in names give it.
///
/// # Errors
/// If the file is damaged or its header too long.
pub(super) fn read(bytes: &[u8]) -> Result<Tensors<'_>, Fault> {
    if header_length(bytes).is_none_or(|length| length > HEADER) {
        return Err(Fault::new(format!("has a header of more than {HEADER} bytes, or none")).at("byte 0"));
    }
    let file = SafeTensors::deserialize(bytes).map_err(|error| Fault::new(error.to_string()).at("header"))?;
    if file.len() > ARRAYS {
        return Err(Fault::new(format!("there are more than {ARRAYS} arrays")).at("header"));
    }
    let mut all: Vec<Tensor<'_>> = Vec::new();
    for (name, view) in file.iter() {
        let kind = match view.dtype() {
            Dtype::F32 => NumberType::F32,
            Dtype::F64 => NumberType::F64,
            Dtype::F16 => NumberType::F16,
            Dtype::BF16 => NumberType::Bf16,
            Dtype::I64 => NumberType::I64,
            Dtype::I32 => NumberType::I32,
            Dtype::U8 | Dtype::BOOL => NumberType::U8,
            _ => continue,
        };
        let (shape, storage) = (view.shape().to_vec(), Storage::Bytes(view.data()));
        all.push(Tensor { name: name.to_owned(), kind, shape, strides: None, offset: 0, storage });
    }
    all.sort_by_cached_key(|tensor| natural(&tensor.name));
    Ok(Tensors::new(all))
}

/// A key by which `layer.2` comes before `layer.10`.
fn natural(name: &str) -> Vec<(String, u64)> {
    let mut parts = vec![(String::new(), 0_u64)];
    for letter in name.chars() {
        let Some((text, number)) = parts.last_mut() else { continue };
        match letter.to_digit(10) {
            // A marker tells "a" without a number from "a0".
            Some(digit) => *number = (*number).max(1_u64).saturating_mul(10).saturating_add(u64::from(digit)),
            None if *number > 0 => parts.push((letter.to_string(), 0)),
            None => text.push(letter),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_give_the_order() {
        let mut names = ["fc_mu.bias", "l.10.w", "l.2.w", "fc2.w", "l.2.b", "fc10.w", "fc1.w", "l.02.w"];
        names.sort_by_cached_key(|name| natural(name));
        assert_eq!(names, ["fc1.w", "fc2.w", "fc10.w", "fc_mu.bias", "l.2.b", "l.2.w", "l.02.w", "l.10.w"]);
    }
}
