//! Convolutions by Winograd's minimal filtering, as [`Winograd`] describes them: transforms around products of the micro-kernel.
//!
//! Every element of a result belongs to one task, which computes it in one fixed order; tasks depend on shapes only. Between the
//! stages of a task values lie in memory of the thread's own. Strides are a line longer than they need be, so that streams whose
//! distance would be a power of two do not fall into the same set of the cache.

mod routines;
mod tasks;
mod tiling;
mod transforms;

pub use tasks::{WinogradTask, transform_tasks, winograd_tasks};

use super::ahead::{Ahead, ask};
use super::product::{Line, Product, multiply, scratch};
use super::{MicroKernel, Transpose, together};
use crate::schedule::winograd::{Order, Part, Span, Winograd};
use routines::{Places, Routines, routines};
use std::mem::MaybeUninit;
use std::ops::Range;
use tiling::Tiling;
use transforms::MOST;

/// Most taps of a filter.
const TAPS: usize = 16;
/// Filters are transformed in blocks of so many inputs and outputs: a line of the cache each way.
const SIDE: usize = 16;
/// Taps of the next block that are asked for while one is transformed: they leave room for others in a set of the cache.
const TAPS_AHEAD: usize = 5;
/// Numbers added to strides.
const APART: usize = 16;
/// Inputs whose filters are transformed together, where a task transforms its own: by channel, and in turn with their tiles. The more, the less
/// often sums so far are read and written; they should stay in the second-level cache.
const FILTER_INPUTS: usize = 64;
const INPUTS_IN_TURN: usize = 32;
const MORE_INPUTS_IN_TURN: usize = 128;
/// Tiles that go through a task of a filter gradient at a time, and where there is more cache.
const GRADIENT_TILES: usize = 64;
const MORE_GRADIENT_TILES: usize = 128;
/// Numbers of products that a task holds before it transforms them to results, roughly; they should stay in the second-level cache.
const HELD: usize = 160 * 1024;

/// Transformed gradients of more numbers than this are written past the caches, which would not hold them until they are read.
const FAR: usize = 1 << 20;

/// A convolution at work.
struct Work<'w> {
    w: &'w Winograd,
    kernel: &'w MicroKernel,
    routines: Routines,
    /// Products of a tile.
    products: usize,
}

/// A product of a group of parts.
struct Needed {
    /// Which.
    f: usize,
    /// The parts that have it, counted from the first of the group.
    having: Range<usize>,
    /// The tiles that need it.
    tiles: Range<usize>,
}

/// A row of tiles of a part.
struct Row<'p, S, P> {
    part: &'p Part,
    /// Image, and row of tiles.
    at: [usize; 2],
    /// What the tile of a column has along both axes.
    spans: S,
    /// The place of the tile of a column.
    place: P,
}

/// Runs one task of the stage before.
///
/// # Safety
/// `source` points to the filter or the image that the order of `w` transforms, `target` to as many numbers as it says; nobody else
/// writes what the task owns; the CPU can run `kernel`.
pub unsafe fn transform(w: &Winograd, kernel: &MicroKernel, source: *const f32, target: *mut f32, task: usize) {
    let work = Work::new(w, kernel);
    // SAFETY: passed on from the caller.
    unsafe {
        match w.order {
            Order::ByImage => work.filters(source, target, task),
            Order::ByChannel => {
                let at = [task / w.tiles[0], task % w.tiles[0]];
                let (tiling, some) = (Tiling::all(w), work.inputs_at_once());
                let all = tiling.len();
                for (q, part) in w.parts.iter().enumerate() {
                    let to = target.add(q * work.products * all * w.inputs);
                    for c in (0..w.inputs).step_by(some) {
                        let inputs = c..(c + some).min(w.inputs);
                        let (len, to) = (inputs.len(), to.add(all * c));
                        let row = Row { part, at, spans: |x| part.spans(w.form, [at[1], x]), place: |x| tiling.place(at, x) };
                        work.image_row(source, &row, None, inputs, to, len, all * w.inputs);
                    }
                }
            }
            Order::InTurn => unreachable!("nothing is transformed before"),
            Order::Gradient => work.small_row(source, target, task / w.tiles[0], task % w.tiles[0]),
        }
    }
}

