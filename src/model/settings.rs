//! Reading the `train` section.

use super::NetId;
use super::args::{Args, Default, Evaluate, Key, Kind, read};
use super::layers::{Part, SlotKind};
use super::numbers::{show, what};
use super::resolver::Resolver;
use super::suggest::did_you_mean;
use super::train::{
    DECAY, INITS, InitRule, LONG, Length, Moment, OPTIMIZERS, Optimizer, Rule, RuleRow, SCHEDULES, Train, number,
};
use crate::build::program::Init;
use crate::diag::{Diagnostic, Span};
use crate::syntax::ast::{Arg, Expr, ExprKind, Name, Setting, Value};

/// Settings of `train` that are one plain value.
const TRAIN: &[Key] = &[
    number("batch", Kind::Whole(1, 65_536), 64.0),
    Key { name: "steps", kind: LONG, default: Default::Absent },
    Key { name: "epochs", kind: Kind::Real(1e-6, 1e9), default: Default::Absent },
    Key { name: "images", kind: LONG, default: Default::Absent },
    Key { name: "warmup", kind: LONG, default: Default::Absent },
    Key { name: "ema", kind: DECAY, default: Default::Absent },
    number("seed", Kind::Whole(0, 1 << 53), 0.0),
    number("checkpoint", LONG, 1000.0),
    number("samples", LONG, 200.0),
    Key { name: "exact_conv", kind: Kind::Flag, default: Default::Flag(false) },
];

/// Settings of `train` that have a form of their own.
const TRAIN_FORMS: &[&str] = &["turns", "optimizer", "init", "schedule", "grow"];

impl<'a> Resolver<'a> {
    /// Resolves the `train` section.
    pub fn train(&mut self) -> Train {
        let spec = self.spec;
        let plain = self.settings("train", &spec.train, TRAIN, TRAIN_FORMS);
        let whole = |key: &str, other: u64| plain.as_ref().filter(|a| a.given(key)).map_or(other, |a| a.whole(key) as u64);
        let mut train = Train {
            batch: whole("batch", 64) as usize,
            length: Length::Steps(1),
            optimizers: self.nets.iter().map(|_| None).collect(),
            init: None,
            schedule: Rule::Constant,
            warmup: whole("warmup", 0),
            ema: plain.as_ref().filter(|a| a.given("ema")).map(|a| a.real("ema")),
            seed: whole("seed", 0),
            checkpoint: whole("checkpoint", 1000),
            samples: whole("samples", 200),
            exact_conv: plain.as_ref().is_some_and(|a| a.flag("exact_conv")),
        };
        if let Some(length) = self.length(plain.as_ref()) {
            train.length = length;
        }
        let mut optimizer = false;
        for s in &spec.train {
            match s.key.text.as_str() {
                "optimizer" => {
                    optimizer = true;
                    train.optimizers = self.optimizers(s);
                }
                "init" => train.init = self.choice("initialisation", s, INITS).map(|x| x.0),
                "schedule" => {
                    if let Some(((rule, warmup), args)) = self.choice("schedule", s, SCHEDULES) {
                        train.schedule = rule;
                        self.both_froms(&args);
                        if let Some(w) = warmup {
                            train.warmup = w;
                        }
                        self.schedule_without_effect(&train, s.key.span);
                    }
                }
                "turns" => self.turns(s),
                _plain => {}
            }
        }
        let steps = match train.length {
            Length::Steps(n) => Some(n),
            Length::Images(n) => Some(n.div_ceil(train.batch as u64)),
            Length::Epochs(_) => None,
        };
        self.growth_fits(steps, train.batch);
        self.histories_hold(train.batch);
        if !optimizer && !spec.train.is_empty() {
            let place = self.section("train").unwrap_or(self.top());
            self.report(
                Diagnostic::new("E0407", place, "`train` names no optimizer")
                    .expected("one of sgd, rmsprop, adam, adamw")
                    .hint("the usual choice for a GAN is `optimizer: adam(2e-4, beta1=0.5)`"),
            );
        }
        train
    }

