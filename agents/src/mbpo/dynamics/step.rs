//! One gradient step of a fit by hand, on a CPU.
//!
//! A single network splits the batch's rows among the threads, as the actor–critics do. An ensemble
//! splits its networks among them.

use std::ops::Range;

use liprl_nets::{Buffer, Gradient, Pass, Team, Weights};
use liprl_numerics::{
    Mlp,
    kernels::{self, AdamStep},
};

use super::{data::FitData, log_variance::LogVarianceBounds, loss, params::Parameters};
use crate::AgentError;

/// Workers of gradient steps on batches of a fixed number of rows.
#[derive(Debug)]
pub(super) struct Stepper {
    rows: usize,
    decay: Vec<f32>,
    bounds: LogVarianceBounds,
    workers: Vec<FitWorker>,
}

/// Parameters of a loss.
#[derive(Clone, Copy)]
pub(super) struct Cost<'a> {
    /// The bounds; empty for a deterministic model.
    bounds: &'a LogVarianceBounds,
    /// 1 over the batch's rows times coordinates.
    share: f64,
}

impl Cost<'_> {
    /// Adds the loss of these rows to `sum`, in units of `share`; writes its gradient into `slopes`.
    fn add(self, output: &[f32], target: &[f32], slopes: &mut [f32], sum: &mut f64, bound_slopes: &mut [f64]) {
        match self.bounds.len() {
            0 => loss::squared(output, target, self.share, slopes, sum),
            _ => loss::gaussian(output, target, self.bounds, self.share, slopes, sum, bound_slopes),
        }
    }
}

impl Stepper {
    /// Allocates for `rows` rows a member; `decay` as the config has it, `predicted` coordinates.
    pub(super) fn new(
        params: &Parameters,
        decay: &[f64],
        predicted: usize,
        rows: usize,
        team: &Team,
    ) -> Result<Self, AgentError> {
        let shares: Vec<_> = match params.members {
            1 => team.shares(rows).into_iter().map(|rows| (0..1, rows)).collect(),
            members => team.shares(members).into_iter().map(|members| (members, 0..rows)).collect(),
        };
        let workers = shares.into_iter().map(|(members, rows)| FitWorker::new(params, predicted, members, rows));
        let decay = decay.iter().map(|&c| c as f32).collect();
        let bounds = LogVarianceBounds::default();
        Ok(Self { rows, decay, bounds, workers: workers.collect::<Result<_, _>>()? })
    }

    /// Rows of a batch, for each member.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Takes one Adam step on these rows of `data`, `rows[e]` for member e. The bounds move too with
    /// `learn_bounds`. Returns the loss before it, without decay and bounds' terms, mean over the members.
    pub(super) fn step(
        &mut self,
        params: &mut Parameters,
        data: &FitData,
        rows: &[&[u32]],
        learn_bounds: bool,
        team: &Team,
    ) -> Result<f64, AgentError> {
        let step = params.next_step();
        let (members, start) = (params.members, params.bounds_start());
        let (loss, bound_gradient) = self.gradient(params, data, rows, team)?;
        let (values, bounds) = params.values.slice_mut().split_at_mut(start);
        let (m, bound_m) = params.m.slice_mut().split_at_mut(start);
        let (v, bound_v) = params.v.slice_mut().split_at_mut(start);
        match members {
            1 => adam_shared(&mut self.workers, [values, m, v], step, team)?,
            _ => adam_apart(&mut self.workers, [values, m, v], step, team)?,
        }
        if learn_bounds && !bounds.is_empty() {
            let half = bounds.len() / 2;
            let pull = |i| if i < half { loss::BOUND_WEIGHT } else { -loss::BOUND_WEIGHT };
            let gradient: Vec<f32> = bound_gradient.iter().enumerate().map(|(i, g)| (g + pull(i)) as f32).collect();
            kernels::adam(bounds, bound_m, bound_v, &gradient, step);
        }
        Ok(loss / members as f64)
    }

