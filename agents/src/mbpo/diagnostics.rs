//! Errors of the model in states and in values, and Lipschitz constants of policy and values, at
//! evaluations (Zheng et al. 2023, figures on the value-aware error and the Lipschitz estimate).
//!
//! `<where>` is `holdout` (the rows that the last fit held out, at most 5000), `recent` (the newest real
//! steps, at most 1000) or `visited` (pairs of the evaluation's episodes). Rows that ended an episode are
//! left out: no value follows them. V(s) = Q₁(s, tanh μ(s)). A prediction is the mean of an elite that is
//! drawn for the row, unless the table says otherwise.
//!
//! | metric | meaning |
//! | --- | --- |
//! | `model/value_aware_error/<where>` | γ² mean (V(ŝ') − V(s'))², ŝ' drawn if the model draws |
//! | `model/value_aware_error_log/<where>` | its natural logarithm |
//! | `model/value_aware_error_mean/<where>` | the same with the mean prediction |
//! | `model/value_aware_error_mean_log/<where>` | its natural logarithm |
//! | `model/error/<where>` | root of mean ‖ŝ' − s'‖², in the environment's units |
//! | `model/error_relative/<where>` | that square over mean ‖s' − s‖²: 1 is as good as predicting no change |
//! | `model/reward_error/<where>` | root of mean (r̂ − r)²; not for `visited`, whose rewards are not kept |
//! | `model/disagreement/<where>` | mean over rows of ‖deviation among the elites of ŝ'‖; not for one elite |
//! | `model/error_step/<h>` | `model/error` after h steps of recorded actions from newest real states, each step by an elite drawn for it |
//! | `lipschitz/…` | as `actor_critic/diagnostics.rs` lists them, at `visited` and `replay`; `lipschitz/product_bound/critic_1` is the estimate that the paper plots |
//! | `lipschitz/value/product_bound` | a proven upper bound on V's Lipschitz constant in the critic's inputs, in units of reward; as listed there |
//! | `lipschitz/product_bound_log/critic_<i>` | its natural logarithm |

use liprl_nets::{autograd::standardise, optim::constants};
use liprl_numerics::{RunningNormaliser, StreamRng};
use rand::RngExt;
use tch::Tensor;

use super::{
    dynamics::{Dynamics, Predictor},
    value_aware_error::value_aware_error,
};
use crate::{
    AgentError, Flags, Replay, Visited,
    actor_critic::{Learner, ProbedPairs, q_bias, value_bound},
};

/// Most rows that errors are measured on.
const ROWS: usize = 5000;
/// Newest rows that count as recent.
const RECENT: usize = 1000;
/// Most steps of open-loop prediction.
const HORIZON: usize = 10;
/// Rows of a prediction at a time.
const BLOCK: usize = 512;
/// Replayed pairs at which gradient norms are measured.
const GRADIENT_ROWS: usize = 256;

/// The parts of the agent that an evaluation reads.
pub(super) struct ModelEvaluation<'a> {
    pub(super) learner: &'a dyn Learner,
    pub(super) dynamics: &'a Dynamics,
    pub(super) real: &'a Replay,
    pub(super) normaliser: Option<&'a RunningNormaliser>,
    pub(super) gamma: f64,
}

/// Real transitions, flat and row-major.
#[derive(Debug, Default)]
struct RealPairs {
    pairs: Visited,
    reward: Vec<f32>,
    dims: [usize; 2],
}

impl RealPairs {
    /// The visited pairs that do not end an episode.
    fn visited(all: &Visited, dims: [usize; 2]) -> Self {
        let mut pairs = Visited::default();
        let rows = (all.obs.chunks_exact(dims[0]))
            .zip(all.action.chunks_exact(dims[1]))
            .zip(all.next_obs.chunks_exact(dims[0]));
        for (row, ((obs, action), next_obs)) in rows.enumerate() {
            if !all.terminated.get(row).copied().unwrap_or(false) {
                pairs.obs.extend_from_slice(obs);
                pairs.action.extend_from_slice(action);
                pairs.next_obs.extend_from_slice(next_obs);
            }
        }
        Self { pairs, reward: Vec::new(), dims }
    }

    /// These rows of the replay buffer, without those that end an episode.
    fn of(replay: &Replay, rows: impl Iterator<Item = u32>) -> Self {
        let dims = [replay.config().obs_dim, replay.config().act_dim];
        let mut sample = Self { dims, ..Self::default() };
        for row in rows.filter_map(|row| replay.get(row)).filter(|row| !row.flags.contains(Flags::TERMINATED)) {
            sample.pairs.obs.extend_from_slice(row.obs);
            sample.pairs.action.extend_from_slice(row.action);
            sample.pairs.next_obs.extend_from_slice(row.next_obs);
            sample.reward.push(row.reward);
        }
        sample
    }

    fn len(&self) -> usize {
        self.pairs.obs.len() / self.dims[0]
    }
}

