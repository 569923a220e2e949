//! The critics of an actor–critic: networks and targets, and all that shapes what they learn.
//!
//! | file | content |
//! | --- | --- |
//! | `equations` | backup and loss, by autograd |
//! | `rows` | the CPU form of both over a share of a batch |
//! | `mod` | one step of the critics in either form, and their state |
//!
//! A critic may put out a distribution of returns (`distribution`) or a normalised value
//! (`returns`). It may be spectrally normalised, or have a regularising term in its loss (`value`).

pub(crate) mod equations;
pub(crate) mod rows;

use std::ops::Range;

use liprl_nets::{
    Gradient, NetsError,
    autograd::{finite, gradient, leaf},
    optim::{Target, TrainState},
};
use liprl_numerics::{Mlp, StateIo, StreamRng};
use tch::{Device, Tensor};

use super::{
    CriticHead, CriticLoss, OffPolicyConfig,
    batch::DeviceBatch,
    distribution::Distribution,
    outputs::{Units, outputs},
    returns::Returns,
    shares::{RowShare, RowShares},
    value::{Networks, Regulariser, SpectralCritics, TermSums},
};
use crate::{AgentError, Metrics, Setup};

use rows::CriticRows;

/// One or two critics of (s, a), with their targets and optimiser.
#[derive(Debug)]
pub struct Critics {
    networks: TrainState,
    pub(super) targets: Target,
    loss: CriticLoss,
    /// Meaning of the outputs where they are not the value.
    distribution: Option<Distribution>,
    spectral: Option<SpectralCritics>,
    pub(super) regulariser: Option<Regulariser>,
    returns: Option<Returns>,
    has_rows: bool,
    errors: Vec<f32>,
}

/// Numbers of one step for the metrics.
pub(crate) struct CriticStats {
    pub(crate) loss: f64,
    pub(crate) q_mean: f64,
    pub(crate) norm: f64,
    pub(crate) term: TermSums,
}

impl Critics {
    /// So many critics of this head with first weights from `init`, beside this actor.
    pub(crate) fn new(
        config: &OffPolicyConfig,
        (count, head): (usize, CriticHead),
        actor: &TrainState,
        setup: &Setup,
        init: &mut StreamRng,
    ) -> Result<Self, AgentError> {
        let mlp = super::mlp(&config.critic, setup.obs_dim + setup.act_dim, head.outputs());
        let mut networks = TrainState::new(vec![mlp; count], (&config.critic).into(), setup.device, init)?;
        let mut targets = networks.target()?;
        let spectral = match &config.critic_spectral_norm {
            None => None,
            Some(norm) => {
                let mut rng = setup.streams.rng("critic-spectral-norm");
                let spectral = SpectralCritics::new(norm, &mut networks, &mut rng)?;
                targets.params.fill_from(&spectral.params().to_vec()?)?;
                Some(spectral)
            }
        };
        let mut critics = Self {
            networks,
            targets,
            loss: config.critic_loss,
            distribution: Distribution::new(head),
            spectral,
            regulariser: None,
            returns: config.normalise_returns.map(Returns::new),
            has_rows: setup.device == Device::Cpu,
            errors: Vec::new(),
        };
        critics.regularise(Regulariser::new(&config.value_regulariser, count, setup), actor)?;
        Ok(critics)
    }

    /// Takes this term into the loss.
    pub(super) fn regularise(&mut self, term: Option<Regulariser>, actor: &TrainState) -> Result<(), AgentError> {
        if let Some(term) = &term {
            let on_cpu = self.networks.params().tensor().device() == Device::Cpu;
            self.has_rows = on_cpu && term.has_rows(&self.beside(actor), &self.weights())?;
        }
        self.regulariser = term;
        Ok(())
    }

    /// The networks with the learnt parameters.
    pub fn networks(&self) -> &TrainState {
        &self.networks
    }

    /// The parameters in use, on the critics' device: the learnt ones, or those that spectral
    /// normalisation makes of them.
    pub fn params(&self) -> &Tensor {
        self.spectral.as_ref().map_or(self.networks.params(), SpectralCritics::params).tensor()
    }

    /// Each critic's values `[B]` in units of reward at `obs [B, O]` and `action [B, A]` on the
    /// critics' device, by autograd.
    pub fn values(&self, obs: &Tensor, action: &Tensor) -> Result<Vec<Tensor>, NetsError> {
        self.values_with(self.params(), obs, action)
    }

    /// The target critics' values, as [`Critics::values`].
    pub(crate) fn target_values(&self, obs: &Tensor, action: &Tensor) -> Result<Vec<Tensor>, NetsError> {
        self.values_with(self.targets.params.tensor(), obs, action)
    }

