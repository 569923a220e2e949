//! Rollouts that branch off real states (Janner et al. 2019, algorithm 2): from uniformly drawn observations of the real buffer the current,
//! exploring policy goes k steps in the model; each step each row is taken by an elite drawn for it.
//!
//! Rows go through in blocks, each with a random stream of its own, so that the result does not depend on the number of threads.

use liprl_nets::{Buffer, Forward, Team, Weights, gaussian::LOG_STD, optim::Trained};
use liprl_numerics::{Mlp, RunningNormaliser, StreamRng, kernels};
use rand::{Rng, RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};

use super::{
    dynamics::{Dynamics, Predictor, View},
    head::{Head, HeadView},
    termination::Rule,
};
use crate::{AgentError, Flags, Replay};

/// Rows of a block.
const BLOCK: usize = 512;

/// What rollouts came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RollReport {
    /// Transitions stored.
    pub stored: u64,
    /// Of them, those that ended an imagined episode.
    pub terminated: u64,
    /// Transitions not stored, because a number was not finite or had blown up.
    pub dropped: u64,
}

/// What a rollout is done with.
#[derive(Clone, Copy)]
pub struct Route<'a> {
    /// The model.
    pub dynamics: &'a Dynamics,
    /// What the policy's observations go through.
    pub normaliser: Option<&'a RunningNormaliser>,
    /// When episodes end.
    pub rule: &'a Rule,
    /// The learned rule.
    pub head: Option<&'a Head>,
    /// k.
    pub length: u64,
    /// Rollouts.
    pub count: usize,
    /// Numbers beyond ± this have blown up.
    pub blow_up: f64,
}

/// The buffers of rollouts, made once.
#[derive(Debug)]
pub struct Roller {
    team: Team,
    /// A copy of the policy's parameters, wherever it trains.
    policy: Buffer,
    workers: Vec<Worker>,
}

/// What is the same for all blocks; everything in it may be read by several threads at once.
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

impl Roller {
    /// Buffers for a model and a policy whose network is `policy`.
    pub fn new(dynamics: &Dynamics, policy: &Mlp, head: Option<&Head>, threads: usize) -> Result<Self, AgentError> {
        let params = Buffer::zeros(&[policy.len()])?;
        let workers =
            (0..threads.max(1)).map(|_| Worker::new(dynamics, policy, &params, head)).collect::<Result<_, _>>()?;
        Ok(Self { team: Team::new(threads)?, policy: params, workers })
    }

    /// Rolls out from `replay` into `pool`.
    pub fn roll(
        &mut self,
        route: Route<'_>,
        actor: &Trained,
        replay: &Replay,
        pool: &mut Replay,
        rng: &mut StreamRng,
    ) -> Result<RollReport, AgentError> {
        self.policy.fill_from(&actor.params().to_vec()?)?;
        let shared = Shared {
            replay,
            view: route.dynamics.view(),
            elites: route.dynamics.elites(),
            sampled: route.dynamics.config().prediction.sampled(),
            normaliser: route.normaliser,
            rule: route.rule,
            threshold: route.head.map_or(f32::INFINITY, Head::threshold),
            length: route.length,
            limit: route.blow_up as f32,
        };
        let (mut report, mut left) = (RollReport::default(), route.count);
        while left > 0 {
            let mut busy = 0;
            for worker in &mut self.workers {
                worker.rows = left.min(BLOCK);
                left -= worker.rows;
                if worker.rows > 0 {
                    worker.rng = StreamRng::seed_from_u64(rng.next_u64());
                    busy += 1;
                }
            }
            let workers = &mut self.workers[..busy];
            self.team.run(workers, |worker| worker.roll(shared))?;
            for worker in workers {
                let Done { obs, action, reward, next, flags } = &worker.done;
                pool.push_rows(obs, action, reward, next, flags)?;
                report.stored += flags.len() as u64;
                report.terminated += worker.terminated;
                report.dropped += worker.dropped;
            }
        }
        Ok(report)
    }
}

