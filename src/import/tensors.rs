//! Named arrays of a file. Their numbers are read when they are asked for.

use std::cell::Cell;

use liprl_logbook::ZipFile;

use super::fault::Fault;

/// Most numbers that are read from one file.
const NUMBERS: usize = 1 << 24;
/// Most arrays of a file.
pub(super) const ARRAYS: usize = 1 << 12;
/// Most bytes of one array's storage.
pub(super) const STORAGE: usize = 256 << 20;

/// Type of an array's numbers. Files are little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NumberType {
    F16,
    Bf16,
    F32,
    F64,
    U8,
    I32,
    I64,
}

impl NumberType {
    /// Bytes of a number.
    pub(super) fn width(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::F16 | Self::Bf16 => 2,
            Self::F32 | Self::I32 => 4,
            Self::F64 | Self::I64 => 8,
        }
    }

    /// A number of `width` bytes; 0 for fewer.
    pub(super) fn number(self, bytes: &[u8]) -> f64 {
        let bits = bytes.iter().rev().fold(0_u64, |bits, byte| (bits << 8) | u64::from(*byte));
        match self {
            Self::U8 => bits as f64,
            Self::F16 => half(bits as u16),
            Self::Bf16 => f64::from(f32::from_bits((bits as u32) << 16)),
            Self::F32 => f64::from(f32::from_bits(bits as u32)),
            Self::F64 => f64::from_bits(bits),
            Self::I32 => f64::from(bits as u32 as i32),
            Self::I64 => bits as i64 as f64,
        }
    }
}

/// A number of IEEE's 16-bit format.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    let size = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    };
    if bits >> 15 == 1 { -size } else { size }
}

/// The bytes that hold an array's numbers.
#[derive(Clone, Debug)]
pub(super) enum Storage<'b> {
    /// Bytes of the file.
    Bytes(&'b [u8]),
    /// A file of an archive.
    Packed(ZipFile<'b>),
}

/// A named array.
#[derive(Clone, Debug)]
pub(super) struct Tensor<'b> {
    pub(super) name: String,
    pub(super) kind: NumberType,
    pub(super) shape: Vec<usize>,
    /// Distance of neighbours in each dimension, in numbers; `None` for rows one after another.
    pub(super) strides: Option<Vec<usize>>,
    /// Numbers before the first one.
    pub(super) offset: usize,
    pub(super) storage: Storage<'b>,
}

/// All arrays of a file, in its order.
#[derive(Debug, Default)]
pub(super) struct Tensors<'b> {
    pub(super) all: Vec<Tensor<'b>>,
    read: Cell<usize>,
}

impl<'b> Tensors<'b> {
    pub(super) fn new(all: Vec<Tensor<'b>>) -> Self {
        Self { all, read: Cell::new(0) }
    }

    /// Place of the array of this name.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.all.iter().position(|tensor| tensor.name == name)
    }

    /// Numbers of an array, row by row.
    ///
    /// # Errors
    /// If the array reaches beyond its storage, or the file's arrays are too large.
    pub(super) fn numbers(&self, at: usize) -> Result<Vec<f64>, Fault> {
        self.numbers_in(&self.all[at])
    }

    /// Numbers of an array that counts as one of these.
    ///
    /// # Errors
    /// As `numbers`.
    pub(super) fn numbers_in(&self, tensor: &Tensor<'_>) -> Result<Vec<f64>, Fault> {
        let fault = |problem: String| Fault::new(problem).at(format_args!("`{}`", tensor.name));
        let count = tensor.shape.iter().try_fold(1_usize, |all, size| all.checked_mul(*size));
        let total = count.and_then(|count| count.checked_add(self.read.get())).filter(|total| *total <= NUMBERS);
        let total = total
            .ok_or_else(|| fault(format!("of shape {:?}: more than {NUMBERS} numbers are to be read", tensor.shape)))?;
        self.read.set(total);
        let numbers = match &tensor.storage {
            Storage::Bytes(bytes) => tensor.numbers(bytes),
            Storage::Packed(file) => {
                let bytes = file.unpack(STORAGE).map_err(|problem| fault(format!("{} {problem}", file.name())))?;
                tensor.numbers(&bytes)
            }
        };
        numbers.ok_or_else(|| fault(format!("of shape {:?} reaches beyond its numbers", tensor.shape)))
    }

    /// Numbers of the array of this name, which may have any shape; `None` if it is missing.
    pub(super) fn numbers_of(&self, name: &str) -> Result<Option<Vec<f64>>, Fault> {
        self.find(name).map(|at| self.numbers(at)).transpose()
    }
}

