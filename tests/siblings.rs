//! Applications of one net that are joined into one: how many products stay, and that the results stay the same.

use ganc::build::{Program, build};
use ganc::graph::{Graph, Op, Source, volume};
use ganc::{diag, driver, eval, grad, opt};

/// Players and what they play, and the products of the forward passes as built and as joined.
struct Case {
    name: &'static str,
    d: &'static str,
    game: &'static str,
    products: (usize, usize),
}

const GAN: &str = "min D: -E[log(sigmoid(D(x)))] - E[log(1 - sigmoid(D(G(z))))]\n  min G: -E[log(sigmoid(D(G(z))))]";

const CASES: [Case; 11] = [
    // G once; D on both, and on fake with its new weights.
    Case { name: "dense layers", d: "flatten | dense(5) | leaky_relu(0.2) | dense(1)", game: GAN, products: (7, 5) },
    Case {
        name: "convolutions and a residual",
        d: "conv(4, 4, stride=2, pad=1) | instance_norm | leaky_relu(0.2)\n    - residual:\n        - reflect_pad(1) | conv(4, 3) | tanh\n    - flatten | dense(1)",
        game: GAN,
        products: (10, 7),
    },
    Case { name: "attention", d: "conv(4, 3) | self_attention(reduce=2) | flatten | dense(1)", game: GAN, products: (22, 15) },
    Case {
        name: "a concatenation and views",
        d: "conv(3, 3, pad=1) | tanh as h | conv(2, 3, pad=1) | tanh | concat(h) | upsample(2) | avg_pool(2) | pixel_norm | flatten | dense(1)",
        game: GAN,
        products: (10, 7),
    },
    // Each application draws for itself which features it drops.
    Case {
        name: "dropout",
        d: "flatten | dense(6) | leaky_relu(0.2) | dropout(0.4) | dense(5) | dropout(0.3) | dense(1)",
        game: GAN,
        products: (10, 7),
    },
    // Examples meet: what is normalised is each batch by itself.
    Case {
        name: "batch norm",
        d: "conv(4, 3) | batch_norm | tanh | conv(2, 3) | flatten | dense(1)",
        game: GAN,
        products: (10, 10),
    },
    Case {
        name: "minibatch statistics",
        d: "conv(4, 3) | tanh | minibatch_stddev | flatten | dense(1)",
        game: GAN,
        products: (7, 7),
    },
    // The penalty's gradient wants `between` alone.
    Case {
        name: "a penalty",
        d: "conv(4, 3) | tanh | flatten | dense(1)",
        game: "min D: E[D(G(z))] - E[D(x)] + 10*E[(norm(grad(D(0.5*x + 0.5*G(z)), 0.5*x + 0.5*G(z))) - 1)^2]\n  min G: -E[D(G(z))]",
        products: (9, 7),
    },
    Case {
        name: "R1, whose gradient wants the real ones alone",
        d: "conv(4, 3) | tanh | flatten | dense(1)",
        game: "min D: E[D(G(z))] - E[D(x)] + 5*E[sum(grad(D(x), x)^2)]\n  min G: -E[D(G(z))]",
        products: (7, 7),
    },
    // In G's turn no gradient wants D(x), and joined with D(G(z)) it would get one.
    Case {
        name: "a relativistic game",
        d: "flatten | dense(5) | tanh | dense(1)",
        game: "min D: -E[log(sigmoid(D(x) - D(G(z))))]\n  min G: -E[log(sigmoid(D(G(z)) - D(x)))]",
        products: (9, 7),
    },
    // D(D(..)) waits for what is inside; the two outer ones follow the inner ones, not each other.
    Case {
        name: "a net of a net",
        d: "flatten | dense(4) | tanh | dense(192) | reshape(3, 8, 8)",
        game: "min D: E[(D(D(x)) - x)^2] + E[abs(D(D(G(z))) - x)] + E[D(x)^2]\n  min G: E[G(z)^2]",
        products: (9, 5),
    },
];

fn program(case: &Case) -> Program {
    let port = if case.d.ends_with("(1)") { "1" } else { "x" };
    let text = format!(
        "gan: siblings\n\ndata:\n  x: shapes(size=8)\n\nnoise:\n  z: normal(3)\n\nnets:\n  G(z) -> x: dense(192) | reshape(3, 8, 8)\n  D(x) -> {port}:\n    - {}\n\n\
         game:\n  {}\n\ntrain:\n  batch: 4\n  steps: 1\n  optimizer: sgd(0.1)\n",
        case.d, case.game
    );
    let mut sources = diag::Sources::default();
    sources.add("siblings.gan", text);
    let checked = driver::check(sources, &[]);
    let page = diag::render::text(&checked.sources, checked.findings.items(), false);
    build(&checked.model.unwrap_or_else(|| panic!("{}: {page}", case.name)), 4)
}

fn products(graph: &Graph) -> usize {
    graph.nodes().iter().filter(|n| matches!(n.op, Op::Dot { .. } | Op::Conv(_))).count()
}

/// Outputs in f64 on weights and data that are all different.
fn results(program: &Program, graph: &Graph) -> Vec<(String, Vec<f64>)> {
    let numbers = |n: usize, shift: usize, scale: f64| (0..n).map(|i| scale * ((i * 7 + shift) as f64 * 0.37).sin()).collect();
    let values: Vec<Vec<f64>> = eval::outputs(graph, |s| match s {
        Source::State(id) => numbers(volume(&program.states[id.index()].shape), id.index(), 0.4),
        Source::Feed(id) => numbers(volume(&program.feeds[id.index()].shape), 100 + id.index(), 1.0),
        Source::Scalar(_) => vec![0.1],
    });
    graph.outputs().iter().map(|o| o.name.clone()).zip(values).collect()
}

#[test]
fn joined_applications_give_the_same_results() {
    for case in CASES {
        let program = program(&case);
        let built = &program.phases[0].graph;
        assert_eq!((products(built), products(&opt::before_grad(built))), case.products, "{}", case.name);
        // Both with the other rewrites: those take sums of deviations from a mean, whose factor 1/n is a 32-bit number, for 0.
        let apart = results(&program, &opt::after_grad(&grad::expand(built)));
        let joined = results(&program, &opt::lower(built));
        assert!(
            apart.iter().any(|(name, values)| name.starts_with("grad.") && values.iter().any(|v| v.abs() > 1e-6)),
            "{}",
            case.name
        );
        for ((name, expected), (same, found)) in apart.iter().zip(&joined) {
            assert_eq!(name, same, "{}", case.name);
            let scale = expected.iter().fold(1.0, |m: f64, e| m.max(e.abs()));
            let off = expected.iter().zip(found).map(|(e, f)| (e - f).abs()).fold(0.0, f64::max);
            assert!(expected.len() == found.len() && off <= 1e-10 * scale, "{}: {name} is off by {off} of {scale}", case.name);
        }
    }
}
