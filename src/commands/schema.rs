//! `liprl schema`.

use std::process::ExitCode;

use crate::terminal::print;

/// Prints the JSON Schema of config files or of sweep files, or a page of all settings of configs.
pub fn schema(sweep: bool, markdown: bool) -> anyhow::Result<ExitCode> {
    if markdown {
        return print(&crate::config::page());
    }
    let schema = if sweep { crate::sweep::file::schema() } else { crate::config::schema() };
    print(&format!("{schema:#}\n"))
}
