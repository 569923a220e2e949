//! The replay buffer against a naive model: a list of transitions from which windows are cut one by one.
#![allow(clippy::unwrap_used, reason = "a test may stop here")]

use std::collections::{HashMap, VecDeque};

use liprl_agents::{
    Batch, Flags, Replay, ReplayConfig, Transition, WindowBatch,
    replay::{CHUNK_ROWS, PriorityConfig},
};
use liprl_numerics::{State, StateIo, StreamRng, Streams};
use proptest::prelude::*;
use tch::{Kind, Tensor};

const O: usize = 3;
const A: usize = 2;
const ENDS: [Flags; 3] = [Flags::TERMINATED, Flags::TRUNCATED, Flags::CUT];

#[derive(Clone, Debug)]
enum Op {
    Push(Flags),
    PushRows(Vec<Flags>),
    Cut,
    Prioritise(Vec<f32>),
    Clear,
    Resize(usize),
}

#[derive(Clone, Copy)]
struct Stored {
    serial: u32,
    flags: Flags,
}

impl Stored {
    /// Numbers that tell every transition and every coordinate apart.
    fn obs(self) -> [f32; O] {
        [self.serial as f32, self.serial as f32 + 0.25, -1.0]
    }
    fn action(self) -> [f32; A] {
        [0.5, 1.0 / (1.0 + self.serial as f32)]
    }
    fn reward(self) -> f32 {
        (self.serial as f32 * 0.7).sin()
    }
    fn next_obs(self) -> [f32; O] {
        [self.serial as f32 + 0.5, -2.0, self.serial as f32 + 0.75]
    }
}

/// The real buffer beside the naive one.
struct Pair {
    replay: Replay,
    naive: VecDeque<Stored>,
    capacity: usize,
    next_serial: u32,
}

impl Pair {
    fn new(capacity: usize, priorities: Option<PriorityConfig>) -> Self {
        let config = ReplayConfig { capacity, obs_dim: O, act_dim: A, priorities };
        Self { replay: Replay::new(config).unwrap(), naive: VecDeque::new(), capacity, next_serial: 0 }
    }

    fn remember(&mut self, flags: Flags) -> Stored {
        let stored = Stored { serial: self.next_serial, flags };
        self.next_serial += 1;
        self.naive.push_back(stored);
        if self.naive.len() > self.capacity {
            self.naive.pop_front();
        }
        stored
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Push(flags) => {
                let stored = self.remember(*flags);
                let transition = Transition {
                    obs: &stored.obs(),
                    action: &stored.action(),
                    reward: stored.reward(),
                    next_obs: &stored.next_obs(),
                    terminated: flags.contains(Flags::TERMINATED),
                    truncated: flags.contains(Flags::TRUNCATED),
                };
                self.replay.push(&transition, *flags).unwrap();
            }
            Op::PushRows(all) => {
                let rows: Vec<Stored> = all.iter().map(|&flags| self.remember(flags | Flags::CUT)).collect();
                let flat = |f: fn(&Stored) -> Vec<f32>| rows.iter().flat_map(f).collect::<Vec<f32>>();
                self.replay
                    .push_rows(
                        &flat(|row| row.obs().to_vec()),
                        &flat(|row| row.action().to_vec()),
                        &flat(|row| vec![row.reward()]),
                        &flat(|row| row.next_obs().to_vec()),
                        all,
                    )
                    .unwrap();
            }
            Op::Cut => {
                self.replay.cut();
                if let Some(newest) = self.naive.back_mut() {
                    newest.flags = newest.flags | Flags::CUT;
                }
            }
            Op::Prioritise(values) => {
                let index: Vec<u32> = (0..values.len().min(self.replay.len()) as u32).collect();
                self.replay.update_priorities(&index, &values[..index.len()]).unwrap();
            }
            Op::Clear => {
                self.replay.clear();
                self.naive.clear();
            }
            Op::Resize(capacity) => {
                self.replay.resize(*capacity).unwrap();
                self.capacity = *capacity;
                while self.naive.len() > *capacity {
                    self.naive.pop_front();
                }
            }
        }
    }

    /// The naive window that starts at a row of the real buffer.
    fn window(&self, index: u32, n: usize) -> Vec<Stored> {
        let serial = self.replay.get(index).unwrap().obs[0] as u32;
        let start = self.naive.iter().position(|stored| stored.serial == serial).unwrap();
        let mut window = Vec::new();
        for stored in self.naive.iter().skip(start).take(n) {
            window.push(*stored);
            if ENDS.iter().any(|&end| stored.flags.contains(end)) {
                break;
            }
        }
        window
    }

    fn check_batch(&self, batch: &Batch) {
        let (n, gamma) = (batch.n_step(), batch.gamma());
        for b in 0..batch.size() {
            let window = self.window(batch.index[b], n);
            let (first, last) = (window[0], window[window.len() - 1]);
            let sum: f64 = window.iter().enumerate().map(|(k, s)| gamma.powi(k as i32) * f64::from(s.reward())).sum();
            let terminated = last.flags.contains(Flags::TERMINATED);
            let discount = if terminated { 0.0 } else { gamma.powi(window.len() as i32) };
            assert_eq!(row(&batch.obs, b), first.obs());
            assert_eq!(row(&batch.action, b), first.action());
            assert_eq!(row(&batch.next_obs, b), last.next_obs());
            assert!((batch.reward.double_value(&[b as i64]) - sum).abs() < 1e-5);
            assert!((batch.discount.double_value(&[b as i64]) - discount).abs() < 1e-6);
            let flags = batch.flags[b];
            assert_eq!(flags.contains(Flags::OBS_ABSORBING), first.flags.contains(Flags::OBS_ABSORBING));
            for mark in ENDS.into_iter().chain([Flags::NEXT_ABSORBING]) {
                assert_eq!(flags.contains(mark), last.flags.contains(mark));
            }
        }
    }
}

