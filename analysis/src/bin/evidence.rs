//! Makes the tables of a page of results from its logs: `evidence fill PAGE.md`; or takes the logs of
//! finished runs over first: `evidence keep PAGE.md NAME RUNS`; or lists its sweeps: `evidence list
//! PAGE.md`. It runs in the repository's root, for `cargo xtask reproduce`.

use std::path::Path;
use std::process::ExitCode;

use liprl_analysis::AnalysisError;
use liprl_analysis::evidence::{Evidence, fill, keep};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["fill", page] => write(Path::new(page)),
        ["list", page] => list(Path::new(page)),
        ["keep", page, name, runs] => take(Path::new(page), name, Path::new(runs)),
        _ => Err(AnalysisError::Request("evidence fill PAGE.md, keep PAGE.md NAME RUNS, or list PAGE.md".to_owned())),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A line for each source: name, sweep file, hours, episodes under perturbations, and those with
/// spaces between.
fn list(page: &Path) -> Result<(), AnalysisError> {
    let evidence = Evidence::read(&page.with_extension("yaml"))?;
    for (name, of) in &evidence.sources {
        println!("{name}\t{}\t{}\t{}\t{}", of.sweep, of.hours, of.episodes, of.disturb.join(" "));
    }
    Ok(())
}

fn write(page: &Path) -> Result<(), AnalysisError> {
    let evidence = Evidence::read(&page.with_extension("yaml"))?;
    let results = page.parent().unwrap_or(Path::new(""));
    let text = std::fs::read_to_string(page)?;
    std::fs::write(page, fill(&text, results, &evidence)?)?;
    println!("{}: {} claims, {} tables", page.display(), evidence.claims.len(), evidence.tables.len());
    Ok(())
}

fn take(page: &Path, name: &str, runs: &Path) -> Result<(), AnalysisError> {
    let evidence = Evidence::read(&page.with_extension("yaml"))?;
    let unknown = || AnalysisError::Request(format!("{}: there is no source `{name}`", page.display()));
    let source = evidence.sources.get(name).ok_or_else(unknown)?;
    let root = std::env::current_dir()?;
    let kept = keep(&root, runs, page.parent().unwrap_or(Path::new("")), source)?;
    println!("{name}: {kept} runs kept");
    Ok(())
}
