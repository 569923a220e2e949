//! The language rules of CONTRIBUTING.md that a program can check, over the comments of .rs files and the prose
//! of .md files.
//!
//! `cargo test --release -p xtask --test style` checks what [`HELD`] lists, and the pages' links. The same with
//! `-- --ignored` checks the whole repository.

// Test code fails by panicking.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod imports;
mod pages;
mod text;

use std::path::{Path, PathBuf};

use fs_err as fs;
use text::{comments, paragraphs, words};

/// Files and folders that keep the rules; a folder stands for all below it.
const HELD: &[&str] = &[
    "CONTRIBUTING.md",
    "README.md",
    "agents",
    "analysis",
    "benches",
    "configs",
    "control",
    "demos",
    "docs",
    "envs",
    "examples",
    "logbook",
    "nets",
    "numerics",
    "runs",
    "src",
    "tests",
    "xtask",
];

/// Exceptions: the beginning of a path and a phrase that may stand there.
const ALLOWED: &[(&str, &str)] = &[];

/// Folders that hold nothing of the repository's own.
const SKIPPED: &[&str] = &["target", ".deps", ".git", "runs"];

/// Columns that no comment and no line of prose exceeds. New text wraps at 100.
const WIDEST: usize = 120;

/// First words that a doc comment does not begin with.
const OPENINGS: &[&[&str]] = &[&["what"], &["whether"], &["how"], &["where"], &["the", "same"]];

/// Phrases of the language rules, besides the glossary's third column. `*` stands for any ending.
const PHRASES: &[(&str, &str)] = &[
    ("is no", "\"is not a\", or \"there is no\""),
    ("are no", "\"are not\", or \"there are no\""),
    ("none where", "\"`None` if\""),
    ("nobody's", "the verb in the passive"),
    ("as if nothing had", "\"exactly\", or the number that is equal"),
];

/// A place and what is wrong there.
#[derive(Debug, PartialEq)]
struct Alarm {
    line: usize,
    problem: String,
}

#[test]
fn held_files_keep_the_language_rules() {
    let held = |path: &Path| HELD.iter().any(|held| path.starts_with(held));
    report(sources().into_iter().filter(|path| held(path)));
}

#[test]
#[ignore = "for work on folders that are not held yet"]
fn the_whole_repository_keeps_the_language_rules() {
    report(sources().into_iter());
}

#[test]
fn held_paths_and_exceptions_exist() {
    for path in HELD.iter().chain(ALLOWED.iter().map(|(path, _)| path)) {
        assert!(root().join(path).exists(), "{path} is listed in xtask/tests/style/main.rs and does not exist");
    }
}

/// Fails with one line for each alarm.
fn report(paths: impl Iterator<Item = PathBuf>) {
    let banned = banned();
    let mut alarms = Vec::new();
    for path in paths {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        for Alarm { line, problem } in check(&path, &text, &banned) {
            alarms.push(format!("{}:{line}: {problem}", path.display()));
        }
    }
    assert!(alarms.is_empty(), "{} places\n{}", alarms.len(), alarms.join("\n"));
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Every .rs and .md file, relative to the root, in order.
fn sources() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            let kind = entry.file_type().unwrap();
            if kind.is_dir() && !SKIPPED.iter().any(|skipped| path == Path::new(skipped)) {
                walk(&path, found);
            } else if kind.is_file() && path.extension().is_some_and(|ending| ending == "rs" || ending == "md") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(Path::new(""), &mut found);
    if root().join("runs/README.md").exists() {
        found.push("runs/README.md".into());
    }
    found.sort();
    found
}

/// Banned phrases with what to write instead: the last column of the glossary in CONTRIBUTING.md, and [`PHRASES`].
fn banned() -> Vec<(String, String)> {
    let page = fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
    let glossary = page.lines().skip_while(|line| *line != "## Glossary").filter(|line| line.starts_with('|')).skip(2);
    let mut banned: Vec<(String, String)> = Vec::new();
    for row in glossary {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [term, _, not] = cells[..] else {
            panic!("CONTRIBUTING.md: a glossary row of {} cells: {row}", cells.len())
        };
        let phrases = not.split(',').map(str::trim).filter(|phrase| !phrase.is_empty());
        banned.extend(phrases.map(|phrase| (phrase.to_owned(), format!("\"{term}\""))));
    }
    assert!(banned.len() > 5, "CONTRIBUTING.md: the glossary's table was not found");
    banned.extend(PHRASES.iter().map(|(phrase, instead)| ((*phrase).to_owned(), (*instead).to_owned())));
    banned
}

/// All alarms of one file.
fn check(path: &Path, text: &str, banned: &[(String, String)]) -> Vec<Alarm> {
    let rust = path.extension().is_some_and(|ending| ending == "rs");
    let blocks = if rust { comments(text) } else { paragraphs(text) };
    let mut alarms = Vec::new();
    for block in &blocks {
        let words = words(block);
        if block.doc {
            alarms.extend(opening(&words));
        }
        // The glossary names what it bans.
        if path != Path::new("CONTRIBUTING.md") {
            for (phrase, instead) in banned {
                let allowed = ALLOWED.iter().any(|(start, allowed)| path.starts_with(start) && allowed == phrase);
                let lines = if allowed { Vec::new() } else { places(&words, phrase) };
                let alarm = |line| Alarm { line, problem: format!("\"{phrase}\": write {instead}") };
                alarms.extend(lines.into_iter().map(alarm));
            }
        }
        let wide = block.lines.iter().filter(|(number, _)| too_wide(text.lines().nth(number - 1).unwrap_or("")));
        alarms.extend(wide.map(|(line, _)| Alarm { line: *line, problem: format!("wider than {WIDEST} columns") }));
    }
    alarms.sort_by_key(|alarm| alarm.line);
    alarms
}

