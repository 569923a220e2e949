//! Logs of a run: numbers, histograms, text and pictures, in `metrics.jsonl` and for TensorBoard.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::folder::RunFolder;
use crate::read::{limits, open_file};
use crate::sink::Sink;
use crate::summary::Status;
use crate::tensorboard::{self, Kind, Records, WellKnown};
use crate::{clock, metrics, provenance};

/// End of the names of this program's event files. A resumption leaves all other files alone.
const EVENT_SUFFIX: &str = ".liprl";

/// Choice of logs. Turning one off changes nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoggerOptions {
    /// `metrics.jsonl`.
    pub metrics: bool,
    /// Event file of TensorBoard.
    pub tensorboard: bool,
}

impl Default for LoggerOptions {
    fn default() -> Self {
        Self { metrics: true, tensorboard: true }
    }
}

/// Length of the logs at a checkpoint, stored in it. A resumed run appends there. The default is
/// the start of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPosition {
    /// Bytes of `metrics.jsonl`.
    pub metrics_bytes: u64,
    /// Event file, once there is one.
    pub events: Option<EventPosition>,
}

/// Length of an event file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventPosition {
    /// Name within the run folder.
    pub file: String,
    /// Bytes.
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

/// Writer of a run's logs. No method fails: an entry that cannot be written becomes a warning
/// ([`Logger::take_warnings`]), once, and the run goes on.
#[derive(Debug)]
pub struct Logger {
    metrics: Option<Sink>,
    events: Option<Sink>,
    /// Position of a log that is turned off.
    resumed_at: LogPosition,
    /// Names with a warning about values that are not finite.
    not_finite: HashSet<String>,
    warnings: Vec<String>,
}

impl Logger {
    /// Starts the logs of a new run.
    pub fn create(folder: &RunFolder, options: LoggerOptions) -> Self {
        Self::open(folder, &LogPosition::default(), options, Vec::new())
    }

    /// Resumes the logs at `position`. Later entries are cut off, so that the logs equal those of a
    /// run without interruption. The default position suits a run that was killed before its first
    /// checkpoint.
    pub fn resume(folder: &RunFolder, position: &LogPosition, options: LoggerOptions) -> Self {
        let warnings = remove_later_event_files(folder.path(), position);
        Self::open(folder, position, options, warnings)
    }

