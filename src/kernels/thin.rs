//! Filter gradients where one of the images has few channels: products whose right operand is the other image as it lies in memory.
//!
//! A task sums up over some rows of the images, block by block: the wide image is walked once, and a block stays in the second-level cache
//! for all taps, while the next one is asked for. What the tasks sum up is added later.

use super::ahead::Ahead;
use super::product::scratch;
use super::{MicroKernel, TileArgs, together};
use crate::schedule::thin::{Block, Thin};
use std::ops::Range;

/// The blocks of task `task`.
fn blocks(t: &Thin, task: usize) -> Range<usize> {
    let (all, parts) = (t.blocks(), t.parts());
    all * task / parts..all * (task + 1) / parts
}

/// Runs one task: part `task` of the sums.
///
/// # Safety
/// `a`, `b` and `c` point to the thin image, the wide image and the parts that `t` describes; nobody else writes this part; the CPU can run
/// `kernel`.
pub unsafe fn run_thin(t: &Thin, kernel: &MicroKernel, task: usize, a: *const f32, b: *const f32, c: *mut f32) {
    let work = Work { t, kernel };
    let (rows, columns) = (t.kernel[0] * t.rows(), t.wide.channels);
    // SAFETY: there is room for every part.
    let part = unsafe { c.add(task * rows * columns) };
    if t.thin_is_big {
        // Rows of the product are rows of the filter: taps, and the thin image's channels of each.
        // SAFETY: passed on from the caller.
        return unsafe { work.sum(blocks(t, task), a, b, part, std::ptr::null_mut()) };
    }
    scratch([rows * columns, t.padded_len()], |[sums, padded]| {
        // SAFETY: passed on from the caller; there is room for the sums and for a block of padded rows.
        unsafe {
            std::ptr::write_bytes(padded, 0, t.padded_len());
            work.sum(blocks(t, task), a, b, sums, padded);
            // Taps of a row lie in the other direction, and the thin image's channels are neighbours in the filter.
            let channels = t.thin.channels;
            for row in 0..rows {
                let (y, x, channel) = (row / t.rows(), row % t.rows() / channels, row % channels);
                let tap = y * t.kernel[1] + t.kernel[1] - 1 - x;
                for column in 0..columns {
                    *part.add((tap * columns + column) * channels + channel) = *sums.add(row * columns + column);
                }
            }
        }
    });
}

struct Work<'a> {
    t: &'a Thin,
    kernel: &'a MicroKernel,
}

/// Where the left operand of a block lies: its first row, and in numbers the steps to the next product, the next row of the image and the
/// same for the next row of the filter.
struct Left {
    first: *const f32,
    step: usize,
    segment: usize,
    tap: usize,
}

impl Work<'_> {
    /// The sums over `blocks`, a row for each tap and channel of the thin image.
    ///
    /// # Safety
    /// As [`run_thin`]; `c` has room for the sums and `padded` for a block of padded rows where the thin image is the small one.
    unsafe fn sum(&self, blocks: Range<usize>, a: *const f32, b: *const f32, c: *mut f32, padded: *mut f32) {
        let (t, width, columns) = (self.t, self.kernel.columns, self.t.wide.channels);
        let line = t.wide.size[1] * columns;
        // The wide image is as many rows lower as the tap, where it is the big one.
        let down = usize::from(!t.thin_is_big) * line;
        let place = |at: &Block| (at.image * t.wide.size[0] + at.rows.start) * line;
        let tiles = t.rows().div_ceil(self.kernel.rows);
        let across = self.kernel.across();
        let calls = t.kernel[0] * (columns / width).div_ceil(across) * tiles;
        let asks = |rows: &Range<usize>| calls * self.kernel.asks(rows.len(), t.wide.size[1]);
        for n in blocks.clone() {
            let block = t.block(n);
            // SAFETY: rows of the images.
            let left = unsafe { self.left(a, &block, padded) };
            let mut ahead = match n + 1 < blocks.end {
                true => {
                    let next = t.block(n + 1);
                    Ahead::new(
                        b.wrapping_add(place(&next) + (t.kernel[0] - 1) * down),
                        1,
                        0,
                        next.rows.len() * line,
                        asks(&block.rows),
                    )
                }
                false => Ahead::NOTHING,
            };
            for y in 0..t.kernel[0] {
                for panels in together(0..columns / width, across) {
                    let from = b.wrapping_add(place(&block) + y * down + panels.start * width);
                    let mut args = TileArgs::new(from, t.wide.size[1], width);
                    (args.segments, args.b_step, args.b_segment) = (block.rows.len(), columns * 4, line * 4);
                    (args.a_step, args.a_segment, args.a_pair) = (left.step * 4, left.segment * 4, 4);
                    // Panels are columns of the image.
                    args.b_panel = width * 4;
                    args.accumulate = usize::from(n > blocks.start);
                    let mut row = 0;
                    for tile in 0..tiles {
                        let high = t.rows() / tiles + usize::from(tile < t.rows() % tiles);
                        for r in 0..high {
                            args.a_rows[r] = left.first.wrapping_add(y * left.tap + row + r);
                            args.c_rows[r] = c.wrapping_add((y * t.rows() + row + r) * columns + panels.start * width);
                        }
                        row += high;
                        args.ask(self.kernel, std::slice::from_mut(&mut ahead));
                        // SAFETY: all addresses lie inside the buffers.
                        unsafe { (self.kernel.run[panels.len() - 1][high - 1])(&args) };
                    }
                }
            }
        }
    }

    /// The left operand of a block: the thin image as it is, or between zeros in `padded`.
    ///
    /// # Safety
    /// As [`Work::sum`].
    unsafe fn left(&self, a: *const f32, block: &Block, padded: *mut f32) -> Left {
        let (t, [height, width], channels) = (self.t, self.t.thin.size, self.t.thin.channels);
        let row = width * channels;
        if t.thin_is_big {
            let first = (block.image * height + block.rows.start * t.stride[0]) * row;
            return Left { first: a.wrapping_add(first), step: t.stride[1] * channels, segment: t.stride[0] * row, tap: row };
        }
        let margin = (t.kernel[1] - 1) * channels;
        for (n, y) in block.rows.clone().enumerate() {
            // SAFETY: a row of the image, and its place between the margins, which stay 0.
            unsafe {
                let to = padded.add(n * (row + 2 * margin) + margin);
                std::ptr::copy_nonoverlapping(a.add((block.image * height + y) * row), to, row);
            }
        }
        Left { first: padded, step: channels, segment: row + 2 * margin, tap: 0 }
    }
}
