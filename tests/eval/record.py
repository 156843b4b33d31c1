"""Records the figures that `tests/eval.rs` compares ganc's metrics with, as scipy and numpy compute them.

    python tests/eval/record.py

Writes `figures.json` beside itself. Needs numpy and scipy. The sets are made by whole numbers, so that Rust makes the same.
"""

import json
from pathlib import Path

import numpy as np
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist, pdist
from scipy.stats import entropy, wasserstein_distance

N, DIM, BLOCKS, K = 120, 6, 4, 3


def make(a, b, c, shift):
    """Numbers of 1/1024, without rounding in f32."""
    i, j = np.mgrid[0:N, 0:DIM]
    return ((i * a + j * b + i * i * (j + 1) * c + 7) % 1021 + shift * (j % 2)) / 1024.0


A, B = make(37, 101, 13, 0), make(59, 211, 29, 200)


def frechet(a, b):
    root = sqrtm(np.cov(a, rowvar=False) @ np.cov(b, rowvar=False)).real
    spread = np.trace(np.cov(a, rowvar=False) + np.cov(b, rowvar=False) - 2 * root)
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + spread)


def kernel(x, y):
    return (x @ y.T / DIM + 1) ** 3


def mmd(a, b):
    n = len(a)
    aa, bb, ab = kernel(a, a), kernel(b, b), kernel(a, b)
    return (aa.sum() - np.trace(aa) + bb.sum() - np.trace(bb)) / (n * (n - 1)) - 2 * ab.mean()


def inside(queries, points):
    own = cdist(points, points)
    np.fill_diagonal(own, np.inf)
    radii = np.sort(own, axis=1)[:, K - 1]
    return float((cdist(queries, points) <= radii[None]).any(1).mean())


def main():
    each = N // BLOCKS
    kids = np.array([mmd(A[i * each : (i + 1) * each], B[i * each : (i + 1) * each]) for i in range(BLOCKS)])
    symmetric = np.cov(A, rowvar=False)
    histogram = np.array([5, 0, 3, 12])
    figures = {
        "frechet": frechet(A, B),
        "kid_mean": float(kids.mean()),
        "kid_std": float(kids.std(ddof=1)),
        "precision": inside(B, A),
        "recall": inside(A, B),
        "mean_pairwise": float(pdist(A).mean()),
        "nearest": [float(x) for x in cdist(B, A).min(1)[:5]],
        "wasserstein": float(wasserstein_distance(A[:, 0], B[:, 1])),
        "eigenvalues": [float(x) for x in np.linalg.eigvalsh(symmetric)],
        "reverse_kl": float(entropy(histogram / histogram.sum(), np.full(4, 0.25))),
    }
    Path(__file__).with_name("figures.json").write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
