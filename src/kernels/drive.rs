//! The loops around the micro-kernel: in which order the tiles of a task are computed, and what is asked for meanwhile.
//!
//! A task computes each element of the result that it owns, in one fixed order.

use super::ahead::{Ahead, MOST_AHEAD, ask, ask_to_write};
use super::cut::Task;
use super::pack::pack_some;
use super::product::scratch;
use super::sparse::{Columns, Rows, Sparse, turn};
use super::{MOST_COLUMNS, MOST_ROWS, MicroKernel, TileArgs, together};
use crate::schedule::tiles::{Pack, Phase, Tiles};
use std::cell::RefCell;
use std::ops::Range;

/// How many `k` of its left operand a task copies at a time: the copy stays in the second-level cache.
const COPIED_DEPTH: usize = 256;
/// Products whose rows are asked for before they are copied.
const STEPS_AHEAD: usize = 8;
/// Elements of the panels that a task packs at a time, and of the rows that it multiplies by all of them before the next: they stay in the
/// second-level cache.
const OWN_PANELS: usize = 64 * 1024;
const OWN_ROWS: usize = 24 * 1024;
/// Most of these panels: neighbours in memory, so that whole runs of cache lines are read. A task has some more to pack afterwards, which are
/// asked for meanwhile.
const MOST_OWN: usize = 3;
/// Bytes of a way of the first-level cache: lines that lie a multiple of it apart share a set, which has room for eight. Rows that do should not
/// be more than a set can hold beside a line of a panel.
const WAY: usize = 4096;
const MOST_IN_SET: usize = 7;
/// Room for a tile.
const SCRATCH: usize = MOST_ROWS * MOST_COLUMNS;
/// A tile of the copy starts this many elements after the end of the one before: whole vectors may be written past it.
const COPY_SLACK: usize = 16;

thread_local! {
    /// The copy of a left operand; grows to the largest one once.
    static COPY: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// First elements of the operands and of the result of a product.
#[derive(Clone, Copy)]
pub struct Operands {
    /// Left operand.
    pub a: *const f32,
    /// Right operand.
    pub b: *const f32,
    /// Result.
    pub c: *mut f32,
}

/// What leaves out the zeros of rows, where it is worth looking for them.
fn may_be_sparse<'k>(t: &Tiles, kernel: &'k MicroKernel) -> Option<&'k Sparse> {
    kernel.sparse.as_ref().filter(|_| t.leaves_zeros_out())
}

/// The panels of a task, of which the rows from `from` on are to be multiplied by.
fn columns_of(t: &Tiles, p: &Phase, task: &Task, width: usize, from: usize, at: Operands) -> Columns {
    let (first, packed_rows) = (task.panels.start, t.packed_rows());
    Columns {
        b: at.b.wrapping_add((first * packed_rows + p.b_row + from) * width),
        b_panel: packed_rows * width,
        panels: task.panels.len(),
        columns: (task.panels.len() * width).min(t.n - first * width),
        c: at.c.wrapping_add(p.c + first * t.c_panel + task.rows.start * p.c_y),
        c_row: p.c_y,
        c_panel: t.c_panel,
        accumulate: from > 0,
    }
}

/// How often something is asked for in one task, roughly.
pub fn asks(t: &Tiles, kernel: &MicroKernel, task: &Task) -> usize {
    let grid = |p: &Phase| (task.rows.end.min(p.ny) - task.rows.start.min(p.ny)) * p.nx;
    let with_tile = |p: &Phase| match t.rows_are_neighbours() {
        true => {
            let depth = task.images.len() * p.segments * p.k;
            (0..depth).step_by(COPIED_DEPTH).map(|start| kernel.asks(1, COPIED_DEPTH.min(depth - start))).sum()
        }
        false => task.images.len() * kernel.asks(p.segments, p.k),
    };
    let tiles: usize = t.phases[task.phases.clone()].iter().map(|p| grid(p).div_ceil(kernel.rows) * with_tile(p)).sum();
    (tiles * task.panels.len().div_ceil(kernel.across())).max(1)
}

