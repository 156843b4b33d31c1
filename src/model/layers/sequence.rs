//! Layers that part or rearrange channels: `glu`, `split`, `tile`, `pixel_shuffle`.

use super::{Definition, Emit, Layer, Made, Make};
use crate::diag::Diagnostic;
use crate::graph::{Shape, Unary, Value};
use crate::model::args::{Args, Default, Key, Kind};

const PARTS: Kind = Kind::Whole(1, 1 << 16);

pub const TABLE: &[Definition] = &[
    Definition { word: "glu", keys: &[], make: glu },
    Definition {
        word: "split",
        keys: &[
            Key { name: "parts", kind: PARTS, default: Default::Required },
            Key { name: "part", kind: Kind::Whole(0, 1 << 16), default: Default::Required },
        ],
        make: split,
    },
    Definition {
        word: "tile",
        keys: &[
            Key { name: "h", kind: PARTS, default: Default::Required },
            Key { name: "w", kind: PARTS, default: Default::Absent },
        ],
        make: tile,
    },
    Definition {
        word: "pixel_shuffle",
        keys: &[Key { name: "factor", kind: Kind::Whole(1, 64), default: Default::Required }],
        make: pixel_shuffle,
    },
];

/// The first half of the channels, gated by the sigmoid of the second (Dauphin et al., 2017; PyTorch's `GLU(dim=1)`).
#[derive(Debug)]
struct Glu;

/// One of equal parts of the channels, counted from 0 (PyTorch's `chunk`).
#[derive(Debug)]
struct Split {
    parts: usize,
    part: usize,
}

/// A vector at every place of an image, `[C]` to `[C, h, w]`, or of a sequence, `[C, t]`.
#[derive(Debug)]
struct Tile {
    places: Shape,
}

/// `[C*r*r, H, W]` to `[C, H*r, W*r]` (Shi et al., 2016; PyTorch's `PixelShuffle`), `[C*r, T]` to `[C, T*r]`.
#[derive(Debug)]
struct PixelShuffle {
    factor: usize,
}

/// The channels divided by `parts`, or a complaint.
fn share(m: &mut Make, parts: usize) -> Option<Shape> {
    let mut shape = m.input.to_vec();
    let Some(c) = shape.first_mut() else { return None };
    if *c % parts != 0 {
        let word = m.word;
        let d = Diagnostic::new("E0302", m.span, format!("`{word}` cannot divide {c} channels by {parts}"))
            .label(format!("{c} channels flow in"))
            .expected(format!("a number of channels that {parts} divides"))
            .found(c.to_string());
        m.found.push(d.hint("change the number of channels of the layer before"));
        return None;
    }
    *c /= parts;
    Some(shape)
}

fn glu(_: &Args, m: &mut Make) -> Option<Made> {
    let shape = share(m, 2)?;
    Some(Made::plain(Glu, shape))
}

fn split(args: &Args, m: &mut Make) -> Option<Made> {
    let (parts, part) = (args.whole("parts"), args.whole("part"));
    if part >= parts {
        m.found.push(
            Diagnostic::new("E0206", args.span("part"), format!("there is no part {part} of {parts}"))
                .expected(format!("a whole number from 0 to {}", parts - 1))
                .found(part.to_string()),
        );
        return None;
    }
    let shape = share(m, parts)?;
    Some(Made { flops: 0, ..Made::plain(Split { parts, part }, shape) })
}

fn tile(args: &Args, m: &mut Make) -> Option<Made> {
    let &[c] = m.input else {
        return m.wrong_input("a vector: [features]", "`tile` repeats a vector at every place of an image");
    };
    let mut places = vec![args.whole("h")];
    if args.given("w") {
        places.push(args.whole("w"));
    }
    let shape: Shape = [c].into_iter().chain(places.iter().copied()).collect();
    m.volume("the result", &shape)?;
    Some(Made { flops: 0, ..Made::plain(Tile { places }, shape) })
}

fn pixel_shuffle(args: &Args, m: &mut Make) -> Option<Made> {
    let factor = args.whole("factor");
    let axes = m.input.len().saturating_sub(1);
    if !(1..=2).contains(&axes) {
        return m.wrong_input("an image [channels, height, width] or a sequence [channels, time]", "reshape it first");
    }
    let mut shape = share(m, factor.pow(axes as u32))?;
    shape[1..].iter_mut().for_each(|n| *n *= factor);
    Some(Made { flops: 0, ..Made::plain(PixelShuffle { factor }, shape) })
}

/// Part `part` of `parts` of the channels.
fn part_of(e: &mut Emit, x: Value, parts: usize, part: usize) -> Value {
    let axis = e.b.shape(x).len() - 1;
    let len = e.b.shape(x)[axis] / parts;
    e.b.slice_axis(x, axis, part * len, len)
}

impl Layer for Glu {
    fn emit(&self, e: &mut Emit, x: &[Value]) -> Value {
        let (value, gate) = (part_of(e, x[0], 2, 0), part_of(e, x[0], 2, 1));
        let gate = e.b.unary(Unary::Sigmoid, gate);
        e.b.mul(value, gate)
    }
}

impl Layer for Split {
    fn emit(&self, e: &mut Emit, x: &[Value]) -> Value {
        part_of(e, x[0], self.parts, self.part)
    }
}

impl Layer for Tile {
    fn emit(&self, e: &mut Emit, x: &[Value]) -> Value {
        let &[n, c] = e.b.shape(x[0]) else { panic!("tile of {:?}", e.b.shape(x[0])) };
        let one: Shape = [n].into_iter().chain(self.places.iter().map(|_| 1)).chain([c]).collect();
        let full: Shape = [n].into_iter().chain(self.places.iter().copied()).chain([c]).collect();
        let x = e.b.reshape(x[0], &one);
        e.b.broadcast(x, &full)
    }
}

impl Layer for PixelShuffle {
    fn emit(&self, e: &mut Emit, x: &[Value]) -> Value {
        let (r, s) = (self.factor, e.b.shape(x[0]).to_vec());
        if let [n, t, c] = s[..] {
            let parted = e.b.reshape(x[0], &[n, t, c / r, r]);
            let moved = e.b.transpose(parted, &[0, 1, 3, 2]);
            return e.b.reshape(moved, &[n, t * r, c / r]);
        }
        let (n, h, w, c) = (s[0], s[1], s[2], s[3] / (r * r));
        let parted = e.b.reshape(x[0], &[n, h, w, c, r, r]);
        let moved = e.b.transpose(parted, &[0, 1, 4, 2, 5, 3]);
        e.b.reshape(moved, &[n, h * r, w * r, c])
    }
}
