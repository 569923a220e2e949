//! An ONNX model: input `obs [batch, O]`, output `actions [batch, A]`, all in f32.

mod proto;

use liprl_control::PolicyHead;
use liprl_numerics::{Activation, NORM_EPS};
use prost::Message;
use serde_json::{Map, Value};

use super::parts::{LayerParts, Parts, Scaling, Standardise, narrow};
use proto::{
    ATTRIBUTE_FLOAT, ATTRIBUTE_INT, AttributeProto, Dimension, Entry, Extent, FLOAT, GraphProto, INT64, ModelProto,
    NodeProto, OperatorSet, Shape, TensorProto, TensorType, TypeProto, ValueInfo,
};

/// Version of the file format, read by all runtimes that know the operators.
const IR_VERSION: i64 = 8;
/// Version of the operators: the first with LayerNormalization.
const OPSET: i64 = 17;

/// The model's bytes, with the facts in its metadata: texts as they are, the rest as JSON.
pub(super) fn model(parts: &Parts, facts: &Map<String, Value>) -> Vec<u8> {
    let metadata = facts.iter().map(|(key, value)| Entry {
        key: key.clone(),
        value: value.as_str().map_or_else(|| value.to_string(), str::to_owned),
    });
    let model = ModelProto {
        ir_version: IR_VERSION,
        producer_name: "liprl".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        graph: Some(Graph::default().policy(parts)),
        opset_import: vec![OperatorSet { domain: String::new(), version: OPSET }],
        metadata: metadata.collect(),
    };
    model.encode_to_vec()
}

/// A chain of nodes in the making. Values are named `<operator>_<number>`.
#[derive(Default)]
struct Graph {
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
}

impl Graph {
    fn policy(mut self, parts: &Parts) -> GraphProto {
        let mut x = "obs".to_owned();
        if let Some(standardise) = &parts.standardise {
            x = self.standardise(standardise, x);
        }
        for (i, layer) in parts.layers.iter().enumerate() {
            let z = self.linear(i, layer, &x);
            if i + 1 == parts.layers.len() {
                x = z;
                continue;
            }
            let hidden = self.activate(parts.activation, z, (i, layer.bias.len()));
            x = if parts.dense { self.node("Concat", [x, hidden], [int("axis", -1)]) } else { hidden };
        }
        x = match parts.head {
            PolicyHead::Tanh => self.node("Tanh", [x], []),
            PolicyHead::Clamp => self.clip(x, "action", 1.0),
        };
        if let Some(Scaling { centre, half_width }) = &parts.scaling {
            let half_width = self.row("action/half_width", &narrow(half_width));
            let centre = self.row("action/centre", &narrow(centre));
            x = self.node("Mul", [x, half_width], []);
            self.node("Add", [x, centre], []);
        }
        if let Some(last) = self.nodes.last_mut() {
            last.outputs = vec!["actions".to_owned()];
        }
        GraphProto {
            nodes: self.nodes,
            name: "policy".to_owned(),
            initializers: self.initializers,
            inputs: vec![rows("obs", parts.obs_dim)],
            outputs: vec![rows("actions", parts.act_dim)],
        }
    }

    fn standardise(&mut self, standardise: &Standardise, mut x: String) -> String {
        let (mean, rest) = standardise.mean_in_two();
        for (name, mean) in [("obs/mean", mean), ("obs/mean_rest", rest)] {
            let mean = self.row(name, &mean);
            x = self.node("Sub", [x, mean], []);
        }
        let scale = self.row("obs/scale", &narrow(&standardise.scale));
        x = self.node("Mul", [x, scale], []);
        if standardise.clip.is_finite() { self.clip(x, "obs", standardise.clip as f32) } else { x }
    }

    /// One layer before its activation.
    fn linear(&mut self, i: usize, layer: &LayerParts, x: &str) -> String {
        let weight = self.initializer(format!("{i}/weight"), &layer.shape(), &layer.weight);
        let bias = self.row(&format!("{i}/bias"), &layer.bias);
        let z = self.node("Gemm", [x.to_owned(), weight, bias], [int("transB", 1)]);
        match &layer.norm {
            Some([scale, shift]) => {
                let scale = self.row(&format!("{i}/scale"), scale);
                let shift = self.row(&format!("{i}/shift"), shift);
                let attributes = [int("axis", -1), float("epsilon", NORM_EPS as f32)];
                self.node("LayerNormalization", [z, scale, shift], attributes)
            }
            None => z,
        }
    }

