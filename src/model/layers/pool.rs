//! Changes of resolution: `avg_pool`, `max_pool`, `global_avg_pool`, `upsample`, as in PyTorch's `AvgPool2d`
//! (`count_include_pad=True`), `MaxPool2d`, `AdaptiveAvgPool2d(1)` followed by `flatten`, and `Upsample`
//! (`align_corners=False`).

use super::{Definition, Emit, Layer, Made, Make, show_shape};
use crate::diag::Diagnostic;
use crate::graph::{Binary, Builder, Value};
use crate::model::args::{Args, Default, Key, Kind};

/// Largest window: every place in it is a primitive of its own.
const WINDOW: u64 = 32;

const KEYS: &[Key] = &[
    Key { name: "k", kind: Kind::Pair(1, WINDOW), default: Default::Required },
    Key { name: "stride", kind: Kind::Pair(1, WINDOW), default: Default::Absent },
    Key { name: "pad", kind: Kind::Pair(0, WINDOW), default: Default::Number(0.0) },
];

pub const TABLE: &[Definition] = &[
    Definition { word: "avg_pool", keys: KEYS, make: |a, m| pool(a, m, false) },
    Definition { word: "max_pool", keys: KEYS, make: |a, m| pool(a, m, true) },
    Definition { word: "global_avg_pool", keys: &[], make: global },
    Definition {
        word: "upsample",
        keys: &[
            Key { name: "factor", kind: Kind::Pair(1, 1 << 10), default: Default::Required },
            Key { name: "mode", kind: Kind::Word(&["nearest", "bilinear"]), default: Default::Word("nearest") },
        ],
        make: upsample,
    },
];

/// The mean or the largest of each window; `stride` is the window's size unless given.
#[derive(Debug)]
struct Pool {
    largest: bool,
    k: [usize; 2],
    stride: [usize; 2],
    pad: [usize; 2],
    out: [usize; 2],
}

/// The mean of each channel: `[C, H, W]` to `[C]`.
#[derive(Debug)]
struct GlobalAvgPool;

/// Every pixel repeated.
#[derive(Debug)]
struct Nearest {
    factor: [usize; 2],
}

/// Pixels between the old ones are weighted means of their two neighbours along each axis.
#[derive(Debug)]
struct Bilinear {
    factor: [usize; 2],
}

fn pool(args: &Args, m: &mut Make, largest: bool) -> Option<Made> {
    let [c, h, w] = m.image()?;
    let (k, pad) = (args.pair("k"), args.pair("pad"));
    let stride = if args.given("stride") { args.pair("stride") } else { k };
    let mut out = [0; 2];
    for (i, size) in [h, w].into_iter().enumerate() {
        if 2 * pad[i] > k[i] {
            m.found.push(
                Diagnostic::new("E0303", args.span("pad"), format!("the padding of `{}` is more than half the window", m.word))
                    .label("a window could lie outside the image")
                    .expected(format!("at most {}", k[i] / 2))
                    .found(pad[i].to_string()),
            );
            return None;
        }
        if k[i] > size + 2 * pad[i] {
            let text = format!("the window of `{}` is larger than the image of shape {}", m.word, show_shape(m.input));
            m.found.push(
                Diagnostic::new("E0303", args.span("k"), text)
                    .label(format!("a window of {} over {}", k[i], size + 2 * pad[i]))
                    .expected(format!("at most {}", size + 2 * pad[i]))
                    .found(k[i].to_string()),
            );
            return None;
        }
        out[i] = (size + 2 * pad[i] - k[i]) / stride[i] + 1;
    }
    let flops = (c * out[0] * out[1] * k[0] * k[1]) as u64;
    Some(Made { flops, ..Made::plain(Pool { largest, k, stride, pad, out }, vec![c, out[0], out[1]]) })
}

fn global(_: &Args, m: &mut Make) -> Option<Made> {
    let [c, h, w] = m.image()?;
    Some(Made { flops: (c * h * w) as u64, ..Made::plain(GlobalAvgPool, vec![c]) })
}

fn upsample(args: &Args, m: &mut Make) -> Option<Made> {
    let [c, h, w] = m.image()?;
    let factor = args.pair("factor");
    let shape = vec![c, h * factor[0], w * factor[1]];
    m.volume("the result", &shape)?;
    if args.word("mode") == "nearest" {
        return Some(Made { flops: 0, ..Made::plain(Nearest { factor }, shape) });
    }
    // The interpolation matrices are constants of the graph.
    for (size, f) in [(h, factor[0]), (w, factor[1])] {
        if size * f > 1 << 12 {
            m.found.push(
                Diagnostic::new("E0309", m.span, "bilinear `upsample` to this size is too large")
                    .expected("at most 4096 rows and columns")
                    .found(show_shape(&shape)),
            );
            return None;
        }
    }
    let flops = 2 * c * h * w * factor[0] * (h + w * factor[1]);
    Some(Made { flops: flops as u64, ..Made::plain(Bilinear { factor }, shape) })
}

