//! A trained policy without its agent: weights, shape and normaliser in one small safetensors file.

use liprl_numerics::{
    Activation, Init, Mlp, NormaliserOptions, NumericsError, RunningNormaliser, Single, State, StateIo,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

mod slope;

pub use slope::PolicySlope;

use crate::{
    error::ControlError,
    tables::{Points, Table},
};

/// The newest file format, raised when older readers could not read a newer file. A file without
/// newer parts says 1.
const FORMAT: u32 = 2;

/// A deterministic policy: the first `act_dim` outputs of a perceptron (for SAC the means) brought
/// into `[-1, 1]`, or the Lipschitz extension of a table of actions.
#[derive(Clone, Debug)]
pub struct Policy {
    shape: PolicyShape,
    params: Vec<f32>,
    normaliser: Option<RunningNormaliser>,
    about: Map<String, Value>,
    single: Single,
    seen: Vec<f32>,
    table: Option<TableBody>,
}

/// Map from a perceptron's outputs to actions. Both kinds have slopes in [0, 1].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PolicyHead {
    /// tanh.
    #[default]
    Tanh,
    /// Clamp to ±1.
    Clamp,
}

impl PolicyHead {
    /// The action of an output.
    pub fn action(self, output: f32) -> f32 {
        match self {
            Self::Tanh => output.tanh(),
            Self::Clamp => output.clamp(-1.0, 1.0),
        }
    }
}

/// A table in the environment's units, and the divisor of its actions.
#[derive(Clone, Debug)]
struct TableBody {
    table: Table,
    half_width: Vec<f64>,
    obs: Vec<f64>,
    action: Vec<f64>,
}

/// Layout of the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct PolicyShape {
    format: u32,
    obs_dim: usize,
    hidden: Vec<usize>,
    outputs: usize,
    act_dim: usize,
    activation: Activation,
    layer_norm: bool,
    normaliser: Option<NormaliserOptions>,
    #[serde(default)]
    head: PolicyHead,
    /// True for densely connected layers.
    #[serde(default)]
    dense: bool,
    /// The Lipschitz constant of a table's extension; `None` for a perceptron.
    #[serde(default)]
    table: Option<f64>,
}

impl PolicyShape {
    fn mlp(&self) -> Mlp {
        if self.dense {
            return Mlp::dense(self.obs_dim, &self.hidden, self.outputs, self.activation);
        }
        Mlp::new(self.obs_dim, &self.hidden, self.outputs, self.activation, self.layer_norm, Init::Uniform)
    }
}

impl Policy {
    /// The policy of these parameters of `mlp`, with observations standardised by `normaliser`.
    pub fn new(
        mlp: &Mlp,
        params: Vec<f32>,
        act_dim: usize,
        normaliser: Option<(RunningNormaliser, NormaliserOptions)>,
    ) -> Self {
        let hidden = mlp.layers.iter().filter(|layer| !layer.last).map(|layer| layer.outputs).collect();
        let shape = PolicyShape {
            format: if mlp.dense { FORMAT } else { 1 },
            dense: mlp.dense,
            obs_dim: mlp.inputs(),
            hidden,
            outputs: mlp.outputs(),
            act_dim,
            activation: mlp.activation,
            layer_norm: mlp.layer_norm,
            normaliser: normaliser.as_ref().map(|(_, options)| *options),
            head: PolicyHead::Tanh,
            table: None,
        };
        let normaliser = normaliser.map(|(normaliser, _)| normaliser);
        Self { single: Single::new(mlp), shape, params, normaliser, about: Map::new(), seen: Vec::new(), table: None }
    }

    /// Replaces the head.
    pub fn with_head(mut self, head: PolicyHead) -> Self {
        self.shape.head = head;
        self.shape.format = if head == PolicyHead::Tanh { self.shape.format } else { FORMAT };
        self
    }

