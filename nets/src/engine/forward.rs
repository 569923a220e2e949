//! A network's outputs alone, for any number of rows up to a capacity: two buffers in turn, nothing
//! kept for a backward pass.

use liprl_numerics::{ActivationCache, Mlp};
use tch::Tensor;

use super::Weights;
use crate::{Buffer, NetsError};

/// Buffers for up to `capacity` rows through one network.
#[derive(Debug)]
pub struct Forward {
    mlp: Mlp,
    /// Layers write them in turn.
    buffers: [Buffer; 2],
    /// Each layer's output `[capacity, outputs]` in its buffer.
    outs: Vec<Tensor>,
    capacity: usize,
    /// LayerNorm's by-products.
    hat: Vec<f32>,
    rstd: Vec<f32>,
}

impl Forward {
    /// Allocates for `capacity` rows through `mlp`.
    pub fn new(mlp: &Mlp, capacity: usize) -> Result<Self, NetsError> {
        let widest = mlp.layers.iter().map(|layer| layer.outputs).max().unwrap_or(0);
        let buffers = [Buffer::zeros(&[capacity * widest])?, Buffer::zeros(&[capacity * widest])?];
        let outs = (mlp.layers.iter().enumerate())
            .map(|(i, layer)| {
                let (rows, outputs) = (capacity as i64, layer.outputs as i64);
                Ok(buffers[i % 2].tensor().f_narrow(0, 0, rows * outputs)?.f_view([rows, outputs])?)
            })
            .collect::<Result<_, NetsError>>()?;
        let scratch = if mlp.layer_norm { capacity * widest } else { 0 };
        let rstd = vec![0.0; if mlp.layer_norm { capacity } else { 0 }];
        Ok(Self { mlp: mlp.clone(), buffers, outs, capacity, hat: vec![0.0; scratch], rstd })
    }

    /// Most rows of a run.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Maps `x [rows, inputs]` to `[rows, outputs]`, row-major; `rows` is at most the capacity.
    pub fn run(&mut self, weights: &Weights, x: &Tensor) -> Result<&[f32], NetsError> {
        let (rows, params) = (x.size2()?.0, weights.params());
        let n = rows as usize;
        let mut input = x.shallow_clone();
        for (i, layer) in self.mlp.layers.iter().enumerate() {
            let out = self.outs[i].f_narrow(0, 0, rows)?;
            weights.multiply_into(i, &input, &out)?;
            let z = &mut self.buffers[i % 2].slice_mut()[..n * layer.outputs];
            let scratch = self.hat.len().min(z.len());
            let (hat, rstd) = (&mut self.hat[..scratch], &mut self.rstd);
            layer.activate(params, self.mlp.activation, z, ActivationCache { hat, rstd, input: &mut [] });
            input = out;
        }
        Ok(self.output(n))
    }

    /// The first `rows` rows of the last run's output.
    pub fn output(&self, rows: usize) -> &[f32] {
        let last = self.mlp.layers.len() - 1;
        &self.buffers[last % 2].slice()[..rows * self.mlp.outputs()]
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
            let (weights, mut forward) = (Weights::new(&mlp, &params, 0), Forward::new(&mlp, 37).unwrap());
            for rows in [37, 1, 20] {
                let x = Tensor::from_slice(&numbers(rows * 7, "rows")).view([rows as i64, 7]);
                let by_hand = forward.run(&weights, &x).unwrap();
                assert_gradient(by_hand, &mlp.forward(params.tensor(), &x).flatten(0, -1));
            }
        }
    }
}
