//! Wrappers around an environment whose every number is known.

#![allow(clippy::unwrap_used)] // a test that cannot go on should say so

use std::num::NonZeroU32;

use liprl_envs::wrappers::{AbsorbingState, ActionRepeat, ObservationNoise, TimeLimit};
use liprl_envs::{BoxSpace, Env, EnvError, EnvSpec, Options, Step};

/// Counts its steps from 1, rewards each with ten times its number plus the action, and terminates
/// on the last.
struct Counter {
    spec: EnvSpec,
    observations: BoxSpace,
    actions: BoxSpace,
    last: u32,
    count: u32,
}

fn counter(last: u32) -> Box<dyn Env> {
    let spec = EnvSpec { id: "Counter-v0".to_owned(), max_episode_steps: None, options: Options::new(), python: None };
    let (observations, actions) = (BoxSpace::uniform(1, 1.0, 9.0), BoxSpace::uniform(1, -1.0, 1.0));
    Box::new(Counter { spec, observations, actions, last, count: last })
}

impl Env for Counter {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn observation_space(&self) -> &BoxSpace {
        &self.observations
    }

    fn action_space(&self) -> &BoxSpace {
        &self.actions
    }

    fn reset(&mut self, _seed: Option<u64>, _options: &Options, obs: &mut [f64]) -> Result<(), EnvError> {
        self.count = 0;
        obs[0] = 0.0;
        Ok(())
    }

    fn step(&mut self, action: &[f64], obs: &mut [f64]) -> Result<Step, EnvError> {
        if self.count == self.last {
            return Err(EnvError::NeedsReset { id: self.spec.id.clone() });
        }
        self.count += 1;
        obs[0] = f64::from(self.count);
        let reward = 10.0 * f64::from(self.count) + action[0];
        Ok(Step { reward, terminated: self.count == self.last, truncated: false })
    }

    fn info(&self) -> &[(&'static str, f64)] {
        &[]
    }

    fn save(&self) -> Vec<u8> {
        self.count.to_le_bytes().to_vec()
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), EnvError> {
        self.count = u32::from_le_bytes(state.try_into().unwrap());
        Ok(())
    }
}

/// Steps with action 0.5 until the episode's end: (obs, reward, terminated, truncated) of each
/// step.
fn episode(env: &mut dyn Env) -> Vec<(Vec<f64>, f64, bool, bool)> {
    let mut obs = vec![0.0; env.observation_space().dim()];
    env.reset(Some(0), &Options::new(), &mut obs).unwrap();
    let mut steps = Vec::new();
    loop {
        let step = env.step(&[0.5], &mut obs).unwrap();
        steps.push((obs.clone(), step.reward, step.terminated, step.truncated));
        if step.done() {
            assert!(matches!(env.step(&[0.5], &mut obs), Err(EnvError::NeedsReset { .. })));
            return steps;
        }
    }
}

#[test]
fn time_limit_truncates_on_its_last_step_whether_or_not_the_task_terminates() {
    let row = |n: f64, terminated, truncated| (vec![n], 10.0 * n + 0.5, terminated, truncated);
    let mut env = TimeLimit::new(counter(5), 2);
    for _ in 0..2 {
        assert_eq!(episode(&mut env), [row(1.0, false, false), row(2.0, false, true)]);
    }
    assert_eq!(env.spec().max_episode_steps, Some(2));
    assert_eq!(episode(&mut TimeLimit::new(counter(2), 2)), [row(1.0, false, false), row(2.0, true, true)]);
    assert_eq!(episode(&mut TimeLimit::new(counter(1), 2)), [row(1.0, true, false)]);
}

#[test]
fn action_repeat_sums_rewards_and_stops_at_the_end() {
    let mut env = ActionRepeat::new(counter(5), NonZeroU32::new(3).unwrap());
    // 10 + 20 + 30 + 3 · 0.5, then 40 + 50 + 2 · 0.5.
    assert_eq!(episode(&mut env), [(vec![3.0], 61.5, false, false), (vec![5.0], 91.0, true, false)]);
}

/// True if an observation of an [`AbsorbingState`] is the absorbing state.
fn is_absorbing(obs: &[f64]) -> bool {
    obs.last() == Some(&1.0)
}

/// True if the point has the space's length and lies inside its bounds.
fn contains(space: &BoxSpace, point: &[f64]) -> bool {
    point.len() == space.dim()
        && point.iter().zip(&space.low).zip(&space.high).all(|((x, low), high)| low <= x && x <= high)
}

#[test]
fn a_terminated_episode_ends_in_the_absorbing_state() {
    let mut env = AbsorbingState::new(counter(2));
    let expected = [
        (vec![1.0, 0.0], 10.5, false, false),
        (vec![0.0, 1.0], 20.5, false, false),
        (vec![0.0, 1.0], 0.0, false, true),
    ];
    assert_eq!(episode(&mut env), expected);
    assert_eq!(expected.map(|(obs, ..)| is_absorbing(&obs)), [false, true, true]);
    // The absorbing state lies in the space, although the counter's own space begins at 1.
    assert!(contains(env.observation_space(), &[0.0, 1.0]));
}

#[test]
fn a_truncated_episode_does_not() {
    let mut env = AbsorbingState::new(Box::new(TimeLimit::new(counter(5), 2)));
    assert_eq!(episode(&mut env), [(vec![1.0, 0.0], 10.5, false, false), (vec![2.0, 0.0], 20.5, false, true)]);
}

#[test]
fn observation_noise_has_its_deviation_and_its_own_stream() {
    let mut env = ObservationNoise::new(counter(20_000), 0.3);
    let first = episode(&mut env);
    let noise: Vec<f64> = first.iter().zip(1..).map(|((obs, ..), n)| obs[0] - f64::from(n)).collect();
    let n = noise.len() as f64;
    let mean = noise.iter().sum::<f64>() / n;
    let std = (noise.iter().map(|x| x * x).sum::<f64>() / n - mean * mean).sqrt();
    assert!(mean.abs() < 4.0 * 0.3 / n.sqrt(), "mean {mean}");
    assert!((std / 0.3 - 1.0).abs() < 4.0 / (2.0 * n).sqrt(), "deviation {std}");
    assert!(first.iter().zip(1..).all(|((_, reward, ..), n)| *reward == 10.0 * f64::from(n) + 0.5));
    assert_eq!(episode(&mut env), first, "the same seed gives the same noise");
}
