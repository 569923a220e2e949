//! Lines that enclose an activation (as in CROWN, Zhang et al. 2018) or its slope on an interval.

use liprl_numerics::Activation;

use super::slopes::{ROUNDING, curvature_between, slope, slopes_between, value};

/// a x + b.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line {
    pub(super) slope: f64,
    pub(super) offset: f64,
}

impl Line {
    fn level(offset: f64) -> Self {
        Self { slope: 0.0, offset }
    }
}

/// A line below and a line above a function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LinePair {
    pub(super) lower: Line,
    pub(super) upper: Line,
}

impl LinePair {
    /// Both lines of a unit without an activation.
    pub(super) const IDENTITY: Self = {
        let line = Line { slope: 1.0, offset: 0.0 };
        Self { lower: line, upper: line }
    };
}

/// Lines around the activation on [`low`, `high`].
///
/// Piecewise linear: the chord above, and a line through the kink below. tanh: parallels to the
/// chord. Others: a band.
pub(super) fn lines(activation: Activation, low: f64, high: f64) -> LinePair {
    let (least, most) = slopes_between(activation, low, high);
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
            let side = if low >= 0.0 { 1.0 } else { -1.0 };
            let line = Line { slope: activation.derivative(side), offset: 0.0 };
            LinePair { lower: line, upper: line }
        }
        Activation::Tanh => parallels(
            |z| value(activation, z),
            (least, most),
            (low, high),
            |steep| {
                // tanh z − s z has its maximum where tanh'(z) = s for z > 0, its minimum at −z.
                let turn = (1.0 - steep).max(0.0).sqrt().atanh();
                (-turn, turn)
            },
        ),
        Activation::Swish | Activation::Elu | Activation::MaxMin => {
            band((least, most), (low, high), |z, slope| value(activation, z) - slope * z)
        }
    }
}

/// Lines around the activation's slope on [`low`, `high`], where it lies within `range`.
pub(super) fn slope_lines(activation: Activation, low: f64, high: f64, range: (f64, f64)) -> LinePair {
    let bends = curvature_between(activation, low, high);
    match activation {
        // Held to one side, or with a jump at the kink.
        _ if range.0 == range.1 => LinePair { lower: Line::level(range.0), upper: Line::level(range.1) },
        Activation::Relu | Activation::LeakyRelu(_) => {
            LinePair { lower: Line::level(range.0), upper: Line::level(range.1) }
        }
        Activation::Tanh => parallels(
            |z| slope(activation, z),
            bends,
            (low, high),
            |steep| {
                // tanh''(z) = −2 t (1 − t²) = s, t = tanh z, is a cubic with three real roots. The
                // middle one is a maximum of tanh' − s z, the outer one of the sign of −s a
                // minimum.
                let angle = (0.75 * 3f64.sqrt() * steep).clamp(-1.0, 1.0).acos() / 3.0;
                let root = |k: f64| 2.0 / 3f64.sqrt() * (angle - k * std::f64::consts::TAU / 3.0).cos();
                let outer = if steep > 0.0 { root(2.0) } else { root(0.0) };
                (outer.clamp(-1.0, 1.0).atanh(), root(1.0).atanh())
            },
        ),
        Activation::Swish | Activation::Elu | Activation::MaxMin => {
            band(bends, (low, high), |z, steep| slope(activation, z) - steep * z)
        }
    }
}

/// The closest parallels to the chord of f. `turns` gives the places where f − s z, s being the
/// chord's slope, has its minimum and its maximum within the interval, if at all; errors in them count
/// by their square.
fn parallels(
    f: impl Fn(f64) -> f64,
    (least, most): (f64, f64),
    (low, high): (f64, f64),
    turns: impl Fn(f64) -> (f64, f64),
) -> LinePair {
    let chord = (f(high) - f(low)) / (high - low);
    let slope = if chord.is_finite() { chord.clamp(least, most) } else { 0.5 * (least + most) };
    let at = |z: f64| {
        let z = if z.is_nan() { low } else { z.clamp(low, high) };
        f(z) - slope * z
    };
    let (minimum, maximum) = turns(slope);
    let below = at(low).min(at(high)).min(at(minimum));
    let above = at(low).max(at(high)).max(at(maximum));
    let spare = ROUNDING * (1.0 + (1.0 + slope.abs()) * low.abs().max(high.abs()));
    LinePair { lower: Line { slope, offset: below - spare }, upper: Line { slope, offset: above + spare } }
}

/// Parallel lines around a function with slopes within a range: minus `least` z it rises, so it lies
/// between its values at the ends; minus `most` z it falls. The narrower band of the two.
fn band((least, most): (f64, f64), (low, high): (f64, f64), at: impl Fn(f64, f64) -> f64) -> LinePair {
    let rising = (at(low, least), at(high, least), least);
    let falling = (at(high, most), at(low, most), most);
    let (below, above, slope) = if rising.1 - rising.0 <= falling.1 - falling.0 { rising } else { falling };
    let spare = ROUNDING * (1.0 + low.abs().max(high.abs()));
    LinePair { lower: Line { slope, offset: below - spare }, upper: Line { slope, offset: above + spare } }
}

/// True if lines can tell more of the activation's slope than its range.
pub(super) fn is_smooth(activation: Activation) -> bool {
    matches!(activation, Activation::Tanh | Activation::Swish | Activation::Elu)
}

