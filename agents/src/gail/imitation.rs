//! The reward of an imitator: rewards of replayed windows by the discriminator of the moment, what termination is worth, and the
//! discriminator's own learning.
//!
//! | metric | meaning |
//! | --- | --- |
//! | `train/reward_mean` | mean learned reward over the rows of the last windows, shaping included |
//! | `train/absorbing_reward` | r(absorbing), where terminations are worth r(absorbing)/(1 − γ) |
//! | `train/discriminator_loss` | classification loss, entropy term included |
//! | `train/discriminator_entropy` | mean entropy of its outputs, nats |
//! | `train/discriminator_accuracy_expert` | share of demonstrated rows with a positive logit |
//! | `train/discriminator_accuracy_policy` | share of the policy's rows with a negative logit |
//! | `train/discriminator_logit_expert` | mean logit of demonstrated rows |
//! | `train/discriminator_logit_policy` | mean logit of the policy's rows |
//! | `train/discriminator_grad_norm` | global norm of its gradient |
//! | `train/gradient_penalty` | λ · mean φ(‖∇D‖ − k) |
//! | `lipschitz/penalised_gradient_norm` | mean ‖∇D‖ where the penalty looks |
//! | `lipschitz/penalised_share_above_target` | share of those points with ‖∇D‖ > k |

use rand::{RngExt, seq::SliceRandom};
use tch::Tensor;

use super::{
    config::{Absorbing, GailConfig, RewardConfig},
    discriminator::{Discriminator, Measured, StepData},
    discriminator_config::Labels,
    encoder::{Encoder, Seen},
    expert::Expert,
    red::Red,
    reference::Quirks,
    reward,
};
use crate::{
    AgentError, Flags, Lesson, Metrics, NormaliserOptions, Replay, RunningNormaliser, Setup, State, StreamRng,
    Transition, WindowBatch,
    actor_critic::{Learner, Rewards, Schedule},
    batch::f32_slice_mut,
    shaping::{self, Shaping, Steps},
};

/// The names of the shaping's and of random expert distillation's states.
const SHAPING: &str = "shaping";
const RED: &str = "red";

/// Rewards by comparison with demonstrations.
pub struct Imitation {
    config: GailConfig,
    quirks: Quirks,
    absorbing: Absorbing,
    gamma: f64,
    encoder: Encoder,
    normaliser: Option<RunningNormaliser>,
    source: Source,
    expert: Expert,
    /// The demonstrated rows, raw, `[E, I]`.
    expert_rows: Vec<f32>,
    shaping: Option<Box<dyn Shaping>>,
    rng: StreamRng,
    /// Terminated transitions among those in the replay.
    terminations: u64,
    space: Space,
}

/// Where rewards come from.
enum Source {
    Discriminator(Box<Discriminator>),
    Red(Box<Red>),
    Environment,
    Constant(f32),
}

/// Scratch space, kept between calls.
#[derive(Default)]
struct Space {
    /// Rows of windows, and the absorbing one.
    rows: Vec<f32>,
    raw: Vec<f32>,
    slopes: Vec<f32>,
    rewards: Vec<f32>,
    /// The policy's rows and the demonstrations' of one step, raw.
    sides: Vec<f32>,
    squashed: Vec<f32>,
    points: Vec<f32>,
    order: Vec<u32>,
    /// A pass's demonstrated rows, in the order they are used.
    chosen: Vec<u32>,
    labels: [Vec<f32>; 2],
    weights: Vec<f32>,
}

