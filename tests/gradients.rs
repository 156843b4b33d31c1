//! Gradients against central differences, in f64: every primitive's first and second, and gradient penalties through layers.

use ganc::build::{Program, StateRole, build};
use ganc::eval;
use ganc::graph::verify::{Stage, assert_valid};
use ganc::graph::{Binary, Builder, Conv, FeedId, Graph, Op, Reduce, Role, Shape, Sink, Source, Unary, Value, volume};
use ganc::{diag, driver, grad, opt};
use std::collections::BTreeSet;

const EPS: f64 = 1e-6;
const ATOL: f64 = 1e-5;
const RTOL: f64 = 1e-3;

/// Where the arguments of a primitive lie.
#[derive(Clone, Copy, PartialEq)]
enum Domain {
    /// In [-2, 2], all apart from each other and from 0.
    Any,
    /// In [0.5, 2].
    Positive,
}

/// What a gradient should be.
#[derive(Clone, Copy, PartialEq)]
enum Truth {
    /// What central differences say.
    Differences,
    /// Zero by definition, whatever differences say.
    Zero,
}

type Make = Box<dyn Fn(&mut Builder, &[Value]) -> Value>;

/// A primitive applied to leaves of these shapes.
struct Case {
    name: String,
    shapes: Vec<Shape>,
    domain: Domain,
    truth: Truth,
    make: Make,
}

fn case(name: &str, shapes: &[&[usize]], make: impl Fn(&mut Builder, &[Value]) -> Value + 'static) -> Case {
    let shapes = shapes.iter().map(|s| s.to_vec()).collect();
    Case { name: name.into(), shapes, domain: Domain::Any, truth: Truth::Differences, make: Box::new(make) }
}

const UNARY: [Unary; 11] = [
    Unary::Neg,
    Unary::Exp,
    Unary::Log,
    Unary::Sqrt,
    Unary::Abs,
    Unary::Sign,
    Unary::Tanh,
    Unary::Sigmoid,
    Unary::Softplus,
    Unary::Erf,
    Unary::Detach,
];

const BINARY: [Binary; 9] =
    [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div, Binary::Max, Binary::Min, Binary::Lt, Binary::Le, Binary::Eq];

const ROLES: [Role; 3] = [Role::Forward, Role::InputGrad, Role::FilterGrad];

/// What a case must be called that checks `op`. Every variant is named, so that a new primitive does not compile here until it
/// is (put it into the lists above and below as well); every name of [`required`] must have a case whose graph holds it.
fn name_of(op: &Op) -> String {
    match op {
        Op::Unary(f) => match f {
            Unary::Neg => "neg",
            Unary::Exp => "exp",
            Unary::Log => "log",
            Unary::Sqrt => "sqrt",
            Unary::Abs => "abs",
            Unary::Sign => "sign",
            Unary::Tanh => "tanh",
            Unary::Sigmoid => "sigmoid",
            Unary::Softplus => "softplus",
            Unary::Erf => "erf",
            Unary::Detach => "detach",
        }
        .into(),
        Op::Binary(f) => match f {
            Binary::Add => "add",
            Binary::Sub => "sub",
            Binary::Mul => "mul",
            Binary::Div => "div",
            Binary::Max => "max",
            Binary::Min => "min",
            Binary::Lt => "lt",
            Binary::Le => "le",
            Binary::Eq => "eq",
        }
        .into(),
        Op::Input(_) => "input".into(),
        Op::Const(_) => "const".into(),
        Op::Literal(_) => "literal".into(),
        Op::Select => "select".into(),
        Op::Reshape => "reshape".into(),
        Op::Transpose(_) => "transpose".into(),
        Op::Broadcast => "broadcast".into(),
        Op::Slice { .. } => "slice".into(),
        Op::Pad { .. } => "pad".into(),
        Op::Concat(_) => "concat".into(),
        Op::Reduce(Reduce::Sum, _) => "sum".into(),
        Op::Reduce(Reduce::Max, _) => "reduce_max".into(),
        Op::Dot { ta, tb } => format!("dot {ta} {tb}"),
        Op::Conv(c) => match c.role {
            Role::Forward => "conv forward".into(),
            Role::InputGrad => "conv input_grad".into(),
            Role::FilterGrad => "conv filter_grad".into(),
        },
        Op::Grad => "grad".into(),
    }
}

