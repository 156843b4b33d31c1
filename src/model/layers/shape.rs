//! Layers that move, join or drop values: `reshape`, `flatten`, `concat`, `dropout`.

use super::{Definition, Draw, Emit, Layer, Made, Make, show_shape, view};
use crate::diag::Diagnostic;
use crate::graph::{Binary, Shape, Value};
use crate::model::args::{Args, Default, Key, Kind};

pub const TABLE: &[Definition] = &[
    Definition { word: "reshape", keys: &[Key { name: "sizes", kind: Kind::Sizes, default: Default::Required }], make: reshape },
    Definition { word: "flatten", keys: &[], make: flatten },
    Definition { word: "concat", keys: &[Key { name: "values", kind: Kind::Tensors, default: Default::Required }], make: concat },
    Definition {
        word: "dropout",
        keys: &[Key { name: "p", kind: Kind::Real(0.0, 1.0), default: Default::Number(0.5) }],
        make: dropout,
    },
];

/// The same elements, in PyTorch's order, under another shape.
#[derive(Debug)]
struct View {
    shape: Shape,
}

/// The value that flows in and others, one after the other along the channels (the first axis).
#[derive(Debug)]
struct Concat;

/// Each element becomes zero with probability `p` and is scaled by `1/(1-p)` otherwise, while training
/// (Srivastava et al., 2014); the identity when sampling.
#[derive(Debug)]
struct Dropout {
    p: f64,
}

fn reshape(args: &Args, m: &mut Make) -> Option<Made> {
    let shape = args.sizes("sizes").to_vec();
    let have: usize = m.input.iter().product();
    let want = m.volume("the result", &shape)?;
    if have != want {
        let found = show_shape(m.input);
        m.found.push(
            Diagnostic::new("E0305", m.span, format!("cannot reshape {found} to {}", show_shape(&shape)))
                .label(format!("{have} numbers flow in, {want} are asked for"))
                .expected(format!("sizes whose product is {have}"))
                .found(format!("a product of {want}")),
        );
        return None;
    }
    Some(Made { flops: 0, ..Made::plain(View { shape: shape.clone() }, shape) })
}

fn flatten(_: &Args, m: &mut Make) -> Option<Made> {
    let shape = vec![m.input.iter().product()];
    Some(Made { flops: 0, ..Made::plain(View { shape: shape.clone() }, shape) })
}

fn concat(args: &Args, m: &mut Make) -> Option<Made> {
    let mut shape = m.input.to_vec();
    for (_, other) in args.tensors("values") {
        if other.len() != shape.len() || other.get(1..) != shape.get(1..) || shape.is_empty() {
            let (flow, found) = (show_shape(m.input), show_shape(other));
            let want = match m.input {
                [_, rest @ ..] if !rest.is_empty() => {
                    format!("[channels, {}]", rest.iter().map(|n| n.to_string()).collect::<Vec<_>>().join(", "))
                }
                _vector => "[features]".into(),
            };
            m.found.push(
                Diagnostic::new("E0306", args.span("values"), format!("cannot concatenate {found} to {flow}"))
                    .label(format!("this is {found}"))
                    .expected(format!("{want}: only the first axis, the channels, may differ"))
                    .found(found),
            );
            return None;
        }
        shape[0] += other[0];
    }
    m.volume("the result", &shape)?;
    Some(Made { flops: 0, ..Made::plain(Concat, shape) })
}

fn dropout(args: &Args, m: &mut Make) -> Option<Made> {
    Some(Made::plain(Dropout { p: args.real("p") }, m.input.to_vec()))
}

impl Layer for View {
    fn emit(&self, e: &mut Emit, x: &[Value]) -> Value {
        view(e.b, x[0], &self.shape)
    }
}

impl Layer for Concat {
    fn emit(&self, e: &mut Emit, x: &[Value]) -> Value {
        let channels = e.b.shape(x[0]).len() - 1;
        e.b.concat(channels, x)
    }
}

impl Layer for Dropout {
    fn emit(&self, e: &mut Emit, x: &[Value]) -> Value {
        if !e.training || self.p == 0.0 {
            return x[0];
        }
        let shape = e.b.shape(x[0]).to_vec();
        if self.p == 1.0 {
            return e.b.constant(0.0, &shape);
        }
        let draw = (e.draw)(e.b, &shape, Draw::Uniform);
        let p = e.b.constant(self.p as f32, &shape);
        let kept = e.b.binary(Binary::Le, p, draw);
        let scaled = e.b.scale(x[0], (1.0 / (1.0 - self.p)) as f32);
        let zero = e.b.constant(0.0, &shape);
        e.b.select(kept, scaled, zero)
    }
}