fn row(tensor: &Tensor, at: usize) -> Vec<f32> {
    Vec::try_from(tensor.get(at as i64)).unwrap()
}

fn rng() -> StreamRng {
    Streams::new(7).rng("replay")
}

fn flags() -> impl Strategy<Value = Flags> {
    (0..12u8, any::<bool>(), any::<bool>()).prop_map(|(end, obs, next)| {
        let end = match end {
            0 => Flags::TERMINATED,
            1 => Flags::TRUNCATED,
            2 => Flags::TERMINATED | Flags::TRUNCATED,
            3 => Flags::CUT,
            _ => Flags::NONE,
        };
        end | Flags::OBS_ABSORBING.when(obs) | Flags::NEXT_ABSORBING.when(next)
    })
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        40 => flags().prop_map(Op::Push),
        2 => prop::collection::vec(flags(), 0..5).prop_map(Op::PushRows),
        2 => Just(Op::Cut),
        4 => prop::collection::vec(0.0..9.0f32, 1..9).prop_map(Op::Prioritise),
        1 => Just(Op::Clear),
        1 => (1..24usize).prop_map(Op::Resize),
    ]
}

proptest! {
    #[test]
    fn every_window_is_the_naive_one(
        capacity in 1..20usize, ops in prop::collection::vec(op(), 1..80), n in 1..7usize, gamma in 0.5..1.0f64,
        prioritised in any::<bool>(),
    ) {
        let mut pair = Pair::new(capacity, prioritised.then(PriorityConfig::default));
        for op in &ops {
            pair.apply(op);
        }
        let serials: Vec<u32> = pair.replay.rows().map(|row| row.obs[0] as u32).collect();
        prop_assert_eq!(serials, pair.naive.iter().map(|stored| stored.serial).collect::<Vec<_>>());
        if pair.replay.is_empty() {
            prop_assert!(pair.replay.sample(&mut rng(), &mut Batch::new(1, O, A, n, gamma)).is_err());
            return Ok(());
        }
        let mut all = Batch::new(pair.replay.len(), O, A, n, gamma);
        all.index = (0..pair.replay.len() as u32).collect();
        pair.replay.gather(&mut all).unwrap();
        pair.check_batch(&all);
        // More rows than the buffer may hold: drawn with replacement.
        let mut drawn = Batch::new(16, O, A, n, gamma);
        pair.replay.sample(&mut rng(), &mut drawn).unwrap();
        pair.check_batch(&drawn);
    }

    #[test]
    fn windows_hold_the_naive_rows_and_recomputed_rewards_their_returns(
        capacity in 2..20usize, ends in prop::collection::vec(flags(), 1..50), n in 1..6usize,
    ) {
        let mut pair = Pair::new(capacity, None);
        ends.iter().for_each(|&flags| pair.apply(&Op::Push(flags)));
        let (size, gamma) = (12, 0.9);
        let mut windows = WindowBatch::new(size, O, A, n, gamma);
        pair.replay.sample_window(&mut rng(), &mut windows).unwrap();
        pair.check_batch(&windows.batch);
        // A reward only the caller knows: twice the first observation coordinate, plus 1.
        let recomputed = windows.obs.select(2, 0) * 2.0 + 1.0;
        let returns = windows.returns(&Vec::<f32>::try_from(recomputed.flatten(0, -1)).unwrap()).unwrap();
        prop_assert_eq!(returns.len(), size);
        for (b, returned) in returns.iter().enumerate() {
            let naive = pair.window(windows.batch.index[b], n);
            for k in 0..n {
                let (stored, slot) = (naive[k.min(naive.len() - 1)], b * n + k);
                prop_assert_eq!(row(&windows.obs.view([-1, O as i64]), slot), stored.obs());
                prop_assert_eq!(row(&windows.action.view([-1, A as i64]), slot), stored.action());
                prop_assert_eq!(row(&windows.next_obs.view([-1, O as i64]), slot), stored.next_obs());
                prop_assert_eq!(windows.reward.double_value(&[b as i64, k as i64]) as f32, stored.reward());
                prop_assert_eq!(windows.flags[slot], stored.flags);
                prop_assert_eq!(windows.mask.double_value(&[b as i64, k as i64]) == 1.0, k < naive.len());
            }
            let rewards = naive.iter().map(|stored| 2.0 * f64::from(stored.serial) + 1.0);
            let sum: f64 = rewards.enumerate().map(|(k, reward)| gamma.powi(k as i32) * reward).sum();
            prop_assert!((returned.sum - sum).abs() < 1e-3);
        }
    }

    #[test]
    fn a_buffer_restored_at_any_moment_goes_on_like_the_one_that_was_saved(
        capacity in 1..20usize, ops in prop::collection::vec(op(), 1..80), moment in any::<prop::sample::Index>(),
    ) {
        let priorities = Some(PriorityConfig { alpha: 0.7, beta: 0.5 });
        let (mut pair, moment) = (Pair::new(capacity, priorities), moment.index(ops.len()));
        ops[..moment].iter().for_each(|op| pair.apply(op));
        let mut restored = Pair::new(pair.capacity, priorities);
        (restored.naive, restored.next_serial) = (pair.naive.clone(), pair.next_serial);
        restore(&mut pair.replay, &mut restored.replay);
        ops[moment..].iter().for_each(|op| {
            pair.apply(op);
            restored.apply(op);
        });
        prop_assert_eq!(pair.replay.chunks(), restored.replay.chunks());
        prop_assert!(pair.replay.rows().eq(restored.replay.rows()));
        if !pair.replay.is_empty() {
            let (mut one, mut other) = (Batch::new(9, O, A, 3, 0.99), Batch::new(9, O, A, 3, 0.99));
            pair.replay.sample(&mut rng(), &mut one).unwrap();
            restored.replay.sample(&mut rng(), &mut other).unwrap();
            prop_assert_eq!(&one.index, &other.index);
            prop_assert_eq!(&one.weight, &other.weight);
            prop_assert_eq!(&one.reward, &other.reward);
        }
    }
}

