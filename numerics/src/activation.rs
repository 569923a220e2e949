//! Activations and initialisations that a config can name.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
}

impl Activation {
    /// The gain that keeps a layer's output variance, as in PyTorch's `calculate_gain` (1 for
    /// swish and ELU, which it does not have).
    pub fn gain(self) -> f64 {
        match self {
            Self::Relu => 2f64.sqrt(),
            Self::LeakyRelu(slope) => (2.0 / (1.0 + slope * slope)).sqrt(),
            Self::Tanh => 5.0 / 3.0,
            Self::Swish | Self::Elu => 1.0,
        }
    }

    /// φ(z).
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
        }
    }

    /// φ'(z); at a kink, the derivative of the negative side.
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
        }
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
