//! Checks what must hold of a graph between passes.

use super::{Graph, Op, shape, volume};
use std::collections::HashSet;

/// Which operations a stage may still see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Before `grad`: [`Op::Grad`] is allowed.
    Built,
    /// After `grad`: primitives only.
    Differentiated,
}

/// Checks every node and output of `graph`.
/// Errors: the first thing that does not hold, naming the value. It is a bug of the pass that ran last.
pub fn verify(graph: &Graph, stage: Stage) -> Result<(), String> {
    for v in graph.values() {
        let node = graph.node(v);
        if let Some(a) = node.args.iter().find(|a| a.index() >= v.index()) {
            return Err(format!("{v} uses {a}, which does not stand before it"));
        }
        let shapes: Vec<&[usize]> = node.args.iter().map(|&a| graph.shape(a)).collect();
        shape::check(&node.op, &shapes, &node.shape).map_err(|e| format!("{v}: {e}"))?;
        match (&node.op, stage) {
            (Op::Grad, Stage::Differentiated) => return Err(format!("{v} is a gradient that was not expanded")),
            (Op::Literal(id), _) if graph.literals.get(id.index()).map(Vec::len) != Some(volume(&node.shape)) => {
                return Err(format!("{v}: {id} has not {} elements", volume(&node.shape)));
            }
            _ => {}
        }
    }
    let (mut names, mut sinks) = (HashSet::new(), HashSet::new());
    for o in graph.outputs() {
        if o.value.index() >= graph.nodes.len() {
            return Err(format!("output {} is {}, which does not exist", o.name, o.value));
        }
        if !names.insert(&o.name) {
            return Err(format!("two outputs are called {}", o.name));
        }
        if let super::Sink::Update(id) = o.sink
            && !sinks.insert(id)
        {
            return Err(format!("two outputs update {id}"));
        }
    }
    Ok(())
}

/// Panics where [`verify`] finds something; passes call it in debug builds and tests.
pub fn assert_valid(graph: &Graph, stage: Stage, pass: &str) {
    if let Err(e) = verify(graph, stage) {
        panic!("after {pass}: {e}");
    }
}
