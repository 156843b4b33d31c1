//! Layers that a label steers: `conditional_batch_norm` (Dumoulin et al., 2017; de Vries et al., 2017) and `project`
//! (Miyato & Koyama, 2018).

use super::embed::{one_hot, table};
use super::norm::Statistics;
use super::{Definition, Emit, Layer, Made, Make, Part, Slot, SlotKind};
use crate::build::program::Init;
use crate::graph::{Builder, Value};
use crate::model::args::{Args, Default, Key, Kind};

pub const TABLE: &[Definition] = &[
    Definition {
        word: "conditional_batch_norm",
        keys: &[
            Key { name: "y", kind: Kind::Labels, default: Default::Required },
            Key { name: "eps", kind: Kind::Real(1e-12, 1.0), default: Default::Number(1e-5) },
            Key { name: "momentum", kind: Kind::Real(0.0, 1.0), default: Default::Number(0.1) },
        ],
        make: conditional_batch_norm,
    },
    Definition { word: "project", keys: &[Key { name: "y", kind: Kind::Labels, default: Default::Required }], make: project },
];

/// A batch norm whose scale and shift are looked up by the label: `weight` `[classes, C]` starts at 1, `bias` at 0.
#[derive(Debug)]
struct ConditionalBatchNorm {
    statistics: Statistics,
    classes: usize,
}

/// `[F]` to `[1]`: `h W + b + <embed(y), h>` (Miyato & Koyama, 2018, figure 1d).
#[derive(Debug)]
struct Project {
    classes: usize,
}

fn conditional_batch_norm(args: &Args, m: &mut Make) -> Option<Made> {
    let classes = args.classes("y");
    let Some(&c) = m.input.first() else { return None };
    m.volume("the weight", &[classes, c])?;
    let start = |x: f32| SlotKind::Weight { part: Part::Other, init: Init::Constant(x) };
    let mut slots = vec![Slot::plain("weight", &[classes, c], start(1.0)), Slot::plain("bias", &[classes, c], start(0.0))];
    slots.extend(Statistics::slots(c));
    let statistics = Statistics { eps: args.real("eps") as f32, momentum: args.real("momentum"), first: 2 };
    let flops = 5 * m.input.iter().product::<usize>() as u64;
    Some(Made { slots, flops, ..Made::plain(ConditionalBatchNorm { statistics, classes }, m.input.to_vec()) })
}

fn project(args: &Args, m: &mut Make) -> Option<Made> {
    let classes = args.classes("y");
    let &[size] = m.input else {
        return m.wrong_input("a vector: [features]", "put `flatten` or `global_avg_pool` in front of it");
    };
    m.volume("the embedding", &[classes, size])?;
    let mut slots = vec![Slot::filter(&[size, 1], &[1, 0]), Slot::bias(1, size)];
    slots.push(Slot { name: "embedding", ..table(classes, size) });
    Some(Made { slots, flops: 4 * size as u64, ..Made::plain(Project { classes }, vec![1]) })
}

/// A row of the table `[classes, C]` for each label, as `[N, 1, .., C]` of the rank of `like`.
fn looked_up(b: &mut Builder, labels: Value, table: Value, classes: usize, like: Value) -> Value {
    let shape = b.shape(like).to_vec();
    let hot = one_hot(b, labels, classes);
    let rows = b.dot(hot, table, false, false);
    let mut row = vec![1; shape.len()];
    (row[0], row[shape.len() - 1]) = (shape[0], shape[shape.len() - 1]);
    b.reshape(rows, &row)
}

impl Layer for ConditionalBatchNorm {
    fn emit(&self, e: &mut Emit, x: &[Value]) -> Value {
        let (centred, scale) = self.statistics.emit(e, x[0]);
        let y = e.b.mul(centred, scale);
        let gain = looked_up(e.b, x[1], e.slots[0], self.classes, y);
        let shift = looked_up(e.b, x[1], e.slots[1], self.classes, y);
        let y = e.b.mul(y, gain);
        e.b.add(y, shift)
    }

    fn mixes_batch(&self) -> bool {
        true
    }
}

impl Layer for Project {
    fn emit(&self, e: &mut Emit, x: &[Value]) -> Value {
        let (h, labels) = (x[0], x[1]);
        let plain = e.b.dot(h, e.slots[0], false, false);
        let bias = e.b.reshape(e.slots[1], &[1, 1]);
        let plain = e.b.add(plain, bias);
        let embedded = looked_up(e.b, labels, e.slots[2], self.classes, h);
        let product = e.b.mul(embedded, h);
        let product = e.b.sum(product, &[1]);
        e.b.add(plain, product)
    }
}
