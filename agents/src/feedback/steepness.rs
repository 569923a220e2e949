//! Squared errors and Jacobian norms of a perceptron over rows, with the parameters' gradient of
//!
//!   L = Σᵣ eᵣ(aᵣ) + Σᵣ cᵣ ‖Jᵣ‖₂,  J = diag(h) ∂a/∂x diag(s),
//!
//! written by hand, for e of any form and c of any sign. h and s are the action's half-width and the observation's standardisation, so that J is
//! in the environment's units.
//!
//! ‖J‖₂ = uᵀJv with (u, v) the top singular pair, and to first order the pair does not matter: its gradient is that of uᵀJv with u and v
//! held. Jv is a tangent t carried forward beside the values, tₖ = σ′(zₖ) ⊙ Wₖtₖ₋₁; going back, zₖ also receives σ″(zₖ) ⊙ Wₖtₖ₋₁ ⊙ ∂L/∂tₖ. For
//! piecewise linear activations σ″ = 0. Singular pairs are those of the small J itself, by Jacobi rotations in f64, not by power iteration.
//!
//! `loss_autograd` is the specification, by double backward.

use liprl_nets::{Autograd, Buffer, Gradient, Weights};
use liprl_numerics::{Activation, Mlp, kernels};
use tch::Tensor;

use crate::AgentError;

/// Buffers for a fixed number of rows.
#[derive(Debug)]
pub struct Steepness {
    mlp: Mlp,
    rows: usize,
    /// Whether the action is tanh of the output.
    squash: bool,
    /// s, `[O]`.
    input_scale: Vec<f32>,
    /// h, `[A]`.
    output_scale: Vec<f32>,
    layers: Vec<Kept>,
    /// J, `[rows · A, O]`.
    jacobian: Buffer,
    /// diag(s) v, `[rows, O]`.
    tangent: Buffer,
    /// u, `[rows, A]`.
    left: Vec<f32>,
    norms: Vec<f64>,
}

/// What one layer keeps.
#[derive(Debug)]
struct Kept {
    /// The activated output, `[rows, outputs]`, and σ′ there.
    out: Buffer,
    slope: Vec<f32>,
    /// Wₖtₖ₋₁ and tₖ, `[rows, outputs]`.
    stretch: Buffer,
    tangent: Buffer,
    /// Gradients with respect to zₖ and to Wₖtₖ₋₁.
    d_out: Buffer,
    d_out_t: Tensor,
    d_stretch: Buffer,
    d_stretch_t: Tensor,
    /// Rows of the Jacobian on their way back, `[rows · A, outputs]`.
    back: Buffer,
}

impl Steepness {
    /// Buffers for `rows` rows, or `None` for a network of another kind: dense, LayerNorm, swish.
    pub fn new(
        mlp: &Mlp,
        rows: usize,
        squash: bool,
        input_scale: &[f64],
        output_scale: &[f64],
    ) -> Result<Option<Self>, AgentError> {
        if mlp.dense || mlp.layer_norm || mlp.activation == Activation::Swish {
            return Ok(None);
        }
        let actions = mlp.outputs();
        let narrow = |scale: &[f64]| scale.iter().map(|&s| s as f32).collect::<Vec<_>>();
        let layers = mlp.layers.iter().map(|layer| {
            let buffer = || Buffer::zeros(&[rows, layer.outputs]);
            let (d_out, d_stretch) = (buffer()?, buffer()?);
            Ok(Kept {
                out: buffer()?,
                slope: vec![0.0; rows * layer.outputs],
                stretch: buffer()?,
                tangent: buffer()?,
                d_out_t: d_out.tensor().f_tr()?,
                d_out,
                d_stretch_t: d_stretch.tensor().f_tr()?,
                d_stretch,
                back: Buffer::zeros(&[rows * actions, if layer.last { 1 } else { layer.outputs }])?,
            })
        });
        Ok(Some(Self {
            rows,
            squash,
            input_scale: narrow(input_scale),
            output_scale: narrow(output_scale),
            layers: layers.collect::<Result<_, AgentError>>()?,
            jacobian: Buffer::zeros(&[rows * actions, mlp.inputs()])?,
            tangent: Buffer::zeros(&[rows, mlp.inputs()])?,
            left: vec![0.0; rows * actions],
            norms: vec![0.0; rows],
            mlp: mlp.clone(),
        }))
    }

