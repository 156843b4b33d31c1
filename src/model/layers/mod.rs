//! Layers: one table, one file per family. A row of the table says everything the compiler needs to know of a layer:
//! the word, the keys with their defaults (PyTorch's), and how to make one for a given input, which checks the shape
//! and answers with the result's shape, the tensors it keeps and its expansion into primitives.
//!
//! Shapes here are the user's: without the batch axis, channels first. [`Layer::emit`] sees the inside layout, channels last.

mod activation;
mod attention;
mod conditional;
mod conv;
mod dense;
mod embed;
mod instance;
mod norm;
mod padding;
mod pool;
mod sequence;
mod shape;
mod style;
mod weights;

use super::Type;
use super::args::{Args, Key};
use crate::build::program::{Init, Layout};
use crate::diag::{Diagnostic, Span};
use crate::graph::{Builder, Shape, Value};
pub use activation::relu;
pub use embed::one_hot;
use std::fmt;

/// Most elements a value may have per sample, and a weight in all: a limit against specs that would never fit.
pub const LARGEST: usize = 1 << 28;

/// A row of the table.
pub struct Definition {
    /// The word in a spec; PyTorch's, in snake case.
    pub word: &'static str,
    /// Arguments.
    pub keys: &'static [Key],
    /// Makes one.
    pub make: fn(&Args, &mut Make) -> Option<Made>,
}

/// Every layer there is.
pub const TABLE: &[&[Definition]] = &[
    dense::TABLE,
    conv::TABLE,
    norm::TABLE,
    instance::TABLE,
    conditional::TABLE,
    embed::TABLE,
    style::TABLE,
    attention::TABLE,
    shape::TABLE,
    sequence::TABLE,
    padding::TABLE,
    pool::TABLE,
    activation::TABLE,
];

/// Whether the layer `word` is applied to labels or texts instead of a tensor.
pub fn reads_words(word: &str) -> bool {
    embed::READERS.contains(&word)
}

/// Whether the layer `word` averages over a text's places, so that it must know the text for its padding.
pub fn averages(word: &str) -> bool {
    embed::AVERAGES.contains(&word)
}

/// The row of `word`.
pub fn find(word: &str) -> Option<&'static Definition> {
    all().find(|d| d.word == word)
}

/// All rows.
pub fn all() -> impl Iterator<Item = &'static Definition> {
    TABLE.iter().flat_map(|t| t.iter())
}

/// What a layer is made for, and where it complains.
pub struct Make<'a> {
    /// Shape of the value that flows in; empty for labels and texts.
    pub input: &'a [usize],
    /// Its type.
    pub ty: &'a Type,
    /// The layer's word.
    pub word: &'static str,
    /// The layer's place.
    pub span: Span,
    /// Complaints of this layer.
    pub found: Vec<Diagnostic>,
}

/// A layer made for one place in one net.
#[derive(Debug)]
pub struct Made {
    /// Its expansion.
    pub layer: Box<dyn Layer>,
    /// Shape of the result.
    pub shape: Shape,
    /// Tensors it keeps, weights and buffers, in PyTorch's order.
    pub slots: Vec<Slot>,
    /// Floating-point operations of the forward pass, per sample.
    pub flops: u64,
}

impl Made {
    /// A layer without tensors of its own, at one operation per element of the result.
    pub fn plain(layer: impl Layer + 'static, shape: Shape) -> Made {
        let flops = shape.iter().product::<usize>() as u64;
        Made { layer: Box::new(layer), shape, slots: Vec::new(), flops }
    }
}

/// A persistent tensor of a layer.
#[derive(Clone, PartialEq, Debug)]
pub struct Slot {
    /// `weight`, `bias`, `running_mean`.
    pub name: &'static str,
    /// Shape inside graphs.
    pub shape: Shape,
    /// How PyTorch lays it out.
    pub layout: Layout,
    /// What it is.
    pub kind: SlotKind,
}

/// What a persistent tensor of a layer is.
#[derive(Clone, PartialEq, Debug)]
pub enum SlotKind {
    /// A learned tensor.
    Weight {
        /// What `train.init` may do with it.
        part: Part,
        /// How it starts unless `train.init` says otherwise.
        init: Init,
    },
    /// A running statistic.
    Buffer {
        /// How it starts.
        init: Init,
    },
}

/// The parts a learned tensor can play; `train.init` treats them differently.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Part {
    /// Weight of dense, conv, conv_t; `torch.nn.init` computes these fans.
    Filter {
        /// Product of PyTorch's shape without axis 0.
        fan_in: usize,
        /// Product of PyTorch's shape without axis 1.
        fan_out: usize,
    },
    /// Scale of a batch norm.
    BatchGain,
    /// Everything else keeps its default.
    Other,
}

impl Slot {
    /// A tensor whose inside layout is PyTorch's.
    pub fn plain(name: &'static str, shape: &[usize], kind: SlotKind) -> Slot {
        Slot { name, shape: shape.to_vec(), layout: identity(shape), kind }
    }

    /// A weight of dense, conv or conv_t with PyTorch's default start: `kaiming_uniform(a=sqrt(5))`, which is uniform
    /// within `1/sqrt(fan_in)`. `inside` and the permutation `perm` give PyTorch's shape.
    pub fn filter(inside: &[usize], perm: &[usize]) -> Slot {
        let shape: Shape = perm.iter().map(|&p| inside[p]).collect();
        let area: usize = shape[2..].iter().product();
        let (fan_in, fan_out) = (shape[1] * area, shape[0] * area);
        let bound = 1.0 / (fan_in as f64).sqrt() as f32;
        let layout = Layout { shape, split: inside.to_vec(), perm: perm.to_vec() };
        let kind = SlotKind::Weight { part: Part::Filter { fan_in, fan_out }, init: Init::Uniform(-bound, bound) };
        Slot { name: "weight", shape: inside.to_vec(), layout, kind }
    }