    fn values_with(&self, params: &Tensor, obs: &Tensor, action: &Tensor) -> Result<Vec<Tensor>, NetsError> {
        outputs(&self.networks, params, obs, action)?.iter().map(|outputs| self.value(outputs)).collect()
    }

    /// The values `[B]` in units of reward that outputs `[B, N]` stand for.
    fn value(&self, outputs: &Tensor) -> Result<Tensor, NetsError> {
        match &self.distribution {
            Some(distribution) => Ok(distribution.value(outputs)),
            None => Ok(self.units().values(&outputs.f_squeeze_dim(-1)?)),
        }
    }

    /// The target `[B, N]` of a critic that puts out a distribution, with `action` at the next
    /// observations; `None` for scalar critics.
    pub(crate) fn distribution_target(&self, on: &DeviceBatch, action: &Tensor) -> Result<Option<Tensor>, NetsError> {
        let Some(distribution) = &self.distribution else { return Ok(None) };
        let next = outputs(&self.networks, self.targets.params.tensor(), &on.next_obs, action)?;
        Ok(Some(distribution.target(&next[0], &on.reward, &on.discount)))
    }

    /// The worth in reward of one unit of a critic's output; `None` if the critic puts out a
    /// distribution.
    pub fn output_scale(&self) -> Option<f64> {
        self.distribution.is_none().then(|| f64::from(self.units().scale))
    }

    /// Each row's priority in prioritised replay, of the last batch, `[B]`: |δ| in units of reward
    /// (mean over the critics), or a distributional critic's loss.
    pub fn errors(&self) -> &[f32] {
        &self.errors
    }

    /// True if there is a CPU form: on a CPU, unless the regulariser has none for these critics.
    pub(crate) fn has_rows(&self) -> bool {
        self.has_rows
    }

    /// Leaves the CPU form out, for comparison.
    pub(super) fn leave_out_rows(&mut self) {
        self.has_rows = false;
    }

    pub(crate) fn units(&self) -> Units {
        self.returns.as_ref().map_or(Units::PLAIN, Returns::units)
    }

    /// Gets the regulariser ready for the update after `updates` others.
    pub(crate) fn begin(&mut self, batch: &crate::Batch, updates: u64) -> Result<(), AgentError> {
        self.regulariser.as_mut().map_or(Ok(()), |term| term.begin(batch, updates))
    }

    /// Takes one step towards `target`, y `[B]` in units of reward or a distribution's `[B, N]`, by
    /// autograd on any device. With `tau` the targets follow. The specification of
    /// [`Critics::step_rows`].
    pub(crate) fn step(
        &mut self,
        target: Tensor,
        on: &DeviceBatch,
        actor: &TrainState,
        tau: Option<f64>,
    ) -> Result<CriticStats, AgentError> {
        let target = match &mut self.returns {
            Some(returns) => returns.normalise_tensor(&target, &mut self.networks, &mut self.targets)?,
            None => target,
        };
        let learnt = leaf(self.networks.params().tensor());
        let params = match &self.spectral {
            Some(spectral) => spectral.forward(self.networks.mlps(), &learnt)?,
            None => learnt.shallow_clone(),
        };
        let mut replayed = outputs(&self.networks, &params, &on.obs, &on.action)?;
        let q_mean = self.value(&replayed[0])?.f_mean(None)?.f_double_value(&[])?;
        let loss = if let Some(distribution) = &self.distribution {
            let losses = distribution.losses(&replayed[0], &target);
            self.errors = Vec::try_from(losses.f_detach()?.f_to(Device::Cpu)?)?;
            (losses * &on.weight).mean(None)
        } else {
            replayed = replayed.iter().map(|outputs| outputs.f_squeeze_dim(-1)).collect::<Result<_, _>>()?;
            let scale = self.units().scale;
            self.errors = equations::errors(&replayed, &target)?;
            self.errors.iter_mut().for_each(|error| *error *= scale);
            equations::loss(&replayed, &target, &on.weight, self.loss)
        };
        let networks = Networks { params: &params, ..self.beside(actor) };
        let (regularised, term) = match &self.regulariser {
            Some(term) => term.add_to(&loss, &networks, on, &replayed)?,
            None => (loss.shallow_clone(), TermSums::default()),
        };
        let norm = self.networks.step_tensor(&gradient(&regularised, &learnt)?)?;
        if let Some(spectral) = &mut self.spectral {
            spectral.refresh(&mut self.networks)?;
        }
        if let Some(tau) = tau {
            self.follow(tau)?;
        }
        Ok(CriticStats { loss: loss.f_double_value(&[])?, q_mean, norm, term })
    }