    /// Rows it has room for.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// a at `x [rows, O]` (standardised), row-major `[rows, A]`.
    pub fn forward(&mut self, weights: &Weights, x: &Tensor) -> Result<&[f32], AgentError> {
        for (i, layer) in self.mlp.layers.iter().enumerate() {
            let (before, rest) = self.layers.split_at_mut(i);
            let kept = &mut rest[0];
            weights.multiply(i, before.last().map_or(x, |kept| kept.out.tensor()), &kept.out)?;
            let bias = &weights.params()[layer.bias()..layer.scale()];
            let activation = match (layer.last, self.squash) {
                (false, _) => Some(self.mlp.activation),
                (true, true) => Some(Activation::Tanh),
                (true, false) => None,
            };
            match activation {
                None => {
                    kernels::add_bias(kept.out.slice_mut(), bias);
                    kept.slope.fill(1.0);
                }
                Some(Activation::Tanh) => {
                    kernels::add_bias(kept.out.slice_mut(), bias);
                    let _ = kept.out.tensor().shallow_clone().f_tanh_()?; // libtorch's is vectorised
                    kept.slope.iter_mut().zip(kept.out.slice()).for_each(|(s, y)| *s = 1.0 - y * y);
                }
                Some(activation) => {
                    let leak = if let Activation::LeakyRelu(leak) = activation { leak as f32 } else { 0.0 };
                    kernels::bias_activate(kept.out.slice_mut(), bias, activation, &mut []);
                    let sides = kept.slope.iter_mut().zip(kept.out.slice());
                    sides.for_each(|(s, y)| *s = if *y > 0.0 { 1.0 } else { leak });
                }
            }
        }
        Ok(self.layers.last().map_or(&[], |kept| kept.out.slice()))
    }

    /// The last forward's actions of the rows from `row` on, as many as fit.
    pub fn actions_into(&self, row: usize, out: &mut [f32]) {
        if let Some(last) = self.layers.last() {
            out.copy_from_slice(&last.out.slice()[row * self.mlp.outputs()..][..out.len()]);
        }
    }

    /// ‖J‖₂ at each row, after `forward`.
    pub fn norms(&mut self, weights: &Weights) -> Result<&[f64], AgentError> {
        let (last, actions) = (self.mlp.layers.len() - 1, self.mlp.outputs());
        let head = &self.mlp.layers[last];
        let matrix = &weights.params()[head.start..head.bias()];
        let (below, top) = self.layers.split_at_mut(last);
        let into = below.last_mut().map_or(&mut self.jacobian, |kept| &mut kept.back);
        for (at, row) in into.slice_mut().chunks_exact_mut(head.inputs).enumerate() {
            let factor = self.output_scale[at % actions] * top[0].slope[at];
            let from = &matrix[at % actions * head.inputs..][..head.inputs];
            row.iter_mut().zip(from).for_each(|(x, w)| *x = factor * w);
        }
        for i in (0..last).rev() {
            let width = self.mlp.layers[i].outputs;
            let (before, rest) = self.layers.split_at_mut(i);
            let Kept { back, slope, .. } = &mut rest[0];
            for (rows, slope) in back.slice_mut().chunks_exact_mut(actions * width).zip(slope.chunks_exact(width)) {
                rows.chunks_exact_mut(width).for_each(|row| row.iter_mut().zip(slope).for_each(|(x, s)| *x *= s));
            }
            weights.multiply_back(i, back.tensor(), before.last().map_or(&self.jacobian, |kept| &kept.back))?;
        }
        self.decompose();
        Ok(&self.norms)
    }