    /// The bias that belongs to a [`Slot::filter`], with PyTorch's default start: uniform within `1/sqrt(fan_in)` of the filter.
    pub fn bias(size: usize, fan_in: usize) -> Slot {
        let bound = 1.0 / (fan_in as f64).sqrt() as f32;
        Slot::plain("bias", &[size], SlotKind::Weight { part: Part::Other, init: Init::Uniform(-bound, bound) })
    }
}

/// The layout of a tensor that is the same on both sides.
pub fn identity(shape: &[usize]) -> Layout {
    Layout { shape: shape.to_vec(), split: shape.to_vec(), perm: (0..shape.len()).collect() }
}

/// The expansion of a layer into primitives.
pub trait Layer: fmt::Debug + Send + Sync {
    /// Emits the layer on `x`: the value that flows in, then the tensors among its arguments.
    fn emit(&self, e: &mut Emit, x: &[Value]) -> Value;

    /// Whether it mixes the samples of a batch by their statistics.
    fn mixes_batch(&self) -> bool {
        false
    }
}

/// Where a layer's expansion goes.
pub struct Emit<'a> {
    /// The graph being built.
    pub b: &'a mut Builder,
    /// Whether this is a training step, as opposed to sampling.
    pub training: bool,
    /// The layer's own tensors, in the order of [`Made::slots`]. A layer that updates one puts the new value there.
    pub slots: &'a mut [Value],
    /// Draws independent numbers of the given inside shape, anew for every call.
    pub draw: &'a mut dyn FnMut(&mut Builder, &[usize], Draw) -> Value,
}

/// A distribution that a layer draws from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Draw {
    /// Uniform in [0, 1); only while training.
    Uniform,
    /// Normal with mean 0 and deviation 1; also when sampling.
    Normal,
}

/// A tensor seen from inside: channels last. `[C, H, W]` becomes `[H, W, C]`.
pub fn inside(user: &[usize]) -> Shape {
    match user {
        [c, rest @ ..] if !rest.is_empty() => rest.iter().chain([c]).copied().collect(),
        _short => user.to_vec(),
    }
}

/// The permutation from the inside layout `[N, H, W, C]` to the user's `[N, C, H, W]`, for `rank` axes behind the batch.
pub fn to_user(rank: usize) -> Vec<usize> {
    if rank < 2 { (0..=rank).collect() } else { [0, rank].into_iter().chain(1..rank).collect() }
}

/// The permutation from the user's layout `[N, C, H, W]` to the inside layout `[N, H, W, C]`.
pub fn to_inside(rank: usize) -> Vec<usize> {
    if rank < 2 { (0..=rank).collect() } else { std::iter::once(0).chain(2..=rank).chain([1]).collect() }
}

/// `x` with its elements in the user's order, under the user's shape behind the batch, then seen as `shape`, from inside.
/// This is what PyTorch's `view` does.
pub fn view(b: &mut Builder, x: Value, shape: &[usize]) -> Value {
    let rank = b.shape(x).len() - 1;
    let batch = b.shape(x)[0];
    let plain = b.transpose(x, &to_user(rank));
    let full: Shape = [batch].into_iter().chain(shape.iter().copied()).collect();
    let plain = b.reshape(plain, &full);
    b.transpose(plain, &to_inside(shape.len()))
}

/// A tensor per channel `[C]` repeated over `[N, .., C]`.
pub fn per_channel(b: &mut Builder, w: Value, like: &[usize]) -> Value {
    let mut shape = vec![1; like.len()];
    shape[like.len() - 1] = like[like.len() - 1];
    let w = b.reshape(w, &shape);
    b.broadcast(w, like)
}

/// `[3, 64, 64]`.
pub fn show_shape(shape: &[usize]) -> String {
    format!("[{}]", shape.iter().map(|n| n.to_string()).collect::<Vec<_>>().join(", "))
}

impl Make<'_> {
    /// Complains about the layer's input.
    pub fn wrong_input(&mut self, expected: &str, hint: &str) -> Option<Made> {
        let found = show_shape(self.input);
        self.found.push(
            Diagnostic::new("E0302", self.span, format!("`{}` cannot take a value of shape {found}", self.word))
                .label(format!("the value that flows in is {found}"))
                .expected(expected)
                .found(found)
                .hint(hint),
        );
        None
    }

    /// The input as `[C, H, W]`, or a complaint.
    pub fn image(&mut self) -> Option<[usize; 3]> {
        if let [c, h, w] = *self.input {
            return Some([c, h, w]);
        }
        let hint = match self.input {
            [n] => format!("make it an image first, for example `reshape({n}, 1, 1)`"),
            _other => "reshape it to [channels, height, width] first".to_string(),
        };
        self.wrong_input("an image: [channels, height, width]", &hint);
        None
    }

    /// Product of sizes, or a complaint when it is too large to be meant.
    pub fn volume(&mut self, what: &str, sizes: &[usize]) -> Option<usize> {
        let product = sizes.iter().try_fold(1usize, |a, &b| a.checked_mul(b)).filter(|&p| p <= LARGEST);
        if product.is_none() {
            self.found.push(
                Diagnostic::new("E0309", self.span, format!("{what} of `{}` would be too large", self.word))
                    .found(format!("{} numbers in the shape {}", too_many(sizes), show_shape(sizes)))
                    .expected(format!("at most {LARGEST} numbers")),
            );
        }
        product
    }
}

fn too_many(sizes: &[usize]) -> String {
    format!("{:.1e}", sizes.iter().map(|&s| s as f64).product::<f64>())
}
