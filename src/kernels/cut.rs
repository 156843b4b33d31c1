//! How a product is cut into tasks: which images, rows and columns each owns.
//!
//! The cut depends on shapes and the micro-kernel only. Every element of a result belongs to one task.

use super::MicroKernel;
use crate::schedule::tiles::Tiles;
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

impl Task {
    /// What it takes, relative to other tasks of the product.
    pub fn size(&self) -> usize {
        self.images.len() * self.phases.len() * self.rows.len() * self.panels.len()
    }
}

/// Operations of a task, roughly.
const TASK_FLOPS: usize = 1_000_000;
/// Elements of the right operand of a task, roughly: where rows are few, reading it is what takes time.
const TASK_READS: usize = 64 * 1024;
/// Tasks that keep all threads of a usual machine busy.
const ENOUGH_TASKS: usize = 8;
/// Most tasks of a product.
const MOST_TASKS: usize = 64;
/// Elements of packed panels that stay in the second-level cache.
const HELD_PANELS: usize = 32 * 1024;
/// Fewest rows of half of a product: two tiles, so that panels are read for enough of them.
const FEW_ROWS_OF_HALF: usize = 28;
/// Fewest tasks that rows alone are cut into.
const FEW_TASKS: usize = 4;
/// Elements of the left operand that a task walks for each panel; they should stay in the second-level cache.
const CACHED: usize = 96 * 1024;
/// Most rows of a task that copies its left operand.
const COPIED_ROWS: usize = 96;
/// The same where it leaves out the zeros of rows, and the fewest rows of a task that does: the more they are, the more often is a panel
/// used that was copied for them.
const SPARSE_ROWS: usize = 256;
const FEW_SPARSE_ROWS: usize = 64;
/// Fewest and most panels of such a task, where there is a choice.
const FEW_COPIED_PANELS: usize = 8;
const COPIED_PANELS: usize = 17;
/// A part of what is left of half of the panels is a task: the last tasks are small, so that threads end together.
const PART_OF_HALF: usize = 3;

/// `parts` ranges of about the same length; fewer if `len` is less.
fn even(len: usize, parts: usize) -> impl Iterator<Item = Range<usize>> {
    let parts = parts.clamp(1, len.max(1));
    (0..parts).map(move |i| i * len / parts..(i + 1) * len / parts)
}

/// Ranges of panels, whole tiles each, that grow shorter.
fn ever_less(panels: Range<usize>, across: usize) -> impl Iterator<Item = Range<usize>> {
    let mut left = panels;
    std::iter::from_fn(move || {
        let end = (left.start + left.len().div_ceil(PART_OF_HALF).next_multiple_of(across)).min(left.end);
        let some = std::mem::replace(&mut left.start, end)..end;
        (!some.is_empty()).then_some(some)
    })
}

/// About `parts` ranges of rows, whole tiles but for the last.
fn whole_tiles(rows: usize, height: usize, parts: usize) -> impl Iterator<Item = Range<usize>> {
    even(rows.div_ceil(height), parts).map(move |tiles| tiles.start * height..(tiles.end * height).min(rows))
}

