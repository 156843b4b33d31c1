//! Copying matrices into panels as wide as the micro-kernel's tile.

use crate::schedule::tiles::Pack;

/// Tasks of a pack: its panels, over all matrices of a batch.
pub fn pack_tasks(p: &Pack) -> usize {
    p.batch * p.columns.div_ceil(p.width)
}

/// Copies panel `task`.
///
/// # Safety
/// `source` and `target` point to the first elements of the buffers that `p` describes; nobody else writes this panel.
pub unsafe fn pack_panels(p: &Pack, source: *const f32, target: *mut f32, task: usize) {
    let panels = p.columns.div_ceil(p.width);
    let (matrix, panel) = (task / panels, task % panels);
    let first = panel * p.width;
    let columns = p.width.min(p.columns - first);
    // SAFETY: panel `task` lies at this place of the target, and the source has the rows and columns that `p` says.
    unsafe {
        let mut to = target.add(task * p.panel_rows() * p.width);
        for &tap in &p.taps {
            let from = source.add(matrix * p.source_batch + tap + first * p.column_step);
            if p.column_step == 1 {
                for row in 0..p.rows {
                    std::ptr::copy_nonoverlapping(from.add(row * p.row_step), to.add(row * p.width), columns);
                    std::ptr::write_bytes(to.add(row * p.width + columns), 0, p.width - columns);
                }
            } else {
                transpose(p, from, to, columns);
            }
            to = to.add(p.rows * p.width);
        }
    }
}

/// Columns lie apart in the source: blocks of eight rows keep both sides in cache.
///
/// # Safety
/// As [`pack_panels`], for one group of rows.
unsafe fn transpose(p: &Pack, from: *const f32, to: *mut f32, columns: usize) {
    const BLOCK: usize = 16;
    for start in (0..p.rows).step_by(BLOCK) {
        let end = (start + BLOCK).min(p.rows);
        for column in 0..p.width {
            for row in start..end {
                // SAFETY: the row and column are inside the group; columns past the matrix are filled with 0.
                unsafe {
                    let x = if column < columns { *from.add(row * p.row_step + column * p.column_step) } else { 0.0 };
                    *to.add(row * p.width + column) = x;
                }
            }
        }
    }
}
