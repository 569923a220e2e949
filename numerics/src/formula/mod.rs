//! Formulas over the numbers of transitions, such as `-abs(obs[1]) - 0.1*obs[3]^2`: parsed once,
//! evaluated over whole batches.
//!
//! | part | meaning |
//! | --- | --- |
//! | `obs[2]`, `action[0]`, `next_obs[2]` | a coordinate, from 0 |
//! | `reward`, `t` | the reward; steps of the episode before this one |
//! | `sum(action)`, `norm(obs[2:5])` | sum and Euclidean norm of all coordinates, or of those from 2 up to 5, 5 not included |
//! | `+ - * / ^ **`, `< <= > >=` | arithmetic with Python's precedence, −x^2 = −(x^2); comparisons are 1 or 0 |
//! | `abs sign sqrt exp log sin cos tan asin acos atan tanh floor ceil round` | functions of one number |
//! | `min max atan2`, `clip(x, low, high)` | functions of two and three |
//! | `pi` | 3.14159… |

mod operators;
mod parse;

use std::{fmt, ops::Range};

use operators::{BINARY_FUNCTIONS, Binary, FUNCTIONS, Unary};
use parse::{Index, Tree};
use thiserror::Error;

/// A formula that cannot be read or does not fit.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("column {column}: {problem}")]
pub struct FormulaError {
    /// Place in the formula, in characters from 1.
    pub column: usize,
    /// The problem, and what would be right.
    pub problem: String,
}

impl FormulaError {
    fn at(text: &str, byte: usize, problem: String) -> Self {
        let column = 1 + text.char_indices().take_while(|(at, _)| *at < byte).count();
        Self { column, problem }
    }
}

/// A name that a formula may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Coordinates; `None` of a single number.
    pub coordinates: Option<usize>,
}

/// The numbers of one variable in a batch: `R` rows of `width` numbers.
#[derive(Clone, Copy, Debug)]
pub struct Column<'a> {
    /// Row-major, `R · width` numbers.
    pub numbers: &'a [f32],
    /// Numbers in a row.
    pub width: usize,
}

/// A formula of some variables, ready to be evaluated.
#[derive(Clone)]
pub struct Formula {
    text: String,
    program: Vec<Operation>,
    /// Intermediate results, kept between calls.
    stack: Vec<Vec<f64>>,
}

/// One step of a stack machine that works on whole columns.
#[derive(Clone)]
enum Operation {
    Number(f64),
    Coordinate { variable: usize, coordinate: usize },
    Sum { variable: usize, coordinates: Range<usize> },
    Norm { variable: usize, coordinates: Range<usize> },
    Unary(Unary),
    Binary(Binary),
    Clip,
}

impl Formula {
    /// The formula of a text over these variables, whose order is that of [`Formula::evaluate`]'s
    /// columns.
    ///
    /// # Errors
    /// [`FormulaError`] for a text that is not a formula, and for names and coordinates that there are not.
    pub fn new(text: &str, variables: &[Variable]) -> Result<Self, FormulaError> {
        let mut compiler = Compiler { text, variables, program: Vec::new() };
        compiler.push(&parse::parse(text)?)?;
        Ok(Self { text: text.to_owned(), program: compiler.program, stack: Vec::new() })
    }

    /// Checks the grammar alone.
    ///
    /// # Errors
    /// [`FormulaError`] for a text that is not a formula.
    pub fn check_grammar(text: &str) -> Result<(), FormulaError> {
        parse::parse(text).map(|_| ())
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// True if it reads this variable.
    pub fn reads(&self, index: usize) -> bool {
        self.program.iter().any(|operation| match operation {
            Operation::Coordinate { variable, .. }
            | Operation::Sum { variable, .. }
            | Operation::Norm { variable, .. } => *variable == index,
            _ => false,
        })
    }

    /// The values that `evaluate` found last.
    pub fn values(&self) -> &[f64] {
        self.stack.first().map_or(&[], Vec::as_slice)
    }

    /// The value at each of `rows` rows. Columns are in the variables' order.
    pub fn evaluate(&mut self, columns: &[Column<'_>], rows: usize) -> &[f64] {
        let Self { program, stack, .. } = self;
        let mut top = 0;
        for operation in &*program {
            if stack.len() == top {
                stack.push(Vec::new());
            }
            match operation {
                Operation::Number(value) => {
                    stack[top].clear();
                    stack[top].resize(rows, *value);
                    top += 1;
                }
                Operation::Coordinate { variable, coordinate } => {
                    let rows = rows_of(columns[*variable], rows);
                    refill(&mut stack[top], rows.map(|row| f64::from(row[*coordinate])));
                    top += 1;
                }
                Operation::Sum { variable, coordinates } => {
                    let rows = rows_of(columns[*variable], rows);
                    let sum = |row: &[f32]| row[coordinates.clone()].iter().copied().map(f64::from).sum();
                    refill(&mut stack[top], rows.map(sum));
                    top += 1;
                }
                Operation::Norm { variable, coordinates } => {
                    let rows = rows_of(columns[*variable], rows);
                    let squares = |row: &[f32]| row[coordinates.clone()].iter().map(|&x| f64::from(x).powi(2)).sum();
                    refill(&mut stack[top], rows.map(squares).map(f64::sqrt));
                    top += 1;
                }
                Operation::Unary(function) => stack[top - 1].iter_mut().for_each(|x| *x = function(*x)),
                Operation::Binary(function) => {
                    let (below, above) = stack.split_at_mut(top - 1);
                    below[top - 2].iter_mut().zip(&above[0]).for_each(|(a, b)| *a = function(*a, *b));
                    top -= 1;
                }
                Operation::Clip => {
                    let (below, above) = stack.split_at_mut(top - 2);
                    let bounds = above[0].iter().zip(&above[1]);
                    below[top - 3].iter_mut().zip(bounds).for_each(|(x, (low, high))| *x = x.max(*low).min(*high));
                    top -= 2;
                }
            }
        }
        self.values()
    }
}

impl fmt::Debug for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Formula").field(&self.text).finish()
    }
}

