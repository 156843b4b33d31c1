//! Drawing many samples from a run: its checkpoint, its sampler, and the data that the sampler reads besides noise.
//!
//! Holds: sample `i` of a seed is the same however many are drawn, because they are drawn [`DRAWN`] at a time.

use super::checkpoint::TensorError;
use super::conditions::{Condition, conditions};
use super::layout::{batched, to_torch};
use super::sampling::Sampling;
use super::trained::Loaded;
use crate::build::Program;
use crate::codegen::Host;
use crate::data::DataError;
use crate::graph::{FeedId, volume};
use crate::model::{Model, Type};
use crate::runtime::{Memory, Team};

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

/// Which labels the sampler reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asked {
    /// Index in [`Model::streams`].
    pub stream: usize,
    /// How many classes.
    pub classes: usize,
}

/// The texts that a sampler was fed.
#[derive(Clone, PartialEq, Debug)]
pub struct Texts {
    /// Index in [`Model::streams`], and of the column in it.
    pub place: (usize, usize),
    /// `[n, len]`: numbers of words.
    pub tokens: Vec<f32>,
    /// Places of a text.
    pub len: usize,
}

/// The image that a sampler was fed, and the one beside it that was wanted: another column of the stream, of a sample's shape.
#[derive(Clone, PartialEq, Debug)]
pub struct Pairs {
    /// Index in [`Model::streams`], and of both columns in it.
    pub place: (usize, usize, usize),
    /// Shape of an input.
    pub shape: Vec<usize>,
    /// `[n, ...]` in PyTorch's layout.
    pub inputs: Vec<f32>,
    /// As many wanted images as samples.
    pub wanted: Vec<f32>,
}

/// Samples, and what the sampler read for each besides noise.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Drawn {
    /// `[n, ...]` in PyTorch's layout.
    pub samples: Vec<f32>,
    /// The labels that were asked for; none where the sampler reads none.
    pub labels: Vec<f32>,
    /// The texts.
    pub texts: Option<Texts>,
    /// The images.
    pub pairs: Option<Pairs>,
}

/// The sampler of a run at work.
pub struct Drawing {
    /// The program at a batch of [`DRAWN`].
    pub program: Program,
    memory: Memory,
    sampling: Sampling,
    conditions: Vec<Condition>,
    /// The labels that are read, and their feed.
    labels: Option<(Asked, FeedId)>,
    /// Stream, column and places of the texts that are read.
    texts: Option<(usize, usize, usize)>,
    /// Stream, and the columns of the image that is read and of the one that is wanted.
    pairs: Option<(usize, Column, Column)>,
    seed: u64,
    next: u64,
}

/// A column of tensors: its position and the shape of a sample.
type Column = (usize, Vec<usize>);

impl Drawing {
    /// The sampler of `model` with the weights of `loaded`, drawing by `seed`.
    /// Errors: see [`DrawingError`].
    pub fn open(model: &Model, loaded: &Loaded, host: &Host, seed: u64) -> Result<Drawing, DrawingError> {
        let (program, memory) = loaded.restore(model, DRAWN, false)?;
        let bound = Sampling::bind(&program, &memory, host, "sample").map_err(DrawingError::Host)?;
        let sampling = bound.ok_or(DrawingError::Nothing)?;
        let conditions = conditions(model, &program, &sampling, seed)?;
        let (mut texts, mut labels) = (None, None);
        for c in &conditions {
            for &(column, feed) in &c.feeds {
                match model.streams[c.stream].columns[column].1 {
                    Type::Tokens { len, .. } => texts = texts.or(Some((c.stream, column, len))),
                    Type::Class(classes) => labels = labels.or(Some((Asked { stream: c.stream, classes }, feed))),
                    Type::Tensor(_) | Type::Number | Type::Styles(_) | Type::Unknown => {}
                }
            }
        }
        let pairs = conditions.iter().find_map(|c| beside(model, c, &sampling.shape()[1..]));
        Ok(Drawing { program, memory, sampling, conditions, labels, texts, pairs, seed, next: 0 })
    }

    /// Shape of a sample in PyTorch's layout.
    pub fn shape(&self) -> &[usize] {
        &self.sampling.shape()[1..]
    }

    /// The labels that the sampler reads, where it reads any.
    pub fn asked(&self) -> Option<Asked> {
        self.labels.map(|(asked, _)| asked)
    }

    /// Whether it reads an image and knows the one that was wanted.
    pub fn reads_pairs(&self) -> bool {
        self.pairs.is_some()
    }

    /// The next `n` samples. What is left of the last draw is dropped.
    /// Errors: a file cannot be read any more.
    pub fn draw(&mut self, n: usize, team: &Team) -> Result<Drawn, DrawingError> {
        let each = volume(self.shape());
        let mut drawn = Drawn { samples: Vec::with_capacity(n * each), ..Drawn::default() };
        drawn.texts = self.texts.map(|(stream, column, len)| Texts { place: (stream, column), tokens: Vec::new(), len });
        drawn.pairs = self.pairs.as_ref().map(|(stream, input, wanted)| Pairs {
            place: (*stream, input.0, wanted.0),
            shape: input.1.clone(),
            inputs: Vec::new(),
            wanted: Vec::new(),
        });
        while drawn.samples.len() < n * each {
            for c in &self.conditions {
                let columns = c.give(self.next, &mut self.memory)?;
                if let Some(t) = drawn.texts.as_mut().filter(|t| t.place.0 == c.stream) {
                    t.tokens.extend_from_slice(&columns[t.place.1]);
                }
                if let (Some(p), Some((stream, input, wanted))) = (drawn.pairs.as_mut(), &self.pairs)
                    && *stream == c.stream
                {
                    p.inputs.extend(to_torch(&batched(DRAWN, &input.1), &columns[input.0]));
                    p.wanted.extend(to_torch(&batched(DRAWN, &wanted.1), &columns[wanted.0]));
                }
            }
            if let Some((_, feed)) = self.labels {
                drawn.labels.extend_from_slice(self.memory.feed(feed));
            }
            drawn.samples.extend(self.sampling.draw_on(&self.program, &mut self.memory, team, self.seed, self.next));
            self.next += 1;
        }
        drawn.samples.truncate(n * each);
        drawn.labels.truncate(n);
        if let Some(t) = &mut drawn.texts {
            t.tokens.truncate(n * t.len);
        }
        if let Some(p) = &mut drawn.pairs {
            p.inputs.truncate(n * volume(&p.shape));
            p.wanted.truncate(n * each);
        }
        Ok(drawn)
    }
}

/// The image of a stream that is read, and another of its columns that is not and has the shape of a sample.
fn beside(model: &Model, c: &Condition, sample: &[usize]) -> Option<(usize, Column, Column)> {
    let columns = &model.streams[c.stream].columns;
    let image = |(column, (_, ty)): (usize, &(String, Type))| match ty {
        Type::Tensor(shape) if shape.len() == 3 => Some((column, shape.clone())),
        Type::Tensor(_) | Type::Class(_) | Type::Tokens { .. } | Type::Number | Type::Styles(_) | Type::Unknown => None,
    };
    let read = |column: usize| c.feeds.iter().any(|f| f.0 == column);
    let images = || columns.iter().enumerate().filter_map(image);
    let input = images().find(|i| read(i.0))?;
    let wanted = images().find(|i| !read(i.0) && i.1 == sample)?;
    Some((c.stream, input, wanted))
}
