//! `liprl plot`: learning curves of run folders, as a picture and as numbers.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::{Path, PathBuf},
};

use liprl_logbook::write_output;
use rayon::prelude::*;

use crate::curve::{Band, Curve};
use crate::draw::PictureFormat;
use crate::error::AnalysisError;
use crate::figure::Figure;
use crate::labels::{caption, labels, references, title};
use crate::names::suggestions;
use crate::panel::{Panel, ReferenceLine};
use crate::peer::{self, Peer};
use crate::run::{Run, Warning, find_runs, logged_names, variant_folder};

/// Options of a plot.
#[derive(Clone, Debug)]
pub struct PlotOptions {
    /// Run folders, or folders around them. Each folder of `seed-<n>` makes a curve, and so does
    /// each run of another name.
    pub paths: Vec<PathBuf>,
    /// Curves of other programs.
    pub peers: Vec<Peer>,
    /// Metric. Default `eval/return_mean`.
    pub metric: String,
    /// Meaning of line and band.
    pub band: Band,
    /// Number of a run's last points that are averaged. Default 1: not smoothed.
    pub smooth: usize,
    /// Horizontal lines; `TASK:NAME` is drawn for that task alone.
    pub references: Vec<ReferenceLine>,
    /// Title. Default: made from the folders.
    pub title: Option<String>,
    /// Label of the vertical axis. Default: the metric.
    pub y_label: Option<String>,
    /// Names of curves: folder of a variant or of one of its runs, or a peer's name → name.
    pub labels: Vec<(PathBuf, String)>,
    /// Omit the legend.
    pub no_legend: bool,
}

impl Default for PlotOptions {
    fn default() -> Self {
        Self {
            paths: Vec::new(),
            peers: Vec::new(),
            metric: "eval/return_mean".to_owned(),
            band: Band::default(),
            smooth: 1,
            references: Vec::new(),
            title: None,
            y_label: None,
            labels: Vec::new(),
            no_legend: false,
        }
    }
}

/// Columns of a figure's numbers.
const HEADER: &str = "task,variant,step,centre,low,high,seeds";

/// A drawn plot.
#[derive(Clone, Debug)]
pub struct PlotOutput {
    /// The picture.
    pub picture: PathBuf,
    /// Its numbers as CSV: task, variant, step, centre, low, high, seeds.
    pub table: PathBuf,
    /// The curves.
    pub figure: Figure,
    /// Lines and files that were skipped.
    pub warnings: Vec<Warning>,
}

/// Draws learning curves into `out` (.png, .svg or .pdf), a panel for each task. Writes their numbers to
/// a .csv beside it.
///
/// # Errors
/// If there are no runs, no run logged the metric, a file cannot be read, or one cannot be written.
pub fn plot(options: &PlotOptions, out: &Path) -> Result<PlotOutput, AnalysisError> {
    PictureFormat::of(out)?;
    let (runs, warnings) = read(options)?;
    let mut variants: BTreeMap<(Option<&str>, &Path), Vec<&Run>> = BTreeMap::new();
    for run in runs.iter().filter(|run| !run.series.is_empty()) {
        variants.entry((run.task.as_deref(), &run.variant)).or_default().push(run);
    }
    if variants.is_empty() {
        let known: Vec<String> = logged_names(runs.iter().map(|run| run.folder.as_path()))?.into_iter().collect();
        if known.is_empty() {
            return Err(AnalysisError::NothingLogged { paths: runs.into_iter().map(|run| run.folder).collect() });
        }
        let (metric, paths) = (options.metric.clone(), options.paths.clone());
        return Err(AnalysisError::NoSuchMetric { metric, paths, known });
    }
    let figure = figure(&variants, options)?;
    let table = out.with_extension("csv");
    // A log of another program may stand where the numbers would go.
    if std::fs::read(&table).is_ok_and(|text| !text.is_empty() && !text.starts_with(HEADER.as_bytes())) {
        let problem = "it holds something else than a figure's numbers; give the figure another name";
        return Err(AnalysisError::Request(format!("{}: {problem}", table.display())));
    }
    figure.write(out)?;
    write_output(&table, csv(&figure).as_bytes())?;
    Ok(PlotOutput { picture: out.to_path_buf(), table, figure, warnings })
}

