//! Options of the MuJoCo tasks: each declared once, with its type, default and sentence.

/// Declares the options of a task as the fields of a struct.
///
/// A field is the option of its name, and its doc comment the sentence in listings and the schema.
/// A field without a comment has the sentence that tasks share (`sentence!`).
macro_rules! options {
    (
        $(#[$meta:meta])*
        struct $task:ident { $($(#[doc = $line:literal])* $option:ident: $type:tt = $default:expr,)+ }
    ) => {
        $(#[$meta])*
        struct $task { $($option: $type,)+ }

        impl $task {
            const OPTIONS: &[$crate::options::OptionDoc] = {
                use $crate::mujoco::options::sentence;
                use $crate::options::{OptionDoc, OptionValue, OptionValue::*};
                &[$(OptionDoc::new(stringify!($option), $default, sentence!($option $($line)*)),)+]
            };

            fn read(given: &$crate::given::Given) -> Result<Self, $crate::error::EnvError> {
                Ok(Self { $($option: $crate::mujoco::options::read!($type, given, stringify!($option)),)+ })
            }
        }
    };
}

/// Reads an option by the type of its field.
macro_rules! read {
    (f64, $given:expr, $option:expr) => {
        $given.number($option)?
    };
    (u32, $given:expr, $option:expr) => {
        $given.count($option)?
    };
    (bool, $given:expr, $option:expr) => {
        $given.flag($option)?
    };
    ((f64, f64), $given:expr, $option:expr) => {
        $given.range($option)?
    };
    (String, $given:expr, $option:expr) => {
        $given.text($option)?.to_owned()
    };
}

/// The sentence of an option: its own, or the one that tasks share.
macro_rules! sentence {
    ($option:ident $($line:literal)+) => { concat!($($line),+).trim_ascii_start() };
    (xml_file) => { "The MuJoCo model: one of Gymnasium's by name, or a path that begins with `/`, `.` or `~`." };
    (frame_skip) => { "Simulation steps per control step." };
    (reset_noise_scale) => { "Size of the random perturbation of initial positions and velocities." };
    (forward_reward_weight) => { "Reward per metre per second forwards." };
    (ctrl_cost_weight) => { "Cost per squared control." };
    (reward_control_weight) => { "Cost per squared control." };
    (healthy_reward) => { "Reward of each step that ends healthy." };
    (terminate_when_unhealthy) => { "Whether an unhealthy state ends the episode." };
    (healthy_z_range) => { "Heights of the torso that are healthy, metres." };
    (healthy_angle_range) => { "Pitches of the torso that are healthy, radians." };
    (exclude_current_positions_from_observation) => {
        "Leave the position in the plane or along the track out of the observation."
    };
    (include_cinert_in_observation) => { "Observe the bodies' masses and inertias." };
    (include_cvel_in_observation) => { "Observe the bodies' velocities." };
    (include_qfrc_actuator_in_observation) => { "Observe the actuators' forces on the joints." };
    (include_cfrc_ext_in_observation) => { "Observe the contact forces on the bodies." };
}

pub(super) use {options, read, sentence};
