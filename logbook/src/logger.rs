//! What a run says while it goes on: numbers, histograms, text and pictures, to `metrics.jsonl` and
//! to TensorBoard.

use std::collections::{HashMap, HashSet};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::sink::Sink;
use crate::tensorboard::{self, Kind, Records, WellKnown};
use crate::{RunFolder, Status, clock, metrics, provenance};

/// Ends the names of this program's event files, so that a resumption touches no other's.
const EVENT_SUFFIX: &str = ".liprl";

/// Which logs are written. Turning one off changes nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoggerOptions {
    /// `metrics.jsonl`.
    pub metrics: bool,
    /// TensorBoard's event file.
    pub tensorboard: bool,
}

impl Default for LoggerOptions {
    fn default() -> Self {
        Self { metrics: true, tensorboard: true }
    }
}

/// How far the logs had come at a checkpoint; stored in it, so that a resumed run's logs go on from
/// there. The default is the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPosition {
    /// Bytes of `metrics.jsonl`.
    pub metrics_bytes: u64,
    /// TensorBoard's file, once there is one.
    pub events: Option<EventPosition>,
}

/// How far an event file had come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventPosition {
    /// Its name within the run folder.
    pub file: String,
    /// Bytes of it.
    pub bytes: u64,
}

/// A hyperparameter for TensorBoard's HPARAMS tab.
#[derive(Debug, Clone, PartialEq)]
pub enum HParam {
    /// A number.
    Number(f64),
    /// A switch.
    Bool(bool),
    /// A choice.
    Text(String),
}

/// Writes a run's logs. Nothing here fails: what cannot be written becomes a warning
/// ([`Logger::take_warnings`]), once, and the run goes on.
#[derive(Debug)]
pub struct Logger {
    metrics: Option<Sink>,
    events: Option<Sink>,
    /// Where a log that is not being written stands.
    resumed_at: LogPosition,
    /// Names that have been warned about.
    not_finite: HashSet<String>,
    warnings: Vec<String>,
}

impl Logger {
    /// The logs of a new run.
    pub fn create(folder: &RunFolder, options: LoggerOptions) -> Self {
        Self::open(folder, &LogPosition::default(), options, Vec::new())
    }

    /// Goes on at `position`: what was logged after it is cut off, so that the logs come out as if
    /// the run had never been interrupted. A run that was killed before its first checkpoint is
    /// resumed at the default position.
    pub fn resume(folder: &RunFolder, position: &LogPosition, options: LoggerOptions) -> Self {
        let warnings = remove_later_event_files(folder.path(), position);
        Self::open(folder, position, options, warnings)
    }

    fn open(folder: &RunFolder, position: &LogPosition, options: LoggerOptions, mut warnings: Vec<String>) -> Self {
        let mut warn = |warning: Option<String>| warnings.extend(warning);
        let path = folder.metrics_path();
        // Also a log that is turned off is cut: its entries after the checkpoint are of steps to be
        // taken again.
        let metrics = (options.metrics || path.exists())
            .then(|| reopened(&path, position.metrics_bytes, whole_lines, &mut warn))
            .flatten();
        let mut events = match &position.events {
            Some(at) => reopened(&folder.path().join(&at.file), at.bytes, whole_records, &mut warn),
            None if options.tensorboard => new_event_file(folder.path(), &mut warn),
            None => None,
        };
        if let Some(empty) = events.as_mut().filter(|sink| sink.written() == 0) {
            warn(empty.append(&tensorboard::file_header(clock::unix_seconds())));
        }
        Self {
            metrics: metrics.filter(|_| options.metrics),
            events: events.filter(|_| options.tensorboard),
            resumed_at: position.clone(),
            not_finite: HashSet::new(),
            warnings,
        }
    }

    /// Logs numbers under their names at environment step `step`, `wall_s` seconds into the run.
    pub fn scalars(&mut self, step: u64, wall_s: f64, values: &[(&str, f64)]) {
        for (name, value) in values {
            if !value.is_finite() && self.not_finite.insert((*name).to_owned()) {
                self.warnings
                    .push(format!("{name} is {value} at step {step}; metrics.jsonl shows such values as null"));
            }
        }
        if let Some(sink) = &mut self.metrics {
            self.warnings.extend(sink.append(&metrics::line(step, wall_s, values)));
        }
        self.event(|now| tensorboard::scalars(now, step, values));
    }

    /// Shows TensorBoard how `numbers` (weights, actions, Q values) are distributed.
    pub fn histogram(&mut self, step: u64, name: &str, numbers: &[f32]) {
        self.event(|now| tensorboard::histogram(now, step, name, numbers));
    }

    /// Shows TensorBoard a text, as Markdown.
    pub fn text(&mut self, step: u64, tag: &str, text: &str) {
        self.event(|now| tensorboard::text(now, step, tag, text));
    }

    /// Shows TensorBoard a picture: `rgb` holds `height` rows of `width` pixels of three bytes.
    pub fn image(&mut self, step: u64, tag: &str, width: u32, height: u32, rgb: &[u8]) {
        if self.events.is_none() {
            return;
        }
        match encode_png(width, height, rgb) {
            Ok(png) => self.event(|now| tensorboard::image(now, step, tag, (width, height), png)),
            Err(e) => self.warnings.push(format!("the picture {tag} of step {step} is left out: {e}")),
        }
    }

