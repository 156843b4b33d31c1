//! Sums of products: what does not vary along the summed axes leaves the sum, and so does what adds nothing to it.
//!
//! `sum(x * broadcast(c))` is `sum(x) * c`, also through negations and longer products. `sum(x - broadcast(mean(x)))` is 0, alone, times what does
//! not vary, and as a term of a longer sum. After it, the sums of a norm's gradient are the very sums its weight and bias need, are taken once, and
//! are known before the gradient is: two passes over the data instead of three.

use super::rebuild::rebuild;
use crate::graph::{Binary, Builder, Graph, Node, Op, Reduce, Unary, Value};
use std::collections::HashMap;

/// Factors of which a product is taken apart at most: one that multiplies itself again and again has more than can be written down.
const MOST_FACTORS: usize = 64;

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
    if let Some(rest) = without_deviations(b, x, axes, &mut HashMap::new()) {
        return Some(b.sum(rest, axes));
    }
    let product = take_apart(b, x, axes);
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

/// `x` without the terms that add up to 0 along the axes, if it has any. `known` holds the answers so far: terms may share terms.
fn without_deviations(b: &mut Builder, x: Value, axes: &[usize], known: &mut HashMap<Value, Option<Value>>) -> Option<Value> {
    if let Some(&rest) = known.get(&x) {
        return rest;
    }
    let rest = match b.graph().node(x).clone() {
        _ if is_deviation(b, x, axes) => Some(b.constant(0.0, &b.shape(x).to_vec())),
        Node { op: op @ Op::Binary(Binary::Add | Binary::Sub), args, .. } => {
            let rest: Vec<_> = args.iter().map(|&a| without_deviations(b, a, axes, known)).collect();
            rest.iter().any(Option::is_some).then(|| {
                let terms: Vec<Value> = rest.iter().zip(&args).map(|(rest, &a)| rest.unwrap_or(a)).collect();
                b.push(op, &terms)
            })
        }
        _ => None,
    };
    known.insert(x, rest);
    rest
}

/// Whether `x` adds up to 0 along the axes: a deviation from its own mean there, times what does not vary.
fn is_deviation(b: &Builder, x: Value, axes: &[usize]) -> bool {
    let product = take_apart(b, x, axes);
    product.varying.len() == 1 && deviates_from_own_mean(b, product.varying[0], axes)
}

/// The factors of `x`.
fn take_apart(b: &Builder, x: Value, axes: &[usize]) -> Product {
    let mut product = Product { scale: 1.0, ..Product::default() };
    factors(b, x, axes, &mut product);
    product
}

fn factors(b: &Builder, x: Value, axes: &[usize], product: &mut Product) {
    let Node { op, args, shape } = b.graph().node(x);
    let invariant = |v: Value| match b.graph().node(v) {
        Node { op: Op::Broadcast, args, .. } => axes.iter().all(|&a| b.shape(args[0])[a] == 1).then_some(args[0]),
        _ => None,
    };
    debug_assert!(axes.iter().all(|&a| a < shape.len()));
    match op {
        _ if product.varying.len() + product.invariant.len() >= MOST_FACTORS => product.varying.push(x),
        Op::Binary(Binary::Mul) => args.iter().for_each(|&a| factors(b, a, axes, product)),
        Op::Binary(Binary::Div) if invariant(args[1]).is_some() => {
            factors(b, args[0], axes, product);
            product.invariant.extend(invariant(args[1]).map(|v| (v, true)));
        }
        Op::Unary(Unary::Neg) => {
            product.scale = -product.scale;
            factors(b, args[0], axes, product);
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
