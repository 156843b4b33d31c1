//! The transforms of whole tiles, for every form and width of vectors.

use super::super::lanes::{Eight, Lanes, Sixteen};
use super::super::product::Line;
use super::filters::SIDE;
use super::transforms::{Axis, F22, F23, F34, F42, F43, MOST, Transforms, linear};
use crate::schedule::winograd::{Form, Span};

/// Addresses of the first channel at each position of a tile.
pub type Places = [[*const f32; MOST]; MOST];

/// The transforms of one form. Channels are a multiple of the vectors' width; `step` is the distance between the values of successive
/// products in memory. Products that a tile's `spans` along both axes have not, or a filter with fewer taps `along` an axis, are neither read
/// nor written.
#[derive(Clone, Copy)]
pub struct Routines {
    /// Inputs of a tile to products: `(places, spans, channels, to, step)`.
    pub image: unsafe fn(&Places, [Span; 2], usize, *mut f32, usize),
    /// Products to the results of a tile: `(from, step, spans, channels, to, [step of rows, step of columns])`.
    pub result: unsafe fn(*const f32, usize, [Span; 2], usize, *mut f32, [usize; 2]),
    /// Gradients of the results of a tile, 0 outside `valid` rows and columns, to products in panels of `width`:
    /// `(from, [step of rows, step of columns], valid, channels, to, [step, width, step of panels], past the caches)`.
    pub gradient: unsafe fn(*const f32, [usize; 2], [usize; 2], usize, *mut f32, [usize; 3], bool),
    /// Copies `SIDE` lines of as many numbers to neighbours: `(from, step of lines, to)`.
    pub lines: unsafe fn(*const f32, usize, *mut f32),
    /// Taps to products: `(filter, taps, along, channels, to, step)`.
    pub filter: unsafe fn(*const f32, &[usize], [usize; 2], usize, *mut f32, usize),
    /// Products to gradients of taps: `(from, step, channels, filter, taps, along)`.
    pub filter_gradient: unsafe fn(*const f32, usize, usize, *mut f32, &[usize], [usize; 2]),
}

/// The routines of `form`, where vectors have `width` numbers.
///
/// Only to be called on CPUs that have such vectors: 16 wide with AVX-512, 8 wide with AVX2 and FMA.
pub fn routines(form: Form, width: usize) -> Routines {
    match (form, width) {
        (Form::F22, 16) => wide_f22::ALL,
        (Form::F42, 16) => wide_f42::ALL,
        (Form::F23, 16) => wide_f23::ALL,
        (Form::F34, 16) => wide_f34::ALL,
        (Form::F43, 16) => wide_f43::ALL,
        (Form::F22, _) => half_f22::ALL,
        (Form::F42, _) => half_f42::ALL,
        (Form::F23, _) => half_f23::ALL,
        (Form::F34, _) => half_f34::ALL,
        (Form::F43, _) => half_f43::ALL,
    }
}

