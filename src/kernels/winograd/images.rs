//! Images on their way to products, tile by tile, and products on their way to results.

use super::Work;
use super::routines::Places;
use super::tiling::Tiling;
use super::transforms::MOST;
use crate::kernels::ahead::ask;
use crate::kernels::product::Line;
use crate::schedule::winograd::{Part, Span};
use std::ops::Range;

/// Transformed gradients of more numbers than this are written past the caches, which would not hold them until they are read.
const FAR: usize = 1 << 20;

/// A row of tiles of a part.
pub(super) struct Row<'p, S, P> {
    pub part: &'p Part,
    /// Image, and row of tiles.
    pub at: [usize; 2],
    /// What the tile of a column has along both axes.
    pub spans: S,
    /// The place of the tile of a column.
    pub place: P,
}

impl Work<'_> {
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
    /// As [`super::transform`]; `to` has room for the row.
    #[allow(clippy::too_many_arguments)]
    pub(super) unsafe fn image_row(
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
    /// As [`super::transform`]; `to` has room for the tiles.
    #[allow(clippy::too_many_arguments)]
    pub(super) unsafe fn image_tiles(
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
    /// As [`super::transform`]; `to` has room for the rows.
    pub(super) unsafe fn image_rows(
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
    /// As [`super::transform`].
    pub(super) unsafe fn small_row(&self, image: *const f32, target: *mut f32, number: usize, row: usize) {
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
    /// As [`super::run_winograd`].
    pub(super) unsafe fn results(
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
}

/// Makes what was written past the caches visible to others before anything that is written from now on.
fn fence() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every CPU of this architecture has it.
    unsafe {
        std::arch::x86_64::_mm_sfence()
    };
}
