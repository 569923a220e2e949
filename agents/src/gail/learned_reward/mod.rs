//! The reward of a `gail` run: rewards of replayed windows, the value of terminations, and
//! learning. Its source is the current discriminator, random expert distillation, or for comparison
//! the environment or a constant.
//!
//! | metric | meaning |
//! | --- | --- |
//! | `train/reward_mean` | mean learned reward over the rows of the last windows, shaping included |
//! | `train/absorbing_reward` | r(absorbing), shaping included, if terminations are worth r(absorbing)/(1 − γ) |
//! | `train/monitor_model_loss` | squared error of the forward model that the diagnostics use, with `monitor` |
//! | `train/discriminator_loss` | classification loss, entropy term included |
//! | `train/discriminator_entropy` | mean entropy of its outputs, nats |
//! | `train/discriminator_accuracy_expert` | share of demonstrated rows with a positive logit |
//! | `train/discriminator_accuracy_policy` | share of the policy's rows with a negative logit |
//! | `train/discriminator_logit_expert` | mean logit of demonstrated rows |
//! | `train/discriminator_logit_policy` | mean logit of the policy's rows |
//! | `train/discriminator_grad_norm` | global norm of its gradient |
//! | `train/gradient_penalty` | λ · mean φ(‖∇D‖ − k) |
//! | `lipschitz/penalised_gradient_norm` | mean ‖∇D‖ at the points of the penalty |
//! | `lipschitz/penalised_share_above_target` | share of those points with ‖∇D‖ > k |

mod diagnostics;
mod learning;
mod rewarding;
mod source;

use tch::Tensor;

use super::{
    config::{Absorbing, GailConfig},
    encoder::Encoder,
    expert::ExpertRows,
    reference::Quirks,
    reward::RewardSource,
};
use crate::{
    AgentError, Flags, Metrics, Replay, Setup, TaskContext, Transition, Visited, WindowBatch,
    actor_critic::{Learner, ProbedPairs, Rewards},
    replay::{WindowReturn, f32_slice_mut},
    shaping::{ForwardModel, GradientConfig, GradientOf, Shaping, ShapingConfig, WindowRows, no_gradient},
};
use liprl_control::certify::{Certifiable, Network, OutputMap};
use liprl_numerics::{NormaliserOptions, RunningNormaliser, StateIo, StreamRng};
use source::Source;

/// Names of the parts' states.
const SHAPING: &str = "shaping";
const MONITOR: &str = "monitor";

/// The reward of a `gail` run, with all that it learns.
pub struct LearnedReward {
    config: GailConfig,
    quirks: Quirks,
    absorbing: Absorbing,
    gamma: f64,
    obs_dim: usize,
    encoder: Encoder,
    normaliser: Option<RunningNormaliser>,
    source: Source,
    expert: ExpertRows,
    /// The demonstrated rows, raw, `[E, I]`.
    expert_rows: Vec<f32>,
    shaping: Option<Box<dyn Shaping>>,
    /// Forward model for the diagnostics alone.
    monitor: Option<ForwardModel>,
    rng: StreamRng,
    /// Transitions to the absorbing state among those in the replay.
    terminations: u64,
    scratch: Scratch,
}

/// Buffers, kept between calls.
#[derive(Default)]
struct Scratch {
    /// Rows of windows and the absorbing one, preprocessed and raw.
    rows: Vec<f32>,
    raw: Vec<f32>,
    slopes: Vec<f32>,
    rewards: Vec<f32>,
    /// The policy's rows and the demonstrations' of one step, raw.
    sides: Vec<f32>,
    preprocessed: Vec<f32>,
    points: Vec<f32>,
    order: Vec<u32>,
    /// A pass's demonstrated rows, in the order they are used.
    chosen: Vec<u32>,
    labels: [Vec<f32>; 2],
    weights: Vec<f32>,
}

