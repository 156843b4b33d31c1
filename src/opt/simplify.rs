//! Local identities: constants fold, neutral elements go, views merge, broadcasts move outward.

use super::placed::{add_neighbours, add_to_image};
use super::rebuild::rebuild;
use crate::graph::{Binary, Builder, Graph, Node, Op, Reduce, Unary, Value};

/// Applies every identity once to every node.
pub fn run(graph: &Graph) -> Graph {
    rebuild(graph, |b, op, args, shape| {
        let identity = match op {
            Op::Unary(f) => unary(b, *f, args[0], shape),
            Op::Binary(f) => binary(b, *f, args[0], args[1], shape),
            Op::Select => select(b, args),
            Op::Reshape => Some(b.reshape(args[0], shape)),
            Op::Transpose(perm) => transpose(b, args[0], perm),
            Op::Broadcast => broadcast(b, args[0], shape),
            Op::Slice { start, step } => slice(b, args[0], start, step, shape),
            Op::Pad { .. } => (b.as_const(args[0]) == Some(0.0)).then(|| b.constant(0.0, shape)),
            Op::Concat(_) => concat(b, args, shape),
            Op::Reduce(kind, axes) => reduce(b, *kind, axes, args[0], shape),
            Op::Dot { .. } | Op::Conv(_) => args.iter().any(|&a| b.as_const(a) == Some(0.0)).then(|| b.constant(0.0, shape)),
            Op::Input(_) | Op::Const(_) | Op::Literal(_) | Op::Grad => None,
        };
        identity.or_else(|| hoist_broadcast(b, op, args, shape))
    })
}

fn unary(b: &mut Builder, f: Unary, x: Value, shape: &[usize]) -> Option<Value> {
    if let Some(c) = b.as_const(x) {
        let folded = match f {
            Unary::Neg => -c,
            Unary::Abs => c.abs(),
            Unary::Sqrt => c.sqrt(),
            Unary::Detach => c,
            // Left to the kernels, whose polynomials are the only ones that decide bits.
            Unary::Exp | Unary::Log | Unary::Tanh | Unary::Sigmoid | Unary::Softplus | Unary::Erf | Unary::Sign => return None,
        };
        return Some(b.constant(folded, shape));
    }
    let inner = b.graph().node(x);
    match (f, &inner.op) {
        (Unary::Detach, _) => Some(x),
        (Unary::Neg, Op::Unary(Unary::Neg)) => Some(inner.args[0]),
        (Unary::Neg, Op::Binary(Binary::Sub)) => {
            let (left, right) = (inner.args[0], inner.args[1]);
            Some(b.sub(right, left))
        }
        (Unary::Abs, Op::Unary(Unary::Abs | Unary::Exp | Unary::Sigmoid | Unary::Softplus)) => Some(x),
        _ => None,
    }
}