    /// The activation behind layer `i` of so many units.
    fn activate(&mut self, activation: Activation, z: String, (i, units): (usize, usize)) -> String {
        match activation {
            Activation::Relu => self.node("Relu", [z], []),
            Activation::LeakyRelu(slope) => self.node("LeakyRelu", [z], [float("alpha", slope as f32)]),
            Activation::Tanh => self.node("Tanh", [z], []),
            Activation::Swish => {
                let sigmoid = self.node("Sigmoid", [z.clone()], []);
                self.node("Mul", [z, sigmoid], [])
            }
            Activation::Elu => self.node("Elu", [z], [float("alpha", 1.0)]),
            Activation::MaxMin => {
                // Pairs in a dimension of their own, sorted there.
                let apart = self.integers(format!("{i}/pairs"), &[-1, units as i64 / 2, 2]);
                let both = self.integers(format!("{i}/both"), &[2]);
                let together = self.integers(format!("{i}/units"), &[-1, units as i64]);
                let pairs = self.node("Reshape", [z, apart], []);
                let sorted = self.node("TopK", [pairs, both], [int("axis", -1), int("largest", 1), int("sorted", 1)]);
                if let Some(last) = self.nodes.last_mut() {
                    last.outputs.push(format!("{sorted}_places"));
                }
                self.node("Reshape", [sorted, together], [])
            }
        }
    }

    /// Clips `x` to ± `limit`.
    fn clip(&mut self, x: String, name: &str, limit: f32) -> String {
        let low = self.initializer(format!("{name}/clip_low"), &[], &[-limit]);
        let high = self.initializer(format!("{name}/clip_high"), &[], &[limit]);
        self.node("Clip", [x, low, high], [])
    }

    /// Adds a node; returns the name of its output.
    fn node<const N: usize, const K: usize>(
        &mut self,
        operator: &str,
        inputs: [String; N],
        attributes: [AttributeProto; K],
    ) -> String {
        let name = format!("{}_{}", operator.to_lowercase(), self.nodes.len());
        self.nodes.push(NodeProto {
            inputs: inputs.to_vec(),
            outputs: vec![name.clone()],
            name: name.clone(),
            op_type: operator.to_owned(),
            attributes: attributes.to_vec(),
        });
        name
    }

    fn row(&mut self, name: &str, numbers: &[f32]) -> String {
        self.initializer(name.to_owned(), &[numbers.len()], numbers)
    }

    /// Adds a list of whole numbers; returns its name.
    fn integers(&mut self, name: String, numbers: &[i64]) -> String {
        self.initializers.push(TensorProto {
            dims: vec![numbers.len() as i64],
            data_type: INT64,
            name: name.clone(),
            raw_data: numbers.iter().flat_map(|x| x.to_le_bytes()).collect(),
        });
        name
    }

    /// Adds numbers; returns their name.
    fn initializer(&mut self, name: String, shape: &[usize], numbers: &[f32]) -> String {
        self.initializers.push(TensorProto {
            dims: shape.iter().map(|&size| size as i64).collect(),
            data_type: FLOAT,
            name: name.clone(),
            raw_data: numbers.iter().flat_map(|x| x.to_le_bytes()).collect(),
        });
        name
    }
}

fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.to_owned(), f: None, i: Some(value), kind: ATTRIBUTE_INT }
}

fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { name: name.to_owned(), f: Some(value), i: None, kind: ATTRIBUTE_FLOAT }
}

/// An input or output of `[batch, dim]`.
fn rows(name: &str, dim: usize) -> ValueInfo {
    let extents = [Extent::Named("batch".to_owned()), Extent::Size(dim as i64)];
    let dims = extents.into_iter().map(|extent| Dimension { extent: Some(extent) }).collect();
    let tensor = Some(TensorType { elem_type: FLOAT, shape: Some(Shape { dims }) });
    ValueInfo { name: name.to_owned(), kind: Some(TypeProto { tensor }) }
}
