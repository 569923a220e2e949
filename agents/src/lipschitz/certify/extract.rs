//! Networks out of what the toolkit trains.

use tch::Tensor;

use super::{CertifyError, Head, Input, Network};
use crate::{AgentError, Policy, PolicyHead, RunningNormaliser, optim::Trained};

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

/// The critics Q(s, a) of an actor–critic, used with these parameters, in units of reward: their outputs times `scale`, or none of them where an output is no value.
pub(crate) fn critics(
    critics: &Trained,
    params: &Tensor,
    normaliser: Option<&RunningNormaliser>,
    (obs_dim, act_dim): (usize, usize),
    scale: Option<f64>,
) -> Result<Vec<Certifiable>, AgentError> {
    let mut inputs = normaliser.map_or_else(|| vec![Input::RAW; obs_dim], RunningNormaliser::inputs);
    inputs.extend(vec![Input::RAW; act_dim]);
    let (params, mut start) = (Vec::<f32>::try_from(params.f_detach()?.f_to(tch::Device::Cpu)?.f_contiguous()?)?, 0);
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
        let inputs = self.normaliser().map_or_else(|| vec![Input::RAW; mlp.inputs()], RunningNormaliser::inputs);
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