impl Imitation {
    /// What `config` says, for the task of `lesson`.
    ///
    /// # Errors
    /// [`AgentError::BadConfig`] for settings that do not go together or with the task.
    pub fn new(config: &GailConfig, schedule: &Schedule, lesson: &Lesson, setup: &Setup) -> Result<Self, AgentError> {
        config.discriminator.check()?;
        let absorbing = config.absorbing(schedule, lesson)?;
        let quirks = config.reference.quirks();
        let mut rng = setup.streams.rng("imitation");
        let indicators = absorbing != Absorbing::Off;
        let dims = (setup.obs_dim, setup.act_dim);
        let encoder = Encoder::new(&config.discriminator, dims, indicators, quirks.penalise_indicators);
        let expert = match &lesson.demonstrations {
            Some(demonstrations) => Expert::new(
                demonstrations,
                config,
                indicators,
                quirks.drop_absorbing,
                &mut setup.streams.rng("expert"),
            )?,
            None if config.reward.imitates() || config.warm_start.is_some() => {
                let problem = "is missing: name the file of what is to be imitated".to_owned();
                return Err(AgentError::BadConfig { setting: "agent.demonstrations".into(), problem });
            }
            None => Expert::default(),
        };
        let mut expert_rows = vec![0.0; expert.len() * encoder.width()];
        for (i, row) in expert_rows.chunks_exact_mut(encoder.width()).enumerate() {
            encoder.encode(expert.row(i), row);
        }
        let source = match &config.reward {
            RewardConfig::Environment => Source::Environment,
            RewardConfig::Constant { value } => Source::Constant(*value as f32),
            RewardConfig::Red(red) => {
                let mut rows = expert_rows.clone();
                encoder.squash(None, &mut rows);
                Source::Red(Box::new(Red::new(red, &tensor(&rows, encoder.width())?, setup)?))
            }
            RewardConfig::Minimax | RewardConfig::NonSaturating | RewardConfig::Airl => {
                let discriminator = Discriminator::new(&config.discriminator, encoder.width(), setup.device, &mut rng)?;
                Source::Discriminator(Box::new(discriminator))
            }
        };
        let moments = NormaliserOptions { clip: f64::INFINITY, variance_floor: 1e-2 };
        let dim = if quirks.scalar_moments { 1 } else { setup.obs_dim };
        Ok(Self {
            normaliser: config.discriminator.standardise.then(|| RunningNormaliser::new(dim, moments)),
            shaping: (config.shaping.as_ref())
                .map(|shaping| shaping.build(setup, schedule.gamma, indicators))
                .transpose()?,
            gamma: schedule.gamma,
            config: config.clone(),
            quirks,
            absorbing,
            encoder,
            source,
            expert,
            expert_rows,
            rng,
            terminations: 0,
            space: Space::default(),
        })
    }

    /// Rewards of every row of the windows into `space.rewards`, and r(absorbing) where it counts.
    fn reward_rows(&mut self, window: &mut WindowBatch) -> Result<f32, AgentError> {
        let (count, width) = (window.flags.len(), self.encoder.width());
        let Space { rows, raw, rewards, .. } = &mut self.space;
        rewards.clear();
        let logits = match &mut self.source {
            Source::Environment => {
                rewards.extend_from_slice(f32_slice_mut(&mut window.reward)?);
                return Ok(0.0);
            }
            Source::Constant(value) => {
                rewards.resize(count, *value);
                return Ok(*value);
            }
            Source::Discriminator(_) | Source::Red(_) => {
                raw.resize((count + 1) * width, 0.0);
                let (windows, absorbing) = raw.split_at_mut(count * width);
                encode_window(&self.encoder, window, windows)?;
                self.encoder.encode_absorbing(absorbing);
                rows.clone_from(raw);
                let normaliser = self.normaliser.as_ref().filter(|_| matches!(self.source, Source::Discriminator(_)));
                self.encoder.squash(normaliser, rows);
                match &mut self.source {
                    Source::Red(red) => {
                        rewards.extend(red.reward(&tensor(rows, width)?)?);
                        return Ok(rewards.pop().unwrap_or(0.0));
                    }
                    Source::Discriminator(discriminator) => discriminator.logits(rows)?,
                    Source::Environment | Source::Constant(_) => &[],
                }
            }
        };
        rewards.extend(logits.iter().map(|&x| reward::reward(&self.config.reward, f64::from(x)) as f32));
        Ok(rewards.pop().unwrap_or(0.0))
    }

