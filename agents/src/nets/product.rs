//! Matrix products of the hand-written passes.
//!
//! MKL, which is libtorch's, keeps to AVX2 on AMD's processors: where they have AVX-512 faer is twice as fast, where they have not as fast, and several
//! times as fast for the narrow matrices of first layers (`docs/performance.md`).

use faer::{Accum, MatMut, MatRef, Par, linalg::matmul::matmul};
use tch::{Device, Kind, Tensor};

use crate::AgentError;

/// `into = a b`, or with `add` `into += a b`: a `[m, k]`, b `[k, n]`, into `[m, n]`, of any strides, `into` sharing no memory with the others. On this
/// thread, by faer where all are f32 on the CPU and by libtorch elsewhere.
///
/// # Errors
/// Sizes that do not fit.
pub fn product(into: &Tensor, a: &Tensor, b: &Tensor, add: bool) -> Result<(), AgentError> {
    let ((m, k), n) = (a.size2()?, b.size2()?.1);
    let fits = b.size2()?.0 == k && into.size2()? == (m, n);
    let on_cpu = |tensor: &Tensor| tensor.kind() == Kind::Float && tensor.device() == Device::Cpu;
    if !fits || ![into, a, b].into_iter().all(on_cpu) {
        let _ = match add {
            true => into.f_addmm_out(into, a, b)?, // the handle it returns is `into` again
            false => a.f_mm_out(into, b)?,
        };
        return Ok(());
    }
    let how = if add { Accum::Add } else { Accum::Replace };
    // SAFETY: f32 tensors on the CPU of these sizes, alive during the call; that nothing else touches `into` is the caller's promise.
    unsafe { matmul(matrix_mut(into, (m, n)), how, matrix(a, (m, k)), matrix(b, (k, n)), 1.0, Par::Seq) };
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
        for (outputs, rows, inputs) in [(400, 64, 15), (1, 7, 3), (200, 128, 16), (33, 20, 111), (5, 1, 1), (1, 1, 9)] {
            let tensor = |name: &str, shape: [i64; 2]| {
                Tensor::from_slice(&numbers((shape[0] * shape[1]) as usize, name)).view(shape)
            };
            let (delta, x) = (tensor("delta", [rows, outputs]), tensor("x", [rows, inputs]));
            let (into, before) = (tensor("into", [outputs, inputs]), tensor("into", [outputs, inputs]));
            let exact = delta.tr().matmul(&x);
            for (add, expected) in [(true, &before + &exact), (false, exact)] {
                product(&into, &delta.tr(), &x, add).unwrap();
                let error = (&into - &expected).abs().max().double_value(&[]);
                assert!(error < 1e-5, "{outputs} {rows} {inputs} {add}: {error}");
            }
        }
        let [into, delta_t, x] = [[3, 5], [3, 4], [6, 5]].map(|shape| Tensor::zeros(shape, (Kind::Float, Device::Cpu)));
        assert!(product(&into, &delta_t, &x, false).is_err(), "factors that do not fit");
    }
}