fn binary(b: &mut Builder, f: Binary, x: Value, y: Value, shape: &[usize]) -> Option<Value> {
    let (cx, cy) = (b.as_const(x), b.as_const(y));
    if let (Some(p), Some(q)) = (cx, cy) {
        let truth = |t: bool| if t { 1.0 } else { 0.0 };
        let folded = match f {
            Binary::Add => p + q,
            Binary::Sub => p - q,
            Binary::Mul => p * q,
            Binary::Div => p / q,
            Binary::Max => {
                if p > q {
                    p
                } else {
                    q
                }
            }
            Binary::Min => {
                if p < q {
                    p
                } else {
                    q
                }
            }
            Binary::Lt => truth(p < q),
            Binary::Le => truth(p <= q),
            Binary::Eq => truth(p == q),
        };
        return Some(b.constant(folded, shape));
    }
    let negated = |b: &Builder, v: Value| match b.graph().node(v) {
        Node { op: Op::Unary(Unary::Neg), args, .. } => Some(args[0]),
        _ => None,
    };
    match f {
        Binary::Add if cx == Some(0.0) => Some(y),
        Binary::Add | Binary::Sub if cy == Some(0.0) => Some(x),
        Binary::Sub if cx == Some(0.0) => Some(b.unary(Unary::Neg, y)),
        Binary::Add => match (negated(b, x), negated(b, y)) {
            (_, Some(v)) => Some(b.sub(x, v)),
            (Some(v), None) => Some(b.sub(y, v)),
            (None, None) => add_neighbours(b, x, y).or_else(|| add_to_image(b, x, y)),
        },
        Binary::Sub => negated(b, y).map(|v| b.add(x, v)),
        Binary::Mul if cx == Some(0.0) || cy == Some(0.0) => Some(b.constant(0.0, shape)),
        Binary::Mul if cx == Some(1.0) => Some(y),
        Binary::Mul | Binary::Div if cy == Some(1.0) => Some(x),
        Binary::Mul if cx == Some(-1.0) => Some(b.unary(Unary::Neg, y)),
        Binary::Mul | Binary::Div if cy == Some(-1.0) => Some(b.unary(Unary::Neg, x)),
        // Constants stand on the right, so that chains of them meet.
        Binary::Mul if cx.is_some() => Some(b.mul(y, x)),
        Binary::Mul => match (negated(b, x), negated(b, y)) {
            (Some(p), Some(q)) => Some(b.mul(p, q)),
            (Some(p), None) => match cy {
                Some(c) => Some(b.scale(p, -c)),
                None => {
                    let m = b.mul(p, y);
                    Some(b.unary(Unary::Neg, m))
                }
            },
            (None, Some(q)) => {
                let m = b.mul(x, q);
                Some(b.unary(Unary::Neg, m))
            }
            (None, None) => scale_chain(b, x, cy),
        },
        Binary::Div if cx == Some(0.0) => Some(b.constant(0.0, shape)),
        // Exact only for powers of two; there it frees the divider.
        Binary::Div => cy.filter(|c| c.abs().log2().fract() == 0.0 && (1.0 / c).is_normal()).map(|c| b.scale(x, 1.0 / c)),
        Binary::Max | Binary::Min => (x == y).then_some(x),
        Binary::Lt | Binary::Le | Binary::Eq => None,
    }
}

/// `(v * p) * q` is `v * (p*q)`.
fn scale_chain(b: &mut Builder, x: Value, q: Option<f32>) -> Option<Value> {
    let q = q?;
    let Node { op: Op::Binary(Binary::Mul), args, .. } = b.graph().node(x).clone() else { return None };
    let p = b.as_const(args[1])?;
    Some(b.scale(args[0], p * q))
}

fn select(b: &mut Builder, args: &[Value]) -> Option<Value> {
    match b.as_const(args[0]) {
        Some(c) => Some(if c != 0.0 { args[1] } else { args[2] }),
        None => (args[1] == args[2]).then_some(args[1]),
    }
}

fn transpose(b: &mut Builder, x: Value, perm: &[usize]) -> Option<Value> {
    let Node { op, args, shape } = b.graph().node(x).clone();
    match op {
        Op::Transpose(first) => {
            let both: Vec<usize> = perm.iter().map(|&p| first[p]).collect();
            Some(b.transpose(args[0], &both))
        }
        Op::Const(_) => {
            let c = b.as_const(x)?;
            Some(b.constant(c, &perm.iter().map(|&p| shape[p]).collect::<Vec<_>>()))
        }
        _ => Some(b.transpose(x, perm)),
    }
}

fn broadcast(b: &mut Builder, x: Value, shape: &[usize]) -> Option<Value> {
    let Node { op, args, .. } = b.graph().node(x).clone();
    match op {
        Op::Broadcast => Some(b.broadcast(args[0], shape)),
        _ => Some(b.broadcast(x, shape)),
    }
}