/// Runs one task; with each tile, portions of each of `ahead` are asked for.
///
/// # Safety
/// `at` has the first elements of the buffers that `t` describes, with 64 readable bytes after the end of each; nobody else writes what the
/// task owns; the CPU can run `kernel`.
pub unsafe fn run_tiles(t: &Tiles, kernel: &MicroKernel, task: &Task, at: Operands, ahead: &mut [Ahead]) {
    let mut scratch = [0.0f32; SCRATCH];
    let packed_rows = t.packed_rows();
    for phase in &t.phases[task.phases.clone()] {
        if t.rows_are_neighbours() {
            // SAFETY: passed on from the caller.
            unsafe { copied(t, kernel, phase, task, at, &mut scratch, ahead) };
            continue;
        }
        if let Some(sparse) = may_be_sparse(t, kernel) {
            let first = at.a.wrapping_add(t.a_offset + phase.a + task.rows.start * phase.a_y);
            let rows = Rows { first, step: phase.a_y, count: task.rows.len(), len: phase.k };
            let to = columns_of(t, phase, task, kernel.columns, 0, at);
            // SAFETY: passed on from the caller.
            unsafe {
                if sparse.pays(rows) {
                    sparse.multiply(rows, to, ahead);
                    continue;
                }
            }
        }
        let tiles = ((task.rows.end.min(phase.ny) - task.rows.start.min(phase.ny)) * phase.nx).div_ceil(kernel.rows);
        for panels in together(task.panels.clone(), kernel.across()) {
            let b_row = panels.start * packed_rows + phase.b_row;
            for image in task.images.clone() {
                let some = together(panels.end..task.panels.end, kernel.across()).next();
                let mut all = [Ahead::NOTHING; MOST_AHEAD + 2];
                let (panels_ahead, rest) = (&mut all[0], ahead.len());
                *panels_ahead = match some.filter(|_| image + 1 == task.images.end) {
                    Some(next) => {
                        let from = at.b.wrapping_add((next.start * packed_rows + phase.b_row) * kernel.columns);
                        let len = phase.segments * phase.k * kernel.columns;
                        let asks = tiles * kernel.asks(phase.segments, phase.k);
                        Ahead::new(from, next.len(), packed_rows * kernel.columns, len, asks)
                    }
                    None => Ahead::NOTHING,
                };
                let job = Block { t, kernel, phase, task, image, panels: panels.clone(), b_row };
                all[1..=rest].copy_from_slice(ahead);
                // SAFETY: passed on from the caller.
                unsafe { job.run(at, &mut scratch, &mut all[..=rest]) };
                ahead.copy_from_slice(&all[1..=rest]);
            }
        }
    }
}

/// As [`run_tiles`] for a task that packs its panels of `b`, a matrix as it is, by `pack`.
///
/// # Safety
/// As [`run_tiles`]; `at.b` is the first element of the buffer that `pack` describes.
pub unsafe fn run_packing(
    t: &Tiles,
    pack: &Pack,
    kernel: &MicroKernel,
    task: &Task,
    at: Operands,
    ahead: &mut [Ahead; MOST_AHEAD],
) {
    let panel_len = t.packed_rows() * kernel.columns;
    let some = (OWN_ROWS / t.packed_rows()).max(1).next_multiple_of(kernel.rows);
    let most = (OWN_PANELS / panel_len).clamp(1, MOST_OWN).next_multiple_of(kernel.across());
    scratch([most * panel_len], |[own]| {
        for first in task.panels.clone().step_by(most) {
            let panels = first..(first + most).min(task.panels.end);
            let next = panels.end..(panels.end + most).min(task.panels.end);
            let asks =
                kernel.asks(1, t.packed_rows()) * task.rows.len().div_ceil(kernel.rows) * panels.len().div_ceil(kernel.across());
            let mut all = [Ahead::NOTHING; MOST_AHEAD + 1];
            all[..MOST_AHEAD].copy_from_slice(ahead);
            all[MOST_AHEAD] = pack_ahead(pack, at.b, next, asks);
            // SAFETY: passed on from the caller; there is room for the panels, and tiles read no others.
            unsafe {
                pack_some(pack, kernel, at.b, own, panels.clone());
                let at = Operands { b: own.wrapping_sub(panels.start * panel_len), ..at };
                for start in task.rows.clone().step_by(some) {
                    let rows = start..(start + some).min(task.rows.end);
                    let part = Task { rows, panels: panels.clone(), ..task.clone() };
                    run_tiles(t, kernel, &part, at, &mut all);
                }
            }
            ahead.copy_from_slice(&all[..MOST_AHEAD]);
        }
    });
}