/// The names of all primitives: what [`name_of`] can give.
fn required() -> BTreeSet<String> {
    let mut names: BTreeSet<String> = UNARY.iter().map(|f| name_of(&Op::Unary(*f))).collect();
    names.extend(BINARY.iter().map(|f| name_of(&Op::Binary(*f))));
    names.extend([false, true].iter().flat_map(|&ta| [false, true].map(|tb| name_of(&Op::Dot { ta, tb }))));
    names.extend(ROLES.iter().map(|&role| name_of(&Op::Conv(GEOMETRIES[0].with(role)))));
    let plain = [
        Op::Input(Source::Feed(FeedId(0))),
        Op::Const(0),
        Op::Literal(ganc::graph::LiteralId(0)),
        Op::Select,
        Op::Reshape,
        Op::Transpose(vec![]),
        Op::Broadcast,
        Op::Slice { start: vec![], step: vec![] },
        Op::Pad { low: vec![], step: vec![] },
        Op::Concat(0),
        Op::Reduce(Reduce::Sum, vec![]),
        Op::Reduce(Reduce::Max, vec![]),
        Op::Grad,
    ];
    names.extend(plain.iter().map(name_of));
    names
}

/// Kernel, stride, padding and the size of the big image of a convolution.
#[derive(Clone, Copy)]
struct Geometry {
    kernel: [usize; 2],
    stride: [usize; 2],
    pad: [usize; 2],
    big: [usize; 2],
}

const GEOMETRIES: [Geometry; 7] = [
    Geometry { kernel: [3, 3], stride: [1, 1], pad: [1, 1], big: [4, 3] },
    Geometry { kernel: [4, 4], stride: [2, 2], pad: [1, 1], big: [6, 4] },
    Geometry { kernel: [1, 1], stride: [1, 1], pad: [0, 0], big: [2, 3] },
    Geometry { kernel: [2, 3], stride: [1, 2], pad: [0, 1], big: [3, 5] },
    // A kernel larger than the stride, rows of the big image that no window reaches, and gaps between windows.
    Geometry { kernel: [5, 2], stride: [2, 3], pad: [2, 0], big: [5, 7] },
    Geometry { kernel: [1, 2], stride: [3, 2], pad: [0, 0], big: [5, 5] },
    Geometry { kernel: [4, 4], stride: [1, 1], pad: [0, 0], big: [4, 4] },
];

impl Geometry {
    fn small(&self) -> [usize; 2] {
        [0, 1].map(|i| (self.big[i] + 2 * self.pad[i] - self.kernel[i]) / self.stride[i] + 1)
    }

    fn with(&self, role: Role) -> Conv {
        let Geometry { kernel, stride, pad, big } = *self;
        Conv { role, kernel, stride, pad, big, small: self.small() }
    }

    /// Shapes of the two arguments of a role, for `n` images, `i` channels in the big and `o` in the small one.
    fn shapes(&self, role: Role, [n, i, o]: [usize; 3]) -> [Shape; 2] {
        let big = vec![n, self.big[0], self.big[1], i];
        let small = vec![n, self.small()[0], self.small()[1], o];
        let filter = vec![self.kernel[0], self.kernel[1], i, o];
        match role {
            Role::Forward => [big, filter],
            Role::InputGrad => [small, filter],
            Role::FilterGrad => [big, small],
        }
    }
}

fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for f in UNARY {
        let plain = case(&name_of(&Op::Unary(f)), &[&[2, 3]], move |b, x| b.unary(f, x[0]));
        let domain = if matches!(f, Unary::Log | Unary::Sqrt) { Domain::Positive } else { Domain::Any };
        let truth = if f == Unary::Detach { Truth::Zero } else { Truth::Differences };
        all.push(Case { domain, truth, ..plain });
    }
    for f in BINARY {
        all.push(case(&name_of(&Op::Binary(f)), &[&[2, 3], &[2, 3]], move |b, x| b.binary(f, x[0], x[1])));
    }
    for (ta, tb) in [(false, false), (false, true), (true, false), (true, true)] {
        let exchanged = |e: bool, r: usize, c: usize| if e { vec![c, r] } else { vec![r, c] };
        for batch in [vec![], vec![2]] {
            let shape = |e, r, c| batch.iter().copied().chain(exchanged(e, r, c)).collect::<Shape>();
            let (a, w) = (shape(ta, 2, 3), shape(tb, 3, 4));
            all.push(case(&name_of(&Op::Dot { ta, tb }), &[&a, &w], move |b, x| b.dot(x[0], x[1], ta, tb)));
        }
    }
    for role in ROLES {
        for (k, g) in GEOMETRIES.into_iter().enumerate() {
            let [a, w] = g.shapes(role, [[1, 2, 2], [2, 1, 3]][k % 2]);
            let c = g.with(role);
            all.push(case(&name_of(&Op::Conv(c)), &[&a, &w], move |b, x| b.push(Op::Conv(c), &[x[0], x[1]])));
        }
    }
    all.extend([
        case("input", &[&[3]], |_, x| x[0]),
        case("const", &[&[3]], |b, x| b.scale(x[0], 0.75)),
        case("literal", &[&[3]], |b, x| {
            let l = b.literal(vec![0.5, -1.0, 2.0], &[3]);
            b.mul(x[0], l)
        }),
        case("select", &[&[6], &[6], &[6]], |b, x| {
            let zero = b.constant(0.0, &[6]);
            let mask = b.binary(Binary::Lt, x[0], zero);
            b.select(mask, x[1], x[2])
        }),
        case("reshape", &[&[2, 3]], |b, x| b.reshape(x[0], &[3, 2])),
        case("transpose", &[&[2, 3, 2]], |b, x| b.transpose(x[0], &[2, 0, 1])),
        case("broadcast", &[&[2, 1, 3, 1]], |b, x| b.broadcast(x[0], &[2, 2, 3, 2])),
        case("slice", &[&[4, 5]], |b, x| b.slice(x[0], &[1, 0], &[2, 3], &[2, 2])),
        case("pad", &[&[2, 2]], |b, x| b.pad(x[0], &[1, 0], &[2, 3], &[5, 4])),
        case("concat", &[&[2, 1], &[2, 3], &[2, 2]], |b, x| b.concat(1, x)),
        case("concat", &[&[2, 3]], |b, x| b.concat(0, &[x[0], x[0]])),
        case("sum", &[&[2, 3, 2]], |b, x| b.sum(x[0], &[0, 2])),
        case("reduce_max", &[&[2, 3, 2]], |b, x| b.reduce(Reduce::Max, x[0], &[1])),
        case("grad", &[&[2, 2], &[2, 2]], |b, x| {
            let y = b.unary(Unary::Tanh, x[0]);
            let y = b.mul(y, x[1]);
            b.grad(y, x[0])
        }),
    ]);
    all
}

/// `n` numbers in an order without pattern, evenly spread over the domain: none near another or near 0.
fn numbers(domain: Domain, n: usize, shift: usize) -> Vec<f64> {
    let step = (n / 2..n).rev().chain(1..2).find(|s| gcd(*s, n) == 1).unwrap_or(1);
    let unit = |i: usize| (((i + shift) * step) % n) as f64 / n as f64 + 0.5 / n as f64;
    (0..n)
        .map(|i| match domain {
            Domain::Any => 4.0 * unit(i) - 2.0 + 0.25 / n as f64,
            Domain::Positive => 0.5 + 1.5 * unit(i),
        })
        .collect()
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= ATOL + RTOL * expected.abs()
}

/// The sum of `weights * y`.
fn weighted(b: &mut Builder, y: Value, salt: usize) -> Value {
    let shape = b.shape(y).to_vec();
    let weights = numbers(Domain::Positive, volume(&shape), salt).iter().map(|&x| x as f32).collect();
    let weights = b.literal(weights, &shape);
    let product = b.mul(y, weights);
    let axes: Vec<usize> = (0..shape.len()).collect();
    let sum = b.sum(product, &axes);
    b.reshape(sum, &[])
}