    /// Singular pairs of every row's J.
    fn decompose(&mut self) {
        let (inputs, actions) = (self.mlp.inputs(), self.mlp.outputs());
        let mut pair = TopPair::new(actions, inputs);
        for row in 0..self.rows {
            let jacobian = &mut self.jacobian.slice_mut()[row * actions * inputs..][..actions * inputs];
            for line in jacobian.chunks_exact_mut(inputs) {
                line.iter_mut().zip(&self.input_scale).for_each(|(x, s)| *x *= s);
            }
            self.norms[row] = pair.of(jacobian);
            self.left[row * actions..][..actions].iter_mut().zip(&pair.left).for_each(|(to, u)| *to = *u as f32);
            let tangent = &mut self.tangent.slice_mut()[row * inputs..][..inputs];
            for ((to, v), s) in tangent.iter_mut().zip(&pair.right).zip(&self.input_scale) {
                *to = (*v as f32) * s;
            }
        }
    }

    /// Writes ∂L/∂(parameters) into `into`, which has this network alone: `d_action [rows, A]` is ∂Σe/∂a, `coefficients [rows]` is c (all zero:
    /// the norms need not have been computed). `x` as for `forward`.
    pub fn backward(
        &mut self,
        weights: &Weights,
        x: &Tensor,
        d_action: &[f32],
        coefficients: &[f32],
        into: &mut Gradient,
    ) -> Result<(), AgentError> {
        let steep = coefficients.iter().any(|&c| c != 0.0);
        if steep {
            self.carry(weights)?;
        }
        self.start_back(d_action, coefficients, steep);
        into.slice_mut().fill(0.0);
        for i in (0..self.mlp.layers.len()).rev() {
            let layer = self.mlp.layers[i];
            let (before, rest) = self.layers.split_at_mut(i);
            let kept = &mut rest[0];
            kernels::add_rows(kept.d_out.slice(), &mut into.slice_mut()[layer.bias()..layer.scale()]);
            into.add_product(0, i, &kept.d_out_t, before.last().map_or(x, |below| below.out.tensor()))?;
            if steep {
                let tangent = before.last().map_or(&self.tangent, |below| &below.tangent);
                into.add_product(0, i, &kept.d_stretch_t, tangent.tensor())?;
            }
            let Some(below) = before.last_mut() else { break };
            weights.multiply_back(i, kept.d_out.tensor(), &below.d_out)?;
            if steep {
                weights.multiply_back(i, kept.d_stretch.tensor(), &below.d_stretch)?;
            }
            below.through(self.mlp.activation == Activation::Tanh, steep);
        }
        Ok(())
    }

    /// The tangents, layer by layer.
    fn carry(&mut self, weights: &Weights) -> Result<(), AgentError> {
        for i in 0..self.layers.len() {
            let (before, rest) = self.layers.split_at_mut(i);
            let kept = &mut rest[0];
            let tangent = before.last().map_or(&self.tangent, |below| &below.tangent);
            weights.multiply(i, tangent.tensor(), &kept.stretch)?;
            let products = kept.tangent.slice_mut().iter_mut().zip(kept.stretch.slice()).zip(&kept.slope);
            products.for_each(|((t, stretch), slope)| *t = stretch * slope);
        }
        Ok(())
    }

    /// The gradients with respect to the last layer's output and stretch.
    fn start_back(&mut self, d_action: &[f32], coefficients: &[f32], steep: bool) {
        let (actions, squash) = (self.mlp.outputs(), self.squash);
        let Some(last) = self.layers.last_mut() else { return };
        let d_out = last.d_out.slice_mut();
        d_out.iter_mut().zip(d_action).zip(&last.slope).for_each(|((d, a), slope)| *d = a * slope);
        if !steep {
            return;
        }
        for (at, (d_stretch, d_out)) in last.d_stretch.slice_mut().iter_mut().zip(d_out).enumerate() {
            let along = coefficients[at / actions] * self.left[at] * self.output_scale[at % actions];
            *d_stretch = along * last.slope[at];
            if squash {
                *d_out += along * last.stretch.slice()[at] * -2.0 * last.out.slice()[at] * last.slope[at];
            }
        }
    }

