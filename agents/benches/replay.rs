//! Sampling from a full replay buffer of 1e6 Hopper transitions (11 observations, 3 actions), batch 256.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use liprl_agents::{Batch, Flags, Replay, ReplayConfig, Transition, WindowBatch, replay::PriorityConfig};
use liprl_numerics::Streams;

fn full(priorities: Option<PriorityConfig>) -> Result<Replay, liprl_agents::AgentError> {
    let config = ReplayConfig { capacity: 1_000_000, obs_dim: 11, act_dim: 3, priorities };
    let mut replay = Replay::new(config)?;
    for i in 0..config.capacity {
        let x = (i as f32 * 0.37).sin();
        let transition = Transition {
            obs: &[x; 11],
            action: &[x; 3],
            reward: x,
            next_obs: &[-x; 11],
            terminated: i % 1000 == 999,
            truncated: false,
        };
        replay.push(&transition, Flags::NONE)?;
    }
    Ok(replay)
}

fn sampling(criterion: &mut Criterion) {
    let (Ok(uniform), Ok(mut prioritised)) = (full(None), full(Some(PriorityConfig::default()))) else { return };
    let mut rng = Streams::new(0).rng("bench");
    for n in [1, 10] {
        let mut batch = Batch::new(256, 11, 3, n, 0.99);
        criterion.bench_function(&format!("replay/uniform, n-step {n}"), |bencher| {
            bencher.iter(|| black_box(uniform.sample(&mut rng, &mut batch)).is_ok());
        });
    }
    let mut windows = WindowBatch::new(256, 11, 3, 10, 0.99);
    criterion.bench_function("replay/whole windows of 10", |bencher| {
        bencher.iter(|| black_box(uniform.sample_window(&mut rng, &mut windows)).is_ok());
    });
    let (mut batch, errors) = (Batch::new(256, 11, 3, 1, 0.99), [0.5; 256]);
    criterion.bench_function("replay/prioritised, with update", |bencher| {
        bencher.iter(|| {
            let sampled = prioritised.sample(&mut rng, &mut batch);
            let updated = prioritised.update_priorities(&batch.index, &errors);
            black_box((sampled, updated)).0.is_ok()
        });
    });
}

criterion_group!(benches, sampling);
criterion_main!(benches);