/// Complains of a doc comment's first words.
fn opening(words: &[(usize, String)]) -> Option<Alarm> {
    let begins = |opening: &&&[&str]| {
        opening.iter().enumerate().all(|(at, word)| words.get(at).is_some_and(|(_, found)| found == word))
    };
    let opening = OPENINGS.iter().find(begins)?;
    let problem = format!("a doc comment begins with a noun or a verb, not \"{}\"", opening.join(" "));
    Some(Alarm { line: words[0].0, problem })
}

/// Lines at which `phrase` begins.
fn places(words: &[(usize, String)], phrase: &str) -> Vec<usize> {
    let wanted: Vec<&str> = phrase.split([' ', '(', ')']).filter(|word| !word.is_empty()).collect();
    let same = |found: &str, wanted: &str| match wanted.strip_suffix('*') {
        Some(start) => found.starts_with(start),
        None => found == wanted,
    };
    let here = |at: &usize| wanted.iter().zip(&words[*at..]).all(|(wanted, (_, found))| same(found, wanted));
    let fits = (0..(words.len() + 1).saturating_sub(wanted.len())).filter(here);
    let negated = wanted.last() == Some(&"no");
    fits.filter(|at| !negated || !excused(words, *at, wanted.len())).map(|at| words[at].0).collect()
}

/// True for "there is no …", "is no longer" and the like, which negate no noun.
fn excused(words: &[(usize, String)], at: usize, len: usize) -> bool {
    let before = at.checked_sub(1).map_or("", |before| words[before].1.as_str());
    let after = words.get(at + len).map_or("", |(_, word)| word.as_str());
    before == "there" || after.ends_with("er") || ["", "more", "less", "worse", "different"].contains(&after)
}

/// True if `line` is too wide, apart from tables, links and addresses.
fn too_wide(line: &str) -> bool {
    let text = line.trim_start().trim_start_matches(['/', '!']).trim_start();
    if text.starts_with('|') || line.chars().count() <= WIDEST {
        return false;
    }
    let mut parts = line.split("](");
    let shown = parts.next().unwrap_or("").to_owned();
    let shown = parts.fold(shown, |shown, part| shown + part.split_once(')').map_or("", |(_, rest)| rest));
    let words = shown.split_whitespace().filter(|word| !word.contains("://"));
    words.map(|word| word.chars().count() + 1).sum::<usize>() > WIDEST + 1
}

/// Lines with alarms in a file of this name.
fn alarms(name: &str, text: &str) -> Vec<usize> {
    let banned = [("teacher", "\"expert\""), ("lower (met)", "\"lower (observed)\""), ("falsif*", "\"perturbed\"")];
    let banned: Vec<_> = banned.iter().chain(PHRASES).map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    check(Path::new(name), text, &banned).into_iter().map(|alarm| alarm.line).collect()
}

#[test]
fn openings_are_found_in_doc_comments_alone() {
    let text = "//! How it works.\n\n/// Whether so.\nfn a() {}\n// What a plain comment may say.\n\n/// Whatever.\n/// Where a line begins.\n\
                fn b() {}\n/// Runs.\n///\n/// How long is not an opening.\n///\n/// # Errors\n/// Where it fails.\nfn c() {}\n\
                /// The same one.\n";
    assert_eq!(alarms("a.rs", text), [1, 3, 15, 17]);
}

#[test]
fn phrases_are_found_across_lines_and_not_in_code() {
    let text = "// The\n// teacher, the `teacher`; \"falsified\" it.\nlet teacher = \"// falsified\"; // lower (met)\n\
                let c = '\"'; // is\n// no bound\nlet r = r#\"// teacher \"# ; let l: &'a str; // there is no bound; is no longer so\n\
                /// ```\n/// // teacher\n/// ```\nfn f() {}\n";
    assert_eq!(alarms("a.rs", text), [2, 2, 3, 4]);
}

#[test]
fn pages_are_read_without_code_links_and_sentence_ends() {
    let text = "The [expert](teacher.md), `the teacher`, https://teacher.org.\n\n```sh\nteacher\n```\n\nSo it is. No bound\nis no bound.\n\
                | a teacher |\nNone is: no.\n";
    assert_eq!(alarms("a.md", text), [8, 9]);
}

#[test]
fn width_spares_tables_links_and_code() {
    let long = "long ".repeat(25);
    let text = format!("{long}\n\n| {long} |\n\n```\n{long}\n```\n[a page](https://{})\n", "long".repeat(40));
    assert_eq!(alarms("a.md", &text), [1]);
    let text = format!("// {long}\nlet a = \"{long}\";\n/// | {long} |\n/// ```\n/// {long}\n/// ```\nfn f() {{}}\n");
    assert_eq!(alarms("a.rs", &text), [1]);
}
