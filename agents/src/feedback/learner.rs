//! The agent: learns from pairs whatever the environment does, and asks an expert where it is told to.

use liprl_control::{
    Policy,
    bounds::Pair,
    tables::{Constrained, closest},
};
use liprl_numerics::{RunningNormaliser, State, StreamRng};

use super::{
    config::{FeedbackConfig, Normalise},
    data::{Data, bad},
    network::{NORMALISER, Network},
    solved::{Solved, choose, solve},
    teacher::{Actor, Queries, Teacher},
};
use crate::{Agent, AgentError, Metrics, Replay, Setup, TaskContext, Transition, Visited};

/// A feedback policy while it is learnt.
pub struct Feedback {
    pub(super) config: FeedbackConfig,
    pub(super) data: Data,
    /// The rows of `data` that neighbours were sought among, standardised; rows queried since follow.
    seen: Vec<f32>,
    pub(super) connected: usize,
    pub(super) normaliser: Option<RunningNormaliser>,
    pub(super) body: Body,
    queries: Option<Queries>,
    pub(super) rng: StreamRng,
    updates: u64,
    pub(super) worst: Option<Pair>,
    pub(super) oracle: Option<Oracle>,
}

/// What acts.
pub(super) enum Body {
    Network(Box<Network>),
    Solved(Box<Solved>),
}

/// Rows and the least error there.
pub(super) struct Oracle {
    pub(super) rows: Vec<usize>,
    pub(super) mse: f64,
}

impl Feedback {
    /// What `config` says, for the task of `context`.
    ///
    /// # Errors
    /// [`AgentError::BadConfig`] for settings that do not go together, an expert that there cannot be, contradictory pairs that are not wanted, a
    /// program that is not solved.
    pub fn new(config: &FeedbackConfig, setup: &Setup, context: &TaskContext) -> Result<Self, AgentError> {
        Self::with_teacher(config, setup, context, None)
    }

    /// The same, asking `teacher` instead of the expert that `config` names.
    ///
    /// # Errors
    /// As [`Feedback::new`].
    pub fn with_teacher(
        config: &FeedbackConfig,
        setup: &Setup,
        context: &TaskContext,
        teacher: Option<Box<dyn Teacher>>,
    ) -> Result<Self, AgentError> {
        crate::error::validated(config)?;
        check_sources(config)?;
        if setup.device != tch::Device::Cpu {
            return Err(AgentError::BadConfig {
                setting: "device".into(),
                problem: "feedback policies are small and learn on the CPU; write `cpu`".into(),
            });
        }
        // Matrices this small lose more by threads than they gain.
        tch::set_num_threads(1);
        let dims = (setup.obs_dim, setup.act_dim);
        let mut teacher = match (teacher, &config.expert) {
            (None, Some(expert)) => Some(super::expert::teacher(expert, context, dims)?),
            (teacher, _) => teacher,
        };
        let shown = match (&mut teacher, config.expert_episodes) {
            (Some(teacher), Some(count)) => {
                let how = (count, config.expert_noise);
                Some(super::expert::episodes(&mut **teacher, context, how, &setup.streams)?)
            }
            _ => None,
        };
        let demonstrations = shown.as_ref().or(context.demonstrations.as_ref());
        let data = Data::new(demonstrations, config, dims, &context.action_half_width)?;
        if data.len() == 0 && config.queries.is_none() {
            let problem =
                "is missing: name the file of what is to be imitated, or an expert and expert_episodes or queries";
            return Err(bad("demonstrations", problem.to_owned()));
        }
        let queries = match (&config.queries, teacher) {
            (Some(queries), Some(teacher)) => {
                Some(Queries::new(queries, teacher, setup.act_dim, setup.streams.rng("queries")))
            }
            (Some(_), None) => return Err(bad("expert", "is missing: queries ask one".to_owned())),
            (None, _) => None,
        };
        let worst = data.check(config, config.constraint.alpha())?;
        let normaliser = normaliser(config.normalise, &data);
        let mut rng = setup.streams.rng("feedback");
        let solved = if data.len() == 0 { None } else { solve(&config.constraint, &data, &mut rng)? };
        let body = match solved {
            Some(_) if queries.is_some() => {
                let problem = "a policy without a network is solved once, from demonstrations; leave out, or take another constraint";
                return Err(bad("queries", problem.to_owned()));
            }
            Some(solved) => Body::Solved(Box::new(solved)),
            None if matches!(config.constraint.kind(), "graph" | "kirszbraun") => {
                return Err(bad(
                    "demonstrations",
                    "is missing: this constraint is solved from a file's pairs".to_owned(),
                ));
            }
            None => Body::Network(Box::new(Network::new(config, &data, normaliser.as_ref(), &setup.streams)?)),
        };
        let oracle = match (config.oracle, config.constraint.alpha()) {
            (Some(count), Some(alpha)) if data.len() > 1 => {
                let rows = choose(&data, count, &mut setup.streams.rng("oracle"));
                Some(Oracle { mse: closest(&data.points(&rows), alpha, Constrained::All)?.lower, rows })
            }
            _ => None,
        };
        let mut agent = Self {
            config: config.clone(),
            seen: Vec::new(),
            connected: 0,
            normaliser,
            body,
            queries,
            rng,
            updates: 0,
            worst,
            oracle,
            data,
        };
        agent.connect(agent.data.len());
        Ok(agent)
    }

