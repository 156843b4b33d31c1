//! Units to kernels: loop nests, tiles, packs and borders over buffers.

use super::body::NestBuilder;
use super::fuse::{Fusion, Loop, Unit, UnitId, UnitKind};
use super::narrow::{Narrow, NarrowJob};
use super::nest::{Access, Dim, Inst, Nest, Reduction, Store};
use super::tiles::{self, Pack, Phase, Tiles};
use super::views::{View, Views, contiguous};
use super::winograd::Winograd;
use super::{Border, Buffer, BufferId, Filtering, Home, Kind, Split, Target, Transform};
use crate::graph::{Conv, Graph, Op, Role, Sink, Source, Value, volume};
use std::collections::{BTreeSet, HashMap};

/// A kernel before it has a stage.
pub struct Raw {
    /// What it does.
    pub kind: Kind,
    /// Kernels that must run before.
    pub after: BTreeSet<usize>,
    /// Buffers it reads.
    pub reads: Vec<BufferId>,
    /// Buffers it writes.
    pub writes: Vec<BufferId>,
}

/// Kernels and buffers without stages and addresses.
pub struct Emitted {
    /// All kernels; each stands after those it depends on.
    pub kernels: Vec<Raw>,
    /// All buffers; those in the arena have no place yet.
    pub buffers: Vec<Buffer>,
    /// Results: name and buffer.
    pub results: Vec<(String, BufferId)>,
}

/// Operations in a task, roughly: small enough to share among threads, large enough to be worth it.
const TASK: usize = 1 << 17;
/// Most tasks of a kernel.
const MOST_TASKS: usize = 64;
/// Points from which a reduction with few results is done in two steps.
const LARGE_REDUCTION: usize = 1 << 14;

/// Emits the kernels of all units.
pub fn emit(graph: &Graph, views: &Views, fusion: &Fusion, target: Target) -> Emitted {
    let mut e = Emitter {
        graph,
        views,
        fusion,
        target,
        buffers: Vec::new(),
        kernels: Vec::new(),
        homes: HashMap::new(),
        packs: HashMap::new(),
        done: vec![Vec::new(); fusion.units.len()],
    };
    e.bind();
    for unit in in_order(&fusion.units) {
        e.unit(unit);
    }
    let results = e.outputs();
    Emitted { kernels: e.kernels, buffers: e.buffers, results }
}

/// Units so that each stands after those it depends on; otherwise by number.
fn in_order(units: &[Unit]) -> Vec<UnitId> {
    let mut waiting: Vec<usize> = units.iter().map(|u| u.after.len()).collect();
    let mut followers = vec![Vec::new(); units.len()];
    for (i, u) in units.iter().enumerate() {
        u.after.iter().for_each(|a| followers[a.index()].push(i));
    }
    let mut ready: BTreeSet<usize> = (0..units.len()).filter(|&i| waiting[i] == 0).collect();
    let mut order = Vec::new();
    while let Some(i) = ready.pop_first() {
        order.push(UnitId(i as u32));
        for &f in &followers[i] {
            waiting[f] -= 1;
            if waiting[f] == 0 {
                ready.insert(f);
            }
        }
    }
    assert_eq!(order.len(), units.len(), "the units depend on each other in a circle");
    order
}

/// Whether loop `l` can run as the epilogue of anchor `v`: its rows and columns are the anchor's.
pub fn epilogue_fits(graph: &Graph, views: &Views, v: Value, l: &Loop) -> bool {
    let nest = NestBuilder::new(graph, views, l, &|_| true, &|_| BufferId(0)).build();
    shape_epilogue(graph, v, &l.shape, nest).is_some()
}

