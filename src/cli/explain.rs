//! `ganc explain`: the page of a code.

use super::{Failure, out};
use crate::diag::{explain, render};

/// Options of `ganc explain`.
#[derive(clap::Args)]
pub struct Explain {
    /// A code such as E0301; all codes are listed when it is left out
    code: Option<String>,
}

/// Runs the command.
pub fn run(c: Explain) -> Result<(), Failure> {
    let Some(code) = c.code else {
        let list: String = explain::all().map(|p| format!("{}  {}\n", p.code, p.title)).collect();
        return out(&list);
    };
    let wanted = code.to_uppercase();
    match explain::page(&wanted) {
        Some(page) => out(&format!("{}: {}\n\n{}\n", page.code, page.title, page.text.trim_end())),
        None => {
            let near = render::suggest(&wanted, explain::all().map(|p| p.code));
            let hint = near.map_or("`ganc explain` lists all codes".to_string(), |n| format!("did you mean {n}?"));
            Err(Failure::Usage(format!("there is no code `{code}`; {hint}")))
        }
    }
}
