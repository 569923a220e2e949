//! Points x of the gradient penalty λ · mean φ(‖∇D(x)‖₂ − k).
//!
//! | `kind` | x |
//! | --- | --- |
//! | `wgan` | ε p + (1 − ε) e of a policy row p and a demonstrated row e, ε as `mixing` says |
//! | `dragan` | e + N(0, noise²) |
//! | `nagard` | p + N(0, noise²) |
//! | `bare` | p |
//!
//! The reference is arXiv 2006.16785's authors' code. There ε is drawn for the state and for the
//! other half apart, and noise is on every coordinate, indicators included.

use liprl_numerics::StreamRng;
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};

use super::discriminator_config::{GradientPenalty, Mixing, PenaltyKind};

impl GradientPenalty {
    /// Draws raw points x, as many rows of `width` numbers as `points` has, from as many rows of
    /// each side. The second half of a row starts at `second`.
    pub fn draw(
        &self,
        policy: &[f32],
        expert: &[f32],
        (width, second): (usize, usize),
        rng: &mut StreamRng,
        points: &mut [f32],
    ) {
        let rows = points.chunks_exact_mut(width).zip(policy.chunks_exact(width)).zip(expert.chunks_exact(width));
        for ((point, policy), expert) in rows {
            match self.kind {
                PenaltyKind::Bare => point.copy_from_slice(policy),
                PenaltyKind::Dragan => self.blur(expert, rng, point),
                PenaltyKind::Nagard => self.blur(policy, rng, point),
                PenaltyKind::Wgan => {
                    let mut epsilon = 0.0;
                    for (i, x) in point.iter_mut().enumerate() {
                        let anew = match self.mixing {
                            Mixing::Halves => i == 0 || i == second,
                            Mixing::Rows => i == 0,
                            Mixing::Coordinates => true,
                        };
                        if anew {
                            epsilon = rng.random::<f32>();
                        }
                        *x = epsilon * policy[i] + (1.0 - epsilon) * expert[i];
                    }
                }
            }
        }
    }

    fn blur(&self, around: &[f32], rng: &mut StreamRng, point: &mut [f32]) {
        for (x, around) in point.iter_mut().zip(around) {
            let draw: f32 = StandardNormal.sample(rng);
            *x = around + self.noise as f32 * draw;
        }
    }
}

#[cfg(test)]
mod tests {
    use liprl_nets::lipschitz::Sides;
    use liprl_numerics::Streams;

    use super::*;

    const WIDTH: usize = 5;
    const SECOND: usize = 3;
    const ROWS: usize = 400;

    /// Points between policy rows of 0 and demonstrated rows of 1 are 1 − ε.
    fn points(penalty: &GradientPenalty) -> Vec<f32> {
        let (policy, expert) = (vec![0.0; ROWS * WIDTH], vec![1.0; ROWS * WIDTH]);
        let mut points = vec![f32::NAN; ROWS * WIDTH];
        penalty.draw(&policy, &expert, (WIDTH, SECOND), &mut Streams::new(1).rng("penalty"), &mut points);
        points
    }

    #[test]
    fn mixing_shares_epsilon_as_it_says() {
        for (mixing, distinct) in [(Mixing::Halves, 2), (Mixing::Rows, 1), (Mixing::Coordinates, 5)] {
            let points = points(&GradientPenalty { mixing, ..Default::default() });
            for row in points.chunks_exact(WIDTH) {
                assert!(row.iter().all(|x| (0.0..=1.0).contains(x)));
                let mut values: Vec<u32> = row.iter().map(|x| x.to_bits()).collect();
                values.sort_unstable();
                values.dedup();
                assert_eq!(values.len(), distinct, "{mixing:?}: {row:?}");
                if mixing == Mixing::Halves {
                    assert!(row[0] == row[2] && row[3] == row[4]);
                }
            }
            // Uniform: mean ½ and variance 1/12, within four deviations of their estimates from 400
            // independent rows.
            let first: Vec<f64> = points.iter().step_by(WIDTH).map(|&x| f64::from(x)).collect();
            let mean = first.iter().sum::<f64>() / ROWS as f64;
            let variance = first.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / ROWS as f64;
            assert!((mean - 0.5).abs() < 4.0 * (1.0f64 / 12.0 / ROWS as f64).sqrt());
            assert!((variance - 1.0 / 12.0).abs() < 4.0 * (1.0f64 / 180.0 / ROWS as f64).sqrt());
        }
    }

    #[test]
    fn points_depend_on_both_halves_of_both_sides() {
        let penalty = GradientPenalty::default();
        let base = [vec![0.3; WIDTH], vec![0.8; WIDTH]];
        let draw = |sides: &[Vec<f32>; 2]| {
            let mut point = vec![0.0; WIDTH];
            penalty.draw(&sides[0], &sides[1], (WIDTH, SECOND), &mut Streams::new(2).rng("penalty"), &mut point);
            point
        };
        let plain = draw(&base);
        for side in 0..2 {
            for i in 0..WIDTH {
                let mut moved = base.clone();
                moved[side][i] += 1.0;
                let changed: Vec<usize> = (0..WIDTH).filter(|&j| draw(&moved)[j] != plain[j]).collect();
                assert_eq!(changed, [i]);
            }
        }
    }

    #[test]
    fn the_other_kinds_stay_around_their_side() {
        let spread = |kind, around: f64| {
            let points = points(&GradientPenalty { kind, noise: 3.0, ..Default::default() });
            let n = points.len() as f64;
            let mean = points.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
            let variance = points.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n;
            assert!(
                (mean - around).abs() < 4.0 * 3.0 / n.sqrt() && (variance / 9.0 - 1.0).abs() < 4.0 * (2.0 / n).sqrt()
            );
        };
        spread(PenaltyKind::Dragan, 1.0);
        spread(PenaltyKind::Nagard, 0.0);
        assert!(points(&GradientPenalty { kind: PenaltyKind::Bare, ..Default::default() }).iter().all(|&x| x == 0.0));
    }

    #[test]
    fn one_side_costs_nothing_within_the_ball() {
        let cost = |sides: Sides| [0.5, 2.0, 5.0].map(|norm| sides.cost(norm - 2.0));
        assert_eq!(cost(Sides::Two), [(2.25, -3.0), (0.0, 0.0), (9.0, 6.0)]);
        assert_eq!(cost(Sides::One), [(0.0, 0.0), (0.0, 0.0), (9.0, 6.0)]);
    }
}
