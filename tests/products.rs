//! Products leave out what is 0 in their rows, and sums are the same to the bit. Results that only what follows a product reads stay with its
//! tasks.

mod common;

use common::program;
use ganc::build::{Layout, State, StateRole};
use ganc::codegen::Host;
use ganc::graph::{Binary, Builder, FeedId, Graph, Sink, Source, StateId, Unary};
use ganc::runtime::{Executable, Memory, Team};
use ganc::schedule::{self, Home, Kind, Plan};

/// Rows, inputs and outputs of a layer.
const LAYERS: [[usize; 3]; 7] =
    [[128, 784, 48], [64, 100, 40], [70, 130, 33], [5, 257, 20], [191, 64, 16], [13, 8, 17], [30, 1024, 80]];

/// Whether the element of a row and a column is 0, of so many rows and columns.
type Pattern = fn(usize, usize, [usize; 2]) -> bool;

/// With their names; dense data, black borders and rows, ink here and there, and rows that begin otherwise than they go on.
const PATTERNS: [(&str, Pattern); 7] = [
    ("dense", |_, _, _| false),
    ("black", |_, _, _| true),
    ("borders", |_, column, _| column % 28 < 7 || column % 28 > 19),
    ("ink", |row, column, _| (row * 7919 + column * 104_729) % 61 > 6),
    ("dense rows first", |row, column, [rows, _]| row > rows / 2 && column % 3 > 0),
    ("black rows first", |row, column, [rows, _]| row < rows / 2 && column % 3 > 0),
    ("one dense column of two", |_, column, [_, columns]| column < columns / 2 && column % 2 == 0),
];

/// Layers wide enough for zeros to be left out: all rows pass over one group of panels and over several, over whole ones and not; over so
/// many products as a mask has bits, and fewer and more; over so many that they are copied in two goes; halves of many examples.
const WIDE: [[usize; 3]; 8] =
    [[128, 400, 784], [70, 130, 100], [33, 257, 65], [300, 65, 130], [512, 128, 128], [24, 64, 64], [9, 64, 64], [277, 72, 512]];
/// As wide, of too few examples.
const FEW: [usize; 3] = [23, 400, 784];

/// How the input of a layer comes about.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Input {
    /// It is given, as rows or as columns.
    Rows,
    Columns,
    /// It is computed before.
    Computed,
    /// What a condition chose, or 0.
    Rectified,
}

/// A layer and a step of gradient descent.
fn layer([rows, inputs, outputs]: [usize; 3], input: Input) -> Graph {
    let mut b = Builder::new();
    let x = match input {
        Input::Rows => b.input(Source::Feed(FeedId(0)), &[rows, inputs]),
        Input::Columns => {
            let x = b.input(Source::Feed(FeedId(0)), &[inputs, rows]);
            b.transpose(x, &[1, 0])
        }
        Input::Computed => {
            let x = b.input(Source::Feed(FeedId(0)), &[rows, inputs]);
            let one = b.input(Source::Feed(FeedId(2)), &[1, 1]);
            let one = b.broadcast(one, &[rows, inputs]);
            b.binary(Binary::Mul, x, one)
        }
        Input::Rectified => {
            let x = b.input(Source::Feed(FeedId(0)), &[rows, inputs]);
            let zero = b.constant(0.0, &[rows, inputs]);
            let is_zero = b.binary(Binary::Eq, x, zero);
            b.select(is_zero, zero, x)
        }
    };
    let d = b.input(Source::Feed(FeedId(1)), &[rows, outputs]);
    let w = b.input(Source::State(StateId(0)), &[inputs, outputs]);
    let y = b.dot(x, w, false, false);
    let y = b.unary(Unary::Tanh, y);
    b.output("y", y, Sink::Result);
    let g = b.dot(x, d, true, false);
    let step = b.scale(g, 0.125);
    let new = b.sub(w, step);
    b.output("w", new, Sink::Update(StateId(0)));
    b.finish()
}

