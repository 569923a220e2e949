//! A learned termination rule: a classifier of (s, a, s'), trained on real transitions by the logistic
//! loss, softplus(z) − t z.
//!
//! Terminations are rare, so half of each minibatch is drawn from them. The classifier then learns the
//! odds at equal shares. The true odds are those times π/(1 − π), π the share of terminations among the
//! data. An imagined episode ends if they exceed 1.

use garde::Validate;
use liprl_control::certify::{self, Certifiable, Network, Takes};
use liprl_nets::{
    Buffer, Fitter, Forward, Team, Weights,
    optim::{OptimiserConfig, TrainState},
};
use liprl_numerics::{Activation, Init, Mlp, StateIo, StreamRng, kernels};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::dynamics::Scaler;
use crate::{AgentError, Flags, Replay, Setup};

/// The termination classifier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct TerminationModelConfig {
    /// Units of each hidden layer (relu). Default `[64, 64]`.
    #[garde(length(min = 1), inner(range(min = 1, max = 65536)))]
    pub hidden: Vec<usize>,
    /// Adam's learning rate. Default `1e-3`.
    #[garde(range(min = 0.0, max = 1.0))]
    pub lr: f64,
    /// Rows of a gradient step, half of them terminations. Default `256`.
    #[garde(range(min = 2, max = 1_048_576))]
    pub batch_size: usize,
    /// Gradient steps after each fit of the dynamics model. Default `1000`.
    #[garde(range(min = 1))]
    pub updates: u64,
}

impl Default for TerminationModelConfig {
    fn default() -> Self {
        Self { hidden: vec![64, 64], lr: 1e-3, batch_size: 256, updates: 1000 }
    }
}

/// The loss of logits `z [R]` at labels; writes its gradient with respect to the logits.
fn logistic(z: &[f32], labels: &[f32], slopes: &mut [f32]) -> f64 {
    let (mut sum, count) = (0.0, z.len() as f32);
    for ((slope, &z), &t) in slopes.iter_mut().zip(z).zip(labels) {
        sum += f64::from(z.max(0.0) + (-z.abs()).exp().ln_1p() - z * t);
        *slope = (kernels::sigmoid(z) - t) / count;
    }
    sum / f64::from(count)
}

/// The classifier, its training, and the share of terminations among the data.
#[derive(Debug)]
pub struct TerminationModel {
    config: TerminationModelConfig,
    fitter: Fitter,
    x: Buffer,
    labels: Vec<f32>,
    rng: StreamRng,
    /// π; 0 before the first termination.
    share: f64,
    obs_dim: usize,
}

/// The classifier in rollouts: buffers and views of its weights.
#[derive(Debug)]
pub struct TerminationView {
    weights: Weights,
    forward: Forward,
    x: Buffer,
    obs_dim: usize,
}

impl TerminationModel {
    /// A classifier with first weights from the run's streams.
    pub fn new(config: &TerminationModelConfig, setup: &Setup) -> Result<Self, AgentError> {
        let inputs = 2 * setup.obs_dim + setup.act_dim;
        let mlp = Mlp::new(inputs, &config.hidden, 1, Activation::Relu, false, Init::Uniform);
        let mut rng = setup.streams.rng("termination");
        let optimiser = OptimiserConfig::adam(config.lr);
        let net = TrainState::new(vec![mlp], optimiser, tch::Device::Cpu, &mut rng)?;
        Ok(Self {
            fitter: Fitter::new(net)?.with_team(Team::new(setup.threads)?),
            x: Buffer::zeros(&[config.batch_size, inputs])?,
            labels: vec![0.0; config.batch_size],
            config: config.clone(),
            obs_dim: setup.obs_dim,
            share: 0.0,
            rng,
        })
    }