/// The graph of a case: `first` is a weighted sum of the primitive's result and its square (so that linear primitives have
/// second derivatives), `grad I` its gradients, `sum I` weighted sums of those, and `second I K` their gradients.
fn differentiated(c: &Case) -> Graph {
    let mut b = Builder::new();
    let leaves: Vec<Value> = c.shapes.iter().enumerate().map(|(i, s)| b.input(Source::Feed(FeedId(i as u32)), s)).collect();
    let y = (c.make)(&mut b, &leaves);
    let square = b.mul(y, y);
    let square = b.scale(square, 0.375);
    let both = b.add(y, square);
    let first = weighted(&mut b, both, 1);
    b.output("first", first, Sink::Result);
    for (i, &x) in leaves.iter().enumerate() {
        let g = b.grad(first, x);
        b.output(format!("grad {i}"), g, Sink::Result);
        let sum = weighted(&mut b, g, 2);
        b.output(format!("sum {i}"), sum, Sink::Result);
        for (k, &z) in leaves.iter().enumerate() {
            let h = b.grad(sum, z);
            b.output(format!("second {i} {k}"), h, Sink::Result);
        }
    }
    b.finish()
}

/// Runs `graph` on leaves of these elements.
fn run(graph: &Graph, leaves: &[Vec<f64>]) -> Vec<(String, Vec<f64>)> {
    let values = eval::outputs(graph, |s| match s {
        Source::Feed(id) => leaves[id.index()].clone(),
        Source::State(_) | Source::Scalar(_) => panic!("cases have only feeds"),
    });
    graph.outputs().iter().map(|o| o.name.clone()).zip(values).collect()
}

fn result<'a>(results: &'a [(String, Vec<f64>)], name: &str) -> &'a [f64] {
    &results.iter().find(|r| r.0 == name).expect("an output").1
}

/// Checks every gradient of `graph`; gives how many numbers were compared.
fn check(c: &Case, stage: &str, graph: &Graph) -> usize {
    assert_valid(graph, Stage::Differentiated, &c.name);
    let sizes: Vec<usize> = c.shapes.iter().map(|s| volume(s)).collect();
    let all = numbers(c.domain, sizes.iter().sum(), 0);
    let mut at = 0;
    let mut leaves: Vec<Vec<f64>> = Vec::new();
    for n in sizes {
        leaves.push(all[at..at + n].to_vec());
        at += n;
    }
    let results = run(graph, &leaves);
    let mut compared = 0;
    for k in 0..leaves.len() {
        for e in 0..leaves[k].len() {
            let x = leaves[k][e];
            leaves[k][e] = x + EPS;
            let up = run(graph, &leaves);
            leaves[k][e] = x - EPS;
            let down = run(graph, &leaves);
            leaves[k][e] = x;
            let difference = |of: &str| match c.truth {
                Truth::Differences => (result(&up, of)[0] - result(&down, of)[0]) / (2.0 * EPS),
                Truth::Zero => 0.0,
            };
            let mut same = |of: &str, by: &str| {
                let (found, expected) = (result(&results, by)[e], difference(of));
                assert!(
                    close(found, expected),
                    "{} {:?} ({stage}): {by} at {e} is {found}, differences say {expected}",
                    c.name,
                    c.shapes
                );
                compared += 1;
            };
            same("first", &format!("grad {k}"));
            for i in 0..leaves.len() {
                same(&format!("sum {i}"), &format!("second {i} {k}"));
            }
        }
    }
    compared
}

#[test]
fn every_primitive_has_the_gradients_that_differences_say() {
    let mut missing = required();
    let mut compared = 0;
    for c in cases() {
        let built = differentiated(&c);
        assert!(built.nodes().iter().any(|n| name_of(&n.op) == c.name), "the case {} has no such primitive", c.name);
        missing.remove(&c.name);
        compared += check(&c, "as differentiated", &grad::expand(&built));
        compared += check(&c, "rewritten", &opt::lower(&built));
    }
    assert!(missing.is_empty(), "no case for {missing:?}");
    println!("{compared} numbers compared");
}

