//! Row-major matrices with the few operations that a system needs. Decompositions are left to the
//! control code.

/// A matrix of f64, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// Number of rows.
    pub rows: usize,
    /// Numbers in a row.
    pub columns: usize,
    /// `rows · columns` numbers, row by row.
    pub values: Vec<f64>,
}

impl Matrix {
    /// The matrix of these rows; `None` if their lengths differ or there are no entries.
    pub fn from_rows(rows: &[&[f64]]) -> Option<Self> {
        let columns = rows.first()?.len();
        let whole = columns > 0 && rows.iter().all(|row| row.len() == columns);
        whole.then(|| Self { rows: rows.len(), columns, values: rows.concat() })
    }

    /// The matrix of zeros.
    pub fn zeros(rows: usize, columns: usize) -> Self {
        Self { rows, columns, values: vec![0.0; rows * columns] }
    }

    /// These numbers on the diagonal, zeros elsewhere.
    pub fn diagonal(diagonal: &[f64]) -> Self {
        let n = diagonal.len();
        let mut matrix = Self::zeros(n, n);
        diagonal.iter().enumerate().for_each(|(i, x)| matrix.values[i * n + i] = *x);
        matrix
    }

    /// A single column.
    pub fn column(values: &[f64]) -> Self {
        Self { rows: values.len(), columns: 1, values: values.to_vec() }
    }

    /// Row `i`.
    pub fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.columns..(i + 1) * self.columns]
    }

    /// The entry in row `i` and column `j`.
    pub fn at(&self, i: usize, j: usize) -> f64 {
        self.values[i * self.columns + j]
    }

    /// Adds `self · x` to `out`.
    pub fn multiply_add(&self, x: &[f64], out: &mut [f64]) {
        for (out, row) in out.iter_mut().zip(self.values.chunks_exact(self.columns)) {
            *out += row.iter().zip(x).map(|(a, x)| a * x).sum::<f64>();
        }
    }

    /// `self · other`.
    fn times(&self, other: &Self) -> Self {
        let mut product = Self::zeros(self.rows, other.columns);
        for i in 0..self.rows {
            for k in 0..self.columns {
                let (a, row) = (self.at(i, k), other.row(k));
                let out = &mut product.values[i * other.columns..(i + 1) * other.columns];
                out.iter_mut().zip(row).for_each(|(out, b)| *out += a * b);
            }
        }
        product
    }

    /// True if the matrix equals its transpose up to rounding.
    pub(crate) fn is_symmetric(&self) -> bool {
        let size = self.values.iter().fold(0.0f64, |size, x| size.max(x.abs()));
        self.rows == self.columns
            && (0..self.rows).all(|i| (0..i).all(|j| (self.at(i, j) - self.at(j, i)).abs() <= 1e-12 * size))
    }

    /// True if the matrix is positive definite once `shift` times its largest entry is added to the
    /// diagonal. Symmetry is assumed; Cholesky's pivots decide.
    pub(crate) fn is_positive_definite(&self, shift: f64) -> bool {
        let n = self.rows;
        let size = self.values.iter().fold(0.0f64, |size, x| size.max(x.abs()));
        let mut factor = Self::zeros(n, n);
        for i in 0..n {
            for j in 0..=i {
                let dot: f64 = (0..j).map(|k| factor.at(i, k) * factor.at(j, k)).sum();
                let rest = self.at(i, j) - dot + if i == j { shift * size } else { 0.0 };
                factor.values[i * n + j] = match i == j {
                    true if rest > 0.0 => rest.sqrt(),
                    true => return size == 0.0 && shift > 0.0,
                    false => rest / factor.at(j, j),
                };
            }
        }
        true
    }

    /// The matrix exponential: Taylor's series after scaling to a norm of at most ½, then squaring.
    /// Eighteen terms leave less than 1e-21.
    fn exp(&self) -> Self {
        let norm = (0..self.rows).map(|i| self.row(i).iter().map(|x| x.abs()).sum()).fold(0.0f64, f64::max);
        let squarings = if norm > 0.5 { (norm / 0.5).log2().ceil() as i32 } else { 0 };
        let scaled = Self { values: self.values.iter().map(|x| x * 0.5f64.powi(squarings)).collect(), ..*self };
        let mut sum = Self::diagonal(&vec![1.0; self.rows]);
        let mut term = sum.clone();
        for k in 1..=18 {
            term = term.times(&scaled);
            term.values.iter_mut().for_each(|x| *x /= f64::from(k));
            sum.values.iter_mut().zip(&term.values).for_each(|(sum, x)| *sum += x);
        }
        (0..squarings).fold(sum, |power, _| power.times(&power))
    }

    /// The discrete system of ẋ = A x + B u over `dt` seconds of a held input: e^{A dt} and ∫₀^dt
    /// e^{As} ds B. Both are blocks of the exponential of `[A B; 0 0] dt`.
    pub(crate) fn hold(a: &Self, b: &Self, dt: f64) -> (Self, Self) {
        let (n, size) = (a.rows, a.rows + b.columns);
        let mut both = Self::zeros(size, size);
        for i in 0..n {
            both.values[i * size..i * size + n].copy_from_slice(a.row(i));
            both.values[i * size + n..(i + 1) * size].copy_from_slice(b.row(i));
        }
        both.values.iter_mut().for_each(|x| *x *= dt);
        let both = both.exp();
        let part = |from: usize, to: usize| Self {
            rows: n,
            columns: to - from,
            values: (0..n).flat_map(|i| both.row(i)[from..to].to_vec()).collect(),
        };
        (part(0, n), part(n, size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_input_does_what_the_differential_equation_says() {
        // ẍ = u from rest: ½ u dt², u dt; the exponential of a rotation's generator is a rotation.
        let a = Matrix::from_rows(&[&[0.0, 1.0], &[0.0, 0.0]]).unwrap();
        let (discrete, input) = Matrix::hold(&a, &Matrix::column(&[0.0, 1.0]), 0.1);
        for (found, expected) in
            discrete.values.iter().chain(&input.values).zip([1.0, 0.1, 0.0, 1.0, 0.5 * 0.1f64 * 0.1, 0.1])
        {
            assert!((found - expected).abs() < 1e-16, "{found} {expected}");
        }
        let turn = 7.3f64;
        let exp = Matrix::from_rows(&[&[0.0, turn], &[-turn, 0.0]]).unwrap().exp();
        let (sin, cos) = turn.sin_cos();
        for (found, expected) in exp.values.iter().zip([cos, sin, -sin, cos]) {
            assert!((found - expected).abs() < 1e-13, "{found} {expected}");
        }
    }

    #[test]
    fn definiteness_is_told_apart_from_semidefiniteness() {
        let of = |rows: &[&[f64]]| Matrix::from_rows(rows).unwrap();
        assert!(of(&[&[2.0, 1.0], &[1.0, 2.0]]).is_positive_definite(0.0));
        let edge = of(&[&[1.0, 1.0], &[1.0, 1.0]]);
        assert!(!edge.is_positive_definite(0.0) && edge.is_positive_definite(1e-9));
        assert!(!of(&[&[1.0, 2.0], &[2.0, 1.0]]).is_positive_definite(1e-9));
        assert!(Matrix::zeros(2, 2).is_positive_definite(1e-9) && !Matrix::zeros(2, 2).is_positive_definite(0.0));
    }
}
