//! The transforms of [`Form`](crate::schedule::winograd::Form), along one axis, on vectors of channels.
//!
//! `y = AT [(G g) * (BT d)]` for `N` inputs `d`, `R` taps `g` and `M` results `y`, with `N = M + R - 1` products; a filter gradient is its
//! adjoint, `dg = GT [(A dy) * (BT d)]`. Along two axes each transform is applied to the columns and then to the rows. Points of
//! interpolation: 0, 1, -1, 2, -2 and infinity, in this order as far as needed. At point `p` of the finite ones `G g` is the polynomial of the
//! taps, divided by the product of the distances of `p` from the others; at infinity it is the last tap.

use super::super::lanes::Lanes;
use crate::schedule::winograd::{Form, finite};

/// Most products along an axis.
pub const MOST: usize = 6;
/// Vectors along an axis.
pub type Axis<V> = [V; MOST];

/// A form's transforms. Elements of an axis past those named are not read.
pub trait Transforms {
    /// Which form.
    const FORM: Form;
    /// Results.
    const M: usize = Self::FORM.results();
    /// Taps.
    const R: usize = Self::FORM.taps();
    /// Products.
    const N: usize = Self::M + Self::R - 1;
    /// Inputs to products: `N` to `N`.
    fn bt<V: Lanes>(d: Axis<V>) -> Axis<V>;
    /// Taps to products: `R` to `N`.
    fn g<V: Lanes>(g: Axis<V>) -> Axis<V>;
    /// Products to results: `N` to `M`.
    fn at<V: Lanes>(m: Axis<V>) -> Axis<V>;
    /// Gradients of results to products: `M` to `N`.
    fn a<V: Lanes>(y: Axis<V>) -> Axis<V>;
    /// Products to gradients of taps: `N` to `R`.
    fn gt<V: Lanes>(m: Axis<V>) -> Axis<V>;
    /// For tiles of fewer results, by their number.
    const SHORT: [Short; MOST_RESULTS] = [
        Short::new(0, Self::M, Self::R),
        Short::new(1, Self::M, Self::R),
        Short::new(2, Self::M, Self::R),
        Short::new(3, Self::M, Self::R),
    ];
}

/// Most results along an axis.
const MOST_RESULTS: usize = 4;
/// The finite points.
const POINTS: [i32; MOST - 1] = [0, 1, -1, 2, -2];
/// Coefficients of a linear transform, row by row.
pub type Matrix = [[f32; MOST]; MOST];

/// The transforms of a tile that has fewer results than its form, for products at the first of the form's finite points and at infinity. Filters
/// are those of the form: so inputs make good the distances of each point from those that are left out.
pub struct Short {
    /// As [`Transforms::bt`].
    pub bt: Matrix,
    /// As [`Transforms::at`].
    pub at: Matrix,
}

impl Short {
    /// For `results` of the `m` of a form with `r` taps. All zero where these are not fewer, or none.
    const fn new(results: usize, m: usize, r: usize) -> Short {
        let mut short = Short { bt: [[0.0; MOST]; MOST], at: [[0.0; MOST]; MOST] };
        if results == 0 || results >= m {
            return short;
        }
        let (finite, all) = (finite(results, r), finite(m, r));
        let mut i = 0;
        while i < finite {
            // The polynomial whose zeros are the other points.
            let mut row = [0; MOST];
            row[0] = 1;
            let mut q = 0;
            while q < all {
                if q < finite && q != i {
                    row = times_linear(row, POINTS[q]);
                } else if q != i {
                    row = times(row, POINTS[i] - POINTS[q]);
                }
                q += 1;
            }
            short.bt[i] = floats(row);
            let (mut power, mut y) = (1, 0);
            while y < results {
                short.at[y][i] = power as f32;
                power *= POINTS[i];
                y += 1;
            }
            i += 1;
        }
        let mut row = [0; MOST];
        row[0] = 1;
        let mut q = 0;
        while q < finite {
            row = times_linear(row, POINTS[q]);
            q += 1;
        }
        short.bt[all] = floats(row);
        short.at[results - 1][all] = 1.0;
        short
    }
}

/// `p(x) * by`, coefficients from the lowest.
const fn times(mut p: [i32; MOST], by: i32) -> [i32; MOST] {
    let mut i = 0;
    while i < MOST {
        p[i] *= by;
        i += 1;
    }
    p
}

/// `p(x) * (x - zero)`.
const fn times_linear(p: [i32; MOST], zero: i32) -> [i32; MOST] {
    let mut product = times(p, -zero);
    let mut i = 1;
    while i < MOST {
        product[i] += p[i - 1];
        i += 1;
    }
    product
}

const fn floats(p: [i32; MOST]) -> [f32; MOST] {
    let mut all = [0.0; MOST];
    let mut i = 0;
    while i < MOST {
        all[i] = p[i] as f32;
        i += 1;
    }
    all
}