/// A critic on images [2, 6, 6] whose penalty is differentiated by its weights.
fn penalised(body: &str) -> Program {
    let text = format!(
        "gan: penalised\n\ndata:\n  i, t, y: shapes(size=8, caption=true)\n\nnoise:\n  x: normal(2, 6, 6)\n  w: normal(3)\n\n\
         nets:\n  D(x, y, t, w) -> score: {body}\n\n\
         game:\n  min D: E[(norm(grad(D(x, y, t, w), x)) - 1)^2]\n\ntrain:\n  batch: 2\n  steps: 1\n  optimizer: sgd(0)\n"
    );
    let mut sources = diag::Sources::default();
    sources.add("penalised.gan", text);
    let checked = driver::check(sources, &[]);
    let page = diag::render::text(&checked.sources, checked.findings.items(), false);
    build(&checked.model.unwrap_or_else(|| panic!("{page}")), 3)
}

/// Layers that a gradient penalty goes through, each with a weight in front of it and behind it.
const PENALISED: [&str; 48] = [
    "flatten | dense(3) | dense(1)",
    "conv(3, 3, pad=1) | tanh | flatten | dense(1)",
    "conv(3, 4, stride=2, pad=1) | tanh | conv(2, [2, 3], stride=[2, 1], pad=[0, 1]) | softplus | flatten | dense(1)",
    "conv_t(3, 4, stride=2, pad=1) | tanh | flatten | dense(1)",
    "conv_t(2, [3, 2], stride=[1, 2], pad=[1, 0], out_pad=[0, 1]) | tanh | conv(1, 3) | flatten | dense(1)",
    "conv(3, 3) | relu | flatten | dense(1)",
    "conv(3, 3) | leaky_relu(0.2) | flatten | dense(1)",
    "conv(3, 3) | prelu | flatten | dense(1)",
    "conv(3, 3) | prelu(channels=true) | flatten | dense(1)",
    "conv(3, 3) | elu | flatten | dense(1)",
    "conv(3, 3) | gelu | flatten | dense(1)",
    "conv(3, 3) | gelu(approximate=tanh) | flatten | dense(1)",
    "conv(3, 3) | silu | flatten | dense(1)",
    "conv(3, 3) | tanh | flatten | dense(1)",
    "conv(3, 3) | sigmoid | flatten | dense(1)",
    "conv(3, 3) | softplus | flatten | dense(1)",
    "conv(3, 3) | batch_norm | tanh | flatten | dense(1)",
    "conv(3, 3) | batch_norm(affine=false) | softplus | flatten | dense(1)",
    "flatten | dense(4) | batch_norm | tanh | dense(1)",
    "conv(3, 3) | layer_norm | tanh | flatten | dense(1)",
    "flatten | dense(4) | layer_norm(affine=false) | softplus | dense(1)",
    "conv(3, 3) | tanh | avg_pool(2) | flatten | dense(1)",
    "conv(3, 3) | tanh | avg_pool(3, stride=1, pad=1) | flatten | dense(1)",
    "conv(3, 3) | tanh | max_pool(2) | flatten | dense(1)",
    "conv(3, 3) | tanh | max_pool(3, stride=1, pad=1) | flatten | dense(1)",
    "conv(3, 3) | tanh | global_avg_pool | dense(1)",
    "conv(3, 3) | tanh | upsample(2) | conv(1, 3) | tanh | flatten | dense(1)",
    "conv(3, 3) | tanh | upsample([1, 2], mode=bilinear) | conv(1, 3) | tanh | flatten | dense(1)",
    "conv(3, 3) | tanh | dropout(0.4) | flatten | dense(1)",
    "conv(3, 3) | tanh as h | conv(2, 3, pad=1) | tanh | concat(h) | flatten | dense(1)",
    "conv(3, 3) | tanh | reshape(12, 2, 2) | conv(2, 2) | flatten | dense(1)",
    "conv(3, 3) | instance_norm | tanh | flatten | dense(1)",
    "conv(4, 3) | group_norm(2) | tanh | flatten | dense(1)",
    "conv(3, 3) | pixel_norm | tanh | flatten | dense(1)",
    "conv(3, 3) | conditional_batch_norm(y) | tanh | flatten | dense(1)",
    "flatten | dense(3) | tanh | project(y)",
    "conv(3, 3) | tanh | concat(tile(embed(y, 2), 4, 4)) | tanh | flatten | dense(1)",
    "flatten | dense(3) | tanh | concat(mean(embed(t, 2), axis=tokens)) | dense(3) | tanh | dense(1)",
    "conv(4, 3) | glu | flatten | dense(1)",
    "conv(4, 3) | tanh | split(2, 1) | conv(2, 2) | tanh | flatten | dense(1)",
    "conv(4, 3) | tanh | pixel_shuffle(2) | conv(1, 3) | tanh | flatten | dense(1)",
    "reflect_pad(2) | conv(3, 3) | tanh | replication_pad(1) | conv(1, 3, pad=same) | tanh | flatten | dense(1)",
    "reshape(6, 12) | conv(4, 3, stride=2, pad=same) | tanh | conv_t(3, 4, stride=2, pad=1) | tanh | pixel_shuffle(3) | flatten | dense(1)",
    "conv(3, 3) | noise_inject | bias | tanh | adain(w) | tanh | flatten | dense(1)",
    "conv(2, 3, equalized=true) | tanh as h | const(2, 4, 4) | concat(h) | blur | flatten | dense(1, equalized=true, lr_mul=0.5)",
    "conv(3, 3) | tanh | minibatch_stddev | conv(2, 3) | tanh | flatten | dense(1)",
    "conv(4, 3) | tanh | self_attention(reduce=2) | tanh | flatten | dense(1)",
    "conv(3, 3) | instance_norm(affine=true) | softplus | avg_pool(2) | flatten | dense(1)",
];