/// All metrics by name. `rng` is a copy of the agent's stream, so that measuring changes nothing.
pub(super) fn diagnose(
    agent: &ModelEvaluation<'_>,
    visited: &Visited,
    mut rng: StreamRng,
) -> Result<Vec<(String, f64)>, AgentError> {
    let mut metrics = Vec::new();
    lipschitz_metrics(agent, visited, &mut rng, &mut metrics)?;
    if agent.dynamics.fits() == 0 {
        return Ok(metrics);
    }
    let real = agent.real;
    let len = real.len() as u32;
    let held = agent.dynamics.holdout().iter().copied().filter(|&row| row < len).take(ROWS);
    let recent = newest(real, RECENT);
    let dims = [real.config().obs_dim, real.config().act_dim];
    let samples = [
        ("holdout", RealPairs::of(real, held)),
        ("recent", RealPairs::of(real, recent.into_iter())),
        ("visited", RealPairs::visited(visited, dims)),
    ];
    let mut predictor = agent.dynamics.predictor(BLOCK)?;
    for (place, sample) in samples.iter().filter(|(_, sample)| sample.len() > 0) {
        errors(agent, place, sample, &mut predictor, &mut rng, &mut metrics)?;
    }
    open_loop(agent, &mut predictor, &mut rng, &mut metrics)?;
    Ok(metrics)
}

/// Indices of the newest rows, oldest first.
fn newest(replay: &Replay, count: usize) -> Vec<u32> {
    let (len, capacity) = (replay.len(), replay.config().capacity);
    let head = replay.newest().map_or(0, |newest| newest as usize + 1);
    (0..count.min(len)).rev().map(|age| ((head + capacity - 1 - age) % capacity) as u32).collect()
}

/// Lipschitz constants and gradient norms of policy and values.
fn lipschitz_metrics(
    agent: &ModelEvaluation<'_>,
    visited: &Visited,
    rng: &mut StreamRng,
    metrics: &mut Vec<(String, f64)>,
) -> Result<(), AgentError> {
    let (learner, normaliser) = (agent.learner, agent.normaliser);
    let len = agent.real.len() as u32;
    let rows = (0..if len == 0 { 0 } else { GRADIENT_ROWS }).map(|_| rng.random_range(0..len));
    let replayed = RealPairs::of(agent.real, rows).pairs;
    for (name, pairs) in [("visited", visited.clone()), ("replay", replayed)] {
        if !pairs.obs.is_empty() {
            let probe = ProbedPairs::new(name, pairs, learner, normaliser)?;
            probe.metrics(metrics);
            q_bias(&probe, agent.gamma, metrics);
        }
    }
    metrics.extend(value_bound(learner)?.map(|bound| ("lipschitz/value/product_bound".to_owned(), bound)));
    constants("actor", learner.actor(), learner.actor().params().tensor(), metrics)?;
    constants("critic", learner.critics().networks(), learner.critics().params(), metrics)?;
    let logs = metrics.iter().filter(|(name, _)| name.starts_with("lipschitz/product_bound/critic"));
    let logs: Vec<_> =
        logs.map(|(name, bound)| (name.replace("product_bound", "product_bound_log"), bound.ln())).collect();
    metrics.extend(logs);
    Ok(())
}

/// One-step errors on a sample.
fn errors(
    agent: &ModelEvaluation<'_>,
    place: &str,
    sample: &RealPairs,
    predictor: &mut Predictor,
    rng: &mut StreamRng,
    metrics: &mut Vec<(String, f64)>,
) -> Result<(), AgentError> {
    let elites = agent.dynamics.elites();
    let members: Vec<u32> = (0..sample.len()).map(|_| elites[rng.random_range(0..elites.len())]).collect();
    let (reward, mean) = predict(agent, predictor, sample, &members, None)?;
    let real = state_values(agent, &sample.pairs.next_obs)?;
    let mut put_value_aware = |name: &str, next: &[f32]| -> Result<(), AgentError> {
        let error = value_aware_error(agent.gamma, &real, &state_values(agent, next)?)?;
        metrics.push((format!("model/value_aware_error{name}/{place}"), error));
        // An error of 0 has no logarithm; NaN stays NaN.
        let positive = if error == 0.0 { f64::MIN_POSITIVE } else { error };
        metrics.push((format!("model/value_aware_error{name}_log/{place}"), positive.ln()));
        Ok(())
    };
    if agent.dynamics.config().prediction.sampled() {
        put_value_aware("", &predict(agent, predictor, sample, &members, Some(rng))?.1)?;
    } else {
        put_value_aware("", &mean)?;
    }
    put_value_aware("_mean", &mean)?;
    let rows = sample.len() as f64;
    let missed = distance2(&mean, &sample.pairs.next_obs) / rows;
    let moved = distance2(&sample.pairs.obs, &sample.pairs.next_obs) / rows;
    metrics.push((format!("model/error/{place}"), missed.sqrt()));
    if moved > 0.0 {
        metrics.push((format!("model/error_relative/{place}"), missed / moved));
    }
    if !sample.reward.is_empty() {
        metrics.push((format!("model/reward_error/{place}"), (distance2(&reward, &sample.reward) / rows).sqrt()));
    }
    if elites.len() > 1 {
        metrics.push((format!("model/disagreement/{place}"), disagreement(agent, predictor, sample)?));
    }
    Ok(())
}

