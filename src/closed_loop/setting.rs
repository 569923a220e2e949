//! The system, its expert, where runs start and the samples that the policy learnt from.

use liprl_control::{Lqr, bounds::Basin};
use liprl_envs::systems::Model;
use liprl_numerics::Streams;
use rand::RngExt;

use super::Asked;
use crate::{config::Config, saved::Saved};

/// No coordinate of a basin reaches farther than this where nothing else limits it.
const WIDEST: f64 = 1.0;

pub(super) struct Setting {
    pub(super) model: Box<dyn Model>,
    pub(super) lqr: Lqr,
    /// ‖K‖₂.
    pub(super) expert: f64,
    /// The expert's loops, `[T + 1, n]` each.
    pub(super) loops: Vec<Vec<f64>>,
    /// For a nonlinear system: where the bounds can hold.
    pub(super) basin: Option<Basin>,
    /// States demonstrated, `[N, n]`; or why there are none.
    pub(super) samples: Result<Vec<f64>, String>,
}

impl Setting {
    pub(super) fn new(model: Box<dyn Model>, saved: &mut Saved, asked: Asked) -> anyhow::Result<Self> {
        let lqr = Lqr::of(&*model)?;
        let expert = lqr.slope()?;
        let basin = if model.is_linear() { None } else { Some(Basin::of(&*model, &lqr, WIDEST)?) };
        let samples = samples(saved, &*model);
        let mut setting = Self { model, lqr, expert, loops: Vec::new(), basin, samples };
        for run in 0..asked.runs {
            let start = setting.start(saved, asked.seed.wrapping_add(u64::from(run)))?;
            let path = setting.follow(start, asked.horizon as usize);
            setting.loops.push(path);
        }
        Ok(setting)
    }

    /// The environment's own start; of a nonlinear system one in the inner half of the basin.
    fn start(&self, saved: &mut Saved, seed: u64) -> anyhow::Result<Vec<f64>> {
        let mut x = vec![0.0; self.model.state_dim()];
        let Some(basin) = &self.basin else {
            let mut obs = vec![0.0; saved.task.obs_dim()];
            saved.task.reset(Some(seed), &mut obs)?;
            self.model.state_of(saved.task.raw_obs(), &mut x);
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

    /// The expert's loop.
    fn follow(&self, start: Vec<f64>, steps: usize) -> Vec<f64> {
        let (n, m) = (self.model.state_dim(), self.model.input_dim());
        let (mut path, mut u, mut next) = (start, vec![0.0; m], vec![0.0; n]);
        for t in 0..steps {
            self.best(&path[t * n..], &mut u);
            self.model.advance(&path[t * n..(t + 1) * n], &u, &mut next);
            path.extend_from_slice(&next);
        }
        path
    }

    /// Largest ‖x‖ and ‖u‖ in the expert's loops.
    pub(super) fn farthest(&self) -> (f64, f64) {
        let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
        let (mut u, mut farthest) = (vec![0.0; self.model.input_dim()], (0.0f64, 0.0f64));
        for x in self.loops.iter().flat_map(|path| path.chunks_exact(self.model.state_dim())) {
            self.best(x, &mut u);
            farthest = (farthest.0.max(norm(x)), farthest.1.max(norm(&u)));
        }
        farthest
    }

    /// The largest optimal cost from where the expert's loops end.
    pub(super) fn left(&self) -> f64 {
        let n = self.model.state_dim();
        self.loops.iter().map(|path| self.lqr.optimal_cost(&path[path.len() - n..])).fold(0.0, f64::max)
    }

    /// Mean cost of the expert's loops.
    pub(super) fn expert_cost(&self) -> f64 {
        let (n, mut u) = (self.model.state_dim(), vec![0.0; self.model.input_dim()]);
        let mut sum = 0.0;
        for path in &self.loops {
            // The last state is no step's.
            for x in path[..path.len() - n].chunks_exact(n) {
                self.best(x, &mut u);
                sum += self.model.cost(x, &u);
            }
        }
        sum / self.loops.len() as f64
    }

    /// −Kx, within the actuator's limit, which changes nothing inside a basin and no slope outside.
    pub(super) fn best(&self, x: &[f64], u: &mut [f64]) {
        let limit = self.model.input_limit();
        self.lqr.input(x, u);
        u.iter_mut().for_each(|u| *u = u.clamp(-limit, limit));
    }

    /// All states of the expert's loops, `[N, n]`.
    pub(super) fn states(&self) -> Vec<f64> {
        self.loops.concat()
    }

    /// The smallest box around the expert's loops.
    pub(super) fn hull(&self) -> (Vec<f64>, Vec<f64>) {
        let n = self.model.state_dim();
        let end = |pick: fn(f64, f64) -> f64, first: f64| -> Vec<f64> {
            let column = |i: usize| self.loops.iter().flat_map(move |path| path.iter().skip(i).step_by(n));
            (0..n).map(|i| column(i).copied().fold(first, pick)).collect()
        };
        (end(f64::min, f64::INFINITY), end(f64::max, f64::NEG_INFINITY))
    }
}

/// The states that the run's demonstrations show.
fn samples(saved: &Saved, model: &dyn Model) -> Result<Vec<f64>, String> {
    let text = saved.config.as_ref().ok_or("a policy file does not say what it learnt from")?;
    let config = Config::parse("config.yaml", text, &[]).map_err(|error| error.to_string())?;
    let path = config.agent.demonstrations().ok_or("it learnt from no demonstrations")?;
    let shown = saved.task.demonstrations(path).map_err(|error| error.to_string())?;
    let (o, n) = (model.observation_dim(), model.state_dim());
    let mut states = Vec::new();
    for episode in &shown.episodes {
        let steps = episode.rewards.len();
        for obs in episode.observations.chunks_exact(o).take(steps) {
            let mut x = vec![0.0; n];
            model.state_of(obs, &mut x);
            states.extend(x);
        }
    }
    Ok(states)
}
