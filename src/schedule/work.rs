//! What a kernel costs: operations, and bytes that it moves.
//!
//! Bytes are counted as if caches held whatever a kernel reads again: an access counts each element that it touches once, however often
//! loops come back to it, and an operand or result of a product counts once. What is read and written in place counts twice; what is fused
//! behind a product reads its result from cache, which counts nothing. Rows copied or transformed on the way stay in cache, too.

use super::nest::{Access, Inst, Nest};
use super::thin::Side;
use super::tiles::{Pack, Tiles};
use super::winograd::{Order, Winograd};
use super::{BufferId, Kernel, Kind};
use crate::graph::volume;

/// Bytes of an element.
const ELEMENT: usize = 4;

/// Kernels that work alike.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Group {
    /// Matrix products.
    Product,
    /// Convolutions computed directly.
    Direct,
    /// Convolutions computed by Winograd's minimal filtering.
    Winograd,
    /// Convolutions computed as products of pixels with all taps at once.
    Taps,
    /// Loop nests.
    Nest,
    /// Copies into panels.
    Pack,
    /// Operands transformed for Winograd's minimal filtering.
    Transform,
    /// Zeros around images.
    Border,
}

impl Group {
    /// All of them, in the order of reports.
    pub const ALL: [Group; 8] =
        [Group::Product, Group::Direct, Group::Winograd, Group::Taps, Group::Nest, Group::Pack, Group::Transform, Group::Border];

    /// For reports.
    pub fn name(self) -> &'static str {
        match self {
            Group::Product => "product",
            Group::Direct => "direct convolution",
            Group::Winograd => "winograd",
            Group::Taps => "taps as columns",
            Group::Nest => "nest",
            Group::Pack => "pack",
            Group::Transform => "transform",
            Group::Border => "border",
        }
    }
}

/// What one run of a kernel costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Work {
    /// Operations of products and convolutions when computed directly, a product and a sum counting one each.
    pub products: usize,
    /// Operations of loop nests, alone or behind a product: every instruction counts one for each element, functions like `tanh` too, and
    /// every reduction one.
    pub pointwise: usize,
    /// Bytes read.
    pub read: usize,
    /// Bytes written.
    pub written: usize,
}

impl Work {
    /// All operations.
    pub fn flops(&self) -> usize {
        self.products + self.pointwise
    }

    /// Bytes read and written.
    pub fn moved(&self) -> usize {
        self.read + self.written
    }

    /// Elements instead of bytes so far.
    fn new(products: usize, read: usize, written: usize) -> Work {
        Work { products, pointwise: 0, read: read * ELEMENT, written: written * ELEMENT }
    }

    /// With a nest that runs on result `c` while it is in cache, where there is one.
    fn with(self, nest: Option<&Nest>, c: Option<BufferId>) -> Work {
        let Some(nest) = nest else { return self };
        let [read, written] = [false, true].map(|stored| {
            let counts = |(i, a): &(usize, &Access)| Some(a.buffer) != c && nest.is_written(*i) == stored;
            nest.accesses.iter().enumerate().filter(counts).map(|(_, a)| touched(nest, a)).sum::<usize>() * ELEMENT
        });
        Work {
            products: self.products,
            pointwise: self.pointwise + nest.flops(),
            read: self.read + read,
            written: self.written + written,
        }
    }
}

/// Elements that an access of `nest` touches: where its step is 0, one for all turns of the loop.
fn touched(nest: &Nest, a: &Access) -> usize {
    nest.dims.iter().zip(&a.strides).map(|(d, &step)| if step == 0 { 1 } else { d.size }).product()
}

impl Nest {
    /// Whether access `i` is stored to.
    pub fn is_written(&self, i: usize) -> bool {
        self.stores.iter().any(|s| s.access == i) || self.reductions.iter().any(|r| r.access == i)
    }

    /// See [`Work::pointwise`].
    pub fn flops(&self) -> usize {
        let counts = |i: &&Inst| match i {
            Inst::Unary(..) | Inst::Binary(..) | Inst::Select(..) => true,
            Inst::Load(_) | Inst::Const(_) => false,
        };
        self.points() * (self.body.iter().filter(counts).count() + self.reductions.len())
    }
}

