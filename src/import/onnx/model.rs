//! The parts of an ONNX model that a chain of layers needs. Field numbers are those of ONNX's
//! `onnx.proto`.

use std::collections::HashMap;

use super::wire::{Field, fields, numbers};
use crate::import::fault::Fault;
use crate::import::tensors::{NumberType, Storage, Tensor};

/// Most nodes, and most arrays.
const NODES: usize = 4096;
/// Most inputs, outputs or attributes of a node, and dimensions of an array.
const PARTS: usize = 64;

/// A model on the bytes of its file.
#[derive(Debug, Default)]
pub(super) struct Model<'b> {
    pub(super) producer: &'b str,
    pub(super) nodes: Vec<Node<'b>>,
    pub(super) arrays: HashMap<&'b str, Tensor<'b>>,
    /// Inputs that are not among the arrays.
    pub(super) inputs: Vec<&'b str>,
    pub(super) outputs: Vec<&'b str>,
    pub(super) metadata: HashMap<&'b str, &'b str>,
}

/// One operation.
#[derive(Debug, Default)]
pub(super) struct Node<'b> {
    pub(super) operator: &'b str,
    pub(super) name: &'b str,
    /// Empty for one that is left out.
    pub(super) inputs: Vec<&'b str>,
    pub(super) outputs: Vec<&'b str>,
    pub(super) attributes: Vec<(&'b str, Attribute<'b>)>,
}

/// An attribute, whatever its type.
#[derive(Clone, Debug, Default)]
pub(super) struct Attribute<'b> {
    pub(super) float: Option<f64>,
    pub(super) int: Option<i64>,
    pub(super) ints: Vec<i64>,
    pub(super) tensor: Option<Tensor<'b>>,
}

impl<'b> Node<'b> {
    /// An attribute by its name.
    pub(super) fn attribute(&self, name: &str) -> Option<&Attribute<'b>> {
        self.attributes.iter().find(|(own, _)| *own == name).map(|(_, attribute)| attribute)
    }

    /// A whole number among the attributes.
    pub(super) fn int(&self, name: &str) -> Option<i64> {
        self.attribute(name)?.int
    }

    /// A number among the attributes.
    pub(super) fn float(&self, name: &str) -> Option<f64> {
        self.attribute(name)?.float
    }

    /// The node in messages.
    pub(super) fn shown(&self) -> String {
        let name = if self.name.is_empty() { self.outputs.first().unwrap_or(&"") } else { self.name };
        format!("node `{name}` ({})", self.operator)
    }
}

impl<'b> Model<'b> {
    /// Reads a model.
    ///
    /// # Errors
    /// If the bytes are damaged, or there are too many parts.
    pub(super) fn read(bytes: &'b [u8]) -> Result<Self, Fault> {
        let mut model = Self::default();
        let mut graph = None;
        for field in fields(bytes) {
            match field? {
                (2, name) => model.producer = name.text(),
                (7, found) => graph = Some(found.bytes()),
                (14, entry) => {
                    let (mut key, mut value) = ("", "");
                    for field in fields(entry.bytes()) {
                        match field? {
                            (1, text) => key = text.text(),
                            (2, text) => value = text.text(),
                            _ => {}
                        }
                    }
                    if model.metadata.len() < NODES {
                        model.metadata.insert(key, value);
                    }
                }
                _ => {}
            }
        }
        let graph = graph.ok_or_else(|| Fault::new("is not an ONNX model: it has no graph"))?;
        model.graph(graph).map_err(|fault| fault.at("graph"))?;
        Ok(model)
    }

