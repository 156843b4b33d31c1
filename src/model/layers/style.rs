//! StyleGAN's layers (Karras et al., 2019): `const`, `noise_inject`, `bias`, `adain`, `blur`, and the minibatch standard
//! deviation of its discriminator (Karras et al., 2018, section 3).

use super::instance::{places, standardise};
use super::{Definition, Draw, Emit, Layer, Made, Make, Part, Slot, SlotKind, inside, per_channel, to_user};
use crate::build::program::{Init, Layout};
use crate::graph::{Builder, Unary, Value};
use crate::model::args::{Args, Default, Key, Kind};

pub const TABLE: &[Definition] = &[
    Definition { word: "const", keys: &[Key { name: "sizes", kind: Kind::Sizes, default: Default::Required }], make: learned },
    Definition { word: "noise_inject", keys: &[], make: noise_inject },
    Definition { word: "bias", keys: &[], make: bias },
    Definition {
        word: "adain",
        keys: &[
            Key { name: "w", kind: Kind::Tensors, default: Default::Required },
            Key { name: "eps", kind: Kind::Real(1e-12, 1.0), default: Default::Number(1e-8) },
        ],
        make: adain,
    },
    Definition { word: "blur", keys: &[], make: blur },
    Definition {
        word: "minibatch_stddev",
        keys: &[Key { name: "group", kind: Kind::Whole(2, 1 << 16), default: Default::Number(4.0) }],
        make: minibatch_stddev,
    },
];

/// A learned tensor, the same for every sample, whatever flows in. Starts normal, as in StyleGAN2: the ones of the first paper have no
/// variance over the image, so that an `adain` behind them sees nothing but the noise.
#[derive(Debug)]
struct Const;

/// One normal number per pixel, scaled by a learned factor per channel that starts at 0; drawn anew for every call, also when
/// sampling.
#[derive(Debug)]
struct NoiseInject;

/// A learned number per channel that starts at 0.
#[derive(Debug)]
struct Bias;

/// Every channel standardised over the image, then scaled by `1 + s` and shifted by `t`, both affine in the style `w`
/// (Karras et al., 2019, equation 1; Huang & Belongie, 2017). The affine map has the equalized learning rate with gain 1, as in
/// the reference code.
#[derive(Debug)]
struct Adain {
    eps: f32,
}

/// Each pixel averaged with its neighbours: 1 2 1 along both axes, zeros outside.
#[derive(Debug)]
struct Blur;

/// A channel with the mean deviation within groups of samples, so that the discriminator sees a lack of variety. Where the group does
/// not divide the batch, the largest smaller one that does is taken.
#[derive(Debug)]
struct MinibatchStddev {
    group: usize,
}

fn zeros(name: &'static str, c: usize) -> Slot {
    Slot::plain(name, &[c], SlotKind::Weight { part: Part::Other, init: Init::Constant(0.0) })
}

fn learned(args: &Args, m: &mut Make) -> Option<Made> {
    let shape = args.sizes("sizes").to_vec();
    m.volume("the constant", &shape)?;
    let axes = inside(&shape);
    // Without the batch axis, every axis of the permutation moves down by one.
    let perm: Vec<usize> = to_user(shape.len())[1..].iter().map(|p| p - 1).collect();
    let layout = Layout { shape: shape.clone(), split: axes.clone(), perm };
    let kind = SlotKind::Weight { part: Part::Other, init: Init::Normal(0.0, 1.0) };
    let slots = vec![Slot { name: "weight", shape: axes, layout, kind }];
    Some(Made { slots, flops: 0, ..Made::plain(Const, shape) })
}

fn noise_inject(_: &Args, m: &mut Make) -> Option<Made> {
    let [c, _, _] = m.image()?;
    Some(Made { slots: vec![zeros("weight", c)], ..Made::plain(NoiseInject, m.input.to_vec()) })
}

fn bias(_: &Args, m: &mut Make) -> Option<Made> {
    let &[c, ..] = m.input else { return None };
    Some(Made { slots: vec![zeros("bias", c)], ..Made::plain(Bias, m.input.to_vec()) })
}

fn adain(args: &Args, m: &mut Make) -> Option<Made> {
    let [c, h, w] = m.image()?;
    let [(_, style)] = args.tensors("w") else {
        return m.wrong_input("one style: `adain(w)`", "give it one vector");
    };
    let &[size] = &style[..] else {
        return m.wrong_input("a style that is a vector", "give it the output of the mapping network");
    };
    m.volume("the weight", &[size, 2 * c])?;
    let normal = SlotKind::Weight { part: Part::Other, init: Init::Normal(0.0, 1.0) };
    let slots = vec![Slot { kind: normal, ..Slot::filter(&[size, 2 * c], &[1, 0]) }, zeros("bias", 2 * c)];
    let flops = (4 * size * c + 7 * c * h * w) as u64;
    Some(Made { slots, flops, ..Made::plain(Adain { eps: args.real("eps") as f32 }, m.input.to_vec()) })
}

