//! Products whose left operand has many zeros, in places that its rows do not share: a rectifier leaves about half of the elements, and images
//! of digits are black around the ink. Rows are taken one by one, and what is 0 is left out.
//!
//! Each row passes over some panels at a time, and over so many products that what it reads of these panels stays in the first-level
//! cache for the rows after it. A sum that begins with 0 stays as it is when products of 0 and finite numbers are added, so sums are the same to
//! the bit as those of all products (what a weight that is not finite multiplies by 0 does not become NaN).

use super::MicroKernel;
use super::ahead::{Ahead, MOST_AHEAD};
use super::lanes::Lanes;
use super::product::Line;
use std::mem::MaybeUninit;

/// Products of a row at a time: the bits of a mask.
pub const DEPTH: usize = u64::BITS as usize;
/// Columns of a panel.
const COLUMNS: usize = 16;
/// Most panels of any kernel: at so many the block that rows pass over fills seven eighths of a usual first-level cache.
const MOST_PANELS: usize = 7;
/// Rows that are looked at to tell whether there are many zeros.
const LOOKED_AT: usize = 8;
/// Most elements, of a hundred, that may not be 0: with more, taking all of them is faster.
const MOST_OF_HUNDRED: usize = 66;

/// A micro-kernel that leaves out the zeros of rows.
#[derive(Clone, Debug)]
pub struct Sparse {
    /// The functions for `p + 1` panels: rows of at most [`DEPTH`] elements, the panels that they pass over, and room for a copy of these. With
    /// each row, portions of what is given last are asked for.
    pub run: &'static [Block],
    /// How many of the first numbers, at most [`DEPTH`], are not 0; the rest of the last vector is readable.
    pub count: unsafe fn(*const f32, usize) -> usize,
}

/// See [`Sparse::run`].
pub type Block = unsafe fn(&Rows, &Columns, *mut f32, &mut [Ahead]);

/// Rows of a left operand: neighbours in each lie one after the other, and a vector is readable past the end.
#[derive(Clone, Copy)]
pub struct Rows {
    /// The first.
    pub first: *const f32,
    /// From row to row.
    pub step: usize,
    /// How many.
    pub count: usize,
    /// Elements of each.
    pub len: usize,
}

/// Panels of a right operand, of as many rows as the left one's rows are long, and where the result goes.
#[derive(Clone, Copy)]
pub struct Columns {
    /// The first panel.
    pub b: *const f32,
    /// From panel to panel.
    pub b_panel: usize,
    /// How many.
    pub panels: usize,
    /// Columns of the result.
    pub columns: usize,
    /// First row of the result.
    pub c: *mut f32,
    /// From row to row.
    pub c_row: usize,
    /// From the columns of one panel to those of the next.
    pub c_panel: usize,
    /// Whether sums start from what `c` holds.
    pub accumulate: bool,
}

impl Sparse {
    /// Whether so many elements of `rows` are 0 that leaving them out is worth while.
    ///
    /// # Safety
    /// The rows are readable; the CPU can run these functions.
    pub unsafe fn pays(&self, rows: Rows) -> bool {
        let some = rows.count.min(LOOKED_AT);
        let (mut found, mut of) = (0, 0);
        for n in 0..some {
            let row = rows.first.wrapping_add(n * rows.count / some * rows.step);
            for start in (0..rows.len).step_by(DEPTH) {
                let len = DEPTH.min(rows.len - start);
                // SAFETY: a part of a row.
                found += unsafe { (self.count)(row.add(start), len) };
                of += len;
            }
        }
        100 * found <= MOST_OF_HUNDRED * of
    }

