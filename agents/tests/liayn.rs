//! The claims of docs/derivations/liayn.md that other tests leave open, each against autograd, a
//! sum or a search in f64.

#![allow(clippy::unwrap_used, clippy::panic)] // a test may stop here

use liprl_nets::{
    Autograd,
    lipschitz::{
        gradient, gradient_norms, jacobian_norms, product_bound, share_above, sound_bound, sound_bound_over,
        sound_factor, spectral_norms,
    },
};
use liprl_numerics::{Activation, Init, Mlp, Streams};
use rand_distr::{Distribution, StandardNormal};
use tch::{Device, Kind, Tensor};

fn normal(shape: &[i64], name: &str) -> Tensor {
    let mut rng = Streams::new(11).rng(name);
    let numbers: Vec<f64> = (0..shape.iter().product::<i64>()).map(|_| StandardNormal.sample(&mut rng)).collect();
    Tensor::from_slice(&numbers).view(shape)
}

fn network(inputs: usize, hidden: &[usize], outputs: usize, activation: Activation, name: &str) -> (Mlp, Tensor) {
    let mlp = Mlp::new(inputs, hidden, outputs, activation, false, Init::Uniform);
    let params = normal(&[mlp.len() as i64], name) * 0.6;
    (mlp, params)
}

fn assert_equal(a: &Tensor, b: &Tensor, tolerance: f64) {
    assert_eq!(a.size(), b.size());
    let (difference, size) = ((a - b).abs().max().double_value(&[]), b.abs().max().double_value(&[]));
    assert!(difference <= tolerance * size.max(1e-300), "differ by {difference}, largest {size}");
}

fn rows(x: &Tensor) -> Vec<f64> {
    Vec::try_from(x.flatten(0, -1)).unwrap()
}

fn length(x: &Tensor) -> Tensor {
    x.square().sum_dim_intlist([1i64].as_slice(), true, Kind::Double).sqrt()
}

/// φ, φ' and φ'' at z.
fn activation(kind: Activation, z: &Tensor) -> [Tensor; 3] {
    let s = z.sigmoid();
    match kind {
        Activation::Relu => activation(Activation::LeakyRelu(0.0), z),
        Activation::LeakyRelu(slope) => {
            let mask = z.gt(0.0).to_kind(Kind::Double) * (1.0 - slope) + slope;
            [z * &mask, mask.shallow_clone(), mask.zeros_like()]
        }
        Activation::Tanh => {
            let t = z.tanh();
            let first: Tensor = 1.0 - t.square();
            [t.shallow_clone(), first.shallow_clone(), t * first * -2.0]
        }
        Activation::Swish => {
            let spread = &s * (1.0 - &s);
            [z * &s, &s + z * &spread, &spread * (2.0 + z * (1.0 - 2.0 * &s))]
        }
        Activation::Elu => {
            let (below, e) = (z.le(0.0).to_kind(Kind::Double), z.clamp_max(0.0).exp());
            [z.clamp_min(0.0) + &e - 1.0, e.shallow_clone(), below * e]
        }
        Activation::MaxMin => panic!("section 7 is for activations of single units"),
    }
}

/// mean (‖∇D‖ − 1)²: its gradient with respect to D's parameters by the page's section 7.
fn penalty_gradient(mlp: &Mlp, params: &Tensor, x: &Tensor) -> Tensor {
    let part = |start: usize, shape: &[i64]| params.narrow(0, start as i64, shape.iter().product()).view(shape);
    let weights: Vec<Tensor> =
        mlp.layers.iter().map(|layer| part(layer.start, &[layer.outputs as i64, layer.inputs as i64])).collect();
    let last = mlp.layers.len() - 1;
    // Forward: h and the activation's derivatives.
    let (mut h, mut slopes) = (vec![x.shallow_clone()], Vec::new());
    for (layer, weight) in mlp.layers[..last].iter().zip(&weights) {
        let z = h[h.len() - 1].matmul(&weight.tr()) + part(layer.bias(), &[layer.outputs as i64]);
        let [value, first, second] = activation(mlp.activation, &z);
        h.push(value);
        slopes.push((first, second));
    }
    // Backward: p = Wᵀu of the layer above, u = φ' ∘ p, down to the input's gradient g.
    let mut u = vec![x.new_ones([x.size()[0], 1], (Kind::Double, Device::Cpu))];
    let mut p = Vec::new();
    for l in (0..last).rev() {
        p.push(u[u.len() - 1].matmul(&weights[l + 1]));
        u.push(&slopes[l].0 * &p[p.len() - 1]);
    }
    u.reverse();
    p.reverse();
    let g = u[0].matmul(&weights[0]);
    // Forward again: the tangent along v = ∂(penalty)/∂g.
    let mut t = vec![(length(&g) - 1.0) * 2.0 / x.size()[0] as f64 * &g / length(&g)];
    let mut along = Vec::new();
    for l in 0..last {
        along.push(t[l].matmul(&weights[l].tr()));
        t.push(&slopes[l].0 * &along[l]);
    }
    // Backward again: the changes of the slopes, zero between kinks.
    let mut a = u[last].zeros_like();
    let mut out = Vec::new();
    for l in (0..=last).rev() {
        if l < last {
            a = &slopes[l].1 * &along[l] * &p[l] + &slopes[l].0 * a.matmul(&weights[l + 1]);
        }
        let weight = u[l].tr().matmul(&t[l]) + a.tr().matmul(&h[l]);
        out.push(Tensor::cat(&[weight.flatten(0, -1), a.sum_dim_intlist([0i64].as_slice(), false, Kind::Double)], 0));
    }
    out.reverse();
    Tensor::cat(&out, 0)
}