impl LearnedReward {
    /// The reward of `config` for the task of `context`.
    ///
    /// # Errors
    /// [`AgentError::BadConfig`] for settings that do not fit each other or the task.
    pub fn new(config: &GailConfig, gamma: f64, context: &TaskContext, setup: &Setup) -> Result<Self, AgentError> {
        config.discriminator.check()?;
        if config.policy_settings().0.shaping.is_some() {
            let problem = "shapes no reward here: that is `agent.shaping`; move it there".to_owned();
            return Err(AgentError::BadConfig { setting: "agent.policy.shaping".into(), problem });
        }
        let absorbing = config.absorbing(gamma, context)?;
        let quirks = config.reference.quirks();
        let mut rng = setup.streams.rng("imitation");
        let indicators = absorbing != Absorbing::Off;
        let dims = (setup.obs_dim, setup.act_dim);
        let encoder = Encoder::new(&config.discriminator, dims, indicators, quirks.penalise_indicators)
            .with_action_unit(config.action_unit(context)?);
        let expert = match &context.demonstrations {
            Some(demonstrations) => ExpertRows::new(
                demonstrations,
                config,
                indicators,
                quirks.drop_absorbing,
                &mut setup.streams.rng("expert"),
            )?,
            None if config.reward.imitates() || config.warm_start.is_some() => {
                let problem = "is missing: name the file to imitate".to_owned();
                return Err(AgentError::BadConfig { setting: "agent.demonstrations".into(), problem });
            }
            None => ExpertRows::default(),
        };
        if config.warm_start.is_some() && expert.len() == expert.absorbing_rows() {
            let problem = "has nothing to clone: no step of the demonstrations is left; lower `keep_every`".to_owned();
            return Err(AgentError::BadConfig { setting: "agent.warm_start".into(), problem });
        }
        if matches!(config.reward.source(), RewardSource::Environment)
            && config.shaping.as_ref().is_some_and(|shaping| shaping.needs_reward_gradient())
        {
            return Err(no_gradient());
        }
        let by_logit = |shaping: &ShapingConfig| {
            shaping.settings::<GradientConfig>().is_some_and(|shaping| shaping.of == GradientOf::Logit)
        };
        if !config.reward.from_logits() && config.shaping.as_ref().is_some_and(by_logit) {
            let problem = format!("is `logit`, and `reward: {}` has none; write `reward`", config.reward.kind());
            return Err(AgentError::BadConfig { setting: "agent.shaping.of".into(), problem });
        }
        let mut expert_rows = vec![0.0; expert.len() * encoder.width()];
        for (i, row) in expert_rows.chunks_exact_mut(encoder.width()).enumerate() {
            encoder.encode(expert.row(i), row);
        }
        let source = Source::new(config, &encoder, &expert_rows, setup, &mut rng)?;
        let moments = NormaliserOptions { clip: f64::INFINITY, variance_floor: 1e-2 };
        let dim = if quirks.scalar_moments { 1 } else { setup.obs_dim };
        Ok(Self {
            normaliser: config.discriminator.standardise.then(|| RunningNormaliser::new(dim, moments)),
            shaping: (config.shaping.as_ref()).map(|shaping| shaping.build(setup, gamma, indicators)).transpose()?,
            monitor: (config.monitor.as_ref()).map(|model| ForwardModel::new(model, setup, indicators)).transpose()?,
            gamma,
            obs_dim: setup.obs_dim,
            config: config.clone(),
            quirks,
            absorbing,
            encoder,
            source,
            expert,
            expert_rows,
            rng,
            terminations: 0,
            scratch: Scratch::default(),
        })
    }
}

impl LearnedReward {
    /// Demonstrated rows that the discriminator learns from.
    pub fn demonstrated_rows(&self) -> usize {
        self.expert.len()
    }
}

impl Rewards for LearnedReward {
    fn begin(
        &mut self,
        learner: &mut dyn Learner,
        normaliser: Option<&mut RunningNormaliser>,
    ) -> Result<(), AgentError> {
        let Some(warm_start) = &self.config.warm_start else { return Ok(()) };
        let (mut obs, action, _) = self.expert.transitions();
        // The clone's observations are standardised by the moments of the demonstrations. The
        // policy's own observations join them once it learns.
        if let Some(normaliser) = normaliser {
            normaliser.update(&obs);
            normaliser.apply(&mut obs);
        }
        let rows = (self.expert.len() - self.expert.absorbing_rows()) as i64;
        let view = |numbers: &[f32]| Tensor::f_from_slice(numbers)?.f_view([rows, -1]);
        learner.clone_policy(&view(&obs)?, &view(&action)?, warm_start, &mut self.rng)?;
        Ok(())
    }

    fn holds_moments(&self) -> bool {
        self.config.warm_start.is_some()
    }

    fn reads_t(&self) -> bool {
        self.shaping.as_ref().is_some_and(|shaping| shaping.reads_t())
    }

    fn observe(&mut self, transition: &Transition<'_>, replay: &mut Replay) -> Result<(), AgentError> {
        if let Some(normaliser) = &mut self.normaliser {
            normaliser.update(transition.obs);
        }
        let ended = transition.terminated && self.absorbing != Absorbing::Off;
        let mut stored = *transition;
        if self.quirks.timeouts_terminate && stored.truncated {
            (stored.terminated, stored.truncated) = (true, false);
        }
        self.store(&stored, Flags::NEXT_ABSORBING.when(ended), replay)?;
        if ended && self.absorbing == Absorbing::Reference {
            self.store(&stored, Flags::OBS_ABSORBING | Flags::NEXT_ABSORBING, replay)?;
        }
        Ok(())
    }

