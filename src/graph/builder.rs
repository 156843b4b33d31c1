//! Building graphs: one method per primitive, with shape checks, constant folding of the trivial cases and
//! hash-consing, so that asking twice for the same value gives the same id.
//!
//! A wrong shape here is a bug of ganc's, never of a spec: the methods panic with the operation and the shapes.

use super::{Binary, Conv, Graph, LiteralId, Node, Op, Output, Reduce, Role, Shape, Sink, Source, Unary, Value, shape, volume};
use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;

/// Grows a [`Graph`].
#[derive(Default)]
pub struct Builder {
    graph: Graph,
    /// All values, found by what their nodes say.
    known: HashTable<Value>,
    hasher: DefaultHashBuilder,
}

impl Builder {
    /// An empty graph.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Goes on building at the end of `graph`.
    pub fn extend(graph: Graph) -> Builder {
        let mut b = Builder { graph, ..Builder::default() };
        for v in b.graph.values() {
            b.remember(v);
        }
        b
    }

    /// The graph as built.
    pub fn finish(self) -> Graph {
        self.graph
    }

    /// The graph so far.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The shape of `v`.
    pub fn shape(&self, v: Value) -> &[usize] {
        self.graph.shape(v)
    }

    /// Declares an output.
    pub fn output(&mut self, name: impl Into<String>, value: Value, sink: Sink) {
        self.graph.outputs.push(Output { name: name.into(), value, sink });
    }

    /// Adds an operation whose shape is not implied by its arguments.
    pub fn push_shaped(&mut self, op: Op, args: &[Value], shape: Shape) -> Value {
        let is_it = |n: &Node| n.args == args && n.op == op && n.shape == shape;
        if let Some(&v) = self.known.find(self.hasher.hash_one((&op, args, shape.as_slice())), |&v| is_it(self.graph.node(v))) {
            return v;
        }
        let shapes: Vec<&[usize]> = args.iter().map(|&a| self.graph.shape(a)).collect();
        if let Err(e) = shape::check(&op, &shapes, &shape) {
            panic!("{e}");
        }
        let v = Value(self.graph.nodes.len() as u32);
        self.graph.nodes.push(Node { op, args: args.to_vec(), shape });
        self.remember(v);
        v
    }

    /// Makes `v` known.
    fn remember(&mut self, v: Value) {
        let Builder { graph, known, hasher } = self;
        let hash_of = |v: &Value| {
            let Node { op, args, shape } = graph.node(*v);
            hasher.hash_one((op, args.as_slice(), shape.as_slice()))
        };
        known.insert_unique(hash_of(&v), v, hash_of);
    }

    /// Adds an operation whose shape follows from its arguments.
    pub fn push(&mut self, op: Op, args: &[Value]) -> Value {
        let shapes: Vec<&[usize]> = args.iter().map(|&a| self.graph.shape(a)).collect();
        match shape::infer(&op, &shapes) {
            Ok(s) => self.push_shaped(op, args, s),
            Err(e) => panic!("{e}"),
        }
    }

    /// An input of the given shape. The same source always gives the same value.
    pub fn input(&mut self, source: Source, shape: &[usize]) -> Value {
        self.push_shaped(Op::Input(source), &[], shape.to_vec())
    }

    /// A tensor whose elements are all `value`.
    pub fn constant(&mut self, value: f32, shape: &[usize]) -> Value {
        self.push_shaped(Op::Const(value.to_bits()), &[], shape.to_vec())
    }

    /// A constant tensor with the given elements in row-major order.
    pub fn literal(&mut self, data: Vec<f32>, shape: &[usize]) -> Value {
        assert_eq!(data.len(), volume(shape), "literal of shape {shape:?}");
        if let Some(&first) = data.first()
            && data.iter().all(|x| x.to_bits() == first.to_bits())
        {
            return self.constant(first, shape);
        }
        let bits = |d: &[f32]| d.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        let id = self.graph.literals.iter().position(|l| bits(l) == bits(&data)).unwrap_or_else(|| {
            self.graph.literals.push(data);
            self.graph.literals.len() - 1
        });
        self.push_shaped(Op::Literal(LiteralId(id as u32)), &[], shape.to_vec())
    }

    /// The number all elements of `v` are known to be.
    pub fn as_const(&self, v: Value) -> Option<f32> {
        match self.graph.node(v).op {
            Op::Const(bits) => Some(f32::from_bits(bits)),
            _ => None,
        }
    }

    /// A function of one element.
    pub fn unary(&mut self, f: Unary, x: Value) -> Value {
        self.push(Op::Unary(f), &[x])
    }

    /// A function of two elements; shapes of equal rank are broadcast to each other first.
    pub fn binary(&mut self, f: Binary, a: Value, b: Value) -> Value {
        let (a, b) = self.unify(a, b);
        self.push(Op::Binary(f), &[a, b])
    }

