//! `conv` and `conv_t`: PyTorch's `Conv2d` and `ConvTranspose2d` on images `[C, H, W]`, `Conv1d` and `ConvTranspose1d` on
//! sequences `[C, T]` (without dilation and groups). A sequence is an image of one row inside.
//!
//! Deviation: `pad=same` goes with a stride as well; the result then has `ceil(size/stride)` places, and the odd zero stands at
//! the end.

use super::weights::{self, Treatment};
use super::{Definition, Emit, Layer, Made, Make, Slot, per_channel, show_shape};
use crate::diag::Diagnostic;
use crate::graph::Value;
use crate::model::args::{Args, Default, Key, Kind};

const SIDE: u64 = 1 << 14;

pub const TABLE: &[Definition] = &[
    Definition {
        word: "conv",
        keys: &[
            Key { name: "c", kind: Kind::Whole(1, 1 << 20), default: Default::Required },
            Key { name: "k", kind: Kind::Pair(1, SIDE), default: Default::Required },
            Key { name: "stride", kind: Kind::Pair(1, SIDE), default: Default::Number(1.0) },
            Key { name: "pad", kind: Kind::Padding(0, SIDE), default: Default::Number(0.0) },
            Key { name: "bias", kind: Kind::Flag, default: Default::Flag(true) },
            weights::EQUALIZED,
            weights::GAIN,
            weights::LR_MUL,
            weights::SPECTRAL,
        ],
        make: conv,
    },
    Definition {
        word: "conv_t",
        keys: &[
            Key { name: "c", kind: Kind::Whole(1, 1 << 20), default: Default::Required },
            Key { name: "k", kind: Kind::Pair(1, SIDE), default: Default::Required },
            Key { name: "stride", kind: Kind::Pair(1, SIDE), default: Default::Number(1.0) },
            Key { name: "pad", kind: Kind::Pair(0, SIDE), default: Default::Number(0.0) },
            Key { name: "out_pad", kind: Kind::Pair(0, SIDE), default: Default::Number(0.0) },
            Key { name: "bias", kind: Kind::Flag, default: Default::Flag(true) },
            weights::EQUALIZED,
            weights::GAIN,
            weights::LR_MUL,
            weights::SPECTRAL,
        ],
        make: conv_t,
    },
];

/// Filter `[kh, kw, in, out]` inside, `[out, in, kh, kw]` in PyTorch.
#[derive(Debug)]
struct Conv {
    stride: [usize; 2],
    pad: [usize; 2],
    small: [usize; 2],
    bias: bool,
    sequence: bool,
    treatment: Treatment,
}

/// Filter `[kh, kw, out, in]` inside, `[in, out, kh, kw]` in PyTorch.
#[derive(Debug)]
struct ConvTranspose {
    stride: [usize; 2],
    pad: [usize; 2],
    big: [usize; 2],
    bias: bool,
    sequence: bool,
    treatment: Treatment,
}

const AXES: [&str; 2] = ["rows", "columns"];

/// Channels, height and width of an image or of a sequence, and whether it is a sequence, which has height 1.
fn plane(m: &mut Make) -> Option<([usize; 3], bool)> {
    match *m.input {
        [c, t] => Some(([c, 1, t], true)),
        ref _image => Some((m.image()?, false)),
    }
}

/// The setting of both axes; along the height of a sequence it is `alone`.
fn along(setting: [usize; 2], sequence: bool, alone: usize) -> [usize; 2] {
    if sequence { [alone, setting[1]] } else { setting }
}

/// The shape of a result; a sequence has no height.
fn result(c: usize, size: [usize; 2], sequence: bool) -> Vec<usize> {
    if sequence { vec![c, size[1]] } else { vec![c, size[0], size[1]] }
}

/// A filter of inside shape `[kh, kw, a, b]`, in PyTorch `[b, a, kh, kw]`; that of a sequence has no `kh` there.
fn filter(inside: [usize; 4], sequence: bool) -> Slot {
    let [_, kw, a, b] = inside;
    if !sequence {
        return Slot::filter(&inside, &[3, 2, 0, 1]);
    }
    let slot = Slot::filter(&[kw, a, b], &[2, 1, 0]);
    Slot { shape: inside.to_vec(), ..slot }
}

