//! A component's complete state as named arrays and values, kept in one safetensors file.

use std::collections::{BTreeMap, HashMap};

use safetensors::{Dtype, SafeTensorError, SafeTensors, tensor::TensorView};
use serde::{Serialize, de::DeserializeOwned};

use crate::error::NumericsError;

/// The metadata's key of the values.
const VALUES: &str = "values";

/// Numbers of one type, in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub enum ArrayData {
    /// Weights, moments, observations.
    F32(Vec<f32>),
    /// Normaliser moments, statistics.
    F64(Vec<f64>),
    /// Counters, indices.
    I64(Vec<i64>),
    /// Flags, opaque bytes.
    U8(Vec<u8>),
}

impl ArrayData {
    fn dtype(&self) -> Dtype {
        match self {
            Self::F32(_) => Dtype::F32,
            Self::F64(_) => Dtype::F64,
            Self::I64(_) => Dtype::I64,
            Self::U8(_) => Dtype::U8,
        }
    }

    fn to_le_bytes(&self) -> Vec<u8> {
        match self {
            Self::F32(data) => data.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::F64(data) => data.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::I64(data) => data.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::U8(data) => data.clone(),
        }
    }

    fn from_le_bytes(dtype: Dtype, bytes: &[u8]) -> Option<Self> {
        Some(match dtype {
            Dtype::F32 => Self::F32(bytes.as_chunks().0.iter().map(|&x| f32::from_le_bytes(x)).collect()),
            Dtype::F64 => Self::F64(bytes.as_chunks().0.iter().map(|&x| f64::from_le_bytes(x)).collect()),
            Dtype::I64 => Self::I64(bytes.as_chunks().0.iter().map(|&x| i64::from_le_bytes(x)).collect()),
            Dtype::U8 => Self::U8(bytes.to_vec()),
            _ => return None,
        })
    }
}

/// An array with its shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Extent of each dimension.
    pub shape: Vec<usize>,
    /// The numbers.
    pub data: ArrayData,
}

/// Named arrays and small serialisable values. Names are paths such as `critic/adam/m`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// Numeric arrays.
    pub arrays: BTreeMap<String, Array>,
    /// All other state: counters, random streams, schedules.
    pub values: BTreeMap<String, serde_json::Value>,
}

impl State {
    /// Stores an f32 array.
    pub fn put_f32(&mut self, name: impl Into<String>, shape: &[usize], data: &[f32]) {
        self.arrays.insert(name.into(), Array { shape: shape.to_vec(), data: ArrayData::F32(data.to_vec()) });
    }

    /// Stores an f64 array.
    pub fn put_f64(&mut self, name: impl Into<String>, shape: &[usize], data: &[f64]) {
        self.arrays.insert(name.into(), Array { shape: shape.to_vec(), data: ArrayData::F64(data.to_vec()) });
    }

    /// An f32 array of exactly this shape.
    pub fn f32(&self, name: &str, shape: &[usize]) -> Result<&[f32], NumericsError> {
        match self.array(name, shape)? {
            ArrayData::F32(data) => Ok(data),
            _ => Err(bad(name, "is not f32")),
        }
    }

    /// An f64 array of exactly this shape.
    pub fn f64(&self, name: &str, shape: &[usize]) -> Result<&[f64], NumericsError> {
        match self.array(name, shape)? {
            ArrayData::F64(data) => Ok(data),
            _ => Err(bad(name, "is not f64")),
        }
    }

    /// An i64 array of exactly this shape.
    pub fn i64(&self, name: &str, shape: &[usize]) -> Result<&[i64], NumericsError> {
        match self.array(name, shape)? {
            ArrayData::I64(data) => Ok(data),
            _ => Err(bad(name, "is not i64")),
        }
    }

    /// Stores a serialisable value other than a large array.
    pub fn put<T: Serialize>(&mut self, name: impl Into<String>, value: &T) {
        let value = serde_json::to_value(value).unwrap_or(serde_json::Value::Null);
        self.values.insert(name.into(), value);
    }