impl TileJob {
    /// Cuts `t` for a micro-kernel. `by_column` says that what follows the product may be run on a range of
    /// its columns.
    pub fn new(t: &Tiles, kernel: &MicroKernel, by_column: bool) -> TileJob {
        let panels = t.n.div_ceil(kernel.columns);
        // Tasks own whole tiles, but for the last. What leaves out the zeros of rows takes as many panels as it can at a time, where
        // nothing else is shared an even number of times.
        let across = kernel.across();
        let sparse = kernel.sparse.as_ref().filter(|_| t.leaves_zeros_out()).map(|s| s.run.len());
        let columns_in = |parts: usize, multiple: usize| -> Vec<Range<usize>> {
            match sparse {
                Some(most) => even(panels, parts.min(panels.div_ceil(most).next_multiple_of(multiple))).collect(),
                None => {
                    let tiles = even(panels.div_ceil(across), parts);
                    tiles.map(|g| g.start * across..(g.end * across).min(panels)).collect()
                }
            }
        };
        let columns = |parts: usize| columns_in(parts, 2);
        let read = t.packed_rows() * panels * kernel.columns;
        // The last panel takes as long as a full one.
        let flops = t.flops() / t.n * panels * kernel.columns;
        let wanted = flops.div_ceil(TASK_FLOPS).max(read / TASK_READS).clamp(1, MOST_TASKS);
        let rows = t.phases.iter().map(|p| p.ny).max().unwrap_or(0);
        let grid_rows = rows;
        let mut tasks = Vec::new();
        if t.pack.is_some() {
            for panels in columns(2).into_iter().flat_map(|half| ever_less(half, across)) {
                tasks.push(Task { images: 0..1, phases: 0..1, rows: 0..rows, panels, grid_rows });
            }
            return TileJob { tasks };
        }
        if t.rows_are_neighbours() {
            // Every task reads the whole right operand: few rows would make it wait for memory.
            let apart = if t.sum_images { 1 } else { t.images };
            let few = wanted.min(ENOUGH_TASKS).div_ceil(t.phases.len() * apart);
            let (row_parts, most_copies) = match sparse {
                Some(_) => (rows.div_ceil(SPARSE_ROWS).next_multiple_of(2), ENOUGH_TASKS),
                None => (rows.div_ceil(COPIED_ROWS).max(few.min(rows.div_ceil(24))), 2 * ENOUGH_TASKS),
            };
            let parts = row_parts * t.phases.len() * apart;
            // Each copies what it reads, so that many narrow ones would copy the same; what a wide one makes and what follows it reads
            // should stay in cache.
            let copies = wanted.min(most_copies).div_ceil(parts).max(panels.div_ceil(COPIED_PANELS));
            let most = panels.div_ceil(FEW_COPIED_PANELS);
            let panel_parts = if by_column { copies.min(wanted.div_ceil(parts)).min(most) } else { 1 };
            let images: Vec<Range<usize>> =
                if t.sum_images { vec![0..t.images] } else { (0..t.images).map(|i| i..i + 1).collect() };
            for images in images {
                for phase in 0..t.phases.len() {
                    // Columns first: weights are shared out to be updated as they were to be multiplied by.
                    for panels in columns(panel_parts) {
                        for rows in whole_tiles(rows, kernel.rows, row_parts) {
                            tasks.push(Task {
                                images: images.clone(),
                                phases: phase..phase + 1,
                                rows,
                                panels: panels.clone(),
                                grid_rows,
                            });
                        }
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
            for images in even(t.images, parts) {
                tasks.push(Task { images, phases: phases.clone(), rows: 0..rows, panels: 0..panels, grid_rows });
            }
        } else {
            // Columns are cut first: a panel that stays in cache while all rows pass over it is read once. Rows that do not stay there
            // themselves should not pass over many. Where all panels stay in cache, rows are cut first, as those of what comes before and
            // after are.
            let grid: usize = t.phases.iter().map(|p| p.ny * p.nx).max().unwrap_or(0);
            let most = if t.shapes[0].iter().product::<usize>() > CACHED { 4 } else { panels };
            let fewest_rows = match sparse {
                Some(_) => FEW_SPARSE_ROWS,
                None if grid == rows => 12,
                None => 1,
            };
            let most_rows = rows.div_ceil(fewest_rows);
            let few = grid == rows && read <= HELD_PANELS && most_rows >= FEW_TASKS;
            // Where nobody updates the panels, each half of the rows goes from layer to layer in the hands of one: to read what another core
            // wrote, and to write where it has read, may take longer than to read all panels.
            let halved = !t.updated && grid == rows && rows >= 2 * FEW_ROWS_OF_HALF;
            let halves = if halved { 2 } else { 1 };
            let column_parts = if by_column && !few { wanted.div_ceil(halves).min(panels).min(most) } else { 1 };
            let row_parts = (wanted / column_parts).min(most_rows).max(halves);
            let height = if grid == rows && !halved { kernel.rows } else { 1 };
            let row_parts = if row_parts > 1 { row_parts.next_multiple_of(2) } else { 1 };
            let row_ranges = || whole_tiles(rows, height, row_parts);
            let column_ranges = columns_in(column_parts, 2 / halves);
            let parts: Vec<(Range<usize>, Range<usize>)> = match t.updated {
                // Who updates panels has multiplied by them.
                true => column_ranges.into_iter().flat_map(|p| row_ranges().map(move |r| (r, p.clone()))).collect(),
                false => row_ranges().flat_map(|r| column_ranges.iter().cloned().map(move |p| (r.clone(), p))).collect(),
            };
            for (rows, panels) in parts {
                tasks.push(Task { images: 0..1, phases: phases.clone(), rows, panels, grid_rows });
            }
        }
        TileJob { tasks }
    }
}
