//! The discriminator: its logits, their input gradients, and one gradient step on classification
//! loss plus gradient penalty.
//!
//! On a CPU, for ReLU and LeakyReLU, the step is written out (the penalty's double backward in
//! closed form, `lipschitz::InputGradient`); otherwise it is autograd, which is also its
//! specification.

use liprl_nets::{
    Buffer, Gradient, Pass, Team, Weights, WorkspaceCache,
    autograd::{finite, gradient, leaf},
    lipschitz::{InputGradient, SpectralNorm},
    optim::TrainState,
};
use liprl_numerics::{Mlp, StateIo, StreamRng};
use tch::{Device, Kind, Tensor};

use super::{
    classification::ClassificationStats,
    discriminator_config::DiscriminatorConfig,
    equations::{self, Classification},
};
use crate::AgentError;

/// The network with the buffers of its steps.
#[derive(Debug)]
pub(super) struct Discriminator {
    config: DiscriminatorConfig,
    trained: TrainState,
    spectral: Option<SpectralNorm>,
    /// The parameters in use: the learnt ones, spectrally normalised if the config says so.
    effective: Buffer,
    weights: Weights,
    by_hand: Option<ByHand>,
    /// Buffers for logits of so many rows, and for their input gradients.
    scorers: WorkspaceCache<(Buffer, Pass)>,
    gradients: WorkspaceCache<Option<(Buffer, InputGradient)>>,
    /// Logits found on another device.
    elsewhere: Vec<f32>,
    team: Team,
    steps: u64,
}

/// Buffers of the hand-written step.
#[derive(Debug)]
struct ByHand {
    x: Buffer,
    pass: Pass,
    points: Buffer,
    input_gradient: InputGradient,
    gradient: Gradient,
}

/// One step's data; rows are `[B, I]`, preprocessed, of the policy first and the demonstrations
/// then.
#[derive(Clone, Copy, Debug)]
pub(super) struct StepData<'a> {
    /// `[2 B, I]`.
    pub(super) rows: &'a [f32],
    /// Labels of the policy's rows, `[B]`.
    pub(super) policy_labels: &'a [f32],
    /// Labels of the demonstrated rows, `[B]`.
    pub(super) expert_labels: &'a [f32],
    /// Weights of the demonstrated rows, `[B]`.
    pub(super) expert_weights: &'a [f32],
    /// Points of the penalty, preprocessed, `[B, I]`.
    pub(super) points: &'a [f32],
    /// ∂(preprocessed)/∂(raw) at those points, `[B, I]`.
    pub(super) slopes: &'a [f32],
}

/// Statistics of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct StepStats {
    /// Those of the classification.
    pub(super) classification: ClassificationStats,
    /// λ · mean φ.
    pub(super) penalty: f64,
    /// Mean ‖∇D‖ at the penalty's points.
    pub(super) norm: f64,
    /// Share of them above k.
    pub(super) above: f64,
    /// Global norm of the parameters' gradient.
    pub(super) grad_norm: f64,
}

impl Discriminator {
    /// First weights (and, for spectral normalisation, singular vectors) from `rng`; rows have
    /// `width` numbers.
    pub(super) fn new(
        config: &DiscriminatorConfig,
        width: usize,
        device: Device,
        rng: &mut StreamRng,
    ) -> Result<Self, AgentError> {
        let net = config.network();
        let mlp = Mlp::new(width, &net.hidden, 1, net.activation, false, net.init);
        let trained = TrainState::new(vec![mlp.clone()], (&net).into(), device, rng)?;
        let hidden = 0..mlp.layers.len() - 1;
        let spectral = config.spectral_norm.then(|| SpectralNorm::new(&mlp, hidden, 1.0, rng));
        let effective = Buffer::zeros_on(&[mlp.len()], device)?;
        let batch = config.batch_size;
        let by_hand = match (device, InputGradient::new(&mlp, batch)?) {
            (Device::Cpu, Some(input_gradient)) => Some(ByHand {
                x: Buffer::zeros(&[2 * batch, width])?,
                pass: Pass::new(&mlp, 2 * batch)?,
                points: Buffer::zeros(&[batch, width])?,
                input_gradient,
                gradient: Gradient::new(&[&mlp])?,
            }),
            _ => None,
        };
        let mut discriminator = Self {
            weights: Weights::new(&mlp, &effective, 0),
            config: config.clone(),
            trained,
            spectral,
            effective,
            by_hand,
            scorers: WorkspaceCache::default(),
            gradients: WorkspaceCache::default(),
            elsewhere: Vec::new(),
            team: Team::new(1)?,
            steps: 0,
        };
        discriminator.refresh(true)?;
        Ok(discriminator)
    }

    /// Numbers in a row.
    pub(super) fn width(&self) -> usize {
        self.trained.mlps()[0].inputs()
    }

    /// The network, with the parameters it is used with.
    pub(super) fn network(&self) -> Result<(&Mlp, Vec<f32>), AgentError> {
        Ok((&self.trained.mlps()[0], self.effective.to_vec()?))
    }

