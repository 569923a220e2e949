//! Options of a task: one table says name, type, default and meaning.

use std::borrow::Cow;

use serde_json::{Value, json};

/// One option of a task's constructor.
#[derive(Clone, Debug, PartialEq)]
pub struct OptionDoc {
    /// Gymnasium's name for it.
    pub name: &'static str,
    /// Type and default in one.
    pub default: OptionValue,
    /// The effect of the option, with its unit.
    pub doc: &'static str,
}

/// A value together with its type and range.
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
    /// A matrix. The task decides how a number or a plain list is read.
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

    /// The JSON Schema of this option, with description and default.
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
    /// A text default; for tables.
    pub const fn text(default: &'static str) -> Self {
        Self::Text(Cow::Borrowed(default))
    }

    /// A list default; for tables.
    pub const fn list(default: &'static [f64]) -> Self {
        Self::List(Cow::Borrowed(default))
    }

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

    /// Reads the given value as this one's type; the error states the problem.
    pub fn read(&self, given: &Value) -> Result<Self, String> {
        let (value, wanted) = match self {
            Self::Number(_) => (number(given).map(Self::Number), "a number"),
            Self::NonNegative(_) => {
                (number(given).filter(|x| *x >= 0.0).map(Self::NonNegative), "a number of at least 0")
            }
            Self::Count(_) => (count(given).map(Self::Count), "a whole number of at least 1"),
            Self::Flag(_) => (given.as_bool().map(Self::Flag), "true or false"),
            Self::Text(_) => (given.as_str().map(|s| Self::Text(s.to_owned().into())), "a piece of text"),
            Self::Body(_) => (body(given).map(|name| Self::Body(name.into())), "a body's name or index"),
            Self::Range(..) => match range(given) {
                Some((low, high)) if low > high => {
                    return Err(format!("the lower bound {low} is above the upper bound {high}"));
                }
                range => (range.map(|(low, high)| Self::Range(low, high)), "an interval [low, high] of two numbers"),
            },
            Self::List(_) => (list(given).map(|list| Self::List(list.into())), "a list of finite numbers"),
            Self::Matrix(_) => (
                matrix(given).map(Self::Matrix),
                "a matrix: a list of rows of one length, a list of numbers, or a number",
            ),
        };
        value.ok_or_else(|| format!("expected {wanted}, found {given}"))
    }
}

fn number(given: &Value) -> Option<f64> {
    given.as_f64().filter(|x| x.is_finite())
}

fn count(given: &Value) -> Option<u32> {
    let whole = |x: &f64| x.fract() == 0.0 && (1.0..=f64::from(u32::MAX)).contains(x);
    number(given).filter(whole).map(|x| x as u32)
}

fn body(given: &Value) -> Option<String> {
    given.as_str().map(str::to_owned).or_else(|| given.as_u64().map(|index| index.to_string()))
}

fn range(given: &Value) -> Option<(f64, f64)> {
    let [low, high] = given.as_array()?.as_slice() else { return None };
    Some((side(low, f64::NEG_INFINITY)?, side(high, f64::INFINITY)?))
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
