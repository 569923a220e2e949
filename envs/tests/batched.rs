//! Batched stepping against the same environments stepped one by one.

#![allow(clippy::unwrap_used)] // a test that cannot go on should say so

use liprl_envs::{BatchedEnv, Env, EnvError, NumpyRng, Options, make};

const COUNT: usize = 5;

/// Observations, rewards, flags and final observations of a batch over 150 steps.
fn batch_record(threads: usize) -> Vec<Vec<f64>> {
    let mut batch = BatchedEnv::make("Hopper-v5", &Options::new(), COUNT, threads).unwrap();
    let (obs_dim, act_dim) = (batch.observation_space().dim(), batch.action_space().dim());
    let mut obs = vec![0.0; COUNT * obs_dim];
    batch.reset(Some(10), &mut obs).unwrap();
    let mut rng = NumpyRng::new(0);
    let mut record = vec![obs.clone()];
    for _ in 0..150 {
        let actions: Vec<f64> = (0..COUNT * act_dim).map(|_| rng.uniform(-1.0, 1.0)).collect();
        batch.step(&actions, &mut obs).unwrap();
        let mut row = obs.clone();
        for (i, step) in batch.steps().enumerate() {
            row.extend([step.reward, f64::from(step.terminated), f64::from(step.truncated)]);
            row.extend(batch.final_obs(i).unwrap_or_default());
        }
        record.push(row);
    }
    record
}

#[test]
fn equals_single_environments_on_any_number_of_threads() {
    let mut envs: Vec<Box<dyn Env>> = (0..COUNT).map(|_| make("Hopper-v5", &Options::new()).unwrap()).collect();
    let mut obs = vec![vec![0.0; 11]; COUNT];
    for (i, (env, obs)) in envs.iter_mut().zip(&mut obs).enumerate() {
        env.reset(Some(10 + i as u64), &Options::new(), obs).unwrap();
    }
    let mut rng = NumpyRng::new(0);
    let mut expected = vec![obs.concat()];
    let mut episodes = 0;
    for _ in 0..150 {
        let mut ends = Vec::new();
        for (env, obs) in envs.iter_mut().zip(&mut obs) {
            let action: Vec<f64> = (0..3).map(|_| rng.uniform(-1.0, 1.0)).collect();
            let step = env.step(&action, obs).unwrap();
            ends.extend([step.reward, f64::from(step.terminated), f64::from(step.truncated)]);
            if step.done() {
                episodes += 1;
                ends.extend_from_slice(obs);
                env.reset(None, &Options::new(), obs).unwrap();
            }
        }
        expected.push([obs.concat(), ends].concat());
    }
    assert!(episodes > COUNT, "only {episodes} episodes ended");
    for threads in [1, 2, 3, 8] {
        assert_eq!(batch_record(threads), expected, "{threads} threads");
    }
}

#[test]
fn unusable_batches_are_refused() {
    let error = |envs| BatchedEnv::new(envs, 1).err().unwrap().to_string();
    assert_eq!(error(Vec::new()), "a batch of environments: there has to be at least one");
    let mixed = ["Hopper-v5", "Walker2d-v5"].map(|id| make(id, &Options::new()).unwrap());
    assert_eq!(error(mixed.into()), "a batch of environments: their observation or action spaces differ");
    let mut batch = BatchedEnv::make("Hopper-v5", &Options::new(), 2, 1).unwrap();
    assert!(matches!(
        batch.reset(None, &mut [0.0; 11]),
        Err(EnvError::WrongLength { what: "observation", found: 11, expected: 22, .. })
    ));
}
