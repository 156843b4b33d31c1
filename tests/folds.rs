//! Gradients of mirrored borders: what flows to the border is added in place to what it mirrors, and no image of zeros is made for it.

mod common;

use common::{difference, interpret, run};
use ganc::codegen::Host;
use ganc::graph::{Builder, Conv, FeedId, Graph, Op, Role, Sink, Source, Unary, Value};
use ganc::runtime::Team;
use ganc::schedule::{self, Kernel, Kind};
use ganc::{grad, opt};

/// An image with a border, convolved, and what else happens.
#[derive(Clone, Copy, Debug)]
struct Case {
    /// Images, their side and their channels.
    images: [usize; 3],
    /// Width of the border.
    border: usize,
    /// Whether it repeats the edge instead of mirroring.
    repeats: bool,
    /// Whether the image is also added to the result, as in a residual block.
    skip: bool,
    /// How many borders are added in place.
    added: usize,
}

const CASES: [Case; 9] = [
    Case { images: [2, 8, 32], border: 1, repeats: false, skip: false, added: 4 },
    Case { images: [2, 8, 32], border: 1, repeats: false, skip: true, added: 4 },
    Case { images: [1, 16, 32], border: 3, repeats: false, skip: true, added: 4 },
    Case { images: [3, 9, 5], border: 2, repeats: false, skip: false, added: 4 },
    Case { images: [1, 7, 3], border: 1, repeats: false, skip: true, added: 4 },
    // Both sides are added to the same line: together.
    Case { images: [2, 3, 4], border: 1, repeats: false, skip: true, added: 2 },
    // Both sides meet in one line of two: not in place.
    Case { images: [2, 3, 4], border: 2, repeats: false, skip: true, added: 0 },
    // Several lines are added to one.
    Case { images: [1, 8, 4], border: 2, repeats: true, skip: false, added: 4 },
    Case { images: [2, 4, 8], border: 1, repeats: true, skip: false, added: 4 },
];

fn bordered(b: &mut Builder, x: Value, case: &Case) -> Value {
    [1, 2].into_iter().fold(x, |x, axis| {
        let (size, mirrors) = (b.shape(x)[axis], !case.repeats);
        let before = (1..=case.border).rev().map(|i| if mirrors { i } else { 0 });
        let after = (1..=case.border).map(|i| if mirrors { size - 1 - i } else { size - 1 });
        let mut parts: Vec<Value> = before.map(|i| b.slice_axis(x, axis, i, 1)).collect();
        parts.push(x);
        parts.extend(after.map(|i| b.slice_axis(x, axis, i, 1)));
        b.concat(axis, &parts)
    })
}

fn built(case: &Case) -> Graph {
    let mut b = Builder::new();
    let [n, side, channels] = case.images;
    let x = b.input(Source::Feed(FeedId(0)), &[n, side, side, channels]);
    let w = b.input(Source::Feed(FeedId(1)), &[3, 3, channels, channels]);
    let h = b.unary(Unary::Tanh, x);
    let big = side + 2 * case.border;
    let conv = Conv { role: Role::Forward, kernel: [3, 3], stride: [1, 1], pad: [0, 0], big: [big; 2], small: [big - 2; 2] };
    let image = bordered(&mut b, h, case);
    let y = b.push(Op::Conv(conv), &[image, w]);
    let y = b.unary(Unary::Tanh, y);
    let mut loss = b.sum(y, &[0, 1, 2, 3]);
    if case.skip {
        let squares = b.mul(h, h);
        let more = b.sum(squares, &[0, 1, 2, 3]);
        loss = b.add(loss, more);
    }
    let gradient = b.grad(loss, x);
    b.output("gradient", gradient, Sink::Result);
    b.finish()
}

#[test]
fn borders_are_added_in_place() {
    let team = Team::new(3).expect("threads start");
    for host in [Host::native(), Host::baseline()].map(|host| host.expect("this machine is supported")) {
        for case in CASES {
            let graph = grad::expand(&built(&case));
            let expected = interpret::<f64>(&graph, 7);
            let lowered = opt::lower(&built(&case));
            for (found, expected) in run(&lowered, 7, &host, &team).iter().zip(&expected) {
                assert!(expected.iter().any(|x| x.abs() > 1e-3), "{case:?}");
                let off = difference(found, expected);
                assert!(off < 1e-5, "{case:?} is off by {off} on {}", host.kernel.name);
            }
            // What is added to is read where it is written.
            let plan = schedule::plan(&lowered, host.target());
            let is_added = |k: &&Kernel| match &k.kind {
                Kind::Nest(nest, _) => nest.stores.iter().any(|store| {
                    let to = &nest.accesses[store.access];
                    nest.accesses.iter().filter(|a| *a == to).count() > 1
                }),
                Kind::Border(_) | Kind::Pack(_) | Kind::Tiles(..) | Kind::Narrow(..) => false,
                Kind::Thin(_) | Kind::Transform(_) | Kind::Winograd(..) => false,
            };
            let found = plan.kernels.iter().filter(is_added).count();
            assert_eq!(found, case.added, "{case:?} on {}", host.kernel.name);
        }
    }
}