    /// Reads the plain settings of a section; others are left to the caller. `None` when something was wrong.
    pub(super) fn settings(
        &mut self,
        section: &str,
        settings: &'a [Setting],
        keys: &'static [Key],
        forms: &[&str],
    ) -> Option<Args> {
        let mut args: Vec<Arg> = Vec::new();
        for s in settings {
            let name = s.key.text.as_str();
            if forms.contains(&name) {
                continue;
            }
            if !keys.iter().any(|k| k.name == name) {
                self.unknown_setting(section, &s.key, keys, forms);
                continue;
            }
            match &s.value {
                Value::Expr(e) => args.push(Arg { name: Some(s.key.clone()), value: e.clone() }),
                Value::Map(_, span) => self.report(
                    Diagnostic::new("E0205", *span, format!("`{name}` is one value, not a mapping"))
                        .expected(format!("`{name}: VALUE`")),
                ),
            }
        }
        let place = self.section(section).unwrap_or(self.top());
        // One setting at a time, so that a mistake in one leaves the others readable.
        let good: Vec<Arg> =
            args.into_iter().filter(|a| read(self, section, place, std::slice::from_ref(a), keys).is_some()).collect();
        read(self, section, place, &good, keys)
    }

    fn unknown_setting(&mut self, section: &str, key: &Name, keys: &[Key], forms: &[&str]) {
        let names: Vec<&str> = keys.iter().map(|k| k.name).chain(forms.iter().copied()).collect();
        let d = Diagnostic::new("E0204", key.span, format!("`{section}` has no setting `{}`", key.text))
            .label("unknown setting")
            .expected(format!("one of {}", names.join(", ")));
        self.report(match did_you_mean(&key.text, names) {
            Some(h) => d.hint(h),
            None => d,
        });
    }

    fn length(&mut self, plain: Option<&Args>) -> Option<Length> {
        let spec = self.spec;
        let given: Vec<&Setting> =
            spec.train.iter().filter(|s| matches!(s.key.text.as_str(), "steps" | "epochs" | "images")).collect();
        match given[..] {
            [] => {
                if !spec.train.is_empty() {
                    let place = self.section("train").unwrap_or(self.top());
                    self.report(
                        Diagnostic::new("E0406", place, "`train` does not say how long to train")
                            .expected("one of `steps`, `epochs` and `images`")
                            .hint("for example `steps: 10000`"),
                    );
                }
                None
            }
            [only] => {
                let args = plain?;
                match only.key.text.as_str() {
                    "steps" if args.given("steps") => Some(Length::Steps(args.whole("steps") as u64)),
                    "images" if args.given("images") => Some(Length::Images(args.whole("images") as u64)),
                    "epochs" if args.given("epochs") => {
                        // A stream that a mistake made unknown may have a length.
                        let endless = self.streams.iter().all(|s| s.len.is_none() && !s.source.known().1);
                        if endless && self.streams.len() == spec.data.len() {
                            self.report(
                                Diagnostic::new(
                                    "E0409",
                                    only.key.span,
                                    "an epoch has no length here: all data are drawn without end",
                                )
                                .related(self.streams.first().map_or(self.top(), |s| s.span), "an endless stream")
                                .hint("say `steps: 10000`, or `images: 600k`"),
                            );
                        }
                        Some(Length::Epochs(args.real("epochs")))
                    }
                    _wrong => None,
                }
            }
            [first, second, ..] => {
                self.report(
                    Diagnostic::new(
                        "E0406",
                        second.key.span,
                        format!("the length of training is given twice: `{}` and `{}`", first.key.text, second.key.text),
                    )
                    .related(first.key.span, "first given here")
                    .expected("one of `steps`, `epochs` and `images`"),
                );
                None
            }
        }
    }

    /// Reads `adam(2e-4)`: a word of `table` with its arguments.
    fn choice_of<T>(&mut self, kind: &str, e: &Expr, table: &'static [RuleRow<T>]) -> Option<(T, Args)> {
        let words = || table.iter().map(|r| r.0).collect::<Vec<_>>();
        let (word, span, args): (&str, Span, &[Arg]) = match &e.kind {
            ExprKind::Call { callee, args } => (&callee.text, callee.span, args),
            ExprKind::Name(n) => (n, e.span, &[]),
            ExprKind::Number(_)
            | ExprKind::Text(_)
            | ExprKind::Bool(_)
            | ExprKind::List(_)
            | ExprKind::Mean(_)
            | ExprKind::Neg(_)
            | ExprKind::Binary { .. } => {
                self.report(
                    Diagnostic::new("E0205", e.span, format!("this is no {kind}"))
                        .expected(format!("one of {}", words().join(", ")))
                        .found(what(e)),
                );
                return None;
            }
        };
        let Some((word, keys, make)) = table.iter().find(|r| r.0 == word) else {
            let d = Diagnostic::new("E0202", span, format!("unknown {kind} `{word}`"))
                .expected(format!("one of {}", words().join(", ")));
            self.report(match did_you_mean(word, words()) {
                Some(h) => d.hint(h),
                None => d,
            });
            return None;
        };
        let args = read(self, word, e.span, args, keys)?;
        Some((make(&args), args))
    }