    /// The loss summed over the members, and its gradient with respect to the bounds. The workers have
    /// that with respect to the networks.
    fn gradient(
        &mut self,
        params: &Parameters,
        data: &FitData,
        rows: &[&[u32]],
        team: &Team,
    ) -> Result<(f64, Vec<f64>), AgentError> {
        self.bounds.set(&params.values.slice()[params.bounds_start()..]);
        let cost = Cost { bounds: &self.bounds, share: 1.0 / (self.rows * data.predicted()) as f64 };
        let decay = &self.decay;
        team.run(&mut self.workers, |worker| worker.gradient(data, rows, cost, decay))?;
        let (mut loss, mut bound_gradient) = (0.0, vec![0.0; params.bounds]);
        for worker in &self.workers {
            loss += worker.loss;
            bound_gradient.iter_mut().zip(&worker.bounds).for_each(|(sum, x)| *sum += x);
        }
        Ok((loss, bound_gradient))
    }
}

/// Steps an ensemble: each worker's networks are one stretch of the parameters.
fn adam_apart(
    workers: &mut [FitWorker],
    [mut values, mut m, mut v]: [&mut [f32]; 3],
    step: AdamStep,
    team: &Team,
) -> Result<(), AgentError> {
    let mut parts = Vec::with_capacity(workers.len());
    for worker in workers.iter() {
        let gradient = worker.gradient.slice();
        let count = gradient.len();
        parts.push((cut(&mut values, count), cut(&mut m, count), cut(&mut v, count), gradient));
    }
    team.run(&mut parts, |(values, m, v, gradient)| {
        kernels::adam(values, m, v, gradient, step);
        Ok(())
    })
}

/// Takes the first `count` numbers off.
fn cut<'a>(rest: &mut &'a mut [f32], count: usize) -> &'a mut [f32] {
    let (mine, others) = std::mem::take(rest).split_at_mut(count);
    *rest = others;
    mine
}

/// Steps a single network down the sum of the workers' gradients, each thread a stretch of it.
fn adam_shared(
    workers: &mut [FitWorker],
    [values, m, v]: [&mut [f32]; 3],
    step: AdamStep,
    team: &Team,
) -> Result<(), AgentError> {
    let Some((first, others)) = workers.split_first_mut() else { return Ok(()) };
    let share = values.len().div_ceil(team.size()).next_multiple_of(16);
    let stretches = (values.chunks_mut(share).zip(m.chunks_mut(share)).zip(v.chunks_mut(share)))
        .zip(first.gradient.slice_mut().chunks_mut(share))
        .enumerate();
    let mut parts: Vec<_> = stretches
        .map(|(i, (((values, m), v), sum))| {
            let stretch = i * share..i * share + sum.len();
            let others: Vec<&[f32]> = others.iter().map(|other| &other.gradient.slice()[stretch.clone()]).collect();
            (values, m, v, sum, others)
        })
        .collect();
    team.run(&mut parts, |(values, m, v, sum, others)| {
        others.iter().for_each(|other| kernels::add(sum, other));
        kernels::adam(values, m, v, sum, step);
        Ok(())
    })
}

/// Some networks, each over some rows of its batch.
#[derive(Debug)]
struct FitWorker {
    mlp: Mlp,
    members: Range<usize>,
    rows: Range<usize>,
    networks: Vec<NetworkRows>,
    gradient: Gradient,
    bounds: Vec<f64>,
    loss: f64,
}

/// One network's buffers.
#[derive(Debug)]
struct NetworkRows {
    weights: Weights,
    pass: Pass,
    x: Buffer,
    y: Buffer,
}

impl FitWorker {
    fn new(
        params: &Parameters,
        predicted: usize,
        members: Range<usize>,
        rows: Range<usize>,
    ) -> Result<Self, AgentError> {
        let mlp = params.mlp.clone();
        let networks = members.clone().map(|member| {
            Ok(NetworkRows {
                weights: Weights::new(&mlp, &params.values, member * mlp.len()),
                pass: Pass::new(&mlp, rows.len())?,
                x: Buffer::zeros(&[rows.len(), mlp.inputs()])?,
                y: Buffer::zeros(&[rows.len(), predicted])?,
            })
        });
        Ok(Self {
            networks: networks.collect::<Result<_, AgentError>>()?,
            gradient: Gradient::new(&vec![&mlp; members.len()])?,
            bounds: vec![0.0; params.bounds],
            loss: 0.0,
            members,
            rows,
            mlp,
        })
    }

