//! The interpreter: slow, obvious, and the judge of everything after it.
//!
//! Every primitive is written as its definition says, over row-major arrays, in `f32` or `f64`.

mod index;
mod number;

use crate::graph::{Binary, Conv, Graph, Node, Op, Reduce, Role, Source, Unary, Value, volume};
use index::{Indices, flat};
pub use number::Number;

/// Evaluates every node of `graph`; the result is indexed by [`Value`].
///
/// `input` gives the elements of each source in row-major order.
/// Panics where an input has the wrong number of elements or a gradient is not expanded.
pub fn evaluate<T: Number>(graph: &Graph, mut input: impl FnMut(Source) -> Vec<T>) -> Vec<Vec<T>> {
    let mut values: Vec<Vec<T>> = Vec::with_capacity(graph.nodes().len());
    for v in graph.values() {
        let node = graph.node(v);
        let result = match &node.op {
            Op::Input(source) => input(*source),
            Op::Literal(id) => graph.literal(*id).iter().map(|&x| T::from_f32(x)).collect(),
            op => {
                let args: Vec<(&[T], &[usize])> =
                    node.args.iter().map(|&a: &Value| (values[a.index()].as_slice(), graph.shape(a))).collect();
                primitive(op, node, &args)
            }
        };
        assert_eq!(result.len(), volume(&node.shape), "{v}: {:?} has the wrong number of elements", node.op);
        values.push(result);
    }
    values
}

/// Evaluates `graph` and returns its outputs in order.
pub fn outputs<T: Number>(graph: &Graph, input: impl FnMut(Source) -> Vec<T>) -> Vec<Vec<T>> {
    let values = evaluate(graph, input);
    graph.outputs().iter().map(|o| values[o.value.index()].clone()).collect()
}

fn primitive<T: Number>(op: &Op, node: &Node, args: &[(&[T], &[usize])]) -> Vec<T> {
    match op {
        Op::Input(_) | Op::Literal(_) => unreachable!("leaves are given by the caller"),
        Op::Const(bits) => vec![T::from_f32(f32::from_bits(*bits)); volume(&node.shape)],
        Op::Unary(f) => args[0].0.iter().map(|&x| unary(*f, x)).collect(),
        Op::Binary(f) => args[0].0.iter().zip(args[1].0).map(|(&a, &b)| binary(*f, a, b)).collect(),
        Op::Select => (0..args[0].0.len()).map(|i| if args[0].0[i] != T::ZERO { args[1].0[i] } else { args[2].0[i] }).collect(),
        Op::Reshape => args[0].0.to_vec(),
        Op::Transpose(perm) => gather(node, args[0], |i, at| perm.iter().enumerate().for_each(|(k, &p)| at[p] = i[k])),
        Op::Broadcast => {
            let size = args[0].1;
            gather(node, args[0], |i, at| (0..i.len()).for_each(|k| at[k] = if size[k] == 1 { 0 } else { i[k] }))
        }
        Op::Slice { start, step } => gather(node, args[0], |i, at| (0..i.len()).for_each(|k| at[k] = start[k] + i[k] * step[k])),
        Op::Pad { low, step } => {
            let mut result = vec![T::ZERO; volume(&node.shape)];
            for (n, i) in Indices::new(args[0].1).enumerate() {
                let at: Vec<usize> = (0..i.len()).map(|k| low[k] + i[k] * step[k]).collect();
                result[flat(&node.shape, &at)] = args[0].0[n];
            }
            result
        }
        Op::Concat(axis) => {
            let mut result = vec![T::ZERO; volume(&node.shape)];
            let mut offset = 0;
            for (data, shape) in args {
                for (n, mut i) in Indices::new(shape).enumerate() {
                    i[*axis] += offset;
                    result[flat(&node.shape, &i)] = data[n];
                }
                offset += shape[*axis];
            }
            result
        }
        Op::Reduce(kind, axes) => reduce(*kind, axes, node, args[0]),
        Op::Dot { ta, tb } => dot(*ta, *tb, node, args),
        Op::Conv(c) => conv(c, node, args),
        Op::Grad => panic!("the interpreter met a gradient that was not expanded"),
    }
}

fn gather<T: Number>(node: &Node, (data, shape): (&[T], &[usize]), place: impl Fn(&[usize], &mut [usize])) -> Vec<T> {
    let mut at = vec![0; shape.len()];
    Indices::new(&node.shape)
        .map(|i| {
            place(&i, &mut at);
            data[flat(shape, &at)]
        })
        .collect()
}

