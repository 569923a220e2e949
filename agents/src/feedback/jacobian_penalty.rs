//! Squared errors and Jacobian norms of a perceptron over rows, with the parameters' gradient of
//!
//!   L = Σᵣ eᵣ(aᵣ) + Σᵣ cᵣ ‖Jᵣ‖₂,  J = diag(h) ∂a/∂x diag(s),
//!
//! by hand, for e of any form and c of any sign. h and s are the action's half-width and the
//! observation's standardisation, so that J is in the environment's units.
//!
//! ‖J‖₂ = uᵀJv with (u, v) the top singular pair. To first order the pair does not matter: the gradient
//! is that of uᵀJv with u and v held. diag(s) v is a direction carried forward, diag(h) u a cotangent
//! pulled back (`Tangents`); behind a tanh of the output the head's sums receive its curvature too.
//!
//! `loss_autograd` is the specification, by double backward.

use liprl_nets::{Autograd, Buffer, Gradient, Pass, Tangents, Weights};
use liprl_numerics::{Mlp, TopPair};
use tch::Tensor;

use crate::AgentError;

/// Buffers for a fixed number of rows.
#[derive(Debug)]
pub struct JacobianPenalty {
    mlp: Mlp,
    /// True if the action is tanh of the output.
    squash: bool,
    /// s, `[O]`.
    input_scale: Vec<f32>,
    /// h, `[A]`.
    output_scale: Vec<f32>,
    pass: Pass,
    tangents: Tangents,
    /// a, `[rows, A]`, and its slope by the output.
    action: Buffer,
    slope: Vec<f32>,
    pair: TopPair,
    /// u, `[rows, A]`.
    left: Vec<f32>,
    norms: Vec<f64>,
    /// The output's directional derivative, `[rows, A]`.
    stretch: Buffer,
    /// The output's cotangents, `[rows, A]`, and the same transposed.
    top: Buffer,
    top_t: Tensor,
}

impl JacobianPenalty {
    /// Allocates for `rows` rows. `None` for a network of another kind: dense, LayerNorm, swish.
    pub fn new(
        mlp: &Mlp,
        rows: usize,
        squash: bool,
        input_scale: &[f64],
        output_scale: &[f64],
    ) -> Result<Option<Self>, AgentError> {
        let Some(tangents) = Tangents::new(mlp, rows)? else { return Ok(None) };
        let actions = mlp.outputs();
        let narrow = |scale: &[f64]| scale.iter().map(|&s| s as f32).collect::<Vec<_>>();
        let buffer = || Buffer::zeros(&[rows, actions]);
        let top = buffer()?;
        Ok(Some(Self {
            squash,
            input_scale: narrow(input_scale),
            output_scale: narrow(output_scale),
            pass: Pass::new(mlp, rows)?,
            tangents,
            action: buffer()?,
            slope: vec![1.0; rows * actions],
            pair: TopPair::new(actions, mlp.inputs()),
            left: vec![0.0; rows * actions],
            norms: vec![0.0; rows],
            stretch: buffer()?,
            top_t: top.tensor().f_tr()?,
            top,
            mlp: mlp.clone(),
        }))
    }

    /// a at `x [rows, O]` (standardised), row-major `[rows, A]`.
    pub fn forward(&mut self, weights: &Weights, x: &Tensor) -> Result<&[f32], AgentError> {
        let output = self.pass.forward(weights, x)?;
        self.action.slice_mut().copy_from_slice(output);
        if self.squash {
            let _ = self.action.tensor().shallow_clone().f_tanh_()?;
            self.slope.iter_mut().zip(self.action.slice()).for_each(|(s, y)| *s = 1.0 - y * y);
        }
        Ok(self.action.slice())
    }

    /// Copies the last forward's actions of the rows from `row` on, as many as fit.
    pub fn actions_into(&self, row: usize, out: &mut [f32]) {
        out.copy_from_slice(&self.action.slice()[row * self.mlp.outputs()..][..out.len()]);
    }

    /// ‖J‖₂ at each row, after `forward`; leaves the singular pairs.
    pub fn norms(&mut self, weights: &Weights) -> Result<&[f64], AgentError> {
        let (inputs, actions) = (self.mlp.inputs(), self.mlp.outputs());
        let factors = self.top.slice_mut();
        for (at, (factor, slope)) in factors.iter_mut().zip(&self.slope).enumerate() {
            *factor = self.output_scale[at % actions] * slope;
        }
        self.tangents.jacobian(weights, &self.pass, Some(&*factors))?;
        let (jacobian, direction) = self.tangents.jacobian_and_direction();
        let rows = jacobian.chunks_exact_mut(actions * inputs).zip(direction.chunks_exact_mut(inputs));
        let kept = self.norms.iter_mut().zip(self.left.chunks_exact_mut(actions));
        for ((jacobian, direction), (norm, left)) in rows.zip(kept) {
            for line in jacobian.chunks_exact_mut(inputs) {
                line.iter_mut().zip(&self.input_scale).for_each(|(x, s)| *x *= s);
            }
            *norm = self.pair.of(jacobian);
            left.iter_mut().zip(&self.pair.left).for_each(|(to, u)| *to = *u as f32);
            for ((to, v), s) in direction.iter_mut().zip(&self.pair.right).zip(&self.input_scale) {
                *to = (*v as f32) * s;
            }
        }
        Ok(&self.norms)
    }

