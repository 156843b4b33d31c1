//! `dense`: PyTorch's `Linear`.
//!
//! Deviation: the input must be a vector `[F]`; `Linear` would apply to the last axis of any shape, which in a net of
//! images is a mistake more often than meant.

use super::weights::{self, Treatment};
use super::{Definition, Emit, Layer, Made, Make, Slot, per_channel};
use crate::graph::Value;
use crate::model::args::{Args, Default, Key, Kind};

pub const TABLE: &[Definition] = &[Definition {
    word: "dense",
    keys: &[
        Key { name: "n", kind: Kind::Whole(1, 1 << 24), default: Default::Required },
        Key { name: "bias", kind: Kind::Flag, default: Default::Flag(true) },
        weights::EQUALIZED,
        weights::GAIN,
        weights::LR_MUL,
        weights::SPECTRAL,
    ],
    make,
}];

/// `y = x W + b`, `x` `[N, in]`, `W` `[in, out]` inside, `[out, in]` in PyTorch.
#[derive(Debug)]
struct Dense {
    bias: bool,
    treatment: Treatment,
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
    let treatment = weights::treat(args, m, &mut slots, size, 0, &[0]);
    Some(Made { layer: Box::new(Dense { bias, treatment }), shape: vec![n], slots, flops: 2 * size as u64 * n as u64 })
}

impl Layer for Dense {
    fn emit(&self, e: &mut Emit, x: &[Value]) -> Value {
        let weight = self.treatment.weight(e);
        let y = e.b.dot(x[0], weight, false, false);
        if !self.bias {
            return y;
        }
        let bias = self.treatment.bias(e);
        let bias = per_channel(e.b, bias, &e.b.shape(y).to_vec());
        e.b.add(y, bias)
    }
}
