//! What objectives have beyond functions of values: parts that count in some steps only, memories of earlier samples, styles
//! that cross over. All of it turns into plain values here; what must be drawn becomes a feed, what must be kept a state.

use super::program::Condition;
use super::step::Run;
use crate::graph::{Binary, Builder, Shape, Sink, Source, Value};
use crate::model::{Action, Function, Model, Type, Val};

/// The conditions in the objectives of `model`, each once, in order.
pub fn conditions(model: &Model) -> Vec<Condition> {
    let mut found = Vec::new();
    for i in model.game.instrs() {
        if let Action::Apply(f) = i.action
            && let Some(c) = condition(f)
            && !found.contains(&c)
        {
            found.push(c);
        }
    }
    found
}

/// The conditions that the value of player `player` depends on.
pub fn conditions_of(model: &Model, player: usize) -> Vec<Condition> {
    let needed = model.game.needed(&[model.players[player].value], |_, _| true);
    let used = model.game.instrs().iter().zip(needed).filter(|x| x.1);
    used.filter_map(|(i, _)| if let Action::Apply(f) = i.action { condition(f) } else { None }).collect()
}

/// When the value of `f` counts.
pub fn condition(f: Function) -> Option<Condition> {
    if let Function::Every(n) = f {
        return Some(Condition::Every(n));
    }
    if let Function::Until(n) = f { Some(Condition::Until(n)) } else { None }
}

/// Two styles, and the two uniform numbers per sample that say whether and where they cross over.
#[derive(Clone, Copy, Debug)]
pub struct Mixed {
    first: Value,
    second: Value,
    crossing: Crossing,
}

/// Where the second style is taken.
#[derive(Clone, Copy, Debug)]
enum Crossing {
    /// From a random place on, with this probability; two uniform numbers per sample.
    Random { draws: Value, prob: f32 },
    /// At the places from one scalar up to another.
    Range { from: Value, to: Value },
}

impl Run<'_, '_> {
    /// The value of `f`, which is at position `at` of the objectives, where that depends on more than its arguments `x`.
    pub fn special(&mut self, f: Function, at: Val, x: &[Value], ty: &Type) -> Option<Value> {
        if let Some(c) = condition(f) {
            return Some(match (self.holds(c), c) {
                (true, Condition::Every(n)) => self.b.scale(x[0], n as f32),
                (true, Condition::Until(_)) => x[0],
                (false, _) => {
                    let shape = self.tables.batched(ty).0;
                    self.b.constant(0.0, &shape)
                }
            });
        }
        if let Function::History(places) = f {
            return Some(self.history(at, x[0], places));
        }
        if let Function::MixStyles(prob) = f {
            return Some(self.mix(at, x, prob as f32));
        }
        None
    }

    /// From `old` to `new` as the new stage fades in.
    pub fn fade(&mut self, old: Value, new: Value) -> Value {
        let id = self.tables.fade();
        let part = self.b.input(Source::Scalar(id), &[]);
        let shape = self.b.shape(new).to_vec();
        let part = self.b.splat(part, &shape);
        let step = self.b.sub(new, old);
        let step = self.b.mul(step, part);
        self.b.add(old, step)
    }

    /// Each sample of `x`, or the one that lies at the place drawn for it, which it then replaces. A sample drawn an empty place goes
    /// there and is itself given, so that the memory fills first. The places drawn for a batch are distinct.
    fn history(&mut self, at: Val, x: Value, places: usize) -> Value {
        if let Some(&known) = self.histories.get(&at) {
            return known;
        }
        let kept = self.tables.history(at);
        let (memory, filled) = (self.input(kept.memory), self.input(kept.filled));
        let shape = self.b.shape(x).to_vec();
        let (batch, each) = (shape[0], shape[1..].iter().product::<usize>());
        let draws = self.b.input(Source::Feed(kept.draws), &[batch, places + 1]);
        let b = &mut self.b;
        let pick = b.slice_axis(draws, 1, 0, places);
        let coin = b.slice_axis(draws, 1, places, 1);
        let flat = b.reshape(x, &[batch, each]);
        let new = b.detach(flat);
        let column = b.reshape(filled, &[places, 1]);
        let taken = b.dot(pick, column, false, false);
        let old = b.mul(taken, coin);
        // It is written where the place was empty, or where the old one is given in its stead.
        let one = b.constant(1.0, &[batch, 1]);
        let empty = b.sub(one, taken);
        let write = b.add(empty, old);
        let there = b.dot(pick, memory, false, false);
        let change = b.sub(there, flat);
        let change = b.mul(change, old);
        let given = b.add(flat, change);
        let given = b.reshape(given, &shape);
        let written = b.mul(pick, write);
        let brought = b.dot(written, new, true, false);
        let here = b.sum(written, &[0]);
        let here = b.reshape(here, &[places, 1]);
        let lost = b.mul(memory, here);
        let next = b.sub(memory, lost);
        let next = b.add(next, brought);
        let here = b.reshape(here, &[places]);
        let now = b.binary(Binary::Max, filled, here);
        for (state, value) in [(kept.memory, next), (kept.filled, now)] {
            let name = format!("update.{}", self.tables.states[state.index()].name);
            self.b.output(name, value, Sink::Update(state));
        }
        self.histories.insert(at, given);
        given
    }

