//! Matrix products of the hand-written passes.
//!
//! MKL, which is libtorch's, keeps to AVX2 on AMD's processors: where they have AVX-512 faer is
//! twice as fast, where they have not as fast, and several times as fast for the narrow matrices of
//! first layers (`docs/performance.md`).

use faer::{Accum, MatMut, MatRef, Par, linalg::matmul::matmul};
use tch::{Device, Kind, Tensor};

use crate::NetsError;

/// `into = a b`, or with `add` `into += a b`: a `[m, k]`, b `[k, n]`, into `[m, n]`, of any
/// strides. On this thread, by faer where all are f32 on the CPU and by libtorch elsewhere. Factors
/// that share memory with `into` are copied first.
///
/// # Errors
/// Sizes that do not fit, and what else libtorch refuses.
pub fn product(into: &Tensor, a: &Tensor, b: &Tensor, add: bool) -> Result<(), NetsError> {
    let [Some(to), Some(left), Some(right)] = [Matrix::of(into)?, Matrix::of(a)?, Matrix::of(b)?] else {
        return by_libtorch(into, a, b, add);
    };
    if !to.holds(&left, &right) {
        return by_libtorch(into, a, b, add); // which says what does not fit
    }
    if to.overlaps(&left) || to.overlaps(&right) {
        return product(into, &a.copy(), &b.copy(), add);
    }
    let how = if add { Accum::Add } else { Accum::Replace };
    // SAFETY: the tensors are alive during the call, and `into` is apart from its factors.
    unsafe { matmul(to.view_mut(), how, left.view(), right.view(), 1.0, Par::Seq) };
    Ok(())
}

fn by_libtorch(into: &Tensor, a: &Tensor, b: &Tensor, add: bool) -> Result<(), NetsError> {
    let _ = match add {
        true => into.f_addmm_out(into, a, b)?, // the handle it returns is `into` again
        false => a.f_mm_out(into, b)?,
    };
    Ok(())
}

/// The place of a tensor's numbers in memory.
pub(crate) struct Matrix {
    pub(crate) first: *mut f32,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) strides: [isize; 2],
}

impl Matrix {
    /// `None` but for f32 on the CPU.
    pub(crate) fn of(tensor: &Tensor) -> Result<Option<Self>, NetsError> {
        if tensor.kind() != Kind::Float || tensor.device() != Device::Cpu {
            return Ok(None);
        }
        let ((rows, columns), strides) = (tensor.size2()?, tensor.stride());
        Ok(Some(Self {
            first: tensor.data_ptr().cast(),
            rows: rows as usize,
            columns: columns as usize,
            strides: [strides[0] as isize, strides[1] as isize],
        }))
    }

    /// True if it has the shape of the product of these, and they have one.
    pub(crate) fn holds(&self, left: &Self, right: &Self) -> bool {
        left.columns == right.rows && (self.rows, self.columns) == (left.rows, right.columns)
    }

    /// True if any number of one may lie between the first and the last of the other.
    fn overlaps(&self, other: &Self) -> bool {
        self.first <= other.last() && other.first <= self.last()
    }

    fn last(&self) -> *mut f32 {
        let [down, right] = self.strides;
        self.first.wrapping_offset(
            self.rows.saturating_sub(1) as isize * down + self.columns.saturating_sub(1) as isize * right,
        )
    }

    /// # Safety
    /// The tensor outlives the view, and nothing writes to it meanwhile.
    unsafe fn view<'a>(&self) -> MatRef<'a, f32> {
        let [down, right] = self.strides;
        // SAFETY: a tensor's own size and strides; the rest is the caller's.
        unsafe { MatRef::from_raw_parts(self.first.cast_const(), self.rows, self.columns, down, right) }
    }

    /// # Safety
    /// As `view`; and nothing else reads it meanwhile.
    unsafe fn view_mut<'a>(&self) -> MatMut<'a, f32> {
        let [down, right] = self.strides;
        // SAFETY: a tensor's own size and strides; the rest is the caller's.
        unsafe { MatMut::from_raw_parts_mut(self.first, self.rows, self.columns, down, right) }
    }
}

#[cfg(test)]
mod tests {
    use liprl_numerics::testing::numbers;

    use super::*;

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
        let square = Tensor::from_slice(&numbers(16, "square")).view([4, 4]);
        let expected = square.matmul(&square);
        product(&square, &square.shallow_clone(), &square.tr().tr(), false).unwrap();
        assert!((&square - expected).abs().max().double_value(&[]) < 1e-6, "one that is its own factors");
    }
}
