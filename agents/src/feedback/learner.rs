//! The agent: learns from pairs whatever the environment does, and asks an expert where it is told to.

use rand::RngExt;

use super::{
    config::{ConstraintConfig, FeedbackConfig, Normalise},
    data::{Data, bad},
    network::{NORMALISER, Network},
    oracle::{Constrained, closest},
    points::WorstPair,
    solved::{Solved, choose, solve},
    teacher::{Actor, Queries, Teacher},
};
use crate::{
    Agent, AgentError, Lesson, Metrics, Policy, Replay, RunningNormaliser, Setup, State, StreamRng, Transition,
    Visited, actor_critic::summarise, lipschitz::Summary, neighbours::distance,
};

/// Rows at which errors and Jacobians are measured, at most.
const MEASURED: usize = 2000;

/// Fresh points between neighbours at which Jacobians are measured.
const FRESH: usize = 512;

/// A feedback policy while it is learnt.
pub struct Feedback {
    config: FeedbackConfig,
    data: Data,
    /// The rows of `data` that neighbours were sought among, standardised; rows queried since follow.
    seen: Vec<f32>,
    connected: usize,
    normaliser: Option<RunningNormaliser>,
    body: Body,
    queries: Option<Queries>,
    rng: StreamRng,
    updates: u64,
    worst: Option<WorstPair>,
    oracle: Option<Oracle>,
}

/// What acts.
enum Body {
    Network(Box<Network>),
    Solved(Box<Solved>),
}

/// Rows and the least error there.
struct Oracle {
    rows: Vec<usize>,
    mse: f64,
}

impl Feedback {
    /// What `config` says, for the task of `lesson`.
    ///
    /// # Errors
    /// [`AgentError::BadConfig`] for settings that do not go together, contradictory pairs that are not wanted, a program that is not solved.
    pub fn new(config: &FeedbackConfig, setup: &Setup, lesson: &Lesson) -> Result<Self, AgentError> {
        Self::with_teacher(config, setup, lesson, None)
    }

