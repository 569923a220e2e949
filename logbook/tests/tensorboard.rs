//! Event files, read by the real `tensorboard` package.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking; the lint exempts only functions marked #[test]"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use liprl_logbook::tensorboard::read_scalars;
use liprl_logbook::{HParam, Logger, LoggerOptions, Provenance, RunFolder, Status};
use serde_json::{Value, json};

/// Python that `cargo xtask setup --test` installs.
fn python() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.deps/venv/bin/python");
    let python = std::env::var_os("LIPRL_PYTHON").map_or(own, PathBuf::from);
    assert!(python.exists(), "{} is missing: run `cargo xtask setup --test`", python.display());
    python
}

/// Everything that tensorboard finds in a run, and in the folder around it.
fn read(folder: &Path) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/read_events.py");
    let output = Command::new(python()).arg(script).arg(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn run(place: &Path, name: &str) -> RunFolder {
    let provenance = Provenance::collect("0.1.0", ".", &[], 1, None);
    RunFolder::create(place.join(name), "env: Pendulum-v1\n", &provenance).unwrap()
}

#[test]
fn every_kind_of_entry_arrives() {
    let place = tempfile::tempdir().unwrap();
    let run = run(place.path(), "run");
    let mut logger = Logger::create(&run, LoggerOptions::default());
    let hparams = [
        ("agent.kind".to_owned(), HParam::Text("sac".to_owned())),
        ("agent.tau".to_owned(), HParam::Number(0.005)),
        ("agent.n_step".to_owned(), HParam::Number(3.0)),
        ("agent.layer_norm".to_owned(), HParam::Bool(true)),
    ];
    logger.hparams(None, &hparams);
    logger.text(0, "config", "env: Pendulum-v1\nsteps: 1000 # größer\n");
    let values: Vec<f64> = (0..2000).map(|i| (f64::from(i) * 0.1).sin() * 1e3).collect();
    for (step, value) in (0..).zip(&values) {
        logger.scalars(step * 7, 0.5, &[("train/return_mean", *value), ("perf/steps_per_s", 0.25)]);
    }
    logger.scalars(2_000_000_000, 0.5, &[("train/odd", f64::NAN)]);
    let numbers: Vec<f32> = (0..1000).map(|i| (i as f32 * 0.37).cos()).collect();
    logger.histogram(40, "weights/actor", &numbers);
    logger.histogram(41, "weights/actor", &[1.5]);
    let rgb: Vec<u8> = (0..4 * 2 * 3).map(|i| i * 10).collect();
    logger.image(50, "render", 4, 2, &rgb);
    logger.image(51, "render", 4, 3, &rgb);
    logger.finish(&Status::Done);
    let warnings = logger.take_warnings();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("train/odd is NaN at step 2000000000"), "{warnings:?}");
    assert!(warnings[1].contains("4×3 pixels are 36 bytes, not 24"), "{warnings:?}");

    // This crate's own reader.
    let file = std::fs::read_dir(run.path()).unwrap().map(|entry| entry.unwrap().path());
    let file = file.into_iter().find(|path| path.to_string_lossy().contains("tfevents")).unwrap();
    let own = read_scalars(&file, |_| true).unwrap();
    assert_eq!(own.fault, None);
    assert_eq!(own.series.keys().collect::<Vec<_>>(), ["perf/steps_per_s", "train/odd", "train/return_mean"]);
    let again = own.series["train/return_mean"].iter().map(|&(step, _, value)| (step, value as f32));
    assert!(again.eq((0..).map(|i| i * 7).zip(values.iter().map(|value| *value as f32))));

    let found = read(run.path());
    let by_scripts = &found["accumulated"];
    let series = by_scripts["scalars"]["train/return_mean"].as_array().unwrap();
    assert_eq!(series.len(), values.len());
    for (i, (point, value)) in series.iter().zip(&values).enumerate() {
        assert_eq!(point[0], json!(i * 7));
        assert_eq!(point[1].as_f64().unwrap() as f32, *value as f32);
    }
    assert_eq!(by_scripts["scalars"]["perf/steps_per_s"][1999], json!([13993, 0.25]));
    assert_eq!(by_scripts["scalars"]["train/odd"], json!([[2_000_000_000_u64, null]]));
    assert_eq!(by_scripts["text"]["config"], json!([[0, "env: Pendulum-v1\nsteps: 1000 # größer\n"]]));

    let histogram = &by_scripts["histograms"]["weights/actor"][0];
    assert_eq!(histogram[0], 40);
    let sum: f64 = numbers.iter().map(|&x| f64::from(x)).sum();
    assert!((histogram[1]["sum"].as_f64().unwrap() - sum).abs() < 1e-9);
    let least = numbers.iter().fold(f32::INFINITY, |a, &b| a.min(b));
    assert_eq!(histogram[1]["min"].as_f64(), Some(f64::from(least)));

    let picture = &by_scripts["images"]["render"];
    assert_eq!((&picture[0][0], &picture[0][1], &picture[0][2]), (&json!(50), &json!(4), &json!(2)));
    assert_eq!(picture.as_array().unwrap().len(), 1);

    // Requests of the page.
    let page = &found["served"];
    for (tab, tag) in [("scalars", "train/return_mean"), ("histograms", "weights/actor"), ("images", "render")] {
        assert!(page["tags"][tab]["run"][tag].is_object(), "{tab}: {}", page["tags"][tab]);
    }
    assert_eq!(page["tags"]["text"], json!({"run": ["config"]}));
    let buckets = page["histograms"]["weights/actor"][0][2].as_array().unwrap();
    for bucket in buckets {
        let edge = |i: usize| bucket[i].as_f64().unwrap();
        // TensorBoard keeps the edges as f32, so numbers next to one may fall on its other side.
        let within = |slack: f64| {
            numbers.iter().filter(|&&x| f64::from(x) >= edge(0) - slack && f64::from(x) <= edge(1) + slack).count()
                as f64
        };
        assert!(within(-1e-6) <= edge(2) && edge(2) <= within(1e-6), "{bucket}");
    }
    let total: f64 = buckets.iter().map(|b| b[2].as_f64().unwrap()).sum();
    assert_eq!(total, 1000.0);

    let group = &page["groups"]["sessionGroups"][0];
    let expected = json!({"agent.kind": "sac", "agent.tau": 0.005, "agent.n_step": 3.0, "agent.layer_norm": true});
    assert_eq!(group["hparams"], expected);
    assert_eq!(group["sessions"][0]["status"], "STATUS_SUCCESS");
    let metric = group["metricValues"].as_array().unwrap().iter().find(|m| m["name"]["tag"] == "train/return_mean");
    assert_eq!(metric.unwrap()["value"].as_f64().unwrap() as f32, values[1999] as f32);
}

