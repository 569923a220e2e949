//! Random expert distillation (Wang, Ciliberto, Amadori & Demiris 2019, arXiv 1905.06750). A
//! network f_θ learns to predict a fixed random one f on the expert's rows, and can do so only
//! there. With ε(x) = mean over outputs of (f_θ(x) − f(x))², the reward is
//!
//! r(x) = exp(−σ₁ ε(x)) ∈ (0, 1],   ∇r = −σ₁ r ∇ε,   ∇ε = (2/K) (J_θ − J)ᵀ (f_θ − f).
//!
//! The paper chooses σ₁ by hand, so that the expert's rows mostly get rewards near 1. Here σ₁ is
//! the number for which the expert's rows get a given mean reward. It is unique, since that mean
//! falls strictly with σ₁. The authors of arXiv 2006.16785 divide by the deviation of all errors
//! met in training, the large first ones included (`scale: error_std`).
//!
//! The caller makes rows of (s, a) or (s, s'), always in one way. ∇r is with respect to them.
//!
//! Differs from arXiv 2006.16785's code in: the outputs are linear (there LeakyReLU follows them
//! too).

use garde::Validate;
use liprl_nets::{optim::OptimiserConfig, regression::Regression};
use liprl_numerics::{Activation, Init, Mlp, StateIo, widths_for};
use rand::seq::SliceRandom;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::reward::RowReward;
use crate::{AgentError, Setup, shaping::RunningStd};

/// The running deviation of training errors is never smaller, as in the authors' code.
const STD_FLOOR: f64 = 0.1;

/// Random expert distillation (Wang et al. 2019): near 1 if a predictor trained on the demonstrations
/// is right, towards 0 elsewhere. The discriminator is not trained. Sources: arXiv 2006.16785's
/// authors' code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct RedConfig {
    /// Units of each hidden layer of both networks. Default `[100, 100]`.
    #[garde(length(min = 1), inner(range(min = 1, max = 65536)), custom(widths_for(self.activation)))]
    pub hidden: Vec<usize>,
    /// Outputs of both networks, K. Default `100`.
    #[garde(range(min = 1, max = 65536))]
    pub outputs: usize,
    /// Activation of the hidden layers. Default `{leaky_relu: 0.1}`.
    #[garde(dive)]
    pub activation: Activation,
    /// Adam's learning rate. Default `5e-4`.
    #[garde(range(min = 0.0, max = 1.0))]
    pub lr: f64,
    /// Passes over the expert's rows, shuffled each time. Default `200`.
    #[garde(range(min = 1))]
    pub epochs: u64,
    /// Rows per gradient update; a pass leaves out the last ones that do not fill a batch. Default
    /// `64`.
    #[garde(range(min = 1, max = 1_048_576))]
    pub batch_size: usize,
    /// Choice of σ₁. Default `{expert_reward: {mean: 0.95}}`.
    #[garde(dive)]
    pub scale: RedScale,
}

impl Default for RedConfig {
    fn default() -> Self {
        Self {
            hidden: vec![100, 100],
            outputs: 100,
            activation: Activation::LeakyRelu(0.1),
            lr: 5e-4,
            epochs: 200,
            batch_size: 64,
            scale: RedScale::default(),
        }
    }
}

/// Choice of σ₁.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub enum RedScale {
    /// The expert's rows get this mean reward.
    ExpertReward {
        /// The mean, in (0, 1).
        #[garde(range(min = 0.01, max = 0.999))]
        mean: f64,
    },
    /// 1 over the deviation of all errors met in training (at least 0.1), as in arXiv 2006.16785's
    /// authors' code.
    ErrorStd,
}

impl Default for RedScale {
    fn default() -> Self {
        Self::ExpertReward { mean: 0.95 }
    }
}

/// The trained reward.
#[derive(Debug)]
pub struct Red {
    predictor: Regression,
    /// f; its optimiser never steps.
    target: Regression,
    /// σ₁.
    scale: f64,
}

