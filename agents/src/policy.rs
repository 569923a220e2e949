//! A trained policy by itself: weights, shape and normaliser in one small safetensors file, usable without its agent.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    AgentError, NormaliserOptions, RunningNormaliser, State,
    nets::{Activation, Init, Mlp, PullBack, Single},
};

/// The file's format; raised when an older reader could not read a newer file.
const FORMAT: u32 = 1;

/// A deterministic policy: tanh of the first `act_dim` outputs of a perceptron (for SAC the means).
#[derive(Clone, Debug)]
pub struct Policy {
    shape: Shape,
    params: Vec<f32>,
    normaliser: Option<RunningNormaliser>,
    about: Map<String, Value>,
    single: Single,
    seen: Vec<f32>,
}

/// What the weights mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Shape {
    format: u32,
    obs_dim: usize,
    hidden: Vec<usize>,
    outputs: usize,
    act_dim: usize,
    activation: Activation,
    layer_norm: bool,
    normaliser: Option<NormaliserOptions>,
}

impl Shape {
    fn mlp(&self) -> Mlp {
        Mlp::new(self.obs_dim, &self.hidden, self.outputs, self.activation, self.layer_norm, Init::Uniform)
    }
}

impl Policy {
    /// The policy of these parameters of `mlp`, fed with what `normaliser` makes of observations.
    pub(crate) fn new(
        mlp: &Mlp,
        params: Vec<f32>,
        act_dim: usize,
        normaliser: Option<(RunningNormaliser, NormaliserOptions)>,
    ) -> Self {
        let hidden = mlp.layers.iter().filter(|layer| !layer.last).map(|layer| layer.outputs).collect();
        let shape = Shape {
            format: FORMAT,
            obs_dim: mlp.inputs(),
            hidden,
            outputs: mlp.outputs(),
            act_dim,
            activation: mlp.activation,
            layer_norm: mlp.layer_norm,
            normaliser: normaliser.as_ref().map(|(_, options)| *options),
        };
        let normaliser = normaliser.map(|(normaliser, _)| normaliser);
        Self { single: Single::new(mlp), shape, params, normaliser, about: Map::new(), seen: Vec::new() }
    }

    /// Numbers in an observation.
    pub fn obs_dim(&self) -> usize {
        self.shape.obs_dim
    }

    /// Numbers in an action.
    pub fn act_dim(&self) -> usize {
        self.shape.act_dim
    }

    /// The network, for those who look inside (bounds, certificates), with its parameters.
    pub fn network(&self) -> (Mlp, &[f32]) {
        (self.shape.mlp(), &self.params)
    }

    /// What observations go through first, where something is.
    pub fn normaliser(&self) -> Option<&RunningNormaliser> {
        self.normaliser.as_ref()
    }

    /// Whatever else the file says: the task, how the policy was trained, its return.
    pub fn about(&self) -> &Map<String, Value> {
        &self.about
    }

    /// Whatever else the file is to say.
    pub fn about_mut(&mut self) -> &mut Map<String, Value> {
        &mut self.about
    }

    /// `obs [O]` to `action [A]` in `[-1, 1]`.
    pub fn act(&mut self, obs: &[f32], action: &mut [f32]) -> Result<(), AgentError> {
        if (obs.len(), action.len()) != (self.shape.obs_dim, self.shape.act_dim) {
            let (wanted, got) = ((self.shape.obs_dim, self.shape.act_dim), (obs.len(), action.len()));
            let problem = format!("is for (observation, action) sizes {wanted:?}, the task has {got:?}");
            return Err(AgentError::BadState { name: "policy".into(), problem });
        }
        self.seen.clear();
        self.seen.extend_from_slice(obs);
        if let Some(normaliser) = &self.normaliser {
            normaliser.apply(&mut self.seen);
        }
        let head = self.single.forward(&self.params, &self.seen);
        action.iter_mut().zip(head).for_each(|(action, head)| *action = head.tanh());
        Ok(())
    }

    /// The file's bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, AgentError> {
        let mut state = State::default();
        state.put("policy", &self.shape);
        state.put("about", &self.about);
        state.put_f32("params", &[self.params.len()], &self.params);
        if let Some(normaliser) = &self.normaliser {
            normaliser.save(&mut state, "normaliser");
        }
        state.to_bytes()
    }

    /// The policy in these bytes of a file that `to_bytes` made.
    pub fn load(bytes: &[u8]) -> Result<Self, AgentError> {
        let bad = |problem: String| AgentError::BadState { name: "policy".into(), problem };
        let state = State::from_bytes(bytes)?;
        let shape: Shape = state.get("policy")?;
        if shape.format > FORMAT {
            return Err(bad(format!("has format {}, this program reads up to {FORMAT}", shape.format)));
        }
        // A corrupt size must not overflow or reserve the machine's memory: the parameters at hand bound every one.
        let limit = state.arrays.get("params").map_or(0, |array| array.shape.iter().product());
        let sizes: Vec<usize> = shape.hidden.iter().chain([&shape.obs_dim, &shape.outputs]).copied().collect();
        if sizes.iter().any(|&size| size == 0 || size > limit) || shape.act_dim > shape.outputs {
            return Err(bad(format!("has layers of impossible sizes {:?}", sizes)));
        }
        let mlp = shape.mlp();
        let params = state.f32("params", &[mlp.len()])?.to_vec();
        let normaliser = shape.normaliser.map(|options| {
            let mut normaliser = RunningNormaliser::new(shape.obs_dim, options);
            normaliser.load(&state, "normaliser").map(|()| normaliser)
        });
        let normaliser = normaliser.transpose()?;
        Ok(Self { single: Single::new(&mlp), params, normaliser, about: state.get("about")?, shape, seen: Vec::new() })
    }
}