    /// The policy that extends `table`, whose actions are in the environment's units about their
    /// centre; `half_width [A]` scales them to `[-1, 1]`.
    pub fn of_table(table: Table, half_width: Vec<f64>) -> Self {
        let (obs_dim, act_dim) = (table.points().obs_dim, table.points().act_dim);
        let shape = PolicyShape {
            format: FORMAT,
            dense: false,
            obs_dim,
            hidden: Vec::new(),
            outputs: act_dim,
            act_dim,
            activation: Activation::Relu,
            layer_norm: false,
            normaliser: None,
            head: PolicyHead::Clamp,
            table: Some(table.alpha()),
        };
        Self::with_table(shape, table, half_width, Map::new())
    }

    fn with_table(shape: PolicyShape, table: Table, half_width: Vec<f64>, about: Map<String, Value>) -> Self {
        let (obs, action) = (vec![0.0; shape.obs_dim], vec![0.0; shape.act_dim]);
        let table = Some(TableBody { table, half_width, obs, action });
        let single = Single::new(&shape.mlp());
        Self { single, shape, params: Vec::new(), normaliser: None, about, seen: Vec::new(), table }
    }

    /// Numbers in an observation.
    pub fn obs_dim(&self) -> usize {
        self.shape.obs_dim
    }

    /// Numbers in an action.
    pub fn act_dim(&self) -> usize {
        self.shape.act_dim
    }

    /// The network with its parameters, for bounds and certificates; `None` for a table. Methods
    /// that go layer by layer do not fit a network that is `dense`: check it first.
    pub fn network(&self) -> Option<(Mlp, &[f32])> {
        self.table.is_none().then(|| (self.shape.mlp(), &self.params[..]))
    }

    /// Map from the network's outputs to actions.
    pub fn head(&self) -> PolicyHead {
        self.shape.head
    }

    /// The table that is extended, in the environment's units with actions about their centre;
    /// `None` for a network.
    pub fn table(&self) -> Option<&Table> {
        self.table.as_ref().map(|body| &body.table)
    }

    /// The standardisation of observations, if there is one.
    pub fn normaliser(&self) -> Option<&RunningNormaliser> {
        self.normaliser.as_ref()
    }

    /// Further entries of the file: the task, the training, the return.
    pub fn about(&self) -> &Map<String, Value> {
        &self.about
    }

    /// Further entries of the file, to be changed.
    pub fn about_mut(&mut self) -> &mut Map<String, Value> {
        &mut self.about
    }

    /// Writes the action at `obs [O]` into `action [A]`, in `[-1, 1]`.
    pub fn act(&mut self, obs: &[f32], action: &mut [f32]) -> Result<(), ControlError> {
        if (obs.len(), action.len()) != (self.shape.obs_dim, self.shape.act_dim) {
            let (wanted, got) = ((self.shape.obs_dim, self.shape.act_dim), (obs.len(), action.len()));
            let problem = format!("is for (observation, action) sizes {wanted:?}, the task has {got:?}");
            return Err(NumericsError::BadState { name: "policy".into(), problem }.into());
        }
        if let Some(TableBody { table, half_width, obs: x, action: u }) = &mut self.table {
            x.iter_mut().zip(obs).for_each(|(x, obs)| *x = f64::from(*obs));
            table.value(x, u);
            let sides = action.iter_mut().zip(u).zip(half_width);
            sides.for_each(|((action, u), half_width)| *action = self.shape.head.action((*u / *half_width) as f32));
            return Ok(());
        }
        self.seen.clear();
        self.seen.extend_from_slice(obs);
        if let Some(normaliser) = &self.normaliser {
            normaliser.apply(&mut self.seen);
        }
        let head = self.single.forward(&self.params, &self.seen);
        action.iter_mut().zip(head).for_each(|(action, head)| *action = self.shape.head.action(*head));
        Ok(())
    }

