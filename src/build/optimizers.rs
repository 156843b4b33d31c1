//! Updates of weights, with PyTorch's formulas (`torch.optim`).

use super::step::Run;
use crate::graph::{Source, StateId, Unary, Value};
use crate::model::NetId;
use crate::model::train::Optimizer;

/// A weight that is updated.
#[derive(Clone, Copy)]
pub struct Of {
    /// Its net.
    pub net: NetId,
    /// Its place among the net's slots.
    pub slot: usize,
    /// The player that the net belongs to.
    pub player: usize,
    /// Where it is kept.
    pub state: StateId,
}

/// The new value of a weight whose value is `w` and whose gradient is `g`.
pub fn update(run: &mut Run, of: Of, w: Value, g: Value) -> Value {
    let Of { net, player, state, .. } = of;
    let shape = run.b.shape(w).to_vec();
    match run.tables.model.train.optimizers[net.index()] {
        None => panic!("the net {} learns without an optimizer", run.tables.model.nets[net.index()].name),
        Some(Optimizer::Sgd { lr, momentum, nesterov, weight_decay }) => {
            let lr = rate(run, net, player, lr);
            let g = decayed(run, g, w, weight_decay);
            let step = if momentum == 0.0 {
                g
            } else {
                let velocity = moved(run, state, "momentum", momentum, g);
                if nesterov {
                    let ahead = run.b.scale(velocity, momentum as f32);
                    run.b.add(g, ahead)
                } else {
                    velocity
                }
            };
            descend(run, w, step, lr)
        }
        Some(Optimizer::RmsProp { lr, alpha, eps, momentum }) => {
            let lr = rate(run, net, player, lr);
            let square = run.b.mul(g, g);
            let v = averaged(run, state, "rmsprop_v", alpha, square);
            let root = run.b.unary(Unary::Sqrt, v);
            let root = run.b.add_const(root, eps as f32);
            let scaled = run.b.div(g, root);
            let step = if momentum == 0.0 { scaled } else { moved(run, state, "momentum", momentum, scaled) };
            descend(run, w, step, lr)
        }
        Some(Optimizer::Adam { lr, beta1, beta2, eps, weight_decay, decoupled }) => {
            let lr = rate(run, net, player, lr);
            let (w, g) = if decoupled && weight_decay > 0.0 {
                // AdamW shrinks the weight first: w - lr*decay*w.
                let shrunk = run.b.scale(w, weight_decay as f32);
                (descend(run, w, shrunk, lr), g)
            } else {
                (w, decayed(run, g, w, weight_decay))
            };
            let m = averaged(run, state, "adam_m", beta1, g);
            let square = run.b.mul(g, g);
            let v = averaged(run, state, "adam_v", beta2, square);
            let c1 = scalar(run, "adam_c1", of, beta1);
            let c2 = scalar(run, "adam_c2", of, beta2);
            let rate = run.b.div(lr, c1);
            let c2_root = run.b.unary(Unary::Sqrt, c2);
            let one = run.b.constant(1.0, &[]);
            let c2_inverse = run.b.div(one, c2_root);
            let root = run.b.unary(Unary::Sqrt, v);
            let c2_inverse = run.b.splat(c2_inverse, &shape);
            let root = run.b.mul(root, c2_inverse);
            let root = run.b.add_const(root, eps as f32);
            let step = run.b.div(m, root);
            descend(run, w, step, rate)
        }
    }
}

fn rate(run: &mut Run, net: NetId, player: usize, base: f64) -> Value {
    let id = run.tables.rate(net, player, base);
    run.b.input(Source::Scalar(id), &[])
}

fn scalar(run: &mut Run, which: &str, of: Of, beta: f64) -> Value {
    let id = run.tables.correction(which, of.net, of.slot, of.player, beta);
    run.b.input(Source::Scalar(id), &[])
}

/// `w - rate*step`
fn descend(run: &mut Run, w: Value, step: Value, rate: Value) -> Value {
    let step = run.b.mul(rate, step);
    run.b.sub(w, step)
}

/// `g + decay*w`
fn decayed(run: &mut Run, g: Value, w: Value, decay: f64) -> Value {
    if decay == 0.0 {
        return g;
    }
    let pull = run.b.scale(w, decay as f32);
    run.b.add(g, pull)
}

/// The moment `decay*old + (1 - decay)*x`.
fn averaged(run: &mut Run, of: StateId, name: &str, decay: f64, x: Value) -> Value {
    let added = run.b.scale(x, (1.0 - decay) as f32);
    moved(run, of, name, decay, added)
}

/// The moment `decay*old + x`.
fn moved(run: &mut Run, of: StateId, name: &str, decay: f64, x: Value) -> Value {
    let state = run.tables.moment(of, name);
    let old = run.input(state);
    let kept = run.b.scale(old, decay as f32);
    let new = run.b.add(kept, x);
    update_state(run, state, new);
    new
}

fn update_state(run: &mut Run, state: StateId, new: Value) {
    super::update(&mut run.b, &run.tables.states, state, new);
}
