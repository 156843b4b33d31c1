//! Rewrites that leave work out: what they make of a graph, and that it still means the same.

mod common;

use common::{difference, interpret, run};
use ganc::codegen::Host;
use ganc::grad;
use ganc::graph::{Binary, Builder, FeedId, Graph, Op, Sink, Source, Unary, Value, text};
use ganc::opt;
use ganc::runtime::Team;

fn feed(b: &mut Builder, i: u32, shape: &[usize]) -> Value {
    b.input(Source::Feed(FeedId(i)), shape)
}

/// `x <= 0 ? slope * x : x`, and the comparison.
fn rectified(b: &mut Builder, x: Value, slope: f32) -> (Value, Value) {
    let zero = b.constant(0.0, &b.shape(x).to_vec());
    let below = b.binary(Binary::Le, x, zero);
    let low = if slope == 0.0 { zero } else { b.scale(x, slope) };
    (b.select(below, low, x), below)
}

/// A layer whose gradient looks at the sign of what was rectified; `wanted` also makes that a result.
fn layer(b: &mut Builder, slope: f32, wanted: bool) {
    let (x, w, bias, next) = (feed(b, 0, &[6, 8]), feed(b, 1, &[8, 5]), feed(b, 2, &[1, 5]), feed(b, 3, &[5, 7]));
    let product = b.dot(x, w, false, false);
    let bias = b.broadcast(bias, &[6, 5]);
    let sum = b.add(product, bias);
    let (h, below) = rectified(b, sum, slope);
    let y = b.dot(h, next, false, false);
    let gradient = b.dot(y, next, false, true);
    let scaled = b.scale(gradient, slope);
    let gradient = b.select(below, scaled, gradient);
    b.output("y", y, Sink::Result);
    b.output("gradient", gradient, Sink::Result);
    if wanted {
        b.output("sum", sum, Sink::Result);
    }
}

/// A product in batches or not, of which `parts` (first row, first column, rows, columns) are read.
fn parts(b: &mut Builder, batch: Option<usize>, [ta, tb]: [bool; 2], parts: &[[usize; 4]]) {
    let shape = |rows: usize, columns: usize, turned: bool| {
        let sizes = if turned { [columns, rows] } else { [rows, columns] };
        batch.into_iter().chain(sizes).collect::<Vec<_>>()
    };
    let (x, y) = (feed(b, 0, &shape(6, 4, ta)), feed(b, 1, &shape(4, 9, tb)));
    let product = b.dot(x, y, ta, tb);
    let first = usize::from(batch.is_some());
    for (i, &[row, column, rows, columns]) in parts.iter().enumerate() {
        let part = b.slice_axis(product, first, row, rows);
        let part = b.slice_axis(part, first + 1, column, columns);
        b.output(format!("part{i}"), part, Sink::Result);
    }
}

fn graph(build: impl FnOnce(&mut Builder)) -> Graph {
    let mut b = Builder::new();
    build(&mut b);
    b.finish()
}

/// What the rewrites make of `built`, which must give the same results, interpreted and compiled.
fn rewritten(built: &Graph) -> String {
    let host = Host::native().expect("this machine is supported");
    let team = Team::new(2).expect("threads start");
    let after = opt::after_grad(built);
    let expected = interpret::<f64>(built, 5);
    assert_eq!(interpret::<f64>(&after, 5), expected, "{}", text::print(&after));
    for (found, expected) in run(&after, 5, &host, &team).iter().zip(&expected) {
        assert!(difference(found, expected) < 1e-5, "{}", text::print(&after));
    }
    text::print(&after)
}

#[test]
fn a_rectified_value_is_compared_in_place_of_its_sum() {
    for slope in [0.0, 0.2] {
        insta::assert_snapshot!(format!("signs_{slope}"), rewritten(&graph(|b| layer(b, slope, false))));
    }
}