    /// Takes the same step on a CPU. `target` leaves each share's y in its critics' `target`.
    pub(crate) fn step_rows(
        &mut self,
        shares: &mut RowShares,
        tau: Option<f64>,
        target: impl Fn(&mut RowShare) -> Result<(), AgentError> + Sync,
    ) -> Result<CriticStats, AgentError> {
        let (kind, term) = (self.loss, self.regulariser.as_ref().and_then(Regulariser::due));
        let RowShares { team, each } = shares;
        if let Some(returns) = &mut self.returns {
            let units = returns.units();
            each.iter_mut().for_each(|share| share.critics.units = units);
            team.run(each, target)?;
            let targets = each.iter().flat_map(|share| &share.critics.target);
            returns.observe(targets, &mut self.networks, &mut self.targets)?;
            each.iter_mut().for_each(|share| share.critics.normalise(returns));
            team.run(each, |share| share.critic_gradient(kind, term))?;
        } else {
            team.run(each, |share| {
                target(share)?;
                share.critic_gradient(kind, term)
            })?;
        }
        let mut gradients: Vec<&mut Gradient> = each.iter_mut().map(|share| &mut share.critics.gradient).collect();
        let norm = match &mut self.spectral {
            None => self.networks.step(team, &mut gradients, tau.map(|tau| (&mut self.targets, tau)))?,
            Some(spectral) => {
                spectral.pull_back(self.networks.mlps(), &mut gradients);
                let norm = self.networks.step(team, &mut gradients, None)?;
                spectral.refresh(&mut self.networks)?;
                if let Some(tau) = tau {
                    self.follow(tau)?;
                }
                norm
            }
        };
        self.errors.clear();
        shares.each.iter().for_each(|share| self.errors.extend_from_slice(&share.critics.error));
        let terms = shares.each.iter().map(|share| &share.critic_sums.term);
        Ok(CriticStats {
            loss: shares.mean(|share| share.critic_sums.loss),
            q_mean: shares.mean(|share| share.critic_sums.value),
            norm,
            term: terms.fold(TermSums::default(), |total, sums| std::array::from_fn(|i| total[i] + sums[i])),
        })
    }

    fn follow(&mut self, tau: f64) -> Result<(), AgentError> {
        let params = self.spectral.as_ref().map_or(self.networks.params(), SpectralCritics::params);
        Ok(self.targets.follow(params, tau)?)
    }

    /// Buffers for the CPU form over `range` of a batch of `batch` rows.
    pub(crate) fn rows(&self, actor: &TrainState, range: Range<usize>, batch: usize) -> Result<CriticRows, AgentError> {
        let weights = self.weights();
        let term = match &self.regulariser {
            Some(term) => term.rows(&self.beside(actor), &weights, range.clone(), batch)?,
            None => None,
        };
        let obs_dim = actor.mlps()[0].inputs();
        let rows = CriticRows::new(&self.networks, &self.targets, range.len(), obs_dim)?;
        Ok(rows.distributional(self.distribution.clone()).using(weights).regularised(term))
    }

    /// Views of each critic's parameters in use.
    fn weights(&self) -> Vec<liprl_nets::Weights> {
        let mlps: &[Mlp] = self.networks.mlps();
        self.spectral.as_ref().map_or_else(|| self.networks.weights(), |spectral| spectral.weights(mlps))
    }

    /// The networks that a regulariser sees.
    fn beside<'a>(&'a self, actor: &'a TrainState) -> Networks<'a> {
        Networks { actor, critics: &self.networks, params: self.params(), scale: self.units().scale }
    }

    /// Adds the metrics of one step, after `updates` updates.
    pub(crate) fn report(&self, stats: &CriticStats, updates: u64, metrics: &mut Metrics) -> Result<(), AgentError> {
        finite("the critics' loss", stats.loss, updates)?;
        metrics.add("train/critic_loss", stats.loss);
        metrics.add("train/q_mean", stats.q_mean);
        metrics.add("train/critic_grad_norm", stats.norm);
        if let Some(term) = &self.regulariser {
            term.report(&stats.term, updates, metrics)?;
        }
        if let Some(returns) = &self.returns {
            metrics.add("train/return_mean_estimate", returns.mean());
            metrics.add("train/return_std_estimate", returns.std());
        }
        Ok(())
    }

    /// Everything that changes.
    pub(crate) fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), AgentError> {
        self.networks.state(&mut io.scope("critic"))?;
        self.targets.params.state(io, "critic/target")?;
        if let Some(returns) = &mut self.returns {
            returns.state(io)?;
        }
        if let Some(spectral) = &mut self.spectral {
            spectral.state(&mut self.networks, io)?;
        }
        if let Some(regulariser) = &mut self.regulariser {
            regulariser.state(io)?;
        }
        Ok(())
    }
}