    /// The learnt parameters, for histograms.
    pub(super) fn trained(&self) -> &TrainState {
        &self.trained
    }

    /// Logits of preprocessed rows, `[R, I]` to `[R]`.
    pub(super) fn logits(&mut self, rows: &[f32]) -> Result<&[f32], AgentError> {
        let (mlp, width) = (&self.trained.mlps()[0], self.width());
        let count = rows.len() / width;
        if self.effective.tensor().device() != Device::Cpu {
            let x = Tensor::f_from_slice(rows)?.f_view([count as i64, width as i64])?;
            self.elsewhere = Vec::try_from(tch::no_grad(|| self.forward(&x))?.f_to(Device::Cpu)?)?;
            return Ok(&self.elsewhere);
        }
        let make = || Ok::<_, AgentError>((Buffer::zeros(&[count, width])?, Pass::new(mlp, count)?));
        let (x, pass) = self.scorers.of(count, make)?;
        x.slice_mut().copy_from_slice(rows);
        Ok(pass.forward(&self.weights, x.tensor())?)
    }

    /// Logits by autograd, `[R, I]` on any device to `[R]`.
    fn forward(&self, x: &Tensor) -> Result<Tensor, AgentError> {
        let x = x.f_to(self.effective.tensor().device())?;
        Ok(self.trained.forward(0, self.effective.tensor(), &x).f_squeeze_dim(-1)?)
    }

    /// ‖∇D‖₂ with respect to raw rows, `[R]`, at preprocessed rows `[R, I]` with
    /// ∂(preprocessed)/∂(raw) `[R, I]`.
    pub(super) fn gradient_norms(&mut self, rows: &[f32], slopes: &[f32]) -> Result<Vec<f32>, AgentError> {
        let width = self.width();
        let count = rows.len() / width;
        let (by_hand, mlp) = (self.by_hand.is_some(), &self.trained.mlps()[0]);
        let room = self.gradients.of(count, || match InputGradient::new(mlp, count)? {
            Some(pass) if by_hand => Ok::<_, AgentError>(Some((Buffer::zeros(&[count, width])?, pass))),
            _ => Ok(None),
        })?;
        let gradient = match room {
            Some((x, pass)) => {
                x.slice_mut().copy_from_slice(rows);
                pass.run(&self.weights, x.tensor())?.to_vec()
            }
            None => {
                let x = leaf(&Tensor::f_from_slice(rows)?.f_view([count as i64, width as i64])?);
                let sum = self.forward(&x)?.f_sum(Kind::Float)?;
                Vec::try_from(gradient(&sum, &x)?.f_flatten(0, -1)?)?
            }
        };
        Ok(row_norms(&gradient, slopes, width).map(|norm| norm as f32).collect())
    }

    /// One gradient step.
    pub(super) fn step(&mut self, data: &StepData<'_>) -> Result<StepStats, AgentError> {
        let measured = match self.by_hand {
            Some(_) => self.step_by_hand(data)?,
            None => self.step_autograd(data)?,
        };
        self.steps += 1;
        finite("the discriminator's loss", measured.classification.loss + measured.penalty, self.steps)?;
        self.refresh(true)?;
        Ok(measured)
    }

