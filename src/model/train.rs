//! The `train` and `sample` sections, by rule tables; formulas and defaults are PyTorch's.

use super::args::{Args, Default, Evaluate, Key, Kind, read, signature};
use super::layers::{Part, SlotKind};
use super::numbers::what;
use super::resolver::Resolver;
use super::scope::{Bound, Origin};
use super::suggest::did_you_mean;
use super::{Action, Net, NetId, Type, Val};
use crate::build::program::Init;
use crate::diag::{Diagnostic, Span};
use crate::syntax::ast::{Arg, Expr, ExprKind, Name, Setting, Value};

/// How training goes.
#[derive(Clone, PartialEq, Debug)]
pub struct Train {
    /// Samples per step.
    pub batch: usize,
    /// When it ends.
    pub length: Length,
    /// How each net learns, by [`NetId`]; `None` for nets that do not learn.
    pub optimizers: Vec<Option<Optimizer>>,
    /// How weights start, where not as in PyTorch's layers.
    pub init: Option<InitRule>,
    /// How the learning rate changes.
    pub schedule: Rule,
    /// Steps in which the learning rate rises from 0.
    pub warmup: u64,
    /// Decay of the averages of the sampled nets' weights.
    pub ema: Option<f64>,
    /// Of all random numbers.
    pub seed: u64,
    /// Steps between checkpoints.
    pub checkpoint: u64,
    /// Steps between sample grids.
    pub samples: u64,
    /// Whether convolutions may only be computed directly.
    pub exact_conv: bool,
}

/// When training ends.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Length {
    /// After so many steps.
    Steps(u64),
    /// After so many passes over the longest stream.
    Epochs(f64),
    /// After so many real samples.
    Images(u64),
}

/// How a net learns.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Optimizer {
    /// `torch.optim.SGD`.
    Sgd {
        /// Learning rate.
        lr: f64,
        /// Of the velocity.
        momentum: f64,
        /// Whether the step looks ahead.
        nesterov: bool,
        /// L2 penalty, added to the gradient.
        weight_decay: f64,
    },
    /// `torch.optim.RMSprop`.
    RmsProp {
        /// Learning rate.
        lr: f64,
        /// Decay of the mean square.
        alpha: f64,
        /// Added to the root.
        eps: f64,
        /// Of the velocity.
        momentum: f64,
    },
    /// `torch.optim.Adam` (Kingma & Ba, 2015), or `AdamW` (Loshchilov & Hutter, 2019) when decoupled.
    Adam {
        /// Learning rate.
        lr: f64,
        /// Decay of the mean.
        beta1: f64,
        /// Decay of the mean square.
        beta2: f64,
        /// Added to the root.
        eps: f64,
        /// Strength of the decay of weights.
        weight_decay: f64,
        /// Whether weights decay by themselves (AdamW) rather than through the gradient.
        decoupled: bool,
    },
}

/// How the weights of dense, conv and conv_t start; biases keep PyTorch's default. Fans are PyTorch's.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum InitRule {
    /// Normal; the scale of every batch norm starts normal with mean 1 and the same deviation, as in the reference
    /// code of DCGAN.
    Normal {
        /// Mean.
        mean: f64,
        /// Standard deviation.
        std: f64,
    },
    /// Uniform between two bounds.
    Uniform {
        /// Lower.
        low: f64,
        /// Upper.
        high: f64,
    },
    /// Glorot & Bengio (2010).
    Xavier {
        /// Factor.
        gain: f64,
        /// Normal instead of uniform.
        normal: bool,
    },
    /// He et al. (2015), by fan-in, for a leaky ReLU of this slope.
    Kaiming {
        /// Of the leaky ReLU; 0 for ReLU.
        slope: f64,
        /// Normal instead of uniform.
        normal: bool,
    },
    /// Saxe et al. (2014).
    Orthogonal {
        /// Factor.
        gain: f64,
    },
}

