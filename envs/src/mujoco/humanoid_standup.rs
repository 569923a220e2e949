//! HumanoidStandup-v5: a humanoid that lies on its back stands up.

use crate::mujoco::common::{
    add_uniform, ctrl_cost_weight, exclude_current_positions, frame_skip, reset_noise_scale, reward_weight,
    sum_of_squares, xml_file,
};
use crate::mujoco::env::{Info, MujocoEnv, Task};
use crate::mujoco::humanoid::{ACTUATORS, CONTACTS, INERTIAS, NEEDS, Observed, VELOCITIES, contact_cost, tendons};
use crate::mujoco::sim::Sim;
use crate::{EnvEntry, NumpyRng, OptionDoc, OptionValue};

pub(super) const ENTRY: EnvEntry = EnvEntry {
    id: "HumanoidStandup-v5",
    doc: "A humanoid that lies on its back stands up.",
    max_episode_steps: Some(1000),
    options: &[
        xml_file("humanoidstandup.xml"),
        frame_skip(5),
        reward_weight("uph_cost_weight", 1.0, "Accepted and not used, as in Gymnasium."),
        ctrl_cost_weight(0.1),
        reward_weight("impact_cost_weight", 5e-7, "Cost per squared contact force, before clipping."),
        OptionDoc::new(
            "impact_cost_range",
            OptionValue::Range(f64::NEG_INFINITY, 10.0),
            "The impact cost is clipped to this.",
        ),
        reset_noise_scale(0.01),
        exclude_current_positions(),
        INERTIAS,
        VELOCITIES,
        ACTUATORS,
        CONTACTS,
    ],
    build: |given| {
        let mut task = HumanoidStandup {
            ctrl_weight: given.number("ctrl_cost_weight")?,
            impact_weight: given.number("impact_cost_weight")?,
            impact_range: given.range("impact_cost_range")?,
            noise: given.number("reset_noise_scale")?,
            observed: Observed::new(given)?,
            initial_height: 0.0,
        };
        MujocoEnv::build(given, NEEDS, |sim| {
            task.initial_height = sim.qpos()[2];
            Ok(Box::new(task))
        })
    },
};

struct HumanoidStandup {
    ctrl_weight: f64,
    impact_weight: f64,
    impact_range: (f64, f64),
    noise: f64,
    observed: Observed,
    initial_height: f64,
}

impl HumanoidStandup {
    fn position(&self, sim: &Sim, info: &mut Info) {
        let [x, y, z] = [0, 1, 2].map(|axis| sim.qpos()[axis]);
        info.extend([("x_position", x), ("y_position", y), ("z_distance_from_origin", z - self.initial_height)]);
        tendons(sim, info);
    }
}

impl Task for HumanoidStandup {
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

    fn can_terminate(&self) -> bool {
        false
    }

    fn reward(&self, sim: &Sim, _velocity: [f64; 2], _action: &[f64], info: &mut Info) -> (f64, bool) {
        let up = sim.qpos()[2] / sim.timestep();
        let ctrl = self.ctrl_weight * sum_of_squares(sim.ctrl());
        let impact = contact_cost(sim, self.impact_weight, self.impact_range);
        self.position(sim, info);
        info.extend([("reward_linup", up), ("reward_quadctrl", -ctrl), ("reward_impact", -impact)]);
        (up - ctrl - impact + 1.0, false)
    }

    fn reset_info(&self, sim: &Sim, info: &mut Info) {
        self.position(sim, info);
    }
}
