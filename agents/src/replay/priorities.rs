//! Proportional prioritised sampling (Schaul et al. 2016, "Prioritized experience replay", section 3.3 and appendix B.2.1).

use crate::actor_critic::PriorityConfig;

/// Keeps a transition whose error is 0 within reach: ε of section 3.3.
const EPSILON: f64 = 1e-6;

/// pᵢ = (|δᵢ| + ε)^α in the leaves of a binary tree whose inner nodes hold the sums of their children.
///
/// Every inner node is always exactly its left child plus its right one, so sums never drift and a tree built anew from
/// the same leaves is the same to the bit.
pub(super) struct Priorities {
    pub(super) config: PriorityConfig,
    /// Node 1 is the root, node i has children 2i and 2i + 1; the leaves are the second half.
    tree: Vec<f32>,
    /// The largest priority seen: new transitions get it, so that each is drawn early.
    pub(super) largest: f32,
}

impl Priorities {
    pub(super) fn new(capacity: usize, config: PriorityConfig) -> Self {
        Self { config, tree: vec![0.0; 2 * capacity.next_power_of_two()], largest: 1.0 }
    }

    pub(super) fn clear(&mut self) {
        self.tree.fill(0.0);
        self.largest = 1.0;
    }

    pub(super) fn get(&self, index: usize) -> f32 {
        self.tree[self.tree.len() / 2 + index]
    }

    /// The first `len` leaves.
    pub(super) fn leaves(&self, len: usize) -> &[f32] {
        &self.tree[self.tree.len() / 2..][..len]
    }

    /// Fills the first leaves; the rest are zero.
    pub(super) fn restore(&mut self, leaves: &[f32], largest: f32) {
        let first_leaf = self.tree.len() / 2;
        self.tree[first_leaf..].fill(0.0);
        self.tree[first_leaf..][..leaves.len()].copy_from_slice(leaves);
        for node in (1..first_leaf).rev() {
            self.tree[node] = self.tree[2 * node] + self.tree[2 * node + 1];
        }
        self.largest = largest;
    }

    pub(super) fn set(&mut self, index: usize, priority: f32) {
        let mut node = self.tree.len() / 2 + index;
        self.tree[node] = priority;
        while node > 1 {
            node /= 2;
            self.tree[node] = self.tree[2 * node] + self.tree[2 * node + 1];
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

    /// The leaf in which a point of `[0, 1)`, scaled to the total, falls.
    pub(super) fn find(&self, point: f64) -> usize {
        let first_leaf = self.tree.len() / 2;
        let (mut node, mut mass) = (1, (point * f64::from(self.tree[1])) as f32);
        while node < first_leaf {
            let (left, right) = (self.tree[2 * node], self.tree[2 * node + 1]);
            // Rounding may push the point past the total: never walk into an empty half.
            if mass < left || right <= 0.0 {
                node *= 2;
            } else {
                mass -= left;
                node = 2 * node + 1;
            }
        }
        node - first_leaf
    }

    /// (N · Pᵢ)^−β of section 3.4, before it is divided by the batch's largest.
    pub(super) fn weight(&self, index: usize, len: usize) -> f32 {
        let probability = f64::from(self.get(index)) / f64::from(self.tree[1]);
        (len as f64 * probability).powf(-self.config.beta) as f32
    }
}
