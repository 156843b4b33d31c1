//! Convolutions whose result has few channels: one product of every pixel with all taps at once, whose columns are then summed up where
//! they meet.
//!
//! A task owns an image or some rows of one. It works on some rows at a time and keeps the products of those that the next ones need, too, in a
//! ring that stays in the second-level cache.

use super::ahead::Ahead;
use super::product::{Product, multiply, scratch};
use super::{MicroKernel, together};
use crate::schedule::narrow::Narrow;
use std::ops::Range;

/// Numbers of products that a task holds at a time, roughly: they stay in the second-level cache.
const HELD: usize = 64 * 1024;
/// Fewest rows of pixels that are multiplied at a time.
const FEWEST: usize = 2;
/// Tasks of a convolution that keep most machines busy.
const ENOUGH_TASKS: usize = 8;
/// A task has at least this many times the rows that it and the one before it both multiply.
const OVERLAP: usize = 3;
/// Numbers that are summed up together: as many as there may be channels.
const LANES: usize = 4;
/// Pixels that are summed up together, so that an addition does not wait for the one before it.
const TOGETHER: usize = 4;

/// What a task owns.
#[derive(Clone, Debug)]
pub struct NarrowTask {
    /// Images.
    pub images: Range<usize>,
    /// Rows of the result.
    pub rows: Range<usize>,
}

impl NarrowTask {
    /// What it takes, relative to other tasks of the convolution.
    pub fn size(&self) -> usize {
        self.images.len() * self.rows.len()
    }
}

/// The tasks of `n`; whether images may be cut depends on what follows.
pub fn narrow_tasks(n: &Narrow, cut: bool) -> Vec<NarrowTask> {
    let (rows, [up, _]) = (n.result[0], n.axes.each_ref().map(|a| a.stride));
    let fewest = OVERLAP * (n.axes[0].reach(1) - 1) * up;
    let some = rows.div_ceil(ENOUGH_TASKS.div_ceil(n.images)).max(fewest).next_multiple_of(up);
    let some = if cut { some.max(1) } else { rows };
    let parts = |i: usize| (0..rows).step_by(some).map(move |r| NarrowTask { images: i..i + 1, rows: r..(r + some).min(rows) });
    (0..n.images).flat_map(parts).collect()
}

/// Runs one task.
///
/// # Safety
/// `a`, `b` and `c` point to the left image, the packed filter and the result that `n` describes; nobody else writes what the task owns;
/// the CPU can run `kernel`.
pub unsafe fn run_narrow(n: &Narrow, kernel: &MicroKernel, task: &NarrowTask, a: *const f32, b: *const f32, c: *mut f32) {
    let [height, width] = n.left;
    let (line, up) = (n.columns().next_multiple_of(kernel.columns), n.axes[0].stride);
    let both = n.axes[0].reach(1) - 1;
    let some = (HELD / (line * width)).saturating_sub(both).max(FEWEST) * up;
    // A ring of rows of pixels: row `y` is in place `y` modulo their number.
    let ring = n.axes[0].reach(some);
    let row = match n.channels {
        1 => row::<1>,
        2 => row::<2>,
        3 => row::<3>,
        LANES => row::<LANES>,
        more => unreachable!("{more} channels are not few"),
    };
    scratch([ring * width * line + LANES], |[held]| {
        for image in task.images.clone() {
            let mut done = 0;
            for first in task.rows.clone().step_by(some) {
                let rows = first..(first + some).min(task.rows.end);
                let source = n.axes[0].source(&rows);
                let end = source.end.min(height);
                let mut next = source.start.max(done);
                while next < end {
                    let some = (end - next).min(ring - next % ring);
                    let (from, to) = ((image * height + next) * width * n.inputs, next % ring * width * line);
                    // SAFETY: pixels of the image, and room for their products.
                    unsafe { multiply_pixels(n, kernel, some * width, a.add(from), b, held.add(to), line) };
                    next += some;
                }
                done = end;
                for y in rows {
                    // SAFETY: row `y` of the result, and the products of all pixels it meets.
                    unsafe { row(n, y, held, ring, line, c.add((image * n.result[0] + y) * n.result[1] * n.channels)) };
                }
            }
        }
    });
}