    /// This worker's part of the loss and its gradient; the decay's is in that of the first rows.
    fn gradient(&mut self, data: &FitData, rows: &[&[u32]], cost: Cost<'_>, decay: &[f32]) -> Result<(), AgentError> {
        let mut sum = 0.0;
        self.bounds.fill(0.0);
        for (g, network) in self.networks.iter_mut().enumerate() {
            let NetworkRows { weights, pass, x, y } = network;
            data.gather(&rows[self.members.start + g][self.rows.clone()], x.slice_mut(), y.slice_mut());
            pass.forward(weights, x.tensor())?;
            let (output, slopes) = pass.output_and_gradient();
            cost.add(output, y.slice(), slopes, &mut sum, &mut self.bounds);
            pass.backward(weights, x.tensor(), Some((&mut self.gradient, g)))?;
            if self.rows.start == 0 {
                add_decay(&self.mlp, weights.params(), decay, self.gradient.part_mut(g, &self.mlp));
            }
        }
        self.loss = sum * cost.share;
        Ok(())
    }
}

/// Adds c W to the gradient of each weight.
fn add_decay(mlp: &Mlp, params: &[f32], decay: &[f32], gradient: &mut [f32]) {
    for (layer, &c) in mlp.layers.iter().zip(decay).filter(|(_, c)| **c > 0.0) {
        let weight = layer.start..layer.bias();
        gradient[weight.clone()].iter_mut().zip(&params[weight]).for_each(|(g, w)| *g += c * w);
    }
}

#[cfg(test)]
mod tests {
    use liprl_nets::testing::{assert_close, assert_gradient};
    use liprl_numerics::{
        Activation, Streams,
        testing::{numbers, widths},
    };
    use tch::{
        Kind, Tensor,
        nn::{self, OptimizerConfig},
    };

    use super::*;
    use crate::mbpo::dynamics::{ModelConfig, Prediction};

    const ROWS: usize = 21;

    fn variants() -> Vec<ModelConfig> {
        let mut all = Vec::new();
        for prediction in [Prediction::Probabilistic, Prediction::Deterministic] {
            for members in [1, 2, 5] {
                for activation in [Activation::Swish, Activation::Relu, Activation::Tanh, Activation::MaxMin] {
                    let weight_decay = Some(vec![0.3, 0.0, 0.1]);
                    let (hidden, base) = (widths(activation, &[19, 16]), ModelConfig::default());
                    all.push(ModelConfig { prediction, members, hidden, activation, weight_decay, lr: 1e-2, ..base });
                }
            }
        }
        all
    }

    fn parameters(config: &ModelConfig) -> Parameters {
        let mut params = Parameters::new(config, 5, 4, &mut Streams::new(1).rng("model")).unwrap();
        // Biases away from zero, and bounds near the log-variances, so that every derivative matters.
        let len = params.values.slice().len();
        let moved = numbers(len, "moved");
        params.values.slice_mut().iter_mut().zip(&moved).for_each(|(p, n)| *p += 0.1 * n);
        let start = params.bounds_start();
        let bounds = params.bounds;
        params.values.slice_mut()[start + bounds / 2..].iter_mut().zip(&moved).for_each(|(p, n)| *p = -0.7 + 0.1 * n);
        params
    }

    fn data() -> FitData {
        FitData::new(numbers(40 * 5, "inputs"), numbers(40 * 4, "targets"), 5, 4)
    }

    /// Each member's rows, drawn with repetition.
    fn rows(members: usize) -> Vec<Vec<u32>> {
        (0..members).map(|e| (0..ROWS).map(|i| ((i * 7 + e * 11 + i * i) % 40) as u32).collect()).collect()
    }

    fn autograd(params: &Tensor, config: &ModelConfig, mlp: &Mlp, data: &FitData, rows: &[Vec<u32>]) -> Tensor {
        let stack = |width: usize, y: bool| {
            let all: Vec<f32> = rows
                .iter()
                .flat_map(|rows| {
                    let (mut a, mut b) = (vec![0.0; ROWS * 5], vec![0.0; ROWS * 4]);
                    data.gather(rows, &mut a, &mut b);
                    if y { b } else { a }
                })
                .collect();
            Tensor::from_slice(&all).view([rows.len() as i64, ROWS as i64, width as i64]).to_kind(params.kind())
        };
        loss::autograd(mlp, config.prediction.gaussian(), &config.decay(), params, &stack(5, false), &stack(4, true))
    }

