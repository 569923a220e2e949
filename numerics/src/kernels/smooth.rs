//! Exponential, sigmoid and tanh by arithmetic that compilers turn into vector instructions.

use multiversion::multiversion;

/// x ← 1 / (1 + e⁻ˣ).
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
pub fn sigmoid_all(x: &mut [f32]) {
    x.iter_mut().for_each(|x| *x = sigmoid(*x));
}

/// x ← tanh x.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
pub fn tanh_all(x: &mut [f32]) {
    x.iter_mut().for_each(|x| *x = tanh(*x));
}

/// 1 / (1 + e⁻ˣ).
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// tanh x to two units in the last place, by arithmetic that compilers turn into vector
/// instructions: an odd polynomial below 0.625 (Cephes, `tanhf`), 1 − 2/(e²ˣ + 1) above, where
/// nothing cancels. Keeps the sign of zero; NaN stays NaN.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let (size, square) = (x.abs(), x * x);
    let tail = square * (-5.704_988_7e-3 * square + 2.063_909e-2) - 5.373_971_6e-2;
    let small = size + size * (square * (square * (square * tail + 1.333_144_2e-1) - 3.333_328e-1));
    let large = 1.0 - 2.0 / (exp(2.0 * size) + 1.0);
    (if size < 0.625 { small } else { large }).copysign(x)
}

/// eˣ to two units in the last place for |x| ≤ 87; beyond, the value at ± 87. NaN stays NaN.
///
/// Plain arithmetic, because compilers turn it into vector instructions and a call of the system's
/// function prevents that. eˣ = 2ⁿ eʳ with n the integer nearest to x / ln 2, |r| ≤ ½ ln 2, and
/// Taylor's polynomial of degree 7 for eʳ, whose error there is 5e-9.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // 1.5 · 2²³: adding it rounds to an integer, which is then in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts, the first with few enough bits that n times it is exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    let x = x.clamp(-87.0, 87.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN_2[0]) - n * LN_2[1];
    let tail = 1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0 + r * (1.0 / 5040.0))));
    let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    power * (1.0 + r * (1.0 + r * (0.5 + r * tail)))
}

/// eˣ − 1 for x ≤ 0, to some units in the last place; near 0 by Taylor's polynomial of degree 8,
/// because there eˣ and 1 cancel. NaN stays NaN.
#[inline(always)]
pub(super) fn exp_m1(x: f32) -> f32 {
    let tail = 1.0 / 24.0 + x * (1.0 / 120.0 + x * (1.0 / 720.0 + x * (1.0 / 5040.0 + x * (1.0 / 40320.0))));
    let small = x + x * x * (0.5 + x * (1.0 / 6.0 + x * tail));
    if x > -0.5 { small } else { exp(x) - 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distance in units in the last place of f32 at `expected`.
    fn units(value: f32, expected: f64) -> f64 {
        let near = (expected as f32).abs();
        let unit = f64::from(f32::from_bits(near.to_bits() + 1)) - f64::from(near);
        (f64::from(value) - expected).abs() / unit
    }

    #[test]
    fn exp_m1_is_right_to_four_units_in_the_last_place() {
        for x in (-1_000_000..=0).map(|i| i as f32 * 1e-5).chain([-1e-20, -60.0, -100.0]) {
            let error = units(exp_m1(x), f64::from(x).exp_m1());
            assert!(error <= 4.0, "{x}: {error}");
        }
        assert!(exp_m1(f32::NAN).is_nan() && exp_m1(f32::NEG_INFINITY) == -1.0);
    }

    #[test]
    fn tanh_is_right_to_two_units_in_the_last_place() {
        let mut worst = (0.0, 0.0);
        let dense = (-1_000_000..=1_000_000).map(|i| i as f32 * 1e-5);
        // Every exponent from the smallest number on, a few mantissas each.
        let scales = (0..0x7f80_0000u32).step_by(9973).map(f32::from_bits);
        for x in dense.chain(scales) {
            let error = units(tanh(x), f64::from(x).tanh());
            worst = if error > worst.1 { (x, error) } else { worst };
            assert_eq!(tanh(-x).to_bits(), (-tanh(x)).to_bits(), "odd at {x}");
        }
        assert!(worst.1 <= 2.0, "{worst:?}");
        assert_eq!(tanh(0.0).to_bits(), 0f32.to_bits());
        assert_eq!(tanh(-0.0).to_bits(), (-0f32).to_bits());
        assert_eq!((tanh(f32::INFINITY), tanh(f32::NEG_INFINITY)), (1.0, -1.0));
        assert!(tanh(f32::NAN).is_nan());
    }

    #[test]
    fn the_exponential_is_right_to_two_units_in_the_last_place() {
        for i in -870_000..=870_000 {
            let x = i as f32 * 1e-4;
            let (value, expected) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((value / expected - 1.0).abs() < 2.4e-7, "{x}: {value} {expected}");
        }
        assert!(exp(f32::NAN).is_nan() && sigmoid(f32::NAN).is_nan());
        assert!(exp(1e30).is_finite() && exp(-1e30) > 0.0);
        assert_eq!((sigmoid(f32::INFINITY), sigmoid(0.0)), (1.0, 0.5));
    }
}