fn numbers(seed: usize, n: usize) -> Vec<f32> {
    (0..n).map(|i| (((i + 1) * (2 * seed + 7_919)) % 2_003) as f32 / 1_001.0 - 1.0).collect()
}

/// Result and new weights.
struct Done {
    y: Vec<f32>,
    w: Vec<f32>,
}

impl Done {
    fn bits(&self) -> Vec<u32> {
        self.y.iter().chain(&self.w).map(|x| x.to_bits()).collect()
    }
}

fn plan(sizes: [usize; 3], input: Input, host: &Host) -> Plan {
    schedule::plan(&layer(sizes, input), host.target())
}

fn run(sizes: [usize; 3], input: Input, x: &[f32], w: &[f32], host: &Host, threads: usize) -> Done {
    let [rows, inputs, outputs] = sizes;
    let mut program = program(&layer(sizes, input));
    let shape = vec![inputs, outputs];
    let layout = Layout { shape: shape.clone(), split: shape.clone(), perm: vec![0, 1] };
    program.states.push(State { name: "w".into(), shape, layout, panels: None, role: StateRole::History });
    let mut memory = Memory::new(&program);
    match input {
        Input::Rows | Input::Computed | Input::Rectified => memory.feed_mut(FeedId(0)).copy_from_slice(x),
        Input::Columns => {
            let turned = memory.feed_mut(FeedId(0)).iter_mut().enumerate();
            turned.for_each(|(i, to)| *to = x[i % rows * inputs + i / rows]);
        }
    }
    memory.feed_mut(FeedId(1)).copy_from_slice(&numbers(3, rows * outputs));
    if input == Input::Computed {
        memory.feed_mut(FeedId(2)).fill(1.0);
    }
    memory.state_mut(StateId(0)).copy_from_slice(w);
    let mut e = Executable::new(plan(sizes, input, host), host, &memory).expect("the plan compiles");
    e.run(&Team::new(threads).expect("threads start"), &mut memory);
    Done { y: e.result("y").expect("the result").to_vec(), w: memory.state(StateId(0)).to_vec() }
}

fn picture(pattern: Pattern, [rows, inputs, _]: [usize; 3]) -> Vec<f32> {
    let mut x = numbers(1, rows * inputs);
    for (i, x) in x.iter_mut().enumerate() {
        if pattern(i / inputs, i % inputs, [rows, inputs]) {
            // Zeros of both signs.
            *x = if i % 5 == 0 { -0.0 } else { 0.0 };
        }
    }
    x
}

fn hosts() -> Vec<Host> {
    [Host::native(), Host::with_avx2(), Host::baseline()].into_iter().map(|h| h.expect("this machine is supported")).collect()
}

#[test]
fn zeros_change_no_bit() {
    for host in hosts() {
        for sizes in WIDE.into_iter().chain(LAYERS) {
            let w = numbers(2, sizes[1] * sizes[2]);
            for (name, pattern) in PATTERNS {
                let x = picture(pattern, sizes);
                let whole = run(sizes, Input::Computed, &x, &w, &host, 1);
                assert!(whole.y.iter().chain(&whole.w).all(|x| x.is_finite()));
                for (input, threads) in
                    [(Input::Rectified, 1), (Input::Rectified, 3), (Input::Rows, 1), (Input::Rows, 3), (Input::Columns, 2)]
                {
                    let found = run(sizes, input, &x, &w, &host, threads);
                    assert!(
                        found.bits() == whole.bits(),
                        "{sizes:?}, {name}, {input:?}, {threads} threads on {}",
                        host.kernel.name
                    );
                }
            }
        }
    }
}

/// A rectifier and a layer whose weights nobody changes; the zeros are to be known or not.
fn sampler([rows, inputs, outputs]: [usize; 3], is_known: bool) -> Graph {
    let mut b = Builder::new();
    let x = b.input(Source::Feed(FeedId(0)), &[rows, inputs]);
    let zero = b.constant(0.0, &[rows, inputs]);
    let below = b.binary(Binary::Le, x, zero);
    let mut x = b.select(below, zero, x);
    if !is_known {
        x = b.unary(Unary::Abs, x);
    }
    let w = b.input(Source::Feed(FeedId(1)), &[inputs, outputs]);
    let y = b.dot(x, w, false, false);
    let y = b.unary(Unary::Tanh, y);
    b.output("y", y, Sink::Result);
    b.finish()
}