fn conv(args: &Args, m: &mut Make) -> Option<Made> {
    let (c, same, bias) = (args.whole("c"), args.is_same("pad"), args.flag("bias"));
    let ([ci, h, w], sequence) = plane(m)?;
    let (k, stride) = (along(args.pair("k"), sequence, 1), along(args.pair("stride"), sequence, 1));
    let mut pad = if same { [0, 0] } else { along(args.pair("pad"), sequence, 0) };
    let big = [h, w];
    let mut small = [0; 2];
    for i in 0..2 {
        if same {
            small[i] = big[i].div_ceil(stride[i]);
            pad[i] = ((small[i] - 1) * stride[i] + k[i]).saturating_sub(big[i]) / 2;
            continue;
        }
        if pad[i] >= k[i] && pad[i] > 0 {
            m.found.push(
                Diagnostic::new("E0303", args.span("pad"), "the padding is as large as the kernel")
                    .label("the outermost results would see nothing but zeros")
                    .expected(format!("at most {} for a kernel of {}", k[i] - 1, k[i]))
                    .found(pad[i].to_string()),
            );
            return None;
        }
        let padded = big[i] + 2 * pad[i];
        if k[i] > padded {
            m.found.push(
                Diagnostic::new(
                    "E0303",
                    args.span("k"),
                    format!("the kernel of `conv` is larger than the image of shape {}", show_shape(m.input)),
                )
                .label(format!("a kernel of {} over {padded} {}", k[i], AXES[i]))
                .expected(format!("a kernel of at most {padded} ({} {}, {} of padding on each side)", big[i], AXES[i], pad[i]))
                .found(k[i].to_string())
                .hint("use a smaller kernel, more padding, or fewer strided layers before this one"),
            );
            return None;
        }
        small[i] = (padded - k[i]) / stride[i] + 1;
        let left = (padded - k[i]) % stride[i];
        if left > pad[i] {
            let unused = left - pad[i];
            let what = match unused {
                1 => format!("the last of {} {} is never looked at", big[i], AXES[i]),
                n => format!("the last {n} of {} {} are never looked at", big[i], AXES[i]),
            };
            let d = Diagnostic::new("W0502", m.span, what)
                .label(format!("({} + 2*{} - {}) is not a multiple of the stride {}", big[i], pad[i], k[i], stride[i]))
                .found(format!("an image of shape {}", show_shape(m.input)))
                .hint("choose kernel, stride and padding so that (size + 2*pad - k) is a multiple of the stride; k=4, stride=2, pad=1 halves an even size");
            if !m.found.iter().any(|d| d.code == "W0502") {
                m.found.push(d);
            }
        }
    }
    m.volume("the weight", &[k[0], k[1], ci, c])?;
    m.volume("the result", &[c, small[0], small[1]])?;
    let mut slots = vec![filter([k[0], k[1], ci, c], sequence)];
    if bias {
        slots.push(Slot::bias(c, ci * k[0] * k[1]));
    }
    let v_perm: &[usize] = if sequence { &[1, 0] } else { &[2, 0, 1] };
    let treatment = weights::treat(args, m, &mut slots, ci * k[0] * k[1], 0, v_perm);
    let flops = 2 * product(&[k[0], k[1], ci, c, small[0], small[1]]);
    let layer = Box::new(Conv { stride, pad, small, bias, sequence, treatment });
    Some(Made { layer, shape: result(c, small, sequence), slots, flops })
}

fn conv_t(args: &Args, m: &mut Make) -> Option<Made> {
    let (c, bias) = (args.whole("c"), args.flag("bias"));
    let ([ci, h, w], sequence) = plane(m)?;
    let (k, stride) = (along(args.pair("k"), sequence, 1), along(args.pair("stride"), sequence, 1));
    let (pad, out_pad) = (along(args.pair("pad"), sequence, 0), along(args.pair("out_pad"), sequence, 0));
    let mut big = [0; 2];
    for (i, small) in [h, w].into_iter().enumerate() {
        if out_pad[i] > 0 && out_pad[i] >= stride[i] {
            m.found.push(
                Diagnostic::new("E0308", args.span("out_pad"), "`out_pad` must be smaller than the stride")
                    .label("those rows would hold nothing but the bias")
                    .expected(format!("at most {}", stride[i] - 1))
                    .found(out_pad[i].to_string()),
            );
            return None;
        }
        let grown = (small - 1) * stride[i] + k[i] + out_pad[i];
        if grown <= 2 * pad[i] || pad[i] >= k[i] {
            m.found.push(
                Diagnostic::new("E0308", args.span("pad"), "the padding of `conv_t` takes too much away")
                    .label(format!("{} {} less {} on each side", grown, AXES[i], pad[i]))
                    .expected(format!("a padding of at most {}", (k[i] - 1).min((grown - 1) / 2)))
                    .found(pad[i].to_string())
                    .hint("`pad` of a transposed convolution cuts the result: size = (in - 1)*stride - 2*pad + k + out_pad"),
            );
            return None;
        }
        big[i] = grown - 2 * pad[i];
    }
    m.volume("the weight", &[k[0], k[1], ci, c])?;
    m.volume("the result", &[c, big[0], big[1]])?;
    let mut slots = vec![filter([k[0], k[1], c, ci], sequence)];
    if bias {
        slots.push(Slot::bias(c, c * k[0] * k[1]));
    }
    let v_perm: &[usize] = if sequence { &[1, 0] } else { &[2, 0, 1] };
    let treatment = weights::treat(args, m, &mut slots, ci * k[0] * k[1], 1, v_perm);
    let flops = 2 * product(&[k[0], k[1], ci, c, h, w]);
    let layer = Box::new(ConvTranspose { stride, pad, big, bias, sequence, treatment });
    Some(Made { layer, shape: result(c, big, sequence), slots, flops })
}

