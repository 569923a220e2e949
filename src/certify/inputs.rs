//! The inputs that a network gets in greedy episodes.

use liprl_control::certify::Takes;

use crate::load::LoadedPolicy;
use crate::rollout::{run_episode, seeds};

/// Runs greedy episodes and returns the network's inputs in them, `[R, inputs]`, in f64 and raw
/// units; actions are in `[-1, 1]`.
pub(crate) fn visited_inputs(
    loaded: &mut LoadedPolicy,
    takes: Takes,
    episodes: u32,
    first_seed: u64,
) -> anyhow::Result<Vec<f64>> {
    let (centre, half_width) = loaded.task.action_range();
    let (centre, half_width) = (centre.to_vec(), half_width.to_vec());
    let (mut inputs, mut last) = (Vec::new(), Vec::new());
    for seed in seeds(first_seed, episodes) {
        run_episode(&mut loaded.task, &mut loaded.policy, seed, |task, step| {
            if step.is_some() {
                inputs.extend_from_slice(&last);
                let scale = centre.iter().zip(&half_width);
                if matches!(takes, Takes::StateAction | Takes::StateActionState) {
                    inputs.extend(task.raw_action().iter().zip(scale).map(|(a, (c, h))| (a - c) / h));
                }
                if matches!(takes, Takes::StateState | Takes::StateActionState) {
                    inputs.extend_from_slice(task.raw_obs());
                }
            }
            last = task.raw_obs().to_vec();
        })?;
    }
    Ok(inputs)
}
