//! A network and the Adam that fits it to any loss of its outputs.
//!
//! A loss is a function of the outputs that writes its gradient with respect to them. On a CPU the
//! way back is by hand; elsewhere, and as its specification, it is autograd's.

use liprl_numerics::Mlp;
use tch::{Device, Tensor};

use crate::{
    Buffer, Gradient, NetsError, Pass, Team, Weights, WorkspaceCache,
    autograd::{gradient, leaf},
    optim::TrainState,
};

/// A network while it is fitted.
#[derive(Debug)]
pub struct Fitter {
    net: TrainState,
    /// Times the parameters, added to each gradient.
    weight_decay: f32,
    team: Team,
    by_hand: Option<ByHand>,
}

/// Buffers of the hand-written form.
#[derive(Debug)]
struct ByHand {
    weights: Weights,
    /// The first layer's weight, for gradients with respect to inputs.
    columns: Tensor,
    gradient: Gradient,
    passes: WorkspaceCache<Workspace>,
}

/// Buffers for a number of rows.
#[derive(Debug)]
struct Workspace {
    pass: Pass,
    /// The gradient with respect to the inputs.
    inputs: Buffer,
}

impl Fitter {
    /// A fitter of `net`, which is one network.
    pub fn new(net: TrainState) -> Result<Self, NetsError> {
        let by_hand = match net.params().tensor().device() {
            Device::Cpu => Some(ByHand::new(&net)?),
            _ => None,
        };
        Ok(Self { net, weight_decay: 0.0, team: Team::new(1)?, by_hand })
    }

    /// Adds c times the parameters to each gradient (PyTorch's `weight_decay` of Adam).
    pub fn with_weight_decay(self, c: f64) -> Self {
        Self { weight_decay: c as f32, ..self }
    }

    /// Spreads the Adam step over `team`.
    pub fn with_team(self, team: Team) -> Self {
        Self { team, ..self }
    }

    /// The network.
    pub fn net(&self) -> &TrainState {
        &self.net
    }

    /// The network, to load.
    pub fn net_mut(&mut self) -> &mut TrainState {
        &mut self.net
    }

    /// Takes one Adam step at the rows `x [R, I]`, contiguous f32 on the CPU. `loss` is given the
    /// outputs `[R, O]`, writes its gradient with respect to them and returns its value, which
    /// comes back.
    pub fn step(&mut self, x: &Tensor, loss: impl FnOnce(&[f32], &mut [f32]) -> f64) -> Result<f64, NetsError> {
        let Some(by_hand) = &mut self.by_hand else {
            let (value, mut gradient) = self.gradient_autograd(x, loss)?;
            if self.weight_decay > 0.0 {
                gradient += self.net.params().tensor() * f64::from(self.weight_decay);
            }
            self.net.step_tensor(&gradient)?;
            return Ok(value);
        };
        let value = by_hand.gradient(&self.net, x, loss)?;
        if self.weight_decay > 0.0 {
            let (decay, gradient) = (self.weight_decay, by_hand.gradient.slice_mut());
            gradient.iter_mut().zip(self.net.params().slice()).for_each(|(g, p)| *g += decay * p);
        }
        self.net.step(&self.team, &mut [&mut by_hand.gradient], None)?;
        Ok(value)
    }

    /// The outputs at the rows `x [R, I]`, as `step` takes them: `[R, O]`, row-major.
    pub fn outputs(&mut self, x: &Tensor) -> Result<Vec<f32>, NetsError> {
        match &mut self.by_hand {
            Some(by_hand) => {
                let Workspace { pass, .. } = workspace(&mut by_hand.passes, &self.net.mlps()[0], x)?;
                Ok(pass.forward(&by_hand.weights, x)?.to_vec())
            }
            None => tch::no_grad(|| {
                let params = self.net.params().tensor();
                numbers(&self.net.forward(0, params, &x.f_to(params.device())?))
            }),
        }
    }

