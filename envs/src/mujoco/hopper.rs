//! Hopper-v5: a one-legged planar robot hops forwards.

use crate::entry::EnvEntry;
use crate::mujoco::camera::Camera;
use crate::mujoco::common::{Info, add_uniform, inside, observe_clipped, planar_position, sum_of_squares};
use crate::mujoco::options::options;
use crate::mujoco::sim::Sim;
use crate::mujoco::simulation::{MujocoTask, Simulation};
use crate::numpy_rng::NumpyRng;

pub(super) const ENTRY: EnvEntry = EnvEntry {
    id: "Hopper-v5",
    doc: "A one-legged planar robot hops forwards.",
    max_episode_steps: Some(1000),
    options: Hopper::OPTIONS,
    build: |given| {
        let task = Hopper::read(given)?;
        let sim = Sim::load(given, &task.xml_file, task.frame_skip, [3, 3, 1, 1, 0])?;
        Ok(Simulation::env(given, sim, task))
    },
};

options! {
    struct Hopper {
        xml_file: String = OptionValue::text("hopper.xml"),
        frame_skip: u32 = Count(4),
        forward_reward_weight: f64 = Number(1.0),
        ctrl_cost_weight: f64 = Number(1e-3),
        healthy_reward: f64 = Number(1.0),
        terminate_when_unhealthy: bool = Flag(true),
        /// Values of every coordinate but the first two positions that are healthy.
        healthy_state_range: (f64, f64) = Range(-100.0, 100.0),
        healthy_z_range: (f64, f64) = Range(0.7, f64::INFINITY),
        healthy_angle_range: (f64, f64) = Range(-0.2, 0.2),
        reset_noise_scale: f64 = NonNegative(5e-3),
        exclude_current_positions_from_observation: bool = Flag(true),
    }
}

impl Hopper {
    fn healthy(&self, sim: &Sim) -> bool {
        let (qpos, qvel) = (sim.qpos(), sim.qvel());
        inside(qpos[1], self.healthy_z_range)
            && inside(qpos[2], self.healthy_angle_range)
            && qpos[2..].iter().chain(qvel).all(|x| inside(*x, self.healthy_state_range))
    }
}

impl MujocoTask for Hopper {
    fn randomise(&self, rng: &mut NumpyRng, qpos: &mut [f64], qvel: &mut [f64]) {
        add_uniform(rng, self.reset_noise_scale, qpos);
        add_uniform(rng, self.reset_noise_scale, qvel);
    }

    fn hidden_positions(&self) -> Option<usize> {
        Some(usize::from(self.exclude_current_positions_from_observation))
    }

    fn observe(&self, sim: &Sim, obs: &mut Vec<f64>) {
        observe_clipped(sim, usize::from(self.exclude_current_positions_from_observation), obs);
    }

    fn tracked(&self, sim: &Sim) -> [f64; 2] {
        [sim.qpos()[0], 0.0]
    }

    fn camera(&self) -> Camera {
        Camera::level(3.0, 1.15).following()
    }

    fn can_terminate(&self) -> bool {
        self.terminate_when_unhealthy
    }

    fn reward(&self, sim: &Sim, [x_velocity, _]: [f64; 2], action: &[f64], info: &mut Info) -> (f64, bool) {
        let healthy = self.healthy(sim);
        let forward = self.forward_reward_weight * x_velocity;
        let survive = if healthy { self.healthy_reward } else { 0.0 };
        let ctrl = self.ctrl_cost_weight * sum_of_squares(action);
        planar_position(sim, info);
        info.extend([
            ("x_velocity", x_velocity),
            ("reward_forward", forward),
            ("reward_ctrl", -ctrl),
            ("reward_survive", survive),
        ]);
        (forward + survive - ctrl, !healthy && self.terminate_when_unhealthy)
    }

    fn reset_info(&self, sim: &Sim, info: &mut Info) {
        planar_position(sim, info);
    }
}
