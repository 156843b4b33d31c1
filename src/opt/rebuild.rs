//! The walk that rewrites share: node by node into a new [`Builder`], which merges equal values.

use crate::graph::{Builder, Graph, Op, Value};

/// Rebuilds `graph`, asking `rewrite` for every node: it sees the builder, the operation and shape of the node and its
/// arguments in the new graph, and returns the value to use instead, or `None` to keep the node.
pub fn rebuild(graph: &Graph, mut rewrite: impl FnMut(&mut Builder, &Op, &[Value], &[usize]) -> Option<Value>) -> Graph {
    rebuild_values(graph, |b, v, map| {
        let node = graph.node(v);
        let args: Vec<Value> = node.args.iter().map(|a| map[a.index()]).collect();
        let new = rewrite(b, &node.op, &args, &node.shape).unwrap_or_else(|| copy_node(graph, v, b, |a| map[a.index()]));
        assert_eq!(b.shape(new), node.shape, "a rewrite changed the shape of {v}");
        new
    })
}

/// Rebuilds `graph` of what `make` makes of every value: it sees the builder, the value and what those before it have become.
pub fn rebuild_values(graph: &Graph, mut make: impl FnMut(&mut Builder, Value, &[Value]) -> Value) -> Graph {
    let mut b = Builder::new();
    let mut map: Vec<Value> = Vec::with_capacity(graph.nodes().len());
    for v in graph.values() {
        let new = make(&mut b, v, &map);
        map.push(new);
    }
    for o in graph.outputs() {
        b.output(o.name.clone(), map[o.value.index()], o.sink);
    }
    b.finish()
}

/// The node of `v` over mapped arguments.
pub fn copy_node(graph: &Graph, v: Value, b: &mut Builder, map: impl Fn(Value) -> Value) -> Value {
    let node = graph.node(v);
    match &node.op {
        Op::Literal(id) => b.literal(graph.literal(*id).to_vec(), &node.shape),
        op => {
            let args: Vec<Value> = node.args.iter().map(|&a| map(a)).collect();
            b.push_shaped(op.clone(), &args, node.shape.clone())
        }
    }
}
