//! Typed arrays of an HDF5 file, which may hold anything: every surprise becomes an error with its
//! place.

use std::cell::Cell;

use half::f16;
use hdf5_pure::{
    DType, Dataset, Datatype, DatatypeByteOrder, Error, File, FloatingPointLayout, FormatError, Group,
    VlenStringReadOptions,
};

/// Bytes of numbers that any file may have: a million steps of thirty numbers.
const SMALL: u64 = 256 << 20;
/// Bytes of numbers in memory for each byte of the file beyond that. Recorded numbers are noisy:
/// compression and the widening to f64 together make them ten times as large, not more. Zeros,
/// which compress a thousandfold, make a small file fill any memory.
const EXPANSION: u64 = 64;

/// Bytes of all texts of an array.
const TEXT: usize = 16 << 20;

/// An open file, with the memory that the rest of its numbers may fill.
pub(super) struct Source {
    pub(super) file: File,
    left: Cell<u64>,
}

impl Source {
    pub(super) fn new(file: File) -> Self {
        let left = Cell::new(SMALL + file.file_size().saturating_mul(EXPANSION));
        Self { file, left }
    }

    /// Accounts for numbers before they are made.
    pub(super) fn reserve_numbers(&self, rows: usize, dim: usize) -> Result<(), String> {
        self.reserve((rows as u64).checked_mul(dim as u64).and_then(|count| count.checked_mul(8)))
    }

    /// Accounts for bytes before they are read.
    fn reserve(&self, bytes: Option<u64>) -> Result<(), String> {
        match bytes.and_then(|bytes| self.left.get().checked_sub(bytes)) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => Err(format!(
                "more than recorded numbers in a file of {} bytes can fill; is it damaged, or made of zeros?",
                self.file.file_size()
            )),
        }
    }
}

/// An array of numbers with its shape.
pub(super) struct NumberArray {
    pub(super) shape: Vec<usize>,
    pub(super) data: Vec<f64>,
}

impl NumberArray {
    /// Number of rows and numbers in each, of an array that must have two dimensions.
    pub(super) fn rows_of(&self, place: &str) -> Result<(usize, usize), String> {
        match self.shape[..] {
            [rows, dim] => Ok((rows, dim)),
            _ => Err(format!("{place}: has shape {:?}, expected rows of numbers", self.shape)),
        }
    }

    /// Number of values, of an array that must have one dimension.
    pub(super) fn len_of(&self, place: &str) -> Result<usize, String> {
        match self.shape[..] {
            [len] => Ok(len),
            _ => Err(format!("{place}: has shape {:?}, expected one number a step", self.shape)),
        }
    }
}

/// Reads floats, and with `integers` integers too. Checks the type before reading, because the
/// reader silently converts any number into any other.
pub(super) fn numbers(
    source: &Source,
    group: &Group,
    name: &str,
    place: &str,
    integers: bool,
) -> Result<NumberArray, String> {
    let (dataset, dtype, shape) = open(source, group, name, place)?;
    let half = half_precision(&dtype);
    let float = matches!(dtype, DType::F32 | DType::F64) || half.is_some();
    let integer =
        matches!(dtype, DType::I8 | DType::I16 | DType::I32 | DType::I64 | DType::U8 | DType::U16 | DType::U32);
    if !(float || integer && integers) {
        return Err(format!("{place}: has type {dtype}, expected f32 or f64"));
    }
    let data = match half {
        Some(order) => dataset.read_raw().map(|bytes| widened(&bytes, order)),
        None => dataset.read_f64(),
    };
    let data = data.map_err(|error| format!("{place}: {}", words(&error)))?;
    if data.len() != shape.iter().product::<usize>() {
        return Err(format!("{place}: holds {} numbers, its shape {shape:?} says otherwise", data.len()));
    }
    Ok(NumberArray { shape, data })
}

/// Booleans: h5py's enumeration of FALSE and TRUE, or integers that are 0 or 1.
pub(super) fn booleans(source: &Source, group: &Group, name: &str, place: &str) -> Result<Vec<bool>, String> {
    let (dataset, dtype, shape) = open(source, group, name, place)?;
    let values = match &dtype {
        DType::Enum(names) if names == &["FALSE", "TRUE"] => dataset.read_raw().map_err(|error| words(&error)),
        DType::U8 | DType::I8 => dataset.read_raw().map_err(|error| words(&error)),
        _ => Err(format!("has type {dtype}, expected booleans")),
    };
    let values = values.map_err(|problem| format!("{place}: {problem}"))?;
    if shape.len() != 1 || values.len() != shape[0] {
        return Err(format!("{place}: has shape {shape:?}, expected one boolean a step"));
    }
    let boolean = |(row, &value): (usize, &u8)| match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(format!("{place}: holds {value}, expected 0 or 1, at row {row}")),
    };
    values.iter().enumerate().map(boolean).collect()
}

