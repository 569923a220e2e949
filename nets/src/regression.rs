//! A network fitted to targets by least squares, for whoever needs one: L = mean over rows and coordinates of (f(x) − y)².
//!
//! On a CPU the update and the gradient with respect to inputs are written by hand; elsewhere, and as their specification, they
//! are autograd's.

use liprl_numerics::{Mlp, StateIo, StreamRng};
use tch::{Device, Tensor};

use crate::{
    Buffer, Gradient, NetsError, Pass, Rooms, Team, Weights,
    autograd::{finite, gradient, leaf},
    optim::{OptimiserConfig, Trained},
};

/// The loss L, a scalar: `output` and `target` `[B, O]`.
pub fn loss(output: &Tensor, target: &Tensor) -> Tensor {
    (output - target).square().mean(None)
}

/// A network and the Adam that fits it.
#[derive(Debug)]
pub struct Regression {
    /// What errors call it.
    name: &'static str,
    net: Trained,
    team: Team,
    by_hand: Option<ByHand>,
    updates: u64,
}

impl Regression {
    /// The network with first weights from `rng`; `name` is what an error about its loss says.
    pub fn new(
        name: &'static str,
        mlp: Mlp,
        config: OptimiserConfig,
        device: Device,
        rng: &mut StreamRng,
    ) -> Result<Self, NetsError> {
        let net = Trained::new(vec![mlp], config, device, rng)?;
        let by_hand = if device == Device::Cpu { Some(ByHand::new(&net)?) } else { None };
        Ok(Self { name, by_hand, net, team: Team::new(1)?, updates: 0 })
    }

    /// The network.
    pub fn net(&self) -> &Trained {
        &self.net
    }

    /// One Adam step on the rows `x [B, I]`, `y [B, O]`, contiguous f32 on the CPU. Returns L before it, or an error where that
    /// is not finite.
    pub fn update(&mut self, x: &Tensor, y: &Tensor) -> Result<f64, NetsError> {
        let loss = match &mut self.by_hand {
            Some(by_hand) => {
                let loss = by_hand.loss(&self.net, x, y)?;
                self.net.step(&self.team, &mut [&mut by_hand.gradient], None)?;
                loss
            }
            None => {
                let (loss, gradient) = self.loss_autograd(x, y)?;
                self.net.step_tensor(&gradient)?;
                loss
            }
        };
        self.updates += 1;
        finite(self.name, loss, self.updates)?;
        Ok(loss)
    }

    /// f at the rows `x [R, I]`, as `update` takes them: `[R, O]`, row-major.
    pub fn predict(&mut self, x: &Tensor) -> Result<Vec<f32>, NetsError> {
        match &mut self.by_hand {
            Some(by_hand) => by_hand.predict(&self.net, x),
            None => tch::no_grad(|| {
                let output = self.net.forward(0, self.net.params().tensor(), &x.f_to(self.device())?);
                numbers(&output)
            }),
        }
    }

    /// The gradient of a function of the outputs with respect to the inputs `x [R, I]`: `[R, I]`, row-major. `outer` is given the
    /// outputs `[R, O]` and fills in the function's gradient with respect to them.
    pub fn input_gradient(
        &mut self,
        x: &Tensor,
        outer: impl FnOnce(&[f32], &mut [f32]),
    ) -> Result<Vec<f32>, NetsError> {
        match &mut self.by_hand {
            Some(by_hand) => by_hand.input_gradient(&self.net, x, outer),
            None => self.input_gradient_autograd(x, outer),
        }
    }

    /// Everything that changes.
    pub fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), NetsError> {
        io.value("updates", &mut self.updates)?;
        self.net.state(io)
    }

    fn device(&self) -> Device {
        self.net.params().tensor().device()
    }

    /// L and its gradient by autograd, on any device.
    fn loss_autograd(&self, x: &Tensor, y: &Tensor) -> Result<(f64, Tensor), NetsError> {
        let params = leaf(self.net.params().tensor());
        let output = self.net.forward(0, &params, &x.f_to(self.device())?);
        let loss = loss(&output, &y.f_to(self.device())?);
        Ok((loss.f_double_value(&[])?, gradient(&loss, &params)?))
    }

    /// `input_gradient` by autograd, on any device.
    fn input_gradient_autograd(
        &self,
        x: &Tensor,
        outer: impl FnOnce(&[f32], &mut [f32]),
    ) -> Result<Vec<f32>, NetsError> {
        let x = leaf(&x.f_to(self.device())?);
        let output = self.net.forward(0, self.net.params().tensor(), &x);
        let values = numbers(&output)?;
        let mut slopes = vec![0.0; values.len()];
        outer(&values, &mut slopes);
        let slopes = Tensor::f_from_slice(&slopes)?.f_view_as(&output)?.f_to(self.device())?;
        numbers(&gradient(&(output * slopes).sum(None), &x)?)
    }
}

