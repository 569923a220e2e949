//! The options given to a constructor or a reset, checked against the task's table.

use crate::env::{EnvSpec, Options};
use crate::error::EnvError;
use crate::options::{MatrixOption, OptionDoc, OptionValue};

/// The identity of an environment and the value of every option, checked, defaults filled in.
#[derive(Clone, Debug)]
pub struct Given {
    /// Id, time limit and the options as given.
    pub spec: EnvSpec,
    values: Vec<(&'static str, OptionValue)>,
}

impl Given {
    /// Checks `spec.options` against the table.
    ///
    /// # Errors
    /// [`EnvError::BadOption`] for a name not in the table or a value of another type or range.
    pub fn new(spec: EnvSpec, table: &[OptionDoc]) -> Result<Self, EnvError> {
        refuse_unknown(&spec.id, &spec.options, table.iter().map(|doc| doc.name))?;
        let mut values = Vec::with_capacity(table.len());
        for doc in table {
            let value = match spec.options.get(doc.name) {
                Some(given) => doc.default.read(given).map_err(|problem| bad(&spec.id, doc.name, problem))?,
                None => doc.default.clone(),
            };
            values.push((doc.name, value));
        }
        Ok(Self { spec, values })
    }

    /// A number option. Here and in the methods below, a name that is not in the table or has
    /// another type there is an error.
    pub fn number(&self, name: &str) -> Result<f64, EnvError> {
        self.get(name, "a number", |value| match value {
            OptionValue::Number(x) | OptionValue::NonNegative(x) => Some(*x),
            _ => None,
        })
    }

    /// A whole-number option.
    pub fn count(&self, name: &str) -> Result<u32, EnvError> {
        self.get(name, "a count", |value| if let OptionValue::Count(n) = value { Some(*n) } else { None })
    }

    /// A true-or-false option.
    pub fn flag(&self, name: &str) -> Result<bool, EnvError> {
        self.get(name, "a flag", |value| if let OptionValue::Flag(b) = value { Some(*b) } else { None })
    }

    /// A text option, or a body's name or index.
    pub fn text(&self, name: &str) -> Result<&str, EnvError> {
        self.get(name, "text", |value| match value {
            OptionValue::Text(s) | OptionValue::Body(s) => Some(&**s),
            _ => None,
        })
    }

    /// An interval option.
    pub fn range(&self, name: &str) -> Result<(f64, f64), EnvError> {
        self.get(name, "an interval", |value| match value {
            OptionValue::Range(low, high) => Some((*low, *high)),
            _ => None,
        })
    }

    /// A list option.
    pub fn list(&self, name: &str) -> Result<&[f64], EnvError> {
        self.get(name, "a list", |value| if let OptionValue::List(list) = value { Some(&**list) } else { None })
    }

    /// A matrix option.
    pub fn matrix(&self, name: &str) -> Result<&MatrixOption, EnvError> {
        self.get(name, "a matrix", |value| if let OptionValue::Matrix(matrix) = value { Some(matrix) } else { None })
    }

    /// An error about this option of this environment.
    pub fn bad(&self, option: &str, problem: impl Into<String>) -> EnvError {
        bad(&self.spec.id, option, problem.into())
    }

    fn get<'a, T>(
        &'a self,
        name: &str,
        kind: &str,
        read: impl Fn(&'a OptionValue) -> Option<T>,
    ) -> Result<T, EnvError> {
        let entry = self.values.iter().find(|(known, _)| *known == name);
        let (_, value) = entry.ok_or_else(|| self.bad(name, "is not in the task's table"))?;
        read(value).ok_or_else(|| self.bad(name, format!("is not {kind} in the task's table")))
    }
}

fn bad(id: &str, option: &str, problem: String) -> EnvError {
    EnvError::BadOption { id: id.to_owned(), option: option.to_owned(), problem }
}

/// Rejects options whose name is not known; the error suggests the nearest known name.
pub(crate) fn refuse_unknown<'a>(
    id: &str,
    options: &Options,
    known: impl Iterator<Item = &'a str> + Clone,
) -> Result<(), EnvError> {
    let Some(name) = options.keys().find(|name| !known.clone().any(|k| k == *name)) else { return Ok(()) };
    let problem = match nearest(name, known.clone()) {
        Some(near) => format!("there is no such option, did you mean `{near}`?"),
        None => {
            let all: Vec<_> = known.collect();
            match all.as_slice() {
                [] => "there are no options".to_owned(),
                all => format!("there is no such option; there are {}", all.join(", ")),
            }
        }
    };
    Err(bad(id, name, problem))
}

/// The most similar of the known names; `None` if none of them is similar.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    known
        .map(|k| (strsim::jaro_winkler(&name, &k.to_lowercase()), k))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, k)| k)
}