/// Heights of the tiles of so many rows: nearly equal, no small remainder.
fn heights(rows: usize, most: usize) -> impl Iterator<Item = usize> {
    let tiles = rows.div_ceil(most);
    (0..tiles).map(move |tile| rows / tiles + usize::from(tile < rows % tiles))
}

/// What packing panels `some` is going to read, in so many portions.
fn pack_ahead(p: &Pack, b: *const f32, some: Range<usize>, times: usize) -> Ahead {
    let step = p.taps.get(1).map_or(0, |second| second - p.taps[0]);
    if some.is_empty() || !p.is_even() {
        return Ahead::NOTHING;
    }
    let columns = (some.start * p.width)..(some.end * p.width).min(p.columns);
    let from = b.wrapping_add(p.taps[0] + columns.start * p.column_step);
    match p.column_step {
        many if p.taps.len() > 1 && p.taps_are_pieces() => Ahead::new(from, p.taps.len(), step, columns.len() * many, times),
        _ if p.taps.len() > 1 => Ahead::NOTHING,
        1 => Ahead::new(from, p.rows, p.row_step, columns.len(), times),
        _ => Ahead::new(from, columns.len(), p.column_step, p.rows, times),
    }
}

/// One phase of a task whose left operand is copied, some `k` at a time, into the order in which tiles read it.
///
/// # Safety
/// As [`run_tiles`].
unsafe fn copied(
    t: &Tiles,
    kernel: &MicroKernel,
    p: &Phase,
    task: &Task,
    Operands { a, b, c }: Operands,
    scratch: &mut [f32; SCRATCH],
    ahead: &mut [Ahead],
) {
    let (height, width) = (kernel.rows, kernel.columns);
    let rows = task.rows.start.min(p.ny)..task.rows.end.min(p.ny);
    let tiles = rows.len().div_ceil(height);
    let depth = task.images.len() * p.segments * p.k;
    let tile_len = COPIED_DEPTH * height + COPY_SLACK;
    let image = task.images.start;
    COPY.with_borrow_mut(|copy| {
        let room = (tiles * tile_len).max(rows.len() * (COPIED_DEPTH + COPY_SLACK));
        if copy.len() < room {
            copy.resize(room, 0.0);
        }
        let copy = copy.as_mut_ptr();
        for start in (0..depth).step_by(COPIED_DEPTH) {
            let some = start..(start + COPIED_DEPTH).min(depth);
            if let Some(sparse) = may_be_sparse(t, kernel) {
                let step = COPIED_DEPTH + COPY_SLACK;
                let from = a.wrapping_add(t.a_offset + image * t.a_image + some.start * t.a_step + p.a + rows.start);
                // The operand as it lies: columns are looked at, where the copy will have rows.
                let columns = Rows { first: from, step: t.a_step, count: some.len(), len: rows.len() };
                let all = Rows { first: copy, step, count: rows.len(), len: some.len() };
                let (b, c) = (b.wrapping_add(image * t.b_image), c.wrapping_add(image * t.c_image));
                let to = columns_of(t, p, task, width, start, Operands { a, b, c });
                // SAFETY: the rows and `k` are those of the phase; the copy has room for them.
                unsafe {
                    if sparse.pays(columns) {
                        turn(kernel, from, t.a_step, [rows.len(), some.len()], copy, step);
                        sparse.multiply(all, to, ahead);
                        continue;
                    }
                }
            }
            // SAFETY: the rows and `k` are those of the phase; the copy has room for them.
            unsafe { copy_left(t, p, image, rows.clone(), some.clone(), height, a, copy, tile_len) };
            for panels in together(task.panels.clone(), kernel.across()) {
                let (column, image_b) = (panels.start * width, if t.sum_images { 0 } else { image * t.b_image });
                // SAFETY: the first of these panels of the packed operand.
                let panel_b = unsafe { b.add(image_b + (panels.start * t.packed_rows() + p.b_row + some.start) * width) };
                let mut args = TileArgs::new(panel_b, some.len(), width);
                (args.a_step, args.a_pair) = (height * 4, 4);
                (args.b_panel, args.c_panel) = (t.packed_rows() * width * 4, t.c_panel * 4);
                args.accumulate = usize::from(start > 0);
                let columns = (panels.len() * width).min(t.n - column);
                let c_first = c.wrapping_add(image * t.c_image + p.c + panels.start * t.c_panel);
                for tile in 0..tiles {
                    let first = rows.start + tile * height;
                    let here = height.min(rows.end - first);
                    let (mut a_row, mut c_row) = (copy.wrapping_add(tile * tile_len), c_first.wrapping_add(first * p.c_y));
                    for r in 0..here {
                        (args.a_rows[r], args.c_rows[r]) = (a_row, c_row);
                        (a_row, c_row) = (a_row.wrapping_add(1), c_row.wrapping_add(p.c_y));
                    }
                    ask_for_results(&args, here, panels.len());
                    args.ask(kernel, ahead);
                    // SAFETY: the rows are the task's, the copy holds the tile, and all addresses are inside the buffers.
                    unsafe { finish(kernel, &mut args, [here, panels.len()], columns, scratch) };
                }
            }
        }
    });
}