    /// Broadcasts two values of equal rank (or a scalar and anything) to their common shape.
    pub fn unify(&mut self, a: Value, b: Value) -> (Value, Value) {
        let (sa, sb) = (self.shape(a).to_vec(), self.shape(b).to_vec());
        if sa == sb {
            return (a, b);
        }
        if sa.is_empty() {
            return (self.splat(a, &sb), b);
        }
        if sb.is_empty() {
            return (a, self.splat(b, &sa));
        }
        assert_eq!(sa.len(), sb.len(), "broadcast of {sa:?} and {sb:?}");
        let common: Shape = sa.iter().zip(&sb).map(|(&x, &y)| if x == 1 { y } else { x }).collect();
        (self.broadcast(a, &common), self.broadcast(b, &common))
    }

    /// A scalar (or a value of one element) repeated to any shape.
    pub fn splat(&mut self, x: Value, shape: &[usize]) -> Value {
        let x = self.reshape(x, &vec![1; shape.len()]);
        self.broadcast(x, shape)
    }

    /// `a` where `c` is not zero, otherwise `b`.
    pub fn select(&mut self, c: Value, a: Value, b: Value) -> Value {
        let (c, a) = self.unify(c, a);
        let (c, b) = self.unify(c, b);
        let (c, a) = self.unify(c, a);
        self.push(Op::Select, &[c, a, b])
    }

    /// `a + b`
    pub fn add(&mut self, a: Value, b: Value) -> Value {
        self.binary(Binary::Add, a, b)
    }

    /// `a - b`
    pub fn sub(&mut self, a: Value, b: Value) -> Value {
        self.binary(Binary::Sub, a, b)
    }

    /// `a * b`
    pub fn mul(&mut self, a: Value, b: Value) -> Value {
        self.binary(Binary::Mul, a, b)
    }

    /// `a / b`
    pub fn div(&mut self, a: Value, b: Value) -> Value {
        self.binary(Binary::Div, a, b)
    }

    /// `a + number`
    pub fn add_const(&mut self, a: Value, number: f32) -> Value {
        let c = self.constant(number, &self.shape(a).to_vec());
        self.add(a, c)
    }

    /// `a * number`
    pub fn scale(&mut self, a: Value, number: f32) -> Value {
        let c = self.constant(number, &self.shape(a).to_vec());
        self.mul(a, c)
    }

    /// `a` to a constant power: multiplications for small integers, roots for halves, otherwise
    /// `exp(p*log(a))`, which needs a positive `a`.
    pub fn powf(&mut self, a: Value, p: f32) -> Value {
        let shape = self.shape(a).to_vec();
        if p == 0.0 {
            return self.constant(1.0, &shape);
        }
        if p < 0.0 {
            let (one, positive) = (self.constant(1.0, &shape), self.powf(a, -p));
            return self.div(one, positive);
        }
        if p.fract() == 0.0 && p <= 64.0 {
            let (mut square, mut rest, mut result) = (a, p as u32, None);
            loop {
                if rest & 1 == 1 {
                    result = Some(result.map_or(square, |r| self.mul(r, square)));
                }
                rest >>= 1;
                match (rest, result) {
                    (0, Some(r)) => return r,
                    _ => square = self.mul(square, square),
                }
            }
        }
        if p == 0.5 {
            return self.unary(Unary::Sqrt, a);
        }
        let log = self.unary(Unary::Log, a);
        let scaled = self.scale(log, p);
        self.unary(Unary::Exp, scaled)
    }

    /// The same elements under another shape.
    pub fn reshape(&mut self, x: Value, shape: &[usize]) -> Value {
        if self.shape(x) == shape {
            return x;
        }
        if let Op::Reshape = self.graph.node(x).op {
            let inner = self.graph.node(x).args[0];
            return self.reshape(inner, shape);
        }
        if let Some(c) = self.as_const(x) {
            return self.constant(c, shape);
        }
        self.push_shaped(Op::Reshape, &[x], shape.to_vec())
    }

    /// Axis `i` of the result is axis `perm[i]` of `x`.
    pub fn transpose(&mut self, x: Value, perm: &[usize]) -> Value {
        if perm.iter().enumerate().all(|(i, &p)| i == p) {
            return x;
        }
        let shape: Shape = perm.iter().map(|&p| self.shape(x)[p]).collect();
        // Only axes of size 1 move: a reshape.
        let kept: Vec<usize> = perm.iter().copied().filter(|&p| self.shape(x)[p] != 1).collect();
        if kept.windows(2).all(|w| w[0] < w[1]) {
            return self.reshape(x, &shape);
        }
        self.push(Op::Transpose(perm.to_vec()), &[x])
    }

