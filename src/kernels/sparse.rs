//! Products whose left operand has many zeros, in places that its rows do not share: a rectifier leaves about half of the elements, and images
//! of digits are black around the ink. Rows are taken one by one, and what is 0 is left out.
//!
//! Each row passes over some panels at a time, and over so many products that what it reads of these panels stays in the first-level
//! cache for the rows after it: a piece of each panel, of the size of a page, so that no two lines of a piece want the same place there.
//!
//! A sum that begins with 0 stays as it is when products of 0 and finite numbers are added, so sums are the same to the bit as those of all
//! products (what a weight that is not finite multiplies by 0 does not become NaN).

use super::MicroKernel;
use super::ahead::Ahead;
use super::lanes::Lanes;
use super::product::Line;

/// Products of a row at a time: the bits of a mask.
pub const DEPTH: usize = u64::BITS as usize;
/// Columns of a panel.
const COLUMNS: usize = 16;
/// Most panels of any kernel: at so many the pieces that rows pass over fill seven eighths of a usual first-level cache.
const MOST_PANELS: usize = 7;
/// Rows between two times that memory is asked for.
const TOGETHER: usize = 8;
/// Rows that are looked at to tell whether there are many zeros.
const LOOKED_AT: usize = 8;
/// Most elements, of a hundred, that may not be 0: with more, taking all of them is faster.
const MOST_OF_HUNDRED: usize = 66;

/// A micro-kernel that leaves out the zeros of rows.
#[derive(Clone, Debug)]
pub struct Sparse {
    /// The functions for `p + 1` panels: rows of at most [`DEPTH`] elements, and the panels that they pass over. All columns are written.
    pub run: &'static [Block],
    /// How many of the first numbers, at most [`DEPTH`], are not 0; the rest of the last vector is readable.
    pub count: unsafe fn(*const f32, usize) -> usize,
}

/// See [`Sparse::run`].
pub type Block = unsafe fn(&Rows, &Columns);

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

    /// `c[row] (+)= row * b` without the products of what is 0. With some rows each, portions of each of `ahead` are asked for.
    ///
    /// # Safety
    /// All addresses are valid; the CPU can run these functions.
    pub unsafe fn multiply(&self, rows: Rows, to: Columns, ahead: &mut [Ahead]) {
        let mut whole = [Line::ZERO; MOST_PANELS];
        let whole = whole.as_mut_ptr().cast::<f32>();
        let groups = to.panels.div_ceil(self.run.len());
        for group in 0..groups {
            let panels = group * to.panels / groups..(group + 1) * to.panels / groups;
            let run = self.run[panels.len() - 1];
            let columns = (to.columns - panels.start * COLUMNS).min(panels.len() * COLUMNS);
            let pieces = || (0..columns).step_by(COLUMNS).map(|at| (at, at / COLUMNS * to.c_panel, COLUMNS.min(columns - at)));
            // Where the last panel has fewer columns than others, rows go one by one by way of one that has all.
            let is_short = columns < panels.len() * COLUMNS;
            let together = if is_short { 1 } else { TOGETHER };
            for start in (0..rows.len).step_by(DEPTH) {
                let b = to.b.wrapping_add(panels.start * to.b_panel + start * COLUMNS);
                let accumulate = to.accumulate || start > 0;
                for first in (0..rows.count).step_by(together) {
                    ahead.iter_mut().for_each(Ahead::ask);
                    let from = rows.first.wrapping_add(first * rows.step + start);
                    let some =
                        Rows { first: from, count: together.min(rows.count - first), len: DEPTH.min(rows.len - start), ..rows };
                    let c = to.c.wrapping_add(panels.start * to.c_panel + first * to.c_row);
                    let to = Columns { b, panels: panels.len(), columns, c, accumulate, ..to };
                    // SAFETY: parts of the rows, of the panels and of the result.
                    unsafe {
                        if !is_short {
                            run(&some, &to);
                            continue;
                        }
                        if accumulate {
                            pieces().for_each(|(own, at, len)| std::ptr::copy_nonoverlapping(c.add(at), whole.add(own), len));
                        }
                        run(&some, &Columns { c: whole, c_panel: COLUMNS, ..to });
                        pieces().for_each(|(own, at, len)| std::ptr::copy_nonoverlapping(whole.add(own), c.add(at), len));
                    }
                }
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
            unsafe fn block<const N: usize>(rows: &Rows, to: &Columns) {
                // SAFETY: passed on from the caller.
                unsafe { super::block::<$lanes, N>(rows, to) }
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

/// Rows by `N` vectors of columns.
///
/// # Safety
/// As [`Sparse::run`].
#[inline(always)]
unsafe fn block<V: Lanes, const N: usize>(rows: &Rows, to: &Columns) {
    let each = COLUMNS / V::WIDTH;
    let row = |n: usize| rows.first.wrapping_add(n * rows.step);
    // What is left of a row is found while the one before it is multiplied.
    // SAFETY: the first row.
    let mut next = unsafe { mask::<V>(row(0), rows.len) };
    for n in 0..rows.count {
        let c = to.c.wrapping_add(n * to.c_row);
        let place = |v: usize| c.wrapping_add(v / each * to.c_panel + v % each * V::WIDTH);
        // SAFETY: the row after this one, if any.
        let mut mask = std::mem::replace(&mut next, unsafe { mask::<V>(row((n + 1).min(rows.count - 1)), rows.len) });
        if mask == 0 && to.accumulate {
            continue;
        }
        let mut sums = [V::zero(); N];
        if to.accumulate {
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
                let (x, b) = (by_register(row(n).add(k)), to.b.add(k * COLUMNS));
                for v in 0..N {
                    sums[v] = sums[v].plus(V::load(b.wrapping_add(v / each * to.b_panel + v % each * V::WIDTH)), x);
                }
            }
        }
        for v in 0..N {
            // SAFETY: columns of the result.
            unsafe { sums[v].store(place(v)) };
        }
    }
}

/// The number at `from`, by way of a general register: the way from the cache to vectors is what rows are short of.
///
/// # Safety
/// It is readable.
#[inline(always)]
unsafe fn by_register(from: *const f32) -> f32 {
    // SAFETY: passed on from the caller.
    let mut bits = unsafe { *from }.to_bits();
    // SAFETY: does nothing, but wants the number in such a register.
    unsafe { std::arch::asm!("/* {0:e} */", inout(reg) bits, options(pure, nomem, nostack, preserves_flags)) };
    f32::from_bits(bits)
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
