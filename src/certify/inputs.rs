//! The inputs that a network gets in greedy episodes, or at demonstrations.

use liprl_agents::demos::Demonstrations;
use liprl_control::certify::Takes;

use crate::load::LoadedPolicy;
use crate::rollout::{run_episode, seeds};

/// Most demonstrated inputs besides the extremes; the search for lower bounds tries each.
const DEMONSTRATED: usize = 10_000;

/// The network's inputs in demonstrations whose actions are in `[-1, 1]`, `[R, inputs]`. Of many an even
/// choice is taken, and the least and the largest of each coordinate.
pub(crate) fn demonstrated_inputs(demonstrations: &Demonstrations, takes: Takes) -> Vec<f64> {
    let mut rows: Vec<Vec<f64>> = Vec::new();
    for episode in &demonstrations.episodes {
        for step in 0..episode.len() {
            let mut row = episode.observation(step).to_vec();
            if matches!(takes, Takes::StateAction | Takes::StateActionState) {
                row.extend_from_slice(episode.action(step));
            }
            if matches!(takes, Takes::StateState | Takes::StateActionState) {
                row.extend_from_slice(episode.observation(step + 1));
            }
            rows.push(row);
        }
    }
    let mut chosen: Vec<usize> = (0..rows.len()).step_by(rows.len().div_ceil(DEMONSTRATED).max(1)).collect();
    for k in 0..rows.first().map_or(0, Vec::len) {
        let by = |a: &usize, b: &usize| rows[*a][k].total_cmp(&rows[*b][k]);
        chosen.extend((0..rows.len()).min_by(by));
        chosen.extend((0..rows.len()).max_by(by));
    }
    chosen.sort_unstable();
    chosen.dedup();
    chosen.into_iter().flat_map(|row| rows[row].iter().copied()).collect()
}

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