#[test]
fn a_penalty_s_gradient_is_backward_vectors_times_tangents() {
    for kind in [Activation::LeakyRelu(0.1), Activation::Relu, Activation::Tanh, Activation::Swish, Activation::Elu] {
        for hidden in [&[][..], &[7], &[7, 5], &[6, 5, 4]] {
            let (mlp, params) = network(3, hidden, 1, kind, "penalised");
            let (leaf, x) =
                (params.detach().set_requires_grad(true), normal(&[16, 3], "points").set_requires_grad(true));
            let value = mlp.forward(&leaf, &x).sum(Kind::Double);
            let g = Tensor::run_backward(&[value], &[&x], true, true).swap_remove(0);
            let penalty = (length(&g) - 1.0).square().mean(Kind::Double);
            let autograd = Tensor::run_backward(&[penalty], &[&leaf], false, false).swap_remove(0);
            assert_equal(&penalty_gradient(&mlp, &params, &x.detach()), &autograd, 1e-10);
            if matches!(kind, Activation::LeakyRelu(_) | Activation::Relu) {
                for layer in &mlp.layers {
                    assert_eq!(
                        autograd.narrow(0, layer.bias() as i64, layer.outputs as i64).abs().max().double_value(&[]),
                        0.0
                    );
                }
            }
        }
    }
}

#[test]
fn the_gradient_through_spectral_normalisation_is_the_projected_one() {
    let (w, target) = (normal(&[5, 4], "weight"), normal(&[5, 4], "target"));
    let (left, _, right) = w.svd(true, true);
    let vectors = |u: &Tensor, v: &Tensor| (u / u.norm(), v / v.norm());
    // The singular vectors, and any others, as after too few power iterations.
    let exact = vectors(&left.select(1, 0), &right.select(1, 0));
    let rough = vectors(&normal(&[5], "u"), &normal(&[4], "v"));
    for (u, v) in [&exact, &rough] {
        let leaf = w.detach().set_requires_grad(true);
        let normalised = &leaf / u.dot(&leaf.mv(v));
        let loss = (&normalised - &target).square().sum(Kind::Double);
        let autograd = Tensor::run_backward(&[loss], &[&leaf], false, false).swap_remove(0);
        let (sigma, normalised) = (u.dot(&w.mv(v)), normalised.detach());
        let outer = (&normalised - &target) * 2.0;
        let by_hand = (&outer - (&outer * &normalised).sum(Kind::Double) * u.outer(v)) / sigma;
        assert_equal(&by_hand, &autograd, 1e-12);
        // Scaling W changes nothing, so the gradient has no part along W.
        let along = (&by_hand * &w).sum(Kind::Double).double_value(&[]);
        assert!(along.abs() < 1e-12 * by_hand.norm().double_value(&[]) * w.norm().double_value(&[]));
    }
    // With the singular vectors it is the gradient of W/‖W‖₂ itself: their own movement is of
    // second order.
    let loss = |w: &Tensor| (w / spectral_norms(w).unwrap()[0] - &target).square().sum(Kind::Double).double_value(&[]);
    let (u, v) = exact;
    let sigma = u.dot(&w.mv(&v));
    let outer = (&w / &sigma - &target) * 2.0;
    let by_hand = rows(&((&outer - (&outer * (&w / &sigma)).sum(Kind::Double) * u.outer(&v)) / sigma));
    for (i, by_hand) in by_hand.into_iter().enumerate() {
        let moved = |by: f64| {
            let moved = w.copy();
            let _ = moved.view([-1]).narrow(0, i as i64, 1).g_add_scalar_(by);
            loss(&moved)
        };
        let difference = (moved(1e-6) - moved(-1e-6)) / 2e-6;
        assert!((difference - by_hand).abs() < 1e-6 * by_hand.abs().max(1.0), "{i}: {difference} {by_hand}");
    }
}

