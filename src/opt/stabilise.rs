//! Textbook formulas in forms that survive rounding: the logarithm of a sigmoid never sees a 0 or a 1.
//!
//! | written | computed |
//! |---|---|
//! | `log(sigmoid(v))` | `-softplus(-v)` |
//! | `log(1 - sigmoid(v))` | `-softplus(v)` |
//! | `log(exp(v))` | `v` |
//! | `log(1 + exp(v))` | `softplus(v)` |
//! | `t*log(sigmoid(v)) + (1 - t)*log(1 - sigmoid(v))` | `t*v - softplus(v)` |
//!
//! Between the logarithm and the sigmoid may stand any reshapes, transposes, broadcasts and slices.

use super::rebuild::rebuild;
use crate::graph::{Binary, Builder, Graph, Node, Op, Unary, Value};

/// Rewrites every formula of the table.
pub fn run(graph: &Graph) -> Graph {
    rebuild(graph, |b, op, args, _| match op {
        Op::Unary(Unary::Log) => log(b, args[0]),
        Op::Binary(Binary::Add) => cross_entropy(b, args[0], args[1]).or_else(|| cross_entropy(b, args[1], args[0])),
        _ => None,
    })
}

fn log(b: &mut Builder, x: Value) -> Option<Value> {
    if let Some(v) = through_views(b, x, Unary::Sigmoid) {
        let v = b.unary(Unary::Neg, v);
        return Some(minus_softplus(b, v));
    }
    if let Some(v) = through_views(b, x, Unary::Exp) {
        return Some(v);
    }
    let node = b.graph().node(x).clone();
    match node.op {
        Op::Binary(Binary::Sub) if b.as_const(node.args[0]) == Some(1.0) => {
            let v = through_views(b, node.args[1], Unary::Sigmoid)?;
            Some(minus_softplus(b, v))
        }
        Op::Binary(Binary::Add) => {
            let (one, other) = if b.as_const(node.args[0]) == Some(1.0) { (0, 1) } else { (1, 0) };
            (b.as_const(node.args[one]) == Some(1.0)).then_some(())?;
            let v = through_views(b, node.args[other], Unary::Exp)?;
            Some(b.unary(Unary::Softplus, v))
        }
        _ if is_view(&node.op) => {
            let inner = log(b, node.args[0])?;
            Some(b.push_shaped(node.op, &[inner], node.shape))
        }
        _ => None,
    }
}

/// `first + second` where `first` is `t * -softplus(-v)` and `second` is `(1 - t) * -softplus(v)`, which differ by `v` only: one softplus, and
/// one sigmoid as its gradient.
fn cross_entropy(b: &mut Builder, first: Value, second: Value) -> Option<Value> {
    let factors = |b: &Builder, v: Value| match b.graph().node(v) {
        Node { op: Op::Binary(Binary::Mul), args, .. } => Some([(args[0], args[1]), (args[1], args[0])]),
        _ => None,
    };
    let of = |b: &Builder, v: Value, f: Unary| match b.graph().node(v) {
        Node { op: Op::Unary(g), args, .. } if *g == f => Some(args[0]),
        _ => None,
    };
    let softplus = |b: &Builder, v: Value| of(b, v, Unary::Neg).and_then(|v| of(b, v, Unary::Softplus));
    for (t, yes) in factors(b, first)? {
        let Some(v) = softplus(b, yes).and_then(|minus| of(b, minus, Unary::Neg)) else { continue };
        for (rest, no) in factors(b, second)? {
            let Node { op, args, .. } = b.graph().node(rest);
            let is_rest = *op == Op::Binary(Binary::Sub) && args[1] == t && b.as_const(args[0]) == Some(1.0);
            if is_rest && softplus(b, no) == Some(v) {
                let (linear, s) = (b.mul(t, v), b.unary(Unary::Softplus, v));
                return Some(b.sub(linear, s));
            }
        }
    }
    None
}

fn minus_softplus(b: &mut Builder, v: Value) -> Value {
    let s = b.unary(Unary::Softplus, v);
    b.unary(Unary::Neg, s)
}

/// Where `x` is views of `f(v)`: the same views of `v`.
fn through_views(b: &mut Builder, x: Value, f: Unary) -> Option<Value> {
    let Node { op, args, shape } = b.graph().node(x).clone();
    if op == Op::Unary(f) {
        return Some(args[0]);
    }
    if !is_view(&op) {
        return None;
    }
    let inner = through_views(b, args[0], f)?;
    Some(b.push_shaped(op, &[inner], shape))
}

/// Operations that only move elements, every one of them present in the argument.
fn is_view(op: &Op) -> bool {
    matches!(op, Op::Reshape | Op::Transpose(_) | Op::Broadcast | Op::Slice { .. })
}
