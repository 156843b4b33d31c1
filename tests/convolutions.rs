//! The algorithms of convolutions, against the interpreter in f64: Winograd's minimal filtering in every form, order of work and role,
//! taps as columns where the result has few channels, and filter gradients where an image has few.

mod common;

use common::{interpret, run, run_for};
use ganc::codegen::Host;
use ganc::graph::{Builder, Conv, FeedId, Graph, Op, Role, Sink, Source, Unary};
use ganc::runtime::Team;
use ganc::schedule::winograd::{Order, Winograd};
use ganc::schedule::{self, Kind};

/// Batch, height and width of the small image, channels of the big and the small image, kernel, stride, padding.
struct Case(usize, [usize; 2], [usize; 2], usize, usize, usize);

const CASES: &[Case] = &[
    // The middle layers of DCGAN, thinner; the first is the one with few tiles and many channels.
    Case(17, [4, 4], [128, 256], 4, 2, 1),
    Case(5, [8, 8], [64, 96], 4, 2, 1),
    Case(40, [8, 8], [32, 64], 4, 2, 1),
    Case(9, [16, 16], [32, 32], 4, 2, 1),
    // Grids that tiles do not cover evenly, and not square.
    Case(6, [6, 10], [96, 64], 4, 2, 1),
    Case(4, [7, 5], [64, 32], 4, 2, 1),
    Case(33, [2, 2], [64, 64], 4, 2, 1),
    // One image, by channel and by image.
    Case(1, [16, 16], [64, 64], 3, 1, 1),
    Case(1, [64, 64], [32, 32], 3, 1, 1),
    Case(1, [32, 64], [32, 32], 4, 2, 1),
    // Few tiles of so many channels that they are transformed in turn.
    Case(33, [4, 4], [256, 32], 4, 2, 1),
    Case(37, [4, 3], [32, 256], 4, 2, 1),
    Case(2, [15, 16], [512, 32], 3, 1, 1),
    // Three taps.
    Case(4, [32, 32], [32, 64], 3, 1, 1),
    Case(20, [16, 16], [64, 32], 3, 1, 1),
    Case(3, [9, 9], [160, 64], 3, 1, 1),
    Case(5, [6, 6], [64, 64], 3, 1, 0),
    Case(20, [10, 14], [32, 32], 6, 2, 2),
    // Four: by image, by channel and in turn.
    Case(6, [15, 13], [64, 32], 4, 1, 1),
    Case(2, [15, 15], [32, 64], 4, 1, 1),
    Case(4, [7, 7], [512, 64], 4, 1, 1),
    // Last tiles of every number of results in every form, along one axis and both; by image, with the last row in a task of its own or with
    // others, by channel and in turn.
    Case(1, [18, 19], [64, 64], 3, 1, 1),
    Case(1, [17, 16], [256, 64], 3, 1, 1),
    Case(1, [49, 47], [32, 32], 3, 1, 1),
    Case(9, [18, 17], [32, 32], 3, 1, 1),
    Case(1, [33, 31], [64, 64], 4, 2, 1),
    Case(5, [10, 9], [64, 64], 4, 2, 1),
    Case(6, [11, 4], [256, 256], 4, 2, 1),
    Case(3, [10, 11], [256, 64], 4, 1, 1),
    // Strides that do not divide the filter's side: some parts have a tap less. By image, by channel and in turn, in every form; more than
    // two parts along an axis, of which one or two have all taps.
    Case(40, [8, 8], [64, 32], 3, 2, 1),
    Case(1, [16, 20], [64, 64], 3, 2, 1),
    Case(3, [16, 16], [64, 128], 3, 2, 1),
    Case(16, [2, 2], [32, 32], 3, 2, 1),
    Case(6, [12, 9], [32, 64], 5, 2, 2),
    Case(17, [4, 4], [64, 32], 5, 2, 2),
    Case(5, [6, 6], [64, 32], 7, 2, 3),
    Case(2, [16, 16], [32, 32], 4, 3, 1),
    Case(3, [8, 12], [64, 32], 5, 3, 1),
    Case(4, [8, 8], [32, 32], 7, 3, 2),
];

/// Grids of which one side is a single last tile of one result; their filter gradients are computed directly.
const LOW: &[Case] = &[
    Case(17, [1, 6], [64, 32], 4, 2, 1),
    Case(65, [1, 6], [64, 32], 4, 2, 1),
    Case(17, [2, 1], [64, 32], 3, 1, 1),
    Case(130, [2, 1], [64, 32], 3, 1, 1),
];

