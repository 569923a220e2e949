//! Runs other programs, above all cargo.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::parts::{ASSETS, LIBMUJOCO, LIBTORCH_CPU, Part};

/// The user's value of the variable of `part`; `None` if it is the one of `.cargo/config.toml`.
pub(crate) fn own_installation(root: &Path, part: &Part) -> Option<std::ffi::OsString> {
    let default = root.join(".deps").join(part.link).join(part.variable_entry);
    std::env::var_os(part.variable).filter(|value| !value.is_empty() && Path::new(value) != default)
}

/// Cargo in the clone, as a user would start it. Variables that this program has from
/// `.cargo/config.toml` are removed: builds with and without them in the environment would each
/// rebuild libtorch's bindings (minutes) after the other.
pub(crate) fn cargo(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root).args(arguments);
    clear_defaults(root, &mut command);
    command
}

/// Removes the variables that this program has from `.cargo/config.toml`.
pub(crate) fn clear_defaults<'a>(root: &Path, command: &'a mut Command) -> &'a mut Command {
    for part in [LIBTORCH_CPU, LIBMUJOCO, ASSETS] {
        if own_installation(root, &part).is_none() {
            command.env_remove(part.variable);
        }
    }
    command
}

/// Runs a program with its output shown; an error names the whole command.
pub(crate) fn show(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("could not start {}", words(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", words(command));
    }
    Ok(())
}

/// Runs a program and shows its standard output line by line; returns success and the lines.
pub(crate) fn show_and_keep(command: &mut Command) -> Result<(bool, Vec<String>)> {
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("could not start {}", words(command)))?;
    let mut lines = Vec::new();
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines() {
            let line = line?;
            writeln!(std::io::stdout(), "{line}")?;
            lines.push(line);
        }
    }
    Ok((child.wait()?.success(), lines))
}

/// A command as typed in a shell.
pub(crate) fn words(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    format!("`{}`", words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Writes a shell script that stands in for a program. Another process does the writing: a
    /// program that this one starts meanwhile would inherit the open file, and a file open for
    /// writing cannot be run.
    pub(crate) fn script(path: &Path, body: &str) {
        let write = "printf '#!/bin/sh\\n%s\\n' \"$2\" > \"$1\" && chmod +x \"$1\"";
        assert!(Command::new("/bin/sh").args(["-c", write, "sh"]).arg(path).arg(body).status().unwrap().success());
    }

    #[test]
    fn a_failure_names_the_command() {
        let message = show(Command::new("/bin/sh").args(["-c", "exit 3"])).unwrap_err().to_string();
        assert!(message.contains("`sh -c exit 3` failed") && message.contains('3'), "{message}");
        let message = show(&mut Command::new("/nowhere/no-such-program")).unwrap_err().to_string();
        assert!(message.contains("could not start `no-such-program`"), "{message}");
    }

    #[test]
    fn shown_output_is_kept_line_by_line() {
        let (good, lines) = show_and_keep(Command::new("/bin/sh").args(["-c", "echo one; echo two; exit 1"])).unwrap();
        assert!(!good);
        assert_eq!(lines, ["one", "two"]);
    }
}
