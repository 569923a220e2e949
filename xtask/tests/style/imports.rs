//! No module of a crate imports, directly or through others, one that imports it.
//!
//! Cargo keeps the crates apart; this keeps the modules of each. A name imported from a crate's
//! root counts as one of the module that its `lib.rs` takes it from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use fs_err as fs;

use crate::{root, sources};

const CRATES: &[&str] = &["agents/", "analysis/", "control/", "envs/", "logbook/", "nets/", "numerics/", "xtask/", ""];

/// The modules that each module imports.
type Imports = BTreeMap<String, BTreeSet<String>>;

#[test]
fn modules_import_one_way() {
    let mut circles = Vec::new();
    for name in CRATES {
        let src = root().join(name).join("src");
        let imports = imports(&src);
        assert!(imports.len() > 3, "{}: its modules were not found", src.display());
        for (module, direct) in &imports {
            let (mut reached, mut waiting) = (BTreeSet::new(), direct.iter().collect::<Vec<_>>());
            while let Some(next) = waiting.pop() {
                if reached.insert(next) {
                    waiting.extend(imports.get(next).into_iter().flatten());
                }
            }
            if reached.contains(module) {
                circles.push(format!("{name}src/: `{module}` imports {direct:?}, and is imported by one of them"));
            }
        }
    }
    assert!(circles.is_empty(), "\n{}", circles.join("\n"));
}

fn imports(src: &Path) -> Imports {
    let entry = ["lib.rs", "main.rs"].map(|name| src.join(name)).into_iter().find(|path| path.exists());
    let entry = fs::read_to_string(entry.unwrap()).unwrap();
    let mut module_of: BTreeMap<String, String> = BTreeMap::new();
    for line in entry.lines().filter(|line| line.ends_with(';')) {
        if let Some((_, module)) = line.trim_end_matches(';').split_once("mod ") {
            module_of.insert(module.to_owned(), module.to_owned());
        }
    }
    for item in entry.split("use ").skip(1) {
        let item = item.split(';').next().unwrap_or("");
        if let Some((module, names)) = item.split_once("::")
            && module_of.contains_key(module)
        {
            for name in words(names) {
                module_of.entry(name.to_owned()).or_insert_with(|| module.to_owned());
            }
        }
    }
    let mut imports = Imports::new();
    for path in sources().into_iter().map(|path| root().join(path)).filter(|path| path.starts_with(src)) {
        let inside = path.strip_prefix(src).unwrap().with_extension("");
        let own = inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
        let ends_rs = path.extension().is_some_and(|ending| ending == "rs");
        if !ends_rs || !module_of.contains_key(&own) || inside.to_string_lossy().contains("test") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or("");
        let code: String = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let used = imports.entry(own.clone()).or_default();
        for rest in code.split("crate::").skip(1) {
            let names = match rest.strip_prefix('{') {
                Some(list) => first_words(list),
                None => words(rest).into_iter().take(1).collect(),
            };
            used.extend(names.iter().filter_map(|name| module_of.get(*name)).filter(|module| **module != own).cloned());
        }
    }
    imports
}

/// The first word of each item of a list in braces, whose opening brace is gone.
fn first_words(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut items) = (0, 0, Vec::new());
    for (at, character) in list.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => {
                items.push(&list[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    items.into_iter().filter_map(|item| words(item).into_iter().next()).collect()
}

fn words(text: &str) -> Vec<&str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).collect()
}
