//! A trained policy by itself: weights, shape and normaliser in one small safetensors file, usable without its agent.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    AgentError, NormaliserOptions, RunningNormaliser, State,
    feedback::{points::Points, table::Table},
    nets::{Activation, Init, Mlp, Single},
};

/// The newest format of a file; raised when an older reader could not read a newer file. A file says 1 where nothing in it is newer.
const FORMAT: u32 = 2;

/// A deterministic policy: the first `act_dim` outputs of a perceptron (for SAC the means) brought into `[-1, 1]`, or the Lipschitz
/// extension of a table of actions.
#[derive(Clone, Debug)]
pub struct Policy {
    shape: Shape,
    params: Vec<f32>,
    normaliser: Option<RunningNormaliser>,
    about: Map<String, Value>,
    single: Single,
    seen: Vec<f32>,
    table: Option<TableBody>,
}

/// How a perceptron's outputs become actions. Both have slopes in [0, 1].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PolicyHead {
    /// tanh.
    #[default]
    Tanh,
    /// Cut off at ±1.
    Clamp,
}

impl PolicyHead {
    /// The action an output becomes.
    pub fn action(self, output: f32) -> f32 {
        match self {
            Self::Tanh => output.tanh(),
            Self::Clamp => output.clamp(-1.0, 1.0),
        }
    }
}

/// A table in the environment's units, and what its actions are divided by.
#[derive(Clone, Debug)]
struct TableBody {
    table: Table,
    half_width: Vec<f64>,
    obs: Vec<f64>,
    action: Vec<f64>,
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
    #[serde(default)]
    head: PolicyHead,
    /// Whether layers are given everything before them.
    #[serde(default)]
    dense: bool,
    /// The constant of a table's extension; then there is no perceptron.
    #[serde(default)]
    table: Option<f64>,
}

impl Shape {
    fn mlp(&self) -> Mlp {
        if self.dense {
            return Mlp::dense(self.obs_dim, &self.hidden, self.outputs, self.activation);
        }
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

    /// The same with another head.
    pub(crate) fn with_head(mut self, head: PolicyHead) -> Self {
        self.shape.head = head;
        self.shape.format = if head == PolicyHead::Tanh { self.shape.format } else { FORMAT };
        self
    }

    /// The policy that extends `table`, whose actions are the environment's less their centre: `half_width [A]` brings them to `[-1, 1]`.
    pub(crate) fn of_table(table: Table, half_width: Vec<f64>) -> Self {
        let (obs_dim, act_dim) = (table.points().obs_dim, table.points().act_dim);
        let shape = Shape {
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

    fn with_table(shape: Shape, table: Table, half_width: Vec<f64>, about: Map<String, Value>) -> Self {
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

    /// The network, for those who look inside (bounds, certificates), with its parameters; `None` for a table. Look whether it is
    /// `dense`: what goes layer by layer does not fit those.
    pub fn network(&self) -> Option<(Mlp, &[f32])> {
        self.table.is_none().then(|| (self.shape.mlp(), &self.params[..]))
    }

    /// What follows the network's outputs.
    pub fn head(&self) -> PolicyHead {
        self.shape.head
    }

    /// The table that is extended, in the environment's units with actions about their centre; `None` for a network.
    pub fn table(&self) -> Option<&Table> {
        self.table.as_ref().map(|body| &body.table)
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
    pub fn to_bytes(&self) -> Result<Vec<u8>, AgentError> {
        let mut state = State::default();
        state.put("policy", &self.shape);
        state.put("about", &self.about);
        if let Some(TableBody { table, half_width, .. }) = &self.table {
            let points = table.points();
            state.put_f64("table/x", &[points.len(), points.obs_dim], &points.x);
            state.put_f64("table/u", &[points.len(), points.act_dim], &points.u);
            state.put_f64("half_width", &[half_width.len()], half_width);
            return state.to_bytes();
        }
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
        if let Some(alpha) = shape.table {
            return Self::load_table(&state, shape, alpha);
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
        let (single, about) = (Single::new(&mlp), state.get("about")?);
        Ok(Self { single, params, normaliser, about, shape, seen: Vec::new(), table: None })
    }

    fn load_table(state: &State, shape: Shape, alpha: f64) -> Result<Self, AgentError> {
        let bad = |problem: String| AgentError::BadState { name: "policy".into(), problem };
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
        // The constant is a claim: it is checked on all pairs.
        let table = Table::new(Points { x, u, obs_dim, act_dim }, alpha).map_err(|error| bad(error.to_string()))?;
        Ok(Self::with_table(shape, table, half_width, state.get("about")?))
    }
}
