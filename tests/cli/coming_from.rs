//! docs/coming_from.md: every block runs, in order, in an empty folder.

use std::path::Path;
use std::process::Command;

use crate::runs::python;
use crate::support::{finish, root};

/// The page's blocks: language and text.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let text: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push((language.to_owned(), text.join("\n") + "\n"));
        }
    }
    blocks
}

#[test]
fn every_block_runs_in_order() {
    let page = std::fs::read_to_string(root().join("docs/coming_from.md")).expect("the page");
    let folder = tempfile::tempdir().expect("a folder");
    let program = Path::new(env!("CARGO_BIN_EXE_liprl")).parent().expect("a folder");
    let interpreter = python();
    let python_folder = Path::new(&interpreter).parent().expect("a folder");
    let path = format!("{}:{}:/usr/bin:/bin", program.display(), python_folder.display());
    let mut ran = 0;
    for (language, text) in blocks(&page) {
        let mut command = match language.as_str() {
            "yaml" => {
                let name = text.lines().next().and_then(|line| line.strip_prefix("# ")).expect("a name");
                std::fs::write(folder.path().join(name), &text).expect("written");
                continue;
            }
            "python" => {
                let mut command = Command::new(&interpreter);
                command.args(["-c", &text]);
                command
            }
            "sh" => {
                let mut command = Command::new("/bin/sh");
                command.args(["-ec", &text]);
                command
            }
            other => panic!("a block of {other}"),
        };
        command.current_dir(folder.path()).env("PATH", &path).env_remove("VIRTUAL_ENV");
        command.env("MINARI_DATASETS_PATH", folder.path()).env("HOME", folder.path());
        let (code, stdout, stderr) = finish(command);
        assert_eq!(code, 0, "{text}\n{stdout}\n{stderr}");
        ran += 1;
    }
    assert_eq!(ran, 6);
    let gif = std::fs::read(folder.path().join("imitate.gif"));
    // A machine without EGL still films the pendulum, which is drawn in the plane.
    assert!(gif.expect("a video").starts_with(b"GIF89a"));
}
