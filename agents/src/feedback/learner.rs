//! The agent: it learns from pairs, not from the environment's rewards, and can query an expert for more.

use liprl_control::{
    Policy,
    bounds::Pair,
    tables::{Constrained, closest},
};
use liprl_numerics::{RunningNormaliser, StateIo, StreamRng};

use super::{
    config::{FeedbackConfig, Normalise},
    expert::{QueriedExpert, build_expert, episodes},
    measure::{Evaluation, Oracle},
    network::{NORMALISER, Network},
    pairs::{LabelledPairs, bad},
    policy::FeedbackPolicy,
    queries::Queries,
    solved::{choose, solve},
};
use crate::{Agent, AgentError, Metrics, Replay, Setup, TaskContext, Transition, Visited};

/// A feedback policy while it is learned.
pub struct Feedback {
    config: FeedbackConfig,
    data: LabelledPairs,
    /// The rows of `data`, standardised.
    seen: Vec<f32>,
    /// Number of rows that have neighbours, the first ones; rows queried since follow.
    connected: usize,
    normaliser: Option<RunningNormaliser>,
    policy: FeedbackPolicy,
    queries: Option<Queries>,
    rng: StreamRng,
    updates: u64,
    worst: Option<Pair>,
    oracle: Option<Oracle>,
}

impl Feedback {
    /// The agent by `config`, for the task of `context`.
    ///
    /// # Errors
    /// [`AgentError::BadConfig`] for settings that do not go together, an expert that cannot be made,
    /// contradictory pairs that `config` refuses, and a program without a solution.
    pub fn new(config: &FeedbackConfig, setup: &Setup, context: &TaskContext) -> Result<Self, AgentError> {
        Self::with_expert(config, setup, context, None)
    }

    /// The agent with `expert` in place of the one that `config` names.
    ///
    /// # Errors
    /// As [`Feedback::new`].
    pub fn with_expert(
        config: &FeedbackConfig,
        setup: &Setup,
        context: &TaskContext,
        expert: Option<Box<dyn QueriedExpert>>,
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
        let mut expert = match (expert, &config.expert) {
            (None, Some(expert)) => Some(build_expert(expert, context, dims)?),
            (expert, _) => expert,
        };
        let collected = match (&mut expert, config.expert_episodes) {
            (Some(expert), Some(count)) => {
                Some(episodes(&mut **expert, context, (count, config.expert_noise), &setup.streams)?)
            }
            _ => None,
        };
        let demonstrations = collected.as_ref().or(context.demonstrations.as_ref());
        let data = LabelledPairs::new(demonstrations, config, dims, &context.action_half_width)?;
        if data.len() == 0 && config.queries.is_none() {
            let problem = "is missing: name a file, or an expert with expert_episodes or queries";
            return Err(bad("demonstrations", problem.to_owned()));
        }
        let queries = match (&config.queries, expert) {
            (Some(queries), Some(expert)) => {
                Some(Queries::new(queries, expert, setup.act_dim, setup.streams.rng("queries")))
            }
            (Some(_), None) => return Err(bad("expert", "is missing: queries ask one".to_owned())),
            (None, _) => None,
        };
        let worst = data.check(config, config.constraint.alpha())?;
        let normaliser = normaliser(config.normalise, &data);
        let mut rng = setup.streams.rng("feedback");
        let solved = if data.len() == 0 { None } else { solve(&config.constraint, &data, &mut rng)? };
        let policy = match solved {
            Some(_) if queries.is_some() => {
                let problem = "a policy without a network is solved once, from demonstrations; leave out, or take another constraint";
                return Err(bad("queries", problem.to_owned()));
            }
            Some(solved) => FeedbackPolicy::Solved(Box::new(solved)),
            None if matches!(config.constraint.kind(), "graph" | "kirszbraun") => {
                return Err(bad(
                    "demonstrations",
                    "is missing: this constraint is solved from a file's pairs".to_owned(),
                ));
            }
            None => {
                let network = Network::new(config, &data, normaliser.as_ref(), &setup.streams)?;
                FeedbackPolicy::Network(Box::new(network))
            }
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
            policy,
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

    /// Standardises new rows and connects the first `count` to their neighbours.
    fn connect(&mut self, count: usize) {
        self.standardise();
        self.connected = count;
        if let FeedbackPolicy::Network(network) = &mut self.policy
            && let Some(multipliers) = &mut network.multipliers
            && count > 0
        {
            multipliers.connect(&self.seen[..count * self.data.obs_dim], self.data.obs_dim);
            multipliers.grow(self.data.len());
        }
    }

    /// The state of the rows that were queried, and what follows from them.
    fn queried(&mut self, io: &mut StateIo<'_>) -> Result<(), AgentError> {
        let (from, o, a) = (self.data.demonstrated(), self.data.obs_dim, self.data.act_dim);
        let (mut obs, mut action) = (self.data.obs.split_off(from * o), self.data.action.split_off(from * a));
        io.f32_vec("queries/obs", &mut obs)?;
        io.f32_vec("queries/action", &mut action)?;
        if obs.len() % o != 0 || obs.len() / o * a != action.len() {
            return Err(io.bad("queries/action", "has not one row for each of `queries/obs`").into());
        }
        self.data.obs.append(&mut obs);
        self.data.action.append(&mut action);
        io.value("queries/connected", &mut self.connected)?;
        if io.loading() {
            self.seen.truncate(from * o);
            self.connect(self.connected.min(self.data.len()));
        }
        Ok(())
    }

    /// Standardises new rows of `data`.
    fn standardise(&mut self) {
        let from = self.seen.len();
        self.seen.extend_from_slice(&self.data.obs[from..]);
        if let Some(normaliser) = &self.normaliser {
            normaliser.apply(&mut self.seen[from..]);
        }
        if let FeedbackPolicy::Network(network) = &mut self.policy
            && let Some(multipliers) = &mut network.multipliers
        {
            multipliers.grow(self.data.len());
        }
    }

    /// The parts that evaluations use.
    fn evaluation(&mut self) -> Evaluation<'_> {
        Evaluation {
            config: &self.config,
            data: &self.data,
            normaliser: self.normaliser.as_ref(),
            policy: &mut self.policy,
            rng: &self.rng,
            connected: self.connected,
            worst: self.worst,
            oracle: self.oracle.as_ref(),
        }
    }
}

/// Rejects an expert that is never used, and two sources of the same pairs.
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

/// Standardisation by the moments of `data`; `None` without it, and without rows.
fn normaliser(normalise: Normalise, data: &LabelledPairs) -> Option<RunningNormaliser> {
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
        if let Some(queries) = self.queries.as_mut().filter(|queries| queries.open())
            && queries.act(obs, action)?
        {
            return Ok(());
        }
        self.act_greedy(obs, action)
    }