/// The nest with the dims the driver of anchor `v` runs it by: first its rows (or images), last its columns.
fn shape_epilogue(graph: &Graph, v: Value, shape: &[usize], mut nest: Nest) -> Option<Nest> {
    let result = graph.shape(v);
    let columns = *result.last()?;
    if shape.last() != Some(&columns) || !nest.reductions.is_empty() {
        return None;
    }
    match &graph.node(v).op {
        Op::Dot { .. } if result.len() == 2 => {
            nest.canonicalise_in_two(result[0], columns)?;
        }
        Op::Conv(c) if c.role != Role::FilterGrad && shape == result => {
            // Images are walked one by one; a single image row by row.
            let first = if result[0] > 1 { 0 } else { 1 };
            nest.canonicalise_apart(first, result[first], columns)?;
        }
        _ => return None,
    }
    Some(nest)
}

struct Emitter<'a> {
    graph: &'a Graph,
    views: &'a Views,
    fusion: &'a Fusion,
    target: Target,
    buffers: Vec<Buffer>,
    kernels: Vec<Raw>,
    /// Buffer of each stored value that has one of its own.
    homes: HashMap<Value, BufferId>,
    /// Packed right operand of an anchor, by pack unit.
    packs: HashMap<UnitId, BufferId>,
    /// Kernels of each unit.
    done: Vec<Vec<usize>>,
}

