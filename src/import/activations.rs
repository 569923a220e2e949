//! Activations by the names of other programs and of the command line.

use liprl_numerics::Activation;

/// The activation of a class of `torch.nn` with its default settings.
pub(super) fn by_class(class: &str) -> Option<Activation> {
    Some(match class {
        "ReLU" => Activation::Relu,
        "LeakyReLU" => Activation::LeakyRelu(0.01),
        "Tanh" => Activation::Tanh,
        "SiLU" => Activation::Swish,
        "ELU" => Activation::Elu,
        _ => return None,
    })
}

/// The activation of an argument: `relu`, `tanh`, `elu`, `swish` (or `silu`), `max_min` or
/// `leaky_relu:SLOPE`.
pub(crate) fn by_argument(text: &str) -> Result<Activation, String> {
    Ok(match text.to_lowercase().as_str() {
        "relu" => Activation::Relu,
        "tanh" => Activation::Tanh,
        "elu" => Activation::Elu,
        "swish" | "silu" => Activation::Swish,
        "max_min" => Activation::MaxMin,
        other => {
            let slope = other.strip_prefix("leaky_relu:").and_then(|slope| slope.parse().ok());
            let slope: Option<f64> = slope.filter(|slope| (0.0..=1.0).contains(slope));
            return slope.map(Activation::LeakyRelu).ok_or_else(|| {
                "expected relu, tanh, elu, swish (also silu), max_min or leaky_relu:SLOPE with a slope of 0 to 1"
                    .to_owned()
            });
        }
    })
}

/// The name in reports.
pub(crate) fn name(activation: Activation) -> String {
    match activation {
        Activation::Relu => "relu".to_owned(),
        Activation::Tanh => "tanh".to_owned(),
        Activation::Elu => "elu".to_owned(),
        Activation::Swish => "swish".to_owned(),
        Activation::MaxMin => "max_min".to_owned(),
        Activation::LeakyRelu(slope) => format!("leaky_relu of slope {slope}"),
    }
}
