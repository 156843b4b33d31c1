//! Dead code: values that no output needs are dropped. Numbering becomes dense again.

use super::rebuild::copy_node;
use crate::graph::{Builder, Graph, Output, Value};

/// Drops what no output needs.
pub fn run(graph: &Graph) -> Graph {
    keep_outputs(graph, |_| true)
}

/// Drops the outputs that `keep` refuses, and then what no output needs.
pub fn keep_outputs(graph: &Graph, keep: impl Fn(&Output) -> bool) -> Graph {
    let mut live = vec![false; graph.nodes().len()];
    graph.outputs().iter().filter(|o| keep(o)).for_each(|o| live[o.value.index()] = true);
    for v in graph.values().rev() {
        if live[v.index()] {
            graph.node(v).args.iter().for_each(|a| live[a.index()] = true);
        }
    }
    let mut b = Builder::new();
    let mut map = vec![None; graph.nodes().len()];
    for v in graph.values().filter(|v| live[v.index()]) {
        map[v.index()] = Some(copy_node(graph, v, &mut b, |a: Value| map[a.index()].expect("arguments of live values are live")));
    }
    for o in graph.outputs().iter().filter(|o| keep(o)) {
        b.output(o.name.clone(), map[o.value.index()].expect("outputs are live"), o.sink);
    }
    b.finish()
}
