//! Numbers that a model holds.

/// Numbers that the model holds.
#[derive(Clone, Debug)]
pub(super) struct Array {
    pub(super) shape: Vec<usize>,
    pub(super) numbers: Vec<f64>,
}

impl Array {
    /// The array with rows for columns; `None` if it has another number of dimensions than two.
    pub(super) fn transposed(self) -> Option<Self> {
        let &[rows, columns] = &self.shape[..] else { return None };
        let numbers = (0..rows * columns).map(|at| self.numbers[at % rows * columns + at / rows]).collect();
        Some(Self { shape: vec![columns, rows], numbers })
    }
}

/// Numbers for each of `count` coordinates; one number stands for all.
pub(super) fn spread(numbers: &[f64], count: usize) -> Option<Vec<f64>> {
    match numbers {
        [one] => Some(vec![*one; count]),
        _ if numbers.len() == count => Some(numbers.to_vec()),
        _ => None,
    }
}
