//! What ganc knows of adversarial training: games that cannot be learned, and combinations that go wrong in practice.

use super::functions::follows_gradient;
use super::layers::SlotKind;
use super::resolver::Resolver;
use super::{Action, Function, Instr, Net, NetId, Train, Type, Val};
use crate::diag::Diagnostic;

/// The net that a value calls.
fn called(i: &Instr) -> Option<NetId> {
    i.action.called().map(|c| c.0)
}

impl Resolver<'_> {
    /// Checks the game as a whole. Silent after errors, whose values are unknown.
    pub fn domain(&mut self, train: &Train) {
        self.single_value_statistics(train);
        if self.failed() {
            return;
        }
        self.nets_without_player();
        self.dead_gradients();
        self.output_ranges();
        self.bounded_critics();
        self.batch_statistics_under_gradient();
    }

    fn nets_without_player(&mut self) {
        let mut silent = Vec::new();
        for player in &self.players {
            let needed = self.global().body.needed(&[player.value], |_, _| true);
            for (i, _) in self.global().body.instrs().iter().zip(&needed).filter(|x| *x.1) {
                let Some(net) = called(i) else { continue };
                for &id in &self.nets[net.index()].reaches {
                    let learns = self.players.iter().any(|p| p.nets.contains(&id));
                    if !learns && learnable(&self.nets[id.index()]) && !silent.contains(&(id, i.span)) {
                        silent.push((id, i.span));
                    }
                }
            }
        }
        silent.sort_by_key(|s| (s.0, s.1));
        silent.dedup_by_key(|s| s.0);
        for (id, place) in silent {
            let net = &self.nets[id.index()];
            let d = Diagnostic::new("E0403", net.span, format!("the net `{}` is used but never learns", net.name))
                .label("no player of this name under `game:`")
                .related(place, "used here")
                .hint(format!(
                    "add `min {}: ...` under `game:`, or name it beside another: `min G, {}: ...`",
                    net.name, net.name
                ));
            self.report(d);
        }
    }

    fn dead_gradients(&mut self) {
        let mut found = Vec::new();
        for player in &self.players {
            let body = &self.global().body;
            let live = body.needed(&[player.value], follows_gradient);
            let seen = body.needed(&[player.value], |_, _| true);
            let reaches = |needed: &[bool], id: NetId| {
                let mut calls = body.instrs().iter().zip(needed).filter(|x| *x.1).filter_map(|x| called(x.0));
                calls.any(|n| self.nets[n.index()].reaches.contains(&id))
            };
            for &id in &player.nets {
                let net = &self.nets[id.index()];
                let value = player.value_span;
                if !learnable(net) {
                    found.push(
                        Diagnostic::new("E0410", player.span, format!("the net `{}` has no weights to learn", net.name))
                            .label("a player needs weights")
                            .related(net.span, "no layer here has weights"),
                    );
                } else if !reaches(&live, id) {
                    let hint = if reaches(&seen, id) {
                        format!("`{}` occurs only inside `detach(...)`, which stops the gradient", net.name)
                    } else {
                        format!("let `{}` occur in the value, or remove the player", net.name)
                    };
                    found.push(
                        Diagnostic::new(
                            "E0404",
                            player.span,
                            format!("the objective of `{}` does not depend on `{}`", player.name, net.name),
                        )
                        .label("its gradient would be zero")
                        .related(value, format!("no gradient leads from here to `{}`", net.name))
                        .expected(format!("a value computed with `{}`", net.name))
                        .hint(hint),
                    );
                }
            }
        }
        for d in found {
            self.report(d);
        }
    }

    fn single_value_statistics(&mut self, train: &Train) {
        if train.batch != 1 {
            return;
        }
        let mut found = Vec::new();
        for net in &self.nets {
            for l in net.layers.iter().filter(|l| l.layer.mixes_batch()) {
                if l.shape[1..].iter().product::<usize>() == 1 {
                    found.push(
                        Diagnostic::new("E0310", l.span, format!("`{}` would normalise over a single value", l.word))
                            .label(format!("batch 1, and one value per channel in the shape {}", Type::Tensor(l.shape.clone())))
                            .expected("at least two values per channel")
                            .hint("raise `train.batch`, or leave this layer out; its result would always be its bias"),
                    );
                }
            }
        }
        for d in found {
            self.report(d);
        }
    }

    /// The word of the layer that a net's only output ends in, past layers that only move elements.
    fn ending(&self, net: &Net) -> Option<&'static str> {
        let mut v = net.outputs.first().filter(|_| net.outputs.len() == 1)?.value;
        loop {
            let i = net.body.get(v);
            match i.action {
                Action::Layer(l) => match net.layers[l].word {
                    "flatten" | "reshape" => v = i.args[0],
                    word => return Some(word),
                },
                Action::Apply(Function::Sigmoid) => return Some("sigmoid"),
                Action::Apply(Function::Tanh) => return Some("tanh"),
                Action::Call { net: inner, output: 0 } => return self.ending(&self.nets[inner.index()]),
                Action::Apply(_)
                | Action::Call { .. }
                | Action::Input(_)
                | Action::Data { .. }
                | Action::Noise(_)
                | Action::Number(_)
                | Action::Unknown => return None,
            }
        }
    }

    fn output_ranges(&mut self) {
        let mut found = Vec::new();
        for net in &self.nets {
            let [out] = &net.outputs[..] else { continue };
            let Some(stream) = self.streams.iter().find(|s| s.columns.iter().any(|c| c.0 == out.name)) else { continue };
            let Some([low, high]) = stream.source.range() else { continue };
            let (word, a, b) = match self.ending(net) {
                Some("tanh") => ("tanh", -1.0, 1.0),
                Some("sigmoid") => ("sigmoid", 0.0, 1.0),
                Some(_) | None => continue,
            };
            if (low, high) == (a, b) {
                continue;
            }
            let place = net.layers.iter().rev().find(|l| l.word == word).map_or(net.span, |l| l.span);
            let better = if word == "tanh" { "sigmoid" } else { "tanh" };
            let shown = |x: f64| super::numbers::show(x);
            found.push(
                Diagnostic::new(
                    "W0503",
                    place,
                    format!("`{word}` gives values in [{a}, {b}], but `{}` lies in [{}, {}]", out.name, shown(low), shown(high)),
                )
                .label(format!("the end of `{}`", net.name))
                .related(stream.span, format!("values in [{}, {}]", shown(low), shown(high)))
                .hint(if [low, high] == [0.0, 1.0] || [low, high] == [-1.0, 1.0] {
                    format!("end with `{better}`, or set `range=[{a}, {b}]` in the data")
                } else {
                    format!("set `range=[{a}, {b}]` in the data")
                }),
            );
        }
        for d in found {
            self.report(d);
        }
    }

    /// A score that is averaged as it is (Wasserstein) must not be squeezed into [0, 1].
    fn bounded_critics(&mut self) {
        let body = &self.global().body;
        let mut found = Vec::new();
        for player in &self.players {
            for mean in self.summands(player.value) {
                if body.get(mean).action != Action::Apply(Function::Expect) {
                    continue;
                }
                for v in self.summands(body.get(mean).args[0]) {
                    let Some(id) = called(body.get(v)) else { continue };
                    let net = &self.nets[id.index()];
                    // A generator's own output is no score.
                    if net.outputs[0].ty != Type::Tensor(vec![1]) || self.ending(net) != Some("sigmoid") {
                        continue;
                    }
                    let place = net.layers.iter().rev().find(|l| l.word == "sigmoid").map_or(net.span, |l| l.span);
                    found.push(
                        Diagnostic::new(
                            "W0504",
                            place,
                            format!("the critic `{}` ends in a sigmoid, but its score is averaged as it is", net.name),
                        )
                        .label("squeezes the score into [0, 1]")
                        .related(body.get(v).span, "used without a logarithm, as in a Wasserstein game")
                        .hint("a Wasserstein critic must be unbounded: remove the sigmoid"),
                    );
                }
            }
        }
        for d in found {
            self.report(d);
        }
    }

    /// The values that add up to `v`, each times a constant.
    fn summands(&self, v: Val) -> Vec<Val> {
        let body = &self.global().body;
        let (mut open, mut result) = (vec![v], Vec::new());
        while let Some(v) = open.pop() {
            let i = body.get(v);
            let number = |k: usize| matches!(body.get(i.args[k]).action, Action::Number(_));
            match i.action {
                Action::Apply(Function::Add | Function::Sub) => open.extend([i.args[1], i.args[0]]),
                Action::Apply(Function::Neg) => open.push(i.args[0]),
                Action::Apply(Function::Mul) if number(0) => open.push(i.args[1]),
                Action::Apply(Function::Mul | Function::Div) if number(1) => open.push(i.args[0]),
                Action::Apply(_)
                | Action::Call { .. }
                | Action::Input(_)
                | Action::Data { .. }
                | Action::Noise(_)
                | Action::Number(_)
                | Action::Layer(_)
                | Action::Unknown => result.push(v),
            }
        }
        result.sort_unstable();
        result.dedup();
        result
    }

    fn batch_statistics_under_gradient(&mut self) {
        let body = &self.global().body;
        let mut found = Vec::new();
        for g in body.instrs().iter().filter(|i| i.action == Action::Apply(Function::Grad)) {
            let (y, x) = (g.args[0], g.args[1]);
            let needed = body.needed(&[y], follows_gradient);
            // Only what lies between x and y: values computed from x that y needs.
            let mut from_x = vec![false; needed.len()];
            from_x[x.index()] = true;
            for (k, i) in body.instrs().iter().enumerate() {
                from_x[k] |= i.args.iter().any(|a| from_x[a.index()]);
                let Some(id) = called(i).filter(|_| needed[k] && from_x[k] && k != x.index()) else { continue };
                for &inner in &self.nets[id.index()].reaches {
                    let net = &self.nets[inner.index()];
                    if let Some(l) = net.layers.iter().find(|l| l.layer.mixes_batch()) {
                        found.push(
                            Diagnostic::new("W0505", l.span, format!("`{}` in `{}` under a gradient penalty", l.word, net.name))
                                .label("mixes the samples of a batch")
                                .related(g.span, "the gradient for one sample then depends on all others")
                                .hint("use `layer_norm` in this net, as WGAN-GP does, or no normalisation"),
                        );
                    }
                }
            }
        }
        for d in found {
            self.report(d);
        }
    }
}

fn learnable(net: &Net) -> bool {
    net.slots.iter().any(|s| matches!(s.1.kind, SlotKind::Weight { .. }))
}
