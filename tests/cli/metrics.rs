//! `liprl metrics`, and the page of metrics made from the modules' tables.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::runs::{SMALL, small_agent, small_run};
use crate::support::{finish, liprl, root, text};

/// The `.rs` files below a folder, in order.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> = entries
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
        .collect();
    files.sort();
    files
}

/// A section for each module with a table of metrics.
fn page() -> String {
    let mut page = "# Metrics\n\nThe names in a run's log, made from the tables of the modules that log them. \
                    `<where>` is a set of\nstates, `<statistic>` one of `mean`, `max`, `q05`, `q50`, `q95`. `liprl \
                    metrics RUN` lists those of a run.\n"
        .to_owned();
    for folder in ["src/train", "agents/src"] {
        for file in sources(&root().join(folder)) {
            let code = std::fs::read_to_string(&file).expect("code");
            let comments = code.lines().filter_map(|line| line.strip_prefix("//! "));
            let table: Vec<&str> = comments
                .skip_while(|line| *line != "| metric | meaning |")
                .take_while(|line| line.starts_with('|'))
                .collect();
            if !table.is_empty() {
                let name = file.strip_prefix(root()).expect("below the root").display();
                write!(page, "\n## {name}\n\n{}\n", table.join("\n")).expect("a string");
            }
        }
    }
    page
}

#[test]
fn the_committed_page_has_the_modules_tables() {
    let made = page();
    let committed = std::fs::read_to_string(root().join("docs/metrics.md")).unwrap_or_default();
    if made != committed {
        let there = Path::new(env!("CARGO_TARGET_TMPDIR")).join("metrics.md");
        std::fs::write(&there, made).expect("written");
        panic!("docs/metrics.md is out of date: cp {} docs/metrics.md", there.display());
    }
    let (code, listed, _) = finish(liprl(["metrics"]));
    assert_eq!((code, listed), (0, committed));
}

#[test]
fn a_run_s_metrics_have_their_last_values() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = small_run(folder.path(), &format!("{SMALL}{}", small_agent("sac")), "400");
    let (code, listed, stderr) = finish(liprl(["metrics", text(&run)]));
    assert_eq!(code, 0, "{stderr}");
    let row = listed.lines().find(|line| line.starts_with("eval/return_mean ")).expect("a row");
    let cells: Vec<&str> = row.split_whitespace().collect();
    let summary = crate::runs::summary(&run);
    let best = summary["best_return"].as_f64().expect("the only evaluation's return");
    let last: f64 = cells[2].parse().expect("a number");
    assert!(cells[1] == "400" && (last - best).abs() < 1e-5 * best.abs(), "{row} {summary}");
}
