//! Copying matrices into panels as wide as the micro-kernel's tile.

use super::MicroKernel;
use super::ahead::ask;
use crate::schedule::tiles::Pack;
use std::ops::Range;

/// Panels of a task: neighbours in the source, so that whole runs of cache lines are read.
const GROUP: usize = 4;
/// Rows of the source that are asked for before they are copied, and elements of each where rows are turned into columns.
const ROWS_AHEAD: usize = 12;
const TURNED_AHEAD: usize = 32;
/// Taps of the source whose pieces are asked for before they are copied.
const TAPS_AHEAD: usize = 2;

/// Tasks of a pack: groups of panels, over all matrices of a batch.
pub fn pack_tasks(p: &Pack) -> usize {
    p.batch * p.columns.div_ceil(p.width).div_ceil(GROUP)
}

/// Copies the panels of group `task`.
///
/// # Safety
/// `source` and `target` point to the first elements of the buffers that `p` describes; nobody else writes these panels; the
/// CPU can run `kernel`.
pub unsafe fn pack_panels(p: &Pack, kernel: &MicroKernel, source: *const f32, target: *mut f32, task: usize) {
    let panels = p.columns.div_ceil(p.width);
    let groups = panels.div_ceil(GROUP);
    let (matrix, group) = (task / groups, task % groups);
    let some = group * GROUP..((group + 1) * GROUP).min(panels);
    // SAFETY: the panels lie at these places of the target.
    unsafe {
        let source = source.add(matrix * p.source_batch);
        pack_some(p, kernel, source, target.add((matrix * panels + some.start) * p.panel_rows() * p.width), some);
    }
}

/// Copies panels `some` of the matrix at `source` to `target`.
///
/// # Safety
/// As [`pack_panels`], with room for these panels at `target`.
pub unsafe fn pack_some(p: &Pack, kernel: &MicroKernel, source: *const f32, target: *mut f32, some: Range<usize>) {
    let panel_len = p.panel_rows() * p.width;
    // SAFETY: the source has the rows and columns that `p` says, and the target room for them.
    unsafe {
        for (i, &tap) in p.taps.iter().enumerate() {
            let from = source.add(tap + some.start * p.width * p.column_step);
            let to = target.add(i * p.rows * p.width);
            if !p.is_even() {
                for (n, panel) in some.clone().enumerate() {
                    grouped(p, source.add(tap), to.add(n * panel_len), panel);
                }
            } else if p.column_step == 1 {
                for row in 0..p.rows {
                    for (n, panel) in some.clone().enumerate() {
                        let columns = p.width.min(p.columns - panel * p.width);
                        let (from, to) = (from.add(row * p.row_step + n * p.width), to.add(n * panel_len + row * p.width));
                        ask(from.wrapping_add(ROWS_AHEAD * p.row_step));
                        if columns == 16 {
                            // As long as most panels are wide: a copy of known length needs no call.
                            to.cast::<[f32; 16]>().write_unaligned(from.cast::<[f32; 16]>().read_unaligned());
                        } else {
                            std::ptr::copy_nonoverlapping(from, to, columns);
                        }
                        if columns < p.width {
                            std::ptr::write_bytes(to.add(columns), 0, p.width - columns);
                        }
                    }
                }
            } else {
                let soon = p.taps.get(i + TAPS_AHEAD).filter(|_| p.taps_are_pieces());
                for (n, panel) in some.clone().enumerate() {
                    let columns = p.width.min(p.columns - panel * p.width);
                    if let Some(soon) = soon {
                        let piece = source.wrapping_add(soon + panel * p.width * p.column_step);
                        (0..columns * p.rows).step_by(16).for_each(|line| ask(piece.wrapping_add(line)));
                    }
                    transpose(p, kernel, from.add(n * p.width * p.column_step), to.add(n * panel_len), columns);
                }
            }
        }
    }
}

/// Columns lie in groups: element by element.
///
/// # Safety
/// As [`pack_panels`], for one group of rows of one panel.
unsafe fn grouped(p: &Pack, from: *const f32, to: *mut f32, panel: usize) {
    for row in 0..p.rows {
        for n in 0..p.width {
            let column = panel * p.width + n;
            let place = column / p.group.0 * p.group.1 + column % p.group.0 * p.column_step;
            // SAFETY: an element of the matrix; columns past it are filled with 0.
            unsafe { *to.add(row * p.width + n) = if column < p.columns { *from.add(row * p.row_step + place) } else { 0.0 } };
        }
    }
}

/// Columns lie apart in the source: square blocks keep both sides in cache, and whole ones go through registers where the
/// CPU can.
///
/// # Safety
/// As [`pack_panels`], for one group of rows of one panel.
unsafe fn transpose(p: &Pack, kernel: &MicroKernel, from: *const f32, to: *mut f32, columns: usize) {
    const BLOCK: usize = 8;
    for start in (0..p.rows).step_by(BLOCK) {
        let end = (start + BLOCK).min(p.rows);
        for first in (0..p.width).step_by(BLOCK) {
            // SAFETY: the block's rows and columns are inside the group; columns past the matrix are filled with 0.
            unsafe {
                let (from, to) = (from.add(start * p.row_step + first * p.column_step), to.add(start * p.width + first));
                if let Some(square) = kernel.transpose
                    && p.row_step == 1
                    && end - start == BLOCK
                    && first + BLOCK <= columns
                {
                    if start % 16 == 0 {
                        (0..BLOCK).for_each(|i| ask(from.wrapping_add(i * p.column_step + TURNED_AHEAD)));
                    }
                    square(from, p.column_step, to, p.width);
                    continue;
                }
                for column in 0..BLOCK.min(p.width - first) {
                    for row in 0..end - start {
                        let inside = first + column < columns;
                        *to.add(row * p.width + column) =
                            if inside { *from.add(row * p.row_step + column * p.column_step) } else { 0.0 };
                    }
                }
            }
        }
    }
}
