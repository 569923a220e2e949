//! Event files of TensorBoard: the bytes of each kind of entry, the end of a file's last whole
//! entry, and the scalars in a file of any writer.
//!
//! Scalars, histograms and images take the format's first form. TensorBoard itself shows both forms
//! alike, but `EventAccumulator.Scalars()` and its siblings, which people's scripts use, read only
//! that one. Text and hyperparameters exist as tensors only.

mod histogram;
mod proto;
mod record;
mod scalars;

use std::collections::HashMap;

use prost::Message;

pub use record::{RecordError, Records};
pub use scalars::{EventScalars, read_scalars, scalars_of};

use proto::{
    DataClass, Event, HParamsPluginData, Image, Metadata, PluginData, SessionEnd, SessionStart, Tensor, Value,
};
pub(crate) use proto::{Kind, WellKnown};

/// First entry of every file.
pub(crate) fn file_header(wall_time: f64) -> Vec<u8> {
    record::framed(
        &Event { wall_time, file_version: Some("brain.Event:2".to_owned()), ..Event::default() }.encode_to_vec(),
    )
}

/// Several scalars of one step. TensorBoard keeps them as f32.
pub(crate) fn scalars(wall_time: f64, step: u64, values: &[(&str, f64)]) -> Vec<u8> {
    let values = values
        .iter()
        .map(|(name, value)| Value { tag: (*name).to_owned(), simple_value: Some(*value as f32), ..Value::default() })
        .collect();
    summary(wall_time, step, values)
}

/// Distribution of numbers, without those that are not finite.
pub(crate) fn histogram(wall_time: f64, step: u64, tag: &str, numbers: &[f32]) -> Vec<u8> {
    let histogram = histogram::of(numbers);
    summary(wall_time, step, vec![Value { tag: tag.to_owned(), histogram: Some(histogram), ..Value::default() }])
}

/// Text, rendered as Markdown.
pub(crate) fn text(wall_time: f64, step: u64, tag: &str, text: &str) -> Vec<u8> {
    let tensor = Tensor {
        dtype: proto::DT_STRING,
        shape: Some(proto::shape(&[1])),
        strings: vec![text.into()],
        ..Tensor::default()
    };
    let metadata = metadata("text", Vec::new());
    summary(
        wall_time,
        step,
        vec![Value { tag: tag.to_owned(), tensor: Some(tensor), metadata: Some(metadata), ..Value::default() }],
    )
}

/// RGB picture, encoded as PNG or GIF.
pub(crate) fn image(wall_time: f64, step: u64, tag: &str, (width, height): (u32, u32), encoded: Vec<u8>) -> Vec<u8> {
    let image = Image { height: height as i32, width: width as i32, colorspace: 3, encoded };
    summary(wall_time, step, vec![Value { tag: tag.to_owned(), image: Some(image), ..Value::default() }])
}

/// Start of a run in the HPARAMS tab. No experiment entry is written: TensorBoard then offers every
/// metric, and all hyperparameters of all runs. Runs of one group are one row there, with the mean
/// of their metrics; an empty name is a group of its own.
pub(crate) fn session_start(wall_time: f64, group: &str, hparams: HashMap<String, WellKnown>) -> Vec<u8> {
    let start = SessionStart { hparams, group_name: group.to_owned(), start_time_secs: wall_time };
    session(wall_time, "_hparams_/session_start_info", HParamsPluginData { version: 0, start: Some(start), end: None })
}

/// End of a run in the HPARAMS tab.
pub(crate) fn session_end(wall_time: f64, success: bool) -> Vec<u8> {
    let end = SessionEnd { status: if success { 1 } else { 2 }, end_time_secs: wall_time };
    session(wall_time, "_hparams_/session_end_info", HParamsPluginData { version: 0, start: None, end: Some(end) })
}

fn session(wall_time: f64, tag: &str, content: HParamsPluginData) -> Vec<u8> {
    // The metadata hold the content; the tensor only has to exist.
    let tensor =
        Tensor { dtype: proto::DT_FLOAT, shape: Some(proto::shape(&[1])), floats: vec![0.0], ..Tensor::default() };
    let metadata = metadata("hparams", content.encode_to_vec());
    summary(
        wall_time,
        0,
        vec![Value { tag: tag.to_owned(), tensor: Some(tensor), metadata: Some(metadata), ..Value::default() }],
    )
}

fn metadata(plugin: &str, content: Vec<u8>) -> Metadata {
    let plugin = PluginData { plugin_name: plugin.to_owned(), content };
    Metadata { plugin: Some(plugin), data_class: DataClass::Tensor.into() }
}

fn summary(wall_time: f64, step: u64, values: Vec<Value>) -> Vec<u8> {
    let summary = Some(proto::Summary { values });
    record::framed(&Event { wall_time, step: step as i64, summary, ..Event::default() }.encode_to_vec())
}
