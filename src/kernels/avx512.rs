//! The 14x32 micro-kernel for AVX-512: twenty-eight sums, two columns of the right operand and one broadcast of the 32 vector
//! registers.
//!
//! Its inner loop is assembly, because it must walk fourteen rows with seven addresses: rows `2i` and `2i + 1` lie
//! [`TileArgs::a_pair`] apart, and compilers give each row an address of its own, which then live on the stack.

mod gaps;

use super::{MicroKernel, TileArgs, avx2};
use std::arch::x86_64::{__m512, _mm512_loadu_ps, _mm512_setzero_ps, _mm512_storeu_ps};

/// Rows of a tile.
const ROWS: usize = 14;
/// Columns of a tile.
const COLUMNS: usize = 32;

/// The kernel's table; only for CPUs that have AVX-512 (F) and AVX2.
pub fn kernel() -> MicroKernel {
    let run: Vec<unsafe extern "C" fn(*const TileArgs)> = vec![
        tile::<1>, tile::<2>, tile::<3>, tile::<4>, tile::<5>, tile::<6>, tile::<7>, tile::<8>, tile::<9>, tile::<10>,
        tile::<11>, tile::<12>, tile::<13>, tile::<14>,
    ];
    MicroKernel {
        name: "avx512 14x32",
        rows: ROWS,
        columns: COLUMNS,
        run,
        picked: Some(gaps::picked()),
        transpose: Some(avx2::transpose),
        pairs: true,
        vector: 16,
    }
}

/// # Safety
/// The CPU has AVX-512; all addresses that `args` describes for `R` rows and 32 columns are valid.
unsafe extern "C" fn tile<const R: usize>(args: *const TileArgs) {
    // SAFETY: passed on from the caller.
    unsafe { sums::<R>(&*args) }
}

/// # Safety
/// As [`tile`].
#[target_feature(enable = "avx512f")]
unsafe fn sums<const R: usize>(g: &TileArgs) {
    // SAFETY: every address is one that the caller vouches for.
    unsafe {
        let (mut low, mut high) = start::<R>(g);
        for segment in 0..g.segments {
            let a = std::array::from_fn(|i| g.a_rows[(2 * i).min(R - 1)].wrapping_byte_add(segment * g.a_segment));
            products::<R>(&mut low, &mut high, a, g, g.b.byte_add(segment * g.b_segment));
        }
        finish(g, &low, &high);
    }
}

/// What sums start from.
///
/// # Safety
/// As [`tile`].
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn start<const R: usize>(g: &TileArgs) -> ([__m512; R], [__m512; R]) {
    let mut sums = ([_mm512_setzero_ps(); R], [_mm512_setzero_ps(); R]);
    if g.accumulate != 0 {
        for r in 0..R {
            // SAFETY: rows of the result.
            unsafe { (sums.0[r], sums.1[r]) = (_mm512_loadu_ps(g.c_rows[r]), _mm512_loadu_ps(g.c_rows[r].add(16))) };
        }
    }
    sums
}

/// Writes the sums.
///
/// # Safety
/// As [`tile`].
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn finish<const R: usize>(g: &TileArgs, low: &[__m512; R], high: &[__m512; R]) {
    for r in 0..R {
        // SAFETY: rows of the result.
        unsafe {
            _mm512_storeu_ps(g.c_rows[r], low[r]);
            _mm512_storeu_ps(g.c_rows[r].add(16), high[r]);
        }
    }
}

/// One segment's loop over `k` for the rows in the list: each has its index, its two sums and its address.
macro_rules! each_k {
    ($low:ident $high:ident $a:ident $g:ident $b:ident; $(($row:literal $z0:tt $z1:tt $address:literal))*) => {
        std::arch::asm!(
            "2:",
            "vmovups zmm30, [{b}]",
            "vmovups zmm31, [{b} + 64]",
            "prefetcht0 [{b} + 2048]",
            "prefetcht0 [{b} + 2112]",
            $(
                concat!("vbroadcastss zmm28, dword ptr [", $address, "]"),
                concat!("vfmadd231ps ", $z0, ", zmm28, zmm30"),
                concat!("vfmadd231ps ", $z1, ", zmm28, zmm31"),
            )*
            "add {p0}, {step}",
            "add {p1}, {step}",
            "add {p2}, {step}",
            "add {p3}, {step}",
            "add {p4}, {step}",
            "add {p5}, {step}",
            "add {p6}, {step}",
            "add {b}, {next}",
            "dec {k}",
            "jnz 2b /* {pair} */",
            p0 = inout(reg) $a[0] => _,
            p1 = inout(reg) $a[1] => _,
            p2 = inout(reg) $a[2] => _,
            p3 = inout(reg) $a[3] => _,
            p4 = inout(reg) $a[4] => _,
            p5 = inout(reg) $a[5] => _,
            p6 = inout(reg) $a[6] => _,
            pair = in(reg) $g.a_pair,
            step = in(reg) $g.a_step,
            next = in(reg) $g.b_step,
            b = inout(reg) $b => _,
            k = inout(reg) $g.k => _,
            $( inout($z0) $low[$row], inout($z1) $high[$row], )*
            out("zmm28") _, out("zmm30") _, out("zmm31") _,
            options(nostack, readonly)
        )
    };
}

