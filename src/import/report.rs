//! The mapping from a file to a network, in words.

use liprl_control::PolicyHead;

use super::activations;
use super::found::{FoundNetwork, Output};
use crate::terminal::dynamic_table;

/// Lines about the layers, the activation, the map to actions and the standardisation.
pub(crate) fn report(found: &FoundNetwork) -> String {
    let hidden =
        found.activation.get().map_or_else(|| "unknown".to_owned(), |activation| activations::name(*activation));
    let last = found.layers.len().saturating_sub(1);
    let rows = found.layers.iter().enumerate().map(|(at, layer)| {
        let norm = if layer.norm.is_some() { "LayerNorm, " } else { "" };
        let then = if at < last { format!("{norm}{hidden}") } else { after(found) };
        let (inputs, outputs) = (layer.inputs.to_string(), layer.outputs().to_string());
        vec![layer.name.clone(), inputs, outputs, then]
    });
    let header = ["layer", "inputs", "outputs", "then"].map(str::to_owned).to_vec();
    let mut text = dynamic_table(header, 1..3, rows.collect());
    let mut line = |name: &str, words: &str| text += &format!("{name:11}  {words}\n");
    if last > 0 {
        line("activation", &format!("{hidden}{}", found.activation.source()));
    }
    line("actions", &format!("{}{}", output(found), found.output.source()));
    let standardised = found.standardise.as_ref().map(|found| {
        let clip = if found.clip.is_finite() { format!(", clipped to ±{}", found.clip) } else { String::new() };
        format!("{} numbers by mean and deviation, from {}{clip}", found.mean.len(), found.from)
    });
    line("normaliser", &standardised.unwrap_or_else(|| "none".to_owned()));
    text
}

/// The function after the last layer.
fn after(found: &FoundNetwork) -> String {
    match found.output.get() {
        Some(Output::Unit(PolicyHead::Tanh) | Output::Scaled { head: PolicyHead::Tanh, .. }) => "tanh".to_owned(),
        Some(Output::Unit(PolicyHead::Clamp) | Output::Scaled { head: PolicyHead::Clamp, .. }) => "clip".to_owned(),
        Some(Output::Raw(_)) => "clip".to_owned(),
        None => "unknown".to_owned(),
    }
}

fn output(found: &FoundNetwork) -> &'static str {
    match found.output.get() {
        Some(Output::Unit(PolicyHead::Tanh)) => "tanh, scaled to the environment's bounds",
        Some(Output::Unit(PolicyHead::Clamp)) => "clipped to [-1, 1], scaled to the environment's bounds",
        Some(Output::Scaled { head: PolicyHead::Tanh, .. }) => "tanh, scaled by the file",
        Some(Output::Scaled { head: PolicyHead::Clamp, .. }) => "clipped to [-1, 1], scaled by the file",
        Some(Output::Raw(_)) => "in the environment's units, clipped to its bounds",
        None => "unknown",
    }
}
