//! Captions of the images of another binding: those of the images drawn beside them, or, mismatched, of other images of the
//! same batch (the "real image, wrong text" pairs of Reed et al., 2016, section 4.2).

use super::{DataError, Source};

/// Captions alone: `[batch, tokens]`.
pub struct Captions {
    /// Opened with the seed and position of the binding it belongs to, so that its draws are the same.
    of: Box<dyn Source>,
    /// Its columns in front of the captions.
    before: usize,
    /// Samples of a draw.
    batch: usize,
    mismatched: bool,
}

impl Captions {
    /// The texts in column `column` of `of`, which draws `batch` samples.
    pub fn new(of: Box<dyn Source>, column: usize, batch: usize, mismatched: bool) -> Captions {
        Captions { of, before: column, batch, mismatched }
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
        if !self.mismatched {
            out.copy_from_slice(&texts);
            return Ok(());
        }
        let len = texts.len() / self.batch;
        let text = |i: usize| &texts[i * len..(i + 1) * len];
        for i in 0..self.batch {
            // The next sample with another text; where all are the same there is nothing else to show.
            let other = (1..self.batch).map(|k| (i + k) % self.batch).find(|&j| text(j) != text(i)).unwrap_or(i);
            out[i * len..(i + 1) * len].copy_from_slice(text(other));
        }
        Ok(())
    }
}
