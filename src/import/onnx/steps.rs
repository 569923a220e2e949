//! A graph as steps from its one input to its one output.

use std::collections::{HashMap, HashSet};

use liprl_numerics::{Activation, NORM_EPS};

use super::array::{Array, spread};
use super::model::{Model, Node};
use crate::import::fault::Fault;
use crate::import::tensors::{Tensor, Tensors};

/// Function of the rows before a step.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// (x − by) in each coordinate; one number stands for all.
    Subtract(Vec<f64>),
    /// x · by.
    Multiply(Vec<f64>),
    /// x / by.
    Divide(Vec<f64>),
    /// To [low, high].
    Clip([Vec<f64>; 2]),
    /// W x + b, `[outputs, inputs]` row-major.
    Linear {
        name: String,
        inputs: usize,
        weight: Vec<f64>,
        bias: Vec<f64>,
    },
    /// Scale and shift.
    LayerNorm([Vec<f64>; 2]),
    Activate(Activation),
    /// Until the product with its input makes it swish.
    Sigmoid,
    /// The step's input beside that of the last linear one.
    Beside,
}

/// A value of the graph.
#[derive(Clone, Debug)]
enum Known {
    /// Rows after this many steps of a path.
    Rows(usize),
    Array(Array),
}

/// A step with the one before it, 0 for the model's input.
struct Link {
    step: Step,
    before: usize,
}

/// Follows the output back to the input.
///
/// # Errors
/// If it is not one chain of known operations.
pub(super) fn steps(model: &Model<'_>, input: &str, output: &str) -> Result<Vec<Step>, Fault> {
    let mut walk =
        Walk { model, links: Vec::new(), known: HashMap::from([(input, Known::Rows(0))]), read: Tensors::default() };
    let needed = needed(model, output);
    for (at, node) in model.nodes.iter().enumerate() {
        if needed.contains(&at) {
            walk.node(node).map_err(|fault| fault.at(node.shown()))?;
        }
    }
    let Some(Known::Rows(mut at)) = walk.known.get(output).cloned() else {
        return Err(Fault::usage(format!("the output `{output}` does not come from the input `{input}`")));
    };
    let mut path = Vec::new();
    while at > 0 {
        let Link { step, before } = &walk.links[at - 1];
        path.push(step.clone());
        at = *before;
    }
    path.reverse();
    Ok(path)
}

/// Nodes that the output depends on.
fn needed(model: &Model<'_>, output: &str) -> HashSet<usize> {
    let mut makers = HashMap::new();
    for (at, node) in model.nodes.iter().enumerate() {
        node.outputs.iter().for_each(|name| {
            makers.insert(*name, at);
        });
    }
    let (mut needed, mut open) = (HashSet::new(), vec![output]);
    while let Some(name) = open.pop() {
        if let Some(&at) = makers.get(name)
            && needed.insert(at)
        {
            open.extend(&model.nodes[at].inputs);
        }
    }
    needed
}

struct Walk<'m, 'b> {
    model: &'m Model<'b>,
    links: Vec<Link>,
    known: HashMap<&'m str, Known>,
    /// Counts the numbers that were read.
    read: Tensors<'b>,
}

