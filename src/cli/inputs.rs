//! What a sampler reads besides noise: labels, texts and images of the spec's data.
//!
//! Labels go through the classes in turn unless one is asked for, so that a grid shows them in columns; texts and images are
//! those of the data unless one is asked for.

use super::Failure;
use crate::build::{Feed, FeedSource, Program};
use crate::graph::FeedId;
use crate::model::{Model, Type};
use crate::runtime::Memory;
use crate::train::Sampling;

/// What the user asks for.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Ask {
    /// Every sample is of this class.
    pub class: Option<usize>,
    /// Every sample is described by this text.
    pub text: Option<String>,
}

/// One feed of data that a sampler reads.
#[derive(Clone, Debug)]
struct Read {
    feed: FeedId,
    stream: usize,
    ty: Type,
}

/// The feeds of data that a sampler reads.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    reads: Vec<Read>,
    /// An image column that is not read but shows what was wanted: beside the image that is read, of the sample's shape.
    truth: Option<FeedId>,
}

/// The stream and column that a feed comes from.
fn origin(feed: &Feed) -> Option<(usize, usize)> {
    match feed.source {
        FeedSource::Data { stream, column } => Some((stream, column)),
        FeedSource::Normal { .. } | FeedSource::Uniform { .. } | FeedSource::Places | FeedSource::Argument => None,
    }
}

impl Inputs {
    /// Those of `sampling`.
    pub fn of(model: &Model, program: &Program, sampling: &Sampling) -> Inputs {
        let mut reads = Vec::new();
        for feed in sampling.data_feeds(program) {
            if let Some((stream, column)) = origin(&program.feeds[feed.index()]) {
                reads.push(Read { feed, stream, ty: model.streams[stream].columns[column].1.clone() });
            }
        }
        let image = reads.iter().find(|r| matches!(&r.ty, Type::Tensor(s) if s.len() == 3));
        let truth = image.and_then(|r| {
            let beside = |f: &Feed| {
                let read = reads.iter().any(|r| program.feed(&f.name) == Some(r.feed));
                origin(f).is_some_and(|o| o.0 == r.stream) && !read && f.layout.shape[1..] == sampling.shape()[1..]
            };
            program.feeds.iter().position(beside).map(|i| FeedId(i as u32))
        });
        Inputs { reads, truth }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.reads.is_empty()
    }

    /// How many classes the labels have that are read.
    pub fn classes(&self) -> Option<usize> {
        self.reads.iter().find_map(|r| if let Type::Class(n) = r.ty { Some(n) } else { None })
    }

    /// The image that is read, and what is wanted of it where the data tell.
    pub fn images(&self) -> Option<(FeedId, Option<FeedId>)> {
        let image = self.reads.iter().find(|r| matches!(&r.ty, Type::Tensor(s) if s.len() == 3))?;
        Some((image.feed, self.truth))
    }

    /// Whether anything must be drawn from the data for `ask`.
    pub fn need_data(&self, ask: &Ask) -> bool {
        self.reads.iter().any(|r| match r.ty {
            Type::Class(_) => false,
            Type::Tokens { .. } => ask.text.is_none(),
            Type::Tensor(_) | Type::Number | Type::Styles(_) | Type::Unknown => true,
        })
    }

    /// Puts what is asked for over what was drawn from the data; sample 0 of the batch is number `first` of all.
    /// Errors: the sampler reads no such thing, there is no such class, or no word of the text is known.
    pub fn apply(&self, model: &Model, memory: &mut Memory, ask: &Ask, first: usize) -> Result<(), Failure> {
        if ask.class.is_some() && self.classes().is_none() {
            return Err(Failure::Usage(format!("{} is not conditional: nothing that is sampled reads a class", model.name)));
        }
        if ask.text.is_some() && !self.reads.iter().any(|r| matches!(r.ty, Type::Tokens { .. })) {
            return Err(Failure::Usage(format!("{} draws nothing from a text", model.name)));
        }
        for r in &self.reads {
            let values = memory.feed_mut(r.feed);
            match &r.ty {
                Type::Class(n) => {
                    if let Some(k) = ask.class.filter(|k| k >= n) {
                        return Err(Failure::Usage(format!(
                            "there is no class {k}: expected a whole number from 0 to {}",
                            n - 1
                        )));
                    }
                    for (i, v) in values.iter_mut().enumerate() {
                        *v = ask.class.unwrap_or((first + i) % n) as f32;
                    }
                }
                Type::Tokens { len, .. } => {
                    let Some(text) = &ask.text else { continue };
                    let Some(vocabulary) = &model.streams[r.stream].vocabulary else { continue };
                    for places in values.chunks_exact_mut(*len) {
                        vocabulary.encode(text, places);
                    }
                }
                Type::Tensor(_) | Type::Number | Type::Styles(_) | Type::Unknown => {}
            }
        }
        Ok(())
    }

    /// What to tell the user about the words of `text`: those that no caption of the data has, and those behind the last place.
    /// Errors: no word is known.
    pub fn words(&self, model: &Model, text: &str) -> Result<Option<String>, Failure> {
        let read = self.reads.iter().find_map(|r| match r.ty {
            Type::Tokens { len, .. } => model.streams[r.stream].vocabulary.as_ref().map(|v| (len, v)),
            Type::Class(_) | Type::Tensor(_) | Type::Number | Type::Styles(_) | Type::Unknown => None,
        });
        let Some((len, vocabulary)) = read else { return Ok(None) };
        let given = crate::model::words::words(text).count();
        let mut places = vec![0.0; len.max(given)];
        let unknown = vocabulary.encode(text, &mut places);
        if unknown.len() == given {
            let some = vocabulary.words().iter().take(30).cloned().collect::<Vec<_>>().join(", ");
            return Err(Failure::Usage(format!("no word of \"{text}\" stands in a caption of the data; words are {some}")));
        }
        let mut said = Vec::new();
        if !unknown.is_empty() {
            said.push(format!("no caption of the data has: {}", unknown.join(", ")));
        }
        if given > len {
            said.push(format!("only the first {len} words count"));
        }
        Ok((!said.is_empty()).then(|| said.join("; ")))
    }
}
