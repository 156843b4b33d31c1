//! Convolutions in the form the kernels read: no index outside its image, 1x1 convolutions as matrix products. Products that would leave
//! most of a tile idle become sums and loops.
//!
//! On exit every convolution has an explicit [`Op::Pad`] before it where it needs zeros around its image, so that padding is
//! written by whatever makes the image, is shared between a convolution and its filter gradient, and the kernels never test
//! a border. Only minimal filtering of a small image takes it as it is: what it transforms it copies anyway, and finds zeros around the image
//! then. The graph means the same; the interpreter can run it. Results keep their elements and the order of them, but not the shape that
//! a last reshape would give them.

use super::Target;
use super::winograd::Winograd;
use crate::graph::{Builder, Conv, Graph, Op, Role, Sink, Value};
use crate::opt::rebuild;

/// Lowers every convolution for a target.
pub fn run(graph: &Graph, target: Target) -> Graph {
    let lowered = rebuild(graph, |b, op, args, _| match op {
        Op::Conv(c) if c.kernel == [1, 1] && c.stride == [1, 1] && c.pad == [0, 0] && c.big == c.small => {
            Some(pointwise(b, c, args))
        }
        Op::Conv(c) => match c.role {
            Role::Forward | Role::FilterGrad => pad_big(b, c, args),
            Role::InputGrad => pad_small(b, c, args, target),
        },
        Op::Dot { ta, tb } => {
            let thin = thin_product(b, args[0], args[1], *ta, *tb);
            thin.or_else(|| if *ta && !*tb { in_halves(b, args[0], args[1]) } else { None })
        }
        _ => None,
    });
    lowered.with_outputs(|graph, o| match o.sink {
        Sink::Result => computed(graph, o.value),
        Sink::Update(_) => o.value,
    })
}

/// The value that has the elements of `v` in the same order, before they got another shape: so a result is computed where it is read.
fn computed(graph: &Graph, mut v: Value) -> Value {
    loop {
        let node = graph.node(v);
        v = match &node.op {
            Op::Reshape => node.args[0],
            Op::Transpose(axes) if keeps_order(axes, &node.shape) => node.args[0],
            _ => return v,
        };
    }
}

/// Whether a transpose to `shape` moves axes of size 1 only.
fn keeps_order(axes: &[usize], shape: &[usize]) -> bool {
    axes.iter().zip(shape).filter(|(_, size)| **size != 1).is_sorted_by_key(|(axis, _)| axis)
}

/// Most products in a sum that is written out.
const FEW_PRODUCTS: usize = 4;

/// A matrix product with one column is a sum over rows; one of few products is their sum, element by element: loops, which fuse with what
/// stands around them, where a tile would be mostly padding. Both take their operands as they lie.
fn thin_product(b: &mut Builder, x: Value, y: Value, ta: bool, tb: bool) -> Option<Value> {
    let (&[rows, _], &[_, _]) = (b.shape(x), b.shape(y)) else { return None };
    let k = usize::from(!ta);
    let (depth, rows) = if ta { (rows, b.shape(x)[1]) } else { (b.shape(x)[1], rows) };
    let columns = b.shape(y)[usize::from(!tb)];
    if columns == 1 {
        // One factor for each product, along the axis of `x` that is summed up.
        let along: [usize; 2] = if ta { [depth, 1] } else { [1, depth] };
        let factors = b.reshape(y, &along);
        let factors = b.broadcast(factors, &b.shape(x).to_vec());
        let products = b.mul(x, factors);
        let sum = b.sum(products, &[k]);
        return Some(b.reshape(sum, &[rows, 1]));
    }
    if ta && !tb && rows.min(columns) <= FEW_PRODUCTS {
        return Some(thin_gradient(b, x, y));
    }
    if depth > FEW_PRODUCTS || rows == 1 {
        return None;
    }
    let products = (0..depth).map(|i| {
        let left = b.slice_axis(x, k, i, 1);
        let left = b.reshape(left, &[rows, 1]);
        let right = b.slice_axis(y, usize::from(tb), i, 1);
        let right = b.reshape(right, &[1, columns]);
        let [left, right] = [left, right].map(|v| b.broadcast(v, &[rows, columns]));
        b.mul(left, right)
    });
    let products: Vec<Value> = products.collect();
    products.into_iter().reduce(|sum, p| b.add(sum, p))
}

