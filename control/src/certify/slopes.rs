//! Activations on an interval: ranges of values and slopes, and lines that enclose the activation
//! (as in CROWN, Zhang et al. 2018).

use liprl_numerics::{Activation, SWISH_CONSTANT};

/// The x of swish's largest slope, x tanh(x/2) = 2; −x has the least.
const SWISH_STEEPEST: f64 = 2.399_357_280_515_468;

/// Bound on the rounding error of a slope or value near 1.
const ROUNDING: f64 = 1e-14;

/// a x + b.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line {
    pub(super) slope: f64,
    pub(super) offset: f64,
}

/// A line below and a line above a function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LinePair {
    pub(super) lower: Line,
    pub(super) upper: Line,
}

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
        let Line { slope, offset } = lines(activation, low, high).lower;
        (slope * low + offset).min(slope * high + offset)
    } else {
        a.min(b)
    };
    let spare = ROUNDING * (1.0 + a.abs().max(b.abs()));
    match activation {
        Activation::Relu | Activation::LeakyRelu(_) => (if turns { least } else { a.min(b) }, a.max(b)),
        Activation::Tanh | Activation::Swish | Activation::Elu => (least.min(a.min(b)) - spare, a.max(b) + spare),
    }
}

/// Lines around the activation on [`low`, `high`].
///
/// Piecewise linear: the chord above, and a line through the kink below. Smooth: with m the least
/// slope there, φ(z) − m z rises, so it lies between its values at the ends; with the largest slope
/// it falls. The narrower of the two bands is taken.
pub(super) fn lines(activation: Activation, low: f64, high: f64) -> LinePair {
    let (least, most) = slopes_between(activation, low, high);
    let at = |z: f64, slope: f64| value(activation, z) - slope * z;
    match activation {
        Activation::Relu | Activation::LeakyRelu(_) if low < 0.0 && high > 0.0 => {
            let (below, above) = (value(activation, low), value(activation, high));
            let slope = (above - below) / (high - low);
            let spare = ROUNDING * (below.abs() + (slope * low).abs());
            let chord = Line { slope, offset: below - slope * low + spare };
            // The line that encloses the smaller area.
            let kink = Line { slope: if high > -low { most } else { least }, offset: 0.0 };
            LinePair { lower: kink, upper: chord }
        }
        Activation::Relu | Activation::LeakyRelu(_) => {
            let line = Line {
                slope: if low >= 0.0 { activation.derivative(1.0) } else { activation.derivative(-1.0) },
                offset: 0.0,
            };
            LinePair { lower: line, upper: line }
        }
        Activation::Tanh | Activation::Swish | Activation::Elu => {
            let rising = (at(low, least), at(high, least), least);
            let falling = (at(high, most), at(low, most), most);
            let (below, above, slope) = if rising.1 - rising.0 <= falling.1 - falling.0 { rising } else { falling };
            let spare = ROUNDING * (1.0 + low.abs().max(high.abs()));
            LinePair { lower: Line { slope, offset: below - spare }, upper: Line { slope, offset: above + spare } }
        }
    }
}

/// Lines around d·a for a in [`low`, `high`] and d in [`least`, `most`], of any sign. Above, the
/// chord of the convex max(least·a, most·a); below, the chord of the concave min.
pub(super) fn product_lines((least, most): (f64, f64), low: f64, high: f64) -> LinePair {
    let top = |a: f64| (least * a).max(most * a);
    let bottom = |a: f64| (least * a).min(most * a);
    let chord = |f: &dyn Fn(f64) -> f64, sign: f64, steep: (f64, f64)| {
        if low >= 0.0 {
            return Line { slope: steep.0, offset: 0.0 };
        }
        if high <= 0.0 {
            return Line { slope: steep.1, offset: 0.0 };
        }
        let slope = (f(high) - f(low)) / (high - low);
        let offset = f(low) - slope * low;
        Line { slope, offset: offset + sign * ROUNDING * (offset.abs() + (slope * low).abs()) }
    };
    LinePair { lower: chord(&bottom, -1.0, (least, most)), upper: chord(&top, 1.0, (most, least)) }
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
        fn slopes_and_lines_enclose_the_activation(
            a in -6.0..6.0f64, b in -6.0..6.0f64, which in 0..6usize, share in prop::collection::vec(0.0..=1.0f64, 20)
        ) {
            let activation = ACTIVATIONS.into_iter().chain([Activation::LeakyRelu(3.0)]).nth(which).unwrap();
            let (low, high) = (a.min(b), a.max(b));
            let (least, most) = slopes_between(activation, low, high);
            let lines = lines(activation, low, high);
            for share in share.into_iter().chain([0.0, 1.0]) {
                let z = (low + share * (high - low)).clamp(low, high);
                let (phi, slope) = (value(activation, z), slope(activation, z));
                prop_assert!(least <= slope && slope <= most, "{activation:?} {z}: {slope} {least} {most}");
                let (below, above) = (lines.lower, lines.upper);
                let spare = 1e-12;
                let range = values_between(activation, low, high);
                prop_assert!(range.0 <= phi && phi <= range.1, "{activation:?} {z}: {phi} {range:?}");
                prop_assert!(below.slope * z + below.offset <= phi + spare);
                prop_assert!(above.slope * z + above.offset >= phi - spare);
            }
        }

        #[test]
        fn product_lines_enclose_the_product_and_touch_it(
            p in -3.0..3.0f64, q in -3.0..3.0f64, d in -0.2..1.1f64, e in -0.2..1.1f64,
            share in prop::collection::vec((0.0..=1.0f64, 0.0..=1.0f64), 20)
        ) {
            let ((low, high), (least, most)) = ((p.min(q), p.max(q)), (d.min(e), d.max(e)));
            let LinePair { lower, upper } = product_lines((least, most), low, high);
            let mut gap = f64::INFINITY;
            for (x, y) in share.into_iter().chain([(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)]) {
                let (a, d) = (low + x * (high - low), least + y * (most - least));
                prop_assert!(lower.slope * a + lower.offset <= d * a + 1e-12);
                prop_assert!(upper.slope * a + upper.offset >= d * a - 1e-12);
                gap = gap.min(upper.slope * a + upper.offset - d * a);
            }
            prop_assert!(gap < 1e-9, "the upper chord touches at an end: {gap}");
        }
    }
}
