//! Emitting a model's values into a graph: calls of nets, layers, functions of expressions.

use super::objective::{self, Mixed};
use super::program::{Condition, Layout};
use super::tables::Tables;
use crate::graph::{Binary, Builder, Reduce, Shape, Source, StateId, Unary, Value};
use crate::model::layers::{Draw, Emit, one_hot, relu, to_inside, to_user};
use crate::model::{Action, Function, Instr, NetId, Type, Val};
use std::collections::HashMap;

/// Which weights a graph uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Values {
    /// The learned ones.
    Raw,
    /// Their averages, where there are any.
    Averaged,
}

/// One graph in the making.
pub struct Run<'t, 'm> {
    pub b: Builder,
    pub tables: &'t mut Tables<'m>,
    training: bool,
    values: Values,
    /// Present value of each slot of each net that has been touched.
    slots: Vec<Option<Vec<Value>>>,
    /// How often each net's weights have changed in this graph.
    versions: Vec<u32>,
    /// Calls made: net, versions of the nets it reaches, arguments; and their results. The same call is made once, so
    /// that running statistics see it once.
    calls: HashMap<(NetId, Vec<u32>, Vec<Value>), Vec<Value>>,
    /// Conditions that do not hold in this graph.
    pub off: Vec<Condition>,
    /// What each `history` has given; it is asked once per graph.
    pub histories: HashMap<Val, Value>,
    /// Values that are given instead of computed.
    pub given: HashMap<Val, Value>,
    /// Pairs of styles, by the value that stands for them.
    pub mixed: HashMap<Value, Mixed>,
}

impl<'t, 'm> Run<'t, 'm> {
    /// An empty graph.
    pub fn new(tables: &'t mut Tables<'m>, training: bool, values: Values) -> Run<'t, 'm> {
        let nets = tables.model.nets.len();
        Run {
            b: Builder::new(),
            tables,
            training,
            values,
            slots: vec![None; nets],
            versions: vec![0; nets],
            calls: HashMap::new(),
            off: Vec::new(),
            histories: HashMap::new(),
            given: HashMap::new(),
            mixed: HashMap::new(),
        }
    }

    /// Whether a condition holds in this graph.
    pub fn holds(&self, condition: Condition) -> bool {
        !self.off.contains(&condition)
    }

    /// The value a state has when the graph starts.
    pub fn input(&mut self, state: StateId) -> Value {
        let shape = self.tables.states[state.index()].shape.clone();
        self.b.input(Source::State(state), &shape)
    }

    /// Present values of the slots of `net`.
    pub fn slots(&mut self, net: NetId) -> Vec<Value> {
        if let Some(values) = &self.slots[net.index()] {
            return values.clone();
        }
        let count = self.tables.model.nets[net.index()].slots.len();
        let values: Vec<Value> = (0..count)
            .map(|k| {
                let raw = self.tables.slot(net, k);
                let state = match self.values {
                    Values::Raw => raw,
                    Values::Averaged => self.tables.average(net, k).unwrap_or(raw),
                };
                self.input(state)
            })
            .collect();
        self.slots[net.index()] = Some(values.clone());
        values
    }

    /// Whether anything in this graph uses `net`.
    pub fn touched(&self, net: NetId) -> bool {
        self.slots[net.index()].is_some()
    }

    /// Replaces the value of a slot.
    pub fn set_slot(&mut self, net: NetId, k: usize, value: Value) {
        let mut slots = self.slots(net);
        slots[k] = value;
        self.slots[net.index()] = Some(slots);
    }

    /// Says that the weights of `net` have changed: calls after this are new ones.
    pub fn new_weights(&mut self, net: NetId) {
        self.versions[net.index()] += 1;
    }

    /// How PyTorch lays out a batch of `ty`.
    pub fn layout_of(&self, ty: &Type) -> Layout {
        self.tables.batched(ty).1
    }

