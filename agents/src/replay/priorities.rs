//! Proportional prioritised sampling (Schaul et al. 2016, "Prioritized experience replay", section
//! 3.3 and appendix B.2.1).

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Keeps a transition whose error is 0 within reach: ε of section 3.3.
const EPSILON: f64 = 1e-6;

/// Children of a node. 16 sums fill a cache line, so a million leaves are five memory accesses deep
/// rather than twenty.
const FANOUT: usize = 16;

/// Proportional prioritised replay (Schaul et al. 2016).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct PriorityConfig {
    /// Exponent on |δ|: 0 is uniform, 1 fully proportional. Default `0.6` (Schaul et al., section
    /// 4).
    #[garde(range(min = 0.0, max = 1.0))]
    pub alpha: f64,
    /// Exponent of the importance weights: 1 corrects the bias in full. Default `0.4` (Schaul et
    /// al., section 4).
    #[garde(range(min = 0.0, max = 1.0))]
    pub beta: f64,
}

impl Default for PriorityConfig {
    fn default() -> Self {
        Self { alpha: 0.6, beta: 0.4 }
    }
}

/// pᵢ = (|δᵢ| + ε)^α in the leaves of a tree whose inner nodes hold the sums of their children.
///
/// An inner node is always its children added in order, so sums never drift and a tree built anew
/// from the same leaves is the same to the bit.
pub(super) struct Priorities {
    pub(super) config: PriorityConfig,
    /// The leaves first, then each level's sums, up to a root of one node; padded to whole groups
    /// of children.
    levels: Vec<Vec<f32>>,
    /// The largest priority seen: new transitions get it, so that each is drawn early.
    pub(super) largest: f32,
}

impl Priorities {
    pub(super) fn new(capacity: usize, config: PriorityConfig) -> Self {
        let mut levels = vec![vec![0.0; capacity.next_multiple_of(FANOUT)]];
        let mut nodes = capacity;
        while nodes > 1 {
            nodes = nodes.div_ceil(FANOUT);
            levels.push(vec![0.0; if nodes > 1 { nodes.next_multiple_of(FANOUT) } else { 1 }]);
        }
        Self { config, levels, largest: 1.0 }
    }

    pub(super) fn clear(&mut self) {
        self.levels.iter_mut().for_each(|level| level.fill(0.0));
        self.largest = 1.0;
    }

    pub(super) fn get(&self, index: usize) -> f32 {
        self.levels[0][index]
    }

    /// The first `len` leaves.
    pub(super) fn leaves(&self, len: usize) -> &[f32] {
        &self.levels[0][..len]
    }

    /// Fills the first leaves; the rest are zero.
    pub(super) fn restore(&mut self, leaves: &[f32], largest: f32) {
        self.levels[0].fill(0.0);
        self.levels[0][..leaves.len()].copy_from_slice(leaves);
        for level in 1..self.levels.len() {
            let (below, above) = self.levels.split_at_mut(level);
            let groups = below[level - 1].chunks_exact(FANOUT);
            above[0].iter_mut().zip(groups).for_each(|(node, children)| *node = children.iter().sum());
        }
        self.largest = largest;
    }

    pub(super) fn set(&mut self, index: usize, priority: f32) {
        self.levels[0][index] = priority;
        let mut node = index;
        for level in 1..self.levels.len() {
            node /= FANOUT;
            self.levels[level][node] = self.levels[level - 1][node * FANOUT..][..FANOUT].iter().sum();
        }
    }

    pub(super) fn set_new(&mut self, index: usize) {
        self.set(index, self.largest);
    }

    pub(super) fn set_error(&mut self, index: usize, error: f32) {
        let priority = (f64::from(error).abs() + EPSILON).powf(self.config.alpha) as f32;
        self.largest = self.largest.max(priority);
        self.set(index, priority);
    }

    pub(super) fn inherit_largest(&mut self, other: &Self) {
        self.largest = other.largest;
    }

    fn total(&self) -> f64 {
        self.levels.last().map_or(0.0, |root| f64::from(root[0]))
    }

    /// The leaf in which a point of `[0, 1)`, scaled to the total, falls.
    pub(super) fn find(&self, point: f64) -> usize {
        let (mut node, mut mass) = (0, point * self.total());
        for level in self.levels.iter().rev().skip(1) {
            let children = &level[node * FANOUT..][..FANOUT];
            let mut chosen = 0;
            for (child, &sum) in children.iter().enumerate().filter(|(_, sum)| **sum > 0.0) {
                chosen = child;
                if mass < f64::from(sum) {
                    break;
                }
                mass -= f64::from(sum);
            }
            // Where rounding pushed the point past the last child, that child it is: never an empty
            // one.
            node = node * FANOUT + chosen;
        }
        node
    }

    /// (N · Pᵢ)^−β of section 3.4, before it is divided by the batch's largest.
    pub(super) fn weight(&self, index: usize, len: usize) -> f32 {
        let probability = f64::from(self.get(index)) / self.total();
        (len as f64 * probability).powf(-self.config.beta) as f32
    }
}
