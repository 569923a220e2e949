//! Scalars of event files of any writer: TensorFlow's second form (a tensor of one number) beside
//! the first.

use std::collections::BTreeMap;
use std::io::{BufReader, Read};
use std::path::Path;

use prost::Message;

use super::proto::{self, Event, Tensor, Value};
use super::record::{RecordError, Records};
use crate::read::{limits, open_file};

/// Scalars of an event file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventScalars {
    /// Tag → its entries in the file's order: step, seconds since 1970, value.
    pub series: BTreeMap<String, Vec<(i64, f64, f64)>>,
    /// Least step at which a session began (`SessionLog.START`). Entries of earlier files at or
    /// after it are out of date, because the run went on from an older state; those of this file
    /// are left out already.
    pub restart: Option<i64>,
    /// Reason why the rest of the file could not be read, if it could not. A file that ends within
    /// a record is still being written, which is not a fault.
    pub fault: Option<String>,
}

/// Reads the scalars of one event file whose tags are `wanted`, record by record.
///
/// # Errors
/// If the file cannot be read. A damaged record ends the reading but is not an error, see
/// [`EventScalars::fault`].
pub fn read_scalars(path: impl AsRef<Path>, wanted: impl Fn(&str) -> bool) -> std::io::Result<EventScalars> {
    scalars_of(BufReader::with_capacity(64 * 1024, open_file(path, limits::LOG)?), wanted)
}

/// Reads the scalars of an event file's bytes, see [`read_scalars`].
///
/// # Errors
/// If the bytes cannot be read.
pub fn scalars_of(file: impl Read, wanted: impl Fn(&str) -> bool) -> std::io::Result<EventScalars> {
    let mut found = EventScalars::default();
    let mut records = Records::new(file);
    for record in records.by_ref() {
        let event = match record {
            Ok(bytes) => Event::decode(&bytes[..]),
            Err(RecordError::Io(error)) => return Err(error),
            Err(RecordError::Torn(_)) => break,
            Err(fault @ RecordError::Damaged(_)) => {
                found.fault = Some(fault.to_string());
                break;
            }
        };
        let Ok(event) = event else {
            found.fault = Some("it holds records that are not TensorBoard events".to_owned());
            break;
        };
        if event.session.is_some_and(|session| session.status == proto::SESSION_START) {
            found.restart = Some(found.restart.map_or(event.step, |step| step.min(event.step)));
            for entries in found.series.values_mut() {
                entries.retain(|entry| entry.0 < event.step);
            }
        }
        for value in event.summary.into_iter().flat_map(|summary| summary.values) {
            if !wanted(&value.tag) {
                continue;
            }
            if let Some(number) = number(&value) {
                found.series.entry(value.tag).or_default().push((event.step, event.wall_time, number));
            }
        }
    }
    Ok(found)
}

/// Number of a scalar's entry; `None` for pictures, texts and all other entries.
fn number(value: &Value) -> Option<f64> {
    let plugin =
        value.metadata.as_ref().and_then(|metadata| metadata.plugin.as_ref()).map(|plugin| plugin.plugin_name.as_str());
    if plugin.is_some_and(|name| name != "scalars") {
        return None;
    }
    match (&value.simple_value, &value.tensor) {
        (Some(number), _) => Some(f64::from(*number)),
        (None, Some(tensor)) if value.image.is_none() && value.histogram.is_none() => scalar(tensor),
        _ => None,
    }
}

/// Number of a tensor that holds exactly one, in its typed list or as bytes.
fn scalar(tensor: &Tensor) -> Option<f64> {
    let elements: i64 = tensor.shape.iter().flat_map(|shape| &shape.dims).map(|dim| dim.size).product();
    if elements != 1 {
        return None;
    }
    let bytes = &tensor.content[..];
    match tensor.dtype {
        proto::DT_FLOAT => tensor.floats.first().map(|x| f64::from(*x)).or(bytes
            .try_into()
            .ok()
            .map(f32::from_le_bytes)
            .map(f64::from)),
        proto::DT_DOUBLE => tensor.doubles.first().copied().or(bytes.try_into().ok().map(f64::from_le_bytes)),
        proto::DT_INT32 => {
            tensor.ints.first().map(|x| f64::from(*x)).or(bytes.try_into().ok().map(i32::from_le_bytes).map(f64::from))
        }
        proto::DT_INT64 => {
            tensor.longs.first().copied().or(bytes.try_into().ok().map(i64::from_le_bytes)).map(|x| x as f64)
        }
        _ => None,
    }
}