/// `of * x`; where `of` is known, what is 0 costs nothing.
#[inline(always)]
pub fn linear<V: Lanes>(of: &Matrix, x: Axis<V>) -> Axis<V> {
    let mut y = [V::zero(); MOST];
    for i in 0..MOST {
        for k in 0..MOST {
            if of[i][k] != 0.0 {
                y[i] = y[i].plus(x[k], of[i][k]);
            }
        }
    }
    y
}

/// An axis that starts with these vectors.
#[inline(always)]
fn axis<V: Lanes, const N: usize>(first: [V; N]) -> Axis<V> {
    let mut all = [V::zero(); MOST];
    all[..N].copy_from_slice(&first);
    all
}

/// `F(2, 2)`: all coefficients are 0, 1 or -1.
pub struct F22;

impl Transforms for F22 {
    const FORM: Form = Form::F22;
    #[inline(always)]
    fn bt<V: Lanes>(d: Axis<V>) -> Axis<V> {
        axis([d[1].sub(d[0]), d[1], d[2].sub(d[1])])
    }
    #[inline(always)]
    fn g<V: Lanes>(g: Axis<V>) -> Axis<V> {
        axis([V::zero().sub(g[0]), g[0].add(g[1]), g[1]])
    }
    #[inline(always)]
    fn at<V: Lanes>(m: Axis<V>) -> Axis<V> {
        axis([m[0].add(m[1]), m[1].add(m[2])])
    }
    #[inline(always)]
    fn a<V: Lanes>(y: Axis<V>) -> Axis<V> {
        axis([y[0], y[0].add(y[1]), y[1]])
    }
    #[inline(always)]
    fn gt<V: Lanes>(m: Axis<V>) -> Axis<V> {
        axis([m[1].sub(m[0]), m[1].add(m[2])])
    }
}

/// `F(4, 2)`.
pub struct F42;

impl Transforms for F42 {
    const FORM: Form = Form::F42;
    #[inline(always)]
    fn bt<V: Lanes>(d: Axis<V>) -> Axis<V> {
        let (e, f) = (d[3].sub(d[1]), d[3].sub(d[2]));
        axis([e.plus(d[0].sub(d[2]), 2.0), f.plus(d[1], -2.0), f.plus(d[1].sub(d[2]), 2.0), e, d[4].sub(d[2]).plus(e, -2.0)])
    }
    #[inline(always)]
    fn g<V: Lanes>(g: Axis<V>) -> Axis<V> {
        let both = g[0].add(g[1]);
        axis([g[0].times(0.5), both.times(-0.5), g[1].sub(g[0]).times(1.0 / 6.0), both.add(g[1]).times(1.0 / 6.0), g[1]])
    }
    #[inline(always)]
    fn at<V: Lanes>(m: Axis<V>) -> Axis<V> {
        let (s, u) = (m[1].add(m[2]), m[1].sub(m[2]));
        axis([m[0].add(s).add(m[3]), u.plus(m[3], 2.0), s.plus(m[3], 4.0), u.add(m[4]).plus(m[3], 8.0)])
    }
    #[inline(always)]
    fn a<V: Lanes>(y: Axis<V>) -> Axis<V> {
        let (e, o) = (y[0].add(y[2]), y[1].add(y[3]));
        axis([y[0], e.add(o), e.sub(o), y[0].plus(y[1], 2.0).plus(y[2], 4.0).plus(y[3], 8.0), y[3]])
    }
    #[inline(always)]
    fn gt<V: Lanes>(m: Axis<V>) -> Axis<V> {
        let s = m[3].sub(m[2]).times(1.0 / 6.0);
        axis([s.plus(m[0].sub(m[1]), 0.5), m[4].plus(m[1], -0.5).plus(m[2], 1.0 / 6.0).plus(m[3], 1.0 / 3.0)])
    }
}

/// `F(2, 3)`.
pub struct F23;

impl Transforms for F23 {
    const FORM: Form = Form::F23;
    #[inline(always)]
    fn bt<V: Lanes>(d: Axis<V>) -> Axis<V> {
        axis([d[2].sub(d[0]), d[1].add(d[2]), d[2].sub(d[1]), d[3].sub(d[1])])
    }
    #[inline(always)]
    fn g<V: Lanes>(g: Axis<V>) -> Axis<V> {
        let s = g[0].add(g[2]).times(0.5);
        axis([V::zero().sub(g[0]), s.plus(g[1], 0.5), s.plus(g[1], -0.5), g[2]])
    }
    #[inline(always)]
    fn at<V: Lanes>(m: Axis<V>) -> Axis<V> {
        axis([m[0].add(m[1]).add(m[2]), m[1].sub(m[2]).add(m[3])])
    }
    #[inline(always)]
    fn a<V: Lanes>(y: Axis<V>) -> Axis<V> {
        axis([y[0], y[0].add(y[1]), y[0].sub(y[1]), y[1]])
    }
    #[inline(always)]
    fn gt<V: Lanes>(m: Axis<V>) -> Axis<V> {
        let s = m[1].add(m[2]).times(0.5);
        axis([s.sub(m[0]), m[1].sub(m[2]).times(0.5), s.add(m[3])])
    }
}

