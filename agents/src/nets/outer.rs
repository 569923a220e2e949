//! The product that a weight's gradient is.

use faer::{Accum, MatMut, MatRef, Par, linalg::matmul::matmul};
use tch::{Device, Kind, Tensor};

use crate::AgentError;

/// Columns that MKL's kernels take at a time. What is left over costs it up to three times as much as faer (`docs/performance.md`).
const COLUMNS: usize = 16;

/// `into = deltaᵀ x`, or `into += deltaᵀ x`: delta transposed `[outputs, rows]`, x `[rows, inputs]`, into `[outputs, inputs]`.
///
/// By libtorch, or by faer where `inputs` is no multiple of 16: a first layer's.
pub(super) fn weight_gradient(into: &Tensor, delta_t: &Tensor, x: &Tensor, add: bool) -> Result<(), AgentError> {
    let on_cpu = |tensor: &Tensor| tensor.kind() == Kind::Float && tensor.device() == Device::Cpu;
    let (rows, inputs) = x.size2()?;
    let outputs = into.size2()?.0;
    let fits = delta_t.size2()? == (outputs, rows) && into.size2()?.1 == inputs;
    if (inputs as usize).is_multiple_of(COLUMNS) || !fits || ![into, delta_t, x].into_iter().all(on_cpu) {
        let _ = match add {
            true => into.f_addmm_out(into, delta_t, x)?, // the handle it returns is `into` again
            false => delta_t.f_mm_out(into, x)?,
        };
        return Ok(());
    }
    let how = if add { Accum::Add } else { Accum::Replace };
    // SAFETY: f32 tensors on the CPU of the sizes and strides given, alive during the call; `into` is a gradient's own memory, which neither
    // factor shares.
    unsafe {
        matmul(
            matrix_mut(into, (outputs, inputs)),
            how,
            matrix(delta_t, (outputs, rows)),
            matrix(x, (rows, inputs)),
            1.0,
            Par::Seq,
        )
    };
    Ok(())
}

/// # Safety
/// `tensor` is f32, on the CPU, of this size, and outlives the view.
unsafe fn matrix<'a>(tensor: &Tensor, (rows, columns): (i64, i64)) -> MatRef<'a, f32> {
    let stride = tensor.stride();
    // SAFETY: the caller's.
    unsafe {
        MatRef::from_raw_parts(
            tensor.data_ptr().cast::<f32>().cast_const(),
            rows as usize,
            columns as usize,
            stride[0] as isize,
            stride[1] as isize,
        )
    }
}

/// # Safety
/// As `matrix`; and nobody else looks at it meanwhile.
unsafe fn matrix_mut<'a>(tensor: &Tensor, (rows, columns): (i64, i64)) -> MatMut<'a, f32> {
    let stride = tensor.stride();
    // SAFETY: the caller's.
    unsafe {
        MatMut::from_raw_parts_mut(
            tensor.data_ptr().cast::<f32>(),
            rows as usize,
            columns as usize,
            stride[0] as isize,
            stride[1] as isize,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actor_critic::testing::numbers;

    #[test]
    fn products_are_libtorchs_whatever_the_width() {
        for (outputs, rows, inputs) in [(400, 64, 15), (1, 7, 3), (200, 128, 16), (33, 20, 111), (5, 1, 1)] {
            let tensor = |name: &str, shape: [i64; 2]| {
                Tensor::from_slice(&numbers((shape[0] * shape[1]) as usize, name)).view(shape)
            };
            let (delta, x) = (tensor("delta", [rows, outputs]), tensor("x", [rows, inputs]));
            let (into, before) = (tensor("into", [outputs, inputs]), tensor("into", [outputs, inputs]));
            let product = delta.tr().matmul(&x);
            for (add, expected) in [(true, &before + &product), (false, product)] {
                weight_gradient(&into, &delta.tr(), &x, add).unwrap();
                let error = (&into - &expected).abs().max().double_value(&[]);
                assert!(error < 1e-5, "{outputs} {rows} {inputs} {add}: {error}");
            }
        }
        let [into, delta_t, x] = [[3, 5], [3, 4], [6, 5]].map(|shape| Tensor::zeros(shape, (Kind::Float, Device::Cpu)));
        assert!(weight_gradient(&into, &delta_t, &x, false).is_err(), "factors that do not fit");
    }
}
