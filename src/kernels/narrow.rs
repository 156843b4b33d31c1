//! Convolutions whose result has few channels: one product of every pixel with all taps at once, whose columns are then summed up where
//! they meet.
//!
//! A task owns images, or rows of a single one; it works on some rows at a time, so that the products stay in the second-level cache.

use super::MicroKernel;
use super::ahead::Ahead;
use super::product::{Product, multiply, scratch};
use crate::schedule::narrow::Narrow;
use std::ops::Range;

/// Numbers of products that a task holds at a time, roughly.
const HELD: usize = 64 * 1024;
/// Tasks of an image.
const PARTS: usize = 8;
/// Numbers that are summed up together: as many as there may be channels.
const LANES: usize = 4;

/// What a task owns.
#[derive(Clone, Debug)]
pub struct NarrowTask {
    /// Images.
    pub images: Range<usize>,
    /// Rows of the result.
    pub rows: Range<usize>,
}

/// The tasks of `n`.
pub fn narrow_tasks(n: &Narrow) -> Vec<NarrowTask> {
    let rows = n.result[0];
    if n.images > 1 {
        return (0..n.images).map(|i| NarrowTask { images: i..i + 1, rows: 0..rows }).collect();
    }
    let some = rows.div_ceil(PARTS).max(1);
    (0..rows).step_by(some).map(|r| NarrowTask { images: 0..1, rows: r..(r + some).min(rows) }).collect()
}

/// Runs one task.
///
/// # Safety
/// `a`, `b` and `c` point to the left image, the packed filter and the result that `n` describes; nobody else writes what the task owns;
/// the CPU can run `kernel`.
pub unsafe fn run_narrow(n: &Narrow, kernel: &MicroKernel, task: &NarrowTask, a: *const f32, b: *const f32, c: *mut f32) {
    let [height, width] = n.left;
    let line = n.columns().next_multiple_of(kernel.columns);
    let some = (HELD / (line * width * n.axes[0].stride.max(1))).max(1) * n.axes[0].stride;
    let reach = n.axes[0].reach(some);
    let sums = n.sums(line);
    scratch([(reach * width + 1) * line + LANES], |[held]| {
        for image in task.images.clone() {
            for first in task.rows.clone().step_by(some) {
                let rows = first..(first + some).min(task.rows.end);
                let source = n.axes[0].source(&rows);
                let pixels = source.start * width..source.end.min(height) * width;
                for panel in 0..line / kernel.columns {
                    let from = a.wrapping_add((image * height * width + pixels.start) * n.inputs);
                    // The first panel meets the pixels in memory: each tile asks for those of the next.
                    let mut ahead = match panel {
                        0 => Ahead::new(
                            from.wrapping_add(kernel.rows * n.inputs),
                            1,
                            0,
                            pixels.len() * n.inputs,
                            pixels.len().div_ceil(kernel.rows),
                        ),
                        _later => Ahead::NOTHING,
                    };
                    // SAFETY: pixels of the image, and room for their products.
                    unsafe {
                        multiply(
                            kernel,
                            &Product {
                                rows: pixels.len(),
                                a: from,
                                a_row: n.inputs,
                                a_step: 1,
                                a_segment: 0,
                                segments: 1,
                                k: n.inputs,
                                b: b.add(panel * n.inputs * kernel.columns),
                                c: held.add(panel * kernel.columns),
                                c_row: line,
                                accumulate: false,
                            },
                            std::slice::from_mut(&mut ahead),
                        );
                    }
                }
                for y in rows {
                    // SAFETY: row `y` of the result, and the products of all pixels it meets.
                    unsafe {
                        let to = c.add((image * n.result[0] + y) * n.result[1] * n.channels);
                        row(n, &sums, y, source.start, held, line, to);
                    }
                }
            }
        }
    });
}

/// Sums up one row of the result.
///
/// # Safety
/// `held` has the products of the pixels from row `start` on, and `to` is the row.
unsafe fn row(n: &Narrow, sums: &[Vec<usize>], y: usize, start: usize, held: *const f32, line: usize, to: *mut f32) {
    let [up, across] = [n.axes[0].stride, n.axes[1].stride];
    let (last, width) = (n.result[1] - 1, n.left[1]);
    for x in 0..=last {
        let places = &sums[y % up * across + x % across];
        // SAFETY: a place of the products for each tap; what lies past the channels is not used.
        unsafe {
            let from = held.add((y / up * width + x / across) * line).wrapping_sub(start * width * line);
            let mut sum = [0.0f32; LANES];
            for &place in places {
                let four = from.wrapping_add(place).cast::<[f32; LANES]>().read_unaligned();
                for (s, v) in sum.iter_mut().zip(four) {
                    *s += v;
                }
            }
            let to = to.add(x * n.channels);
            if x < last && n.channels * (last - x) >= LANES {
                // What is too much is overwritten by the pixels that follow.
                to.cast::<[f32; LANES]>().write_unaligned(sum);
            } else {
                std::ptr::copy_nonoverlapping(sum.as_ptr(), to, n.channels);
            }
        }
    }
}