macro_rules! compiled {
    ($name:ident, $form:ty, $lanes:ty, $features:literal) => {
        mod $name {
            use super::*;

            pub const ALL: Routines = Routines { image, result, gradient, lines, filter, filter_gradient };

            #[target_feature(enable = $features)]
            unsafe fn lines(from: *const f32, step: usize, to: *mut f32) {
                // SAFETY: passed on from the caller.
                unsafe { super::lines::<$lanes>(from, step, to) }
            }

            #[target_feature(enable = $features)]
            unsafe fn image(places: &Places, spans: [Span; 2], channels: usize, to: *mut f32, step: usize) {
                // SAFETY: passed on from the caller.
                unsafe {
                    match is_whole::<$form>(spans) {
                        true => super::image::<$form, $lanes, true>(places, spans, channels, to, step),
                        false => super::image::<$form, $lanes, false>(places, spans, channels, to, step),
                    }
                }
            }

            #[target_feature(enable = $features)]
            unsafe fn result(from: *const f32, step: usize, spans: [Span; 2], channels: usize, to: *mut f32, steps: [usize; 2]) {
                // SAFETY: passed on from the caller.
                unsafe {
                    match is_whole::<$form>(spans) {
                        true => super::result::<$form, $lanes, true>(from, step, spans, channels, to, steps),
                        false => super::result::<$form, $lanes, false>(from, step, spans, channels, to, steps),
                    }
                }
            }

            #[target_feature(enable = $features)]
            unsafe fn gradient(
                from: *const f32,
                steps: [usize; 2],
                valid: [usize; 2],
                channels: usize,
                to: *mut f32,
                steps_to: [usize; 3],
                far: bool,
            ) {
                // SAFETY: passed on from the caller.
                unsafe { super::gradient::<$form, $lanes>(from, steps, valid, channels, to, steps_to, far) }
            }

            #[target_feature(enable = $features)]
            unsafe fn filter(from: *const f32, taps: &[usize], along: [usize; 2], channels: usize, to: *mut f32, step: usize) {
                // SAFETY: passed on from the caller.
                unsafe {
                    match along == [<$form>::R; 2] {
                        true => super::filter::<$form, $lanes, true>(from, taps, along, channels, to, step),
                        false => super::filter::<$form, $lanes, false>(from, taps, along, channels, to, step),
                    }
                }
            }

            #[target_feature(enable = $features)]
            unsafe fn filter_gradient(
                from: *const f32,
                step: usize,
                channels: usize,
                to: *mut f32,
                taps: &[usize],
                along: [usize; 2],
            ) {
                // SAFETY: passed on from the caller.
                unsafe {
                    match along == [<$form>::R; 2] {
                        true => super::filter_gradient::<$form, $lanes, true>(from, step, channels, to, taps, along),
                        false => super::filter_gradient::<$form, $lanes, false>(from, step, channels, to, taps, along),
                    }
                }
            }
        }
    };
}

compiled!(wide_f22, F22, Sixteen, "avx512f");
compiled!(wide_f42, F42, Sixteen, "avx512f");
compiled!(wide_f23, F23, Sixteen, "avx512f");
compiled!(wide_f34, F34, Sixteen, "avx512f");
compiled!(wide_f43, F43, Sixteen, "avx512f");
compiled!(half_f22, F22, Eight, "avx2,fma");
compiled!(half_f42, F42, Eight, "avx2,fma");
compiled!(half_f23, F23, Eight, "avx2,fma");
compiled!(half_f34, F34, Eight, "avx2,fma");
compiled!(half_f43, F43, Eight, "avx2,fma");

/// A square of `side x side` vectors, transformed along its columns and then along its rows, which makes it `middle` long each way.
///
/// No function with closures: vector instructions are only inlined through functions that are always inlined.
macro_rules! square {
    ($side:expr, $middle:expr, $transform:path $([$down:expr, $across:expr])?, |$i:ident, $j:ident| $of:expr) => {{
        let mut half = [[V::zero(); MOST]; MOST];
        for $j in 0..$side {
            let mut column = [V::zero(); MOST];
            for $i in 0..$side {
                column[$i] = $of;
            }
            let column = $transform($($down,)? column);
            for i in 0..$middle {
                half[i][$j] = column[i];
            }
        }
        for i in 0..$middle {
            half[i] = $transform($($across,)? half[i]);
        }
        half
    }};
}

/// Whether a tile has all results and its filters have all taps.
#[inline(always)]
fn is_whole<F: Transforms>(spans: [Span; 2]) -> bool {
    spans == [Span { results: F::M, taps: F::R }; 2]
}

/// Which products along an axis a tile has: `has[i]`.
#[inline(always)]
fn needed<F: Transforms>(span: Span) -> [bool; MOST] {
    let mut has = [false; MOST];
    for (i, has) in has.iter_mut().enumerate().take(F::N) {
        *has = span.has(F::FORM, i);
    }
    has
}

