//! Real samples for a comparison.
//!
//! Holds: the rows that the classifier learns from and those that samples are compared with never overlap. An endless source
//! has them in different draws. A finite one is put into an order that no seed changes: the first half is the classifier's,
//! the second is held out from it, and `seed` says where in the second half the rows begin.

use super::trouble::Trouble;
use crate::data::{self, Source};
use crate::graph::volume;
use crate::model::{Column, Stream};
use crate::runtime::random::philox;
use crate::train::DRAWN;
use crate::train::layout::{batched, to_torch};

/// Of the order of finite data, and of what the classifier learns from.
const SPLIT_SEED: u64 = 0x6A75_6467_6500;
/// First row of endless data that samples are compared with; training of any length ends before.
const FAR: u64 = 1 << 50;

/// Rows of real samples.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Rows {
    /// `[n, ...]` in PyTorch's layout.
    pub values: Vec<f32>,
    /// A label for each; none where the source has none.
    pub labels: Vec<usize>,
}

/// The samples of one column of a stream, with their labels.
pub struct Real {
    source: Box<dyn Source>,
    /// Elements of a draw of each column, as far as they are wanted.
    sizes: Vec<usize>,
    column: usize,
    label: Option<(usize, usize)>,
    shape: Vec<usize>,
    /// Rows there are; `None` for endless ones.
    len: Option<u64>,
    seed: u64,
}

/// Which rows are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// Those that the classifier learns from.
    Learned,
    /// Those that it never saw.
    HeldOut,
    /// Of finite data, all; of endless data, those that the classifier learns from.
    Whole,
}

impl Real {
    /// Opens column `column` of `stream`, whose samples have shape `shape`.
    /// Errors: its files cannot be read.
    pub fn open(stream: &Stream, column: usize, shape: &[usize], seed: u64) -> Result<Real, Trouble> {
        let info = data::probe(&stream.source).map_err(Trouble::Real)?;
        let label = info.columns.iter().enumerate().find_map(|(i, c)| match c {
            Column::Class(classes) => Some((i, *classes)),
            Column::Image { .. } | Column::Vector(_) | Column::Tokens { .. } | Column::Array(_) => None,
        });
        let last = column.max(label.map_or(0, |l| l.0));
        let sizes = info.columns.iter().take(last + 1).map(|c| DRAWN * c.ty().numbers()).collect();
        let split = if info.len.is_some() { SPLIT_SEED } else { seed };
        let source = data::open(&stream.source, DRAWN, split, 0)?;
        Ok(Real { source, sizes, column, label, shape: shape.to_vec(), len: info.len, seed })
    }

    /// How many classes its labels have; `None` where it has no labels, or all are the same.
    pub fn classes(&self) -> Option<usize> {
        self.label.map(|l| l.1).filter(|&classes| classes > 1)
    }

    /// How many rows a part has; `None` for endless data.
    pub fn len(&self, part: Part) -> Option<u64> {
        self.len.map(|n| match part {
            Part::Learned => n / 2,
            Part::HeldOut => n - n / 2,
            Part::Whole => n,
        })
    }

    /// Rows `first..first + n` of a part. Past the end of finite data they start again.
    /// Errors: a file cannot be read any more.
    pub fn rows(&self, part: Part, first: u64, n: usize) -> Result<Rows, Trouble> {
        let row = |k: u64| match (self.len(part), part) {
            (Some(len), Part::HeldOut) => self.len(Part::Learned).unwrap_or(0) + (k + self.shift(len)) % len,
            (Some(len), Part::Whole) => (k + self.shift(len)) % len,
            (Some(len), Part::Learned) => k % len,
            (None, Part::HeldOut) => FAR + k,
            (None, Part::Learned | Part::Whole) => k,
        };
        let each = volume(&self.shape);
        let mut rows = Rows { values: Vec::with_capacity(n * each), labels: Vec::new() };
        let mut drawn: Option<(u64, Vec<f32>, Vec<f32>)> = None;
        for k in first..first + n as u64 {
            let (draw, at) = (row(k) / DRAWN as u64, (row(k) % DRAWN as u64) as usize);
            if drawn.as_ref().is_none_or(|d| d.0 != draw) {
                let (values, labels) = self.draw(draw)?;
                drawn = Some((draw, values, labels));
            }
            if let Some((_, values, labels)) = &drawn {
                rows.values.extend_from_slice(&values[at * each..][..each]);
                rows.labels.extend(labels.get(at).map(|&l| l as usize));
            }
        }
        Ok(rows)
    }

    /// Where in a part of `len` rows the rows of this seed begin.
    fn shift(&self, len: u64) -> u64 {
        let [a, b, _, _] = philox([0; 4], [self.seed as u32, (self.seed >> 32) as u32]);
        (u64::from(a) << 32 | u64::from(b)) % len
    }

    /// A draw in PyTorch's layout, and its labels.
    fn draw(&self, draw: u64) -> Result<(Vec<f32>, Vec<f32>), Trouble> {
        let mut columns: Vec<Vec<f32>> = self.sizes.iter().map(|&n| vec![0.0; n]).collect();
        let mut slices: Vec<&mut [f32]> = columns.iter_mut().map(Vec::as_mut_slice).collect();
        self.source.draw(draw, &mut slices)?;
        let values = to_torch(&batched(DRAWN, &self.shape), &columns[self.column]);
        Ok((values, self.label.map(|l| std::mem::take(&mut columns[l.0])).unwrap_or_default()))
    }
}
