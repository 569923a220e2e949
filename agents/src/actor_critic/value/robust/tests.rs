//! The term's CPU form against autograd, and the adversary against brute force.

use std::ops::Range;

use liprl_nets::{
    NetworkConfig,
    autograd::leaf,
    testing::{assert_close, assert_gradient},
};
use liprl_numerics::Streams;

use super::*;
use crate::{
    Batch, Setup,
    actor_critic::{
        CriticLoss,
        batch::{DeviceBatch, Rows},
        critics::{equations, rows::CriticRows},
        testing,
        value::Regulariser,
    },
};

const B: usize = 41;
const OBS: usize = 5;
const ACT: usize = 3;

/// A learner's networks without the learner, and its regulariser about to be used on a batch.
struct Scene {
    config: RobustConfig,
    actor: TrainState,
    critics: TrainState,
    batch: Batch,
    term: Regulariser,
}

impl Scene {
    fn new(config: RobustConfig, net: &NetworkConfig, critics: usize) -> Self {
        let setup =
            Setup { obs_dim: OBS, act_dim: ACT, streams: Streams::new(5), device: tch::Device::Cpu, threads: 1 };
        let mut term = Regulariser::of(Box::new(config), critics, &setup);
        let batch = testing::batch(B, OBS, ACT);
        term.begin(&batch, 0).unwrap();
        let actor = testing::policy(net, OBS, 2 * ACT);
        Self { config, actor, critics: testing::critics(net, OBS, ACT, critics), batch, term }
    }

    fn networks(&self) -> Networks<'_> {
        Networks { actor: &self.actor, critics: &self.critics, params: self.critics.params().tensor(), scale: 3.0 }
    }

    /// The rows that these shares of the batch make, after the critics' loss and its way back.
    fn by_hand(&self, kind: CriticLoss, shares: &[Range<usize>]) -> Vec<(CriticRows, TermSums)> {
        let member = |share: &Range<usize>| {
            let mut rows = CriticRows::new(&self.critics, &self.critics.target().unwrap(), share.len(), OBS)
                .unwrap()
                .regularised(self.term.rows(&self.networks(), &self.critics.weights(), share.clone(), B).unwrap());
            rows.units.scale = self.networks().scale;
            rows.target = testing::numbers(B, "targets")[share.clone()].to_vec();
            let part = Rows::of(&self.batch, share.clone()).unwrap();
            let sums = rows.critic_gradient(&part, kind, B, self.term.due()).unwrap();
            (rows, sums.term)
        };
        shares.iter().map(member).collect()
    }

    /// The one share that takes the whole batch.
    fn alone(&self, kind: CriticLoss) -> (CriticRows, TermSums) {
        self.by_hand(kind, std::slice::from_ref(&(0..B))).swap_remove(0)
    }

    /// The gradient of the critics' loss with the term, and the term's sums.
    fn by_autograd(&self, kind: CriticLoss) -> (Tensor, TermSums) {
        let params = leaf(self.critics.params().tensor());
        let on = DeviceBatch::of(&self.batch, tch::Device::Cpu).unwrap();
        let replayed = values(&self.critics, &params, &on.obs, &on.action).unwrap();
        let target = Tensor::from_slice(&testing::numbers(B, "targets"));
        let loss = equations::loss(&replayed, &target, &on.weight, kind);
        let networks = Networks { params: &params, ..self.networks() };
        let (loss, sums) = self.term.add_to(&loss, &networks, &on, &replayed).unwrap();
        (gradient(&loss, &params).unwrap(), sums)
    }

    /// The rows of the term on the whole batch, after the adversary moved the states for the last critic.
    fn moved(&self) -> RobustRows {
        let weights = self.critics.weights();
        let share = TermShare { rows: self.term.state.rows.clone(), first: 0 };
        let mut rows = RobustRows::new(self.config, share, &self.networks(), &weights).unwrap();
        let on = DeviceBatch::of(&self.batch, tch::Device::Cpu).unwrap();
        let part = Rows::of(&self.batch, 0..B).unwrap();
        let outputs = values(&self.critics, self.critics.params().tensor(), &on.obs, &on.action).unwrap();
        for (index, outputs) in outputs.iter().enumerate() {
            let outputs = Vec::<f32>::try_from(outputs).unwrap();
            rows.add(&self.term.state, (index, &weights[index]), &part, (&outputs, &mut [0.0; B]), 1.0).unwrap();
        }
        rows
    }
}

