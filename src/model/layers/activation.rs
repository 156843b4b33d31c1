//! Activations, with PyTorch's formulas and, at their kinks, PyTorch's gradients.

use super::{Definition, Emit, Layer, Made, Make, Part, Slot, SlotKind, per_channel};
use crate::build::program::Init;
use crate::graph::{Binary, Builder, Unary, Value};
use crate::model::args::{Args, Default, Key, Kind};

const ANY: Kind = Kind::Real(f64::NEG_INFINITY, f64::INFINITY);

pub const TABLE: &[Definition] = &[
    Definition { word: "relu", keys: &[], make: |_, m| plain(Activation::Relu, m) },
    Definition {
        word: "leaky_relu",
        keys: &[Key { name: "slope", kind: ANY, default: Default::Number(0.01) }],
        make: |a, m| plain(Activation::LeakyRelu(a.real("slope") as f32), m),
    },
    Definition {
        word: "prelu",
        keys: &[
            Key { name: "init", kind: ANY, default: Default::Number(0.25) },
            Key { name: "channels", kind: Kind::Flag, default: Default::Flag(false) },
        ],
        make: prelu,
    },
    Definition {
        word: "elu",
        keys: &[Key { name: "alpha", kind: ANY, default: Default::Number(1.0) }],
        make: |a, m| plain(Activation::Elu(a.real("alpha") as f32), m),
    },
    Definition {
        word: "gelu",
        keys: &[Key { name: "approximate", kind: Kind::Word(&["none", "tanh"]), default: Default::Word("none") }],
        make: |a, m| plain(if a.word("approximate") == "tanh" { Activation::GeluTanh } else { Activation::Gelu }, m),
    },
    Definition { word: "silu", keys: &[], make: |_, m| plain(Activation::Silu, m) },
    Definition { word: "tanh", keys: &[], make: |_, m| plain(Activation::Tanh, m) },
    Definition { word: "sigmoid", keys: &[], make: |_, m| plain(Activation::Sigmoid, m) },
    Definition { word: "softplus", keys: &[], make: |_, m| plain(Activation::Softplus, m) },
];

/// A function of each element.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Activation {
    /// `x <= 0 ? 0 : x`
    Relu,
    /// `x <= 0 ? slope*x : x`
    LeakyRelu(f32),
    /// `x <= 0 ? alpha*(e^x - 1) : x` (Clevert et al., 2016)
    Elu(f32),
    /// `x/2 * (1 + erf(x/sqrt 2))` (Hendrycks & Gimpel, 2016)
    Gelu,
    /// `x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3)))`
    GeluTanh,
    /// `x * sigmoid(x)`
    Silu,
    Tanh,
    Sigmoid,
    /// `log(1 + e^x)`
    Softplus,
}

/// `x <= 0 ? w*x : x` with a learned `w` (He et al., 2015): one, or one per channel.
#[derive(Debug)]
struct Prelu;

fn plain(f: Activation, m: &mut Make) -> Option<Made> {
    Some(Made::plain(f, m.input.to_vec()))
}

fn prelu(args: &Args, m: &mut Make) -> Option<Made> {
    let count = if args.flag("channels") { m.input.first().copied().unwrap_or(1) } else { 1 };
    let start = SlotKind::Weight { part: Part::Other, init: Init::Constant(args.real("init") as f32) };
    Some(Made { slots: vec![Slot::plain("weight", &[count], start)], ..Made::plain(Prelu, m.input.to_vec()) })
}

/// `x <= 0 ? low : high`. Not-a-number stays what it is in `high`, and the gradient at 0 is that of `low`.
fn at_or_below_zero(b: &mut Builder, x: Value, low: Value, high: Value) -> Value {
    let zero = b.constant(0.0, &b.shape(x).to_vec());
    let below = b.binary(Binary::Le, x, zero);
    b.select(below, low, high)
}

/// `x <= 0 ? 0 : x`.
pub fn relu(b: &mut Builder, x: Value) -> Value {
    let zero = b.constant(0.0, &b.shape(x).to_vec());
    at_or_below_zero(b, x, zero, x)
}

impl Layer for Activation {
    fn emit(&self, e: &mut Emit, x: &[Value]) -> Value {
        let (b, x) = (&mut *e.b, x[0]);
        match *self {
            Activation::Relu => relu(b, x),
            Activation::LeakyRelu(slope) => {
                let low = b.scale(x, slope);
                at_or_below_zero(b, x, low, x)
            }
            Activation::Elu(alpha) => {
                // The exponential sees only what is at or below zero, so that the side not taken cannot overflow.
                let zero = b.constant(0.0, &b.shape(x).to_vec());
                let clipped = at_or_below_zero(b, x, x, zero);
                let grown = b.unary(Unary::Exp, clipped);
                let low = b.add_const(grown, -1.0);
                let low = b.scale(low, alpha);
                at_or_below_zero(b, x, low, x)
            }
            Activation::Gelu => {
                let scaled = b.scale(x, std::f32::consts::FRAC_1_SQRT_2);
                let erf = b.unary(Unary::Erf, scaled);
                half_x_times_one_plus(b, x, erf)
            }
            Activation::GeluTanh => {
                let cube = b.powf(x, 3.0);
                let cube = b.scale(cube, 0.044715);
                let inner = b.add(x, cube);
                let inner = b.scale(inner, (2.0 / std::f64::consts::PI).sqrt() as f32);
                let tanh = b.unary(Unary::Tanh, inner);
                half_x_times_one_plus(b, x, tanh)
            }
            Activation::Silu => {
                let gate = b.unary(Unary::Sigmoid, x);
                b.mul(x, gate)
            }
            Activation::Tanh => b.unary(Unary::Tanh, x),
            Activation::Sigmoid => b.unary(Unary::Sigmoid, x),
            Activation::Softplus => b.unary(Unary::Softplus, x),
        }
    }
}

fn half_x_times_one_plus(b: &mut Builder, x: Value, y: Value) -> Value {
    let (half, y) = (b.scale(x, 0.5), b.add_const(y, 1.0));
    b.mul(half, y)
}

impl Layer for Prelu {
    fn emit(&self, e: &mut Emit, x: &[Value]) -> Value {
        let x = x[0];
        let shape = e.b.shape(x).to_vec();
        let slope =
            if e.b.shape(e.slots[0]) == [1] { e.b.splat(e.slots[0], &shape) } else { per_channel(e.b, e.slots[0], &shape) };
        let low = e.b.mul(slope, x);
        at_or_below_zero(e.b, x, low, x)
    }
}