/// `x` transposed times `y`, where one of them has few columns: for each of these, the rows of the other are added up times its elements.
/// A bias has such a sum, too, and one loop takes all of them.
fn thin_gradient(b: &mut Builder, x: Value, y: Value) -> Value {
    let (left, right) = (b.shape(x)[1], b.shape(y)[1]);
    let (few, many) = if left <= right { (x, y) } else { (y, x) };
    let shape = b.shape(many).to_vec();
    let column = |b: &mut Builder, i: usize| {
        let factors = b.slice_axis(few, 1, i, 1);
        let factors = b.broadcast(factors, &shape);
        let products = b.mul(many, factors);
        b.sum(products, &[0])
    };
    let rows: Vec<Value> = (0..left.min(right)).map(|i| column(b, i)).collect();
    let sums = if rows.len() == 1 { rows[0] } else { b.concat(0, &rows) };
    if left <= right { sums } else { b.transpose(sums, &[1, 0]) }
}

/// Examples that are worth a sum of their own, and elements of a sum that is small enough.
const MANY_EXAMPLES: usize = 128;
const SMALL_SUM: usize = 32 * 1024;

/// `x` transposed times `y`, with rows for many examples: each half of these has its product. What one thread made of half of the examples it
/// reads again itself, and others read the sum alone.
fn in_halves(b: &mut Builder, x: Value, y: Value) -> Option<Value> {
    let (&[examples, rows], &[_, columns]) = (b.shape(x), b.shape(y)) else { return None };
    let half = examples / 2;
    if half < MANY_EXAMPLES || examples != 2 * half || rows * columns > SMALL_SUM {
        return None;
    }
    let [x, y] = [(x, rows), (y, columns)].map(|(v, n)| b.reshape(v, &[2, half, n]));
    let products = b.dot(x, y, true, false);
    let [first, second] = [0, 1].map(|i| {
        let product = b.slice_axis(products, 0, i, 1);
        b.reshape(product, &[rows, columns])
    });
    Some(b.add(first, second))
}

/// A 1x1 convolution is a matrix product over pixels.
fn pointwise(b: &mut Builder, c: &Conv, args: &[Value]) -> Value {
    let (first, second) = (b.shape(args[0]).to_vec(), b.shape(args[1]).to_vec());
    let pixels = first[0] * first[1] * first[2];
    let x = b.reshape(args[0], &[pixels, first[3]]);
    match c.role {
        Role::Forward | Role::InputGrad => {
            let w = b.reshape(args[1], &second[2..]);
            let transposed = c.role == Role::InputGrad;
            let y = b.dot(x, w, false, transposed);
            let channels = if transposed { second[2] } else { second[3] };
            b.reshape(y, &[first[0], first[1], first[2], channels])
        }
        Role::FilterGrad => {
            let y = b.reshape(args[1], &[pixels, second[3]]);
            let w = b.dot(x, y, true, false);
            b.reshape(w, &[1, 1, first[3], second[3]])
        }
    }
}

fn pad_big(b: &mut Builder, c: &Conv, args: &[Value]) -> Option<Value> {
    let need: [usize; 2] = std::array::from_fn(|i| ((c.small[i] - 1) * c.stride[i] + c.kernel[i]).max(c.pad[i] + c.big[i]));
    if c.pad == [0, 0] && need == c.big {
        return None;
    }
    let x = around(b, args[0], c.pad, need);
    Some(b.push(Op::Conv(Conv { pad: [0, 0], big: need, ..*c }), &[x, args[1]]))
}

fn pad_small(b: &mut Builder, c: &Conv, args: &[Value], target: Target) -> Option<Value> {
    let (images, filter) = (b.shape(args[0])[0], b.shape(args[1]));
    if Winograd::choose(c, [filter[2], filter[3]], images, target).is_some() {
        return None;
    }
    let (mut low, mut size) = ([0; 2], c.small);
    for i in 0..2 {
        let (first, last) = reach(c, i);
        low[i] = (-first).max(0) as usize;
        size[i] = low[i] + c.small[i].max((last + 1).max(0) as usize);
    }
    if size == c.small {
        return None;
    }
    let x = around(b, args[0], low, size);
    let pad = std::array::from_fn(|i| c.pad[i] + c.stride[i] * low[i]);
    Some(b.push(Op::Conv(Conv { pad, small: size, ..*c }), &[x, args[1]]))
}

/// First and last row (or column) of the small image that some row of the big image meets.
fn reach(c: &Conv, i: usize) -> (isize, isize) {
    let (mut first, mut last) = (0, 0);
    for at in 0..c.big[i] {
        let from_edge = at + c.pad[i];
        let (tap, row) = (from_edge % c.stride[i], (from_edge / c.stride[i]) as isize);
        let taps = c.kernel[i].saturating_sub(tap).div_ceil(c.stride[i]) as isize;
        if taps > 0 {
            first = first.min(row - taps + 1);
            last = last.max(row);
        }
    }
    (first, last)
}

fn around(b: &mut Builder, x: Value, low: [usize; 2], size: [usize; 2]) -> Value {
    let s = b.shape(x).to_vec();
    b.pad(x, &[0, low[0], low[1], 0], &[1; 4], &[s[0], size[0], size[1], s[3]])
}