/// A policy's slope, for those who attack it. In f64, the weights as they are stored.
#[derive(Clone, Debug)]
pub struct PolicySlope {
    policy: Policy,
    pass: PullBack,
    seen: Vec<f64>,
    /// The head's slope at each output.
    slope: Vec<f64>,
    by_head: Vec<f64>,
}

impl PolicySlope {
    /// Of this policy.
    pub fn new(policy: &Policy) -> Self {
        let mlp = policy.shape.mlp();
        Self {
            pass: PullBack::new(&mlp),
            seen: vec![0.0; mlp.inputs()],
            slope: vec![0.0; mlp.outputs()],
            by_head: vec![0.0; mlp.outputs()],
            policy: policy.clone(),
        }
    }

    /// `obs [O]` to `action [A]` in `[-1, 1]`, not rounded to f32; `pull_back` then refers to this observation.
    pub fn act(&mut self, obs: &[f64], action: &mut [f64]) {
        self.seen.copy_from_slice(obs);
        if let (Some(normaliser), Some(options)) = (&self.policy.normaliser, self.policy.shape.normaliser) {
            for (i, x) in self.seen.iter_mut().enumerate() {
                let (mean, slope) = normaliser.moments(i);
                *x = ((*x - mean) * slope).clamp(-options.clip, options.clip);
            }
        }
        let head = self.pass.forward(&self.policy.params, &self.seen);
        action.iter_mut().zip(head).for_each(|(action, head)| *action = head.tanh());
        self.slope.fill(0.0);
        self.slope.iter_mut().zip(action).for_each(|(slope, action)| *slope = 1.0 - *action * *action);
    }

    /// The derivative of something by the action, `by_action [A]`, to its derivative by the observation, `by_obs [O]`; after `act`.
    pub fn pull_back(&mut self, by_action: &[f64], by_obs: &mut [f64]) {
        self.by_head.copy_from_slice(&self.slope);
        self.by_head.iter_mut().zip(by_action).for_each(|(slope, by_action)| *slope *= by_action);
        self.pass.back(&self.policy.params, &self.by_head, by_obs);
        if let (Some(normaliser), Some(options)) = (&self.policy.normaliser, self.policy.shape.normaliser) {
            for (i, (by_obs, seen)) in by_obs.iter_mut().zip(&self.seen).enumerate() {
                *by_obs *= if seen.abs() >= options.clip { 0.0 } else { normaliser.moments(i).1 };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actor_critic::testing::{networks, numbers};
    use crate::lipschitz::finite_difference_jacobian;

    /// Through head, network and normaliser, a clipped coordinate included; and the action itself against `Policy::act`.
    #[test]
    fn a_policys_slope_is_that_of_differences() {
        for (net, _, _) in networks() {
            let mlp = Mlp::new(4, &[9, 8], 4, net.activation, net.layer_norm, net.init);
            let options = NormaliserOptions { clip: 1.5, ..NormaliserOptions::default() };
            let mut normaliser = RunningNormaliser::new(4, options);
            normaliser.update(&numbers(40, "rows").iter().map(|x| 3.0 * x + 1.0).collect::<Vec<_>>());
            let mut policy = Policy::new(&mlp, numbers(mlp.len(), "params"), 2, Some((normaliser, options)));
            let mut slope = PolicySlope::new(&policy);
            let obs = [0.7f32, -1.1, 2.0, 40.0];
            let wide = obs.map(f64::from);
            let (mut action, mut narrow, mut found) = ([0.0; 2], [0.0f32; 2], [0.0; 4]);
            slope.act(&wide, &mut action);
            policy.act(&obs, &mut narrow).unwrap();
            assert!(action.iter().zip(narrow).all(|(a, b)| (a - f64::from(b)).abs() < 1e-5), "{action:?} {narrow:?}");
            slope.pull_back(&[0.4, -1.3], &mut found);
            let f = |x: &[f64], out: &mut [f64]| {
                slope.act(x, &mut action);
                out[0] = 0.4 * action[0] - 1.3 * action[1];
                Ok::<_, std::convert::Infallible>(())
            };
            let expected = finite_difference_jacobian(f, &wide, 1, 1e-6).unwrap();
            assert_eq!(found[3], 0.0);
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-6, "{net:?}: {found} {expected}");
            }
        }
    }
}
