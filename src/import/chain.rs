//! Chains of linear layers among named arrays.

use super::fault::Fault;
use super::found::FoundLayer;
use super::tensors::Tensors;

/// A module with a weight: its name, and the arrays' places.
#[derive(Clone, Debug)]
pub(super) struct Module {
    pub(super) name: String,
    pub(super) weight: usize,
    bias: Option<usize>,
    /// True if running moments stand beside the weight (BatchNorm).
    moments: bool,
}

impl Module {
    /// The rows and columns of a linear layer.
    pub(super) fn linear(&self, tensors: &Tensors<'_>) -> Option<[usize; 2]> {
        tensors.all[self.weight].shape[..].try_into().ok()
    }

    /// The part of the name before the number in a `Sequential`, and that number.
    pub(super) fn numbered(&self) -> (&str, Option<usize>) {
        let (before, last) = self.name.rsplit_once('.').unwrap_or(("", &self.name));
        match last.parse() {
            Ok(number) => (before, Some(number)),
            Err(_) => (&self.name, None),
        }
    }
}

/// The modules with weights, in the file's order.
pub(super) fn modules(tensors: &Tensors<'_>) -> Vec<Module> {
    let named = |tensor: &str, leaf: &str| {
        tensors.find(&if tensor.is_empty() { leaf.to_owned() } else { format!("{tensor}.{leaf}") })
    };
    let mut found = Vec::new();
    for (weight, tensor) in tensors.all.iter().enumerate() {
        let Some(name) = tensor.name.strip_suffix("weight").map(|name| name.strip_suffix('.').unwrap_or(name)) else {
            continue;
        };
        let (bias, moments) = (named(name, "bias"), named(name, "running_mean").is_some());
        found.push(Module { name: name.to_owned(), weight, bias, moments });
    }
    found
}

/// Reads the layers of a chain: linear ones, each perhaps with a LayerNorm right after it.
///
/// # Errors
/// If a module is of another kind, or two linear layers follow each other without an activation.
pub(super) fn layers(tensors: &Tensors<'_>, chain: &[&Module]) -> Result<Vec<FoundLayer>, Fault> {
    let gap = |pair: &[&Module]| distance(pair[0], pair[1]);
    // A list of layers, whose activations have no numbers.
    let listed = chain.iter().all(|module| module.linear(tensors).is_some())
        && chain.windows(2).all(|pair| gap(pair).is_none_or(|gap| gap == 1));
    let mut layers: Vec<FoundLayer> = Vec::new();
    for (at, module) in chain.iter().enumerate() {
        let fault = |problem: &str| Err(Fault::usage(problem).at(format_args!("`{}`", module.name)));
        let apart = at.checked_sub(1).and_then(|before| distance(chain[before], module));
        let bias = module.bias.map(|bias| tensors.numbers(bias)).transpose()?;
        match (&tensors.all[module.weight].shape[..], layers.last_mut()) {
            (&[outputs, inputs], _) => {
                if apart == Some(1) && !listed {
                    return fault(
                        "follows another layer without an activation between; a policy file has one after each",
                    );
                }
                let (name, weight) = (module.name.clone(), tensors.numbers(module.weight)?);
                let bias = bias.unwrap_or_else(|| vec![0.0; outputs]);
                layers.push(FoundLayer { name, inputs, weight, bias, norm: None });
            }
            _ if module.moments => return fault("is a BatchNorm, which a policy file cannot hold"),
            (&[size], Some(last)) if last.norm.is_none() => {
                if apart != Some(1) || size != last.outputs() {
                    return fault(
                        "seems to be a LayerNorm that does not come right after a linear layer; only that order can be imported",
                    );
                }
                last.norm = Some([tensors.numbers(module.weight)?, bias.unwrap_or_else(|| vec![0.0; size])]);
            }
            (shape, _) => {
                return fault(&format!("has a weight of shape {shape:?}; only linear layers can be imported"));
            }
        }
    }
    if layers.iter().any(|layer| layer.bias.len().checked_mul(layer.inputs) != Some(layer.weight.len())) {
        return Err(Fault::new("has a bias of another size than its layer"));
    }
    Ok(layers)
}

/// Difference of the numbers of two modules in one `Sequential`.
fn distance(before: &Module, after: &Module) -> Option<usize> {
    let ((one, first), (other, second)) = (before.numbered(), after.numbered());
    if one == other { second?.checked_sub(first?) } else { None }
}

/// The one chain of linear layers from so many inputs to so many outputs, whatever their names.
/// Without sizes any chain counts that is not a part of another. Returns the prefix of its names.
///
/// # Errors
/// If there is none, or several.
pub(super) fn only_chain<'m>(
    tensors: &Tensors<'_>,
    modules: &'m [Module],
    sizes: Option<(usize, usize)>,
) -> Result<Vec<&'m Module>, Fault> {
    /// Prefixes that are tried.
    const TRIED: usize = 256;
    let mut prefixes = vec![""];
    for module in modules {
        for (at, _) in module.name.match_indices('.') {
            let prefix = &module.name[..=at];
            if prefixes.len() < TRIED && !prefixes.contains(&prefix) {
                prefixes.push(prefix);
            }
        }
    }
    let mut found: Vec<(&str, Vec<&Module>)> = Vec::new();
    for prefix in prefixes {
        let chain: Vec<&Module> = modules.iter().filter(|module| module.name.starts_with(prefix)).collect();
        let linear: Vec<[usize; 2]> = chain.iter().filter_map(|module| module.linear(tensors)).collect();
        let (Some([_, first]), Some([last, _])) = (linear.first(), linear.last()) else { continue };
        let chained = linear.windows(2).all(|pair| pair[0][0] == pair[1][1]);
        let fits = sizes.is_none_or(|(inputs, outputs)| *first == inputs && (*last == outputs || *last == 2 * outputs));
        let part = found.iter().any(|(outer, _)| prefix.starts_with(outer));
        if chained && fits && !part {
            found.push((prefix, chain));
        }
    }
    if found.len() > 1 {
        let names: Vec<String> = found.iter().map(|(prefix, _)| format!("--prefix {prefix}")).collect();
        return Err(Fault::usage(format!("has several networks that fit; choose one: {}", names.join(", "))));
    }
    found.pop().map(|(_, chain)| chain).ok_or_else(|| Fault::usage(none_fits(tensors, modules, sizes)))
}

/// The message about a file without a chain, with the layers that it has.
fn none_fits(tensors: &Tensors<'_>, modules: &[Module], sizes: Option<(usize, usize)>) -> String {
    /// Layers that a message names.
    const NAMED: usize = 12;
    let linear = modules.iter().filter_map(|module| Some((module, module.linear(tensors)?)));
    let mut names: Vec<String> =
        linear.map(|(module, [outputs, inputs])| format!("{} ({inputs} → {outputs})", module.name)).collect();
    if names.len() > NAMED {
        let more = names.len() - NAMED;
        names.truncate(NAMED);
        names.push(format!("and {more} more"));
    }
    let wanted = sizes.map_or_else(String::new, |(inputs, outputs)| {
        format!(" from the environment's {inputs} observations to its {outputs} actions (or twice as many)")
    });
    let has = if names.is_empty() { "no linear layers".to_owned() } else { names.join(", ") };
    format!("has no one chain of linear layers{wanted}; --prefix chooses among them: {has}")
}
