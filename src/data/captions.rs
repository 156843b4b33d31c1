//! Captions of the images of another binding: those of the images drawn beside them, or, mismatched, of other images of the
//! same batch (the "real image, wrong text" pairs of Reed et al., 2016, section 4.2).
//!
//! A caption of any other image is mostly wrong in many words, and who judges the pair learns to look at the easiest of them
//! alone. The nearest caption of the batch is wrong in few, so that each of its words comes to matter.

use super::{DataError, Source};
use crate::model::source::CaptionsOf;
use crate::model::words::PADDING;

/// Captions alone: `[batch, tokens]`.
pub struct Captions {
    /// Opened with the seed and position of the binding it belongs to, so that its draws are the same.
    of: Box<dyn Source>,
    /// Its columns in front of the captions.
    before: usize,
    /// Samples of a draw.
    batch: usize,
    which: CaptionsOf,
}

impl Captions {
    /// The texts in column `column` of `of`, which draws `batch` samples.
    pub fn new(of: Box<dyn Source>, column: usize, batch: usize, which: CaptionsOf) -> Captions {
        Captions { of, before: column, batch, which }
    }
}

impl Source for Captions {
    fn draw(&self, draw: u64, columns: &mut [&mut [f32]]) -> Result<(), DataError> {
        let Some(out) = columns.first_mut() else { return Ok(()) };
        // A source leaves out what it has no room for: the images are not made.
        let mut texts = vec![0.0; out.len()];
        let mut given: Vec<&mut [f32]> = (0..self.before).map(|_| Default::default()).collect();
        given.push(&mut texts);
        self.of.draw(draw, &mut given)?;
        let len = texts.len() / self.batch;
        let text = |i: usize| &texts[i * len..(i + 1) * len];
        // The other samples with another text, from the next one on.
        let others = |i: usize| (1..self.batch).map(move |k| (i + k) % self.batch).filter(move |&j| text(j) != text(i));
        for i in 0..self.batch {
            let chosen = match self.which {
                CaptionsOf::Same => Some(i),
                CaptionsOf::Other => others(i).next(),
                CaptionsOf::Near => nearest(text(i), others(i).map(|j| (j, text(j)))),
            };
            // Where all texts are the same there is nothing else to show.
            out[i * len..(i + 1) * len].copy_from_slice(text(chosen.unwrap_or(i)));
        }
        Ok(())
    }
}

/// The first of the texts that differ from `text` in the fewest words.
fn nearest<'t>(text: &[f32], others: impl Iterator<Item = (usize, &'t [f32])>) -> Option<usize> {
    let mut best = None;
    let mut least = usize::MAX;
    for (i, other) in others {
        if let Some(edits) = edits(text, other, least) {
            (best, least) = (Some(i), edits);
        }
    }
    best
}

/// How many words must be put in, taken out or replaced to make `a` of `b` (Levenshtein's distance); `None` where they are not
/// fewer than `limit`.
fn edits(a: &[f32], b: &[f32], limit: usize) -> Option<usize> {
    let words = |text: &[f32]| text.iter().position(|&w| w == PADDING as f32).unwrap_or(text.len());
    let (mut a, mut b) = (&a[..words(a)], &b[..words(b)]);
    // What both begin or end with costs nothing, and is most of two texts that are near.
    let same = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    (a, b) = (&a[same..], &b[same..]);
    let same = a.iter().rev().zip(b.iter().rev()).take_while(|(x, y)| x == y).count();
    (a, b) = (&a[..a.len() - same], &b[..b.len() - same]);
    // `row[j]` makes the part of `a` that was gone through of the first `j` words of `b`.
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        if row.iter().all(|&edits| edits >= limit) {
            return None;
        }
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = replaced.min(corner + 1).min(row[j] + 1);
        }
    }
    row.last().copied().filter(|&edits| edits < limit)
}
