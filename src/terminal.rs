//! Standard output, standard error and numbers as commands print them.

use std::fmt::{Arguments, Display};
use std::io::{ErrorKind, Write};
use std::ops::Range;
use std::process::ExitCode;

/// Writes a line to standard error. A failure, on a full disk perhaps, must not end the work.
pub(crate) fn tell(line: Arguments<'_>) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Writes a warning to standard error.
pub(crate) fn warn(problem: impl Display) {
    tell(format_args!("warning: {problem}"));
}

/// Prints a command's result. A reader that has had enough (`| head`) is not a fault.
pub(crate) fn print(text: &str) -> anyhow::Result<ExitCode> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Lays out rows of cells under a header, columns two spaces apart; columns in `right` are flush
/// right.
pub(crate) fn table<const N: usize>(header: [&str; N], right: Range<usize>, rows: Vec<[String; N]>) -> String {
    dynamic_table(header.map(str::to_owned).to_vec(), right, rows.into_iter().map(Vec::from).collect())
}

/// Does the same for a number of columns known only at run time.
pub(crate) fn dynamic_table(header: Vec<String>, right: Range<usize>, mut rows: Vec<Vec<String>>) -> String {
    rows.insert(0, header);
    let width = |i: usize| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(i, (cell, &width))| {
            if right.contains(&i) { format!("{cell:>width$}") } else { format!("{cell:width$}") }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Six digits.
pub(crate) fn six_digits(x: f64) -> String {
    rounded(x, f64::round)
}

/// Six digits, not above the number.
pub(crate) fn rounded_down(x: f64) -> String {
    rounded(x, f64::floor)
}

/// Six digits, not below the number.
pub(crate) fn rounded_up(x: f64) -> String {
    rounded(x, f64::ceil)
}

fn rounded(x: f64, to_whole: fn(f64) -> f64) -> String {
    if x == 0.0 {
        return "0".to_owned();
    }
    let digits = 5 - x.abs().log10().floor() as i32;
    let scale = 10f64.powi(digits);
    let value = to_whole(x * scale) / scale;
    let places = digits.clamp(0, 12) as usize;
    if (1e-6..1e9).contains(&x.abs()) { format!("{value:.places$}") } else { format!("{value:.5e}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_cells() {
        let rows = vec![["α = 1".to_owned(), "10.5".to_owned(), "a".to_owned()], [(); 3].map(|()| "-".to_owned())];
        assert_eq!(table(["x", "ε", "word"], 1..2, rows), "x         ε  word\nα = 1  10.5  a\n-         -  -\n");
    }

    #[test]
    fn numbers_are_rounded_to_the_safe_side() {
        assert_eq!((rounded_up(1.234_567_1), rounded_down(1.234_567_9)), ("1.23457".into(), "1.23456".into()));
        assert_eq!((rounded_up(1_234_567.1), rounded_down(0.001_234_567_9)), ("1234570".into(), "0.00123456".into()));
        assert_eq!(rounded_up(0.0), "0");
        for x in [3.3e-9, 7.7, 123.456_789, 9.999_999_9, 2.0, 4.4e12] {
            assert!(rounded_up(x).parse::<f64>().unwrap() >= x && rounded_down(x).parse::<f64>().unwrap() <= x, "{x}");
        }
    }
}