fn numbers(tensor: &Tensor) -> Result<Vec<f32>, NetsError> {
    Ok(Vec::try_from(&tensor.f_detach()?.f_to(Device::Cpu)?.f_flatten(0, -1)?)?)
}

/// The hand-written form.
#[derive(Debug)]
struct ByHand {
    weights: Weights,
    /// The first layer's weight, for gradients with respect to inputs.
    columns: Tensor,
    gradient: Gradient,
    rooms: Rooms<Room>,
}

/// Buffers for a number of rows.
#[derive(Debug)]
struct Room {
    pass: Pass,
    /// Gradient with respect to the inputs, `[rows, I]`.
    inputs: Buffer,
}

impl ByHand {
    fn new(net: &Trained) -> Result<Self, NetsError> {
        let weights = net.weights().swap_remove(0);
        let columns = weights.first_columns(0, net.mlps()[0].inputs());
        Ok(Self { columns, weights, gradient: net.gradient()?, rooms: Rooms::default() })
    }

    /// L, and its gradient in `self.gradient`.
    fn loss(&mut self, net: &Trained, x: &Tensor, y: &Tensor) -> Result<f64, NetsError> {
        let (rows, Room { pass, .. }) = room(&mut self.rooms, net, x)?;
        let target = Buffer::rows_of(y, 0..rows)?;
        pass.forward(&self.weights, x)?;
        let (output, slopes) = pass.output_and_gradient();
        if target.slice().len() != output.len() {
            let problem = format!("{} numbers to fit, the network gives {}", target.slice().len(), output.len());
            return Err(NetsError::bad_config("target", problem));
        }
        let (mut sum, share) = (0.0, 2.0 / output.len() as f32);
        for ((slope, output), target) in slopes.iter_mut().zip(output).zip(target.slice()) {
            let error = output - target;
            sum += f64::from(error * error);
            *slope = share * error;
        }
        let loss = sum / output.len() as f64;
        pass.backward(&self.weights, x, Some((&mut self.gradient, 0)))?;
        Ok(loss)
    }

    fn predict(&mut self, net: &Trained, x: &Tensor) -> Result<Vec<f32>, NetsError> {
        let (_, Room { pass, .. }) = room(&mut self.rooms, net, x)?;
        Ok(pass.forward(&self.weights, x)?.to_vec())
    }

    fn input_gradient(
        &mut self,
        net: &Trained,
        x: &Tensor,
        outer: impl FnOnce(&[f32], &mut [f32]),
    ) -> Result<Vec<f32>, NetsError> {
        let (_, Room { pass, inputs }) = room(&mut self.rooms, net, x)?;
        pass.forward(&self.weights, x)?;
        let (output, slopes) = pass.output_and_gradient();
        outer(output, slopes);
        pass.backward(&self.weights, x, None)?;
        pass.input_gradient(&self.columns, inputs)?;
        Ok(inputs.slice().to_vec())
    }
}

/// The buffers for the rows of `x`, and how many these are.
fn room<'a>(rooms: &'a mut Rooms<Room>, net: &Trained, x: &Tensor) -> Result<(usize, &'a mut Room), NetsError> {
    let (mlp, rows) = (&net.mlps()[0], x.size().first().map_or(0, |&rows| rows as usize));
    let make =
        || Ok::<_, NetsError>(Room { pass: Pass::new(mlp, rows)?, inputs: Buffer::zeros(&[rows, mlp.inputs()])? });
    Ok((rows, rooms.of(rows, make)?))
}

#[cfg(test)]
mod tests {
    use liprl_numerics::{State, Streams};

    use super::*;
    use crate::testing::{self, assert_close, assert_gradient};

    fn tensor(rows: usize, width: usize, name: &str) -> Tensor {
        tch::set_num_threads(1);
        Tensor::from_slice(&liprl_numerics::testing::numbers(rows * width, name)).view([rows as i64, width as i64])
    }

    fn networks() -> impl Iterator<Item = Regression> {
        testing::networks().into_iter().map(|net| {
            let mlp = Mlp::new(5, &net.hidden, 3, net.activation, net.layer_norm, net.init);
            Regression::new("the test's loss", mlp, (&net).into(), Device::Cpu, &mut Streams::new(1).rng("init"))
                .unwrap()
        })
    }