impl InitRule {
    /// How a weight of these fans starts.
    pub fn filter(self, fan_in: usize, fan_out: usize) -> Init {
        let (fan_in, fan_out) = (fan_in as f64, fan_out as f64);
        let uniform = |bound: f64| Init::Uniform(-bound as f32, bound as f32);
        match self {
            InitRule::Normal { mean, std } => Init::Normal(mean as f32, std as f32),
            InitRule::Uniform { low, high } => Init::Uniform(low as f32, high as f32),
            InitRule::Xavier { gain, normal: false } => uniform(gain * (6.0 / (fan_in + fan_out)).sqrt()),
            InitRule::Xavier { gain, normal: true } => Init::Normal(0.0, (gain * (2.0 / (fan_in + fan_out)).sqrt()) as f32),
            InitRule::Kaiming { slope, normal } => {
                let std = (2.0 / (1.0 + slope * slope)).sqrt() / fan_in.sqrt();
                if normal { Init::Normal(0.0, std as f32) } else { uniform(3f64.sqrt() * std) }
            }
            InitRule::Orthogonal { gain } => Init::Orthogonal(gain as f32),
        }
    }
}

/// How the learning rate changes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Rule {
    /// It does not.
    Constant,
    /// Constant, then linear to 0 at the end of training.
    Linear {
        /// Where it begins to fall.
        from: Moment,
    },
    /// Half a cosine to 0 at the end of training.
    Cosine,
    /// Times `gamma` after every `every` steps.
    Step {
        /// Steps between drops.
        every: u64,
        /// Factor of a drop.
        gamma: f64,
    },
}

/// A point in training.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Moment {
    /// After so many steps.
    Step(u64),
    /// After so many passes over the data.
    Epoch(f64),
}

/// What is drawn.
#[derive(Clone, PartialEq, Debug)]
pub struct Sample {
    /// A value of [`Model::game`](super::Model::game), computed without training's randomness; `None` when nothing fits.
    pub draw: Option<Val>,
    /// How many samples a grid holds.
    pub count: usize,
    /// How many stand in a row.
    pub columns: usize,
}

const RATE: Key = Key { name: "lr", kind: Kind::Real(0.0, 1e6), default: Default::Required };
const DECAY: Kind = Kind::Real(0.0, 0.999_999_999);
const POSITIVE: Kind = Kind::Real(0.0, 1e9);
const LONG: Kind = Kind::Whole(1, 1_000_000_000_000);

const fn number(name: &'static str, kind: Kind, x: f64) -> Key {
    Key { name, kind, default: Default::Number(x) }
}

/// A word with its keys and meaning.
type RuleRow<T> = (&'static str, &'static [Key], fn(&Args) -> T);

const ADAM: &[Key] = &[
    RATE,
    number("beta1", DECAY, 0.9),
    number("beta2", DECAY, 0.999),
    number("eps", POSITIVE, 1e-8),
    number("weight_decay", POSITIVE, 0.0),
];

const ADAMW: &[Key] = &[
    RATE,
    number("beta1", DECAY, 0.9),
    number("beta2", DECAY, 0.999),
    number("eps", POSITIVE, 1e-8),
    number("weight_decay", POSITIVE, 0.01),
];

fn adam(a: &Args, decoupled: bool) -> Optimizer {
    Optimizer::Adam {
        lr: a.real("lr"),
        beta1: a.real("beta1"),
        beta2: a.real("beta2"),
        eps: a.real("eps"),
        weight_decay: a.real("weight_decay"),
        decoupled,
    }
}

const OPTIMIZERS: &[RuleRow<Optimizer>] = &[
    (
        "sgd",
        &[
            RATE,
            number("momentum", DECAY, 0.0),
            Key { name: "nesterov", kind: Kind::Flag, default: Default::Flag(false) },
            number("weight_decay", POSITIVE, 0.0),
        ],
        |a| Optimizer::Sgd {
            lr: a.real("lr"),
            momentum: a.real("momentum"),
            nesterov: a.flag("nesterov"),
            weight_decay: a.real("weight_decay"),
        },
    ),
    ("rmsprop", &[RATE, number("alpha", DECAY, 0.99), number("eps", POSITIVE, 1e-8), number("momentum", DECAY, 0.0)], |a| {
        Optimizer::RmsProp { lr: a.real("lr"), alpha: a.real("alpha"), eps: a.real("eps"), momentum: a.real("momentum") }
    }),
    ("adam", ADAM, |a| adam(a, false)),
    ("adamw", ADAMW, |a| adam(a, true)),
];

