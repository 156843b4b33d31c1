//! Text to [`ast::Spec`]: the only room that names pest.
//!
//! On entry a text of [`Sources`], which nothing is known about. On exit either a tree in which every name and every number has its
//! place, nested at most [`MAX_NESTING`] deep, or all problems that could be told apart.
//!
//! The way goes through three views of the text, each with its own module: [`layout`] reads blocks from columns, `sections` gives
//! each block its meaning, `scalar` reads expressions. `wrong` explains what did not match.

pub mod ast;
pub mod dump;
mod fmt;
mod grammar;
pub mod layout;
pub mod print;
mod scalar;
mod sections;
mod set;
mod wrong;

use crate::diag::{Diagnostic, Diagnostics, FileId, Sources, Span};

pub use fmt::format;
pub use sections::SECTIONS;
pub use set::apply_override;

/// The largest file that is read, in bytes.
pub const MAX_BYTES: usize = 1 << 20;
/// The deepest nesting of blocks, and of brackets within one value.
pub const MAX_NESTING: usize = 64;
/// The deepest tree of one expression, brackets and operators together.
pub const MAX_DEPTH: usize = 256;
/// The most problems that one run reports.
const MAX_PROBLEMS: usize = 100;

/// Parses a whole spec.
///
/// # Errors
/// Every syntax error of the file (codes `E01xx`), in the order of the text.
pub fn parse(sources: &Sources, file: FileId) -> Result<ast::Spec, Diagnostics> {
    let mut report = Report::new(sources, file);
    let root = layout::read(&mut report);
    let spec = sections::spec(&mut report, &root);
    report.finish(spec)
}

/// Where the parts of the parser leave what they find wrong with one text.
pub(crate) struct Report<'a> {
    sources: &'a Sources,
    file: FileId,
    found: Vec<Diagnostic>,
    /// The text comes from the command line, so no YAML reader will see it.
    from_command_line: bool,
}

impl<'a> Report<'a> {
    fn new(sources: &'a Sources, file: FileId) -> Report<'a> {
        Report { sources, file, found: Vec::new(), from_command_line: false }
    }

    /// The whole text.
    fn source(&self) -> &'a str {
        &self.sources.get(self.file).text
    }

    /// The characters of a span of this text.
    fn text(&self, span: Span) -> &'a str {
        self.sources.text(span)
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.file, start, end)
    }

    /// Keeps a problem. Past [`MAX_PROBLEMS`] only their number would grow, so the rest is dropped with a word about it.
    fn push(&mut self, problem: Diagnostic) {
        if self.found.len() < MAX_PROBLEMS {
            self.found.push(problem);
        } else if self.found.len() == MAX_PROBLEMS {
            let mut last =
                Diagnostic::new("E0127", Span::default(), format!("more than {MAX_PROBLEMS} problems; the rest are not shown"))
                    .hint("put the first ones right and check again");
            last.span = None;
            self.found.push(last);
        }
    }

    fn finish<T>(mut self, value: T) -> Result<T, Diagnostics> {
        if self.found.is_empty() {
            return Ok(value);
        }
        self.found.sort_by_key(|d| d.span.map_or(u32::MAX, |span| span.start));
        let mut all = Diagnostics::default();
        for problem in self.found {
            all.push(problem);
        }
        Err(all)
    }
}

/// Where the `width` bytes at `at` begin and end, moved to character boundaries.
fn clamp(text: &str, at: usize, width: usize) -> (usize, usize) {
    let mut start = at.min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let mut end = (start + width).min(text.len());
    while !text.is_char_boundary(end) {
        end += 1;
    }
    (start, end)
}