#[test]
fn a_gradient_penalty_can_be_differentiated_through_every_layer() {
    let mut words: BTreeSet<&str> = ganc::model::layers::all().map(|d| d.word).collect();
    for body in PENALISED {
        words.retain(|w| !body.split([' ', '|', '(']).any(|part| part == *w));
        let program = penalised(body);
        let graph = opt::lower(&program.phases[0].graph);
        let mut states: Vec<Vec<f64>> = Vec::new();
        for (i, s) in program.states.iter().enumerate() {
            let n = volume(&s.shape);
            // Not so large that tanh and its kin are flat.
            states.push(numbers(Domain::Any, n, i).iter().map(|x| 0.3 * x + if n < 4 { 0.5 } else { 0.0 }).collect());
        }
        let run = |states: &[Vec<f64>]| -> Vec<(String, Vec<f64>)> {
            let values = eval::outputs(&graph, |s| match s {
                Source::State(id) => states[id.index()].clone(),
                Source::Feed(id) => {
                    let feed = &program.feeds[id.index()];
                    let wide = numbers(Domain::Any, volume(&feed.shape), id.index());
                    let number = |(i, x): (usize, &f64)| match feed.name.as_str() {
                        // The draws of dropout are uniform.
                        name if name.starts_with("dropout") => (x + 2.0) / 4.0,
                        // A label, and a word with some padding.
                        "y" => (i % 4) as f64,
                        "t" => (i * 5 % 17) as f64,
                        _noise => *x,
                    };
                    wide.iter().enumerate().map(number).collect()
                }
                // The learning rate: what is updated does not count here.
                Source::Scalar(_) => vec![0.0],
            });
            graph.outputs().iter().map(|o| o.name.clone()).zip(values).collect()
        };
        let results = run(&states);
        let mut flat = true;
        for (i, s) in program.states.iter().enumerate() {
            match s.role {
                StateRole::Weight { .. } => {}
                StateRole::Buffer { .. } | StateRole::History | StateRole::Moment { .. } | StateRole::Average { .. } => continue,
            }
            let found = result(&results, &format!("grad.{}", s.name)).to_vec();
            // Some elements of each weight, spread over it.
            let step = (found.len() / 12).max(1);
            for e in (0..found.len()).step_by(step) {
                let x = states[i][e];
                states[i][e] = x + EPS;
                let up = result(&run(&states), "loss.D")[0];
                states[i][e] = x - EPS;
                let down = result(&run(&states), "loss.D")[0];
                states[i][e] = x;
                let expected = (up - down) / (2.0 * EPS);
                assert!(close(found[e], expected), "{body}: {} at {e} is {}, differences say {expected}", s.name, found[e]);
                flat &= expected.abs() < 1e-3;
            }
        }
        assert!(!flat, "{body}: every gradient is small, so that nothing is tested");
    }
    assert!(words.is_empty(), "no penalty goes through {words:?}");
}
