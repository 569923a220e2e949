//! Gymnasium's spaces in Minari's JSON, as one box. The order is that of Gymnasium's
//! `flatten_space`: a Dict's parts as the file names them, a Tuple's by number, arrays row by row.
//! A Discrete number becomes as many coordinates, of which one is 1.

use liprl_envs::BoxSpace;
use serde_json::Value;

/// Most coordinates of a space. Pictures have fewer.
const MOST: usize = 1 << 20;

/// A space as a list of arrays, in the order in which they are joined.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FlatSpace {
    pub(super) arrays: Vec<SpaceArray>,
    /// True for a Dict or a Tuple.
    pub(super) nested: bool,
}

/// One array of a space.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SpaceArray {
    /// Names of the groups around it, and its own; empty for a space that is one array.
    pub(super) path: Vec<String>,
    /// Its extents in each row.
    pub(super) shape: Vec<usize>,
    pub(super) values: SpaceValues,
}

/// The values of an array.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum SpaceValues {
    /// Numbers within bounds.
    Box(BoxSpace),
    /// For each whole number its least value and the count of its values.
    OneHot(Vec<(i64, usize)>),
}

impl FlatSpace {
    /// Reads a space; `None` for null.
    pub(super) fn parse(space: &Value) -> Result<Option<Self>, String> {
        if space.is_null() {
            return Ok(None);
        }
        let mut arrays = Vec::new();
        collect(space, &mut Vec::new(), &mut arrays)?;
        let dim = arrays.iter().map(SpaceArray::dim).try_fold(0_usize, |sum, dim| sum.checked_add(dim?));
        if dim.is_none_or(|dim| dim > MOST) {
            return Err(format!("has more than {MOST} coordinates"));
        }
        let nested = arrays.iter().any(|array| !array.path.is_empty());
        Ok(Some(Self { arrays, nested }))
    }

    /// True for numbers in a row, which flattening leaves as they are.
    pub(super) fn is_row(&self) -> bool {
        let row = |array: &SpaceArray| array.shape.len() == 1 && matches!(array.values, SpaceValues::Box(_));
        !self.nested && self.arrays.iter().all(row)
    }

    /// True if some of its coordinates stand for a choice.
    pub(super) fn has_choices(&self) -> bool {
        self.arrays.iter().any(|array| matches!(array.values, SpaceValues::OneHot(_)))
    }

    /// The box of all coordinates.
    pub(super) fn bounds(&self) -> BoxSpace {
        let mut all = BoxSpace { low: Vec::new(), high: Vec::new() };
        for array in &self.arrays {
            let one = match &array.values {
                SpaceValues::Box(one) => one.clone(),
                SpaceValues::OneHot(choices) => {
                    BoxSpace::uniform(choices.iter().map(|choice| choice.1).sum(), 0.0, 1.0)
                }
            };
            all.low.extend(one.low);
            all.high.extend(one.high);
        }
        all
    }
}

impl SpaceArray {
    /// Number of coordinates; `None` if that is beyond any number.
    pub(super) fn dim(&self) -> Option<usize> {
        match &self.values {
            SpaceValues::Box(space) => Some(space.dim()),
            SpaceValues::OneHot(choices) => choices.iter().try_fold(0_usize, |sum, choice| sum.checked_add(choice.1)),
        }
    }
}

/// Appends the arrays of a space and of its parts.
fn collect(space: &Value, path: &mut Vec<String>, arrays: &mut Vec<SpaceArray>) -> Result<(), String> {
    let place = if path.is_empty() { String::new() } else { format!("its part {} ", path.join("/")) };
    let (shape, values) = match space["type"].as_str().unwrap_or("of no type") {
        "Dict" | "Tuple" => {
            let parts: Vec<(String, &Value)> = match &space["subspaces"] {
                Value::Object(parts) => parts.iter().map(|(name, part)| (name.clone(), part)).collect(),
                // The names of Minari's groups.
                Value::Array(parts) => (0..).map(|index| format!("_index_{index}")).zip(parts).collect(),
                _ => return Err(format!("{place}has no `subspaces`")),
            };
            for (name, part) in parts {
                path.push(name);
                collect(part, path, arrays)?;
                path.pop();
            }
            return Ok(());
        }
        "Box" => boxed(space).map_err(|problem| format!("{place}{problem}"))?,
        "Discrete" => {
            let start = space["start"].as_i64().unwrap_or(0);
            let count = space["n"].as_u64().ok_or_else(|| format!("{place}has no `n`"))?;
            (Vec::new(), SpaceValues::OneHot(vec![(start, count as usize)]))
        }
        "MultiDiscrete" => {
            let counts = whole(&space["nvec"]).ok_or_else(|| format!("{place}has no `nvec`"))?;
            let starts = whole(&space["start"]).unwrap_or_else(|| vec![0; counts.len()]);
            let choices = starts.iter().zip(&counts).map(|(&start, &count)| (start, count.max(0) as usize)).collect();
            (vec![counts.len()], SpaceValues::OneHot(choices))
        }
        "MultiBinary" => {
            let shape = whole(&space["n"]).or_else(|| Some(vec![space["n"].as_i64()?]));
            let shape = shape.ok_or_else(|| format!("{place}has no `n`"))?;
            let (shape, dim) = extents(&shape).ok_or_else(|| format!("{place}has the shape {shape:?}"))?;
            (shape, SpaceValues::Box(BoxSpace::uniform(dim, 0.0, 1.0)))
        }
        kind => return Err(format!("{place}is {kind}; spaces of numbers are read: Box, Discrete, Dict, Tuple")),
    };
    arrays.push(SpaceArray { path: path.clone(), shape, values });
    Ok(())
}

