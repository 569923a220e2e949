//! The part that all MuJoCo tasks share: reset, step, saved state. A task adds observation, reward
//! and initial noise.

use crate::env::{Env, Frame};
use crate::error::EnvError;
use crate::given::Given;
use crate::mujoco::camera::Camera;
use crate::mujoco::common::{Info, observe_state};
use crate::mujoco::renderer::Renderer;
use crate::mujoco::sim::Sim;
use crate::numpy_rng::NumpyRng;
use crate::space::BoxSpace;
use crate::task::{Task, TaskEnv};

/// The rules that distinguish one MuJoCo task from another.
pub(super) trait MujocoTask: Send {
    /// Adds the initial noise to the model's own positions and velocities.
    fn randomise(&self, rng: &mut NumpyRng, qpos: &mut [f64], qvel: &mut [f64]);

    /// Number of positions that the observation leaves out at the front. `None` if the observation
    /// does not begin with the other positions and the velocities.
    fn hidden_positions(&self) -> Option<usize> {
        None
    }

    /// Appends the observation.
    fn observe(&self, sim: &Sim, obs: &mut Vec<f64>) {
        observe_state(sim, self.hidden_positions().unwrap_or(0), obs);
    }

    /// The point whose velocity between two steps enters the reward, metres.
    fn tracked(&self, _sim: &Sim) -> [f64; 2] {
        [0.0; 2]
    }

    /// True if `reward` can ever end an episode.
    fn can_terminate(&self) -> bool;

    /// Reward and termination after a step in which the tracked point moved with this velocity
    /// (metres per second). Appends the step's named quantities.
    fn reward(&self, sim: &Sim, velocity: [f64; 2], action: &[f64], info: &mut Info) -> (f64, bool);

    /// Appends the named quantities of a reset.
    fn reset_info(&self, _sim: &Sim, _info: &mut Info) {}

    /// The view of the task in pictures.
    fn camera(&self) -> Camera;
}

/// A MuJoCo task with its simulator.
pub(super) struct Simulation {
    sim: Sim,
    task: Box<dyn MujocoTask>,
    qpos: Vec<f64>,
    qvel: Vec<f64>,
    /// Observation under construction; its capacity is reused.
    observation: Vec<f64>,
    /// The tracked point after the last step. For tasks that track a body it lags behind the state
    /// by one simulation step, as Gymnasium's does. So it cannot be recomputed and is part of the
    /// saved state.
    tracked: [f64; 2],
    info: Info,
    /// The process that draws the pictures, from the first one on.
    renderer: Option<Renderer>,
}

impl Simulation {
    /// The environment of a task in this simulator.
    pub(super) fn env(given: &Given, mut sim: Sim, task: impl MujocoTask + 'static) -> Box<dyn Env> {
        let (qpos, qvel) = (sim.initial_qpos().to_vec(), vec![0.0; sim.qvel().len()]);
        sim.set(&qpos, &qvel);
        let mut observation = Vec::new();
        task.observe(&sim, &mut observation);
        let observations = BoxSpace::uniform(observation.len(), f64::NEG_INFINITY, f64::INFINITY);
        let actions = sim.action_space();
        let (task, tracked, info, renderer) = (Box::new(task), [0.0; 2], Info::new(), None);
        let simulation = Self { sim, task, qpos, qvel, observation, tracked, info, renderer };
        TaskEnv::boxed(given, observations, actions, simulation)
    }
}

impl Task for Simulation {
    fn reset(&mut self, rng: &mut NumpyRng, _options: &Given) -> Result<(), EnvError> {
        self.qpos.copy_from_slice(self.sim.initial_qpos());
        self.qvel.fill(0.0);
        self.task.randomise(rng, &mut self.qpos, &mut self.qvel);
        self.sim.set(&self.qpos, &self.qvel);
        self.tracked = self.task.tracked(&self.sim);
        self.info.clear();
        self.task.reset_info(&self.sim, &mut self.info);
        Ok(())
    }

    fn advance(&mut self, action: &[f64]) -> (f64, bool) {
        self.sim.advance(action);
        let (before, after) = (self.tracked, self.task.tracked(&self.sim));
        self.tracked = after;
        let dt = self.sim.dt();
        let velocity = [(after[0] - before[0]) / dt, (after[1] - before[1]) / dt];
        self.info.clear();
        self.task.reward(&self.sim, velocity, action, &mut self.info)
    }

    fn observe(&mut self, obs: &mut [f64]) {
        self.observation.clear();
        self.task.observe(&self.sim, &mut self.observation);
        obs.copy_from_slice(&self.observation);
    }

    fn can_terminate(&self) -> bool {
        self.task.can_terminate()
    }

    fn nudge(&mut self, coordinate: usize, by: f64) -> bool {
        self.task.hidden_positions().is_some_and(|hidden| self.sim.nudge(hidden + coordinate, by))
    }

    fn started_over(&self) -> bool {
        self.sim.started_over()
    }

    fn info(&self) -> &[(&'static str, f64)] {
        &self.info
    }

    fn render_fps(&self) -> f64 {
        1.0 / self.sim.dt()
    }

    fn render(&mut self) -> Result<Frame, String> {
        let mut renderer = match self.renderer.take() {
            Some(running) => running,
            None => Renderer::start(self.task.camera(), &self.sim.binary_model()?)?,
        };
        let picture = renderer.picture(&self.sim.state())?;
        // After a failure the next picture begins with a new process.
        self.renderer = Some(renderer);
        Ok(picture)
    }

    fn close(&mut self) {
        self.renderer = None;
    }

    fn state(&self) -> Vec<f64> {
        [&self.tracked, &*self.sim.state()].concat()
    }

    fn set_state(&mut self, state: &[f64]) -> Result<(), String> {
        let (tracked, sim) = state.split_at(self.tracked.len());
        self.sim.set_state(sim)?;
        self.tracked.copy_from_slice(tracked);
        self.info.clear();
        Ok(())
    }
}
