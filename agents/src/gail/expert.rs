//! Demonstrations as rows, from which the discriminator and a clone learn.

use liprl_numerics::StreamRng;
use rand::RngExt;

use super::{config::GailConfig, encoder::RawTransition};
use crate::{
    AgentError, Flags,
    demos::{Demonstrations, Episode},
};

/// Demonstrated transitions, thinned out. Arrays are flat and row-major, observations in the
/// environment's units, actions in `[-1, 1]`.
#[derive(Clone, Debug, Default)]
pub struct ExpertRows {
    /// s, `[E, O]`.
    pub obs: Vec<f32>,
    /// a, `[E, A]`.
    pub action: Vec<f32>,
    /// s′, `[E, O]`.
    pub next_obs: Vec<f32>,
    /// Marks of absorbing states, `[E]`.
    pub flags: Vec<Flags>,
    /// Weight of each row in the discriminator's loss, `[E]`: 1, or 1/`keep_every` for absorbing
    /// transitions and those that lead to them, all of which are kept.
    pub weight: Vec<f32>,
}

impl ExpertRows {
    /// Every `keep_every`-th step of each episode from a random first one (⌊length / keep_every⌋ of
    /// them). With `absorbing` there are also two transitions for each episode that the task ended:
    /// the step that ended it, and the one from the absorbing state to itself. `demonstrations` have
    /// their actions in `[-1, 1]`.
    ///
    /// With `thin_absorbing` those two are steps of the episode like others, kept only if their turn
    /// comes (the authors' code).
    ///
    /// # Errors
    /// [`AgentError::BadConfig`] if too few episodes or steps are left.
    pub fn new(
        demonstrations: &Demonstrations,
        config: &GailConfig,
        absorbing: bool,
        thin_absorbing: bool,
        rng: &mut StreamRng,
    ) -> Result<Self, AgentError> {
        let bad = |setting: &str, problem| AgentError::BadConfig { setting: format!("agent.{setting}"), problem };
        let (there, keep) = (demonstrations.episodes.len(), config.keep_every);
        let wanted = config.episodes.unwrap_or(there);
        if wanted > there {
            return Err(bad("episodes", format!("{wanted} are asked for, the demonstrations have {there}")));
        }
        let mut expert = Self::default();
        for episode in &demonstrations.episodes[..wanted] {
            let ended = absorbing && episode.terminations.last() == Some(&true);
            let end_is_kept = ended && !thin_absorbing;
            let len = episode.len() + usize::from(ended && thin_absorbing);
            let offset = rng.random_range(0..keep);
            for step in (0..len / keep).map(|i| offset + i * keep) {
                if step == episode.len() {
                    expert.push_absorbing(demonstrations.obs_dim(), demonstrations.act_dim(), 1.0);
                } else if !(end_is_kept && step + 1 == episode.len()) {
                    expert.push_step(episode, step, ended, 1.0);
                }
            }
            if end_is_kept {
                let weight = 1.0 / keep as f32;
                expert.push_step(episode, episode.len() - 1, ended, weight);
                expert.push_absorbing(demonstrations.obs_dim(), demonstrations.act_dim(), weight);
            }
        }
        let (rows, batch) = (expert.len(), config.discriminator.batch_size);
        if rows == 0 && config.reward.imitates() {
            let problem =
                format!("no transition is left of {wanted} episodes with keep_every {keep}; lower keep_every");
            return Err(bad("demonstrations", problem));
        }
        if rows < batch && config.reward.from_logits() {
            let problem = format!(
                "{rows} transitions are left of {wanted} episodes with keep_every {keep}, \
                 a batch of the discriminator takes {batch}; lower keep_every or discriminator.batch_size"
            );
            return Err(bad("demonstrations", problem));
        }
        Ok(expert)
    }

    fn push_step(&mut self, episode: &Episode, step: usize, ended: bool, weight: f32) {
        let narrow = |wide: &[f64]| wide.iter().map(|&x| x as f32).collect::<Vec<_>>();
        self.obs.extend(narrow(episode.observation(step)));
        self.action.extend(narrow(episode.action(step)));
        self.next_obs.extend(narrow(episode.observation(step + 1)));
        self.flags.push(Flags::NEXT_ABSORBING.when(ended && step + 1 == episode.len()));
        self.weight.push(weight);
    }

    fn push_absorbing(&mut self, obs_dim: usize, act_dim: usize, weight: f32) {
        self.obs.extend(std::iter::repeat_n(0.0, obs_dim));
        self.action.extend(std::iter::repeat_n(0.0, act_dim));
        self.next_obs.extend(std::iter::repeat_n(0.0, obs_dim));
        self.flags.push(Flags::OBS_ABSORBING | Flags::NEXT_ABSORBING);
        self.weight.push(weight);
    }

    /// Rows, E.
    pub fn len(&self) -> usize {
        self.flags.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.flags.is_empty()
    }

    /// A row to encode.
    pub(super) fn row(&self, i: usize) -> RawTransition<'_> {
        let (o, a) = (self.obs.len() / self.len(), self.action.len() / self.len());
        RawTransition {
            obs: &self.obs[i * o..][..o],
            action: &self.action[i * a..][..a],
            next_obs: &self.next_obs[i * o..][..o],
            flags: self.flags[i],
        }
    }

    /// Rows of absorbing states.
    pub(super) fn absorbing_rows(&self) -> usize {
        self.flags.iter().filter(|flags| flags.contains(Flags::OBS_ABSORBING)).count()
    }

    /// Observations, actions and next observations of the rows that are not absorbing.
    pub fn transitions(&self) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
        let (o, a) = (self.obs.len() / self.len().max(1), self.action.len() / self.len().max(1));
        let real = || (0..self.len()).filter(|&i| !self.flags[i].contains(Flags::OBS_ABSORBING));
        let take = |from: &[f32], dim: usize| real().flat_map(|i| from[i * dim..(i + 1) * dim].to_vec()).collect();
        (take(&self.obs, o), take(&self.action, a), take(&self.next_obs, o))
    }
}