    /// Returns the value that `put` stored.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<T, NumericsError> {
        let value = self.values.get(name).ok_or_else(|| bad(name, "is missing"))?;
        serde_json::from_value(value.clone()).map_err(|error| bad(name, &error.to_string()))
    }

    /// The state as one safetensors file: arrays as tensors, values as JSON in its metadata. Equal
    /// states give equal bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, NumericsError> {
        let values = serde_json::to_string(&self.values).map_err(|error| bad(VALUES, &error.to_string()))?;
        let bytes: Vec<(&String, &Array, Vec<u8>)> =
            self.arrays.iter().map(|(name, array)| (name, array, array.data.to_le_bytes())).collect();
        let views = bytes.iter().map(|(name, array, bytes)| {
            TensorView::new(array.data.dtype(), array.shape.clone(), bytes)
                .map(|view| (*name, view))
                .map_err(|error| bad(name, &error.to_string()))
        });
        let views = views.collect::<Result<Vec<_>, _>>()?;
        safetensors::serialize(views, Some(HashMap::from([(VALUES.to_owned(), values)])))
            .map_err(|error| bad("safetensors", &error.to_string()))
    }

    /// Reads a state that `to_bytes` wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NumericsError> {
        let damaged = |error: SafeTensorError| bad("safetensors", &error.to_string());
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
        let values = metadata.metadata().as_ref().and_then(|map| map.get(VALUES));
        let values = values.ok_or_else(|| bad(VALUES, "is missing from the metadata"))?;
        let mut state = Self {
            values: serde_json::from_str(values).map_err(|error| bad(VALUES, &error.to_string()))?,
            ..Self::default()
        };
        for (name, view) in SafeTensors::deserialize(bytes).map_err(damaged)?.tensors() {
            let data = ArrayData::from_le_bytes(view.dtype(), view.data())
                .ok_or_else(|| bad(&name, &format!("has type {}, which no state has", view.dtype())))?;
            state.arrays.insert(name, Array { shape: view.shape().to_vec(), data });
        }
        Ok(state)
    }

    fn array(&self, name: &str, shape: &[usize]) -> Result<&ArrayData, NumericsError> {
        let array = self.arrays.get(name).ok_or_else(|| bad(name, "is missing"))?;
        if array.shape != shape {
            return Err(bad(name, &format!("has shape {:?}, expected {shape:?}", array.shape)));
        }
        Ok(&array.data)
    }
}

fn bad(name: &str, problem: &str) -> NumericsError {
    NumericsError::BadState { name: name.to_owned(), problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A state with every type of array, NaNs of several payloads and values of several kinds.
    fn sample() -> State {
        let mut state = State::default();
        let floats = [0x7fc0_0001_u32, 0xffa0_1234, 0x8000_0000, 1, 0x7f80_0000].map(f32::from_bits);
        state.put_f32("net/w", &[5, 1], &floats);
        state.put_f64("moments", &[2], &[f64::from_bits(0x7ff0_0000_0000_0abc), -0.0]);
        state.arrays.insert("n".into(), Array { shape: vec![], data: ArrayData::I64(vec![i64::MIN]) });
        state.arrays.insert("flags".into(), Array { shape: vec![3], data: ArrayData::U8(vec![0, 7, 255]) });
        state.arrays.insert("none".into(), Array { shape: vec![0, 4], data: ArrayData::F32(vec![]) });
        state.put("count", &u64::MAX);
        state.put("third", &(1.0_f64 / 3.0));
        state.put("name", &"Ornstein–Uhlenbeck \"x\"\n");
        state
    }

    #[test]
    fn bytes_give_back_every_bit() {
        let (state, bytes) = (sample(), sample().to_bytes().unwrap());
        let read = State::from_bytes(&bytes).unwrap();
        assert_eq!(read.values, state.values);
        assert_eq!(read.arrays.keys().collect::<Vec<_>>(), state.arrays.keys().collect::<Vec<_>>());
        for (name, array) in &state.arrays {
            // Compared as bits, because NaN ≠ NaN.
            assert_eq!(read.arrays[name].shape, array.shape);
            assert_eq!(read.arrays[name].data.to_le_bytes(), array.data.to_le_bytes());
            assert_eq!(read.arrays[name].data.dtype(), array.data.dtype());
        }
        assert_eq!(read.to_bytes().unwrap(), bytes);
    }

    #[test]
    fn a_shape_that_does_not_fit_its_numbers_is_refused() {
        let mut state = State::default();
        state.put_f32("w", &[2, 3], &[1.0; 5]);
        assert!(state.to_bytes().unwrap_err().to_string().contains("`w`"));
    }

    #[test]
    fn a_type_no_state_has_is_refused() {
        let view = TensorView::new(Dtype::U16, vec![1], &[1, 0]).unwrap();
        let metadata = HashMap::from([(VALUES.to_owned(), "{}".to_owned())]);
        let bytes = safetensors::serialize([("half", view)], Some(metadata)).unwrap();
        assert!(State::from_bytes(&bytes).unwrap_err().to_string().contains("`half`: has type U16"));
    }

    proptest! {
        #[test]
        fn damage_never_panics(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
                               keep in any::<prop::sample::Index>(), cut in any::<bool>()) {
            let mut bytes = sample().to_bytes().unwrap();
            for (at, value) in flips {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            if cut {
                bytes.truncate(keep.index(bytes.len()));
                prop_assert!(State::from_bytes(&bytes).is_err());
            } else if let Err(error) = State::from_bytes(&bytes) {
                let is_state_error = matches!(error, NumericsError::BadState { .. });
                prop_assert!(is_state_error, "{error}");
            }
        }
    }
}
