//! From a [`Spec`] to a [`Model`]: names resolved, shapes known, every mistake of the user found.
//!
//! On entry: any tree the parser can give. On exit: a model that [`build`](crate::build) can turn into graphs without
//! checking anything again, or diagnostics with at least one error. All problems of a spec are reported in one run:
//! a mistake makes its value *unknown*, and unknown values cause no further complaints.

pub mod args;
pub mod codes;
mod domain;
mod expr;
mod functions;
mod game;
pub mod growth;
pub mod layers;
mod nets;
mod numbers;
mod resolver;
pub mod sample;
mod scope;
mod settings;
pub mod source;
mod special;
mod suggest;
pub mod summary;
mod text;
pub mod train;
mod unused;
pub mod words;

use crate::diag::{Diagnostics, Sources, Span};
use crate::graph::{Shape, typed_id};
use crate::syntax::ast::Spec;
pub use growth::Growth;
use layers::{Layer, Slot, show_shape};
pub use sample::Sample;
pub use source::{Column, DataSource, NoiseSource, Probe, StreamInfo};
use std::fmt;
pub use train::{InitRule, Length, Moment, Optimizer, Rule, Train};
pub use words::Vocabulary;

/// Resolves names, shapes and settings of `spec`, whose places lie in `sources`. `probe` looks at the files behind data.
/// The model is there exactly when no diagnostic is an error.
pub fn resolve(spec: &Spec, sources: &Sources, probe: &Probe) -> (Option<Model>, Diagnostics) {
    resolver::resolve(spec, sources, probe, None)
}

/// As [`resolve`], for one stage of a spec that grows: the model of resolution `levels[stage]`, see [`growth::Growth`].
pub fn resolve_stage(spec: &Spec, sources: &Sources, probe: &Probe, stage: usize) -> (Option<Model>, Diagnostics) {
    resolver::resolve(spec, sources, probe, Some(stage))
}

typed_id!(
    /// A value of a [`Body`].
    Val,
    "%"
);
typed_id!(
    /// A net of a [`Model`].
    NetId,
    "net"
);

/// A spec that means something.
#[derive(Debug)]
pub struct Model {
    /// The spec's name.
    pub name: String,
    /// Its line about itself.
    pub about: Option<String>,
    /// Streams of real samples, in order.
    pub streams: Vec<Stream>,
    /// Random inputs, in order.
    pub noises: Vec<Noise>,
    /// Networks, in order.
    pub nets: Vec<Net>,
    /// Terms, objectives and what is sampled, as one list of values.
    pub game: Body,
    /// The named terms.
    pub terms: Vec<(String, Val)>,
    /// Players in the order of their updates.
    pub players: Vec<Player>,
    /// How training goes.
    pub train: Train,
    /// What is drawn.
    pub sample: Sample,
    /// How it grows, where it does.
    pub growth: Option<Growth>,
}

/// A binding of the `data` section.
#[derive(Clone, PartialEq, Debug)]
pub struct Stream {
    /// Names on the left with what each delivers.
    pub columns: Vec<(String, Type)>,
    /// Where samples come from.
    pub source: DataSource,
    /// The words of its texts, where it has any.
    pub vocabulary: Option<Vocabulary>,
    /// The call as one would write it.
    pub shown: String,
    /// Number of samples, where it is finite and known.
    pub len: Option<u64>,
    /// Why the files could not be looked at; training will fail for the same reason.
    pub problem: Option<String>,
    /// Place of the binding.
    pub span: Span,
}

/// A binding of the `noise` section.
#[derive(Clone, PartialEq, Debug)]
pub struct Noise {
    /// Its name.
    pub name: String,
    /// Where numbers come from.
    pub source: NoiseSource,
    /// The call as one would write it.
    pub shown: String,
}

impl Noise {
    /// Shape per sample.
    pub fn shape(&self) -> &Shape {
        match &self.source {
            NoiseSource::Normal { shape, .. } | NoiseSource::Uniform { shape, .. } => shape,
        }
    }
}

/// What a value is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Type {
    /// A tensor per sample; the batch axis is not written.
    Tensor(Shape),
    /// One number for the whole batch: a constant, or the result of `E[...]`.
    Number,
    /// A label per sample, one of so many.
    Class(usize),
    /// A text per sample: so many places, each with the number of one of so many words; see [`words::Vocabulary`].
    Tokens {
        /// Places.
        len: usize,
        /// Words, the two special ones included.
        words: usize,
    },
    /// What [`Function::MixStyles`] gives: a style of this size for each place that uses it.
    Styles(usize),
    /// The result of a mistake that has been reported.
    Unknown,
}

impl Type {
    /// Of labels and texts: how many classes or words there are.
    pub fn limit(&self) -> Option<usize> {
        match self {
            Type::Class(classes) => Some(*classes),
            Type::Tokens { words, .. } => Some(*words),
            Type::Tensor(_) | Type::Number | Type::Styles(_) | Type::Unknown => None,
        }
    }

