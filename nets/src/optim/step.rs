//! One fused step over flat buffers: gradients summed up, Adam, the target's share of the way.

use std::ops::Range;

use liprl_numerics::kernels::{self, AdamStep};

/// Numbers of the flat buffers worked on at a time, so that a block stays in the first-level cache
/// between its loops.
const BLOCK: usize = 2048;

/// One thread's share of a step: one range of every flat buffer.
pub(super) struct Part<'a> {
    pub(super) params: &'a mut [f32],
    pub(super) m: &'a mut [f32],
    pub(super) v: &'a mut [f32],
    pub(super) sum: &'a mut [f32],
    pub(super) others: Vec<&'a [f32]>,
    pub(super) target: Option<&'a mut [f32]>,
    pub(super) squares: f64,
}

impl Part<'_> {
    /// Ranges that stay in the first-level cache between two loops.
    pub(super) fn blocks(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let len = self.params.len();
        (0..len).step_by(BLOCK).map(move |start| start..(start + BLOCK).min(len))
    }

    /// Adds the threads' gradients up.
    pub(super) fn gather(&mut self, block: Range<usize>) {
        let sum = &mut self.sum[block.clone()];
        for other in &self.others {
            kernels::add(sum, &other[block.clone()]);
        }
        self.squares += kernels::sum_of_squares(sum);
    }

    /// Adam, then the target's share of the way.
    pub(super) fn step(&mut self, block: Range<usize>, step: AdamStep, tau: f32) {
        let params = &mut self.params[block.clone()];
        kernels::adam(params, &mut self.m[block.clone()], &mut self.v[block.clone()], &self.sum[block.clone()], step);
        if let Some(target) = &mut self.target {
            kernels::polyak(&mut target[block], params, tau);
        }
    }
}
