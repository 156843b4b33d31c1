//! The `ganc` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    ganc::cli::main()
}
