//! Precision of the networks' products on a CPU.
//!
//! In bf16 factors and sums have 8 significant bits, weights, gradients and moments remain f32, and
//! oneDNN adds up in f32: what PyTorch's autocast does on a CPU. Jacobians, penalties of gradients
//! and certificates keep f32.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};

use liprl_numerics::kernels;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::product::Matrix;
use crate::{NetsError, product};

/// Least side and least number of multiplications of products in bf16: below these the conversions
/// cost more than bf16 gains (`cargo bench -p liprl-nets --bench products`).
const NARROWEST: usize = 64;
const SMALLEST: usize = 1 << 21;

static BF16: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// A product and its factors in bf16, as long as the largest so far.
    static HALVES: RefCell<[Option<Tensor>; 3]> = const { RefCell::new([None, None, None]) };
}

/// Precision of the networks' products on a CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 24 significant bits.
    #[default]
    F32,
    /// 8 significant bits, on processors with AVX512-BF16 or AMX.
    Bf16,
}

/// Sets the precision of all products of passes that this process makes from now on.
///
/// # Errors
/// If this processor has no bf16 products.
pub fn set_precision(precision: Precision) -> Result<(), NetsError> {
    if precision == Precision::Bf16 && !has_bf16() {
        return Err(NetsError::bad_config(
            "precision",
            "this processor has neither AVX512-BF16 nor AMX, so bf16 would be slower than f32; leave `precision` out",
        ));
    }
    BF16.store(precision == Precision::Bf16, Ordering::Relaxed);
    Ok(())
}

#[cfg(target_arch = "x86_64")]
fn has_bf16() -> bool {
    std::is_x86_feature_detected!("avx512bf16")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_bf16() -> bool {
    false
}

/// `product` in the process's precision. Small or narrow products are f32.
///
/// # Errors
/// As `product`.
pub fn network_product(into: &Tensor, a: &Tensor, b: &Tensor, add: bool) -> Result<(), NetsError> {
    if BF16.load(Ordering::Relaxed)
        && let [Some(to), Some(left), Some(right)] = [Matrix::of(into)?, Matrix::of(a)?, Matrix::of(b)?]
        && to.holds(&left, &right)
        && pays([left.rows, left.columns, right.columns])
        && let [Some(to), Some(left), Some(right)] = [Lines::of(to), Lines::of(left), Lines::of(right)]
    {
        return in_halves([&to, &left, &right], add);
    }
    product(into, a, b, add)
}

/// True if a product of these sides gains more than the conversions cost.
fn pays(sides: [usize; 3]) -> bool {
    sides.iter().all(|&side| side >= NARROWEST) && sides.iter().product::<usize>() >= SMALLEST
}

fn in_halves([to, left, right]: [&Lines; 3], add: bool) -> Result<(), NetsError> {
    HALVES.with_borrow_mut(|halves| {
        for (half, lines) in halves.iter_mut().zip([to, left, right]) {
            if half.as_ref().is_none_or(|half| half.numel() < lines.len()) {
                *half = Some(Tensor::f_zeros([lines.len() as i64], (Kind::BFloat16, Device::Cpu))?);
            }
        }
        let [Some(sum), Some(a), Some(b)] = halves else { return Ok(()) };
        left.read_into(a);
        right.read_into(b);
        let sum_as_matrix = to.shape(sum)?;
        let _ = left.shape(a)?.f_mm_out(&sum_as_matrix, &right.shape(b)?)?;
        to.write_from(sum, add);
        Ok(())
    })
}

/// A matrix whose rows, or columns where it is transposed, are each in one piece.
struct Lines {
    first: *mut f32,
    count: usize,
    length: usize,
    /// From a line's first number to the next line's.
    apart: isize,
    transposed: bool,
}

impl Lines {
    fn of(matrix: Matrix) -> Option<Self> {
        let Matrix { first, rows, columns, strides: [down, right] } = matrix;
        if right == 1 {
            Some(Self { first, count: rows, length: columns, apart: down, transposed: false })
        } else if down == 1 {
            Some(Self { first, count: columns, length: rows, apart: right, transposed: true })
        } else {
            None
        }
    }

    fn len(&self) -> usize {
        self.count * self.length
    }

    /// Each line's place in the matrix and its numbers in `half`.
    fn pairs<'a>(&self, half: &'a Tensor) -> impl Iterator<Item = (*mut f32, &'a mut [u16])> {
        // SAFETY: `half` is contiguous, of bf16, has at least `len` numbers, and is this thread's.
        let numbers = unsafe { std::slice::from_raw_parts_mut(half.data_ptr().cast::<u16>(), self.len()) };
        // Lines without gaps are one.
        let length = if self.apart == self.length as isize { self.len() } else { self.length };
        let (first, apart) = (self.first, self.apart);
        let lines = numbers.chunks_exact_mut(length.max(1)).enumerate();
        lines.map(move |(i, half)| (first.wrapping_offset(i as isize * apart), half))
    }

    fn read_into(&self, half: &Tensor) {
        for (line, half) in self.pairs(half) {
            // SAFETY: a tensor's own numbers, which nothing writes meanwhile.
            kernels::to_bf16(unsafe { std::slice::from_raw_parts(line.cast_const(), half.len()) }, half);
        }
    }

    fn write_from(&self, half: &Tensor, add: bool) {
        for (line, half) in self.pairs(half) {
            // SAFETY: a tensor's own numbers, which nothing else uses meanwhile.
            let line = unsafe { std::slice::from_raw_parts_mut(line, half.len()) };
            if add { kernels::add_bf16(half, line) } else { kernels::from_bf16(half, line) }
        }
    }

    /// The first numbers of `half` as a matrix of this shape.
    fn shape(&self, half: &Tensor) -> Result<Tensor, NetsError> {
        let (count, length) = (self.count as i64, self.length as i64);
        let strides = if self.transposed { [1, length] } else { [length, 1] };
        let size = if self.transposed { [length, count] } else { [count, length] };
        Ok(half.f_as_strided(size, strides, 0)?)
    }
}

