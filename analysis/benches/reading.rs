//! Reading 1,000 runs of 1,000 points each: `cargo bench -p liprl-analysis --bench reading`.
//!
//! A point is a line as training writes it: 25 metrics in 900 bytes. The runs have their configs
//! and provenance, which are read too. A metric that no run logged costs a second pass, for the
//! names of those that were.

#![allow(clippy::unwrap_used, missing_docs, reason = "a bench fails by panicking")]

use std::fmt::Write;

use criterion::{Criterion, criterion_group, criterion_main};
use liprl_analysis::{PlotOptions, Run, find_runs, plot};
use liprl_logbook::{Provenance, RunFolder};
use rayon::prelude::*;

const RUNS: usize = 1000;
const POINTS: usize = 1000;

fn reading(criterion: &mut Criterion) {
    let root = tempfile::tempdir().unwrap();
    let mut text = String::new();
    for point in 0..POINTS {
        write!(text, "{{\"step\":{},\"wall_s\":{}", point * 1000, point).unwrap();
        write!(text, ",\"eval/return_mean\":{}", (point as f64).sqrt() * 97.1).unwrap();
        for metric in 0..24 {
            write!(text, ",\"train/metric_{metric}\":{}", ((point + metric) as f64).sin()).unwrap();
        }
        text.push_str("}\n");
    }
    println!("{} MB in all", text.len() * RUNS / 1_000_000);
    let provenance = Provenance::collect("0.1.0", ".", &[("libtorch", "2")], 1, None);
    let config = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/liayn/hopper.yaml")).unwrap();
    for run in 0..RUNS {
        let folder = root.path().join(format!("variant-{}/seed-{}", run / 10, run % 10));
        let folder = RunFolder::create(folder, &config, &provenance).unwrap();
        std::fs::write(folder.metrics_path(), &text).unwrap();
    }
    let mut group = criterion.benchmark_group("reading");
    group.sample_size(10);
    group.bench_function("1000 runs x 1000 points", |bench| {
        bench.iter(|| {
            let folders = find_runs(&[root.path().to_path_buf()]).unwrap();
            let points: usize =
                folders.par_iter().map(|folder| Run::read(folder, "eval/return_mean").unwrap().0.series.len()).sum();
            assert_eq!(points, RUNS * POINTS);
        });
    });
    group.bench_function("the same for a metric nobody logged", |bench| {
        let options = PlotOptions {
            paths: vec![root.path().to_path_buf()],
            metric: "eval/return".to_owned(),
            ..PlotOptions::default()
        };
        bench.iter(|| plot(&options, &root.path().join("x.png")).unwrap_err());
    });
    group.finish();
}

criterion_group!(benches, reading);
criterion_main!(benches);