/// Halves of rows go through samplers apart.
#[test]
fn zeros_change_no_bit_in_samplers() {
    for host in hosts() {
        let teams = [1, 2, 3].map(|threads| Team::new(threads).expect("threads start"));
        for sizes in WIDE {
            let bits = |is_known, team| -> Vec<u32> {
                let y = common::run(&sampler(sizes, is_known), 1, &host, team);
                y.concat().iter().map(|x| x.to_bits()).collect()
            };
            let whole = bits(false, &teams[0]);
            for team in &teams {
                assert!(bits(true, team) == whole, "{sizes:?}, {} threads on {}", team.threads(), host.kernel.name);
            }
            let leaves_out = |is_known| {
                let plan = schedule::plan(&sampler(sizes, is_known), host.target());
                plan.kernels.iter().any(|k| matches!(&k.kind, Kind::Tiles(t, _) if t.leaves_zeros_out()))
            };
            assert_eq!([false, true].map(leaves_out), [false, sizes[0] >= 24], "{sizes:?}");
        }
    }
}

/// Whether a layer does what 64-bit arithmetic says.
fn assert_right(sizes @ [rows, inputs, outputs]: [usize; 3], input: Input, x: &[f32], host: &Host) {
    let (w, d) = (numbers(2, inputs * outputs), numbers(3, rows * outputs));
    let sum = |n: usize, f: &dyn Fn(usize) -> f32| (0..n).map(|i| f64::from(f(i))).sum::<f64>();
    let found = run(sizes, input, x, &w, host, 2);
    for (i, &y) in found.y.iter().enumerate() {
        let (row, column) = (i / outputs, i % outputs);
        let wanted = sum(inputs, &|k| x[row * inputs + k] * w[k * outputs + column]).tanh();
        assert!((f64::from(y) - wanted).abs() < 1e-4, "{sizes:?} on {}: {y}, {wanted}", host.kernel.name);
    }
    for (i, &new) in found.w.iter().enumerate() {
        let (row, column) = (i / outputs, i % outputs);
        let gradient = sum(rows, &|k| x[k * inputs + row] * d[k * outputs + column]);
        let wanted = f64::from(w[i]) - 0.125 * gradient;
        assert!((f64::from(new) - wanted).abs() < 1e-4, "{sizes:?} on {}: {new}, {wanted}", host.kernel.name);
    }
}

#[test]
fn a_layer_of_given_data_is_right() {
    for host in hosts() {
        for sizes in LAYERS {
            assert_right(sizes, Input::Rows, &picture(PATTERNS[3].1, sizes), &host);
        }
    }
}

/// Layers of many examples, with few and many inputs and outputs.
const MANY: [[usize; 3]; 8] =
    [[512, 128, 128], [256, 2, 128], [256, 128, 2], [600, 4, 3], [258, 5, 7], [257, 6, 9], [300, 1, 16], [270, 24, 40]];

#[test]
fn the_gradient_over_many_examples_is_right() {
    for host in hosts() {
        for sizes @ [_, inputs, outputs] in MANY {
            let x = picture(PATTERNS[0].1, sizes);
            assert_right(sizes, Input::Computed, &x, &host);
            let w = numbers(2, inputs * outputs);
            let one = run(sizes, Input::Computed, &x, &w, &host, 1).bits();
            for threads in [2, 3] {
                assert!(run(sizes, Input::Computed, &x, &w, &host, threads).bits() == one, "{sizes:?}, {threads} threads");
            }
        }
    }
}

