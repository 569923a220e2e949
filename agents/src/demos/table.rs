//! Rows of numbers: those of one array, or of the arrays of a Dict or Tuple side by side.

use hdf5_pure::Group;

use super::{
    file::{NumberArray, Source, numbers},
    space::{FlatSpace, SpaceArray, SpaceValues},
};

/// Groups within groups that are searched for arrays. Links can form a circle.
const DEPTH: usize = 8;

/// Rows of numbers, `[rows, dim]`.
pub(super) struct Table {
    pub(super) rows: usize,
    pub(super) dim: usize,
    pub(super) data: Vec<f64>,
}

/// An array, its place, and its space if that is known.
struct Column<'a> {
    group: Group,
    name: String,
    place: String,
    space: Option<&'a SpaceArray>,
}

/// Reads `name` by its space: of a Dict or Tuple, a group. Without a space a group's arrays are
/// joined in the order of their names, which is Gymnasium's of a Dict.
pub(super) fn table(
    source: &Source,
    group: &Group,
    name: &str,
    place: &str,
    space: Option<&FlatSpace>,
) -> Result<Table, String> {
    let is_group = has_group(group, name, place)?;
    match space {
        Some(space) if space.nested && !is_group => {
            return Err(format!("{place}: is missing as a group; its space has parts"));
        }
        Some(space) if !space.nested && is_group => return Err(format!("{place}: is a group; its space is one array")),
        None if !is_group => {
            let array = numbers(source, group, name, place, false)?;
            let (rows, dim) = array.rows_of(place)?;
            return Ok(Table { rows, dim, data: array.data });
        }
        _ => {}
    }
    let mut columns = Vec::new();
    match space {
        Some(space) => {
            for array in &space.arrays {
                columns.push(find(group, name, place, array)?);
            }
        }
        None => search(open(group, name, place)?, place, DEPTH, &mut columns)?,
    }
    joined(source, place, &columns)
}

/// The columns side by side.
fn joined(source: &Source, place: &str, columns: &[Column<'_>]) -> Result<Table, String> {
    let mut tables = columns.iter().map(|column| column.read(source)).collect::<Result<Vec<_>, _>>()?;
    let Some(first) = tables.first() else { return Err(format!("{place}: is a group without arrays of numbers")) };
    let rows = first.rows;
    if let Some((column, other)) = columns.iter().zip(&tables).find(|(_, other)| other.rows != rows) {
        return Err(format!("{}: has {} rows, {} has {rows}", column.place, other.rows, columns[0].place));
    }
    if tables.len() == 1 {
        return Ok(tables.remove(0));
    }
    let dim = tables.iter().map(|table| table.dim).sum::<usize>();
    source
        .reserve_numbers(rows, dim)
        .map_err(|problem| format!("{place}: has the shape [{rows}, {dim}], {problem}"))?;
    let mut data = Vec::with_capacity(rows * dim);
    for row in 0..rows {
        tables.iter().for_each(|table| data.extend_from_slice(&table.data[row * table.dim..][..table.dim]));
    }
    Ok(Table { rows, dim, data })
}

/// The array of a space below the group `name`.
fn find<'a>(group: &Group, name: &str, place: &str, array: &'a SpaceArray) -> Result<Column<'a>, String> {
    let Some((last, around)) = array.path.split_last() else {
        let (name, place) = (name.to_owned(), place.to_owned());
        return Ok(Column { group: group.clone(), name, place, space: Some(array) });
    };
    let (mut group, mut place) = (open(group, name, place)?, place.to_owned());
    for part in around {
        place = format!("{place}/{part}");
        if !has_group(&group, part, &place)? {
            return Err(format!("{place}: is missing; its space has this part"));
        }
        group = open(&group, part, &place)?;
    }
    Ok(Column { group, name: last.clone(), place: format!("{place}/{last}"), space: Some(array) })
}

