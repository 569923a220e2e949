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

/// What every step brings the weights back to.
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
    /// Sizes of zero, and what libtorch refuses.
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
    /// What libtorch refuses.
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
    /// What libtorch refuses.
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
mod tests {
    use liprl_numerics::{Streams, testing::numbers};

    use super::*;

    fn network(inputs: usize, hidden: &[usize], outputs: usize, projection: Projection) -> Recurrent {
        tch::set_num_threads(1);
        let mut rng = Streams::new(3).rng("recurrent");
        Recurrent::new(inputs, hidden, outputs, projection, OptimiserConfig::adam(1e-2), &mut rng).unwrap()
    }

    fn sequences(rows: i64, times: i64, width: i64, name: &str) -> Tensor {
        Tensor::from_slice(&numbers((rows * times * width) as usize, name)).view([rows, times, width]) * 3.0
    }

    /// W = (1, 0), U = 1, V = 1: y is the sum of the inputs so far while that is positive.
    fn sum() -> Recurrent {
        let mut sum = network(1, &[1], 1, Projection::ConvexLipschitz);
        sum.params.slice_mut().copy_from_slice(&[1.0, 0.0, 0.0, 1.0, 1.0, 0.0]);
        sum
    }

    /// A sequence of T equal errors moves the last sum by √T times their norm: a bound for one step is
    /// none for a sequence. All sums together move by the norm of the triangle of ones, 1 / (2 sin(π /
    /// (4T + 2))).
    #[test]
    fn a_sum_has_a_constant_of_root_two_a_step_and_of_the_triangle_of_ones_a_sequence() {
        assert!((sum().per_step().unwrap() - 2f64.sqrt()).abs() < 1e-9);
        for times in [1, 2, 7, 30] {
            let triangle = 0.5 / (std::f64::consts::PI / (4 * times + 2) as f64).sin();
            let bound = sum().per_sequence(times).unwrap();
            assert!((bound - triangle).abs() < 1e-9 * triangle, "{times}: {bound} for {triangle}");
        }
        let (x, ones) = (Tensor::from(5f32).repeat([1, 9, 1]), Tensor::from(1f32).repeat([1, 9, 1]));
        let moved = (sum().forward(&(&x + &ones)).unwrap() - sum().forward(&x).unwrap()).double_value(&[0, 8, 0]);
        assert!((moved - 9.0).abs() < 1e-5, "3 times the norm of the errors, 3");
    }

    #[test]
    fn values_are_those_of_the_equations_written_out() {
        let network = network(2, &[3, 4], 2, Projection::None);
        let (x, params) = (sequences(1, 5, 2, "x"), network.params.slice());
        let y: Vec<f32> = network.forward(&x).unwrap().flatten(0, -1).try_into().unwrap();
        let (mut states, mut expected) = (vec![vec![0f32; 3], vec![0f32; 4]], Vec::new());
        for t in 0..5 {
            let x: Vec<f32> = (0..2).map(|i| x.double_value(&[0, t, i]) as f32).collect();
            let (mut below, mut at) = (vec![x[0], x[1], -x[0], -x[1]], 0);
            for state in &mut states {
                let (n, m) = (state.len(), below.len());
                let (w, rest) = params[at..].split_at(n * m);
                let (b, rest) = rest.split_at(n);
                let row = |i: usize| {
                    let from_below: f32 = below.iter().zip(&w[i * m..]).map(|(x, w)| x * w).sum();
                    let from_state: f32 = state.iter().zip(&rest[i * n..]).map(|(x, u)| x * u).sum();
                    (from_below + from_state + b[i]).max(0.0)
                };
                let next: Vec<f32> = (0..n).map(row).collect();
                at += n * m + n + n * n;
                below = next.clone();
                *state = next;
            }
            let (v, c) = params[at..].split_at(8);
            expected.extend((0..2).map(|i| c[i] + below.iter().zip(&v[4 * i..]).map(|(h, v)| h * v).sum::<f32>()));
        }
        assert!(y.iter().zip(&expected).all(|(y, e)| (y - e).abs() < 1e-5), "{y:?} {expected:?}");
    }

    #[test]
    fn projected_networks_stay_within_their_bounds_and_the_convex_ones_are_convex() {
        for projection in [Projection::None, Projection::Lipschitz, Projection::ConvexLipschitz] {
            let mut network = network(2, &[16, 16], 3, projection);
            for step in 0..20 {
                let (x, y) = (sequences(8, 6, 2, &format!("x{step}")), sequences(8, 6, 3, &format!("y{step}")));
                network.step(&x, &y, 1).unwrap();
            }
            let (a, b) = (sequences(400, 6, 2, "a"), sequences(400, 6, 2, "b"));
            let [at_a, at_b, between] = [&a, &b, &((&a + &b) * 0.5)].map(|x| network.forward(x).unwrap());
            let length = |x: Tensor| x.flatten(1, 2).square().sum_dim_intlist(1, false, None::<Kind>).sqrt();
            let met = (length(&at_a - &at_b) / length(&a - &b)).max().double_value(&[]);
            let bound = network.per_sequence(6).unwrap();
            assert!(met <= bound * (1.0 + 1e-5), "{projection:?}: {met} above {bound}");
            // One step alone, from a state of zeros.
            let first = |x: &Tensor| x.narrow(1, 0, 1);
            let met = length(first(&at_a) - first(&at_b)) / length(first(&a) - first(&b));
            assert!(met.max().double_value(&[]) <= network.per_step().unwrap() * (1.0 + 1e-5));
            let above = (between - (at_a + at_b) * 0.5).max().double_value(&[]);
            assert_eq!(above < 1e-5, projection == Projection::ConvexLipschitz, "{projection:?}: {above}");
            let largest = network.matrices().unwrap().iter().map(|w| norm(w).unwrap()).fold(0.0, f64::max);
            assert!(projection == Projection::None || largest < 1.0 + 1e-6);
        }
    }

    #[test]
    fn a_sum_is_learned() {
        let mut network = network(1, &[16], 1, Projection::Lipschitz);
        let (mut first, mut last) = (0.0, 0.0);
        for step in 0..400 {
            let x = sequences(32, 5, 1, &format!("{step}")) + 1.0;
            last = network.step(&x, &x.cumsum(1, Kind::Float), 0).unwrap();
            first = if step == 0 { last } else { first };
        }
        assert!(last < 0.02 * first, "{first} to {last}");
    }
}