    /// `c[row] (+)= row * b` without the products of what is 0. With each row, portions of each of `ahead` are asked for.
    ///
    /// # Safety
    /// All addresses are valid; the CPU can run these functions.
    pub unsafe fn multiply(&self, rows: Rows, to: Columns, ahead: &mut [Ahead]) {
        let mut block = [const { MaybeUninit::<Line>::uninit() }; DEPTH * MOST_PANELS];
        let block = block.as_mut_ptr().cast::<f32>();
        let most = self.run.len();
        let groups = to.panels.div_ceil(most);
        for group in 0..groups {
            let panels = group * to.panels / groups..(group + 1) * to.panels / groups;
            for start in (0..rows.len).step_by(DEPTH) {
                // What the next rows of these panels, or the first of the next ones, will be copied from.
                let (next, place) = if start + DEPTH < rows.len { (panels.start, start + DEPTH) } else { (panels.end, 0) };
                let some = panels.len().min(to.panels - next);
                let from = to.b.wrapping_add(next * to.b_panel + place * COLUMNS);
                let soon = match some {
                    0 => Ahead::NOTHING,
                    _ => Ahead::new(from, some, to.b_panel, DEPTH.min(rows.len - place) * COLUMNS, rows.count),
                };
                let mut all = [soon; MOST_AHEAD + 2];
                all[1..=ahead.len()].copy_from_slice(ahead);
                let part = Rows { first: rows.first.wrapping_add(start), len: DEPTH.min(rows.len - start), ..rows };
                let to = Columns {
                    b: to.b.wrapping_add(panels.start * to.b_panel + start * COLUMNS),
                    panels: panels.len(),
                    columns: (to.columns - panels.start * COLUMNS).min(panels.len() * COLUMNS),
                    c: to.c.wrapping_add(panels.start * to.c_panel),
                    accumulate: to.accumulate || start > 0,
                    ..to
                };
                // SAFETY: parts of the rows and of the panels.
                unsafe { (self.run[panels.len() - 1])(&part, &to, block, &mut all[..=ahead.len()]) };
                ahead.copy_from_slice(&all[1..=ahead.len()]);
            }
        }
    }
}

/// Copies `rows` rows, neighbours in memory, of `depth` products that lie `step` apart, to rows `to_step` apart.
///
/// # Safety
/// All are readable, and `to` has room for them.
pub unsafe fn turn(kernel: &MicroKernel, from: *const f32, step: usize, [rows, depth]: [usize; 2], to: *mut f32, to_step: usize) {
    let Some(square) = kernel.transpose else { unreachable!("kernels that leave products out transpose") };
    let whole = |n: usize| n / 8 * 8;
    for k in (0..whole(depth)).step_by(8) {
        for row in (0..whole(rows)).step_by(8) {
            // SAFETY: passed on from the caller.
            unsafe { square(from.add(k * step + row), step, to.add(row * to_step + k), to_step) };
        }
    }
    for k in 0..depth {
        let turned = if k < whole(depth) { whole(rows) } else { 0 };
        for row in turned..rows {
            // SAFETY: passed on from the caller.
            unsafe { *to.add(row * to_step + k) = *from.add(k * step + row) };
        }
    }
}

macro_rules! compiled {
    ($name:ident, $lanes:ty, $features:literal, $each:literal: $($panels:literal)*) => {
        /// The functions; only for CPUs that have such vectors.
        pub mod $name {
            use super::*;

            /// See [`Sparse`].
            pub fn sparse() -> Sparse {
                Sparse { run: &[$(block::<{ $panels * $each }>),*], count }
            }

            #[target_feature(enable = $features)]
            unsafe fn block<const N: usize>(rows: &Rows, to: &Columns, own: *mut f32, ahead: &mut [Ahead]) {
                // SAFETY: passed on from the caller.
                unsafe { super::block::<$lanes, N>(rows, to, own, ahead) }
            }

            #[target_feature(enable = $features)]
            unsafe fn count(from: *const f32, len: usize) -> usize {
                // SAFETY: passed on from the caller.
                unsafe { super::mask::<$lanes>(from, len) }.count_ones() as usize
            }
        }
    };
}

compiled!(wide, super::super::lanes::Sixteen, "avx512f", 1: 1 2 3 4 5 6 7);
compiled!(half, super::super::lanes::Eight, "avx2,fma", 2: 1 2 3 4 5 6);