    /// The gradient of a function of the outputs with respect to the inputs `x [R, I]`: `[R, I]`,
    /// row-major. `outer` is given the outputs `[R, O]` and writes the function's gradient with
    /// respect to them.
    pub fn input_gradient(
        &mut self,
        x: &Tensor,
        outer: impl FnOnce(&[f32], &mut [f32]),
    ) -> Result<Vec<f32>, NetsError> {
        let Some(by_hand) = &mut self.by_hand else { return self.input_gradient_autograd(x, outer) };
        let Workspace { pass, inputs } = workspace(&mut by_hand.passes, &self.net.mlps()[0], x)?;
        pass.forward(&by_hand.weights, x)?;
        let (output, slopes) = pass.output_and_gradient();
        outer(output, slopes);
        pass.backward(&by_hand.weights, x, None)?;
        pass.input_gradient(&by_hand.columns, inputs)?;
        Ok(inputs.slice().to_vec())
    }

    /// The loss and its gradient by hand, without weight decay, for comparison with autograd;
    /// `None` away from the CPU.
    #[doc(hidden)]
    pub fn gradient_by_hand(
        &mut self,
        x: &Tensor,
        loss: impl FnOnce(&[f32], &mut [f32]) -> f64,
    ) -> Result<Option<(f64, &[f32])>, NetsError> {
        let Some(by_hand) = &mut self.by_hand else { return Ok(None) };
        let value = by_hand.gradient(&self.net, x, loss)?;
        Ok(Some((value, by_hand.gradient.slice())))
    }

    /// The loss and its gradient, the network's part by autograd, on any device.
    fn gradient_autograd(
        &self,
        x: &Tensor,
        loss: impl FnOnce(&[f32], &mut [f32]) -> f64,
    ) -> Result<(f64, Tensor), NetsError> {
        let params = leaf(self.net.params().tensor());
        let output = self.net.forward(0, &params, &x.f_to(params.device())?);
        let (value, along) = pulled(&output, loss)?;
        Ok((value, gradient(&along, &params)?))
    }

    /// `input_gradient` by autograd, on any device.
    fn input_gradient_autograd(
        &self,
        x: &Tensor,
        outer: impl FnOnce(&[f32], &mut [f32]),
    ) -> Result<Vec<f32>, NetsError> {
        let params = self.net.params().tensor();
        let x = leaf(&x.f_to(params.device())?);
        let output = self.net.forward(0, params, &x);
        numbers(&gradient(&pulled(&output, outer)?.1, &x)?)
    }
}

impl ByHand {
    fn new(net: &TrainState) -> Result<Self, NetsError> {
        let weights = net.weights().swap_remove(0);
        let columns = weights.first_columns(0, net.mlps()[0].inputs());
        Ok(Self { columns, weights, gradient: net.gradient()?, passes: WorkspaceCache::default() })
    }

    /// The loss; its gradient is left in `self.gradient`.
    fn gradient(
        &mut self,
        net: &TrainState,
        x: &Tensor,
        loss: impl FnOnce(&[f32], &mut [f32]) -> f64,
    ) -> Result<f64, NetsError> {
        let Workspace { pass, .. } = workspace(&mut self.passes, &net.mlps()[0], x)?;
        pass.forward(&self.weights, x)?;
        let (output, slopes) = pass.output_and_gradient();
        let value = loss(output, slopes);
        pass.backward(&self.weights, x, Some((&mut self.gradient, 0)))?;
        Ok(value)
    }
}

/// The buffers for the rows of `x`.
fn workspace<'a>(
    passes: &'a mut WorkspaceCache<Workspace>,
    mlp: &Mlp,
    x: &Tensor,
) -> Result<&'a mut Workspace, NetsError> {
    let rows = x.size().first().map_or(0, |&rows| rows as usize);
    passes.of(rows, || Ok(Workspace { pass: Pass::new(mlp, rows)?, inputs: Buffer::zeros(&[rows, mlp.inputs()])? }))
}