    fn act_greedy(&mut self, obs: &[f32], action: &mut [f32]) -> Result<(), AgentError> {
        self.policy.act(self.normaliser.as_ref(), &self.data, obs, action);
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
            let mut evaluation = self.evaluation();
            let moments = evaluation.errors(&evaluation.some_rows()).moments;
            if let Some(queries) = &mut self.queries {
                queries.shape_noise(&moments);
            }
        }
        Ok(())
    }

    // The expert is asked at observations, not at transitions.
    fn skip(&mut self) {}

    fn update(&mut self, metrics: &mut Metrics) -> Result<(), AgentError> {
        if self.queries.is_some() {
            metrics.add("train/queried_rows", (self.data.len() - self.data.demonstrated()) as f64);
        }
        let FeedbackPolicy::Network(network) = &mut self.policy else { return Ok(()) };
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
        let FeedbackPolicy::Network(network) = &self.policy else { return Ok(Vec::new()) };
        let (mlp, params) = (network.model.mlp(), network.model.params());
        let named = mlp.named().into_iter().map(|(name, start, shape)| {
            let len: usize = shape.iter().product();
            (format!("weights/policy/{name}"), params[start..start + len].to_vec())
        });
        let multipliers =
            network.multipliers.iter().map(|multipliers| ("lipschitz/duals".to_owned(), multipliers.lambda().to_vec()));
        Ok(named.chain(multipliers).collect())
    }

    fn diagnose(&mut self, visited: &Visited) -> Result<Vec<(String, f64)>, AgentError> {
        self.evaluation().metrics(visited)
    }

    fn policy(&self) -> Result<Policy, AgentError> {
        let mut policy = match &self.policy {
            FeedbackPolicy::Network(network) => {
                let normaliser = self.normaliser.clone().map(|normaliser| (normaliser, NORMALISER));
                let params = network.model.params().to_vec();
                Policy::new(network.model.mlp(), params, self.data.act_dim, normaliser).with_head(self.config.output)
            }
            FeedbackPolicy::Solved(solved) => Policy::of_table(solved.table.clone(), self.data.half_width.clone()),
        };
        let constant = serde_json::json!({
            "asked": self.config.constraint.alpha(),
            "certified": self.policy.certified()?,
            "constraint": self.config.constraint.kind(),
            "units": "the environment's, Euclidean",
        });
        policy.about_mut().insert("lipschitz".into(), constant);
        Ok(policy)
    }

    fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), AgentError> {
        if let Some(queries) = &mut self.queries {
            queries.state(io)?;
            self.queried(io)?;
        }
        if let FeedbackPolicy::Network(network) = &mut self.policy {
            network.state(io)?;
        }
        io.value("updates", &mut self.updates)?;
        Ok(io.value("streams/feedback", &mut self.rng)?)
    }

    fn replays(&mut self) -> Vec<(&'static str, &mut Replay)> {
        Vec::new()
    }
}
