//! Sums of tensors placed among zeros: borders and parts that a gradient adds up to whole images.

use crate::graph::{Binary, Builder, Node, Op, Value};
use std::collections::HashSet;

/// Two tensors placed next to each other among zeros along one axis are placed as one. A sum of such and others is
/// ordered so that neighbours meet.
pub(super) fn add_neighbours(b: &mut Builder, x: Value, y: Value) -> Option<Value> {
    if let Some(joined) = join_placed(b, x, y).or_else(|| join_placed(b, y, x)) {
        return Some(joined);
    }
    let sum = |b: &Builder, v: Value| match b.graph().node(v) {
        Node { op: Op::Binary(Binary::Add), args, .. } => Some((args[0], args[1])),
        _ => None,
    };
    for (sum, other) in [(sum(b, x), y), (sum(b, y), x)] {
        let Some((p, q)) = sum else { continue };
        for (part, rest) in [(p, q), (q, p)] {
            if let Some(joined) = join_placed(b, part, other).or_else(|| join_placed(b, other, part)) {
                return Some(b.add(joined, rest));
            }
        }
    }
    None
}

/// A border among zeros is added to the part of the same value that stands in a sum, not to the whole sum: `(s + image) + border` is
/// `s + (image + border)`, which can be computed in place.
pub(super) fn add_to_image(b: &mut Builder, x: Value, y: Value) -> Option<Value> {
    for (sum, border) in [(x, y), (y, x)] {
        let (Node { op: Op::Binary(Binary::Add), args, .. }, Op::Pad { .. }) = (b.graph().node(sum), &b.graph().node(border).op)
        else {
            continue;
        };
        let (whole, args) = (part_of(b, border)?, args.clone());
        if part_of(b, sum) == Some(whole) {
            return None;
        }
        let Some(image) = args.iter().position(|&v| part_of(b, v) == Some(whole)) else { continue };
        let with_border = b.add(args[image], border);
        return Some(b.add(args[1 - image], with_border));
    }
    None
}

/// The value that `v`, a sum of its parts, or one of them among zeros, is a part of. What several terms share is looked at once.
fn part_of(b: &Builder, v: Value) -> Option<Value> {
    let (mut whole, mut seen, mut open) = (None, HashSet::new(), vec![v]);
    while let Some(v) = open.pop() {
        if !seen.insert(v) {
            continue;
        }
        let Node { op, args, .. } = b.graph().node(v);
        match op {
            Op::Slice { .. } if *whole.get_or_insert(args[0]) == args[0] => {}
            Op::Pad { .. } | Op::Concat(_) | Op::Binary(Binary::Add) => open.extend(args),
            _ => return None,
        }
    }
    whole
}

/// `first + second` where `second` begins, along the only axis on which zeros surround them, where `first` ends.
fn join_placed(b: &mut Builder, first: Value, second: Value) -> Option<Value> {
    let (low, axis, end) = placed(b, first)?;
    let (start, same, _) = placed(b, second)?;
    (axis == same && end == start[axis]).then_some(())?;
    let (parts, shape) = ([first, second].map(|v| b.graph().node(v).args[0]), b.shape(first).to_vec());
    let both = b.concat(axis, &parts);
    Some(b.pad(both, &low, &vec![1; shape.len()], &shape))
}

/// Of a tensor among zeros along one axis: where it begins, the axis, and where it ends.
fn placed(b: &Builder, v: Value) -> Option<(Vec<usize>, usize, usize)> {
    let Node { op: Op::Pad { low, step }, args, shape } = b.graph().node(v) else { return None };
    let inner = b.shape(args[0]);
    let mut axes = (0..shape.len()).filter(|&a| inner[a] != shape[a]);
    let axis = axes.next()?;
    (axes.next().is_none() && step.iter().all(|&s| s == 1)).then(|| (low.clone(), axis, low[axis] + inner[axis]))
}
