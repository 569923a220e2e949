//! Memory that libtorch multiplies and Rust loops over.

use std::ops::Range;

use liprl_numerics::StateIo;
use tch::{Device, Kind, Tensor};

use crate::NetsError;

/// A contiguous f32 tensor on the CPU, allocated once, seen as a tensor or as a slice.
#[derive(Debug)]
pub struct Buffer {
    tensor: Tensor,
    start: *mut f32,
    len: usize,
}

// SAFETY: `start` points into memory owned by `tensor`, which is Send; every access goes through
// `&self` or `&mut self`.
unsafe impl Send for Buffer {}

impl Buffer {
    /// Zeros of this shape on the CPU.
    pub fn zeros(shape: &[usize]) -> Result<Self, NetsError> {
        Self::zeros_on(shape, Device::Cpu)
    }

    /// Zeros of this shape. Away from the CPU only the tensor is there: the slices are empty.
    pub fn zeros_on(shape: &[usize], device: Device) -> Result<Self, NetsError> {
        let shape: Vec<i64> = shape.iter().map(|&n| n as i64).collect();
        let tensor = Tensor::f_zeros(shape, (Kind::Float, device))?;
        Ok(match device {
            Device::Cpu => Self { start: tensor.data_ptr().cast(), len: tensor.numel(), tensor },
            _ => Self { start: std::ptr::NonNull::dangling().as_ptr(), len: 0, tensor },
        })
    }

    /// The numbers, from any device.
    pub fn to_vec(&self) -> Result<Vec<f32>, NetsError> {
        Ok(Vec::try_from(&self.tensor.f_to(Device::Cpu)?.f_flatten(0, -1)?)?)
    }

    /// Takes these numbers, as many as there are.
    pub fn fill_from(&mut self, numbers: &[f32]) -> Result<(), NetsError> {
        self.tensor.f_copy_(&Tensor::f_from_slice(numbers)?.f_view_as(&self.tensor)?)?;
        Ok(())
    }

    /// Copy with a memory of its own, on the same device.
    pub fn copy(&self) -> Result<Self, NetsError> {
        let shape: Vec<usize> = self.tensor.size().iter().map(|&n| n as usize).collect();
        let mut copy = Self::zeros_on(&shape, self.tensor.device())?;
        copy.tensor.f_copy_(&self.tensor)?;
        Ok(copy)
    }

    /// The numbers, as a flat entry.
    pub fn state(&mut self, io: &mut StateIo<'_>, name: &str) -> Result<(), NetsError> {
        if self.tensor.device() == Device::Cpu {
            return Ok(io.f32(name, self.slice_mut())?);
        }
        let mut numbers = self.to_vec()?;
        io.f32(name, &mut numbers)?;
        if io.loading() { self.fill_from(&numbers) } else { Ok(()) }
    }

    /// As a tensor on the same memory.
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// As numbers, row-major.
    pub fn slice(&self) -> &[f32] {
        // SAFETY: `zeros_on` made a contiguous f32 CPU tensor of `len` elements (or `len` is 0),
        // which lives as long as `self` and is never resized.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }

    /// As numbers to change.
    pub fn slice_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `slice`; views of this memory held elsewhere (weights, batches) are only
        // read by libtorch calls, none of which runs while a `&mut Buffer` is in use.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.len) }
    }
}

/// Some rows of a contiguous f32 CPU tensor, to read, on the tensor's own memory.
#[derive(Debug)]
pub struct TensorRows {
    tensor: Tensor,
    start: *const f32,
    len: usize,
}

// SAFETY: `start` points into memory that `tensor` keeps alive; the rows are only read.
unsafe impl Send for TensorRows {}

impl TensorRows {
    /// These rows of `tensor`.
    ///
    /// # Errors
    /// Tensors of another kind.
    ///
    /// # Safety
    /// Nothing writes to the tensor's memory while a slice of these rows is borrowed.
    pub unsafe fn new(tensor: &Tensor, rows: Range<usize>) -> Result<Self, NetsError> {
        check_rows(tensor)?;
        let tensor = tensor.f_narrow(0, rows.start as i64, rows.len() as i64)?;
        Ok(Self { start: tensor.data_ptr().cast_const().cast(), len: tensor.numel(), tensor })
    }

    /// As a tensor on the same memory.
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// As numbers, row-major.
    pub fn slice(&self) -> &[f32] {
        // SAFETY: `new` found contiguous f32 on the CPU, which `tensor` keeps alive; its caller
        // promised that nothing writes to it meanwhile.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }
}

/// The numbers of a contiguous f32 CPU tensor, row-major.
///
/// # Errors
/// Tensors of another kind.
pub fn slice_of(tensor: &Tensor) -> Result<&[f32], NetsError> {
    check_rows(tensor)?;
    // SAFETY: a contiguous f32 CPU tensor has `numel` numbers from `data_ptr` on. The slice borrows
    // the tensor, so its memory outlives it; no in-place call on a handle that shares it runs
    // meanwhile.
    Ok(unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast(), tensor.numel()) })
}

fn check_rows(tensor: &Tensor) -> Result<(), NetsError> {
    if tensor.device() != Device::Cpu || tensor.kind() != Kind::Float || !tensor.is_contiguous() {
        let problem = "a batch must be contiguous f32 on the CPU".to_owned();
        return Err(NetsError::bad_config("batch", problem));
    }
    Ok(())
}
