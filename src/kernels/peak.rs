//! How fast this machine multiplies and adds, measured.

use super::{MicroKernel, TileArgs};
use std::time::Instant;

/// The best rate of one thread in tiles that stay in the first-level cache, in GFLOP/s; 0 where there is no hand-written
/// micro-kernel to measure with.
pub fn peak() -> f64 {
    const DEPTH: usize = 192;
    let Some(kernel) = MicroKernel::detect() else { return 0.0 };
    let columns = kernel.columns * kernel.across();
    let (a, b) = (vec![0.5f32; kernel.rows * DEPTH], vec![0.25f32; columns * DEPTH]);
    let mut c = vec![0.0f32; kernel.rows * columns];
    let mut args = TileArgs::new(b.as_ptr(), DEPTH, kernel.columns);
    (args.a_step, args.b_panel) = (4, DEPTH * kernel.columns * 4);
    for r in 0..kernel.rows {
        args.a_rows[r] = a[r * DEPTH..].as_ptr();
        args.c_rows[r] = c[r * columns..].as_mut_ptr();
    }
    let mut best = f64::INFINITY;
    for _ in 0..50 {
        let start = Instant::now();
        for _ in 0..200 {
            // SAFETY: the arrays have the sizes that the arguments say, and the CPU was asked.
            unsafe { (kernel.run[kernel.across() - 1][kernel.rows - 1])(&args) };
        }
        best = best.min(start.elapsed().as_secs_f64() / 200.0);
    }
    (2 * kernel.rows * columns * DEPTH) as f64 / best / 1e9
}
