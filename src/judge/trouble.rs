//! Why a run cannot be judged.

use crate::data::DataError;
use crate::train::DrawingError;
use crate::train::checkpoint::TensorError;

/// Why a run cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// Nothing can be drawn from it.
    #[error(transparent)]
    Drawing(#[from] DrawingError),
    /// Real samples cannot be had.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The classifier's file cannot be read or written.
    #[error(transparent)]
    Tensors(#[from] TensorError),
    /// What was asked for has no answer.
    #[error("{0}")]
    Usage(String),
    /// Real samples are missing, or too few.
    #[error("{0}")]
    Real(String),
    /// Samples of the run are no numbers.
    #[error("{0}")]
    Diverged(String),
    /// The machine has not enough of something.
    #[error("{0}")]
    Limit(String),
    /// ganc itself is wrong.
    #[error("{0}")]
    Bug(String),
}
