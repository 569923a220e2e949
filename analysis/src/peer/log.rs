//! One log of another program: the columns or tags that may be drawn.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use fs_err as fs;
use liprl_logbook::tensorboard::{EventScalars, scalars_of};

use super::files::is_packed;
use super::npz;
use crate::run::Warning;

/// Format of a log, in the order of preference where a run has several with the curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LogKind {
    /// CSV, perhaps packed.
    Table,
    /// `evaluations.npz` of Stable-Baselines3.
    Evaluations,
    /// TensorBoard event file, perhaps packed.
    Events,
}

impl LogKind {
    /// Format that a file's name stands for, if it is a log's.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_string_lossy().to_lowercase();
        let plain = name.trim_end_matches(".gz");
        if plain.ends_with(".csv") {
            Some(Self::Table)
        } else if name == "evaluations.npz" {
            Some(Self::Evaluations)
        } else {
            plain.contains("tfevents").then_some(Self::Events)
        }
    }
}

/// A cell of a column of numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cell {
    /// Nothing: programs leave the cells of columns that they log less often empty.
    Empty,
    /// A number.
    Number(f64),
    /// Anything else.
    Damaged,
}

/// Columns of numbers of one length.
#[derive(Debug, Default)]
pub(super) struct Columns {
    /// Name → cells.
    pub(super) cells: BTreeMap<String, Vec<Cell>>,
    /// Number of each row's line in the file, from 1.
    pub(super) lines: Vec<usize>,
}

/// Values of a metric at environment steps, in the file's order.
#[derive(Debug, Default)]
pub(super) struct Points {
    /// Steps and values.
    pub(super) points: Vec<(u64, f64)>,
    /// Lines that hold something else than numbers.
    pub(super) damaged: Vec<usize>,
    /// True if a step was not a whole number.
    pub(super) rounded: bool,
}

/// A log with the columns that may be drawn.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) path: PathBuf,
    pub(super) kind: LogKind,
    /// Names of all columns or tags.
    pub(super) names: BTreeSet<String>,
    columns: Columns,
    events: EventScalars,
    /// Reason why the file, or its rest, could not be read.
    fault: Option<String>,
}

