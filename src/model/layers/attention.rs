//! `self_attention` of a convolutional net (Zhang et al., 2019, section 3).

use super::{Definition, Emit, Layer, Made, Make, Part, Slot, SlotKind, per_channel};
use crate::build::program::Init;
use crate::diag::Diagnostic;
use crate::graph::{Builder, Reduce, Unary, Value};
use crate::model::args::{Args, Default, Key, Kind};

pub const TABLE: &[Definition] = &[Definition {
    word: "self_attention",
    keys: &[Key { name: "reduce", kind: Kind::Whole(1, 1 << 16), default: Default::Number(8.0) }],
    make,
}];

/// `x + gamma * values * softmax(queries . keys)`: queries and keys are 1x1 convolutions to `C/reduce` channels, values one to
/// `C`; `gamma` starts at 0, so that the layer starts as the identity. Deviation: the paper's second convolution of the values
/// and its pooling are left out, as in the usual PyTorch ports.
#[derive(Debug)]
struct SelfAttention;

fn make(args: &Args, m: &mut Make) -> Option<Made> {
    let [c, h, w] = m.image()?;
    let reduce = args.whole("reduce");
    if c < reduce {
        m.found.push(
            Diagnostic::new("E0308", m.span, format!("`self_attention` cannot reduce {c} channels by {reduce}"))
                .expected(format!("at least {reduce} channels, or a smaller `reduce`"))
                .found(c.to_string()),
        );
        return None;
    }
    let inner = c / reduce;
    m.volume("the attention map", &[h * w, h * w])?;
    let mut slots = Vec::new();
    for (weight, bias, size) in
        [("query_weight", "query_bias", inner), ("key_weight", "key_bias", inner), ("value_weight", "value_bias", c)]
    {
        slots.push(Slot { name: weight, ..pointwise(c, size) });
        slots.push(Slot { name: bias, ..Slot::bias(size, c) });
    }
    slots.push(Slot::plain("gamma", &[1], SlotKind::Weight { part: Part::Other, init: Init::Constant(0.0) }));
    let pixels = (h * w) as u64;
    let flops = 2 * pixels * (c * (2 * inner + c)) as u64 + 2 * pixels * pixels * (inner + c) as u64;
    Some(Made { slots, flops, ..Made::plain(SelfAttention, vec![c, h, w]) })
}

/// The filter of a 1x1 convolution: `[in, out]` inside, `[out, in, 1, 1]` in PyTorch.
fn pointwise(c: usize, size: usize) -> Slot {
    let slot = Slot::filter(&[1, 1, c, size], &[3, 2, 0, 1]);
    Slot { shape: vec![c, size], ..slot }
}

/// Positive numbers whose sum along `axis` is 1.
pub fn softmax(b: &mut Builder, x: Value, axis: usize) -> Value {
    let most = b.reduce(Reduce::Max, x, &[axis]);
    let most = b.detach(most);
    let shifted = b.sub(x, most);
    let grown = b.unary(Unary::Exp, shifted);
    let sum = b.sum(grown, &[axis]);
    b.div(grown, sum)
}

impl Layer for SelfAttention {
    fn emit(&self, e: &mut Emit, x: &[Value]) -> Value {
        let shape = e.b.shape(x[0]).to_vec();
        let (n, pixels, c) = (shape[0], shape[1] * shape[2], shape[3]);
        let flat = e.b.reshape(x[0], &[n * pixels, c]);
        let mut part = |weight: usize| {
            let size = e.b.shape(e.slots[weight])[1];
            let y = e.b.dot(flat, e.slots[weight], false, false);
            let bias = per_channel(e.b, e.slots[weight + 1], &[n * pixels, size]);
            let y = e.b.add(y, bias);
            e.b.reshape(y, &[n, pixels, size])
        };
        let (queries, keys, values) = (part(0), part(2), part(4));
        let scores = e.b.dot(queries, keys, false, true);
        let weights = softmax(e.b, scores, 2);
        let seen = e.b.dot(weights, values, false, false);
        let seen = e.b.reshape(seen, &shape);
        let gamma = e.b.splat(e.slots[6], &shape);
        let seen = e.b.mul(gamma, seen);
        e.b.add(x[0], seen)
    }
}