/// Through bytes, as a checkpoint does.
fn restore(from: &mut Replay, to: &mut Replay) {
    let state = State::of(|io| from.state(io)).unwrap();
    let state = State::from_bytes(&state.to_bytes().unwrap()).unwrap();
    to.state(&mut StateIo::load_from(&state)).unwrap();
    for (chunk, _) in to.chunks() {
        to.restore_chunk(chunk, &from.chunk_bytes(chunk)).unwrap();
    }
}

#[test]
fn a_checkpoint_has_to_write_only_the_chunks_that_changed() {
    let mut pair = Pair::new(2 * CHUNK_ROWS + 1000, None);
    let mut disk: HashMap<(usize, u64), Vec<u8>> = HashMap::new();
    let mut new_chunks = Vec::new();
    for pushes in [10, CHUNK_ROWS, 0, CHUNK_ROWS, 1500, 20, CHUNK_ROWS] {
        (0..pushes).for_each(|_| pair.apply(&Op::Push(Flags::NONE)));
        let mut fresh = 0;
        for key in pair.replay.chunks() {
            let bytes = pair.replay.chunk_bytes(key.0);
            // A version that is on disk already stands for the same bytes.
            fresh += usize::from(disk.insert(key, bytes.clone()).is_none_or(|old| {
                assert_eq!(old, bytes);
                false
            }));
        }
        new_chunks.push(fresh);
    }
    // Rows written by each round: 0..10, then on into chunk 1, nothing, on into chunk 2, over its end into chunk 0, ...
    assert_eq!(new_chunks, [1, 2, 0, 2, 2, 1, 2]);
    let mut restored = Replay::new(*pair.replay.config()).unwrap();
    restore(&mut pair.replay, &mut restored);
    assert!(restored.rows().eq(pair.replay.rows()));
}