    /// Lets the shaping change `space.rewards`.
    fn shape(&mut self, window: &WindowBatch, metrics: &mut Metrics) -> Result<(), AgentError> {
        let Some(shaping) = &mut self.shaping else { return Ok(()) };
        let Space { rows, raw, slopes, rewards, .. } = &mut self.space;
        let (encoder, normaliser, source, form) =
            (&self.encoder, self.normaliser.as_ref(), &mut self.source, &self.config.reward);
        let count = window.flags.len();
        let mut reward_gradient = || gradient_norms(encoder, normaliser, source, form, (rows, raw, slopes), count);
        let flat = |tensor: &Tensor| tensor.f_view([count as i64, -1]);
        let (obs, action, next_obs) = (flat(&window.obs)?, flat(&window.action)?, flat(&window.next_obs)?);
        let steps = Steps { obs: &obs, action: &action, next_obs: &next_obs, flags: &window.flags };
        let mask = Vec::<f32>::try_from(window.mask.f_flatten(0, -1)?)?;
        let (window, mask) = (window.batch.n_step(), Some(&mask[..]));
        let mut rows = shaping::Rows { steps, window, mask, reward_gradient: &mut reward_gradient };
        shaping.shape(&mut rows, rewards, metrics)
    }

    /// Draws a batch of the policy's transitions, raw, into the first half of `space.sides`. Where absorbing states count, there is one absorbing
    /// transition for each terminated one.
    fn draw_policy(&mut self, replay: &Replay) -> Result<(), AgentError> {
        let (width, batch) = (self.encoder.width(), self.config.discriminator.batch_size);
        let stored = replay.len() as u64;
        let all = stored + if self.absorbing == Absorbing::Value { self.terminations } else { 0 };
        self.space.sides.resize(2 * batch * width, 0.0);
        for row in self.space.sides[..batch * width].chunks_exact_mut(width) {
            match replay.get(self.rng.random_range(0..all) as u32) {
                Some(stored) => {
                    let seen =
                        Seen { obs: stored.obs, action: stored.action, next_obs: stored.next_obs, flags: stored.flags };
                    self.encoder.encode(seen, row);
                }
                None => self.encoder.encode_absorbing(row),
            }
        }
        Ok(())
    }

    /// One gradient step of the discriminator on the policy's rows in `space.sides` and these demonstrated ones.
    fn step(&mut self, chosen: std::ops::Range<usize>) -> Result<Measured, AgentError> {
        let config = &self.config.discriminator;
        let (width, batch, penalty) = (self.encoder.width(), config.batch_size, config.gradient_penalty);
        let Space { slopes, sides, squashed, points, chosen: taken, labels, weights, .. } = &mut self.space;
        let (policy, expert) = sides.split_at_mut(batch * width);
        weights.clear();
        for (row, &i) in expert.chunks_exact_mut(width).zip(&taken[chosen]) {
            row.copy_from_slice(&self.expert_rows[i as usize * width..][..width]);
            weights.push(self.expert.weight[i as usize]);
        }
        draw_labels(config.policy_labels, 0.0, batch, &mut self.rng, &mut labels[0]);
        draw_labels(config.expert_labels, 1.0, batch, &mut self.rng, &mut labels[1]);
        if penalty.scale > 0.0 {
            points.resize(batch * width, 0.0);
            slopes.resize(batch * width, 0.0);
            penalty.draw(policy, expert, (width, self.encoder.second()), &mut self.rng, points);
            self.encoder.slopes(self.normaliser.as_ref(), points, slopes);
            self.encoder.squash(self.normaliser.as_ref(), points);
        }
        squashed.clone_from(sides);
        self.encoder.squash(self.normaliser.as_ref(), squashed);
        let Source::Discriminator(discriminator) = &mut self.source else { return Ok(Measured::default()) };
        discriminator.step(&StepData {
            rows: squashed,
            policy_labels: &labels[0],
            expert_labels: &labels[1],
            expert_weights: weights,
            points,
            slopes: &slopes[..points.len()],
        })
    }