/// Copies rows `rows` and products `depth` (over images, segments and `k`) of the left operand into tiles `[k][height]`.
///
/// # Safety
/// The rows and products are those of phase `p`; `copy` has room for all tiles.
#[allow(clippy::too_many_arguments)]
unsafe fn copy_left(
    t: &Tiles,
    p: &Phase,
    image: usize,
    rows: Range<usize>,
    depth: Range<usize>,
    height: usize,
    a: *const f32,
    copy: *mut f32,
    tile_len: usize,
) {
    let tiles = rows.len().div_ceil(height);
    // Of these tiles a whole vector lies among the rows.
    let vector = if height <= 8 { 8 } else { 16 };
    let fast = if rows.len() < vector { 0 } else { (rows.len() - vector) / height + 1 };
    let (mut k, rest) = (depth.start % p.k, depth.start / p.k);
    let (mut segment, mut image) = (rest % p.segments, image + rest / p.segments);
    for to in 0..depth.len() {
        let place = t.a_offset + image * t.a_image + segment * t.a_segment + k * t.a_step + p.a + rows.start;
        k += 1;
        if k == p.k {
            (k, segment) = (0, segment + 1);
        }
        if segment == p.segments {
            (segment, image) = (0, image + 1);
        }
        // SAFETY: this product of the phase's first row, and of the rows after it, which are its neighbours.
        unsafe {
            let from = a.add(place);
            let to = copy.add(to * height);
            let soon = from.wrapping_add(STEPS_AHEAD * t.a_step);
            (0..rows.len()).step_by(16).for_each(|r| ask(soon.wrapping_add(r)));
            // Whole vectors: what is too much is overwritten by the next product, or lies in the slack. The last tile goes by
            // parts: nothing is read past the rows.
            for tile in 0..fast {
                let (from, to) = (from.add(tile * height), to.add(tile * tile_len));
                match vector {
                    8 => move_some::<8>(from, to),
                    _wide => move_some::<16>(from, to),
                }
            }
            for tile in fast..tiles {
                let (from, to) = (from.add(tile * height), to.add(tile * tile_len));
                move_few(from, to, height.min(rows.len() - tile * height));
            }
        }
    }
}

/// # Safety
/// `N` elements may be read and written.
unsafe fn move_some<const N: usize>(from: *const f32, to: *mut f32) {
    // SAFETY: passed on from the caller.
    unsafe { to.cast::<[f32; N]>().write_unaligned(from.cast::<[f32; N]>().read_unaligned()) }
}

/// Moves `n` elements, at most 15, in as few pieces as there are ones in `n`.
///
/// # Safety
/// `n` elements may be read and written.
unsafe fn move_few(mut from: *const f32, mut to: *mut f32, n: usize) {
    let moves: [(usize, unsafe fn(*const f32, *mut f32)); 4] =
        [(8, move_some::<8>), (4, move_some::<4>), (2, move_some::<2>), (1, move_some::<1>)];
    for (len, some) in moves {
        if n & len != 0 {
            // SAFETY: passed on from the caller.
            unsafe {
                some(from, to);
                (from, to) = (from.add(len), to.add(len));
            }
        }
    }
}

/// Asks for the result of a tile, which will be written soon.
fn ask_for_results(args: &TileArgs, height: usize, panels: usize) {
    for &row in &args.c_rows[..height] {
        (0..panels).for_each(|panel| ask_to_write(row.wrapping_byte_add(panel * args.c_panel)));
    }
}

