//! Humanoid-v5: a humanoid walks forwards. With all four `include_…` options off the observation is
//! the truncated one (45) of model-based work. HumanoidStandup-v5 shares the observation and the
//! contact cost.

use crate::entry::EnvEntry;
use crate::mujoco::camera::Camera;
use crate::mujoco::common::{Info, add_uniform, inside, observe_state, plane_position, sum_of_squares};
use crate::mujoco::options::options;
use crate::mujoco::sim::{Needs, Sim};
use crate::mujoco::simulation::{MujocoTask, Simulation};
use crate::numpy_rng::NumpyRng;

pub(super) const ENTRY: EnvEntry = EnvEntry {
    id: "Humanoid-v5",
    doc: "A humanoid walks forwards.",
    max_episode_steps: Some(1000),
    options: Humanoid::OPTIONS,
    build: |given| {
        let task = Humanoid::read(given)?;
        let sim = Sim::load(given, &task.xml_file, task.frame_skip, NEEDS)?;
        Ok(Simulation::env(given, sim, task))
    },
};

options! {
    struct Humanoid {
        xml_file: String = OptionValue::text("humanoid.xml"),
        frame_skip: u32 = Count(5),
        forward_reward_weight: f64 = Number(1.25),
        ctrl_cost_weight: f64 = Number(0.1),
        /// Cost per squared contact force, before clipping.
        contact_cost_weight: f64 = Number(5e-7),
        /// The contact cost is clipped to this.
        contact_cost_range: (f64, f64) = Range(f64::NEG_INFINITY, 10.0),
        healthy_reward: f64 = Number(5.0),
        terminate_when_unhealthy: bool = Flag(true),
        healthy_z_range: (f64, f64) = Range(1.0, 2.0),
        reset_noise_scale: f64 = NonNegative(0.01),
        exclude_current_positions_from_observation: bool = Flag(true),
        include_cinert_in_observation: bool = Flag(true),
        include_cvel_in_observation: bool = Flag(true),
        include_qfrc_actuator_in_observation: bool = Flag(true),
        include_cfrc_ext_in_observation: bool = Flag(true),
    }
}

/// A free joint's seven coordinates before the actuated ones.
pub(super) const NEEDS: Needs = [7, 6, 1, 1, 0];

/// Appends the state without its first `skip` positions, and the parts that the four `include_…`
/// options select. `parts` is in the order of the options.
pub(super) fn observe_humanoid(sim: &Sim, skip: usize, parts: [bool; 4], obs: &mut Vec<f64>) {
    observe_state(sim, skip, obs);
    let all = [
        sim.cinert()[1..].as_flattened(),
        sim.cvel()[1..].as_flattened(),
        &sim.qfrc_actuator()[6..],
        sim.cfrc_ext()[1..].as_flattened(),
    ];
    for (part, _) in all.into_iter().zip(parts).filter(|(_, selected)| *selected) {
        obs.extend_from_slice(part);
    }
}

/// Appends lengths and velocities of the two hip tendons.
pub(super) fn tendons(sim: &Sim, info: &mut Info) {
    let (lengths, velocities) = sim.tendons();
    info.extend(["tendon_length_0", "tendon_length_1"].into_iter().zip(lengths.iter().copied()));
    info.extend(["tendon_velocity_0", "tendon_velocity_1"].into_iter().zip(velocities.iter().copied()));
}

/// The weighted sum of squared contact forces, clipped.
pub(super) fn contact_cost(sim: &Sim, weight: f64, (low, high): (f64, f64)) -> f64 {
    (weight * sum_of_squares(sim.cfrc_ext().as_flattened())).max(low).min(high)
}

impl MujocoTask for Humanoid {
    fn randomise(&self, rng: &mut NumpyRng, qpos: &mut [f64], qvel: &mut [f64]) {
        add_uniform(rng, self.reset_noise_scale, qpos);
        add_uniform(rng, self.reset_noise_scale, qvel);
    }

    fn hidden_positions(&self) -> Option<usize> {
        Some(2 * usize::from(self.exclude_current_positions_from_observation))
    }

    fn observe(&self, sim: &Sim, obs: &mut Vec<f64>) {
        let parts = [
            self.include_cinert_in_observation,
            self.include_cvel_in_observation,
            self.include_qfrc_actuator_in_observation,
            self.include_cfrc_ext_in_observation,
        ];
        observe_humanoid(sim, 2 * usize::from(self.exclude_current_positions_from_observation), parts, obs);
    }

    /// The centre of mass.
    fn tracked(&self, sim: &Sim) -> [f64; 2] {
        let masses = sim.masses();
        let total: f64 = masses.iter().sum();
        [0, 1].map(|axis| {
            let moment: f64 = masses.iter().zip(sim.xipos()).map(|(mass, position)| mass * position[axis]).sum();
            moment / total
        })
    }

    fn camera(&self) -> Camera {
        Camera::level(4.0, 2.0).following()
    }

    fn can_terminate(&self) -> bool {
        self.terminate_when_unhealthy
    }

    fn reward(&self, sim: &Sim, [x, y]: [f64; 2], _action: &[f64], info: &mut Info) -> (f64, bool) {
        let healthy = inside(sim.qpos()[2], self.healthy_z_range);
        let forward = self.forward_reward_weight * x;
        let survive = if healthy { self.healthy_reward } else { 0.0 };
        let ctrl = self.ctrl_cost_weight * sum_of_squares(sim.ctrl());
        let contact = contact_cost(sim, self.contact_cost_weight, self.contact_cost_range);
        plane_position(sim, info);
        tendons(sim, info);
        info.extend([
            ("x_velocity", x),
            ("y_velocity", y),
            ("reward_survive", survive),
            ("reward_forward", forward),
            ("reward_ctrl", -ctrl),
            ("reward_contact", -contact),
        ]);
        (forward + survive - (ctrl + contact), !healthy && self.terminate_when_unhealthy)
    }

    fn reset_info(&self, sim: &Sim, info: &mut Info) {
        plane_position(sim, info);
        tendons(sim, info);
    }
}
