//! From a [`Model`] to a [`Program`]: one graph per kind of training step, one per thing to sample.
//!
//! On entry: a model as `model::resolve` gives it. On exit: graphs whose inputs and updates index the program's tables,
//! and which may hold `Grad` nodes.
//!
//! A training step is one graph: the first player's objective, its gradients, its update; then the next player's
//! objective, computed with the weights just updated, and so on. What two objectives share (the generator's forward
//! pass, as long as its weights are the same) is one value by construction.

mod objective;
mod optimizers;
pub mod program;
mod step;
mod tables;

use crate::graph::{Builder, ScalarId, Sink, Source, StateId, Value};
use crate::model::layers::SlotKind;
use crate::model::sample::Style;
use crate::model::{Action, Instr, Model, NetId, Val};
pub use program::*;
use step::{Run, Values};
use tables::Tables;

/// The program of `model` with `batch` samples per step.
pub fn build(model: &Model, batch: usize) -> Program {
    let mut tables = Tables::new(model, batch);
    let conditions = objective::conditions(model);
    let (orders, kinds) = phases(model, &conditions);
    let phases = kinds.iter().map(|kind| phase(&mut tables, kind)).collect();
    let samplers = samplers(&mut tables);
    Program {
        name: model.name.clone(),
        batch,
        states: tables.states,
        feeds: tables.feeds,
        scalars: tables.scalars,
        phases,
        conditions,
        orders,
        players: model.players.iter().map(|p| p.name.clone()).collect(),
        samplers,
        exact_conv: model.train.exact_conv,
    }
}

/// What makes a phase.
#[derive(Clone, PartialEq)]
struct Kind {
    players: Vec<usize>,
    /// Whether it ends a step: then averages are updated.
    last: bool,
    /// Conditions of its players that do not hold.
    off: Vec<Condition>,
}

/// The distinct phases, and which of them a step runs under each combination of conditions. A step has as many runs as the
/// most turns any player takes; players with fewer turns take part in the last runs, so that the last one, where averages are
/// updated, has all.
fn phases(model: &Model, conditions: &[Condition]) -> (Vec<Vec<usize>>, Vec<Kind>) {
    let runs = model.players.iter().map(|p| p.turns).max().unwrap_or(1);
    let mut kinds: Vec<Kind> = Vec::new();
    let mut orders = Vec::new();
    for combination in 0..1usize << conditions.len() {
        let mut order = Vec::new();
        for run in 0..runs {
            let players: Vec<usize> = (0..model.players.len()).filter(|&p| model.players[p].turns > runs - 1 - run).collect();
            let used: Vec<Condition> = players.iter().flat_map(|&p| objective::conditions_of(model, p)).collect();
            let off = conditions.iter().enumerate().filter(|(i, c)| combination >> i & 1 == 0 && used.contains(c));
            let kind = Kind { last: run + 1 == runs, off: off.map(|x| *x.1).collect(), players };
            let at = kinds.iter().position(|k| *k == kind).unwrap_or_else(|| {
                kinds.push(kind);
                kinds.len() - 1
            });
            order.push(at);
        }
        orders.push(order);
    }
    (orders, kinds)
}

/// The graph in which the players of `kind` take one turn each.
fn phase(tables: &mut Tables, kind: &Kind) -> Phase {
    let model = tables.model;
    let players = &kind.players;
    let mut run = Run::new(tables, true, Values::Raw);
    run.off = kind.off.clone();
    // As early as possible, where the styles are those that the players use.
    let style = model.sample.style.as_ref().filter(|_| kind.last).map(|s| run.value(s.w));
    for &p in players {
        let player = &model.players[p];
        let value = run.value(player.value);
        // What is reported is always what is minimised.
        let loss = if player.maximise { run.b.scale(value, -1.0) } else { value };
        run.b.output(format!("loss.{}", player.name), loss, Sink::Result);
        let mut updates = Vec::new();
        for &net in &player.nets {
            for k in 0..model.nets[net.index()].slots.len() {
                let weight = run.slots(net)[k];
                let state = run.tables.slot(net, k);
                if !matches!(run.tables.states[state.index()].role, StateRole::Weight { .. }) {
                    continue;
                }
                let gradient = run.b.grad(loss, weight);
                let name = run.tables.states[state.index()].name.clone();
                run.b.output(format!("grad.{name}"), gradient, Sink::Result);
                let next = optimizers::update(&mut run, optimizers::Of { net, slot: k, player: p, state }, weight, gradient);
                update(&mut run.b, &run.tables.states, state, next);
                updates.push((net, k, next));
            }
        }
        for (net, k, next) in updates {
            // To the players after this one the new weights are constants.
            let constant = run.b.detach(next);
            run.set_slot(net, k, constant);
        }
        for &net in &player.nets {
            run.new_weights(net);
        }
    }
    for n in 0..model.nets.len() {
        buffers(&mut run, NetId(n as u32));
    }
    if let (Some(w), Some(state)) = (style, run.tables.style_mean) {
        style_mean(&mut run, w, state);
    }
    if kind.last {
        averages(&mut run);
    }
    let name = players.iter().map(|&p| model.players[p].name.as_str()).collect::<Vec<_>>().join("+");
    Phase { name, players: players.clone(), graph: run.b.finish() }
}

fn update(b: &mut Builder, states: &[State], state: StateId, value: crate::graph::Value) {
    b.output(format!("update.{}", states[state.index()].name), value, Sink::Update(state));
}