    /// Axes of size 1 repeated to `shape`; the rank stays.
    pub fn broadcast(&mut self, x: Value, shape: &[usize]) -> Value {
        if self.shape(x) == shape {
            return x;
        }
        if let Some(c) = self.as_const(x) {
            return self.constant(c, shape);
        }
        self.push_shaped(Op::Broadcast, &[x], shape.to_vec())
    }

    /// Elements `start, start+step, ..` of each axis, `shape` of them.
    pub fn slice(&mut self, x: Value, start: &[usize], step: &[usize], shape: &[usize]) -> Value {
        if self.shape(x) == shape {
            return x;
        }
        self.push_shaped(Op::Slice { start: start.to_vec(), step: step.to_vec() }, &[x], shape.to_vec())
    }

    /// `len` elements of one axis from `start` on.
    pub fn slice_axis(&mut self, x: Value, axis: usize, start: usize, len: usize) -> Value {
        let mut shape = self.shape(x).to_vec();
        let mut first = vec![0; shape.len()];
        (first[axis], shape[axis]) = (start, len);
        self.slice(x, &first, &vec![1; shape.len()], &shape)
    }

    /// Element `i` of each axis placed at `low + i*step` of a zero tensor of shape `shape`.
    pub fn pad(&mut self, x: Value, low: &[usize], step: &[usize], shape: &[usize]) -> Value {
        if self.shape(x) == shape {
            return x;
        }
        self.push_shaped(Op::Pad { low: low.to_vec(), step: step.to_vec() }, &[x], shape.to_vec())
    }

    /// Values one after the other along `axis`.
    pub fn concat(&mut self, axis: usize, parts: &[Value]) -> Value {
        match parts {
            [only] => *only,
            _ => self.push(Op::Concat(axis), parts),
        }
    }

    /// Reduces `axes` to size 1.
    pub fn reduce(&mut self, kind: Reduce, x: Value, axes: &[usize]) -> Value {
        let mut axes = axes.to_vec();
        axes.sort_unstable();
        if axes.iter().all(|&a| self.shape(x)[a] == 1) {
            return x;
        }
        self.push(Op::Reduce(kind, axes), &[x])
    }

    /// Sum over `axes`, which stay with size 1.
    pub fn sum(&mut self, x: Value, axes: &[usize]) -> Value {
        self.reduce(Reduce::Sum, x, axes)
    }

    /// Mean over `axes`, which stay with size 1.
    pub fn mean(&mut self, x: Value, axes: &[usize]) -> Value {
        let count: usize = axes.iter().map(|&a| self.shape(x)[a]).product();
        let sum = self.sum(x, axes);
        self.scale(sum, 1.0 / count as f32)
    }

    /// Mean of all elements, as a scalar of shape `[]`.
    pub fn mean_all(&mut self, x: Value) -> Value {
        let axes: Vec<usize> = (0..self.shape(x).len()).collect();
        let mean = self.mean(x, &axes);
        self.reshape(mean, &[])
    }

    /// Matrix product; see [`Op::Dot`].
    pub fn dot(&mut self, a: Value, b: Value, ta: bool, tb: bool) -> Value {
        self.push(Op::Dot { ta, tb }, &[a, b])
    }

    /// Convolution of `x` `[N, H, W, I]` with `w` `[kh, kw, I, O]` to `[N, H', W', O]`; see [`Conv`].
    pub fn conv(&mut self, x: Value, w: Value, stride: [usize; 2], pad: [usize; 2], small: [usize; 2]) -> Value {
        let (sx, sw) = (self.shape(x).to_vec(), self.shape(w).to_vec());
        let conv = Conv { role: Role::Forward, kernel: [sw[0], sw[1]], stride, pad, big: [sx[1], sx[2]], small };
        self.push(Op::Conv(conv), &[x, w])
    }

    /// Transposed convolution of `x` `[N, H, W, O]` with `w` `[kh, kw, I, O]` to `[N, H', W', I]` with
    /// `big` = `[H', W']`. In PyTorch's words `O` is `in_channels` and `I` is `out_channels` of `ConvTranspose2d`.
    pub fn conv_transpose(&mut self, x: Value, w: Value, stride: [usize; 2], pad: [usize; 2], big: [usize; 2]) -> Value {
        let (sx, sw) = (self.shape(x).to_vec(), self.shape(w).to_vec());
        let conv = Conv { role: Role::InputGrad, kernel: [sw[0], sw[1]], stride, pad, big, small: [sx[1], sx[2]] };
        self.push(Op::Conv(conv), &[x, w])
    }

    /// The gradient of the sum of `y` by `x`, expanded later by `grad`.
    pub fn grad(&mut self, y: Value, x: Value) -> Value {
        self.push(Op::Grad, &[y, x])
    }

    /// The same value, a constant to differentiation.
    pub fn detach(&mut self, x: Value) -> Value {
        self.unary(Unary::Detach, x)
    }
}
