//! Random graphs, and running them compiled and interpreted.
#![allow(dead_code)]

use ganc::build::{Feed, FeedSource, Layout, Program};
use ganc::codegen::Host;
use ganc::eval::{self, Number};
use ganc::graph::{Binary, Builder, FeedId, Graph, Op, Reduce, Sink, Source, Unary, Value, volume};
use ganc::model::Model;
use ganc::runtime::random::{Stream, unit};
use ganc::runtime::{Executable, Memory, Team};
use ganc::train::Session;
use ganc::{driver, opt, schedule};

/// A small generator of choices.
pub struct Dice {
    stream: Stream,
    at: u32,
}

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice { stream: Stream { seed, step: 0, stream: 7 }, at: 0 }
    }

    pub fn unit(&mut self) -> f32 {
        self.at += 1;
        unit(self.stream.block(self.at / 4)[(self.at % 4) as usize])
    }

    pub fn below(&mut self, n: usize) -> usize {
        ((self.unit() * n as f32) as usize).min(n - 1)
    }

    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        let i = self.below(items.len());
        &items[i]
    }
}

/// The model of a spec without errors.
pub fn model(text: &str) -> Model {
    let mut sources = ganc::diag::Sources::default();
    sources.add("spec.gan", text);
    let checked = driver::check(sources, &[]);
    let page = ganc::diag::render::text(&checked.sources, checked.findings.items(), false);
    checked.model.unwrap_or_else(|| panic!("{page}"))
}

/// Trains for `steps` steps on data that are a function of the draw alone.
pub fn train(s: &mut Session, steps: usize) {
    for _ in 0..steps {
        for phase in s.program.order(s.progress.step).to_vec() {
            for i in 0..s.program.feeds.len() {
                let id = FeedId(i as u32);
                let labels = s.program.feeds[i].limit;
                if s.is_data(id) {
                    let stream = Stream { seed: 11, step: s.progress.draws, stream: i as u32 };
                    stream.uniform(s.memory.feed_mut(id), -1.0, 1.0);
                    if let Some(limit) = labels {
                        let label = |x: &mut f32| *x = ((*x + 1.0) / 2.0 * limit as f32).floor().min(limit as f32 - 1.0);
                        s.memory.feed_mut(id).iter_mut().for_each(label);
                    }
                }
            }
            s.draw_noise();
            s.run_phase(phase);
        }
        s.progress.step += 1;
    }
}

/// Elements of feed `id`: normal numbers.
pub fn feed_values(seed: u64, id: FeedId, len: usize) -> Vec<f32> {
    let mut x = vec![0.0; len];
    Stream { seed, step: 1, stream: id.0 }.normal(&mut x, 0.0, 1.0);
    x
}

/// Interprets `graph` on the feeds of `seed`.
pub fn interpret<T: Number>(graph: &Graph, seed: u64) -> Vec<Vec<T>> {
    let shapes = feeds(graph);
    eval::outputs(graph, |source| match source {
        Source::Feed(id) => feed_values(seed, id, volume(&shapes[id.index()])).into_iter().map(T::from_f32).collect(),
        other => panic!("these graphs have no {other:?}"),
    })
}

/// Shapes of the feeds of `graph`.
pub fn feeds(graph: &Graph) -> Vec<Vec<usize>> {
    let mut shapes = Vec::new();
    for node in graph.nodes() {
        if let Op::Input(Source::Feed(id)) = node.op {
            shapes.resize(shapes.len().max(id.index() + 1), vec![1]);
            shapes[id.index()] = node.shape.clone();
        }
    }
    shapes
}

/// A program that has the feeds of `graph` and nothing else.
pub fn program(graph: &Graph) -> Program {
    let feeds = feeds(graph)
        .into_iter()
        .enumerate()
        .map(|(i, shape)| Feed {
            name: format!("x{i}"),
            layout: Layout { shape: shape.clone(), split: shape.clone(), perm: (0..shape.len()).collect() },
            shape,
            source: FeedSource::Normal { mean: 0.0, std: 1.0 },
            limit: None,
        })
        .collect();
    Program { feeds, ..Program::default() }
}

/// Schedules, compiles and runs `graph` on the feeds of `seed`; outputs in the order of the graph.
pub fn run(graph: &Graph, seed: u64, host: &Host, team: &Team) -> Vec<Vec<f32>> {
    run_for(host.target(), graph, seed, host, team)
}

