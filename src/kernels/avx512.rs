//! The 14x32 micro-kernel for AVX-512: of the 32 vector registers twenty-eight hold sums, two the columns of two panels and one a broadcast. For
//! a single panel, 14x16.
//!
//! Its inner loops are assembly, because they must walk fourteen rows with seven addresses: rows `2i` and `2i + 1` lie
//! [`TileArgs::a_pair`] apart, and compilers give each row an address of its own, which then live on the stack.

use super::sparse::wide;
use super::{MicroKernel, Tile, TileArgs, avx2};
use std::arch::x86_64::{__m512, _mm512_loadu_ps, _mm512_setzero_ps, _mm512_storeu_ps};

/// Rows of a tile.
const ROWS: usize = 14;
/// Products between two pauses.
const PAUSE: usize = 32;
/// Columns of a panel: a vector.
const COLUMNS: usize = 16;

/// The functions for tiles of one and of two panels.
macro_rules! for_panels {
    ($($rows:literal)*) => { vec![vec![$(tile::<$rows, 1>),*], vec![$(tile::<$rows, 2>),*]] };
}

/// The kernel's table; only for CPUs that have AVX-512 (F) and AVX2.
pub fn kernel() -> MicroKernel {
    let run: Vec<Vec<Tile>> = for_panels!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);
    MicroKernel {
        name: "avx512 14x32",
        rows: ROWS,
        columns: COLUMNS,
        run,
        sparse: Some(wide::sparse()),
        transpose: Some(avx2::transpose),
        pause: Some(PAUSE),
        pairs: true,
        vector: 16,
    }
}

/// # Safety
/// The CPU has AVX-512; all addresses that `args` describes for `R` rows of `P` panels are valid.
unsafe extern "C" fn tile<const R: usize, const P: usize>(args: *const TileArgs) {
    // SAFETY: passed on from the caller.
    unsafe { sums::<R, P>(&*args) }
}

/// # Safety
/// As [`tile`].
#[target_feature(enable = "avx512f")]
unsafe fn sums<const R: usize, const P: usize>(g: &TileArgs) {
    // SAFETY: every address is one that the caller vouches for.
    unsafe {
        let mut sums = start::<R, P>(g);
        let most = if g.aheads > 0 { PAUSE } else { g.k };
        for segment in 0..g.segments {
            let mut a = std::array::from_fn(|i| g.a_rows[(2 * i).min(R - 1)].wrapping_byte_add(segment * g.a_segment));
            let mut b = g.b.wrapping_byte_add(segment * g.b_segment);
            let mut left = g.k;
            while left > 0 {
                let some = left.min(most);
                products::<R, P>(&mut sums, &mut a, &mut b, some, g);
                for ahead in 0..g.aheads {
                    (*g.ahead.add(ahead)).ask();
                }
                left -= some;
            }
        }
        finish(g, &sums);
    }
}

