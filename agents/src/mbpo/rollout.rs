//! Rollouts that branch off real states (Janner et al. 2019, algorithm 2). From uniformly drawn
//! observations of the real buffer the current, exploring policy goes k steps in the model. Each step of
//! each row is predicted by an elite drawn for it.
//!
//! Each block of rows has a random stream of its own, so that the result does not depend on the number
//! of threads.

use liprl_nets::{Buffer, Forward, Team, Weights, gaussian::LOG_STD, optim::TrainState};
use liprl_numerics::{Mlp, RunningNormaliser, StreamRng, kernels};
use rand::{Rng, RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};

use super::{
    dynamics::{Dynamics, Predictor, View},
    termination::Rule,
    termination_model::{TerminationModel, TerminationView},
};
use crate::{AgentError, Flags, Replay};

/// Rows of a block: at most so many, for large products by each member, and fewer if there would be
/// fewer than eight blocks to share out.
const BLOCK: usize = 2048;
const SMALL_BLOCK: usize = 512;

/// Counts from one round of rollouts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RolloutCounts {
    /// Transitions stored.
    pub stored: u64,
    /// Stored transitions that ended an imagined episode.
    pub terminated: u64,
    /// Transitions not stored, because a number was not finite or had blown up.
    pub dropped: u64,
}

/// The networks, rules and sizes of one round of rollouts.
#[derive(Clone, Copy)]
pub struct RolloutOptions<'a> {
    /// The model.
    pub dynamics: &'a Dynamics,
    /// Normalisation of the policy's observations.
    pub normaliser: Option<&'a RunningNormaliser>,
    /// When episodes end.
    pub rule: &'a Rule,
    /// The learned rule.
    pub termination: Option<&'a TerminationModel>,
    /// k, the steps of a rollout.
    pub length: u64,
    /// Number of rollouts.
    pub count: usize,
    /// Magnitude beyond which a number has blown up.
    pub blow_up: f64,
}

/// One worker for each thread, with the buffers that rollouts need.
#[derive(Debug)]
pub struct RolloutWorkers {
    team: Team,
    /// A copy of the policy's parameters on the CPU.
    policy: Buffer,
    workers: Vec<BlockWorker>,
}

/// Inputs that all blocks of a round share; threads only read them.
#[derive(Clone, Copy)]
struct Shared<'a> {
    replay: &'a Replay,
    view: View<'a>,
    elites: &'a [u32],
    sampled: bool,
    normaliser: Option<&'a RunningNormaliser>,
    rule: &'a Rule,
    threshold: f32,
    length: u64,
    limit: f32,
}

impl RolloutWorkers {
    /// Buffers for a model and a policy whose network is `policy`.
    pub fn new(
        dynamics: &Dynamics,
        policy: &Mlp,
        termination: Option<&TerminationModel>,
        threads: usize,
    ) -> Result<Self, AgentError> {
        let params = Buffer::zeros(&[policy.len()])?;
        let workers = (0..threads.max(1))
            .map(|_| BlockWorker::new(dynamics, policy, &params, termination))
            .collect::<Result<_, _>>()?;
        Ok(Self { team: Team::new(threads)?, policy: params, workers })
    }

    /// Rolls out from `replay` into `pool`.
    pub fn roll_out(
        &mut self,
        options: RolloutOptions<'_>,
        actor: &TrainState,
        replay: &Replay,
        pool: &mut Replay,
        rng: &mut StreamRng,
    ) -> Result<RolloutCounts, AgentError> {
        self.policy.fill_from(&actor.params().to_vec()?)?;
        let shared = Shared {
            replay,
            view: options.dynamics.view(),
            elites: options.dynamics.elites(),
            sampled: options.dynamics.config().prediction.sampled(),
            normaliser: options.normaliser,
            rule: options.rule,
            threshold: options.termination.map_or(f32::INFINITY, TerminationModel::threshold),
            length: options.length,
            limit: options.blow_up as f32,
        };
        let block = (options.count / 8).clamp(SMALL_BLOCK, BLOCK);
        let (mut counts, mut left) = (RolloutCounts::default(), options.count);
        while left > 0 {
            let mut busy = 0;
            for worker in &mut self.workers {
                worker.rows = left.min(block);
                left -= worker.rows;
                if worker.rows > 0 {
                    worker.rng = StreamRng::seed_from_u64(rng.next_u64());
                    busy += 1;
                }
            }
            let workers = &mut self.workers[..busy];
            self.team.run(workers, |worker| worker.roll_out(shared))?;
            for worker in workers {
                let RolloutBuffer { obs, action, reward, next, flags } = &worker.buffer;
                pool.push_rows(obs, action, reward, next, flags)?;
                counts.stored += flags.len() as u64;
                counts.terminated += worker.terminated;
                counts.dropped += worker.dropped;
            }
        }
        Ok(counts)
    }
}

/// One thread's block.
#[derive(Debug)]
struct BlockWorker {
    rng: StreamRng,
    rows: usize,
    obs_dim: usize,
    act_dim: usize,
    policy: Weights,
    forward: Forward,
    predictor: Predictor,
    termination: Option<TerminationView>,
    /// s as the policy sees it, `[BLOCK, O]`.
    seen: Buffer,
    obs: Vec<f32>,
    action: Vec<f32>,
    reward: Vec<f32>,
    next: Vec<f32>,
    members: Vec<u32>,
    ended: Vec<bool>,
    buffer: RolloutBuffer,
    terminated: u64,
    dropped: u64,
}

/// Transitions to be stored.
#[derive(Debug, Default)]
struct RolloutBuffer {
    obs: Vec<f32>,
    action: Vec<f32>,
    reward: Vec<f32>,
    next: Vec<f32>,
    flags: Vec<Flags>,
}