fn slice(b: &mut Builder, x: Value, start: &[usize], step: &[usize], shape: &[usize]) -> Option<Value> {
    if let Some(c) = b.as_const(x) {
        return Some(b.constant(c, shape));
    }
    let Node { op, args, .. } = b.graph().node(x).clone();
    match op {
        Op::Slice { start: first, step: stride } => {
            let start: Vec<usize> = (0..start.len()).map(|i| first[i] + start[i] * stride[i]).collect();
            let step: Vec<usize> = (0..step.len()).map(|i| step[i] * stride[i]).collect();
            Some(b.slice(args[0], &start, &step, shape))
        }
        Op::Concat(axis) if step.iter().all(|&s| s == 1) => {
            // A part that lies inside one argument of a concatenation.
            let mut offset = 0;
            for &part in &args {
                let len = b.shape(part)[axis];
                if start[axis] >= offset && start[axis] + shape[axis] <= offset + len {
                    let mut start = start.to_vec();
                    start[axis] -= offset;
                    return Some(b.slice(part, &start, step, shape));
                }
                offset += len;
            }
            None
        }
        _ => None,
    }
}

fn concat(b: &mut Builder, args: &[Value], shape: &[usize]) -> Option<Value> {
    let first = b.as_const(args[0])?;
    args.iter().all(|&a| b.as_const(a) == Some(first)).then(|| b.constant(first, shape))
}

fn reduce(b: &mut Builder, kind: Reduce, axes: &[usize], x: Value, shape: &[usize]) -> Option<Value> {
    let count: usize = axes.iter().map(|&a| b.shape(x)[a]).product();
    if count == 1 {
        return Some(x);
    }
    if let Some(c) = b.as_const(x) {
        let total = match kind {
            Reduce::Sum => c * count as f32,
            Reduce::Max => c,
        };
        return Some(b.constant(total, shape));
    }
    let Node { op, args, .. } = b.graph().node(x).clone();
    match op {
        // Two sums in a row are one.
        Op::Reduce(inner, first) if inner == kind => {
            let mut both: Vec<usize> = axes.iter().chain(&first).copied().collect();
            both.sort_unstable();
            both.dedup();
            Some(b.reduce(kind, args[0], &both))
        }
        Op::Broadcast => {
            let source = b.shape(args[0]).to_vec();
            let repeated: Vec<usize> = axes.iter().copied().filter(|&a| source[a] == 1).collect();
            if repeated.is_empty() {
                return None;
            }
            let times: usize = repeated.iter().map(|&a| b.shape(x)[a]).product();
            let rest: Vec<usize> = axes.iter().copied().filter(|a| !repeated.contains(a)).collect();
            let mut inner = b.shape(x).to_vec();
            repeated.iter().for_each(|&a| inner[a] = 1);
            let once = b.broadcast(args[0], &inner);
            let once = if rest.is_empty() { once } else { b.reduce(kind, once, &rest) };
            Some(match kind {
                Reduce::Sum => b.scale(once, times as f32),
                Reduce::Max => once,
            })
        }
        _ => None,
    }
}

/// An elementwise function of values that are all repeated along the same axes is computed once and repeated.
fn hoist_broadcast(b: &mut Builder, op: &Op, args: &[Value], shape: &[usize]) -> Option<Value> {
    if !matches!(op, Op::Unary(_) | Op::Binary(_) | Op::Select) {
        return None;
    }
    let mut small = vec![1; shape.len()];
    let mut repeats = false;
    for &a in args {
        let node = b.graph().node(a);
        match node.op {
            Op::Broadcast => {
                repeats = true;
                let source = b.shape(node.args[0]);
                small.iter_mut().zip(source).for_each(|(s, &n)| *s = n.max(*s));
            }
            Op::Const(_) => {}
            _ => return None,
        }
    }
    if !repeats || small == shape {
        return None;
    }
    let inner: Vec<Value> = args
        .iter()
        .map(|&a| match b.as_const(a) {
            Some(c) => b.constant(c, &small),
            None => {
                let source = b.graph().node(a).args[0];
                b.broadcast(source, &small)
            }
        })
        .collect();
    let once = b.push(op.clone(), &inner);
    Some(b.broadcast(once, shape))
}