/// [`each_k`] for the first rows of the table.
macro_rules! rows {
    ($n:tt $low:ident $high:ident $a:ident $g:ident $b:ident) => {
        rows!(@take $n [$low $high $a $g $b]
            (0 "zmm0" "zmm1" "{p0}") (1 "zmm2" "zmm3" "{p0} + {pair}")
            (2 "zmm4" "zmm5" "{p1}") (3 "zmm6" "zmm7" "{p1} + {pair}")
            (4 "zmm8" "zmm9" "{p2}") (5 "zmm10" "zmm11" "{p2} + {pair}")
            (6 "zmm12" "zmm13" "{p3}") (7 "zmm14" "zmm15" "{p3} + {pair}")
            (8 "zmm16" "zmm17" "{p4}") (9 "zmm18" "zmm19" "{p4} + {pair}")
            (10 "zmm20" "zmm21" "{p5}") (11 "zmm22" "zmm23" "{p5} + {pair}")
            (12 "zmm24" "zmm25" "{p6}") (13 "zmm26" "zmm27" "{p6} + {pair}"))
    };
    (@take 1 $x:tt $a:tt $($rest:tt)*) => { rows!(@run $x $a) };
    (@take 2 $x:tt $a:tt $b:tt $($rest:tt)*) => { rows!(@run $x $a $b) };
    (@take 3 $x:tt $a:tt $b:tt $c:tt $($rest:tt)*) => { rows!(@run $x $a $b $c) };
    (@take 4 $x:tt $a:tt $b:tt $c:tt $d:tt $($rest:tt)*) => { rows!(@run $x $a $b $c $d) };
    (@take 5 $x:tt $a:tt $b:tt $c:tt $d:tt $e:tt $($rest:tt)*) => { rows!(@run $x $a $b $c $d $e) };
    (@take 6 $x:tt $a:tt $b:tt $c:tt $d:tt $e:tt $f:tt $($rest:tt)*) => { rows!(@run $x $a $b $c $d $e $f) };
    (@take 7 $x:tt $a:tt $b:tt $c:tt $d:tt $e:tt $f:tt $g:tt $($rest:tt)*) => { rows!(@run $x $a $b $c $d $e $f $g) };
    (@take 8 $x:tt $a:tt $b:tt $c:tt $d:tt $e:tt $f:tt $g:tt $h:tt $($rest:tt)*) => { rows!(@run $x $a $b $c $d $e $f $g $h) };
    (@take 9 $x:tt $a:tt $b:tt $c:tt $d:tt $e:tt $f:tt $g:tt $h:tt $i:tt $($rest:tt)*) => {
        rows!(@run $x $a $b $c $d $e $f $g $h $i)
    };
    (@take 10 $x:tt $a:tt $b:tt $c:tt $d:tt $e:tt $f:tt $g:tt $h:tt $i:tt $j:tt $($rest:tt)*) => {
        rows!(@run $x $a $b $c $d $e $f $g $h $i $j)
    };
    (@take 11 $x:tt $a:tt $b:tt $c:tt $d:tt $e:tt $f:tt $g:tt $h:tt $i:tt $j:tt $k:tt $($rest:tt)*) => {
        rows!(@run $x $a $b $c $d $e $f $g $h $i $j $k)
    };
    (@take 12 $x:tt $a:tt $b:tt $c:tt $d:tt $e:tt $f:tt $g:tt $h:tt $i:tt $j:tt $k:tt $l:tt $($rest:tt)*) => {
        rows!(@run $x $a $b $c $d $e $f $g $h $i $j $k $l)
    };
    (@take 13 $x:tt $a:tt $b:tt $c:tt $d:tt $e:tt $f:tt $g:tt $h:tt $i:tt $j:tt $k:tt $l:tt $m:tt $($rest:tt)*) => {
        rows!(@run $x $a $b $c $d $e $f $g $h $i $j $k $l $m)
    };
    (@take 14 $x:tt $($all:tt)*) => { rows!(@run $x $($all)*) };
    (@run [$low:ident $high:ident $a:ident $g:ident $b:ident] $($row:tt)*) => { each_k!($low $high $a $g $b; $($row)*) };
}

/// Adds the products of one segment; `a` holds the addresses of every other row.
///
/// # Safety
/// As [`tile`]; `R` is 1 to 14.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn products<const R: usize>(
    low: &mut [__m512; R],
    high: &mut [__m512; R],
    a: [*const f32; ROWS / 2],
    g: &TileArgs,
    b: *const f32,
) {
    if g.k == 0 {
        return;
    }
    // SAFETY: rows, panels and steps are those the caller vouches for; addresses of rows past `R` are not read.
    unsafe {
        match R {
            1 => rows!(1 low high a g b),
            2 => rows!(2 low high a g b),
            3 => rows!(3 low high a g b),
            4 => rows!(4 low high a g b),
            5 => rows!(5 low high a g b),
            6 => rows!(6 low high a g b),
            7 => rows!(7 low high a g b),
            8 => rows!(8 low high a g b),
            9 => rows!(9 low high a g b),
            10 => rows!(10 low high a g b),
            11 => rows!(11 low high a g b),
            12 => rows!(12 low high a g b),
            13 => rows!(13 low high a g b),
            14 => rows!(14 low high a g b),
            _more => unreachable!("a tile has at most {ROWS} rows"),
        }
    }
}
