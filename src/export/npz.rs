//! Arrays for numpy, `.npz`.

use std::path::Path;

use serde_json::{Map, Value, json};
use tch::{TchError, Tensor};

use super::parts::{Parts, Scaling, Standardise};

/// Writes the parts as named arrays, those of docs/policies.md. `about` is JSON in UTF-8: the facts,
/// and what the arrays do not say.
pub(super) fn write(parts: &Parts, facts: &Map<String, Value>, path: &Path) -> Result<(), TchError> {
    let mut about = facts.clone();
    about.insert("activation".to_owned(), json!(parts.activation));
    about.insert("head".to_owned(), json!(parts.head));
    about.insert("dense".to_owned(), json!(parts.dense));
    let mut arrays: Vec<(String, Tensor)> = Vec::new();
    let mut put = |name: String, array: Tensor| arrays.push((name, array));
    put("about".to_owned(), Tensor::f_from_slice(Value::Object(about).to_string().as_bytes())?);
    if let Some(Standardise { mean, scale, clip }) = &parts.standardise {
        put("obs_mean".to_owned(), Tensor::f_from_slice(mean)?);
        put("obs_scale".to_owned(), Tensor::f_from_slice(scale)?);
        put("obs_clip".to_owned(), Tensor::f_from_slice(&[*clip])?);
    }
    for (i, layer) in parts.layers.iter().enumerate() {
        let shape = layer.shape().map(|size| size as i64);
        put(format!("weight_{i}"), Tensor::f_from_slice(&layer.weight)?.f_view(shape)?);
        put(format!("bias_{i}"), Tensor::f_from_slice(&layer.bias)?);
        if let Some([scale, shift]) = &layer.norm {
            put(format!("norm_scale_{i}"), Tensor::f_from_slice(scale)?);
            put(format!("norm_shift_{i}"), Tensor::f_from_slice(shift)?);
        }
    }
    if let Some(Scaling { centre, half_width }) = &parts.scaling {
        put("action_centre".to_owned(), Tensor::f_from_slice(centre)?);
        put("action_half_width".to_owned(), Tensor::f_from_slice(half_width)?);
    }
    Tensor::write_npz(&arrays, path)
}
