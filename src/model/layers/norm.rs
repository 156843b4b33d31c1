//! Normalisations: `batch_norm` (Ioffe & Szegedy, 2015; PyTorch's `BatchNorm1d/2d`) and `layer_norm` (Ba et al., 2016).

use super::{Definition, Emit, Layer, Made, Make, Part, Slot, SlotKind, inside, per_channel, to_user};
use crate::build::program::{Init, Layout};
use crate::graph::{Builder, Unary, Value};
use crate::model::args::{Args, Default, Key, Kind};

pub const TABLE: &[Definition] = &[
    Definition {
        word: "batch_norm",
        keys: &[
            Key { name: "eps", kind: Kind::Real(1e-12, 1.0), default: Default::Number(1e-5) },
            Key { name: "momentum", kind: Kind::Real(0.0, 1.0), default: Default::Number(0.1) },
            Key { name: "affine", kind: Kind::Flag, default: Default::Flag(true) },
        ],
        make: batch_norm,
    },
    Definition {
        word: "layer_norm",
        keys: &[
            Key { name: "eps", kind: Kind::Real(1e-12, 1.0), default: Default::Number(1e-5) },
            Key { name: "affine", kind: Kind::Flag, default: Default::Flag(true) },
        ],
        make: layer_norm,
    },
];

/// Per channel, over the batch and the image. Training uses the batch's statistics (biased variance) and moves the
/// running ones (unbiased variance) by `momentum`; sampling uses the running ones.
#[derive(Debug)]
struct BatchNorm {
    statistics: Statistics,
    affine: bool,
}

/// Mean and variance per channel, of the batch while training, running ones when sampling.
#[derive(Debug)]
pub struct Statistics {
    /// Added to the variance.
    pub eps: f32,
    /// How far the running statistics move to the batch's.
    pub momentum: f64,
    /// Slot of the running mean; the running variance follows it.
    pub first: usize,
}

/// Over every axis but the batch, with one scale and shift per element: PyTorch's `LayerNorm(x.shape[1:])`.
#[derive(Debug)]
struct LayerNorm {
    eps: f32,
    affine: bool,
}

fn weight(start: f32, part: Part) -> SlotKind {
    SlotKind::Weight { part, init: Init::Constant(start) }
}

fn gain(c: usize, part: Part) -> Slot {
    Slot::plain("weight", &[c], weight(1.0, part))
}

fn shift(c: usize) -> Slot {
    Slot::plain("bias", &[c], weight(0.0, Part::Other))
}

/// A learned scale and shift per channel, where they are wanted.
pub fn affine_slots(c: usize, affine: bool) -> Vec<Slot> {
    if affine { vec![gain(c, Part::Other), shift(c)] } else { Vec::new() }
}

/// `gain*x + shift`, each `[C]`, per channel.
pub fn scale_and_shift(b: &mut Builder, x: Value, gain: Value, shift: Value) -> Value {
    let shape = b.shape(x).to_vec();
    let gain = per_channel(b, gain, &shape);
    let shift = per_channel(b, shift, &shape);
    let y = b.mul(gain, x);
    b.add(y, shift)
}

fn batch_norm(args: &Args, m: &mut Make) -> Option<Made> {
    let affine = args.flag("affine");
    let &[c, ..] = m.input else {
        return m.wrong_input("[features] or [channels, height, width]", "give it a value with a channel axis");
    };
    let mut slots = if affine { vec![gain(c, Part::BatchGain), shift(c)] } else { Vec::new() };
    let first = slots.len();
    slots.extend(Statistics::slots(c));
    let statistics = Statistics { eps: args.real("eps") as f32, momentum: args.real("momentum"), first };
    let layer = BatchNorm { statistics, affine };
    let flops = 5 * m.input.iter().product::<usize>() as u64;
    Some(Made { layer: Box::new(layer), shape: m.input.to_vec(), slots, flops })
}