    #[test]
    fn loss_and_gradient_by_hand_equal_autograd() {
        let (x, y) = (tensor(37, 5, "x"), tensor(37, 3, "y"));
        for mut regression in networks() {
            let (expected, autograd) = regression.loss_autograd(&x, &y).unwrap();
            let by_hand = regression.by_hand.as_mut().unwrap();
            assert_close(by_hand.loss(&regression.net, &x, &y).unwrap(), expected);
            assert_gradient(by_hand.gradient.slice(), &autograd);
        }
    }

    #[test]
    fn input_gradients_by_hand_equal_autograd_and_finite_differences() {
        let (x, h) = (tensor(11, 5, "x"), 1e-2);
        // Σ sin f, whose gradient with respect to f is cos f.
        let outer = |output: &[f32], slopes: &mut [f32]| {
            slopes.iter_mut().zip(output).for_each(|(slope, output)| *slope = output.cos());
        };
        for mut regression in networks() {
            let by_hand = regression.input_gradient(&x, outer).unwrap();
            let autograd = regression.input_gradient_autograd(&x, outer).unwrap();
            assert_gradient(&by_hand, &Tensor::from_slice(&autograd));
            let smooth = matches!(
                regression.net.mlps()[0].activation,
                liprl_numerics::Activation::Tanh | liprl_numerics::Activation::Swish
            );
            if !smooth {
                continue; // a difference over a kink is no derivative
            }
            let mut value =
                |x: &Tensor| regression.predict(x).unwrap().iter().map(|f| f64::from(*f).sin()).sum::<f64>();
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

    #[test]
    fn it_fits_a_plane_to_the_last_digits() {
        let (x, slopes) = (tensor(64, 5, "x"), tensor(5, 3, "slopes"));
        let y = x.matmul(&slopes);
        let mlp = Mlp::new(5, &[], 3, liprl_numerics::Activation::Relu, false, liprl_numerics::Init::Uniform);
        let config = OptimiserConfig { lr: 1e-2, schedule: Default::default(), clip_norm: None };
        let mut rng = Streams::new(1).rng("init");
        let mut regression = Regression::new("the test's loss", mlp, config, Device::Cpu, &mut rng).unwrap();
        let losses: Vec<f64> = (0..3000).map(|_| regression.update(&x, &y).unwrap()).collect();
        assert!(losses[0] > 1.0 && losses[2999] < 1e-6, "{} {}", losses[0], losses[2999]);
        let weight: Vec<f32> = regression.net.params().slice()[..15].to_vec();
        for (i, weight) in weight.iter().enumerate() {
            let expected = slopes.double_value(&[i as i64 % 5, i as i64 / 5]);
            assert!((f64::from(*weight) - expected).abs() < 1e-3, "{i}: {weight} {expected}");
        }
    }

    #[test]
    fn a_restored_regression_goes_on_to_the_bit() {
        let (x, y) = (tensor(37, 5, "x"), tensor(37, 3, "y"));
        for (mut saved, mut loaded) in networks().zip(networks()) {
            for _ in 0..3 {
                saved.update(&x, &y).unwrap();
            }
            let state = State::of(|io| saved.state(io)).unwrap();
            let state = State::from_bytes(&state.to_bytes().unwrap()).unwrap();
            loaded.state(&mut StateIo::load_from(&state)).unwrap();
            for rows in [5, 6, 7, 8, 9, 37] {
                // Other numbers of rows in between, more than are kept, change nothing.
                saved.predict(&x.narrow(0, 0, rows)).unwrap();
            }
            assert_eq!(saved.update(&x, &y).unwrap().to_bits(), loaded.update(&x, &y).unwrap().to_bits());
            assert_eq!(saved.predict(&x).unwrap(), loaded.predict(&x).unwrap());
        }
    }

    #[test]
    fn targets_of_another_width_and_diverged_losses_are_errors() {
        let mut regression = networks().next().unwrap();
        let error = regression.update(&tensor(4, 5, "x"), &tensor(4, 2, "y")).unwrap_err();
        assert!(error.to_string().contains("8 numbers to fit, the network gives 12"));
        let error = regression.update(&tensor(4, 5, "x"), &(tensor(4, 3, "y") * f64::INFINITY)).unwrap_err();
        assert!(error.to_string().contains("the test's loss"));
    }
}
