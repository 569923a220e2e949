//! Swimmer-v5: a planar chain of three links swims forwards.

use crate::entry::EnvEntry;
use crate::mujoco::camera::Camera;
use crate::mujoco::common::{Info, add_uniform, plane_position, sum_of_squares};
use crate::mujoco::options::options;
use crate::mujoco::sim::Sim;
use crate::mujoco::simulation::{MujocoTask, Simulation};
use crate::numpy_rng::NumpyRng;

pub(super) const ENTRY: EnvEntry = EnvEntry {
    id: "Swimmer-v5",
    doc: "A planar chain of three links swims forwards.",
    max_episode_steps: Some(1000),
    options: Swimmer::OPTIONS,
    build: |given| {
        let task = Swimmer::read(given)?;
        let sim = Sim::load(given, &task.xml_file, task.frame_skip, [2, 2, 1, 1, 0])?;
        Ok(Simulation::env(given, sim, task))
    },
};

options! {
    struct Swimmer {
        xml_file: String = OptionValue::text("swimmer.xml"),
        frame_skip: u32 = Count(4),
        forward_reward_weight: f64 = Number(1.0),
        ctrl_cost_weight: f64 = Number(1e-4),
        reset_noise_scale: f64 = NonNegative(0.1),
        exclude_current_positions_from_observation: bool = Flag(true),
    }
}

impl MujocoTask for Swimmer {
    fn randomise(&self, rng: &mut NumpyRng, qpos: &mut [f64], qvel: &mut [f64]) {
        add_uniform(rng, self.reset_noise_scale, qpos);
        add_uniform(rng, self.reset_noise_scale, qvel);
    }

    fn hidden_positions(&self) -> Option<usize> {
        Some(2 * usize::from(self.exclude_current_positions_from_observation))
    }

    fn tracked(&self, sim: &Sim) -> [f64; 2] {
        [sim.qpos()[0], sim.qpos()[1]]
    }

    fn camera(&self) -> Camera {
        Camera::default().following()
    }

    fn can_terminate(&self) -> bool {
        false
    }

    fn reward(&self, sim: &Sim, [x, y]: [f64; 2], action: &[f64], info: &mut Info) -> (f64, bool) {
        let forward = self.forward_reward_weight * x;
        let ctrl = self.ctrl_cost_weight * sum_of_squares(action);
        plane_position(sim, info);
        info.extend([("x_velocity", x), ("y_velocity", y), ("reward_forward", forward), ("reward_ctrl", -ctrl)]);
        (forward - ctrl, false)
    }

    fn reset_info(&self, sim: &Sim, info: &mut Info) {
        plane_position(sim, info);
    }
}
