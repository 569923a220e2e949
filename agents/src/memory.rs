//! Memory that an agent will need, estimated from its settings before anything is built.
//!
//! The parts are those that grow with settings: replay rows, parameters with their optimiser state,
//! and the numbers between the layers of a batch. Numbers take four bytes.

/// Bytes of an f32.
pub(crate) const NUMBER: f64 = 4.0;
/// Copies of a network's parameters: values, Adam's two moments, one in another layout, and the
/// three of a checkpoint twice, as numbers and as a file. Gradients come on top, one a thread.
pub(crate) const COPIES: usize = 10;
/// Copies of a target network: itself, and the two of a checkpoint.
pub(crate) const TARGET: usize = 3;
/// Numbers that a pass and its derivatives keep for each unit and row.
const PER_UNIT: usize = 4;

/// Sizes that settings are multiplied by.
#[derive(Clone, Copy, Debug)]
pub struct MemorySizes {
    /// Numbers in an observation.
    pub obs_dim: usize,
    /// Numbers in an action.
    pub act_dim: usize,
    /// Threads of an update.
    pub threads: usize,
    /// Environment steps of the run: a replay buffer is not fuller.
    pub steps: u64,
}

/// A part of the memory.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryPart {
    /// The setting that the part grows with, as in the YAML.
    pub setting: String,
    /// The part in words.
    pub what: &'static str,
    /// Bytes.
    pub bytes: f64,
    /// True if it lies on the device of the networks.
    pub on_device: bool,
}

/// Networks of one shape.
pub(crate) struct NetworkSizes<'a> {
    pub(crate) hidden: &'a [usize],
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) count: usize,
    /// Copies of the parameters.
    pub(crate) copies: usize,
    /// Rows of a batch.
    pub(crate) rows: usize,
}

/// Parts of the memory that an agent will need, to be listed by its settings.
#[derive(Clone, Debug)]
pub struct MemoryParts {
    sizes: MemorySizes,
    parts: Vec<MemoryPart>,
}

impl MemoryParts {
    /// No part yet.
    pub fn new(sizes: MemorySizes) -> Self {
        Self { sizes, parts: Vec::new() }
    }

    /// The parts added.
    pub fn into_vec(self) -> Vec<MemoryPart> {
        self.parts
    }

    /// The sizes that settings are multiplied by.
    pub fn sizes(&self) -> MemorySizes {
        self.sizes
    }

    /// Adds a part.
    pub fn add(&mut self, setting: String, what: &'static str, bytes: f64, on_device: bool) {
        self.parts.push(MemoryPart { setting, what, bytes, on_device });
    }

    /// Networks, and the numbers between their layers.
    pub(crate) fn networks(&mut self, at: &str, key: &str, of: &NetworkSizes<'_>) {
        let ends = of.hidden.iter().copied().chain([of.outputs]);
        let (mut parameters, mut before) = (0.0, of.inputs as f64);
        for units in ends.map(|units| units as f64) {
            parameters += (before + 1.0) * units;
            before = units;
        }
        let bytes = NUMBER * parameters * of.count as f64 * (of.copies + self.sizes.threads) as f64;
        self.add(format!("{at}.{key}"), "networks", bytes, true);
        let units = of.hidden.iter().sum::<usize>() + of.inputs + of.outputs;
        let numbers = units as f64 * (PER_UNIT * of.count) as f64 * of.rows as f64;
        self.add(format!("{at}.batch_size"), "batches", NUMBER * numbers, true);
    }

    /// A buffer of as many rows as the run will fill, besides its flags.
    pub(crate) fn replay(&mut self, setting: String, what: &'static str, capacity: usize, rows: f64, priorities: bool) {
        let width = 2 * self.sizes.obs_dim + self.sizes.act_dim + 1;
        let filled = NUMBER * rows.min(capacity as f64) * width as f64;
        let all = capacity as f64 * if priorities { 1.0 + 2.0 * NUMBER } else { 1.0 };
        self.add(setting, what, filled + all, false);
    }
}
