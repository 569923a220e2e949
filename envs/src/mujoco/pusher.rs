//! Pusher-v5: an arm of seven joints pushes a cylinder to a goal.

use crate::entry::EnvEntry;
use crate::mujoco::camera::Camera;
use crate::mujoco::common::{Info, add_uniform, difference, sum_of_squares};
use crate::mujoco::options::options;
use crate::mujoco::sim::Sim;
use crate::mujoco::simulation::{MujocoTask, Simulation};
use crate::numpy_rng::NumpyRng;

pub(super) const ENTRY: EnvEntry = EnvEntry {
    id: "Pusher-v5",
    doc: "An arm of seven joints pushes a cylinder to a goal.",
    max_episode_steps: Some(100),
    options: PusherOptions::OPTIONS,
    build: |given| {
        let options = PusherOptions::read(given)?;
        let sim = Sim::load(given, &options.xml_file, options.frame_skip, [11, 11, 1, 1, 0])?;
        let [tip, object, goal] = sim.named_bodies(given, ["tips_arm", "object", "goal"])?;
        Ok(Simulation::env(given, sim, Pusher { options, tip, object, goal }))
    },
};

options! {
    struct PusherOptions {
        xml_file: String = OptionValue::text("pusher_v5.xml"),
        frame_skip: u32 = Count(5),
        /// Cost per metre between the arm's tip and the cylinder.
        reward_near_weight: f64 = Number(0.5),
        /// Cost per metre between the cylinder and the goal.
        reward_dist_weight: f64 = Number(1.0),
        reward_control_weight: f64 = Number(0.1),
    }
}

/// Joints of the arm; the cylinder's and the goal's coordinates follow them.
const JOINTS: usize = 7;

struct Pusher {
    options: PusherOptions,
    tip: usize,
    object: usize,
    goal: usize,
}

impl MujocoTask for Pusher {
    fn randomise(&self, rng: &mut NumpyRng, qpos: &mut [f64], qvel: &mut [f64]) {
        // The cylinder lies anywhere but near the goal, which is at the origin of its own
        // coordinates.
        let cylinder = loop {
            let place = [rng.uniform(-0.3, 0.0), rng.uniform(-0.2, 0.2)];
            if sum_of_squares(&place).sqrt() > 0.17 {
                break place;
            }
        };
        let free = qpos.len() - 4;
        qpos[free..].copy_from_slice(&[cylinder[0], cylinder[1], 0.0, 0.0]);
        add_uniform(rng, 0.005, qvel);
        let free = qvel.len() - 4;
        qvel[free..].fill(0.0);
    }

    fn observe(&self, sim: &Sim, obs: &mut Vec<f64>) {
        obs.extend_from_slice(&sim.qpos()[..JOINTS]);
        obs.extend_from_slice(&sim.qvel()[..JOINTS]);
        for body in [self.tip, self.object, self.goal] {
            obs.extend_from_slice(&sim.xpos()[body]);
        }
    }

    fn camera(&self) -> Camera {
        Camera::at(4.0)
    }

    fn can_terminate(&self) -> bool {
        false
    }

    fn reward(&self, sim: &Sim, _velocity: [f64; 2], action: &[f64], info: &mut Info) -> (f64, bool) {
        let object = sim.xpos()[self.object];
        let near = -difference(object, sim.xpos()[self.tip]).1 * self.options.reward_near_weight;
        let dist = -difference(object, sim.xpos()[self.goal]).1 * self.options.reward_dist_weight;
        let ctrl = -sum_of_squares(action) * self.options.reward_control_weight;
        info.extend([("reward_dist", dist), ("reward_ctrl", ctrl), ("reward_near", near)]);
        (dist + ctrl + near, false)
    }
}
