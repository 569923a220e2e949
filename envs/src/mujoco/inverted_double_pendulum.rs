//! InvertedDoublePendulum-v5: balance two poles, one on the other, on a cart.

use crate::entry::EnvEntry;
use crate::mujoco::camera::Camera;
use crate::mujoco::common::{Info, add_normal, add_uniform};
use crate::mujoco::options::options;
use crate::mujoco::sim::Sim;
use crate::mujoco::simulation::{MujocoTask, Simulation};
use crate::numpy_rng::NumpyRng;

pub(super) const ENTRY: EnvEntry = EnvEntry {
    id: "InvertedDoublePendulum-v5",
    doc: "Balance two poles, one on the other, on a cart.",
    max_episode_steps: Some(1000),
    options: InvertedDoublePendulum::OPTIONS,
    build: |given| {
        let task = InvertedDoublePendulum::read(given)?;
        let sim = Sim::load(given, &task.xml_file, task.frame_skip, [3, 3, 1, 1, 1])?;
        Ok(Simulation::env(given, sim, task))
    },
};

options! {
    struct InvertedDoublePendulum {
        xml_file: String = OptionValue::text("inverted_double_pendulum.xml"),
        frame_skip: u32 = Count(5),
        healthy_reward: f64 = Number(10.0),
        reset_noise_scale: f64 = NonNegative(0.1),
    }
}

impl MujocoTask for InvertedDoublePendulum {
    fn randomise(&self, rng: &mut NumpyRng, qpos: &mut [f64], qvel: &mut [f64]) {
        add_uniform(rng, self.reset_noise_scale, qpos);
        add_normal(rng, self.reset_noise_scale, qvel);
    }

    fn observe(&self, sim: &Sim, obs: &mut Vec<f64>) {
        let angles = &sim.qpos()[1..];
        obs.push(sim.qpos()[0]);
        obs.extend(angles.iter().map(|angle| angle.sin()));
        obs.extend(angles.iter().map(|angle| angle.cos()));
        obs.extend(sim.qvel().iter().map(|v| v.clamp(-10.0, 10.0)));
        obs.push(sim.qfrc_constraint()[0].clamp(-10.0, 10.0));
    }

    fn camera(&self) -> Camera {
        Camera::default()
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
