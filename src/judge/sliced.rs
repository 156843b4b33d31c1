//! Sliced Wasserstein-1 distance (Rabin et al., 2011): the mean over directions of the Wasserstein-1 distance between two sets
//! projected on a line, where it is the mean distance between sorted values. It needs neither modes nor features.

use crate::runtime::random::Stream;
use rayon::prelude::*;

/// Directions of the mean.
pub const DIRECTIONS: usize = 128;
/// Stream of random numbers of directions.
const STREAM: u32 = 1 << 25;

/// The distance between two sets of as many vectors of `dim` numbers, over `directions` directions of `seed`; in the units of
/// the data.
pub fn sliced_wasserstein(a: &[f32], b: &[f32], dim: usize, directions: usize, seed: u64) -> f64 {
    let n = a.len().min(b.len()) / dim;
    let one = |k: usize| {
        let direction = direction(dim, seed, k as u64);
        let (x, y) = (projected(&a[..n * dim], &direction), projected(&b[..n * dim], &direction));
        x.iter().zip(&y).map(|(p, q)| (p - q).abs()).sum::<f64>() / n as f64
    };
    (0..directions).into_par_iter().map(one).collect::<Vec<f64>>().iter().sum::<f64>() / directions as f64
}

/// A direction, evenly on the sphere.
fn direction(dim: usize, seed: u64, k: u64) -> Vec<f64> {
    let mut normal = vec![0.0; dim];
    Stream { seed, step: k, stream: STREAM }.normal(&mut normal, 0.0, 1.0);
    let length = normal.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    normal.iter().map(|x| f64::from(*x) / length).collect()
}

/// The set on a line, sorted.
fn projected(set: &[f32], direction: &[f64]) -> Vec<f64> {
    let dot = |v: &[f32]| v.iter().zip(direction).map(|(x, d)| f64::from(*x) * d).sum::<f64>();
    let mut values: Vec<f64> = set.chunks_exact(direction.len()).map(dot).collect();
    values.sort_by(f64::total_cmp);
    values
}
