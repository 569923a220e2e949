//! Logs that other programs' own libraries wrote.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking; the lint exempts only #[test] functions")]

use std::path::{Path, PathBuf};
use std::process::Command;

use liprl_analysis::{Band, PlotOptions, PlotOutput, plot};

/// Python that `cargo xtask setup --test` installs.
fn python() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.deps/venv/bin/python");
    let python = std::env::var_os("LIPRL_PYTHON").map_or(own, PathBuf::from);
    assert!(python.exists(), "{} is missing: run `cargo xtask setup --test`", python.display());
    python
}

fn drawn(root: &Path, name: &str) -> Result<PlotOutput, String> {
    let peers = vec![format!("P={}", root.join(name).display()).parse()?];
    let options = PlotOptions { peers, band: Band::MeanStd, ..PlotOptions::default() };
    plot(&options, &root.join("x.svg")).map_err(|error| error.to_string())
}

/// Steps and heights of the only curve.
fn points(output: &PlotOutput) -> Vec<(f64, f64)> {
    output.figure.panels[0].curves[0].1.points.iter().map(|point| (point.x, point.centre)).collect()
}

#[test]
fn logs_of_other_programs_are_read_as_their_own_readers_do() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers.py");
    let output = Command::new(python()).arg(script).arg(root).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs: Vec<(f64, f64)> = serde_json::from_slice(&output.stdout).unwrap();

    assert_eq!(theirs.len(), 11, "0 to 400, 450 and 550, 650 to 950");
    assert_eq!(points(&drawn(root, "restart").unwrap()), theirs, "TensorBoard's own reading");

    // One metric throughout: the run has evaluations, so training returns are not mixed in.
    assert_eq!(points(&drawn(root, "parts").unwrap()), [(500.0, 9.0), (1000.0, 9.0)]);

    let beside = drawn(root, "beside").unwrap();
    assert_eq!(beside.figure.legend, ["P (n=2)"]);
    let warned = beside.warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(warned.contains("1700000000.12/events") && warned.contains("seed-2/events"), "{warned}");

    let zoo = drawn(root, "zoo").unwrap();
    assert_eq!(points(&zoo), [(100.0, 2.0), (200.0, 4.0), (300.0, 5.0)]);
    assert_eq!((zoo.figure.legend, zoo.warnings.len()), (vec!["P (n=2)".to_owned()], 0));
    let spread: Vec<f64> = zoo.figure.panels[0].curves[0].1.points.iter().map(|point| point.high - point.low).collect();
    assert_eq!(spread, [0.0; 3], "stored and deflated, rows and columns first");
    assert!(drawn(root, "ragged").unwrap_err().contains("evaluations.npz: `results`: numbers of type `|O`"));
}