    fn relabel(&mut self, window: &mut WindowBatch, metrics: &mut Metrics) -> Result<(), AgentError> {
        let absorbing_reward = self.reward_rows(window)?;
        let absorbing_reward = self.shape(window, absorbing_reward, metrics)?;
        let (n, gamma, rewards) = (window.batch.n_step(), self.gamma, &self.scratch.rewards);
        let returns = window.returns(rewards)?;
        let discount = f32_slice_mut(&mut window.batch.discount)?;
        let reward = f32_slice_mut(&mut window.batch.reward)?;
        for (b, WindowReturn { mut sum, discount: power, rows }) in returns.iter().copied().enumerate() {
            if window.batch.flags[b].contains(Flags::TERMINATED) {
                if self.quirks.open_last_step && rows == n {
                    discount[b] = power as f32;
                } else if self.absorbing == Absorbing::Value && window.batch.flags[b].contains(Flags::NEXT_ABSORBING) {
                    sum += power * f64::from(absorbing_reward) / (1.0 - gamma);
                }
            }
            reward[b] = sum as f32;
        }
        let own = rewards.chunks_exact(n).zip(&returns).flat_map(|(rewards, window)| &rewards[..window.rows]);
        let rows: usize = returns.iter().map(|window| window.rows).sum();
        metrics.add("train/reward_mean", own.map(|reward| f64::from(*reward)).sum::<f64>() / rows.max(1) as f64);
        if self.absorbing == Absorbing::Value {
            metrics.add("train/absorbing_reward", f64::from(absorbing_reward));
        }
        Ok(())
    }

    fn learn_beside(&mut self, replay: &Replay, metrics: &mut Metrics) -> Result<(), AgentError> {
        if matches!(self.source, Source::Discriminator(..)) {
            for _ in 0..self.config.discriminator.passes {
                self.pass(replay, metrics)?;
            }
        }
        Ok(())
    }

    fn learns_from_windows(&self) -> bool {
        self.shaping.is_some() || self.monitor.is_some()
    }

    fn learn(&mut self, _: &Replay, window: &WindowBatch, metrics: &mut Metrics) -> Result<(), AgentError> {
        if self.shaping.is_none() && self.monitor.is_none() {
            return Ok(());
        }
        let first = WindowRows::first(window)?;
        let steps = first.steps();
        if let Some(model) = &mut self.monitor {
            metrics.add("train/monitor_model_loss", model.learn(&steps)?);
        }
        match &mut self.shaping {
            Some(shaping) => shaping.learn(&steps, metrics),
            None => Ok(()),
        }
    }

    fn expert_pairs(&self) -> Option<Visited> {
        let (obs, action, next_obs) = self.expert.transitions();
        (!obs.is_empty()).then_some(Visited { obs, action, next_obs, ..Visited::default() })
    }

    fn diagnose(&mut self, places: &[ProbedPairs]) -> Result<Vec<(String, f64)>, AgentError> {
        self.measure(places)
    }

    fn histograms(&mut self) -> Result<Vec<(String, Vec<f32>)>, AgentError> {
        let Source::Discriminator(discriminator, _) = &self.source else { return Ok(Vec::new()) };
        let named = discriminator.trained().named()?.into_iter();
        Ok(named.map(|(name, values)| (format!("weights/discriminator/{name}"), values)).collect())
    }

    fn networks(&self) -> Result<Vec<Certifiable>, AgentError> {
        let mut all = Vec::new();
        if let Source::Discriminator(discriminator, _) = &self.source {
            let (mlp, params) = discriminator.network()?;
            let (takes, inputs) = self.encoder.certifiable(self.normaliser.as_ref());
            let network = Network::new("reward", mlp, &params, &inputs, OutputMap::Linear(vec![1.0]));
            all.push(Certifiable { name: "reward".into(), takes, network });
        }
        if let Some(model) = &self.monitor {
            all.push(model.certifiable()?);
        }
        Ok(all)
    }

    fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), AgentError> {
        match &mut self.source {
            Source::Discriminator(discriminator, _) => discriminator.state(&mut io.scope("discriminator"))?,
            Source::Rows(reward) => reward.state(&mut io.scope(self.config.reward.kind()))?,
            Source::Environment | Source::Constant(_) => {}
        }
        if let Some(normaliser) = &mut self.normaliser {
            normaliser.state(&mut io.scope("imitation/normaliser"))?;
        }
        if let Some(shaping) = &mut self.shaping {
            shaping.state(&mut io.scope(SHAPING))?;
        }
        if let Some(model) = &mut self.monitor {
            model.state(&mut io.scope(MONITOR))?;
        }
        io.value("streams/imitation", &mut self.rng)?;
        Ok(io.value("imitation/terminations", &mut self.terminations)?)
    }
}

impl LearnedReward {
    /// Stores a transition and counts those that lead to the absorbing state.
    fn store(&mut self, transition: &Transition<'_>, flags: Flags, replay: &mut Replay) -> Result<(), AgentError> {
        let full = replay.len() == replay.config().capacity;
        let ended = |flags: Flags| flags.contains(Flags::NEXT_ABSORBING);
        let lost = replay.rows().next().filter(|_| full).is_some_and(|row| ended(row.flags));
        replay.push(transition, flags)?;
        self.terminations += u64::from(ended(flags));
        self.terminations = self.terminations.saturating_sub(u64::from(lost));
        Ok(())
    }
}