/// Runs the micro-kernel on one tile of so many rows and panels, which have `columns` columns; a short panel goes by way of a scratch tile. The
/// rows of the result in `args` may be others afterwards.
///
/// # Safety
/// As [`run_tiles`], for this tile.
unsafe fn finish(
    kernel: &MicroKernel,
    args: &mut TileArgs,
    [height, panels]: [usize; 2],
    columns: usize,
    scratch: &mut [f32; SCRATCH],
) {
    let width = panels * kernel.columns;
    let run = kernel.run[panels - 1][height - 1];
    if columns == width {
        // SAFETY: passed on from the caller.
        return unsafe { run(args) };
    }
    let rows = args.c_rows;
    for (r, &row) in rows.iter().enumerate().take(height) {
        args.c_rows[r] = scratch[r * width..].as_mut_ptr();
        if args.accumulate != 0 {
            // SAFETY: `columns` elements of a row of the result.
            unsafe { std::ptr::copy_nonoverlapping(row, args.c_rows[r], columns) };
        }
    }
    // SAFETY: passed on from the caller; the result goes to the scratch tile.
    unsafe { run(args) };
    for (r, &row) in rows.iter().enumerate().take(height) {
        // SAFETY: `columns` elements of a row of the result.
        unsafe { std::ptr::copy_nonoverlapping(args.c_rows[r], row, columns) };
    }
}

/// The tiles of one phase, one image and panels that are neighbours.
struct Block<'a> {
    t: &'a Tiles,
    kernel: &'a MicroKernel,
    phase: &'a Phase,
    task: &'a Task,
    image: usize,
    panels: Range<usize>,
    b_row: usize,
}

impl Block<'_> {
    /// # Safety
    /// As [`run_tiles`].
    unsafe fn run(&self, at: Operands, scratch: &mut [f32; SCRATCH], ahead: &mut [Ahead]) {
        let (t, p, width, image) = (self.t, self.phase, self.kernel.columns, self.image);
        let (first, panels) = (self.panels.start, self.panels.len());
        let columns = (panels * width).min(t.n - first * width);
        let rows = self.task.rows.start.min(p.ny)..self.task.rows.end.min(p.ny);
        let count = rows.len() * p.nx;
        // SAFETY: the offsets are those that `t` describes.
        let (a, b, c) = unsafe {
            (
                at.a.add(t.a_offset + image * t.a_image + p.a),
                at.b.wrapping_add(image * t.b_image + self.b_row * width),
                at.c.add(image * t.c_image + p.c + first * t.c_panel),
            )
        };
        // Where a kernel finds rows in pairs, both of a pair must lie in one row of the grid, unless rows follow each other
        // evenly.
        let even = p.nx == 1 || p.ny == 1 || p.a_y == p.nx * p.a_x;
        let (unit, span) = match self.kernel.pairs && !even {
            true if p.nx % 2 == 1 => (1, p.nx),
            true => (2, count),
            false => (1, count),
        };
        let a_pair = 4 * if p.nx == 1 { p.a_y } else { p.a_x };
        let (mut y, mut x) = (rows.start, 0);
        let mut most = self.kernel.rows;
        if a_pair % WAY == 0 {
            most = most.min(MOST_IN_SET);
        }
        let (units, most) = (span / unit, most / unit);
        let mut args = TileArgs::new(b, p.k, width);
        args.segments = p.segments;
        args.a_step = t.a_step * 4;
        args.a_segment = t.a_segment * 4;
        args.a_pair = a_pair;
        (args.b_panel, args.c_panel) = (t.packed_rows() * width * 4, t.c_panel * 4);
        for height in (0..count / span.max(1)).flat_map(|_| heights(units, most)) {
            let height = height * unit;
            for r in 0..height {
                args.a_rows[r] = a.wrapping_add(y * p.a_y + x * p.a_x);
                args.c_rows[r] = c.wrapping_add(y * p.c_y + x * p.c_x);
                x += 1;
                if x == p.nx {
                    (x, y) = (0, y + 1);
                }
            }
            ask_for_results(&args, height, panels);
            args.ask(self.kernel, ahead);
            // SAFETY: the rows are inside the phase's grid, and all addresses inside the buffers.
            unsafe { finish(self.kernel, &mut args, [height, panels], columns, scratch) };
        }
    }
}