impl Red {
    /// Networks from the run's streams, the predictor trained on the expert's rows `[E, I]`,
    /// contiguous f32 on the CPU, at least one.
    pub fn new(config: &RedConfig, expert: &Tensor, setup: &Setup) -> Result<Self, AgentError> {
        let (rows, width) = expert.size2()?;
        if rows == 0 {
            let problem = "there are no expert rows to learn from".to_owned();
            return Err(AgentError::BadConfig { setting: "demonstrations".into(), problem });
        }
        let init = Init::Orthogonal { output_gain: config.activation.gain() };
        let mlp = Mlp::new(width as usize, &config.hidden, config.outputs, config.activation, false, init);
        let optimiser = OptimiserConfig::adam(config.lr);
        let mut rng = setup.streams.rng("red/init");
        let mut network =
            || Regression::new("random expert distillation's loss", mlp.clone(), optimiser, setup.device, &mut rng);
        let mut red = Self { predictor: network()?, target: network()?, scale: 1.0 };

        let goal = red.target.predict(expert)?;
        let goal = Tensor::f_from_slice(&goal)?.f_view([rows, -1])?;
        let (mut order, mut rng) = ((0..rows).collect::<Vec<i64>>(), setup.streams.rng("red/batches"));
        let (batch, mut met) = (config.batch_size.min(order.len()), RunningStd::new(STD_FLOOR));
        for _ in 0..config.epochs {
            order.shuffle(&mut rng);
            for batch in order.chunks_exact(batch.max(1)) {
                let batch = Tensor::f_from_slice(batch)?;
                let (x, y) = (expert.f_index_select(0, &batch)?, goal.f_index_select(0, &batch)?);
                met.update(red.errors(&x)?.into_iter());
                red.predictor.update(&x, &y)?;
            }
        }
        red.scale = match config.scale {
            RedScale::ExpertReward { mean } => scale_for(mean, &red.errors(expert)?),
            RedScale::ErrorStd => 1.0 / met.std(),
        };
        Ok(red)
    }

    /// ∇r at the rows `x [R, I]`: `[R, I]`, row-major.
    pub fn gradient(&mut self, x: &Tensor) -> Result<Vec<f32>, AgentError> {
        let (goal, scale) = (self.target.predict(x)?, self.scale);
        let mut slopes = vec![0.0; goal.len()];
        let mut gradient = self.predictor.input_gradient(x, |output, gradient| {
            let outputs = output.len() / x.size().first().map_or(1, |&rows| rows.max(1) as usize);
            let rows = output.chunks_exact(outputs).zip(goal.chunks_exact(outputs));
            for ((output, goal), slopes) in rows.zip(slopes.chunks_exact_mut(outputs)) {
                let reward = (-scale * squared_error(output, goal)).exp();
                let share = (-2.0 * scale * reward / outputs as f64) as f32;
                for ((slope, output), goal) in slopes.iter_mut().zip(output).zip(goal) {
                    *slope = share * (output - goal);
                }
            }
            gradient.copy_from_slice(&slopes);
        })?;
        let others = self.target.input_gradient(x, |_, gradient| gradient.copy_from_slice(&slopes))?;
        gradient.iter_mut().zip(others).for_each(|(gradient, other)| *gradient -= other);
        Ok(gradient)
    }

    /// ε at the rows `x [R, I]`, `R`.
    fn errors(&mut self, x: &Tensor) -> Result<Vec<f64>, AgentError> {
        let (output, goal) = (self.predictor.predict(x)?, self.target.predict(x)?);
        let outputs = self.target.net().mlps()[0].outputs();
        let rows = output.chunks_exact(outputs).zip(goal.chunks_exact(outputs));
        Ok(rows.map(|(output, goal)| squared_error(output, goal)).collect())
    }
}

impl RowReward for Red {
    fn reward(&mut self, x: &Tensor) -> Result<Vec<f32>, AgentError> {
        let scale = self.scale;
        Ok(self.errors(x)?.into_iter().map(|error| (-scale * error).exp() as f32).collect())
    }

    fn gradient_norms(&mut self, x: &Tensor) -> Result<Vec<f32>, AgentError> {
        let width = x.size2()?.1 as usize;
        let gradient = self.gradient(x)?;
        Ok(gradient.chunks_exact(width).map(|row| row.iter().map(|g| g * g).sum::<f32>().sqrt()).collect())
    }

    fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), AgentError> {
        self.predictor.state(&mut io.scope("predictor"))?;
        self.target.state(&mut io.scope("target"))?;
        Ok(io.scalars("scale", [&mut self.scale])?)
    }
}

/// The reward's autograd form, any device: outputs of both networks `[R, K]` to rewards `[R]`.
pub fn reward(predicted: &Tensor, target: &Tensor, scale: f64) -> Tensor {
    ((predicted - target).square().mean_dim(1, false, Kind::Float) * -scale).exp()
}

fn squared_error(output: &[f32], goal: &[f32]) -> f64 {
    output.iter().zip(goal).map(|(o, g)| f64::from(o - g).powi(2)).sum::<f64>() / output.len() as f64
}