    /// The same by autograd: L with eᵣ = Σⱼ weight (aᵣⱼ − targetᵣⱼ)² and its gradient, in the type of `params [len]`.
    pub fn loss_autograd(
        &self,
        params: &Tensor,
        x: &Tensor,
        target: &Tensor,
        weight: &Tensor,
        coefficients: &Tensor,
    ) -> Result<(f64, Tensor), AgentError> {
        let params = params.f_detach()?.set_requires_grad(true);
        let leaf = x.f_detach()?.set_requires_grad(true);
        let output = self.mlp.forward(&params, &leaf);
        let action = if self.squash { output.tanh() } else { output };
        let scale = |numbers: &[f32]| Tensor::f_from_slice(numbers)?.f_to_kind(x.kind());
        let columns =
            action.f_mul(&scale(&self.output_scale)?)?.f_sum_dim_intlist([0i64].as_slice(), false, x.kind())?;
        let columns = columns.f_unbind(0)?;
        let rows = columns.iter().map(|column| {
            let row = Tensor::f_run_backward(&[column], &[&leaf], true, true)?.swap_remove(0);
            row.f_mul(&scale(&self.input_scale)?)
        });
        let jacobians = Tensor::f_stack(&rows.collect::<Result<Vec<_>, _>>()?, 1)?;
        let norms = top_singular_values(&jacobians)?;
        let error = (action - target).square() * weight;
        let loss = error.sum(None) + (norms * coefficients).sum(None);
        let gradient = Tensor::f_run_backward(&[&loss], &[&params], false, false)?.swap_remove(0);
        Ok((loss.f_double_value(&[])?, gradient))
    }
}

/// The largest singular value of each of `matrices [B, m, n]` with gradient, by eigenvalues of the smaller Gram matrix.
fn top_singular_values(matrices: &Tensor) -> Result<Tensor, AgentError> {
    let transposed = matrices.f_transpose(1, 2)?;
    let wide = matrices.size()[1] <= matrices.size()[2];
    let gram = if wide { matrices.f_matmul(&transposed)? } else { transposed.f_matmul(matrices)? };
    Ok(gram.f_linalg_eigvalsh("L")?.f_select(1, -1)?.f_clamp_min(1e-30)?.f_sqrt()?)
}

impl Kept {
    /// From gradients with respect to the activated output and the tangent to those with respect to zₖ and the stretch, in place.
    fn through(&mut self, curved: bool, steep: bool) {
        let (d_out, slope) = (self.d_out.slice_mut(), &self.slope);
        d_out.iter_mut().zip(slope).for_each(|(d, s)| *d *= s);
        if !steep {
            return;
        }
        let d_stretch = self.d_stretch.slice_mut();
        if curved {
            // σ″ = −2 tanh · σ′.
            for (at, (d_out, d_tangent)) in d_out.iter_mut().zip(d_stretch.iter()).enumerate() {
                *d_out += -2.0 * self.out.slice()[at] * slope[at] * self.stretch.slice()[at] * d_tangent;
            }
        }
        d_stretch.iter_mut().zip(slope).for_each(|(d, s)| *d *= s);
    }
}

/// The top singular pair of small matrices of one shape.
#[derive(Debug)]
struct TopPair {
    rows: usize,
    columns: usize,
    gram: Vec<f64>,
    vectors: Vec<f64>,
    left: Vec<f64>,
    right: Vec<f64>,
}

impl TopPair {
    fn new(rows: usize, columns: usize) -> Self {
        let n = rows.min(columns);
        let (gram, vectors) = (vec![0.0; n * n], vec![0.0; n * n]);
        Self { rows, columns, gram, vectors, left: vec![0.0; rows], right: vec![0.0; columns] }
    }

    /// ‖A‖₂ of `a [rows, columns]`; leaves u and v. Both are 0 for A = 0.
    fn of(&mut self, a: &[f32]) -> f64 {
        let (m, n) = (self.rows, self.columns);
        let wide = m <= n;
        let small = m.min(n);
        let at = |i: usize, k: usize| f64::from(if wide { a[i * n + k] } else { a[k * n + i] });
        for i in 0..small {
            for j in 0..=i {
                let product: f64 = (0..m.max(n)).map(|k| at(i, k) * at(j, k)).sum();
                self.gram[i * small + j] = product;
                self.gram[j * small + i] = product;
            }
        }
        let top = jacobi(&mut self.gram, &mut self.vectors, small);
        let norm = self.gram[top * small + top].max(0.0).sqrt();
        let (near, far) = if wide { (&mut self.left, &mut self.right) } else { (&mut self.right, &mut self.left) };
        (0..small).for_each(|i| near[i] = if norm > 0.0 { self.vectors[i * small + top] } else { 0.0 });
        for (k, far) in far.iter_mut().enumerate() {
            *far = if norm > 0.0 { (0..small).map(|i| at(i, k) * near[i]).sum::<f64>() / norm } else { 0.0 };
        }
        norm
    }
}

