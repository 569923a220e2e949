//! A recurrent network with a Lipschitz constant, convex in its inputs if wanted (input-convex
//! Lipschitz RNN, arXiv 2401.07494).
//!
//! With x̂ₜ = (xₜ, −xₜ), which lets weights that are not negative fall in x,
//!
//!   hˡₜ = relu(Wˡ hˡ⁻¹ₜ + Uˡ hˡₜ₋₁ + bˡ),   h⁰ₜ = x̂ₜ,   yₜ = V hᴸₜ + c,
//!
//! hˡ₀ = 0. After each step every W, U and V is clipped to ≥ 0 and divided by its norm if that is
//! above 1, in this order, which keeps both. The paper has a relu at the outputs too, and divides
//! smaller norms as well.
//!
//! Norms of 1 bound one step, not a sequence: an error stays in the state. With norms uₗ of Uˡ and wₗ
//! of Wˡ (w₁ of x, not of x̂) the errors' norms obey δˡₜ ≤ wₗ δˡ⁻¹ₜ + uₗ δˡₜ₋₁, so ‖δyₜ‖ ≤ Σₛ gₜ₋ₛ ‖δxₛ‖
//! with g the response of that cascade to one unit.

use liprl_numerics::{StreamRng, kernels};
use rand::RngExt;
use tch::{Device, Kind, Tensor};

use crate::{
    Buffer, NetsError,
    autograd::{finite, gradient, leaf},
    buffer::slice_of,
    layers::matrices::spectral_norm,
    optim::OptimiserConfig,
};

/// Set that every step brings the weights back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Projection {
    /// Nothing.
    None,
    /// Norms of at most 1.
    Lipschitz,
    /// No negative weight and norms of at most 1: each output is convex in the inputs so far.
    ConvexLipschitz,
}

/// A recurrent network while it is fitted by least squares.
#[derive(Debug)]
pub struct Recurrent {
    layers: Vec<Cell>,
    head: Affine,
    inputs: i64,
    projection: Projection,
    optimiser: OptimiserConfig,
    params: Buffer,
    moments: [Vec<f32>; 2],
    updates: u64,
}

/// W or V and the bias after it: offset of the matrix `[outputs, inputs]`, then the bias `[outputs]`.
#[derive(Clone, Copy, Debug)]
struct Affine {
    start: i64,
    outputs: i64,
    inputs: i64,
}

/// One layer: W with b, and U's offset `[outputs, outputs]`.
#[derive(Clone, Copy, Debug)]
struct Cell {
    input: Affine,
    state: i64,
}

impl Affine {
    fn weight(&self, params: &Tensor) -> Result<Tensor, NetsError> {
        matrix(params, self.start, self.outputs, self.inputs)
    }

    fn apply(&self, params: &Tensor, x: &Tensor) -> Result<Tensor, NetsError> {
        let bias = params.f_narrow(0, self.start + self.outputs * self.inputs, self.outputs)?;
        Ok(x.f_matmul(&self.weight(params)?.f_tr()?)?.f_add(&bias)?)
    }

    fn len(&self) -> i64 {
        self.outputs * (self.inputs + 1)
    }
}

fn matrix(params: &Tensor, start: i64, rows: i64, columns: i64) -> Result<Tensor, NetsError> {
    Ok(params.f_narrow(0, start, rows * columns)?.f_view([rows, columns])?)
}

impl Recurrent {
    /// A network of these sizes; weights uniform within ± 1/√inputs of their matrix, biases 0, then
    /// projected.
    ///
    /// # Errors
    /// Sizes of zero, and those of libtorch.
    pub fn new(
        inputs: usize,
        hidden: &[usize],
        outputs: usize,
        projection: Projection,
        optimiser: OptimiserConfig,
        rng: &mut StreamRng,
    ) -> Result<Self, NetsError> {
        if inputs == 0 || outputs == 0 || hidden.is_empty() || hidden.contains(&0) {
            return Err(NetsError::bad_config("hidden", "a recurrent network needs layers, inputs and outputs"));
        }
        let (mut layers, mut below, mut end) = (Vec::new(), 2 * inputs as i64, 0);
        for &width in hidden {
            let input = Affine { start: end, outputs: width as i64, inputs: below };
            let state = end + input.len();
            layers.push(Cell { input, state });
            (below, end) = (width as i64, state + (width * width) as i64);
        }
        let head = Affine { start: end, outputs: outputs as i64, inputs: below };
        let len = (end + head.len()) as usize;
        let mut params = Buffer::zeros(&[len])?;
        let numbers = params.slice_mut();
        let mut fill = |start: i64, count: i64, inputs: i64| {
            let bound = 1.0 / (inputs as f32).sqrt();
            let part = &mut numbers[start as usize..(start + count) as usize];
            part.iter_mut().for_each(|x| *x = rng.random_range(-bound..bound));
        };
        for cell in &layers {
            fill(cell.input.start, cell.input.outputs * cell.input.inputs, cell.input.inputs);
            fill(cell.state, cell.input.outputs * cell.input.outputs, cell.input.outputs);
        }
        fill(head.start, head.outputs * head.inputs, head.inputs);
        let moments = [vec![0.0; len], vec![0.0; len]];
        let (inputs, updates) = (inputs as i64, 0);
        let mut network = Self { layers, head, inputs, projection, optimiser, params, moments, updates };
        network.project()?;
        Ok(network)
    }

