//! Reacher-v5: a two-joint arm reaches a random target.

use crate::mujoco::common::{add_uniform, difference, frame_skip, reward_weight, sum_of_squares, xml_file};
use crate::mujoco::env::{Info, MujocoEnv, Task};
use crate::mujoco::sim::Sim;
use crate::{EnvEntry, NumpyRng};

pub(super) const ENTRY: EnvEntry = EnvEntry {
    id: "Reacher-v5",
    doc: "A two-joint arm reaches a random target.",
    max_episode_steps: Some(50),
    options: &[
        xml_file("reacher.xml"),
        frame_skip(2),
        reward_weight("reward_dist_weight", 1.0, "Cost per metre between fingertip and target."),
        reward_weight("reward_control_weight", 1.0, "Cost per squared control."),
    ],
    build: |given| {
        let (dist_weight, ctrl_weight) = (given.number("reward_dist_weight")?, given.number("reward_control_weight")?);
        MujocoEnv::build(given, [4, 4, 1, 1, 0], |sim| {
            let [fingertip, target] = sim.named_bodies(given, ["fingertip", "target"])?;
            Ok(Box::new(Reacher { dist_weight, ctrl_weight, fingertip, target }))
        })
    },
};

struct Reacher {
    dist_weight: f64,
    ctrl_weight: f64,
    fingertip: usize,
    target: usize,
}

impl Task for Reacher {
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

    fn can_terminate(&self) -> bool {
        false
    }

    fn reward(&self, sim: &Sim, _velocity: [f64; 2], action: &[f64], info: &mut Info) -> (f64, bool) {
        let (_, distance) = difference(sim.xpos()[self.fingertip], sim.xpos()[self.target]);
        let dist = -distance * self.dist_weight;
        let ctrl = -sum_of_squares(action) * self.ctrl_weight;
        info.extend([("reward_dist", dist), ("reward_ctrl", ctrl)]);
        (dist + ctrl, false)
    }
}
