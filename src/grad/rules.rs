//! One rule for each primitive: what flows back to its arguments.

use crate::graph::{Binary, Builder, Conv, Node, Op, Reduce, Role, Unary, Value};

/// Whether nothing flows back through `op`: leaves, comparisons, and values that were detached.
pub fn is_constant(op: &Op) -> bool {
    matches!(
        op,
        Op::Unary(Unary::Sign | Unary::Detach)
            | Op::Binary(Binary::Lt | Binary::Le | Binary::Eq)
            | Op::Input(_)
            | Op::Const(_)
            | Op::Literal(_)
    )
}

/// For `y = node` with gradient `g`: the gradient of each argument `k` for which `flows(k)`.
pub fn gradients(b: &mut Builder, y: Value, node: &Node, g: Value, flows: &dyn Fn(usize) -> bool) -> Vec<(usize, Value)> {
    let args = &node.args;
    let mut parts = Vec::new();
    match &node.op {
        Op::Input(_) | Op::Const(_) | Op::Literal(_) => {}
        Op::Unary(f) => parts.extend(unary(b, *f, args[0], y, g).map(|p| (0, p))),
        Op::Binary(f) => {
            for k in 0..2 {
                if flows(k) {
                    parts.extend(binary(b, *f, k, args[0], args[1], y, g).map(|p| (k, p)));
                }
            }
        }
        Op::Select => {
            let zero = b.constant(0.0, &node.shape);
            if flows(1) {
                parts.push((1, b.select(args[0], g, zero)));
            }
            if flows(2) {
                parts.push((2, b.select(args[0], zero, g)));
            }
        }
        Op::Reshape => {
            let shape = b.shape(args[0]).to_vec();
            parts.push((0, b.reshape(g, &shape)));
        }
        Op::Transpose(perm) => {
            let mut inverse = vec![0; perm.len()];
            perm.iter().enumerate().for_each(|(i, &p)| inverse[p] = i);
            parts.push((0, b.transpose(g, &inverse)));
        }
        Op::Broadcast => {
            let axes: Vec<usize> = (0..node.shape.len()).filter(|&i| b.shape(args[0])[i] != node.shape[i]).collect();
            parts.push((0, b.sum(g, &axes)));
        }
        Op::Slice { start, step } => {
            let shape = b.shape(args[0]).to_vec();
            parts.push((0, b.pad(g, start, step, &shape)));
        }
        Op::Pad { low, step } => {
            let shape = b.shape(args[0]).to_vec();
            parts.push((0, b.slice(g, low, step, &shape)));
        }
        Op::Concat(axis) => {
            let mut start = 0;
            for (k, &a) in args.iter().enumerate() {
                let len = b.shape(a)[*axis];
                if flows(k) {
                    parts.push((k, b.slice_axis(g, *axis, start, len)));
                }
                start += len;
            }
        }
        Op::Reduce(Reduce::Sum, _) => {
            let shape = b.shape(args[0]).to_vec();
            parts.push((0, b.broadcast(g, &shape)));
        }
        Op::Reduce(Reduce::Max, axes) => {
            // Equal maxima share the gradient evenly.
            let shape = b.shape(args[0]).to_vec();
            let largest = b.broadcast(y, &shape);
            let hit = b.binary(Binary::Eq, args[0], largest);
            let count = b.sum(hit, axes);
            let share = b.div(g, count);
            let share = b.broadcast(share, &shape);
            parts.push((0, b.mul(hit, share)));
        }
        Op::Dot { ta, tb } => {
            if flows(0) {
                let p = if *ta { b.dot(args[1], g, *tb, true) } else { b.dot(g, args[1], false, !*tb) };
                parts.push((0, p));
            }
            if flows(1) {
                let p = if *tb { b.dot(g, args[0], true, *ta) } else { b.dot(args[0], g, !*ta, false) };
                parts.push((1, p));
            }
        }
        Op::Conv(c) => {
            let mut emit = |role, first, second| b.push(Op::Conv(Conv { role, ..*c }), &[first, second]);
            let (first, second) = match c.role {
                // (big, filter) -> small
                Role::Forward => {
                    (flows(0).then(|| emit(Role::InputGrad, g, args[1])), flows(1).then(|| emit(Role::FilterGrad, args[0], g)))
                }
                // (small, filter) -> big
                Role::InputGrad => {
                    (flows(0).then(|| emit(Role::Forward, g, args[1])), flows(1).then(|| emit(Role::FilterGrad, g, args[0])))
                }
                // (big, small) -> filter
                Role::FilterGrad => {
                    (flows(0).then(|| emit(Role::InputGrad, args[1], g)), flows(1).then(|| emit(Role::Forward, args[0], g)))
                }
            };
            parts.extend(first.map(|p| (0, p)));
            parts.extend(second.map(|p| (1, p)));
        }
        Op::Grad => unreachable!("gradients are expanded in order, inner ones first"),
    }
    parts
}

fn unary(b: &mut Builder, f: Unary, x: Value, y: Value, g: Value) -> Option<Value> {
    Some(match f {
        Unary::Neg => b.unary(Unary::Neg, g),
        Unary::Exp => b.mul(g, y),
        Unary::Log => b.div(g, x),
        Unary::Sqrt => {
            let half = b.scale(g, 0.5);
            b.div(half, y)
        }
        Unary::Abs => {
            let sign = b.unary(Unary::Sign, x);
            b.mul(g, sign)
        }
        Unary::Tanh => {
            let (square, one) = (b.mul(y, y), b.constant(1.0, &b.shape(y).to_vec()));
            let slope = b.sub(one, square);
            b.mul(g, slope)
        }
        Unary::Sigmoid => {
            let one = b.constant(1.0, &b.shape(y).to_vec());
            let rest = b.sub(one, y);
            let slope = b.mul(y, rest);
            b.mul(g, slope)
        }
        Unary::Softplus => {
            let slope = b.unary(Unary::Sigmoid, x);
            b.mul(g, slope)
        }
        Unary::Erf => {
            let square = b.mul(x, x);
            let negative = b.unary(Unary::Neg, square);
            let bell = b.unary(Unary::Exp, negative);
            let slope = b.scale(bell, std::f32::consts::FRAC_2_SQRT_PI);
            b.mul(g, slope)
        }
        Unary::Sign | Unary::Detach => return None,
    })
}

fn binary(b: &mut Builder, f: Binary, k: usize, left: Value, right: Value, y: Value, g: Value) -> Option<Value> {
    let zero = |b: &mut Builder| b.constant(0.0, &b.shape(g).to_vec());
    Some(match (f, k) {
        (Binary::Add, _) | (Binary::Sub, 0) => g,
        (Binary::Sub, _) => b.unary(Unary::Neg, g),
        (Binary::Mul, 0) => b.mul(g, right),
        (Binary::Mul, _) => b.mul(g, left),
        (Binary::Div, 0) => b.div(g, right),
        (Binary::Div, _) => {
            let (part, negative) = (b.div(y, right), b.unary(Unary::Neg, g));
            b.mul(negative, part)
        }
        // Where both are equal the second argument takes all: it is what the primitive returns.
        (Binary::Max | Binary::Min, _) => {
            let first = if f == Binary::Max { b.binary(Binary::Lt, right, left) } else { b.binary(Binary::Lt, left, right) };
            let zero = zero(b);
            if k == 0 { b.select(first, g, zero) } else { b.select(first, zero, g) }
        }
        (Binary::Lt | Binary::Le | Binary::Eq, _) => return None,
    })
}
