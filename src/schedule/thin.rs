//! Filter gradients where one of the images has few channels: the positions of taps and those channels are the rows of a product whose
//! columns are the channels of the other image, which is read where it lies.

use super::{BufferId, Target};
use crate::graph::{Graph, Op, Role, Value};
use std::ops::Range;

/// Most channels of the thin image.
const MOST_CHANNELS: usize = 4;

/// Numbers of the wide image in a block, roughly.
const HELD: usize = 16 * 1024;
/// Most parts of the sum.
const PARTS: usize = 8;

/// Some rows of a small image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Block {
    /// The image.
    pub image: usize,
    /// Its rows.
    pub rows: Range<usize>,
}

/// An image of a [`Thin`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Side {
    /// Height and width.
    pub size: [usize; 2],
    /// Channels.
    pub channels: usize,
}

/// A filter gradient with an image of few channels.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Thin {
    /// Images.
    pub images: usize,
    /// Height and width of the filter.
    pub kernel: [usize; 2],
    /// Steps of the small image in the big one.
    pub stride: [usize; 2],
    /// The image with few channels.
    pub thin: Side,
    /// The other one.
    pub wide: Side,
    /// Whether the thin one is the big one. Otherwise strides are 1.
    pub thin_is_big: bool,
}

/// A [`Thin`] with its buffers.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ThinJob {
    /// The filter gradient.
    pub thin: Thin,
    /// Thin image and its first element.
    pub a: (BufferId, usize),
    /// Wide image and its first element.
    pub b: (BufferId, usize),
    /// Parts of the sum, one after the other.
    pub c: BufferId,
    /// What it computes, for reports.
    pub label: String,
}

impl Thin {
    /// How anchor `v` of a lowered graph is computed; `None` where it is no filter gradient, or not one of an image of few channels and one
    /// of whole panels.
    pub fn of(graph: &Graph, v: Value, target: Target) -> Option<Thin> {
        let node = graph.node(v);
        let Op::Conv(c) = &node.op else { return None };
        if c.role != Role::FilterGrad {
            return None;
        }
        let (first, second) = (graph.shape(node.args[0]), graph.shape(node.args[1]));
        let big = Side { size: c.big, channels: first[3] };
        let small = Side { size: c.small, channels: second[3] };
        let thin_is_big = big.channels <= MOST_CHANNELS;
        let (thin, wide) = if thin_is_big { (big, small) } else { (small, big) };
        let whole = wide.channels.is_multiple_of(target.columns);
        // Rows of the big image end where the last tap of the small one does.
        let even = c.stride == [1, 1] && c.big[1] == c.small[1] + c.kernel[1] - 1;
        let fits = thin.channels <= MOST_CHANNELS && whole && (thin_is_big || even);
        fits.then_some(Thin { images: first[0], kernel: c.kernel, stride: c.stride, thin, wide, thin_is_big })
    }

    /// Rows of the product for one row of the filter.
    pub fn rows(&self) -> usize {
        self.kernel[1] * self.thin.channels
    }

    /// Rows of the small image that a task works on at a time: those of the wide one stay in the second-level cache.
    fn block_rows(&self) -> usize {
        (HELD / (self.wide.size[1] * self.wide.channels)).clamp(1, self.small().size[0])
    }

    /// Blocks of the small images' rows.
    pub fn blocks(&self) -> usize {
        self.images * self.small().size[0].div_ceil(self.block_rows())
    }

    /// Block `n`.
    pub fn block(&self, n: usize) -> Block {
        let (some, height) = (self.block_rows(), self.small().size[0]);
        let each = height.div_ceil(some);
        let first = n % each * some;
        Block { image: n / each, rows: first..(first + some).min(height) }
    }

    /// Parts of the sum, which are made one by one and then added.
    pub fn parts(&self) -> usize {
        self.blocks().min(PARTS)
    }

    /// Numbers of a block of the thin image's rows between zeros, which it needs where it is the small one.
    pub fn padded_len(&self) -> usize {
        self.block_rows() * (self.thin.size[1] + 2 * (self.kernel[1] - 1)) * self.thin.channels
    }

    fn small(&self) -> &Side {
        if self.thin_is_big { &self.wide } else { &self.thin }
    }

    /// Operations of direct computation, a product and a sum counting one each.
    pub fn flops(&self) -> usize {
        let small = self.small();
        let taps = self.kernel[0] * self.kernel[1];
        2 * self.images * small.size[0] * small.size[1] * taps * self.thin.channels * self.wide.channels
    }
}
