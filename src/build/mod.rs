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

use crate::graph::{Builder, Sink, Source, StateId};
use crate::model::layers::SlotKind;
use crate::model::{Model, NetId};
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
            // Only where every player takes part can it be the last run; then every such run of fewer turns is alike.
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
                let next = optimizers::update(&mut run, net, p, state, weight, gradient);
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

/// `average = decay*average + (1 - decay)*value`, for weights and running statistics alike: the statistics then belong to
/// the averaged weights.
fn averages(run: &mut Run) {
    let Some(decay) = run.tables.model.train.ema else { return };
    for net in run.tables.model.sampled_nets() {
        for k in 0..run.tables.model.nets[net.index()].slots.len() {
            let Some(average) = run.tables.average(net, k) else { continue };
            let (now, old) = (run.slots(net)[k], run.input(average));
            let id = run.tables.decay(net, decay);
            let decay = run.b.input(Source::Scalar(id), &[]);
            let rest = run.b.sub(old, now);
            let kept = run.b.mul(rest, decay);
            let next = run.b.add(now, kept);
            update(&mut run.b, &run.tables.states, average, next);
        }
    }
}

/// `sample` with averaged weights where there are any, then each net with its own.
fn samplers(tables: &mut Tables) -> Vec<Sampler> {
    let model = tables.model;
    let mut samplers = Vec::new();
    if let Some(draw) = model.sample.draw {
        let mut run = Run::new(tables, false, Values::Averaged);
        let value = run.value(draw);
        run.b.output("sample", value, Sink::Result);
        let layout = run.layout_of(&model.game.get(draw).ty);
        samplers.push(Sampler { name: "sample".into(), graph: run.b.finish(), layouts: vec![layout] });
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
