//! Normalisations within one sample: `instance_norm` (Ulyanov et al., 2016; PyTorch's `InstanceNorm1d/2d`), `group_norm`
//! (Wu & He, 2018; `GroupNorm`) and `pixel_norm` (Karras et al., 2018, section 4.2).

use super::norm::{affine_slots, inverse_deviation, scale_and_shift};
use super::{Definition, Emit, Layer, Made, Make};
use crate::diag::Diagnostic;
use crate::graph::{Builder, Unary, Value};
use crate::model::args::{Args, Default, Key, Kind};

const SMALL: Kind = Kind::Real(1e-12, 1.0);

pub const TABLE: &[Definition] = &[
    Definition {
        word: "instance_norm",
        keys: &[
            Key { name: "eps", kind: SMALL, default: Default::Number(1e-5) },
            Key { name: "affine", kind: Kind::Flag, default: Default::Flag(false) },
        ],
        make: instance_norm,
    },
    Definition {
        word: "group_norm",
        keys: &[
            Key { name: "groups", kind: Kind::Whole(1, 1 << 20), default: Default::Required },
            Key { name: "eps", kind: SMALL, default: Default::Number(1e-5) },
            Key { name: "affine", kind: Kind::Flag, default: Default::Flag(true) },
        ],
        make: group_norm,
    },
    Definition {
        word: "pixel_norm",
        keys: &[Key { name: "eps", kind: SMALL, default: Default::Number(1e-8) }],
        make: |a, m| Some(Made::plain(PixelNorm { eps: a.real("eps") as f32 }, m.input.to_vec())),
    },
];

/// Per sample and channel, over the image or sequence; the same when sampling (PyTorch's `track_running_stats=False`).
#[derive(Debug)]
struct InstanceNorm {
    eps: f32,
    affine: bool,
}

/// Per sample and group of neighbouring channels, over those channels and the image.
#[derive(Debug)]
struct GroupNorm {
    groups: usize,
    eps: f32,
    affine: bool,
}

/// Every pixel's vector of channels, or a feature vector, is scaled to a mean square of 1.
#[derive(Debug)]
struct PixelNorm {
    eps: f32,
}

fn instance_norm(args: &Args, m: &mut Make) -> Option<Made> {
    let [c, rest @ ..] = m.input else { return None };
    if rest.is_empty() {
        return m.wrong_input(
            "an image [channels, height, width] or a sequence [channels, time]",
            "a vector has one value per channel, which would always become 0; use `layer_norm`",
        );
    }
    if rest.iter().product::<usize>() == 1 {
        m.found.push(
            Diagnostic::new("E0310", m.span, "`instance_norm` would normalise over a single value")
                .label("one pixel per channel")
                .expected("at least two values per channel")
                .hint("leave it out here; its result would always be 0"),
        );
        return None;
    }
    let affine = args.flag("affine");
    let slots = affine_slots(*c, affine);
    let flops = 5 * m.input.iter().product::<usize>() as u64;
    let layer = InstanceNorm { eps: args.real("eps") as f32, affine };
    Some(Made { slots, flops, ..Made::plain(layer, m.input.to_vec()) })
}

fn group_norm(args: &Args, m: &mut Make) -> Option<Made> {
    let (groups, affine) = (args.whole("groups"), args.flag("affine"));
    let Some(&c) = m.input.first() else { return None };
    if c % groups != 0 {
        m.found.push(
            Diagnostic::new("E0308", args.span("groups"), format!("{c} channels cannot be split into {groups} groups"))
                .expected(format!("a divisor of {c}"))
                .found(groups.to_string()),
        );
        return None;
    }
    let slots = affine_slots(c, affine);
    let flops = 5 * m.input.iter().product::<usize>() as u64;
    let layer = GroupNorm { groups, eps: args.real("eps") as f32, affine };
    Some(Made { slots, flops, ..Made::plain(layer, m.input.to_vec()) })
}

/// `x` with mean 0 and deviation 1 over `axes`.
pub fn standardise(b: &mut Builder, x: Value, axes: &[usize], eps: f32) -> Value {
    let mean = b.mean(x, axes);
    let centred = b.sub(x, mean);
    let squares = b.mul(centred, centred);
    let var = b.mean(squares, axes);
    let scale = inverse_deviation(b, var, eps);
    b.mul(centred, scale)
}

/// The axes of an image or sequence between batch and channels.
pub fn places(b: &Builder, x: Value) -> Vec<usize> {
    (1..b.shape(x).len() - 1).collect()
}

impl Layer for InstanceNorm {
    fn emit(&self, e: &mut Emit, x: &[Value]) -> Value {
        let axes = places(e.b, x[0]);
        let y = standardise(e.b, x[0], &axes, self.eps);
        if self.affine { scale_and_shift(e.b, y, e.slots[0], e.slots[1]) } else { y }
    }
}

impl Layer for GroupNorm {
    fn emit(&self, e: &mut Emit, x: &[Value]) -> Value {
        let shape = e.b.shape(x[0]).to_vec();
        let (n, c) = (shape[0], shape[shape.len() - 1]);
        let pixels = shape.iter().product::<usize>() / (n * c);
        let grouped = e.b.reshape(x[0], &[n, pixels, self.groups, c / self.groups]);
        let y = standardise(e.b, grouped, &[1, 3], self.eps);
        let y = e.b.reshape(y, &shape);
        if self.affine { scale_and_shift(e.b, y, e.slots[0], e.slots[1]) } else { y }
    }
}

impl Layer for PixelNorm {
    fn emit(&self, e: &mut Emit, x: &[Value]) -> Value {
        let channels = e.b.shape(x[0]).len() - 1;
        let squares = e.b.mul(x[0], x[0]);
        let mean = e.b.mean(squares, &[channels]);
        let mean = e.b.add_const(mean, self.eps);
        let root = e.b.unary(Unary::Sqrt, mean);
        e.b.div(x[0], root)
    }
}
