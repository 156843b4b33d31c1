//! The micro-kernel for products in a list, and how that list is made.

use super::{ROWS, TileArgs, finish, start};
use crate::kernels::{Picked, Tile};
use std::arch::x86_64::{
    __m128i, __m256, _CMP_NEQ_UQ, _mm_add_epi16, _mm_cvtepu8_epi16, _mm_loadl_epi64, _mm_set1_epi16, _mm_storeu_si128,
    _mm256_broadcast_ss, _mm256_castps_si256, _mm256_cmp_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_loadu_si256,
    _mm256_movemask_ps, _mm256_or_ps, _mm256_setzero_ps, _mm256_testz_si256,
};

/// The functions; only for CPUs that have AVX2 and FMA.
pub fn picked() -> Picked {
    let run: Vec<Tile> = vec![picks::<1>, picks::<2>, picks::<3>, picks::<4>, picks::<5>, picks::<6>];
    Picked { rows: ROWS, run: vec![run], of_rows, of_tile: of_tile::<ROWS> }
}

/// # Safety
/// As [`super::tile`]; the products in the list are those of the only segment.
unsafe extern "C" fn picks<const R: usize>(args: *const TileArgs) {
    // SAFETY: passed on from the caller.
    unsafe { sums::<R>(&*args) }
}

/// # Safety
/// As [`picks`].
#[target_feature(enable = "avx2,fma")]
unsafe fn sums<const R: usize>(g: &TileArgs) {
    // SAFETY: every address is one that the caller vouches for.
    unsafe {
        let (mut low, mut high) = start::<R>(g);
        let a: [*const f32; R] = std::array::from_fn(|r| g.a_rows[r]);
        for &product in std::slice::from_raw_parts(g.left, g.count) {
            let (at, b) = (usize::from(product) * g.a_step, g.b.byte_add(usize::from(product) * 64));
            let (b_low, b_high) = (_mm256_loadu_ps(b), _mm256_loadu_ps(b.add(8)));
            for r in 0..R {
                let x: __m256 = _mm256_broadcast_ss(&*a[r].byte_add(at));
                low[r] = _mm256_fmadd_ps(x, b_low, low[r]);
                high[r] = _mm256_fmadd_ps(x, b_high, high[r]);
            }
        }
        finish(g, &low, &high);
    }
}

/// For each set of eight its elements in order; what follows them does not count.
static ELEMENTS: [[u8; 8]; 256] = elements();

const fn elements() -> [[u8; 8]; 256] {
    let mut all = [[0; 8]; 256];
    let mut set = 0;
    while set < 256 {
        let (mut element, mut count) = (0, 0);
        while element < 8 {
            if set >> element & 1 == 1 {
                all[set][count] = element;
                count += 1;
            }
            element += 1;
        }
        set += 1;
    }
    all
}

/// # Safety
/// See [`Picked::of_rows`]; the CPU has AVX2.
pub unsafe fn of_rows(rows: &[*const f32], k: usize, list: *mut u16) -> usize {
    // SAFETY: passed on from the caller.
    unsafe { look_along(rows, k, list) }
}

/// # Safety
/// As [`of_rows`].
#[target_feature(enable = "avx2")]
unsafe fn look_along(rows: &[*const f32], k: usize, list: *mut u16) -> usize {
    let mut count = 0;
    // SAFETY: elements of the rows; the list has room for all products and 8 more.
    unsafe {
        for first in (0..k / 8 * 8).step_by(8) {
            let mut any = _mm256_setzero_ps();
            for row in rows {
                let x = _mm256_loadu_ps(row.add(first));
                // Not zero, or not a number.
                any = _mm256_or_ps(any, _mm256_cmp_ps::<_CMP_NEQ_UQ>(x, _mm256_setzero_ps()));
            }
            let set = _mm256_movemask_ps(any) as usize;
            let some = _mm_cvtepu8_epi16(_mm_loadl_epi64(ELEMENTS[set].as_ptr().cast()));
            let products: __m128i = _mm_add_epi16(some, _mm_set1_epi16(first as i16));
            _mm_storeu_si128(list.add(count).cast(), products);
            count += set.count_ones() as usize;
        }
        for product in k / 8 * 8..k {
            *list.add(count) = product as u16;
            count += usize::from(rows.iter().any(|row| *row.add(product) != 0.0));
        }
    }
    count
}

/// # Safety
/// See [`Picked::of_tile`], for tiles of `STEP` elements for each product; the CPU has AVX2.
pub unsafe fn of_tile<const STEP: usize>(tile: *const f32, rows: usize, k: usize, list: *mut u16) -> usize {
    // SAFETY: passed on from the caller.
    unsafe { look_across::<STEP>(tile, rows, k, list) }
}

/// # Safety
/// As [`of_tile`].
#[target_feature(enable = "avx2")]
unsafe fn look_across<const STEP: usize>(tile: *const f32, rows: usize, k: usize, list: *mut u16) -> usize {
    // All bits but the sign of each row.
    let mask: [i32; 8] = std::array::from_fn(|r| if r < rows { i32::MAX } else { 0 });
    let mut count = 0;
    // SAFETY: eight elements from each product on are readable; the list has room for all products.
    unsafe {
        let mask = _mm256_loadu_si256(mask.as_ptr().cast());
        for product in 0..k {
            let x = _mm256_castps_si256(_mm256_loadu_ps(tile.add(product * STEP)));
            *list.add(count) = product as u16;
            count += usize::from(_mm256_testz_si256(x, mask) == 0);
        }
    }
    count
}
