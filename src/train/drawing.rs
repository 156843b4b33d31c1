//! Drawing many samples from a run: its checkpoint, its sampler, and the data that the sampler reads besides noise.
//!
//! Holds: sample `i` of a seed is the same however many are drawn, because they are drawn [`DRAWN`] at a time.

use super::checkpoint::{TensorError, fill_states};
use super::sampling::Sampling;
use super::session::set_scalars;
use super::trained::Loaded;
use crate::build::{FeedSource, Program, build};
use crate::codegen::Host;
use crate::data::{DataError, Source};
use crate::graph::{FeedId, volume};
use crate::model::{Model, Type};
use crate::runtime::Memory;

/// Samples of one draw.
pub const DRAWN: usize = 64;

/// Why nothing can be drawn.
#[derive(Debug, thiserror::Error)]
pub enum DrawingError {
    /// The checkpoint does not fit the spec.
    #[error(transparent)]
    Tensors(#[from] TensorError),
    /// Data that the sampler reads cannot be had.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The spec says nothing to sample.
    #[error("this spec has nothing to sample: add `sample:` with `draw:` to it")]
    Nothing,
    /// The host cannot run the sampler.
    #[error("{0}")]
    Host(String),
}

/// A data stream that the sampler reads.
struct Condition {
    source: Box<dyn Source>,
    /// Elements of a draw of each column.
    sizes: Vec<usize>,
    /// Columns and the feeds they go to.
    feeds: Vec<(usize, FeedId)>,
    /// The column of labels among them: its position, how many classes.
    labels: Option<(usize, usize)>,
    stream: usize,
}

/// Which labels the sampler reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asked {
    /// Index in [`Model::streams`].
    pub stream: usize,
    /// How many classes.
    pub classes: usize,
}

/// The sampler of a run at work.
pub struct Drawing {
    /// The program at a batch of [`DRAWN`].
    pub program: Program,
    memory: Memory,
    sampling: Sampling,
    conditions: Vec<Condition>,
    seed: u64,
    next: u64,
}

impl Drawing {
    /// The sampler of `model` with the weights of `loaded`, drawing by `seed`.
    /// Errors: see [`DrawingError`].
    pub fn open(model: &Model, loaded: &Loaded, host: &Host, seed: u64) -> Result<Drawing, DrawingError> {
        let program = build(model, DRAWN);
        let mut memory = Memory::new(&program);
        fill_states(&program, &mut memory, &loaded.tensors, &loaded.path, true)?;
        set_scalars(&program, &mut memory, loaded.step, &vec![0; program.players.len()]);
        let bound = Sampling::bind(&program, &memory, host, "sample").map_err(DrawingError::Host)?;
        let sampling = bound.ok_or(DrawingError::Nothing)?;
        let data: Vec<FeedId> = sampling.data_feeds(&program).collect();
        let mut conditions = Vec::new();
        for (number, stream) in model.streams.iter().enumerate() {
            let feeds: Vec<(usize, FeedId)> = data
                .iter()
                .filter_map(|&f| match program.feeds[f.index()].source {
                    FeedSource::Data { stream, column } if stream == number => Some((column, f)),
                    FeedSource::Data { .. }
                    | FeedSource::Places
                    | FeedSource::Normal { .. }
                    | FeedSource::Uniform { .. }
                    | FeedSource::Argument => None,
                })
                .collect();
            if feeds.is_empty() {
                continue;
            }
            let source = crate::data::open(&stream.source, DRAWN, seed, number as u32)?;
            let labels = feeds.iter().find_map(|&(column, _)| match stream.columns[column].1 {
                Type::Class(classes) => Some((column, classes)),
                Type::Tensor(_) | Type::Number | Type::Tokens { .. } | Type::Styles(_) | Type::Unknown => None,
            });
            let sizes = stream.columns.iter().map(|(_, ty)| DRAWN * ty.numbers()).collect();
            conditions.push(Condition { source, sizes, feeds, labels, stream: number });
        }
        Ok(Drawing { program, memory, sampling, conditions, seed, next: 0 })
    }

    /// Shape of a sample in PyTorch's layout.
    pub fn shape(&self) -> &[usize] {
        &self.sampling.shape()[1..]
    }

    /// The labels that the sampler reads, where it reads any.
    pub fn asked(&self) -> Option<Asked> {
        self.conditions.iter().find_map(|c| c.labels.map(|(_, classes)| Asked { stream: c.stream, classes }))
    }

    /// The next `n` samples in PyTorch's layout, and the labels that were asked for (none where the sampler reads none).
    /// What is left of the last draw is dropped.
    /// Errors: a file cannot be read any more.
    pub fn draw(&mut self, n: usize, pool: &rayon::ThreadPool) -> Result<(Vec<f32>, Vec<f32>), DrawingError> {
        let each = volume(self.shape());
        let (mut samples, mut asked) = (Vec::with_capacity(n * each), Vec::new());
        while samples.len() < n * each {
            for c in &self.conditions {
                let mut columns: Vec<Vec<f32>> = c.sizes.iter().map(|&len| vec![0.0; len]).collect();
                let mut slices: Vec<&mut [f32]> = columns.iter_mut().map(Vec::as_mut_slice).collect();
                c.source.draw(self.next, &mut slices)?;
                for &(column, feed) in &c.feeds {
                    self.memory.feed_mut(feed).copy_from_slice(&columns[column]);
                }
            }
            if let Some((column, c)) = self.conditions.iter().find_map(|c| c.labels.map(|(column, _)| (column, c)))
                && let Some(&(_, feed)) = c.feeds.iter().find(|f| f.0 == column)
            {
                asked.extend_from_slice(self.memory.feed(feed));
            }
            samples.extend(self.sampling.draw_on(&self.program, &mut self.memory, pool, self.seed, self.next));
            self.next += 1;
        }
        samples.truncate(n * each);
        asked.truncate(n);
        Ok((samples, asked))
    }
}