    fn open(folder: &RunFolder, position: &LogPosition, options: LoggerOptions, mut warnings: Vec<String>) -> Self {
        let mut warn = |warning: Option<String>| warnings.extend(warning);
        let path = folder.metrics_path();
        // A log that is turned off is cut too: the steps of its later entries are repeated.
        let metrics = (options.metrics || path.is_file())
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

    /// Logs numbers by name at environment step `step`, `wall_s` seconds after the start of the
    /// run.
    pub fn scalars(&mut self, step: u64, wall_s: f64, values: &[(&str, f64)]) {
        for (name, value) in values {
            if !value.is_finite() && self.not_finite.insert((*name).to_owned()) {
                self.warnings
                    .push(format!("{name} is {value} at step {step}; metrics.jsonl shows such values as null"));
            }
        }
        if let Some(sink) = &mut self.metrics {
            self.warnings.extend(sink.append(&metrics::encode_line(step, wall_s, values)));
        }
        self.event(|now| tensorboard::scalars(now, step, values));
    }

    /// Logs the distribution of `numbers` (weights, actions, Q values) for TensorBoard.
    pub fn histogram(&mut self, step: u64, name: &str, numbers: &[f32]) {
        self.event(|now| tensorboard::histogram(now, step, name, numbers));
    }

    /// Logs a text for TensorBoard, which renders it as Markdown.
    pub fn text(&mut self, step: u64, tag: &str, text: &str) {
        self.event(|now| tensorboard::text(now, step, tag, text));
    }

    /// Logs a picture for TensorBoard. `rgb` holds `height` rows of `width` pixels of three bytes.
    pub fn image(&mut self, step: u64, tag: &str, width: u32, height: u32, rgb: &[u8]) {
        if self.events.is_none() {
            return;
        }
        match encode_png(width, height, rgb) {
            Ok(png) => self.event(|now| tensorboard::image(now, step, tag, (width, height), png)),
            Err(e) => self.warnings.push(format!("the picture {tag} of step {step} is left out: {e}")),
        }
    }

    /// Logs a moving picture for TensorBoard, which plays it in the Images tab: the bytes of a GIF of
    /// the size given, width and height in pixels.
    pub fn gif(&mut self, step: u64, tag: &str, size: (u32, u32), gif: Vec<u8>) {
        self.event(|now| tensorboard::image(now, step, tag, size, gif));
    }

    /// Logs the hyperparameters for TensorBoard's HPARAMS tab: once, before the first scalars. Runs
    /// of one `group` need equal hyperparameters. The tab shows them as one row, with the mean of
    /// their metrics.
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

    /// Logs the end of the run for the HPARAMS tab, and flushes. A stopped run has not ended.
    pub fn finish(&mut self, status: &Status) {
        if matches!(status, Status::Done | Status::Failed { .. }) {
            self.event(|now| tensorboard::session_end(now, *status == Status::Done));
        }
        self.flush();
    }

    /// Writes out the buffers. Logging does so by itself every few seconds.
    pub fn flush(&mut self) {
        for sink in [&mut self.metrics, &mut self.events].into_iter().flatten() {
            self.warnings.extend(sink.flush());
        }
    }

    /// Syncs both logs to the disk and returns their lengths, for a checkpoint.
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

    /// Warnings since the last call. Each problem is reported once.
    pub fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    fn event(&mut self, encode: impl FnOnce(f64) -> Vec<u8>) {
        if let Some(sink) = &mut self.events {
            self.warnings.extend(sink.append(&encode(clock::unix_seconds())));
        }
    }
}

/// Opens a log and cuts it to `bytes`. A shorter log is cut to its last whole entry, and a missing
/// one is created.
fn reopened(
    path: &Path,
    bytes: u64,
    whole: fn(&Path) -> std::io::Result<u64>,
    warn: &mut impl FnMut(Option<String>),
) -> Option<Sink> {
    let opened = match fs::symlink_metadata(path) {
        Err(e) => {
            warn((bytes > 0).then(|| format!("{e}; it is begun anew, without what was logged before the checkpoint")));
            Sink::create(path)
        }
        // A link or a special file is refused there.
        Ok(there) if !there.is_file() || there.len() >= bytes => Sink::reopen(path, bytes),
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
    let mut reader = BufReader::new(open_file(path, limits::LOG)?);
    let (mut end, mut position) = (0, 0);
    loop {
        let block = reader.fill_buf()?;
        if block.is_empty() {
            return Ok(end);
        }
        if let Some(last) = block.iter().rposition(|&b| b == b'\n') {
            end = position + last as u64 + 1;
        }
        let read = block.len();
        position += read as u64;
        reader.consume(read);
    }
}

fn whole_records(path: &Path) -> std::io::Result<u64> {
    let mut records = Records::new(BufReader::new(open_file(path, limits::LOG)?));
    records.by_ref().for_each(drop);
    Ok(records.position())
}

/// Creates an event file with a name that no other writer has.
fn new_event_file(folder: &Path, warn: &mut impl FnMut(Option<String>)) -> Option<Sink> {
    let host = provenance::host().replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "-");
    let stem = format!("events.out.tfevents.{:010}.{host}.{}", clock::unix_seconds() as u64, std::process::id());
    let mut created = (0..1000).map(|n| Sink::create(&folder.join(format!("{stem}.{n}{EVENT_SUFFIX}"))));
    let free = created.find(|c| !c.as_ref().is_err_and(|e| e.kind() == std::io::ErrorKind::AlreadyExists))?;
    free.map_err(|e| warn(Some(format!("{e}; the run goes on without TensorBoard")))).ok()
}

/// Removes the event files that this program began after the checkpoint, because their steps are
/// repeated. Returns the failures.
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
