//! Bytes of a saved environment: numbers and nested states, each behind its length.

use crate::error::EnvError;
use crate::numpy_rng::NumpyRng;

/// Writer of a state that [`StateReader`] reads back.
#[derive(Debug)]
pub struct StateWriter {
    bytes: Vec<u8>,
}

impl StateWriter {
    /// Starts the state of this kind of environment or wrapper.
    pub fn new(kind: &str) -> Self {
        Self { bytes: Vec::new() }.bytes(kind.as_bytes())
    }

    /// Appends a whole number.
    pub fn word(mut self, value: u64) -> Self {
        self.bytes.extend(value.to_le_bytes());
        self
    }

    /// Appends numbers.
    pub fn numbers(mut self, values: &[f64]) -> Self {
        self = self.word(values.len() as u64);
        self.bytes.extend(values.iter().flat_map(|x| x.to_le_bytes()));
        self
    }

    /// Appends another state.
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self = self.word(bytes.len() as u64);
        self.bytes.extend(bytes);
        self
    }

    /// Appends a generator.
    pub fn rng(self, rng: &NumpyRng) -> Self {
        rng.words().into_iter().fold(self, Self::word)
    }

    /// The state.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// Reader of a state, in the order in which it was written.
#[derive(Debug)]
pub struct StateReader<'a> {
    id: String,
    rest: &'a [u8],
}

impl<'a> StateReader<'a> {
    /// Starts reading a state of this kind; errors name the environment `id`.
    ///
    /// # Errors
    /// [`EnvError::BadState`] for another kind, or here and in the methods below for too few bytes.
    pub fn new(kind: &str, id: &str, state: &'a [u8]) -> Result<Self, EnvError> {
        let mut reader = Self { id: id.to_owned(), rest: state };
        let found = reader.bytes()?;
        if found != kind.as_bytes() {
            let found = String::from_utf8_lossy(&found[..found.len().min(64)]);
            return Err(reader.bad(format!("it was saved by `{found}`, not by `{kind}`")));
        }
        Ok(reader)
    }

    /// Reads a whole number.
    pub fn word(&mut self) -> Result<u64, EnvError> {
        let (word, rest) = self.rest.split_first_chunk().ok_or_else(|| self.short())?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*word))
    }

    /// Reads numbers, as many as `out` holds.
    pub fn numbers(&mut self, out: &mut [f64]) -> Result<(), EnvError> {
        let count = self.word()?;
        if count != out.len() as u64 {
            return Err(self.bad(format!("it holds {count} numbers, this environment has {}", out.len())));
        }
        for x in out {
            *x = f64::from_bits(self.word()?);
        }
        Ok(())
    }

    /// Reads another state.
    pub fn bytes(&mut self) -> Result<&'a [u8], EnvError> {
        let count = usize::try_from(self.word()?).map_err(|_| self.short())?;
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or_else(|| self.short())?;
        self.rest = rest;
        Ok(bytes)
    }

    /// Reads a generator.
    pub fn rng(&mut self) -> Result<NumpyRng, EnvError> {
        Ok(NumpyRng::from_words([self.word()?, self.word()?, self.word()?, self.word()?]))
    }

    /// Ends the reading; bytes that are left over are an error.
    pub fn finish(self) -> Result<(), EnvError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(self.bad(format!("{left} bytes are left over"))),
        }
    }

    fn short(&self) -> EnvError {
        self.bad("it ends too early".to_owned())
    }

    fn bad(&self, problem: String) -> EnvError {
        EnvError::BadState { id: self.id.clone(), problem }
    }
}
