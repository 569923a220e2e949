//! One walk over a component's state, which saves or loads: a component lists what it keeps once,
//! so what is saved and what is loaded cannot differ.

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    error::NumericsError,
    state::{Array, ArrayData, State},
};

/// A walk that writes each entry named into a state, or reads it from one.
#[derive(Debug)]
pub struct StateIo<'a> {
    direction: Direction<'a>,
    /// Precedes every entry's name.
    prefix: String,
}

#[derive(Debug)]
enum Direction<'a> {
    Save(&'a mut State),
    Load(&'a State),
}

impl State {
    /// The state of the component whose entries `walk` lists.
    pub fn of<E>(walk: impl FnOnce(&mut StateIo<'_>) -> Result<(), E>) -> Result<Self, E> {
        let mut state = Self::default();
        walk(&mut StateIo::save_to(&mut state))?;
        Ok(state)
    }
}

impl<'a> StateIo<'a> {
    /// A walk that saves into `state`.
    pub fn save_to(state: &'a mut State) -> Self {
        Self { direction: Direction::Save(state), prefix: String::new() }
    }

    /// A walk that loads from `state`.
    pub fn load_from(state: &'a State) -> Self {
        Self { direction: Direction::Load(state), prefix: String::new() }
    }

    /// True if the walk loads: the component then recomputes what follows from its entries.
    pub fn loading(&self) -> bool {
        matches!(self.direction, Direction::Load(_))
    }

    /// A walk over a part, whose entries are named `name/…`.
    pub fn scope(&mut self, name: &str) -> StateIo<'_> {
        let direction = match &mut self.direction {
            Direction::Save(state) => Direction::Save(state),
            Direction::Load(state) => Direction::Load(state),
        };
        StateIo { direction, prefix: format!("{}{name}/", self.prefix) }
    }

    /// Numbers whose count is fixed by the component.
    pub fn f32(&mut self, name: &str, numbers: &mut [f32]) -> Result<(), NumericsError> {
        let name = self.name(name);
        match &mut self.direction {
            Direction::Save(state) => state.put_f32(name, &[numbers.len()], numbers),
            Direction::Load(state) => numbers.copy_from_slice(state.f32(&name, &[numbers.len()])?),
        }
        Ok(())
    }

    /// As `f32`, in double precision.
    pub fn f64(&mut self, name: &str, numbers: &mut [f64]) -> Result<(), NumericsError> {
        let name = self.name(name);
        match &mut self.direction {
            Direction::Save(state) => state.put_f64(name, &[numbers.len()], numbers),
            Direction::Load(state) => numbers.copy_from_slice(state.f64(&name, &[numbers.len()])?),
        }
        Ok(())
    }

    /// Single numbers, kept in one array.
    pub fn scalars<const N: usize>(&mut self, name: &str, scalars: [&mut f64; N]) -> Result<(), NumericsError> {
        let mut numbers = scalars.each_ref().map(|scalar| **scalar);
        self.f64(name, &mut numbers)?;
        scalars.into_iter().zip(numbers).for_each(|(scalar, number)| *scalar = number);
        Ok(())
    }

    /// Numbers whose count is part of the state.
    pub fn f32_vec(&mut self, name: &str, numbers: &mut Vec<f32>) -> Result<(), NumericsError> {
        let count = self.count(name, numbers.len())?;
        numbers.resize(count, 0.0);
        self.f32(name, numbers)
    }

    /// As `f32_vec`, in double precision.
    pub fn f64_vec(&mut self, name: &str, numbers: &mut Vec<f64>) -> Result<(), NumericsError> {
        let count = self.count(name, numbers.len())?;
        numbers.resize(count, 0.0);
        self.f64(name, numbers)
    }

    /// Indices, for instance of rows; their count is part of the state.
    pub fn indices(&mut self, name: &str, indices: &mut Vec<u32>) -> Result<(), NumericsError> {
        let count = self.count(name, indices.len())?;
        let name = self.name(name);
        match &mut self.direction {
            Direction::Save(state) => {
                let data = ArrayData::I64(indices.iter().map(|&index| index.into()).collect());
                state.arrays.insert(name, Array { shape: vec![count], data });
            }
            Direction::Load(state) => {
                let read = state.i64(&name, &[count])?.iter().map(|&index| u32::try_from(index));
                *indices =
                    read.collect::<Result<_, _>>().map_err(|_| bad(&name, "holds a number that is not an index"))?;
            }
        }
        Ok(())
    }

    /// Anything serialisable that is not a large array.
    pub fn value<T: Serialize + DeserializeOwned>(&mut self, name: &str, value: &mut T) -> Result<(), NumericsError> {
        let name = self.name(name);
        match &mut self.direction {
            Direction::Save(state) => state.put(name, value),
            Direction::Load(state) => *value = state.get(&name)?,
        }
        Ok(())
    }

    /// The error of an entry that was read but does not fit the component.
    pub fn bad(&self, name: &str, problem: impl Into<String>) -> NumericsError {
        bad(&self.name(name), problem)
    }

    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The length of a one-dimensional entry: the saved one when loading, `own` when saving.
    fn count(&self, name: &str, own: usize) -> Result<usize, NumericsError> {
        let name = self.name(name);
        match &self.direction {
            Direction::Save(_) => Ok(own),
            Direction::Load(state) => match state.arrays.get(&name).map(|array| &array.shape[..]) {
                Some([count]) => Ok(*count),
                Some(shape) => Err(bad(&name, format!("has shape {shape:?}, expected one dimension"))),
                None => Err(bad(&name, "is missing")),
            },
        }
    }
}

fn bad(name: &str, problem: impl Into<String>) -> NumericsError {
    NumericsError::BadState { name: name.to_owned(), problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each kind of entry, some in a scope.
    #[derive(Debug, Default, PartialEq)]
    struct Component {
        fixed: [f32; 2],
        moments: [f64; 2],
        scale: f64,
        shift: f64,
        drawn: Vec<f32>,
        recent: Vec<f64>,
        rows: Vec<u32>,
        steps: u64,
    }

    impl Component {
        fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), NumericsError> {
            io.f32("fixed", &mut self.fixed)?;
            io.scalars("affine", [&mut self.scale, &mut self.shift])?;
            io.value("steps", &mut self.steps)?;
            let mut io = io.scope("data");
            io.f64("moments", &mut self.moments)?;
            io.f32_vec("drawn", &mut self.drawn)?;
            io.f64_vec("recent", &mut self.recent)?;
            io.indices("rows", &mut self.rows)
        }
    }

    fn sample() -> Component {
        Component {
            fixed: [1.0, -0.0],
            moments: [1.0 / 3.0, f64::MAX],
            scale: 2.0,
            shift: 0.1,
            drawn: vec![0.5; 3],
            recent: vec![],
            rows: vec![0, u32::MAX],
            steps: u64::MAX,
        }
    }

    fn saved() -> State {
        State::of(|io| sample().state(io)).unwrap()
    }

    #[test]
    fn a_fresh_component_becomes_the_saved_one() {
        let state = State::from_bytes(&saved().to_bytes().unwrap()).unwrap();
        let mut loaded = Component { drawn: vec![9.0; 7], ..Component::default() };
        loaded.state(&mut StateIo::load_from(&state)).unwrap();
        assert_eq!(loaded, sample());
        assert!(state.arrays.contains_key("data/moments") && state.values.contains_key("steps"));
    }

    #[test]
    fn an_entry_that_does_not_fit_is_named() {
        let refused = |change: &dyn Fn(&mut State)| {
            let mut state = saved();
            change(&mut state);
            Component::default().state(&mut StateIo::load_from(&state)).unwrap_err().to_string()
        };
        let missing = |name: &'static str| move |state: &mut State| drop(state.arrays.remove(name));
        assert_eq!(refused(&missing("fixed")), "checkpoint: `fixed`: is missing");
        assert_eq!(refused(&missing("data/rows")), "checkpoint: `data/rows`: is missing");
        let shape = refused(&|state| state.put_f32("fixed", &[3], &[0.0; 3]));
        assert_eq!(shape, "checkpoint: `fixed`: has shape [3], expected [2]");
        let kind = refused(&|state| state.put_f32("data/recent", &[1], &[0.0]));
        assert_eq!(kind, "checkpoint: `data/recent`: is not f64");
        let plane = refused(&|state| state.put_f32("data/drawn", &[1, 2], &[0.0; 2]));
        assert_eq!(plane, "checkpoint: `data/drawn`: has shape [1, 2], expected one dimension");
        let array = Array { shape: vec![1], data: ArrayData::I64(vec![-1]) };
        let index = refused(&|state| drop(state.arrays.insert("data/rows".into(), array.clone())));
        assert_eq!(index, "checkpoint: `data/rows`: holds a number that is not an index");
    }
}