    /// Trains on the buffer's transitions; `scaler` is the dynamics model's. Returns the loss of the last
    /// step; `None` while no transition ended an episode.
    pub fn train(&mut self, replay: &Replay, scaler: &Scaler) -> Result<Option<f64>, AgentError> {
        let flags = |row: &u32| replay.get(*row).is_some_and(|row| row.flags.contains(Flags::TERMINATED));
        let (ends, others): (Vec<u32>, Vec<u32>) = (0..replay.len() as u32).partition(flags);
        self.share = ends.len() as f64 / replay.len().max(1) as f64;
        if ends.is_empty() || others.is_empty() {
            return Ok(None);
        }
        let (width, half) = (2 * self.obs_dim + replay.config().act_dim, self.config.batch_size / 2);
        let mut last = 0.0;
        for _ in 0..self.config.updates {
            for (i, x) in self.x.slice_mut().chunks_exact_mut(width).enumerate() {
                let from = if i < half { &ends } else { &others };
                self.labels[i] = if i < half { 1.0 } else { 0.0 };
                let row = from[self.rng.random_range(0..from.len())];
                if let Some(row) = replay.get(row) {
                    input(scaler, row.obs, row.action, row.next_obs, x);
                }
            }
            last = self.fitter.step(self.x.tensor(), |z, slopes| logistic(z, &self.labels, slopes))?;
            if !last.is_finite() {
                let what = "the termination classifier's loss".to_owned();
                return Err(AgentError::NonFinite { what, value: last, updates: self.config.updates });
            }
        }
        Ok(Some(last))
    }

    /// The logit above which episodes end.
    pub fn threshold(&self) -> f32 {
        if self.share == 0.0 { f32::INFINITY } else { ((1.0 - self.share) / self.share).ln() as f32 }
    }

    /// Buffers for decisions on up to `capacity` rows; the view follows later training.
    pub fn view(&self, capacity: usize) -> Result<TerminationView, AgentError> {
        let net = self.fitter.net();
        let mlp = &net.mlps()[0];
        let x = Buffer::zeros(&[capacity, mlp.inputs()])?;
        Ok(TerminationView {
            weights: net.weights().swap_remove(0),
            forward: Forward::new(mlp, capacity)?,
            x,
            obs_dim: self.obs_dim,
        })
    }

    /// The classifier for certificates: (s, a, s') to its logit, as one function of all three; `scaler` as
    /// in `train`.
    pub fn certifiable(&self, scaler: &Scaler) -> Result<Certifiable, AgentError> {
        let mut inputs = scaler.inputs();
        inputs.extend_from_within(..self.obs_dim);
        let name = "termination";
        let net = self.fitter.net();
        let params = net.params().to_vec()?;
        let network = Network::new(name, &net.mlps()[0], &params, &inputs, certify::OutputMap::Linear(vec![1.0]));
        Ok(Certifiable { name: name.into(), takes: Takes::StateActionState, network })
    }

    /// Everything that changes.
    pub fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), AgentError> {
        self.fitter.net_mut().state(io)?;
        io.scalars("share", [&mut self.share])?;
        Ok(io.value("stream", &mut self.rng)?)
    }
}

impl TerminationView {
    /// Writes into `ended [R]` if an episode ends at each row of (s, a, s').
    pub fn decide(
        &mut self,
        scaler: &Scaler,
        threshold: f32,
        [obs, action, next]: [&[f32]; 3],
        ended: &mut [bool],
    ) -> Result<(), AgentError> {
        let (o, rows) = (self.obs_dim, ended.len());
        let a = scaler.mean.len() - o;
        let width = 2 * o + a;
        for (row, x) in self.x.slice_mut().chunks_exact_mut(width).enumerate().take(rows) {
            input(scaler, &obs[row * o..][..o], &action[row * a..][..a], &next[row * o..][..o], x);
        }
        let x = self.x.tensor().f_narrow(0, 0, rows as i64)?;
        let logits = self.forward.run(&self.weights, &x)?;
        ended.iter_mut().zip(logits).for_each(|(ended, z)| *ended = *z > threshold);
        Ok(())
    }
}

/// (s, a, s'), standardised as the dynamics model's inputs are.
fn input(scaler: &Scaler, obs: &[f32], action: &[f32], next: &[f32], x: &mut [f32]) {
    let (pair, rest) = x.split_at_mut(scaler.mean.len());
    scaler.apply(obs, action, pair);
    rest.copy_from_slice(next);
    scaler.standardise(rest);
}

