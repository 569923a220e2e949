//! Random directions and lengths of perturbations.

use liprl_numerics::StreamRng;
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};

/// Draws a vector of random direction and this length.
pub(crate) fn direction(rng: &mut StreamRng, length: f64, delta: &mut [f64]) {
    delta.fill_with(|| StandardNormal.sample(rng));
    scale_to(length, delta);
}

/// Draws a vector uniformly from the ball of this radius.
pub(crate) fn in_ball(rng: &mut StreamRng, radius: f64, delta: &mut [f64]) {
    let share: f64 = rng.random_range(0.0..1.0);
    direction(rng, radius * share.powf(1.0 / delta.len() as f64), delta);
}

/// Scales a vector to a length; zero stays zero.
pub(super) fn scale_to(length: f64, delta: &mut [f64]) {
    let norm = norm(delta);
    if norm > 0.0 {
        delta.iter_mut().for_each(|d| *d *= length / norm);
    }
}

pub(crate) fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use liprl_numerics::Streams;

    use super::*;

    /// Uniform in the ball: in d dimensions the share of points within r is (r/ε)ᵈ.
    #[test]
    fn uniform_perturbations_fill_the_ball() {
        let mut rng = Streams::new(1).rng("ball");
        let mut delta = [0.0; 3];
        let lengths: Vec<f64> = (0..20_000)
            .map(|_| {
                in_ball(&mut rng, 0.3, &mut delta);
                norm(&delta)
            })
            .collect();
        assert!(lengths.iter().all(|length| *length <= 0.3 + 1e-12));
        let inner = lengths.iter().filter(|length| **length < 0.15).count() as f64 / 20_000.0;
        assert!((inner - 0.125).abs() < 0.01, "{inner}");
    }
}