/// [`Transforms::bt`] of a tile that has so many results.
#[inline(always)]
fn bt<F: Transforms, V: Lanes>(results: usize, d: Axis<V>) -> Axis<V> {
    match results {
        1 if F::M > 1 => linear(&F::SHORT[1].bt, d),
        2 if F::M > 2 => linear(&F::SHORT[2].bt, d),
        3 if F::M > 3 => linear(&F::SHORT[3].bt, d),
        _all => F::bt(d),
    }
}

/// [`Transforms::at`] of a tile that has so many results.
#[inline(always)]
fn at<F: Transforms, V: Lanes>(results: usize, m: Axis<V>) -> Axis<V> {
    match results {
        1 if F::M > 1 => linear(&F::SHORT[1].at, m),
        2 if F::M > 2 => linear(&F::SHORT[2].at, m),
        3 if F::M > 3 => linear(&F::SHORT[3].at, m),
        _all => F::at(m),
    }
}

/// # Safety
/// All addresses in `places` have `channels` numbers; `to` has room for every product.
#[inline(always)]
unsafe fn image<F: Transforms, V: Lanes, const WHOLE: bool>(
    places: &Places,
    spans: [Span; 2],
    channels: usize,
    to: *mut f32,
    step: usize,
) {
    let (rows, columns) = if WHOLE { ([true; MOST], [true; MOST]) } else { (needed::<F>(spans[0]), needed::<F>(spans[1])) };
    let [down, across] = [spans[0].results, spans[1].results];
    for c in (0..channels).step_by(V::WIDTH) {
        let all = match WHOLE {
            // SAFETY: `c` is inside the channels.
            true => square!(F::N, F::N, F::bt, |i, j| unsafe { V::load(places[i][j].add(c)) }),
            // SAFETY: `c` is inside the channels.
            false => square!(F::N, F::N, bt::<F, V>[down, across], |i, j| unsafe { V::load(places[i][j].add(c)) }),
        };
        for i in 0..F::N {
            for j in 0..F::N {
                if WHOLE || rows[i] && columns[j] {
                    // SAFETY: one of the products.
                    unsafe { all[i][j].store(to.add((i * F::N + j) * step + c)) };
                }
            }
        }
    }
}

/// # Safety
/// `from` holds the products and `to` has the results of the tile.
#[inline(always)]
unsafe fn result<F: Transforms, V: Lanes, const WHOLE: bool>(
    from: *const f32,
    step: usize,
    spans: [Span; 2],
    channels: usize,
    to: *mut f32,
    steps: [usize; 2],
) {
    let (rows, columns) = if WHOLE { ([true; MOST], [true; MOST]) } else { (needed::<F>(spans[0]), needed::<F>(spans[1])) };
    let [down, across] = [spans[0].results, spans[1].results];
    for c in (0..channels).step_by(V::WIDTH) {
        let all = match WHOLE {
            // SAFETY: one of the products.
            true => square!(F::N, F::M, F::at, |i, j| unsafe { V::load(from.add((i * F::N + j) * step + c)) }),
            false => square!(F::N, F::M, at::<F, V>[down, across], |i, j| match rows[i] && columns[j] {
                // SAFETY: one of the products.
                true => unsafe { V::load(from.add((i * F::N + j) * step + c)) },
                false => V::zero(),
            }),
        };
        for i in 0..F::M {
            for j in 0..F::M {
                if WHOLE || i < down && j < across {
                    // SAFETY: one of the results.
                    unsafe { all[i][j].store(to.add(i * steps[0] + j * steps[1] + c)) };
                }
            }
        }
    }
}