impl Layer for Pool {
    fn emit(&self, e: &mut Emit, x: &[Value]) -> Value {
        let b = &mut *e.b;
        let shape = b.shape(x[0]).to_vec();
        let (n, c) = (shape[0], shape[3]);
        let [oh, ow] = self.out;
        let [kh, kw] = self.k;
        if !self.largest && self.pad == [0, 0] && self.stride == self.k {
            // Windows that tile the image: split both axes and take the mean of the inner ones.
            let used = b.slice(x[0], &[0; 4], &[1; 4], &[n, oh * kh, ow * kw, c]);
            let tiles = b.reshape(used, &[n, oh, kh, ow, kw, c]);
            let mean = b.mean(tiles, &[2, 4]);
            return b.reshape(mean, &[n, oh, ow, c]);
        }
        let padded = if self.largest { pad_low(b, x[0], self.pad) } else { pad_zero(b, x[0], self.pad) };
        let mut result: Option<Value> = None;
        for dy in 0..kh {
            for dx in 0..kw {
                let at = b.slice(padded, &[0, dy, dx, 0], &[1, self.stride[0], self.stride[1], 1], &[n, oh, ow, c]);
                result = Some(match result {
                    None => at,
                    // On a tie the first in reading order stays, and alone receives the gradient.
                    Some(best) if self.largest => {
                        let keeps = b.binary(Binary::Le, at, best);
                        b.select(keeps, best, at)
                    }
                    Some(sum) => b.add(sum, at),
                });
            }
        }
        let Some(result) = result else { return x[0] };
        if self.largest { result } else { b.scale(result, 1.0 / (kh * kw) as f32) }
    }
}

fn pad_zero(b: &mut Builder, x: Value, pad: [usize; 2]) -> Value {
    let s = b.shape(x).to_vec();
    b.pad(x, &[0, pad[0], pad[1], 0], &[1; 4], &[s[0], s[1] + 2 * pad[0], s[2] + 2 * pad[1], s[3]])
}

/// Pads with a number that is never the largest.
fn pad_low(b: &mut Builder, x: Value, pad: [usize; 2]) -> Value {
    if pad == [0, 0] {
        return x;
    }
    let padded = pad_zero(b, x, pad);
    let shape = b.shape(padded).to_vec();
    let ones = b.constant(1.0, &[1, b.shape(x)[1], b.shape(x)[2], 1]);
    let is_image = pad_zero(b, ones, pad);
    let is_image = b.broadcast(is_image, &shape);
    let low = b.constant(f32::MIN, &shape);
    b.select(is_image, padded, low)
}

impl Layer for GlobalAvgPool {
    fn emit(&self, e: &mut Emit, x: &[Value]) -> Value {
        let shape = e.b.shape(x[0]).to_vec();
        let mean = e.b.mean(x[0], &[1, 2]);
        e.b.reshape(mean, &[shape[0], shape[3]])
    }
}

impl Layer for Nearest {
    fn emit(&self, e: &mut Emit, x: &[Value]) -> Value {
        let s = e.b.shape(x[0]).to_vec();
        let [fh, fw] = self.factor;
        let split = e.b.reshape(x[0], &[s[0], s[1], 1, s[2], 1, s[3]]);
        let repeated = e.b.broadcast(split, &[s[0], s[1], fh, s[2], fw, s[3]]);
        e.b.reshape(repeated, &[s[0], s[1] * fh, s[2] * fw, s[3]])
    }
}

impl Layer for Bilinear {
    fn emit(&self, e: &mut Emit, x: &[Value]) -> Value {
        let b = &mut *e.b;
        let s = b.shape(x[0]).to_vec();
        let (n, h, w, c) = (s[0], s[1], s[2], s[3]);
        let [fh, fw] = self.factor;
        // Rows first: [H, N*W*C] under the matrix, then columns: [W, fH*N*C].
        let rows = b.transpose(x[0], &[1, 0, 2, 3]);
        let rows = b.reshape(rows, &[h, n * w * c]);
        let up = b.literal(interpolation(h, fh), &[h * fh, h]);
        let rows = b.dot(up, rows, false, false);
        let rows = b.reshape(rows, &[h * fh, n, w, c]);
        let columns = b.transpose(rows, &[2, 0, 1, 3]);
        let columns = b.reshape(columns, &[w, h * fh * n * c]);
        let across = b.literal(interpolation(w, fw), &[w * fw, w]);
        let columns = b.dot(across, columns, false, false);
        let columns = b.reshape(columns, &[w * fw, h * fh, n, c]);
        b.transpose(columns, &[2, 1, 0, 3])
    }
}

/// Row-major `[size*factor, size]`: row `i` holds the weights of the old pixels in the new pixel `i`, whose centre lies at
/// `(i + 0.5)/factor - 0.5`, clamped at the first pixel (`align_corners=False`).
fn interpolation(size: usize, factor: usize) -> Vec<f32> {
    let mut matrix = vec![0.0; size * factor * size];
    for i in 0..size * factor {
        let centre = ((i as f64 + 0.5) / factor as f64 - 0.5).max(0.0);
        let low = (centre.floor() as usize).min(size - 1);
        let high = (low + 1).min(size - 1);
        let part = centre - low as f64;
        matrix[i * size + low] += (1.0 - part) as f32;
        matrix[i * size + high] += part as f32;
    }
    matrix
}
