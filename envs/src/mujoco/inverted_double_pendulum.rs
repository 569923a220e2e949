//! InvertedDoublePendulum-v5: balance two poles, one on the other, on a cart.

use crate::mujoco::common::{add_normal, add_uniform, frame_skip, healthy_reward, reset_noise_scale, xml_file};
use crate::mujoco::env::{Info, MujocoEnv, Task};
use crate::mujoco::sim::Sim;
use crate::{EnvEntry, NumpyRng};

pub(super) const ENTRY: EnvEntry = EnvEntry {
    id: "InvertedDoublePendulum-v5",
    doc: "Balance two poles, one on the other, on a cart.",
    max_episode_steps: Some(1000),
    options: &[xml_file("inverted_double_pendulum.xml"), frame_skip(5), healthy_reward(10.0), reset_noise_scale(0.1)],
    build: |given| {
        let task = InvertedDoublePendulum {
            healthy_reward: given.number("healthy_reward")?,
            noise: given.number("reset_noise_scale")?,
        };
        MujocoEnv::build(given, [3, 3, 1, 1, 1], |_| Ok(Box::new(task)))
    },
};

struct InvertedDoublePendulum {
    healthy_reward: f64,
    noise: f64,
}

impl Task for InvertedDoublePendulum {
    fn randomise(&self, rng: &mut NumpyRng, qpos: &mut [f64], qvel: &mut [f64]) {
        add_uniform(rng, self.noise, qpos);
        add_normal(rng, self.noise, qvel);
    }

    fn observe(&self, sim: &Sim, obs: &mut Vec<f64>) {
        let angles = &sim.qpos()[1..];
        obs.push(sim.qpos()[0]);
        obs.extend(angles.iter().map(|angle| angle.sin()));
        obs.extend(angles.iter().map(|angle| angle.cos()));
        obs.extend(sim.qvel().iter().map(|v| v.clamp(-10.0, 10.0)));
        obs.push(sim.qfrc_constraint()[0].clamp(-10.0, 10.0));
    }

    fn can_terminate(&self) -> bool {
        true
    }

    fn reward(&self, sim: &Sim, _velocity: [f64; 2], _action: &[f64], info: &mut Info) -> (f64, bool) {
        let [x, _, y] = sim.site(0);
        let (v1, v2) = (sim.qvel()[1], sim.qvel()[2]);
        let fallen = y <= 1.0;
        let distance = 0.01 * (x * x) + (y - 2.0) * (y - 2.0);
        let speed = 1e-3 * (v1 * v1) + 5e-3 * (v2 * v2);
        let alive = if fallen { 0.0 } else { self.healthy_reward };
        info.extend([("reward_survive", alive), ("distance_penalty", -distance), ("velocity_penalty", -speed)]);
        (alive - distance - speed, fallen)
    }
}