#[test]
fn runs_of_a_sweep_stand_side_by_side_in_the_hparams_tab() {
    let place = tempfile::tempdir().unwrap();
    for (name, scale, best) in [("a", 1.0, 10.0), ("b", 2.0, 20.0)] {
        let run = run(place.path(), name);
        let mut logger = Logger::create(&run, LoggerOptions::default());
        logger.hparams(
            None,
            &[("scale".to_owned(), HParam::Number(scale)), (format!("only_{name}"), HParam::Bool(true))],
        );
        logger.scalars(5, 1.0, &[("eval/return_mean", best)]);
        logger.finish(&Status::Failed { reason: "x".to_owned() });
    }
    let page = &read(&place.path().join("a"))["served"];
    let mut rows: Vec<(f64, f64, &str)> = page["groups"]["sessionGroups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|g| {
            let metric = g["metricValues"][0]["value"].as_f64().unwrap();
            (g["hparams"]["scale"].as_f64().unwrap(), metric, g["sessions"][0]["status"].as_str().unwrap())
        })
        .collect();
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert_eq!(rows, [(1.0, 10.0, "STATUS_FAILURE"), (2.0, 20.0, "STATUS_FAILURE")]);
    let names: Vec<_> =
        page["experiment"]["hparamInfos"].as_array().unwrap().iter().map(|i| i["name"].as_str().unwrap()).collect();
    for name in ["scale", "only_a", "only_b"] {
        assert!(names.contains(&name), "{names:?}");
    }
}

