//! The system, its expert u = −Kx, the starts of runs and the samples that the policy learnt from.

use std::time::Duration;

use liprl_control::Lqr;
use liprl_control::bounds::Basin;
use liprl_envs::systems::Model;
use liprl_numerics::Streams;
use rand::RngExt;

use crate::agent::learned_from;
use crate::config::Config;
use crate::load::LoadedPolicy;
use crate::perturb::vector::norm;

/// The largest reach of a basin in a coordinate that nothing else limits.
const WIDEST: f64 = 1.0;

/// Most coordinates of a box whose corners are all visited.
const MOST_COORDINATES: usize = 10;

/// The runs that bounds are for, and the time for one bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoopOptions {
    /// Starts, those of the task's episodes.
    pub(crate) runs: u32,
    /// Steps of a run.
    pub(crate) horizon: u32,
    /// Seed of the first start; the others follow.
    pub(crate) seed: u64,
    /// For each constant of the policy.
    pub(crate) time_limit: Duration,
    /// True for bounds that hold for all starts of the environment, if that is possible.
    pub(crate) all_starts: bool,
}

/// The starts that a bound holds for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Starts {
    /// Every start in the environment's box.
    Box,
    /// The runs' own; another start of the environment can stray further.
    Runs,
    /// Every start in the inner half of the basin.
    Basin,
}

pub(crate) struct System {
    pub(super) model: Box<dyn Model>,
    pub(super) lqr: Lqr,
    /// ‖K‖₂.
    pub(super) expert_constant: f64,
    /// The expert's loops of the runs, `[T + 1, n]` each.
    pub(super) loops: Vec<Vec<f64>>,
    /// Its loops from the corners of the box of all starts, for a linear system with such a box. What
    /// is convex in the start is largest at a corner.
    corners: Option<Vec<Vec<f64>>>,
    /// The set on which the bounds can hold; `None` for a linear system.
    pub(super) basin: Option<Basin>,
    /// States demonstrated, `[N, n]`; or the reason why there are none.
    pub(super) samples: Result<Vec<f64>, String>,
}

impl System {
    pub(super) fn new(model: Box<dyn Model>, loaded: &mut LoadedPolicy, options: LoopOptions) -> anyhow::Result<Self> {
        let lqr = Lqr::of(&*model)?;
        let expert_constant = lqr.slope()?;
        let basin = if model.is_linear() { None } else { Some(Basin::of(&*model, &lqr, WIDEST)?) };
        let samples = samples(loaded, &*model);
        let starts = loaded.task.env().start_box().filter(|_| options.all_starts && basin.is_none());
        let mut system = Self { model, lqr, expert_constant, loops: Vec::new(), corners: None, basin, samples };
        system.corners = starts.filter(|(low, _)| low.len() <= MOST_COORDINATES).map(|(low, high)| {
            let corners = corners(&low, &high);
            corners.map(|corner| system.expert_loop(corner, options.horizon as usize)).collect()
        });
        for run in 0..options.runs {
            let start = system.start(loaded, options.seed.wrapping_add(u64::from(run)))?;
            let path = system.expert_loop(start, options.horizon as usize);
            system.loops.push(path);
        }
        Ok(system)
    }

    /// Draws the environment's own start; on a nonlinear system one in the inner half of the basin.
    fn start(&self, loaded: &mut LoadedPolicy, seed: u64) -> anyhow::Result<Vec<f64>> {
        let mut x = vec![0.0; self.model.state_dim()];
        let Some(basin) = &self.basin else {
            let mut obs = vec![0.0; loaded.task.obs_dim()];
            loaded.task.reset(Some(seed), &mut obs)?;
            self.model.state_of(loaded.task.raw_obs(), &mut x);
            return Ok(x);
        };
        let mut rng = Streams::new(seed).rng("closed-loop/start");
        loop {
            x.iter_mut().zip(&basin.half).for_each(|(x, half)| *x = 0.5 * rng.random_range(-half..=*half));
            if basin.norm(&x) <= 0.5 * basin.radius {
                return Ok(x);
            }
        }
    }

    fn expert_loop(&self, start: Vec<f64>, steps: usize) -> Vec<f64> {
        let (n, m) = (self.model.state_dim(), self.model.input_dim());
        let (mut path, mut u, mut next) = (start, vec![0.0; m], vec![0.0; n]);
        for t in 0..steps {
            self.expert_input(&path[t * n..], &mut u);
            self.model.advance(&path[t * n..(t + 1) * n], &u, &mut next);
            path.extend_from_slice(&next);
        }
        path
    }

    /// The starts to prove bounds for, the most first.
    pub(super) fn starts(&self) -> Vec<Starts> {
        match (&self.basin, &self.corners) {
            (Some(_), _) => vec![Starts::Basin],
            (None, Some(_)) => vec![Starts::Box, Starts::Runs],
            (None, None) => vec![Starts::Runs],
        }
    }