fn blur(_: &Args, m: &mut Make) -> Option<Made> {
    let shape = m.image()?.to_vec();
    Some(Made { flops: 6 * shape.iter().product::<usize>() as u64, ..Made::plain(Blur, shape) })
}

fn minibatch_stddev(args: &Args, m: &mut Make) -> Option<Made> {
    let [c, h, w] = m.image()?;
    Some(Made::plain(MinibatchStddev { group: args.whole("group") }, vec![c + 1, h, w]))
}

impl Layer for Const {
    fn emit(&self, e: &mut Emit, x: &[Value]) -> Value {
        let batch = e.b.shape(x[0])[0];
        let shape = e.b.shape(e.slots[0]).to_vec();
        let one = e.b.reshape(e.slots[0], &[&[1], &shape[..]].concat());
        e.b.broadcast(one, &[&[batch], &shape[..]].concat())
    }
}

impl Layer for NoiseInject {
    fn emit(&self, e: &mut Emit, x: &[Value]) -> Value {
        let shape = e.b.shape(x[0]).to_vec();
        let noise = (e.draw)(e.b, &[shape[0], shape[1], shape[2], 1], Draw::Normal);
        let factor = per_channel(e.b, e.slots[0], &shape);
        let noise = e.b.mul(factor, noise);
        e.b.add(x[0], noise)
    }
}

impl Layer for Bias {
    fn emit(&self, e: &mut Emit, x: &[Value]) -> Value {
        let shift = per_channel(e.b, e.slots[0], &e.b.shape(x[0]).to_vec());
        e.b.add(x[0], shift)
    }
}

impl Layer for Adain {
    fn emit(&self, e: &mut Emit, x: &[Value]) -> Value {
        let (x, style) = (x[0], x[1]);
        let shape = e.b.shape(x).to_vec();
        let (n, c) = (shape[0], shape[3]);
        let size = e.b.shape(style)[1];
        let weight = e.b.scale(e.slots[0], 1.0 / (size as f32).sqrt());
        let affine = e.b.dot(style, weight, false, false);
        let bias = per_channel(e.b, e.slots[1], &[n, 2 * c]);
        let affine = e.b.add(affine, bias);
        let mut part = |k: usize| {
            let half = e.b.slice_axis(affine, 1, k * c, c);
            e.b.reshape(half, &[n, 1, 1, c])
        };
        let (scale, shift) = (part(0), part(1));
        let axes = places(e.b, x);
        let y = standardise(e.b, x, &axes, self.eps);
        let scale = e.b.add_const(scale, 1.0);
        let y = e.b.mul(y, scale);
        e.b.add(y, shift)
    }
}

/// `(x[i-1] + 2 x[i] + x[i+1]) / 4` along `axis`, zeros outside.
fn smooth(b: &mut Builder, x: Value, axis: usize) -> Value {
    let shape = b.shape(x).to_vec();
    let (mut wide, mut low) = (shape.clone(), vec![0; shape.len()]);
    wide[axis] += 2;
    low[axis] = 1;
    let padded = b.pad(x, &low, &vec![1; shape.len()], &wide);
    let (before, after) = (b.slice_axis(padded, axis, 0, shape[axis]), b.slice_axis(padded, axis, 2, shape[axis]));
    let sides = b.add(before, after);
    let sides = b.scale(sides, 0.25);
    let middle = b.scale(x, 0.5);
    b.add(sides, middle)
}

impl Layer for Blur {
    fn emit(&self, e: &mut Emit, x: &[Value]) -> Value {
        let rows = smooth(e.b, x[0], 1);
        smooth(e.b, rows, 2)
    }
}

impl Layer for MinibatchStddev {
    fn emit(&self, e: &mut Emit, x: &[Value]) -> Value {
        let shape = e.b.shape(x[0]).to_vec();
        let (n, rest) = (shape[0], shape[1..].iter().product::<usize>());
        let group = (1..=self.group.min(n)).rev().find(|g| n % g == 0).unwrap_or(1);
        let others = n / group;
        let grouped = e.b.reshape(x[0], &[group, others, rest]);
        let mean = e.b.mean(grouped, &[0]);
        let centred = e.b.sub(grouped, mean);
        let squares = e.b.mul(centred, centred);
        let var = e.b.mean(squares, &[0]);
        let var = e.b.add_const(var, 1e-8);
        let deviation = e.b.unary(Unary::Sqrt, var);
        let deviation = e.b.mean(deviation, &[2]);
        let each = e.b.broadcast(deviation, &[group, others, 1]);
        let each = e.b.reshape(each, &[n, 1, 1, 1]);
        let channel = e.b.broadcast(each, &[n, shape[1], shape[2], 1]);
        e.b.concat(3, &[x[0], channel])
    }
}
