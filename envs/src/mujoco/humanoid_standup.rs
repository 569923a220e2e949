//! HumanoidStandup-v5: a humanoid that lies on its back stands up.

use crate::entry::EnvEntry;
use crate::mujoco::camera::Camera;
use crate::mujoco::common::{Info, add_uniform, sum_of_squares};
use crate::mujoco::humanoid::{NEEDS, contact_cost, observe_humanoid, tendons};
use crate::mujoco::options::options;
use crate::mujoco::sim::Sim;
use crate::mujoco::simulation::{MujocoTask, Simulation};
use crate::numpy_rng::NumpyRng;

pub(super) const ENTRY: EnvEntry = EnvEntry {
    id: "HumanoidStandup-v5",
    doc: "A humanoid that lies on its back stands up.",
    max_episode_steps: Some(1000),
    options: HumanoidStandup::OPTIONS,
    build: |given| {
        let task = HumanoidStandup::read(given)?;
        let sim = Sim::load(given, &task.xml_file, task.frame_skip, NEEDS)?;
        Ok(Simulation::env(given, sim, task))
    },
};

options! {
    #[expect(dead_code, reason = "Gymnasium accepts `uph_cost_weight` and does not use it")]
    struct HumanoidStandup {
        xml_file: String = OptionValue::text("humanoidstandup.xml"),
        frame_skip: u32 = Count(5),
        /// Accepted and not used, as in Gymnasium.
        uph_cost_weight: f64 = Number(1.0),
        ctrl_cost_weight: f64 = Number(0.1),
        /// Cost per squared contact force, before clipping.
        impact_cost_weight: f64 = Number(5e-7),
        /// The impact cost is clipped to this.
        impact_cost_range: (f64, f64) = Range(f64::NEG_INFINITY, 10.0),
        reset_noise_scale: f64 = NonNegative(0.01),
        exclude_current_positions_from_observation: bool = Flag(true),
        include_cinert_in_observation: bool = Flag(true),
        include_cvel_in_observation: bool = Flag(true),
        include_qfrc_actuator_in_observation: bool = Flag(true),
        include_cfrc_ext_in_observation: bool = Flag(true),
    }
}

fn position(sim: &Sim, info: &mut Info) {
    let [x, y, z] = [0, 1, 2].map(|axis| sim.qpos()[axis]);
    info.extend([("x_position", x), ("y_position", y), ("z_distance_from_origin", z - sim.initial_qpos()[2])]);
    tendons(sim, info);
}

impl MujocoTask for HumanoidStandup {
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

    fn camera(&self) -> Camera {
        Camera::level(4.0, 0.8925)
    }

    fn can_terminate(&self) -> bool {
        false
    }

    fn reward(&self, sim: &Sim, _velocity: [f64; 2], _action: &[f64], info: &mut Info) -> (f64, bool) {
        let up = sim.qpos()[2] / sim.timestep();
        let ctrl = self.ctrl_cost_weight * sum_of_squares(sim.ctrl());
        let impact = contact_cost(sim, self.impact_cost_weight, self.impact_cost_range);
        position(sim, info);
        info.extend([("reward_linup", up), ("reward_quadctrl", -ctrl), ("reward_impact", -impact)]);
        (up - ctrl - impact + 1.0, false)
    }

    fn reset_info(&self, sim: &Sim, info: &mut Info) {
        position(sim, info);
    }
}
