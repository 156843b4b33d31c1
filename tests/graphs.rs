//! The interpreter judges: random graphs, interpreted in f64 and compiled, must agree.

mod common;

use common::{difference, interpret, lowered, random_graph, run};
use ganc::codegen::Host;
use ganc::graph::text;
use ganc::graph::verify::{Stage, verify};
use ganc::runtime::Team;

const GRAPHS: u64 = 2000;

fn team(threads: usize) -> Team {
    Team::new(threads).expect("threads start")
}

fn check(host: &Host, seeds: impl Iterator<Item = u64>) -> u64 {
    let team = team(2);
    let mut checked = 0;
    for seed in seeds {
        let built = random_graph(seed);
        let graph = lowered(&built);
        verify(&graph, Stage::Differentiated).unwrap_or_else(|e| panic!("graph {seed}: {e}"));
        let expected = interpret::<f64>(&ganc::grad::expand(&built), seed);
        let found = run(&graph, seed, host, &team);
        for (i, (f, e)) in found.iter().zip(&expected).enumerate() {
            let d = difference(f, e);
            assert!(d < 2e-4, "graph {seed}, {}: {d:e}\n{}", graph.outputs()[i].name, text::print(&graph));
        }
        checked += 1;
    }
    checked
}

#[test]
fn compiled_graphs_agree_with_the_interpreter() {
    let host = Host::native().expect("this machine is supported");
    assert_eq!(check(&host, 0..GRAPHS), GRAPHS);
}

#[test]
fn the_portable_path_agrees_with_the_interpreter() {
    let host = Host::baseline().expect("this machine is supported");
    assert_eq!(check(&host, 0..GRAPHS / 4), GRAPHS / 4);
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let host = Host::native().expect("this machine is supported");
    for seed in 0..40 {
        let graph = lowered(&random_graph(seed));
        let bits = |threads| -> Vec<Vec<u32>> {
            run(&graph, seed, &host, &team(threads)).iter().map(|o| o.iter().map(|x| x.to_bits()).collect()).collect()
        };
        let one = bits(1);
        for threads in [2, 3, 7] {
            assert!(one == bits(threads), "graph {seed} on {threads} threads");
        }
    }
}

#[test]
fn the_text_form_parses_back() {
    for seed in 0..300 {
        for graph in [random_graph(seed), lowered(&random_graph(seed))] {
            let printed = text::print(&graph);
            let parsed = text::parse(&printed).unwrap_or_else(|e| panic!("graph {seed}: {e}"));
            assert_eq!(parsed, graph, "graph {seed}");
        }
    }
}
