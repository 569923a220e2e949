//! Networks out of what the toolkit trains.

use super::{CertifyError, Head, Input, Network};
use crate::{Policy, RunningNormaliser};

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
