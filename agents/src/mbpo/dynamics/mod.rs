//! The dynamics model: (s, a) ↦ (r, s' − s), by one network or an ensemble, deterministic or with a
//! variance (Chua et al. 2018; Janner et al. 2019, appendix; Zheng et al. 2023 for the single
//! deterministic one). It lives on the CPU, whatever the actor–critic's device is.
//!
//! | file | contents |
//! | --- | --- |
//! | `config` | settings |
//! | `params` | parameters and Adam's moments |
//! | `data` | inputs and targets out of the replay buffer |
//! | `loss` | likelihood and squared error, by autograd and by hand |
//! | `log_variance` | the bounded log-variance |
//! | `step` | one gradient step: rows shared out for one network, networks for several |
//! | `fit` | epochs, bootstrap, held-out error, early stop |
//! | `predict` | predictions of many rows, each by a chosen member |
//! | `certify` | the members in the form that certificates take |

mod certify;
mod config;
mod data;
mod fit;
mod log_variance;
pub mod loss;
mod params;
mod predict;
mod step;

pub use config::{LogVariance, ModelConfig, Prediction, Targets};
pub use data::{FitData, Scaler, Scalers};
pub use fit::FitReport;
pub use log_variance::LogVarianceBounds;
pub use predict::{Predictor, View};

use fit::{Fit, Subject};
use params::Parameters;

use crate::{AgentError, Replay, Setup, error::validated, mbpo::profile::Profile};
use liprl_nets::Team;
use liprl_numerics::{StateIo, StreamRng};

/// The model and the fit it may be in.
#[derive(Debug)]
pub struct Dynamics {
    config: ModelConfig,
    obs_dim: usize,
    params: Parameters,
    inputs: Scaler,
    targets: Scaler,
    /// The best members of the last fit, best first.
    elites: Vec<u32>,
    /// Each member's held-out error at the end of the last fit.
    scores: Vec<f64>,
    /// Rows of the replay buffer that the last fit held out.
    holdout: Vec<u32>,
    fits: u64,
    fit: Option<Box<Fit>>,
    rng: StreamRng,
    team: Team,
}

impl Dynamics {
    /// A model with first weights from the run's streams.
    pub fn new(config: &ModelConfig, profile: Profile, setup: &Setup) -> Result<Self, AgentError> {
        validated(config)?;
        config.check()?;
        let (config, mut rng) = (config.clone().resolved(profile), setup.streams.rng("model"));
        let inputs = setup.obs_dim + setup.act_dim;
        Ok(Self {
            params: Parameters::new(&config, inputs, setup.obs_dim + 1, &mut rng)?,
            inputs: Scaler::identity(inputs),
            targets: Scaler::identity(setup.obs_dim + 1),
            elites: (0..config.elites() as u32).collect(),
            scores: vec![0.0; config.members],
            holdout: Vec::new(),
            fits: 0,
            fit: None,
            obs_dim: setup.obs_dim,
            team: Team::new(setup.threads)?,
            config,
            rng,
        })
    }

    /// Its settings, the profile's included.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Fits finished.
    pub fn fits(&self) -> u64 {
        self.fits
    }

    /// The best members of the last fit, best first.
    pub fn elites(&self) -> &[u32] {
        &self.elites
    }

    /// Each member's held-out error at the end of the last fit.
    pub fn scores(&self) -> &[f64] {
        &self.scores
    }

    /// Rows of the replay buffer that the last fit held out.
    pub fn holdout(&self) -> &[u32] {
        &self.holdout
    }

    /// The standardisation and bounds that predictions need besides weights.
    pub fn view(&self) -> View<'_> {
        let scalers = Scalers { inputs: &self.inputs, targets: &self.targets };
        View { scalers, bounds: &self.params.values.slice()[self.params.bounds_start()..] }
    }

    /// Buffers for predictions of up to `capacity` rows.
    pub fn predictor(&self, capacity: usize) -> Result<Predictor, AgentError> {
        Predictor::new(&self.params, self.obs_dim, capacity)
    }

    /// Each member's parameters by name, for histograms.
    pub fn named(&self) -> Vec<(String, Vec<f32>)> {
        let named = self.params.mlp.named();
        let each = |member: usize| {
            named.iter().map(move |(name, start, shape)| {
                let len = shape.iter().product::<usize>();
                (format!("{member}/{name}"), self.params.member(member)[*start..*start + len].to_vec())
            })
        };
        (0..self.params.members).flat_map(each).collect()
    }

    /// True while a fit is under way.
    pub fn fitting(&self) -> bool {
        self.fit.is_some()
    }

    /// Begins a fit to these transitions, which must stay as they are until it is finished.
    pub fn begin_fit(&mut self, replay: &Replay) -> Result<(), AgentError> {
        let Self { config, params, inputs, targets, rng, team, .. } = self;
        let mut subject = Subject { config, params, inputs, targets, rng, team };
        self.fit = Some(Box::new(Fit::begin(&mut subject, replay)?));
        Ok(())
    }

    /// Advances the fit by up to `steps` gradient steps; returns the report once it is finished.
    pub fn advance_fit(&mut self, replay: &Replay, steps: u64) -> Result<Option<FitReport>, AgentError> {
        let Self { config, params, inputs, targets, rng, team, .. } = self;
        let Some(fit) = &mut self.fit else { return Ok(None) };
        let mut subject = Subject { config, params, inputs, targets, rng, team };
        let Some(mut report) = fit.advance(&mut subject, replay, steps)? else { return Ok(None) };
        self.scores = fit.score(&subject)?;
        let mut ranked: Vec<u32> = (0..self.config.members as u32).collect();
        ranked.sort_by(|&a, &b| self.scores[a as usize].total_cmp(&self.scores[b as usize]));
        ranked.truncate(self.config.elites());
        report.holdout_loss = ranked.iter().map(|&e| self.scores[e as usize]).sum::<f64>() / ranked.len() as f64;
        self.elites = ranked;
        self.holdout = std::mem::take(&mut fit.holdout);
        self.fits += 1;
        self.fit = None;
        Ok(Some(report))
    }

    /// Everything that changes, a fit under way included.
    pub fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), AgentError> {
        self.params.state(io)?;
        self.inputs.state(&mut io.scope("inputs"))?;
        self.targets.state(&mut io.scope("targets"))?;
        io.value("elites", &mut self.elites)?;
        if self.elites.iter().any(|&e| e as usize >= self.config.members) {
            return Err(io.bad("elites", format!("{:?} of {} members", self.elites, self.config.members)).into());
        }
        io.f64("scores", &mut self.scores)?;
        io.indices("holdout", &mut self.holdout)?;
        io.value("fits", &mut self.fits)?;
        io.value("stream", &mut self.rng)?;
        let mut fitting = self.fitting();
        io.value("fitting", &mut fitting)?;
        if io.loading() {
            self.fit = fitting.then(|| Box::new(Fit::empty(&self.params)));
        }
        self.fit.as_mut().map_or(Ok(()), |fit| fit.state(&mut io.scope("fit")))
    }
}