fn read(options: &PlotOptions) -> Result<(Vec<Run>, Vec<Warning>), AnalysisError> {
    let folders = if options.paths.is_empty() { Vec::new() } else { find_runs(&options.paths)? };
    let read = |folder: &PathBuf| Run::read(folder, &options.metric);
    let (mut runs, skipped): (Vec<Run>, Vec<Vec<Warning>>) =
        folders.par_iter().map(read).collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
    let mut warnings = skipped.concat();
    let mut tasks: BTreeSet<Option<String>> = runs.iter().map(|run| run.task.clone()).collect();
    if let Some(peer) = options.peers.iter().find(|peer| runs.iter().any(|run| run.variant == Path::new(&peer.name))) {
        let problem = format!("the peer `{}` has the name of a folder of runs; give it another", peer.name);
        return Err(AnalysisError::Request(problem));
    }
    let (theirs, skipped) = peer::read(&options.peers)?;
    runs.extend(theirs);
    warnings.extend(skipped);
    // The logs of other programs do not name their task.
    let task = tasks.pop_first().flatten();
    if !options.peers.is_empty() && !tasks.is_empty() {
        let problem = "other programs' curves do not name their task; draw them with runs of one task";
        return Err(AnalysisError::Request(problem.to_owned()));
    }
    if tasks.is_empty() {
        runs.iter_mut().for_each(|run| run.task.clone_from(&task));
    }
    Ok((runs, warnings))
}

fn figure(
    variants: &BTreeMap<(Option<&str>, &Path), Vec<&Run>>,
    options: &PlotOptions,
) -> Result<Figure, AnalysisError> {
    let keys: Vec<(Option<&str>, &Path)> = variants.keys().copied().collect();
    let labels = named(&keys, &options.labels)?;
    let names: BTreeSet<&String> = labels.iter().collect();
    let places: BTreeMap<&String, usize> = names.iter().enumerate().map(|(place, name)| (*name, place)).collect();
    let tasks: BTreeSet<Option<&str>> = keys.iter().map(|key| key.0).collect();
    let mut panels = Vec::new();
    for task in &tasks {
        let ours = variants.iter().zip(&labels).filter(|((key, _), _)| key.0 == *task);
        let curves = ours.map(|((_, runs), label)| {
            (places[label], Curve::from_runs(label.clone(), runs, options.band, options.smooth))
        });
        let curves: Vec<(usize, Curve)> = curves.collect();
        panels.push(Panel {
            title: task.filter(|_| tasks.len() > 1).unwrap_or_default().to_owned(),
            y_label: options.y_label.clone().unwrap_or_else(|| options.metric.clone()),
            from_zero: true,
            curves,
            references: references(&options.references, *task, &tasks),
            ..Panel::default()
        });
    }
    let mut seeds: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (_, curve) in panels.iter().flat_map(|panel| &panel.curves) {
        let (least, most) = seeds.entry(&curve.label).or_insert((usize::MAX, 0));
        (*least, *most) = ((*least).min(curve.seeds), (*most).max(curve.seeds));
    }
    let entry = |(name, (least, most)): (&str, (usize, usize))| {
        if least == most { format!("{name} (n={most})") } else { format!("{name} (n={least} to {most})") }
    };
    let legend = seeds.into_iter().map(entry).collect();
    let own: Vec<&Path> = keys.iter().filter(|key| key.1.components().count() > 1).map(|key| key.1).collect();
    let experiment = title(&own);
    let task = if tasks.len() == 1 { keys[0].0.unwrap_or_default() } else { "" };
    let title =
        [experiment.as_str(), task].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(": ");
    let title = options.title.clone().unwrap_or(title);
    let legend = if options.no_legend { Vec::new() } else { legend };
    let caption = caption(&panels, options.band, options.smooth);
    Ok(Figure { title, caption, legend, panels, ..Figure::default() })
}

