//! A trained policy by itself: weights, shape and normaliser in one small safetensors file, usable without its agent.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    AgentError, NormaliserOptions, RunningNormaliser, State,
    nets::{Activation, Init, Mlp, Single},
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