    /// One pass over the demonstrations.
    fn pass(&mut self, replay: &Replay, metrics: &mut Metrics) -> Result<(), AgentError> {
        let (batch, width) = (self.config.discriminator.batch_size, self.encoder.width());
        let whole = self.expert.len() / batch;
        let steps = self.config.discriminator.steps.map_or(whole, |steps| steps.min(whole));
        let Space { order, chosen, .. } = &mut self.space;
        order.clear();
        order.extend(0..self.expert.len() as u32);
        chosen.clear();
        chosen.extend_from_slice(order.partial_shuffle(&mut self.rng, steps * batch).0);
        for step in 0..steps {
            if step == 0 || self.config.discriminator.fresh_rows {
                self.draw_policy(replay)?;
            } else {
                shuffle_rows(&mut self.space.sides[..batch * width], width, &mut self.rng);
            }
            let Measured { vitals, penalty, norm, above, grad_norm } = self.step(step * batch..(step + 1) * batch)?;
            metrics.add("train/discriminator_loss", vitals.loss);
            metrics.add("train/discriminator_entropy", vitals.entropy);
            metrics.add("train/discriminator_accuracy_expert", vitals.expert_accuracy);
            metrics.add("train/discriminator_accuracy_policy", vitals.policy_accuracy);
            metrics.add("train/discriminator_logit_expert", vitals.expert_logit);
            metrics.add("train/discriminator_logit_policy", vitals.policy_logit);
            metrics.add("train/discriminator_grad_norm", grad_norm);
            if self.config.discriminator.gradient_penalty.scale > 0.0 {
                metrics.add("train/gradient_penalty", penalty);
                metrics.add("lipschitz/penalised_gradient_norm", norm);
                metrics.add("lipschitz/penalised_share_above_target", above);
            }
        }
        Ok(())
    }
}

impl Rewards for Imitation {
    fn begin(
        &mut self,
        learner: &mut dyn Learner,
        normaliser: Option<&mut RunningNormaliser>,
    ) -> Result<(), AgentError> {
        let Some(warm_start) = &self.config.warm_start else { return Ok(()) };
        let (mut obs, action) = self.expert.pairs();
        // The clone's observations are standardised by the moments of the demonstrations, which the policy's own then join.
        if let Some(normaliser) = normaliser {
            normaliser.update(&obs);
            normaliser.apply(&mut obs);
        }
        let rows = (self.expert.len() - self.expert.absorbing_rows()) as i64;
        let view = |numbers: &[f32]| Tensor::f_from_slice(numbers)?.f_view([rows, -1]);
        learner.clone_policy(&view(&obs)?, &view(&action)?, warm_start, &mut self.rng)?;
        Ok(())
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
        self.shape(window, metrics)?;
        let (n, gamma) = (window.batch.n_step(), self.gamma);
        let mask = f32_slice_mut(&mut window.mask)?;
        let discount = f32_slice_mut(&mut window.batch.discount)?;
        let returns = f32_slice_mut(&mut window.batch.reward)?;
        let rewards = &self.space.rewards;
        for (b, (returned, discount)) in returns.iter_mut().zip(discount).enumerate() {
            let (mut sum, mut power) = (0.0, 1.0);
            for (reward, mask) in rewards[b * n..][..n].iter().zip(&mask[b * n..][..n]) {
                if *mask == 0.0 {
                    break;
                }
                sum += power * f64::from(*reward);
                power *= gamma;
            }
            if window.batch.flags[b].contains(Flags::TERMINATED) {
                if self.quirks.open_last_step && mask[(b + 1) * n - 1] == 1.0 {
                    *discount = power as f32;
                } else if self.absorbing == Absorbing::Value {
                    sum += power * f64::from(absorbing_reward) / (1.0 - gamma);
                }
            }
            *returned = sum as f32;
        }
        let mean = rewards.iter().map(|&reward| f64::from(reward)).sum::<f64>() / rewards.len().max(1) as f64;
        metrics.add("train/reward_mean", mean);
        if self.absorbing == Absorbing::Value {
            metrics.add("train/absorbing_reward", f64::from(absorbing_reward));
        }
        Ok(())
    }

