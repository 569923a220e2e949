//! Checks of the pages against the repository: links, named files, dependencies.

use fs_err as fs;

use crate::text::outside_fences;
use crate::{root, sources};

#[test]
fn links_between_pages_lead_to_files() {
    let mut broken = Vec::new();
    for path in sources().into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "md")) {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        for (number, line) in outside_fences(&text) {
            for target in line.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
                let here = root().join(&path).parent().unwrap().join(target);
                if !target.is_empty() && !target.contains("://") && !here.exists() {
                    broken.push(format!("{}:{number}: {target} does not exist", path.display()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn files_that_pages_name_exist() {
    let mut missing = Vec::new();
    for path in sources().into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "md")) {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        for (number, line) in outside_fences(&text) {
            for named in line.split('`').skip(1).step_by(2).filter(|code| is_path(code)) {
                let place = named.split("::").next().unwrap_or(named);
                if !root().join(place).exists() {
                    missing.push(format!("{}:{number}: `{place}` does not exist", path.display()));
                }
            }
        }
    }
    assert!(missing.is_empty(), "\n{}", missing.join("\n"));
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let page = fs::read_to_string(root().join("docs/dependencies.md")).unwrap();
    let named: Vec<&str> = page.split(|c: char| !c.is_alphanumeric() && !"-_".contains(c)).collect();
    let listed = manifest.lines().skip_while(|line| *line != "[workspace.dependencies]").skip(1);
    let listed = listed.take_while(|line| !line.starts_with('[')).filter(|line| !line.contains("path = "));
    let names: Vec<&str> = listed.filter_map(|line| line.split_once(" = ")).map(|(name, _)| name).collect();
    assert!(names.len() > 20, "Cargo.toml: the workspace's dependencies were not found");
    let missing: Vec<&&str> = names.iter().filter(|name| !named.contains(name)).collect();
    assert!(missing.is_empty(), "docs/dependencies.md says nothing of {missing:?}: add a row");
}

/// True for a path from the repository's root into one of its folders; patterns, and what runs write, are not.
fn is_path(code: &str) -> bool {
    let first = code.split('/').next().unwrap_or("");
    let plain = !code.contains([' ', '*', '<', '{', '…', '$', '~']);
    let ours = !first.is_empty() && first != "runs" && code.contains('/') && root().join(first).is_dir();
    plain && ours
}