/// As [`run`], scheduled for another target that the host can serve.
pub fn run_for(target: schedule::Target, graph: &Graph, seed: u64, host: &Host, team: &Team) -> Vec<Vec<f32>> {
    let program = program(graph);
    let mut memory = Memory::new(&program);
    for i in 0..program.feeds.len() {
        let id = FeedId(i as u32);
        let x = memory.feed_mut(id);
        let len = x.len();
        x.copy_from_slice(&feed_values(seed, id, len));
    }
    let plan = schedule::plan(graph, target);
    let mut e = Executable::new(plan, host, &mut memory).expect("the plan compiles");
    // Twice: the second run meets memory that the first one used, and must not need it.
    let mut runs = [(); 2].map(|()| -> Vec<Vec<f32>> {
        e.run(team, &mut memory);
        graph.outputs().iter().map(|o| e.result(&o.name).expect("every output has a result").to_vec()).collect()
    });
    let bits = |outputs: &[Vec<f32>]| -> Vec<u32> { outputs.iter().flatten().map(|x| x.to_bits()).collect() };
    assert!(bits(&runs[0]) == bits(&runs[1]), "the second run of graph {seed} differs from the first");
    std::mem::take(&mut runs[1])
}

/// Largest difference relative to the largest magnitude of what is expected.
pub fn difference(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let size = expected.iter().fold(1e-3f64, |m, x| m.max(x.abs()));
    found.iter().zip(expected).fold(0.0, |m, (f, e)| {
        let d = (f64::from(*f) - e).abs() / size;
        if d.is_nan() { f64::INFINITY } else { m.max(d) }
    })
}

/// A random graph over feeds; all its values stay in a moderate range.
pub fn random_graph(seed: u64) -> Graph {
    let mut d = Dice::new(seed);
    let mut b = Builder::new();
    let mut pool: Vec<Value> = Vec::new();
    let sizes = [1, 2, 3, 4, 5, 7, 8, 12, 16, 17, 33];
    let (n, c) = (*d.pick(&[1, 2, 3, 5]), *d.pick(&sizes));
    let (h, w) = (*d.pick(&[1, 2, 3, 4, 6, 8]), *d.pick(&[1, 2, 3, 4, 6, 9]));
    for (i, shape) in [vec![n, h, w, c], vec![n, c], vec![n, h, w, c], vec![c, c]].into_iter().enumerate() {
        pool.push(b.input(Source::Feed(FeedId(i as u32)), &shape));
    }
    let leaves = pool.clone();
    let mut filters = 4;
    for _ in 0..4 + d.below(14) {
        let x = *d.pick(&pool);
        let v = random_op(&mut b, &mut d, &pool, &leaves, x, &mut filters);
        pool.push(v);
    }
    let last: Vec<Value> = pool.iter().rev().take(1 + d.below(3)).copied().collect();
    for (i, v) in last.iter().enumerate() {
        b.output(format!("out{i}"), *v, Sink::Result);
    }
    if d.below(2) == 0 {
        let y = last[0];
        let wanted: Vec<Value> = leaves.iter().copied().filter(|_| d.below(2) == 0).collect();
        let mut firsts = Vec::new();
        for (i, x) in wanted.iter().enumerate() {
            let g = b.grad(y, *x);
            firsts.push(g);
            b.output(format!("grad{i}"), g, Sink::Result);
        }
        if let Some(&g) = firsts.first() {
            let square = b.mul(g, g);
            let second = b.grad(square, leaves[0]);
            b.output("second", second, Sink::Result);
        }
    }
    b.finish()
}

