//! Ant-v5: a four-legged robot walks forwards. Without `include_cfrc_ext_in_observation` the
//! observation is the truncated one (27) of model-based work.

use std::borrow::Cow;

use crate::entry::EnvEntry;
use crate::mujoco::camera::Camera;
use crate::mujoco::common::{Info, add_normal, add_uniform, observe_state, plane_position, sum_of_squares};
use crate::mujoco::options::options;
use crate::mujoco::sim::Sim;
use crate::mujoco::simulation::{MujocoTask, Simulation};
use crate::numpy_rng::NumpyRng;

pub(super) const ENTRY: EnvEntry = EnvEntry {
    id: "Ant-v5",
    doc: "A four-legged robot walks forwards.",
    max_episode_steps: Some(1000),
    options: AntOptions::OPTIONS,
    build: |given| {
        let options = AntOptions::read(given)?;
        let sim = Sim::load(given, &options.xml_file, options.frame_skip, [3, 3, 1, 1, 0])?;
        let missing = || given.bad("main_body", format!("the model has no body `{}`", options.main_body));
        let main_body = sim.body(&options.main_body).ok_or_else(missing)?;
        Ok(Simulation::env(given, sim, Ant { options, main_body }))
    },
};

options! {
    struct AntOptions {
        xml_file: String = OptionValue::text("ant.xml"),
        frame_skip: u32 = Count(5),
        forward_reward_weight: f64 = Number(1.0),
        ctrl_cost_weight: f64 = Number(0.5),
        /// Cost per squared contact force, after clipping.
        contact_cost_weight: f64 = Number(5e-4),
        healthy_reward: f64 = Number(1.0),
        /// The body whose velocity is rewarded, by name or index.
        main_body: String = Body(Cow::Borrowed("1")),
        terminate_when_unhealthy: bool = Flag(true),
        healthy_z_range: (f64, f64) = Range(0.2, 1.0),
        /// Contact forces are clipped to this, newtons and newton metres.
        contact_force_range: (f64, f64) = Range(-1.0, 1.0),
        reset_noise_scale: f64 = NonNegative(0.1),
        exclude_current_positions_from_observation: bool = Flag(true),
        include_cfrc_ext_in_observation: bool = Flag(true),
    }
}

struct Ant {
    options: AntOptions,
    main_body: usize,
}

impl Ant {
    fn skip(&self) -> usize {
        2 * usize::from(self.options.exclude_current_positions_from_observation)
    }

    fn clip(&self, force: f64) -> f64 {
        let (low, high) = self.options.contact_force_range;
        force.max(low).min(high)
    }
}

impl MujocoTask for Ant {
    fn randomise(&self, rng: &mut NumpyRng, qpos: &mut [f64], qvel: &mut [f64]) {
        add_uniform(rng, self.options.reset_noise_scale, qpos);
        add_normal(rng, self.options.reset_noise_scale, qvel);
    }

    fn hidden_positions(&self) -> Option<usize> {
        Some(self.skip())
    }

    fn observe(&self, sim: &Sim, obs: &mut Vec<f64>) {
        observe_state(sim, self.skip(), obs);
        if self.options.include_cfrc_ext_in_observation {
            obs.extend(sim.cfrc_ext()[1..].as_flattened().iter().map(|force| self.clip(*force)));
        }
    }

    fn tracked(&self, sim: &Sim) -> [f64; 2] {
        let [x, y, _] = sim.xpos()[self.main_body];
        [x, y]
    }

    fn camera(&self) -> Camera {
        Camera::at(4.0).following()
    }

    fn can_terminate(&self) -> bool {
        self.options.terminate_when_unhealthy
    }

    fn reward(&self, sim: &Sim, [x, y]: [f64; 2], action: &[f64], info: &mut Info) -> (f64, bool) {
        let options = &self.options;
        let (low, high) = options.healthy_z_range;
        let healthy = (low..=high).contains(&sim.qpos()[2]);
        let forward = x * options.forward_reward_weight;
        let survive = if healthy { options.healthy_reward } else { 0.0 };
        let ctrl = options.ctrl_cost_weight * sum_of_squares(action);
        let forces = sim.cfrc_ext().as_flattened().iter().map(|force| self.clip(*force));
        let contact = options.contact_cost_weight * forces.map(|force| force * force).sum::<f64>();
        plane_position(sim, info);
        info.extend([
            ("x_velocity", x),
            ("y_velocity", y),
            ("reward_forward", forward),
            ("reward_ctrl", -ctrl),
            ("reward_contact", -contact),
            ("reward_survive", survive),
        ]);
        (forward + survive - (ctrl + contact), !healthy && options.terminate_when_unhealthy)
    }

    fn reset_info(&self, sim: &Sim, info: &mut Info) {
        plane_position(sim, info);
    }
}
