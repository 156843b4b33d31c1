//! The 6x16 micro-kernel for AVX2 with FMA: twelve sums, two columns of the right operand and one broadcast fill the sixteen
//! vector registers.

use super::sparse::half;
use super::{MicroKernel, Tile, TileArgs};
use std::arch::x86_64::{
    __m256, _mm256_broadcast_ss, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_permute2f128_ps, _mm256_setzero_ps, _mm256_shuffle_ps,
    _mm256_storeu_ps, _mm256_unpackhi_ps, _mm256_unpacklo_ps,
};

/// Rows of a tile.
const ROWS: usize = 6;

/// The kernel's table; only for CPUs that have AVX2 and FMA.
pub fn kernel() -> MicroKernel {
    let run: Vec<Tile> = vec![tile::<1>, tile::<2>, tile::<3>, tile::<4>, tile::<5>, tile::<6>];
    MicroKernel {
        name: "avx2 6x16",
        rows: ROWS,
        columns: 16,
        run: vec![run],
        sparse: Some(half::sparse()),
        transpose: Some(transpose),
        pause: None,
        pairs: false,
        vector: 8,
    }
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
        let (mut low, mut high) = start::<R>(g);
        let neighbours = (1..R).all(|r| g.a_rows[r] == g.a_rows[0].wrapping_add(r));
        for segment in 0..g.segments {
            let a = std::array::from_fn(|r| g.a_rows[r].wrapping_byte_add(segment * g.a_segment));
            let b = g.b.wrapping_byte_add(segment * g.b_segment);
            if neighbours {
                beside::<R>(&mut low, &mut high, a, b, g);
            } else if g.a_step == 4 && g.b_step == 64 {
                along::<R>(&mut low, &mut high, a, b, g.k);
            } else {
                scattered::<R>(&mut low, &mut high, a, b, g);
            }
        }
        finish(g, &low, &high);
    }
}

/// What sums start from.
///
/// # Safety
/// As [`tile`].
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn start<const R: usize>(g: &TileArgs) -> ([__m256; R], [__m256; R]) {
    let mut sums = ([_mm256_setzero_ps(); R], [_mm256_setzero_ps(); R]);
    if g.accumulate != 0 {
        for r in 0..R {
            // SAFETY: rows of the result.
            unsafe { (sums.0[r], sums.1[r]) = (_mm256_loadu_ps(g.c_rows[r]), _mm256_loadu_ps(g.c_rows[r].add(8))) };
        }
    }
    sums
}

/// Writes the sums.
///
/// # Safety
/// As [`tile`].
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn finish<const R: usize>(g: &TileArgs, low: &[__m256; R], high: &[__m256; R]) {
    for r in 0..R {
        // SAFETY: rows of the result.
        unsafe {
            _mm256_storeu_ps(g.c_rows[r], low[r]);
            _mm256_storeu_ps(g.c_rows[r].add(8), high[r]);
        }
    }
}

/// The first rows of the table: each has its index, its two sums, its broadcast, its address where each row has one, and its address where
/// rows are neighbours.
macro_rules! rows {
    ($n:tt $then:ident $x:tt) => {
        rows!(@take $n $then $x
            (0 "ymm0" "ymm1" "ymm14" "{p0}" "{p}") (1 "ymm2" "ymm3" "ymm15" "{p1}" "{p} + 4")
            (2 "ymm4" "ymm5" "ymm14" "{p2}" "{p} + 8") (3 "ymm6" "ymm7" "ymm15" "{p3}" "{p} + 12")
            (4 "ymm8" "ymm9" "ymm14" "{p4}" "{p} + 16") (5 "ymm10" "ymm11" "ymm15" "{p5}" "{p} + 20"))
    };
    (@take 1 $then:ident $x:tt $a:tt $($rest:tt)*) => { $then!($x [$a]) };
    (@take 2 $then:ident $x:tt $a:tt $b:tt $($rest:tt)*) => { $then!($x [$a $b]) };
    (@take 3 $then:ident $x:tt $a:tt $b:tt $c:tt $($rest:tt)*) => { $then!($x [$a $b $c]) };
    (@take 4 $then:ident $x:tt $a:tt $b:tt $c:tt $d:tt $($rest:tt)*) => { $then!($x [$a $b $c $d]) };
    (@take 5 $then:ident $x:tt $a:tt $b:tt $c:tt $d:tt $e:tt $($rest:tt)*) => { $then!($x [$a $b $c $d $e]) };
    (@take 6 $then:ident $x:tt $($all:tt)*) => { $then!($x [$($all)*]) };
}

/// Calls `$then` for the number of rows `R`.
macro_rules! for_rows {
    ($then:ident $x:tt) => {
        match R {
            1 => rows!(1 $then $x),
            2 => rows!(2 $then $x),
            3 => rows!(3 $then $x),
            4 => rows!(4 $then $x),
            5 => rows!(5 $then $x),
            6 => rows!(6 $then $x),
            _more => unreachable!("a tile has at most six rows"),
        }
    };
}

/// The text of one product of each row: row `$b` of the panel by the elements that lie `$at` behind the rows' addresses.
macro_rules! product {
    ($b:literal, $at:literal, [$(($low:literal $high:literal $x:literal $row:literal))*]) => {
        concat!(
            "vmovups ymm12, [", $b, "]\n",
            "vmovups ymm13, [", $b, " + 32]\n",
            "prefetcht0 [", $b, " + 1024]\n",
            $(
                "vbroadcastss ", $x, ", dword ptr [", $row, " + ", $at, "]\n",
                "vfmadd231ps ", $low, ", ", $x, ", ymm12\n",
                "vfmadd231ps ", $high, ", ", $x, ", ymm13\n",
            )*
        )
    };
}

