//! Ant-v5: a four-legged robot walks forwards. Without `include_cfrc_ext_in_observation` the observation is the
//! truncated one (27) of model-based work.

use std::borrow::Cow;

use crate::mujoco::common::{
    EXCLUDE_POSITIONS, add_normal, add_uniform, ctrl_cost_weight, exclude_current_positions, forward_reward_weight,
    frame_skip, healthy_reward, healthy_z_range, include_in_observation, plane_position, reset_noise_scale,
    reward_weight, sum_of_squares, terminate_when_unhealthy, xml_file,
};
use crate::mujoco::env::{Info, MujocoEnv, Task};
use crate::mujoco::sim::Sim;
use crate::{EnvEntry, NumpyRng, OptionDoc, OptionValue};

pub(super) const ENTRY: EnvEntry = EnvEntry {
    id: "Ant-v5",
    doc: "A four-legged robot walks forwards.",
    max_episode_steps: Some(1000),
    options: &[
        xml_file("ant.xml"),
        frame_skip(5),
        forward_reward_weight(1.0),
        ctrl_cost_weight(0.5),
        reward_weight("contact_cost_weight", 5e-4, "Cost per squared contact force, after clipping."),
        healthy_reward(1.0),
        OptionDoc::new(
            "main_body",
            OptionValue::Body(Cow::Borrowed("1")),
            "The body whose velocity is rewarded, by name or index.",
        ),
        terminate_when_unhealthy(),
        healthy_z_range(0.2, 1.0),
        OptionDoc::new(
            "contact_force_range",
            OptionValue::Range(-1.0, 1.0),
            "Contact forces are clipped to this, newtons and newton metres.",
        ),
        reset_noise_scale(0.1),
        exclude_current_positions(),
        include_in_observation("include_cfrc_ext_in_observation", "Observe the contact forces on the bodies."),
    ],
    build: |given| {
        let mut task = Ant {
            forward_weight: given.number("forward_reward_weight")?,
            ctrl_weight: given.number("ctrl_cost_weight")?,
            contact_weight: given.number("contact_cost_weight")?,
            healthy_reward: given.number("healthy_reward")?,
            terminates: given.flag("terminate_when_unhealthy")?,
            z_range: given.range("healthy_z_range")?,
            force_range: given.range("contact_force_range")?,
            noise: given.number("reset_noise_scale")?,
            skip: 2 * usize::from(given.flag(EXCLUDE_POSITIONS)?),
            observes_forces: given.flag("include_cfrc_ext_in_observation")?,
            main_body: 0,
        };
        MujocoEnv::build(given, [3, 3, 1, 1, 0], |sim| {
            let name = given.text("main_body")?;
            task.main_body =
                sim.body(name).ok_or_else(|| given.bad("main_body", format!("the model has no body `{name}`")))?;
            Ok(Box::new(task))
        })
    },
};

struct Ant {
    forward_weight: f64,
    ctrl_weight: f64,
    contact_weight: f64,
    healthy_reward: f64,
    terminates: bool,
    z_range: (f64, f64),
    force_range: (f64, f64),
    noise: f64,
    skip: usize,
    observes_forces: bool,
    main_body: usize,
}

impl Ant {
    fn clip(&self, force: f64) -> f64 {
        force.max(self.force_range.0).min(self.force_range.1)
    }
}

impl Task for Ant {
    fn randomise(&self, rng: &mut NumpyRng, qpos: &mut [f64], qvel: &mut [f64]) {
        add_uniform(rng, self.noise, qpos);
        add_normal(rng, self.noise, qvel);
    }

    fn observe(&self, sim: &Sim, obs: &mut Vec<f64>) {
        obs.extend_from_slice(&sim.qpos()[self.skip..]);
        obs.extend_from_slice(sim.qvel());
        if self.observes_forces {
            obs.extend(sim.cfrc_ext()[1..].as_flattened().iter().map(|force| self.clip(*force)));
        }
    }

    fn hidden_positions(&self) -> Option<usize> {
        Some(self.skip)
    }

    fn tracked(&self, sim: &Sim) -> [f64; 2] {
        let [x, y, _] = sim.xpos()[self.main_body];
        [x, y]
    }

    fn can_terminate(&self) -> bool {
        self.terminates
    }

    fn reward(&self, sim: &Sim, [x, y]: [f64; 2], action: &[f64], info: &mut Info) -> (f64, bool) {
        let healthy = (self.z_range.0..=self.z_range.1).contains(&sim.qpos()[2]);
        let forward = x * self.forward_weight;
        let survive = if healthy { self.healthy_reward } else { 0.0 };
        let ctrl = self.ctrl_weight * sum_of_squares(action);
        let forces = sim.cfrc_ext().as_flattened().iter().map(|force| self.clip(*force));
        let contact = self.contact_weight * forces.map(|force| force * force).sum::<f64>();
        plane_position(sim, info);
        info.extend([
            ("x_velocity", x),
            ("y_velocity", y),
            ("reward_forward", forward),
            ("reward_ctrl", -ctrl),
            ("reward_contact", -contact),
            ("reward_survive", survive),
        ]);
        (forward + survive - (ctrl + contact), !healthy && self.terminates)
    }

    fn reset_info(&self, sim: &Sim, info: &mut Info) {
        plane_position(sim, info);
    }
}
