//! `liprl schema`.

use std::process::ExitCode;

/// Prints the JSON Schema of config files.
pub fn schema() -> anyhow::Result<ExitCode> {
    super::print(&format!("{:#}\n", crate::config::schema()))
}