    /// The expert's loops whose extremes are those of all loops from these starts.
    fn extreme(&self, starts: Starts) -> &[Vec<f64>] {
        match (starts, &self.corners) {
            (Starts::Box, Some(corners)) => corners,
            _ => &self.loops,
        }
    }

    /// The largest √(xᵀPx) of a start. The optimal cost xᵀPx falls along the expert's loops.
    pub(super) fn largest_start(&self, starts: Starts) -> f64 {
        let n = self.model.state_dim();
        self.extreme(starts).iter().map(|path| self.lqr.optimal_cost(&path[..n]).max(0.0).sqrt()).fold(0.0, f64::max)
    }

    /// Largest ‖x‖ and ‖u‖ in the expert's loops.
    pub(super) fn largest_norms(&self, starts: Starts) -> (f64, f64) {
        let (mut u, mut largest) = (vec![0.0; self.model.input_dim()], (0.0f64, 0.0f64));
        for x in self.extreme(starts).iter().flat_map(|path| path.chunks_exact(self.model.state_dim())) {
            self.expert_input(x, &mut u);
            largest = (largest.0.max(norm(x)), largest.1.max(norm(&u)));
        }
        largest
    }

    /// The largest optimal cost from the last states of the expert's loops.
    pub(super) fn largest_final_cost(&self, starts: Starts) -> f64 {
        let n = self.model.state_dim();
        self.extreme(starts).iter().map(|path| self.lqr.optimal_cost(&path[path.len() - n..])).fold(0.0, f64::max)
    }

    /// Mean cost of the expert's loops.
    pub(super) fn expert_cost(&self) -> f64 {
        let (n, mut u) = (self.model.state_dim(), vec![0.0; self.model.input_dim()]);
        let mut sum = 0.0;
        for path in &self.loops {
            // No step is taken from the last state.
            for x in path[..path.len() - n].chunks_exact(n) {
                self.expert_input(x, &mut u);
                sum += self.model.cost(x, &u);
            }
        }
        sum / self.loops.len() as f64
    }

    /// Writes −Kx into `u`, clamped to the actuator's limit. The limit does not bind inside a basin
    /// and never raises the Lipschitz constant.
    pub(super) fn expert_input(&self, x: &[f64], u: &mut [f64]) {
        let limit = self.model.input_limit();
        self.lqr.input(x, u);
        u.iter_mut().for_each(|u| *u = u.clamp(-limit, limit));
    }

    /// All states of the expert's loops, `[N, n]`.
    pub(super) fn states(&self) -> Vec<f64> {
        self.loops.concat()
    }

    /// The smallest box around the expert's loops.
    pub(super) fn hull(&self, starts: Starts) -> (Vec<f64>, Vec<f64>) {
        let n = self.model.state_dim();
        let end = |pick: fn(f64, f64) -> f64, first: f64| -> Vec<f64> {
            let column = |i: usize| self.extreme(starts).iter().flat_map(move |path| path.iter().skip(i).step_by(n));
            (0..n).map(|i| column(i).copied().fold(first, pick)).collect()
        };
        (end(f64::min, f64::INFINITY), end(f64::max, f64::NEG_INFINITY))
    }
}

/// The corners of a box.
fn corners(low: &[f64], high: &[f64]) -> impl Iterator<Item = Vec<f64>> {
    (0..1usize << low.len()).map(move |bits| {
        let pick = |(i, (low, high)): (usize, (&f64, &f64))| if bits >> i & 1 == 0 { *low } else { *high };
        low.iter().zip(high).enumerate().map(pick).collect()
    })
}

/// The states in the demonstrations of the policy's run, or in the episodes that its expert showed
/// it before training, which are made again from the run's seed.
fn samples(loaded: &LoadedPolicy, model: &dyn Model) -> Result<Vec<f64>, String> {
    let text = loaded.config.as_ref().ok_or("a policy file does not name its demonstrations")?;
    let config = Config::parse("config.yaml", text, &[]).map_err(|error| error.to_string())?;
    let demonstrations = learned_from(&config, &loaded.task).map_err(|error| error.to_string())?;
    let demonstrations = demonstrations.ok_or("it learnt from no demonstrations")?;
    let (o, n) = (model.observation_dim(), model.state_dim());
    let mut states = Vec::new();
    for episode in &demonstrations.episodes {
        let steps = episode.rewards.len();
        for obs in episode.observations.chunks_exact(o).take(steps) {
            let mut x = vec![0.0; n];
            model.state_of(obs, &mut x);
            states.extend(x);
        }
    }
    Ok(states)
}