    fn learn(&mut self, replay: &Replay, window: &WindowBatch, metrics: &mut Metrics) -> Result<(), AgentError> {
        if matches!(self.source, Source::Discriminator(_)) {
            for _ in 0..self.config.discriminator.passes {
                self.pass(replay, metrics)?;
            }
        }
        let Some(shaping) = &mut self.shaping else { return Ok(()) };
        let first = |tensor: &Tensor| tensor.f_select(1, 0)?.f_contiguous();
        let (obs, action, next_obs) = (first(&window.obs)?, first(&window.action)?, first(&window.next_obs)?);
        let flags: Vec<Flags> = window.flags.iter().step_by(window.batch.n_step()).copied().collect();
        shaping.learn(&Steps { obs: &obs, action: &action, next_obs: &next_obs, flags: &flags }, metrics)
    }

    fn histograms(&mut self) -> Result<Vec<(String, Vec<f32>)>, AgentError> {
        let Source::Discriminator(discriminator) = &self.source else { return Ok(Vec::new()) };
        let named = discriminator.trained().named()?.into_iter();
        Ok(named.map(|(name, values)| (format!("weights/discriminator/{name}"), values)).collect())
    }

    fn save(&self, state: &mut State) -> Result<(), AgentError> {
        match &self.source {
            Source::Discriminator(discriminator) => discriminator.save(state)?,
            Source::Red(red) => red.save(RED, state)?,
            Source::Environment | Source::Constant(_) => {}
        }
        if let Some(normaliser) = &self.normaliser {
            normaliser.save(state, "imitation/normaliser");
        }
        if let Some(shaping) = &self.shaping {
            shaping.save(SHAPING, state)?;
        }
        state.put("streams/imitation", &self.rng);
        state.put("imitation/terminations", &self.terminations);
        Ok(())
    }

    fn load(&mut self, state: &State) -> Result<(), AgentError> {
        match &mut self.source {
            Source::Discriminator(discriminator) => discriminator.load(state)?,
            Source::Red(red) => red.load(RED, state)?,
            Source::Environment | Source::Constant(_) => {}
        }
        if let Some(normaliser) = &mut self.normaliser {
            normaliser.load(state, "imitation/normaliser")?;
        }
        if let Some(shaping) = &mut self.shaping {
            shaping.load(SHAPING, state)?;
        }
        self.rng = state.get("streams/imitation")?;
        self.terminations = state.get("imitation/terminations")?;
        Ok(())
    }
}

impl Imitation {
    /// Stores a transition and keeps count of the terminated ones.
    fn store(&mut self, transition: &Transition<'_>, flags: Flags, replay: &mut Replay) -> Result<(), AgentError> {
        let full = replay.len() == replay.config().capacity;
        let lost = replay.rows().next().filter(|_| full).is_some_and(|row| row.flags.contains(Flags::TERMINATED));
        replay.push(transition, flags)?;
        self.terminations += u64::from(transition.terminated);
        self.terminations -= u64::from(lost);
        Ok(())
    }
}

impl Expert {
    /// A row as the encoder takes it.
    fn row(&self, i: usize) -> Seen<'_> {
        let (o, a) = (self.obs.len() / self.len(), self.action.len() / self.len());
        Seen {
            obs: &self.obs[i * o..][..o],
            action: &self.action[i * a..][..a],
            next_obs: &self.next_obs[i * o..][..o],
            flags: self.flags[i],
        }
    }

    fn absorbing_rows(&self) -> usize {
        self.flags.iter().filter(|flags| flags.contains(Flags::OBS_ABSORBING)).count()
    }
}

