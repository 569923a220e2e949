//! Operators and functions of a formula.

/// A function of one number.
pub(super) type Unary = fn(f64) -> f64;
/// A function of two numbers.
pub(super) type Binary = fn(f64, f64) -> f64;

pub(super) const ADD: Binary = |a, b| a + b;
pub(super) const SUBTRACT: Binary = |a, b| a - b;
pub(super) const MULTIPLY: Binary = |a, b| a * b;
pub(super) const DIVIDE: Binary = |a, b| a / b;
pub(super) const POWER: Binary = power;
pub(super) const LESS: Binary = |a, b| f64::from(u8::from(a < b));
pub(super) const LESS_EQUAL: Binary = |a, b| f64::from(u8::from(a <= b));
pub(super) const GREATER: Binary = |a, b| f64::from(u8::from(a > b));
pub(super) const GREATER_EQUAL: Binary = |a, b| f64::from(u8::from(a >= b));

/// Squares are products: `powf` takes ten times as long.
fn power(a: f64, b: f64) -> f64 {
    if b == 2.0 { a * a } else { a.powf(b) }
}

/// Functions of one number, by name.
pub(super) const FUNCTIONS: [(&str, Unary); 15] = [
    ("abs", f64::abs),
    ("sign", sign),
    ("sqrt", f64::sqrt),
    ("exp", f64::exp),
    ("log", f64::ln),
    ("sin", f64::sin),
    ("cos", f64::cos),
    ("tan", f64::tan),
    ("asin", f64::asin),
    ("acos", f64::acos),
    ("atan", f64::atan),
    ("tanh", f64::tanh),
    ("floor", f64::floor),
    ("ceil", f64::ceil),
    ("round", f64::round_ties_even),
];

/// Functions of two numbers, by name.
pub(super) const BINARY_FUNCTIONS: [(&str, Binary); 3] = [("min", f64::min), ("max", f64::max), ("atan2", f64::atan2)];

/// −1, 0 or 1, as numpy's; the standard library's sign of 0 is 1.
fn sign(x: f64) -> f64 {
    if x == 0.0 { 0.0 } else { x.signum() }
}