/// The value of `outer` at `output`, and a scalar whose gradient is that of `outer`.
fn pulled<T>(output: &Tensor, outer: impl FnOnce(&[f32], &mut [f32]) -> T) -> Result<(T, Tensor), NetsError> {
    let values = numbers(output)?;
    let mut slopes = vec![0.0; values.len()];
    let value = outer(&values, &mut slopes);
    let slopes = Tensor::f_from_slice(&slopes)?.f_view_as(output)?.f_to(output.device())?;
    Ok((value, (output * slopes).sum(None)))
}

fn numbers(tensor: &Tensor) -> Result<Vec<f32>, NetsError> {
    Ok(Vec::try_from(&tensor.f_detach()?.f_to(Device::Cpu)?.f_flatten(0, -1)?)?)
}

#[cfg(test)]
mod tests {
    use liprl_numerics::Streams;

    use super::*;
    use crate::testing::{assert_close, assert_gradient, networks};

    fn tensor(rows: usize, width: usize, name: &str) -> Tensor {
        tch::set_num_threads(1);
        Tensor::from_slice(&liprl_numerics::testing::numbers(rows * width, name)).view([rows as i64, width as i64])
    }

    fn fitters() -> impl Iterator<Item = Fitter> {
        networks().into_iter().map(|net| {
            let mlp = Mlp::new(5, &net.hidden, 3, net.activation, net.layer_norm, net.init);
            let mut rng = Streams::new(1).rng("init");
            Fitter::new(TrainState::new(vec![mlp], (&net).into(), Device::Cpu, &mut rng).unwrap()).unwrap()
        })
    }

    #[test]
    fn both_forms_have_one_loss_and_gradient() {
        let x = tensor(37, 5, "x");
        // Σ sin f, whose gradient with respect to f is cos f.
        let loss = |output: &[f32], slopes: &mut [f32]| {
            slopes.iter_mut().zip(output).for_each(|(slope, output)| *slope = output.cos());
            output.iter().map(|f| f64::from(*f).sin()).sum()
        };
        for mut fitter in fitters() {
            let (expected, autograd) = fitter.gradient_autograd(&x, loss).unwrap();
            let (value, by_hand) = fitter.gradient_by_hand(&x, loss).unwrap().unwrap();
            assert_close(value, expected);
            assert_gradient(by_hand, &autograd);
        }
    }

    #[test]
    fn input_gradients_by_hand_equal_autograd_and_finite_differences() {
        let (x, h) = (tensor(11, 5, "x"), 1e-2);
        // Σ sin f, whose gradient with respect to f is cos f.
        let outer = |output: &[f32], slopes: &mut [f32]| {
            slopes.iter_mut().zip(output).for_each(|(slope, output)| *slope = output.cos());
        };
        for mut fitter in fitters() {
            let by_hand = fitter.input_gradient(&x, outer).unwrap();
            let autograd = fitter.input_gradient_autograd(&x, outer).unwrap();
            assert_gradient(&by_hand, &Tensor::from_slice(&autograd));
            let smooth = matches!(
                fitter.net.mlps()[0].activation,
                liprl_numerics::Activation::Tanh | liprl_numerics::Activation::Swish | liprl_numerics::Activation::Elu
            );
            if !smooth {
                continue; // a difference over a kink is not a derivative
            }
            let mut value = |x: &Tensor| fitter.outputs(x).unwrap().iter().map(|f| f64::from(*f).sin()).sum::<f64>();
            for (i, expected) in by_hand.iter().enumerate() {
                let mut moved = |by: f64| {
                    let moved = x.copy();
                    let _ = moved.view(-1).narrow(0, i as i64, 1).g_add_scalar_(by);
                    value(&moved)
                };
                let difference = (moved(h) - moved(-h)) / (2.0 * h);
                assert!((difference - f64::from(*expected)).abs() < 1e-3, "{i}: {difference} {expected}");
            }
        }
    }
}
