//! Rewriting graphs into equal, cheaper or safer ones. One rewrite a file.
//!
//! [`before_grad`] runs on the graph as built, so that what it stabilises is what gets differentiated;
//! [`after_grad`] runs on primitives only. Both keep outputs, their names and their order.

mod dead_code;
mod placed;
mod rebuild;
pub(crate) use rebuild::rebuild;
mod siblings;
mod signs;
mod simplify;
mod stabilise;
mod sums;
mod unread;

use crate::graph::Graph;
use crate::graph::verify::{Stage, assert_valid};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether graphs are verified after every pass; on in debug builds, and tests switch it on.
pub static VERIFY: AtomicBool = AtomicBool::new(cfg!(debug_assertions));

/// A rewrite with its name.
struct Pass {
    name: &'static str,
    run: fn(&Graph) -> Graph,
}

const BEFORE: [Pass; 3] = [
    Pass { name: "stabilise", run: stabilise::run },
    Pass { name: "dead_code", run: dead_code::run },
    Pass { name: "siblings", run: siblings::run },
];

/// CSE is a property of [`Builder`](crate::graph::Builder): every pass that rebuilds the graph merges equal values.
const AFTER: [Pass; 5] = [
    Pass { name: "simplify", run: simplify::run },
    Pass { name: "sums", run: sums::run },
    Pass { name: "dead_code", run: dead_code::run },
    Pass { name: "signs", run: signs::run },
    Pass { name: "unread", run: unread::run },
];

/// A bound on the rounds of [`after_grad`]; graphs settle in three to five.
const ROUNDS: usize = 12;

/// Stabilises the graph as built.
pub fn before_grad(graph: &Graph) -> Graph {
    round(graph.clone(), &BEFORE, Stage::Built)
}

/// Simplifies a differentiated graph until nothing changes.
pub fn after_grad(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    for _ in 0..ROUNDS {
        let next = round(graph.clone(), &AFTER, Stage::Differentiated);
        if next == graph {
            break;
        }
        graph = next;
    }
    graph
}

/// The whole way from a graph as built to the one that is scheduled.
pub fn lower(graph: &Graph) -> Graph {
    after_grad(&crate::grad::expand(&before_grad(graph)))
}

/// The graph without its results called `grad.*`, which only a replay asks for.
pub fn without_gradients(graph: &Graph) -> Graph {
    dead_code::keep_outputs(graph, |o| !o.name.starts_with("grad."))
}

fn round(mut graph: Graph, passes: &[Pass], stage: Stage) -> Graph {
    for pass in passes {
        graph = (pass.run)(&graph);
        if VERIFY.load(Ordering::Relaxed) {
            assert_valid(&graph, stage, pass.name);
        }
    }
    graph
}