/// The text of the loop over products, four at a time and then one by one: four products and the step behind them, one and its step.
macro_rules! loops {
    ([$($product:expr),*], $four:literal, $one:expr, $step:literal) => {
        concat!(
            "test {fours}, {fours}\n",
            "jz 3f\n",
            ".p2align 5\n",
            "2:\n",
            $($product,)*
            $four,
            "dec {fours}\n",
            "jnz 2b\n",
            "3:\n",
            "test {ones}, {ones}\n",
            "jz 5f\n",
            "4:\n",
            $one,
            $step,
            "dec {ones}\n",
            "jnz 4b\n",
            "5:\n",
        )
    };
}

/// [`along`] for the rows in the list.
macro_rules! each_along {
    ([$low:ident $high:ident $a:ident $b:ident $k:ident]
        [$(($row:tt $z0:tt $z1:tt $x:tt $p:tt $beside:tt))*]) => {
        std::arch::asm!(
            loops!(
                [
                    product!("{b} - 128", "{i}", [$(($z0 $z1 $x $p))*]),
                    product!("{b} - 64", "{i} + 4", [$(($z0 $z1 $x $p))*]),
                    product!("{b}", "{i} + 8", [$(($z0 $z1 $x $p))*]),
                    product!("{b} + 64", "{i} + 12", [$(($z0 $z1 $x $p))*])
                ],
                "add {i}, 16\nsub {b}, -256\n",
                product!("{b} - 128", "{i}", [$(($z0 $z1 $x $p))*]),
                "add {i}, 4\nadd {b}, 64\n"
            ),
            "/* {p1} {p2} {p3} {p4} {p5} */",
            p0 = in(reg) $a[0],
            p1 = in(reg) $a[1 % R],
            p2 = in(reg) $a[2 % R],
            p3 = in(reg) $a[3 % R],
            p4 = in(reg) $a[4 % R],
            p5 = in(reg) $a[5 % R],
            i = inout(reg) 0usize => _,
            b = inout(reg) $b.wrapping_add(32) => _,
            fours = inout(reg) $k / 4 => _,
            ones = inout(reg) $k % 4 => _,
            $( inout($z0) $low[$row], inout($z1) $high[$row], )*
            out("ymm12") _, out("ymm13") _, out("ymm14") _, out("ymm15") _,
            options(nostack, readonly)
        )
    };
}

/// [`beside`] for the rows in the list.
macro_rules! each_beside {
    ([$low:ident $high:ident $a:ident $b:ident $g:ident]
        [$(($row:tt $z0:tt $z1:tt $x:tt $p:tt $beside:tt))*]) => {
        std::arch::asm!(
            loops!(
                [
                    product!("{b}", "0", [$(($z0 $z1 $x $beside))*]),
                    product!("{b} + {s}", "{t}", [$(($z0 $z1 $x $beside))*]),
                    product!("{b} + 2*{s}", "2*{t}", [$(($z0 $z1 $x $beside))*]),
                    product!("{b} + {s3}", "{t3}", [$(($z0 $z1 $x $beside))*])
                ],
                "lea {p}, [{p} + 4*{t}]\nlea {b}, [{b} + 4*{s}]\n",
                product!("{b}", "0", [$(($z0 $z1 $x $beside))*]),
                "add {p}, {t}\nadd {b}, {s}\n"
            ),
            p = inout(reg) $a[0] => _,
            t = in(reg) $g.a_step,
            t3 = in(reg) 3 * $g.a_step,
            b = inout(reg) $b => _,
            s = in(reg) $g.b_step,
            s3 = in(reg) 3 * $g.b_step,
            fours = inout(reg) $g.k / 4 => _,
            ones = inout(reg) $g.k % 4 => _,
            $( inout($z0) $low[$row], inout($z1) $high[$row], )*
            out("ymm12") _, out("ymm13") _, out("ymm14") _, out("ymm15") _,
            options(nostack, readonly)
        )
    };
}

/// Adds the products of one segment where the elements of each row of the left operand, and the rows of the panel, follow each other.
///
/// # Safety
/// As [`tile`]; `R` is 1 to 6.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn along<const R: usize>(low: &mut [__m256; R], high: &mut [__m256; R], a: [*const f32; R], b: *const f32, k: usize) {
    // SAFETY: rows and panels are those the caller vouches for.
    unsafe { for_rows!(each_along [low high a b k]) }
}

/// Adds the products of one segment where the rows of the left operand are neighbours.
///
/// # Safety
/// As [`tile`]; `R` is 1 to 6.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn beside<const R: usize>(low: &mut [__m256; R], high: &mut [__m256; R], a: [*const f32; R], b: *const f32, g: &TileArgs) {
    // SAFETY: rows and panels are those the caller vouches for.
    unsafe { for_rows!(each_beside [low high a b g]) }
}

/// Adds the products of one segment, however its rows lie.
///
/// # Safety
/// As [`tile`].
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn scattered<const R: usize>(
    low: &mut [__m256; R],
    high: &mut [__m256; R],
    mut a: [*const f32; R],
    mut b: *const f32,
    g: &TileArgs,
) {
    // SAFETY: every address is one that the caller vouches for.
    unsafe {
        for _ in 0..g.k {
            let (b_low, b_high) = (_mm256_loadu_ps(b), _mm256_loadu_ps(b.add(8)));
            for r in 0..R {
                let x: __m256 = _mm256_broadcast_ss(&*a[r]);
                low[r] = _mm256_fmadd_ps(x, b_low, low[r]);
                high[r] = _mm256_fmadd_ps(x, b_high, high[r]);
                a[r] = a[r].wrapping_byte_add(g.a_step);
            }
            b = b.wrapping_byte_add(g.b_step);
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
