//! Networks out of what the toolkit trains.

use super::{CertifyError, Head, Input, Network};
use crate::{AgentError, Policy, RunningNormaliser, optim::Trained};

/// What an input row of a network is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// An observation.
    State,
    /// An observation and an action in `[-1, 1]`.
    StateAction,
    /// An observation and the one that follows.
    StateState,
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

/// The critics Q(s, a) of an actor–critic in units of reward: their outputs times `scale`, or none of them where an output is no value.
pub(crate) fn critics(
    critics: &Trained,
    normaliser: Option<&RunningNormaliser>,
    (obs_dim, act_dim): (usize, usize),
    scale: Option<f64>,
) -> Result<Vec<Certifiable>, AgentError> {
    let mut inputs = normaliser.map_or_else(|| vec![Input::RAW; obs_dim], RunningNormaliser::inputs);
    inputs.extend(vec![Input::RAW; act_dim]);
    let (params, mut start) = (critics.params().to_vec()?, 0);
    let each = critics.mlps().iter().enumerate().map(|(index, mlp)| {
        let name = format!("critic_{index}");
        let own = &params[start..start + mlp.len()];
        start += mlp.len();
        let network = match scale {
            Some(scale) => Network::new(&name, mlp, own, &inputs, Head::Linear(vec![scale])),
            None => Err(CertifyError::Unsupported {
                network: name.clone(),
                problem: "puts out a distribution of returns, whose mean is no linear function of its outputs".into(),
            }),
        };
        Certifiable { name, takes: Takes::StateAction, network }
    });
    Ok(each.collect())
}

impl RunningNormaliser {
    /// What `apply` does to each coordinate, for a certificate.
    pub fn inputs(&self) -> Vec<Input> {
        let clip = self.options().clip;
        let affine = self.mean().iter().zip(self.scale());
        affine.map(|(&mean, &scale)| Input::Standardised { mean, scale, clip }).collect()
    }
}

impl Policy {
    /// The policy from observations to actions times `scale [A]` (half of each action's range, for the environment's units; 1 for those in
    /// `[-1, 1]`): standardisation, perceptron, tanh.
    ///
    /// # Errors
    /// As [`Network::new`].
    pub fn to_certify(&self, scale: Vec<f64>) -> Result<Network, CertifyError> {
        let (mlp, params) = self.network();
        let inputs = self.normaliser().map_or_else(|| vec![Input::RAW; mlp.inputs()], RunningNormaliser::inputs);
        if scale.len() != self.act_dim() {
            let problem = format!("has {} actions, not {}", self.act_dim(), scale.len());
            return Err(CertifyError::BadShape { network: "policy".into(), problem });
        }
        Network::new("policy", &mlp, params, &inputs, Head::Tanh(scale))
    }
}
