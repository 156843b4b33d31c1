//! The 6x16 micro-kernel for AVX2 with FMA: twelve sums, two columns of the right operand and one broadcast fill the sixteen
//! vector registers.

use super::{MicroKernel, TileArgs};
use std::arch::x86_64::{
    __m256, _mm256_broadcast_ss, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_permute2f128_ps, _mm256_setzero_ps, _mm256_shuffle_ps,
    _mm256_storeu_ps, _mm256_unpackhi_ps, _mm256_unpacklo_ps,
};

/// The kernel's table; only for CPUs that have AVX2 and FMA.
pub fn kernel() -> MicroKernel {
    let run: Vec<unsafe extern "C" fn(*const TileArgs)> = vec![tile::<1>, tile::<2>, tile::<3>, tile::<4>, tile::<5>, tile::<6>];
    MicroKernel { name: "avx2 6x16", rows: 6, columns: 16, run, transpose: Some(transpose), pairs: false, vector: 8 }
}

/// # Safety
/// The CPU has AVX2 and FMA; all addresses that `args` describes for `R` rows and 16 columns are valid.
unsafe extern "C" fn tile<const R: usize>(args: *const TileArgs) {
    // SAFETY: passed on from the caller.
    unsafe { sums::<R>(&*args) }
}

/// # Safety
/// As [`tile`].
#[target_feature(enable = "avx2,fma")]
unsafe fn sums<const R: usize>(g: &TileArgs) {
    // SAFETY: every address is one that the caller vouches for.
    unsafe {
        let mut low = [_mm256_setzero_ps(); R];
        let mut high = [_mm256_setzero_ps(); R];
        if g.accumulate != 0 {
            for r in 0..R {
                low[r] = _mm256_loadu_ps(g.c_rows[r]);
                high[r] = _mm256_loadu_ps(g.c_rows[r].add(8));
            }
        }
        for segment in 0..g.segments {
            let mut a: [*const f32; R] = std::array::from_fn(|r| g.a_rows[r].byte_add(segment * g.a_segment));
            let mut b = g.b.byte_add(segment * g.b_segment);
            for _ in 0..g.k {
                let b_low = _mm256_loadu_ps(b);
                let b_high = _mm256_loadu_ps(b.add(8));
                for r in 0..R {
                    let x: __m256 = _mm256_broadcast_ss(&*a[r]);
                    low[r] = _mm256_fmadd_ps(x, b_low, low[r]);
                    high[r] = _mm256_fmadd_ps(x, b_high, high[r]);
                    a[r] = a[r].byte_add(g.a_step);
                }
                b = b.byte_add(g.b_step);
            }
        }
        for r in 0..R {
            _mm256_storeu_ps(g.c_rows[r], low[r]);
            _mm256_storeu_ps(g.c_rows[r].add(8), high[r]);
        }
    }
}

/// # Safety
/// The CPU has AVX2; eight rows of eight elements are readable at `from` and writable at `to`.
pub unsafe fn transpose(from: *const f32, from_step: usize, to: *mut f32, to_step: usize) {
    // SAFETY: passed on from the caller.
    unsafe { square(from, from_step, to, to_step) }
}

/// # Safety
/// As [`transpose`].
#[target_feature(enable = "avx2")]
unsafe fn square(from: *const f32, from_step: usize, to: *mut f32, to_step: usize) {
    // SAFETY: every address is one that the caller vouches for.
    unsafe {
        let r: [__m256; 8] = std::array::from_fn(|i| _mm256_loadu_ps(from.add(i * from_step)));
        // Pairs of rows interleaved, then pairs of pairs, then halves exchanged.
        let pair: [__m256; 8] = std::array::from_fn(|i| {
            let (a, b) = (r[i / 2 * 2], r[i / 2 * 2 + 1]);
            if i % 2 == 0 { _mm256_unpacklo_ps(a, b) } else { _mm256_unpackhi_ps(a, b) }
        });
        let quad: [__m256; 8] = std::array::from_fn(|i| {
            let (half, part) = (i / 4 * 4, i % 4);
            let (a, b) = (pair[half + part / 2], pair[half + 2 + part / 2]);
            if part % 2 == 0 { _mm256_shuffle_ps::<0x44>(a, b) } else { _mm256_shuffle_ps::<0xEE>(a, b) }
        });
        for i in 0..4 {
            _mm256_storeu_ps(to.add(i * to_step), _mm256_permute2f128_ps::<0x20>(quad[i], quad[i + 4]));
            _mm256_storeu_ps(to.add((i + 4) * to_step), _mm256_permute2f128_ps::<0x31>(quad[i], quad[i + 4]));
        }
    }
}