fn rows_of(column: Column<'_>, rows: usize) -> impl Iterator<Item = &[f32]> {
    column.numbers.chunks_exact(column.width).take(rows)
}

fn refill(column: &mut Vec<f64>, values: impl Iterator<Item = f64>) {
    column.clear();
    column.extend(values);
}

/// Turns a tree into operations.
struct Compiler<'a> {
    text: &'a str,
    variables: &'a [Variable],
    program: Vec<Operation>,
}

impl Compiler<'_> {
    fn push(&mut self, tree: &Tree<'_>) -> Result<(), FormulaError> {
        let operation = match tree {
            Tree::Number(value) => Operation::Number(*value),
            Tree::Name { name: "pi", index: None, .. } => Operation::Number(std::f64::consts::PI),
            Tree::Name { name, index, at } => {
                let (variable, coordinates) = self.variable(name, *index, *at)?;
                if coordinates.len() != 1 || !matches!(index, None | Some(Index::One(_))) {
                    let problem =
                        format!("`{name}` has several numbers; take one, as in `{name}[0]`, or `norm({name})`");
                    return Err(self.error(*at, problem));
                }
                Operation::Coordinate { variable, coordinate: coordinates.start }
            }
            Tree::Negative(operand) => {
                self.push(operand)?;
                Operation::Unary(|x| -x)
            }
            Tree::Binary(operator, operands) => {
                operands.iter().try_for_each(|operand| self.push(operand))?;
                Operation::Binary(*operator)
            }
            Tree::Call { function, arguments, at } => self.call(function, arguments, *at)?,
        };
        self.program.push(operation);
        Ok(())
    }

    fn call(&mut self, function: &str, arguments: &[Tree<'_>], at: usize) -> Result<Operation, FormulaError> {
        if let ("sum" | "norm", [Tree::Name { name, index, at }]) = (function, arguments) {
            let (variable, coordinates) = self.variable(name, *index, *at)?;
            return Ok(match function {
                "sum" => Operation::Sum { variable, coordinates },
                _ => Operation::Norm { variable, coordinates },
            });
        }
        let unary = FUNCTIONS.iter().find(|(name, _)| *name == function).map(|(_, f)| (1, Operation::Unary(*f)));
        let binary = || BINARY_FUNCTIONS.iter().find(|(name, _)| *name == function);
        let binary = || binary().map(|(_, f)| (2, Operation::Binary(*f)));
        let known = unary.or_else(binary).or_else(|| (function == "clip").then_some((3, Operation::Clip)));
        let Some((wanted, operation)) = known else {
            let problem = match function {
                "sum" | "norm" => format!("`{function}` takes one of {}", self.known_arrays()),
                _ => format!("no function `{function}`; there are {}", known_functions()),
            };
            return Err(self.error(at, problem));
        };
        if arguments.len() != wanted {
            let problem = format!("`{function}` takes {wanted} numbers, {} are given", arguments.len());
            return Err(self.error(at, problem));
        }
        arguments.iter().try_for_each(|argument| self.push(argument))?;
        Ok(operation)
    }

    /// The place of a variable, and its coordinates that are meant.
    fn variable(&self, name: &str, index: Option<Index<'_>>, at: usize) -> Result<(usize, Range<usize>), FormulaError> {
        let Some(place) = self.variables.iter().position(|variable| variable.name == name) else {
            let names: Vec<&str> = self.variables.iter().map(|variable| variable.name).collect();
            return Err(self.error(at, format!("no `{name}`; there are {}", names.join(", "))));
        };
        let (Some(index), coordinates) = (index, self.variables[place].coordinates) else {
            return Ok((place, 0..self.variables[place].coordinates.unwrap_or(1)));
        };
        let Some(width) = coordinates else {
            return Err(self.error(at, format!("`{name}` is a single number, without coordinates")));
        };
        let number = |digits: &str| digits.parse().unwrap_or(usize::MAX);
        let coordinates = match index {
            Index::One(one) => number(one)..number(one).saturating_add(1),
            Index::Range(first, last) => number(first)..number(last),
        };
        if coordinates.is_empty() || coordinates.end > width {
            let meant = &self.text[at..];
            let meant = &meant[..meant.find(']').map_or(meant.len(), |end| end + 1)];
            let problem = format!("no `{meant}`: `{name}` has {width} coordinates, 0 to {}", width.saturating_sub(1));
            return Err(self.error(at, problem));
        }
        Ok((place, coordinates))
    }

    fn known_arrays(&self) -> String {
        let arrays = self.variables.iter().filter(|variable| variable.coordinates.is_some());
        arrays.map(|variable| variable.name).collect::<Vec<_>>().join(", ")
    }

    fn error(&self, at: usize, problem: String) -> FormulaError {
        FormulaError::at(self.text, at, problem)
    }
}

fn known_functions() -> String {
    let names = FUNCTIONS.iter().map(|(name, _)| *name).chain(BINARY_FUNCTIONS.iter().map(|(name, _)| *name));
    names.chain(["clip", "sum", "norm"]).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