/// The products of `pixels` pixels at `from` with all taps, a `line` for each at `to`.
///
/// # Safety
/// As [`run_narrow`]; there is room for the products.
unsafe fn multiply_pixels(
    n: &Narrow,
    kernel: &MicroKernel,
    pixels: usize,
    from: *const f32,
    b: *const f32,
    to: *mut f32,
    line: usize,
) {
    for panels in together(0..line / kernel.columns, kernel.across()) {
        // The first panel meets the pixels in memory: each tile asks for those of the next.
        let next = from.wrapping_add(kernel.rows * n.inputs);
        let mut ahead = match panels.start {
            0 => Ahead::new(next, 1, 0, pixels * n.inputs, pixels.div_ceil(kernel.rows) * kernel.asks(1, n.inputs)),
            _later => Ahead::NOTHING,
        };
        let product = Product {
            rows: pixels,
            a: from,
            a_row: n.inputs,
            a_step: 1,
            a_segment: 0,
            segments: 1,
            k: n.inputs,
            panels: panels.len(),
            b: b.wrapping_add(panels.start * n.inputs * kernel.columns),
            b_panel: n.inputs * kernel.columns,
            c: to.wrapping_add(panels.start * kernel.columns),
            c_row: line,
            c_panel: kernel.columns,
            accumulate: false,
        };
        // SAFETY: passed on from the caller.
        unsafe { multiply(kernel, &product, std::slice::from_mut(&mut ahead)) };
    }
}

/// Sums up row `y` of the result, which has `C` channels.
///
/// # Safety
/// `held` has the products of the pixels that the row meets, in a ring of so many rows, and `to` is the row.
unsafe fn row<const C: usize>(n: &Narrow, y: usize, held: *const f32, ring: usize, line: usize, to: *mut f32) {
    let across = n.axes[1].stride;
    for phase in 0..across.min(n.result[1]) {
        let places = n.places(y, phase, ring, line);
        let count = (n.result[1] - phase).div_ceil(across);
        let at = |i: usize| (held.wrapping_add(i * line), to.wrapping_add((i * across + phase) * C));
        let (runs, step) = (count / TOGETHER * TOGETHER, across * C);
        // SAFETY: a place of the products for each tap of each pixel, and all channels of these pixels.
        unsafe {
            for i in (0..runs).step_by(TOGETHER) {
                let (from, to) = at(i);
                pixels::<C, TOGETHER>(&places, from, line, to, step);
            }
            for i in runs..count {
                let (from, to) = at(i);
                pixels::<C, 1>(&places, from, line, to, step);
            }
        }
    }
}

/// Sums up `N` pixels, `step` apart at `to`, whose products are a `line` apart.
///
/// # Safety
/// `from` has products at all `places` and [`LANES`] numbers after each for all of the pixels; `to` has room for them.
unsafe fn pixels<const C: usize, const N: usize>(places: &[usize], from: *const f32, line: usize, to: *mut f32, step: usize) {
    let mut sums = [[0.0f32; LANES]; N];
    for &place in places {
        for (i, sum) in sums.iter_mut().enumerate() {
            // SAFETY: see above; what lies past the channels is not used.
            let four = unsafe { from.wrapping_add(place + i * line).cast::<[f32; LANES]>().read_unaligned() };
            sum.iter_mut().zip(four).for_each(|(s, v)| *s += v);
        }
    }
    for (i, sum) in sums.iter().enumerate() {
        // SAFETY: see above.
        unsafe { std::ptr::copy_nonoverlapping(sum.as_ptr(), to.wrapping_add(i * step), C) };
    }
}