/// Pearson's statistic of draws, one at a time, against expected shares.
fn chi_square(replay: &Replay, shares: &[f64], draws: usize) -> f64 {
    let (mut rng, mut one, mut counts) = (rng(), Batch::new(1, O, A, 1, 0.99), vec![0.0; shares.len()]);
    for _ in 0..draws {
        replay.sample(&mut rng, &mut one).unwrap();
        counts[one.index[0] as usize] += 1.0;
    }
    let expected = shares.iter().map(|share| share * draws as f64);
    counts.iter().zip(expected).map(|(count, expected)| (count - expected) * (count - expected) / expected).sum()
}

/// The 99.9% point of the χ² distribution with 19 degrees of freedom, for 20 rows.
const CHI_SQUARE_19: f64 = 43.82;

#[test]
fn uniform_draws_are_uniform_also_after_wrapping() {
    let mut pair = Pair::new(20, None);
    (0..33).for_each(|_| pair.apply(&Op::Push(Flags::NONE)));
    assert!(chi_square(&pair.replay, &[0.05; 20], 40_000) < CHI_SQUARE_19);
}

#[test]
fn prioritised_draws_are_proportional_to_the_errors_power() {
    let config = PriorityConfig { alpha: 0.6, beta: 0.4 };
    let mut pair = Pair::new(20, Some(config));
    (0..33).for_each(|_| pair.apply(&Op::Push(Flags::NONE)));
    let errors: Vec<f32> = (0..20).map(|i| 0.1 + (i * i) as f32 / 10.0).collect();
    pair.replay.update_priorities(&(0..20).collect::<Vec<u32>>(), &errors).unwrap();
    let powers: Vec<f64> = errors.iter().map(|&error| (f64::from(error) + 1e-6).powf(0.6)).collect();
    let total: f64 = powers.iter().sum();
    let shares: Vec<f64> = powers.iter().map(|power| power / total).collect();
    assert!(chi_square(&pair.replay, &shares, 40_000) < CHI_SQUARE_19);
    assert!(chi_square(&pair.replay, &[0.05; 20], 40_000) > CHI_SQUARE_19, "the test tells the two apart");

    let mut batch = Batch::new(64, O, A, 1, 0.99);
    pair.replay.sample(&mut rng(), &mut batch).unwrap();
    let weights: Vec<f64> = batch.index.iter().map(|&i| (20.0 * shares[i as usize]).powf(-0.4)).collect();
    let largest = weights.iter().copied().fold(0.0, f64::max);
    for (b, weight) in weights.iter().enumerate() {
        assert!((batch.weight.double_value(&[b as i64]) - weight / largest).abs() < 1e-5);
    }
}

