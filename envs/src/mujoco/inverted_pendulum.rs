//! InvertedPendulum-v5: balance a pole on a cart.

use crate::mujoco::common::{add_uniform, frame_skip, reset_noise_scale, xml_file};
use crate::mujoco::env::{Info, MujocoEnv, Task};
use crate::mujoco::sim::Sim;
use crate::{EnvEntry, NumpyRng};

pub(super) const ENTRY: EnvEntry = EnvEntry {
    id: "InvertedPendulum-v5",
    doc: "Balance a pole on a cart.",
    max_episode_steps: Some(1000),
    options: &[xml_file("inverted_pendulum.xml"), frame_skip(2), reset_noise_scale(0.01)],
    build: |given| {
        let noise = given.number("reset_noise_scale")?;
        MujocoEnv::build(given, [2, 2, 1, 1, 0], |_| Ok(Box::new(InvertedPendulum { noise })))
    },
};

struct InvertedPendulum {
    noise: f64,
}

impl Task for InvertedPendulum {
    fn randomise(&self, rng: &mut NumpyRng, qpos: &mut [f64], qvel: &mut [f64]) {
        add_uniform(rng, self.noise, qpos);
        add_uniform(rng, self.noise, qvel);
    }

    fn observe(&self, sim: &Sim, obs: &mut Vec<f64>) {
        obs.extend_from_slice(sim.qpos());
        obs.extend_from_slice(sim.qvel());
    }

    fn hidden_positions(&self) -> Option<usize> {
        Some(0)
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