    /// Input `i` of `net`, to be given by the caller.
    pub fn argument(&mut self, net: NetId, i: usize) -> Value {
        let id = self.tables.argument(net, i);
        let shape = self.tables.feeds[id.index()].shape.clone();
        self.b.input(Source::Feed(id), &shape)
    }

    /// A value of the game, with the weights as they are now.
    pub fn value(&mut self, root: Val) -> Value {
        let model = self.tables.model;
        // What does not count in this graph is not computed.
        let counts = |i: &Instr, _: usize| match i.action {
            Action::Apply(f) => objective::condition(f).is_none_or(|c| self.holds(c)),
            Action::Input(_)
            | Action::Data { .. }
            | Action::Noise(_)
            | Action::Number(_)
            | Action::Layer(_)
            | Action::Call { .. }
            | Action::Unknown => true,
        };
        let needed = model.game.needed(&[root], counts);
        let mut values: Vec<Option<Value>> = vec![None; needed.len()];
        for (i, instr) in model.game.instrs().iter().enumerate().filter(|(i, _)| needed[*i]) {
            if let Some(&given) = self.given.get(&Val(i as u32)) {
                values[i] = Some(given);
                continue;
            }
            let args = arguments(instr, &values);
            values[i] = Some(match &instr.action {
                Action::Data { stream, column } => self.feed(&model.streams[*stream].columns[*column].0),
                Action::Noise(k) => self.feed(&model.noises[*k].name),
                Action::Number(x) => self.b.constant(*x as f32, &[]),
                Action::Call { net, output } => self.call(*net, &args)[*output],
                Action::Apply(f) => match self.special(*f, Val(i as u32), &args, &instr.ty) {
                    Some(v) => v,
                    None => {
                        let types: Vec<&Type> = instr.args.iter().map(|&a| &model.game.get(a).ty).collect();
                        self.apply(*f, &args, &types, &instr.ty)
                    }
                },
                Action::Input(_) | Action::Layer(_) | Action::Unknown => panic!("{:?} in a game", instr.action),
            });
        }
        match values[root.index()] {
            Some(v) => v,
            None => panic!("{root} was not computed"),
        }
    }

    fn feed(&mut self, name: &str) -> Value {
        let id = self.tables.feed(name);
        let shape = self.tables.feeds[id.index()].shape.clone();
        self.b.input(Source::Feed(id), &shape)
    }

    /// The outputs of `net` on `args`.
    pub fn call(&mut self, net: NetId, args: &[Value]) -> Vec<Value> {
        let model = self.tables.model;
        let n = &model.nets[net.index()];
        let versions: Vec<u32> = n.reaches.iter().map(|r| self.versions[r.index()]).collect();
        let key = (net, versions, args.to_vec());
        if let Some(known) = self.calls.get(&key) {
            return known.clone();
        }
        let mut slots = self.slots(net);
        let places = n.places();
        let mut next_place = vec![0; args.len()];
        let mut values: Vec<Option<Value>> = Vec::new();
        for instr in n.body.instrs() {
            let mut given = arguments(instr, &values);
            if let Action::Layer(_) = instr.action {
                // Every layer that uses mixed styles takes the next one.
                for (v, a) in given.iter_mut().zip(&instr.args).skip(1) {
                    if let (Action::Input(k), Some(mixed)) = (&n.body.get(*a).action, self.mixed(*v)) {
                        *v = self.style(mixed, next_place[*k], places[*k]);
                        next_place[*k] += 1;
                    }
                }
            }
            let value = match &instr.action {
                Action::Input(k) => args[*k],
                Action::Number(x) => self.b.constant(*x as f32, &[]),
                Action::Call { net, output } => self.call(*net, &given)[*output],
                Action::Apply(f) => {
                    let types: Vec<&Type> = instr.args.iter().map(|&a| &n.body.get(a).ty).collect();
                    self.apply(*f, &given, &types, &instr.ty)
                }
                Action::Layer(k) => {
                    let layer = &n.layers[*k];
                    let tables = &mut *self.tables;
                    let mut draw = |b: &mut Builder, shape: &[usize], draw: Draw| {
                        let id = tables.draw(shape, draw);
                        b.input(Source::Feed(id), shape)
                    };
                    let mut emit =
                        Emit { b: &mut self.b, training: self.training, slots: &mut slots[layer.slots.clone()], draw: &mut draw };
                    layer.layer.emit(&mut emit, &given)
                }
                Action::Data { .. } | Action::Noise(_) | Action::Unknown => panic!("{:?} in a net", instr.action),
            };
            values.push(Some(value));
        }
        // Layers may have moved running statistics; the next call goes on from there.
        self.slots[net.index()] = Some(slots);
        let outputs: Vec<Value> = n.outputs.iter().filter_map(|o| values[o.value.index()]).collect();
        self.calls.insert(key, outputs.clone());
        outputs
    }