/// One thread's block.
#[derive(Debug)]
struct Worker {
    rng: StreamRng,
    rows: usize,
    obs_dim: usize,
    act_dim: usize,
    policy: Weights,
    forward: Forward,
    predictor: Predictor,
    head: Option<HeadView>,
    /// s as the policy sees it, `[BLOCK, O]`.
    seen: Buffer,
    obs: Vec<f32>,
    action: Vec<f32>,
    reward: Vec<f32>,
    next: Vec<f32>,
    members: Vec<u32>,
    ended: Vec<bool>,
    done: Done,
    terminated: u64,
    dropped: u64,
}

/// Transitions to be stored.
#[derive(Debug, Default)]
struct Done {
    obs: Vec<f32>,
    action: Vec<f32>,
    reward: Vec<f32>,
    next: Vec<f32>,
    flags: Vec<Flags>,
}

impl Worker {
    fn new(dynamics: &Dynamics, policy: &Mlp, params: &Buffer, head: Option<&Head>) -> Result<Self, AgentError> {
        let (obs_dim, act_dim) = (policy.inputs(), policy.outputs() / 2);
        Ok(Self {
            rng: StreamRng::seed_from_u64(0),
            rows: 0,
            policy: Weights::new(policy, params, 0),
            forward: Forward::new(policy, BLOCK)?,
            predictor: dynamics.predictor(BLOCK)?,
            head: head.map(|head| head.view(BLOCK)).transpose()?,
            seen: Buffer::zeros(&[BLOCK, obs_dim])?,
            obs: vec![0.0; BLOCK * obs_dim],
            action: vec![0.0; BLOCK * act_dim],
            reward: vec![0.0; BLOCK],
            next: vec![0.0; BLOCK * obs_dim],
            members: vec![0; BLOCK],
            ended: vec![false; BLOCK],
            done: Done::default(),
            terminated: 0,
            dropped: 0,
            obs_dim,
            act_dim,
        })
    }

    /// `rows` rollouts.
    fn roll(&mut self, shared: Shared<'_>) -> Result<(), AgentError> {
        let o = self.obs_dim;
        let Done { obs, action, reward, next, flags } = &mut self.done;
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

    /// An action of the exploring policy for each row.
    fn act(&mut self, shared: Shared<'_>) -> Result<(), AgentError> {
        let (rows, o, a) = (self.rows, self.obs_dim, self.act_dim);
        let seen = &mut self.seen.slice_mut()[..rows * o];
        seen.copy_from_slice(&self.obs[..rows * o]);
        if let Some(normaliser) = shared.normaliser {
            normaliser.apply(seen);
        }
        let x = self.seen.tensor().f_narrow(0, 0, rows as i64)?;
        let heads = self.forward.run(&self.policy, &x)?;
        let (low, high) = (LOG_STD.0 as f32, LOG_STD.1 as f32);
        for (head, action) in heads.chunks_exact(2 * a).zip(self.action.chunks_exact_mut(a)) {
            let (mean, log_std) = head.split_at(a);
            for ((action, mean), log_std) in action.iter_mut().zip(mean).zip(log_std) {
                let draw: f32 = StandardNormal.sample(&mut self.rng);
                *action = (mean + kernels::exp(log_std.clamp(low, high)) * draw).tanh();
            }
        }
        Ok(())
    }

    /// Where the actions lead, and which episodes end there.
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
        match &mut self.head {
            Some(head) => head.decide(shared.view.scalers.inputs, shared.threshold, [obs, action, next], ended),
            None => {
                ended.iter_mut().zip(next.chunks_exact(o)).for_each(|(ended, next)| *ended = shared.rule.ends(next));
                Ok(())
            }
        }
    }

    /// Puts the step's transitions with those to be stored, and brings the rows that go on to the front.
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
            let done = &mut self.done;
            done.obs.extend_from_slice(&self.obs[next.clone()]);
            done.action.extend_from_slice(&self.action[row * a..][..a]);
            done.reward.push(self.reward[row]);
            done.next.extend_from_slice(&self.next[next.clone()]);
            done.flags.push(Flags::TERMINATED.when(self.ended[row]));
            if self.ended[row] {
                self.terminated += 1;
            } else {
                // Rows only move forwards, over rows that were stored already.
                self.obs[going * o..][..o].copy_from_slice(&self.next[next]);
                going += 1;
            }
        }
        self.rows = going;
    }
}
