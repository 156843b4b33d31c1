//! Hand-written inner kernels of matrix products and convolutions, and the loops that drive them.
//!
//! A micro-kernel computes one tile of `rows x columns` sums in registers, over lists of addresses ("batch-reduce"). Which one
//! runs is decided once, by what the CPU can do: [`MicroKernel::detect`]. The portable one is emitted by `codegen`.

mod ahead;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod border;
mod cut;
mod drive;
mod lanes;
mod narrow;
mod pack;
mod peak;
mod product;
mod sparse;
mod thin;
mod winograd;

use std::ops::Range;

pub use ahead::{Ahead, MOST_AHEAD};
pub use border::zero_border;
pub use cut::{Task, TileJob};
pub use drive::{Operands, asks, run_packing, run_tiles};
pub use narrow::{NarrowTask, narrow_tasks, run_narrow};
pub use pack::{pack_panels, pack_tasks};
pub use peak::peak;
pub use product::own_result;
pub use sparse::Sparse;
pub use thin::run_thin;
pub use winograd::{WinogradTask, run_winograd, transform, transform_tasks, winograd_tasks};

/// Most rows of any micro-kernel's tile.
pub const MOST_ROWS: usize = 14;
/// Most columns of any micro-kernel's tile.
const MOST_COLUMNS: usize = 32;

/// What a micro-kernel is given; strides are in bytes.
///
/// It computes, for each row `r` and column `j`, `c[r][j] (+)= sum over segments, k of a * b` with
/// `a = a_rows[r] + segment*a_segment + k*a_step`; `b` is the next row of a packed panel for each product. A tile of two panels has the second
/// one's columns `b_panel` and `c_panel` behind the first one's.
#[repr(C)]
pub struct TileArgs {
    /// First element of each row of the left operand.
    pub a_rows: [*const f32; MOST_ROWS],
    /// First element of each row of the result.
    pub c_rows: [*mut f32; MOST_ROWS],
    /// First row of the panel.
    pub b: *const f32,
    /// Products in a segment.
    pub k: usize,
    /// Segments.
    pub segments: usize,
    /// Step of the left operand.
    pub a_step: usize,
    /// Step of the left operand.
    pub a_segment: usize,
    /// From each row of even number to the next, where [`MicroKernel::pairs`].
    pub a_pair: usize,
    /// Step of the panel.
    pub b_step: usize,
    /// Step of the panel.
    pub b_segment: usize,
    /// From a panel to its neighbour.
    pub b_panel: usize,
    /// From the columns of the result of one panel to those of its neighbour.
    pub c_panel: usize,
    /// Whether sums start from what `c` holds instead of 0.
    pub accumulate: usize,
    /// What a micro-kernel with [`MicroKernel::pause`] asks for; see [`TileArgs::ask`].
    pub ahead: *mut Ahead,
    /// How many.
    pub aheads: usize,
}

impl TileArgs {
    /// One segment of `k` products with rows of a panel of `width` columns from `b` on; the left operand and the result are
    /// still to be set.
    fn new(b: *const f32, k: usize, width: usize) -> TileArgs {
        TileArgs {
            a_rows: [std::ptr::null(); MOST_ROWS],
            c_rows: [std::ptr::null_mut(); MOST_ROWS],
            b,
            k,
            segments: 1,
            a_step: 0,
            a_segment: 0,
            a_pair: 0,
            b_step: width * 4,
            b_segment: k * width * 4,
            b_panel: 0,
            c_panel: width * 4,
            accumulate: 0,
            ahead: std::ptr::null_mut(),
            aheads: 0,
        }
    }

    /// Lets `kernel` ask for portions of `ahead` while it computes the tile, as often as [`MicroKernel::asks`] says; or asks for them at once,
    /// where it does not do so itself.
    fn ask(&mut self, kernel: &MicroKernel, ahead: &mut [Ahead]) {
        if kernel.pause.is_some() {
            let some = ahead.iter().rposition(Ahead::is_left).map_or(0, |last| last + 1);
            (self.ahead, self.aheads) = (ahead.as_mut_ptr(), some);
            return;
        }
        ahead.iter_mut().for_each(Ahead::ask);
    }
}

/// Code for a tile.
pub type Tile = unsafe extern "C" fn(*const TileArgs);

/// A micro-kernel for each number of rows, and of panels.
#[derive(Clone, Debug)]
pub struct MicroKernel {
    /// Shown in reports.
    pub name: &'static str,
    /// Most rows of a tile.
    pub rows: usize,
    /// Columns of a panel.
    pub columns: usize,
    /// The functions for tiles of `p + 1` panels and, of these, of `i + 1` rows.
    pub run: Vec<Vec<Tile>>,
    /// How it leaves out what is 0 in a row, where it can.
    pub sparse: Option<Sparse>,
    /// Transposes a block of 8x8: from rows `step` elements apart to rows `step` elements apart.
    pub transpose: Option<Transpose>,
    /// After so many products it asks for what will be needed next: many requests at once would have to wait for one another, and the products for
    /// them. `None` where it does not ask.
    pub pause: Option<usize>,
    /// Whether it finds rows of odd number by [`TileArgs::a_pair`] from the one before.
    pub pairs: bool,
    /// Numbers in a vector of the hand-written transforms of Winograd's minimal filtering; 0 where there are none.
    pub vector: usize,
}

/// `(from, step of its rows, to, step of its rows)`.
pub type Transpose = unsafe fn(*const f32, usize, *mut f32, usize);

/// Environment variable that asks for less than this CPU can do.
pub const CPU_VARIABLE: &str = "GANC_CPU";

/// What the user asked for.
pub fn wanted() -> Option<String> {
    std::env::var(CPU_VARIABLE).ok()
}

/// Some panels, as many neighbours at a time as a tile has at most.
fn together(panels: Range<usize>, most: usize) -> impl Iterator<Item = Range<usize>> {
    panels.clone().step_by(most).map(move |first| first..(first + most).min(panels.end))
}

impl MicroKernel {
    /// How often something is asked for during `segments` of `k` products.
    pub fn asks(&self, segments: usize, k: usize) -> usize {
        self.pause.map_or(1, |products| segments * k.div_ceil(products))
    }

    /// Most panels of a tile.
    pub fn across(&self) -> usize {
        self.run.len()
    }

    /// The fastest hand-written micro-kernel this CPU can run; `None` where only the portable one can.
    pub fn detect() -> Option<MicroKernel> {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx512f") && std::arch::is_x86_feature_detected!("avx2") {
            return Some(avx512::kernel());
        }
        MicroKernel::detect_avx2()
    }

    /// As [`MicroKernel::detect`] without vectors of more than 256 bits.
    pub fn detect_avx2() -> Option<MicroKernel> {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            return Some(avx2::kernel());
        }
        None
    }
}