    /// Writes ∂L/∂(parameters) into `into`, which has this network alone: `d_action [rows, A]` is
    /// ∂Σe/∂a, `coefficients [rows]` is c (all zero: the norms need not have been computed). `x` as for
    /// `forward`.
    pub fn backward(
        &mut self,
        weights: &Weights,
        x: &Tensor,
        d_action: &[f32],
        coefficients: &[f32],
        into: &mut Gradient,
    ) -> Result<(), AgentError> {
        let (_, d_output) = self.pass.output_and_gradient();
        d_output.iter_mut().zip(d_action).zip(&self.slope).for_each(|((d, a), slope)| *d = a * slope);
        if coefficients.iter().all(|&c| c == 0.0) {
            return Ok(self.pass.backward(weights, x, Some((into, 0)))?);
        }
        let (head, actions) = (self.mlp.layers.len() - 1, self.mlp.outputs());
        self.tangents.push(weights, &self.pass)?;
        weights.multiply(head, self.tangents.last().tensor(), &self.stretch)?;
        let each = self.top.slice_mut().iter_mut().zip(self.pass.output_and_gradient().1);
        for (at, (top, d_output)) in each.enumerate() {
            let along = coefficients[at / actions] * self.left[at] * self.output_scale[at % actions];
            *top = along * self.slope[at];
            if self.squash {
                *d_output += along * self.stretch.slice()[at] * -2.0 * self.action.slice()[at] * self.slope[at];
            }
        }
        self.tangents.pull(weights, &self.pass, self.top.tensor())?;
        self.pass.backward_curved(weights, x, (into, 0), &self.tangents)?;
        into.add_product(0, head, &self.top_t, self.tangents.last().tensor())?;
        Ok(self.tangents.add_gradient(into, 0)?)
    }

    /// L by autograd with eᵣ = Σⱼ weight (aᵣⱼ − targetᵣⱼ)², and its gradient, in the float type of
    /// `params [len]`.
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

#[cfg(test)]
mod tests {
    use liprl_nets::{lipschitz::jacobian_norms, testing::assert_gradient};
    use liprl_numerics::{
        Activation, Init,
        testing::{numbers, widths},
    };
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
        for activation in [Activation::Tanh, Activation::Relu, Activation::LeakyRelu(0.1), Activation::MaxMin] {
            for (inputs, hidden, outputs) in [(5, &[9, 8][..], 3), (2, &[7], 4), (4, &[6, 5, 4], 1), (3, &[], 2)] {
                for squash in [false, true] {
                    let (mlp, params) = network(inputs, &widths(activation, hidden), outputs, activation);
                    let scale = |n: usize, by: f64| (1..=n).map(|i| by * i as f64).collect::<Vec<_>>();
                    let (s, h) = (scale(inputs, 0.4), scale(outputs, 0.7));
                    let mut penalty = JacobianPenalty::new(&mlp, ROWS, squash, &s, &h).unwrap().unwrap();
                    let tensor = |n: usize, name: &str| {
                        Tensor::from_slice(&numbers(ROWS * n, name)).view([ROWS as i64, n as i64])
                    };
                    let (x, target) = (tensor(inputs, "x"), tensor(outputs, "target"));
                    let coefficients = numbers(ROWS, "coefficients");
                    let (weights, mut gradient) = (Weights::new(&mlp, &params, 0), Gradient::new(&[&mlp]).unwrap());
                    let action = penalty.forward(&weights, &x).unwrap().to_vec();
                    let flat = Vec::<f32>::try_from(target.flatten(0, -1)).unwrap();
                    let d_action: Vec<f32> = action.iter().zip(&flat).map(|(a, t)| 2.0 * 0.3 * (a - t)).collect();
                    let norms = penalty.norms(&weights).unwrap().to_vec();
                    penalty.backward(&weights, &x, &d_action, &coefficients, &mut gradient).unwrap();
                    let double = |t: &Tensor| t.to_kind(Kind::Double);
                    let (loss, expected) = penalty
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
                    let penalised: f64 = norms.iter().zip(&coefficients).map(|(n, c)| n * f64::from(*c)).sum();
                    assert!(
                        (errors + penalised - loss).abs() < 1e-4 * loss.abs().max(1.0),
                        "{} {loss}",
                        errors + penalised
                    );
                }
            }
        }
    }

    #[test]
    fn norms_are_those_of_the_jacobian_in_the_environment_s_units() {
        let (mlp, params) = network(4, &[8, 8], 3, Activation::Tanh);
        let (s, h) = ([0.5, 1.0, 2.0, 3.0], [2.0, 1.0, 0.1]);
        let mut penalty = JacobianPenalty::new(&mlp, ROWS, true, &s, &h).unwrap().unwrap();
        let weights = Weights::new(&mlp, &params, 0);
        let raw = Tensor::from_slice(&numbers(ROWS * 4, "x")).view([ROWS as i64, 4]);
        let x = &raw * Tensor::from_slice(&s.map(|s| s as f32));
        penalty.forward(&weights, &x).unwrap();
        let norms = penalty.norms(&weights).unwrap().to_vec();
        let double = |t: &Tensor| t.to_kind(Kind::Double);
        let f = |raw: &Tensor| {
            Ok(mlp.forward(&double(params.tensor()), &(raw * Tensor::from_slice(&s))).tanh() * Tensor::from_slice(&h))
        };
        for (by_hand, expected) in norms.iter().zip(jacobian_norms(f, &double(&raw)).unwrap().spectral) {
            assert!((by_hand - expected).abs() < 1e-5 * expected, "{by_hand} {expected}");
        }
    }
}
