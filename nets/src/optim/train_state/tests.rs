use liprl_numerics::{Activation, Init, Streams, testing::numbers};
use tch::{
    Kind,
    nn::{self, OptimizerConfig},
};

use super::*;
use crate::{LrSchedule, testing::assert_gradient};

/// 4609 parameters: three blocks, the last one ragged.
fn network(config: OptimiserConfig) -> TrainState {
    let mlp = Mlp::new(4, &[768], 1, Activation::Tanh, false, Init::Uniform);
    TrainState::new(vec![mlp], config, Device::Cpu, &mut Streams::new(4).rng("optim")).unwrap()
}

/// The gradient of Σ c (x − 1)² at `x`, split over two members.
fn gradients(network: &TrainState, x: &[f32], c: &[f32]) -> [Gradient; 2] {
    [0.25, 0.75].map(|share| {
        let mut gradient = network.gradient().unwrap();
        let each = gradient.slice_mut().iter_mut().zip(x).zip(c);
        each.for_each(|((g, x), c)| *g = share * 2.0 * c * (x - 1.0));
        gradient
    })
}

#[test]
fn fifty_steps_equal_libtorch_s_adam() {
    for threads in [1, 3] {
        let team = Team::new(threads).unwrap();
        let mut network = network(OptimiserConfig::adam(1e-2));
        let c = numbers(network.params().slice().len(), "curvatures");
        let store = nn::VarStore::new(Device::Cpu);
        let x = store.root().var_copy("x", network.params().tensor());
        let mut adam = nn::Adam::default().build(&store, 1e-2).unwrap();
        for _ in 0..50 {
            adam.backward_step(&((&x - 1.0).square() * Tensor::from_slice(&c)).sum(Kind::Float));
            let now = network.params().slice().to_vec();
            let [mut first, mut second] = gradients(&network, &now, &c);
            network.step(&team, &mut [&mut first, &mut second], None).unwrap();
        }
        assert_gradient(network.params().slice(), &x.detach());
    }
}

#[test]
fn slices_and_tensors_take_the_same_steps() {
    let (schedule, clip_norm) = (LrSchedule::Linear { updates: 8 }, Some(3.0));
    let config = OptimiserConfig { schedule, clip_norm, ..OptimiserConfig::adam(1e-2) };
    let (mut by_hand, mut by_tensor) = (network(config), network(config));
    let team = Team::new(2).unwrap();
    let (mut target, mut other) = (by_hand.target().unwrap(), by_hand.target().unwrap());
    for step in 0..10 {
        let g = numbers(by_hand.params().slice().len(), &format!("gradient {step}"));
        let before = by_hand.params().slice().to_vec();
        let mut gradient = by_hand.gradient().unwrap();
        gradient.slice_mut().copy_from_slice(&g);
        let norm = by_hand.step(&team, &mut [&mut gradient], Some((&mut target, 0.1))).unwrap();
        let expected = g.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        assert!((norm / expected - 1.0).abs() < 1e-6);
        assert!((by_tensor.step_tensor(&Tensor::from_slice(&g)).unwrap() / expected - 1.0).abs() < 1e-6);
        other.follow(by_tensor.params(), 0.1).unwrap();
        // The schedule reaches zero after eight steps.
        assert_eq!(by_hand.params().slice() == before, step >= 8);
    }
    assert_gradient(by_hand.params().slice(), by_tensor.params().tensor());
    assert_gradient(target.params.slice(), other.params.tensor());
    assert_gradient(by_hand.m.slice(), by_tensor.m.tensor());
}

#[test]
fn polyak_moves_by_tau() {
    let network = network(OptimiserConfig::adam(1e-3));
    let mut target = network.target().unwrap();
    target.params.slice_mut().fill(1.0);
    target.follow(network.params(), 0.25).unwrap();
    for (target, p) in target.params.slice().iter().zip(network.params().slice()) {
        assert!((target - (0.75 + 0.25 * p)).abs() < 1e-6);
    }
}
