//! Networks to certify, from trained policies and agents.

use liprl_numerics::RunningNormaliser;

use super::{
    error::CertifyError,
    network::{Input, Network, OutputMap},
};
use crate::policy::{Policy, PolicyHead};

/// Contents of an input row of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// An observation.
    State,
    /// An observation and an action in `[-1, 1]`.
    StateAction,
    /// An observation and the next one.
    StateState,
    /// An observation, an action in `[-1, 1]` and the next observation.
    StateActionState,
}

/// A network of an agent with its name, or the reason why it cannot be certified.
#[derive(Debug)]
pub struct Certifiable {
    /// `critic_0`, `reward`, `model`, …
    pub name: String,
    /// Its inputs.
    pub takes: Takes,
    /// The network, or the reason.
    pub network: Result<Network, CertifyError>,
}

impl Input {
    /// The standardisation of each coordinate, as [`RunningNormaliser::apply`] does it.
    pub fn standardised(normaliser: &RunningNormaliser) -> Vec<Self> {
        let clip = normaliser.options().clip;
        let affine = normaliser.mean().iter().zip(normaliser.scale());
        affine.map(|(&mean, &scale)| Self::Standardised { mean, scale, clip }).collect()
    }
}

impl Policy {
    /// The network from observations to actions times `scale [A]`: standardisation, perceptron,
    /// tanh. `scale` is half of each action's range for the environment's units, and 1 for actions
    /// in `[-1, 1]`.
    ///
    /// For a policy whose outputs are clamped to ±1 it is the network before the clamp, which can
    /// only bring actions closer together. So upper bounds hold for the policy too, lower bounds
    /// for the network alone.
    ///
    /// # Errors
    /// As [`Network::new`], and for tables.
    pub fn to_certify(&self, scale: Vec<f64>) -> Result<Network, CertifyError> {
        let unsupported =
            |problem: &str| CertifyError::Unsupported { network: "policy".into(), problem: problem.into() };
        let Some((mlp, params)) = self.network() else {
            return Err(unsupported(
                "extends a table of actions and has no network to bound; its constant is in the file, checked on all pairs",
            ));
        };
        let inputs = self.normaliser().map_or_else(|| vec![Input::RAW; mlp.inputs()], Input::standardised);
        if scale.len() != self.act_dim() {
            let problem = format!("has {} actions, not {}", self.act_dim(), scale.len());
            return Err(CertifyError::BadShape { network: "policy".into(), problem });
        }
        let outputs = match self.head() {
            PolicyHead::Tanh => OutputMap::Tanh(scale),
            PolicyHead::Clamp => OutputMap::Linear(scale),
        };
        Network::new("policy", &mlp, params, &inputs, outputs)
    }
}
