//! The top singular pair of small matrices, by Jacobi rotations of the smaller Gram matrix in f64.
//!
//! For a 3 × 11 Jacobian this takes less than a general decomposition, and it allocates nothing.

/// The top singular pair of matrices of one shape.
#[derive(Debug)]
pub struct TopPair {
    rows: usize,
    columns: usize,
    gram: Vec<f64>,
    vectors: Vec<f64>,
    /// u, `[rows]`.
    pub left: Vec<f64>,
    /// v, `[columns]`.
    pub right: Vec<f64>,
}

impl TopPair {
    /// Allocates for matrices of this shape.
    pub fn new(rows: usize, columns: usize) -> Self {
        let n = rows.min(columns);
        let (gram, vectors) = (vec![0.0; n * n], vec![0.0; n * n]);
        Self { rows, columns, gram, vectors, left: vec![0.0; rows], right: vec![0.0; columns] }
    }

    /// Returns ‖A‖₂ of `a [rows, columns]`, row-major, and leaves u and v. Both are 0 for A = 0.
    pub fn of(&mut self, a: &[f32]) -> f64 {
        let (m, n) = (self.rows, self.columns);
        let wide = m <= n;
        let small = m.min(n);
        let at = |i: usize, k: usize| f64::from(if wide { a[i * n + k] } else { a[k * n + i] });
        for i in 0..small {
            for j in 0..=i {
                let product: f64 = (0..m.max(n)).map(|k| at(i, k) * at(j, k)).sum();
                self.gram[i * small + j] = product;
                self.gram[j * small + i] = product;
            }
        }
        let top = jacobi(&mut self.gram, &mut self.vectors, small);
        let norm = self.gram[top * small + top].max(0.0).sqrt();
        let (near, far) = if wide { (&mut self.left, &mut self.right) } else { (&mut self.right, &mut self.left) };
        (0..small).for_each(|i| near[i] = if norm > 0.0 { self.vectors[i * small + top] } else { 0.0 });
        for (k, far) in far.iter_mut().enumerate() {
            *far = if norm > 0.0 { (0..small).map(|i| at(i, k) * near[i]).sum::<f64>() / norm } else { 0.0 };
        }
        norm
    }
}

/// Eigenvalues (on the diagonal) and eigenvectors (columns) of a symmetric matrix by cyclic Jacobi
/// rotations. Returns the index of the largest.
fn jacobi(a: &mut [f64], v: &mut [f64], n: usize) -> usize {
    v.fill(0.0);
    (0..n).for_each(|i| v[i * n + i] = 1.0);
    for _ in 0..30 {
        let (mut off, mut total) = (0.0, 0.0);
        for i in 0..n {
            for j in 0..n {
                total += a[i * n + j] * a[i * n + j];
                off += if i == j { 0.0 } else { a[i * n + j] * a[i * n + j] };
            }
        }
        if off <= 1e-30 * total {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(a, v, n, p, q);
            }
        }
    }
    (0..n).max_by(|&i, &j| a[i * n + i].total_cmp(&a[j * n + j])).unwrap_or(0)
}

/// Makes a[p, q] zero by one rotation (Golub & Van Loan, section 8.5).
fn rotate(a: &mut [f64], v: &mut [f64], n: usize, p: usize, q: usize) {
    let off = a[p * n + q];
    if off == 0.0 {
        return;
    }
    let tau = (a[q * n + q] - a[p * n + p]) / (2.0 * off);
    let t = tau.signum() / (tau.abs() + (1.0 + tau * tau).sqrt());
    let t = if tau == 0.0 { 1.0 } else { t };
    let c = 1.0 / (1.0 + t * t).sqrt();
    let s = t * c;
    for k in 0..n {
        let (kp, kq) = (a[k * n + p], a[k * n + q]);
        (a[k * n + p], a[k * n + q]) = (c * kp - s * kq, s * kp + c * kq);
    }
    for k in 0..n {
        let (pk, qk) = (a[p * n + k], a[q * n + k]);
        (a[p * n + k], a[q * n + k]) = (c * pk - s * qk, s * pk + c * qk);
    }
    for k in 0..n {
        let (kp, kq) = (v[k * n + p], v[k * n + q]);
        (v[k * n + p], v[k * n + q]) = (c * kp - s * kq, s * kp + c * kq);
    }
}

#[cfg(test)]
mod tests {
    use faer::Mat;

    use super::*;
    use crate::{linalg::spectral_norm, testing::numbers};

    #[test]
    fn top_pairs_are_exact_for_any_shape() {
        for (m, n) in [(1, 1), (1, 5), (3, 11), (6, 17), (7, 2), (17, 17)] {
            let a = numbers(m * n, &format!("{m} {n}"));
            let mut pair = TopPair::new(m, n);
            let norm = pair.of(&a);
            let matrix = Mat::from_fn(m, n, |i, j| f64::from(a[i * n + j]));
            assert!((norm - spectral_norm(matrix.as_ref()).unwrap()).abs() < 1e-10 * norm, "{m} {n}");
            let along: f64 = (0..m)
                .flat_map(|i| (0..n).map(move |j| (i, j)))
                .map(|(i, j)| pair.left[i] * f64::from(a[i * n + j]) * pair.right[j])
                .sum();
            assert!((along - norm).abs() < 1e-10 * norm);
        }
        let mut pair = TopPair::new(2, 3);
        assert_eq!((pair.of(&[0.0; 6]), &pair.left[..], &pair.right[..]), (0.0, &[0.0; 2][..], &[0.0; 3][..]));
    }
}
