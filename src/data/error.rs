//! Why samples cannot be had: messages with place, expected, found and hint.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Problems listed in one message; the rest is counted.
const SHOWN: usize = 8;
/// Entries of a folder that are compared with a misspelt name.
const COMPARED: usize = 1000;

/// Why samples cannot be had.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DataError {
    /// A file or folder is missing, unreadable or not what it should be.
    #[error("{0}")]
    File(Box<FileProblem>),
    /// Several files are not what they should be.
    #[error("{}", several(.first, *.more))]
    Several {
        /// The first few.
        first: Vec<FileProblem>,
        /// How many more there are.
        more: usize,
    },
    /// The thread that prepares samples has ended: it reported why before, or ganc has a bug.
    #[error("no more samples: {0}")]
    Stopped(String),
}

/// What is wrong with a file or folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileProblem {
    /// Which.
    pub path: PathBuf,
    /// What is wrong.
    pub problem: String,
    /// What should be there.
    pub expected: Option<String>,
    /// What is there.
    pub found: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

impl FileProblem {
    /// A problem with `path`.
    pub fn new(path: &Path, problem: impl Into<String>) -> FileProblem {
        FileProblem { path: path.into(), problem: problem.into(), expected: None, found: None, hint: None }
    }

    /// Says what should be there.
    pub fn expected(mut self, what: impl Into<String>) -> FileProblem {
        self.expected = Some(what.into());
        self
    }

    /// Says what is there.
    pub fn found(mut self, what: impl Into<String>) -> FileProblem {
        self.found = Some(what.into());
        self
    }

    /// Says what to do.
    pub fn hint(mut self, what: impl Into<String>) -> FileProblem {
        self.hint = Some(what.into());
        self
    }

    /// All of it on one line.
    pub fn sentence(&self) -> String {
        let details: Vec<String> = [("expected", &self.expected), ("found", &self.found)]
            .iter()
            .filter_map(|(word, what)| what.as_ref().map(|w| format!("{word} {w}")))
            .collect();
        let details = if details.is_empty() { String::new() } else { format!(" ({})", details.join(", ")) };
        let hint = self.hint.as_ref().map(|h| format!("; {h}")).unwrap_or_default();
        format!("{}: {}{details}{hint}", self.path.display(), self.problem)
    }
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.problem)?;
        for (word, what) in [("expected", &self.expected), ("found", &self.found), ("hint", &self.hint)] {
            if let Some(what) = what {
                write!(f, "\n  {word}: {what}")?;
            }
        }
        Ok(())
    }
}

impl From<FileProblem> for DataError {
    fn from(problem: FileProblem) -> DataError {
        DataError::File(Box::new(problem))
    }
}

impl DataError {
    /// One error for one or more problems; the first few in full.
    pub fn of(mut problems: Vec<FileProblem>) -> Option<DataError> {
        let more = problems.len().saturating_sub(SHOWN);
        problems.truncate(SHOWN);
        if problems.len() < 2 { problems.pop().map(DataError::from) } else { Some(DataError::Several { first: problems, more }) }
    }

    /// All of it on one line.
    pub fn sentence(&self) -> String {
        match self {
            DataError::File(problem) => problem.sentence(),
            DataError::Several { first, more } => {
                let rest = first.len() + more - 1;
                format!("{}; and {rest} more such files", first.first().map(FileProblem::sentence).unwrap_or_default())
            }
            DataError::Stopped(why) => format!("no more samples: {why}"),
        }
    }
}

fn several(first: &[FileProblem], more: usize) -> String {
    let mut text = format!("{} files cannot be used", first.len() + more);
    for problem in first {
        text += &format!("\n  {}", problem.sentence());
    }
    if more > 0 {
        text += &format!("\n  and {more} more");
    }
    text
}

/// A failed file operation; `expected` says what should be at `path`.
pub fn io_problem(path: &Path, error: &io::Error, expected: &str) -> FileProblem {
    match error.kind() {
        io::ErrorKind::NotFound => missing(path, expected),
        io::ErrorKind::PermissionDenied => {
            FileProblem::new(path, "permission denied").expected(expected).hint("make it readable for the user that runs ganc")
        }
        _other => FileProblem::new(path, error.to_string()).expected(expected),
    }
}

/// Nothing stands at `path`; the hint names what is there with a similar name, or the part of the path that exists.
fn missing(path: &Path, expected: &str) -> FileProblem {
    let problem = FileProblem::new(path, "no such file or folder").expected(expected);
    let mut known = path;
    let mut wanted = None;
    while !known.as_os_str().is_empty() && !known.exists() {
        wanted = known.file_name();
        known = known.parent().unwrap_or(Path::new(""));
    }
    let folder = if known.as_os_str().is_empty() { Path::new(".") } else { known };
    let near = wanted.and_then(|w| similar(folder, &w.to_string_lossy()));
    match near {
        Some(name) => {
            let there = if known.as_os_str().is_empty() { PathBuf::from(name) } else { known.join(name) };
            problem.hint(format!("there is `{}`", there.display()))
        }
        None if path.is_absolute() => problem,
        None => problem.hint("paths are relative to the folder ganc is started in"),
    }
}

/// The name in `folder` that is most like `wanted`, if any is like it.
fn similar(folder: &Path, wanted: &str) -> Option<String> {
    let entries = std::fs::read_dir(folder).ok()?.take(COMPARED).flatten();
    let names: Vec<String> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    crate::diag::render::suggest(wanted, names.iter().map(String::as_str))
}