fn reduce<T: Number>(kind: Reduce, axes: &[usize], node: &Node, (data, shape): (&[T], &[usize])) -> Vec<T> {
    let start = match kind {
        Reduce::Sum => T::ZERO,
        Reduce::Max => T::from_f32(f32::NEG_INFINITY),
    };
    let mut result = vec![start; volume(&node.shape)];
    for (n, mut i) in Indices::new(shape).enumerate() {
        axes.iter().for_each(|&a| i[a] = 0);
        let slot = &mut result[flat(&node.shape, &i)];
        *slot = match kind {
            Reduce::Sum => *slot + data[n],
            Reduce::Max => binary(Binary::Max, *slot, data[n]),
        };
    }
    result
}

fn dot<T: Number>(ta: bool, tb: bool, node: &Node, args: &[(&[T], &[usize])]) -> Vec<T> {
    let r = node.shape.len();
    let (m, n) = (node.shape[r - 2], node.shape[r - 1]);
    let k = if ta { args[0].1[r - 2] } else { args[0].1[r - 1] };
    let mut result = vec![T::ZERO; volume(&node.shape)];
    for batch in 0..volume(&node.shape[..r - 2]) {
        let (a, b) = (&args[0].0[batch * m * k..], &args[1].0[batch * k * n..]);
        for i in 0..m {
            for j in 0..n {
                let mut sum = T::ZERO;
                for l in 0..k {
                    let x = if ta { a[l * m + i] } else { a[i * k + l] };
                    let y = if tb { b[j * k + l] } else { b[l * n + j] };
                    sum = sum + x * y;
                }
                result[(batch * m + i) * n + j] = sum;
            }
        }
    }
    result
}

/// Walks the trilinear form once: every (big, small, filter) triple that meets.
fn conv<T: Number>(c: &Conv, node: &Node, args: &[(&[T], &[usize])]) -> Vec<T> {
    let mut result = vec![T::ZERO; volume(&node.shape)];
    let (batch, inputs, outputs) = match c.role {
        Role::Forward => (args[0].1[0], args[0].1[3], args[1].1[3]),
        Role::InputGrad => (args[0].1[0], args[1].1[2], args[1].1[3]),
        Role::FilterGrad => (args[0].1[0], args[0].1[3], args[1].1[3]),
    };
    for i in Indices::new(&[batch, c.small[0], c.small[1], c.kernel[0], c.kernel[1]]) {
        let [n, sy, sx, ky, kx] = [i[0], i[1], i[2], i[3], i[4]];
        let (by, bx) = ((sy * c.stride[0] + ky).wrapping_sub(c.pad[0]), (sx * c.stride[1] + kx).wrapping_sub(c.pad[1]));
        if by >= c.big[0] || bx >= c.big[1] {
            continue;
        }
        let big = ((n * c.big[0] + by) * c.big[1] + bx) * inputs;
        let small = ((n * c.small[0] + sy) * c.small[1] + sx) * outputs;
        let filter = (ky * c.kernel[1] + kx) * inputs * outputs;
        for p in 0..inputs {
            for q in 0..outputs {
                let (to, x, y) = match c.role {
                    Role::Forward => (small + q, args[0].0[big + p], args[1].0[filter + p * outputs + q]),
                    Role::InputGrad => (big + p, args[0].0[small + q], args[1].0[filter + p * outputs + q]),
                    Role::FilterGrad => (filter + p * outputs + q, args[0].0[big + p], args[1].0[small + q]),
                };
                result[to] = result[to] + x * y;
            }
        }
    }
    result
}

fn unary<T: Number>(f: Unary, x: T) -> T {
    match f {
        Unary::Neg => -x,
        Unary::Exp => x.exp(),
        Unary::Log => x.ln(),
        Unary::Sqrt => x.sqrt(),
        Unary::Abs => x.abs(),
        Unary::Sign => {
            if x > T::ZERO {
                T::ONE
            } else if x < T::ZERO {
                -T::ONE
            } else {
                T::ZERO
            }
        }
        Unary::Tanh => x.tanh(),
        Unary::Sigmoid => T::ONE / (T::ONE + (-x).exp()),
        Unary::Softplus => (if x > T::ZERO { x } else { T::ZERO }) + (-x.abs()).exp().ln_1p(),
        Unary::Erf => x.erf(),
        Unary::Detach => x,
    }
}

fn binary<T: Number>(f: Binary, a: T, b: T) -> T {
    let truth = |c: bool| if c { T::ONE } else { T::ZERO };
    match f {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
        Binary::Max => {
            if a > b {
                a
            } else {
                b
            }
        }
        Binary::Min => {
            if a < b {
                a
            } else {
                b
            }
        }
        Binary::Lt => truth(a < b),
        Binary::Le => truth(a <= b),
        Binary::Eq => truth(a == b),
    }
}
