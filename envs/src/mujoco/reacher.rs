//! Reacher-v5: a two-joint arm reaches a random target.

use crate::entry::EnvEntry;
use crate::mujoco::camera::Camera;
use crate::mujoco::common::{Info, add_uniform, difference, sum_of_squares};
use crate::mujoco::options::options;
use crate::mujoco::sim::Sim;
use crate::mujoco::simulation::{MujocoTask, Simulation};
use crate::numpy_rng::NumpyRng;

pub(super) const ENTRY: EnvEntry = EnvEntry {
    id: "Reacher-v5",
    doc: "A two-joint arm reaches a random target.",
    max_episode_steps: Some(50),
    options: ReacherOptions::OPTIONS,
    build: |given| {
        let options = ReacherOptions::read(given)?;
        let sim = Sim::load(given, &options.xml_file, options.frame_skip, [4, 4, 1, 1, 0])?;
        let [fingertip, target] = sim.named_bodies(given, ["fingertip", "target"])?;
        Ok(Simulation::env(given, sim, Reacher { options, fingertip, target }))
    },
};

options! {
    struct ReacherOptions {
        xml_file: String = OptionValue::text("reacher.xml"),
        frame_skip: u32 = Count(2),
        /// Cost per metre between fingertip and target.
        reward_dist_weight: f64 = Number(1.0),
        reward_control_weight: f64 = Number(1.0),
    }
}

struct Reacher {
    options: ReacherOptions,
    fingertip: usize,
    target: usize,
}

impl MujocoTask for Reacher {
    fn randomise(&self, rng: &mut NumpyRng, qpos: &mut [f64], qvel: &mut [f64]) {
        add_uniform(rng, 0.1, qpos);
        let target = qpos.len() - 2;
        loop {
            let goal = [rng.uniform(-0.2, 0.2), rng.uniform(-0.2, 0.2)];
            if sum_of_squares(&goal).sqrt() < 0.2 {
                qpos[target..].copy_from_slice(&goal);
                break;
            }
        }
        add_uniform(rng, 0.005, qvel);
        let target = qvel.len() - 2;
        qvel[target..].fill(0.0);
    }

    fn observe(&self, sim: &Sim, obs: &mut Vec<f64>) {
        let (angles, target) = sim.qpos().split_at(2);
        obs.extend(angles.iter().map(|angle| angle.cos()));
        obs.extend(angles.iter().map(|angle| angle.sin()));
        obs.extend_from_slice(target);
        obs.extend_from_slice(&sim.qvel()[..2]);
        obs.extend_from_slice(&difference(sim.xpos()[self.fingertip], sim.xpos()[self.target]).0[..2]);
    }

    fn camera(&self) -> Camera {
        Camera::default()
    }

    fn can_terminate(&self) -> bool {
        false
    }

    fn reward(&self, sim: &Sim, _velocity: [f64; 2], action: &[f64], info: &mut Info) -> (f64, bool) {
        let (_, distance) = difference(sim.xpos()[self.fingertip], sim.xpos()[self.target]);
        let dist = -distance * self.options.reward_dist_weight;
        let ctrl = -sum_of_squares(action) * self.options.reward_control_weight;
        info.extend([("reward_dist", dist), ("reward_ctrl", ctrl)]);
        (dist + ctrl, false)
    }
}
