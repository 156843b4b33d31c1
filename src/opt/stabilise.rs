//! Textbook formulas in forms that survive rounding: the logarithm of a sigmoid never sees a 0 or a 1.
//!
//! | written | computed |
//! |---|---|
//! | `log(sigmoid(v))` | `-softplus(-v)` |
//! | `log(1 - sigmoid(v))` | `-softplus(v)` |
//! | `log(exp(v))` | `v` |
//! | `log(1 + exp(v))` | `softplus(v)` |
//!
//! Between the logarithm and the sigmoid may stand any reshapes, transposes, broadcasts and slices.

use super::rebuild::rebuild;
use crate::graph::{Binary, Builder, Graph, Node, Op, Unary, Value};

/// Rewrites every logarithm of the table.
pub fn run(graph: &Graph) -> Graph {
    rebuild(graph, |b, op, args, _| match op {
        Op::Unary(Unary::Log) => log(b, args[0]),
        _ => None,
    })
}

fn log(b: &mut Builder, x: Value) -> Option<Value> {
    let node = b.graph().node(x).clone();
    match node.op {
        Op::Unary(Unary::Sigmoid) => {
            let v = b.unary(Unary::Neg, node.args[0]);
            Some(minus_softplus(b, v))
        }
        Op::Unary(Unary::Exp) => Some(node.args[0]),
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
