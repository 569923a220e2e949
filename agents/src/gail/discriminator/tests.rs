//! The hand-written step against autograd and finite differences, and learning with a known answer.

use liprl_nets::{
    Autograd, WorkspaceCache,
    lipschitz::Sides,
    testing::{assert_close, assert_gradient},
};
use liprl_numerics::{Activation, State, StateIo, Streams, testing::numbers};

use super::*;
use crate::gail::discriminator_config::GradientPenalty;

const B: usize = 19;
const WIDTH: usize = 6;

struct Numbers {
    rows: Vec<f32>,
    labels: Vec<f32>,
    weights: Vec<f32>,
    points: Vec<f32>,
    slopes: Vec<f32>,
}

impl Numbers {
    fn new() -> Self {
        let slopes = numbers(B * WIDTH, "slopes").iter().map(|&x| if x > 1.0 { 0.0 } else { 0.5 + x.abs() }).collect();
        Self {
            rows: numbers(2 * B * WIDTH, "rows"),
            labels: numbers(B, "labels").iter().map(|x| x.abs().min(1.2)).collect(),
            weights: numbers(B, "weights").iter().map(|x| x.abs()).collect(),
            points: numbers(B * WIDTH, "points"),
            slopes,
        }
    }

    fn data(&self) -> StepData<'_> {
        StepData {
            rows: &self.rows,
            policy_labels: &self.labels,
            expert_labels: &self.labels,
            expert_weights: &self.weights,
            points: &self.points,
            slopes: &self.slopes,
        }
    }
}

fn configs() -> Vec<DiscriminatorConfig> {
    let init = liprl_numerics::Init::Orthogonal { output_gain: 1.0 };
    let base = DiscriminatorConfig { hidden: vec![17, 13], batch_size: B, init, entropy: 0.1, ..Default::default() };
    let penalty = |scale, sides| GradientPenalty { scale, sides, target: 0.4, ..Default::default() };
    vec![
        DiscriminatorConfig { gradient_penalty: penalty(10.0, Sides::Two), ..base.clone() },
        DiscriminatorConfig {
            gradient_penalty: penalty(3.0, Sides::One),
            activation: Activation::Relu,
            ..base.clone()
        },
        DiscriminatorConfig { gradient_penalty: penalty(2.0, Sides::Two), spectral_norm: false, ..base.clone() },
        DiscriminatorConfig { gradient_penalty: penalty(0.0, Sides::Two), ..base },
    ]
}

fn discriminator(config: &DiscriminatorConfig) -> Discriminator {
    Discriminator::new(config, WIDTH, Device::Cpu, &mut Streams::new(5).rng("discriminator")).unwrap()
}

#[test]
fn steps_by_hand_are_those_by_autograd() {
    let numbers = Numbers::new();
    for config in configs() {
        let (mut by_hand, mut autograd) = (discriminator(&config), discriminator(&config));
        for _ in 0..3 {
            let params = leaf(by_hand.trained.params().tensor());
            let (loss, _) = by_hand.loss_autograd(&numbers.data(), &params).unwrap();
            let expected = gradient(&loss, &params).unwrap();
            let a = by_hand.step(&numbers.data()).unwrap();
            // `TrainState::step` leaves the gradient where it was.
            assert_gradient(by_hand.by_hand.as_ref().unwrap().gradient.slice(), &expected);
            let b = autograd.step_autograd(&numbers.data()).unwrap();
            autograd.refresh(true).unwrap();
            assert_close(a.classification.loss + a.penalty, loss.double_value(&[]));
            for (a, b) in [(a.penalty, b.penalty), (a.norm, b.norm), (a.above, b.above), (a.grad_norm, b.grad_norm)] {
                assert!((a - b).abs() <= 1e-3 * b.abs().max(0.1), "{a} and {b}");
            }
        }
    }
}

