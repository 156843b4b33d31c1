//! The transforms of whole tiles, for every form and width of vectors.

use super::super::lanes::{Eight, Lanes, Sixteen};
use super::super::product::Line;
use super::SIDE;
use super::transforms::{F22, F23, F34, F42, F43, MOST, Transforms};
use crate::schedule::winograd::Form;

/// Addresses of the first channel at each position of a tile.
pub type Places = [[*const f32; MOST]; MOST];

/// The transforms of one form. Channels are a multiple of the vectors' width; `step` is the distance between the values of successive
/// products in memory. Of a part that has fewer `points` along an axis than the form, or fewer taps `along` it, the last product is neither
/// read nor written.
#[derive(Clone, Copy)]
pub struct Routines {
    /// Inputs of a tile to products: `(places, points, channels, to, step)`.
    pub image: unsafe fn(&Places, [usize; 2], usize, *mut f32, usize),
    /// Products to the results of a tile, of which those in `valid` rows and columns are written:
    /// `(from, step, points, channels, to, [step of rows, step of columns], valid)`.
    pub result: unsafe fn(*const f32, usize, [usize; 2], usize, *mut f32, [usize; 2], [usize; 2]),
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
            unsafe fn image(places: &Places, points: [usize; 2], channels: usize, to: *mut f32, step: usize) {
                // SAFETY: passed on from the caller.
                unsafe {
                    match points == [<$form>::N; 2] {
                        true => super::image::<$form, $lanes, true>(places, points, channels, to, step),
                        false => super::image::<$form, $lanes, false>(places, points, channels, to, step),
                    }
                }
            }

            #[target_feature(enable = $features)]
            unsafe fn result(
                from: *const f32,
                step: usize,
                points: [usize; 2],
                channels: usize,
                to: *mut f32,
                steps: [usize; 2],
                valid: [usize; 2],
            ) {
                // SAFETY: passed on from the caller.
                unsafe {
                    match points == [<$form>::N; 2] {
                        true => super::result::<$form, $lanes, true>(from, step, points, channels, to, steps, valid),
                        false => super::result::<$form, $lanes, false>(from, step, points, channels, to, steps, valid),
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
    ($side:expr, $middle:expr, $transform:path, |$i:ident, $j:ident| $of:expr) => {{
        let mut half = [[V::zero(); MOST]; MOST];
        for $j in 0..$side {
            let mut column = [V::zero(); MOST];
            for $i in 0..$side {
                column[$i] = $of;
            }
            let column = $transform(column);
            for i in 0..$middle {
                half[i][$j] = column[i];
            }
        }
        for i in 0..$middle {
            half[i] = $transform(half[i]);
        }
        half
    }};
}

/// # Safety
/// All addresses in `places` have `channels` numbers; `to` has room for every product.
#[inline(always)]
unsafe fn image<F: Transforms, V: Lanes, const WHOLE: bool>(
    places: &Places,
    points: [usize; 2],
    channels: usize,
    to: *mut f32,
    step: usize,
) {
    for c in (0..channels).step_by(V::WIDTH) {
        // SAFETY: `c` is inside the channels.
        let all = square!(F::N, F::N, F::bt, |i, j| unsafe { V::load(places[i][j].add(c)) });
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
/// `from` holds every product and `to` has the results that are valid.
#[inline(always)]
unsafe fn result<F: Transforms, V: Lanes, const WHOLE: bool>(
    from: *const f32,
    step: usize,
    points: [usize; 2],
    channels: usize,
    to: *mut f32,
    steps: [usize; 2],
    valid: [usize; 2],
) {
    for c in (0..channels).step_by(V::WIDTH) {
        let all = square!(F::N, F::M, F::at, |i, j| match WHOLE || i < points[0] && j < points[1] {
            // SAFETY: one of the products.
            true => unsafe { V::load(from.add((i * F::N + j) * step + c)) },
            false => V::zero(),
        });
        for i in 0..F::M {
            for j in 0..F::M {
                if i < valid[0] && j < valid[1] {
                    // SAFETY: a valid result.
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