impl GailConfig {
    /// What is done about terminations, and whether that goes with the task and the discount.
    fn absorbing(&self, schedule: &Schedule, lesson: &Lesson) -> Result<Absorbing, AgentError> {
        let all = self.reference == super::reference::Reference::All(true);
        let chosen = self.absorbing.unwrap_or(match (lesson.can_terminate, all) {
            (false, _) => Absorbing::Off,
            (true, true) => Absorbing::Reference,
            (true, false) => Absorbing::Value,
        });
        let bad = |problem: &str| AgentError::BadConfig { setting: "agent.absorbing".into(), problem: problem.into() };
        if chosen != Absorbing::Off && !lesson.can_terminate {
            return Err(bad(
                "this task never ends an episode, so there is no absorbing state; leave it out or write `off`",
            ));
        }
        if chosen == Absorbing::Value && schedule.gamma >= 1.0 {
            return Err(bad(
                "with agent.policy.gamma 1 the absorbing state's value r/(1 − gamma) is infinite; lower gamma or write `off`",
            ));
        }
        Ok(chosen)
    }
}

/// Rows as a tensor, `[R, I]`.
fn tensor(rows: &[f32], width: usize) -> Result<Tensor, AgentError> {
    Ok(Tensor::f_from_slice(rows)?.f_view([-1, width as i64])?)
}

fn encode_window(encoder: &Encoder, window: &mut WindowBatch, rows: &mut [f32]) -> Result<(), AgentError> {
    let (obs, action) = (f32_slice_mut(&mut window.obs)?, f32_slice_mut(&mut window.action)?);
    let next_obs = f32_slice_mut(&mut window.next_obs)?;
    let count = window.flags.len();
    let (o, a) = (obs.len() / count, action.len() / count);
    for (i, (row, flags)) in rows.chunks_exact_mut(encoder.width()).zip(&window.flags).enumerate() {
        let (obs, action, next_obs) = (&obs[i * o..][..o], &action[i * a..][..a], &next_obs[i * o..][..o]);
        encoder.encode(Seen { obs, action, next_obs, flags: *flags }, row);
    }
    Ok(())
}

/// ‖∇r‖ of the first `count` rows, with respect to raw ones.
fn gradient_norms(
    encoder: &Encoder,
    normaliser: Option<&RunningNormaliser>,
    source: &mut Source,
    form: &RewardConfig,
    (rows, raw, slopes): (&[f32], &[f32], &mut Vec<f32>),
    count: usize,
) -> Result<Vec<f32>, AgentError> {
    let len = count * encoder.width();
    match source {
        Source::Discriminator(discriminator) => {
            slopes.resize(slopes.len().max(len), 0.0);
            encoder.slopes(normaliser, &raw[..len], &mut slopes[..len]);
            let mut norms = discriminator.gradient_norms(&rows[..len], &slopes[..len])?;
            let logits = discriminator.logits(rows)?;
            for (norm, &x) in norms.iter_mut().zip(logits) {
                *norm *= reward::slope(form, f64::from(x)) as f32;
            }
            Ok(norms)
        }
        // RED's rows are clipped but never standardised, and its gradient is with respect to clipped rows.
        Source::Red(red) => red.gradient_norms(&tensor(&rows[..len], encoder.width())?),
        Source::Environment => Err(AgentError::BadConfig {
            setting: "agent.shaping".into(),
            problem: "the environment's reward has no gradient to shape by; choose another shaping or a learned reward"
                .into(),
        }),
        Source::Constant(_) => Ok(vec![0.0; count]),
    }
}

/// Labels of `count` rows whose exact one is `exact`.
fn draw_labels(labels: Labels, exact: f32, count: usize, rng: &mut StreamRng, out: &mut Vec<f32>) {
    out.clear();
    out.extend((0..count).map(|_| match labels {
        Labels::Exact => exact,
        Labels::Uniform { low, high } => rng.random_range(low..=high) as f32,
        Labels::Soft { alpha } => exact * (1.0 - alpha as f32) + 0.5 * alpha as f32,
        Labels::Flip { probability } => {
            if rng.random_bool(probability) {
                1.0 - exact
            } else {
                exact
            }
        }
    }));
}

/// Puts rows into a random order.
fn shuffle_rows(rows: &mut [f32], width: usize, rng: &mut StreamRng) {
    for last in (1..rows.len() / width).rev() {
        let other = rng.random_range(0..=last);
        if other < last {
            let (before, after) = rows.split_at_mut(last * width);
            before[other * width..][..width].swap_with_slice(&mut after[..width]);
        }
    }
}