    /// The whole gradient by hand, laid out as the parameters are, and the loss it belongs to.
    fn by_hand(config: &ModelConfig, params: &mut Parameters, threads: usize) -> (f64, Vec<f32>) {
        let (data, rows, team) = (data(), rows(config.members), Team::new(threads).unwrap());
        let rows: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
        let mut stepper = Stepper::new(params, &config.decay(), 4, ROWS, &team).unwrap();
        let (loss, bound_gradient) = stepper.gradient(params, &data, &rows, &team).unwrap();
        let mut gradient = vec![0.0; params.bounds_start()];
        for worker in &stepper.workers {
            let range = worker.members.start * params.mlp.len()..worker.members.end * params.mlp.len();
            kernels::add(&mut gradient[range], worker.gradient.slice());
        }
        let half = bound_gradient.len() / 2;
        for (i, g) in bound_gradient.iter().enumerate() {
            gradient.push((g + if i < half { 0.01 } else { -0.01 }) as f32);
        }
        (loss, gradient)
    }

    #[test]
    fn loss_and_gradient_by_hand_equal_f64_autograd() {
        for config in variants() {
            for threads in [1, 2, 3] {
                let mut params = parameters(&config);
                let leaf = params.values.tensor().to_kind(Kind::Double).set_requires_grad(true);
                let expected = autograd(&leaf, &config, &params.mlp, &data(), &rows(config.members));
                let slope = Tensor::run_backward(&[&expected], &[&leaf], false, false).swap_remove(0);
                let (mut loss, gradient) = by_hand(&config, &mut params, threads);
                // What the reported loss leaves out.
                for member in 0..config.members {
                    for (layer, c) in params.mlp.layers.iter().zip(config.decay()) {
                        let weight = &params.member(member)[layer.start..layer.bias()];
                        loss += 0.5 * c * weight.iter().map(|w| f64::from(*w).powi(2)).sum::<f64>();
                    }
                }
                let bounds = &params.values.slice()[params.bounds_start()..];
                let (max, min) = bounds.split_at(bounds.len() / 2);
                loss += 0.01 * (max.iter().sum::<f32>() - min.iter().sum::<f32>()) as f64;
                assert_close(loss, expected.double_value(&[]));
                assert_gradient(&gradient, &slope.to_kind(Kind::Float));
            }
        }
    }

    #[test]
    fn twenty_steps_follow_libtorch_s_adam() {
        for config in variants() {
            let (mut params, data, team) = (parameters(&config), data(), Team::new(2).unwrap());
            let (rows, mlp) = (rows(config.members), params.mlp.clone());
            let store = nn::VarStore::new(tch::Device::Cpu);
            let x = store.root().var_copy("x", params.values.tensor());
            let mut adam = nn::Adam::default().build(&store, 1e-2).unwrap();
            let mut stepper = Stepper::new(&params, &config.decay(), 4, ROWS, &team).unwrap();
            let slices: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
            for _ in 0..20 {
                adam.backward_step(&autograd(&x, &config, &mlp, &data, &rows));
                stepper.step(&mut params, &data, &slices, true, &team).unwrap();
            }
            let expected = Vec::<f32>::try_from(x.detach()).unwrap();
            liprl_nets::testing::assert_nearly(params.values.slice(), &expected);
            assert_eq!(params.steps(), 20);
        }
    }

    #[test]
    fn bounds_that_do_not_learn_stay() {
        let config = variants().swap_remove(3);
        let (mut params, data, team) = (parameters(&config), data(), Team::new(1).unwrap());
        let before = params.values.slice()[params.bounds_start()..].to_vec();
        let rows = rows(config.members);
        let slices: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
        let mut stepper = Stepper::new(&params, &config.decay(), 4, ROWS, &team).unwrap();
        stepper.step(&mut params, &data, &slices, false, &team).unwrap();
        assert_eq!(params.values.slice()[params.bounds_start()..], before);
    }
}