impl Emitter<'_> {
    fn buffer(&mut self, len: usize, home: Home) -> BufferId {
        self.buffers.push(Buffer { len, home });
        BufferId(self.buffers.len() as u32 - 1)
    }

    /// Gives every stored value a buffer.
    fn bind(&mut self) {
        let mut states = HashMap::new();
        for v in self.graph.values() {
            let len = volume(self.graph.shape(v));
            let home = match self.graph.node(v).op {
                Op::Input(Source::State(id)) => Home::State(id),
                Op::Input(Source::Feed(id)) => Home::Feed(id),
                Op::Input(Source::Scalar(id)) => Home::Scalar(id),
                Op::Literal(id) => Home::Literal(id),
                _ => continue,
            };
            let b = self.buffer(len, home);
            self.homes.insert(v, b);
            if let Home::State(id) = home {
                states.insert(id, b);
            }
        }
        for (id, v) in super::updates(self.graph) {
            let len = volume(self.graph.shape(v));
            let b = *states.entry(id).or_insert_with(|| {
                self.buffers.push(Buffer { len, home: Home::State(id) });
                BufferId(self.buffers.len() as u32 - 1)
            });
            if self.fusion.in_place.get(&id) == Some(&v) {
                self.homes.insert(v, b);
            }
        }
        for v in self.graph.values() {
            if self.views.is_stored(v) && self.views.placed[v.index()].is_none() && !self.homes.contains_key(&v) {
                let is_result = self.graph.outputs().iter().any(|o| o.value == v && o.sink == Sink::Result);
                let home = if is_result { Home::Result } else { Home::Arena(0) };
                let b = self.buffer(volume(self.graph.shape(v)), home);
                self.homes.insert(v, b);
            }
        }
    }

    fn home(&self, v: Value) -> BufferId {
        match &self.views.placed[v.index()] {
            Some(view) => self.home(view.base),
            None => self.homes[&v],
        }
    }

    /// A view with the placement of its base resolved.
    fn resolve(&self, view: &View) -> (BufferId, usize, Vec<usize>) {
        (self.home(view.base), view.offset, view.strides.clone())
    }

    fn push(&mut self, unit: UnitId, kind: Kind, own: &[usize], reads: Vec<BufferId>, writes: Vec<BufferId>) -> usize {
        let mut after: BTreeSet<usize> = own.iter().copied().collect();
        for u in &self.fusion.units[unit.index()].after {
            after.extend(self.done[u.index()].iter().copied());
        }
        self.kernels.push(Raw { kind, after, reads, writes });
        let index = self.kernels.len() - 1;
        self.done[unit.index()].push(index);
        index
    }

    fn unit(&mut self, unit: UnitId) {
        let fusion = self.fusion;
        match &fusion.units[unit.index()].kind {
            UnitKind::Gone => {}
            UnitKind::Loop(l) => {
                let nest = self.nest(l);
                self.nests(unit, nest);
            }
            UnitKind::Anchor(v, epilogue) => self.anchor(unit, *v, epilogue.as_ref()),
            UnitKind::Gather(v) => self.gather(unit, *v),
            UnitKind::Pack(v) => self.pack(unit, *v),
        }
    }

    fn nest(&self, l: &Loop) -> Nest {
        let kept = |v: Value| self.fusion.kept[v.index()];
        let home = |v: Value| self.home(v);
        NestBuilder::new(self.graph, self.views, l, &kept, &home).build()
    }

    /// Pushes a nest, in two steps where it reduces much to little.
    fn nests(&mut self, unit: UnitId, mut nest: Nest) {
        nest.canonicalise(0);
        nest.order_for_reduction();
        nest.canonicalise(0);
        let (first, second) = self.in_two_steps(nest);
        let (reads, writes) = touched(&first);
        let split = split(&first);
        let k = self.push(unit, Kind::Nest(first, split), &[], reads, writes);
        if let Some(second) = second {
            let (reads, writes) = touched(&second);
            let cut = self::split(&second);
            self.push(unit, Kind::Nest(second, cut), &[k], reads, writes);
        }
    }

    fn in_two_steps(&mut self, mut nest: Nest) -> (Nest, Option<Nest>) {
        let kept: usize = nest.dims.iter().filter(|d| !d.reduced).map(|d| d.size).product();
        let tasks = if nest.sums_rows() { kept } else { kept.div_ceil(32) };
        let Some(dim) = nest.dims.iter().position(|d| d.reduced) else { return (nest, None) };
        let size = nest.dims[dim].size;
        if nest.reductions.is_empty() || nest.points() < LARGE_REDUCTION || tasks >= 16 {
            return (nest, None);
        }
        let parts = (2..=32.min(size / 4)).rev().find(|p| size.is_multiple_of(*p));
        let Some(parts) = parts else { return (nest, None) };
        // The parts become a kept dim in front; each reduction writes partial results, part by part.
        nest.dims[dim].size = size / parts;
        nest.dims.insert(0, Dim { size: parts, reduced: false });
        for a in &mut nest.accesses {
            let step = a.strides[dim] * (size / parts);
            a.strides.insert(0, step);
        }
        let mut second =
            Nest { dims: Vec::new(), accesses: Vec::new(), body: Vec::new(), stores: Vec::new(), reductions: Vec::new() };
        second.dims = vec![Dim { size: parts, reduced: true }, Dim { size: kept, reduced: false }];
        for r in 0..nest.reductions.len() {
            let Reduction { kind, access, .. } = nest.reductions[r];
            let partial = self.buffer(parts * kept, Home::Arena(0));
            let result = std::mem::replace(&mut nest.accesses[access].buffer, partial);
            let start = std::mem::replace(&mut nest.accesses[access].offset, 0);
            // Partial results lie in the order of the kept dims, whatever the order of the results.
            let order = nest.dims.clone();
            let mut step = kept;
            for (i, d) in order.iter().enumerate() {
                if !d.reduced {
                    nest.accesses[access].strides[i] = if i == 0 { kept } else { 0 };
                }
            }
            for (i, d) in order.iter().enumerate().skip(1) {
                if !d.reduced {
                    step /= d.size;
                    nest.accesses[access].strides[i] = step;
                }
            }
            second.accesses.push(Access { buffer: partial, offset: 0, strides: vec![kept, 1] });
            second.accesses.push(Access { buffer: result, offset: start, strides: vec![0, 1] });
            second.body.push(Inst::Load(2 * r));
            second.reductions.push(Reduction { kind, value: r, access: 2 * r + 1 });
        }
        second.canonicalise(0);
        second.order_for_reduction();
        second.canonicalise(0);
        (nest, Some(second))
    }

    fn gather(&mut self, unit: UnitId, v: Value) {
        let graph = self.graph;
        let node = graph.node(v);
        let target = self.home(v);
        let outer = contiguous(&node.shape);
        if let Op::Pad { low, step } = &node.op {
            let dense = step.iter().all(|&s| s == 1);
            let inner = if dense { graph.shape(node.args[0]).to_vec() } else { Vec::new() };
            let border = Border { buffer: target, shape: node.shape.clone(), low: low.clone(), inner };
            let k = self.push_first(unit, Kind::Border(border), vec![target]);
            if !dense {
                // What is zeroed as a whole must be so before anything is written into it.
                self.fill_before_writers(v, k);
            }
        }
        let mut offset = 0;
        for &part in &node.args {
            let here = match &node.op {
                Op::Pad { low, step } => View {
                    base: v,
                    offset: low.iter().zip(&outer).map(|(l, s)| l * s).sum(),
                    strides: step.iter().zip(&outer).map(|(a, b)| a * b).collect(),
                },
                Op::Concat(axis) => {
                    let view = View { base: v, offset: offset * outer[*axis], strides: outer.clone() };
                    offset += graph.shape(part)[*axis];
                    view
                }
                Op::Input(_)
                | Op::Const(_)
                | Op::Literal(_)
                | Op::Unary(_)
                | Op::Binary(_)
                | Op::Select
                | Op::Reshape
                | Op::Transpose(_)
                | Op::Broadcast
                | Op::Slice { .. }
                | Op::Reduce(..)
                | Op::Dot { .. }
                | Op::Conv(_)
                | Op::Grad => {
                    unreachable!("only pads and concatenations gather")
                }
            };
            if self.views.placed[part.index()].as_ref() == Some(&here) {
                continue;
            }
            let Some(view) = self.views.view(graph, part) else { unreachable!("what is gathered has memory") };
            let (source, start, strides) = self.resolve(&view);
            let dims = graph.shape(part).iter().map(|&size| Dim { size, reduced: false }).collect();
            let nest = Nest {
                dims,
                accesses: vec![
                    Access { buffer: source, offset: start, strides },
                    Access { buffer: target, offset: here.offset, strides: here.strides },
                ],
                body: vec![Inst::Load(0)],
                stores: vec![Store { value: 0, access: 1 }],
                reductions: Vec::new(),
            };
            let before = self.done[unit.index()].clone();
            let mut nest = nest;
            nest.canonicalise(0);
            let (reads, writes) = touched(&nest);
            let split = split(&nest);
            self.push(unit, Kind::Nest(nest, split), &before, reads, writes);
        }
        // Parts that were written in place by other units count as written here: readers wait for them too.
        let parts: Vec<usize> = self.fusion.units[unit.index()].after.iter().flat_map(|u| self.done[u.index()].clone()).collect();
        self.done[unit.index()].extend(parts);
    }

    /// A kernel of `unit` that waits for nothing.
    fn push_first(&mut self, unit: UnitId, kind: Kind, writes: Vec<BufferId>) -> usize {
        self.kernels.push(Raw { kind, after: BTreeSet::new(), reads: Vec::new(), writes });
        let index = self.kernels.len() - 1;
        self.done[unit.index()].push(index);
        index
    }

    /// Makes the kernels that wrote parts of `v` earlier wait for kernel `k`.
    fn fill_before_writers(&mut self, v: Value, k: usize) {
        let target = self.home(v);
        for i in 0..k {
            if self.kernels[i].writes.contains(&target) {
                self.kernels[i].after.insert(k);
            }
        }
    }

    fn pack(&mut self, unit: UnitId, v: Value) {
        let graph = self.graph;
        let node = graph.node(v);
        let Some(view) = self.views.view(graph, node.args[1]) else { unreachable!("operands of products have memory") };
        let (source, start, strides) = self.resolve(&view);
        if let Some(narrow) = Narrow::of(graph, v, self.target) {
            self.push_pack(unit, narrow.pack(source, start, self.target.columns));
            return;
        }
        if let Some(winograd) = Winograd::of(graph, v, self.target) {
            let target = self.transform(unit, winograd, (source, start)).1;
            self.packs.insert(unit, target);
            return;
        }
        let shape = graph.shape(node.args[1]);
        let pack = match &node.op {
            Op::Dot { tb, .. } => {
                let r = shape.len();
                let (k, n) = if *tb { (r - 1, r - 2) } else { (r - 2, r - 1) };
                Pack {
                    source,
                    target: source,
                    batch: if r == 3 { shape[0] } else { 1 },
                    source_batch: if r == 3 { strides[0] } else { 0 },
                    taps: vec![start],
                    rows: shape[k],
                    row_step: strides[k],
                    columns: shape[n],
                    column_step: strides[n],
                    group: (usize::MAX, 0),
                    width: self.target.columns,
                }
            }
            Op::Conv(c) if c.role == Role::FilterGrad => Pack {
                source,
                target: source,
                batch: 1,
                source_batch: 0,
                taps: vec![start],
                rows: shape[0] * shape[1] * shape[2],
                row_step: shape[3],
                columns: shape[3],
                column_step: 1,
                group: (usize::MAX, 0),
                width: self.target.columns,
            },
            Op::Conv(c) => {
                let (inputs, outputs) = (shape[2], shape[3]);
                let taps = tiles::conv(c, inputs, outputs).taps.iter().map(|t| t + start).collect();
                let forward = c.role == Role::Forward;
                Pack {
                    source,
                    target: source,
                    batch: 1,
                    source_batch: 0,
                    taps,
                    rows: if forward { inputs } else { outputs },
                    row_step: if forward { outputs } else { 1 },
                    columns: if forward { outputs } else { inputs },
                    column_step: if forward { 1 } else { outputs },
                    group: (usize::MAX, 0),
                    width: self.target.columns,
                }
            }
            Op::Input(_)
            | Op::Const(_)
            | Op::Literal(_)
            | Op::Unary(_)
            | Op::Binary(_)
            | Op::Select
            | Op::Reshape
            | Op::Transpose(_)
            | Op::Broadcast
            | Op::Slice { .. }
            | Op::Pad { .. }
            | Op::Concat(_)
            | Op::Reduce(..)
            | Op::Grad => {
                unreachable!("only products pack")
            }
        };
        self.push_pack(unit, pack);
    }

    /// Packs a matrix into a buffer of its own.
    fn push_pack(&mut self, unit: UnitId, mut pack: Pack) {
        pack.target = self.buffer(pack.packed_len(), Home::Arena(0));
        self.packs.insert(unit, pack.target);
        let (reads, writes) = (vec![pack.source], vec![pack.target]);
        self.push(unit, Kind::Pack(pack), &[], reads, writes);
    }

    /// Transforms an operand; the kernel and the buffer.
    fn transform(&mut self, unit: UnitId, winograd: Winograd, source: (BufferId, usize)) -> (usize, BufferId) {
        let target = self.buffer(winograd.transformed_len(), Home::Arena(0));
        let (reads, writes) = (vec![source.0], vec![target]);
        let kernel = self.push(unit, Kind::Transform(Box::new(Transform { winograd, source, target })), &[], reads, writes);
        (kernel, target)
    }

    fn anchor(&mut self, unit: UnitId, v: Value, epilogue: Option<&Loop>) {
        let graph = self.graph;
        let node = graph.node(v);
        let packed = self.fusion.units[unit.index()].after.iter().find_map(|u| match self.fusion.units[u.index()].kind {
            UnitKind::Pack(p) if graph.node(p).args[1] == node.args[1] => self.packs.get(u).copied(),
            _ => None,
        });
        if let (Some(narrow), Some(b)) = (Narrow::of(graph, v, self.target), packed) {
            self.narrow(unit, v, narrow, b, epilogue);
            return;
        }
        if let Some(winograd) = Winograd::of(graph, v, self.target) {
            self.winograd(unit, v, winograd, packed, epilogue);
            return;
        }
        let mut tiles = match &node.op {
            Op::Dot { ta, .. } => self.dot(v, *ta, packed),
            Op::Conv(c) => self.conv(v, c, packed),
            Op::Input(_)
            | Op::Const(_)
            | Op::Literal(_)
            | Op::Unary(_)
            | Op::Binary(_)
            | Op::Select
            | Op::Reshape
            | Op::Transpose(_)
            | Op::Broadcast
            | Op::Slice { .. }
            | Op::Pad { .. }
            | Op::Concat(_)
            | Op::Reduce(..)
            | Op::Grad => {
                unreachable!("only products are anchors")
            }
        };
        let mut reads = vec![tiles.a, tiles.b];
        let mut writes = vec![tiles.c];
        let epilogue = epilogue.map(|l| self.epilogue(v, l, &mut tiles.c, &mut reads, &mut writes));
        self.push(unit, Kind::Tiles(Box::new(tiles), epilogue), &[], reads, writes);
    }

    fn narrow(&mut self, unit: UnitId, v: Value, narrow: Narrow, b: BufferId, epilogue: Option<&Loop>) {
        let node = self.graph.node(v);
        let Some(view) = self.views.view(self.graph, node.args[0]) else { unreachable!("operands of products have memory") };
        let (a, channels) = (self.home(view.base), (narrow.inputs, narrow.channels));
        let label = match &node.op {
            Op::Conv(c) if narrow.spread => conv_label(c, channels.1, channels.0),
            Op::Conv(c) => conv_label(c, channels.0, channels.1),
            _ => String::new(),
        };
        let (mut c, mut reads, mut writes) = (self.home(v), vec![a, b], vec![self.home(v)]);
        let epilogue = epilogue.map(|l| self.epilogue(v, l, &mut c, &mut reads, &mut writes));
        let job = NarrowJob { narrow, a: (a, view.offset), b, c, label };
        self.push(unit, Kind::Narrow(Box::new(job), epilogue), &[], reads, writes);
    }

    fn winograd(&mut self, unit: UnitId, v: Value, winograd: Winograd, packed: Option<BufferId>, epilogue: Option<&Loop>) {
        let node = self.graph.node(v);
        let operand = |k: usize| match self.views.view(self.graph, node.args[k]) {
            Some(view) => (self.home(view.base), view.offset),
            None => unreachable!("operands of products have memory"),
        };
        let (left, right) = (operand(0), operand(1));
        let mut own = Vec::new();
        let (a, b) = match packed {
            Some(packed) => (left, (packed, 0)),
            None => {
                let (kernel, target) = self.transform(unit, winograd.clone(), left);
                own.push(kernel);
                ((target, 0), right)
            }
        };
        let channels = match winograd.joined {
            true => [winograd.inputs, winograd.outputs],
            false => [winograd.outputs, winograd.inputs],
        };
        let label = match &node.op {
            Op::Conv(c) => conv_label(c, channels[0], channels[1]),
            _ => String::new(),
        };
        let (mut c, mut reads, mut writes) = (self.home(v), vec![a.0, b.0], vec![self.home(v)]);
        let epilogue = epilogue.map(|l| self.epilogue(v, l, &mut c, &mut reads, &mut writes));
        let filtering = Filtering { winograd, a, b, c, label };
        self.push(unit, Kind::Winograd(Box::new(filtering), epilogue), &own, reads, writes);
    }

    /// The nest of loop `l` behind anchor `v`, whose result is in `c`: it may move to the nest's own result.
    fn epilogue(&self, v: Value, l: &Loop, c: &mut BufferId, reads: &mut Vec<BufferId>, writes: &mut Vec<BufferId>) -> Nest {
        let mut nest = self.nest(l);
        // Where only the epilogue reads the product, its first result takes the same memory.
        if !self.fusion.kept_outside(self.graph, self.views, v, l)
            && let Some(s) = nest.stores.first().copied()
            && nest.accesses[s.access].offset == 0
            && nest.accesses[s.access].strides == contiguous(&l.shape)
            && self.buffers[c.index()].home == Home::Arena(0)
            && nest.accesses.iter().filter(|a| a.buffer == nest.accesses[s.access].buffer).count() == 1
            && !matches!(self.buffers[nest.accesses[s.access].buffer.index()].home, Home::State(_))
        {
            let result = nest.accesses[s.access].buffer;
            nest.accesses.iter_mut().filter(|a| a.buffer == *c).for_each(|a| a.buffer = result);
            *c = result;
            *writes = vec![result];
        }
        let Some(nest) = shape_epilogue(self.graph, v, &l.shape, nest) else { unreachable!("checked when it was attached") };
        let (r, w) = touched(&nest);
        reads.extend(r.into_iter().filter(|b| *b != *c));
        writes.extend(w.into_iter().filter(|b| *b != *c));
        nest
    }

    fn dot(&self, v: Value, ta: bool, packed: Option<BufferId>) -> Tiles {
        let node = self.graph.node(v);
        let (shape, r) = (&node.shape, node.shape.len());
        let Some(view) = self.views.view(self.graph, node.args[0]) else { unreachable!("operands of products have memory") };
        let (a, start, strides) = self.resolve(&view);
        let left = self.graph.shape(node.args[0]);
        let (m, k) = if ta { (r - 1, r - 2) } else { (r - 2, r - 1) };
        let (rows, depth, columns) = (shape[r - 2], left[k], shape[r - 1]);
        let batch = if r == 3 { shape[0] } else { 1 };
        let panels = columns.div_ceil(self.target.columns) * self.target.columns;
        let Some(b) = packed else { unreachable!("matrix products pack their right operand") };
        Tiles {
            a,
            a_offset: start,
            b,
            c: self.home(v),
            images: batch,
            a_image: if r == 3 { strides[0] } else { 0 },
            b_image: if r == 3 { panels * depth } else { 0 },
            c_image: rows * columns,
            sum_images: false,
            a_step: strides[k],
            a_segment: 0,
            n: columns,
            phases: vec![Phase {
                ny: rows,
                nx: 1,
                a: 0,
                a_y: strides[m],
                a_x: 0,
                c: 0,
                c_y: columns,
                c_x: 0,
                segments: 1,
                k: depth,
                b_row: 0,
            }],
            label: format!("dot {rows}x{depth}x{columns}"),
        }
    }

    fn conv(&self, v: Value, c: &Conv, packed: Option<BufferId>) -> Tiles {
        let node = self.graph.node(v);
        let operand = |k: usize| match self.views.view(self.graph, node.args[k]) {
            Some(view) => self.resolve(&view),
            None => unreachable!("operands of products have memory"),
        };
        let (a, a_offset, _) = operand(0);
        let (first, second) = (self.graph.shape(node.args[0]), self.graph.shape(node.args[1]));
        let images = first[0];
        let (inputs, outputs) = match c.role {
            Role::Forward | Role::InputGrad => (second[2], second[3]),
            Role::FilterGrad => (first[3], second[3]),
        };
        let t = tiles::conv(c, inputs, outputs);
        let image = |s: &[usize]| s[1] * s[2] * s[3];
        let label = conv_label(c, inputs, outputs);
        let sums = c.role == Role::FilterGrad;
        let Some(b) = packed else { unreachable!("products pack their right operand") };
        Tiles {
            a,
            a_offset,
            b,
            c: self.home(v),
            images,
            a_image: image(first),
            b_image: 0,
            c_image: if sums { 0 } else { image(&node.shape) },
            sum_images: sums,
            a_step: t.a_step,
            a_segment: t.a_segment,
            n: if c.role == Role::InputGrad { inputs } else { outputs },
            phases: t.phases,
            label,
        }
    }

    /// Copies outputs that are not in their place yet.
    fn outputs(&mut self) -> Vec<(String, BufferId)> {
        let mut results = Vec::new();
        for o in self.graph.outputs() {
            let Some(view) = self.views.view(self.graph, o.value) else { unreachable!("outputs have memory") };
            let (source, offset, strides) = self.resolve(&view);
            let len = volume(self.graph.shape(o.value));
            let target = match o.sink {
                Sink::Result if self.buffers[source.index()].home == Home::Result => {
                    results.push((o.name.clone(), source));
                    continue;
                }
                Sink::Result => {
                    let b = self.buffer(len, Home::Result);
                    results.push((o.name.clone(), b));
                    b
                }
                Sink::Update(id) if self.buffers[source.index()].home == Home::State(id) => continue,
                Sink::Update(id) => {
                    let found = self.buffers.iter().position(|b| b.home == Home::State(id));
                    found.map(|i| BufferId(i as u32)).unwrap_or_else(|| self.buffer(len, Home::State(id)))
                }
            };
            let mut nest = Nest {
                dims: self.graph.shape(o.value).iter().map(|&size| Dim { size, reduced: false }).collect(),
                accesses: vec![
                    Access { buffer: source, offset, strides },
                    Access { buffer: target, offset: 0, strides: contiguous(self.graph.shape(o.value)) },
                ],
                body: vec![Inst::Load(0)],
                stores: vec![Store { value: 0, access: 1 }],
                reductions: Vec::new(),
            };
            nest.canonicalise(0);
            // After everything that reads what it overwrites, and after what makes its content.
            let after = (0..self.kernels.len())
                .filter(|&k| {
                    let raw = &self.kernels[k];
                    raw.reads.contains(&target) || raw.writes.contains(&source) || raw.writes.contains(&target)
                })
                .collect();
            let split = split(&nest);
            self.kernels.push(Raw { kind: Kind::Nest(nest, split), after, reads: vec![source], writes: vec![target] });
        }
        results
    }
}

