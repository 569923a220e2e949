//! Humanoid-v5: a humanoid walks forwards. With all four `include_…` options off the observation is the truncated
//! one (45) of model-based work. The observation is shared with HumanoidStandup-v5.

use crate::mujoco::common::{
    EXCLUDE_POSITIONS, add_uniform, ctrl_cost_weight, exclude_current_positions, forward_reward_weight, frame_skip,
    healthy_reward, healthy_z_range, include_in_observation, inside, plane_position, reset_noise_scale, reward_weight,
    sum_of_squares, terminate_when_unhealthy, xml_file,
};
use crate::mujoco::env::{Info, MujocoEnv, Task};
use crate::mujoco::sim::Sim;
use crate::{EnvEntry, EnvError, Given, NumpyRng, OptionDoc, OptionValue};

pub(super) const ENTRY: EnvEntry = EnvEntry {
    id: "Humanoid-v5",
    doc: "A humanoid walks forwards.",
    max_episode_steps: Some(1000),
    options: &[
        xml_file("humanoid.xml"),
        frame_skip(5),
        forward_reward_weight(1.25),
        ctrl_cost_weight(0.1),
        reward_weight("contact_cost_weight", 5e-7, "Cost per squared contact force, before clipping."),
        OptionDoc::new(
            "contact_cost_range",
            OptionValue::Range(f64::NEG_INFINITY, 10.0),
            "The contact cost is clipped to this.",
        ),
        healthy_reward(5.0),
        terminate_when_unhealthy(),
        healthy_z_range(1.0, 2.0),
        reset_noise_scale(0.01),
        exclude_current_positions(),
        INERTIAS,
        VELOCITIES,
        ACTUATORS,
        CONTACTS,
    ],
    build: |given| {
        let mut task = Humanoid {
            forward_weight: given.number("forward_reward_weight")?,
            ctrl_weight: given.number("ctrl_cost_weight")?,
            contact_weight: given.number("contact_cost_weight")?,
            contact_range: given.range("contact_cost_range")?,
            healthy_reward: given.number("healthy_reward")?,
            terminates: given.flag("terminate_when_unhealthy")?,
            z_range: given.range("healthy_z_range")?,
            noise: given.number("reset_noise_scale")?,
            observed: Observed::new(given)?,
            masses: Vec::new(),
        };
        MujocoEnv::build(given, NEEDS, |sim| {
            task.masses = sim.masses();
            Ok(Box::new(task))
        })
    },
};

/// A free joint's seven coordinates before the actuated ones.
pub(super) const NEEDS: [usize; 5] = [7, 6, 1, 1, 0];

// The parts of the observation that can be left out.
pub(super) const INERTIAS: OptionDoc =
    include_in_observation("include_cinert_in_observation", "Observe the bodies' masses and inertias.");
pub(super) const VELOCITIES: OptionDoc =
    include_in_observation("include_cvel_in_observation", "Observe the bodies' velocities.");
pub(super) const ACTUATORS: OptionDoc =
    include_in_observation("include_qfrc_actuator_in_observation", "Observe the actuators' forces on the joints.");
pub(super) const CONTACTS: OptionDoc =
    include_in_observation("include_cfrc_ext_in_observation", "Observe the contact forces on the bodies.");

/// What a humanoid observes.
pub(super) struct Observed {
    /// Positions left out at the front.
    pub(super) skip: usize,
    inertias: bool,
    velocities: bool,
    actuators: bool,
    contacts: bool,
}

impl Observed {
    pub(super) fn new(given: &Given) -> Result<Self, EnvError> {
        Ok(Self {
            skip: 2 * usize::from(given.flag(EXCLUDE_POSITIONS)?),
            inertias: given.flag(INERTIAS.name)?,
            velocities: given.flag(VELOCITIES.name)?,
            actuators: given.flag(ACTUATORS.name)?,
            contacts: given.flag(CONTACTS.name)?,
        })
    }

    pub(super) fn write(&self, sim: &Sim, obs: &mut Vec<f64>) {
        obs.extend_from_slice(&sim.qpos()[self.skip..]);
        obs.extend_from_slice(sim.qvel());
        if self.inertias {
            obs.extend_from_slice(sim.cinert()[1..].as_flattened());
        }
        if self.velocities {
            obs.extend_from_slice(sim.cvel()[1..].as_flattened());
        }
        if self.actuators {
            obs.extend_from_slice(&sim.qfrc_actuator()[6..]);
        }
        if self.contacts {
            obs.extend_from_slice(sim.cfrc_ext()[1..].as_flattened());
        }
    }
}

/// Lengths and velocities of the two hip tendons.
pub(super) fn tendons(sim: &Sim, info: &mut Info) {
    let (lengths, velocities) = sim.tendons();
    info.extend(["tendon_length_0", "tendon_length_1"].into_iter().zip(lengths.iter().copied()));
    info.extend(["tendon_velocity_0", "tendon_velocity_1"].into_iter().zip(velocities.iter().copied()));
}

/// Weighted sum of squared contact forces, clipped.
pub(super) fn contact_cost(sim: &Sim, weight: f64, (low, high): (f64, f64)) -> f64 {
    (weight * sum_of_squares(sim.cfrc_ext().as_flattened())).max(low).min(high)
}

struct Humanoid {
    forward_weight: f64,
    ctrl_weight: f64,
    contact_weight: f64,
    contact_range: (f64, f64),
    healthy_reward: f64,
    terminates: bool,
    z_range: (f64, f64),
    noise: f64,
    observed: Observed,
    masses: Vec<f64>,
}

impl Task for Humanoid {
    fn randomise(&self, rng: &mut NumpyRng, qpos: &mut [f64], qvel: &mut [f64]) {
        add_uniform(rng, self.noise, qpos);
        add_uniform(rng, self.noise, qvel);
    }

    fn observe(&self, sim: &Sim, obs: &mut Vec<f64>) {
        self.observed.write(sim, obs);
    }

    fn hidden_positions(&self) -> Option<usize> {
        Some(self.observed.skip)
    }

    /// The centre of mass.
    fn tracked(&self, sim: &Sim) -> [f64; 2] {
        let total: f64 = self.masses.iter().sum();
        [0, 1].map(|axis| {
            let moment: f64 = self.masses.iter().zip(sim.xipos()).map(|(mass, position)| mass * position[axis]).sum();
            moment / total
        })
    }

    fn can_terminate(&self) -> bool {
        self.terminates
    }

    fn reward(&self, sim: &Sim, [x, y]: [f64; 2], _action: &[f64], info: &mut Info) -> (f64, bool) {
        let healthy = inside(sim.qpos()[2], self.z_range);
        let forward = self.forward_weight * x;
        let survive = if healthy { self.healthy_reward } else { 0.0 };
        let ctrl = self.ctrl_weight * sum_of_squares(sim.ctrl());
        let contact = contact_cost(sim, self.contact_weight, self.contact_range);
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
        (forward + survive - (ctrl + contact), !healthy && self.terminates)
    }

    fn reset_info(&self, sim: &Sim, info: &mut Info) {
        plane_position(sim, info);
        tendons(sim, info);
    }
}