#[test]
fn runs_of_one_group_are_one_row_with_their_mean() {
    let place = tempfile::tempdir().unwrap();
    for (name, scale, seed, best) in [("a", 1.0, 0, 10.0), ("a", 1.0, 1, 30.0), ("b", 2.0, 0, 50.0)] {
        let run = run(place.path(), &format!("{name}/seed-{seed}"));
        let mut logger = Logger::create(&run, LoggerOptions::default());
        logger.hparams(Some(name), &[("scale".to_owned(), HParam::Number(scale))]);
        logger.scalars(5, 1.0, &[("eval/return_mean", best)]);
        logger.finish(&Status::Done);
    }
    // The script looks at the folder around what it is given.
    let page = &read(&place.path().join("a"))["served"];
    let groups = page["groups"]["sessionGroups"].as_array().unwrap().iter();
    let mut rows: Vec<(&str, f64, f64, usize)> = groups
        .map(|group| {
            let mean = group["metricValues"][0]["value"].as_f64().unwrap();
            let sessions = group["sessions"].as_array().unwrap().len();
            (group["name"].as_str().unwrap(), group["hparams"]["scale"].as_f64().unwrap(), mean, sessions)
        })
        .collect();
    rows.sort_by(|a, b| a.0.cmp(b.0));
    assert_eq!(rows, [("a", 1.0, 20.0, 2), ("b", 2.0, 50.0, 1)]);
}

#[test]
fn two_writers_in_one_second_have_two_files() {
    let place = tempfile::tempdir().unwrap();
    let run = run(place.path(), "run");
    let options = LoggerOptions { metrics: false, tensorboard: true };
    let mut loggers: Vec<_> = (0..3).map(|_| Logger::create(&run, options)).collect();
    assert_eq!(
        loggers.iter_mut().map(|l| l.position().events.unwrap().file).collect::<std::collections::HashSet<_>>().len(),
        3
    );
}

/// Event files of other writers: TensorBoard's own messages, in both forms of a scalar.
#[test]
fn scalars_of_other_writers_are_read() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("events.out.tfevents.1.peer");
    let script = "
import sys, numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.plugins.scalar import summary_v2
from tensorboard.util.tensor_util import make_tensor_proto
w = RecordWriter(open(sys.argv[1], 'wb'))
def put(step, **value):
    w.write(Event(wall_time=5.5, step=step, summary=Summary(value=[Summary.Value(**value)])).SerializeToString())
w.write(Event(wall_time=5.0, file_version='brain.Event:2').SerializeToString())
put(1, tag='old', simple_value=1.5)
put(2, tag='text', tensor=make_tensor_proto([b'word']))
put(3, tag='vector', tensor=make_tensor_proto(np.array([1.0, 2.0])))
for step, kind in enumerate([np.float32, np.float64, np.int32, np.int64]):
    put(step, tag='new', tensor=make_tensor_proto(np.array(7, dtype=kind)))
raw = make_tensor_proto(np.array(0.1, dtype=np.float64))
raw.tensor_content = np.float64(0.1).tobytes()
del raw.double_val[:]
put(9, tag='new', tensor=raw)
w.flush()
";
    let output = Command::new(python()).args(["-c", script]).arg(&path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found = read_scalars(&path, |_| true).unwrap();
    assert_eq!(found.series["old"], [(1, 5.5, 1.5)]);
    let new: Vec<(i64, f64)> = found.series["new"].iter().map(|&(step, _, value)| (step, value)).collect();
    assert_eq!(new, [(0, 7.0), (1, 7.0), (2, 7.0), (3, 7.0), (9, 0.1)]);
    assert_eq!(found.series.len(), 2, "neither text nor vectors: {:?}", found.series.keys());
    assert_eq!(read_scalars(&path, |tag| tag == "old").unwrap().series.len(), 1);

    // A file that ends early is still being written; a changed byte is damage, and named.
    let mut bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
    let cut = read_scalars(&path, |_| true).unwrap();
    assert_eq!((cut.fault, cut.series["new"].len()), (None, 4));
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert!(read_scalars(&path, |_| true).unwrap().fault.unwrap().contains("is damaged"));
}