/// Results of few channels: in the forward direction the small image, in the other one the big image.
const NARROW: &[(Role, Case)] = &[
    (Role::InputGrad, Case(3, [32, 32], [3, 64], 4, 2, 1)),
    (Role::InputGrad, Case(1, [16, 12], [1, 32], 4, 2, 1)),
    (Role::InputGrad, Case(2, [20, 9], [4, 17], 3, 1, 1)),
    (Role::InputGrad, Case(1, [33, 8], [2, 16], 6, 3, 1)),
    (Role::Forward, Case(2, [30, 30], [64, 1], 4, 1, 1)),
    (Role::Forward, Case(1, [64, 40], [32, 3], 7, 1, 3)),
    (Role::Forward, Case(5, [16, 16], [20, 2], 3, 1, 1)),
    // So tall and wide that rows of pixels take the places of earlier ones, and images are cut.
    (Role::Forward, Case(3, [50, 70], [40, 3], 7, 1, 3)),
    (Role::InputGrad, Case(2, [90, 50], [3, 32], 4, 2, 1)),
];

/// What follows a convolution, by the numbers it takes beside the result: for each channel, image or pixel. The last puts the result among zeros.
const BEHIND: &[&[&str]] =
    &[&[], &["neg"], &["channel"], &["channel", "image"], &["image", "channel", "pixel"], &["channel", "neg", "pad"]];

/// Filter gradients of a big or a small image of few channels: one part and several, parts of one image and of several, blocks of all rows and
/// of few.
const THIN: &[Case] = &[
    Case(3, [32, 32], [3, 64], 4, 2, 1),
    Case(40, [8, 8], [1, 32], 4, 2, 1),
    Case(1, [4, 5], [2, 32], 3, 1, 1),
    Case(1, [64, 64], [64, 3], 7, 1, 3),
    Case(5, [13, 9], [3, 96], 5, 3, 0),
    Case(9, [30, 14], [64, 1], 4, 1, 1),
    Case(2, [6, 6], [256, 4], 3, 1, 1),
];

impl Case {
    fn conv(&self, role: Role) -> Conv {
        let &Case(_, small, _, k, s, p) = self;
        Conv { role, kernel: [k; 2], stride: [s; 2], pad: [p; 2], big: small.map(|n| (n - 1) * s + k - 2 * p), small }
    }

    /// The convolution alone, or with something that can be fused behind it.
    fn graph(&self, role: Role, followed: bool) -> Graph {
        self.graph_with(role, if followed { &["neg"] } else { &[] })
    }

    /// The convolution with what follows it, see [`BEHIND`].
    fn graph_with(&self, role: Role, behind: &[&str]) -> Graph {
        let &Case(n, small, [inputs, outputs], k, ..) = self;
        let c = self.conv(role);
        let (big, small) = ([n, c.big[0], c.big[1], inputs], [n, small[0], small[1], outputs]);
        let filter = [k, k, inputs, outputs];
        let shapes = match role {
            Role::Forward => [big, filter],
            Role::InputGrad => [small, filter],
            Role::FilterGrad => [big, small],
        };
        let mut b = Builder::new();
        let args = [0, 1].map(|i| b.input(Source::Feed(FeedId(i as u32)), &shapes[i]));
        let mut y = b.push(Op::Conv(c), &args);
        for (i, step) in behind.iter().enumerate() {
            let shape = b.shape(y).to_vec();
            let mut beside = |own: [usize; 4]| {
                let x = b.input(Source::Feed(FeedId(2 + i as u32)), &own);
                let x = b.broadcast(x, &shape);
                b.add(y, x)
            };
            y = match *step {
                "channel" => beside([1, 1, 1, shape[3]]),
                "image" => beside([shape[0], 1, 1, 1]),
                "pixel" => beside([shape[0], shape[1], shape[2], 1]),
                "pad" => b.pad(y, &[0, 1, 2, 0], &[1; 4], &[shape[0], shape[1] + 2, shape[2] + 3, shape[3]]),
                _neg => b.push(Op::Unary(Unary::Neg), &[y]),
            };
        }
        b.output("y", y, Sink::Result);
        b.finish()
    }
}

