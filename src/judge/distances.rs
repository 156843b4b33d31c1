//! Distances between vectors, on which several metrics rest. All sums are in f64 and in a fixed order.

use rayon::prelude::*;

/// Partial sums of a squared distance: a fixed number, so that the order of the sum is the same on every machine.
const LANES: usize = 8;

/// Squared Euclidean distance.
pub fn squared(a: &[f32], b: &[f32]) -> f64 {
    let mut sums = [0.0f64; LANES];
    let (x, y) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f64 = x.remainder().iter().zip(y.remainder()).map(|(p, q)| f64::from(p - q) * f64::from(p - q)).sum();
    for (p, q) in x.zip(y) {
        for lane in 0..LANES {
            let d = f64::from(p[lane] - q[lane]);
            sums[lane] += d * d;
        }
    }
    rest + sums.iter().sum::<f64>()
}

/// For each vector of `queries` its distances to the `k` nearest of `set`, nearest first; both hold vectors of `dim` numbers.
/// With `skip`, query `i` passes over vector `skip[i]` of the set: itself, where the queries are taken from the set.
///
/// # Panics
/// Where fewer than `k` vectors are left: a bug of the caller's.
pub fn nearest(queries: &[f32], set: &[f32], dim: usize, k: usize, skip: Option<&[usize]>) -> Vec<Vec<f64>> {
    let one = |(i, q): (usize, &[f32])| {
        let skipped = skip.map(|s| s[i]);
        let others = set.chunks_exact(dim).enumerate().filter(|(j, _)| Some(*j) != skipped);
        let mut all: Vec<f64> = others.map(|(_, v)| squared(q, v)).collect();
        assert!(k > 0 && all.len() >= k, "{k} neighbours among {} vectors", all.len());
        all.select_nth_unstable_by(k - 1, f64::total_cmp);
        all.truncate(k);
        all.sort_unstable_by(f64::total_cmp);
        all.into_iter().map(f64::sqrt).collect()
    };
    queries.par_chunks_exact(dim).enumerate().map(one).collect()
}

/// Mean Euclidean distance over all pairs of different vectors of a set.
pub fn mean_pairwise(set: &[f32], dim: usize) -> f64 {
    let n = set.len() / dim;
    let rows = (0..n).into_par_iter().map(|i| {
        let a = &set[i * dim..][..dim];
        set[(i + 1) * dim..].chunks_exact(dim).map(|b| squared(a, b).sqrt()).sum::<f64>()
    });
    rows.collect::<Vec<f64>>().iter().sum::<f64>() / (n as f64 * (n as f64 - 1.0) / 2.0)
}

/// For each vector of a set the distance to its `k`-th nearest other one.
///
/// # Panics
/// Where the set has no `k` other vectors: a bug of the caller's.
pub fn kth_nearest(set: &[f32], dim: usize, k: usize) -> Vec<f64> {
    let themselves: Vec<usize> = (0..set.len() / dim).collect();
    nearest(set, set, dim, k, Some(&themselves)).iter().map(|all| all[k - 1]).collect()
}

/// The value below which a share of `q` of `values` lies (the nearest rank, no interpolation); NaN for no values.
pub fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}