/// Rows by `N` vectors of columns, which are copied to `own` as `[product][column]` first.
///
/// # Safety
/// As [`Sparse::run`].
#[inline(always)]
unsafe fn block<V: Lanes, const N: usize>(rows: &Rows, to: &Columns, own: *mut f32, ahead: &mut [Ahead]) {
    let each = COLUMNS / V::WIDTH;
    for v in 0..N {
        let from = to.b.wrapping_add(v / each * to.b_panel + v % each * V::WIDTH);
        for k in 0..rows.len {
            // SAFETY: a vector of a panel, and its place.
            unsafe { V::load(from.add(k * COLUMNS)).store(own.add((k * N + v) * V::WIDTH)) };
        }
    }
    let mut whole = [Line::ZERO; MOST_PANELS];
    let whole = whole.as_mut_ptr().cast::<f32>();
    // Where the last panel has fewer columns than others, rows go by way of one that has all.
    let is_short = to.columns < to.panels * COLUMNS;
    let pieces = (0..to.columns).step_by(COLUMNS).map(|at| (at, at / COLUMNS * to.c_panel, COLUMNS.min(to.columns - at)));
    // What is left of a row is found while the one before it is multiplied.
    // SAFETY: the first row.
    let mut next = unsafe { mask::<V>(rows.first, rows.len) };
    for n in 0..rows.count {
        ahead.iter_mut().filter(|ahead| ahead.is_left()).for_each(Ahead::ask);
        let c = to.c.wrapping_add(n * to.c_row);
        // SAFETY: a row, the one after it, if any, and the place in the result.
        unsafe {
            let a = rows.first.add(n * rows.step);
            let mask = std::mem::replace(&mut next, mask::<V>(rows.first.add((n + 1).min(rows.count - 1) * rows.step), rows.len));
            if mask == 0 && to.accumulate {
                continue;
            }
            if !is_short {
                row::<V, N>(a, mask, own, c, to.c_panel, to.accumulate);
                continue;
            }
            if to.accumulate {
                pieces.clone().for_each(|(own, at, len)| std::ptr::copy_nonoverlapping(c.add(at), whole.add(own), len));
            }
            row::<V, N>(a, mask, own, whole, COLUMNS, to.accumulate);
            pieces.clone().for_each(|(own, at, len)| std::ptr::copy_nonoverlapping(whole.add(own), c.add(at), len));
        }
    }
}

/// One row by `N` vectors of columns.
///
/// # Safety
/// The row, its products in the mask and the columns are readable, and so is the result.
#[inline(always)]
unsafe fn row<V: Lanes, const N: usize>(
    a: *const f32,
    mut mask: u64,
    b: *const f32,
    c: *mut f32,
    c_panel: usize,
    accumulate: bool,
) {
    let each = COLUMNS / V::WIDTH;
    let place = |v: usize| c.wrapping_add(v / each * c_panel + v % each * V::WIDTH);
    let mut sums = [V::zero(); N];
    if accumulate {
        for v in 0..N {
            // SAFETY: columns of the result.
            sums[v] = unsafe { V::load(place(v)) };
        }
    }
    while mask != 0 {
        let k = mask.trailing_zeros() as usize;
        mask &= mask - 1;
        // SAFETY: an element of the row, and its line of each panel.
        unsafe {
            let (x, b) = (*a.add(k), b.add(k * N * V::WIDTH));
            for v in 0..N {
                sums[v] = sums[v].plus(V::load(b.add(v * V::WIDTH)), x);
            }
        }
    }
    for v in 0..N {
        // SAFETY: columns of the result.
        unsafe { sums[v].store(place(v)) };
    }
}

/// Which of the first `len` numbers are not 0, the first in the lowest bit.
///
/// # Safety
/// Whole vectors are readable.
#[inline(always)]
unsafe fn mask<V: Lanes>(from: *const f32, len: usize) -> u64 {
    let mut mask = 0;
    for at in (0..len).step_by(V::WIDTH) {
        // SAFETY: whole vectors are readable.
        mask |= u64::from(unsafe { V::load(from.add(at)) }.not_zero()) << at;
    }
    mask & (u64::MAX >> (DEPTH - len))
}