impl<'m, 'b> Walk<'m, 'b> {
    fn node(&mut self, node: &'m Node<'b>) -> Result<(), Fault> {
        let made = match node.operator {
            "Constant" => {
                let tensor = node.attribute("value").and_then(|value| value.tensor.as_ref());
                match (tensor, node.float("value_float")) {
                    (Some(tensor), _) => Known::Array(self.array(tensor)?),
                    (_, Some(number)) => Known::Array(Array { shape: Vec::new(), numbers: vec![number] }),
                    _ => Known::Array(Array { shape: vec![0], numbers: Vec::new() }),
                }
            }
            "Identity" | "Flatten" | "Reshape" | "Cast" | "Dropout" => self.value(node, 0)?,
            "Transpose" => match self.value(node, 0)? {
                kept if node.attribute("perm").is_some_and(|order| order.ints == [0, 1]) => kept,
                Known::Array(array) => Known::Array(array.transposed().ok_or_else(|| unknown("of this shape"))?),
                Known::Rows(_) => return Err(unknown("of rows")),
            },
            "Gemm" | "MatMul" => self.linear(node)?,
            "Sub" | "Add" | "Mul" | "Div" => self.arithmetic(node)?,
            "Clip" => {
                let end = |at: usize, name: &str, none: f64| match node.inputs.get(at).filter(|name| !name.is_empty()) {
                    Some(_) => self.numbers(node, at),
                    None => Ok(vec![node.float(name).unwrap_or(none)]),
                };
                let ends = [end(1, "min", f64::NEG_INFINITY)?, end(2, "max", f64::INFINITY)?];
                self.after(node, Step::Clip(ends))?
            }
            "Relu" => self.after(node, Step::Activate(Activation::Relu))?,
            "Tanh" => self.after(node, Step::Activate(Activation::Tanh))?,
            "LeakyRelu" => {
                let slope = node.float("alpha").unwrap_or(0.01);
                self.after(node, Step::Activate(Activation::LeakyRelu(slope)))?
            }
            "Elu" if node.float("alpha").unwrap_or(1.0) == 1.0 => self.after(node, Step::Activate(Activation::Elu))?,
            "Swish" if node.float("alpha").unwrap_or(1.0) == 1.0 => {
                self.after(node, Step::Activate(Activation::Swish))?
            }
            "TopK" => self.max_min(node)?,
            "Sigmoid" => self.after(node, Step::Sigmoid)?,
            "LayerNormalization" => {
                let spare = node.float("epsilon").unwrap_or(NORM_EPS);
                if (spare - NORM_EPS).abs() > 1e-9 || !matches!(node.int("axis"), None | Some(-1 | 1)) {
                    return Err(unknown("with another epsilon than 1e-5, or another axis than the last"));
                }
                let scale = self.numbers(node, 1)?;
                let shift = if node.inputs.len() > 2 { self.numbers(node, 2)? } else { vec![0.0; scale.len()] };
                self.after(node, Step::LayerNorm([scale, shift]))?
            }
            "Concat" => self.concat(node)?,
            _ => return Err(unknown("as a part of a chain of layers")),
        };
        if let Some(name) = node.outputs.first() {
            self.known.insert(name, made);
        }
        Ok(())
    }

    /// An input of a node.
    fn value(&self, node: &Node<'_>, at: usize) -> Result<Known, Fault> {
        let name = node.inputs.get(at).ok_or_else(|| Fault::new(format!("has no input {at}")))?;
        if let Some(known) = self.known.get(name) {
            return Ok(known.clone());
        }
        let tensor = self.model.arrays.get(name);
        let tensor = tensor.ok_or_else(|| Fault::usage(format!("its input `{name}` is not known here")))?;
        Ok(Known::Array(self.array(tensor)?))
    }

    fn array(&self, tensor: &Tensor<'b>) -> Result<Array, Fault> {
        Ok(Array { shape: tensor.shape.clone(), numbers: self.read.numbers_in(tensor)? })
    }

    /// Numbers of the model that are an input of a node.
    fn numbers(&self, node: &Node<'_>, at: usize) -> Result<Vec<f64>, Fault> {
        match self.value(node, at)? {
            Known::Array(array) => Ok(array.numbers),
            Known::Rows(_) => Err(unknown("of two inputs that both depend on the observation")),
        }
    }

    /// The rows that a node takes.
    fn rows(&self, node: &Node<'_>, at: usize) -> Result<usize, Fault> {
        match self.value(node, at)? {
            Known::Rows(rows) => Ok(rows),
            Known::Array(_) => Err(unknown("of numbers alone; export the model with constants folded")),
        }
    }

    fn after(&mut self, node: &Node<'_>, step: Step) -> Result<Known, Fault> {
        let before = self.rows(node, 0)?;
        Ok(self.link(step, before))
    }

    fn link(&mut self, step: Step, before: usize) -> Known {
        self.links.push(Link { step, before });
        Known::Rows(self.links.len())
    }