    /// `f` of values of these types; `result` is the type of what comes out.
    fn apply(&mut self, f: Function, x: &[Value], types: &[&Type], result: &Type) -> Value {
        if f == Function::Fade {
            return self.fade(x[0], x[1]);
        }
        let b = &mut self.b;
        let all_but_batch = |b: &Builder, v: Value| (1..b.shape(v).len()).collect::<Vec<_>>();
        match f {
            Function::Add => together(b, Binary::Add, x, types, result),
            Function::Sub => together(b, Binary::Sub, x, types, result),
            Function::Mul => together(b, Binary::Mul, x, types, result),
            Function::Div => together(b, Binary::Div, x, types, result),
            Function::Min => together(b, Binary::Min, x, types, result),
            Function::Max => together(b, Binary::Max, x, types, result),
            Function::Neg => b.unary(Unary::Neg, x[0]),
            Function::Pow(p) => b.powf(x[0], p as f32),
            Function::Log => b.unary(Unary::Log, x[0]),
            Function::Exp => b.unary(Unary::Exp, x[0]),
            Function::Sqrt => b.unary(Unary::Sqrt, x[0]),
            Function::Abs => b.unary(Unary::Abs, x[0]),
            Function::Softplus => b.unary(Unary::Softplus, x[0]),
            Function::Sigmoid => b.unary(Unary::Sigmoid, x[0]),
            Function::Tanh => b.unary(Unary::Tanh, x[0]),
            Function::Detach => b.detach(x[0]),
            Function::Relu => relu(b, x[0]),
            Function::Sum => {
                let axes = all_but_batch(b, x[0]);
                let sum = b.sum(x[0], &axes);
                b.reshape(sum, &[self.tables.batch, 1])
            }
            Function::Mean => {
                let axes = all_but_batch(b, x[0]);
                let mean = b.mean(x[0], &axes);
                b.reshape(mean, &[self.tables.batch, 1])
            }
            Function::Norm => {
                let axes = all_but_batch(b, x[0]);
                let squares = b.mul(x[0], x[0]);
                let sum = b.sum(squares, &axes);
                let sum = b.reshape(sum, &[self.tables.batch, 1]);
                // The root's slope at 0 is infinite; 0 is the subgradient that PyTorch's norm takes.
                let zero = b.constant(0.0, &[self.tables.batch, 1]);
                let one = b.constant(1.0, &[self.tables.batch, 1]);
                let is_zero = b.binary(Binary::Eq, sum, zero);
                let safe = b.select(is_zero, one, sum);
                let root = b.unary(Unary::Sqrt, safe);
                b.select(is_zero, zero, root)
            }
            Function::Mse => {
                let difference = together(b, Binary::Sub, x, types, result);
                b.mul(difference, difference)
            }
            Function::Bce => cross_entropy(b, x, types, result),
            Function::Expect => {
                if b.shape(x[0]).is_empty() {
                    return x[0];
                }
                b.mean_all(x[0])
            }
            Function::Grad => b.grad(x[0], x[1]),
            Function::Shrink(k) => objective::shrink(b, x[0], k),
            Function::Enlarge(k) => objective::enlarge(b, x[0], k),
            Function::OneHot => match result {
                Type::Tensor(s) => one_hot(b, x[0], s[0]),
                Type::Number | Type::Class(_) | Type::Tokens { .. } | Type::Styles(_) | Type::Unknown => {
                    panic!("one_hot of {result}")
                }
            },
            Function::CrossEntropy => label_entropy(b, x[0], x[1]),
            Function::Every(_) | Function::Until(_) | Function::History(_) | Function::MixStyles(_) | Function::Fade => {
                panic!("{f:?} in a net")
            }
        }
    }
}

