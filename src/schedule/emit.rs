//! Units to kernels: loop nests, tiles, packs and borders over buffers.

mod products;

use super::body::NestBuilder;
use super::ends::Reason;
use super::fuse::{Fusion, Loop, Unit, UnitId, UnitKind};
use super::nest::{Access, Dim, Inst, Nest, Reduction, Store};
use super::panels::Panels;
use super::views::{View, Views, contiguous};
use super::{Border, Buffer, BufferId, Home, Kind, Split, Target};
use crate::graph::{Binary, Graph, Node, Op, Sink, Source, Value, volume};
pub use products::epilogue_problem;
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
    /// Why what it makes goes to memory.
    pub ends: Vec<Reason>,
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
const TASK: usize = 1 << 16;
/// As many tasks of a kernel as keep most machines busy.
const ENOUGH_TASKS: usize = 16;
/// Fewer tasks of a kernel leave most machines idle.
const FEW_TASKS: usize = 4;
/// Most tasks of a kernel.
const MOST_TASKS: usize = 64;
/// Points from which a reduction with few results is done in two steps.
const LARGE_REDUCTION: usize = 1 << 14;

/// Emits the kernels of all units.
pub fn emit(graph: &Graph, views: &Views, fusion: &Fusion, panels: &Panels, target: Target) -> Emitted {
    let mut e = Emitter {
        graph,
        views,
        fusion,
        panels,
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

struct Emitter<'a> {
    graph: &'a Graph,
    views: &'a Views,
    fusion: &'a Fusion,
    panels: &'a Panels,
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
        self.add(unit, Raw { kind, after, reads, writes, ends: self.fusion.ends[unit.index()].iter().cloned().collect() })
    }

    fn add(&mut self, unit: UnitId, raw: Raw) -> usize {
        self.kernels.push(raw);
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
            UnitKind::Fold(v) => self.fold(unit, *v),
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
        let k = self.push_nest(unit, first, &[]);
        if let Some(second) = second {
            self.kernels[k].ends = vec![Reason::Partial];
            self.sum_parts(unit, second, k);
        }
    }

    /// Pushes a nest that reduces the partial results of kernel `first`.
    fn sum_parts(&mut self, unit: UnitId, mut nest: Nest, first: usize) {
        nest.canonicalise(0);
        nest.order_for_reduction();
        nest.canonicalise(0);
        self.push_nest(unit, nest, &[first]);
    }

    /// Pushes a nest that waits for the kernels `own` of its unit.
    fn push_nest(&mut self, unit: UnitId, nest: Nest, own: &[usize]) -> usize {
        let (reads, writes) = touched(&nest);
        let split = split(&nest);
        self.push(unit, Kind::Nest(nest, split), own, reads, writes)
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
        let zeros = self.done[unit.index()].clone();
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
            let from = Access { buffer: source, offset: start, strides };
            let to = Access { buffer: target, offset: here.offset, strides: here.strides };
            let mut nest = Nest::copy(graph.shape(part), from, to);
            nest.canonicalise(0);
            self.push_nest(unit, nest, &zeros);
        }
        // Parts that were written in place by other units count as written here: readers wait for them too.
        let parts: Vec<usize> = self.fusion.units[unit.index()].after.iter().flat_map(|u| self.done[u.index()].clone()).collect();
        self.done[unit.index()].extend(parts);
    }

    /// Adds the borders of fold `v` where they belong.
    fn fold(&mut self, unit: UnitId, v: Value) {
        let (graph, views) = (self.graph, self.views);
        let (Some(fold), Some(image)) = (views.folds.of(v), &views.placed[v.index()]) else {
            unreachable!("a fold is placed in an image")
        };
        for &border in &fold.borders {
            let Node { op: Op::Pad { low, .. }, args, .. } = graph.node(border) else {
                unreachable!("a border stands among zeros")
            };
            let Some(part) = views.view(graph, args[0]) else { unreachable!("a border has memory") };
            let (source, start, strides) = self.resolve(&part);
            let (target, first, steps) = self.resolve(image);
            let offset = first + low.iter().zip(&steps).map(|(l, s)| l * s).sum::<usize>();
            let mut nest = Nest {
                dims: graph.shape(args[0]).iter().map(|&size| Dim { size, reduced: false }).collect(),
                accesses: vec![
                    Access { buffer: target, offset, strides: steps.clone() },
                    Access { buffer: source, offset: start, strides },
                    Access { buffer: target, offset, strides: steps },
                ],
                body: vec![Inst::Load(0), Inst::Load(1), Inst::Binary(Binary::Add, 0, 1)],
                stores: vec![Store { value: 2, access: 2 }],
                reductions: Vec::new(),
            };
            nest.canonicalise(0);
            self.push_nest(unit, nest, &[]);
        }
    }

    /// A kernel of `unit` that waits for nothing.
    fn push_first(&mut self, unit: UnitId, kind: Kind, writes: Vec<BufferId>) -> usize {
        let ends = self.fusion.ends[unit.index()].iter().cloned().collect();
        self.add(unit, Raw { kind, after: BTreeSet::new(), reads: Vec::new(), writes, ends })
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

    /// Copies outputs that are not in their place yet.
    fn outputs(&mut self) -> Vec<(String, BufferId)> {
        let mut results = Vec::new();
        for o in self.graph.outputs() {
            let Some(view) = self.views.view(self.graph, o.value) else { unreachable!("outputs have memory") };
            let (source, offset, strides) = self.resolve(&view);
            let len = volume(self.graph.shape(o.value));
            let ends = vec![match o.sink {
                Sink::Result => Reason::Result,
                Sink::Update(_) => Reason::Update,
            }];
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
            let shape = self.graph.shape(o.value);
            let to = Access { buffer: target, offset: 0, strides: contiguous(shape) };
            let mut nest = Nest::copy(shape, Access { buffer: source, offset, strides }, to);
            nest.canonicalise(0);
            // After everything that reads what it overwrites, and after what makes its content.
            let after = (0..self.kernels.len())
                .filter(|&k| {
                    let raw = &self.kernels[k];
                    raw.reads.contains(&target) || raw.writes.contains(&source) || raw.writes.contains(&target)
                })
                .collect();
            let split = split(&nest);
            self.kernels.push(Raw { kind: Kind::Nest(nest, split), after, reads: vec![source], writes: vec![target], ends });
        }
        results
    }
}

/// Buffers a nest reads and writes.
fn touched(nest: &Nest) -> (Vec<BufferId>, Vec<BufferId>) {
    let (mut reads, mut writes) = (BTreeSet::new(), BTreeSet::new());
    for (i, a) in nest.accesses.iter().enumerate() {
        if nest.is_written(i) {
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
    // A power of two, so that two threads, or four, get the same rows of each nest.
    let tasks = (nest.points() * nest.cost() / TASK).clamp(1, MOST_TASKS).next_power_of_two();
    let rows = first.div_ceil(tasks.min(first));
    let row_tasks = first.div_ceil(rows);
    let left = tasks.div_ceil(row_tasks);
    // Memory is read fastest in one walk: columns are cut where rows are too few for the threads of a usual machine, and not shorter than
    // some lines.
    let shortest = if row_tasks < FEW_TASKS { 64 } else { 256 };
    let whole = last.reduced || left == 1 || row_tasks >= ENOUGH_TASKS;
    let columns = if whole { last.size } else { last.size.div_ceil(left).next_multiple_of(32).max(shortest) };
    Split { rows, columns: columns.min(last.size) }
}
