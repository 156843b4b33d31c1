//! The micro-kernel for products in a list, for tiles of half the rows: they share more zeros, and still keep the unit of arithmetic busy.

use super::{COLUMNS, PAUSE, ROWS, TileArgs, finish, for_panels, start};
use crate::kernels::avx2::gaps::{of_rows, of_tile};
use crate::kernels::{Picked, Tile};
use std::arch::x86_64::{__m512, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps};

/// Rows of a tile.
const HALF: usize = ROWS / 2;

/// The functions; only for CPUs that have AVX-512 (F) and AVX2.
pub fn picked() -> Picked {
    let run: Vec<Vec<Tile>> = for_panels!(picks: 1 2 3 4 5 6 7);
    Picked { rows: HALF, run, of_rows, of_tile: of_tile::<HALF> }
}

/// # Safety
/// As [`super::tile`]; the products in the list are those of the only segment.
unsafe extern "C" fn picks<const R: usize, const P: usize>(args: *const TileArgs) {
    // SAFETY: passed on from the caller.
    unsafe { sums::<R, P>(&*args) }
}

/// # Safety
/// As [`picks`].
#[target_feature(enable = "avx512f")]
unsafe fn sums<const R: usize, const P: usize>(g: &TileArgs) {
    // SAFETY: every address is one that the caller vouches for.
    unsafe {
        let mut sums = start::<R, P>(g);
        let a: [*const f32; R] = std::array::from_fn(|r| g.a_rows[r]);
        // As many pauses as if all products were computed.
        let (mut left, pauses) = (std::slice::from_raw_parts(g.left, g.count), g.k.div_ceil(PAUSE));
        for pause in (1..=pauses).rev() {
            let (some, rest) = left.split_at(left.len() / pause);
            for &product in some {
                let (at, b) = (usize::from(product) * g.a_step, g.b.add(usize::from(product) * COLUMNS));
                let b: [__m512; P] = std::array::from_fn(|p| _mm512_loadu_ps(b.wrapping_byte_add(p * g.b_panel)));
                for r in 0..R {
                    let x = _mm512_set1_ps(*a[r].byte_add(at));
                    for p in 0..P {
                        sums[p][r] = _mm512_fmadd_ps(x, b[p], sums[p][r]);
                    }
                }
            }
            for ahead in 0..g.aheads {
                (*g.ahead.add(ahead)).ask();
            }
            left = rest;
        }
        finish(g, &sums);
    }
}