/// The σ₁ for which exp(−σ₁ ε) has this mean over the errors, by bisection; the largest one tried
/// if the errors are too small for any.
fn scale_for(mean: f64, errors: &[f64]) -> f64 {
    let reward = |scale: f64| errors.iter().map(|error| (-scale * error).exp()).sum::<f64>() / errors.len() as f64;
    let (mut low, mut high) = (0.0, 1.0);
    while reward(high) > mean && high < 1e12 {
        (low, high) = (high, 2.0 * high);
    }
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if reward(middle) > mean { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use liprl_nets::{
        autograd::{gradient, leaf},
        testing::assert_gradient,
    };
    use liprl_numerics::{State, Streams, testing::numbers};
    use tch::Device;

    use super::*;

    fn rows(count: usize, name: &str) -> Tensor {
        tch::set_num_threads(1);
        Tensor::from_slice(&numbers(count * 5, name)).view([count as i64, 5])
    }

    fn red(seed: u64, expert: &Tensor, scale: RedScale) -> Red {
        let config =
            RedConfig { hidden: vec![32, 32], outputs: 20, epochs: 100, batch_size: 16, scale, ..RedConfig::default() };
        let setup = Setup { obs_dim: 3, act_dim: 2, streams: Streams::new(seed), device: Device::Cpu, threads: 1 };
        Red::new(&config, expert, &setup).unwrap()
    }

    fn mean(numbers: &[f32]) -> f64 {
        numbers.iter().map(|x| f64::from(*x)).sum::<f64>() / numbers.len() as f64
    }

    #[test]
    fn the_expert_gets_the_asked_mean_and_strangers_less() {
        // The expert keeps to a plane of three dimensions; strangers leave it.
        let flat = Tensor::from_slice(&[1.0f32, 1.0, 1.0, 0.0, 0.0]);
        let expert = rows(100, "expert") * &flat;
        let mut red = red(1, &expert, RedScale::ExpertReward { mean: 0.9 });
        assert!((mean(&red.reward(&expert).unwrap()) - 0.9).abs() < 1e-6);
        let fellow = red.reward(&(rows(100, "fellow") * &flat)).unwrap();
        let stranger = red.reward(&rows(100, "stranger")).unwrap();
        assert!(mean(&fellow) > 0.8 && mean(&stranger) < 0.5, "{} {}", mean(&fellow), mean(&stranger));
        assert!(stranger.iter().all(|reward| (0.0..=1.0).contains(reward)));
    }

    #[test]
    fn rewards_and_gradients_by_hand_equal_autograd() {
        let (mut red, x) = (red(2, &rows(50, "expert"), RedScale::default()), rows(37, "x"));
        let leaf = leaf(&x);
        let forward = |regression: &Regression| {
            let net = regression.net();
            net.forward(0, net.params().tensor(), &leaf)
        };
        let expected = reward(&forward(&red.predictor), &forward(&red.target), red.scale);
        assert_gradient(&red.reward(&x).unwrap(), &expected.detach());
        let expected = gradient(&expected.sum(None), &leaf).unwrap();
        assert_gradient(&red.gradient(&x).unwrap(), &expected.flatten(0, -1));
        assert_gradient(&red.gradient_norms(&x).unwrap(), &expected.norm_scalaropt_dim(2.0, [1], false));
    }

    #[test]
    fn the_reference_s_scale_is_the_deviation_of_the_errors_met() {
        // Nothing is learnt at a learning rate of 0, so every pass meets the same errors.
        let expert = rows(48, "expert") * 3.0;
        let config =
            RedConfig { lr: 0.0, epochs: 3, batch_size: 16, scale: RedScale::ErrorStd, ..RedConfig::default() };
        let setup = Setup { obs_dim: 3, act_dim: 2, streams: Streams::new(3), device: Device::Cpu, threads: 1 };
        let mut red = Red::new(&config, &expert, &setup).unwrap();
        let errors: Vec<f32> = red.reward(&expert).unwrap().iter().map(|r| -r.ln() / red.scale as f32).collect();
        let deviation = errors.iter().map(|e| (f64::from(*e) - mean(&errors)).powi(2)).sum::<f64>() / 48.0;
        assert!(deviation.sqrt() > STD_FLOOR && (red.scale * deviation.sqrt() - 1.0).abs() < 1e-3, "{}", red.scale);
    }

    #[test]
    fn the_scale_solves_its_equation() {
        // One error of 2: exp(−2 σ) = 0.5. Two errors 0 and 1: (1 + exp(−σ))/2 = 0.75.
        assert!((scale_for(0.5, &[2.0]) - 0.5 * 2f64.ln()).abs() < 1e-12);
        assert!((scale_for(0.75, &[0.0, 1.0]) - 2f64.ln()).abs() < 1e-12);
        assert!(scale_for(0.9, &[0.0, 0.0]).is_finite());
    }

    #[test]
    fn a_restored_reward_is_the_saved_one() {
        let (expert, x) = (rows(40, "expert"), rows(9, "x"));
        let (mut saved, mut loaded) = (red(4, &expert, RedScale::default()), red(5, &expert, RedScale::default()));
        assert_ne!(saved.reward(&x).unwrap(), loaded.reward(&x).unwrap());
        let state = State::of(|io| saved.state(io)).unwrap();
        let state = State::from_bytes(&state.to_bytes().unwrap()).unwrap();
        loaded.state(&mut StateIo::load_from(&state)).unwrap();
        assert_eq!(saved.reward(&x).unwrap(), loaded.reward(&x).unwrap());
        assert_eq!(saved.gradient(&x).unwrap(), loaded.gradient(&x).unwrap());
    }
}