/// Running statistics that calls of `net` have moved.
fn buffers(run: &mut Run, net: NetId) {
    if !run.touched(net) {
        return;
    }
    for (k, (_, slot)) in run.tables.model.nets[net.index()].slots.iter().enumerate() {
        if let SlotKind::Buffer { .. } = slot.kind {
            let (state, now) = (run.tables.slot(net, k), run.slots(net)[k]);
            if now != run.input(state) {
                update(&mut run.b, &run.tables.states, state, now);
            }
        }
    }
}

/// Moves the mean of styles towards that of the batch `w` `[N, W]`.
fn style_mean(run: &mut Run, w: Value, state: StateId) {
    let size = run.b.shape(w)[1];
    let mean = run.b.mean(w, &[0]);
    let mean = run.b.reshape(mean, &[size]);
    let (now, old) = (run.b.detach(mean), run.input(state));
    let id = run.tables.style_decay();
    moved_average(run, state, old, now, id);
}

/// `average = decay*average + (1 - decay)*value`, for weights and running statistics alike: the statistics then belong to
/// the averaged weights.
fn averages(run: &mut Run) {
    let Some(decay) = run.tables.model.train.ema else { return };
    for net in run.tables.model.sampled_nets() {
        for k in 0..run.tables.model.nets[net.index()].slots.len() {
            let Some(average) = run.tables.average(net, k) else { continue };
            let (now, old) = (run.slots(net)[k], run.input(average));
            let id = run.tables.decay(net, decay);
            moved_average(run, average, old, now, id);
        }
    }
}

fn moved_average(run: &mut Run, average: StateId, old: Value, now: Value, decay: ScalarId) {
    let decay = run.b.input(Source::Scalar(decay), &[]);
    let rest = run.b.sub(old, now);
    let kept = run.b.mul(rest, decay);
    let next = run.b.add(now, kept);
    update(&mut run.b, &run.tables.states, average, next);
}

/// Style `w`, brought nearer to the mean of styles.
fn truncated(run: &mut Run, w: Value, default: f64) -> Value {
    let Some(state) = run.tables.style_mean else { return w };
    let id = run.tables.given("truncation", default);
    let psi = run.b.input(Source::Scalar(id), &[]);
    let mean = run.input(state);
    let size = run.b.shape(mean)[0];
    let mean = run.b.reshape(mean, &[1, size]);
    let away = run.b.sub(w, mean);
    let away = run.b.mul(psi, away);
    run.b.add(mean, away)
}

/// The game's noises that `root` is computed from.
fn noises_of(model: &Model, root: Val) -> Vec<(Val, usize)> {
    let needed = model.game.needed(&[root], |_, _| true);
    let noise = |(i, instr): (usize, &Instr)| match instr.action {
        Action::Noise(k) if needed[i] => Some((Val(i as u32), k)),
        Action::Noise(_)
        | Action::Input(_)
        | Action::Data { .. }
        | Action::Number(_)
        | Action::Layer(_)
        | Action::Call { .. }
        | Action::Apply(_)
        | Action::Unknown => None,
    };
    model.game.instrs().iter().enumerate().filter_map(noise).collect()
}

/// Two draws of styles of which the second is taken at some places: `mix.from` up to `mix.to`.
fn mixer(tables: &mut Tables, draw: Val, style: &Style) -> Sampler {
    let model = tables.model;
    let mut run = Run::new(tables, false, Values::Averaged);
    let first = run.value(style.w);
    let first = truncated(&mut run, first, style.truncation);
    for (at, k) in noises_of(model, style.w) {
        let id = run.tables.second(&model.noises[k].name);
        let shape = run.tables.feeds[id.index()].shape.clone();
        let again = run.b.input(Source::Feed(id), &shape);
        run.given.insert(at, again);
    }
    let second = run.value(style.w);
    let second = truncated(&mut run, second, style.truncation);
    run.given.clear();
    let both = run.mix_range(first, second);
    run.given.insert(style.w, both);
    let value = run.value(draw);
    run.b.output("mix", value, Sink::Result);
    let layout = run.layout_of(&model.game.get(draw).ty);
    Sampler { name: "mix".into(), graph: run.b.finish(), layouts: vec![layout] }
}

/// `sample` with averaged weights where there are any, then each net with its own.
fn samplers(tables: &mut Tables) -> Vec<Sampler> {
    let model = tables.model;
    let mut samplers = Vec::new();
    if let Some(draw) = model.sample.draw {
        let mut run = Run::new(tables, false, Values::Averaged);
        if let Some(style) = &model.sample.style {
            let w = run.value(style.w);
            let w = truncated(&mut run, w, style.truncation);
            run.given.insert(style.w, w);
        }
        let value = run.value(draw);
        run.b.output("sample", value, Sink::Result);
        let layout = run.layout_of(&model.game.get(draw).ty);
        samplers.push(Sampler { name: "sample".into(), graph: run.b.finish(), layouts: vec![layout] });
        if let Some(style) = &model.sample.style {
            samplers.push(mixer(tables, draw, style));
        }
    }
    for n in 0..model.nets.len() {
        let net = NetId(n as u32);
        let mut run = Run::new(tables, false, Values::Raw);
        let args: Vec<_> = (0..model.nets[n].inputs.len()).map(|i| run.argument(net, i)).collect();
        let values = run.call(net, &args);
        let mut layouts = Vec::new();
        for (o, v) in model.nets[n].outputs.iter().zip(values) {
            run.b.output(o.name.clone(), v, Sink::Result);
            layouts.push(run.layout_of(&o.ty));
        }
        samplers.push(Sampler { name: model.nets[n].name.clone(), graph: run.b.finish(), layouts });
    }
    samplers
}
