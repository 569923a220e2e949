//! Options of a task: one table says name, type, default and meaning; everything given is checked against it.

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::{EnvError, EnvSpec, Options};

/// One option of a task's constructor.
#[derive(Clone, Debug, PartialEq)]
pub struct OptionDoc {
    /// Gymnasium's name for it.
    pub name: &'static str,
    /// Type and default in one.
    pub default: OptionValue,
    /// What it does, with its unit.
    pub doc: &'static str,
}

/// A value together with what it may be.
#[derive(Clone, Debug, PartialEq)]
pub enum OptionValue {
    /// Any finite number.
    Number(f64),
    /// A finite number that is not negative.
    NonNegative(f64),
    /// A whole number of at least one.
    Count(u32),
    /// True or false.
    Flag(bool),
    /// Some text, such as a file name.
    Text(Cow<'static, str>),
    /// A body of the model, by name or by index.
    Body(Cow<'static, str>),
    /// An interval `[low, high]`; a side may be `null` or `"inf"`, `"-inf"`, which is unbounded.
    Range(f64, f64),
    /// A list of finite numbers.
    List(Cow<'static, [f64]>),
    /// A matrix; how a number or a plain list is read, the task decides.
    Matrix(MatrixOption),
}

/// A matrix as it may be written: by rows, or short.
#[derive(Clone, Debug, PartialEq)]
pub enum MatrixOption {
    /// One number, such as a multiple of the identity.
    Scalar(f64),
    /// A plain list, such as a diagonal or a single column.
    List(Cow<'static, [f64]>),
    /// Rows of `columns` numbers each, one after the other.
    Rows {
        /// Numbers in a row.
        columns: usize,
        /// Row by row.
        values: Cow<'static, [f64]>,
    },
}

impl OptionDoc {
    /// An option; for tables.
    pub const fn new(name: &'static str, default: OptionValue, doc: &'static str) -> Self {
        Self { name, default, doc }
    }

    /// This option's JSON Schema, with description and default.
    pub fn json_schema(&self) -> Value {
        let mut schema = match &self.default {
            OptionValue::Number(_) => json!({"type": "number"}),
            OptionValue::NonNegative(_) => json!({"type": "number", "minimum": 0}),
            OptionValue::Count(_) => json!({"type": "integer", "minimum": 1}),
            OptionValue::Flag(_) => json!({"type": "boolean"}),
            OptionValue::Text(_) => json!({"type": "string"}),
            OptionValue::Body(_) => json!({"type": ["string", "integer"]}),
            OptionValue::Range(..) => json!({
                "type": "array", "minItems": 2, "maxItems": 2, "items": {"type": ["number", "string", "null"]},
            }),
            OptionValue::List(_) => json!({"type": "array", "items": {"type": "number"}}),
            OptionValue::Matrix(_) => json!({
                "type": ["number", "array"],
                "items": {"type": ["number", "array"], "items": {"type": "number"}},
            }),
        };
        schema["description"] = json!(self.doc);
        schema["default"] = self.default.to_json();
        schema
    }
}

impl OptionValue {
    /// The value as it is written in a config.
    pub fn to_json(&self) -> Value {
        let side = |x: f64| if x.is_finite() { json!(x) } else { json!(if x > 0.0 { "inf" } else { "-inf" }) };
        match self {
            Self::Number(x) | Self::NonNegative(x) => json!(x),
            Self::Count(n) => json!(n),
            Self::Flag(b) => json!(b),
            Self::Text(s) => json!(s),
            Self::Body(s) => s.parse::<u32>().map_or_else(|_| json!(s), |index| json!(index)),
            Self::Range(low, high) => json!([side(*low), side(*high)]),
            Self::List(list) => json!(list),
            Self::Matrix(MatrixOption::Scalar(x)) => json!(x),
            Self::Matrix(MatrixOption::List(list)) => json!(list),
            Self::Matrix(MatrixOption::Rows { columns, values }) => {
                json!(values.chunks((*columns).max(1)).collect::<Vec<_>>())
            }
        }
    }

    /// The given value read as this one's type, or what is wrong with it.
    fn read(&self, given: &Value) -> Result<Self, String> {
        let wrong = |wanted: &str| format!("expected {wanted}, found {given}");
        match self {
            Self::Number(_) => number(given).map(Self::Number).ok_or_else(|| wrong("a number")),
            Self::NonNegative(_) => number(given)
                .filter(|x| *x >= 0.0)
                .map(Self::NonNegative)
                .ok_or_else(|| wrong("a number of at least 0")),
            Self::Count(_) => number(given)
                .filter(|x| x.fract() == 0.0 && (1.0..=f64::from(u32::MAX)).contains(x))
                .map(|x| Self::Count(x as u32))
                .ok_or_else(|| wrong("a whole number of at least 1")),
            Self::Flag(_) => given.as_bool().map(Self::Flag).ok_or_else(|| wrong("true or false")),
            Self::Text(_) => {
                given.as_str().map(|s| Self::Text(s.to_owned().into())).ok_or_else(|| wrong("a piece of text"))
            }
            Self::Body(_) => given
                .as_str()
                .map(str::to_owned)
                .or_else(|| given.as_u64().map(|index| index.to_string()))
                .map(|name| Self::Body(name.into()))
                .ok_or_else(|| wrong("a body's name or index")),
            Self::Range(..) => {
                let wanted = "an interval [low, high] of two numbers";
                let [low, high] = given.as_array().map(Vec::as_slice).unwrap_or_default() else {
                    return Err(wrong(wanted));
                };
                let low = side(low, f64::NEG_INFINITY).ok_or_else(|| wrong(wanted))?;
                let high = side(high, f64::INFINITY).ok_or_else(|| wrong(wanted))?;
                if low > high {
                    return Err(format!("the lower bound {low} is above the upper bound {high}"));
                }
                Ok(Self::Range(low, high))
            }
            Self::List(_) => {
                list(given).map(|list| Self::List(list.into())).ok_or_else(|| wrong("a list of finite numbers"))
            }
            Self::Matrix(_) => matrix(given)
                .map(Self::Matrix)
                .ok_or_else(|| wrong("a matrix: a list of rows of one length, a list of numbers, or a number")),
        }
    }
}

fn list(given: &Value) -> Option<Vec<f64>> {
    given.as_array()?.iter().map(number).collect()
}

fn matrix(given: &Value) -> Option<MatrixOption> {
    if let Some(x) = number(given) {
        return Some(MatrixOption::Scalar(x));
    }
    if let Some(list) = list(given) {
        return Some(MatrixOption::List(list.into()));
    }
    let rows: Vec<Vec<f64>> = given.as_array()?.iter().map(list).collect::<Option<_>>()?;
    let columns = rows.first()?.len();
    let whole = columns > 0 && rows.iter().all(|row| row.len() == columns);
    whole.then(|| MatrixOption::Rows { columns, values: rows.concat().into() })
}

fn number(given: &Value) -> Option<f64> {
    given.as_f64().filter(|x| x.is_finite())
}

/// One side of an interval: JSON has no infinity, so `null` and text stand in.
fn side(given: &Value, unbounded: f64) -> Option<f64> {
    match given {
        Value::Null => Some(unbounded),
        Value::String(text) => {
            text.trim_start_matches('+').replacen(".inf", "inf", 1).parse().ok().filter(|x: &f64| !x.is_nan())
        }
        other => number(other),
    }
}

/// What a constructor gets: who the environment is and every option, checked, defaults filled in.
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

    /// A number option. Asking for a name that is not in the table, or under another type, is an error here and
    /// in the methods below.
    pub fn number(&self, name: &str) -> Result<f64, EnvError> {
        match self.value(name)? {
            OptionValue::Number(x) | OptionValue::NonNegative(x) => Ok(*x),
            _ => Err(self.bad(name, "is not a number in the task's table")),
        }
    }

    /// A whole-number option.
    pub fn count(&self, name: &str) -> Result<u32, EnvError> {
        match self.value(name)? {
            OptionValue::Count(n) => Ok(*n),
            _ => Err(self.bad(name, "is not a count in the task's table")),
        }
    }

    /// A true-or-false option.
    pub fn flag(&self, name: &str) -> Result<bool, EnvError> {
        match self.value(name)? {
            OptionValue::Flag(b) => Ok(*b),
            _ => Err(self.bad(name, "is not a flag in the task's table")),
        }
    }

    /// A text option, or a body's name or index.
    pub fn text(&self, name: &str) -> Result<&str, EnvError> {
        match self.value(name)? {
            OptionValue::Text(s) | OptionValue::Body(s) => Ok(s),
            _ => Err(self.bad(name, "is not text in the task's table")),
        }
    }

    /// An interval option.
    pub fn range(&self, name: &str) -> Result<(f64, f64), EnvError> {
        match self.value(name)? {
            OptionValue::Range(low, high) => Ok((*low, *high)),
            _ => Err(self.bad(name, "is not an interval in the task's table")),
        }
    }

    /// A list option.
    pub fn list(&self, name: &str) -> Result<&[f64], EnvError> {
        match self.value(name)? {
            OptionValue::List(list) => Ok(list),
            _ => Err(self.bad(name, "is not a list in the task's table")),
        }
    }

    /// A matrix option.
    pub fn matrix(&self, name: &str) -> Result<&MatrixOption, EnvError> {
        match self.value(name)? {
            OptionValue::Matrix(matrix) => Ok(matrix),
            _ => Err(self.bad(name, "is not a matrix in the task's table")),
        }
    }

    /// An error about this option of this environment.
    pub fn bad(&self, option: &str, problem: impl Into<String>) -> EnvError {
        bad(&self.spec.id, option, problem.into())
    }

    fn value(&self, name: &str) -> Result<&OptionValue, EnvError> {
        self.values
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
            .ok_or_else(|| self.bad(name, "is not in the task's table"))
    }
}

fn bad(id: &str, option: &str, problem: String) -> EnvError {
    EnvError::BadOption { id: id.to_owned(), option: option.to_owned(), problem }
}

/// Refuses options whose name is none of the known ones, with the nearest known one.
pub(crate) fn refuse_unknown<'a>(
    id: &str,
    options: &Options,
    known: impl Iterator<Item = &'a str> + Clone,
) -> Result<(), EnvError> {
    for name in options.keys() {
        if !known.clone().any(|k| k == name) {
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
            return Err(bad(id, name, problem));
        }
    }
    Ok(())
}

/// The most similar of the known names, if any is similar.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    known
        .map(|k| (strsim::jaro_winkler(&name, &k.to_lowercase()), k))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, k)| k)
}