/// A convolution between a big image of `inputs` channels and a small one of `outputs`, for reports.
fn conv_label(c: &Conv, inputs: usize, outputs: usize) -> String {
    let ([kh, kw], stride, [h, w]) = (c.kernel, c.stride[0], c.small);
    format!("{:?} {kh}x{kw} s{stride} {inputs}-{outputs} @{h}x{w}", c.role)
}

/// Buffers a nest reads and writes.
fn touched(nest: &Nest) -> (Vec<BufferId>, Vec<BufferId>) {
    let written = |i: usize| nest.stores.iter().any(|s| s.access == i) || nest.reductions.iter().any(|r| r.access == i);
    let (mut reads, mut writes) = (BTreeSet::new(), BTreeSet::new());
    for (i, a) in nest.accesses.iter().enumerate() {
        if written(i) {
            writes.insert(a.buffer)
        } else {
            reads.insert(a.buffer)
        };
    }
    (reads.into_iter().collect(), writes.into_iter().collect())
}

/// How a nest is cut, by its shape alone.
fn split(nest: &Nest) -> Split {
    let (first, last) = (nest.dims[0].size, nest.dims[nest.dims.len() - 1]);
    let tasks = (nest.points() * nest.cost() / TASK).clamp(1, MOST_TASKS);
    let rows = first.div_ceil(tasks.min(first));
    let left = tasks.div_ceil(first.div_ceil(rows));
    // Columns are cut at multiples of the widest vector group.
    let columns = if last.reduced || left == 1 { last.size } else { last.size.div_ceil(left).next_multiple_of(32) };
    Split { rows, columns: columns.min(last.size) }
}
