//! What may be done to a filter before it is used: the equalized learning rate (Karras et al., 2018, section 4.1) and
//! spectral normalisation (Miyato et al., 2018). Shared by `dense`, `conv` and `conv_t`.

use super::{Emit, Make, Part, Slot, SlotKind};
use crate::build::program::{Init, Layout};
use crate::diag::Diagnostic;
use crate::graph::{Builder, Shape, Unary, Value};
use crate::model::args::{Args, Default, Key, Kind};

pub const EQUALIZED: Key = Key { name: "equalized", kind: Kind::Flag, default: Default::Flag(false) };
/// Of He's deviation `gain/sqrt(fan_in)`; `sqrt(2)` when absent, as in StyleGAN's reference code.
pub const GAIN: Key = Key { name: "gain", kind: Kind::Real(1e-6, 1e6), default: Default::Absent };
pub const LR_MUL: Key = Key { name: "lr_mul", kind: Kind::Real(1e-6, 1e6), default: Default::Number(1.0) };
pub const SPECTRAL: Key = Key { name: "spectral", kind: Kind::Flag, default: Default::Flag(false) };

/// Added to the norms of the power iteration; PyTorch's `spectral_norm`.
const EPS: f32 = 1e-12;

/// What a layer does to its weight (slot 0) and bias (slot 1).
#[derive(Clone, PartialEq, Debug)]
pub struct Treatment {
    /// Factors of weight and bias: weights are kept near deviation 1 and scaled when used, so that every layer learns at
    /// the same rate.
    scale: Option<(f32, f32)>,
    /// Slot of `u`, the left singular vector; `v` follows it.
    spectral: Option<usize>,
    /// The axis of the weight's inside shape that counts the results, counted from the last one.
    out: usize,
}

/// Reads the keys of this module and changes the layer's `slots` accordingly: weight first, then the bias if there is one.
/// `fan_in` is the number of products in one result; axis `out` of the weight's inside shape, counted from the last one, counts the
/// results, and `v_perm` gives the other axes, without it, in PyTorch's order.
pub fn treat(args: &Args, m: &mut Make, slots: &mut Vec<Slot>, fan_in: usize, out: usize, v_perm: &[usize]) -> Treatment {
    let (equalized, lr_mul) = (args.flag("equalized"), args.real("lr_mul"));
    let mut scale = None;
    if equalized {
        let gain = if args.given("gain") { args.real("gain") } else { std::f64::consts::SQRT_2 };
        let deviation = gain / (fan_in as f64).sqrt();
        scale = Some(((deviation * lr_mul) as f32, lr_mul as f32));
        slots[0].kind = SlotKind::Weight { part: Part::Other, init: Init::Normal(0.0, (1.0 / lr_mul) as f32) };
        if let Some(bias) = slots.get_mut(1) {
            bias.kind = SlotKind::Weight { part: Part::Other, init: Init::Constant(0.0) };
        }
    } else {
        let without = [("lr_mul", lr_mul != 1.0), ("gain", args.given("gain"))];
        for (key, _) in without.into_iter().filter(|(_, given)| *given) {
            let d = Diagnostic::new("W0506", args.span(key), format!("`{key}` has no effect without `equalized=true`"));
            m.found.push(d.hint("add `equalized=true`, or remove it"));
        }
    }
    let mut spectral = None;
    if args.flag("spectral") {
        let inside = slots[0].layout.split.clone();
        let mut rest: Shape = inside;
        let results = rest.remove(rest.len() - 1 - out);
        let v: usize = rest.iter().product();
        let buffer = || SlotKind::Buffer { init: Init::Normal(0.0, 1.0) };
        spectral = Some(slots.len());
        slots.push(Slot::plain("weight_u", &[results], buffer()));
        let layout = Layout { shape: vec![v], split: rest, perm: v_perm.to_vec() };
        slots.push(Slot { name: "weight_v", shape: vec![v], layout, kind: buffer() });
    }
    Treatment { scale, spectral, out }
}

/// `x / max(|x|, eps)` of a row `[1, n]`.
fn unit(b: &mut Builder, x: Value) -> Value {
    let squares = b.mul(x, x);
    let sum = b.sum(squares, &[1]);
    let norm = b.unary(Unary::Sqrt, sum);
    let norm = b.add_const(norm, EPS);
    b.div(x, norm)
}

impl Treatment {
    /// The weight as it is used. With spectral normalisation it is divided by an estimate of its largest singular value; each
    /// call while training improves the estimate by one power iteration, which is a constant to differentiation.
    pub fn weight(&self, e: &mut Emit) -> Value {
        let mut w = e.slots[0];
        if let Some((scale, _)) = self.scale {
            w = e.b.scale(w, scale);
        }
        let Some(u_slot) = self.spectral else { return w };
        let shape = e.b.shape(w).to_vec();
        // The weight as a matrix [rest, results].
        let axis = shape.len() - 1 - self.out;
        let results = shape[axis];
        let rest = shape.iter().product::<usize>() / results;
        let order: Vec<usize> = (0..shape.len()).filter(|&i| i != axis).chain([axis]).collect();
        let moved = e.b.transpose(w, &order);
        let matrix = e.b.reshape(moved, &[rest, results]);
        let u = e.b.reshape(e.slots[u_slot], &[1, results]);
        let v = e.b.reshape(e.slots[u_slot + 1], &[1, rest]);
        let (u, v) = if e.training {
            let constant = e.b.detach(matrix);
            let v = e.b.dot(u, constant, false, true);
            let v = unit(e.b, v);
            let u = e.b.dot(v, constant, false, false);
            let u = unit(e.b, u);
            let (u, v) = (e.b.detach(u), e.b.detach(v));
            e.slots[u_slot] = e.b.reshape(u, &[results]);
            e.slots[u_slot + 1] = e.b.reshape(v, &[rest]);
            (u, v)
        } else {
            // Averages of unit vectors are shorter.
            (unit(e.b, u), unit(e.b, v))
        };
        let product = e.b.dot(v, matrix, false, false);
        let product = e.b.mul(product, u);
        let sigma = e.b.sum(product, &[1]);
        let sigma = e.b.splat(sigma, &shape);
        e.b.div(w, sigma)
    }

    /// The bias in slot 1 as it is used.
    pub fn bias(&self, e: &mut Emit) -> Value {
        match self.scale {
            Some((_, factor)) => e.b.scale(e.slots[1], factor),
            None => e.slots[1],
        }
    }
}
