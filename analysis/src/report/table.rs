//! Tables of a report, each written as HTML, CSV, LaTeX and JSON.

use std::borrow::Cow;
use std::fmt::Write as _;

use maud::{Markup, html};
use serde_json::{Map, Value, json};

use crate::bootstrap::ConfidenceInterval;
use crate::number::{aligned, minus, probability, short, signed};

/// Cell of a table.
#[derive(Clone, Debug)]
pub(super) enum Cell {
    /// Words, or a number with words. `Backticks` set code.
    Text(String),
    /// Several lines of words.
    Lines(Vec<String>),
    /// A number; a dash if it is not finite.
    Number(f64),
    /// An estimate with its interval; a dash for `None`.
    Interval(Option<ConfidenceInterval>),
    /// A difference with its interval, all with their signs; a dash for `None`.
    Difference(Option<ConfidenceInterval>),
    /// A p value; a dash if it is not finite.
    Probability(f64),
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::Text(text.into())
    }
}

impl Cell {
    /// A name that the program gives, set as code.
    pub(super) fn code(name: &str) -> Self {
        Self::Text(format!("`{name}`"))
    }

    /// True for words, which are aligned to the left.
    fn is_words(&self) -> bool {
        match self {
            Self::Text(text) => !text.starts_with(|c: char| c.is_ascii_digit() || "+-–−".contains(c)),
            Self::Lines(_) => true,
            _ => false,
        }
    }

    fn is_interval(&self) -> bool {
        matches!(self, Self::Interval(_) | Self::Difference(_))
    }

    /// Text of the value, with three significant digits.
    fn value(&self) -> Cow<'_, str> {
        let dash = "–".to_owned();
        match self {
            Self::Text(text) => return Cow::Borrowed(text),
            Self::Lines(lines) => lines.join("; "),
            Self::Number(value) => short(*value),
            Self::Interval(found) => found.map_or(dash, |found| short(found.value)),
            Self::Difference(found) => found.map_or(dash, |found| signed(found.value)),
            Self::Probability(p) => probability(*p),
        }
        .into()
    }

    /// Text of the interval; empty without one, and for a single value.
    fn ends(&self) -> String {
        let ends = |found: &ConfidenceInterval, text: fn(f64) -> String| {
            let is_point = found.low == found.high;
            if is_point { String::new() } else { format!("[{}, {}]", text(found.low), text(found.high)) }
        };
        match self {
            Self::Interval(Some(found)) => ends(found, short),
            Self::Difference(Some(found)) => ends(found, signed),
            _ => String::new(),
        }
    }

    /// Numbers in full, for programs.
    fn json(&self) -> Value {
        match self {
            Self::Text(text) => json!(text.replace('`', "")),
            Self::Lines(lines) => json!(lines),
            Self::Number(value) | Self::Probability(value) => json!(value),
            Self::Interval(found) | Self::Difference(found) => {
                json!(found.map(|found| json!({"value": found.value, "low": found.low, "high": found.high})))
            }
        }
    }
}

/// A table whose first column names the rows.
#[derive(Clone, Debug)]
pub(super) struct Table {
    /// Name of its files.
    pub(super) name: &'static str,
    /// Caption. `Backticks` set code.
    pub(super) caption: String,
    pub(super) heads: Vec<String>,
    pub(super) rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(super) fn new<H: Into<String>, R: Into<Vec<Cell>>>(
        name: &'static str,
        caption: impl Into<String>,
        heads: impl IntoIterator<Item = H>,
        rows: impl IntoIterator<Item = R>,
    ) -> Self {
        let heads = heads.into_iter().map(Into::into).collect();
        Self { name, caption: caption.into(), heads, rows: rows.into_iter().map(Into::into).collect() }
    }

    fn column(&self, column: usize) -> impl Iterator<Item = &Cell> {
        self.rows.iter().filter_map(move |row| row.get(column))
    }

    /// True if the column's cells are intervals, which take two columns.
    fn has_intervals(&self, column: usize) -> bool {
        self.column(column).any(Cell::is_interval)
    }

    /// True if the column is aligned to the left, as its first cell is.
    fn is_words(&self, column: usize) -> bool {
        column == 0 || self.column(column).next().is_some_and(Cell::is_words)
    }

    /// Numbers of rows whose numbers are aligned: those of one name in a row, or all if no name
    /// comes twice in a row.
    fn blocks(&self) -> Vec<usize> {
        let name = |row: &Vec<Cell>| row.first().map(|cell| cell.value().into_owned());
        let blocks: Vec<usize> = self.rows.chunk_by(|a, b| name(a) == name(b)).map(<[_]>::len).collect();
        if blocks.iter().any(|rows| *rows > 1) { blocks } else { vec![self.rows.len()] }
    }