const ANY: Kind = Kind::Real(f64::MIN, f64::MAX);
const GAIN: &[Key] = &[number("gain", POSITIVE, 1.0)];
const SLOPE: &[Key] = &[number("slope", POSITIVE, 0.0)];

const INITS: &[RuleRow<InitRule>] = &[
    ("normal", &[number("mean", ANY, 0.0), number("std", POSITIVE, 1.0)], |a| InitRule::Normal {
        mean: a.real("mean"),
        std: a.real("std"),
    }),
    ("uniform", &[number("low", ANY, 0.0), number("high", ANY, 1.0)], |a| InitRule::Uniform {
        low: a.real("low"),
        high: a.real("high"),
    }),
    ("xavier", GAIN, |a| InitRule::Xavier { gain: a.real("gain"), normal: false }),
    ("xavier_normal", GAIN, |a| InitRule::Xavier { gain: a.real("gain"), normal: true }),
    ("kaiming", SLOPE, |a| InitRule::Kaiming { slope: a.real("slope"), normal: false }),
    ("kaiming_normal", SLOPE, |a| InitRule::Kaiming { slope: a.real("slope"), normal: true }),
    ("orthogonal", GAIN, |a| InitRule::Orthogonal { gain: a.real("gain") }),
];

/// A schedule with the warm-up it states.
type Scheduled = (Rule, Option<u64>);

const WARMUP: Key = Key { name: "warmup", kind: LONG, default: Default::Absent };

fn warmup(a: &Args) -> Option<u64> {
    a.given("warmup").then(|| a.whole("warmup") as u64)
}

const SCHEDULES: &[RuleRow<Scheduled>] = &[
    ("constant", &[WARMUP], |a| (Rule::Constant, warmup(a))),
    (
        "linear_to_zero",
        &[
            Key { name: "from_epoch", kind: Kind::Real(0.0, 1e9), default: Default::Absent },
            Key { name: "from_step", kind: Kind::Whole(0, 1_000_000_000_000), default: Default::Absent },
            WARMUP,
        ],
        |a| {
            let from = if a.given("from_epoch") {
                Moment::Epoch(a.real("from_epoch"))
            } else {
                Moment::Step(if a.given("from_step") { a.whole("from_step") as u64 } else { 0 })
            };
            (Rule::Linear { from }, warmup(a))
        },
    ),
    ("cosine", &[WARMUP], |a| (Rule::Cosine, warmup(a))),
    ("step", &[Key { name: "every", kind: LONG, default: Default::Required }, number("gamma", POSITIVE, 0.1), WARMUP], |a| {
        (Rule::Step { every: a.whole("every") as u64, gamma: a.real("gamma") }, warmup(a))
    }),
];

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