/// Names of the curves, some of them given by folder.
fn named(keys: &[(Option<&str>, &Path)], given: &[(PathBuf, String)]) -> Result<Vec<String>, AnalysisError> {
    let mut names = labels(keys);
    let whole = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    for (folder, name) in given {
        let wanted = [whole(folder), whole(&variant_folder(folder))];
        let fits: Vec<usize> = (0..keys.len()).filter(|index| wanted.contains(&whole(keys[*index].1))).collect();
        if fits.is_empty() {
            let folders: BTreeSet<String> = keys.iter().map(|key| key.1.display().to_string()).collect();
            let folders = suggestions(&folder.to_string_lossy(), folders.iter().map(String::as_str));
            let problem = format!("no curve is that of {}; there are {folders}", folder.display());
            return Err(AnalysisError::Request(problem));
        }
        fits.into_iter().for_each(|index| names[index].clone_from(name));
    }
    let mut seen = BTreeSet::new();
    match keys.iter().zip(&names).find(|(key, name)| !seen.insert((key.0, *name))) {
        Some((_, twice)) => Err(AnalysisError::Request(format!("two curves of one task would be called `{twice}`"))),
        None => Ok(names),
    }
}

fn csv(figure: &Figure) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let mut text = format!("{HEADER}\n");
    for panel in &figure.panels {
        for (_, curve) in &panel.curves {
            for point in &curve.points {
                // Writing to a String cannot fail.
                let _ = writeln!(
                    text,
                    "{},{},{},{},{},{},{}",
                    quoted(&panel.title),
                    quoted(&curve.label),
                    point.x,
                    point.centre,
                    point.low,
                    point.high,
                    point.seeds
                );
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use fs_err as fs;

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
        for ending in ["png", "svg", "pdf"] {
            let out = root.path().join(format!("curve.{ending}"));
            let options = PlotOptions {
                paths: vec![root.path().join("hopper")],
                band: Band::MeanStd,
                references: vec![ReferenceLine { label: "expert".into(), y: 950.0 }],
                ..PlotOptions::default()
            };
            let report = plot(&options, &out).unwrap();
            assert_eq!(report.figure.legend, ["sac (n=3)", "td3 (n=3)"]);
            assert!(report.warnings.is_empty());
            let bytes = fs::read(&out).unwrap();
            assert!(
                bytes.starts_with(match ending {
                    "png" => b"\x89PNG",
                    "svg" => b"<svg",
                    _ => b"%PDF",
                }),
                "{:?}",
                &bytes[..8]
            );
            let table = fs::read_to_string(report.table).unwrap();
            assert_eq!(table.lines().count(), 1 + 2 * 20);
            let first: Vec<f64> =
                table.lines().nth(1).unwrap().split(',').skip(3).map(|cell| cell.parse().unwrap()).collect();
            // Mean of 0, 40, 90 and its standard deviation, by hand.
            assert!((first[0] - 130.0 / 3.0).abs() < 1e-9);
            assert!((first[2] - first[0] - (6100.0_f64 / 3.0).sqrt()).abs() < 1e-9);
        }
    }

    #[test]
    fn curves_titles_and_axes_are_named() {
        let root = tempfile::tempdir().unwrap();
        for run in ["e/scale=1/seed-0", "e/scale=2/seed-0"] {
            write_run(root.path(), run, 0.0);
        }
        let out = root.path().join("x.svg");
        let label = |folder: &str, name: &str| (root.path().join(folder), name.to_owned());
        let options = PlotOptions {
            paths: vec![root.path().join("e")],
            title: Some("Two scales".to_owned()),
            y_label: Some("return".to_owned()),
            labels: vec![label("e/scale=1", "one"), label("e/scale=2/seed-0", "two")],
            ..PlotOptions::default()
        };
        assert_eq!(plot(&options, &out).unwrap().figure.legend, ["one (n=1)", "two (n=1)"]);
        let drawn = fs::read_to_string(&out).unwrap();
        for part in [">Two scales<", ">return<", ">one (n=1)<"] {
            assert!(drawn.contains(part), "{part}");
        }
        plot(&PlotOptions { no_legend: true, ..options.clone() }, &out).unwrap();
        assert!(!fs::read_to_string(&out).unwrap().contains("one (n=1)"));
        let twice = PlotOptions { labels: vec![label("e/scale=1", "scale=2")], ..options.clone() };
        assert!(plot(&twice, &out).unwrap_err().to_string().contains("would be called `scale=2`"));
        let other = PlotOptions { labels: vec![label("e/scale=3", "three")], ..options };
        let error = plot(&other, &out).unwrap_err();
        assert!(error.is_usage() && error.to_string().contains("e/scale=2"), "{error}");
    }

    #[test]
    fn an_unlogged_metric_lists_those_logged() {
        let root = tempfile::tempdir().unwrap();
        write_run(root.path(), "v/seed-0", 0.0);
        let options = PlotOptions { paths: vec![root.path().into()], ..PlotOptions::default() };
        let other = PlotOptions { metric: "eval/retrun".to_owned(), ..options.clone() };
        let error = plot(&other, &root.path().join("x.png")).unwrap_err();
        assert!(error.to_string().contains("eval/return_mean"), "{error}");
        let error = plot(&options, Path::new("x.gif")).unwrap_err();
        assert!(error.to_string().contains(".png, .svg or .pdf"), "{error}");
    }

    #[test]
    fn each_task_has_a_panel_and_peers_need_a_single_task() {
        let root = tempfile::tempdir().unwrap();
        for (run, task) in [("e/hopper/sac/seed-0", "Hopper-v5"), ("e/ant/sac/seed-0", "{id: Ant-v5}")] {
            write_run(root.path(), run, 0.0);
            fs::write(root.path().join(run).join("config.yaml"), format!("env: {task}\nseed: 0\n")).unwrap();
        }
        let peer = root.path().join("progress.csv");
        fs::write(&peer, "time/total_timesteps,eval/mean_reward\n0,1\n5000,2\n").unwrap();
        let out = root.path().join("x.svg");
        let line = |label: &str| ReferenceLine { label: label.into(), y: 5.0 };
        let options = PlotOptions {
            paths: vec![root.path().join("e")],
            references: vec![line("Ant-v5: expert"), line("random")],
            smooth: 3,
            ..PlotOptions::default()
        };
        let figure = plot(&options, &out).unwrap().figure;
        let panels: Vec<(&str, usize)> =
            figure.panels.iter().map(|panel| (panel.title.as_str(), panel.references.len())).collect();
        assert_eq!(panels, [("Ant-v5", 2), ("Hopper-v5", 1)]);
        assert_eq!(figure.legend, ["sac (n=1)"]);
        assert!(fs::read_to_string(&out).unwrap().contains("last 3 points"), "smoothing is said on the figure");

        let peers = vec![format!("SB3={}", peer.display()).parse().unwrap()];
        let beside = PlotOptions { peers: peers.clone(), ..PlotOptions::default() };
        let error = plot(&beside, &peer.with_extension("svg")).unwrap_err();
        assert!(error.to_string().contains("another name"), "{error}");
        assert!(fs::read_to_string(&peer).unwrap().starts_with("time/"), "a peer's table is not overwritten");
        let error = plot(&PlotOptions { peers: peers.clone(), ..options.clone() }, &out).unwrap_err();
        assert!(error.to_string().contains("runs of one task"), "{error}");
        let one = PlotOptions { peers, paths: vec![root.path().join("e/ant")], ..options };
        let figure = plot(&one, &out).unwrap().figure;
        assert_eq!(figure.legend, ["SB3 (n=1)", "sac (n=1)"]);
        assert_eq!(figure.panels.len(), 1);
    }
}
