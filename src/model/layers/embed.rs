//! From labels and texts to tensors: `embed` (PyTorch's `Embedding`) and the mean over a text's words.
//!
//! A label is one number per sample inside, a text one per place. Looking up a row is a product with a one-hot matrix, so
//! that it has gradients of any order like every product.

use super::{Definition, Emit, Layer, Made, Make, Part, Slot, SlotKind};
use crate::build::program::Init;
use crate::graph::{Binary, Builder, Value};
use crate::model::Type;
use crate::model::args::{Args, Default, Key, Kind};
use crate::model::words::PADDING;

pub const TABLE: &[Definition] = &[
    Definition {
        word: "embed",
        keys: &[Key { name: "n", kind: Kind::Whole(1, 1 << 20), default: Default::Required }],
        make: embed,
    },
    Definition {
        word: "mean",
        keys: &[Key { name: "axis", kind: Kind::Word(&["tokens", "time"]), default: Default::Required }],
        make: mean,
    },
];

/// The layers that labels or texts flow into.
pub const READERS: &[&str] = &["embed"];
/// The layers that average over places; of an embedded text they are given the text as well.
pub const AVERAGES: &[&str] = &["mean"];

/// `class[n]` to `[size]`, `tokens[t]` to `[size, t]`: rows of a learned table `[words, size]`, which start normal as in
/// PyTorch. The padding behind a text becomes zeros (`padding_idx=0`).
#[derive(Debug)]
struct Embed {
    words: usize,
}

/// `[C, T]` to `[C]`. Given the text that was embedded, its padding does not count, as in PyTorch's
/// `EmbeddingBag(mode="mean", padding_idx=0)`.
#[derive(Debug)]
struct Mean;

/// A learned table with PyTorch's start of `Embedding`.
pub fn table(words: usize, size: usize) -> Slot {
    Slot::plain("weight", &[words, size], SlotKind::Weight { part: Part::Other, init: Init::Normal(0.0, 1.0) })
}

fn embed(args: &Args, m: &mut Make) -> Option<Made> {
    let size = args.whole("n");
    let (words, shape) = match m.ty {
        Type::Class(n) => (*n, vec![size]),
        Type::Tokens { len, words } => (*words, vec![size, *len]),
        Type::Tensor(_) | Type::Number | Type::Styles(_) | Type::Unknown => {
            return m.wrong_input("labels or a text", "write `embed(y, 50)`, or `y | embed(50)`");
        }
    };
    m.volume("the table", &[words, size])?;
    Some(Made { slots: vec![table(words, size)], ..Made::plain(Embed { words }, shape) })
}

fn mean(_: &Args, m: &mut Make) -> Option<Made> {
    let &[c, _] = m.input else {
        return m
            .wrong_input("a sequence: [channels, time], such as an embedded text", "without an axis, `mean` takes any shape");
    };
    Some(Made::plain(Mean, vec![c]))
}

/// Ones where the label in `labels` `[n]` is the place: `[n, classes]`.
pub fn one_hot(b: &mut Builder, labels: Value, classes: usize) -> Value {
    compare(b, labels, (0..classes).map(|i| i as f32).collect())
}

fn compare(b: &mut Builder, labels: Value, numbers: Vec<f32>) -> Value {
    let (n, classes) = (b.shape(labels)[0], numbers.len());
    let column = b.reshape(labels, &[n, 1]);
    let row = b.literal(numbers, &[1, classes]);
    b.binary(Binary::Eq, column, row)
}

impl Layer for Embed {
    fn emit(&self, e: &mut Emit, x: &[Value]) -> Value {
        let shape = e.b.shape(x[0]).to_vec();
        let size = e.b.shape(e.slots[0])[1];
        if let [n, places] = shape[..] {
            let flat = e.b.reshape(x[0], &[n * places]);
            // No word has the number of the padding here, so that its row is zero.
            let numbers = (0..self.words).map(|i| if i == PADDING { -1.0 } else { i as f32 }).collect();
            let hot = compare(e.b, flat, numbers);
            let rows = e.b.dot(hot, e.slots[0], false, false);
            return e.b.reshape(rows, &[n, places, size]);
        }
        let hot = one_hot(e.b, x[0], self.words);
        e.b.dot(hot, e.slots[0], false, false)
    }
}

impl Layer for Mean {
    fn emit(&self, e: &mut Emit, x: &[Value]) -> Value {
        let shape = e.b.shape(x[0]).to_vec();
        let (n, places, c) = (shape[0], shape[1], shape[2]);
        let sum = e.b.sum(x[0], &[1]);
        let Some(&text) = x.get(1) else {
            let mean = e.b.scale(sum, 1.0 / places as f32);
            return e.b.reshape(mean, &[n, c]);
        };
        let zero = e.b.constant(PADDING as f32, &[n, places]);
        let word = e.b.binary(Binary::Lt, zero, text);
        let count = e.b.sum(word, &[1]);
        let one = e.b.constant(1.0, &[n, 1]);
        let count = e.b.binary(Binary::Max, count, one);
        let sum = e.b.reshape(sum, &[n, c]);
        e.b.div(sum, count)
    }
}
