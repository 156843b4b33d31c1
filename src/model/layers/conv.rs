//! `conv` and `conv_t`: PyTorch's `Conv2d` and `ConvTranspose2d` (without dilation and groups).

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
            Key { name: "pad", kind: Kind::Pair(0, SIDE), default: Default::Number(0.0) },
            Key { name: "bias", kind: Kind::Flag, default: Default::Flag(true) },
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
}

/// Filter `[kh, kw, out, in]` inside, `[in, out, kh, kw]` in PyTorch.
#[derive(Debug)]
struct ConvTranspose {
    stride: [usize; 2],
    pad: [usize; 2],
    big: [usize; 2],
    bias: bool,
}

const AXES: [&str; 2] = ["rows", "columns"];

fn conv(args: &Args, m: &mut Make) -> Option<Made> {
    let (c, k, stride, pad, bias) = (args.whole("c"), args.pair("k"), args.pair("stride"), args.pair("pad"), args.flag("bias"));
    let [ci, h, w] = m.image()?;
    let big = [h, w];
    let mut small = [0; 2];
    for i in 0..2 {
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
    let mut slots = vec![Slot::filter(&[k[0], k[1], ci, c], &[3, 2, 0, 1])];
    if bias {
        slots.push(Slot::bias(c, ci * k[0] * k[1]));
    }
    let flops = 2 * product(&[k[0], k[1], ci, c, small[0], small[1]]);
    Some(Made { layer: Box::new(Conv { stride, pad, small, bias }), shape: vec![c, small[0], small[1]], slots, flops })
}

fn conv_t(args: &Args, m: &mut Make) -> Option<Made> {
    let (c, k, stride, pad, bias) = (args.whole("c"), args.pair("k"), args.pair("stride"), args.pair("pad"), args.flag("bias"));
    let out_pad = args.pair("out_pad");
    let [ci, h, w] = m.image()?;
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
    let mut slots = vec![Slot::filter(&[k[0], k[1], c, ci], &[3, 2, 0, 1])];
    if bias {
        slots.push(Slot::bias(c, c * k[0] * k[1]));
    }
    let flops = 2 * product(&[k[0], k[1], ci, c, h, w]);
    Some(Made { layer: Box::new(ConvTranspose { stride, pad, big, bias }), shape: vec![c, big[0], big[1]], slots, flops })
}

fn product(sizes: &[usize]) -> u64 {
    sizes.iter().fold(1u64, |a, &b| a.saturating_mul(b as u64))
}

impl Layer for Conv {
    fn emit(&self, e: &mut Emit, x: &[Value]) -> Value {
        let x = x[0];
        let (sx, sw) = (e.b.shape(x).to_vec(), e.b.shape(e.slots[0]).to_vec());
        let (n, co) = (sx[0], sw[3]);
        let whole = self.pad == [0, 0] && self.small == [1, 1] && sw[..2] == sx[1..3];
        let pointwise = self.pad == [0, 0] && self.stride == [1, 1] && sw[..2] == [1, 1];
        // A kernel that covers the whole image, or one pixel at a time, is a matrix product.
        let y = if whole || pointwise {
            let depth = sw[0] * sw[1] * sw[2];
            let rows = sx.iter().product::<usize>() / depth;
            let flat = e.b.reshape(x, &[rows, depth]);
            let filter = e.b.reshape(e.slots[0], &[depth, co]);
            let y = e.b.dot(flat, filter, false, false);
            e.b.reshape(y, &[n, self.small[0], self.small[1], co])
        } else {
            e.b.conv(x, e.slots[0], self.stride, self.pad, self.small)
        };
        with_bias(e, y, self.bias)
    }
}

impl Layer for ConvTranspose {
    fn emit(&self, e: &mut Emit, x: &[Value]) -> Value {
        let x = x[0];
        let (sx, sw) = (e.b.shape(x).to_vec(), e.b.shape(e.slots[0]).to_vec());
        let (n, ci) = (sx[0], sx[3]);
        // From a single pixel, every result is one product with the filter.
        let y = if sx[1..3] == [1, 1] && self.pad == [0, 0] && sw[..2] == self.big {
            let flat = e.b.reshape(x, &[n, ci]);
            let filter = e.b.reshape(e.slots[0], &[sw[0] * sw[1] * sw[2], ci]);
            let y = e.b.dot(flat, filter, false, true);
            e.b.reshape(y, &[n, sw[0], sw[1], sw[2]])
        } else {
            e.b.conv_transpose(x, e.slots[0], self.stride, self.pad, self.big)
        };
        with_bias(e, y, self.bias)
    }
}

fn with_bias(e: &mut Emit, y: Value, bias: bool) -> Value {
    if !bias {
        return y;
    }
    let bias = per_channel(e.b, e.slots[1], &e.b.shape(y).to_vec());
    e.b.add(y, bias)
}
