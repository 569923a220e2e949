//! `liprl schema`.

use std::process::ExitCode;

/// Prints the JSON Schema of config files, or of sweep files.
pub fn schema(sweep: bool) -> anyhow::Result<ExitCode> {
    let schema = if sweep { crate::sweep::file::schema() } else { crate::config::schema() };
    super::print(&format!("{schema:#}\n"))
}