fn product(sizes: &[usize]) -> u64 {
    sizes.iter().fold(1u64, |a, &b| a.saturating_mul(b as u64))
}

/// A sequence `[N, T, C]` as an image of one row.
fn as_image(e: &mut Emit, x: Value, sequence: bool) -> Value {
    if !sequence {
        return x;
    }
    let s = e.b.shape(x).to_vec();
    e.b.reshape(x, &[s[0], 1, s[1], s[2]])
}

/// An image of one row as a sequence.
fn as_sequence(e: &mut Emit, y: Value, sequence: bool) -> Value {
    if !sequence {
        return y;
    }
    let s = e.b.shape(y).to_vec();
    e.b.reshape(y, &[s[0], s[2], s[3]])
}

impl Layer for Conv {
    fn emit(&self, e: &mut Emit, x: &[Value]) -> Value {
        let x = as_image(e, x[0], self.sequence);
        let weight = self.treatment.weight(e);
        let (sx, sw) = (e.b.shape(x).to_vec(), e.b.shape(weight).to_vec());
        let (n, co) = (sx[0], sw[3]);
        let whole = self.pad == [0, 0] && self.small == [1, 1] && sw[..2] == sx[1..3];
        let pointwise = self.pad == [0, 0] && self.stride == [1, 1] && sw[..2] == [1, 1];
        // A kernel that covers the whole image, or one pixel at a time, is a matrix product.
        let y = if whole || pointwise {
            let depth = sw[0] * sw[1] * sw[2];
            let rows = sx.iter().product::<usize>() / depth;
            let flat = e.b.reshape(x, &[rows, depth]);
            let filter = e.b.reshape(weight, &[depth, co]);
            let y = e.b.dot(flat, filter, false, false);
            e.b.reshape(y, &[n, self.small[0], self.small[1], co])
        } else {
            e.b.conv(x, weight, self.stride, self.pad, self.small)
        };
        let y = with_bias(e, y, self.bias, &self.treatment);
        as_sequence(e, y, self.sequence)
    }
}

impl Layer for ConvTranspose {
    fn emit(&self, e: &mut Emit, x: &[Value]) -> Value {
        let x = as_image(e, x[0], self.sequence);
        let weight = self.treatment.weight(e);
        let (sx, sw) = (e.b.shape(x).to_vec(), e.b.shape(weight).to_vec());
        let (n, ci) = (sx[0], sx[3]);
        // From a single pixel, every result is one product with the filter.
        let y = if sx[1..3] == [1, 1] && self.pad == [0, 0] && sw[..2] == self.big {
            let flat = e.b.reshape(x, &[n, ci]);
            let filter = e.b.reshape(weight, &[sw[0] * sw[1] * sw[2], ci]);
            let y = e.b.dot(flat, filter, false, true);
            e.b.reshape(y, &[n, sw[0], sw[1], sw[2]])
        } else {
            e.b.conv_transpose(x, weight, self.stride, self.pad, self.big)
        };
        let y = with_bias(e, y, self.bias, &self.treatment);
        as_sequence(e, y, self.sequence)
    }
}

fn with_bias(e: &mut Emit, y: Value, bias: bool, treatment: &Treatment) -> Value {
    if !bias {
        return y;
    }
    let bias = treatment.bias(e);
    let bias = per_channel(e.b, bias, &e.b.shape(y).to_vec());
    e.b.add(y, bias)
}
