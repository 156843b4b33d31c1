//! Sources of samples: what they deliver, in which order, and what they say about broken files.

mod built_in;
mod idx;
mod images;
mod loader;
mod npy;
mod pairs;
mod speech;
mod texts;

use ganc::data::{DataError, Source, open};
use ganc::model::DataSource;
use std::path::Path;

pub const RANGE: [f64; 2] = [-1.0, 1.0];

/// Draws one batch of columns with so many elements per sample.
fn draw(source: &dyn Source, batch: usize, sizes: &[usize], draw: u64) -> Result<Vec<Vec<f32>>, DataError> {
    let mut columns: Vec<Vec<f32>> = sizes.iter().map(|&n| vec![f32::NAN; batch * n]).collect();
    let mut views: Vec<&mut [f32]> = columns.iter_mut().map(Vec::as_mut_slice).collect();
    source.draw(draw, &mut views)?;
    Ok(columns)
}

fn opened(source: &DataSource, batch: usize) -> Box<dyn Source> {
    open(source, batch, 7, 0).unwrap_or_else(|e| panic!("{e}"))
}

/// The message of a failure, the folder's name taken out.
fn message(dir: &Path, error: DataError) -> String {
    error.to_string().replace(&dir.display().to_string(), "DIR")
}

fn failure(dir: &Path, source: &DataSource) -> String {
    match open(source, 4, 1, 0) {
        Ok(_) => panic!("{source:?} opens"),
        Err(e) => message(dir, e),
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
