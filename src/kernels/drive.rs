//! The loops around the micro-kernel: which rows and columns a task owns, and in which order its tiles are computed.
//!
//! The cut into tasks depends on shapes only. Every element of a result belongs to one task, which computes it in one
//! fixed order.

use super::{MOST_ROWS, MicroKernel, TileArgs};
use crate::schedule::tiles::{Phase, Tiles};
use std::ops::Range;

/// How a product is cut into tasks.
#[derive(Clone, Debug)]
pub struct TileJob {
    /// Tasks in order.
    pub tasks: Vec<Task>,
}

/// What one task owns: images, rows (of the grid's `y`) and panels. Where images are summed up, `phases` instead of images.
#[derive(Clone, Debug)]
pub struct Task {
    /// Images.
    pub images: Range<usize>,
    /// Phases.
    pub phases: Range<usize>,
    /// Rows of the grid.
    pub rows: Range<usize>,
    /// Panels of columns.
    pub panels: Range<usize>,
    /// Rows of the largest phase's grid.
    pub grid_rows: usize,
}

/// Operations of a task, roughly.
const TASK_FLOPS: usize = 2_000_000;
/// Most tasks of a product.
const MOST_TASKS: usize = 64;
/// Elements of the left operand that a task walks for each panel; they should stay in the second-level cache.
const CACHED: usize = 96 * 1024;

fn chunks(len: usize, parts: usize) -> impl Iterator<Item = Range<usize>> {
    let size = len.div_ceil(parts.clamp(1, len.max(1)));
    (0..len.div_ceil(size)).map(move |i| i * size..((i + 1) * size).min(len))
}

impl TileJob {
    /// Cuts `t` for micro-kernels of `columns` columns. `by_column` says that what follows the product may be run on a range of
    /// its columns.
    pub fn new(t: &Tiles, columns: usize, by_column: bool) -> TileJob {
        let panels = t.n.div_ceil(columns);
        let wanted = (t.flops() / TASK_FLOPS).clamp(1, MOST_TASKS);
        let rows = t.phases.iter().map(|p| p.ny).max().unwrap_or(0);
        let grid_rows = rows;
        let mut tasks = Vec::new();
        if t.sum_images {
            let row_parts = (wanted / t.phases.len()).clamp(1, rows.div_ceil(48));
            let panel_parts = wanted.div_ceil(t.phases.len() * row_parts).min(panels);
            for phase in 0..t.phases.len() {
                for rows in chunks(rows, row_parts) {
                    for panels in chunks(panels, panel_parts) {
                        tasks.push(Task { images: 0..t.images, phases: phase..phase + 1, rows: rows.clone(), panels, grid_rows });
                    }
                }
            }
            return TileJob { tasks };
        }
        let phases = 0..t.phases.len();
        if t.images > 1 {
            // As many images as stay in cache while all panels pass over them.
            let cached = (CACHED / t.a_image.max(1)).clamp(1, t.images);
            let parts = t.images.div_ceil(cached).max(wanted.min(t.images).min(8));
            for images in chunks(t.images, parts) {
                tasks.push(Task { images, phases: phases.clone(), rows: 0..rows, panels: 0..panels, grid_rows });
            }
        } else {
            let grid: usize = t.phases.iter().map(|p| p.ny * p.nx).max().unwrap_or(0);
            let column_parts = if by_column { wanted.min(panels).min(if grid > 128 { 4 } else { 16 }) } else { 1 };
            let row_parts = wanted.div_ceil(column_parts).min(rows.div_ceil(if grid == rows { 12 } else { 1 })).max(1);
            for rows in chunks(rows, row_parts) {
                for panels in chunks(panels, column_parts) {
                    tasks.push(Task { images: 0..1, phases: phases.clone(), rows: rows.clone(), panels, grid_rows });
                }
            }
        }
        TileJob { tasks }
    }
}

