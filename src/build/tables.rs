//! The tables of a program: states, feeds and scalars, filled before and while the graphs are built.

use super::program::{Decay, Feed, FeedSource, Init, Layout, Scalar, ScalarRule, Schedule, State, StateRole};
use crate::graph::{FeedId, ScalarId, Shape, StateId};
use crate::model::layers::{Draw, SlotKind, identity, inside, to_user};
use crate::model::train::{Moment, Optimizer, Rule};
use crate::model::{Action, Function, Model, NetId, NoiseSource, Type, Val};
use std::collections::HashMap;

/// The tables with the way back from the model's things.
pub struct Tables<'m> {
    pub model: &'m Model,
    pub batch: usize,
    pub states: Vec<State>,
    pub feeds: Vec<Feed>,
    pub scalars: Vec<Scalar>,
    /// State of each slot of each net.
    slots: Vec<Vec<StateId>>,
    /// Average of each slot of each net.
    averages: Vec<Vec<Option<StateId>>>,
    /// Draws of layers in the graph being built.
    draws: usize,
    /// What each `history` of the objectives keeps.
    histories: HashMap<Val, Kept>,
    /// Feed of each `mix_styles` of the objectives.
    mixings: HashMap<Val, FeedId>,
    /// Mean of the styles.
    pub style_mean: Option<StateId>,
}

/// What a `history` keeps and draws.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// Samples, `[places, numbers]`.
    pub memory: StateId,
    /// 1 where there is a sample, `[places]`.
    pub filled: StateId,
    /// Feed of the places and coins, `[batch, places + 1]`.
    pub draws: FeedId,
}

