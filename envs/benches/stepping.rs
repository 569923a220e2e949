//! Environment steps per second against bare MuJoCo, in one run.
//!
//! `bare` is MuJoCo itself on the same episodes: the same resets, `frame_skip` steps with the same
//! controls, and the contact forces. `env` is `Env::step` behind the time limit; `batch` steps 16
//! environments.
//!
//! `cargo bench -p liprl-envs`

#![allow(clippy::unwrap_used)] // a benchmark that cannot go on should say so

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use liprl_envs::{BatchedEnv, Env, NumpyRng, Options, make};
use mujoco_rs::prelude::{MjData, MjModel};

/// Id, model file, simulation steps per control step.
const TASKS: [(&str, &str, u32); 3] =
    [("HalfCheetah-v5", "half_cheetah.xml", 5), ("Hopper-v5", "hopper.xml", 4), ("Humanoid-v5", "humanoid.xml", 5)];
/// Control steps per timed iteration.
const STEPS: usize = 1600;
const BATCH: usize = 16;

fn actions(dim: usize, high: &[f64]) -> Vec<f64> {
    let mut rng = NumpyRng::new(0);
    (0..STEPS * dim).map(|i| high[i % high.len()] * rng.uniform(-1.0, 1.0)).collect()
}

/// For each step, the observation of the reset before it; `None` without a reset.
fn resets(env: &mut dyn Env, actions: &[f64]) -> Vec<Option<Vec<f64>>> {
    let mut obs = vec![0.0; env.observation_space().dim()];
    env.reset(Some(0), &Options::new(), &mut obs).unwrap();
    let mut start = Some(obs.clone());
    let each = actions.chunks_exact(env.action_space().dim()).map(|action| {
        let before = start.take();
        if env.step(action, &mut obs).unwrap().done() {
            env.reset(None, &Options::new(), &mut obs).unwrap();
            start = Some(obs.clone());
        }
        before
    });
    each.collect()
}

fn stepping(criterion: &mut Criterion) {
    for (id, xml, frame_skip) in TASKS {
        let mut group = criterion.benchmark_group(id);
        group.sample_size(20).throughput(Throughput::Elements(STEPS as u64));
        let mut env = make(id, &Options::new()).unwrap();
        let actions = actions(env.action_space().dim(), &env.action_space().high);
        let dim = env.action_space().dim();

        // The observation with nothing left out begins with the simulator's state.
        let whole = Options::from([("exclude_current_positions_from_observation".to_owned(), false.into())]);
        let resets = resets(make(id, &whole).unwrap().as_mut(), &actions);
        let folder = std::env::var("LIPRL_MUJOCO_ASSETS").unwrap();
        let mut bare = MjData::new(Arc::new(MjModel::from_xml(format!("{folder}/{xml}")).unwrap()));
        group.bench_function("bare", |b| {
            b.iter(|| {
                for (action, reset) in actions.chunks_exact(dim).zip(&resets) {
                    if let Some(state) = reset {
                        let (nq, nv) = (bare.qpos().len(), bare.qvel().len());
                        bare.reset();
                        bare.qpos_mut().copy_from_slice(&state[..nq]);
                        bare.qvel_mut().copy_from_slice(&state[nq..nq + nv]);
                        bare.forward();
                    }
                    bare.ctrl_mut().copy_from_slice(action);
                    (0..frame_skip).for_each(|_| bare.step());
                    bare.rne_post_constraint();
                }
            })
        });

        let mut obs = vec![0.0; env.observation_space().dim()];
        group.bench_function("env", |b| {
            b.iter(|| {
                env.reset(Some(0), &Options::new(), &mut obs).unwrap();
                for action in actions.chunks_exact(dim) {
                    if env.step(action, &mut obs).unwrap().done() {
                        env.reset(None, &Options::new(), &mut obs).unwrap();
                    }
                }
                black_box(obs[0])
            })
        });

        for threads in [1, 2] {
            let mut batch = BatchedEnv::make(id, &Options::new(), BATCH, threads).unwrap();
            let mut obs = vec![0.0; BATCH * obs.len()];
            group.bench_function(format!("batch of {BATCH}, {threads} threads"), |b| {
                b.iter(|| {
                    batch.reset(Some(0), &mut obs).unwrap();
                    for actions in actions.chunks_exact(BATCH * dim) {
                        batch.step(actions, &mut obs).unwrap();
                    }
                    black_box(obs[0])
                })
            });
        }
        group.finish();
    }
}

criterion_group!(benches, stepping);
criterion_main!(benches);
