//! Convolutions whose result has few channels, where most of a micro-kernel's columns would be idle: which ones they are, and how the
//! products of pixels and taps add up.

use super::tiles::{Pack, axis_phase, inside};
use super::{BufferId, Target};
use crate::graph::{Graph, Op, Role, Value};
use std::ops::Range;

/// Most channels of the result.
const MOST_CHANNELS: usize = 4;
/// How many times fewer products must be needed.
const GAIN: usize = 2;

/// One axis: which taps meet a position of the result, by its remainder modulo the stride.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Axis {
    /// Positions of the result for one of the left image.
    pub stride: usize,
    /// By remainder: taps, and the position of the left image that each sees first.
    pub taps: Vec<Vec<(usize, usize)>>,
}

impl Axis {
    /// Positions of the left image that so many of the result, from a multiple of the stride on, meet at most.
    pub fn reach(&self, positions: usize) -> usize {
        let seen = self.taps.iter().flatten();
        positions.div_ceil(self.stride) + seen.clone().map(|t| t.1).max().unwrap_or(0) - seen.map(|t| t.1).min().unwrap_or(0)
    }

    /// Positions of the left image that some of the result meet.
    pub fn source(&self, positions: &Range<usize>) -> Range<usize> {
        let seen = positions.clone().flat_map(|y| self.taps[y % self.stride].iter().map(move |t| t.1 + y / self.stride));
        seen.clone().min().unwrap_or(0)..seen.max().map_or(0, |last| last + 1)
    }
}

/// A convolution with few channels of its result.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Narrow {
    /// Images.
    pub images: usize,
    /// Channels of the left image.
    pub inputs: usize,
    /// Channels of the result.
    pub channels: usize,
    /// Height and width of the left image.
    pub left: [usize; 2],
    /// Height and width of the result.
    pub result: [usize; 2],
    /// Height and width of the filter.
    pub kernel: [usize; 2],
    /// Both axes.
    pub axes: [Axis; 2],
    /// Whether the left image is the small one: then inputs are neighbours in the filter.
    pub spread: bool,
}

/// A [`Narrow`] with its buffers.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct NarrowJob {
    /// The convolution.
    pub narrow: Narrow,
    /// Left image and its first element.
    pub a: (BufferId, usize),
    /// Packed filter.
    pub b: BufferId,
    /// Result.
    pub c: BufferId,
    /// What it computes, for reports.
    pub label: String,
}

impl Narrow {
    /// How anchor `v` of a lowered graph is computed; `None` where it is no convolution or direct computation is better.
    pub fn of(graph: &Graph, v: Value, target: Target) -> Option<Narrow> {
        let node = graph.node(v);
        let Op::Conv(c) = &node.op else { return None };
        let (first, second) = (graph.shape(node.args[0]), graph.shape(node.args[1]));
        let (spread, inputs, channels) = match c.role {
            Role::Forward if c.stride == [1, 1] => (false, second[2], second[3]),
            Role::InputGrad => (true, second[3], second[2]),
            Role::Forward | Role::FilterGrad => return None,
        };
        if channels > MOST_CHANNELS {
            return None;
        }
        let (left, result) = if spread { (c.small, c.big) } else { (c.big, c.small) };
        let axis = |i: usize| match spread {
            true => Axis {
                stride: c.stride[i],
                taps: (0..c.stride[i].min(c.big[i]))
                    .map(|p| {
                        let (taps, start) = axis_phase(c, i, p);
                        taps.into_iter().enumerate().map(|(n, tap)| (tap, inside(start) + n)).collect()
                    })
                    .collect(),
            },
            false => Axis { stride: 1, taps: vec![(0..c.kernel[i]).map(|t| (t, t)).collect()] },
        };
        let narrow =
            Narrow { images: first[0], inputs, channels, left, result, kernel: c.kernel, axes: [axis(0), axis(1)], spread };
        let direct = result[0] * result[1] * c.kernel[0] * c.kernel[1] / (c.stride[0] * c.stride[1]) * target.columns;
        let here = left[0] * left[1] * narrow.columns().next_multiple_of(target.columns);
        let met = narrow.axes.iter().zip(result).all(|(a, n)| a.stride <= n && a.taps.iter().all(|t| !t.is_empty()));
        (met && here * GAIN <= direct).then_some(narrow)
    }

    /// Columns of the product: taps times channels.
    pub fn columns(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.channels
    }

    /// Where the products lie that add up to a result in row `y`, by the remainder `phase` of its column: counted from the line of its column
    /// divided by the stride, in a `ring` of rows. `line` is the distance of pixels.
    pub fn places(&self, y: usize, phase: usize, ring: usize, line: usize) -> Vec<usize> {
        let [rows, columns] = &self.axes;
        let (up, columns) = (y / rows.stride, &columns.taps[phase]);
        let place = |&(ty, down): &(usize, usize), &(tx, x): &(usize, usize)| {
            ((up + down) % ring * self.left[1] + x) * line + (ty * self.kernel[1] + tx) * self.channels
        };
        rows.taps[y % rows.stride].iter().flat_map(|r| columns.iter().map(move |c| place(r, c))).collect()
    }

    /// How the filter at `first` of `source` is packed: a row for each channel of the left image, a column for each tap and channel of the
    /// result.
    pub fn pack(&self, source: BufferId, first: usize, width: usize) -> Pack {
        let (row_step, column_step) = if self.spread { (1, self.inputs) } else { (self.channels, 1) };
        Pack {
            source,
            target: source,
            batch: 1,
            source_batch: 0,
            taps: vec![first],
            rows: self.inputs,
            row_step,
            columns: self.columns(),
            column_step,
            group: (self.channels, self.channels * self.inputs),
            width,
        }
    }

    /// Operations of direct computation, a product and a sum counting one each.
    pub fn flops(&self) -> usize {
        let met = |i: usize| -> usize { (0..self.result[i]).map(|y| self.axes[i].taps[y % self.axes[i].stride].len()).sum() };
        2 * self.images * met(0) * met(1) * self.inputs * self.channels
    }
}