/// `F(3, 4)`: inputs as those of [`F43`], which has as many products.
pub struct F34;

impl Transforms for F34 {
    const FORM: Form = Form::F34;
    #[inline(always)]
    fn bt<V: Lanes>(d: Axis<V>) -> Axis<V> {
        F43::bt(d)
    }
    #[inline(always)]
    fn g<V: Lanes>(g: Axis<V>) -> Axis<V> {
        let (e, o) = (g[0].add(g[2]).times(-1.0 / 6.0), g[1].add(g[3]).times(-1.0 / 6.0));
        let t = g[0].times(1.0 / 24.0).plus(g[2], 1.0 / 6.0);
        let u = g[1].times(1.0 / 12.0).plus(g[3], 1.0 / 3.0);
        axis([g[0].times(0.25), e.add(o), e.sub(o), t.add(u), t.sub(u), g[3]])
    }
    #[inline(always)]
    fn at<V: Lanes>(m: Axis<V>) -> Axis<V> {
        let (s, u, p, q) = (m[1].add(m[2]), m[1].sub(m[2]), m[3].add(m[4]), m[3].sub(m[4]));
        axis([m[0].add(s).add(p), u.plus(q, 2.0), s.add(m[5]).plus(p, 4.0)])
    }
    #[inline(always)]
    fn a<V: Lanes>(y: Axis<V>) -> Axis<V> {
        let (e, e2, o2) = (y[0].add(y[2]), y[0].plus(y[2], 4.0), y[1].add(y[1]));
        axis([y[0], e.add(y[1]), e.sub(y[1]), e2.add(o2), e2.sub(o2), y[2]])
    }
    #[inline(always)]
    fn gt<V: Lanes>(m: Axis<V>) -> Axis<V> {
        let (s, u, p, q) = (m[1].add(m[2]), m[2].sub(m[1]), m[3].add(m[4]), m[3].sub(m[4]));
        axis([
            m[0].times(0.25).plus(s, -1.0 / 6.0).plus(p, 1.0 / 24.0),
            u.times(1.0 / 6.0).plus(q, 1.0 / 12.0),
            s.times(-1.0 / 6.0).plus(p, 1.0 / 6.0),
            m[5].plus(u, 1.0 / 6.0).plus(q, 1.0 / 3.0),
        ])
    }
}

/// `F(4, 3)`.
pub struct F43;

impl Transforms for F43 {
    const FORM: Form = Form::F43;
    #[inline(always)]
    fn bt<V: Lanes>(d: Axis<V>) -> Axis<V> {
        let (p, q) = (d[4].plus(d[2], -4.0), d[3].plus(d[1], -4.0));
        let (r, s) = (d[4].sub(d[2]), d[3].sub(d[1]));
        axis([
            d[4].plus(d[0], 4.0).plus(d[2], -5.0),
            p.add(q),
            p.sub(q),
            r.plus(s, 2.0),
            r.plus(s, -2.0),
            d[5].plus(d[1], 4.0).plus(d[3], -5.0),
        ])
    }
    #[inline(always)]
    fn g<V: Lanes>(g: Axis<V>) -> Axis<V> {
        let s = g[0].add(g[2]).times(-1.0 / 6.0);
        let t = g[0].times(1.0 / 24.0).plus(g[2], 1.0 / 6.0);
        axis([
            g[0].times(0.25),
            s.plus(g[1], -1.0 / 6.0),
            s.plus(g[1], 1.0 / 6.0),
            t.plus(g[1], 1.0 / 12.0),
            t.plus(g[1], -1.0 / 12.0),
            g[2],
        ])
    }
    #[inline(always)]
    fn at<V: Lanes>(m: Axis<V>) -> Axis<V> {
        let (s, u, p, q) = (m[1].add(m[2]), m[1].sub(m[2]), m[3].add(m[4]), m[3].sub(m[4]));
        axis([m[0].add(s).add(p), u.plus(q, 2.0), s.plus(p, 4.0), u.add(m[5]).plus(q, 8.0)])
    }
    #[inline(always)]
    fn a<V: Lanes>(y: Axis<V>) -> Axis<V> {
        let (e, o) = (y[0].add(y[2]), y[1].add(y[3]));
        let (e2, o2) = (y[0].plus(y[2], 4.0), y[1].add(y[1]).plus(y[3], 8.0));
        axis([y[0], e.add(o), e.sub(o), e2.add(o2), e2.sub(o2), y[3]])
    }
    #[inline(always)]
    fn gt<V: Lanes>(m: Axis<V>) -> Axis<V> {
        let (s, u, p, q) = (m[1].add(m[2]), m[2].sub(m[1]), m[3].add(m[4]), m[3].sub(m[4]));
        axis([
            m[0].times(0.25).plus(s, -1.0 / 6.0).plus(p, 1.0 / 24.0),
            u.times(1.0 / 6.0).plus(q, 1.0 / 12.0),
            m[5].plus(s, -1.0 / 6.0).plus(p, 1.0 / 6.0),
        ])
    }
}