#[cfg(test)]
mod tests {
    use liprl_numerics::Streams;

    use super::*;
    use crate::{demos::Episode, gail::discriminator_config::DiscriminatorConfig};

    /// Episodes whose observation at step t is t.
    fn demonstrations(lengths: &[usize], terminated: bool) -> Demonstrations {
        let episodes = lengths.iter().map(|&n| Episode {
            observations: (0..=n).map(|t| t as f64).collect(),
            actions: (0..n).map(|t| t as f64 / 1000.0).collect(),
            rewards: vec![1.0; n],
            terminations: (0..n).map(|t| terminated && t + 1 == n).collect(),
            truncations: (0..n).map(|t| !terminated && t + 1 == n).collect(),
            ..Episode::default()
        });
        Demonstrations { episodes: episodes.collect(), ..Demonstrations::default() }
    }

    fn config(keep_every: usize) -> GailConfig {
        let discriminator = DiscriminatorConfig { batch_size: 2, ..Default::default() };
        GailConfig { keep_every, discriminator, ..Default::default() }
    }

    fn expert(lengths: &[usize], terminated: bool, keep: usize, thin: bool, seed: u64) -> ExpertRows {
        let mut rng = Streams::new(seed).rng("expert");
        ExpertRows::new(&demonstrations(lengths, terminated), &config(keep), true, thin, &mut rng).unwrap()
    }

    #[test]
    fn every_twentieth_step_is_kept_from_a_random_first_one() {
        let mut firsts = std::collections::BTreeSet::new();
        for seed in 0..100 {
            let expert = expert(&[1000, 50], false, 20, false, seed);
            assert_eq!(expert.len(), 52);
            assert!(expert.obs[..50].windows(2).all(|pair| pair[1] - pair[0] == 20.0) && expert.obs[0] < 20.0);
            assert!(expert.obs.iter().zip(&expert.next_obs).all(|(obs, next)| next - obs == 1.0));
            assert!(expert.flags.iter().all(|flags| *flags == Flags::NONE));
            firsts.insert(expert.obs[0] as u32);
        }
        // 100 draws of 20 values: more than 15 of them, except with a negligible probability.
        assert!(firsts.len() > 15);
    }

    #[test]
    fn absorbing_transitions_are_all_kept_with_a_smaller_weight_or_thinned_as_in_the_reference() {
        let kept = expert(&[100, 100], true, 20, false, 1);
        let absorbing: Vec<usize> = (0..kept.len()).filter(|&i| kept.flags[i].contains(Flags::OBS_ABSORBING)).collect();
        assert_eq!(absorbing, [6, 13]);
        assert!(absorbing.iter().all(|&i| (kept.weight[i] - 0.05).abs() < 1e-9 && kept.obs[i] == 0.0));
        assert_eq!(kept.transitions().0.len(), 12);
        // Thinned: 99 real steps and the absorbing one are 100, of which the last is kept for the
        // offset 19 alone.
        let found = |lengths: &[usize]| {
            (0..200)
                .filter(|&seed| {
                    expert(lengths, true, 20, true, seed).len() > 4 && {
                        let expert = expert(lengths, true, 20, true, seed);
                        expert.flags.iter().any(|flags| flags.contains(Flags::OBS_ABSORBING))
                    }
                })
                .count()
        };
        // 200 draws with probability 1/20: 10 are expected, with a deviation of 3.
        assert!((1..=25).contains(&found(&[99])));
        assert_eq!(found(&[100]), 0);
    }

    #[test]
    fn the_last_step_of_an_ended_episode_leads_to_the_absorbing_state() {
        let expert = expert(&[4], true, 1, false, 3);
        let next: Vec<bool> = expert.flags.iter().map(|flags| flags.contains(Flags::NEXT_ABSORBING)).collect();
        assert_eq!(next, [false, false, false, true, true]);
    }

    /// Steps 20 to 29 of 30 are never among every twentieth one from a first one below 20.
    #[test]
    fn the_step_that_ended_an_episode_is_kept_once_whatever_the_first_one_is() {
        for seed in 0..60 {
            for (length, most) in [(30, 1), (40, 2), (7, 0)] {
                let kept = expert(&[length], true, 20, false, seed);
                let last: Vec<usize> = (0..kept.len()).filter(|&i| kept.obs[i] == (length - 1) as f32).collect();
                assert_eq!(last, [kept.len() - 2], "seed {seed}, length {length}");
                assert!(kept.flags[last[0]] == Flags::NEXT_ABSORBING && (kept.weight[last[0]] - 0.05).abs() < 1e-9);
                assert!(kept.len() - 2 == most || kept.len() - 1 == most, "one step gives way to the last");
                let total: f32 = kept.weight[..kept.len() - 2].iter().sum();
                assert_eq!(total, (kept.len() - 2) as f32);
            }
        }
    }

    #[test]
    fn too_little_is_refused_with_a_remedy() {
        let mut rng = Streams::new(1).rng("expert");
        let mut new = |config: &GailConfig| {
            ExpertRows::new(&demonstrations(&[30], false), config, true, false, &mut rng).unwrap_err().to_string()
        };
        assert!(new(&config(20)).contains("1 transitions are left of 1 episodes"));
        assert!(new(&GailConfig { episodes: Some(2), ..config(1) }).starts_with("agent.episodes: 2 are asked for"));
    }
}
