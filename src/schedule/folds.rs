//! Borders that are added to the image they surround: `slice(s) + pad(slice(s)) + ...`, the gradient of a mirrored border.
//!
//! Such a sum is computed in the memory of `s`: what each border holds is added where it belongs, and the rest of the image stays where it is, in
//! place of whole images of zeros around each border. On exit, for each fold, nothing else reads `s`; no two of its borders are added at the same
//! place, and none where another comes from.

use super::views::users;
use crate::graph::{Binary, Graph, Op, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// All folds of a graph.
#[derive(Default)]
pub struct Folds {
    /// By the sum.
    sums: BTreeMap<Value, Fold>,
    /// The borders among zeros and the sums of only some of them, which nobody computes.
    parts: BTreeSet<Value>,
}

/// A sum in the memory of its first term.
#[derive(Clone, Debug)]
pub struct Fold {
    /// The first term: a slice.
    pub image: Value,
    /// The others: each a [`Op::Pad`] of a part of the image's surroundings.
    pub borders: Vec<Value>,
}

/// Finds the folds of `graph`.
pub fn find(graph: &Graph) -> Folds {
    let search = Search { graph, users: users(graph), outputs: graph.outputs().iter().map(|o| o.value).collect() };
    let mut folds = Folds::default();
    for v in graph.values() {
        if let Some((fold, inner)) = search.fold(v, &folds) {
            folds.parts.extend(inner.into_iter().chain(fold.borders.iter().copied()));
            folds.sums.insert(v, fold);
        }
    }
    folds
}

impl Folds {
    /// The fold that makes `v`.
    pub fn of(&self, v: Value) -> Option<&Fold> {
        self.sums.get(&v)
    }

    /// Whether `v` is a part of a fold that has no elements of its own.
    pub fn is_part(&self, v: Value) -> bool {
        self.parts.contains(&v)
    }
}

/// Indices along each axis.
type Region = Vec<Range<usize>>;

struct Search<'a> {
    graph: &'a Graph,
    users: Vec<Vec<Value>>,
    outputs: BTreeSet<Value>,
}

impl Search<'_> {
    /// The fold that makes `v`, and the sums of only some of its terms.
    fn fold(&self, v: Value, known: &Folds) -> Option<(Fold, Vec<Value>)> {
        // The whole sum, not one that another border is still added to.
        if self.outputs.contains(&v) || self.only_user(v).is_some_and(|u| self.added(u).is_some_and(|(rest, _)| rest == v)) {
            return None;
        }
        // Convolutions and products read whole images.
        let reads_whole = |u: &Value| matches!(self.graph.node(*u).op, Op::Reshape | Op::Conv(_) | Op::Dot { .. });
        if self.users[v.index()].iter().any(reads_whole) {
            return None;
        }
        let (mut image, mut borders, mut inner) = (v, Vec::new(), Vec::new());
        while let Some((rest, border)) = self.added(image) {
            borders.push(border);
            image = rest;
            inner.push(rest);
        }
        inner.pop();
        if borders.is_empty() || inner.iter().chain([&image]).any(|&u| self.only_user(u).is_none()) {
            return None;
        }
        let (whole, region) = self.slice(image)?;
        let owned = matches!(self.graph.node(whole).op, Op::Conv(_) | Op::Dot { .. }) || known.of(whole).is_some();
        if !owned || self.outputs.contains(&whole) {
            return None;
        }
        let (mut readers, mut from, mut to) = (vec![image], Vec::new(), Vec::new());
        for &border in &borders {
            let Placed { low, part } = self.placed(border)?;
            let window = |(axis, range): (usize, &Range<usize>)| {
                let first = range.start + low[axis];
                first..first + self.graph.shape(part)[axis]
            };
            to.push(region.iter().enumerate().map(window).collect::<Region>());
            if !self.sources(part, whole, &mut readers, &mut from) {
                return None;
            }
        }
        let apart = to.iter().enumerate().all(|(i, a)| from.iter().chain(&to[..i]).all(|b| are_apart(a, b)));
        let all_read = self.users[whole.index()].iter().all(|u| readers.contains(u));
        (apart && all_read).then_some((Fold { image, borders }, inner))
    }

    fn only_user(&self, v: Value) -> Option<Value> {
        match &self.users[v.index()][..] {
            &[user] if !self.outputs.contains(&v) => Some(user),
            _ => None,
        }
    }

    /// What a border is added to by `v`, and the border.
    fn added(&self, v: Value) -> Option<(Value, Value)> {
        let node = self.graph.node(v);
        let (Op::Binary(Binary::Add), &[a, b]) = (&node.op, &node.args[..]) else { return None };
        let is_border = |v| self.placed(v).is_some() && self.only_user(v).is_some();
        match (is_border(b), is_border(a)) {
            (true, _) => Some((a, b)),
            (false, true) => Some((b, a)),
            (false, false) => None,
        }
    }

    /// What stands among zeros, without steps, and where.
    fn placed(&self, v: Value) -> Option<Placed<'_>> {
        let node = self.graph.node(v);
        match &node.op {
            Op::Pad { low, step } if step.iter().all(|&s| s == 1) => Some(Placed { low, part: node.args[0] }),
            _ => None,
        }
    }

    /// Whether a border consists of slices of `whole`, side by side or added up, which nothing else reads: they are added to `readers`, with where
    /// they lie.
    fn sources(&self, part: Value, whole: Value, readers: &mut Vec<Value>, from: &mut Vec<Region>) -> bool {
        let node = self.graph.node(part);
        if self.only_user(part).is_none() {
            return false;
        }
        if let Op::Concat(_) | Op::Binary(Binary::Add) = node.op {
            return node.args.iter().all(|&a| self.sources(a, whole, readers, from));
        }
        let Some((_, region)) = self.slice(part).filter(|(of, _)| *of == whole) else { return false };
        readers.push(part);
        from.push(region);
        true
    }

    /// What `v` is a slice of, without steps, and which.
    fn slice(&self, v: Value) -> Option<(Value, Region)> {
        let node = self.graph.node(v);
        match &node.op {
            Op::Slice { start, step } if step.iter().all(|&s| s == 1) => {
                Some((node.args[0], start.iter().zip(&node.shape).map(|(&s, &n)| s..s + n).collect()))
            }
            _ => None,
        }
    }
}

/// A value among zeros.
struct Placed<'a> {
    low: &'a [usize],
    part: Value,
}

/// Whether two regions have nothing in common.
fn are_apart(a: &Region, b: &Region) -> bool {
    a.iter().zip(b).any(|(a, b)| a.end <= b.start || b.end <= a.start)
}
