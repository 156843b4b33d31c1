//! Arrays in NumPy's format.

use super::{OutputError, io_error, write_file};
use npyz::WriterBuilder;
use std::path::Path;

/// Writes `numbers` as an array of f32 in C order, of shape `shape` (in PyTorch's layout, as users expect it).
/// Errors: the system refuses.
///
/// # Panics
/// Where `shape` and the length of `numbers` differ: a bug of the caller's.
pub fn write_npy(path: &Path, shape: &[usize], numbers: &[f32]) -> Result<(), OutputError> {
    assert_eq!(shape.iter().product::<usize>(), numbers.len(), "an array of shape {shape:?}");
    let sizes: Vec<u64> = shape.iter().map(|&s| s as u64).collect();
    let mut bytes = Vec::new();
    let options = npyz::WriteOptions::<f32>::new().default_dtype().shape(&sizes).writer(&mut bytes);
    let written = options.begin_nd().and_then(|mut w| {
        w.extend(numbers.iter().copied())?;
        w.finish()
    });
    written.map_err(io_error(path))?;
    write_file(path, &bytes)
}