    pub(super) fn html(&self) -> Markup {
        let values = |column: usize| -> Vec<String> {
            let texts: Vec<String> = self.column(column).map(|cell| cell.value().into_owned()).collect();
            let numbers = self.column(column).all(|cell| !matches!(cell, Cell::Text(_) | Cell::Lines(_)));
            let mut rest = &texts[..];
            let aligned = self.blocks().into_iter().flat_map(|rows| {
                let (block, after) = rest.split_at(rows);
                rest = after;
                aligned(block)
            });
            if numbers { aligned.collect() } else { texts.clone() }
        };
        let columns: Vec<Vec<String>> = (0..self.heads.len()).map(values).collect();
        html! {
            div.wide {
                table {
                    caption { (code(&self.caption)) }
                    thead {
                        tr {
                            @for (column, head) in self.heads.iter().enumerate() {
                                @let span = self.has_intervals(column).then_some("2");
                                @let class = if span.is_some() { Some("both") } else { self.is_words(column).then_some("words") };
                                th scope="col" class=[class] colspan=[span] { (name(head)) }
                            }
                        }
                    }
                    tbody {
                        @for (row, cells) in self.rows.iter().enumerate() {
                            tr {
                                @for (column, cell) in cells.iter().enumerate() {
                                    @let text = &columns[column][row];
                                    @match cell {
                                        _ if column == 0 => { th scope="row" { (name(text)) } }
                                        Cell::Lines(lines) => {
                                            td.words { @for line in lines { (line) br; } }
                                        }
                                        cell if self.has_intervals(column) => {
                                            td { (text) }
                                            td.ends { (minus(&cell.ends())) }
                                        }
                                        cell => { td class=[cell.is_words().then_some("words")] { (code(&minus(text))) } }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// Numbers in full; an interval has three columns.
    pub(super) fn csv(&self) -> String {
        let quoted = |text: &str| {
            let plain = text.replace('`', "");
            if plain.contains([',', '"', '\n']) { format!("\"{}\"", plain.replace('"', "\"\"")) } else { plain }
        };
        let full = |value: f64| if value.is_finite() { value.to_string() } else { String::new() };
        let heads = self.heads.iter().enumerate().flat_map(|(column, head)| {
            let ends = self.has_intervals(column).then(|| [format!("{head}, low"), format!("{head}, high")]);
            std::iter::once(head.clone()).chain(ends.into_iter().flatten())
        });
        let mut text = heads.map(|head| quoted(&head)).collect::<Vec<_>>().join(",") + "\n";
        for row in &self.rows {
            let cells = row.iter().enumerate().flat_map(|(column, cell)| match cell {
                Cell::Interval(Some(found)) | Cell::Difference(Some(found)) => {
                    vec![full(found.value), full(found.low), full(found.high)]
                }
                Cell::Interval(None) | Cell::Difference(None) => vec![String::new(); 3],
                Cell::Number(value) | Cell::Probability(value) => vec![full(*value)],
                // A row without a number in a column of intervals.
                cell if self.has_intervals(column) => vec![quoted(&cell.value()), String::new(), String::new()],
                cell => vec![quoted(&cell.value())],
            });
            text += &(cells.collect::<Vec<_>>().join(",") + "\n");
        }
        text
    }

    /// The table for a paper: `\usepackage{booktabs}`.
    pub(super) fn latex(&self) -> String {
        let kind = |column: usize| match (self.is_words(column), self.has_intervals(column)) {
            (_, true) => "r@{ }l",
            (true, _) => "l",
            _ => "r",
        };
        let kinds: String = (0..self.heads.len()).map(kind).collect();
        let head = |(column, head): (usize, &String)| {
            let head = latex(head);
            if self.has_intervals(column) { format!("\\multicolumn{{2}}{{c}}{{{head}}}") } else { head }
        };
        let heads: Vec<String> = self.heads.iter().enumerate().map(head).collect();
        let mut text = format!(
            "% {}\n% \\usepackage{{booktabs}}\n\\begin{{tabular}}{{{kinds}}}\n\\toprule\n{} \\\\\n\\midrule\n",
            self.caption.replace(['\n', '`'], " "),
            heads.join(" & ")
        );
        for row in &self.rows {
            let cells = row.iter().enumerate().map(|(column, cell)| {
                let value = latex(&minus(&cell.value()));
                if self.has_intervals(column) { format!("{value} & {}", latex(&minus(&cell.ends()))) } else { value }
            });
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{} \\\\", cells.collect::<Vec<_>>().join(" & "));
        }
        text + "\\bottomrule\n\\end{tabular}\n"
    }

    pub(super) fn json(&self) -> Value {
        let row = |row: &Vec<Cell>| -> Map<String, Value> {
            self.heads.iter().zip(row).map(|(head, cell)| (head.clone(), cell.json())).collect()
        };
        json!({"caption": self.caption.replace('`', ""), "rows": self.rows.iter().map(row).collect::<Vec<_>>()})
    }
}

/// Text in which what stands between backticks is set as code.
pub(super) fn code(text: &str) -> Markup {
    let parts: Vec<&str> = text.split('`').collect();
    // A single backtick is a letter.
    if parts.len().is_multiple_of(2) {
        return html! { (text) };
    }
    html! {
        @for (at, part) in parts.into_iter().enumerate() {
            @if at % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// A name that may be broken behind its commas, and nowhere else.
fn name(text: &str) -> Markup {
    let mut parts = text.split_inclusive(", ").flat_map(|part| part.split_inclusive(','));
    html! {
        @if text.contains(',') && !text.contains('`') {
            @for part in parts.by_ref() { span { (part) } wbr; }
        } @else { (code(text)) }
    }
}

/// Text with the letters that LaTeX reads as commands, and those that its fonts lack, as commands.
fn latex(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut is_code = false;
    for letter in text.chars() {
        match letter {
            '`' => {
                is_code = !is_code;
                out += if is_code { "\\texttt{" } else { "}" };
            }
            '_' | '%' | '&' | '#' | '$' | '{' | '}' => {
                out.push('\\');
                out.push(letter);
            }
            '\\' => out += "\\textbackslash{}",
            '~' => out += "\\textasciitilde{}",
            '^' => out += "\\textasciicircum{}",
            '<' => out += "$<$",
            '>' => out += "$>$",
            '|' => out += "$|$",
            '+' => out += "$+$",
            '−' => out += "$-$",
            '–' => out += "--",
            '±' => out += "$\\pm$",
            '→' => out += "$\\to$",
            '·' => out += "$\\cdot$",
            '≥' => out += "$\\geq$",
            '‖' => out += "$\\Vert$",
            '∇' => out += "$\\nabla$",
            'Δ' => out += "$\\Delta$",
            '∞' => out += "$\\infty$",
            'α' => out += "$\\alpha$",
            'γ' => out += "$\\gamma$",
            'ρ' => out += "$\\rho$",
            'τ' => out += "$\\tau$",
            '²' => out += "$^2$",
            other => out.push(other),
        }
    }
    if is_code { out + "}" } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let found = |value: f64| Some(ConfidenceInterval { value, low: value - 1.0, high: value + 2.5 });
        let row = |name: &str, value: f64, p: f64| -> Vec<Cell> {
            vec![name.into(), Cell::Difference(found(value)), Cell::Probability(p), "no difference".into()]
        };
        Table::new(
            "effects",
            "Effect on `eval/return_mean`, 95 % intervals",
            ["variant", "difference", "p", "conclusion"],
            [row("a_b=1,c=2", 12.345, 0.0079), row("c=\"3\"", -4.0, 1.0)],
        )
    }

    #[test]
    fn numbers_are_full_for_programs() {
        let expected = "variant,difference,\"difference, low\",\"difference, high\",p,conclusion\n\
                        \"a_b=1,c=2\",12.345,11.345,14.845,0.0079,no difference\n\
                        \"c=\"\"3\"\"\",-4,-5,-1.5,1,no difference\n";
        assert_eq!(table().csv(), expected);
        let json = table().json();
        assert_eq!(json["rows"][0]["difference"], json!({"value": 12.345, "low": 11.345, "high": 14.845}));
        assert_eq!(json["caption"], "Effect on eval/return_mean, 95 % intervals");
    }

    #[test]
    fn a_paper_s_table_has_rules_and_three_digits() {
        let expected = "% Effect on  eval/return_mean , 95 % intervals\n% \\usepackage{booktabs}\n\
                        \\begin{tabular}{lr@{ }lrl}\n\\toprule\n\
                        variant & \\multicolumn{2}{c}{difference} & p & conclusion \\\\\n\\midrule\n\
                        a\\_b=1,c=2 & $+$12.3 & [$+$11.3, $+$14.8] & 0.0079 & no difference \\\\\n\
                        c=\"3\" & $-$4.00 & [$-$5.00, $-$1.50] & 1.00 & no difference \\\\\n\
                        \\bottomrule\n\\end{tabular}\n";
        assert_eq!(table().latex(), expected);
        assert_eq!(latex("`a_b` ‖∇Q‖ 5%"), "\\texttt{a\\_b} $\\Vert$$\\nabla$Q$\\Vert$ 5\\%");
    }

    #[test]
    fn names_are_broken_behind_commas_alone() {
        let page = table().html().into_string();
        assert!(page.contains("<th scope=\"row\"><span>a_b=1,</span><wbr><span>c=2</span><wbr></th>"), "{page}");
        assert!(page.contains("<caption>Effect on <code>eval/return_mean</code>, 95 % intervals</caption>"));
        assert!(page.contains("<th scope=\"col\" class=\"both\" colspan=\"2\">difference</th>"), "{page}");
        assert!(page.contains("<td>+12.3\u{2007}</td><td class=\"ends\">[+11.3, +14.8]</td>"), "{page}");
        assert!(page.contains("<td>−\u{2007}4.00</td><td class=\"ends\">[−5.00, −1.50]</td>"), "{page}");
        assert_eq!(code("a `b` c ` d").into_string(), "a `b` c ` d");
    }
}
