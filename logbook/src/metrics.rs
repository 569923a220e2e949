//! `metrics.jsonl`: one JSON object per logging event, `{"step": …, "wall_s": …, "<name>": …}`. A
//! number that is not finite is `null`.

mod line;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use line::LogLine;

use crate::read::{limits, open_file};

/// A logging event as a line. `wall_s` is rounded to milliseconds.
pub(crate) fn encode_line(step: u64, wall_s: f64, values: &[(&str, f64)]) -> Vec<u8> {
    let mut object = serde_json::Map::with_capacity(values.len() + 2);
    object.insert("step".to_owned(), step.into());
    object.insert("wall_s".to_owned(), ((wall_s * 1e3).round() / 1e3).into());
    for (name, value) in values {
        object.insert((*name).to_owned(), (*value).into());
    }
    let mut line = serde_json::Value::Object(object).to_string().into_bytes();
    line.push(b'\n');
    line
}

/// One metric of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    /// Environment steps.
    pub steps: Vec<u64>,
    /// Seconds since the run's start.
    pub wall_s: Vec<f64>,
    /// Values; NaN if they were not finite.
    pub values: Vec<f64>,
    /// Numbers, from 1, of damaged lines, which were skipped.
    pub damaged_lines: Vec<usize>,
}

/// Reads one metric from a `metrics.jsonl`, line by line, and skips events without it. A last line
/// without its newline is still being written; it is skipped without a report.
///
/// # Errors
/// If the file cannot be read. Damaged lines are not errors, see [`Series::damaged_lines`].
pub fn read_series(path: impl AsRef<Path>, metric: &str) -> std::io::Result<Series> {
    let mut series = Series::default();
    series.damaged_lines = read_lines(path.as_ref(), &|name| name == metric, &mut |event| {
        if let Some((_, value)) = event.values.last() {
            series.steps.push(event.step);
            series.wall_s.push(event.wall_s);
            series.values.push(*value);
        }
    })?;
    Ok(series)
}

/// Reads every metric whose name is `wanted`, in one pass, as [`read_series`] does. The second
/// value has the numbers, from 1, of damaged lines.
///
/// # Errors
/// If the file cannot be read.
pub fn read_all_series(
    path: impl AsRef<Path>,
    wanted: impl Fn(&str) -> bool,
) -> std::io::Result<(BTreeMap<String, Series>, Vec<usize>)> {
    let mut all: BTreeMap<String, Series> = BTreeMap::new();
    let damaged = read_lines(path.as_ref(), &wanted, &mut |event| {
        for (name, value) in &event.values {
            // A name is copied once a run, not once an event.
            if !all.contains_key(&**name) {
                all.insert(name.clone().into_owned(), Series::default());
            }
            if let Some(series) = all.get_mut(&**name) {
                series.steps.push(event.step);
                series.wall_s.push(event.wall_s);
                series.values.push(*value);
            }
        }
    })?;
    Ok((all, damaged))
}

/// Names of the metrics in a `metrics.jsonl`. Damaged lines are skipped.
///
/// # Errors
/// If the file cannot be read.
pub fn metric_names(path: impl AsRef<Path>) -> std::io::Result<HashSet<String>> {
    // Events of one kind name the same metrics in one order, so the next name is usually found
    // without a search.
    let (names, next) = (RefCell::new(Vec::<String>::new()), Cell::new(0));
    let unknown = |name: &str| {
        let names = names.borrow();
        let there = |at: usize| names.get(at).is_some_and(|known| known == name);
        let found = if there(next.get()) { Some(next.get()) } else { names.iter().position(|known| known == name) };
        next.set(found.map_or(next.get(), |at| at + 1));
        found.is_none()
    };
    read_lines(path.as_ref(), &unknown, &mut |event| {
        names.borrow_mut().extend(event.values.into_iter().map(|(name, _)| name.into_owned()));
    })?;
    Ok(names.into_inner().into_iter().collect())
}

