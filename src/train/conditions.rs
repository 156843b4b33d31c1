//! Data that a sampler reads besides noise, stream by stream.

use super::sampling::Sampling;
use crate::build::{FeedSource, Program};
use crate::data::{DataError, Source, open};
use crate::graph::FeedId;
use crate::model::Model;
use crate::runtime::Memory;

/// A stream that a sampler reads.
pub struct Condition {
    source: Box<dyn Source>,
    /// Elements of a draw of each column.
    sizes: Vec<usize>,
    /// Columns and the feeds they go to.
    pub feeds: Vec<(usize, FeedId)>,
    /// Index in [`Model::streams`].
    pub stream: usize,
}

/// The streams that `sampling` reads, opened with `seed`.
/// Errors: files are missing or broken.
pub fn conditions(model: &Model, program: &Program, sampling: &Sampling, seed: u64) -> Result<Vec<Condition>, DataError> {
    let mut found = Vec::new();
    for (number, stream) in model.streams.iter().enumerate() {
        let feed = |f: FeedId| match program.feeds[f.index()].source {
            FeedSource::Data { stream, column } if stream == number => Some((column, f)),
            FeedSource::Data { .. }
            | FeedSource::Normal { .. }
            | FeedSource::Uniform { .. }
            | FeedSource::Places
            | FeedSource::Argument => None,
        };
        let feeds: Vec<(usize, FeedId)> = sampling.data_feeds(program).filter_map(feed).collect();
        if !feeds.is_empty() {
            let sizes = stream.columns.iter().map(|(_, ty)| program.batch * ty.numbers()).collect();
            let source = open(&stream.source, program.batch, seed, number as u32)?;
            found.push(Condition { source, sizes, feeds, stream: number });
        }
    }
    Ok(found)
}

impl Condition {
    /// Gives draw `draw` to the sampler's feeds, and returns all columns of the stream, in the layout of the graphs.
    /// Errors: a file cannot be read any more.
    pub fn give(&self, draw: u64, memory: &mut Memory) -> Result<Vec<Vec<f32>>, DataError> {
        let mut columns: Vec<Vec<f32>> = self.sizes.iter().map(|&len| vec![0.0; len]).collect();
        let mut slices: Vec<&mut [f32]> = columns.iter_mut().map(Vec::as_mut_slice).collect();
        self.source.draw(draw, &mut slices)?;
        for &(column, feed) in &self.feeds {
            memory.feed_mut(feed).copy_from_slice(&columns[column]);
        }
        Ok(columns)
    }
}