/// Settings of `sample` that are one plain value.
const SAMPLE: &[Key] = &[number("count", Kind::Whole(1, 100_000), 64.0), number("columns", Kind::Whole(1, 10_000), 8.0)];

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
                "grow" => self.report(
                    Diagnostic::new("E0212", s.key.span, "`grow` is not supported yet")
                        .label("progressive growing")
                        .hint("remove it"),
                ),
                _plain => {}
            }
        }
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
    fn settings(&mut self, section: &str, settings: &'a [Setting], keys: &'static [Key], forms: &[&str]) -> Option<Args> {
        let mut args: Vec<Arg> = Vec::new();
        let mut seen: Vec<&Name> = Vec::new();
        for s in settings {
            let name = s.key.text.as_str();
            if let Some(first) = seen.iter().find(|n| n.text == name) {
                self.report(
                    Diagnostic::new("E0200", s.key.span, format!("`{name}` is set twice"))
                        .related(first.span, "first set here")
                        .hint("keep one of them"),
                );
                continue;
            }
            seen.push(&s.key);
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
        let later = [("sample", "truncation"), ("sample", "nets")];
        let d = if later.contains(&(section, key.text.as_str())) {
            Diagnostic::new("E0212", key.span, format!("`{}` of `{section}` is not supported yet", key.text)).hint("remove it")
        } else {
            let d = Diagnostic::new("E0204", key.span, format!("`{section}` has no setting `{}`", key.text))
                .label("unknown setting")
                .expected(format!("one of {}", names.join(", ")));
            match did_you_mean(&key.text, names) {
                Some(h) => d.hint(h),
                None => d,
            }
        };
        self.report(d);
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
            let all: Vec<String> = table.iter().map(|r| signature(r.0, r.1)).collect();
            let d =
                Diagnostic::new("E0202", span, format!("unknown {kind} `{word}`")).expected(format!("one of {}", all.join(", ")));
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
                        .label(format!("this is {}", super::numbers::show(x)))
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

    /// Resolves the `sample` section.
    pub fn sample(&mut self) -> Sample {
        let spec = self.spec;
        let plain = self.settings("sample", &spec.sample, SAMPLE, &["draw"]);
        let mut sample = Sample { draw: None, count: 64, columns: 8 };
        if let Some(a) = &plain {
            (sample.count, sample.columns) = (a.whole("count"), a.whole("columns"));
        }
        sample.draw = match spec.sample.iter().find(|s| s.key.text == "draw") {
            Some(s) => self.draw(s),
            None => self.default_draw(),
        };
        if sample.draw.is_none() && !self.failed() && !spec.nets.is_empty() {
            let place = self.section("sample").unwrap_or(self.top());
            self.report(
                Diagnostic::new("W0507", place, "nothing will be sampled: no net turns noise into data")
                    .hint("say what to draw under `sample:`, for example `draw: G(z)`"),
            );
        }
        if sample.draw.is_none()
            && !self.failed()
            && let Some(s) = spec.train.iter().find(|s| s.key.text == "ema")
        {
            self.report(Diagnostic::new(
                "W0506",
                s.key.span,
                "`ema` has no effect: it averages the nets that are sampled, and there are none",
            ));
        }
        if let Some(s) = spec.train.iter().find(|s| s.key.text == "exact_conv")
            && !self.failed()
            && !self.nets.iter().any(|n| n.layers.iter().any(|l| l.word.starts_with("conv")))
        {
            self.report(
                Diagnostic::new("W0506", s.key.span, "`exact_conv` has no effect: no net has a convolution").hint("remove it"),
            );
        }
        sample
    }

    fn draw(&mut self, s: &'a Setting) -> Option<Val> {
        let Value::Expr(e) = &s.value else {
            self.report(Diagnostic::new("E0205", s.key.span, "`draw` takes one expression").expected("such as `G(z)`"));
            return None;
        };
        let (v, _) = self.tensor(e)?;
        Some(v)
    }

    /// The first player's net whose output has the name or shape of a stream, on the inputs that its signature names.
    fn default_draw(&mut self) -> Option<Val> {
        if self.failed() {
            return None;
        }
        let fits = |net: &Net| {
            let [out] = &net.outputs[..] else { return false };
            self.streams.iter().flat_map(|s| &s.columns).any(|c| c.1 == out.ty && matches!(c.1, Type::Tensor(_)))
        };
        let drawn = |net: &Net| {
            net.inputs.iter().all(|(name, ty)| {
                self.frames[0].locals.iter().any(|l| {
                    let given = matches!(l.origin, Origin::Noise | Origin::Term | Origin::Stream);
                    l.name == *name && given && matches!(l.bound, Bound::Value(v) if self.frames[0].body.get(v).ty == *ty)
                })
            })
        };
        let ids: Vec<NetId> = self.players.iter().flat_map(|p| p.nets.clone()).collect();
        let id = ids.into_iter().find(|id| fits(&self.nets[id.index()]) && drawn(&self.nets[id.index()]))?;
        let (names, ty) = (self.nets[id.index()].inputs.clone(), self.nets[id.index()].outputs[0].ty.clone());
        let mut args = Vec::new();
        for (name, _) in &names {
            let Some(Bound::Value(v)) = self.frames[0].ask(name).map(|l| l.bound) else { return None };
            args.push(v);
        }
        self.used_nets.insert(self.nets[id.index()].name.clone());
        let span = self.nets[id.index()].span;
        Some(self.frames[0].value(Action::Call { net: id, output: 0 }, args, ty, span))
    }
}