#[test]
fn a_sum_that_is_kept_anyway_is_compared_itself() {
    insta::assert_snapshot!("signs_kept", rewritten(&graph(|b| layer(b, 0.2, true))));
}

#[test]
fn only_what_is_read_of_a_product_is_computed() {
    let two = [[0, 6, 3, 3], [3, 6, 3, 3]];
    insta::assert_snapshot!("unread_columns", rewritten(&graph(|b| parts(b, None, [false, true], &two))));
    let between = [[1, 2, 2, 3], [2, 4, 2, 2]];
    insta::assert_snapshot!("unread_rows_and_columns", rewritten(&graph(|b| parts(b, None, [true, false], &between))));
    insta::assert_snapshot!("unread_in_batches", rewritten(&graph(|b| parts(b, Some(3), [false, false], &between))));
    let corners = [[0, 0, 1, 1], [5, 8, 1, 1]];
    insta::assert_snapshot!("unread_nothing", rewritten(&graph(|b| parts(b, None, [false, false], &corners))));
}

/// A norm over rows, with a weight, and the gradients of a weighted sum of what it gives.
fn norm(b: &mut Builder) {
    let (x, gain, wanted) = (feed(b, 0, &[16, 5]), feed(b, 1, &[1, 5]), feed(b, 2, &[16, 5]));
    let mean = b.mean(x, &[0]);
    let centred = b.sub(x, mean);
    let squares = b.mul(centred, centred);
    let var = b.mean(squares, &[0]);
    let var = b.add_const(var, 1e-5);
    let deviation = b.unary(Unary::Sqrt, var);
    let normal = b.div(centred, deviation);
    let y = b.mul(normal, gain);
    let weighted = b.mul(y, wanted);
    let loss = b.sum(weighted, &[0, 1]);
    for (name, of) in [("x", x), ("gain", gain)] {
        let gradient = b.grad(loss, of);
        b.output(name, gradient, Sink::Result);
    }
}

#[test]
fn the_gradient_of_a_norm_needs_no_sums_of_its_own() {
    let built = graph(norm);
    let after = opt::lower(&built);
    let (expected, found) = (interpret::<f64>(&grad::expand(&built), 5), interpret::<f64>(&after, 5));
    for (found, expected) in found.iter().zip(&expected) {
        assert!(expected.iter().any(|x| x.abs() > 1e-3));
        assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-12), "{}", text::print(&after));
    }
    // The mean, the variance, and the gradients of a gain and a shift.
    let sums = after.nodes().iter().filter(|n| matches!(n.op, Op::Reduce(..))).count();
    assert_eq!(sums, 4, "{}", text::print(&after));
}

/// Terms and factors that are shared, and share others, forty deep: a walk that follows every use takes 2^40 steps. Factors are 1 or -1.
fn shared(b: &mut Builder) {
    let (x, c) = (feed(b, 0, &[4, 6]), feed(b, 1, &[4, 1]));
    let (left, right) = (b.slice_axis(x, 1, 0, 3), b.slice_axis(x, 1, 3, 3));
    let left = b.pad(left, &[0, 1], &[1, 1], &[4, 6]);
    let right = b.pad(right, &[0, 2], &[1, 1], &[4, 6]);
    let terms = b.add(x, left);
    let [signs, invariant] = [x, c].map(|v| b.unary(Unary::Sign, v));
    let invariant = b.broadcast(invariant, &[4, 6]);
    let factors = b.mul(signs, invariant);
    let [terms, parts] = [terms, right].map(|v| (0..40).fold(v, |v, _| b.add(v, v)));
    let factors = (0..40).fold(factors, |v, _| b.mul(v, v));
    let border = b.add(parts, left);
    for (name, v) in [("terms", terms), ("factors", factors), ("border", border)] {
        let sum = b.sum(v, &[1]);
        b.output(name, sum, Sink::Result);
    }
}

#[test]
fn what_terms_and_factors_share_is_walked_once() {
    rewritten(&graph(shared));
}