/// `log(sum(exp(x))) - x[label]` of scores `[N, C]`: `[N, 1]`.
fn label_entropy(b: &mut Builder, scores: Value, labels: Value) -> Value {
    let classes = b.shape(scores)[1];
    let most = b.reduce(Reduce::Max, scores, &[1]);
    let most = b.detach(most);
    let shifted = b.sub(scores, most);
    let grown = b.unary(Unary::Exp, shifted);
    let sum = b.sum(grown, &[1]);
    let log = b.unary(Unary::Log, sum);
    let hot = one_hot(b, labels, classes);
    let right = b.mul(hot, shifted);
    let right = b.sum(right, &[1]);
    b.sub(log, right)
}

fn arguments(instr: &Instr, values: &[Option<Value>]) -> Vec<Value> {
    instr.args.iter().filter_map(|a| values[a.index()]).collect()
}

/// Two values under their common shape, which is that of `result`.
fn aligned(b: &mut Builder, x: &[Value], types: &[&Type], result: &Type) -> (Value, Value) {
    let Type::Tensor(shape) = result else { return (x[0], x[1]) };
    let p = align(b, x[0], types[0], shape.len());
    let q = align(b, x[1], types[1], shape.len());
    b.unify(p, q)
}

fn together(b: &mut Builder, f: Binary, x: &[Value], types: &[&Type], result: &Type) -> Value {
    let (p, q) = aligned(b, x, types, result);
    b.binary(f, p, q)
}

/// `x` with axes of size 1 in front of its own, in the user's order, until it has `rank` of them.
fn align(b: &mut Builder, x: Value, ty: &Type, rank: usize) -> Value {
    let Type::Tensor(shape) = ty else { return x };
    if shape.len() == rank {
        return x;
    }
    let batch = b.shape(x)[0];
    let plain = b.transpose(x, &to_user(shape.len()));
    let full: Shape =
        [batch].into_iter().chain(std::iter::repeat_n(1, rank - shape.len())).chain(shape.iter().copied()).collect();
    let plain = b.reshape(plain, &full);
    b.transpose(plain, &to_inside(rank))
}

/// `-t*log(p) - (1-t)*log(1-p)` of each element, without the side that a constant target of 0 or 1 takes away: that side
/// may be infinite. Deviation from PyTorch: the logarithms are not cut off at -100.
fn cross_entropy(b: &mut Builder, x: &[Value], types: &[&Type], result: &Type) -> Value {
    let (p, t) = aligned(b, x, types, result);
    let one = b.constant(1.0, &b.shape(p).to_vec());
    let log_p = b.unary(Unary::Log, p);
    let rest = b.sub(one, p);
    let log_rest = b.unary(Unary::Log, rest);
    let sum = match b.as_const(t) {
        Some(1.0) => log_p,
        Some(0.0) => log_rest,
        Some(_) | None => {
            let other = b.sub(one, t);
            let (first, second) = (b.mul(t, log_p), b.mul(other, log_rest));
            b.add(first, second)
        }
    };
    b.unary(Unary::Neg, sum)
}