    fn linear(&mut self, node: &Node<'_>) -> Result<Known, Fault> {
        let before = self.rows(node, 0)?;
        let Known::Array(matrix) = self.value(node, 1)? else {
            return Err(unknown("of two inputs that both depend on the observation"));
        };
        let gemm = node.operator == "Gemm";
        let whole = |name: &str| gemm && node.int(name).unwrap_or(0) != 0;
        let factor = |name: &str| if gemm { node.float(name).unwrap_or(1.0) } else { 1.0 };
        if whole("transA") {
            return Err(unknown("with transA"));
        }
        let matrix = if whole("transB") { Some(matrix) } else { matrix.transposed() };
        let matrix = matrix.filter(|matrix| matrix.shape.len() == 2).ok_or_else(|| unknown("of this shape"))?;
        let (outputs, inputs) = (matrix.shape[0], matrix.shape[1]);
        let mut bias = vec![0.0; outputs];
        if gemm && node.inputs.get(2).is_some_and(|name| !name.is_empty()) {
            let given = self.numbers(node, 2)?;
            bias = spread(&given, outputs).ok_or_else(|| unknown("with a bias of another size"))?;
        }
        let (alpha, beta) = (factor("alpha"), factor("beta"));
        bias.iter_mut().for_each(|bias| *bias *= beta);
        let weight = matrix.numbers.iter().map(|weight| weight * alpha).collect();
        let name = node.inputs.get(1).unwrap_or(&"").to_string();
        Ok(self.link(Step::Linear { name, inputs, weight, bias }, before))
    }

    fn arithmetic(&mut self, node: &Node<'_>) -> Result<Known, Fault> {
        let negative = |numbers: Vec<f64>| numbers.into_iter().map(|number| -number).collect();
        let step = match (self.value(node, 0)?, self.value(node, 1)?, node.operator) {
            (Known::Rows(a), Known::Rows(b), "Mul") => return self.swish(a, b),
            (Known::Rows(rows), Known::Array(by), operator) => {
                let step = match operator {
                    "Sub" => Step::Subtract(by.numbers),
                    "Add" => Step::Subtract(negative(by.numbers)),
                    "Mul" => Step::Multiply(by.numbers),
                    _ => Step::Divide(by.numbers),
                };
                (step, rows)
            }
            (Known::Array(by), Known::Rows(rows), "Add") => (Step::Subtract(negative(by.numbers)), rows),
            (Known::Array(by), Known::Rows(rows), "Mul") => (Step::Multiply(by.numbers), rows),
            (Known::Array(_), Known::Array(_), _) => {
                return Err(unknown("of numbers alone; export the model with constants folded"));
            }
            _ => return Err(unknown("of these two inputs")),
        };
        Ok(self.link(step.0, step.1))
    }

    /// z · sigmoid(z), with the factors in either order.
    fn swish(&mut self, a: usize, b: usize) -> Result<Known, Fault> {
        let sigmoid_of = |at: usize| {
            let link = at.checked_sub(1).and_then(|at| self.links.get(at))?;
            matches!(link.step, Step::Sigmoid).then_some(link.before)
        };
        let before = if sigmoid_of(a) == Some(b) { b } else { a };
        if sigmoid_of(a) != Some(b) && sigmoid_of(b) != Some(a) {
            return Err(unknown("of two inputs that both depend on the observation"));
        }
        Ok(self.link(Step::Activate(Activation::Swish), before))
    }

    /// Both numbers of each pair, the larger first: TopK with k = 2 behind a reshape to pairs.
    fn max_min(&mut self, node: &Node<'b>) -> Result<Known, Fault> {
        let given = node.inputs.first().copied().unwrap_or_default();
        let reshape = self.model.nodes.iter().find(|other| other.outputs.contains(&given));
        let shape = match reshape.filter(|reshape| reshape.operator == "Reshape") {
            Some(reshape) => self.numbers(reshape, 1)?,
            None => Vec::new(),
        };
        let is_set = |name: &str| node.int(name).unwrap_or(1) == 1;
        let of_pairs = shape.len() == 3 && shape[2] == 2.0 && self.numbers(node, 1)? == [2.0];
        if !of_pairs || !matches!(node.int("axis"), None | Some(-1 | 2)) || !is_set("largest") || !is_set("sorted") {
            return Err(unknown("of anything but pairs"));
        }
        self.after(node, Step::Activate(Activation::MaxMin))
    }

    /// The rows before a layer beside its output, as in densely connected networks.
    fn concat(&mut self, node: &Node<'_>) -> Result<Known, Fault> {
        let (given, hidden) = (self.rows(node, 0)?, self.rows(node, 1)?);
        let mut at = hidden;
        while let Some(link) = at.checked_sub(1).and_then(|at| self.links.get(at)) {
            at = link.before;
            if matches!(link.step, Step::Linear { .. }) {
                break;
            }
        }
        if node.inputs.len() != 2 || at != given || hidden == given {
            return Err(unknown("of other rows than a layer's input and output, in this order"));
        }
        Ok(self.link(Step::Beside, hidden))
    }
}

fn unknown(what: &str) -> Fault {
    Fault::usage(format!("the operation cannot be imported {what}"))
}
