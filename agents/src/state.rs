//! A component's complete state as named arrays and values, kept in one safetensors file.

use std::collections::BTreeMap;

use serde::{Serialize, de::DeserializeOwned};

use crate::AgentError;

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
    /// Everything else: counters, random streams, schedules.
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
    pub fn f32(&self, name: &str, shape: &[usize]) -> Result<&[f32], AgentError> {
        match self.array(name, shape)? {
            ArrayData::F32(data) => Ok(data),
            _ => Err(bad(name, "is not f32")),
        }
    }

    /// An f64 array of exactly this shape.
    pub fn f64(&self, name: &str, shape: &[usize]) -> Result<&[f64], AgentError> {
        match self.array(name, shape)? {
            ArrayData::F64(data) => Ok(data),
            _ => Err(bad(name, "is not f64")),
        }
    }

    /// Stores anything serialisable that is not a large array.
    pub fn put<T: Serialize>(&mut self, name: impl Into<String>, value: &T) {
        let value = serde_json::to_value(value).unwrap_or(serde_json::Value::Null);
        self.values.insert(name.into(), value);
    }

    /// Reads back what `put` stored.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<T, AgentError> {
        let value = self.values.get(name).ok_or_else(|| bad(name, "is missing"))?;
        serde_json::from_value(value.clone()).map_err(|error| bad(name, &error.to_string()))
    }

    fn array(&self, name: &str, shape: &[usize]) -> Result<&ArrayData, AgentError> {
        let array = self.arrays.get(name).ok_or_else(|| bad(name, "is missing"))?;
        if array.shape != shape {
            return Err(bad(name, &format!("has shape {:?}, expected {shape:?}", array.shape)));
        }
        Ok(&array.data)
    }
}

fn bad(name: &str, problem: &str) -> AgentError {
    AgentError::BadState { name: name.to_owned(), problem: problem.to_owned() }
}
