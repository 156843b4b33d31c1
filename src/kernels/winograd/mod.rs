//! Convolutions by Winograd's minimal filtering, as [`Winograd`] describes them: transforms around products of the micro-kernel.
//!
//! Every element of a result belongs to one task, which computes it in one fixed order; tasks depend on shapes only. Between the
//! stages of a task values lie in memory of the thread's own. Strides are a line longer than they need be, so that streams whose
//! distance would be a power of two do not fall into the same set of the cache.

mod filters;
mod images;
mod routines;
mod tasks;
mod tiling;
mod transforms;

pub use tasks::{WinogradTask, transform_tasks, winograd_tasks};

use super::ahead::Ahead;
use super::product::{Product, multiply, scratch};
use super::{MicroKernel, together};
use crate::schedule::winograd::{Order, Part, Winograd};
use images::Row;
use routines::{Routines, routines};
use std::ops::Range;
use tiling::Tiling;

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