/// Eigenvalues (on the diagonal) and eigenvectors (columns) of a symmetric matrix by cyclic Jacobi rotations; returns the place of the largest.
fn jacobi(a: &mut [f64], v: &mut [f64], n: usize) -> usize {
    v.fill(0.0);
    (0..n).for_each(|i| v[i * n + i] = 1.0);
    for _ in 0..30 {
        let (mut off, mut total) = (0.0, 0.0);
        for i in 0..n {
            for j in 0..n {
                total += a[i * n + j] * a[i * n + j];
                off += if i == j { 0.0 } else { a[i * n + j] * a[i * n + j] };
            }
        }
        if off <= 1e-30 * total {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(a, v, n, p, q);
            }
        }
    }
    (0..n).max_by(|&i, &j| a[i * n + i].total_cmp(&a[j * n + j])).unwrap_or(0)
}

/// One rotation that makes a[p, q] zero (Golub & Van Loan, section 8.5).
fn rotate(a: &mut [f64], v: &mut [f64], n: usize, p: usize, q: usize) {
    let off = a[p * n + q];
    if off == 0.0 {
        return;
    }
    let tau = (a[q * n + q] - a[p * n + p]) / (2.0 * off);
    let t = tau.signum() / (tau.abs() + (1.0 + tau * tau).sqrt());
    let t = if tau == 0.0 { 1.0 } else { t };
    let c = 1.0 / (1.0 + t * t).sqrt();
    let s = t * c;
    for k in 0..n {
        let (kp, kq) = (a[k * n + p], a[k * n + q]);
        (a[k * n + p], a[k * n + q]) = (c * kp - s * kq, s * kp + c * kq);
    }
    for k in 0..n {
        let (pk, qk) = (a[p * n + k], a[q * n + k]);
        (a[p * n + k], a[q * n + k]) = (c * pk - s * qk, s * pk + c * qk);
    }
    for k in 0..n {
        let (kp, kq) = (v[k * n + p], v[k * n + q]);
        (v[k * n + p], v[k * n + q]) = (c * kp - s * kq, s * kp + c * kq);
    }
}

#[cfg(test)]
mod tests {
    use liprl_nets::{
        lipschitz::{jacobian_norms, spectral_norms},
        testing::assert_gradient,
    };
    use liprl_numerics::{Init, testing::numbers};
    use tch::Kind;

    use super::*;

    const ROWS: usize = 23;

    fn network(inputs: usize, hidden: &[usize], outputs: usize, activation: Activation) -> (Mlp, Buffer) {
        tch::set_num_threads(1);
        let mlp = Mlp::new(inputs, hidden, outputs, activation, false, Init::Uniform);
        let mut params = Buffer::zeros(&[mlp.len()]).unwrap();
        let numbers: Vec<f32> = numbers(mlp.len(), "params").iter().map(|x| 0.5 * x).collect();
        params.fill_from(&numbers).unwrap();
        (mlp, params)
    }