/// The penalty's loss in f64 against finite differences of the logit alone: no autograd, no closed
/// form.
#[test]
fn the_penalty_is_that_of_finite_differences() {
    let (numbers, config) = (Numbers::new(), configs().swap_remove(0));
    let discriminator = discriminator(&config);
    let (mlp, params) = discriminator.network().unwrap();
    let params = Tensor::from_slice(&params).to_kind(Kind::Double);
    let logit = |x: &[f64]| mlp.forward(&params, &Tensor::from_slice(x).view([1, WIDTH as i64])).double_value(&[0, 0]);
    let mut expected = 0.0;
    for (point, slopes) in numbers.points.chunks_exact(WIDTH).zip(numbers.slopes.chunks_exact(WIDTH)) {
        let point: Vec<f64> = point.iter().map(|&x| f64::from(x)).collect();
        let squares: f64 = (0..WIDTH)
            .map(|i| {
                let at = |h: f64| {
                    let mut moved = point.clone();
                    moved[i] += h;
                    logit(&moved)
                };
                ((at(1e-6) - at(-1e-6)) / 2e-6 * f64::from(slopes[i])).powi(2)
            })
            .sum();
        let GradientPenalty { sides, target, .. } = config.gradient_penalty;
        expected += sides.cost(squares.sqrt() - target).0;
    }
    expected *= config.gradient_penalty.scale / B as f64;
    let (_, measured) =
        discriminator.loss_autograd(&numbers.data(), &leaf(discriminator.trained.params().tensor())).unwrap();
    assert!((measured.penalty - expected).abs() < 1e-5 * expected, "{} and {expected}", measured.penalty);
}

#[test]
fn gradient_norms_by_hand_equal_autograd() {
    let numbers = Numbers::new();
    let mut piecewise = discriminator(&configs()[0]);
    let by_hand = piecewise.gradient_norms(&numbers.points, &numbers.slopes).unwrap();
    piecewise.by_hand = None;
    piecewise.gradients = WorkspaceCache::default();
    let autograd = piecewise.gradient_norms(&numbers.points, &numbers.slopes).unwrap();
    assert_gradient(&by_hand, &Tensor::from_slice(&autograd));
}

#[test]
fn it_learns_the_log_ratio_of_two_gaussians() {
    // Policy N(−1, 1), demonstrated N(1, 1) in each of one coordinate: the best logit is log p_e /
    // p_p = 2 x.
    let config = DiscriminatorConfig {
        hidden: vec![32],
        batch_size: 512,
        lr: 3e-3,
        entropy: 0.0,
        spectral_norm: false,
        gradient_penalty: GradientPenalty { scale: 0.0, ..Default::default() },
        ..Default::default()
    };
    let mut discriminator = Discriminator::new(&config, 1, Device::Cpu, &mut Streams::new(8).rng("gaussians")).unwrap();
    for step in 0..600 {
        let mut rows = numbers(1024, &format!("gaussians {step}"));
        rows[..512].iter_mut().for_each(|x| *x -= 1.0);
        rows[512..].iter_mut().for_each(|x| *x += 1.0);
        let data = StepData {
            rows: &rows,
            policy_labels: &[0.0; 512],
            expert_labels: &[1.0; 512],
            expert_weights: &[1.0; 512],
            points: &[],
            slopes: &[],
        };
        discriminator.step(&data).unwrap();
    }
    for x in [-1.5f32, -0.5, 0.0, 0.5, 1.5] {
        let logit = discriminator.logits(&[x]).unwrap()[0];
        assert!((logit - 2.0 * x).abs() < 0.35, "{logit} at {x}");
    }
}

#[test]
fn a_restored_discriminator_goes_on_like_the_saved_one() {
    let (numbers, config) = (Numbers::new(), configs().swap_remove(0));
    let mut saved = discriminator(&config);
    saved.step(&numbers.data()).unwrap();
    let state = State::of(|io| saved.state(io)).unwrap();
    let mut loaded = Discriminator::new(&config, WIDTH, Device::Cpu, &mut Streams::new(6).rng("other")).unwrap();
    loaded.state(&mut StateIo::load_from(&state)).unwrap();
    assert_eq!(saved.step(&numbers.data()).unwrap(), loaded.step(&numbers.data()).unwrap());
    assert_eq!(saved.effective.slice(), loaded.effective.slice());
}
