//! Frechet distance between two sets of vectors, each seen as a normal distribution (Dowson & Landau, 1982; as a metric of
//! generators: Heusel et al., 2017): `|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))`.

/// Sweeps after which the eigenvalues stand; a matrix of 64 rows needs about ten.
const SWEEPS: usize = 64;

/// Mean and covariance (divided by n - 1, as `numpy.cov` does) of vectors of `dim` numbers.
pub fn moments(x: &[f32], dim: usize) -> (Vec<f64>, Vec<f64>) {
    let n = (x.len() / dim) as f64;
    let mut mean = vec![0.0; dim];
    for row in x.chunks_exact(dim) {
        mean.iter_mut().zip(row).for_each(|(m, v)| *m += f64::from(*v));
    }
    mean.iter_mut().for_each(|m| *m /= n);
    let mut covariance = vec![0.0; dim * dim];
    let mut centred = vec![0.0; dim];
    for row in x.chunks_exact(dim) {
        centred.iter_mut().zip(row).zip(&mean).for_each(|((c, v), m)| *c = f64::from(*v) - m);
        for i in 0..dim {
            let a = centred[i];
            covariance[i * dim..][..dim].iter_mut().zip(&centred).for_each(|(s, b)| *s += a * b);
        }
    }
    covariance.iter_mut().for_each(|s| *s /= n - 1.0);
    (mean, covariance)
}

/// The distance between two sets of vectors of `dim` numbers. It has a bias that falls with the number of vectors: compare
/// only figures of as many.
pub fn frechet(a: &[f32], b: &[f32], dim: usize) -> f64 {
    let ((m1, s1), (m2, s2)) = (moments(a, dim), moments(b, dim));
    let means: f64 = m1.iter().zip(&m2).map(|(p, q)| (p - q) * (p - q)).sum();
    let traces: f64 = (0..dim).map(|i| s1[i * dim + i] + s2[i * dim + i]).sum();
    // tr (S1 S2)^(1/2) is the trace of the root of the symmetric R S2 R, where R is the root of S1.
    let root = square_root(&s1, dim);
    let inner = product(&product(&root, &s2, dim), &root, dim);
    let trace: f64 = eigen(symmetric(inner, dim), dim).0.iter().map(|l| l.max(0.0).sqrt()).sum();
    means + traces - 2.0 * trace
}

fn product(a: &[f64], b: &[f64], n: usize) -> Vec<f64> {
    let mut c = vec![0.0; n * n];
    for i in 0..n {
        for k in 0..n {
            let x = a[i * n + k];
            c[i * n..][..n].iter_mut().zip(&b[k * n..][..n]).for_each(|(c, b)| *c += x * b);
        }
    }
    c
}

/// Takes rounding's asymmetry away.
fn symmetric(mut a: Vec<f64>, n: usize) -> Vec<f64> {
    for i in 0..n {
        for j in 0..i {
            let middle = (a[i * n + j] + a[j * n + i]) / 2.0;
            a[i * n + j] = middle;
            a[j * n + i] = middle;
        }
    }
    a
}

/// The root of a symmetric matrix without negative eigenvalues (those of rounding count as 0).
fn square_root(a: &[f64], n: usize) -> Vec<f64> {
    let (values, vectors) = eigen(a.to_vec(), n);
    let mut root = vec![0.0; n * n];
    for (k, value) in values.iter().enumerate() {
        let scale = value.max(0.0).sqrt();
        for i in 0..n {
            let x = vectors[i * n + k] * scale;
            for j in 0..n {
                root[i * n + j] += x * vectors[j * n + k];
            }
        }
    }
    root
}

/// Eigenvalues of a symmetric `n x n` matrix, and eigenvectors as columns, by Jacobi's rotations in rows' order (Golub & Van
/// Loan, "Matrix computations", section 8.5). The order of the values is that of the diagonal they end on.
pub fn eigen(mut a: Vec<f64>, n: usize) -> (Vec<f64>, Vec<f64>) {
    let mut v = vec![0.0; n * n];
    (0..n).for_each(|i| v[i * n + i] = 1.0);
    for _ in 0..SWEEPS {
        let off: f64 = (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| a[i * n + j] * a[i * n + j]).sum();
        let whole: f64 = a.iter().map(|x| x * x).sum();
        if off <= whole * 1e-30 {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut a, &mut v, n, p, q);
            }
        }
    }
    ((0..n).map(|i| a[i * n + i]).collect(), v)
}

/// Rotates rows and columns `p` and `q` so that the element between them vanishes.
fn rotate(a: &mut [f64], v: &mut [f64], n: usize, p: usize, q: usize) {
    let between = a[p * n + q];
    if between == 0.0 {
        return;
    }
    let tau = (a[q * n + q] - a[p * n + p]) / (2.0 * between);
    let t = if tau >= 0.0 { 1.0 / (tau + (1.0 + tau * tau).sqrt()) } else { -1.0 / (-tau + (1.0 + tau * tau).sqrt()) };
    let c = 1.0 / (1.0 + t * t).sqrt();
    let s = t * c;
    let turn = |x: f64, y: f64| (c * x - s * y, s * x + c * y);
    for k in 0..n {
        (a[k * n + p], a[k * n + q]) = turn(a[k * n + p], a[k * n + q]);
        (v[k * n + p], v[k * n + q]) = turn(v[k * n + p], v[k * n + q]);
    }
    for k in 0..n {
        (a[p * n + k], a[q * n + k]) = turn(a[p * n + k], a[q * n + k]);
    }
}
