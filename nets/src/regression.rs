//! A network fitted to targets by least squares: L = mean over rows and coordinates of (f(x) − y)².

use liprl_numerics::{Mlp, StateIo, StreamRng};
use tch::{Device, Tensor};

use crate::{
    Fitter, NetsError,
    autograd::finite,
    buffer::slice_of,
    optim::{OptimiserConfig, TrainState},
};

/// The loss L, a scalar: `output` and `target` `[B, O]`.
pub fn loss(output: &Tensor, target: &Tensor) -> Tensor {
    (output - target).square().mean(None)
}

/// L; writes its gradient with respect to the outputs.
fn squared(output: &[f32], target: &[f32], slopes: &mut [f32]) -> f64 {
    let (mut sum, share) = (0.0, 2.0 / output.len() as f32);
    for ((slope, output), target) in slopes.iter_mut().zip(output).zip(target) {
        let error = output - target;
        sum += f64::from(error * error);
        *slope = share * error;
    }
    sum / output.len() as f64
}

/// A network and the Adam that fits it.
#[derive(Debug)]
pub struct Regression {
    /// Its loss's name in errors.
    name: &'static str,
    fitter: Fitter,
    updates: u64,
}

impl Regression {
    /// The network with first weights from `rng`; errors call its loss `name`.
    pub fn new(
        name: &'static str,
        mlp: Mlp,
        config: OptimiserConfig,
        device: Device,
        rng: &mut StreamRng,
    ) -> Result<Self, NetsError> {
        Ok(Self { name, fitter: Fitter::new(TrainState::new(vec![mlp], config, device, rng)?)?, updates: 0 })
    }

    /// The network.
    pub fn net(&self) -> &TrainState {
        self.fitter.net()
    }

    /// Takes one Adam step on the rows `x [B, I]`, `y [B, O]`, contiguous f32 on the CPU. Returns L
    /// before it, or an error if that is not finite.
    pub fn update(&mut self, x: &Tensor, y: &Tensor) -> Result<f64, NetsError> {
        let target = slice_of(y)?;
        let given = x.size().first().map_or(0, |&rows| rows as usize) * self.net().mlps()[0].outputs();
        if target.len() != given {
            let problem = format!("{} numbers to fit, the network gives {given}", target.len());
            return Err(NetsError::bad_config("target", problem));
        }
        let loss = self.fitter.step(x, |output, slopes| squared(output, target, slopes))?;
        self.updates += 1;
        finite(self.name, loss, self.updates)?;
        Ok(loss)
    }

    /// f at the rows `x [R, I]`, as `update` takes them: `[R, O]`, row-major.
    pub fn predict(&mut self, x: &Tensor) -> Result<Vec<f32>, NetsError> {
        self.fitter.outputs(x)
    }

    /// The gradient of a function of the outputs with respect to the inputs; see
    /// [`Fitter::input_gradient`].
    pub fn input_gradient(
        &mut self,
        x: &Tensor,
        outer: impl FnOnce(&[f32], &mut [f32]),
    ) -> Result<Vec<f32>, NetsError> {
        self.fitter.input_gradient(x, outer)
    }

    /// Everything that changes.
    pub fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), NetsError> {
        io.value("updates", &mut self.updates)?;
        self.fitter.net_mut().state(io)
    }
}

#[cfg(test)]
mod tests {
    use liprl_numerics::{State, Streams};

    use super::*;
    use crate::{
        autograd::{gradient, leaf},
        testing::{self, assert_close, assert_gradient},
    };

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
            let params = leaf(regression.net().params().tensor());
            let expected = loss(&regression.net().forward(0, &params, &x), &y);
            let target = slice_of(&y).unwrap();
            let by_hand = regression.fitter.gradient_by_hand(&x, |output, slopes| squared(output, target, slopes));
            let (value, by_hand) = by_hand.unwrap().unwrap();
            assert_close(value, expected.double_value(&[]));
            assert_gradient(by_hand, &gradient(&expected, &params).unwrap());
        }
    }

    #[test]
    fn it_fits_a_plane_to_the_last_digits() {
        let (x, slopes) = (tensor(64, 5, "x"), tensor(5, 3, "slopes"));
        let y = x.matmul(&slopes);
        let mlp = Mlp::new(5, &[], 3, liprl_numerics::Activation::Relu, false, liprl_numerics::Init::Uniform);
        let config = OptimiserConfig::adam(1e-2);
        let mut rng = Streams::new(1).rng("init");
        let mut regression = Regression::new("the test's loss", mlp, config, Device::Cpu, &mut rng).unwrap();
        let losses: Vec<f64> = (0..3000).map(|_| regression.update(&x, &y).unwrap()).collect();
        assert!(losses[0] > 1.0 && losses[2999] < 1e-6, "{} {}", losses[0], losses[2999]);
        let weight: Vec<f32> = regression.net().params().slice()[..15].to_vec();
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