    fn graph(&mut self, bytes: &'b [u8]) -> Result<(), Fault> {
        for field in fields(bytes) {
            match field? {
                (1, node) => self.nodes.push(read_node(node)?),
                (5, array) => {
                    let (array, name) = read_array(array)?;
                    self.arrays.insert(name, array);
                }
                (number @ (11 | 12), value) => {
                    let of = if number == 11 { &mut self.inputs } else { &mut self.outputs };
                    for field in fields(value.bytes()) {
                        if let (1, name) = field? {
                            of.push(name.text());
                        }
                    }
                }
                _ => {}
            }
            if self.nodes.len().max(self.arrays.len()).max(self.inputs.len()).max(self.outputs.len()) > NODES {
                return Err(Fault::new(format!("has more than {NODES} nodes, arrays, inputs or outputs")));
            }
        }
        self.inputs.retain(|name| !self.arrays.contains_key(name));
        Ok(())
    }
}

fn read_node(field: Field<'_>) -> Result<Node<'_>, Fault> {
    let mut node = Node::default();
    for field in fields(field.bytes()) {
        match field? {
            (1, name) => node.inputs.push(name.text()),
            (2, name) => node.outputs.push(name.text()),
            (3, name) => node.name = name.text(),
            (4, operator) => node.operator = operator.text(),
            (5, attribute) => node.attributes.push(read_attribute(attribute)?),
            _ => {}
        }
        if node.inputs.len().max(node.outputs.len()).max(node.attributes.len()) > PARTS {
            return Err(Fault::new(format!("has more than {PARTS} inputs, outputs or attributes")).at(node.shown()));
        }
    }
    Ok(node)
}

fn read_attribute(field: Field<'_>) -> Result<(&str, Attribute<'_>), Fault> {
    let (mut name, mut attribute) = ("", Attribute::default());
    for field in fields(field.bytes()) {
        match field? {
            (1, text) => name = text.text(),
            (2, bits) => attribute.float = Some(f64::from(f32::from_bits(bits.number() as u32))),
            (3, int) => attribute.int = Some(int.number() as i64),
            (5, tensor) => attribute.tensor = Some(read_array(tensor)?.0),
            (8, ints) => attribute.ints.extend(numbers(ints, PARTS)?.into_iter().map(|int| int as i64)),
            _ => {}
        }
        attribute.ints.truncate(PARTS);
    }
    Ok((name, attribute))
}

/// Reads an array and its name.
fn read_array(field: Field<'_>) -> Result<(Tensor<'_>, &str), Fault> {
    let (mut name, mut shape, mut number, mut outside) = ("", Vec::new(), 0, false);
    // Numbers as raw bytes, or packed in a list of their type.
    let (mut raw, mut floats, mut doubles) = (&[][..], &[][..], &[][..]);
    for part in fields(field.bytes()) {
        match part? {
            (1, sizes) => shape.extend(numbers(sizes, PARTS)?.into_iter().map(|size| size as usize)),
            (2, kind) => number = kind.number(),
            (4, list) => floats = list.bytes(),
            (8, text) => name = text.text(),
            (9, bytes) => raw = bytes.bytes(),
            (10, list) => doubles = list.bytes(),
            (14, place) => outside = place.number() == 1,
            _ => {}
        }
        shape.truncate(PARTS);
    }
    let fault = |problem: String| Fault::usage(problem).at(format_args!("array `{name}`"));
    if outside {
        return Err(fault(
            "lies in a file of its own; save the model as one file (torch.onnx.export: external_data=False)".to_owned(),
        ));
    }
    let kind = match number {
        1 => NumberType::F32,
        2 | 9 => NumberType::U8,
        6 => NumberType::I32,
        7 => NumberType::I64,
        10 => NumberType::F16,
        11 => NumberType::F64,
        16 => NumberType::Bf16,
        other => return Err(fault(format!("has numbers of ONNX's type {other}, which no weight has"))),
    };
    let listed = if kind == NumberType::F64 { doubles } else { floats };
    let bytes = if raw.is_empty() { listed } else { raw };
    let (named, storage) = (name.to_owned(), Storage::Bytes(bytes));
    Ok((Tensor { name: named, kind, shape, strides: None, offset: 0, storage }, name))
}