/// Largest and root mean square error, relative to the root mean square of what is expected.
fn errors(found: &[f32], expected: &[f64]) -> [f64; 2] {
    assert_eq!(found.len(), expected.len());
    let rms = |x: &mut dyn Iterator<Item = f64>| (x.map(|v| v * v).sum::<f64>() / expected.len() as f64).sqrt();
    let size = rms(&mut expected.iter().copied());
    let off = || found.iter().zip(expected).map(|(f, e)| f64::from(*f) - e);
    let largest = off().fold(0.0, |m: f64, d| if d.is_nan() { f64::INFINITY } else { m.max(d.abs()) });
    [largest / size, rms(&mut off()) / size]
}

/// The Winograd kernels of the plan for `graph`.
fn chosen(graph: &Graph, host: &Host) -> Vec<Winograd> {
    let plan = schedule::plan(graph, host.target());
    let of = |k: &schedule::Kernel| match &k.kind {
        Kind::Winograd(f, _) => Some(f.winograd.clone()),
        Kind::Nest(..)
        | Kind::Border(_)
        | Kind::Pack(_)
        | Kind::Tiles(..)
        | Kind::Transform(_)
        | Kind::Narrow(..)
        | Kind::Thin(_) => None,
    };
    plan.kernels.iter().filter_map(of).collect()
}

fn hosts() -> Vec<Host> {
    // Where the CPU has wider vectors the narrower ones are tested too.
    let hosts = [Host::native(), Host::with_avx2()];
    hosts.into_iter().map(|h| h.expect("this machine is supported")).filter(|h| h.target().winograd).collect()
}

#[test]
fn every_order_and_form_agrees_with_the_interpreter() {
    let team = Team::new(2).expect("threads start");
    for host in hosts() {
        let mut seen = std::collections::BTreeSet::new();
        let all = CASES.iter().map(|case| (case, 3)).chain(LOW.iter().map(|case| (case, 2)));
        for (i, (case, roles)) in all.enumerate() {
            for role in [Role::Forward, Role::InputGrad, Role::FilterGrad].into_iter().take(roles) {
                for followed in [false, true] {
                    let graph = case.graph(role, followed);
                    let used = chosen(&graph, &host);
                    assert_eq!(used.len(), 1, "case {i} {role:?} on {}", host.kernel.name);
                    seen.insert(format!("{:?} {:?}", used[0].form, used[0].order));
                    let expected = &interpret::<f64>(&graph, i as u64)[0];
                    let found = &run(&graph, i as u64, &host, &team)[0];
                    let [largest, rms] = errors(found, expected);
                    assert!(largest < 2e-4 && rms < 1e-5, "case {i} {role:?} {}: {largest:e}, {rms:e}", used[0].label());
                }
            }
        }
        for form in ["F22", "F42", "F23", "F34", "F43"] {
            assert!(seen.contains(&format!("{form} {:?}", Order::Gradient)), "{form} on {}: {seen:?}", host.kernel.name);
        }
        for order in [Order::ByImage, Order::ByChannel, Order::InTurn] {
            for form in ["F34", "F42", "F43"] {
                assert!(seen.contains(&format!("{form} {order:?}")), "{form} {order:?} on {}: {seen:?}", host.kernel.name);
            }
        }
    }
}

/// How much larger Winograd's error may be than that of direct computation: the larger its tiles, the more.
const LOSS: &[(Case, f64)] = &[
    (Case(17, [2, 2], [64, 64], 4, 2, 1), 3.0),
    (Case(8, [8, 8], [64, 128], 4, 2, 1), 6.0),
    (Case(17, [2, 2], [64, 64], 3, 1, 1), 3.0),
    (Case(2, [16, 16], [128, 128], 3, 1, 1), 8.0),
    (Case(2, [15, 15], [128, 128], 4, 1, 1), 8.0),
    (Case(8, [8, 8], [64, 128], 3, 2, 1), 6.0),
    (Case(8, [8, 8], [64, 128], 5, 2, 2), 8.0),
];