impl Tiles {
    /// Elements of the packed right operand, for panels of so many columns.
    fn packed_len(&self, columns: usize) -> usize {
        let matrices = if self.b_image == 0 { 1 } else { self.images };
        matrices * self.n.next_multiple_of(columns) * self.packed_rows()
    }
}

impl Pack {
    /// Elements of the matrices that are copied.
    fn source_len(&self) -> usize {
        self.batch * self.panel_rows() * self.columns
    }
}

impl Winograd {
    /// Elements of the left image, the result (of a filter gradient, the right image) and the filter.
    fn lens(&self) -> [usize; 3] {
        let image = |size: [usize; 2], channels: usize| self.images * size[0] * size[1] * channels;
        let taps: usize = self.parts.iter().map(|p| p.taps.len()).sum();
        [image(self.left, self.inputs), image(self.right, self.outputs), taps * self.inputs * self.outputs]
    }
}

impl Kernel {
    /// Which kernels it works like.
    pub fn group(&self) -> Group {
        match &self.kind {
            Kind::Nest(..) => Group::Nest,
            Kind::Border(_) => Group::Border,
            Kind::Pack(_) => Group::Pack,
            Kind::Tiles(t, _) if t.role.is_none() => Group::Product,
            Kind::Tiles(..) | Kind::Thin(_) => Group::Direct,
            Kind::Transform(_) => Group::Transform,
            Kind::Winograd(..) => Group::Winograd,
            Kind::Narrow(..) => Group::Taps,
        }
    }

    /// What a run costs on a host whose micro-kernel has so many columns.
    pub fn work(&self, columns: usize) -> Work {
        match &self.kind {
            Kind::Nest(nest, _) => Work::default().with(Some(nest), None),
            Kind::Border(b) => {
                let inner = if b.inner.is_empty() { 0 } else { volume(&b.inner) };
                Work::new(0, 0, volume(&b.shape) - inner)
            }
            Kind::Pack(p) => Work::new(0, p.source_len(), p.packed_len()),
            Kind::Tiles(t, behind) => {
                let [left, _, result] = &t.shapes;
                let right = t.pack.as_ref().map_or_else(|| t.packed_len(columns), Pack::source_len);
                let read = volume(left) + right;
                Work::new(t.flops(), read, volume(result)).with(behind.as_ref(), Some(t.c))
            }
            Kind::Narrow(j, behind) => {
                let n = &j.narrow;
                let image = |size: [usize; 2], channels: usize| n.images * size[0] * size[1] * channels;
                let read = image(n.left, n.inputs) + n.inputs * n.columns().next_multiple_of(columns);
                Work::new(n.flops(), read, image(n.result, n.channels)).with(behind.as_ref(), Some(j.c))
            }
            Kind::Thin(j) => {
                let t = &j.thin;
                let image = |s: &Side| t.images * s.size[0] * s.size[1] * s.channels;
                let filter = t.kernel[0] * t.kernel[1] * t.thin.channels * t.wide.channels;
                Work::new(t.flops(), image(&t.thin) + image(&t.wide), filter)
            }
            Kind::Transform(t) => {
                let w = &t.winograd;
                let [left, right, filter] = w.lens();
                let read = match w.order {
                    Order::ByImage => filter,
                    Order::ByChannel => left,
                    Order::InTurn => 0,
                    Order::Gradient => right,
                };
                Work::new(0, read, w.transformed_len())
            }
            Kind::Winograd(f, behind) => {
                let w = &f.winograd;
                let [left, right, filter] = w.lens();
                let (read, written) = match w.order {
                    Order::ByImage => (left, right),
                    Order::ByChannel => (filter, right),
                    Order::InTurn => (left + filter, right),
                    Order::Gradient => (left, filter),
                };
                Work::new(w.flops(), read + w.transformed_len(), written).with(behind.as_ref(), Some(f.c))
            }
        }
    }
}