/// Mean over rows of the norm of the elites' standard deviations (division by their number) of ŝ'.
fn disagreement(agent: &ModelEvaluation<'_>, predictor: &mut Predictor, sample: &RealPairs) -> Result<f64, AgentError> {
    let (elites, o) = (agent.dynamics.elites(), sample.dims[0]);
    let all = (elites.iter())
        .map(|&e| Ok(predict(agent, predictor, sample, &vec![e; sample.len()], None)?.1))
        .collect::<Result<Vec<_>, AgentError>>()?;
    let count = elites.len() as f64;
    let row = |row: usize| -> f64 {
        let variance = (row * o..row * o + o).map(|i| {
            let mean = all.iter().map(|next| f64::from(next[i])).sum::<f64>() / count;
            all.iter().map(|next| (f64::from(next[i]) - mean).powi(2)).sum::<f64>() / count
        });
        variance.sum::<f64>().sqrt()
    };
    Ok((0..sample.len()).map(row).sum::<f64>() / sample.len() as f64)
}

/// Errors after several steps of recorded actions.
fn open_loop(
    agent: &ModelEvaluation<'_>,
    predictor: &mut Predictor,
    rng: &mut StreamRng,
    metrics: &mut Vec<(String, f64)>,
) -> Result<(), AgentError> {
    let real = agent.real;
    let [o, a] = [real.config().obs_dim, real.config().act_dim];
    let rows: Vec<_> = newest(real, 2 * RECENT).into_iter().filter_map(|row| real.get(row)).collect();
    // Starts from which no episode ends before the horizon.
    let whole = |window: &&[crate::replay::Row<'_>]| {
        window[..HORIZON - 1].iter().all(|row| !row.flags.ends_window())
            && !window[HORIZON - 1].flags.contains(Flags::TERMINATED)
    };
    let windows: Vec<_> = rows.windows(HORIZON).filter(whole).collect();
    if windows.is_empty() {
        return Ok(());
    }
    let mut state: Vec<f32> = windows.iter().flat_map(|window| window[0].obs).copied().collect();
    let elites = agent.dynamics.elites();
    for h in 0..HORIZON {
        let action: Vec<f32> = windows.iter().flat_map(|window| window[h].action).copied().collect();
        let truth: Vec<f32> = windows.iter().flat_map(|window| window[h].next_obs).copied().collect();
        let members: Vec<u32> = windows.iter().map(|_| elites[rng.random_range(0..elites.len())]).collect();
        let pairs = Visited { obs: state, action, ..Visited::default() };
        let sample = RealPairs { pairs, reward: Vec::new(), dims: [o, a] };
        state = predict(agent, predictor, &sample, &members, None)?.1;
        let error = (distance2(&state, &truth) / windows.len() as f64).sqrt();
        if !error.is_finite() {
            break; // it has blown up and stays so
        }
        metrics.push((format!("model/error_step/{}", h + 1), error));
    }
    Ok(())
}

/// Rewards and next observations of a sample's pairs, row r by member `members[r]`; drawn with `noise`.
fn predict(
    agent: &ModelEvaluation<'_>,
    predictor: &mut Predictor,
    sample: &RealPairs,
    members: &[u32],
    mut noise: Option<&mut StreamRng>,
) -> Result<(Vec<f32>, Vec<f32>), AgentError> {
    let ([o, a], rows) = (sample.dims, sample.len());
    let (mut reward, mut next) = (vec![0.0; rows], vec![0.0; rows * o]);
    for start in (0..rows).step_by(BLOCK) {
        let end = (start + BLOCK).min(rows);
        let (obs, action) = (&sample.pairs.obs[start * o..end * o], &sample.pairs.action[start * a..end * a]);
        let (reward, next) = (&mut reward[start..end], &mut next[start * o..end * o]);
        let noise = noise.as_deref_mut();
        predictor.predict(agent.dynamics.view(), obs, action, &members[start..end], noise, reward, next)?;
    }
    Ok((reward, next))
}

/// V at rows of observations in the environment's units.
fn state_values(agent: &ModelEvaluation<'_>, obs: &[f32]) -> Result<Vec<f64>, AgentError> {
    let (actor, o, a) = (agent.learner.actor(), agent.real.config().obs_dim, agent.real.config().act_dim);
    tch::no_grad(|| {
        let device = actor.params().tensor().device();
        let obs = Tensor::f_from_slice(obs)?.f_view([-1, o as i64])?.f_to(device)?;
        let seen = match agent.normaliser {
            Some(normaliser) => standardise(normaliser, &obs)?,
            None => obs,
        };
        let action = actor.forward(0, actor.params().tensor(), &seen).f_narrow(1, 0, a as i64)?.f_tanh()?;
        let values = agent.learner.critics().values(&seen, &action)?.swap_remove(0);
        Ok(Vec::try_from(&values.f_to_kind(tch::Kind::Double)?.f_to(tch::Device::Cpu)?)?)
    })
}

/// Σ (x − y)².
fn distance2(x: &[f32], y: &[f32]) -> f64 {
    x.iter().zip(y).map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2)).sum()
}