#[test]
fn the_price_of_minimal_filtering_is_small() {
    let team = Team::new(2).expect("threads start");
    for host in hosts() {
        for (i, (case, most)) in LOSS.iter().enumerate() {
            for role in [Role::Forward, Role::InputGrad, Role::FilterGrad] {
                let graph = case.graph(role, false);
                let [used] = &chosen(&graph, &host)[..] else { panic!("case {i} {role:?} is computed directly") };
                let expected = &interpret::<f64>(&graph, i as u64)[0];
                let target = host.target();
                let [winograd, direct] = [true, false].map(|winograd| {
                    let found = run_for(schedule::Target { winograd, ..target }, &graph, i as u64, &host, &team);
                    errors(&found[0], expected)[1]
                });
                println!("{}, {role:?}, {}: error {winograd:.1e}, direct {direct:.1e}", used.label(), host.kernel.name);
                assert_ne!(winograd, direct, "case {i} {role:?}: the two are the same computation");
                assert!(winograd < most * direct, "case {i} {role:?}: {winograd:e} against {direct:e}");
            }
        }
    }
}

#[test]
fn taps_as_columns_agree_with_the_interpreter() {
    let team = Team::new(2).expect("threads start");
    let hosts = [Host::native(), Host::with_avx2(), Host::baseline()].map(|h| h.expect("this machine is supported"));
    for (i, (role, case)) in NARROW.iter().enumerate() {
        let mut used = 0;
        for host in &hosts {
            for behind in BEHIND {
                let graph = case.graph_with(*role, behind);
                let plan = schedule::plan(&graph, host.target());
                used += plan.kernels.iter().filter(|k| matches!(k.kind, Kind::Narrow(..))).count();
                let expected = &interpret::<f64>(&graph, i as u64)[0];
                let [largest, rms] = errors(&run(&graph, i as u64, host, &team)[0], expected);
                assert!(
                    largest < 1e-5 && rms < 1e-6,
                    "case {i} {role:?} {behind:?} on {}: {largest:e}, {rms:e}",
                    host.kernel.name
                );
            }
        }
        assert!(used >= BEHIND.len(), "case {i} is computed directly");
    }
}

#[test]
fn filter_gradients_of_few_channels_agree_with_the_interpreter() {
    let team = Team::new(2).expect("threads start");
    let mut parts = std::collections::BTreeSet::new();
    for host in [Host::native(), Host::with_avx2(), Host::baseline()].map(|h| h.expect("this machine is supported")) {
        for (i, case) in THIN.iter().enumerate() {
            let graph = case.graph(Role::FilterGrad, true);
            let plan = schedule::plan(&graph, host.target());
            let used = plan.kernels.iter().find_map(|k| if let Kind::Thin(j) = &k.kind { Some(&j.thin) } else { None });
            let used = used.unwrap_or_else(|| panic!("case {i} is computed otherwise on {}", host.kernel.name));
            parts.insert((used.thin_is_big, used.parts() > 1, used.blocks() > used.parts()));
            let expected = &interpret::<f64>(&graph, i as u64)[0];
            let [largest, rms] = errors(&run(&graph, i as u64, &host, &team)[0], expected);
            assert!(largest < 1e-5 && rms < 1e-6, "case {i} on {}: {largest:e}, {rms:e}", host.kernel.name);
        }
    }
    for kind in [(true, false, false), (true, true, true), (false, true, false), (false, true, true)] {
        assert!(parts.contains(&kind), "{kind:?}: {parts:?}");
    }
}

fn is_the_same_for_any_threads(graph: &Graph, host: &Host) -> bool {
    let bits = |threads: usize| -> Vec<u32> {
        let team = Team::new(threads).expect("threads start");
        run(graph, 1, host, &team)[0].iter().map(|x| x.to_bits()).collect()
    };
    bits(1) == bits(3)
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    for host in hosts() {
        for (i, case) in CASES.iter().enumerate().step_by(3) {
            for role in [Role::Forward, Role::InputGrad, Role::FilterGrad] {
                assert!(is_the_same_for_any_threads(&case.graph(role, true), &host), "case {i} {role:?}");
            }
        }
        for (i, (role, case)) in NARROW.iter().enumerate() {
            let graph = case.graph_with(*role, &["channel", "neg"]);
            assert!(is_the_same_for_any_threads(&graph, &host), "narrow case {i} {role:?}");
        }
    }
}

#[test]
fn exact_targets_use_direct_kernels() {
    for host in hosts() {
        let target = schedule::Target { winograd: false, ..host.target() };
        let plan = schedule::plan(&CASES[0].graph(Role::Forward, false), target);
        assert!(plan.kernels.iter().all(|k| !matches!(k.kind, Kind::Winograd(..) | Kind::Transform(_))));
    }
}
