//! Real samples: readers of files and built-in generators.
//!
//! Holds: what a source delivers for draw `n` depends on its settings, the seed and `n` alone, so that a resumed run goes on with
//! the samples it would have had. Images come channels-last, as the graphs take them; labels as whole numbers.

mod points;

use crate::model::{DataSource, StreamInfo};
use std::path::PathBuf;

/// Why samples cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A file or folder is missing, unreadable or not what it should be.
    #[error("{path}: {problem}")]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong, and what was expected.
        problem: String,
    },
}

/// A stream of samples.
pub trait Source: Send + Sync {
    /// Fills one buffer for each column with a batch: `[batch, ...]` in the layout of the graphs.
    /// Errors: a file that was there when the source was opened cannot be read any more.
    fn draw(&self, draw: u64, columns: &mut [&mut [f32]]) -> Result<(), DataError>;
}

/// Looks at the files behind a source, for its shapes, classes and number of samples.
/// Errors: a sentence for the user.
pub fn probe(source: &DataSource) -> Result<StreamInfo, String> {
    let (info, _) = source.known();
    Ok(info)
}

/// Opens a source. `stream` is its position among the spec's data bindings, which keeps their random numbers apart.
/// Errors: files are missing, unreadable or not what they should be.
pub fn open(source: &DataSource, batch: usize, seed: u64, stream: u32) -> Result<Box<dyn Source>, DataError> {
    points::open(source, batch, seed, stream)
}