#[test]
fn no_reward_form_exceeds_its_logit_s_gradient_norm() {
    let (mlp, params) = network(4, &[16, 16], 1, Activation::LeakyRelu(0.1), "discriminator");
    let params = params * 3.0; // logits from about −50 to 50
    let x = normal(&[256, 4], "pairs") * 2.0;
    let logit = mlp.forward(&params, &x);
    assert!(logit.max().double_value(&[]) > 10.0 && logit.min().double_value(&[]) < -10.0);
    let norms_of_logit = rows(&Tensor::from_slice(&gradient_norms(|x| Ok(mlp.forward(&params, x)), &x).unwrap()));
    type OfLogit = fn(&Tensor) -> Tensor;
    let forms: [(OfLogit, OfLogit); 4] = [
        // −log(1 − σ), without and with 1e-8 under the logarithm; log σ − log(1 − σ); log σ.
        (|d| d.softplus(), |d| d.sigmoid()),
        (|d| -((-d).sigmoid() + 1e-8).log(), |d| d.sigmoid() * (-d).sigmoid() / ((-d).sigmoid() + 1e-8)),
        (|d| d.log_sigmoid() + d.softplus(), |d| d.ones_like()),
        (|d| d.log_sigmoid(), |d| (-d).sigmoid()),
    ];
    for (reward, slope) in forms {
        let norms = gradient_norms(|x| Ok(reward(&mlp.forward(&params, x))), &x).unwrap();
        for ((norm, norms_of_logit), slope) in norms.into_iter().zip(&norms_of_logit).zip(rows(&slope(&logit))) {
            assert!((norm - slope * norms_of_logit).abs() <= 1e-8 * norms_of_logit, "{norm} {slope} {norms_of_logit}");
            assert!((0.0..=1.0).contains(&slope));
        }
    }
}

#[test]
fn a_shaping_factor_scales_the_gradient_only_where_it_is_constant() {
    let (reward, reward_params) = network(3, &[8], 1, Activation::Tanh, "reward");
    let (factor, factor_params) = network(3, &[8], 1, Activation::Tanh, "factor");
    let x = normal(&[32, 3], "pairs");
    let r = |x: &Tensor| reward.forward(&reward_params, x);
    let kappa = |x: &Tensor| factor.forward(&factor_params, x).sigmoid() * 0.3 + 0.7;
    let shaped = gradient(|x| Ok(kappa(x) * r(x)), &x).unwrap();
    let [r_gradient, kappa_gradient] = [gradient(|x| Ok(r(x)), &x).unwrap(), gradient(|x| Ok(kappa(x)), &x).unwrap()];
    assert_equal(&shaped, &(kappa(&x) * &r_gradient + r(&x) * &kappa_gradient), 1e-12);
    assert_equal(&gradient(|x| Ok(r(x) * 0.8), &x).unwrap(), &(&r_gradient * 0.8), 1e-12);
    // A reward of 1 everywhere has no gradient; shaped, it has the factor's.
    assert_equal(
        &gradient(|x| Ok(kappa(x) * x.new_ones([1], (Kind::Double, Device::Cpu))), &x).unwrap(),
        &kappa_gradient,
        1e-12,
    );
    // κ ≤ 1 lowers what is positive and raises what is negative.
    for (shaped, plain) in rows(&(kappa(&x) * r(&x))).into_iter().zip(rows(&r(&x))) {
        assert_eq!(shaped < plain, plain > 0.0);
    }
}

#[test]
fn the_absorbing_value_closes_the_sum_and_makes_offsets_harmless() {
    let (gamma, absorbing) = (0.99, 0.3);
    let value = |absorbing: f64| absorbing / (1.0 - gamma);
    // T rewards, then `last` for ever, by summing.
    let sum = |rewards: &[f64], last: f64| -> f64 {
        (0..5000).map(|k| rewards.get(k).unwrap_or(&last) * f64::powi(gamma, k as i32)).sum()
    };
    let backup = |rewards: &[f64], end: f64| rewards.iter().rev().fold(end, |value, reward| reward + gamma * value);
    let close = |a: f64, b: f64| (a - b).abs() < 1e-9 * b.abs().max(1.0);
    for steps in [1, 10, 100] {
        let rewards = rows(&normal(&[steps], "rewards"));
        assert!(close(backup(&rewards, value(absorbing)), sum(&rewards, absorbing)));
        // A constant on every reward moves every return by c/(1 − γ), however soon it ends, so it
        // changes no preference …
        let lifted: Vec<f64> = rewards.iter().map(|r| r + 2.0).collect();
        assert!(close(backup(&lifted, value(absorbing + 2.0)) - backup(&rewards, value(absorbing)), 200.0));
        // … whereas with nothing after the end it pays each step survived.
        let paid = 200.0 * (1.0 - f64::powi(gamma, steps as i32));
        assert!(close(backup(&lifted, 0.0) - backup(&rewards, 0.0), paid));
        // The end itself counts: γᵀ/(1 − γ) for each unit of the absorbing reward.
        let difference = backup(&rewards, value(1.0)) - backup(&rewards, value(0.0));
        assert!(close(difference, f64::powi(gamma, steps as i32) / (1.0 - gamma)));
    }
}

