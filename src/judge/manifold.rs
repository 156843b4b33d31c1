//! Improved precision and recall (Kynkaanniemi et al., "Improved precision and recall metric for assessing generative models",
//! 2019, section 2): a set stands for the balls around its members that reach to their `k`-th nearest neighbour.

use super::distances::{kth_nearest, squared};
use rayon::prelude::*;

/// Neighbours that a ball reaches to, as the paper has it.
pub const NEIGHBOURS: usize = 3;

/// Precision and recall.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Manifold {
    /// Share of samples that lie in the balls of the real ones: quality.
    pub precision: f64,
    /// Share of real ones that lie in the balls of the samples: variety.
    pub recall: f64,
}

/// Compares vectors of `dim` numbers.
///
/// # Panics
/// Where a set has no `k` + 1 vectors.
pub fn precision_recall(real: &[f32], samples: &[f32], dim: usize, k: usize) -> Manifold {
    Manifold { precision: inside(samples, real, dim, k), recall: inside(real, samples, dim, k) }
}

/// The share of `queries` that lie in a ball of `set`.
fn inside(queries: &[f32], set: &[f32], dim: usize, k: usize) -> f64 {
    let radii: Vec<f64> = kth_nearest(set, dim, k).into_iter().map(|r| r * r).collect();
    let within = |q: &[f32]| set.chunks_exact(dim).zip(&radii).any(|(v, r)| squared(q, v) <= *r);
    let count = queries.par_chunks_exact(dim).filter(|q| within(q)).count();
    count as f64 / (queries.len() / dim) as f64
}
