//! The micro-kernel for products in a list, for tiles of half the rows: they share more zeros, and still keep the unit of arithmetic busy.

use super::{COLUMNS, ROWS, TileArgs, finish, start};
use crate::kernels::avx2::gaps::{of_rows, of_tile};
use crate::kernels::Picked;
use std::arch::x86_64::{_mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps};

/// Rows of a tile.
const HALF: usize = ROWS / 2;

/// The functions; only for CPUs that have AVX-512 (F) and AVX2.
pub fn picked() -> Picked {
    let run: Vec<unsafe extern "C" fn(*const TileArgs)> =
        vec![picks::<1>, picks::<2>, picks::<3>, picks::<4>, picks::<5>, picks::<6>, picks::<HALF>];
    Picked { rows: HALF, run, of_rows, of_tile: of_tile::<HALF> }
}

/// # Safety
/// As [`super::tile`]; the products in the list are those of the only segment.
unsafe extern "C" fn picks<const R: usize>(args: *const TileArgs) {
    // SAFETY: passed on from the caller.
    unsafe { sums::<R>(&*args) }
}

/// # Safety
/// As [`picks`].
#[target_feature(enable = "avx512f")]
unsafe fn sums<const R: usize>(g: &TileArgs) {
    // SAFETY: every address is one that the caller vouches for.
    unsafe {
        let (mut low, mut high) = start::<R>(g);
        let a: [*const f32; R] = std::array::from_fn(|r| g.a_rows[r]);
        for &product in std::slice::from_raw_parts(g.left, g.count) {
            let (at, b) = (usize::from(product) * g.a_step, g.b.add(usize::from(product) * COLUMNS));
            let (b_low, b_high) = (_mm512_loadu_ps(b), _mm512_loadu_ps(b.add(16)));
            for r in 0..R {
                let x = _mm512_set1_ps(*a[r].byte_add(at));
                low[r] = _mm512_fmadd_ps(x, b_low, low[r]);
                high[r] = _mm512_fmadd_ps(x, b_high, high[r]);
            }
        }
        finish(g, &low, &high);
    }
}
