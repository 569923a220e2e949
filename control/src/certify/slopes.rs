//! Activations on an interval: ranges of values, slopes and second derivatives.

use liprl_numerics::{Activation, SWISH_CONSTANT};

/// The x of swish's largest slope, x tanh(x/2) = 2; −x has the least.
const SWISH_STEEPEST: f64 = 2.399_357_280_515_468;

/// Bound on the rounding error of a slope or value near 1.
pub(super) const ROUNDING: f64 = 1e-14;

/// In place of a range for max_min, whose units are none by themselves: a [`Network`](super::Network)
/// has ReLUs instead. Nothing can be proven from NaN.
const OF_PAIRS: (f64, f64) = (f64::NAN, f64::NAN);

/// φ(z). Swish is a product here and a quotient in [`Activation::value`], which differ by rounding:
/// so certificates stay equal to the bit.
pub(super) fn value(activation: Activation, z: f64) -> f64 {
    match activation {
        Activation::Swish => z * (1.0 / (1.0 + (-z).exp())),
        other => other.value(z),
    }
}

/// φ'(z). For tanh the relative error is small however far z is from 0, as that of 1 − tanh² is
/// not: with e = exp(−2|z|), 4e/(1 + e)².
pub(super) fn slope(activation: Activation, z: f64) -> f64 {
    match activation {
        Activation::Tanh => {
            let e = (-2.0 * z.abs()).exp();
            4.0 * e / ((1.0 + e) * (1.0 + e))
        }
        other => other.derivative(z),
    }
}

/// Range of the slope everywhere: [α, β].
pub(super) fn sector(activation: Activation) -> (f64, f64) {
    match activation {
        Activation::Relu | Activation::Tanh | Activation::Elu => (0.0, 1.0),
        Activation::LeakyRelu(a) => (a.min(1.0), a.max(1.0)),
        Activation::Swish => (1.0 - SWISH_CONSTANT - ROUNDING, SWISH_CONSTANT),
        Activation::MaxMin => OF_PAIRS,
    }
}

/// Range of the slope between `low` and `high`; at a kink, of the Clarke derivative.
pub(super) fn slopes_between(activation: Activation, low: f64, high: f64) -> (f64, f64) {
    let ends = (slope(activation, low), slope(activation, high));
    let (mut least, mut most) = (ends.0.min(ends.1), ends.0.max(ends.1));
    match activation {
        Activation::Relu | Activation::LeakyRelu(_) if low <= 0.0 && high >= 0.0 => return sector(activation),
        Activation::Relu | Activation::LeakyRelu(_) => return (least, most),
        Activation::Tanh if low <= 0.0 && high >= 0.0 => most = 1.0,
        // ELU's slope rises.
        Activation::Tanh | Activation::Elu => (),
        Activation::MaxMin => return OF_PAIRS,
        Activation::Swish => {
            if low <= SWISH_STEEPEST && high >= SWISH_STEEPEST {
                most = sector(activation).1;
            }
            if low <= -SWISH_STEEPEST && high >= -SWISH_STEEPEST {
                least = sector(activation).0;
            }
        }
    }
    let all = sector(activation);
    // tanh's slope has a small relative error, above the numbers that f64 rounds to zero.
    let spare =
        |slope: f64| if activation == Activation::Tanh { ROUNDING * slope + f64::MIN_POSITIVE } else { ROUNDING };
    ((least - spare(least)).max(all.0), (most + spare(most)).min(all.1))
}

/// Range of φ'' between `low` and `high`; for ReLU and LeakyReLU on one side of the kink.
///
/// ELU'' is eᶻ below 0, 0 above, and need not exist at 0, where the slope has no jump.
///
/// tanh'' = −2 t (1 − t²), t = tanh z, has its extremes ± 4/√27 at t = ∓ 1/√3 and is monotone
/// between. swish'' = s(1 − s) · (2 − z tanh(z/2)), s = sigmoid(z); both factors fall as |z| grows.
pub(super) fn curvature_between(activation: Activation, low: f64, high: f64) -> (f64, f64) {
    let (least, most) = match activation {
        Activation::Relu | Activation::LeakyRelu(_) => return (0.0, 0.0),
        Activation::MaxMin => return OF_PAIRS,
        Activation::Tanh => {
            let at = |z: f64| -2.0 * z.tanh() * slope(activation, z);
            let (turn, extreme) = ((1.0 / 3f64.sqrt()).atanh(), 4.0 / 27f64.sqrt());
            let (a, b) = (at(low), at(high));
            let within = |z: f64| low <= z + 1e-9 && z - 1e-9 <= high;
            let least = if within(turn) { -extreme } else { a.min(b) };
            (least, if within(-turn) { extreme } else { a.max(b) })
        }
        Activation::Elu => {
            (if high >= 0.0 { 0.0 } else { low.exp() }, if low > 0.0 { 0.0 } else { high.min(0.0).exp() })
        }
        Activation::Swish => {
            let near = if low <= 0.0 && high >= 0.0 { 0.0 } else { low.abs().min(high.abs()) };
            let far = low.abs().max(high.abs());
            let bell = |z: f64| (-z).exp() / (1.0 + (-z).exp()).powi(2);
            let bend = |z: f64| 2.0 - z * (0.5 * z).tanh();
            let (bends, bells) = ((bend(far), bend(near)), (bell(far), bell(near)));
            let least = if bends.0 >= 0.0 { bells.0 * bends.0 } else { bells.1 * bends.0 };
            (least, if bends.1 >= 0.0 { bells.1 * bends.1 } else { bells.0 * bends.1 })
        }
    };
    (least - ROUNDING, most + ROUNDING)
}

