//! Python's pickles as data. Nothing is ever executed: a class or function of the file is only a
//! name, and a call of it is its name with the arguments.
//!
//! A pickle is a program for a stack machine. Its instructions are a closed list; sizes are checked
//! against the bytes that are there, and the numbers of values and of steps have limits.

mod machine;
mod operands;

use super::fault::Fault;

/// A value's place among the values of its pickle.
pub(super) type Id = usize;

/// Module and name of a class or function.
pub(super) type Name<'b> = (&'b str, &'b str);

/// Values of a pickle.
#[derive(Debug)]
pub(super) struct Pickle<'b> {
    values: Vec<Value<'b>>,
    root: Id,
}

/// One value. Lists and the like refer to their items, so that one value can be in several.
#[derive(Debug)]
pub(super) enum Value<'b> {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'b str),
    Bytes(&'b [u8]),
    /// A list or tuple.
    Row(Vec<Id>),
    /// A dict or `collections.OrderedDict`, in its order.
    Dict(Vec<(Id, Id)>),
    /// A class or function by name.
    Global {
        module: &'b str,
        name: &'b str,
    },
    /// A reference to data beside the pickle.
    Persistent(Id),
    /// An object of a class, or the result of a call, which is never made.
    Object {
        class: Id,
        args: Id,
        state: Option<Id>,
    },
    /// None, sets, numbers beyond 64 bits.
    Other,
}

impl<'b> Pickle<'b> {
    /// Reads a pickle of protocol 2 to 5.
    ///
    /// # Errors
    /// The byte at which it is damaged, too large or not a pickle.
    pub(super) fn read(bytes: &'b [u8]) -> Result<Self, Fault> {
        machine::run(bytes)
    }

    /// The whole pickle's value.
    pub(super) fn root(&self) -> Id {
        self.root
    }

    /// A value by its place.
    pub(super) fn value(&self, id: Id) -> &Value<'b> {
        self.values.get(id).unwrap_or(&Value::Other)
    }

    /// The items of a list or tuple.
    pub(super) fn row(&self, id: Id) -> Option<&[Id]> {
        if let Value::Row(items) = self.value(id) { Some(items) } else { None }
    }

    /// A dict's entries.
    pub(super) fn dict(&self, id: Id) -> Option<&[(Id, Id)]> {
        if let Value::Dict(entries) = self.value(id) { Some(entries) } else { None }
    }

    /// The entry of a dict under a text.
    pub(super) fn entry(&self, dict: Id, key: &str) -> Option<Id> {
        let found = self.dict(dict)?.iter().rev().find(|(name, _)| self.text(*name) == Some(key));
        found.map(|(_, value)| *value)
    }

    /// A text.
    pub(super) fn text(&self, id: Id) -> Option<&'b str> {
        if let Value::Text(text) = self.value(id) { Some(text) } else { None }
    }

    /// A number, true and false included.
    pub(super) fn number(&self, id: Id) -> Option<f64> {
        match self.value(id) {
            Value::Int(number) => Some(*number as f64),
            Value::Float(number) => Some(*number),
            Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
            _ => None,
        }
    }

    /// A size.
    pub(super) fn size(&self, id: Id) -> Option<usize> {
        if let Value::Int(number) = self.value(id) { usize::try_from(*number).ok() } else { None }
    }

    /// Sizes in a list or tuple.
    pub(super) fn sizes(&self, id: Id) -> Option<Vec<usize>> {
        self.row(id)?.iter().map(|item| self.size(*item)).collect()
    }

    /// The name of a class or function.
    pub(super) fn global(&self, id: Id) -> Option<Name<'b>> {
        if let Value::Global { module, name } = self.value(id) { Some((module, name)) } else { None }
    }

    /// Class, arguments and state of an object.
    pub(super) fn object(&self, id: Id) -> Option<(Name<'b>, &[Id], Option<Id>)> {
        let Value::Object { class, args, state } = self.value(id) else { return None };
        Some((self.global(*class)?, self.row(*args)?, *state))
    }

    /// The kind of a value, in words.
    pub(super) fn kind(&self, id: Id) -> String {
        match self.value(id) {
            Value::Bool(_) => "a truth value".to_owned(),
            Value::Int(_) | Value::Float(_) => "a number".to_owned(),
            Value::Text(_) => "a text".to_owned(),
            Value::Bytes(_) => "bytes".to_owned(),
            Value::Row(_) => "a list or tuple".to_owned(),
            Value::Dict(_) => "a dict".to_owned(),
            Value::Global { module, name } => format!("the name `{module}.{name}`"),
            Value::Persistent(_) => "a reference to other data".to_owned(),
            Value::Object { .. } => match self.object(id) {
                Some(((module, name), ..)) => format!("an object of `{module}.{name}`"),
                None => "an object".to_owned(),
            },
            Value::Other => "a value of another kind".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
