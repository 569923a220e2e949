//! HalfCheetah-v5: a two-legged planar robot runs forwards.

use crate::mujoco::common::{
    EXCLUDE_POSITIONS, add_normal, add_uniform, ctrl_cost_weight, exclude_current_positions, forward_reward_weight,
    frame_skip, reset_noise_scale, sum_of_squares, xml_file,
};
use crate::mujoco::env::{Info, MujocoEnv, Task};
use crate::mujoco::sim::Sim;
use crate::{EnvEntry, NumpyRng};

pub(super) const ENTRY: EnvEntry = EnvEntry {
    id: "HalfCheetah-v5",
    doc: "A two-legged planar robot runs forwards.",
    max_episode_steps: Some(1000),
    options: &[
        xml_file("half_cheetah.xml"),
        frame_skip(5),
        forward_reward_weight(1.0),
        ctrl_cost_weight(0.1),
        reset_noise_scale(0.1),
        exclude_current_positions(),
    ],
    build: |given| {
        let task = HalfCheetah {
            forward_weight: given.number("forward_reward_weight")?,
            ctrl_weight: given.number("ctrl_cost_weight")?,
            noise: given.number("reset_noise_scale")?,
            skip: usize::from(given.flag(EXCLUDE_POSITIONS)?),
        };
        MujocoEnv::build(given, [1, 1, 1, 1, 0], |_| Ok(Box::new(task)))
    },
};

struct HalfCheetah {
    forward_weight: f64,
    ctrl_weight: f64,
    noise: f64,
    skip: usize,
}

impl Task for HalfCheetah {
    fn randomise(&self, rng: &mut NumpyRng, qpos: &mut [f64], qvel: &mut [f64]) {
        add_uniform(rng, self.noise, qpos);
        add_normal(rng, self.noise, qvel);
    }

    fn observe(&self, sim: &Sim, obs: &mut Vec<f64>) {
        obs.extend_from_slice(&sim.qpos()[self.skip..]);
        obs.extend_from_slice(sim.qvel());
    }

    fn hidden_positions(&self) -> Option<usize> {
        Some(self.skip)
    }

    fn tracked(&self, sim: &Sim) -> [f64; 2] {
        [sim.qpos()[0], 0.0]
    }

    fn can_terminate(&self) -> bool {
        false
    }

    fn reward(&self, sim: &Sim, [x_velocity, _]: [f64; 2], action: &[f64], info: &mut Info) -> (f64, bool) {
        let forward = self.forward_weight * x_velocity;
        let ctrl = self.ctrl_weight * sum_of_squares(action);
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