/// # Safety
/// `from` has the gradients that are valid and `to` room for every product.
#[inline(always)]
unsafe fn gradient<F: Transforms, V: Lanes>(
    from: *const f32,
    steps: [usize; 2],
    valid: [usize; 2],
    channels: usize,
    to: *mut f32,
    [step, width, panel]: [usize; 3],
    far: bool,
) {
    // Whole lines of the cache: channels of each product are neighbours in memory, and products are not.
    const LINE: usize = 16;
    let mut lines = [Line::ZERO; MOST * MOST];
    let lines = lines.as_mut_ptr().cast::<f32>();
    for first in (0..channels).step_by(LINE) {
        for c in (0..LINE).step_by(V::WIDTH) {
            let all = square!(F::M, F::N, F::a, |i, j| match i < valid[0] && j < valid[1] {
                // SAFETY: a valid gradient.
                true => unsafe { V::load(from.add(i * steps[0] + j * steps[1] + first + c)) },
                false => V::zero(),
            });
            for i in 0..F::N {
                for j in 0..F::N {
                    // SAFETY: there is a line for each product.
                    unsafe { all[i][j].store(lines.add((i * F::N + j) * LINE + c)) };
                }
            }
        }
        // SAFETY: the panel of these channels; panels start at multiples of a line.
        unsafe {
            let to = to.add(first / width * panel + first % width);
            for p in 0..F::N * F::N {
                for c in (0..LINE).step_by(V::WIDTH) {
                    let (values, to) = (V::load(lines.add(p * LINE + c)), to.add(p * step + c));
                    if far { values.stream(to) } else { values.store(to) }
                }
            }
        }
    }
}

/// # Safety
/// The lines are readable, and `to` has room for them.
#[inline(always)]
unsafe fn lines<V: Lanes>(from: *const f32, step: usize, to: *mut f32) {
    for i in 0..SIDE {
        for c in (0..SIDE).step_by(V::WIDTH) {
            // SAFETY: passed on from the caller.
            unsafe { V::load(from.add(i * step + c)).store(to.add(i * SIDE + c)) };
        }
    }
}

/// # Safety
/// The filter has `channels` numbers at each tap and `to` room for every product.
#[inline(always)]
unsafe fn filter<F: Transforms, V: Lanes, const WHOLE: bool>(
    from: *const f32,
    taps: &[usize],
    along: [usize; 2],
    channels: usize,
    to: *mut f32,
    step: usize,
) {
    let points = along.map(|taps| F::M + taps - 1);
    for c in (0..channels).step_by(V::WIDTH) {
        let all = square!(F::R, F::N, F::g, |i, j| match WHOLE || i < along[0] && j < along[1] {
            // SAFETY: a tap of the filter.
            true => unsafe { V::load(from.add(taps[i * if WHOLE { F::R } else { along[1] } + j] + c)) },
            false => V::zero(),
        });
        for i in 0..F::N {
            for j in 0..F::N {
                if WHOLE || i < points[0] && j < points[1] {
                    // SAFETY: one of the products.
                    unsafe { all[i][j].store(to.add((i * F::N + j) * step + c)) };
                }
            }
        }
    }
}

/// # Safety
/// `from` holds every product, and the filter has `channels` numbers at each tap.
#[inline(always)]
unsafe fn filter_gradient<F: Transforms, V: Lanes, const WHOLE: bool>(
    from: *const f32,
    step: usize,
    channels: usize,
    to: *mut f32,
    taps: &[usize],
    along: [usize; 2],
) {
    let points = along.map(|taps| F::M + taps - 1);
    for c in (0..channels).step_by(V::WIDTH) {
        let all = square!(F::N, F::R, F::gt, |i, j| match WHOLE || i < points[0] && j < points[1] {
            // SAFETY: one of the products.
            true => unsafe { V::load(from.add((i * F::N + j) * step + c)) },
            false => V::zero(),
        });
        for i in 0..F::R {
            for j in 0..F::R {
                if WHOLE || i < along[0] && j < along[1] {
                    // SAFETY: a tap of the filter.
                    unsafe { all[i][j].store(to.add(taps[i * if WHOLE { F::R } else { along[1] } + j] + c)) };
                }
            }
        }
    }
}
