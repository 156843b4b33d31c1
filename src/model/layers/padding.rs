//! Borders made of the image itself: `reflect_pad` and `replication_pad`, as PyTorch's `ReflectionPad1d/2d` and
//! `ReplicationPad1d/2d`.

use super::{Definition, Emit, Layer, Made, Make};
use crate::diag::Diagnostic;
use crate::graph::{Builder, Value};
use crate::model::args::{Args, Default, Key, Kind};

/// Widest border: every line of it is a primitive of its own.
const WIDEST: u64 = 64;
const KEYS: &[Key] = &[Key { name: "pad", kind: Kind::Whole(0, WIDEST), default: Default::Required }];

pub const TABLE: &[Definition] = &[
    Definition { word: "reflect_pad", keys: KEYS, make: |a, m| make(a, m, true) },
    Definition { word: "replication_pad", keys: KEYS, make: |a, m| make(a, m, false) },
];

/// `pad` lines on each side: mirrored at the border line, which is not repeated, or copies of the border line.
#[derive(Debug)]
struct Border {
    pad: usize,
    mirrored: bool,
}

fn make(args: &Args, m: &mut Make, mirrored: bool) -> Option<Made> {
    let pad = args.whole("pad");
    let [c, sizes @ ..] = m.input else { return None };
    if !(1..=2).contains(&sizes.len()) {
        return m.wrong_input("an image [channels, height, width] or a sequence [channels, time]", "reshape it first");
    }
    let least = sizes.iter().copied().min().unwrap_or(0);
    if mirrored && pad >= least {
        m.found.push(
            Diagnostic::new("E0303", args.span("pad"), "the border is wider than what could be mirrored")
                .label(format!("{pad} lines out of {least}"))
                .expected(format!("at most {}", least - 1))
                .found(pad.to_string()),
        );
        return None;
    }
    let shape: Vec<usize> = [*c].into_iter().chain(sizes.iter().map(|n| n + 2 * pad)).collect();
    m.volume("the result", &shape)?;
    Some(Made { flops: 0, ..Made::plain(Border { pad, mirrored }, shape) })
}

impl Border {
    fn along(&self, b: &mut Builder, x: Value, axis: usize) -> Value {
        let (pad, size) = (self.pad, b.shape(x)[axis]);
        let mut parts = Vec::with_capacity(2 * pad + 1);
        for i in (1..=pad).rev() {
            parts.push(b.slice_axis(x, axis, if self.mirrored { i } else { 0 }, 1));
        }
        parts.push(x);
        for i in 1..=pad {
            parts.push(b.slice_axis(x, axis, if self.mirrored { size - 1 - i } else { size - 1 }, 1));
        }
        b.concat(axis, &parts)
    }
}

impl Layer for Border {
    fn emit(&self, e: &mut Emit, x: &[Value]) -> Value {
        (1..e.b.shape(x[0]).len() - 1).fold(x[0], |x, axis| self.along(e.b, x, axis))
    }
}
