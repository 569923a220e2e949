//! The `liprl` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    liprl::main_with(liprl::Extensions::new())
}
