//! Kernel inception distance (Binkowski et al., "Demystifying MMD GANs", 2018): the squared maximum mean discrepancy under the
//! kernel `(x.y / d + 1)^3`, without bias.
//!
//! The samples are cut into blocks that share nothing, and each block has an estimate of its own: their mean is the distance,
//! their standard deviation says how rough one block's estimate is. Deviation from the paper: it draws blocks of 1000 with
//! replacement; disjoint blocks are independent, and need no random numbers.

use rayon::prelude::*;

/// Blocks that a set is cut into.
pub const BLOCKS: usize = 10;

/// An estimate from blocks.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Estimate {
    /// Mean over the blocks; around 0, on either side, for samples of one distribution.
    pub mean: f64,
    /// Standard deviation over the blocks.
    pub std: f64,
}

/// The distance between two sets of as many vectors of `dim` numbers, over `blocks` blocks; what is left over is not used.
///
/// # Panics
/// Where a block has less than two vectors, or there are less than two blocks.
pub fn kid(a: &[f32], b: &[f32], dim: usize, blocks: usize) -> Estimate {
    let each = a.len().min(b.len()) / dim / blocks;
    assert!(each > 1 && blocks > 1, "{blocks} blocks of {each}");
    let size = each * dim;
    let block = |i: usize| squared_mmd(&a[i * size..][..size], &b[i * size..][..size], dim);
    let values: Vec<f64> = (0..blocks).into_par_iter().map(block).collect();
    let mean = values.iter().sum::<f64>() / blocks as f64;
    let squares = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>();
    Estimate { mean, std: (squares / (blocks - 1) as f64).sqrt() }
}

/// The unbiased estimate of the squared discrepancy (Gretton et al., 2012, equation 3).
fn squared_mmd(a: &[f32], b: &[f32], dim: usize) -> f64 {
    let n = (a.len() / dim) as f64;
    let within = |x: &[f32]| {
        let rows = x.chunks_exact(dim).enumerate();
        2.0 * rows.map(|(i, p)| x[(i + 1) * dim..].chunks_exact(dim).map(|q| kernel(p, q)).sum::<f64>()).sum::<f64>()
    };
    let across: f64 = a.chunks_exact(dim).map(|p| b.chunks_exact(dim).map(|q| kernel(p, q)).sum::<f64>()).sum();
    (within(a) + within(b)) / (n * (n - 1.0)) - 2.0 * across / (n * n)
}

fn kernel(p: &[f32], q: &[f32]) -> f64 {
    let dot: f64 = p.iter().zip(q).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
    let k = dot / p.len() as f64 + 1.0;
    k * k * k
}
