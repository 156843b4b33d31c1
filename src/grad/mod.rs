//! Differentiation, graph to graph.
//!
//! On entry the graph may hold [`Op::Grad`] nodes, on exit it holds none: each is replaced by primitives. Because the
//! rules below emit only primitives that have rules themselves, a gradient may be differentiated again, to any order.

mod rules;
pub(crate) use rules::is_constant;

use crate::graph::verify::{Stage, assert_valid};
use crate::graph::{Builder, Graph, Op, Value};
use std::collections::HashMap;

/// Expands every gradient of `graph`.
pub fn expand(graph: &Graph) -> Graph {
    let mut e = Expansion { old: graph, new: Builder::new(), map: Vec::new(), known: HashMap::new() };
    for v in graph.values() {
        let mapped = e.expand(v);
        e.map.push(mapped);
    }
    for o in graph.outputs() {
        e.new.output(o.name.clone(), e.map[o.value.index()], o.sink);
    }
    let expanded = e.new.finish();
    if crate::opt::VERIFY.load(std::sync::atomic::Ordering::Relaxed) {
        assert_valid(&expanded, Stage::Differentiated, "grad");
    }
    expanded
}

struct Expansion<'a> {
    old: &'a Graph,
    new: Builder,
    /// Old value to new value.
    map: Vec<Value>,
    /// Gradients found so far, by (y, x) in the new graph.
    known: HashMap<(Value, Value), Value>,
}

impl Expansion<'_> {
    fn expand(&mut self, v: Value) -> Value {
        let node = self.old.node(v);
        match &node.op {
            Op::Grad => {
                let (y, x) = (self.map[node.args[0].index()], self.map[node.args[1].index()]);
                if !self.known.contains_key(&(y, x)) {
                    self.differentiate(node.args[0]);
                }
                self.known[&(y, x)]
            }
            Op::Literal(id) => self.new.literal(self.old.literal(*id).to_vec(), &node.shape),
            op => {
                let args: Vec<Value> = node.args.iter().map(|a| self.map[a.index()]).collect();
                self.new.push_shaped(op.clone(), &args, node.shape.clone())
            }
        }
    }

    /// One reverse sweep from `y` serves every gradient of `y` that the old graph asks for.
    fn differentiate(&mut self, old_y: Value) {
        let y = self.map[old_y.index()];
        let wanted: Vec<Value> = self
            .old
            .nodes()
            .iter()
            .filter(|n| n.op == Op::Grad && self.map.get(n.args[0].index()) == Some(&y))
            .filter_map(|n| self.map.get(n.args[1].index()).copied())
            .collect();
        let found = reverse(&mut self.new, y, &wanted);
        for (x, g) in wanted.into_iter().zip(found) {
            self.known.insert((y, x), g);
        }
    }
}

/// The gradients of the sum of `y` by each of `wanted`, appended to the graph under construction.
fn reverse(b: &mut Builder, y: Value, wanted: &[Value]) -> Vec<Value> {
    let count = y.index() + 1;
    // Values that depend on something wanted: only along them gradients need to flow.
    let mut depends = vec![false; count];
    wanted.iter().filter(|x| x.index() < count).for_each(|x| depends[x.index()] = true);
    for i in 0..count {
        let node = &b.graph().nodes()[i];
        depends[i] |= node.args.iter().any(|a| depends[a.index()]) && !rules::is_constant(&node.op);
    }
    let mut gradient: Vec<Option<Value>> = vec![None; count];
    let shape = b.shape(y).to_vec();
    gradient[y.index()] = Some(b.constant(1.0, &shape));
    for i in (0..count).rev() {
        let Some(g) = gradient[i].filter(|_| depends[i]) else { continue };
        let node = b.graph().nodes()[i].clone();
        if !node.args.iter().any(|a| depends[a.index()]) {
            continue;
        }
        let flows = |k: usize| depends[node.args[k].index()];
        for (k, part) in rules::gradients(b, Value(i as u32), &node, g, &flows) {
            let slot = node.args[k].index();
            gradient[slot] = Some(match gradient[slot] {
                Some(sum) => b.add(sum, part),
                None => part,
            });
        }
    }
    wanted
        .iter()
        .map(|&x| match gradient.get(x.index()).copied().flatten() {
            Some(g) => g,
            None => {
                let shape = b.shape(x).to_vec();
                b.constant(0.0, &shape)
            }
        })
        .collect()
}
