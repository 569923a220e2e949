//! `cargo xtask reproduce`: the sweeps behind a page of results, their logs, and the page's tables.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{cargo, show};
use crate::setup;

/// The pages, by name.
const PAGES: [(&str, &str); 6] = [
    ("liayn", "docs/results/liayn.md"),
    ("mbrl", "docs/results/mbrl.md"),
    ("feedback", "docs/results/feedback.md"),
    ("lipschitz", "docs/results/lipschitz.md"),
    ("precision", "docs/results/precision.md"),
    ("options", "docs/results/options.md"),
];

/// Names for the help.
pub(crate) fn names() -> String {
    PAGES.map(|(name, _)| name).join("|")
}

/// Makes the tables of every page anew from the committed logs.
pub(crate) fn tables(root: &Path) -> Result<()> {
    PAGES.iter().try_for_each(|(_, page)| show(&mut evidence(root, &["fill", page])))
}

/// Runs the sweeps of a page, or one of them, keeps their logs and makes the page's tables. Started
/// again it goes on with what is missing.
pub(crate) fn run(root: &Path, name: &str, only: Option<&str>) -> Result<()> {
    let Some((_, page)) = PAGES.iter().find(|(known, _)| *known == name) else {
        bail!("there is no page `{name}` to reproduce: {}", names());
    };
    setup::run(root, setup::Options { cuda: false, test: false, peers: false })?;
    let list = evidence(root, &["list", page]).output()?;
    if !list.status.success() {
        bail!("{}", String::from_utf8_lossy(&list.stderr));
    }
    let list = String::from_utf8(list.stdout)?;
    let sources: Vec<Source> = list.lines().map(Source::of).collect::<Result<_>>()?;
    let chosen: Vec<&Source> = sources.iter().filter(|source| only.is_none_or(|only| source.name == only)).collect();
    if chosen.is_empty() {
        let known: Vec<&str> = sources.iter().map(|source| source.name).collect();
        bail!("there is no `{}` on that page: it has {}", only.unwrap_or_default(), known.join(", "));
    }
    let hours: f64 = chosen.iter().map(|source| source.hours).sum();
    println!("{} sweeps, about {hours:.1} hours of one core when first run", chosen.len());
    for source in chosen {
        println!("\n{}: {}, about {} hours of one core", source.name, source.sweep, source.hours);
        let out = format!("runs/reproduce/{name}/{}", source.name);
        show(&mut cargo(root, &["run", "--release", "--quiet", "--", "sweep", source.sweep, "--out", &out]))?;
        for run in finished(&root.join(&out)) {
            source.disturb(root, &run)?;
        }
        show(&mut evidence(root, &["keep", page, source.name, &out]))?;
    }
    show(&mut evidence(root, &["fill", page]))
}

fn evidence(root: &Path, words: &[&str]) -> Command {
    let mut command =
        cargo(root, &["run", "--release", "--quiet", "--package", "liprl-analysis", "--bin", "evidence", "--"]);
    command.args(words);
    command
}

/// Run folders below `folder` that are finished.
fn finished(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut runs = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()) {
        if path.join("summary.json").exists() { runs.push(path) } else { runs.extend(finished(&path)) }
    }
    runs.sort();
    runs
}

/// A line of `evidence list`.
struct Source<'a> {
    name: &'a str,
    sweep: &'a str,
    hours: f64,
    episodes: &'a str,
    /// Perturbations of the finished policies.
    disturb: Vec<&'a str>,
}

impl<'a> Source<'a> {
    fn of(line: &'a str) -> Result<Self> {
        let mut parts = line.split('\t');
        let (Some(name), Some(sweep), Some(hours), Some(episodes), Some(disturb)) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            bail!("`{line}` is not a source");
        };
        let hours = hours.parse().with_context(|| format!("the hours of {name}"))?;
        Ok(Self { name, sweep, hours, episodes, disturb: disturb.split_whitespace().collect() })
    }

    /// Evaluates a finished run's policy under the perturbations, unless that was done before.
    fn disturb(&self, root: &Path, run: &Path) -> Result<()> {
        let file = run.join("disturbed.json");
        if self.disturb.is_empty() || file.exists() {
            return Ok(());
        }
        let mut eval = cargo(root, &["run", "--release", "--quiet", "--", "eval"]);
        eval.arg(run).args(["--json", "--episodes", self.episodes]);
        self.disturb.iter().for_each(|one| {
            eval.args(["--disturb", one]);
        });
        let printed = eval.output()?;
        if !printed.status.success() {
            bail!("{}: {}", run.display(), String::from_utf8_lossy(&printed.stderr));
        }
        Ok(std::fs::write(file, printed.stdout)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_read_from_its_line() {
        let source = Source::of("penalty\tconfigs/a.yaml\t0.7\t50\tpgd:0.1 bias:0.2").unwrap();
        assert_eq!((source.name, source.sweep, source.hours), ("penalty", "configs/a.yaml", 0.7));
        assert_eq!((source.episodes, source.disturb), ("50", vec!["pgd:0.1", "bias:0.2"]));
        assert!(Source::of("penalty").is_err());
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        PAGES.iter().for_each(|(_, page)| assert!(root.join(page).with_extension("yaml").exists()));
    }
}