/// Runs one task of the main stage.
///
/// # Safety
/// `a` points to the left image and `b` to what [`transform`] made of the other operand; ordered by channel, `a` to what it made of the
/// left image and `b` to the filter; in turn, to both as they are. `c` points to the result. Nobody else writes what the task owns; the CPU can
/// run `kernel`.
pub unsafe fn run_winograd(w: &Winograd, kernel: &MicroKernel, task: &WinogradTask, a: *const f32, b: *const f32, c: *mut f32) {
    let work = Work::new(w, kernel);
    // SAFETY: passed on from the caller.
    unsafe {
        match (w.order, &task.gradient) {
            (Order::ByImage, _) => work.by_image(task, a, b, c),
            (Order::ByChannel | Order::InTurn, _) => work.by_channel(task, a, b, c),
            (Order::Gradient, Some(channels)) => work.gradient(task, task.parts.start, channels.clone(), a, b, c),
            (Order::Gradient, None) => unreachable!("tasks of a filter gradient have channels"),
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

/// Makes what was written past the caches visible to others before anything that is written from now on.
fn fence() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every CPU of this architecture has it.
    unsafe {
        std::arch::x86_64::_mm_sfence()
    };
}

impl<'w> Work<'w> {
    fn new(w: &'w Winograd, kernel: &'w MicroKernel) -> Work<'w> {
        Work { w, kernel, routines: routines(w.form, kernel.vector), products: w.form.products() }
    }

    /// Whether the second-level cache is large: those of CPUs with vectors of 16 numbers have a MiB or more.
    fn has_room(&self) -> bool {
        self.kernel.vector >= 16
    }

    /// Inputs that are taken through all stages together, by channel or in turn: what becomes of them lies together too.
    fn inputs_at_once(&self) -> usize {
        let most = match self.w.order {
            Order::InTurn if self.has_room() => MORE_INPUTS_IN_TURN,
            Order::InTurn => INPUTS_IN_TURN,
            Order::ByImage | Order::ByChannel | Order::Gradient => FILTER_INPUTS,
        };
        most.min(self.w.inputs)
    }

    /// The products of the group of parts that starts with part `first`.
    fn needed(&self, tiling: &Tiling, first: usize) -> Vec<Needed> {
        let all = (0..self.products).map(|f| (f, self.w.having(first, f))).filter(|(_, having)| !having.is_empty());
        // Parts that add up have the same tiles.
        all.map(|(f, having)| Needed { f, tiles: tiling.needing(&self.w.parts[first + having.start], f), having }).collect()
    }

    /// The products that a part has.
    fn of(&self, part: usize) -> impl Iterator<Item = usize> {
        (0..self.products).filter(move |&f| self.w.parts[part].has(self.w.form, f))
    }

    /// Where the transformed filters of a part, a product and a panel lie, in numbers: parts that add up are neighbours.
    fn filter_place(&self, part: usize, product: usize, panel: usize) -> usize {
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
    /// As [`transform`].
    unsafe fn filters(&self, filter: *const f32, target: *mut f32, task: usize) {
        let panels = self.w.outputs / self.kernel.columns;
        let (part, panel) = (task / panels, task % panels);
        let step = self.filter_place(part, 1, panel) - self.filter_place(part, 0, panel);
        // SAFETY: the place of the part and the panel.
        unsafe { self.panel(filter, part, panel, 0..self.w.inputs, target.add(self.filter_place(part, 0, panel)), step) }
    }

    /// The filters of some inputs to one panel of outputs, `[product][input][output]` with `step` between products.
    ///
    /// # Safety
    /// As [`transform`]; `to` has room for the inputs.
    unsafe fn panel(&self, filter: *const f32, part: usize, panel: usize, inputs: Range<usize>, to: *mut f32, step: usize) {
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

    /// Asks for the pixels of a tile of `row` of image `number` that the tiles before and above do not have.
    fn ask_tile(&self, image: *const f32, part: &Part, [number, row]: [usize; 2], x: usize, channels: &Range<usize>) {
        let (w, m, n) = (self.w, self.w.form.results(), self.w.form.points());
        let new = |before: usize| if before > 0 { n - m } else { 0 };
        for y in (new(row)..n).map(|i| w.left_place(part, 0, row * m + i)).filter(|y| *y < w.left[0]) {
            for x in (new(x)..n).map(|j| w.left_place(part, 1, x * m + j)).filter(|x| *x < w.left[1]) {
                let pixel = (number * w.left[0] + y) * w.left[1] + x;
                channels.clone().step_by(16).for_each(|c| ask(image.wrapping_add(pixel * w.inputs + c)));
            }
        }
    }

    /// Transforms a row of tiles, `[product][tile][channel]`: `tile` between tiles and `step` between products. Those of image and row `next`
    /// are asked for meanwhile.
    ///
    /// # Safety
    /// As [`transform`]; `to` has room for the row.
    #[allow(clippy::too_many_arguments)]
    unsafe fn image_row(
        &self,
        image: *const f32,
        &Row { part, at: [number, row], ref spans, ref place }: &Row<impl Fn(usize) -> [Span; 2], impl Fn(usize) -> usize>,
        next: Option<[usize; 2]>,
        channels: Range<usize>,
        to: *mut f32,
        tile: usize,
        step: usize,
    ) {
        static ZEROS: [Line; 256] = [Line::ZERO; 256];
        let (w, m, n) = (self.w, self.w.form.results(), self.w.form.points());
        let zeros = ZEROS.as_ptr().cast::<f32>();
        debug_assert!(channels.len() <= 16 * ZEROS.len());
        for x in 0..w.tiles[1] {
            if let Some(next) = next {
                self.ask_tile(image, part, next, x, &channels);
            }
            let mut places: Places = [[zeros; MOST]; MOST];
            for (i, places) in places.iter_mut().enumerate().take(n) {
                let y = w.left_place(part, 0, row * m + i);
                for (j, place) in places.iter_mut().enumerate().take(n) {
                    let x = w.left_place(part, 1, x * m + j);
                    if y < w.left[0] && x < w.left[1] {
                        let pixel = (number * w.left[0] + y) * w.left[1] + x;
                        // SAFETY: a pixel of the image.
                        *place = unsafe { image.add(pixel * w.inputs + channels.start) };
                    }
                }
            }
            // SAFETY: the places have the channels, and `to` has room for the tile.
            unsafe { (self.routines.image)(&places, spans(x), channels.len(), to.add(place(x) * tile), step) };
        }
    }

    /// Transforms some channels of tiles in their order, `[product][tile][channel]`: `tile` between tiles and `step` between products.
    ///
    /// # Safety
    /// As [`transform`]; `to` has room for the tiles.
    #[allow(clippy::too_many_arguments)]
    unsafe fn image_tiles(
        &self,
        image: *const f32,
        part: &Part,
        tiling: &Tiling,
        channels: Range<usize>,
        to: *mut f32,
        tile: usize,
        step: usize,
    ) {
        for (at, next) in tiling.rows().zip(tiling.rows().skip(1).map(Some).chain([None])) {
            let row = Row { part, at, spans: |x| part.spans(self.w.form, [at[1], x]), place: |x| tiling.place(at, x) };
            // SAFETY: passed on from the caller.
            unsafe { self.image_row(image, &row, next, channels.clone(), to, tile, step) };
        }
    }

    /// Transforms some channels of whole tiles of rows `numbers`, counted over all images, row by row: `[product][tile][channel]` with `step`
    /// between products.
    ///
    /// # Safety
    /// As [`transform`]; `to` has room for the rows.
    unsafe fn image_rows(
        &self,
        image: *const f32,
        part: &Part,
        numbers: Range<usize>,
        channels: Range<usize>,
        to: *mut f32,
        step: usize,
    ) {
        let w = self.w;
        let at = |number: usize| [number / w.tiles[0], number % w.tiles[0]];
        let (rows, tile) = (w.images * w.tiles[0], channels.len());
        for (n, number) in numbers.enumerate() {
            let next = (number + 1 < rows).then(|| at(number + 1));
            let row = Row { part, at: at(number), spans: |_x| part.whole(w.form), place: |x| n * w.tiles[1] + x };
            // SAFETY: passed on from the caller.
            unsafe { self.image_row(image, &row, next, channels.clone(), to, tile, step) };
        }
    }

    /// Transforms the tiles of one row of one small image for a filter gradient, `[product][panel][tile][channel]`.
    ///
    /// # Safety
    /// As [`transform`].
    unsafe fn small_row(&self, image: *const f32, target: *mut f32, number: usize, row: usize) {
        let (w, m, width) = (self.w, self.w.form.results(), self.kernel.columns);
        let all = w.images * w.tiles_of_image();
        let far = self.products * all * w.outputs > FAR;
        for x in 0..w.tiles[1] {
            let tile = number * w.tiles_of_image() + row * w.tiles[1] + x;
            let pixel = (number * w.right[0] + row * m) * w.right[1] + x * m;
            let valid = [w.right[0] - row * m, w.right[1] - x * m];
            // SAFETY: the pixels are inside the image where they are valid; the target has room for all tiles.
            unsafe {
                let (from, to) = (image.add(pixel * w.outputs), target.add(tile * width));
                let steps = [w.right[1] * w.outputs, w.outputs];
                (self.routines.gradient)(from, steps, valid, w.outputs, to, [all * w.outputs, width, all * width], far);
            }
        }
        if far {
            fence();
        }
    }

    /// Transforms the products of tiles, `[product][tile][channel]`, to some channels of a part of the result.
    ///
    /// # Safety
    /// As [`run_winograd`].
    unsafe fn results(
        &self,
        tiling: &Tiling,
        part: &Part,
        from: *const f32,
        [tile, step]: [usize; 2],
        c: *mut f32,
        channels: Range<usize>,
    ) {
        let (w, m) = (self.w, self.w.form.results());
        let steps = [w.right_step * w.right[1] * w.outputs, w.right_step * w.outputs];
        for [image, row] in tiling.rows() {
            for x in 0..w.tiles[1] {
                let mut spans = part.spans(w.form, [row, x]);
                if spans[0].results == 0 || spans[1].results == 0 {
                    continue;
                }
                if w.joined {
                    // Parts that add up have all products together.
                    (spans[0].taps, spans[1].taps) = (w.form.taps(), w.form.taps());
                }
                let at = [part.to[0] + row * m * w.right_step, part.to[1] + x * m * w.right_step];
                let pixel = (image * w.right[0] + at[0]) * w.right[1] + at[1];
                // SAFETY: the results of the tile lie inside the image.
                unsafe {
                    let (from, to) = (from.add(tiling.place([image, row], x) * tile), c.add(pixel * w.outputs + channels.start));
                    (self.routines.result)(from, step, spans, channels.len(), to, steps);
                }
            }
        }
    }

    /// # Safety
    /// As [`run_winograd`].
    unsafe fn by_image(&self, task: &WinogradTask, a: *const f32, u: *const f32, c: *mut f32) {
        let (w, width, group) = (self.w, self.kernel.columns, self.w.group());
        let tiling = Tiling::new(w, task.images.clone(), task.rows.clone());
        let tiles = tiling.len();
        let tile = w.inputs + APART;
        let part_len = tiles * tile + APART;
        let step = group * part_len + APART;
        // As many panels at a time as keep the products in cache.
        let across = self.kernel.across();
        let most = (HELD / (self.products * tiles * width)).max(1).next_multiple_of(across).min(task.panels.len());
        let held_tile = most * width + APART;
        let held_step = tiles * held_tile + APART;
        // Of a panel: parts that add up are neighbours, and so are panels.
        let filters = group * w.inputs * width;
        scratch([self.products * step, self.products * held_step], |[v, held]| {
            for first in (0..w.parts.len()).step_by(group) {
                let needed = self.needed(&tiling, first);
                for q in 0..group {
                    // SAFETY: the memory has room for all tiles of the task.
                    unsafe {
                        let to = v.add(q * part_len);
                        self.image_tiles(a, &w.parts[first + q], &tiling, 0..w.inputs, to, tile, step);
                    }
                }
                for panels in (task.panels.start..task.panels.end).step_by(most) {
                    let panels = panels..(panels + most).min(task.panels.end);
                    for (Needed { f, having, tiles }, later) in needed.iter().zip(needed.iter().skip(1).map(Some).chain([None])) {
                        let asks = tiles.len().div_ceil(self.kernel.rows) * self.kernel.asks(having.len(), w.inputs);
                        let mut tiles_ahead = match &later {
                            Some(Needed { f, having, .. }) => {
                                let times = asks * panels.len().div_ceil(across);
                                let from = v.wrapping_add(f * step + having.start * part_len);
                                Ahead::new(from, 1, 0, having.len() * part_len, times)
                            }
                            None => Ahead::NOTHING,
                        };
                        for some in together(panels.clone(), across) {
                            let next = match &later {
                                _ if some.end < panels.end => Some((f, having, some.end)),
                                Some(Needed { f, having, .. }) => Some((f, having, panels.start)),
                                None => None,
                            };
                            let filters_ahead = match next {
                                Some((f, having, panel)) => {
                                    let from = u.wrapping_add(self.filter_place(first + having.start, *f, panel));
                                    Ahead::new(from, some.len(), filters, having.len() * w.inputs * width, asks)
                                }
                                None => Ahead::NOTHING,
                            };
                            let mut ahead = [tiles_ahead, filters_ahead];
                            // SAFETY: the memory holds the transformed tiles and has room for the products.
                            unsafe {
                                multiply(
                                    self.kernel,
                                    &Product {
                                        rows: tiles.len(),
                                        a: v.add(f * step + having.start * part_len + tiles.start * tile),
                                        a_row: tile,
                                        a_step: 1,
                                        a_segment: part_len,
                                        segments: having.len(),
                                        k: w.inputs,
                                        panels: some.len(),
                                        b: u.add(self.filter_place(first + having.start, *f, some.start)),
                                        b_panel: filters,
                                        c: held
                                            .add(f * held_step + tiles.start * held_tile + (some.start - panels.start) * width),
                                        c_row: held_tile,
                                        c_panel: width,
                                        accumulate: false,
                                    },
                                    &mut ahead,
                                );
                            }
                            tiles_ahead = ahead[0];
                        }
                    }
                    let channels = panels.start * width..panels.end * width;
                    // SAFETY: the products of all tiles of the task.
                    unsafe { self.results(&tiling, &w.parts[first], held, [held_tile, held_step], c, channels) };
                }
            }
        });
    }

    /// # Safety
    /// As [`run_winograd`].
    unsafe fn by_channel(&self, task: &WinogradTask, a: *const f32, filter: *const f32, c: *mut f32) {
        let (w, width, group) = (self.w, self.kernel.columns, self.w.group());
        let tiling = Tiling::all(w);
        let tiles = tiling.len();
        let some = self.inputs_at_once();
        let in_turn = w.order == Order::InTurn;
        let tiles_step = if in_turn { some * tiles + APART } else { 0 };
        let filters_step = some * width + APART;
        let held_step = tiles * width + APART;
        let (filters_panel, held_panel) = (self.products * filters_step, self.products * held_step);
        let panels = task.panels.len();
        scratch([panels * filters_panel, panels * held_panel, self.products * tiles_step], |[u, held, own]| {
            for first in task.parts.clone().step_by(group) {
                let needed = self.needed(&tiling, first);
                for q in first..first + group {
                    for c in (0..w.inputs).step_by(some) {
                        let inputs = c..(c + some).min(w.inputs);
                        for (n, panel) in task.panels.clone().enumerate() {
                            // SAFETY: the memory has room for the filters of these inputs.
                            unsafe { self.panel(filter, q, panel, inputs.clone(), u.add(n * filters_panel), filters_step) };
                        }
                        let (v, v_step) = match in_turn {
                            // SAFETY: the memory has room for the tiles of these inputs.
                            true => unsafe {
                                self.image_tiles(a, &w.parts[q], &tiling, inputs.clone(), own, inputs.len(), tiles_step);
                                (own.cast_const(), tiles_step)
                            },
                            false => (a.wrapping_add(q * self.products * tiles * w.inputs + tiles * c), tiles * w.inputs),
                        };
                        let across = self.kernel.across();
                        let of_part = needed.iter().filter(|n| n.having.contains(&(q - first)));
                        for (Needed { f, having, tiles }, some) in
                            of_part.flat_map(|n| together(0..panels, across).map(move |s| (n, s)))
                        {
                            let before = q - first > having.start;
                            // SAFETY: the memory has room for all products.
                            unsafe {
                                multiply(
                                    self.kernel,
                                    &Product {
                                        rows: tiles.len(),
                                        a: v.add(f * v_step + tiles.start * inputs.len()),
                                        a_row: inputs.len(),
                                        a_step: 1,
                                        a_segment: 0,
                                        segments: 1,
                                        k: inputs.len(),
                                        panels: some.len(),
                                        b: u.add(some.start * filters_panel + f * filters_step),
                                        b_panel: filters_panel,
                                        c: held.add(some.start * held_panel + f * held_step + tiles.start * width),
                                        c_row: width,
                                        c_panel: held_panel,
                                        accumulate: before || c > 0,
                                    },
                                    &mut [],
                                );
                            }
                        }
                    }
                }
                for (n, panel) in task.panels.clone().enumerate() {
                    let channels = panel * width..(panel + 1) * width;
                    // SAFETY: the products of all tiles.
                    unsafe {
                        let from = held.add(n * held_panel);
                        self.results(&tiling, &w.parts[first], from, [width, held_step], c, channels);
                    }
                }
            }
        });
    }

    /// # Safety
    /// As [`run_winograd`].
    unsafe fn gradient(&self, task: &WinogradTask, part: usize, inputs: Range<usize>, a: *const f32, d: *const f32, c: *mut f32) {
        let (w, width, panels) = (self.w, self.kernel.columns, task.panels.len());
        let (all, row) = (w.images * w.tiles_of_image(), w.tiles[1]);
        let tiles_at_once = if self.has_room() { MORE_GRADIENT_TILES } else { GRADIENT_TILES };
        let rows_at_once = tiles_at_once.div_ceil(row).min(w.images * w.tiles[0]);
        let tile = inputs.len();
        let asks = tile.div_ceil(self.kernel.rows) * self.kernel.asks(1, rows_at_once * row);
        let step = rows_at_once * row * tile + APART;
        let held_row = panels * width + APART;
        let held_step = inputs.len() * held_row + APART;
        scratch([self.products * step, self.products * held_step], |[v, held]| {
            let rows = w.images * w.tiles[0];
            for first in (0..rows).step_by(rows_at_once) {
                let some = first..(first + rows_at_once).min(rows);
                // SAFETY: the memory has room for so many tiles.
                unsafe { self.image_rows(a, &w.parts[part], some.clone(), inputs.clone(), v, step) };
                for f in self.of(part) {
                    for at in together(0..panels, self.kernel.across()) {
                        let place =
                            |f: usize, n: usize| ((f * (w.outputs / width) + task.panels.start + n) * all + first * row) * width;
                        let next = if at.end < panels { (f, at.end) } else { (f + 1, 0) };
                        let mut ahead = match next.0 < self.products {
                            true => {
                                let b = d.wrapping_add(place(next.0, next.1));
                                let c = held.wrapping_add(next.0 * held_step + next.1 * width);
                                [
                                    Ahead::new(b, at.len(), all * width, some.len() * row * width, asks),
                                    Ahead::new(c, inputs.len(), held_row, at.len() * width, asks),
                                ]
                            }
                            false => [Ahead::NOTHING; 2],
                        };
                        // SAFETY: rows are channels of the big image, products go over tiles.
                        unsafe {
                            multiply(
                                self.kernel,
                                &Product {
                                    rows: inputs.len(),
                                    a: v.add(f * step),
                                    a_row: 1,
                                    a_step: tile,
                                    a_segment: 0,
                                    segments: 1,
                                    k: some.len() * row,
                                    panels: at.len(),
                                    b: d.add(place(f, at.start)),
                                    b_panel: all * width,
                                    c: held.add(f * held_step + at.start * width),
                                    c_row: held_row,
                                    c_panel: width,
                                    accumulate: first > 0,
                                },
                                &mut ahead,
                            );
                        }
                    }
                }
            }
            for (n, input) in inputs.clone().enumerate() {
                let channel = input * w.filter_input + task.panels.start * width;
                // SAFETY: the products of one input, and its place in the filter.
                unsafe {
                    let (from, to) = (held.add(n * held_row), c.add(channel));
                    let Part { taps, along, .. } = &w.parts[part];
                    (self.routines.filter_gradient)(from, held_step, panels * width, to, taps, *along);
                }
            }
        });
    }
}
