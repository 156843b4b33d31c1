//! Filters on their way to products: `[product][input][output]` for each part and panel.

use super::Work;
use super::routines::Routines;
use crate::kernels::Transpose;
use crate::kernels::ahead::ask;
use crate::kernels::product::Line;
use crate::schedule::winograd::Part;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Most taps of a filter.
const TAPS: usize = 16;
/// Filters are transformed in blocks of so many inputs and outputs: a line of the cache each way.
pub(super) const SIDE: usize = 16;
/// Taps of the next block that are asked for while one is transformed: they leave room for others in a set of the cache.
const TAPS_AHEAD: usize = 5;

impl Work<'_> {
    /// Where the transformed filters of a part, a product and a panel lie, in numbers: parts that add up are neighbours.
    pub(super) fn filter_place(&self, part: usize, product: usize, panel: usize) -> usize {
        let (w, panels) = (self.w, self.w.outputs / self.kernel.columns);
        let index = match w.joined {
            true => (product * panels + panel) * w.parts.len() + part,
            false => (part * self.products + product) * panels + panel,
        };
        index * w.inputs * self.kernel.columns
    }

    /// Transforms the filters of one part and panel.
    ///
    /// # Safety
    /// As [`super::transform`].
    pub(super) unsafe fn filters(&self, filter: *const f32, target: *mut f32, task: usize) {
        let panels = self.w.outputs / self.kernel.columns;
        let (part, panel) = (task / panels, task % panels);
        let step = self.filter_place(part, 1, panel) - self.filter_place(part, 0, panel);
        // SAFETY: the place of the part and the panel.
        unsafe { self.panel(filter, part, panel, 0..self.w.inputs, target.add(self.filter_place(part, 0, panel)), step) }
    }

    /// The filters of some inputs to one panel of outputs, `[product][input][output]` with `step` between products.
    ///
    /// # Safety
    /// As [`super::transform`]; `to` has room for the inputs.
    pub(super) unsafe fn panel(
        &self,
        filter: *const f32,
        part: usize,
        panel: usize,
        inputs: Range<usize>,
        to: *mut f32,
        step: usize,
    ) {
        let (w, width, Part { taps, along, .. }) = (self.w, self.kernel.columns, &self.w.parts[part]);
        // Rows of a block are inputs or outputs, whichever are no neighbours in memory.
        let row = w.filter_input.max(w.filter_output);
        // Only what was written is read.
        let mut block = [const { MaybeUninit::<Line>::uninit() }; TAPS * SIDE];
        let block = block.as_mut_ptr().cast::<f32>();
        let places: [usize; TAPS] = std::array::from_fn(|t| t * SIDE * SIDE);
        let places = &places[..taps.len()];
        // Outputs that are no neighbours are made so.
        let turn = if w.filter_output == 1 { None } else { self.kernel.transpose };
        debug_assert!(w.filter_output == 1 || turn.is_some(), "kernels with wide vectors transpose");
        let at = |c: usize, o: usize| filter.wrapping_add(c * w.filter_input + (panel * width + o) * w.filter_output);
        for (c, o) in inputs.clone().step_by(SIDE).flat_map(|c| (0..width).step_by(SIDE).map(move |o| (c, o))) {
            // What is asked for is never read: it may lie past the end.
            let next = if o + SIDE < width { at(c, o + SIDE) } else { at(c + SIDE, 0) };
            let soon = |i: usize| taps.iter().take(TAPS_AHEAD).for_each(|t| ask(next.wrapping_add(t + i * row)));
            // SAFETY: inputs and outputs are those of the filter; `to` has room for them.
            unsafe {
                let to = to.add((c - inputs.start) * width + o);
                copy_block(&self.routines, at(c, o), taps, row, turn, block);
                for i in 0..SIDE {
                    soon(i);
                    (self.routines.filter)(block.add(i * SIDE), places, *along, SIDE, to.add(i * width), step);
                }
            }
        }
    }
}

/// Copies a block of `SIDE x SIDE` filters, whose rows are `row` apart, tap by tap; `turn`, where there is one, transposes squares of eight. The
/// taps of one filter are often a power of two apart: more of them than a set of the cache has room for. Rows of one tap are not, and many
/// of them can be on their way at once.
///
/// # Safety
/// The filters have these taps, and `block` has room for them; the CPU can run `turn`.
unsafe fn copy_block(
    routines: &Routines,
    filter: *const f32,
    taps: &[usize],
    row: usize,
    turn: Option<Transpose>,
    block: *mut f32,
) {
    for (t, &tap) in taps.iter().enumerate() {
        if let Some(later) = taps.get(t + 2).filter(|_| t + 2 >= TAPS_AHEAD) {
            (0..SIDE).for_each(|i| ask(filter.wrapping_add(later + i * row)));
        }
        // SAFETY: passed on from the caller.
        unsafe {
            let (from, to) = (filter.add(tap), block.add(t * SIDE * SIDE));
            match turn {
                Some(turn) => {
                    for (y, x) in [(0, 0), (0, 8), (8, 0), (8, 8)] {
                        turn(from.add(y * row + x), row, to.add(x * SIDE + y), SIDE);
                    }
                }
                None => (routines.lines)(from, row, to),
            }
        }
    }
}
