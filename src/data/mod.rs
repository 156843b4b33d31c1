//! Real samples: readers of files and built-in generators.
//!
//! Holds: what a source delivers for draw `n` depends on its settings, the seed, its stream and `n` alone, so that a resumed
//! run goes on with the samples it would have had. Images come channels-last, as the graphs take them; labels as whole
//! numbers. A stored data set is gone through once per epoch, in an order of each epoch's own; batches run over the borders
//! between epochs. Files are hostile input: sizes are checked before memory is taken.

mod captions;
mod dice;
mod digits;
mod epochs;
mod error;
mod fft;
mod glyphs;
mod idx;
pub mod images;
pub mod listing;
mod loader;
pub mod mel;
mod npy;
pub mod pitch;
mod pixels;
mod points;
mod resample;
mod shapes;
mod shelf;
pub mod speech;
mod voices;
pub mod wav;

pub use error::{DataError, FileProblem};
pub use fft::Complex;
pub use loader::{Batch, Loader};

pub use pixels::{Pixels, levels};
pub use shapes::{COLOURS, SHAPES, SIZES};

use crate::model::{DataSource, StreamInfo};
use dice::Lane;
use points::{Centres, Points};
use std::path::Path;

/// A stream of samples.
pub trait Source: Send + Sync {
    /// Fills one buffer for each column with a batch: `[batch, ...]` in the layout of the graphs. Columns at the end may be
    /// left out where nobody asks for them.
    /// Errors: a file that was there when the source was opened cannot be read any more, or is broken behind its header.
    fn draw(&self, draw: u64, columns: &mut [&mut [f32]]) -> Result<(), DataError>;
}

/// Looks at the files behind a source, for its shapes, classes and number of samples.
/// Errors: a sentence for the user.
pub fn probe(source: &DataSource) -> Result<StreamInfo, String> {
    let found = match source {
        DataSource::Ring { .. }
        | DataSource::Grid { .. }
        | DataSource::SwissRoll { .. }
        | DataSource::Digits { .. }
        | DataSource::Shapes { .. } => Ok(source.known().0),
        DataSource::Captions { of, column, .. } => {
            let info = probe(of)?;
            return Ok(StreamInfo::new(info.columns.get(*column).cloned().into_iter().collect(), info.len));
        }
        DataSource::Mnist { dir, size, part, .. } => idx::probe_mnist(Path::new(dir), *size, *part),
        DataSource::Idx { images, labels, size, part, .. } => {
            idx::probe(Path::new(images), labels.as_deref().map(Path::new), *size, *part)
        }
        DataSource::Images { dir, size, channels, caption, .. } => images::probe(Path::new(dir), *size, *channels, *caption),
        DataSource::Pairs { dir: Some(dir), layout, size, channels, .. } => {
            images::pairs::probe(Path::new(dir), *layout, *size, *channels)
        }
        DataSource::Pairs { dir: None, .. } | DataSource::Voices { .. } => Ok(source.known().0),
        DataSource::Speech { dir, only, sound } => speech::probe(Path::new(dir), only.as_deref(), *sound),
        DataSource::Npy { path } => npy::probe(Path::new(path)),
    };
    found.map_err(|e| e.sentence())
}

/// The names of a source's classes, where they are folders.
/// Errors: as [`probe`].
pub fn classes(source: &DataSource) -> Result<Vec<String>, DataError> {
    match source {
        DataSource::Images { dir, .. } => listing::labelled(Path::new(dir), &images::IMAGES).map(|l| l.classes),
        DataSource::Speech { dir, .. } => listing::labelled(Path::new(dir), &speech::SOUNDS).map(|l| l.classes),
        DataSource::Captions { of, .. } => classes(of),
        DataSource::Ring { .. }
        | DataSource::Grid { .. }
        | DataSource::SwissRoll { .. }
        | DataSource::Digits { .. }
        | DataSource::Shapes { .. }
        | DataSource::Mnist { .. }
        | DataSource::Idx { .. }
        | DataSource::Pairs { .. }
        | DataSource::Voices { .. }
        | DataSource::Npy { .. } => Ok(Vec::new()),
    }
}

/// Opens a source. `stream` is its position among the spec's data bindings, which keeps their random numbers apart.
/// Errors: files are missing, unreadable or not what they should be.
pub fn open(source: &DataSource, batch: usize, seed: u64, stream: u32) -> Result<Box<dyn Source>, DataError> {
    let lane = Lane::new(seed, stream);
    let points = |centres, std| Ok(Box::new(Points::new(centres, std, lane)) as Box<dyn Source>);
    match source {
        DataSource::Ring { modes, radius, std } => points(Centres::Ring { modes: *modes, radius: *radius }, *std),
        DataSource::Grid { side, spacing, std } => points(Centres::Grid { side: *side, spacing: *spacing }, *std),
        DataSource::SwissRoll { noise } => points(Centres::Spiral, *noise),
        DataSource::Digits { size, range } => Ok(Box::new(digits::Digits::new(*size, *range, lane))),
        DataSource::Shapes { size, label, caption, fill, range } => {
            Ok(Box::new(shapes::Shapes::new(*size, *label, *caption, *fill, *range, lane)))
        }
        DataSource::Captions { of, stream, column, which } => {
            Ok(Box::new(captions::Captions::new(open(of, batch, seed, *stream)?, *column, batch, *which)))
        }
        DataSource::Mnist { dir, size, part, range } => {
            Ok(Box::new(idx::open_mnist(Path::new(dir), *size, *part, *range, batch, lane)?))
        }
        DataSource::Idx { images, labels, size, part, range } => {
            Ok(Box::new(idx::open(Path::new(images), labels.as_deref().map(Path::new), *size, *part, *range, batch, lane)?))
        }
        DataSource::Images { dir, size, load, crop, flip, channels, caption, range } => {
            let cut = images::Cut { size: *size, load: load.unwrap_or(*size), crop: *crop, flip: *flip, channels: *channels };
            Ok(Box::new(images::Images::open(Path::new(dir), cut, *caption, *range, batch, lane)?))
        }
        DataSource::Pairs { dir: Some(dir), layout, size, load, crop, flip, channels, range } => {
            let cut = images::Cut { size: *size, load: load.unwrap_or(*size), crop: *crop, flip: *flip, channels: *channels };
            Ok(Box::new(images::pairs::Pairs::open(Path::new(dir), *layout, cut, *range, batch, lane)?))
        }
        DataSource::Pairs { dir: None, layout, size, range, .. } => {
            Ok(Box::new(images::pairs::DrawnPairs::new(*layout, *size, *range, lane)))
        }
        DataSource::Speech { dir, only, sound } => {
            Ok(Box::new(speech::Speech::open(Path::new(dir), only.as_deref(), *sound, batch, lane)?))
        }
        DataSource::Voices { speaker, sound } => Ok(Box::new(voices::Voices::new(*speaker, *sound, lane))),
        DataSource::Npy { path } => Ok(Box::new(npy::Npy::open(Path::new(path), batch, lane)?)),
    }
}