/// Shape and bounds of a Box. Bounds are nested lists of the shape, or one number.
fn boxed(space: &Value) -> Result<(Vec<usize>, SpaceValues), String> {
    let side = |key: &str| {
        let mut bounds = Vec::new();
        let read = !space[key].is_null() && flatten(&space[key], &mut bounds).is_some();
        if read { Ok(bounds) } else { Err(format!("`{key}` is not a list of numbers")) }
    };
    let (mut low, mut high) = (side("low")?, side("high")?);
    if low.len() != high.len() {
        return Err(format!("has {} lower and {} upper bounds", low.len(), high.len()));
    }
    let Some(shape) = whole(&space["shape"]) else { return Ok((vec![low.len()], values(low, high))) };
    let (shape, dim) = extents(&shape).ok_or_else(|| format!("has the shape {shape:?}"))?;
    if low.len() == 1 {
        (low, high) = (vec![low[0]; dim], vec![high[0]; dim]);
    }
    if low.len() != dim {
        return Err(format!("has {} bounds, its shape {shape:?} needs {dim}", low.len()));
    }
    Ok((shape, values(low, high)))
}

fn values(low: Vec<f64>, high: Vec<f64>) -> SpaceValues {
    SpaceValues::Box(BoxSpace { low, high })
}

/// Extents of a shape and their product, if it is small enough for a space.
fn extents(shape: &[i64]) -> Option<(Vec<usize>, usize)> {
    let shape: Vec<usize> = shape.iter().map(|&extent| usize::try_from(extent).ok()).collect::<Option<_>>()?;
    let dim = shape.iter().try_fold(1_usize, |product, &extent| product.checked_mul(extent))?;
    (dim <= MOST).then_some((shape, dim))
}

/// Appends the numbers of nested lists; infinities may be texts.
fn flatten(value: &Value, into: &mut Vec<f64>) -> Option<()> {
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| flatten(item, into)),
        Value::String(text) => text.parse().ok().map(|x| into.push(x)),
        other => other.as_f64().map(|x| into.push(x)),
    }
}

/// A list of whole numbers.
fn whole(list: &Value) -> Option<Vec<i64>> {
    list.as_array()?.iter().map(Value::as_i64).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(space: &Value) -> Result<FlatSpace, String> {
        FlatSpace::parse(space).map(Option::unwrap)
    }

    #[test]
    fn parts_are_joined_in_the_files_order() {
        let space = json!({"type": "Dict", "subspaces": {
            "z": {"type": "Box", "shape": [2, 2], "low": [[0, 1], [2, "-inf"]], "high": [[4, 5], [6, "inf"]]},
            "a": {"type": "Tuple", "subspaces": [
                {"type": "Discrete", "n": 3, "start": -1},
                {"type": "Box", "shape": [], "low": -1.5, "high": 2.5},
                {"type": "MultiDiscrete", "nvec": [2, 1]},
            ]},
            "b": {"type": "MultiBinary", "n": 2},
        }});
        let flat = parse(&space).unwrap();
        let paths: Vec<String> = flat.arrays.iter().map(|array| array.path.join("/")).collect();
        assert_eq!(paths, ["z", "a/_index_0", "a/_index_1", "a/_index_2", "b"]);
        let bounds = flat.bounds();
        assert_eq!(bounds.low, [0.0, 1.0, 2.0, f64::NEG_INFINITY, 0., 0., 0., -1.5, 0., 0., 0., 0., 0.]);
        assert_eq!(bounds.high, [4.0, 5.0, 6.0, f64::INFINITY, 1., 1., 1., 2.5, 1., 1., 1., 1., 1.]);
        assert_eq!(flat.arrays[1].values, SpaceValues::OneHot(vec![(-1, 3)]));
    }

    #[test]
    fn a_space_that_is_not_made_of_numbers_is_named() {
        let dict = |part: Value| json!({"type": "Dict", "subspaces": {"a": part}});
        let cases = [
            (dict(json!({"type": "Text"})), "its part a is Text; spaces of numbers are read"),
            (dict(json!({"type": "Box", "low": [0], "high": [1, 2]})), "its part a has 1 lower and 2 upper bounds"),
            (json!({"type": "Box", "shape": [3], "low": [0, 0], "high": [1, 1]}), "its shape [3] needs 3"),
            (json!({"type": "Box", "low": "x", "high": 1}), "`low` is not a list of numbers"),
            (json!({"type": "Box", "shape": [1_u64 << 40, 1_u64 << 40], "low": 0, "high": 1}), "has the shape"),
            (json!({"type": "Discrete", "n": 1_u64 << 40}), "has more than"),
            (json!({"type": "Dict"}), "has no `subspaces`"),
            (json!(3), "is of no type"),
        ];
        for (space, words) in cases {
            let problem = parse(&space).unwrap_err();
            assert!(problem.contains(words), "{problem}\nshould say: {words}");
        }
    }
}
