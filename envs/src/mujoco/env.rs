//! What all MuJoCo tasks share: reset, step, save. A task adds observation, reward and initial noise.

use crate::env::{check_action, check_finite, check_observation};
use crate::mujoco::sim::Sim;
use crate::{BoxSpace, Env, EnvError, EnvSpec, Given, NumpyRng, Options, StateReader, StateWriter, Step};

/// Named quantities of a step.
pub(super) type Info = Vec<(&'static str, f64)>;

/// What distinguishes one task from another.
pub(super) trait Task: Send {
    /// Adds the initial noise to the model's own positions and velocities.
    fn randomise(&self, rng: &mut NumpyRng, qpos: &mut [f64], qvel: &mut [f64]);

    /// Appends the observation.
    fn observe(&self, sim: &Sim, obs: &mut Vec<f64>);

    /// Where the observation begins with positions and velocities as they are: how many positions it leaves out at the front.
    fn hidden_positions(&self) -> Option<usize> {
        None
    }

    /// The point whose velocity between two steps the reward sees, metres.
    fn tracked(&self, _sim: &Sim) -> [f64; 2] {
        [0.0; 2]
    }

    /// Whether `reward` can ever end an episode.
    fn can_terminate(&self) -> bool;

    /// Reward and termination after a step in which the tracked point moved with this velocity (metres per second).
    fn reward(&self, sim: &Sim, velocity: [f64; 2], action: &[f64], info: &mut Info) -> (f64, bool);

    /// Named quantities after a reset.
    fn reset_info(&self, _sim: &Sim, _info: &mut Info) {}
}

pub(super) struct MujocoEnv {
    spec: EnvSpec,
    sim: Sim,
    task: Box<dyn Task>,
    observation_space: BoxSpace,
    action_space: BoxSpace,
    rng: NumpyRng,
    /// The model's own state, to which resets add noise.
    initial: (Vec<f64>, Vec<f64>),
    qpos: Vec<f64>,
    qvel: Vec<f64>,
    /// Observation under construction; its capacity is reused.
    observation: Vec<f64>,
    /// The tracked point after the last step. It lags behind the state by one simulation step for tasks that track a
    /// body, as Gymnasium's does, so it cannot be recomputed and is part of the saved state.
    tracked: [f64; 2],
    info: Info,
    over: bool,
}

/// Fewest positions, velocities, actuators, bodies and sites of a model that a task can work with.
pub(super) type Needs = [usize; 5];

impl MujocoEnv {
    /// The environment of a task; `task` is given the loaded model.
    pub(super) fn build(
        given: &Given,
        needs: Needs,
        task: impl FnOnce(&Sim) -> Result<Box<dyn Task>, EnvError>,
    ) -> Result<Box<dyn Env>, EnvError> {
        let simulator = |problem| EnvError::Simulator { id: given.spec.id.clone(), problem };
        let mut sim = Sim::load(given.text("xml_file")?, given.count("frame_skip")?).map_err(simulator)?;
        let names = ["positions", "velocities", "actuators", "bodies", "sites"];
        for ((name, found), needed) in names.iter().zip(sim.sizes()).zip(needs) {
            if found < needed {
                let problem = format!("the model has {found} {name}, this task needs at least {needed}");
                return Err(given.bad("xml_file", problem));
            }
        }
        let task = task(&sim)?;
        let initial = sim.initial();
        sim.set(&initial.0, &initial.1);
        let mut observation = Vec::new();
        task.observe(&sim, &mut observation);
        Ok(Box::new(Self {
            observation_space: BoxSpace::uniform(observation.len(), f64::NEG_INFINITY, f64::INFINITY),
            action_space: sim.action_space(),
            spec: given.spec.clone(),
            sim,
            task,
            rng: NumpyRng::new(0),
            qpos: initial.0.clone(),
            qvel: initial.1.clone(),
            initial,
            observation,
            tracked: [0.0; 2],
            info: Info::new(),
            over: true,
        }))
    }

    fn write_observation(&mut self, obs: &mut [f64]) -> Result<(), EnvError> {
        self.observation.clear();
        self.task.observe(&self.sim, &mut self.observation);
        check_finite(&self.spec.id, "observation", &self.observation)?;
        obs.copy_from_slice(&self.observation);
        Ok(())
    }
}

impl Env for MujocoEnv {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn observation_space(&self) -> &BoxSpace {
        &self.observation_space
    }

    fn action_space(&self) -> &BoxSpace {
        &self.action_space
    }

    fn can_terminate(&self) -> bool {
        self.task.can_terminate()
    }

    fn nudge(&mut self, coordinate: usize, by: f64) -> bool {
        self.task.hidden_positions().is_some_and(|hidden| self.sim.nudge(hidden + coordinate, by))
    }

    fn reset(&mut self, seed: Option<u64>, options: &Options, obs: &mut [f64]) -> Result<(), EnvError> {
        crate::options::refuse_unknown(&self.spec.id, options, std::iter::empty())?;
        check_observation(self, obs)?;
        if let Some(seed) = seed {
            self.rng = NumpyRng::new(seed);
        }
        self.qpos.copy_from_slice(&self.initial.0);
        self.qvel.copy_from_slice(&self.initial.1);
        self.task.randomise(&mut self.rng, &mut self.qpos, &mut self.qvel);
        self.sim.set(&self.qpos, &self.qvel);
        self.tracked = self.task.tracked(&self.sim);
        self.info.clear();
        self.task.reset_info(&self.sim, &mut self.info);
        self.over = false;
        self.write_observation(obs)
    }

    fn step(&mut self, action: &[f64], obs: &mut [f64]) -> Result<Step, EnvError> {
        if self.over {
            return Err(EnvError::NeedsReset { id: self.spec.id.clone() });
        }
        check_action(self, action)?;
        check_observation(self, obs)?;
        self.sim.advance(action);
        let (before, after) = (self.tracked, self.task.tracked(&self.sim));
        self.tracked = after;
        let dt = self.sim.dt();
        let velocity = [(after[0] - before[0]) / dt, (after[1] - before[1]) / dt];
        self.info.clear();
        let (reward, terminated) = self.task.reward(&self.sim, velocity, action, &mut self.info);
        self.over = terminated;
        self.write_observation(obs)?;
        check_finite(&self.spec.id, "reward", &[reward])?;
        Ok(Step { reward, terminated, truncated: false })
    }

    fn info(&self) -> &[(&'static str, f64)] {
        &self.info
    }

    fn save(&self) -> Vec<u8> {
        StateWriter::new(&self.spec.id)
            .word(u64::from(self.over))
            .numbers(&self.tracked)
            .rng(&self.rng)
            .numbers(&self.sim.state())
            .finish()
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let mut reader = StateReader::new(&self.spec.id, &self.spec.id, state)?;
        let over = reader.word()? != 0;
        let mut tracked = [0.0; 2];
        reader.numbers(&mut tracked)?;
        let rng = reader.rng()?;
        let mut sim_state = vec![0.0; self.sim.state_len()];
        reader.numbers(&mut sim_state)?;
        reader.finish()?;
        self.sim.set_state(&sim_state).map_err(|problem| EnvError::BadState { id: self.spec.id.clone(), problem })?;
        (self.over, self.tracked, self.rng) = (over, tracked, rng);
        self.info.clear();
        Ok(())
    }
}