    /// The same, asking `teacher` instead of the policy file that `queries` names.
    ///
    /// # Errors
    /// As [`Feedback::new`].
    pub fn with_teacher(
        config: &FeedbackConfig,
        setup: &Setup,
        lesson: &Lesson,
        teacher: Option<Box<dyn Teacher>>,
    ) -> Result<Self, AgentError> {
        crate::actor_critic::validated(config)?;
        if setup.device != tch::Device::Cpu {
            return Err(AgentError::BadConfig {
                setting: "device".into(),
                problem: "feedback policies are small and learn on the CPU; write `cpu`".into(),
            });
        }
        // Matrices this small lose more by threads than they gain.
        tch::set_num_threads(1);
        let dims = (setup.obs_dim, setup.act_dim);
        let queries = config.queries.as_ref();
        let queries =
            queries.map(|queries| Queries::new(queries, teacher, dims, setup.streams.rng("queries"))).transpose()?;
        let data = Data::new(lesson.demonstrations.as_ref(), config, dims, &lesson.action_half_width)?;
        if data.len() == 0 && queries.is_none() {
            let problem =
                "is missing: name the file of what is to be imitated, or an expert under `queries`".to_owned();
            return Err(bad("demonstrations", problem));
        }
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
            None => Body::Network(Box::new(Network::new(config, &data, normaliser.as_ref(), &mut rng)?)),
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
    fn greedy(&mut self, obs: &[f32], action: &mut [f32]) {
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

    /// (1/n) Σ ‖π(x) − u‖² over some rows, and the second moments of π(x) − a in `[-1, 1]`, `[A, A]`.
    fn errors(&mut self, rows: &[usize]) -> (f64, Vec<f64>) {
        let (o, a) = (self.data.obs_dim, self.data.act_dim);
        let (mut sum, mut moments, mut action) = (0.0, vec![0.0; a * a], vec![0.0; a]);
        for &row in rows {
            let obs = self.data.obs[row * o..][..o].to_vec();
            self.greedy(&obs, &mut action);
            let error: Vec<f64> =
                action.iter().zip(&self.data.action[row * a..]).map(|(x, y)| f64::from(x - y)).collect();
            sum += error.iter().zip(&self.data.half_width).map(|(error, h)| (error * h).powi(2)).sum::<f64>();
            for i in 0..a {
                (0..a).for_each(|j| moments[i * a + j] += error[i] * error[j] / rows.len() as f64);
            }
        }
        (sum / rows.len().max(1) as f64, moments)
    }

    /// Rows to measure at, evenly spread.
    fn some_rows(&self) -> Vec<usize> {
        (0..self.data.len()).step_by(self.data.len().div_ceil(MEASURED).max(1)).collect()
    }

    /// Observations by name: demonstrated, fresh between neighbours, visited.
    fn places(&self, visited: &Visited) -> Vec<(&'static str, Vec<f32>)> {
        let o = self.data.obs_dim;
        let rows = self.some_rows();
        let row = |i: usize| &self.data.obs[i * o..][..o];
        let shown: Vec<f32> = rows.iter().flat_map(|&i| row(i).to_vec()).collect();
        // From a copy of the stream: measuring changes nothing.
        let mut rng = self.rng.clone();
        let mut between = Vec::new();
        for _ in 0..if rows.len() > 1 { FRESH } else { 0 } {
            let i = rng.random_range(0..self.data.len());
            let j = match &self.body {
                Body::Network(network) if network.duals.is_some() && self.connected > 1 => {
                    let spot = network.duals.as_ref().map(|duals| duals.draw(&mut rng));
                    spot.map_or((i, i), |spot| (spot.i, spot.j))
                }
                // Without a graph, the nearest of some.
                _ => {
                    let some = (0..32).map(|_| rng.random_range(0..self.data.len())).filter(|&j| j != i);
                    let wide = |i: usize| row(i).iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
                    let far = |j: &usize| distance(&wide(i), &wide(*j));
                    (i, some.min_by(|a, b| far(a).total_cmp(&far(b))).unwrap_or(i))
                }
            };
            let share: f32 = rng.random_range(0.0..1.0);
            between.extend(row(j.0).iter().zip(row(j.1)).map(|(a, b)| a + share * (b - a)));
        }
        let all = [("demonstrations", shown), ("between", between), ("visited", visited.obs.clone())];
        all.into_iter().filter(|(_, obs)| !obs.is_empty()).collect()
    }

    /// How steep the policy is, and the multipliers.
    fn steepness(&mut self, visited: &Visited, metrics: &mut Vec<(String, f64)>) -> Result<(), AgentError> {
        let alpha = self.config.constraint.alpha();
        let mut sampled = 0.0f64;
        for (name, obs) in self.places(visited) {
            let norms = match &mut self.body {
                Body::Network(network) => network.norms_at(self.normaliser.as_ref(), &obs)?,
                Body::Solved(solved) => slopes(solved, &obs, &mut self.rng.clone()),
            };
            summarise("policy_jacobian", name, &norms, metrics);
            let largest = norms.iter().copied().fold(0.0, f64::max);
            sampled = sampled.max(largest);
            if let Some(alpha) = alpha {
                metrics.push((format!("lipschitz/violation/{name}"), (largest - alpha).max(0.0)));
            }
            if let (Body::Network(network), Some(alpha), "demonstrations") = (&self.body, alpha, name)
                && matches!(self.config.constraint, ConstraintConfig::PrimalDual { .. })
                && let Some(duals) = network.duals.as_ref().filter(|duals| duals.lambda().len() == self.data.len())
            {
                let rows = self.some_rows();
                let slack = rows.iter().zip(&norms).map(|(&i, g)| f64::from(duals.lambda()[i]) * (g - alpha));
                let mean = slack.map(f64::abs).sum::<f64>() / norms.len() as f64;
                metrics.push(("lipschitz/complementary_slackness".into(), mean));
            }
        }
        metrics.push(("lipschitz/sampled".into(), sampled));
        Ok(())
    }

    fn certified(&self) -> Result<f64, AgentError> {
        match &self.body {
            Body::Network(network) => network.certified(),
            Body::Solved(solved) => Ok(solved.table.alpha()),
        }
    }
}

/// Slopes of a table's extension between each observation and one next to it.
fn slopes(solved: &mut Solved, obs: &[f32], rng: &mut StreamRng) -> Vec<f64> {
    let (o, a) = (solved.table.points().obs_dim, solved.table.points().act_dim);
    let (mut first, mut second) = (vec![0.0; a], vec![0.0; a]);
    let rows = obs.chunks_exact(o).step_by((obs.len() / o).div_ceil(200));
    rows.map(|row| {
        let x: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
        let y: Vec<f64> = x.iter().map(|x| x + 1e-3 * rng.random_range(-1.0..1.0)).collect();
        solved.table.value(&x, &mut first);
        solved.table.value(&y, &mut second);
        distance(&first, &second) / distance(&x, &y)
    })
    .collect()
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
            let (_, moments) = self.errors(&self.some_rows());
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
        let mut metrics = Vec::new();
        let mut put = |name: &str, value: f64| metrics.push((format!("lipschitz/{name}"), value));
        if let Some(alpha) = self.config.constraint.alpha() {
            put("alpha", alpha);
        }
        put("certified", self.certified()?);
        if let Some(worst) = self.worst {
            put("forced_error", worst.forced.max(0.0));
        }
        if self.data.len() > 0 {
            put("demonstration_mse", self.errors(&self.some_rows()).0);
        }
        if let Some(Oracle { rows, mse }) = self.oracle.take() {
            put("oracle/mse", mse);
            put("oracle/policy_mse", self.errors(&rows).0);
            self.oracle = Some(Oracle { rows, mse });
        }
        match &self.body {
            Body::Solved(solved) => {
                put("solved/mse", solved.fit.mse);
                put("solved/lower", solved.fit.lower);
                put("solved/constraints", solved.fit.constraints as f64);
            }
            Body::Network(network) => {
                let multipliers = matches!(self.config.constraint, ConstraintConfig::PrimalDual { .. });
                if let Some(duals) = network.duals.as_ref().filter(|_| multipliers) {
                    let lambda: Vec<f64> = duals.lambda().iter().map(|&l| f64::from(l)).collect();
                    if let Some(Summary { mean, q05, q50, q95, max }) = Summary::of(&lambda) {
                        let active = lambda.iter().filter(|l| **l > 0.0).count() as f64 / lambda.len() as f64;
                        for (name, value) in
                            [("mean", mean), ("q05", q05), ("q50", q50), ("q95", q95), ("max", max), ("active", active)]
                        {
                            put(&format!("duals/{name}"), value);
                        }
                    }
                }
            }
        }
        self.steepness(visited, &mut metrics)?;
        Ok(metrics)
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
