//! The `liprl` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    liprl::main(std::env::args_os())
}