#[test]
fn a_new_transition_gets_the_largest_priority() {
    let mut pair = Pair::new(4, Some(PriorityConfig { alpha: 1.0, beta: 0.0 }));
    (0..3).for_each(|_| pair.apply(&Op::Push(Flags::NONE)));
    pair.replay.update_priorities(&[0, 1, 2], &[1.0, 8.0, 1.0]).unwrap();
    pair.apply(&Op::Push(Flags::NONE));
    let mut batch = Batch::new(18, O, A, 1, 0.99);
    // Masses 1, 8, 1, 8 in 18 equal parts: one draw from each unit of mass.
    pair.replay.sample(&mut rng(), &mut batch).unwrap();
    let count = |index| batch.index.iter().filter(|&&i| i == index).count();
    assert_eq!([count(0), count(1), count(2), count(3)], [1, 8, 1, 8]);
}

#[test]
fn two_buffers_share_a_batch() {
    let (mut real, mut model) = (Pair::new(8, None), Pair::new(8, None));
    (0..8).for_each(|_| real.apply(&Op::Push(Flags::NONE)));
    model.next_serial = 100;
    model.apply(&Op::PushRows(vec![Flags::NONE; 8]));
    let (mut batch, mut rng) = (Batch::new(10, O, A, 1, 0.99), rng());
    real.replay.sample_rows(&mut rng, &mut batch, 0..3).unwrap();
    model.replay.sample_rows(&mut rng, &mut batch, 3..10).unwrap();
    let from_model: Vec<bool> = (0..10).map(|b| row(&batch.obs, b)[0] >= 100.0).collect();
    assert_eq!(from_model, [[false; 3].as_slice(), &[true; 7]].concat());
    assert!(real.replay.sample_rows(&mut rng, &mut batch, 9..11).is_err());
}

#[test]
fn the_impossible_is_refused_with_a_reason() {
    let config = ReplayConfig { capacity: 4, obs_dim: 2, act_dim: 1, priorities: None };
    for (capacity, word) in [(0, "capacity is 0"), (usize::MAX, "capacity"), (u32::MAX as usize, "capacity")] {
        // The last would be 4 × 10⁹ rows of 10⁶ numbers.
        let refused = Replay::new(ReplayConfig { capacity, obs_dim: 1_000_000_000, ..config });
        assert!(refused.unwrap_err().to_string().contains(word));
    }
    let mut replay = Replay::new(config).unwrap();
    let good = Transition {
        obs: &[0.0, 0.0],
        action: &[0.0],
        reward: 0.0,
        next_obs: &[0.0, 0.0],
        terminated: false,
        truncated: false,
    };
    for (bad, word) in [
        (Transition { obs: &[0.0], ..good }, "observation has 1 numbers, expected 2"),
        (Transition { action: &[f32::NAN], ..good }, "action is NaN at coordinate 0"),
        (Transition { next_obs: &[0.0, f32::INFINITY], ..good }, "next observation is inf at coordinate 1"),
        (Transition { reward: f32::NAN, ..good }, "reward is NaN"),
    ] {
        let message = replay.push(&bad, Flags::NONE).unwrap_err().to_string();
        assert!(message.contains(word), "{message}");
    }
    assert!(replay.is_empty());
    replay.push(&good, Flags::NONE).unwrap();
    let mut other_task = Batch::new(2, 3, 1, 1, 0.99);
    assert!(replay.sample(&mut rng(), &mut other_task).unwrap_err().to_string().contains("observations of 2"));
    let mut elsewhere = Batch::new(2, 2, 1, 1, 0.99);
    elsewhere.obs = elsewhere.obs.to_kind(Kind::Double);
    assert!(replay.sample(&mut rng(), &mut elsewhere).unwrap_err().to_string().contains("contiguous f32"));
    let state = State::of(|io| replay.state(io)).unwrap();
    let mut smaller = Replay::new(ReplayConfig { capacity: 3, ..config }).unwrap();
    let error = smaller.state(&mut StateIo::load_from(&state)).unwrap_err().to_string();
    assert!(error.contains("(4, 2, 1), expected (3, 2, 1)"));
    assert!(replay.restore_chunk(0, &[0; 3]).unwrap_err().to_string().contains("3 bytes"));
}