    /// The file's bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ControlError> {
        let mut state = State::default();
        state.put("policy", &self.shape);
        state.put("about", &self.about);
        if let Some(TableBody { table, half_width, .. }) = &self.table {
            let points = table.points();
            state.put_f64("table/x", &[points.len(), points.obs_dim], &points.x);
            state.put_f64("table/u", &[points.len(), points.act_dim], &points.u);
            state.put_f64("half_width", &[half_width.len()], half_width);
            return Ok(state.to_bytes()?);
        }
        state.put_f32("params", &[self.params.len()], &self.params);
        if let Some(normaliser) = &self.normaliser {
            let mut io = StateIo::save_to(&mut state);
            normaliser.clone().state(&mut io.scope("normaliser"))?;
        }
        Ok(state.to_bytes()?)
    }

    /// Reads a policy from the bytes of a file that `to_bytes` made.
    pub fn load(bytes: &[u8]) -> Result<Self, ControlError> {
        let bad = |problem: String| ControlError::from(NumericsError::BadState { name: "policy".into(), problem });
        let state = State::from_bytes(bytes)?;
        let shape: PolicyShape = state.get("policy")?;
        if shape.format > FORMAT {
            return Err(bad(format!("has format {}, this program reads up to {FORMAT}", shape.format)));
        }
        if let Some(alpha) = shape.table {
            return Self::load_table(&state, shape, alpha);
        }
        // A corrupt size must not overflow or exhaust memory: the number of parameters bounds every
        // size.
        let limit = state.arrays.get("params").map_or(0, |array| array.shape.iter().product());
        let sizes: Vec<usize> = shape.hidden.iter().chain([&shape.obs_dim, &shape.outputs]).copied().collect();
        if sizes.iter().any(|&size| size == 0 || size > limit) || shape.act_dim > shape.outputs {
            return Err(bad(format!("has layers of impossible sizes {:?}", sizes)));
        }
        if let Activation::LeakyRelu(slope) = shape.activation
            && !(0.0..=1.0).contains(&slope)
        {
            return Err(bad(format!(
                "has leaky ReLUs of slope {slope}; the slope must be between 0 and 1: take the file from its source again"
            )));
        }
        if let Err(error) = shape.activation.check(&shape.hidden) {
            return Err(bad(format!("does not fit: {error}")));
        }
        if let Some(NormaliserOptions { clip, variance_floor }) = shape.normaliser
            && !(clip > 0.0 && variance_floor >= 0.0 && variance_floor.is_finite())
        {
            return Err(bad(format!(
                "clips standardised observations to ± {clip} at a variance of {variance_floor} or more; the clip must be above 0, the variance finite and at least 0: take the file from its source again"
            )));
        }
        let mlp = shape.mlp();
        let params = state.f32("params", &[mlp.len()])?.to_vec();
        let normaliser = shape.normaliser.map(|options| {
            let mut normaliser = RunningNormaliser::new(shape.obs_dim, options);
            normaliser.state(&mut StateIo::load_from(&state).scope("normaliser")).map(|()| normaliser)
        });
        let normaliser = normaliser.transpose()?;
        let (single, about) = (Single::new(&mlp), state.get("about")?);
        Ok(Self { single, params, normaliser, about, shape, seen: Vec::new(), table: None })
    }

    fn load_table(state: &State, shape: PolicyShape, alpha: f64) -> Result<Self, ControlError> {
        let bad = |problem: String| ControlError::from(NumericsError::BadState { name: "policy".into(), problem });
        let (obs_dim, act_dim) = (shape.obs_dim, shape.act_dim);
        let rows = state.arrays.get("table/x").and_then(|array| array.shape.first().copied()).unwrap_or(0);
        let half_width = state.f64("half_width", &[act_dim])?.to_vec();
        let (x, u) =
            (state.f64("table/x", &[rows, obs_dim])?.to_vec(), state.f64("table/u", &[rows, act_dim])?.to_vec());
        if obs_dim == 0
            || act_dim == 0
            || !(alpha.is_finite() && x.iter().chain(&u).chain(&half_width).all(|x| x.is_finite()))
        {
            return Err(bad("is a table without coordinates, or with numbers that are not finite".into()));
        }
        // The constant is a claim of the file: it is checked on all pairs.
        let table = Table::new(Points { x, u, obs_dim, act_dim }, alpha).map_err(|error| bad(error.to_string()))?;
        Ok(Self::with_table(shape, table, half_width, state.get("about")?))
    }
}

#[cfg(test)]
mod tests;