#[cfg(test)]
mod tests {
    use liprl_numerics::testing::numbers;

    use super::*;

    #[test]
    fn conversions_are_libtorchs() {
        let special = [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN_POSITIVE, 1e-42];
        let ties = (0..64).map(|i| f32::from_bits(0x3f80_8000 + (i << 15)));
        let from: Vec<f32> = special.into_iter().chain(ties).chain(numbers(1000, "bf16")).collect();
        let theirs = Tensor::from_slice(&from).to_kind(Kind::BFloat16).to_kind(Kind::Float);
        let (mut half, mut back) = (vec![0; from.len()], vec![0.0; from.len()]);
        kernels::to_bf16(&from, &mut half);
        kernels::from_bf16(&half, &mut back);
        assert_eq!(back, Vec::<f32>::try_from(theirs).unwrap());
        kernels::to_bf16(&[f32::from_bits(0x7fff_ffff)], &mut half);
        kernels::from_bf16(&half[..1], &mut back);
        assert!(back[0].is_nan());
    }

    /// bf16 keeps 8 bits, so a rounded sum is off by 2⁻⁸ of itself at most.
    #[test]
    fn halves_are_the_product_of_rounded_factors() {
        tch::set_num_threads(1);
        for (m, k, n, add) in [(70, 100, 64, false), (64, 64, 90, true), (256, 130, 70, false)] {
            let tensor = |name: &str, rows: i64, columns: i64| {
                Tensor::from_slice(&numbers((rows * columns) as usize, name)).view([rows, columns])
            };
            let rounded = |x: &Tensor| x.to_kind(Kind::BFloat16).to_kind(Kind::Double);
            let lines = |x: &Tensor| Lines::of(Matrix::of(x).unwrap().unwrap()).unwrap();
            let (a, a_t, b, b_t) = (tensor("a", m, k), tensor("a_t", k, m), tensor("b", k, n), tensor("b_t", n, k));
            let wide = tensor("wide", m, k + 5).narrow(1, 3, k);
            for (a, b) in [(&a, &b), (&a_t.tr(), &b), (&a, &b_t.tr()), (&a_t.tr(), &b_t.tr()), (&wide, &b)] {
                let into = tensor("into", m, n);
                let sum = rounded(a).matmul(&rounded(b));
                let expected = if add { &sum + into.to_kind(Kind::Double) } else { sum.copy() };
                in_halves([&lines(&into), &lines(a), &lines(b)], add).unwrap();
                let error = (into.to_kind(Kind::Double) - expected).abs();
                let allowed = sum.abs() * 2f64.powi(-8) + 1e-5;
                assert!((error - allowed).max().double_value(&[]) < 0.0, "{m} {k} {n} {add}");
            }
        }
    }
}