    fn classification<'a>(&self, data: &StepData<'a>) -> Classification<'a> {
        Classification {
            loss: self.config.loss,
            entropy: self.config.entropy,
            policy_labels: data.policy_labels,
            expert_labels: data.expert_labels,
            expert_weights: data.expert_weights,
        }
    }

    fn step_by_hand(&mut self, data: &StepData<'_>) -> Result<StepStats, AgentError> {
        let classification = self.classification(data);
        let mut measured = StepStats::default();
        let Some(ByHand { x, pass, points, input_gradient, gradient }) = &mut self.by_hand else { return Ok(measured) };
        let (batch, width) = (self.config.batch_size, x.slice().len() / (2 * self.config.batch_size));
        x.slice_mut().copy_from_slice(data.rows);
        pass.forward(&self.weights, x.tensor())?;
        let (logits, slopes) = pass.output_and_gradient();
        let ((policy, expert), (policy_slopes, expert_slopes)) = (logits.split_at(batch), slopes.split_at_mut(batch));
        measured.classification = classification.by_hand(policy, expert, policy_slopes, expert_slopes);
        pass.backward(&self.weights, x.tensor(), Some((gradient, 0)))?;
        let penalty = self.config.gradient_penalty;
        if penalty.scale > 0.0 {
            points.slice_mut().copy_from_slice(data.points);
            input_gradient.run(&self.weights, points.tensor())?;
            let (g, outer) = input_gradient.gradient_and_outer();
            let share = penalty.scale / batch as f64;
            for (row, norm) in row_norms(g, data.slopes, width).enumerate() {
                let range = row * width..(row + 1) * width;
                let (g, slopes) = (&g[range.clone()], &data.slopes[range.clone()]);
                let cost = penalty.sides.row_by_hand((norm, penalty.target), share, (g, slopes), &mut outer[range]);
                measured.penalty += share * cost;
                measured.norm += norm / batch as f64;
                measured.above += f64::from(u8::from(norm > penalty.target)) / batch as f64;
            }
            input_gradient.backward(&self.weights, gradient, 0)?;
        }
        if let Some(spectral) = &self.spectral {
            spectral.pull_back(self.effective.slice(), gradient.slice_mut());
        }
        measured.grad_norm = self.trained.step(&self.team, &mut [gradient], None)?;
        Ok(measured)
    }

    /// The loss with its penalty by autograd over `params`, the learnt ones, in their own float
    /// type.
    fn loss_autograd(&self, data: &StepData<'_>, params: &Tensor) -> Result<(Tensor, StepStats), AgentError> {
        let (batch, width) = (self.config.batch_size as i64, self.width() as i64);
        let on = |numbers: &[f32]| {
            let tensor = Tensor::f_from_slice(numbers)?.f_view([-1, width])?;
            tensor.f_to_device(params.device())?.f_to_kind(params.kind())
        };
        let effective = match &self.spectral {
            Some(spectral) => spectral.forward(params)?,
            None => params.shallow_clone(),
        };
        let logits = |x: &Tensor| Ok::<_, AgentError>(self.trained.forward(0, &effective, x).f_squeeze_dim(-1)?);
        let rows = logits(&on(data.rows)?)?;
        let (policy, expert) = (rows.f_narrow(0, 0, batch)?, rows.f_narrow(0, batch, batch)?);
        let mut loss = self.classification(data).loss(&policy, &expert);
        let mut measured = StepStats::default();
        let read =
            |tensor: &Tensor| Vec::<f32>::try_from(tensor.f_detach()?.f_to_kind(Kind::Float)?.f_to(Device::Cpu)?);
        let (policy, expert, mut unused) = (read(&policy)?, read(&expert)?, vec![0.0; 2 * batch as usize]);
        let (a, b) = unused.split_at_mut(batch as usize);
        measured.classification = self.classification(data).by_hand(&policy, &expert, a, b);
        let penalty = self.config.gradient_penalty;
        if penalty.scale > 0.0 {
            let (points, slopes) = (on(data.points)?, on(data.slopes)?);
            let (term, norm) = equations::gradient_penalty(&penalty, logits, &points, &slopes)?;
            measured.penalty = term.f_double_value(&[])?;
            measured.norm = norm.mean(None).f_double_value(&[])?;
            measured.above = norm.gt(penalty.target).f_to_kind(Kind::Double)?.mean(None).f_double_value(&[])?;
            loss += term;
        }
        Ok((loss, measured))
    }

    /// The specification of `step_by_hand`, on any device and for any activation.
    fn step_autograd(&mut self, data: &StepData<'_>) -> Result<StepStats, AgentError> {
        let params = leaf(self.trained.params().tensor());
        let (loss, mut measured) = self.loss_autograd(data, &params)?;
        measured.grad_norm = self.trained.step_tensor(&gradient(&loss, &params)?)?;
        Ok(measured)
    }

    /// Brings the parameters in use up to date; with `iterate`, after a round of power iteration.
    fn refresh(&mut self, iterate: bool) -> Result<(), AgentError> {
        match (&mut self.spectral, self.effective.tensor().device()) {
            (None, _) => {
                self.effective.tensor().shallow_clone().f_copy_(self.trained.params().tensor())?;
            }
            (Some(spectral), Device::Cpu) => {
                let params = self.trained.params().slice();
                if iterate {
                    spectral.iterate(params);
                }
                spectral.apply(params, self.effective.slice_mut());
            }
            (Some(spectral), _) => {
                let params = self.trained.params().to_vec()?;
                if iterate {
                    spectral.iterate(&params);
                }
                let mut effective = vec![0.0; params.len()];
                spectral.apply(&params, &mut effective);
                self.effective.fill_from(&effective)?;
            }
        }
        Ok(())
    }

    /// Everything that changes.
    pub(super) fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), AgentError> {
        self.trained.state(io)?;
        if let Some(spectral) = &mut self.spectral {
            spectral.state(&mut io.scope("spectral"))?;
        }
        io.value("steps", &mut self.steps)?;
        if io.loading() { self.refresh(false) } else { Ok(()) }
    }
}

/// ‖J g‖₂ of each row, J the diagonal of `slopes`.
fn row_norms<'a>(g: &'a [f32], slopes: &'a [f32], width: usize) -> impl Iterator<Item = f64> + 'a {
    g.chunks_exact(width)
        .zip(slopes.chunks_exact(width))
        .map(|(g, slopes)| g.iter().zip(slopes).map(|(g, slope)| f64::from(g * slope).powi(2)).sum::<f64>().sqrt())
}

#[cfg(test)]
mod tests;
