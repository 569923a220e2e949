//! `liprl render-worker`: the process that draws MuJoCo tasks for another `liprl`.

use std::io;
use std::process::ExitCode;

use liprl_envs::serve_render_worker;

/// Draws the states that come on standard input, until it ends.
pub fn render_worker() -> anyhow::Result<ExitCode> {
    serve_render_worker(io::stdin().lock(), io::stdout().lock())?;
    Ok(ExitCode::SUCCESS)
}
