//! Folders of sweeps with known numbers, written as training writes them.

use std::path::{Path, PathBuf};

use liprl_logbook::{Logger, LoggerOptions, Provenance, RunFolder, RunSummary, Status};

/// Writes two variants of five finished runs each. The second also has a run that failed and one
/// that was killed; one more is planned.
pub(crate) fn write(root: &Path) -> PathBuf {
    let sweep = root.join("penalty");
    for (scale, offset) in [(0, 0.0), (10, 100.0)] {
        for seed in 0..5 {
            run(&sweep, &format!("penalty={scale}"), scale, seed, offset + 10.0 + f64::from(seed), Status::Done);
        }
    }
    run(
        &sweep,
        "penalty=10",
        10,
        5,
        0.0,
        Status::Failed { reason: "the loss is NaN at step 300 <see run.log>".to_owned() },
    );
    run(&sweep, "penalty=10", 10, 6, 0.0, Status::Running);
    // No process has a number this high.
    std::fs::write(sweep.join("penalty=10/seed-6/.lock"), "4194305").unwrap();
    let lock = serde_json::json!({
        "format_version": 1,
        "experiment": "penalty",
        "report": {
            "question": "Does the penalty help <b>?",
            "metric": "eval/return_mean",
            "baseline": "penalty=0",
            "figure": null,
        },
        "runs": [
            {"folder": "penalty=0/seed-0", "active": true},
            {"folder": "penalty=0/seed-9", "active": true},
            {"folder": "penalty=0/seed-8", "active": false},
        ],
    });
    std::fs::write(sweep.join("sweep.lock.json"), lock.to_string()).unwrap();
    sweep
}

/// Writes one run's folder, with a given last value.
pub(crate) fn run(sweep: &Path, variant: &str, scale: u32, seed: u32, last: f64, status: Status) {
    let commit = if scale == 0 { "a".repeat(40) } else { "b".repeat(40) };
    let provenance =
        Provenance { git_commit: Some(commit), ..Provenance::collect("0.1.0", ".", &[("libtorch", "2")], 1, None) };
    let config = format!("env: Hopper-v5\nseed: {seed}\nagent:\n  kind: gail\n  penalty:\n    scale: {scale}\n");
    let folder = RunFolder::create(sweep.join(variant).join(format!("seed-{seed}")), &config, &provenance).unwrap();
    let mut logger = Logger::create(&folder, LoggerOptions { metrics: true, tensorboard: false });
    for (step, value) in [(100, last / 2.0), (200, last + 1000.0), (300, last)] {
        let gradient_norm = if scale == 0 { step as f64 * step as f64 } else { 1.0 };
        let values = [
            ("eval/return_mean", value),
            ("lipschitz/discriminator_gradient/visited/q95", gradient_norm),
            ("lipschitz/discriminator_gradient/visited/q50", gradient_norm),
        ];
        logger.scalars(step, step as f64, &values);
    }
    logger.finish(&status);
    let summary = RunSummary {
        status,
        steps: 300,
        final_return: Some(last),
        best_return: Some(last + 1000.0),
        best_step: Some(200),
        seconds: 3.0,
        steps_per_second: 100.0,
        peak_memory_bytes: Some(2_000_000_000),
        parameters: Some(70_000),
    };
    folder.write_summary(&summary).unwrap();
    if (variant, seed) == ("penalty=0", 1) {
        let path = folder.metrics_path();
        let text = std::fs::read_to_string(&path).unwrap().replacen("{\"step\":200", "{\"step\":", 1);
        std::fs::write(path, text).unwrap();
    }
}
