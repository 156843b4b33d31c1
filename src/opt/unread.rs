//! What nobody reads of a matrix product is not computed.
//!
//! Where all readers of a product take parts of it, the product of the rows and columns that they meet takes its place: the gradient of
//! a concatenation is needed only for the parts that learn, an image and its label's embedding being the usual case.

use super::rebuild::{copy_node, rebuild_values};
use crate::graph::{Builder, Graph, Op, Shape, Value};

/// Narrows every product to what is read of it.
pub fn run(graph: &Graph) -> Graph {
    let windows = windows(graph);
    rebuild_values(graph, |b, v, map| {
        let node = graph.node(v);
        let new = |i: usize| map[node.args[i].index()];
        if let (Op::Dot { ta, tb }, Some(w)) = (&node.op, &windows[v.index()]) {
            product(b, w, [new(0), new(1)], *ta, *tb)
        } else if let Op::Slice { start, step } = &node.op
            && let Some(w) = &windows[node.args[0].index()]
        {
            let start: Vec<usize> = start.iter().zip(&w.low).map(|(s, low)| s - low).collect();
            b.slice(new(0), &start, step, &node.shape)
        } else {
            copy_node(graph, v, b, |a| map[a.index()])
        }
    })
}

/// A part of a tensor: from `low` on, before `high`.
struct Window {
    low: Shape,
    high: Shape,
}

/// For each product the smallest window around what is read of it, where that is less than the whole.
fn windows(graph: &Graph) -> Vec<Option<Window>> {
    let mut windows: Vec<Option<Window>> = graph.nodes().iter().map(|_| None).collect();
    let mut read_whole = vec![false; graph.nodes().len()];
    graph.outputs().iter().for_each(|o| read_whole[o.value.index()] = true);
    for node in graph.nodes() {
        let Op::Slice { start, step } = &node.op else {
            node.args.iter().for_each(|a| read_whole[a.index()] = true);
            continue;
        };
        let last = |i: usize| start[i] + (node.shape[i] - 1) * step[i];
        let high = (0..start.len()).map(|i| last(i) + 1);
        match &mut windows[node.args[0].index()] {
            Some(w) => {
                w.low.iter_mut().zip(start).for_each(|(low, s)| *low = *s.min(low));
                w.high.iter_mut().zip(high).for_each(|(end, h)| *end = h.max(*end));
            }
            none => *none = Some(Window { low: start.clone(), high: high.collect() }),
        }
    }
    for v in graph.values() {
        let node = graph.node(v);
        let narrow = |w: &Window| w.low.iter().any(|&low| low > 0) || w.high != node.shape;
        let keep = matches!(node.op, Op::Dot { .. }) && !read_whole[v.index()];
        windows[v.index()] = windows[v.index()].take().filter(|w| keep && narrow(w));
    }
    windows
}

/// The part `w` of the product of `x` and `y`.
fn product(b: &mut Builder, w: &Window, [x, y]: [Value; 2], ta: bool, tb: bool) -> Value {
    let rows = w.low.len() - 2;
    // Axes before the last two are those of both; the others are those of the result, each of one operand.
    let mut part = |v: Value, from: usize, to: usize| {
        let axes = (0..rows).map(|axis| (axis, axis)).chain([(from, to)]);
        axes.fold(v, |v, (axis, of)| b.slice_axis(v, axis, w.low[of], w.high[of] - w.low[of]))
    };
    let x = part(x, rows + usize::from(ta), rows);
    let y = part(y, rows + usize::from(!tb), rows + 1);
    b.dot(x, y, ta, tb)
}