/// A plane u a + v d + w above or below d a.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plane {
    pub(super) by_input: f64,
    pub(super) by_slope: f64,
    pub(super) offset: f64,
}

impl Plane {
    /// The mixture of both planes on this side, `share` being the first one's, for d in `least` …
    /// `most` and a in p … q. Above they are M a + p d − M p and m a + q d − m q, below m a + p d −
    /// m p and M a + q d − M q.
    pub(super) fn new(above: bool, share: f64, (least, most): (f64, f64), (p, q): (f64, f64)) -> Self {
        let (first, second) = if above { (most, least) } else { (least, most) };
        let rest = 1.0 - share;
        Self {
            by_input: share * first + rest * second,
            by_slope: share * p + rest * q,
            offset: -(share * (first * p) + rest * (second * q)),
        }
    }

    /// The share with which the plane is closest if no more is known of d than its range: a chord
    /// of max(m a, M a) or of min(m a, M a).
    pub(super) fn chord((p, q): (f64, f64)) -> f64 {
        match (p >= 0.0, q <= 0.0) {
            (true, _) => 1.0,
            (_, true) => 0.0,
            _ => q / (q - p),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::{network::testing::ACTIVATIONS, slopes::values_between},
        *,
    };

    proptest! {
        #[test]
        fn lines_enclose_the_activation_and_its_slope(
            a in -6.0..6.0f64, b in -6.0..6.0f64, close in any::<bool>(), which in 0..6usize,
            share in prop::collection::vec(0.0..=1.0f64, 20)
        ) {
            let activation = ACTIVATIONS.into_iter().chain([Activation::LeakyRelu(3.0)]).nth(which).unwrap();
            let b = if close { a + 0.01 * b } else { b };
            let (low, high) = (a.min(b), a.max(b));
            let range = slopes_between(activation, low, high);
            let (around, of_slope) = (lines(activation, low, high), slope_lines(activation, low, high, range));
            for share in share.into_iter().chain([0.0, 1.0]) {
                let z = (low + share * (high - low)).clamp(low, high);
                for (pair, f) in [(around, value(activation, z)), (of_slope, slope(activation, z))] {
                    prop_assert!(pair.lower.slope * z + pair.lower.offset <= f + 1e-14, "{activation:?} {z}");
                    prop_assert!(pair.upper.slope * z + pair.upper.offset >= f - 1e-14, "{activation:?} {z}");
                }
                let values = values_between(activation, low, high);
                prop_assert!(values.0 <= value(activation, z) && value(activation, z) <= values.1);
            }
        }

        #[test]
        fn planes_enclose_the_product_and_touch_it(
            p in -3.0..3.0f64, q in -3.0..3.0f64, d in -0.2..1.1f64, e in -0.2..1.1f64, mixed in 0.0..=1.0f64,
            share in prop::collection::vec((0.0..=1.0f64, 0.0..=1.0f64), 20)
        ) {
            let ((p, q), (least, most)) = ((p.min(q), p.max(q)), (d.min(e), d.max(e)));
            for mixture in [mixed, 0.5, Plane::chord((p, q))] {
                let [below, above] = [false, true].map(|above| Plane::new(above, mixture, (least, most), (p, q)));
                let at = |plane: Plane, a: f64, d: f64| plane.by_input * a + plane.by_slope * d + plane.offset;
                let corners = [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)];
                let mut gap = f64::INFINITY;
                for (x, y) in share.iter().copied().chain(corners) {
                    let (a, d) = (p + x * (q - p), least + y * (most - least));
                    prop_assert!(at(below, a, d) <= d * a + 1e-12 && at(above, a, d) >= d * a - 1e-12);
                    gap = gap.min(at(above, a, d) - d * a);
                }
                prop_assert!(gap < 1e-9, "it touches a corner: {gap}");
            }
            // The chord's plane needs no line of d: the range's ends give max(m a, M a)'s chord.
            let plane = Plane::new(true, Plane::chord((p, q)), (least, most), (p, q));
            let d = if plane.by_slope >= 0.0 { most } else { least };
            for a in [p, q] {
                let product = (least * a).max(most * a);
                prop_assert!((plane.by_input * a + plane.by_slope * d + plane.offset - product).abs() < 1e-12);
            }
        }
    }

    /// tanh's parallels touch it: their distance is the largest gap of chord and curve.
    #[test]
    fn parallels_of_tanh_touch_it() {
        for (low, high) in [(-2.0, 3.0), (0.2, 0.9), (-4.0, -0.5), (1.0, 1.001)] {
            let range = slopes_between(Activation::Tanh, low, high);
            let f = |z: f64| value(Activation::Tanh, z);
            let g = |z: f64| slope(Activation::Tanh, z);
            let pairs = [lines(Activation::Tanh, low, high), slope_lines(Activation::Tanh, low, high, range)];
            for (pair, of) in pairs.into_iter().zip([&f as &dyn Fn(f64) -> f64, &g]) {
                let gaps = (0..=100_000).map(|i| low + (high - low) * f64::from(i) / 100_000.0);
                let gaps: Vec<f64> = gaps.map(|z| of(z) - pair.lower.slope * z).collect();
                let least = gaps.iter().copied().fold(f64::INFINITY, f64::min);
                let most = gaps.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                assert!((pair.lower.offset - least).abs() < 1e-8 && (pair.upper.offset - most).abs() < 1e-8);
            }
        }
    }
}