    /// Numbers that a sample of it takes in memory.
    pub fn numbers(&self) -> usize {
        match self {
            Type::Tensor(shape) => shape.iter().product(),
            Type::Tokens { len, .. } => *len,
            Type::Styles(n) => *n,
            Type::Number | Type::Class(_) | Type::Unknown => 1,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Tensor(s) => f.write_str(&show_shape(s)),
            Type::Number => f.write_str("a single number"),
            Type::Class(n) => write!(f, "class[{n}]"),
            Type::Tokens { len, .. } => write!(f, "tokens[{len}]"),
            Type::Styles(n) => write!(f, "mixed styles of [{n}]"),
            Type::Unknown => f.write_str("unknown"),
        }
    }
}

/// Values in the order of their definition; each uses only earlier ones.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Body {
    values: Vec<Instr>,
}

/// One value: how it is made, and what it is.
#[derive(Clone, PartialEq, Debug)]
pub struct Instr {
    /// How.
    pub action: Action,
    /// Of which values.
    pub args: Vec<Val>,
    /// What it is.
    pub ty: Type,
    /// Its place.
    pub span: Span,
}

/// How a value is made.
#[derive(Clone, PartialEq, Debug)]
pub enum Action {
    /// Input of a net, by position.
    Input(usize),
    /// Column of a stream.
    Data {
        /// Index in [`Model::streams`].
        stream: usize,
        /// Index of the name.
        column: usize,
    },
    /// Noise, by index in [`Model::noises`].
    Noise(usize),
    /// A constant.
    Number(f64),
    /// A layer, by index in [`Net::layers`].
    Layer(usize),
    /// An output of a net.
    Call {
        /// Which net.
        net: NetId,
        /// Which of its outputs.
        output: usize,
    },
    /// A function of expressions.
    Apply(Function),
    /// Stands for a mistake that has been reported.
    Unknown,
}

impl Action {
    /// The net and the output of it that a call gives; `None` for anything else.
    pub fn called(&self) -> Option<(NetId, usize)> {
        if let Action::Call { net, output } = *self { Some((net, output)) } else { None }
    }
}

/// Functions of expressions. Binary ones broadcast as NumPy does behind the batch axis.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Function {
    /// `a + b`
    Add,
    /// `a - b`
    Sub,
    /// `a * b`
    Mul,
    /// `a / b`
    Div,
    /// `-a`
    Neg,
    /// `a ^ p`
    Pow(f64),
    /// Natural logarithm.
    Log,
    /// `e^a`
    Exp,
    /// Square root.
    Sqrt,
    /// Absolute value.
    Abs,
    /// `log(1 + e^a)`
    Softplus,
    /// `1/(1 + e^-a)`
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// `max(a, 0)`
    Relu,
    /// The smaller of two.
    Min,
    /// The larger of two.
    Max,
    /// Sum over every axis but the batch: `[1]`.
    Sum,
    /// Mean over every axis but the batch: `[1]`.
    Mean,
    /// Euclidean norm over every axis but the batch: `[1]`; its gradient at 0 is 0.
    Norm,
    /// Binary cross entropy of a probability and a target, of each element: `-t*log(p) - (1-t)*log(1-p)`.
    Bce,
    /// Squared difference of each element.
    Mse,
    /// The same value, a constant to differentiation.
    Detach,
    /// Gradient of the sum of the first by the second.
    Grad,
    /// Mean over the batch and all axes.
    Expect,
    /// `-log softmax(a)` at the label: `[1]`.
    CrossEntropy,
    /// 1 at the label's place, 0 elsewhere.
    OneHot,
    /// `n` times the value on every `n`th training step, nothing on the others: its mean over the steps is the value's
    /// (lazy regularisation; Karras et al., 2020, section 3.1).
    Every(u64),
    /// The value during the first so many training steps, nothing afterwards.
    Until(u64),
    /// Each sample, or half of the time an earlier one out of a memory of so many places (Shrivastava et al., 2017, section 2.3).
    History(usize),
    /// With this probability, two styles that cross over at a random place (Karras et al., 2019, section 3.1).
    MixStyles(f64),
    /// Mean over squares of so many pixels: the real images of an earlier stage of growing.
    Shrink(usize),
    /// `(old, new)`: from the first to the second while a new stage fades in (Karras et al., 2018, figure 2).
    Fade,
    /// Every pixel repeated so often along both axes.
    Enlarge(usize),
}

/// A network.
#[derive(Debug)]
pub struct Net {
    /// Its name.
    pub name: String,
    /// Inputs; the first flows into the body.
    pub inputs: Vec<(String, Type)>,
    /// Outputs.
    pub outputs: Vec<NetOutput>,
    /// Values.
    pub body: Body,
    /// Layers, in order of definition.
    pub layers: Vec<LayerUse>,
    /// Tensors of all layers, in order of definition.
    pub slots: Vec<(String, Slot)>,
    /// This net and every net it calls, each once.
    pub reaches: Vec<NetId>,
    /// Place of the signature.
    pub span: Span,
}

