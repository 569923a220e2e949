//! max_min written by ReLUs: (max, min) of a pair is (z₂ + r, z₁ − r) with r = relu(z₁ − z₂).
//!
//! So a layer's units are carried along, swapped in pairs, beside one ReLU for each pair, and the next
//! weight has for the ReLU the difference of the pair's two columns. Everything that bounds ReLU
//! networks bounds these, except the product of norms, which takes the weights as they were. The
//! differences of 32-bit weights are exact in f64 unless the weights are 2²⁹ apart.

use faer::Mat;

/// Writes the max_min behind every layer but the last by ReLUs. `carried` takes the number of units
/// carried along in each hidden layer: those there were, an even number.
pub(super) fn by_relus(weights: &mut [Mat<f64>], biases: &mut [Vec<f64>], carried: &mut [usize]) {
    for (k, (weight, bias)) in weights.iter_mut().zip(biases).enumerate() {
        if k > 0 {
            let (old, n) = (weight.clone(), weight.ncols());
            *weight = Mat::from_fn(old.nrows(), n + n / 2, |i, j| match j.checked_sub(n) {
                None => old[(i, j)],
                Some(pair) => old[(i, 2 * pair)] - old[(i, 2 * pair + 1)],
            });
        }
        if let Some(carried) = carried.get_mut(k) {
            let (old, n) = (weight.clone(), weight.nrows());
            *weight = Mat::from_fn(n + n / 2, old.ncols(), |i, j| match i.checked_sub(n) {
                None => old[(i ^ 1, j)],
                Some(pair) => old[(2 * pair, j)] - old[(2 * pair + 1, j)],
            });
            let of = |i: usize| if i < n { bias[i ^ 1] } else { bias[2 * (i - n)] - bias[2 * (i - n) + 1] };
            *bias = (0..n + n / 2).map(of).collect();
            *carried = n;
        }
    }
}