impl BlockWorker {
    fn new(
        dynamics: &Dynamics,
        policy: &Mlp,
        params: &Buffer,
        termination: Option<&TerminationModel>,
    ) -> Result<Self, AgentError> {
        let (obs_dim, act_dim) = (policy.inputs(), policy.outputs() / 2);
        Ok(Self {
            rng: StreamRng::seed_from_u64(0),
            rows: 0,
            policy: Weights::new(policy, params, 0),
            forward: Forward::new(policy, BLOCK)?,
            predictor: dynamics.predictor(BLOCK)?,
            termination: termination.map(|termination| termination.view(BLOCK)).transpose()?,
            seen: Buffer::zeros(&[BLOCK, obs_dim])?,
            obs: vec![0.0; BLOCK * obs_dim],
            action: vec![0.0; BLOCK * act_dim],
            reward: vec![0.0; BLOCK],
            next: vec![0.0; BLOCK * obs_dim],
            members: vec![0; BLOCK],
            ended: vec![false; BLOCK],
            buffer: RolloutBuffer::default(),
            terminated: 0,
            dropped: 0,
            obs_dim,
            act_dim,
        })
    }

    /// Rolls out `rows` rows.
    fn roll_out(&mut self, shared: Shared<'_>) -> Result<(), AgentError> {
        let o = self.obs_dim;
        let RolloutBuffer { obs, action, reward, next, flags } = &mut self.buffer;
        [obs, action, reward, next].into_iter().for_each(Vec::clear);
        flags.clear();
        (self.terminated, self.dropped) = (0, 0);
        for row in 0..self.rows {
            let start = self.rng.random_range(0..shared.replay.len() as u32);
            if let Some(start) = shared.replay.get(start) {
                self.obs[row * o..][..o].copy_from_slice(start.obs);
            }
        }
        for _ in 0..shared.length {
            if self.rows == 0 {
                break;
            }
            self.act(shared)?;
            self.step(shared)?;
            self.keep(shared.limit);
        }
        Ok(())
    }

    /// Draws an action of the exploring policy for each row.
    fn act(&mut self, shared: Shared<'_>) -> Result<(), AgentError> {
        let (rows, o, a) = (self.rows, self.obs_dim, self.act_dim);
        let seen = &mut self.seen.slice_mut()[..rows * o];
        seen.copy_from_slice(&self.obs[..rows * o]);
        if let Some(normaliser) = shared.normaliser {
            normaliser.apply(seen);
        }
        let x = self.seen.tensor().f_narrow(0, 0, rows as i64)?;
        let outputs = self.forward.run(&self.policy, &x)?;
        let (low, high) = (LOG_STD.0 as f32, LOG_STD.1 as f32);
        for (output, action) in outputs.chunks_exact(2 * a).zip(self.action.chunks_exact_mut(a)) {
            let (mean, log_std) = output.split_at(a);
            for ((action, mean), log_std) in action.iter_mut().zip(mean).zip(log_std) {
                let draw: f32 = StandardNormal.sample(&mut self.rng);
                *action = mean + kernels::exp(log_std.clamp(low, high)) * draw;
            }
        }
        kernels::tanh_all(&mut self.action[..rows * a]);
        Ok(())
    }

    /// Predicts each row's reward and next observation, and if its episode ends there.
    fn step(&mut self, shared: Shared<'_>) -> Result<(), AgentError> {
        let (rows, o, a) = (self.rows, self.obs_dim, self.act_dim);
        let members = &mut self.members[..rows];
        match shared.elites {
            [only] => members.fill(*only),
            elites => members.iter_mut().for_each(|e| *e = elites[self.rng.random_range(0..elites.len())]),
        }
        let (obs, action) = (&self.obs[..rows * o], &self.action[..rows * a]);
        let (reward, next) = (&mut self.reward[..rows], &mut self.next[..rows * o]);
        let noise = shared.sampled.then_some(&mut self.rng);
        self.predictor.predict(shared.view, obs, action, members, noise, reward, next)?;
        let ended = &mut self.ended[..rows];
        match &mut self.termination {
            Some(termination) => {
                termination.decide(shared.view.scalers.inputs, shared.threshold, [obs, action, next], ended)
            }
            None => {
                ended.iter_mut().zip(next.chunks_exact(o)).for_each(|(ended, next)| *ended = shared.rule.ends(next));
                Ok(())
            }
        }
    }

    /// Appends the step's transitions to the buffer, and moves the rows that go on to the front.
    fn keep(&mut self, limit: f32) {
        let (o, a, mut going) = (self.obs_dim, self.act_dim, 0);
        for row in 0..self.rows {
            let next = row * o..row * o + o;
            // Written so that NaN fails it.
            let sound = self.next[next.clone()].iter().chain([&self.reward[row]]).all(|x| x.abs() <= limit);
            if !sound {
                self.dropped += 1;
                continue;
            }
            let buffer = &mut self.buffer;
            buffer.obs.extend_from_slice(&self.obs[next.clone()]);
            buffer.action.extend_from_slice(&self.action[row * a..][..a]);
            buffer.reward.push(self.reward[row]);
            buffer.next.extend_from_slice(&self.next[next.clone()]);
            buffer.flags.push(Flags::TERMINATED.when(self.ended[row]));
            if self.ended[row] {
                self.terminated += 1;
            } else {
                // The row it moves to was stored already.
                self.obs[going * o..][..o].copy_from_slice(&self.next[next]);
                going += 1;
            }
        }
        self.rows = going;
    }
}
