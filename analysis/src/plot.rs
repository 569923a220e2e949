//! `liprl plot`: from run folders to a picture and its numbers.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::{Path, PathBuf},
};

use fs_err as fs;
use rayon::prelude::*;

use crate::{AnalysisError, Band, Curve, Figure, Line, Run, Warning, find_runs};

/// What was drawn and what was skipped on the way.
#[derive(Clone, Debug)]
pub struct PlotReport {
    /// The picture.
    pub picture: PathBuf,
    /// The numbers in it: variant, step, centre, low, high, seeds.
    pub table: PathBuf,
    /// One curve for each variant.
    pub curves: Vec<Curve>,
    /// Lines that could not be read.
    pub warnings: Vec<Warning>,
}

/// Draws `metric` of every run at or below `paths` into `out` (.png or .svg), one curve for each folder of
/// `seed-<n>` and each run of another name, with these horizontal lines across it, and writes the curves' numbers to a .csv
/// beside it.
pub fn plot(
    paths: &[PathBuf],
    metric: &str,
    band: Band,
    references: Vec<Line>,
    out: &Path,
) -> Result<PlotReport, AnalysisError> {
    if !matches!(out.extension().and_then(|ending| ending.to_str()), Some("png" | "svg")) {
        return Err(AnalysisError::UnknownFormat { path: out.to_path_buf() });
    }
    let read = find_runs(paths)?.par_iter().map(|folder| Run::read(folder, metric)).collect::<Result<Vec<_>, _>>()?;
    let (runs, warnings): (Vec<Run>, Vec<Vec<Warning>>) = read.into_iter().unzip();
    let warnings = warnings.concat();
    let mut variants: BTreeMap<&Path, Vec<&Run>> = BTreeMap::new();
    for run in runs.iter().filter(|run| !run.series.is_empty()) {
        variants.entry(&run.variant).or_default().push(run);
    }
    if variants.is_empty() {
        let known = Run::names(&runs)?.into_iter().collect();
        return Err(AnalysisError::NoSuchMetric { metric: metric.to_owned(), known });
    }
    let labels = labels(&variants.keys().copied().collect::<Vec<_>>());
    let curves: Vec<Curve> =
        variants.values().zip(labels).map(|(runs, label)| Curve::from_runs(label, runs, band)).collect();
    let figure = Figure {
        title: title(&variants.keys().copied().collect::<Vec<_>>()),
        caption: if curves.iter().all(|curve| curve.seeds == 1) { "one run each" } else { band.caption() }.to_owned(),
        y_label: metric.to_owned(),
        curves: curves.clone(),
        references,
    };
    figure.write(out)?;
    let table = out.with_extension("csv");
    fs::write(&table, csv(&curves))?;
    Ok(PlotReport { picture: out.to_path_buf(), table, curves, warnings })
}

/// The name of the deepest folder that holds all variants: usually the experiment.
fn title(folders: &[&Path]) -> String {
    let holds_all = |folder: &&Path| folders.iter().all(|other| other.parent().is_some_and(|p| p.starts_with(folder)));
    let common = folders.first().and_then(|first| first.ancestors().find(holds_all));
    common.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The shortest tails of the variants' paths that tell them all apart.
fn labels(folders: &[&Path]) -> Vec<String> {
    let parts: Vec<Vec<String>> = folders
        .iter()
        .map(|folder| folder.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect())
        .collect();
    let longest = parts.iter().map(Vec::len).max().unwrap_or(1);
    let tail = |depth: usize| -> Vec<String> {
        parts.iter().map(|part| part[part.len().saturating_sub(depth)..].join("/")).collect()
    };
    let distinct = |labels: &[String]| labels.iter().collect::<BTreeSet<_>>().len() == labels.len();
    (1..=longest).map(tail).find(|labels| distinct(labels)).unwrap_or_else(|| tail(longest))
}

fn csv(curves: &[Curve]) -> String {
    let mut text = String::from("variant,step,centre,low,high,seeds\n");
    for curve in curves {
        let label = curve.label.replace('"', "\"\"");
        for point in &curve.points {
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "\"{label}\",{},{},{},{},{}",
                point.step, point.centre, point.low, point.high, point.seeds
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_run(root: &Path, run: &str, offset: f64) {
        let folder = root.join(run);
        fs::create_dir_all(&folder).unwrap();
        let lines: String = (0..20)
            .map(|i| {
                let value = 1000.0 * (1.0 - (-0.2 * f64::from(i)).exp()) + offset;
                format!("{{\"step\":{},\"eval/return_mean\":{value}}}\n", i * 5000)
            })
            .collect();
        fs::write(folder.join("metrics.jsonl"), lines).unwrap();
    }

    #[test]
    fn draws_each_variant_and_writes_its_numbers() {
        let root = tempfile::tempdir().unwrap();
        for (seed, offset) in [0.0, 40.0, 90.0].into_iter().enumerate() {
            write_run(root.path(), &format!("hopper/sac/seed-{seed}"), offset);
            write_run(root.path(), &format!("hopper/td3/seed-{seed}"), -offset - 200.0);
        }
        for ending in ["png", "svg"] {
            let out = root.path().join(format!("curve.{ending}"));
            let report = plot(
                &[root.path().join("hopper")],
                "eval/return_mean",
                Band::MeanStd,
                vec![Line { label: "expert".into(), y: 950.0 }],
                &out,
            )
            .unwrap();
            assert_eq!(report.curves.iter().map(|curve| curve.label.as_str()).collect::<Vec<_>>(), ["sac", "td3"]);
            assert!(report.warnings.is_empty());
            let bytes = fs::read(&out).unwrap();
            assert!(bytes.starts_with(if ending == "png" { b"\x89PNG" } else { b"<svg" }), "{:?}", &bytes[..8]);
            let table = fs::read_to_string(report.table).unwrap();
            assert_eq!(table.lines().count(), 1 + 2 * 20);
            let first: Vec<f64> =
                table.lines().nth(1).unwrap().split(',').skip(2).map(|cell| cell.parse().unwrap()).collect();
            // Mean of 0, 40, 90 and its standard deviation, by hand.
            assert!((first[0] - 130.0 / 3.0).abs() < 1e-9);
            assert!((first[2] - first[0] - (6100.0_f64 / 3.0).sqrt()).abs() < 1e-9);
        }
    }

    #[test]
    fn labels_are_as_short_as_tells_them_apart() {
        assert_eq!(labels(&[Path::new("r/a/sac"), Path::new("r/a/td3")]), ["sac", "td3"]);
        assert_eq!(labels(&[Path::new("r/a/sac"), Path::new("r/b/sac")]), ["a/sac", "b/sac"]);
        assert_eq!(title(&[Path::new("r/a/sac"), Path::new("r/b/sac")]), "r");
        assert_eq!(title(&[Path::new("r/a/sac")]), "a");
    }

    #[test]
    fn an_unlogged_metric_names_those_that_were() {
        let root = tempfile::tempdir().unwrap();
        write_run(root.path(), "v/seed-0", 0.0);
        let error = plot(&[root.path().into()], "eval/retrun", Band::default(), Vec::new(), &root.path().join("x.png"))
            .unwrap_err();
        assert!(error.to_string().contains("eval/return_mean"), "{error}");
        let error = plot(&[root.path().into()], "eval/return_mean", Band::default(), Vec::new(), Path::new("x.gif"))
            .unwrap_err();
        assert!(error.to_string().contains(".png or .svg"), "{error}");
    }
}
