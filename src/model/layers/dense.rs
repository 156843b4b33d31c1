//! `dense`: PyTorch's `Linear`.
//!
//! Deviation: the input must be a vector `[F]`; `Linear` would apply to the last axis of any shape, which in a net of
//! images is a mistake more often than meant.

use super::{Definition, Emit, Layer, Made, Make, Slot, per_channel};
use crate::graph::Value;
use crate::model::args::{Args, Default, Key, Kind};

pub const TABLE: &[Definition] = &[Definition {
    word: "dense",
    keys: &[
        Key { name: "n", kind: Kind::Whole(1, 1 << 24), default: Default::Required },
        Key { name: "bias", kind: Kind::Flag, default: Default::Flag(true) },
    ],
    make,
}];

/// `y = x W + b`, `x` `[N, in]`, `W` `[in, out]` inside, `[out, in]` in PyTorch.
#[derive(Debug)]
struct Dense {
    bias: bool,
}

fn make(args: &Args, m: &mut Make) -> Option<Made> {
    let (n, bias) = (args.whole("n"), args.flag("bias"));
    let &[size] = m.input else {
        return m.wrong_input("a vector: [features]", "put `flatten` in front of it");
    };
    m.volume("the weight", &[size, n])?;
    let mut slots = vec![Slot::filter(&[size, n], &[1, 0])];
    if bias {
        slots.push(Slot::bias(n, size));
    }
    Some(Made { layer: Box::new(Dense { bias }), shape: vec![n], slots, flops: 2 * size as u64 * n as u64 })
}

impl Layer for Dense {
    fn emit(&self, e: &mut Emit, x: &[Value]) -> Value {
        let y = e.b.dot(x[0], e.slots[0], false, false);
        if !self.bias {
            return y;
        }
        let bias = per_channel(e.b, e.slots[1], &e.b.shape(y).to_vec());
        e.b.add(y, bias)
    }
}
