//! A rectified value has the sign of what it was made of.
//!
//! `r = x <= 0 ? 0 : x`, or with `slope * x` for 0, is at or below zero exactly where `x` is. Where `x` is a product's sum that nobody else
//! needs, gradients look at the sign of `r`, which is kept for the next product anyway, and `x` need not be kept.

use super::rebuild::{copy_node, rebuild_values};
use crate::graph::{Binary, Conv, Graph, Node, Op, Role, Value};
use std::collections::HashMap;

/// Compares rectified values with zero instead of what they were made of.
pub fn run(graph: &Graph) -> Graph {
    let users = users(graph);
    // What takes the place of a comparison once its rectified value is there.
    let mut signs: HashMap<Value, Value> = HashMap::new();
    rebuild_values(graph, |b, v, map| {
        let new = copy_node(graph, v, b, |a| signs.get(&a).copied().unwrap_or(map[a.index()]));
        if let Some(sign) = sign_of_rectified(graph, &users, v) {
            let zero = map[graph.node(sign).args[1].index()];
            signs.insert(sign, b.binary(Binary::Le, new, zero));
        }
        new
    })
}

/// For each value those that use it, and how many outputs do.
fn users(graph: &Graph) -> Vec<(Vec<Value>, usize)> {
    let mut users = vec![(Vec::new(), 0); graph.nodes().len()];
    for v in graph.values() {
        graph.node(v).args.iter().for_each(|a| users[a.index()].0.push(v));
    }
    graph.outputs().iter().for_each(|o| users[o.value.index()].1 += 1);
    users
}

/// The comparison by which `r` is a rectified sum of a product that is needed for nothing else.
fn sign_of_rectified(graph: &Graph, users: &[(Vec<Value>, usize)], r: Value) -> Option<Value> {
    let Node { op: Op::Select, args, .. } = graph.node(r) else { return None };
    let [sign, low, x] = args[..] else { return None };
    let Node { op: Op::Binary(Binary::Le), args: compared, .. } = graph.node(sign) else { return None };
    let constant = |v: Value| if let Op::Const(bits) = graph.node(v).op { Some(f32::from_bits(bits)) } else { None };
    let scaled = if let Node { op: Op::Binary(Binary::Mul), args, .. } = graph.node(low) {
        args[0] == x && constant(args[1]).is_some_and(|slope| slope > 0.0)
    } else {
        constant(low) == Some(0.0)
    };
    let only = |v: Value, by: &[Value]| users[v.index()].1 == 0 && users[v.index()].0.iter().all(|u| by.contains(u));
    // A bias stands between them.
    let product = if let Node { op: Op::Binary(Binary::Add), args, .. } = graph.node(x) { args[0] } else { x };
    let is_product =
        matches!(graph.node(product).op, Op::Dot { .. } | Op::Conv(Conv { role: Role::Forward | Role::InputGrad, .. }));
    let rectifies = compared[0] == x && constant(compared[1]) == Some(0.0) && scaled;
    let alone = only(x, &[sign, low, r]) && (product == x || only(product, &[x])) && (constant(low).is_some() || only(low, &[r]));
    let wanted = users[sign.index()].0.iter().any(|&u| u != r);
    (rectifies && is_product && alone && wanted).then_some(sign)
}