fn layer_norm(args: &Args, m: &mut Make) -> Option<Made> {
    let affine = args.flag("affine");
    let user = m.input.to_vec();
    let mut slots = Vec::new();
    if affine {
        let axes = inside(&user);
        // Without the batch axis, every axis of the permutation moves down by one.
        let perm: Vec<usize> = to_user(user.len())[1..].iter().map(|p| p - 1).collect();
        let layout = Layout { shape: user.clone(), split: axes.clone(), perm };
        for (name, start) in [("weight", 1.0), ("bias", 0.0)] {
            slots.push(Slot { name, shape: axes.clone(), layout: layout.clone(), kind: weight(start, Part::Other) });
        }
    }
    let flops = 5 * user.iter().product::<usize>() as u64;
    Some(Made { layer: Box::new(LayerNorm { eps: args.real("eps") as f32, affine }), shape: user, slots, flops })
}

/// `1 / sqrt(var + eps)`
pub fn inverse_deviation(b: &mut Builder, var: Value, eps: f32) -> Value {
    let var = b.add_const(var, eps);
    let std = b.unary(Unary::Sqrt, var);
    let one = b.constant(1.0, &b.shape(var).to_vec());
    b.div(one, std)
}

impl Statistics {
    /// The running mean and variance of `c` channels.
    pub fn slots(c: usize) -> [Slot; 2] {
        let buffer = |name, start| Slot::plain(name, &[c], SlotKind::Buffer { init: Init::Constant(start) });
        [buffer("running_mean", 0.0), buffer("running_var", 1.0)]
    }

    /// `x` less its mean, and the factor that brings it to deviation 1; both broadcast together.
    pub fn emit(&self, e: &mut Emit, x: Value) -> (Value, Value) {
        let shape = e.b.shape(x).to_vec();
        let c = shape[shape.len() - 1];
        let (mean, var) = if e.training {
            let axes: Vec<usize> = (0..shape.len() - 1).collect();
            let mean = e.b.mean(x, &axes);
            let centred = e.b.sub(x, mean);
            let squares = e.b.mul(centred, centred);
            let var = e.b.mean(squares, &axes);
            let count = shape.iter().product::<usize>() / c;
            let unbiased = e.b.scale(var, count as f32 / (count.max(2) - 1) as f32);
            for (slot, now) in [(self.first, mean), (self.first + 1, unbiased)] {
                let now = e.b.reshape(now, &[c]);
                let moved = e.b.scale(now, self.momentum as f32);
                let kept = e.b.scale(e.slots[slot], (1.0 - self.momentum) as f32);
                let next = e.b.add(kept, moved);
                e.slots[slot] = e.b.detach(next);
            }
            (mean, var)
        } else {
            let row = row(&shape);
            (e.b.reshape(e.slots[self.first], &row), e.b.reshape(e.slots[self.first + 1], &row))
        };
        let scale = inverse_deviation(e.b, var, self.eps);
        (e.b.sub(x, mean), scale)
    }
}

/// The shape of one number per channel beside a value of shape `like`.
fn row(like: &[usize]) -> Vec<usize> {
    let mut row = vec![1; like.len()];
    row[like.len() - 1] = like[like.len() - 1];
    row
}

impl Layer for BatchNorm {
    fn emit(&self, e: &mut Emit, x: &[Value]) -> Value {
        let (centred, mut scale) = self.statistics.emit(e, x[0]);
        let shape = e.b.shape(x[0]).to_vec();
        if self.affine {
            let gain = e.b.reshape(e.slots[0], &row(&shape));
            scale = e.b.mul(scale, gain);
        }
        let y = e.b.mul(centred, scale);
        if !self.affine {
            return y;
        }
        let shift = per_channel(e.b, e.slots[1], &shape);
        e.b.add(y, shift)
    }

    fn mixes_batch(&self) -> bool {
        true
    }
}

impl Layer for LayerNorm {
    fn emit(&self, e: &mut Emit, x: &[Value]) -> Value {
        let x = x[0];
        let shape = e.b.shape(x).to_vec();
        let axes: Vec<usize> = (1..shape.len()).collect();
        let mean = e.b.mean(x, &axes);
        let centred = e.b.sub(x, mean);
        let squares = e.b.mul(centred, centred);
        let var = e.b.mean(squares, &axes);
        let scale = inverse_deviation(e.b, var, self.eps);
        let y = e.b.mul(centred, scale);
        if !self.affine {
            return y;
        }
        let one: Vec<usize> = [1].into_iter().chain(shape[1..].iter().copied()).collect();
        let (gain, shift) = (e.b.reshape(e.slots[0], &one), e.b.reshape(e.slots[1], &one));
        let y = e.b.mul(y, gain);
        e.b.add(y, shift)
    }
}
