//! Elements that the sections share: tables, figures, and cells with intervals.

use maud::{Markup, Render, html};

use super::super::wording::with_ends;
use crate::bootstrap::ConfidenceInterval;
use crate::figure::Figure;

/// Cell of a table. Numbers are aligned to the right, words to the left.
pub(super) struct Cell {
    content: Markup,
    words: bool,
}

impl Cell {
    /// A cell of words.
    pub(super) fn words(content: Markup) -> Self {
        Self { content, words: true }
    }

    /// An estimate with its interval; a dash for `None`.
    pub(super) fn interval(found: Option<ConfidenceInterval>) -> Self {
        found.map_or("–".to_owned(), with_ends).into()
    }
}

/// Text: a number if it begins like one, else words.
impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        let number = text.as_ref().starts_with(|c: char| c.is_ascii_digit() || "+-–−".contains(c));
        Self { content: text.as_ref().render(), words: !number }
    }
}

/// A table whose first column names the rows.
pub(super) fn table<H: AsRef<str>, R: AsRef<[Cell]>>(caption: Markup, heads: &[H], rows: &[R]) -> Markup {
    // A head is aligned as its column's first cell.
    let words = |column: usize| rows.first().and_then(|row| row.as_ref().get(column)).is_some_and(|cell| cell.words);
    html! {
        div.wide {
            table {
                caption { (caption) }
                thead {
                    tr {
                        @for (column, head) in heads.iter().enumerate() {
                            th scope="col" class=[words(column).then_some("words")] { (head.as_ref()) }
                        }
                    }
                }
                tbody {
                    @for row in rows {
                        tr {
                            @for (column, cell) in row.as_ref().iter().enumerate() {
                                @if column == 0 { th scope="row" { (cell.content) } }
                                @else { td class=[cell.words.then_some("words")] { (cell.content) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A figure with a note below it.
pub(super) fn figure(figure: &Figure, note: &str) -> Markup {
    html! {
        figure {
            (figure.inline_svg())
            figcaption.quiet { (note) }
        }
    }
}