    /// Standardises the rows that are new and seeks neighbours among the first `count`.
    fn connect(&mut self, count: usize) {
        self.standardise();
        self.connected = count;
        if let Body::Network(network) = &mut self.body
            && let Some(duals) = &mut network.duals
            && count > 0
        {
            duals.connect(&self.seen[..count * self.data.obs_dim], self.data.obs_dim);
            duals.grow(self.data.len());
        }
    }

    /// Standardises the rows of `data` that have not been yet.
    fn standardise(&mut self) {
        let from = self.seen.len();
        self.seen.extend_from_slice(&self.data.obs[from..]);
        if let Some(normaliser) = &self.normaliser {
            normaliser.apply(&mut self.seen[from..]);
        }
        if let Body::Network(network) = &mut self.body
            && let Some(duals) = &mut network.duals
        {
            duals.grow(self.data.len());
        }
    }

    /// The greedy action.
    pub(super) fn greedy(&mut self, obs: &[f32], action: &mut [f32]) {
        match &mut self.body {
            Body::Network(network) => network.act(self.normaliser.as_ref(), obs, action),
            Body::Solved(solved) => {
                let x: Vec<f64> = obs.iter().map(|&x| f64::from(x)).collect();
                let mut u = vec![0.0; action.len()];
                solved.table.value(&x, &mut u);
                let sides = action.iter_mut().zip(u).zip(&self.data.half_width);
                sides.for_each(|((action, u), half_width)| *action = (u / half_width).clamp(-1.0, 1.0) as f32);
            }
        }
    }
}

/// Refuses an expert whom nobody asks, and two sources of the same pairs.
fn check_sources(config: &FeedbackConfig) -> Result<(), AgentError> {
    let problem = match (config.expert_episodes, &config.expert, &config.demonstrations) {
        (Some(_), None, _) => ("expert", "is missing: expert_episodes asks one"),
        (Some(_), _, Some(_)) => {
            ("expert_episodes", "stands in for demonstrations, which are named too; leave one out")
        }
        (None, Some(_), _) if config.queries.is_none() => ("expert", "is never asked: give expert_episodes or queries"),
        (None, _, _) if config.expert_noise > 0.0 => ("expert_noise", "disturbs expert_episodes, and there are none"),
        _ => return Ok(()),
    };
    Err(bad(problem.0, problem.1.to_owned()))
}

fn normaliser(normalise: Normalise, data: &Data) -> Option<RunningNormaliser> {
    let dim = if normalise == Normalise::Scalar { 1 } else { data.obs_dim };
    let mut normaliser = RunningNormaliser::new(dim, NORMALISER);
    normaliser.update(&data.obs);
    match normalise {
        _ if data.len() == 0 => None,
        Normalise::None => None,
        Normalise::Scalar => Some(normaliser.broadcast(data.obs_dim)),
        Normalise::Coordinate => Some(normaliser),
    }
}

impl Agent for Feedback {
    fn act(&mut self, obs: &[f32], action: &mut [f32]) -> Result<(), AgentError> {
        let actor = match &mut self.queries {
            Some(queries) if queries.open() => queries.act(obs, action)?,
            _ => Actor::Learner,
        };
        if actor == Actor::Learner {
            self.greedy(obs, action);
        }
        Ok(())
    }

    fn act_greedy(&mut self, obs: &[f32], action: &mut [f32]) -> Result<(), AgentError> {
        self.greedy(obs, action);
        Ok(())
    }

