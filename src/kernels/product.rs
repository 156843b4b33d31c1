//! Products of a few rows with some packed panels, and memory between the stages of a task.

use super::ahead::Ahead;
use super::{MicroKernel, TileArgs};
use std::cell::RefCell;

/// A cache line.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub struct Line(#[allow(dead_code, reason = "read and written through addresses")] [f32; 16]);

impl Line {
    /// Zeros.
    pub const ZERO: Line = Line([0.0; 16]);
}

thread_local! {
    /// Memory between the stages of a task; grows to the largest need once.
    static SCRATCH: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
    /// What a task's product leaves to its epilogue alone; grows to the largest once.
    static RESULT: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

/// Runs `f` with `len` numbers of this thread's own memory for a result that nobody reads after `f`. They are the same for each task, so that
/// they stay in cache.
pub fn own_result(len: usize, f: impl FnOnce(*mut f32)) {
    let lines = len.div_ceil(16) + 1;
    RESULT.with_borrow_mut(|memory| {
        if memory.len() < lines {
            memory.resize(lines, Line::ZERO);
        }
        f(memory.as_mut_ptr().cast());
    });
}

/// Runs `f` with `lens` numbers each of this thread's own memory.
pub fn scratch<const N: usize>(lens: [usize; N], f: impl FnOnce([*mut f32; N])) {
    let lines = lens.map(|l| l.div_ceil(16) + 1);
    SCRATCH.with_borrow_mut(|memory| {
        let total = lines.iter().sum();
        if memory.len() < total {
            memory.resize(total, Line::ZERO);
        }
        let mut rest = memory.as_mut_slice();
        f(lines.map(|n| {
            let (first, after) = std::mem::take(&mut rest).split_at_mut(n);
            rest = after;
            first.as_mut_ptr().cast::<f32>()
        }));
    });
}

/// Operands of [`multiply`]; strides in numbers.
pub struct Product {
    /// Rows of the left operand and of the result.
    pub rows: usize,
    /// Left operand.
    pub a: *const f32,
    /// Its step between rows.
    pub a_row: usize,
    /// Its step between products.
    pub a_step: usize,
    /// Its step between segments.
    pub a_segment: usize,
    /// Segments.
    pub segments: usize,
    /// Products in a segment.
    pub k: usize,
    /// Panels: no more than a tile has.
    pub panels: usize,
    /// The first packed panel; segments follow each other.
    pub b: *const f32,
    /// From panel to panel.
    pub b_panel: usize,
    /// Result.
    pub c: *mut f32,
    /// Its step between rows.
    pub c_row: usize,
    /// From the columns of one panel to those of the next.
    pub c_panel: usize,
    /// Whether sums start from what `c` holds.
    pub accumulate: bool,
}

/// `c[row] (+)= a[row] * b` for `rows` rows and some panels, with `segments` of `k` products. With each tile, portions of each of `ahead` are
/// asked for, as often as [`MicroKernel::asks`] says.
///
/// # Safety
/// All addresses are valid, and the CPU can run the kernel.
pub unsafe fn multiply(kernel: &MicroKernel, p: &Product, ahead: &mut [Ahead]) {
    let most = kernel.rows;
    let blocks = p.rows.div_ceil(most);
    let mut args = TileArgs::new(p.b, p.k, kernel.columns);
    args.segments = p.segments;
    args.a_segment = p.a_segment * 4;
    args.a_step = p.a_step * 4;
    args.a_pair = p.a_row * 4;
    (args.b_panel, args.c_panel) = (p.b_panel * 4, p.c_panel * 4);
    args.accumulate = usize::from(p.accumulate);
    let (mut a, mut c) = (p.a, p.c);
    for block in 0..blocks {
        let height = p.rows / blocks + usize::from(block < p.rows % blocks);
        for r in 0..height {
            (args.a_rows[r], args.c_rows[r]) = (a, c);
            (a, c) = (a.wrapping_add(p.a_row), c.wrapping_add(p.c_row));
        }
        args.ask(kernel, ahead);
        // SAFETY: passed on from the caller.
        unsafe { (kernel.run[p.panels - 1][height - 1])(&args) };
    }
}
