//! `cargo xtask torture`: kills, damaged files and faults in numbers, and the page that tells them.

use std::path::Path;

use anyhow::{Context, Result, bail};
use fs_err as fs;

use crate::process::{cargo, show_and_keep, words};
use crate::setup;

/// The page with the table.
const PAGE: &str = "docs/results/reliability.md";
const BEGIN: &str = "<!-- torture: begin -->\n";
const END: &str = "<!-- torture: end -->";

/// Runs the long test and writes its table.
pub(crate) fn run(root: &Path) -> Result<()> {
    setup::run(root, setup::Options { cuda: false, test: true, peers: false })?;
    let mut test = cargo(root, &["test", "--release", "--test", "torture", "--", "--ignored", "--nocapture"]);
    let (good, lines) = show_and_keep(&mut test)?;
    let rows = table(&lines);
    if rows.is_empty() {
        bail!("{} printed no counts", words(&test));
    }
    let page = root.join(PAGE);
    fs::write(&page, with_table(&fs::read_to_string(&page)?, &rows).context("the page has lost its markers")?)?;
    println!("{PAGE} is written");
    if good { Ok(()) } else { bail!("{} failed; the failures are above", words(&test)) }
}

/// The table of the counts that the test printed.
fn table(lines: &[String]) -> String {
    let rows: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("torture ")).collect();
    if rows.is_empty() {
        return String::new();
    }
    format!("| tried | cases | failures |\n| --- | --- | --- |\n{}\n", rows.join("\n"))
}

/// The page with this table between its markers; `None` if they are missing.
fn with_table(page: &str, table: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{table}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_become_the_table_between_the_markers() {
        let lines = ["running 1 test", "torture | kills | 12 | 0 |", "torture | faults | 3 | 1 |"].map(str::to_owned);
        let rows = table(&lines);
        assert_eq!(rows, "| tried | cases | failures |\n| --- | --- | --- |\n| kills | 12 | 0 |\n| faults | 3 | 1 |\n");
        let page = format!("head\n{BEGIN}old{END}\ntail\n");
        assert_eq!(with_table(&page, "new\n").unwrap(), format!("head\n{BEGIN}\nnew\n\n{END}\ntail\n"));
        assert_eq!(with_table("head", "new"), None);
        assert_eq!(table(&lines[..1]), "");
    }
}