    fn observe(&mut self, transition: &Transition<'_>) -> Result<(), AgentError> {
        let Some(queries) = self.queries.as_mut().filter(|queries| queries.open()) else { return Ok(()) };
        queries.ask(transition.obs, &mut self.data)?;
        let (ended, wanted) = (queries.round_ended(), queries.wants_errors());
        if ended || self.connected == 0 {
            self.connect(self.data.len());
        } else {
            self.standardise();
        }
        if ended && wanted {
            let moments = self.errors(&self.some_rows()).moments;
            if let Some(queries) = &mut self.queries {
                queries.shape_noise(&moments);
            }
        }
        Ok(())
    }

    fn update(&mut self, metrics: &mut Metrics) -> Result<(), AgentError> {
        if self.queries.is_some() {
            metrics.add("train/queried_rows", (self.data.len() - self.data.demonstrated()) as f64);
        }
        let Body::Network(network) = &mut self.body else { return Ok(()) };
        for _ in 0..if self.data.len() == 0 { 0 } else { self.config.updates } {
            self.updates += 1;
            network.update(&self.data, &self.seen, &mut self.rng, self.updates, metrics)?;
        }
        Ok(())
    }

    fn updates(&self) -> u64 {
        self.updates
    }

    fn histograms(&mut self) -> Result<Vec<(String, Vec<f32>)>, AgentError> {
        let Body::Network(network) = &self.body else { return Ok(Vec::new()) };
        let (mlp, params) = (network.model.mlp(), network.model.params());
        let named = mlp.named().into_iter().map(|(name, start, shape)| {
            let len: usize = shape.iter().product();
            (format!("weights/policy/{name}"), params[start..start + len].to_vec())
        });
        let duals = network.duals.iter().map(|duals| ("lipschitz/duals".to_owned(), duals.lambda().to_vec()));
        Ok(named.chain(duals).collect())
    }

    fn diagnose(&mut self, visited: &Visited) -> Result<Vec<(String, f64)>, AgentError> {
        self.measure(visited)
    }

    fn policy(&self) -> Result<Policy, AgentError> {
        let mut policy = match &self.body {
            Body::Network(network) => {
                let normaliser = self.normaliser.clone().map(|normaliser| (normaliser, NORMALISER));
                let params = network.model.params().to_vec();
                Policy::new(network.model.mlp(), params, self.data.act_dim, normaliser).with_head(self.config.output)
            }
            Body::Solved(solved) => Policy::of_table(solved.table.clone(), self.data.half_width.clone()),
        };
        let constant = serde_json::json!({
            "asked": self.config.constraint.alpha(),
            "certified": self.certified()?,
            "constraint": self.config.constraint.kind(),
            "units": "the environment's, Euclidean",
        });
        policy.about_mut().insert("lipschitz".into(), constant);
        Ok(policy)
    }

    fn save(&self) -> Result<State, AgentError> {
        let mut state = State::default();
        state.put("updates", &self.updates);
        state.put("streams/feedback", &self.rng);
        if let Body::Network(network) = &self.body {
            network.save(&mut state);
        }
        if let Some(queries) = &self.queries {
            queries.save(&mut state);
            let from = self.data.demonstrated();
            let rows = self.data.len() - from;
            state.put("queries/connected", &self.connected);
            let (o, a) = (self.data.obs_dim, self.data.act_dim);
            state.put_f32("queries/obs", &[rows, o], &self.data.obs[from * o..]);
            state.put_f32("queries/action", &[rows, a], &self.data.action[from * a..]);
        }
        Ok(state)
    }

    fn load(&mut self, state: &State) -> Result<(), AgentError> {
        if let Some(queries) = &mut self.queries {
            queries.load(state)?;
            let (from, o, a) = (self.data.demonstrated(), self.data.obs_dim, self.data.act_dim);
            let rows = state.arrays.get("queries/obs").and_then(|array| array.shape.first().copied()).unwrap_or(0);
            let (obs, action) = (state.f32("queries/obs", &[rows, o])?, state.f32("queries/action", &[rows, a])?);
            self.data.obs.truncate(from * o);
            self.data.action.truncate(from * a);
            self.seen.truncate(from * o);
            self.data.obs.extend_from_slice(obs);
            self.data.action.extend_from_slice(action);
            let connected: usize = state.get("queries/connected")?;
            self.connect(connected.min(from + rows));
        }
        if let Body::Network(network) = &mut self.body {
            network.load(state)?;
        }
        self.updates = state.get("updates")?;
        self.rng = state.get("streams/feedback")?;
        Ok(())
    }

    fn replays(&mut self) -> Vec<(&'static str, &mut Replay)> {
        Vec::new()
    }
}
