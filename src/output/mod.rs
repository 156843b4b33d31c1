//! What a run leaves behind: pictures, arrays, metrics, its folder; and what it shows while it runs.
//!
//! Holds: a file is whole or not there (written beside its place, synced, renamed), and a failed write is an error. Nothing
//! here knows players or losses: plain names and numbers come in.

pub mod arrays;
pub mod folder;
pub mod images;
pub mod metrics;
pub mod progress;
pub mod scatter;
pub mod sound;

pub use folder::RunFolder;
pub use metrics::Metrics;
pub use progress::Progress;

use std::io;
use std::path::{Path, PathBuf};

/// Why something cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The system refuses.
    #[error("cannot write {path}: {error}")]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What it says.
        error: io::Error,
    },
    /// What stands at a path is in the way.
    #[error("{path}: {problem}\n  hint: {hint}")]
    InTheWay {
        /// Which file or folder.
        path: PathBuf,
        /// What stands there.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// What a run left behind cannot be read.
    #[error("cannot read {path}: {problem}\n  hint: {hint}")]
    Unreadable {
        /// Which file or folder.
        path: PathBuf,
        /// What is wrong.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// The picture cannot be made.
    #[error("{path}: {problem}")]
    Picture {
        /// Where it should go.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

/// A failed operation on `path`.
pub(crate) fn io_error(path: &Path) -> impl FnOnce(io::Error) -> OutputError {
    let path = path.to_path_buf();
    move |error| OutputError::Io { path, error }
}

/// Writes a file whole or not at all.
/// Errors: the system refuses.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), OutputError> {
    crate::train::checkpoint::write_whole(path, bytes).map_err(io_error(path))
}