impl<'m> Tables<'m> {
    /// The tables as far as the model alone decides them: weights, then buffers, then moments, then averages; data and
    /// noise that the game or the sampler uses.
    pub fn new(model: &'m Model, batch: usize) -> Tables<'m> {
        let mut t = Tables {
            model,
            batch,
            states: Vec::new(),
            feeds: Vec::new(),
            scalars: Vec::new(),
            slots: Vec::new(),
            averages: model.nets.iter().map(|n| vec![None; n.slots.len()]).collect(),
            draws: 0,
            histories: HashMap::new(),
            mixings: HashMap::new(),
            style_mean: None,
        };
        t.own_states();
        t.moments();
        t.average_states();
        t.feeds();
        t.specials();
        t.style_average();
        t
    }

    fn own_states(&mut self) {
        self.slots = self.model.nets.iter().map(|n| vec![StateId(0); n.slots.len()]).collect();
        for weights in [true, false] {
            for (n, net) in self.model.nets.iter().enumerate() {
                for (k, (name, slot)) in net.slots.iter().enumerate() {
                    let net_name = net.name.clone();
                    let role = match &slot.kind {
                        SlotKind::Weight { init, .. } => StateRole::Weight { net: net_name, init: init.clone() },
                        SlotKind::Buffer { init } => StateRole::Buffer { net: net_name, init: init.clone() },
                    };
                    if weights != matches!(role, StateRole::Weight { .. }) {
                        continue;
                    }
                    self.slots[n][k] = StateId(self.states.len() as u32);
                    let name = format!("{}.{name}", net.name);
                    self.states.push(State { name, shape: slot.shape.clone(), layout: slot.layout.clone(), panels: None, role });
                }
            }
        }
    }

    fn moments(&mut self) {
        for (n, net) in self.model.nets.iter().enumerate() {
            let names: &[&str] = match self.model.train.optimizers[n] {
                None => &[],
                Some(Optimizer::Sgd { momentum: 0.0, .. }) => &[],
                Some(Optimizer::Sgd { .. }) => &["momentum"],
                Some(Optimizer::RmsProp { momentum: 0.0, .. }) => &["rmsprop_v"],
                Some(Optimizer::RmsProp { .. }) => &["rmsprop_v", "momentum"],
                Some(Optimizer::Adam { .. }) => &["adam_m", "adam_v"],
            };
            for k in 0..net.slots.len() {
                let of = self.slots[n][k];
                let state = self.states[of.index()].clone();
                if !matches!(state.role, StateRole::Weight { .. }) {
                    continue;
                }
                for moment in names {
                    let name = format!("{}.{moment}", state.name);
                    self.states.push(State { name, role: StateRole::Moment { of, start: 0.0 }, ..state.clone() });
                }
            }
        }
    }

    fn average_states(&mut self) {
        if self.model.train.ema.is_none() {
            return;
        }
        for net in self.model.sampled_nets() {
            for k in 0..self.model.nets[net.index()].slots.len() {
                let of = self.slots[net.index()][k];
                let state = self.states[of.index()].clone();
                self.averages[net.index()][k] = Some(StateId(self.states.len() as u32));
                let name = format!("ema.{}", state.name);
                self.states.push(State { name, role: StateRole::Average { of }, ..state });
            }
        }
    }

    fn feeds(&mut self) {
        let mut roots: Vec<Val> = self.model.players.iter().map(|p| p.value).collect();
        roots.extend(self.model.sample.draw);
        let needed = self.model.game.needed(&roots, |_, _| true);
        let used = |action: Action| self.model.game.instrs().iter().zip(&needed).any(|(i, n)| *n && i.action == action);
        let mut feeds = Vec::new();
        for (stream, s) in self.model.streams.iter().enumerate() {
            for (column, (name, ty)) in s.columns.iter().enumerate() {
                if used(Action::Data { stream, column }) {
                    let (shape, layout) = self.batched(ty);
                    let source = FeedSource::Data { stream, column };
                    feeds.push(Feed { name: name.clone(), shape, layout, source, limit: ty.limit() });
                }
            }
        }
        for (i, n) in self.model.noises.iter().enumerate() {
            if used(Action::Noise(i)) {
                let (shape, layout) = self.batched(&Type::Tensor(n.shape().clone()));
                let source = match n.source {
                    NoiseSource::Normal { mean, std, .. } => FeedSource::Normal { mean: mean as f32, std: std as f32 },
                    NoiseSource::Uniform { low, high, .. } => FeedSource::Uniform { low: low as f32, high: high as f32 },
                };
                feeds.push(Feed { name: n.name.clone(), shape, layout, source, limit: None });
            }
        }
        self.feeds = feeds;
    }

    /// States and feeds of the functions that keep or draw something.
    fn specials(&mut self) {
        let (batch, model) = (self.batch, self.model);
        for (i, instr) in model.game.instrs().iter().enumerate() {
            let at = Val(i as u32);
            let Action::Apply(f) = instr.action else { continue };
            if let Function::History(places) = f {
                let name = format!("history.{}", self.histories.len() + 1);
                let size = instr.ty.numbers();
                let mut state = |name: String, shape: Shape| {
                    self.states.push(State { name, layout: identity(&shape), shape, panels: None, role: StateRole::History });
                    StateId(self.states.len() as u32 - 1)
                };
                let memory = state(format!("{name}.memory"), vec![places, size]);
                let filled = state(format!("{name}.filled"), vec![places]);
                let draws = self.feed_of(name, vec![batch, places + 1], FeedSource::Places);
                self.histories.insert(at, Kept { memory, filled, draws });
            }
            if let Function::MixStyles(_) = f {
                let name = format!("mix_styles.{}", self.mixings.len() + 1);
                let feed = self.feed_of(name, vec![batch, 2], FeedSource::Uniform { low: 0.0, high: 1.0 });
                self.mixings.insert(at, feed);
            }
        }
    }

    /// The mean of the styles that the mapping net has given, where samples go through a style.
    fn style_average(&mut self) {
        let Some(style) = &self.model.sample.style else { return };
        let net = self.model.nets[style.mapping.index()].name.clone();
        let shape = vec![self.model.game.get(style.w).ty.numbers()];
        let role = StateRole::Buffer { net: net.clone(), init: Init::Constant(0.0) };
        self.style_mean = Some(StateId(self.states.len() as u32));
        self.states.push(State { name: format!("{net}.w_average"), layout: identity(&shape), shape, panels: None, role });
    }

    /// A number that the caller of a sampler may set.
    pub fn given(&mut self, name: &str, default: f64) -> ScalarId {
        self.scalar(name.into(), ScalarRule::Given(default))
    }

    /// A feed for a second draw of the noise called `name`.
    pub fn second(&mut self, name: &str) -> FeedId {
        let Feed { shape, layout, source, .. } = self.feeds[self.feed(name).index()].clone();
        self.feeds.push(Feed { name: format!("mix.{name}"), shape, layout, source, limit: None });
        FeedId(self.feeds.len() as u32 - 1)
    }

    fn feed_of(&mut self, name: String, shape: Shape, source: FeedSource) -> FeedId {
        self.feeds.push(Feed { name, layout: identity(&shape), shape, source, limit: None });
        FeedId(self.feeds.len() as u32 - 1)
    }

    /// What the `history` at `at` keeps.
    pub fn history(&self, at: Val) -> Kept {
        self.histories[&at]
    }

    /// The feed of the `mix_styles` at `at`.
    pub fn mixing(&self, at: Val) -> FeedId {
        self.mixings[&at]
    }

    /// The scalar that says how far a new stage has faded in.
    pub fn fade(&mut self) -> ScalarId {
        let rule = match &self.model.growth {
            Some(g) => ScalarRule::Fade { from: g.begin(g.stage, self.train_batch()), steps: g.fade_steps(self.train_batch()) },
            None => ScalarRule::Fade { from: 0, steps: 0 },
        };
        self.scalar("fade".into(), rule)
    }

    /// Shape inside graphs of a batch of `ty`, and how PyTorch lays it out. A label is one number per sample.
    pub fn batched(&self, ty: &Type) -> (Shape, Layout) {
        let user: Shape = match ty {
            Type::Tensor(s) => s.clone(),
            Type::Class(_) => Vec::new(),
            Type::Tokens { len, .. } => vec![*len],
            Type::Styles(n) => vec![*n],
            Type::Number | Type::Unknown => {
                let layout = Layout { shape: Vec::new(), split: Vec::new(), perm: Vec::new() };
                return (Vec::new(), layout);
            }
        };
        let with_batch = |s: &[usize]| -> Shape { [self.batch].into_iter().chain(s.iter().copied()).collect() };
        let shape = with_batch(&inside(&user));
        let layout = Layout { shape: with_batch(&user), split: shape.clone(), perm: to_user(user.len()) };
        (shape, layout)
    }

    /// The state of slot `k` of `net`.
    pub fn slot(&self, net: NetId, k: usize) -> StateId {
        self.slots[net.index()][k]
    }

    /// The average of slot `k` of `net`, where there is one.
    pub fn average(&self, net: NetId, k: usize) -> Option<StateId> {
        self.averages[net.index()][k]
    }

    /// The moment called `name` of `weight`.
    pub fn moment(&self, weight: StateId, name: &str) -> StateId {
        let full = format!("{}.{name}", self.states[weight.index()].name);
        match self.states.iter().position(|s| s.name == full) {
            Some(i) => StateId(i as u32),
            None => panic!("no state {full}"),
        }
    }

    /// The feed called `name`.
    pub fn feed(&self, name: &str) -> FeedId {
        match self.feeds.iter().position(|f| f.name == name) {
            Some(i) => FeedId(i as u32),
            None => panic!("no feed {name}"),
        }
    }

    /// A new feed for one call of a layer that draws.
    pub fn draw(&mut self, shape: &[usize], draw: Draw) -> FeedId {
        let rank = shape.len() - 1;
        let perm = to_user(rank);
        let layout = Layout { shape: perm.iter().map(|&p| shape[p]).collect(), split: shape.to_vec(), perm };
        let (word, source) = match draw {
            Draw::Uniform => ("dropout", FeedSource::Uniform { low: 0.0, high: 1.0 }),
            Draw::Normal => ("noise", FeedSource::Normal { mean: 0.0, std: 1.0 }),
        };
        // Only one graph runs at a time: the first draw of each is the same feed, as far as shapes allow.
        loop {
            self.draws += 1;
            let name = format!("{word}.{}", self.draws);
            match self.feeds.iter().position(|f| f.name == name) {
                Some(i) if self.feeds[i].shape == shape && self.feeds[i].source == source => return FeedId(i as u32),
                Some(_) => {}
                None => {
                    self.feeds.push(Feed { name, shape: shape.to_vec(), layout, source, limit: None });
                    return FeedId(self.feeds.len() as u32 - 1);
                }
            }
        }
    }

    /// A new graph begins: its draws are counted from the first.
    pub fn begin(&mut self) {
        self.draws = 0;
    }

    /// The feed of input `i` of `net` in the net's own inference graph.
    pub fn argument(&mut self, net: NetId, i: usize) -> FeedId {
        let n = &self.model.nets[net.index()];
        let (shape, layout) = self.batched(&n.inputs[i].1);
        let name = format!("{}.{}", n.name, n.inputs[i].0);
        self.feeds.push(Feed { name, shape, layout, source: FeedSource::Argument, limit: n.inputs[i].1.limit() });
        FeedId(self.feeds.len() as u32 - 1)
    }

    /// The learning rate of `net`.
    pub fn rate(&mut self, net: NetId, player: usize, base: f64) -> ScalarId {
        let train = &self.model.train;
        let end = self.model.steps(self.batch).unwrap_or(u64::MAX);
        let at = |m: Moment| match m {
            Moment::Step(n) => n,
            Moment::Epoch(n) => self.model.steps_per_epoch(self.batch).map_or(u64::MAX, |e| (e as f64 * n).round() as u64),
        };
        let decay = match train.schedule {
            Rule::Constant => Decay::Constant,
            Rule::Linear { from } => Decay::Linear { from: at(from), to: end },
            Rule::Cosine => Decay::Cosine { to: end },
            Rule::Step { every, gamma } => Decay::Step { every, gamma },
        };
        let schedule = Schedule { warmup: train.warmup, decay };
        self.number("lr", net, ScalarRule::LearningRate { player, base, schedule })
    }

    /// The batch of training, which the stages of growing are counted in whatever the batch of these tables.
    fn train_batch(&self) -> usize {
        self.model.train.batch
    }

    /// `1 - beta^t` for slot `k` of `net`; `which` tells the first moment from the second. What a stage of growing brings counts its
    /// updates from there.
    pub fn correction(&mut self, which: &str, net: NetId, k: usize, player: usize, beta: f64) -> ScalarId {
        let stage = self.model.nets[net.index()].stage_of(k);
        match (stage, &self.model.growth) {
            (Some(stage), Some(g)) if stage > g.start => {
                let turns = u64::from(self.model.players[player].turns);
                let since = g.begin(stage, self.train_batch()) * turns;
                let name = format!("{which}.{}.r{}", self.model.nets[net.index()].name, g.levels[stage]);
                self.scalar(name, ScalarRule::BiasCorrection { player, beta, since })
            }
            (Some(_) | None, _) => self.number(which, net, ScalarRule::BiasCorrection { player, beta, since: 0 }),
        }
    }

    /// The decay of the averages of `net`.
    pub fn decay(&mut self, net: NetId, decay: f64) -> ScalarId {
        self.number("ema", net, ScalarRule::AverageDecay { decay })
    }

    /// The decay of the mean of styles; the reference code's.
    pub fn style_decay(&mut self) -> ScalarId {
        self.scalar("w_average".into(), ScalarRule::AverageDecay { decay: 0.995 })
    }

    fn number(&mut self, kind: &str, net: NetId, rule: ScalarRule) -> ScalarId {
        let name = format!("{kind}.{}", self.model.nets[net.index()].name);
        self.scalar(name, rule)
    }

    fn scalar(&mut self, name: String, rule: ScalarRule) -> ScalarId {
        let at = self.scalars.iter().position(|s| s.name == name).unwrap_or_else(|| {
            self.scalars.push(Scalar { name, rule });
            self.scalars.len() - 1
        });
        ScalarId(at as u32)
    }
}
