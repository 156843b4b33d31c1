//! Sums of products: what does not vary along the summed axes leaves the sum.
//!
//! `sum(x * broadcast(c))` is `sum(x) * c`, also through negations and longer products. After it, the two sums of a batch
//! norm's gradient are the very sums its weight and bias need, and are taken once. `sum(x - broadcast(mean(x)))` is 0.

use super::rebuild::rebuild;
use crate::graph::{Binary, Builder, Graph, Node, Op, Reduce, Unary, Value};

/// Moves invariant factors out of every sum.
pub fn run(graph: &Graph) -> Graph {
    rebuild(graph, |b, op, args, _| match op {
        Op::Reduce(Reduce::Sum, axes) => sum(b, args[0], axes),
        _ => None,
    })
}

/// A product taken apart.
#[derive(Default)]
struct Product {
    /// Factors that vary along the summed axes.
    varying: Vec<Value>,
    /// Factors that do not: the value before it was broadcast, and whether it divides.
    invariant: Vec<(Value, bool)>,
    scale: f32,
}

fn sum(b: &mut Builder, x: Value, axes: &[usize]) -> Option<Value> {
    if deviates_from_own_mean(b, x, axes) {
        let mut shape = b.shape(x).to_vec();
        axes.iter().for_each(|&a| shape[a] = 1);
        return Some(b.constant(0.0, &shape));
    }
    let mut product = Product { scale: 1.0, ..Product::default() };
    take_apart(b, x, axes, &mut product);
    if product.invariant.is_empty() && product.scale == 1.0 {
        return None;
    }
    let shape = b.shape(x).to_vec();
    let varying = product.varying.split_first().map(|(&first, rest)| rest.iter().fold(first, |p, &f| b.mul(p, f)));
    let varying = match varying {
        Some(v) => v,
        None => b.constant(1.0, &shape),
    };
    let mut result = b.sum(varying, axes);
    let small = b.shape(result).to_vec();
    for (factor, divides) in product.invariant {
        let factor = b.broadcast(factor, &small);
        result = if divides { b.div(result, factor) } else { b.mul(result, factor) };
    }
    Some(b.scale(result, product.scale))
}

fn take_apart(b: &Builder, x: Value, axes: &[usize], product: &mut Product) {
    let Node { op, args, shape } = b.graph().node(x);
    let invariant = |v: Value| match b.graph().node(v) {
        Node { op: Op::Broadcast, args, .. } => axes.iter().all(|&a| b.shape(args[0])[a] == 1).then_some(args[0]),
        _ => None,
    };
    debug_assert!(axes.iter().all(|&a| a < shape.len()));
    match op {
        Op::Binary(Binary::Mul) => args.iter().for_each(|&a| take_apart(b, a, axes, product)),
        Op::Binary(Binary::Div) if invariant(args[1]).is_some() => {
            take_apart(b, args[0], axes, product);
            product.invariant.extend(invariant(args[1]).map(|v| (v, true)));
        }
        Op::Unary(Unary::Neg) => {
            product.scale = -product.scale;
            take_apart(b, args[0], axes, product);
        }
        Op::Const(bits) => product.scale *= f32::from_bits(*bits),
        _ => match invariant(x) {
            Some(v) => product.invariant.push((v, false)),
            None => product.varying.push(x),
        },
    }
}

/// Whether `x` is `v - broadcast(sum(v, axes) * (1/n))`.
fn deviates_from_own_mean(b: &Builder, x: Value, axes: &[usize]) -> bool {
    let graph = b.graph();
    let Node { op: Op::Binary(Binary::Sub), args, .. } = graph.node(x) else { return false };
    let (v, Node { op: Op::Broadcast, args: mean, .. }) = (args[0], graph.node(args[1])) else { return false };
    let Node { op: Op::Binary(Binary::Mul), args: factors, .. } = graph.node(mean[0]) else { return false };
    let count: usize = axes.iter().map(|&a| b.shape(v)[a]).product();
    let Node { op: Op::Reduce(Reduce::Sum, summed), args: source, .. } = graph.node(factors[0]) else { return false };
    b.as_const(factors[1]) == Some(1.0 / count as f32) && summed == axes && source[0] == v
}