    fn choice<T>(&mut self, kind: &str, s: &Setting, table: &'static [RuleRow<T>]) -> Option<(T, Args)> {
        match &s.value {
            Value::Expr(e) => self.choice_of(kind, e, table),
            Value::Map(_, span) => {
                self.report(
                    Diagnostic::new("E0205", *span, format!("`{}` takes one {kind}, not a mapping", s.key.text))
                        .expected(format!("one of {}", table.iter().map(|r| r.0).collect::<Vec<_>>().join(", "))),
                );
                None
            }
        }
    }

    fn both_froms(&mut self, args: &Args) {
        if args.shown().starts_with("linear_to_zero") && args.given("from_epoch") && args.given("from_step") {
            self.report(
                Diagnostic::new("E0203", args.span("from_step"), "`linear_to_zero` begins either at an epoch or at a step")
                    .related(args.span("from_epoch"), "the epoch")
                    .hint("keep one of them"),
            );
        }
    }

    fn schedule_without_effect(&mut self, train: &Train, place: Span) {
        let late = match (train.schedule, train.length) {
            (Rule::Linear { from: Moment::Step(n) }, Length::Steps(all)) => n >= all,
            (Rule::Linear { from: Moment::Epoch(n) }, Length::Epochs(all)) => n >= all,
            (Rule::Step { every, .. }, Length::Steps(all)) => every >= all,
            (Rule::Linear { .. } | Rule::Step { .. } | Rule::Constant | Rule::Cosine, _) => false,
        };
        if late {
            self.report(
                Diagnostic::new("W0506", place, "the schedule has no effect: it begins when training ends")
                    .hint("begin earlier, or remove it"),
            );
        }
        if let (Rule::Linear { from: Moment::Epoch(_) }, true) =
            (train.schedule, !self.streams.is_empty() && self.streams.iter().all(|s| s.len.is_none() && !s.source.known().1))
        {
            self.report(
                Diagnostic::new("E0409", place, "an epoch has no length here: all data are drawn without end")
                    .hint("use `from_step=`"),
            );
        }
    }

    fn optimizers(&mut self, s: &Setting) -> Vec<Option<Optimizer>> {
        let learning: Vec<bool> =
            (0..self.nets.len()).map(|i| self.players.iter().any(|p| p.nets.contains(&NetId(i as u32)))).collect();
        match &s.value {
            Value::Expr(e) => {
                let one = self.choice_of("optimizer", e, OPTIMIZERS);
                if let Some((o, args)) = &one {
                    self.optimizer_without_effect(o, args);
                }
                learning.iter().map(|l| one.as_ref().filter(|_| *l).map(|x| x.0)).collect()
            }
            Value::Map(entries, span) => {
                let mut result: Vec<Option<Optimizer>> = self.nets.iter().map(|_| None).collect();
                let mut named = vec![false; self.nets.len()];
                for entry in entries {
                    let net = self.net_key("optimizer", &entry.key);
                    if let Some((o, args)) = self.choice("optimizer", entry, OPTIMIZERS) {
                        self.optimizer_without_effect(&o, &args);
                        if let Some(id) = net {
                            result[id.index()] = Some(o);
                        }
                    }
                    if let Some(id) = net {
                        named[id.index()] = true;
                    }
                }
                for (i, l) in learning.iter().enumerate() {
                    if *l && !named[i] {
                        let name = self.nets[i].name.clone();
                        self.report(
                            Diagnostic::new("E0407", *span, format!("no optimizer for the net `{name}`"))
                                .label("names others only")
                                .hint(format!("add `{name}: adam(2e-4, beta1=0.5)`, or give one optimizer for all")),
                        );
                    }
                }
                result
            }
        }
    }