fn random_op(b: &mut Builder, d: &mut Dice, pool: &[Value], leaves: &[Value], x: Value, filters: &mut u32) -> Value {
    let shape = b.shape(x).to_vec();
    let r = shape.len();
    let same: Vec<Value> = pool.iter().copied().filter(|&v| b.shape(v) == shape).collect();
    let y = *d.pick(&same);
    let tame = |b: &mut Builder, v: Value| b.unary(Unary::Tanh, v);
    match d.below(22) {
        0 => b.add(x, y),
        1 => b.sub(x, y),
        2 => {
            let (p, q) = (tame(b, x), tame(b, y));
            b.mul(p, q)
        }
        3 => {
            let a = b.unary(Unary::Abs, y);
            let a = b.add_const(a, 0.7);
            b.div(x, a)
        }
        4 => b.unary(*d.pick(&[Unary::Tanh, Unary::Sigmoid, Unary::Softplus, Unary::Erf, Unary::Neg, Unary::Abs]), x),
        5 => {
            let t = tame(b, x);
            b.unary(Unary::Exp, t)
        }
        6 => {
            let t = b.mul(x, x);
            let t = b.add_const(t, 0.5);
            b.unary(*d.pick(&[Unary::Log, Unary::Sqrt]), t)
        }
        7 => {
            // Comparisons only of leaves: the judge must not fall on the other side.
            let fitting: Vec<Value> = leaves.iter().copied().filter(|&v| b.shape(v) == shape).collect();
            let Some(&leaf) = fitting.first() else { return x };
            let bound = b.constant(0.1, &shape);
            let mask = b.binary(*d.pick(&[Binary::Lt, Binary::Le]), leaf, bound);
            b.select(mask, x, y)
        }
        8 | 9 => {
            let axes: Vec<usize> = (0..r).filter(|_| d.below(2) == 0).collect();
            if axes.is_empty() {
                return x;
            }
            let mean = b.mean(x, &axes);
            let wide = b.broadcast(mean, &shape);
            b.sub(x, wide)
        }
        10 => {
            let axis = d.below(r);
            let fitting: Vec<Value> = leaves.iter().copied().filter(|&v| b.shape(v) == shape).collect();
            let Some(&leaf) = fitting.first() else { return x };
            let m = b.reduce(Reduce::Max, leaf, &[axis]);
            let wide = b.broadcast(m, &shape);
            b.sub(x, wide)
        }
        11 => {
            let mut perm: Vec<usize> = (0..r).collect();
            perm.swap(0, d.below(r));
            let t = b.transpose(x, &perm);
            let t = b.unary(Unary::Tanh, t);
            b.transpose(t, &perm)
        }
        12 => {
            let flat = b.reshape(x, &[volume(&shape)]);
            let s = b.unary(Unary::Sigmoid, flat);
            b.reshape(s, &shape)
        }
        13 => {
            let axis = d.below(r);
            let both = b.concat(axis, &[x, y]);
            let start = d.below(shape[axis] + 1);
            b.slice_axis(both, axis, start, shape[axis])
        }
        14 => {
            let low: Vec<usize> = (0..r).map(|_| d.below(3)).collect();
            let step: Vec<usize> = (0..r).map(|_| 1 + d.below(2)).collect();
            let size: Vec<usize> = (0..r).map(|i| low[i] + (shape[i] - 1) * step[i] + 1 + d.below(2)).collect();
            let big = b.pad(x, &low, &step, &size);
            let big = b.unary(Unary::Exp, big);
            let t = b.slice(big, &low, &step, &shape);
            b.unary(Unary::Tanh, t)
        }
        15 | 16 if r == 2 => {
            let k = shape[1];
            let w = if shape[0] == k && d.below(2) == 0 { y } else { leaf_of(b, filters, &[k, k]) };
            let t = b.dot(x, w, false, d.below(2) == 0);
            let t = b.scale(t, 0.3);
            tame(b, t)
        }
        15..=19 if r == 4 => random_conv(b, d, x, &shape, filters),
        20 if r == 4 && shape[1] * shape[2] > 1 => {
            let (m, k) = (shape[1] * shape[2], shape[3]);
            let a = b.reshape(x, &[shape[0], m, k]);
            let scores = b.dot(a, a, false, true);
            let scores = b.scale(scores, 0.1);
            let scores = tame(b, scores);
            let mixed = b.dot(scores, a, false, false);
            let mixed = b.scale(mixed, 0.2);
            b.reshape(mixed, &shape)
        }
        _ => {
            let factor = d.unit() * 2.0 - 1.0;
            b.scale(x, factor)
        }
    }
}

fn leaf_of(b: &mut Builder, next: &mut u32, shape: &[usize]) -> Value {
    let v = b.input(Source::Feed(FeedId(*next)), shape);
    *next += 1;
    v
}

/// A convolution and a transposed one back to the same size, with random kernel, stride and padding.
fn random_conv(b: &mut Builder, d: &mut Dice, x: Value, shape: &[usize], filters: &mut u32) -> Value {
    let mut kernel = [0; 2];
    let (mut stride, mut pad, mut small) = ([0; 2], [0; 2], [0; 2]);
    for i in 0..2 {
        let size = shape[1 + i];
        stride[i] = 1 + d.below(3);
        kernel[i] = 1 + d.below(4);
        pad[i] = d.below(kernel[i]);
        while size + 2 * pad[i] < kernel[i] {
            pad[i] += 1;
        }
        small[i] = (size + 2 * pad[i] - kernel[i]) / stride[i] + 1;
    }
    let out = *d.pick(&[1, 2, 3, 5, 8, 16, 19]);
    let scale = 1.0 / (kernel[0] * kernel[1] * shape[3]) as f32;
    let w = leaf_of(b, filters, &[kernel[0], kernel[1], shape[3], out]);
    let y = b.conv(x, w, stride, pad, small);
    let y = b.scale(y, scale.sqrt());
    let y = b.unary(Unary::Tanh, y);
    let w = leaf_of(b, filters, &[kernel[0], kernel[1], shape[3], out]);
    let z = b.conv_transpose(y, w, stride, pad, [shape[1], shape[2]]);
    b.scale(z, 0.3)
}

/// The graph as it is scheduled.
pub fn lowered(graph: &Graph) -> Graph {
    opt::VERIFY.store(true, std::sync::atomic::Ordering::Relaxed);
    opt::lower(graph)
}
