//! The grammar of a formula: from text to a tree whose names know their places.

use winnow::{
    LocatingSlice, ModalResult, Parser,
    ascii::{digit1, multispace0},
    combinator::{
        Infix, Prefix, alt, cut_err, delimited, dispatch, empty, expression, fail, opt, peek, preceded, separated,
    },
    error::{StrContext, StrContextValue},
    stream::Location,
    token::{any, take_while},
};

use super::{
    FormulaError,
    operators::{ADD, Binary, DIVIDE, GREATER, GREATER_EQUAL, LESS, LESS_EQUAL, MULTIPLY, POWER, SUBTRACT},
};

/// Longest formula, in bytes; it bounds the parser's recursion.
const LONGEST: usize = 1000;

/// A parsed formula. `at` counts bytes from its start.
#[derive(Debug)]
pub(super) enum Tree<'a> {
    Number(f64),
    /// `reward`, `obs[3]`, `obs[1:4]` or `obs`.
    Name {
        name: &'a str,
        index: Option<Index<'a>>,
        at: usize,
    },
    Call {
        function: &'a str,
        arguments: Vec<Tree<'a>>,
        at: usize,
    },
    Negative(Box<Tree<'a>>),
    Binary(Binary, Box<[Tree<'a>; 2]>),
}

/// The digits in brackets after a name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Index<'a> {
    One(&'a str),
    /// From the first up to, not including, the last.
    Range(&'a str, &'a str),
}

type Input<'a> = LocatingSlice<&'a str>;

/// The tree of a formula.
pub(super) fn parse(text: &str) -> Result<Tree<'_>, FormulaError> {
    if text.len() > LONGEST {
        return Err(FormulaError::at(text, LONGEST, format!("longer than {LONGEST} characters")));
    }
    delimited(multispace0, formula, multispace0).parse(LocatingSlice::new(text)).map_err(|error| {
        let expected = error.inner().context().find_map(|context| match context {
            StrContext::Expected(StrContextValue::Description(expected)) => Some(*expected),
            _ => None,
        });
        let rest = text.get(error.offset()..).unwrap_or_default();
        let found = rest.chars().next().map_or("the formula ends".to_owned(), |found| format!("`{found}`"));
        let problem = format!("{found} where {} is expected", expected.unwrap_or("an operator"));
        FormulaError::at(text, error.offset(), problem)
    })
}

/// Comparisons bind least, then sums, products, signs and powers, as in Python.
fn formula<'a>(input: &mut Input<'a>) -> ModalResult<Tree<'a>> {
    let prefix = dispatch! {peek(any);
        '-' => any.value(Prefix(8, |_: &mut _, a| Ok(Tree::Negative(Box::new(a))))),
        '+' => any.value(Prefix(8, |_: &mut _, a| Ok(a))),
        _ => fail,
    };
    let infix = dispatch! {any;
        '+' => empty.value(Infix::Left(4, |_: &mut _, a, b| binary(ADD, a, b))),
        '-' => empty.value(Infix::Left(4, |_: &mut _, a, b| binary(SUBTRACT, a, b))),
        '*' => alt((
            '*'.value(Infix::Right(10, |_: &mut _, a, b| binary(POWER, a, b))),
            empty.value(Infix::Left(6, |_: &mut _, a, b| binary(MULTIPLY, a, b))),
        )),
        '/' => empty.value(Infix::Left(6, |_: &mut _, a, b| binary(DIVIDE, a, b))),
        '^' => empty.value(Infix::Right(10, |_: &mut _, a, b| binary(POWER, a, b))),
        '<' => alt((
            '='.value(Infix::Neither(2, |_: &mut _, a, b| binary(LESS_EQUAL, a, b))),
            empty.value(Infix::Neither(2, |_: &mut _, a, b| binary(LESS, a, b))),
        )),
        '>' => alt((
            '='.value(Infix::Neither(2, |_: &mut _, a, b| binary(GREATER_EQUAL, a, b))),
            empty.value(Infix::Neither(2, |_: &mut _, a, b| binary(GREATER, a, b))),
        )),
        _ => fail,
    };
    let operand = alt((number, parenthesis, call, name));
    expression(delimited(multispace0, operand, multispace0))
        .prefix(preceded(multispace0, prefix.context(expected("a number, a name or a parenthesis"))))
        .infix(infix)
        .parse_next(input)
}

fn binary<'a>(operator: Binary, a: Tree<'a>, b: Tree<'a>) -> ModalResult<Tree<'a>> {
    Ok(Tree::Binary(operator, Box::new([a, b])))
}

/// Without a sign, so that −2^2 is −(2^2).
fn number<'a>(input: &mut Input<'a>) -> ModalResult<Tree<'a>> {
    let fraction = |digits| (digits, opt(('.', opt(digit1))));
    let exponent = opt((alt(('e', 'E')), opt(alt(('+', '-'))), digit1));
    let mantissa = alt((fraction(digit1).void(), ('.', digit1).void()));
    (mantissa, exponent).take().parse_to::<f64>().map(Tree::Number).parse_next(input)
}

fn parenthesis<'a>(input: &mut Input<'a>) -> ModalResult<Tree<'a>> {
    delimited('(', cut_err(formula), cut_err(')').context(expected("`)`"))).parse_next(input)
}

fn call<'a>(input: &mut Input<'a>) -> ModalResult<Tree<'a>> {
    let at = input.current_token_start();
    let function = identifier(input)?;
    let arguments = delimited(
        (multispace0, '('),
        cut_err(separated(1.., formula, ',')),
        cut_err(')').context(expected("`,` or `)`")),
    )
    .parse_next(input)?;
    Ok(Tree::Call { function, arguments, at })
}

fn name<'a>(input: &mut Input<'a>) -> ModalResult<Tree<'a>> {
    let at = input.current_token_start();
    let name = identifier(input)?;
    let coordinate = || digit1.context(expected("a coordinate, such as 0,"));
    let brackets = (coordinate(), opt(preceded(':', cut_err(coordinate()))));
    let close = || ']'.context(expected("`]`"));
    let index = opt(delimited('[', cut_err(brackets), cut_err(close()))).parse_next(input)?;
    let index = index.map(|(first, last)| last.map_or(Index::One(first), |last| Index::Range(first, last)));
    Ok(Tree::Name { name, index, at })
}

fn identifier<'a>(input: &mut Input<'a>) -> ModalResult<&'a str> {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    (take_while(1, letter), take_while(0.., move |c: char| letter(c) || c.is_ascii_digit())).take().parse_next(input)
}

fn expected(what: &'static str) -> StrContext {
    StrContext::Expected(StrContextValue::Description(what))
}
