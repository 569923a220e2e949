//! `evaluations.npz`, which the evaluation callback of Stable-Baselines3 and rl-zoo3 writes: arrays
//! `timesteps` [n], `results` and `ep_lengths` [n, episodes] in NumPy's format, in a ZIP archive.

use std::collections::BTreeMap;

use liprl_logbook::ZipArchive;

use super::log::{Cell, Columns};
use crate::stats;

/// Most bytes of one array.
const LIMIT: usize = 256 << 20;

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
    let archive = ZipArchive::read(bytes).map_err(|problem| format!("it {problem}"))?;
    let array = |name: &str| {
        let file = archive.get(&format!("{name}.npy"));
        file.map(|file| file.unpack(LIMIT).and_then(|bytes| parse(&bytes)).map_err(|why| format!("`{name}`: {why}")))
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
