//! Environment steps as agents see them.

/// One environment step as an agent sees it. Actions are in the policy's coordinates, `[-1, 1]` per dimension;
/// the training loop scales them to the environment's bounds.
#[derive(Clone, Copy, Debug)]
pub struct Transition<'a> {
    /// Observation acted upon.
    pub obs: &'a [f32],
    /// Action taken, in `[-1, 1]`.
    pub action: &'a [f32],
    /// The environment's reward.
    pub reward: f32,
    /// Observation that followed, the final one of the episode included.
    pub next_obs: &'a [f32],
    /// The task ended: the next state is worth nothing.
    pub terminated: bool,
    /// The episode was cut off: the next state keeps its value.
    pub truncated: bool,
}

/// Some of the pairs that greedy episodes went through. Arrays are flat and row-major.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Visited {
    /// Observations, `[R, O]`.
    pub obs: Vec<f32>,
    /// Actions taken there, `[R, A]`, in `[-1, 1]`.
    pub action: Vec<f32>,
    /// Observations that followed, `[R, O]`.
    pub next_obs: Vec<f32>,
    /// True if the task ended the episode there, so that no value follows; `[R]`, or empty: nowhere.
    pub terminated: Vec<bool>,
    /// The episodes that the pairs are of, in order; empty if they are not known.
    pub episodes: Vec<VisitedEpisode>,
}

/// An episode some of whose pairs were visited.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VisitedEpisode {
    /// The environment's reward of each step.
    pub rewards: Vec<f64>,
    /// Steps of the pairs, ascending, from 0.
    pub pairs: Vec<usize>,
    /// True if the task ended it.
    pub terminated: bool,
}

/// Largest γᵗ of what a return that was cut off may lack.
const CUT_OFF: f64 = 0.02;

impl Visited {
    /// Each pair's return Σ γᵗ r that followed, its own reward included; `None` where the episode was
    /// cut off so soon that γᵗ is not below 0.02.
    pub fn returns(&self, gamma: f64) -> Vec<Option<f64>> {
        let mut all = Vec::new();
        for VisitedEpisode { rewards, pairs, terminated } in &self.episodes {
            let mut following = rewards.clone();
            for step in (1..rewards.len()).rev() {
                following[step - 1] += gamma * following[step];
            }
            let known = |step: usize| *terminated || gamma.powf((rewards.len() - step) as f64) <= CUT_OFF;
            all.extend(pairs.iter().map(|&step| known(step).then(|| following[step])));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_follow_each_pair_to_the_end_of_its_episode() {
        let episode = |rewards: &[f64], pairs: &[usize], terminated| VisitedEpisode {
            rewards: rewards.to_vec(),
            pairs: pairs.to_vec(),
            terminated,
        };
        let visited = Visited {
            episodes: vec![episode(&[1.0, 2.0, 4.0], &[0, 2], true), episode(&[1.0; 8], &[0, 2, 3], false)],
            ..Visited::default()
        };
        // 1 + ½·2 + ¼·4, 4; of eight steps Σ ½ᵗ, of six; ½⁵ is above 0.02.
        assert_eq!(visited.returns(0.5), [Some(3.0), Some(4.0), Some(1.9921875), Some(1.96875), None]);
    }
}