/// Texts, of fixed or variable length.
pub(super) fn texts(source: &Source, group: &Group, name: &str, place: &str) -> Result<Vec<String>, String> {
    let (dataset, dtype, shape) = open(source, group, name, place)?;
    let count: usize = shape.iter().product();
    let texts = match dtype {
        DType::String => dataset.read_string(),
        DType::VariableLengthString => {
            let limits = VlenStringReadOptions::new().with_max_elements(count).with_max_payload_bytes(TEXT);
            dataset.read_vlen_strings(limits)
        }
        _ => return Err(format!("{place}: has type {dtype}, expected texts")),
    };
    texts.map_err(|error| format!("{place}: {}", words(&error)))
}

fn open(source: &Source, group: &Group, name: &str, place: &str) -> Result<(Dataset, DType, Vec<usize>), String> {
    let wrap = |error: Error| format!("{place}: {}", words(&error));
    if !group.datasets().map_err(wrap)?.iter().any(|known| known == name) {
        let is_group = group.groups().map_err(wrap)?.iter().any(|known| known == name);
        let problem = if is_group {
            "is a group, expected one array"
        } else {
            "is missing (links to other files or places are not followed)"
        };
        return Err(format!("{place}: {problem}"));
    }
    let dataset = group.dataset(name).map_err(wrap)?;
    let (dtype, shape) = (dataset.dtype().map_err(wrap)?, dataset.shape().map_err(wrap)?);
    // Chunks are unpacked whole. Numbers are held as f64, whatever they are in the file.
    let chunk = dataset.chunk_shape().map_err(wrap)?.unwrap_or_default();
    let width = dataset.element_size().map_err(wrap)?.max(8);
    let size = |shape: &[u64]| shape.iter().try_fold(width, |size, &extent| size.checked_mul(extent));
    let bytes = size(&shape).zip(size(&chunk)).map(|(whole, chunk)| whole.max(chunk));
    source.reserve(bytes).map_err(|problem| format!("{place}: claims the shape {shape:?}, {problem}"))?;
    let shape = shape.iter().map(|&extent| extent as usize).collect();
    Ok((dataset, dtype, shape))
}

/// The byte order of IEEE half precision, which the reader has no name for; `None` for other types.
fn half_precision(dtype: &DType) -> Option<DatatypeByteOrder> {
    const LAYOUT: FloatingPointLayout = FloatingPointLayout {
        bit_offset: 0,
        bit_precision: 16,
        exponent_location: 10,
        exponent_size: 5,
        mantissa_location: 0,
        mantissa_size: 10,
        exponent_bias: 15,
    };
    let DType::Other(datatype) = dtype else { return None };
    match &**datatype {
        Datatype::FloatingPoint { size: 2, byte_order, layout } if *layout == LAYOUT => match byte_order {
            DatatypeByteOrder::Vax => None,
            order => Some(*order),
        },
        _ => None,
    }
}

/// Half-precision numbers as f64.
fn widened(bytes: &[u8], order: DatatypeByteOrder) -> Vec<f64> {
    let pairs = bytes.chunks_exact(2).map(|pair| [pair[0], pair[1]]);
    match order {
        DatatypeByteOrder::BigEndian => pairs.map(|pair| f16::from_be_bytes(pair).to_f64()).collect(),
        _ => pairs.map(|pair| f16::from_le_bytes(pair).to_f64()).collect(),
    }
}

/// Numbers of filters that the reader does not have (HDF5's registry of filters).
const FILTERS: [(u16, &str); 12] = [
    (4, "szip"),
    (5, "nbit"),
    (32001, "blosc"),
    (32004, "lz4"),
    (32008, "bitshuffle"),
    (32013, "zfp"),
    (32015, "zstd"),
    (32017, "sz"),
    (32018, "fcidecomp"),
    (32019, "jpeg"),
    (32024, "sz3"),
    (32026, "blosc2"),
];

/// The error in words, with a remedy for what another program can convert.
pub(super) fn words(error: &Error) -> String {
    let Error::Format(format) = error else { return error.to_string() };
    match format {
        FormatError::UnsupportedFilter(id) => {
            let name = FILTERS.iter().find(|filter| filter.0 == *id).map_or("an unknown filter", |filter| filter.1);
            format!(
                "is compressed with {name} (filter {id}), which is not read; where HDF5 has that filter, \
                 `h5repack -f GZIP=4 IN OUT` writes it anew"
            )
        }
        FormatError::InvalidLayoutVersion(version) => format!(
            "has the data layout version {version}, of HDF5 2 and later; write it again by h5py.File(…, \
             libver=('earliest', 'v110'))"
        ),
        _ => error.to_string(),
    }
}
