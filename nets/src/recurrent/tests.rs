//! Values, constants and convexity of recurrent networks.

use liprl_numerics::{Streams, testing::numbers};

use super::*;

fn network(inputs: usize, hidden: &[usize], outputs: usize, projection: Projection) -> Recurrent {
    tch::set_num_threads(1);
    let mut rng = Streams::new(3).rng("recurrent");
    Recurrent::new(inputs, hidden, outputs, projection, OptimiserConfig::adam(1e-2), &mut rng).unwrap()
}

fn sequences(rows: i64, times: i64, width: i64, name: &str) -> Tensor {
    Tensor::from_slice(&numbers((rows * times * width) as usize, name)).view([rows, times, width]) * 3.0
}

/// W = (1, 0), U = 1, V = 1: y is the sum of the inputs so far while that is positive.
fn sum() -> Recurrent {
    let mut sum = network(1, &[1], 1, Projection::ConvexLipschitz);
    sum.params.slice_mut().copy_from_slice(&[1.0, 0.0, 0.0, 1.0, 1.0, 0.0]);
    sum
}

/// A sequence of T equal errors moves the last sum by √T times their norm: a bound for one step is
/// none for a sequence. All sums together move by the norm of the triangle of ones, 1 / (2 sin(π /
/// (4T + 2))).
#[test]
fn a_sum_has_a_constant_of_root_two_a_step_and_of_the_triangle_of_ones_a_sequence() {
    assert!((sum().per_step().unwrap() - 2f64.sqrt()).abs() < 1e-9);
    for times in [1, 2, 7, 30] {
        let triangle = 0.5 / (std::f64::consts::PI / (4 * times + 2) as f64).sin();
        let bound = sum().per_sequence(times).unwrap();
        assert!((bound - triangle).abs() < 1e-9 * triangle, "{times}: {bound} for {triangle}");
    }
    let (x, ones) = (Tensor::from(5f32).repeat([1, 9, 1]), Tensor::from(1f32).repeat([1, 9, 1]));
    let moved = (sum().forward(&(&x + &ones)).unwrap() - sum().forward(&x).unwrap()).double_value(&[0, 8, 0]);
    assert!((moved - 9.0).abs() < 1e-5, "3 times the norm of the errors, 3");
}

#[test]
fn values_are_those_of_the_equations_written_out() {
    let network = network(2, &[3, 4], 2, Projection::None);
    let (x, params) = (sequences(1, 5, 2, "x"), network.params.slice());
    let y: Vec<f32> = network.forward(&x).unwrap().flatten(0, -1).try_into().unwrap();
    let (mut states, mut expected) = (vec![vec![0f32; 3], vec![0f32; 4]], Vec::new());
    for t in 0..5 {
        let x: Vec<f32> = (0..2).map(|i| x.double_value(&[0, t, i]) as f32).collect();
        let (mut below, mut at) = (vec![x[0], x[1], -x[0], -x[1]], 0);
        for state in &mut states {
            let (n, m) = (state.len(), below.len());
            let (w, rest) = params[at..].split_at(n * m);
            let (b, rest) = rest.split_at(n);
            let row = |i: usize| {
                let from_below: f32 = below.iter().zip(&w[i * m..]).map(|(x, w)| x * w).sum();
                let from_state: f32 = state.iter().zip(&rest[i * n..]).map(|(x, u)| x * u).sum();
                (from_below + from_state + b[i]).max(0.0)
            };
            let next: Vec<f32> = (0..n).map(row).collect();
            at += n * m + n + n * n;
            below = next.clone();
            *state = next;
        }
        let (v, c) = params[at..].split_at(8);
        expected.extend((0..2).map(|i| c[i] + below.iter().zip(&v[4 * i..]).map(|(h, v)| h * v).sum::<f32>()));
    }
    assert!(y.iter().zip(&expected).all(|(y, e)| (y - e).abs() < 1e-5), "{y:?} {expected:?}");
}

#[test]
fn projected_networks_stay_within_their_bounds_and_the_convex_ones_are_convex() {
    for projection in [Projection::None, Projection::Lipschitz, Projection::ConvexLipschitz] {
        let mut network = network(2, &[16, 16], 3, projection);
        for step in 0..20 {
            let (x, y) = (sequences(8, 6, 2, &format!("x{step}")), sequences(8, 6, 3, &format!("y{step}")));
            network.step(&x, &y, 1).unwrap();
        }
        let (a, b) = (sequences(400, 6, 2, "a"), sequences(400, 6, 2, "b"));
        let [at_a, at_b, between] = [&a, &b, &((&a + &b) * 0.5)].map(|x| network.forward(x).unwrap());
        let length = |x: Tensor| x.flatten(1, 2).square().sum_dim_intlist(1, false, None::<Kind>).sqrt();
        let met = (length(&at_a - &at_b) / length(&a - &b)).max().double_value(&[]);
        let bound = network.per_sequence(6).unwrap();
        assert!(met <= bound * (1.0 + 1e-5), "{projection:?}: {met} above {bound}");
        // One step alone, from a state of zeros.
        let first = |x: &Tensor| x.narrow(1, 0, 1);
        let met = length(first(&at_a) - first(&at_b)) / length(first(&a) - first(&b));
        assert!(met.max().double_value(&[]) <= network.per_step().unwrap() * (1.0 + 1e-5));
        let above = (between - (at_a + at_b) * 0.5).max().double_value(&[]);
        assert_eq!(above < 1e-5, projection == Projection::ConvexLipschitz, "{projection:?}: {above}");
        let largest = network.matrices().unwrap().iter().map(|w| norm(w).unwrap()).fold(0.0, f64::max);
        assert!(projection == Projection::None || largest < 1.0 + 1e-6);
    }
}

#[test]
fn a_sum_is_learned() {
    let mut network = network(1, &[16], 1, Projection::Lipschitz);
    let (mut first, mut last) = (0.0, 0.0);
    for step in 0..400 {
        let x = sequences(32, 5, 1, &format!("{step}")) + 1.0;
        last = network.step(&x, &x.cumsum(1, Kind::Float), 0).unwrap();
        first = if step == 0 { last } else { first };
    }
    assert!(last < 0.02 * first, "{first} to {last}");
}
