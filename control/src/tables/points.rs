//! State–action pairs in f64 for the oracle, the graph and the extension, and the error that they
//! force on any α-Lipschitz policy ([`Pair`]).

use std::collections::HashMap;

use liprl_numerics::neighbours::distance;

use crate::{
    bounds::{Pair, forced_error},
    error::ControlError,
};

/// N pairs (x, u). Arrays are flat and row-major, in the environment's units.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Points {
    /// Observations, `[N, O]`.
    pub x: Vec<f64>,
    /// Actions, `[N, A]`.
    pub u: Vec<f64>,
    /// Numbers in an observation, O.
    pub obs_dim: usize,
    /// Numbers in an action, A.
    pub act_dim: usize,
}

impl Points {
    /// Number of pairs, N.
    pub fn len(&self) -> usize {
        self.x.len() / self.obs_dim.max(1)
    }

    /// True if there are no pairs.
    pub fn is_empty(&self) -> bool {
        self.x.is_empty()
    }

    /// Observation `i`, `[O]`.
    pub fn x(&self, i: usize) -> &[f64] {
        &self.x[i * self.obs_dim..][..self.obs_dim]
    }

    /// Action `i`, `[A]`.
    pub fn u(&self, i: usize) -> &[f64] {
        &self.u[i * self.act_dim..][..self.act_dim]
    }

    /// For each row the first row with an equal observation; the row itself if none precedes it.
    pub fn first_alike(&self) -> Vec<usize> {
        let mut seen: HashMap<Vec<u64>, usize> = HashMap::with_capacity(self.len());
        let key = |i: usize| self.x(i).iter().map(|&x| if x == 0.0 { 0 } else { x.to_bits() }).collect();
        (0..self.len()).map(|i| *seen.entry(key(i)).or_insert(i)).collect()
    }

    /// Among rows with equal observations, the row whose action is furthest from the first one's,
    /// with that first row.
    pub fn worst_duplicate(&self) -> Option<Pair> {
        let alike = self.first_alike();
        let pairs = alike.iter().enumerate().filter(|(i, first)| i != *first).map(|(i, &first)| Pair {
            rows: (first, i),
            states_apart: 0.0,
            actions_apart: distance(self.u(first), self.u(i)),
        });
        pairs.max_by(|a, b| a.actions_apart.total_cmp(&b.actions_apart))
    }

    /// The pair that forces the largest error on an α-Lipschitz policy; `None` if none forces any.
    ///
    /// # Errors
    /// As [`forced_error`].
    pub fn worst_pair(&self, alpha: f64) -> Result<Option<Pair>, ControlError> {
        forced_error(&self.x, &self.u, self.obs_dim, self.act_dim, alpha)
    }

    /// One row for each observation with the mean of its actions, and the number of rows that it
    /// stands for.
    pub fn merged(&self) -> (Self, Vec<f64>) {
        let alike = self.first_alike();
        let (mut index, mut counts) = (vec![0; self.len()], Vec::new());
        let mut merged = Self { x: Vec::new(), u: Vec::new(), ..*self };
        for (i, &first) in alike.iter().enumerate() {
            if first == i {
                index[i] = counts.len();
                counts.push(1.0);
                merged.x.extend_from_slice(self.x(i));
                merged.u.extend_from_slice(self.u(i));
            } else {
                let to = index[first];
                counts[to] += 1.0;
                let mean = &mut merged.u[to * self.act_dim..][..self.act_dim];
                mean.iter_mut().zip(self.u(i)).for_each(|(mean, u)| *mean += (u - *mean) / counts[to]);
            }
        }
        (merged, counts)
    }

    /// (1/N) Σ ‖values − u‖² for the values `[N, A]`.
    pub fn mse(&self, values: &[f64]) -> f64 {
        self.u.iter().zip(values).map(|(u, v)| (u - v).powi(2)).sum::<f64>() / self.len() as f64
    }
}

/// The largest ‖vᵢ − vⱼ‖/‖xᵢ − xⱼ‖ over all pairs: the least constant with which these values
/// extend to the whole space. Infinite if two rows have one x and different values.
pub fn slope(x: &[f64], obs_dim: usize, values: &[f64], act_dim: usize) -> f64 {
    let rows = x.len() / obs_dim.max(1);
    let mut largest = 0.0f64;
    for i in 0..rows {
        for j in 0..i {
            let difference = distance(&values[i * act_dim..][..act_dim], &values[j * act_dim..][..act_dim]);
            if difference > 0.0 {
                largest =
                    largest.max(difference / distance(&x[i * obs_dim..][..obs_dim], &x[j * obs_dim..][..obs_dim]));
            }
        }
    }
    largest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_pair_and_its_error_by_hand() {
        let points = Points { x: vec![0.0, 1.0, 3.0], u: vec![0.0, 4.0, 1.0], obs_dim: 1, act_dim: 1 };
        // α = 1: (4 − 1)/2 between the first two, (3 − 2)/2 between the last two.
        let worst = points.worst_pair(1.0).unwrap().unwrap();
        let forced = worst.forced_error(1.0);
        assert_eq!((worst.rows, worst.states_apart, worst.actions_apart, forced), ((0, 1), 1.0, 4.0, 1.5));
        assert_eq!(points.worst_pair(5.0).unwrap(), None);
        assert_eq!(slope(&points.x, 1, &points.u, 1), 4.0);
    }

    #[test]
    fn equal_observations_are_merged_by_the_mean() {
        let points = Points { x: vec![0.0, 1.0, -0.0, 0.0, 1.0, 1.0], u: vec![1.0, 2.0, 4.0], obs_dim: 2, act_dim: 1 };
        // The first and second differ by the sign of a zero alone; the third does not.
        assert_eq!(points.first_alike(), [0, 1, 2]);
        let points = Points { x: vec![0.0, 1.0, -0.0, 1.0, 1.0, 1.0], ..points };
        let (merged, counts) = points.merged();
        assert_eq!((merged.x, merged.u, counts), (vec![0.0, 1.0, 1.0, 1.0], vec![1.5, 4.0], vec![2.0, 1.0]));
        let worst = points.worst_duplicate().unwrap();
        assert_eq!((worst.rows, worst.forced_error(7.0)), ((0, 1), 0.5));
    }
}
