//! `liprl schema`.

use std::process::ExitCode;

use crate::terminal::print;

/// Prints the JSON Schema of config files, or of sweep files.
pub fn schema(sweep: bool) -> anyhow::Result<ExitCode> {
    let schema = if sweep { crate::sweep::file::schema() } else { crate::config::schema() };
    print(&format!("{schema:#}\n"))
}