impl Log {
    /// Reads the wanted columns of a file. One that cannot be read has a fault and no columns.
    pub(super) fn read(path: PathBuf, metrics: &[&str], steps: &[&str]) -> Self {
        let named = LogKind::of(&path);
        let is_npz = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("npz"));
        let kind = named.unwrap_or(if is_npz { LogKind::Evaluations } else { LogKind::Events });
        let mut log = Self {
            path,
            kind,
            names: BTreeSet::new(),
            columns: Columns::default(),
            events: EventScalars::default(),
            fault: None,
        };
        let read = match kind {
            LogKind::Table => log.read_table(|name| metrics.contains(&name) || steps.contains(&name)),
            LogKind::Evaluations => log.read_evaluations(),
            LogKind::Events => log.read_events(|tag| metrics.contains(&tag)),
        };
        if let Err(problem) = read {
            log.fault = Some(problem);
        }
        log
    }

    /// Warning about a file that could not be read to its end.
    pub(super) fn fault(&self) -> Option<Warning> {
        let problem = self.fault.clone()?;
        Some(Warning::File { path: self.path.clone(), problem })
    }

    pub(super) fn is_damaged(&self) -> bool {
        self.fault.is_some()
    }

    /// True if there is a value at a step.
    pub(super) fn has(&self, metric: &str, step: &str) -> bool {
        !self.points(metric, step).points.is_empty()
    }

    /// Finite values of a metric. Event files have steps of their own.
    pub(super) fn points(&self, metric: &str, step: &str) -> Points {
        let mut found = Points::default();
        if self.kind == LogKind::Events {
            let entries = self.events.series.get(metric).into_iter().flatten();
            let entries = entries.filter_map(|&(step, _, value)| Some((u64::try_from(step).ok()?, value)));
            found.points = entries.filter(|(_, value)| value.is_finite()).collect();
            return found;
        }
        let (Some(values), Some(steps)) = (self.columns.cells.get(metric), self.columns.cells.get(step)) else {
            return found;
        };
        /// Beyond 2⁵³ a float no longer names one whole number.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        for ((step, value), line) in steps.iter().zip(values).zip(&self.columns.lines) {
            match (step, value) {
                (Cell::Empty, _) | (_, Cell::Empty) => {}
                (Cell::Number(step), _) if step.is_nan() => {}
                (Cell::Number(step), Cell::Number(value)) if (0.0..=EXACT).contains(step) => {
                    found.rounded |= step.fract() != 0.0;
                    if value.is_finite() {
                        found.points.push((*step as u64, *value));
                    }
                }
                _ => found.damaged.push(*line),
            }
        }
        found
    }

    /// Least step at which a later session began within the file.
    pub(super) fn restart(&self) -> Option<i64> {
        self.events.restart
    }

    fn read_events(&mut self, wanted: impl Fn(&str) -> bool) -> Result<(), String> {
        let names = RefCell::new(BTreeSet::new());
        let note = |tag: &str| {
            if !names.borrow().contains(tag) {
                names.borrow_mut().insert(tag.to_owned());
            }
            wanted(tag)
        };
        self.events = scalars_of(reader(&self.path).map_err(text)?, note).map_err(text)?;
        self.names = names.into_inner();
        self.events.fault.clone().map_or(Ok(()), Err)
    }

    fn read_evaluations(&mut self) -> Result<(), String> {
        self.columns = npz::read(&fs::read(&self.path).map_err(text)?)?;
        self.names = self.columns.cells.keys().cloned().collect();
        Ok(())
    }

    fn read_table(&mut self, wanted: impl Fn(&str) -> bool) -> Result<(), String> {
        let mut file = reader(&self.path).map_err(text)?;
        let (mut header, mut chosen): (Vec<String>, Vec<usize>) = Default::default();
        let (mut bytes, mut line) = (Vec::new(), 0);
        loop {
            bytes.clear();
            if file.read_until(b'\n', &mut bytes).map_err(text)? == 0 {
                return Ok(());
            }
            line += 1;
            let words = String::from_utf8_lossy(&bytes);
            let words = words.trim_end_matches(['\n', '\r']);
            if header.is_empty() {
                let words = words.trim_start_matches('\u{feff}');
                // Monitor files of Stable-Baselines3 begin with a comment.
                if words.starts_with('#') || words.is_empty() {
                    continue;
                }
                header = cells(words).unwrap_or_default();
                chosen = (0..header.len()).filter(|&index| wanted(&header[index])).collect();
                self.names = header.iter().cloned().collect();
                continue;
            }
            let row = cells(words).filter(|row| row.len() == header.len());
            self.columns.lines.push(line);
            for &index in &chosen {
                let cell = row.as_ref().map_or(Cell::Damaged, |row| Cell::of(&row[index]));
                let column = self.columns.cells.entry(header[index].clone()).or_default();
                // Of columns of one name the first counts.
                if column.len() < self.columns.lines.len() {
                    column.push(cell);
                }
            }
        }
    }
}

impl Cell {
    fn of(text: &str) -> Self {
        match text.trim() {
            "" | "None" | "null" | "NA" | "N/A" => Self::Empty,
            text => text.parse().map_or(Self::Damaged, Self::Number),
        }
    }
}

/// Reader of a file, perhaps packed.
fn reader(path: &Path) -> io::Result<Box<dyn BufRead>> {
    let file = fs::File::open(path)?;
    let plain: Box<dyn Read> = if is_packed(path) { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    Ok(Box::new(BufReader::with_capacity(64 * 1024, plain)))
}

fn text(error: io::Error) -> String {
    error.to_string()
}

/// Cells of a line, quoted as in RFC 4180; `None` if a quote stays open.
fn cells(line: &str) -> Option<Vec<String>> {
    let mut row = vec![String::new()];
    let mut quoted = false;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        let cell = row.last_mut()?;
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(String::new()),
            other => cell.push(other),
        }
    }
    (!quoted).then_some(row)
}
