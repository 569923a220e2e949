//! Sums and products of vectors and rows.

use multiversion::multiversion;

/// Lanes of every sum: enough independent additions to hide their latency, and one AVX-512
/// register.
const LANES: usize = 16;

fn total(lanes: [f32; LANES]) -> f32 {
    lanes.iter().sum()
}

/// Sum, inlined into the loops so that it is compiled for their target.
#[inline(always)]
pub(super) fn sum(x: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for x in chunks {
        for (lane, x) in lanes.iter_mut().zip(x) {
            *lane += x;
        }
    }
    total(lanes) + rest.iter().sum::<f32>()
}

/// Scalar product, inlined likewise.
#[inline(always)]
pub(super) fn product(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for k in 0..LANES {
            lanes[k] += a[k] * b[k];
        }
    }
    total(lanes) + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}

/// Scalar product.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    product(a, b)
}

/// Matrix times vector: `out[i] = weight[i, :]·x`.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
pub fn matvec(weight: &[f32], x: &[f32], out: &mut [f32]) {
    for (row, out) in weight.chunks_exact(x.len()).zip(out) {
        *out = product(row, x);
    }
}

/// Adds `bias` to every row of `z`.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
pub fn add_bias(z: &mut [f32], bias: &[f32]) {
    for row in z.chunks_exact_mut(bias.len()) {
        for (z, b) in row.iter_mut().zip(bias) {
            *z += b;
        }
    }
}

/// Adds the rows of `delta` into `sum`: a bias's gradient.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
pub fn add_rows(delta: &[f32], sum: &mut [f32]) {
    for row in delta.chunks_exact(sum.len()) {
        for (sum, d) in sum.iter_mut().zip(row) {
            *sum += d;
        }
    }
}

/// Adds `part` into `sum`.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
pub fn add(sum: &mut [f32], part: &[f32]) {
    sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
}

/// Sum of squares. Every 4096 numbers the sum is widened to f64, so that a long buffer loses no
/// accuracy.
pub fn sum_of_squares(x: &[f32]) -> f64 {
    x.chunks(4096).map(|block| f64::from(dot(block, block))).sum()
}
