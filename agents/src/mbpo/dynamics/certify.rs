//! The model's members for certificates, standardisation folded in: `model_<e>`, (s, a) to
//! (reward, s' − s). A model with variances also has `model_<e>_log_variance`, (s, a) to the network's
//! log-variance of each, before it is bounded. Bounding has derivatives in (0, 1), so an upper bound
//! holds behind it too. Elites come first, the best of them first.

use liprl_control::certify::{Certifiable, Input, Network, OutputMap, Takes};

use super::{Dynamics, Scaler};

impl Scaler {
    /// The map of each coordinate by `apply`.
    pub fn inputs(&self) -> Vec<Input> {
        let pairs = self.mean.iter().zip(&self.inverse);
        pairs
            .map(|(&mean, &scale)| Input::Standardised { mean: mean.into(), scale: scale.into(), clip: f64::INFINITY })
            .collect()
    }
}

impl Dynamics {
    /// Every member.
    pub fn certifiable(&self) -> Vec<Certifiable> {
        let (dims, mlp, inputs) = (self.obs_dim + 1, &self.params.mlp, self.inputs.inputs());
        let others = (0..self.params.members as u32).filter(|member| !self.elites.contains(member));
        let heads = if self.config.prediction.gaussian() { 2 } else { 1 };
        let each =
            self.elites.iter().copied().chain(others).flat_map(|member| (0..heads).map(move |head| (member, head)));
        each.map(|(member, head)| {
            let name = format!("model_{member}{}", if head == 0 { "" } else { "_log_variance" });
            let mut params = self.params.member(member as usize).to_vec();
            let mut scale = vec![1.0; dims];
            if head == 0 {
                let Scaler { mean, inverse } = &self.targets;
                let biases = &mut params[mlp.layers[mlp.layers.len() - 1].bias()..];
                for (j, bias) in biases.iter_mut().enumerate().take(dims) {
                    *bias += mean[j] * inverse[j];
                    scale[j] = 1.0 / f64::from(inverse[j]);
                }
            }
            let network = Network::of_outputs(&name, mlp, &params, &inputs, head * dims, OutputMap::Linear(scale));
            Certifiable { name, takes: Takes::StateAction, network }
        })
        .collect()
    }
}