    /// Stands for both styles until a net takes them: see [`Run::style`].
    fn mix(&mut self, at: Val, x: &[Value], prob: f32) -> Value {
        let batch = self.b.shape(x[0])[0];
        let feed = self.tables.mixing(at);
        let draws = self.b.input(Source::Feed(feed), &[batch, 2]);
        self.pair(x[0], x[1], Crossing::Random { draws, prob })
    }

    /// Both styles for a sampler that takes the second at the places from `mix.from` up to `mix.to`.
    pub fn mix_range(&mut self, first: Value, second: Value) -> Value {
        let mut scalar = |name: &str| {
            let id = self.tables.given(name, 0.0);
            self.b.input(Source::Scalar(id), &[])
        };
        let (from, to) = (scalar("mix.from"), scalar("mix.to"));
        self.pair(first, second, Crossing::Range { from, to })
    }

    fn pair(&mut self, a: Value, c: Value, crossing: Crossing) -> Value {
        let [batch, size] = self.b.shape(a)[..] else { panic!("styles of shape {:?}", self.b.shape(a)) };
        let (first, second) = (self.b.reshape(a, &[batch, 1, size]), self.b.reshape(c, &[batch, 1, size]));
        let both = self.b.concat(1, &[first, second]);
        self.mixed.insert(both, Mixed { first: a, second: c, crossing });
        both
    }

    /// The style that place `k` of `places` takes, given mixed styles: the second from the crossing on. The crossing lies
    /// between any two places with equal probability.
    pub fn style(&mut self, mixed: Mixed, k: usize, places: usize) -> Value {
        let b = &mut self.b;
        let shape = b.shape(mixed.first).to_vec();
        let second = match mixed.crossing {
            Crossing::Random { .. } if k == 0 || places < 2 => return mixed.first,
            Crossing::Random { draws, prob } => {
                let (whether, cross) = (b.slice_axis(draws, 1, 0, 1), b.slice_axis(draws, 1, 1, 1));
                let column: Shape = vec![shape[0], 1];
                let prob = b.constant(prob, &column);
                let whether = b.binary(Binary::Lt, whether, prob);
                // The crossing is the whole part of `1 + cross*(places - 1)`; place k lies behind it when that is at most k.
                let limit = b.constant((k as f64 / (places - 1) as f64) as f32, &column);
                let behind = b.binary(Binary::Lt, cross, limit);
                let second = b.mul(whether, behind);
                b.broadcast(second, &shape)
            }
            Crossing::Range { from, to } => {
                let here = b.constant(k as f32, &[]);
                let (begun, open) = (b.binary(Binary::Le, from, here), b.binary(Binary::Lt, here, to));
                let second = b.mul(begun, open);
                b.splat(second, &shape)
            }
        };
        b.select(second, mixed.second, mixed.first)
    }

    /// The pair that a value stands for.
    pub fn mixed(&self, v: Value) -> Option<Mixed> {
        self.mixed.get(&v).copied()
    }
}

/// Mean over squares of `k` x `k` pixels of `[N, H, W, C]`.
pub fn shrink(b: &mut Builder, x: Value, k: usize) -> Value {
    let s = b.shape(x).to_vec();
    let parted = b.reshape(x, &[s[0], s[1] / k, k, s[2] / k, k, s[3]]);
    let mean = b.mean(parted, &[2, 4]);
    b.reshape(mean, &[s[0], s[1] / k, s[2] / k, s[3]])
}

/// Every pixel of `[N, H, W, C]` repeated to a square of `k` x `k`.
pub fn enlarge(b: &mut Builder, x: Value, k: usize) -> Value {
    let s = b.shape(x).to_vec();
    let parted = b.reshape(x, &[s[0], s[1], 1, s[2], 1, s[3]]);
    let wide = b.broadcast(parted, &[s[0], s[1], k, s[2], k, s[3]]);
    b.reshape(wide, &[s[0], s[1] * k, s[2] * k, s[3]])
}
