//! InvertedPendulum-v5: balance a pole on a cart.

use crate::entry::EnvEntry;
use crate::mujoco::camera::Camera;
use crate::mujoco::common::{Info, add_uniform};
use crate::mujoco::options::options;
use crate::mujoco::sim::Sim;
use crate::mujoco::simulation::{MujocoTask, Simulation};
use crate::numpy_rng::NumpyRng;

pub(super) const ENTRY: EnvEntry = EnvEntry {
    id: "InvertedPendulum-v5",
    doc: "Balance a pole on a cart.",
    max_episode_steps: Some(1000),
    options: InvertedPendulum::OPTIONS,
    build: |given| {
        let task = InvertedPendulum::read(given)?;
        let sim = Sim::load(given, &task.xml_file, task.frame_skip, [2, 2, 1, 1, 0])?;
        Ok(Simulation::env(given, sim, task))
    },
};

options! {
    struct InvertedPendulum {
        xml_file: String = OptionValue::text("inverted_pendulum.xml"),
        frame_skip: u32 = Count(2),
        reset_noise_scale: f64 = NonNegative(0.01),
    }
}

impl MujocoTask for InvertedPendulum {
    fn randomise(&self, rng: &mut NumpyRng, qpos: &mut [f64], qvel: &mut [f64]) {
        add_uniform(rng, self.reset_noise_scale, qpos);
        add_uniform(rng, self.reset_noise_scale, qvel);
    }

    fn hidden_positions(&self) -> Option<usize> {
        Some(0)
    }

    fn camera(&self) -> Camera {
        Camera::at(2.04)
    }

    fn can_terminate(&self) -> bool {
        true
    }

    fn reward(&self, sim: &Sim, _velocity: [f64; 2], _action: &[f64], info: &mut Info) -> (f64, bool) {
        let fallen = sim.qpos()[1].abs() > 0.2;
        let reward = if fallen { 0.0 } else { 1.0 };
        info.push(("reward_survive", reward));
        (reward, fallen)
    }
}
