//! Network policies in formats that other programs run: ONNX, TorchScript, numpy arrays.

mod facts;
mod npz;
mod onnx;
mod parts;
mod torchscript;

use std::io;
use std::path::Path;

use clap::ValueEnum;
use liprl_control::{ControlError, Policy};
use liprl_logbook::{write_output, write_output_by};
use serde_json::{Map, Value};
use tch::TchError;

pub(crate) use facts::facts;
pub(crate) use parts::Parts;

/// Formats of `export`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// ONNX, operators of version 17
    Onnx,
    /// A traced module for libtorch and `torch.jit.load`
    Torchscript,
    /// Named arrays for numpy
    Npz,
}

impl ExportFormat {
    /// The name in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Onnx => "ONNX",
            Self::Torchscript => "TorchScript",
            Self::Npz => "npz",
        }
    }
}

/// A failed export; nothing was written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    /// The file could not be written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The policy could not act.
    #[error(transparent)]
    Policy(#[from] ControlError),
    /// libtorch failed.
    #[error("libtorch could not write or run the file: {0}")]
    Torch(#[from] TchError),
    /// The file does not do what the policy does.
    #[error(
        "the file's action {action} differs from the policy's by {difference:e} of the half width, so it was not kept; choose another --to, and report this with the policy"
    )]
    Differs {
        /// The coordinate.
        action: usize,
        /// The difference in `[-1, 1]`.
        difference: f64,
    },
}

/// Writes the parts of `policy` to `out` in one step. TorchScript is run back before that.
pub(crate) fn write(
    (parts, policy): (&Parts, &Policy),
    facts: &Map<String, Value>,
    to: ExportFormat,
    out: &Path,
) -> Result<(), ExportError> {
    match to {
        ExportFormat::Onnx => Ok(write_output(out, &onnx::model(parts, facts))?),
        ExportFormat::Npz => write_output_by(out, |beside| Ok(npz::write(parts, facts, beside)?)),
        ExportFormat::Torchscript => write_output_by(out, |beside| {
            torchscript::write(parts, beside)?;
            torchscript::check(parts, policy, beside)
        }),
    }
}