    #[test]
    fn gradient_by_hand_equals_autograd() {
        for activation in [Activation::Tanh, Activation::Relu, Activation::LeakyRelu(0.1)] {
            for (inputs, hidden, outputs) in [(5, &[9, 8][..], 3), (2, &[7], 4), (4, &[6, 5, 4], 1), (3, &[], 2)] {
                for squash in [false, true] {
                    let (mlp, params) = network(inputs, hidden, outputs, activation);
                    let scale = |n: usize, by: f64| (1..=n).map(|i| by * i as f64).collect::<Vec<_>>();
                    let (s, h) = (scale(inputs, 0.4), scale(outputs, 0.7));
                    let mut steepness = Steepness::new(&mlp, ROWS, squash, &s, &h).unwrap().unwrap();
                    let tensor = |n: usize, name: &str| {
                        Tensor::from_slice(&numbers(ROWS * n, name)).view([ROWS as i64, n as i64])
                    };
                    let (x, target) = (tensor(inputs, "x"), tensor(outputs, "target"));
                    let coefficients = numbers(ROWS, "coefficients");
                    let (weights, mut gradient) = (Weights::new(&mlp, &params, 0), Gradient::new(&[&mlp]).unwrap());
                    let action = steepness.forward(&weights, &x).unwrap().to_vec();
                    let flat = Vec::<f32>::try_from(target.flatten(0, -1)).unwrap();
                    let d_action: Vec<f32> = action.iter().zip(&flat).map(|(a, t)| 2.0 * 0.3 * (a - t)).collect();
                    let norms = steepness.norms(&weights).unwrap().to_vec();
                    steepness.backward(&weights, &x, &d_action, &coefficients, &mut gradient).unwrap();
                    let double = |t: &Tensor| t.to_kind(Kind::Double);
                    let (loss, expected) = steepness
                        .loss_autograd(
                            &double(params.tensor()),
                            &double(&x),
                            &double(&target),
                            &Tensor::from(0.3f64),
                            &double(&Tensor::from_slice(&coefficients)),
                        )
                        .unwrap();
                    assert_gradient(gradient.slice(), &expected.to_kind(Kind::Float));
                    let errors: f64 = action.iter().zip(&flat).map(|(a, t)| 0.3 * f64::from(a - t).powi(2)).sum();
                    let steep: f64 = norms.iter().zip(&coefficients).map(|(n, c)| n * f64::from(*c)).sum();
                    assert!((errors + steep - loss).abs() < 1e-4 * loss.abs().max(1.0), "{} {loss}", errors + steep);
                }
            }
        }
    }

    #[test]
    fn norms_are_those_of_the_jacobian_in_the_environment_s_units() {
        let (mlp, params) = network(4, &[8, 8], 3, Activation::Tanh);
        let (s, h) = ([0.5, 1.0, 2.0, 3.0], [2.0, 1.0, 0.1]);
        let mut steepness = Steepness::new(&mlp, ROWS, true, &s, &h).unwrap().unwrap();
        let weights = Weights::new(&mlp, &params, 0);
        let raw = Tensor::from_slice(&numbers(ROWS * 4, "x")).view([ROWS as i64, 4]);
        let x = &raw * Tensor::from_slice(&s.map(|s| s as f32));
        steepness.forward(&weights, &x).unwrap();
        let norms = steepness.norms(&weights).unwrap().to_vec();
        let double = |t: &Tensor| t.to_kind(Kind::Double);
        let f = |raw: &Tensor| {
            Ok(mlp.forward(&double(params.tensor()), &(raw * Tensor::from_slice(&s))).tanh() * Tensor::from_slice(&h))
        };
        for (by_hand, expected) in norms.iter().zip(jacobian_norms(f, &double(&raw)).unwrap().spectral) {
            assert!((by_hand - expected).abs() < 1e-5 * expected, "{by_hand} {expected}");
        }
    }

    #[test]
    fn top_pairs_are_exact_for_any_shape() {
        for (m, n) in [(1, 1), (1, 5), (3, 11), (6, 17), (7, 2), (17, 17)] {
            let a = numbers(m * n, &format!("{m} {n}"));
            let mut pair = TopPair::new(m, n);
            let norm = pair.of(&a);
            let tensor = Tensor::from_slice(&a).view([m as i64, n as i64]);
            assert!((norm - spectral_norms(&tensor).unwrap()[0]).abs() < 1e-10 * norm, "{m} {n}");
            let along: f64 = (0..m)
                .flat_map(|i| (0..n).map(move |j| (i, j)))
                .map(|(i, j)| pair.left[i] * f64::from(a[i * n + j]) * pair.right[j])
                .sum();
            assert!((along - norm).abs() < 1e-10 * norm);
        }
        let mut pair = TopPair::new(2, 3);
        assert_eq!((pair.of(&[0.0; 6]), &pair.left[..], &pair.right[..]), (0.0, &[0.0; 2][..], &[0.0; 3][..]));
    }
}
