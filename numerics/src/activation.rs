//! Activations and initialisations that a config can name.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::NumericsError;

/// The largest slope of swish, ½ + x/4 at x tanh(x/2) = 2, rounded up to the next f64.
///
/// With s = sigmoid(x): φ' = s + x s(1 − s) and φ'' = s(1 − s)(2 − x tanh(x/2)). So the extremes of
/// φ' are at x tanh(x/2) = 2, x = ± 2.39936. There s = ½ + 1/x, and φ' = ½ + 1/x + x(¼ − 1/x²) = ½
/// + x/4. The other extreme is 1 − φ'(x) = −0.0998, since φ'(−x) = 1 − φ'(x).
pub const SWISH_CONSTANT: f64 = 1.099_839_320_128_867;

/// The function after each hidden layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(rename_all = "snake_case")]
#[garde(allow_unvalidated)]
pub enum Activation {
    /// max(x, 0).
    #[default]
    Relu,
    /// x if positive, else slope · x: `{leaky_relu: 0.1}`.
    LeakyRelu(#[garde(range(min = 0.0, max = 1.0))] f64),
    /// Hyperbolic tangent.
    Tanh,
    /// x · sigmoid(x).
    Swish,
    /// x if positive, else eˣ − 1.
    Elu,
    /// (max(x, y), min(x, y)) of each two neighbouring units: GroupSort with groups of two (Anil et
    /// al. 2019, arXiv 1811.05381). It permutes, so it keeps norms and gradients' norms. Layers
    /// must have even widths.
    MaxMin,
}

impl Activation {
    /// The gain that keeps a layer's output variance, as in PyTorch's `calculate_gain` (1 for
    /// swish, ELU and max_min, which it does not have).
    pub fn gain(self) -> f64 {
        match self {
            Self::Relu => 2f64.sqrt(),
            Self::LeakyRelu(slope) => (2.0 / (1.0 + slope * slope)).sqrt(),
            Self::Tanh => 5.0 / 3.0,
            Self::Swish | Self::Elu | Self::MaxMin => 1.0,
        }
    }

    /// True if the way back needs the activation's inputs: its output does not tell its derivative.
    pub fn needs_input(self) -> bool {
        matches!(self, Self::Swish | Self::MaxMin)
    }

    /// Rejects hidden layers that the activation cannot follow.
    ///
    /// # Errors
    /// [`NumericsError::BadConfig`] for an odd width before max_min.
    pub fn check(self, hidden: &[usize]) -> Result<(), NumericsError> {
        let odd = hidden.iter().find(|width| self == Self::MaxMin && *width % 2 == 1);
        odd.map_or(Ok(()), |width| {
            let problem =
                format!("{width} wide in one layer, and max_min takes pairs of units; make every hidden width even");
            Err(NumericsError::BadConfig { setting: "hidden".into(), problem })
        })
    }

    /// Replaces one layer's inputs `z` of the activation by its outputs.
    pub fn apply(self, z: &mut [f64]) {
        match self {
            Self::MaxMin => z.as_chunks_mut::<2>().0.iter_mut().for_each(|[a, b]| (*a, *b) = (a.max(*b), a.min(*b))),
            _ => z.iter_mut().for_each(|z| *z = self.value(*z)),
        }
    }

    /// Turns `d`, a derivative by one layer's outputs of the activation, into that by its inputs
    /// `z`.
    pub fn pull_back(self, z: &[f64], d: &mut [f64]) {
        match self {
            Self::MaxMin => {
                let pairs = z.as_chunks::<2>().0.iter().zip(d.as_chunks_mut::<2>().0);
                pairs.filter(|([a, b], _)| a < b).for_each(|(_, d)| d.swap(0, 1));
            }
            _ => d.iter_mut().zip(z).for_each(|(d, z)| *d *= self.derivative(*z)),
        }
    }

    /// φ(z) of one unit; NaN for max_min, which takes two.
    pub fn value(self, z: f64) -> f64 {
        match self {
            Self::Relu => z.max(0.0),
            Self::LeakyRelu(slope) => z.max(slope * z),
            Self::Tanh => z.tanh(),
            Self::Swish => z / (1.0 + (-z).exp()),
            Self::Elu => {
                if z > 0.0 {
                    z
                } else {
                    z.exp_m1()
                }
            }
            Self::MaxMin => f64::NAN,
        }
    }