/// What sums start from, by panel and row.
///
/// # Safety
/// As [`tile`].
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn start<const R: usize, const P: usize>(g: &TileArgs) -> [[__m512; R]; P] {
    let mut sums = [[_mm512_setzero_ps(); R]; P];
    if g.accumulate != 0 {
        for (p, sums) in sums.iter_mut().enumerate() {
            for (r, sum) in sums.iter_mut().enumerate() {
                // SAFETY: rows of the result.
                *sum = unsafe { _mm512_loadu_ps(g.c_rows[r].wrapping_byte_add(p * g.c_panel)) };
            }
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
unsafe fn finish<const R: usize, const P: usize>(g: &TileArgs, sums: &[[__m512; R]; P]) {
    for r in 0..R {
        for (p, sums) in sums.iter().enumerate() {
            // SAFETY: rows of the result.
            unsafe { _mm512_storeu_ps(g.c_rows[r].wrapping_byte_add(p * g.c_panel), sums[r]) };
        }
    }
}

/// The loop over `k` products, with the columns of the panels and then the rows in the list.
macro_rules! each_k {
    ($a:ident $g:ident $b:ident $k:ident $columns:expr; [$($row:expr),*] [$($sums:tt)*]) => {
        std::arch::asm!(
            "2:",
            $columns,
            $($row,)*
            "add {p0}, {step}",
            "add {p1}, {step}",
            "add {p2}, {step}",
            "add {p3}, {step}",
            "add {p4}, {step}",
            "add {p5}, {step}",
            "add {p6}, {step}",
            "add {b}, {next}",
            "dec {k}",
            "jnz 2b /* {pair} {panel} */",
            p0 = inout(reg) $a[0],
            p1 = inout(reg) $a[1],
            p2 = inout(reg) $a[2],
            p3 = inout(reg) $a[3],
            p4 = inout(reg) $a[4],
            p5 = inout(reg) $a[5],
            p6 = inout(reg) $a[6],
            pair = in(reg) $g.a_pair,
            step = in(reg) $g.a_step,
            next = in(reg) $g.b_step,
            panel = in(reg) $g.b_panel,
            b = inout(reg) *$b,
            k = inout(reg) $k => _,
            $($sums)*
            out("zmm28") _, out("zmm30") _, out("zmm31") _,
            options(nostack, readonly)
        )
    };
}

/// [`each_k`] for two panels and the rows in the list: each has its index, its two sums and its address.
macro_rules! each_of_two {
    ([$sums:ident $a:ident $g:ident $b:ident $k:ident] $(($row:literal $z0:tt $z1:tt $address:literal))*) => {
        each_k!($a $g $b $k
            "vmovups zmm30, [{b}]\nvmovups zmm31, [{b} + {panel}]\nprefetcht0 [{b} + 1024]";
            [$(concat!(
                "vbroadcastss zmm28, dword ptr [", $address, "]\n",
                "vfmadd231ps ", $z0, ", zmm28, zmm30\n",
                "vfmadd231ps ", $z1, ", zmm28, zmm31"
            )),*]
            [$( inout($z0) $sums[0][$row], inout($z1) $sums[P - 1][$row], )*])
    };
}

/// [`each_k`] for one panel and the rows in the list.
macro_rules! each_of_one {
    ([$sums:ident $a:ident $g:ident $b:ident $k:ident] $(($row:literal $z0:tt $z1:tt $address:literal))*) => {
        each_k!($a $g $b $k
            "vmovups zmm30, [{b}]\nprefetcht0 [{b} + 1024]";
            [$(concat!("vfmadd231ps ", $z0, ", zmm30, dword ptr [", $address, "]{{1to16}}")),*]
            [$( inout($z0) $sums[0][$row], )*])
    };
}

/// Calls `$then` with the first rows of the table.
macro_rules! rows {
    ($n:tt $then:ident $x:tt) => {
        rows!(@take $n $then $x []
            (0 "zmm0" "zmm1" "{p0}") (1 "zmm2" "zmm3" "{p0} + {pair}")
            (2 "zmm4" "zmm5" "{p1}") (3 "zmm6" "zmm7" "{p1} + {pair}")
            (4 "zmm8" "zmm9" "{p2}") (5 "zmm10" "zmm11" "{p2} + {pair}")
            (6 "zmm12" "zmm13" "{p3}") (7 "zmm14" "zmm15" "{p3} + {pair}")
            (8 "zmm16" "zmm17" "{p4}") (9 "zmm18" "zmm19" "{p4} + {pair}")
            (10 "zmm20" "zmm21" "{p5}") (11 "zmm22" "zmm23" "{p5} + {pair}")
            (12 "zmm24" "zmm25" "{p6}") (13 "zmm26" "zmm27" "{p6} + {pair}"))
    };
    // One token for each row that is still to be taken.
    (@take (*) $then:ident $x:tt [$($taken:tt)*] $row:tt $($rest:tt)*) => { $then!($x $($taken)* $row) };
    (@take (* $($more:tt)*) $then:ident $x:tt [$($taken:tt)*] $row:tt $($rest:tt)*) => {
        rows!(@take ($($more)*) $then $x [$($taken)* $row] $($rest)*)
    };
}

/// Calls `$then` for the number of rows `R`.
macro_rules! for_rows {
    ($then:ident $x:tt) => {
        match R {
            1 => rows!((*) $then $x),
            2 => rows!((* *) $then $x),
            3 => rows!((* * *) $then $x),
            4 => rows!((* * * *) $then $x),
            5 => rows!((* * * * *) $then $x),
            6 => rows!((* * * * * *) $then $x),
            7 => rows!((* * * * * * *) $then $x),
            8 => rows!((* * * * * * * *) $then $x),
            9 => rows!((* * * * * * * * *) $then $x),
            10 => rows!((* * * * * * * * * *) $then $x),
            11 => rows!((* * * * * * * * * * *) $then $x),
            12 => rows!((* * * * * * * * * * * *) $then $x),
            13 => rows!((* * * * * * * * * * * * *) $then $x),
            14 => rows!((* * * * * * * * * * * * * *) $then $x),
            _more => unreachable!("a tile has at most {ROWS} rows"),
        }
    };
}

/// Adds `k` products, at least one; `a` holds the addresses of every other row, which go on with `b` to the next products.
///
/// # Safety
/// As [`tile`]; `R` is 1 to 14, `P` 1 or 2.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn products<const R: usize, const P: usize>(
    sums: &mut [[__m512; R]; P],
    a: &mut [*const f32; ROWS / 2],
    b: &mut *const f32,
    k: usize,
    g: &TileArgs,
) {
    // SAFETY: rows, panels and steps are those the caller vouches for; addresses of rows past `R` are not read.
    unsafe { if P == 1 { for_rows!(each_of_one [sums a g b k]) } else { for_rows!(each_of_two [sums a g b k]) } }
}