impl Tensor<'_> {
    /// The numbers; `None` if some are beyond the bytes. The caller has checked their count.
    fn numbers(&self, bytes: &[u8]) -> Option<Vec<f64>> {
        let width = self.kind.width();
        let count: usize = self.shape.iter().product();
        let strides = match &self.strides {
            Some(strides) if strides.len() == self.shape.len() => strides.clone(),
            Some(_) => return None,
            None => {
                let rest = |at: usize| self.shape[at + 1..].iter().product();
                (0..self.shape.len()).map(rest).collect()
            }
        };
        if count == 0 {
            return Some(Vec::new());
        }
        let reach = self
            .shape
            .iter()
            .zip(&strides)
            .try_fold(self.offset, |reach, (size, stride)| reach.checked_add((size - 1).checked_mul(*stride)?));
        if reach?.checked_add(1)?.checked_mul(width)? > bytes.len() {
            return None;
        }
        let mut numbers = Vec::with_capacity(count);
        let (mut index, mut at) = (vec![0; self.shape.len()], self.offset);
        loop {
            numbers.push(self.kind.number(&bytes[at * width..(at + 1) * width]));
            let mut axis = self.shape.len();
            loop {
                if axis == 0 {
                    return Some(numbers);
                }
                axis -= 1;
                index[axis] += 1;
                at += strides[axis];
                if index[axis] < self.shape[axis] {
                    break;
                }
                at -= strides[axis] * self.shape[axis];
                index[axis] = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(shape: &[usize], strides: Option<&[usize]>, offset: usize, bytes: &[u8]) -> Result<Vec<f64>, Fault> {
        let tensor = Tensor {
            name: "w".to_owned(),
            kind: NumberType::U8,
            shape: shape.to_vec(),
            strides: strides.map(<[usize]>::to_vec),
            offset,
            storage: Storage::Bytes(bytes),
        };
        Tensors::new(vec![tensor]).numbers(0)
    }

    #[test]
    fn strides_are_honoured() {
        let bytes: Vec<u8> = (0..6).collect();
        assert_eq!(tensor(&[2, 3], None, 0, &bytes).unwrap(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(tensor(&[3, 2], Some(&[1, 3]), 0, &bytes).unwrap(), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        assert_eq!(tensor(&[2], Some(&[0]), 5, &bytes).unwrap(), [5.0, 5.0]);
        assert_eq!(tensor(&[], None, 3, &bytes).unwrap(), [3.0]);
        assert!(tensor(&[0, 7], None, 9, &bytes).unwrap().is_empty());
    }

    #[test]
    fn what_reaches_too_far_or_is_too_large_is_refused() {
        let bytes = [0; 6];
        for (shape, strides, offset) in [
            (&[7][..], None, 0),
            (&[3], None, 4),
            (&[2, 2], Some(&[5, 1][..]), 0),
            (&[2], Some(&[usize::MAX]), 0),
            (&[2], Some(&[1, 1]), 0),
            (&[usize::MAX, 2], None, 0),
            (&[1 << 25], Some(&[0]), 0),
        ] {
            let problem = tensor(shape, strides, offset, &bytes).unwrap_err().to_string();
            assert!(problem.starts_with("`w`: of shape ["), "{problem}");
        }
    }

    #[test]
    fn numbers_by_hand() {
        use NumberType::{Bf16, F16, F32, F64, I32, I64};
        for (kind, bytes, wanted) in [
            (F16, &[0x00, 0x3c][..], 1.0),
            (F16, &[0xff, 0xfb], -65504.0),
            (F16, &[0x01, 0x00], 2f64.powi(-24)),
            (F16, &[0x00, 0x7c], f64::INFINITY),
            (Bf16, &[0xc0, 0x3f], 1.5),
            (F32, &[0, 0, 0x20, 0xc1], -10.0),
            (F64, &[0, 0, 0, 0, 0, 0, 0xe0, 0x3f], 0.5),
            (I32, &[0xfe, 0xff, 0xff, 0xff], -2.0),
            (I64, &[0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], -3.0),
        ] {
            assert_eq!(kind.number(bytes), wanted, "{kind:?}");
        }
        assert!(F16.number(&[0x01, 0x7c]).is_nan());
    }
}