#[cfg(test)]
mod tests {
    use liprl_nets::testing::{assert_close, assert_gradient};
    use liprl_numerics::{Streams, testing::numbers};
    use rand_distr::{Distribution, StandardNormal};
    use tch::{Kind, Tensor};

    use super::*;
    use crate::{ReplayConfig, Transition};

    fn setup() -> Setup {
        Setup { obs_dim: 2, act_dim: 1, streams: Streams::new(1), device: tch::Device::Cpu, threads: 1 }
    }

    /// The logistic loss of logits `z [R]` at labels `t`, mean over rows, by autograd.
    fn loss(z: &Tensor, t: &Tensor) -> Tensor {
        (z.softplus() - z * t).mean(None)
    }

    #[test]
    fn loss_and_gradient_by_hand_equal_f64_autograd() {
        let config =
            TerminationModelConfig { batch_size: 38, hidden: vec![16, 11], ..TerminationModelConfig::default() };
        let mut head = TerminationModel::new(&config, &setup()).unwrap();
        head.x.slice_mut().copy_from_slice(&numbers(38 * 5, "inputs"));
        head.labels.iter_mut().enumerate().for_each(|(i, t)| *t = if i % 3 == 0 { 1.0 } else { 0.0 });
        let leaf = head.fitter.net().params().tensor().to_kind(Kind::Double).set_requires_grad(true);
        let z = head.fitter.net().forward(0, &leaf, &head.x.tensor().to_kind(Kind::Double)).view(-1);
        let expected = loss(&z, &Tensor::from_slice(&head.labels).to_kind(Kind::Double));
        let slope = Tensor::run_backward(&[&expected], &[&leaf], false, false).swap_remove(0);
        let TerminationModel { fitter, x, labels, .. } = &mut head;
        let by_hand = fitter.gradient_by_hand(x.tensor(), |z, slopes| logistic(z, labels, slopes));
        let (value, by_hand) = by_hand.unwrap().unwrap();
        assert_close(value, expected.double_value(&[]));
        assert_gradient(by_hand, &slope.to_kind(Kind::Float));
    }

    /// One step in fifty ends: if the next observation's first number is above a limit.
    #[test]
    fn it_learns_a_rare_rule() {
        let replay = ReplayConfig { capacity: 4000, obs_dim: 2, act_dim: 1, priorities: None };
        let (mut replay, mut rng) = (Replay::new(replay).unwrap(), Streams::new(2).rng("data"));
        let mut draw = || -> f32 { StandardNormal.sample(&mut rng) };
        let mut rows = Vec::new();
        for _ in 0..4000 {
            let (obs, action, next_obs) = ([draw(), draw()], [draw()], [draw(), draw()]);
            let terminated = next_obs[0] > 2.05;
            let step = Transition {
                obs: &obs,
                action: &action,
                reward: 0.0,
                next_obs: &next_obs,
                terminated,
                truncated: false,
            };
            replay.push(&step, Flags::NONE).unwrap();
            rows.push((obs, action, next_obs, terminated));
        }
        let (mut head, scaler) =
            (TerminationModel::new(&TerminationModelConfig::default(), &setup()).unwrap(), Scaler::identity(3));
        let mut view = head.view(1).unwrap();
        let mut decide = |head: &TerminationModel, (obs, action, next, _): &([f32; 2], [f32; 1], [f32; 2], bool)| {
            let mut ended = [true];
            view.decide(&scaler, head.threshold(), [obs, action, next], &mut ended).unwrap();
            ended[0]
        };
        assert!(!decide(&head, &rows[0]), "before any training nothing ends");
        head.train(&replay, &scaler).unwrap().unwrap();
        let wrong = rows.iter().filter(|row| decide(&head, row) != row.3).count();
        let ends = rows.iter().filter(|row| row.3).count();
        assert!(ends > 40 && wrong * 10 < ends, "{wrong} wrong of 4000, {ends} of which end");
    }
}
