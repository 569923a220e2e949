//! Hopper-v5: a one-legged planar robot hops forwards.

use crate::mujoco::common::{
    EXCLUDE_POSITIONS, add_uniform, ctrl_cost_weight, exclude_current_positions, forward_reward_weight, frame_skip,
    healthy_angle_range, healthy_reward, healthy_z_range, inside, observe_clipped, planar_position, reset_noise_scale,
    sum_of_squares, terminate_when_unhealthy, xml_file,
};
use crate::mujoco::env::{Info, MujocoEnv, Task};
use crate::mujoco::sim::Sim;
use crate::{EnvEntry, NumpyRng, OptionDoc, OptionValue};

pub(super) const ENTRY: EnvEntry = EnvEntry {
    id: "Hopper-v5",
    doc: "A one-legged planar robot hops forwards.",
    max_episode_steps: Some(1000),
    options: &[
        xml_file("hopper.xml"),
        frame_skip(4),
        forward_reward_weight(1.0),
        ctrl_cost_weight(1e-3),
        healthy_reward(1.0),
        terminate_when_unhealthy(),
        OptionDoc::new(
            "healthy_state_range",
            OptionValue::Range(-100.0, 100.0),
            "Values of every coordinate but the first two positions that are healthy.",
        ),
        healthy_z_range(0.7, f64::INFINITY),
        healthy_angle_range(-0.2, 0.2),
        reset_noise_scale(5e-3),
        exclude_current_positions(),
    ],
    build: |given| {
        let mut task = Hopper {
            forward_weight: given.number("forward_reward_weight")?,
            ctrl_weight: given.number("ctrl_cost_weight")?,
            healthy_reward: given.number("healthy_reward")?,
            terminates: given.flag("terminate_when_unhealthy")?,
            state_range: given.range("healthy_state_range")?,
            z_range: given.range("healthy_z_range")?,
            angle_range: given.range("healthy_angle_range")?,
            noise: given.number("reset_noise_scale")?,
            skip: usize::from(given.flag(EXCLUDE_POSITIONS)?),
            initial_height: 0.0,
        };
        MujocoEnv::build(given, [3, 3, 1, 1, 0], |sim| {
            task.initial_height = sim.qpos()[1];
            Ok(Box::new(task))
        })
    },
};

struct Hopper {
    forward_weight: f64,
    ctrl_weight: f64,
    healthy_reward: f64,
    terminates: bool,
    state_range: (f64, f64),
    z_range: (f64, f64),
    angle_range: (f64, f64),
    noise: f64,
    skip: usize,
    initial_height: f64,
}

impl Hopper {
    fn healthy(&self, sim: &Sim) -> bool {
        let (qpos, qvel) = (sim.qpos(), sim.qvel());
        inside(qpos[1], self.z_range)
            && inside(qpos[2], self.angle_range)
            && qpos[2..].iter().chain(qvel).all(|x| inside(*x, self.state_range))
    }
}

impl Task for Hopper {
    fn randomise(&self, rng: &mut NumpyRng, qpos: &mut [f64], qvel: &mut [f64]) {
        add_uniform(rng, self.noise, qpos);
        add_uniform(rng, self.noise, qvel);
    }

    fn observe(&self, sim: &Sim, obs: &mut Vec<f64>) {
        observe_clipped(sim, self.skip, obs);
    }

    fn hidden_positions(&self) -> Option<usize> {
        Some(self.skip)
    }

    fn tracked(&self, sim: &Sim) -> [f64; 2] {
        [sim.qpos()[0], 0.0]
    }

    fn can_terminate(&self) -> bool {
        self.terminates
    }

    fn reward(&self, sim: &Sim, [x_velocity, _]: [f64; 2], action: &[f64], info: &mut Info) -> (f64, bool) {
        let healthy = self.healthy(sim);
        let forward = self.forward_weight * x_velocity;
        let survive = if healthy { self.healthy_reward } else { 0.0 };
        let ctrl = self.ctrl_weight * sum_of_squares(action);
        planar_position(sim, self.initial_height, info);
        info.extend([
            ("x_velocity", x_velocity),
            ("reward_forward", forward),
            ("reward_ctrl", -ctrl),
            ("reward_survive", survive),
        ]);
        (forward + survive - ctrl, !healthy && self.terminates)
    }

    fn reset_info(&self, sim: &Sim, info: &mut Info) {
        planar_position(sim, self.initial_height, info);
    }
}