#[test]
fn halves_of_many_examples_have_products_of_their_own() {
    let host = Host::native().expect("this machine is supported");
    // Labels of the products of a plan, and how many there are of each.
    let products = |sizes| {
        let plan = plan(sizes, Input::Computed, &host);
        let product =
            |k: &ganc::schedule::Kernel| if let Kind::Tiles(t, _) = &k.kind { Some((t.label.clone(), t.images)) } else { None };
        plan.kernels.iter().filter_map(product).collect::<Vec<_>>()
    };
    let named = |products: &[(&str, usize)]| products.iter().map(|&(label, n)| (label.to_string(), n)).collect::<Vec<_>>();
    let mut found = products(MANY[0]);
    found.sort_unstable();
    assert_eq!(found, named(&[("dot 128x256x128", 2), ("dot 512x128x128", 1)]));
    // Few columns: sums in a loop. An odd number of examples: one product.
    assert_eq!(products(MANY[2]), named(&[("dot 256x128x2", 1)]));
    let mut found = products(MANY[5]);
    found.sort_unstable();
    assert_eq!(found, named(&[("dot 257x6x9", 1), ("dot 6x257x9", 1)]));
}

/// What tells that products are left out: a weight that is not a number shows only in rows where something other than 0 meets it. Where there
/// are few zeros, few columns or few rows, all is computed.
#[test]
fn what_meets_zeros_of_a_row_is_not_computed() {
    let (narrow, black) = (LAYERS[0], PATTERNS[2].1);
    for (sizes @ [rows, inputs, outputs], pattern, is_left) in [
        (WIDE[0], PATTERNS[3].1, true),
        (WIDE[0], |_, column, _| column == 0, false),
        (narrow, black, false),
        (FEW, PATTERNS[3].1, false),
    ] {
        let x = picture(pattern, sizes);
        let mut w = numbers(2, inputs * outputs);
        w[..outputs].fill(f32::NAN);
        let met = (0..rows).filter(|row| x[row * inputs] != 0.0).count();
        for (host, input) in hosts().iter().flat_map(|host| [Input::Rectified, Input::Rows, Input::Columns].map(|i| (host, i))) {
            let unknown = run(sizes, input, &x, &w, host, 2).y.iter().filter(|y| y.is_nan()).count();
            let wanted = if is_left && host.kernel.sparse.is_some() { met } else { rows };
            assert!(unknown == wanted * outputs, "{unknown} of {wanted} rows of {sizes:?}, {input:?} on {}", host.kernel.name);
        }
    }
}

#[test]
fn zeros_are_looked_for_behind_rectifiers_and_in_given_data() {
    let host = Host::native().expect("this machine is supported");
    let found = |sizes, input| {
        let plan = plan(sizes, input, &host);
        let products = plan.kernels.iter().filter_map(|k| if let Kind::Tiles(t, _) = &k.kind { Some(t) } else { None });
        products.filter(|t| t.leaves_zeros_out()).count()
    };
    for input in [Input::Rows, Input::Columns, Input::Rectified] {
        assert_eq!(found(WIDE[0], input), 2, "the layer and its gradient, {input:?}");
        assert_eq!(found(LAYERS[0], input), 0, "few columns, {input:?}");
        assert_eq!(found(FEW, input), 1, "the gradient alone, {input:?}");
    }
    assert_eq!(found(WIDE[0], Input::Computed), 0);
}

#[test]
fn the_gradient_of_weights_stays_with_its_tasks() {
    for host in hosts() {
        let plan = plan(LAYERS[0], Input::Rows, &host);
        let products = plan.kernels.iter().filter_map(|k| if let Kind::Tiles(t, _) = &k.kind { Some(t) } else { None });
        let (own, shared): (Vec<_>, Vec<_>) = products.partition(|t| plan.buffers[t.c.index()].home == Home::Task);
        assert_eq!(own.iter().map(|t| t.label.as_str()).collect::<Vec<_>>(), ["dot 784x128x48"]);
        assert_eq!(shared.iter().map(|t| t.label.as_str()).collect::<Vec<_>>(), ["dot 128x784x48"]);
    }
}