fn configs() -> Vec<RobustConfig> {
    let base = RobustConfig { rows: 23, lambda: 0.7, epsilon: 0.1, ..RobustConfig::default() };
    vec![
        base,
        RobustConfig { action: PolicyAction::Sample, every: 3, ..base },
        RobustConfig { against: Against::First, detach: true, ..base },
        RobustConfig { adversary: Adversary::Pgd { steps: 3, step_size: None }, units: StateUnits::Raw, ..base },
        RobustConfig { adversary: Adversary::Uniform, rows: 1000, ..base },
        RobustConfig { adversary: Adversary::Uniform, against: Against::First, ..base },
        RobustConfig { epsilon: 0.0, ..base },
    ]
}

#[test]
fn gradient_by_hand_equals_autograd_however_the_rows_are_shared() {
    for config in configs() {
        for (net, kind, count) in testing::networks() {
            let scene = Scene::new(config, &net, count);
            let (expected, expected_sums) = scene.by_autograd(kind);
            for split in [0, 20] {
                let shares: Vec<_> = [0..split, split..B].into_iter().filter(|share| !share.is_empty()).collect();
                let members = scene.by_hand(kind, &shares);
                let mut sum = vec![0.0; expected.numel()];
                for (rows, _) in &members {
                    liprl_numerics::kernels::add(&mut sum, rows.gradient.slice());
                }
                assert_gradient(&sum, &expected);
                for (i, expected) in expected_sums.iter().enumerate() {
                    let sum: f64 = members.iter().map(|(_, sums)| sums[i]).sum();
                    // Differences of values of size 1 may cancel in the last.
                    assert!((sum - expected).abs() <= 1e-5 * expected_sums[0].max(1.0), "{i}: {sum} {expected}");
                }
            }
        }
    }
}

#[test]
fn the_term_changes_the_gradient() {
    let (net, kind, count) = testing::networks().swap_remove(0);
    let scene = Scene::new(configs()[0], &net, count);
    let with = scene.alone(kind).0;
    let off = RobustConfig { lambda: 0.0, ..configs()[0] };
    let without = Scene::new(off, &net, count).alone(kind).0;
    let difference = with.gradient.slice().iter().zip(without.gradient.slice()).map(|(a, b)| (a - b).abs());
    assert!(difference.fold(0.0, f32::max) > 1e-3);
}

/// The term of every row by plain forward passes, at states s' of one's choice: max over corners, or at s.
fn term_at(scene: &Scene, index: usize, states: &Tensor) -> Vec<f64> {
    let rows = Tensor::from_slice(&scene.term.state.rows.iter().map(|&row| row as i64).collect::<Vec<_>>());
    let pick = |tensor: &Tensor| tensor.index_select(0, &rows);
    let params = scene.critics.params().tensor();
    let head = scene.actor.forward(0, scene.actor.params().tensor(), states);
    let action = head.narrow(1, 0, ACT as i64).tanh();
    let moved = values(&scene.critics, params, states, &action).unwrap().swap_remove(index);
    let (obs, action) = (pick(&scene.batch.obs), pick(&scene.batch.action));
    let replayed = values(&scene.critics, params, &obs, &action).unwrap().swap_remove(index);
    Vec::try_from((moved - replayed).square().to_kind(tch::Kind::Double)).unwrap()
}

#[test]
fn the_part_at_zero_is_the_gap_between_the_actions() {
    for config in configs().into_iter().filter(|config| config.action == PolicyAction::Mean) {
        let (net, kind, _) = testing::networks().swap_remove(0);
        let scene = Scene::new(config, &net, 1);
        let sums = scene.alone(kind).1;
        let rows = Tensor::from_slice(&scene.term.state.rows.iter().map(|&row| row as i64).collect::<Vec<_>>());
        let gaps = term_at(&scene, 0, &scene.batch.obs.index_select(0, &rows));
        let weight = Vec::<f32>::try_from(scene.batch.weight.index_select(0, &rows)).unwrap();
        let expected: f64 = gaps.iter().zip(weight).map(|(gap, weight)| gap * f64::from(weight)).sum();
        assert_close(sums[1], expected);
        if config.epsilon == 0.0 {
            assert_eq!((sums[0], sums[2]), (sums[1], 0.0));
        }
    }
}

