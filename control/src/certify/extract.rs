//! Networks out of what the toolkit trains.

use liprl_numerics::RunningNormaliser;

use super::{CertifyError, Head, Input, Network};
use crate::{Policy, PolicyHead};

/// What an input row of a network is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// An observation.
    State,
    /// An observation and an action in `[-1, 1]`.
    StateAction,
    /// An observation and the one that follows.
    StateState,
    /// An observation, an action in `[-1, 1]` and the observation that follows.
    StateActionState,
}

/// A network that an agent has, by the name it goes by, or why it cannot be certified.
#[derive(Debug)]
pub struct Certifiable {
    /// `critic_0`, `reward`, `model`, …
    pub name: String,
    /// What it is a function of.
    pub takes: Takes,
    /// The network.
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
    /// The policy from observations to actions times `scale [A]` (half of each action's range, for the environment's units; 1 for those in
    /// `[-1, 1]`): standardisation, perceptron, tanh. Of a policy whose outputs are cut off at ±1 it is the network before the cut, which can only
    /// make actions differ less: upper bounds hold for the policy too, lower ones for the network.
    ///
    /// # Errors
    /// As [`Network::new`], and for tables and networks whose layers see more than the layer before.
    pub fn to_certify(&self, scale: Vec<f64>) -> Result<Network, CertifyError> {
        let unsupported =
            |problem: &str| CertifyError::Unsupported { network: "policy".into(), problem: problem.into() };
        let Some((mlp, params)) = self.network() else {
            return Err(unsupported(
                "extends a table of actions; its constant, checked on all pairs, is in the file, and no network is there to bound",
            ));
        };
        if mlp.dense {
            return Err(unsupported(
                "has layers that see everything before them; its construction bounds it (lipschitz/certified in its run)",
            ));
        }
        let inputs = self.normaliser().map_or_else(|| vec![Input::RAW; mlp.inputs()], Input::standardised);
        if scale.len() != self.act_dim() {
            let problem = format!("has {} actions, not {}", self.act_dim(), scale.len());
            return Err(CertifyError::BadShape { network: "policy".into(), problem });
        }
        let head = match self.head() {
            PolicyHead::Tanh => Head::Tanh(scale),
            PolicyHead::Clamp => Head::Linear(scale),
        };
        Network::new("policy", &mlp, params, &inputs, head)
    }
}