/// An output of a net.
#[derive(Clone, PartialEq, Debug)]
pub struct NetOutput {
    /// Its name; `out` where the signature states only a size.
    pub name: String,
    /// Its value.
    pub value: Val,
    /// Its type.
    pub ty: Type,
}

/// A layer at one place of a net.
#[derive(Debug)]
pub struct LayerUse {
    /// `conv`.
    pub word: &'static str,
    /// `conv_2`: the second conv of the net.
    pub name: String,
    /// `conv(64, 4, stride=2, pad=1)`.
    pub shown: String,
    /// Its expansion.
    pub layer: Box<dyn Layer>,
    /// The stage of growing that brings it, where one does.
    pub stage: Option<usize>,
    /// Its tensors among [`Net::slots`].
    pub slots: std::ops::Range<usize>,
    /// Shape of the result.
    pub shape: Shape,
    /// Floating-point operations of the forward pass per sample.
    pub flops: u64,
    /// Its place.
    pub span: Span,
}

/// Nets that learn together from one objective.
#[derive(Clone, PartialEq, Debug)]
pub struct Player {
    /// The nets joined with a comma: `D`, `G,F`.
    pub name: String,
    /// The nets that learn.
    pub nets: Vec<NetId>,
    /// Whether the value is maximised; then its negative is minimised.
    pub maximise: bool,
    /// The value, a number.
    pub value: Val,
    /// Updates per training step.
    pub turns: u32,
    /// Place of the key.
    pub span: Span,
    /// Place of the value.
    pub value_span: Span,
}

impl Body {
    /// All values in order.
    pub fn instrs(&self) -> &[Instr] {
        &self.values
    }

    /// The value `v`.
    pub fn get(&self, v: Val) -> &Instr {
        &self.values[v.index()]
    }

    /// Adds a value.
    fn push(&mut self, instr: Instr) -> Val {
        self.values.push(instr);
        Val(self.values.len() as u32 - 1)
    }

    /// Which values `roots` are computed from, themselves included; `through` says whether to follow an edge from a value
    /// to its argument of that position.
    pub fn needed(&self, roots: &[Val], through: impl Fn(&Instr, usize) -> bool) -> Vec<bool> {
        let mut needed = vec![false; self.values.len()];
        for r in roots {
            needed[r.index()] = true;
        }
        for i in (0..self.values.len()).rev() {
            if needed[i] {
                for (k, a) in self.values[i].args.iter().enumerate() {
                    if through(&self.values[i], k) {
                        needed[a.index()] = true;
                    }
                }
            }
        }
        needed
    }
}

impl Net {
    /// How many layers use each of its inputs beside the value that flows: the places of a style.
    pub fn places(&self) -> Vec<usize> {
        let mut places = vec![0; self.inputs.len()];
        for instr in self.body.instrs().iter().filter(|i| matches!(i.action, Action::Layer(_))) {
            for a in instr.args.iter().skip(1) {
                if let Action::Input(k) = self.body.get(*a).action {
                    places[k] += 1;
                }
            }
        }
        places
    }

    /// The stage of growing that brings slot `k`, where one does.
    pub fn stage_of(&self, k: usize) -> Option<usize> {
        self.layers.iter().find(|l| l.slots.contains(&k)).and_then(|l| l.stage)
    }
}

impl Model {
    /// The net called `name`.
    pub fn net(&self, name: &str) -> Option<NetId> {
        self.nets.iter().position(|n| n.name == name).map(|i| NetId(i as u32))
    }

    /// Training steps of a run at this batch size; `None` when that depends on the length of data that could not be looked at.
    pub fn steps(&self, batch: usize) -> Option<u64> {
        match self.train.length {
            Length::Steps(n) => Some(n),
            Length::Images(n) => Some(n.div_ceil(batch as u64)),
            Length::Epochs(n) => Some((n * self.steps_per_epoch(batch)? as f64).round() as u64),
        }
    }

    /// Training steps in which the longest finite stream is gone through once.
    pub fn steps_per_epoch(&self, batch: usize) -> Option<u64> {
        self.streams.iter().filter_map(|s| s.len).max().map(|n| (n / batch as u64).max(1))
    }

    /// The nets that what is sampled is computed with.
    pub fn sampled_nets(&self) -> Vec<NetId> {
        let Some(draw) = self.sample.draw else { return Vec::new() };
        let needed = self.game.needed(&[draw], |_, _| true);
        let called = self.game.instrs().iter().zip(needed).filter(|x| x.1).filter_map(|x| x.0.action.called());
        let mut nets: Vec<NetId> = called.flat_map(|(n, _)| self.nets[n.index()].reaches.clone()).collect();
        nets.sort_unstable();
        nets.dedup();
        nets
    }
}