#[test]
fn a_penalty_bounds_shares_where_it_is_taken_and_nothing_elsewhere() {
    // Markov: the share with ‖∇D‖ > k + t is at most mean max(0, ‖∇D‖ − k)² / t².
    let (mlp, params) = network(4, &[16, 16], 1, Activation::LeakyRelu(0.1), "discriminator");
    let norms = gradient_norms(|x| Ok(mlp.forward(&params, x)), &normal(&[500, 4], "penalised")).unwrap();
    let k = 1.0;
    let penalty = norms.iter().map(|n| (n - k).max(0.0).powi(2)).sum::<f64>() / norms.len() as f64;
    assert!(penalty > 0.0);
    for t in [0.1, 0.5, 1.0, 3.0] {
        assert!(share_above(&norms, k + t) <= penalty / (t * t));
    }
    // D = x + 99 relu(x − 1): no penalty on [0, 1], slope 100 beside it.
    let steep = |x: &Tensor| Ok(x + (x - 1.0).relu() * 99.0);
    let inside = Tensor::linspace(0.0, 1.0, 101, (Kind::Double, Device::Cpu)).view([101, 1]);
    assert_eq!(gradient_norms(steep, &inside).unwrap(), [1.0; 101]);
    assert_eq!(gradient_norms(steep, &(inside + 1.001)).unwrap(), [100.0; 101]);
}

#[test]
fn values_of_networks_stay_within_the_sound_bound() {
    let gamma = 0.95;
    let (policy, policy_params) = network(3, &[8], 2, Activation::Tanh, "policy");
    let (dynamics, dynamics_params) = network(5, &[8], 3, Activation::Swish, "dynamics");
    let (logit, logit_params) = network(5, &[8], 1, Activation::LeakyRelu(0.1), "discriminator");
    let (a, b) = (product_bound(&dynamics, &dynamics_params).unwrap(), product_bound(&policy, &policy_params).unwrap());
    let delta = product_bound(&logit, &logit_params).unwrap(); // of the logit, so of the minimax reward too
    for (factor, steps) in [(0.5, 40), (0.9, 40), (0.99, 40), (1.2, 15)] {
        // s' = scale · network: ρ is `factor`.
        let scale = factor / sound_factor(gamma, a, b);
        let step = |pair: &Tensor| dynamics.forward(&dynamics_params, pair) * scale;
        let act = |state: &Tensor| policy.forward(&policy_params, state);
        let reward = |pair: &Tensor| logit.forward(&logit_params, pair).softplus();
        let next = |pair: &Tensor| {
            let state = step(pair);
            Tensor::cat(&[&state, &act(&state)], 1)
        };
        let q = |pairs: &Tensor| {
            let (mut pair, mut sum) = (pairs.shallow_clone(), pairs.new_zeros([64, 1], (Kind::Double, Device::Cpu)));
            for k in 0..steps {
                sum += reward(&pair) * f64::powi(gamma, k);
                pair = next(&pair);
            }
            Ok(sum)
        };
        let pairs = normal(&[64, 5], "pairs");
        let norms = gradient_norms(q, &pairs).unwrap();
        // The sizes along each trajectory: Σₖ γᵏ δₖ Π Aⱼ √(1 + Bⱼ₊₁²).
        let (mut pair, mut reach, mut along) = (pairs, vec![1.0; 64], vec![0.0; 64]);
        for k in 0..steps {
            let deltas = gradient_norms(|x| Ok(reward(x)), &pair).unwrap();
            let dynamics = jacobian_norms(|x| Ok(step(x)), &pair).unwrap().spectral;
            let policy = jacobian_norms(|x| Ok(act(x)), &step(&pair)).unwrap().spectral;
            for row in 0..64 {
                along[row] += f64::powi(gamma, k) * deltas[row] * reach[row];
                reach[row] *= dynamics[row] * policy[row].hypot(1.0);
            }
            pair = next(&pair);
        }
        let bound = sound_bound_over(delta, factor, steps as usize);
        assert!(sound_bound(delta, factor).is_none_or(|infinite| bound <= infinite));
        for (norm, along) in norms.into_iter().zip(along) {
            assert!(norm > 0.0 && norm <= along && along <= bound, "{factor}: {norm} {along} {bound}");
        }
    }
}
