//! HalfCheetah-v5: a two-legged planar robot runs forwards.

use crate::entry::EnvEntry;
use crate::mujoco::camera::Camera;
use crate::mujoco::common::{Info, add_normal, add_uniform, sum_of_squares};
use crate::mujoco::options::options;
use crate::mujoco::sim::Sim;
use crate::mujoco::simulation::{MujocoTask, Simulation};
use crate::numpy_rng::NumpyRng;

pub(super) const ENTRY: EnvEntry = EnvEntry {
    id: "HalfCheetah-v5",
    doc: "A two-legged planar robot runs forwards.",
    max_episode_steps: Some(1000),
    options: HalfCheetah::OPTIONS,
    build: |given| {
        let task = HalfCheetah::read(given)?;
        let sim = Sim::load(given, &task.xml_file, task.frame_skip, [1, 1, 1, 1, 0])?;
        Ok(Simulation::env(given, sim, task))
    },
};

options! {
    struct HalfCheetah {
        xml_file: String = OptionValue::text("half_cheetah.xml"),
        frame_skip: u32 = Count(5),
        forward_reward_weight: f64 = Number(1.0),
        ctrl_cost_weight: f64 = Number(0.1),
        reset_noise_scale: f64 = NonNegative(0.1),
        exclude_current_positions_from_observation: bool = Flag(true),
    }
}

impl MujocoTask for HalfCheetah {
    fn randomise(&self, rng: &mut NumpyRng, qpos: &mut [f64], qvel: &mut [f64]) {
        add_uniform(rng, self.reset_noise_scale, qpos);
        add_normal(rng, self.reset_noise_scale, qvel);
    }

    fn hidden_positions(&self) -> Option<usize> {
        Some(usize::from(self.exclude_current_positions_from_observation))
    }

    fn tracked(&self, sim: &Sim) -> [f64; 2] {
        [sim.qpos()[0], 0.0]
    }

    fn camera(&self) -> Camera {
        Camera::at(4.0).following()
    }

    fn can_terminate(&self) -> bool {
        false
    }

    fn reward(&self, sim: &Sim, [x_velocity, _]: [f64; 2], action: &[f64], info: &mut Info) -> (f64, bool) {
        let forward = self.forward_reward_weight * x_velocity;
        let ctrl = self.ctrl_cost_weight * sum_of_squares(action);
        info.extend([
            ("x_position", sim.qpos()[0]),
            ("x_velocity", x_velocity),
            ("reward_forward", forward),
            ("reward_ctrl", -ctrl),
        ]);
        (forward - ctrl, false)
    }

    fn reset_info(&self, sim: &Sim, info: &mut Info) {
        info.push(("x_position", sim.qpos()[0]));
    }
}