    /// Names the run's hyperparameters for TensorBoard's HPARAMS tab; once, before the first
    /// scalars. Runs that share a `group` must share these too: the tab shows them as one row, with
    /// the mean of their metrics.
    pub fn hparams(&mut self, group: Option<&str>, hparams: &[(String, HParam)]) {
        let values: HashMap<String, WellKnown> = hparams
            .iter()
            .map(|(name, value)| {
                let kind = match value {
                    HParam::Number(x) => Kind::Number(*x),
                    HParam::Bool(b) => Kind::Bool(*b),
                    HParam::Text(t) => Kind::Text(t.clone()),
                };
                (name.clone(), WellKnown { kind: Some(kind) })
            })
            .collect();
        self.event(|now| tensorboard::session_start(now, group.unwrap_or_default(), values));
    }

    /// Says in the HPARAMS tab how the run ended, and flushes. A stopped run has not ended.
    pub fn finish(&mut self, status: &Status) {
        if matches!(status, Status::Done | Status::Failed { .. }) {
            self.event(|now| tensorboard::session_end(now, *status == Status::Done));
        }
        self.flush();
    }

    /// Writes out what is buffered. Happens by itself every few seconds while something is logged.
    pub fn flush(&mut self) {
        for sink in [&mut self.metrics, &mut self.events].into_iter().flatten() {
            self.warnings.extend(sink.flush());
        }
    }

    /// Brings both logs to the disk and says how far they are, for a checkpoint.
    pub fn position(&mut self) -> LogPosition {
        for sink in [&mut self.metrics, &mut self.events].into_iter().flatten() {
            self.warnings.extend(sink.sync());
        }
        let mut position = self.resumed_at.clone();
        if let Some(sink) = &self.metrics {
            position.metrics_bytes = sink.written();
        }
        if let Some(sink) = &self.events {
            position.events = Some(EventPosition { file: sink.file_name(), bytes: sink.written() });
        }
        position
    }

    /// What could not be written since the last call, for the user's eyes; each trouble is told
    /// once.
    pub fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    fn event(&mut self, encode: impl FnOnce(f64) -> Vec<u8>) {
        if let Some(sink) = &mut self.events {
            self.warnings.extend(sink.append(&encode(clock::unix_seconds())));
        }
    }
}

/// Opens a log at `bytes`; where it is shorter than that, at the end of its last whole entry; where
/// it is missing, as a new one.
fn reopened(
    path: &Path,
    bytes: u64,
    whole: fn(&Path) -> std::io::Result<u64>,
    warn: &mut impl FnMut(Option<String>),
) -> Option<Sink> {
    let opened = match fs::metadata(path) {
        Err(e) => {
            warn((bytes > 0).then(|| format!("{e}; it is begun anew, without what was logged before the checkpoint")));
            Sink::create(path)
        }
        Ok(there) if there.len() >= bytes => Sink::reopen(path, bytes),
        Ok(_) => whole(path).and_then(|end| {
            warn(Some(format!(
                "{} is shorter than at the checkpoint; entries are missing before byte {bytes}",
                path.display()
            )));
            Sink::reopen(path, end)
        }),
    };
    opened.map_err(|e| warn(Some(format!("{e}; the run goes on without this log")))).ok()
}

fn whole_lines(path: &Path) -> std::io::Result<u64> {
    Ok(fs::read(path)?.iter().rposition(|&b| b == b'\n').map_or(0, |last| last as u64 + 1))
}

fn whole_records(path: &Path) -> std::io::Result<u64> {
    let mut records = Records::new(BufReader::new(fs::File::open(path)?));
    records.by_ref().for_each(drop);
    Ok(records.position())
}

/// Starts an event file under a name no other writer has.
fn new_event_file(folder: &Path, warn: &mut impl FnMut(Option<String>)) -> Option<Sink> {
    let host = provenance::host().replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "-");
    let stem = format!("events.out.tfevents.{:010}.{host}.{}", clock::unix_seconds() as u64, std::process::id());
    let mut created = (0..1000).map(|n| Sink::create(&folder.join(format!("{stem}.{n}{EVENT_SUFFIX}"))));
    let free = created.find(|c| !c.as_ref().is_err_and(|e| e.kind() == std::io::ErrorKind::AlreadyExists))?;
    free.map_err(|e| warn(Some(format!("{e}; the run goes on without TensorBoard")))).ok()
}

/// Event files this program began after the checkpoint belong to steps that will be taken again.
/// The answer is what could not be removed.
fn remove_later_event_files(folder: &Path, position: &LogPosition) -> Vec<String> {
    let kept = position.events.as_ref().map(|at| folder.join(&at.file));
    let ours = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("events.out.tfevents.") && name.ends_with(EVENT_SUFFIX)
    };
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(|e| Some(e.ok()?.path()));
    let later = entries.filter(ours).filter(|path| Some(path) != kept.as_ref());
    later.filter_map(|path| fs::remove_file(&path).err()).map(|e| e.to_string()).collect()
}

fn encode_png(width: u32, height: u32, rgb: &[u8]) -> Result<Vec<u8>, String> {
    let wanted = width as usize * height as usize * 3;
    if rgb.len() != wanted {
        return Err(format!("{width}×{height} pixels are {wanted} bytes, not {}", rgb.len()));
    }
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header().and_then(|mut w| w.write_image_data(rgb)).map_err(|e| e.to_string())?;
    Ok(png)
}
