//! The closed sets of choices a network is made of.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The largest slope of swish, ½ + x/4 where x tanh(x/2) = 2, the next f64 above it.
///
/// With s = sigmoid(x): φ' = s + x s(1 − s) and φ'' = s(1 − s)(2 − x tanh(x/2)), so the extremes of φ' are where x tanh(x/2) = 2,
/// x = ± 2.39936. There s = ½ + 1/x, and φ' = ½ + 1/x + x(¼ − 1/x²) = ½ + x/4; the other extreme is 1 − φ'(x) = −0.0998, since
/// φ'(−x) = 1 − φ'(x).
pub const SWISH_CONSTANT: f64 = 1.099_839_320_128_867;

/// What follows each hidden layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(rename_all = "snake_case")]
#[garde(allow_unvalidated)]
pub enum Activation {
    /// max(x, 0).
    #[default]
    Relu,
    /// x where positive, slope · x elsewhere: `{leaky_relu: 0.1}`.
    LeakyRelu(#[garde(range(min = 0.0, max = 1.0))] f64),
    /// Hyperbolic tangent.
    Tanh,
    /// x · sigmoid(x).
    Swish,
}

impl Activation {
    /// The gain that keeps a layer's output variance, as in PyTorch's `calculate_gain` (1 for swish).
    pub fn gain(self) -> f64 {
        match self {
            Self::Relu => 2f64.sqrt(),
            Self::LeakyRelu(slope) => (2.0 / (1.0 + slope * slope)).sqrt(),
            Self::Tanh => 5.0 / 3.0,
            Self::Swish => 1.0,
        }
    }
}

/// How weights start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub enum Init {
    /// Weights and biases uniform in ± 1/√(inputs), PyTorch's default.
    #[default]
    Uniform,
    /// Weights uniform in ± √(6/(inputs + outputs)) and zero biases (Glorot & Bengio 2010, eq. 16), Keras's default.
    Glorot,
    /// Orthogonal weights with the activation's gain, zero biases: `{orthogonal: {output_gain: 0.01}}`.
    Orthogonal {
        /// Gain of the last layer; 0.01 starts a policy near zero.
        #[garde(range(min = 0.0))]
        output_gain: f64,
    },
}
