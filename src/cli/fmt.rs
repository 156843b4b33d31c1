//! `ganc fmt`: specs in their canonical form.

use super::{Failure, colour, io, out};
use crate::diag::{FileId, render};
use crate::syntax;
use crate::train::checkpoint::write_whole;
use std::path::PathBuf;

/// Options of `ganc fmt`.
#[derive(clap::Args)]
pub struct Fmt {
    /// The .gan files
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Change nothing; fail where a file is not formatted
    #[arg(long)]
    check: bool,
    /// Print the result instead of changing the file
    #[arg(long, conflicts_with = "check")]
    stdout: bool,
}

/// Runs the command.
pub fn run(c: Fmt) -> Result<(), Failure> {
    let mut wrong = false;
    for path in &c.files {
        let sources = super::read(path)?;
        match syntax::format(&sources, FileId(0)) {
            Ok(text) if c.stdout => out(&text)?,
            Ok(text) if text == sources.get(FileId(0)).text => {}
            Ok(_) if c.check => {
                eprintln!("{}: not formatted (run `ganc fmt {0}`)", path.display());
                wrong = true;
            }
            Ok(text) => {
                write_whole(path, text.as_bytes()).map_err(io(path))?;
                eprintln!("formatted {}", path.display());
            }
            Err(findings) => {
                eprint!("{}", render::text(&sources, findings.items(), colour()));
                wrong = true;
            }
        }
    }
    if wrong { Err(Failure::Spec) } else { Ok(()) }
}