/// Range of the activation between `low` and `high`, with a margin for rounding.
pub(super) fn values_between(activation: Activation, low: f64, high: f64) -> (f64, f64) {
    let (a, b) = (value(activation, low), value(activation, high));
    let turns = slopes_between(activation, low, high).0 < 0.0;
    // If it may turn, its values are at least those of the lower line at its two ends.
    let least = if turns {
        // For the least slope m φ(z) − m z rises, for the largest M φ(z) − M z falls.
        let ((least, most), width) = (slopes_between(activation, low, high), high - low);
        a.min(a + least * width).max(b.min(b - most * width))
    } else {
        a.min(b)
    };
    let spare = ROUNDING * (1.0 + a.abs().max(b.abs()));
    match activation {
        Activation::Relu | Activation::LeakyRelu(_) => (if turns { least } else { a.min(b) }, a.max(b)),
        Activation::MaxMin => OF_PAIRS,
        Activation::Tanh | Activation::Swish | Activation::Elu => (least.min(a.min(b)) - spare, a.max(b) + spare),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::network::testing::ACTIVATIONS, *};

    #[test]
    fn slopes_equal_finite_differences() {
        for activation in ACTIVATIONS.into_iter().chain([Activation::LeakyRelu(3.0)]) {
            for z in [-3.1, -0.7, 0.4, 2.2] {
                let h = 1e-6;
                let difference = (value(activation, z + h) - value(activation, z - h)) / (2.0 * h);
                assert!((difference - slope(activation, z)).abs() < 1e-8, "{activation:?} {z}");
            }
        }
    }

    #[test]
    fn swish_is_steepest_where_the_constant_says() {
        assert!((SWISH_STEEPEST * (SWISH_STEEPEST / 2.0).tanh() - 2.0).abs() < 1e-13);
        assert!((Activation::Swish.derivative(SWISH_STEEPEST) - sector(Activation::Swish).1).abs() < 1e-14);
        assert!((Activation::Swish.derivative(-SWISH_STEEPEST) - sector(Activation::Swish).0).abs() < 2.0 * ROUNDING);
    }

    #[test]
    fn far_slopes_of_tanh_have_a_small_relative_error() {
        for z in [0.1f64, 3.0, -15.0, 19.0, 40.0, 300.0] {
            let exact = z.cosh().recip().powi(2);
            assert!((slope(Activation::Tanh, z) / exact - 1.0).abs() < 1e-13, "{z}");
        }
    }

    proptest! {
        #[test]
        fn curvatures_enclose_differences_of_slopes(
            a in -6.0..6.0f64, b in -6.0..6.0f64, smooth in 0..3usize, share in prop::collection::vec(0.0..=1.0f64, 20)
        ) {
            let activation = [Activation::Tanh, Activation::Swish, Activation::Elu][smooth];
            let (low, high) = (a.min(b), a.max(b));
            let (least, most) = curvature_between(activation, low, high);
            for share in share.into_iter().chain([0.0, 1.0]) {
                let (z, h) = (low + share * (high - low), 1e-5);
                let second = (slope(activation, z + h) - slope(activation, z - h)) / (2.0 * h);
                prop_assert!(least - 1e-9 <= second && second <= most + 1e-9, "{activation:?} {z}: {second}");
            }
        }

        #[test]
        fn slopes_and_values_stay_within_their_ranges(
            a in -6.0..6.0f64, b in -6.0..6.0f64, which in 0..6usize, share in prop::collection::vec(0.0..=1.0f64, 20)
        ) {
            let activation = ACTIVATIONS.into_iter().chain([Activation::LeakyRelu(3.0)]).nth(which).unwrap();
            let (low, high) = (a.min(b), a.max(b));
            let (least, most) = slopes_between(activation, low, high);
            for share in share.into_iter().chain([0.0, 1.0]) {
                let z = (low + share * (high - low)).clamp(low, high);
                let (phi, slope) = (value(activation, z), slope(activation, z));
                prop_assert!(least <= slope && slope <= most, "{activation:?} {z}: {slope} {least} {most}");
                let range = values_between(activation, low, high);
                prop_assert!(range.0 <= phi && phi <= range.1, "{activation:?} {z}: {phi} {range:?}");
            }
        }
    }
}