/// Passes the wanted values of every whole line to `take`. Returns the numbers of damaged lines.
fn read_lines(
    path: &Path,
    wanted: &dyn Fn(&str) -> bool,
    take: &mut dyn FnMut(LogLine<'_>),
) -> std::io::Result<Vec<usize>> {
    let mut reader = BufReader::with_capacity(64 * 1024, open_file(path, limits::LOG)?);
    let (mut damaged, mut line) = (Vec::new(), Vec::new());
    for number in 1.. {
        line.clear();
        if reader.by_ref().take(limits::ENTRY).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if line.last() != Some(&b'\n') {
            if line.len() as u64 == limits::ENTRY && skip_line(&mut reader)? {
                damaged.push(number);
                continue;
            }
            break;
        }
        match LogLine::read(&line, wanted) {
            Some(event) => take(event),
            None => damaged.push(number),
        }
    }
    Ok(damaged)
}

/// Passes over the rest of a line; false if the file ends without its newline.
fn skip_line(reader: &mut impl BufRead) -> std::io::Result<bool> {
    loop {
        let block = reader.fill_buf()?;
        let (read, end) = match block.iter().position(|&byte| byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (block.len(), false),
        };
        reader.consume(read);
        if end || read == 0 {
            return Ok(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fs_err as fs;

    #[test]
    fn a_line_is_json() {
        let text =
            encode_line(3, 1.23456, &[("train/\"loss\"", 0.1), ("eval/return_mean", f64::NAN), ("x", f64::INFINITY)]);
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "{\"step\":3,\"wall_s\":1.235,\"train/\\\"loss\\\"\":0.1,\"eval/return_mean\":null,\"x\":null}\n"
        );
    }

    #[test]
    fn damaged_lines_are_skipped_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut bytes = encode_line(1, 0.5, &[("a", 1.0), ("b", 2.0)]);
        bytes.extend(b"{\"step\":2,\"wall_s\":0.6,\"a\":\n");
        bytes.extend(b"\xff\xfe\n");
        bytes.extend(encode_line(3, 0.7, &[("b", 5.0)]));
        bytes.extend(b"{\"wall_s\":0.6,\"a\":9}\n");
        bytes.extend(encode_line(4, 0.8, &[("a", f64::NAN)]));
        bytes.extend(encode_line(5, 0.9, &[("a", 1e300)]));
        bytes.extend(b"{\"step\":6,\"wall_s\":1,\"a\":1");
        fs::write(&path, bytes).unwrap();
        let series = read_series(&path, "a").unwrap();
        assert_eq!(series.steps, [1, 4, 5]);
        assert_eq!(series.wall_s, [0.5, 0.8, 0.9]);
        assert_eq!((series.values[0], series.values[2]), (1.0, 1e300));
        assert!(series.values[1].is_nan());
        assert_eq!(series.damaged_lines, [2, 3, 5]);
        let (all, damaged) = read_all_series(&path, |_| true).unwrap();
        assert_eq!((all["b"].steps.as_slice(), damaged), ([1, 3].as_slice(), vec![2, 3, 5]));
        assert_eq!(all["a"].steps, [1, 4, 5]);
        assert_eq!(metric_names(&path).unwrap(), HashSet::from(["a".to_owned(), "b".to_owned()]));
        assert!(read_series(folder.path().join("none"), "a").unwrap_err().to_string().contains("none"));
    }

    proptest::proptest! {
        #[test]
        fn what_was_written_is_read(values in proptest::collection::vec(proptest::num::f64::NORMAL, 1..20)) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("metrics.jsonl");
            let lines = values.iter().enumerate();
            let lines = lines.map(|(i, v)| encode_line(i as u64, 0.0, &[("other", 1.0), ("é\"\\", *v)]));
            let bytes: Vec<u8> = lines.flatten().collect();
            fs::write(&path, bytes).unwrap();
            proptest::prop_assert_eq!(read_series(&path, "é\"\\").unwrap().values, values);
        }
    }
}
