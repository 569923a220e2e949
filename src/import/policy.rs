//! A found network as a policy of an environment, and as a network to certify by itself.

use liprl_control::certify::{CertifyError, Input, Network, OutputMap};
use liprl_control::{Policy, PolicyHead};
use liprl_numerics::{NormaliserOptions, RunningNormaliser};

use super::fault::Fault;
use super::found::{FoundLayer, FoundNetwork, Output, Standardisation};
use crate::config::EnvConfig;
use crate::task::Task;

/// Largest relative difference of two bounds that rounding to f32 may explain.
const ROUNDING: f64 = 1e-6;

/// The policy of a network for an environment.
///
/// # Errors
/// If sizes or bounds differ from the environment's, or the file leaves something open.
pub(crate) fn policy(found: &FoundNetwork, env: &EnvConfig, task: &Task) -> Result<Policy, Fault> {
    let act_dim = task.act_dim();
    if found.inputs() != task.obs_dim() {
        return Err(Fault::usage(format!(
            "takes observations of {} numbers, {} gives {}{}",
            found.inputs(),
            env.id,
            task.obs_dim(),
            options_of(env)
        )));
    }
    let output = found.output.get().ok_or_else(|| {
        Fault::usage("does not say how its outputs become actions; give it: --squash tanh (then scaled to the bounds) or none (environment's units)")
    })?;
    let mut found = found.clone();
    // Mean and deviation of a Gaussian: the actions are the means.
    let twice = found.has_deviations(act_dim);
    if found.outputs() != act_dim && !twice {
        let problem =
            format!("puts out {} actions, {} has {act_dim}; they do not belong together", found.outputs(), env.id);
        return Err(Fault::usage(problem));
    }
    if let Some(last) = found.layers.last_mut() {
        last.weight.truncate(last.inputs * act_dim);
        last.bias.truncate(act_dim);
    }
    let output = output.clone();
    let head = in_units_of_bounds(&mut found, &output, task)?;
    let (mlp, params) = found.parameters()?;
    let normaliser = found.standardise.as_ref().map(|found| of(found, task.obs_dim())).transpose()?;
    Ok(Policy::new(&mlp, params, act_dim, normaliser).with_head(head))
}

/// Changes the last layer so that its outputs are in [-1, 1], as a policy file has them.
fn in_units_of_bounds(found: &mut FoundNetwork, output: &Output, task: &Task) -> Result<PolicyHead, Fault> {
    let (centre, half_width) = task.action_range();
    let near = |one: &[f64], other: &[f64], size: &[f64]| {
        one.len() == other.len()
            && one.iter().zip(other).zip(size).all(|((one, other), size)| (one - other).abs() <= ROUNDING * size)
    };
    let differ = |what: &str, own: &[f64], bounds: &[f64]| {
        Fault::usage(format!(
            "{what} {own:?}, the environment's bounds have {bounds:?}; it belongs to another environment"
        ))
    };
    match output {
        Output::Unit(head) => Ok(*head),
        Output::Scaled { head, centre: own_centre, half_width: own_half_width } => {
            let spread = |own: &[f64]| if own.len() == 1 { vec![own[0]; centre.len()] } else { own.to_vec() };
            let (own_centre, own_half_width) = (spread(own_centre), spread(own_half_width));
            if !near(&own_half_width, half_width, half_width) {
                return Err(differ("scales actions by", &own_half_width, half_width));
            }
            if !near(&own_centre, centre, half_width) {
                return Err(differ("centres actions at", &own_centre, centre));
            }
            Ok(*head)
        }
        Output::Raw(bounds) => {
            if let Some([low, high]) = bounds {
                let space = task.env().action_space();
                if !near(low, &space.low, half_width) || !near(high, &space.high, half_width) {
                    return Err(differ("clips actions from", low, &space.low));
                }
            }
            let factor: Vec<f64> = half_width.iter().map(|half_width| 1.0 / half_width).collect();
            let add: Vec<f64> =
                centre.iter().zip(half_width).map(|(centre, half_width)| -centre / half_width).collect();
            if let Some(last) = found.layers.last_mut() {
                last.rescale(&factor, &add);
            }
            Ok(PolicyHead::Clamp)
        }
    }
}

/// The options of a task that change its observation, as a hint.
fn options_of(env: &EnvConfig) -> String {
    let entries = liprl_envs::registry();
    let entry = entries.iter().find(|entry| entry.id == env.id);
    let options = entry.into_iter().flat_map(|entry| entry.options.iter().map(|option| option.name));
    let options: Vec<&str> = options.filter(|name| name.contains("observation")).collect();
    match options.is_empty() {
        true => String::new(),
        false => format!(
            "; it may be of another version of the task, and options change this one's: --env '{{id: {}, {}: …}}'",
            env.id,
            options.join(": …, ")
        ),
    }
}

/// The standardisation as a policy file has it: moments of one row.
fn of(found: &Standardisation, count: usize) -> Result<(RunningNormaliser, NormaliserOptions), Fault> {
    let positive = found.scale.iter().all(|scale| *scale > 0.0 && scale.is_finite());
    if found.mean.len() != count || found.scale.len() != count || !positive || found.mean.iter().any(|x| !x.is_finite())
    {
        return Err(Fault::new(format!("the standardisation of {} is not of {count} finite numbers", found.from)));
    }
    // The file cannot hold infinity; no number of 32 bits is beyond this.
    let options = NormaliserOptions { clip: found.clip.min(f64::from(f32::MAX)), variance_floor: 0.0 };
    let variance = found.scale.iter().map(|scale| scale.powi(-2)).collect();
    Ok((RunningNormaliser::of_moments(found.mean.clone(), variance, options), options))
}

/// The network from observations to the file's own actions, with tanh and scale if it has them; true
/// if the file clips them afterwards.
///
/// # Errors
/// If the file leaves something open, or the network is of a kind that is not certified.
pub(crate) fn certifiable(found: &FoundNetwork, name: &str) -> Result<(Result<Network, CertifyError>, bool), Fault> {
    let (mlp, params) = found.parameters()?;
    let inputs = match &found.standardise {
        Some(found) => {
            let moments = found.mean.iter().zip(&found.scale);
            moments.map(|(&mean, &scale)| Input::Standardised { mean, scale, clip: found.clip }).collect()
        }
        None => vec![Input::RAW; mlp.inputs()],
    };
    let outputs = found.layers.last().map_or(0, FoundLayer::outputs);
    let ones = vec![1.0; outputs];
    let told = found.output.get();
    let clamped = match told {
        Some(Output::Unit(head) | Output::Scaled { head, .. }) => *head == PolicyHead::Clamp,
        Some(Output::Raw(bounds)) => bounds.is_some(),
        None => false,
    };
    let output = match told {
        Some(Output::Unit(PolicyHead::Tanh)) => OutputMap::Tanh(ones),
        Some(Output::Scaled { head, half_width, .. }) => {
            let scale = if half_width.len() == 1 { vec![half_width[0]; outputs] } else { half_width.clone() };
            match head {
                PolicyHead::Tanh => OutputMap::Tanh(scale),
                PolicyHead::Clamp => OutputMap::Linear(scale),
            }
        }
        _ => OutputMap::Linear(ones),
    };
    Ok((Network::new(name, &mlp, &params, &inputs, output), clamped))
}