/// Runs one task.
///
/// # Safety
/// `a`, `b` and `c` point to the first elements of the buffers that `t` describes, with 64 readable bytes after the end of `b`;
/// nobody else writes what the task owns; the CPU can run `kernel`.
pub unsafe fn run_tiles(t: &Tiles, kernel: &MicroKernel, task: &Task, a: *const f32, b: *const f32, c: *mut f32) {
    let mut scratch = [0.0f32; MOST_ROWS * 64];
    let packed_rows = t.packed_rows();
    for phase in &t.phases[task.phases.clone()] {
        if t.sum_images {
            // So many images at a time that sums in memory are touched rarely and operands stay in cache.
            let per_image = phase.segments * phase.k;
            let blocks = (512 / per_image.max(1)).clamp(1, task.images.len());
            for images in chunks(task.images.len(), task.images.len().div_ceil(blocks)) {
                for panel in task.panels.clone() {
                    let job =
                        Block { t, kernel, phase, task, images: images.clone(), panel, accumulate: images.start > 0, b_row: 0 };
                    // SAFETY: passed on from the caller.
                    unsafe { job.run(a, b, c, &mut scratch) };
                }
            }
        } else {
            for panel in task.panels.clone() {
                for image in task.images.clone() {
                    let b_row = panel * packed_rows + phase.b_row;
                    let job = Block { t, kernel, phase, task, images: image..image + 1, panel, accumulate: false, b_row };
                    // SAFETY: passed on from the caller.
                    unsafe { job.run(a, b, c, &mut scratch) };
                }
            }
        }
    }
}

/// The tiles of one phase, one panel and one image (or the images summed up at a time).
struct Block<'a> {
    t: &'a Tiles,
    kernel: &'a MicroKernel,
    phase: &'a Phase,
    task: &'a Task,
    images: Range<usize>,
    panel: usize,
    accumulate: bool,
    b_row: usize,
}

impl Block<'_> {
    /// # Safety
    /// As [`run_tiles`].
    unsafe fn run(&self, a: *const f32, b: *const f32, c: *mut f32, scratch: &mut [f32; MOST_ROWS * 64]) {
        let (t, p, width) = (self.t, self.phase, self.kernel.columns);
        let column = self.panel * width;
        let columns = width.min(t.n - column);
        let image = self.images.start;
        let rows = self.task.rows.start.min(p.ny)..self.task.rows.end.min(p.ny);
        let count = rows.len() * p.nx;
        let b_start = match t.b_step {
            Some(_) => t.b_offset + image * t.b_image + column,
            None => t.b_offset + image * t.b_image + self.b_row * width,
        };
        // SAFETY: the offsets are those that `t` describes.
        let (a, b, c) =
            unsafe { (a.add(t.a_offset + image * t.a_image + p.a), b.add(b_start), c.add(image * t.c_image + p.c + column)) };
        let mut args = TileArgs {
            a_rows: [a; MOST_ROWS],
            c_rows: [c; MOST_ROWS],
            b,
            k: p.k,
            segments: p.segments,
            blocks: self.images.len(),
            a_step: t.a_step * 4,
            a_segment: t.a_segment * 4,
            a_block: t.a_image * 4,
            b_step: t.b_step.unwrap_or(width) * 4,
            b_segment: if t.b_step.is_some() { t.b_segment * 4 } else { p.k * width * 4 },
            b_block: t.b_image * 4,
            accumulate: usize::from(self.accumulate),
        };
        // Tiles of nearly equal height: no small remainder.
        let tiles = count.div_ceil(self.kernel.rows);
        let (mut y, mut x) = (rows.start, 0);
        for tile in 0..tiles {
            let height = count / tiles + usize::from(tile < count % tiles);
            let mut whole = [c; MOST_ROWS];
            for r in 0..height {
                // SAFETY: row (y, x) is inside the phase's grid.
                unsafe {
                    args.a_rows[r] = a.add(y * p.a_y + x * p.a_x);
                    whole[r] = c.add(y * p.c_y + x * p.c_x);
                }
                x += 1;
                if x == p.nx {
                    (x, y) = (0, y + 1);
                }
            }
            if columns == width {
                args.c_rows = whole;
                // SAFETY: all addresses are inside the buffers.
                unsafe { (self.kernel.run[height - 1])(&args) };
                continue;
            }
            // A short panel goes by way of a scratch tile.
            for r in 0..height {
                args.c_rows[r] = scratch[r * width..].as_mut_ptr();
                if self.accumulate {
                    // SAFETY: `columns` elements of a row of the result.
                    unsafe { std::ptr::copy_nonoverlapping(whole[r], args.c_rows[r], columns) };
                }
            }
            // SAFETY: as above; the result goes to the scratch tile.
            unsafe { (self.kernel.run[height - 1])(&args) };
            for (r, &row) in whole.iter().enumerate().take(height) {
                // SAFETY: `columns` elements of a row of the result.
                unsafe { std::ptr::copy_nonoverlapping(args.c_rows[r], row, columns) };
            }
        }
    }
}
