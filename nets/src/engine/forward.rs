//! A network's outputs alone, for any number of rows up to a capacity: blocks of rows go through two
//! buffers in turn, and nothing is kept for a backward pass.

use liprl_numerics::{ActivationCache, Mlp};
use tch::Tensor;

use super::Weights;
use crate::{Buffer, NetsError};

/// Rows that go through all layers together, few enough for their values to stay in the cache.
const BLOCK: usize = 512;

/// Buffers for up to `capacity` rows through one network.
#[derive(Debug)]
pub struct Forward {
    mlp: Mlp,
    /// Hidden layers write them in turn.
    buffers: [Buffer; 2],
    /// Each hidden layer's output of a block, `[block, outputs]`, in its buffer.
    hidden: Vec<Tensor>,
    /// The network's output, `[capacity, outputs]`.
    output: Buffer,
    capacity: usize,
    /// LayerNorm's by-products of a block.
    hat: Vec<f32>,
    rstd: Vec<f32>,
}

impl Forward {
    /// Allocates for `capacity` rows through `mlp`.
    pub fn new(mlp: &Mlp, capacity: usize) -> Result<Self, NetsError> {
        let block = capacity.min(BLOCK);
        let widest = mlp.layers.iter().map(|layer| layer.outputs).max().unwrap_or(0);
        let buffers = [Buffer::zeros(&[block * widest])?, Buffer::zeros(&[block * widest])?];
        let hidden = (mlp.layers[..mlp.layers.len() - 1].iter().enumerate())
            .map(|(i, layer)| {
                let (rows, outputs) = (block as i64, layer.outputs as i64);
                Ok(buffers[i % 2].tensor().f_narrow(0, 0, rows * outputs)?.f_view([rows, outputs])?)
            })
            .collect::<Result<_, NetsError>>()?;
        let scratch = if mlp.layer_norm { block * widest } else { 0 };
        let rstd = vec![0.0; if mlp.layer_norm { block } else { 0 }];
        let output = Buffer::zeros(&[capacity, mlp.outputs()])?;
        Ok(Self { mlp: mlp.clone(), buffers, hidden, output, capacity, hat: vec![0.0; scratch], rstd })
    }

    /// Most rows of a run.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Maps `x [rows, inputs]` to `[rows, outputs]`, row-major; `rows` is at most the capacity.
    pub fn run(&mut self, weights: &Weights, x: &Tensor) -> Result<&[f32], NetsError> {
        let (rows, params) = (x.size2()?.0 as usize, weights.params());
        for start in (0..rows).step_by(BLOCK) {
            let n = BLOCK.min(rows - start);
            let mut input = x.f_narrow(0, start as i64, n as i64)?;
            for (i, layer) in self.mlp.layers.iter().enumerate() {
                let (out, z) = match self.hidden.get(i) {
                    Some(hidden) => (hidden.f_narrow(0, 0, n as i64)?, self.buffers[i % 2].slice_mut()),
                    None => {
                        let out = self.output.tensor().f_narrow(0, start as i64, n as i64)?;
                        (out, &mut self.output.slice_mut()[start * layer.outputs..])
                    }
                };
                weights.multiply_into(i, &input, &out)?;
                let z = &mut z[..n * layer.outputs];
                let scratch = self.hat.len().min(z.len());
                let (hat, rstd) = (&mut self.hat[..scratch], &mut self.rstd);
                layer.activate(params, self.mlp.activation, z, ActivationCache { hat, rstd, input: &mut [] });
                input = out;
            }
        }
        Ok(self.output(rows))
    }

    /// The first `rows` rows of the last run's output.
    pub fn output(&self, rows: usize) -> &[f32] {
        &self.output.slice()[..rows * self.mlp.outputs()]
    }
}

#[cfg(test)]
mod tests {
    use liprl_numerics::testing::numbers;

    use super::*;
    use crate::{
        Autograd,
        testing::{assert_gradient, networks},
    };

    #[test]
    fn outputs_are_those_of_the_autograd_form_for_any_number_of_rows() {
        tch::set_num_threads(1);
        for net in networks() {
            let mlp = Mlp::new(7, &net.hidden, 3, net.activation, net.layer_norm, net.init);
            let mut params = Buffer::zeros(&[mlp.len()]).unwrap();
            params.slice_mut().copy_from_slice(&numbers(mlp.len(), "forward"));
            let (weights, mut forward) = (Weights::new(&mlp, &params, 0), Forward::new(&mlp, 1100).unwrap());
            for rows in [37, 1, 1100, 512, 20] {
                let x = Tensor::from_slice(&numbers(rows * 7, "rows")).view([rows as i64, 7]);
                let by_hand = forward.run(&weights, &x).unwrap();
                assert_gradient(by_hand, &mlp.forward(params.tensor(), &x).flatten(0, -1));
            }
        }
    }
}