    fn optimizer_without_effect(&mut self, o: &Optimizer, args: &Args) {
        if let Optimizer::Sgd { momentum, nesterov: true, .. } = o
            && *momentum == 0.0
        {
            self.report(
                Diagnostic::new("W0506", args.span("nesterov"), "`nesterov` has no effect without momentum")
                    .hint("set `momentum=0.9`, or remove `nesterov`"),
            );
        }
    }

    /// A key that must name a net that learns.
    fn net_key(&mut self, setting: &str, key: &Name) -> Option<NetId> {
        let id = self.nets.iter().position(|n| n.name == key.text).map(|i| NetId(i as u32));
        if let Some(id) = id {
            if !self.players.iter().any(|p| p.nets.contains(&id)) {
                self.report(
                    Diagnostic::new("W0506", key.span, format!("`{}` has no effect: this net does not learn", key.text))
                        .hint(format!("`{setting}` speaks of the nets under `game:`")),
                );
            }
            return Some(id);
        }
        let learning: Vec<String> =
            self.players.iter().flat_map(|p| &p.nets).map(|n| self.nets[n.index()].name.clone()).collect();
        let d = Diagnostic::new("E0401", key.span, format!("there is no net `{}`", key.text))
            .label(format!("a key of `{setting}`"))
            .expected(format!("one of {}", learning.join(", ")));
        self.report(match did_you_mean(&key.text, learning.iter().map(String::as_str)) {
            Some(h) => d.hint(h),
            None => d,
        });
        None
    }

    fn turns(&mut self, s: &'a Setting) {
        let Value::Map(entries, _) = &s.value else {
            self.report(
                Diagnostic::new("E0205", s.key.span, "`turns` says how often each player learns per step")
                    .expected("a mapping such as `{D: 5, G: 1}`"),
            );
            return;
        };
        let mut given: Vec<Option<(u32, Span)>> = self.players.iter().map(|_| None).collect();
        for entry in entries {
            let net = self.net_key("turns", &entry.key);
            let Value::Expr(e) = &entry.value else {
                self.report(
                    Diagnostic::new("E0205", entry.key.span, "a number of turns is needed here").expected("such as `D: 5`"),
                );
                continue;
            };
            let Some(x) = self.number(e) else { continue };
            if x.fract() != 0.0 || !(1.0..=1000.0).contains(&x) {
                self.report(
                    Diagnostic::new("E0206", e.span, format!("`{}` cannot take this many turns", entry.key.text))
                        .label(format!("this is {}", show(x)))
                        .expected("a whole number from 1 to 1000"),
                );
                continue;
            }
            let Some(player) = net.and_then(|id| self.players.iter().position(|p| p.nets.contains(&id))) else { continue };
            match given[player] {
                Some((turns, place)) if turns != x as u32 => {
                    let name = self.players[player].name.clone();
                    self.report(
                        Diagnostic::new(
                            "E0206",
                            e.span,
                            format!("the nets `{name}` learn together, so they take the same turns"),
                        )
                        .related(place, format!("{turns} here")),
                    );
                }
                Some(_) | None => given[player] = Some((x as u32, e.span)),
            }
        }
        for (p, g) in self.players.iter_mut().zip(&given) {
            if let Some((turns, _)) = g {
                p.turns = *turns;
            }
        }
        if self.players.iter().all(|p| p.turns > 1) && !self.players.is_empty() {
            self.report(
                Diagnostic::new("W0506", s.key.span, "every player takes several turns per step")
                    .hint("a step is what all players do once; divide the turns and train for more steps"),
            );
        }
    }

    /// Gives the weights the start that `train.init` asks for.
    pub fn initialise(&mut self, train: &Train) {
        let Some(rule) = train.init else { return };
        for net in &mut self.nets {
            for (_, slot) in &mut net.slots {
                if let SlotKind::Weight { part, init } = &mut slot.kind {
                    match (*part, rule) {
                        (Part::Filter { fan_in, fan_out }, rule) => *init = rule.filter(fan_in, fan_out),
                        (Part::BatchGain, InitRule::Normal { std, .. }) => *init = Init::Normal(1.0, std as f32),
                        (
                            Part::BatchGain,
                            InitRule::Uniform { .. }
                            | InitRule::Xavier { .. }
                            | InitRule::Kaiming { .. }
                            | InitRule::Orthogonal { .. },
                        )
                        | (Part::Other, _) => {}
                    }
                }
            }
        }
    }
}
