//! What the `train` section can say: optimizers, starts of weights and schedules, as rule tables; formulas and defaults are
//! PyTorch's.

use super::args::{Args, Default, Key, Kind};
use crate::build::program::Init;

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
    /// Whether convolutions must not be computed by Winograd's minimal filtering.
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

const RATE: Key = Key { name: "lr", kind: Kind::Real(0.0, 1e6), default: Default::Required };
pub(super) const DECAY: Kind = Kind::Real(0.0, 0.999_999_999);
const POSITIVE: Kind = Kind::Real(0.0, 1e9);
pub(super) const LONG: Kind = Kind::Whole(1, 1_000_000_000_000);

pub(super) const fn number(name: &'static str, kind: Kind, x: f64) -> Key {
    Key { name, kind, default: Default::Number(x) }
}

/// A word with its keys and meaning.
pub(super) type RuleRow<T> = (&'static str, &'static [Key], fn(&Args) -> T);

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

pub(super) const OPTIMIZERS: &[RuleRow<Optimizer>] = &[
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

pub(super) const INITS: &[RuleRow<InitRule>] = &[
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
pub(super) type Scheduled = (Rule, Option<u64>);

const WARMUP: Key = Key { name: "warmup", kind: LONG, default: Default::Absent };

fn warmup(a: &Args) -> Option<u64> {
    a.given("warmup").then(|| a.whole("warmup") as u64)
}

pub(super) const SCHEDULES: &[RuleRow<Scheduled>] = &[
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