    /// y `[B, T, O]` of the sequences `x [B, T, I]`, from a state of zeros.
    ///
    /// # Errors
    /// Another number of inputs.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, NetsError> {
        self.outputs(self.params.tensor(), x)
    }

    fn outputs(&self, params: &Tensor, x: &Tensor) -> Result<Tensor, NetsError> {
        let (rows, _, inputs) = x.size3()?;
        if inputs != self.inputs {
            let problem = format!("sequences of {inputs} numbers for a network of {}", self.inputs);
            return Err(NetsError::bad_config("inputs", problem));
        }
        let mut sequence = Tensor::f_cat(&[x, &x.f_neg()?], 2)?.f_unbind(1)?;
        for cell in &self.layers {
            let width = cell.input.outputs;
            let state_t = matrix(params, cell.state, width, width)?.f_tr()?;
            let mut state = Tensor::f_zeros([rows, width], (x.kind(), x.device()))?;
            for at in &mut sequence {
                state = cell.input.apply(params, at)?.f_add(&state.f_matmul(&state_t)?)?.f_relu()?;
                *at = state.shallow_clone();
            }
        }
        let outputs = sequence.iter().map(|state| self.head.apply(params, state)).collect::<Result<Vec<_>, _>>()?;
        Ok(Tensor::f_stack(&outputs, 1)?)
    }

    /// Takes one Adam step at `x [B, T, I]`, `y [B, T, O]` and projects. Returns the mean square error
    /// before it; the first `skip` times have no part in it.
    ///
    /// # Errors
    /// Shapes that do not fit, and a loss that is not finite.
    pub fn step(&mut self, x: &Tensor, y: &Tensor, skip: i64) -> Result<f64, NetsError> {
        let params = leaf(self.params.tensor());
        let from = |sequences: &Tensor| sequences.f_slice(1, skip, None, 1);
        let error = from(&self.outputs(&params, x)?)?.f_sub(&from(y)?)?;
        let loss = error.f_square()?.f_mean(None)?;
        let gradient = gradient(&loss, &params)?;
        self.updates += 1;
        let value = loss.f_double_value(&[])?;
        finite("recurrent/loss", value, self.updates)?;
        let norm = gradient.f_norm()?.f_double_value(&[])?;
        let [m, v] = &mut self.moments;
        let step = self.optimiser.step(self.updates, norm);
        kernels::adam(self.params.slice_mut(), m, v, slice_of(&gradient)?, step);
        self.project()?;
        Ok(value)
    }

    fn matrices(&self) -> Result<Vec<Tensor>, NetsError> {
        let params = self.params.tensor();
        let mut matrices = Vec::new();
        for Cell { input, state } in &self.layers {
            matrices.extend([input.weight(params)?, matrix(params, *state, input.outputs, input.outputs)?]);
        }
        matrices.push(self.head.weight(params)?);
        Ok(matrices)
    }

    fn project(&mut self) -> Result<(), NetsError> {
        if self.projection == Projection::None {
            return Ok(());
        }
        for mut matrix in self.matrices()? {
            if self.projection == Projection::ConvexLipschitz {
                let _ = matrix.f_clamp_min_(0)?;
            }
            let norm = norm(&matrix)?;
            if norm > 1.0 {
                let _ = matrix.f_div_scalar_(norm)?;
            }
        }
        Ok(())
    }

    /// (wₗ, uₗ) of each layer and ‖V‖.
    fn norms(&self) -> Result<(Vec<(f64, f64)>, f64), NetsError> {
        let mut matrices = self.matrices()?;
        let head = matrices.pop().map_or(Ok(0.0), |head| norm(&head))?;
        // What x̂ = (x, −x) makes of the first layer: W₊ − W₋.
        let halves = matrices[0].f_chunk(2, 1)?;
        matrices[0] = halves[0].f_sub(&halves[1])?;
        let layers = matrices.chunks_exact(2).map(|pair| Ok((norm(&pair[0])?, norm(&pair[1])?)));
        Ok((layers.collect::<Result<_, NetsError>>()?, head))
    }

    /// A bound on the constant of one step, (xₜ, all hₜ₋₁) ↦ yₜ: v √((Πw)² + Σₗ (uₗ Πₖ₍ₖ﹥ₗ₎ wₖ)²).
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn per_step(&self) -> Result<f64, NetsError> {
        let (layers, head) = self.norms()?;
        let (mut square, mut product) = (0.0, 1.0);
        for (w, u) in layers.iter().rev() {
            square += (u * product) * (u * product);
            product *= w;
        }
        Ok(head * product.mul_add(product, square).sqrt())
    }

    /// A bound on the constant of a sequence, (x₁ … x_T) ↦ (y₁ … y_T): the norm of the matrix of
    /// responses gₜ₋ₛ.
    ///
    /// # Errors
    /// Those of libtorch.
    pub fn per_sequence(&self, times: usize) -> Result<f64, NetsError> {
        let (layers, head) = self.norms()?;
        let mut response = vec![0.0; times];
        if let Some(first) = response.first_mut() {
            *first = head;
        }
        for (w, u) in layers {
            let mut state = 0.0;
            for at in &mut response {
                state = w * *at + u * state;
                *at = state;
            }
        }
        let entry = |t: usize, s: usize| if s <= t { response[t - s] } else { 0.0 };
        let entries: Vec<f64> = (0..times * times).map(|at| entry(at / times, at % times)).collect();
        norm(&Tensor::f_from_slice(&entries)?.f_view([times as i64, times as i64])?)
    }
}

/// ‖W‖₂ in f64.
fn norm(matrix: &Tensor) -> Result<f64, NetsError> {
    Ok(spectral_norm(&matrix.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?)?.f_double_value(&[])?)
}

#[cfg(test)]
mod tests;
