//! `evaluations.npz`, which the evaluation callback of Stable-Baselines3 and rl-zoo3 writes: arrays
//! `timesteps` [n], `results` and `ep_lengths` [n, episodes] in NumPy's format, in a ZIP archive.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::DeflateDecoder;

use super::log::{Cell, Columns};
use crate::stats;

/// An array's numbers and shape.
#[derive(Debug, PartialEq)]
struct Array {
    /// Numbers, row by row.
    numbers: Vec<f64>,
    shape: Vec<usize>,
}

/// Columns of the archive: `timesteps`, `eval/mean_reward` and `eval/mean_ep_length`, which are the
/// callback's own names in other logs.
pub(super) fn read(bytes: &[u8]) -> Result<Columns, String> {
    let entries = entries(bytes).ok_or("it is not a whole .npz archive")?;
    let array = |name: &str| {
        let entry = entries.get(&format!("{name}.npy"));
        entry.map(|entry| entry.unpacked().and_then(|bytes| parse(&bytes)).map_err(|why| format!("`{name}`: {why}")))
    };
    let steps = array("timesteps").ok_or("it has no array `timesteps`")??;
    let rows = steps.numbers.len();
    let numbers = |numbers: Vec<f64>| numbers.into_iter().map(Cell::Number).collect();
    let mut cells = BTreeMap::from([("timesteps".to_owned(), numbers(steps.numbers))]);
    for (name, column) in [("results", "eval/mean_reward"), ("ep_lengths", "eval/mean_ep_length")] {
        let Some(array) = array(name).transpose()? else { continue };
        if array.shape.first() != Some(&rows) {
            return Err(format!("`{name}` has the shape {:?} for {rows} evaluations", array.shape));
        }
        let episodes = array.numbers.len().checked_div(rows).unwrap_or(0).max(1);
        cells.insert(column.to_owned(), numbers(array.numbers.chunks(episodes).map(stats::mean).collect()));
    }
    Ok(Columns { cells, lines: (1..=rows).collect() })
}

/// A file in the archive.
struct Entry<'b> {
    method: u16,
    packed: &'b [u8],
}

impl Entry<'_> {
    fn unpacked(&self) -> Result<Vec<u8>, String> {
        match self.method {
            0 => Ok(self.packed.to_vec()),
            8 => {
                let mut bytes = Vec::new();
                DeflateDecoder::new(self.packed).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
                Ok(bytes)
            }
            method => Err(format!("it is packed by method {method}, expected 0 (stored) or 8 (deflate)")),
        }
    }
}

/// Files of a ZIP archive by name, from the directory at its end; `None` if it is cut off.
fn entries(bytes: &[u8]) -> Option<BTreeMap<String, Entry<'_>>> {
    /// Bytes of the record that ends an archive.
    const END: usize = 22;
    let end = (0..=bytes.len().checked_sub(END)?).rev().find(|&at| bytes[at..].starts_with(b"PK\x05\x06"))?;
    let mut at = long(bytes, end + 16)?;
    let mut found = BTreeMap::new();
    for _ in 0..short(bytes, end + 10)? {
        if !bytes.get(at..)?.starts_with(b"PK\x01\x02") {
            return None;
        }
        let (size, name) = (long(bytes, at + 20)?, short(bytes, at + 28)?);
        let local = long(bytes, at + 42)?;
        // The local header may have other extra fields than the directory.
        let data = local + 30 + short(bytes, local + 26)? + short(bytes, local + 28)?;
        let entry = Entry { method: short(bytes, at + 10)? as u16, packed: bytes.get(data..data.checked_add(size)?)? };
        found.insert(String::from_utf8_lossy(bytes.get(at + 46..at + 46 + name)?).into_owned(), entry);
        at += 46 + name + short(bytes, at + 30)? + short(bytes, at + 32)?;
    }
    Some(found)
}

fn short(bytes: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?)))
}

fn long(bytes: &[u8], at: usize) -> Option<usize> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?) as usize)
}

/// Reads an array in NumPy's format: a header with type and shape, then the numbers.
fn parse(bytes: &[u8]) -> Result<Array, String> {
    let cut = || "the array is cut off".to_owned();
    let (start, length) = match bytes {
        [0x93, b'N', b'U', b'M', b'P', b'Y', 1, ..] => (10, short(bytes, 8)),
        [0x93, b'N', b'U', b'M', b'P', b'Y', 2 | 3, ..] => (12, long(bytes, 8)),
        _ => return Err("it is not an array in NumPy's format".to_owned()),
    };
    let data = start + length.ok_or_else(cut)?;
    let header = String::from_utf8_lossy(bytes.get(start..data).ok_or_else(cut)?).into_owned();
    let after = |key: &str| header.split_once(key).map(|(_, rest)| rest).ok_or("the header is damaged");
    let kind = after("'descr': '")?.split('\'').next().unwrap_or_default();
    let shape = after("'shape': (")?.split(')').next().unwrap_or_default();
    let shape: Vec<usize> = shape.split(',').filter_map(|size| size.trim().parse().ok()).collect();
    let count = shape.iter().try_fold(1_usize, |all, size| all.checked_mul(*size)).ok_or_else(cut)?;
    let number: fn(&[u8]) -> Option<f64> = match kind {
        "<f8" => |x| Some(f64::from_le_bytes(x.try_into().ok()?)),
        "<f4" => |x| Some(f64::from(f32::from_le_bytes(x.try_into().ok()?))),
        "<i8" => |x| Some(i64::from_le_bytes(x.try_into().ok()?) as f64),
        "<i4" => |x| Some(f64::from(i32::from_le_bytes(x.try_into().ok()?))),
        "<u8" => |x| Some(u64::from_le_bytes(x.try_into().ok()?) as f64),
        _ => return Err(format!("numbers of type `{kind}`, expected <f8, <f4, <i8, <i4 or <u8")),
    };
    let wide = usize::from(kind.as_bytes()[2] - b'0');
    let size = count.checked_mul(wide).and_then(|size| size.checked_add(data)).ok_or_else(cut)?;
    let mut numbers: Vec<f64> = bytes.get(data..size).ok_or_else(cut)?.chunks_exact(wide).filter_map(number).collect();
    if let ([rows, columns], true) = (&shape[..], header.contains("'fortran_order': True")) {
        numbers = (0..rows * columns).map(|at| numbers[at % columns * rows + at / columns]).collect();
    }
    Ok(Array { numbers, shape })
}