/// In a box so small that the critic is nearly linear, no corner is worse than the one FGSM chooses.
#[test]
fn fgsm_finds_the_worst_corner_of_a_small_box() {
    let (net, _, _) = testing::networks().swap_remove(6); // tanh: smooth
    let config = RobustConfig { epsilon: 1e-3, rows: 23, ..RobustConfig::default() };
    let scene = Scene::new(config, &net, 2);
    let (rows, unit) = (scene.moved(), Tensor::from_slice(&scene.term.state.unit) * 1e-3);
    let start = rows.start.tensor();
    let found = term_at(&scene, 1, rows.moved.tensor());
    let before = term_at(&scene, 1, start);
    let mut worst = before.clone();
    for corner in 0..1u32 << OBS {
        let signs: Vec<f32> = (0..OBS).map(|i| if corner >> i & 1 == 1 { 1.0 } else { -1.0 }).collect();
        let there = term_at(&scene, 1, &(start + Tensor::from_slice(&signs) * &unit));
        worst.iter_mut().zip(there).for_each(|(worst, there)| *worst = worst.max(there));
    }
    let (gain, most): (f64, f64) =
        (found.iter().zip(&before).map(|(a, b)| a - b).sum(), worst.iter().zip(&before).map(|(a, b)| a - b).sum());
    assert!(most > 0.0 && gain > 0.98 * most, "{gain} of {most}");
}

#[test]
fn one_step_of_pgd_of_epsilon_is_fgsm_and_more_steps_find_no_less() {
    for (net, kind, count) in testing::networks() {
        let base = RobustConfig { rows: 23, epsilon: 0.3, ..RobustConfig::default() };
        let of = |adversary| Scene::new(RobustConfig { adversary, ..base }, &net, count);
        let fgsm = of(Adversary::Fgsm);
        let one = of(Adversary::Pgd { steps: 1, step_size: Some(0.3) });
        assert_eq!(fgsm.moved().moved.slice(), one.moved().moved.slice());
        assert_eq!(fgsm.alone(kind).0.gradient.slice(), one.alone(kind).0.gradient.slice());
        let many = of(Adversary::Pgd { steps: 10, step_size: Some(0.1) });
        let [few, many] = [&fgsm, &many].map(|scene| scene.alone(kind).1[0]);
        assert!(many > 0.98 * few, "{many} {few}");
    }
}

#[test]
fn every_state_stays_in_its_box_and_uniform_ones_fill_it() {
    let (net, _, _) = testing::networks().swap_remove(0);
    for adversary in [Adversary::Fgsm, Adversary::Pgd { steps: 4, step_size: Some(0.2) }, Adversary::Uniform] {
        for units in [StateUnits::Std, StateUnits::Raw] {
            let config = RobustConfig { adversary, units, epsilon: 0.3, rows: B, ..RobustConfig::default() };
            let scene = Scene::new(config, &net, 2);
            if units == StateUnits::Std {
                let std = scene.batch.obs.std_dim([0i64].as_slice(), false, false);
                assert_gradient(&scene.term.state.unit, &std);
            } else {
                assert_eq!(scene.term.state.unit, [1.0; OBS]);
            }
            let rows = scene.moved();
            let (mut squares, mut corners) = (0.0, 0);
            for (moved, start) in rows.moved.slice().chunks(OBS).zip(rows.start.slice().chunks(OBS)) {
                for ((moved, start), unit) in moved.iter().zip(start).zip(&scene.term.state.unit) {
                    let place = (moved - start) / (0.3 * unit);
                    assert!(place.abs() <= 1.0 + 1e-5, "{place}");
                    corners += usize::from(place.abs() > 1.0 - 1e-5);
                    squares += place * place;
                }
            }
            let count = (B * OBS) as f32;
            match adversary {
                // The variance of a uniform law on [−1, 1] is 1/3, with a standard error of 0.298/√205 = 0.021.
                Adversary::Uniform => assert!((squares / count - 1.0 / 3.0).abs() < 0.08 && corners < 3),
                _ => assert!(corners as f32 > 0.9 * count, "{corners}"),
            }
        }
    }
}