/// Appends all arrays of a group and of those in it.
fn search(group: Group, place: &str, depth: usize, columns: &mut Vec<Column<'_>>) -> Result<(), String> {
    let wrap = |error: hdf5_pure::Error| format!("{place}: {error}");
    if depth == 0 {
        return Err(format!("{place}: has more than {DEPTH} groups within groups"));
    }
    let (arrays, groups) = (group.datasets().map_err(wrap)?, group.groups().map_err(wrap)?);
    let mut names: Vec<(String, bool)> = arrays.into_iter().map(|name| (name, false)).collect();
    names.extend(groups.into_iter().map(|name| (name, true)));
    // Minari names the parts of a Tuple by their numbers.
    names.sort_by_cached_key(|(name, _)| {
        (name.strip_prefix("_index_").and_then(|n| n.parse::<u64>().ok()), name.clone())
    });
    for (name, is_group) in names {
        let place = format!("{place}/{name}");
        if is_group {
            search(open(&group, &name, &place)?, &place, depth - 1, columns)?;
        } else {
            columns.push(Column { group: group.clone(), name, place, space: None });
        }
    }
    Ok(())
}

fn open(group: &Group, name: &str, place: &str) -> Result<Group, String> {
    group.group(name).map_err(|error| format!("{place}: {error}"))
}

/// The arrays of a group side by side, in this order.
pub(super) fn joined_arrays(source: &Source, group: &Group, place: &str, names: &[String]) -> Result<Table, String> {
    let column = |name: &String| Column {
        group: group.clone(),
        name: name.clone(),
        place: format!("{place}/{name}"),
        space: None,
    };
    let columns: Vec<Column<'_>> = names.iter().map(column).collect();
    joined(source, place, &columns)
}

/// True if the group has an array of this name in itself.
pub(super) fn has_array(group: &Group, name: &str) -> Result<bool, String> {
    let arrays = group.datasets().map_err(|error| format!("{name}: {error}"))?;
    Ok(arrays.iter().any(|known| known == name))
}

/// True if the group has a group of this name in itself.
pub(super) fn has_group(group: &Group, name: &str, place: &str) -> Result<bool, String> {
    let groups = group.groups().map_err(|error| format!("{place}: {error}"))?;
    Ok(groups.iter().any(|known| known == name))
}

impl Column<'_> {
    fn read(&self, source: &Source) -> Result<Table, String> {
        let place = &self.place;
        let array = numbers(source, &self.group, &self.name, place, true)?;
        let Some((&rows, shape)) = array.shape.split_first() else {
            return Err(format!("{place}: is one number, expected one row a step"));
        };
        // A number beside its space is counted by the caller's checks.
        let plain = |space: &SpaceArray| space.path.is_empty() && space.shape.len() == 1 && shape.len() == 1;
        let Some(space) = self.space.filter(|space| !matches!(space.values, SpaceValues::Box(_)) || !plain(space))
        else {
            let dim = shape.iter().product();
            return Ok(Table { rows, dim, data: array.data });
        };
        if shape != space.shape {
            return Err(format!("{place}: has rows of shape {shape:?}, its space says {:?}", space.shape));
        }
        match &space.values {
            SpaceValues::Box(bounds) => Ok(Table { rows, dim: bounds.dim(), data: array.data }),
            SpaceValues::OneHot(choices) => one_hot(source, place, rows, &array, choices),
        }
    }
}

/// Whole numbers as coordinates of which one is 1.
fn one_hot(
    source: &Source,
    place: &str,
    rows: usize,
    array: &NumberArray,
    choices: &[(i64, usize)],
) -> Result<Table, String> {
    let dim: usize = choices.iter().map(|choice| choice.1).sum();
    source
        .reserve_numbers(rows, dim)
        .map_err(|problem| format!("{place}: has the shape [{rows}, {dim}], {problem}"))?;
    let mut data = vec![0.0; rows * dim];
    for (row, values) in array.data.chunks_exact(choices.len().max(1)).enumerate() {
        let mut first = row * dim;
        for (&value, &(start, count)) in values.iter().zip(choices) {
            let index = value - start as f64;
            if !(index >= 0.0 && index < count as f64 && index.fract() == 0.0) {
                let last = start as f64 + count as f64 - 1.0;
                return Err(format!("{place}: is {value} at row {row}, its space goes from {start} to {last}"));
            }
            data[first + index as usize] = 1.0;
            first += count;
        }
    }
    Ok(Table { rows, dim, data })
}