    /// φ'(z) of one unit; at a kink, the derivative of the negative side. NaN for max_min.
    pub fn derivative(self, z: f64) -> f64 {
        match self {
            Self::Relu => f64::from(u8::from(z > 0.0)),
            // max(z, a z) is convex: the larger of its two slopes is the positive side's, for any
            // a.
            Self::LeakyRelu(slope) => {
                if z > 0.0 {
                    slope.max(1.0)
                } else {
                    slope.min(1.0)
                }
            }
            Self::Tanh => 1.0 - z.tanh().powi(2),
            Self::Swish => {
                let sigmoid = 1.0 / (1.0 + (-z).exp());
                sigmoid + z * sigmoid * (1.0 - sigmoid)
            }
            Self::Elu => z.min(0.0).exp(),
            Self::MaxMin => f64::NAN,
        }
    }
}

/// Validates the widths of hidden layers before this activation, for a config's `hidden`.
pub fn widths_for(activation: Activation) -> impl FnOnce(&Vec<usize>, &()) -> garde::Result {
    move |hidden, ()| match activation.check(hidden) {
        Err(NumericsError::BadConfig { problem, .. }) => Err(garde::Error::new(problem)),
        _ => Ok(()),
    }
}

/// Distribution of the first weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub enum Init {
    /// Weights and biases uniform in ± 1/√(inputs), PyTorch's default.
    #[default]
    Uniform,
    /// Weights uniform in ± √(6/(inputs + outputs)) and zero biases (Glorot & Bengio 2010, eq. 16),
    /// Keras's default.
    Glorot,
    /// Orthogonal weights with the activation's gain, zero biases: `{orthogonal: {output_gain:
    /// 0.01}}`.
    Orthogonal {
        /// Gain of the last layer; 0.01 starts a policy near zero.
        #[garde(range(min = 0.0))]
        output_gain: f64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_sorted_and_derivatives_follow_the_swap() {
        let (mut z, mut d) = ([1.0, 3.0, 2.0, -1.0, 5.0, 5.0], [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]);
        Activation::MaxMin.pull_back(&z, &mut d);
        Activation::MaxMin.apply(&mut z);
        assert_eq!(z, [3.0, 1.0, 2.0, -1.0, 5.0, 5.0]);
        // Of a tie the first unit is the larger.
        assert_eq!(d, [20.0, 10.0, 30.0, 40.0, 50.0, 60.0]);
    }

    #[test]
    fn max_min_stretches_nothing_and_keeps_distances_where_orders_agree() {
        let far = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| (x - y) * (x - y)).sum::<f64>().sqrt();
        let all: Vec<f64> = crate::testing::numbers(400, "max_min").iter().map(|&x| f64::from(x)).collect();
        let mut kept = 0;
        for pair in all.chunks_exact(8) {
            let (mut x, mut y) = (pair[..4].to_vec(), pair[4..].to_vec());
            let (before, agree) = (far(&x, &y), (0..2).all(|i| (x[2 * i] < x[2 * i + 1]) == (y[2 * i] < y[2 * i + 1])));
            Activation::MaxMin.apply(&mut x);
            Activation::MaxMin.apply(&mut y);
            let ratio = far(&x, &y) / before;
            assert!(ratio <= 1.0 + 1e-15 && (agree == (ratio > 1.0 - 1e-12)), "{ratio} {agree}");
            kept += u32::from(agree);
        }
        assert!((5..45).contains(&kept), "{kept}");
    }

    #[test]
    fn an_odd_width_is_an_error_that_names_hidden_and_the_remedy() {
        let error = Activation::MaxMin.check(&[4, 7]).unwrap_err().to_string();
        assert!(error.contains("hidden") && error.contains("7 wide") && error.contains("even"), "{error}");
        assert!(Activation::MaxMin.check(&[4, 8]).is_ok() && Activation::Relu.check(&[7]).is_ok());
    }
}
