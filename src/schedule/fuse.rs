//! Fusion: which stored values are made by the same kernel.
//!
//! A unit is what becomes one kernel (or a few that belong together). On exit every stored value that is not a leaf belongs to
//! one unit, the dependencies between units have no cycle, and updates of states come after the last reader of the old content.

use super::Target;
use super::ends::Reason;
use super::narrow::Narrow;
use super::panels::Panels;
use super::thin::Thin;
use super::tiles::packs_in_tasks;
use super::views::{Class, View, Views, contiguous, is_elementwise, same_walk};
use super::winograd::{Order, Winograd};
use crate::graph::{Graph, Op, Role, Sink, Source, StateId, Value, typed_id, volume};
use std::collections::{BTreeSet, HashMap};

typed_id!(
    /// A unit of fusion.
    UnitId,
    "u"
);

/// What becomes of the graph.
pub struct Fusion {
    /// All units; merged ones are left empty.
    pub units: Vec<Unit>,
    /// States whose update is written over the old content: the value that does it.
    pub in_place: HashMap<StateId, Value>,
    /// Whether an elementwise value needs its memory: some other unit reads it.
    pub kept: Vec<bool>,
    /// For each unit: why what it makes goes to memory.
    pub ends: Vec<BTreeSet<Reason>>,
}

/// What becomes one kernel.
#[derive(Clone, Debug)]
pub struct Unit {
    /// Which kind.
    pub kind: UnitKind,
    /// Units that must run before.
    pub after: BTreeSet<UnitId>,
}

/// The kinds of units.
#[derive(Clone, Debug)]
pub enum UnitKind {
    /// Elementwise values and reductions over one domain.
    Loop(Loop),
    /// A matrix product or convolution, and the loop that follows it in cache.
    Anchor(Value, Option<Loop>),
    /// Zeros and copies that make a padded image or a concatenation.
    Gather(Value),
    /// Borders added to the image they surround.
    Fold(Value),
    /// A matrix copied into panels for the anchor named.
    Pack(Value),
    /// Merged into another unit.
    Gone,
}

/// Values computed in one walk over a domain.
#[derive(Clone, Debug)]
pub struct Loop {
    /// The domain.
    pub shape: Vec<usize>,
    /// Axes that its reductions sum over; empty without reductions.
    pub axes: Vec<usize>,
    /// Stored values it makes, in order.
    pub values: Vec<Value>,
}

/// Most values of one loop.
pub const MOST_VALUES: usize = 24;

/// Fuses `graph` for a target.
pub fn fuse(graph: &Graph, views: &Views, panels: &Panels, target: Target) -> Fusion {
    let mut f = Fuser {
        graph,
        views,
        panels,
        target,
        units: Vec::new(),
        unit_of: vec![None; graph.nodes().len()],
        packs: HashMap::new(),
        loop_reads: Vec::new(),
        refused: HashMap::new(),
    };
    graph.values().for_each(|v| f.start(v));
    f.merge_loops();
    f.attach_epilogues();
    let in_place = f.updates_in_place();
    let kept = f.kept();
    let ends = f.ends();
    Fusion { units: f.units, in_place, kept, ends }
}

impl Fusion {
    /// Whether something other than its epilogue `l` reads anchor `v`.
    pub fn kept_outside(&self, graph: &Graph, views: &Views, v: Value, l: &Loop) -> bool {
        let own = |u: Value| l.values.contains(&u);
        graph.outputs().iter().any(|o| o.value == v) || self.read_elsewhere(graph, views, v, &own)
    }

    fn read_elsewhere(&self, graph: &Graph, views: &Views, v: Value, own: &dyn Fn(Value) -> bool) -> bool {
        views.users[v.index()].iter().any(|&u| match &views.class[u.index()] {
            Class::Stored => !own(u),
            Class::View(_) | Class::Inline => {
                graph.outputs().iter().any(|o| o.value == u) || self.read_elsewhere(graph, views, u, own)
            }
        })
    }
}

struct Fuser<'a> {
    graph: &'a Graph,
    views: &'a Views,
    panels: &'a Panels,
    target: Target,
    units: Vec<Unit>,
    unit_of: Vec<Option<UnitId>>,
    /// Packed matrices by source value and layout, shared by the products that use them.
    packs: HashMap<(Value, String), UnitId>,
    /// What each loop reads, by unit.
    loop_reads: Vec<BTreeSet<Read>>,
    /// For a stored value the loops that read it and are not fused with what makes it: a value of each, and why.
    refused: HashMap<Value, Vec<(Value, Reason)>>,
}

/// A stored value read by a loop, and whether it is read at the same index as it is written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Read {
    /// The stored value.
    pub base: Value,
    /// Same shape, same index.
    pub aligned: bool,
}

/// The stored values that computing `v` (itself stored) reads.
pub fn reads_of(graph: &Graph, views: &Views, v: Value) -> Vec<Read> {
    let mut reads = BTreeSet::new();
    let node = graph.node(v);
    for &a in &node.args {
        collect(graph, views, a, &mut reads);
    }
    // A view that is stored as a copy reads at other indices than it writes.
    let moves = matches!(node.op, Op::Reshape | Op::Transpose(_) | Op::Broadcast | Op::Slice { .. });
    reads.into_iter().map(|r| Read { aligned: r.aligned && !moves, ..r }).collect()
}

fn collect(graph: &Graph, views: &Views, v: Value, reads: &mut BTreeSet<Read>) {
    match &views.class[v.index()] {
        Class::Stored => {
            reads.insert(Read { base: v, aligned: true });
        }
        Class::View(view) => {
            reads.insert(shown(graph, views, v, view));
        }
        Class::Inline => graph.node(v).args.iter().for_each(|&a| collect(graph, views, a, reads)),
    }
}

/// The stored value that the view `v` shows: what has to be computed before, wherever it is placed. The image around it may come later.
pub fn shown(graph: &Graph, views: &Views, v: Value, view: &View) -> Read {
    let mut base = v;
    while let Class::View(_) = views.class[base.index()] {
        base = graph.node(base).args[0];
    }
    let aligned = view.base == base
        && graph.shape(v) == graph.shape(base)
        && view.offset == 0
        && same_walk(graph.shape(v), &view.strides, &contiguous(graph.shape(v)));
    Read { base, aligned }
}

impl Fuser<'_> {
    fn add(&mut self, kind: UnitKind, reads: impl IntoIterator<Item = Value>) -> UnitId {
        let after = reads.into_iter().filter_map(|v| self.unit_of[v.index()]).collect();
        self.loop_reads.push(match &kind {
            UnitKind::Loop(l) => self.reads(l),
            UnitKind::Anchor(..) | UnitKind::Gather(_) | UnitKind::Fold(_) | UnitKind::Pack(_) | UnitKind::Gone => {
                BTreeSet::new()
            }
        });
        self.units.push(Unit { kind, after });
        UnitId(self.units.len() as u32 - 1)
    }

    fn start(&mut self, v: Value) {
        if !self.views.is_stored(v) {
            return;
        }
        let node = self.graph.node(v);
        let reads: Vec<Value> = reads_of(self.graph, self.views, v).iter().map(|r| r.base).collect();
        let kind = match &node.op {
            _sum if self.views.folds.of(v).is_some() => UnitKind::Fold(v),
            Op::Input(_) | Op::Literal(_) => return,
            Op::Grad => unreachable!("a scheduled graph has no gradients left"),
            Op::Reduce(_, axes) => {
                UnitKind::Loop(Loop { shape: self.graph.shape(node.args[0]).to_vec(), axes: axes.clone(), values: vec![v] })
            }
            // A view that could not be expressed is a copy.
            Op::Const(_) | Op::Unary(_) | Op::Binary(_) | Op::Select | Op::Transpose(_) | Op::Broadcast | Op::Slice { .. } => {
                UnitKind::Loop(Loop { shape: node.shape.clone(), axes: Vec::new(), values: vec![v] })
            }
            Op::Reshape => {
                UnitKind::Loop(Loop { shape: self.graph.shape(node.args[0]).to_vec(), axes: Vec::new(), values: vec![v] })
            }
            Op::Pad { .. } | Op::Concat(_) => UnitKind::Gather(v),
            Op::Dot { .. } | Op::Conv(_) => UnitKind::Anchor(v, None),
        };
        let pack = match &kind {
            UnitKind::Anchor(..) => self.pack(v),
            UnitKind::Loop(_) | UnitKind::Gather(_) | UnitKind::Fold(_) | UnitKind::Pack(_) | UnitKind::Gone => None,
        };
        let unit = self.add(kind, reads);
        self.units[unit.index()].after.extend(pack);
        self.unit_of[v.index()] = Some(unit);
    }

    /// The unit that packs or transforms the right operand of anchor `v`; products of the same matrix in the same layout share it.
    /// `None` where the anchor takes it as it is.
    fn pack(&mut self, v: Value) -> Option<UnitId> {
        let narrow = Narrow::of(self.graph, v, self.target);
        if Thin::of(self.graph, v, self.target).is_some() {
            return None;
        }
        let layout = match Winograd::of(self.graph, v, self.target) {
            _direct if narrow.is_some() => format!("{narrow:?}"),
            Some(w) if matches!(w.order, Order::ByChannel | Order::InTurn) => return None,
            Some(w) => format!("{w:?}"),
            None if self.panels.are_ready_for(self.graph, v) || packs_in_tasks(self.graph, v) => return None,
            None => pack_layout(self.graph, v),
        };
        let key = (self.graph.node(v).args[1], layout);
        if let Some(&unit) = self.packs.get(&key) {
            return Some(unit);
        }
        let mut reads = BTreeSet::new();
        collect(self.graph, self.views, key.0, &mut reads);
        let unit = self.add(UnitKind::Pack(v), reads.iter().map(|r| r.base));
        self.packs.insert(key, unit);
        Some(unit)
    }

    fn loop_of(&self, u: UnitId) -> Option<&Loop> {
        match &self.units[u.index()].kind {
            UnitKind::Loop(l) => Some(l),
            UnitKind::Anchor(..) | UnitKind::Gather(_) | UnitKind::Fold(_) | UnitKind::Pack(_) | UnitKind::Gone => None,
        }
    }

    fn reads(&self, l: &Loop) -> BTreeSet<Read> {
        l.values.iter().flat_map(|&v| reads_of(self.graph, self.views, v)).collect()
    }

    /// Merges loops that walk the same domain and share what they read or make.
    fn merge_loops(&mut self) {
        let mut by_domain: HashMap<Vec<usize>, Vec<UnitId>> = HashMap::new();
        for i in 0..self.units.len() {
            let unit = UnitId(i as u32);
            let Some(l) = self.loop_of(unit) else { continue };
            let shape = l.shape.clone();
            let candidates = by_domain.entry(shape.clone()).or_default();
            let partner = candidates.iter().rev().copied().find(|&c| self.can_merge(c, unit));
            self.note_makers(unit, partner);
            match partner {
                Some(p) => self.merge(p, unit),
                None => by_domain.entry(shape).or_default().push(unit),
            }
        }
    }

    /// Notes for every loop that makes what loop `unit` reads why they are not fused; `partner` is the one that they are fused with.
    fn note_makers(&mut self, unit: UnitId, partner: Option<UnitId>) {
        let Some(&reader) = self.loop_of(unit).and_then(|l| l.values.first()) else { return };
        for r in self.loop_reads[unit.index()].clone() {
            let Some(maker) = self.unit_of[r.base.index()].filter(|&m| Some(m) != partner && self.loop_of(m).is_some()) else {
                continue;
            };
            // Where nothing speaks against it, another loop came first.
            let reason = self.merge_problem(maker, unit).unwrap_or(Reason::Elsewhere);
            self.refused.entry(r.base).or_default().push((reader, reason));
        }
    }

    fn can_merge(&self, first: UnitId, second: UnitId) -> bool {
        let Some(a) = self.loop_of(first) else { return false };
        let large = |r: &Read| volume(self.graph.shape(r.base)) * 2 > volume(&a.shape);
        let in_first = |r: &Read| self.unit_of[r.base.index()] == Some(first) || self.loop_reads[first.index()].contains(r);
        self.loop_reads[second.index()].iter().any(|r| large(r) && in_first(r)) && self.merge_problem(first, second).is_none()
    }

    /// What speaks against making loop `second` part of loop `first`, which stands before it.
    fn merge_problem(&self, first: UnitId, second: UnitId) -> Option<Reason> {
        let (a, b) = (self.loop_of(first)?, self.loop_of(second)?);
        // A reshaping copy walks its argument's shape and stores under another: it stays alone.
        if a.values.iter().chain(&b.values).any(|&v| self.graph.node(v).op == Op::Reshape) {
            return Some(Reason::Reshaped);
        }
        let made_here = || self.loop_reads[second.index()].iter().filter(|r| self.unit_of[r.base.index()] == Some(first));
        let is_reduced = |v: Value| matches!(self.graph.node(v).op, Op::Reduce(..));
        if made_here().any(|r| is_reduced(r.base)) {
            return Some(Reason::Reduction(a.axes.clone()));
        }
        if a.shape != b.shape {
            return Some(Reason::Domain);
        }
        if made_here().any(|r| !r.aligned) {
            return Some(Reason::Moved);
        }
        if !a.axes.is_empty() && !b.axes.is_empty() && a.axes != b.axes {
            return Some(Reason::Axes);
        }
        if a.values.len() + b.values.len() > MOST_VALUES {
            return Some(Reason::Full);
        }
        self.depends_through_others(second, first).then_some(Reason::Between)
    }

    /// Whether `late` depends on `early` by way of another unit.
    fn depends_through_others(&self, late: UnitId, early: UnitId) -> bool {
        let mut seen = vec![false; self.units.len()];
        let mut work: Vec<UnitId> = self.units[late.index()].after.iter().copied().filter(|&u| u != early).collect();
        while let Some(u) = work.pop() {
            if u == early {
                return true;
            }
            if !std::mem::replace(&mut seen[u.index()], true) {
                work.extend(self.units[u.index()].after.iter().copied());
            }
        }
        false
    }

    fn depends(&self, late: UnitId, early: UnitId) -> bool {
        self.units[late.index()].after.contains(&early) || self.depends_through_others(late, early)
    }

    /// Makes `second` part of `first` and renames it everywhere.
    fn absorb(&mut self, first: UnitId, second: UnitId) -> UnitKind {
        let gone = std::mem::replace(&mut self.units[second.index()], Unit { kind: UnitKind::Gone, after: BTreeSet::new() });
        self.units[first.index()].after.extend(gone.after);
        self.units[first.index()].after.remove(&first);
        for unit in &mut self.units {
            if unit.after.remove(&second) {
                unit.after.insert(first);
            }
        }
        self.units[first.index()].after.remove(&first);
        self.unit_of.iter_mut().filter(|u| **u == Some(second)).for_each(|u| *u = Some(first));
        gone.kind
    }

    fn merge(&mut self, first: UnitId, second: UnitId) {
        let UnitKind::Loop(late) = self.absorb(first, second) else { return };
        let reads = std::mem::take(&mut self.loop_reads[second.index()]);
        self.loop_reads[first.index()].extend(reads);
        if let UnitKind::Loop(early) = &mut self.units[first.index()].kind {
            if early.axes.is_empty() {
                early.axes = late.axes;
            }
            early.values.extend(late.values);
            early.values.sort_unstable();
        }
    }

    /// Lets a loop without reductions that reads the result of a product run on it while it is in cache.
    fn attach_epilogues(&mut self) {
        for v in self.graph.values() {
            let Some(anchor) = self.unit_of[v.index()] else { continue };
            if !matches!(self.units[anchor.index()].kind, UnitKind::Anchor(_, None)) {
                continue;
            }
            let mut follower = None;
            for u in (0..self.units.len() as u32).map(UnitId).filter(|u| self.units[u.index()].after.contains(&anchor)) {
                let (l, problem) = match &self.units[u.index()].kind {
                    UnitKind::Loop(l) => (l, self.follow_problem(v, anchor, u, l)),
                    UnitKind::Anchor(_, Some(l)) if self.reads(l).iter().any(|r| r.base == v) => (l, Some(Reason::Elsewhere)),
                    UnitKind::Anchor(..) | UnitKind::Gather(_) | UnitKind::Fold(_) | UnitKind::Pack(_) | UnitKind::Gone => {
                        continue;
                    }
                };
                let reason = match (problem, follower) {
                    (None, None) => {
                        follower = Some(u);
                        continue;
                    }
                    (None, Some(_)) => Reason::Followed,
                    (Some(problem), _) => problem,
                };
                if let Some(&reader) = l.values.first() {
                    self.refused.entry(v).or_default().push((reader, reason));
                }
            }
            if let Some(u) = follower
                && let UnitKind::Loop(l) = self.absorb(anchor, u)
            {
                self.units[anchor.index()].kind = UnitKind::Anchor(v, Some(l));
            }
        }
    }

    /// What speaks against running loop `l`, unit `u`, on the result of anchor `v`, which it reads.
    fn follow_problem(&self, v: Value, anchor: UnitId, u: UnitId, l: &Loop) -> Option<Reason> {
        if !l.axes.is_empty() {
            return Some(Reason::Reduces(l.axes.clone()));
        }
        if volume(&l.shape) != volume(self.graph.shape(v)) {
            return Some(Reason::Domain);
        }
        let problem = super::emit::epilogue_problem(self.graph, self.views, self.panels, v, l);
        problem.or_else(|| self.depends_through_others(u, anchor).then_some(Reason::Between))
    }

    /// Updates that may overwrite the state they replace: every other reader of the old content is made to run before.
    fn updates_in_place(&mut self) -> HashMap<StateId, Value> {
        let mut result = HashMap::new();
        let updates: Vec<(StateId, Value)> = super::updates(self.graph).collect();
        let all_readers = self.readers();
        for (state, v) in updates {
            let Some(writer) = self.unit_of[v.index()] else { continue };
            let makes = matches!(self.graph.node(v).op, Op::Reduce(..)) || is_elementwise(&self.graph.node(v).op);
            if !makes || self.views.placed[v.index()].is_some() || super::views::update_of(self.graph, v) != Some(state) {
                continue;
            }
            let input = self.graph.values().find(|&i| self.graph.node(i).op == Op::Input(Source::State(state)));
            let readers = input.and_then(|i| all_readers.get(&i)).cloned().unwrap_or_default();
            let conflict = readers.iter().any(|&(r, aligned)| if r == writer { !aligned } else { self.depends(r, writer) });
            if conflict {
                continue;
            }
            for (r, _) in readers {
                if r != writer {
                    self.units[writer.index()].after.insert(r);
                }
            }
            result.insert(state, v);
        }
        result
    }

    /// For each stored value the units that read it, and whether they read it at the index they write.
    fn readers(&self) -> HashMap<Value, Vec<(UnitId, bool)>> {
        let mut result: HashMap<Value, Vec<(UnitId, bool)>> = HashMap::new();
        for (i, unit) in self.units.iter().enumerate() {
            let reads = match &unit.kind {
                UnitKind::Loop(l) => self.reads(l),
                UnitKind::Anchor(v, l) => {
                    let mut reads = out_of_line(reads_of(self.graph, self.views, *v));
                    reads.extend(l.iter().flat_map(|l| self.reads(l)));
                    reads
                }
                UnitKind::Gather(v) | UnitKind::Fold(v) => out_of_line(reads_of(self.graph, self.views, *v)),
                UnitKind::Pack(v) => {
                    let mut reads = BTreeSet::new();
                    collect(self.graph, self.views, self.graph.node(*v).args[1], &mut reads);
                    out_of_line(reads)
                }
                UnitKind::Gone => BTreeSet::new(),
            };
            for r in &reads {
                let list = result.entry(r.base).or_default();
                match list.last_mut() {
                    Some((unit, aligned)) if unit.index() == i => *aligned &= r.aligned,
                    _ => list.push((UnitId(i as u32), r.aligned)),
                }
            }
        }
        result
    }

    /// For each unit why what it makes goes to memory: what was noted of the loops that read it, what else reads it, and outputs.
    fn ends(&self) -> Vec<BTreeSet<Reason>> {
        let mut ends = vec![BTreeSet::new(); self.units.len()];
        for o in self.graph.outputs() {
            if let Some(u) = self.unit_of[o.value.index()] {
                ends[u.index()].insert(match o.sink {
                    Sink::Result => Reason::Result,
                    Sink::Update(_) => Reason::Update,
                });
            }
        }
        for (v, readers) in self.readers() {
            let Some(maker) = self.unit_of[v.index()] else { continue };
            for (reader, _) in readers.into_iter().filter(|r| r.0 != maker) {
                ends[maker.index()].extend(self.reasons(v, maker, reader));
            }
        }
        for (i, unit) in self.units.iter().enumerate() {
            if matches!(unit.kind, UnitKind::Pack(_)) {
                ends[i].insert(Reason::Product);
            }
        }
        ends
    }

    /// Why value `v` of unit `maker` goes to memory for unit `reader`.
    fn reasons(&self, v: Value, maker: UnitId, reader: UnitId) -> BTreeSet<Reason> {
        let noted = || -> BTreeSet<Reason> {
            match self.units[maker.index()].kind {
                UnitKind::Gather(_) => BTreeSet::from([Reason::Gathered]),
                UnitKind::Fold(_) => BTreeSet::from([Reason::Folded]),
                UnitKind::Loop(_) | UnitKind::Anchor(..) | UnitKind::Pack(_) | UnitKind::Gone => {
                    let all = self.refused.get(&v).into_iter().flatten();
                    all.filter(|(r, _)| self.unit_of[r.index()] == Some(reader)).map(|(_, reason)| reason.clone()).collect()
                }
            }
        };
        match &self.units[reader.index()].kind {
            UnitKind::Loop(_) => noted(),
            UnitKind::Anchor(w, l) => {
                let args = &self.graph.node(*w).args;
                let mut reasons =
                    if l.as_ref().is_some_and(|l| self.reads(l).iter().any(|r| r.base == v)) { noted() } else { BTreeSet::new() };
                // The right operand is mostly read by way of a copy.
                let copies = |u: &UnitId| match self.units[u.index()].kind {
                    UnitKind::Pack(p) => self.graph.node(p).args[1] == args[1],
                    UnitKind::Loop(_) | UnitKind::Anchor(..) | UnitKind::Gather(_) | UnitKind::Fold(_) | UnitKind::Gone => false,
                };
                let taken = if self.units[reader.index()].after.iter().any(copies) { &args[..1] } else { &args[..] };
                let mut operands = BTreeSet::new();
                taken.iter().for_each(|&a| collect(self.graph, self.views, a, &mut operands));
                if operands.iter().any(|r| r.base == v) {
                    reasons.insert(Reason::Product);
                }
                reasons
            }
            UnitKind::Gather(g) => {
                let placed = self.views.placed[v.index()].as_ref().is_some_and(|place| place.base == *g);
                BTreeSet::from([if placed { Reason::Placed } else { Reason::Copied }])
            }
            UnitKind::Fold(_) => BTreeSet::from([Reason::Folded]),
            UnitKind::Pack(_) => BTreeSet::from([Reason::Packed]),
            UnitKind::Gone => BTreeSet::new(),
        }
    }

    /// Elementwise values that only their own loop reads need no memory.
    fn kept(&self) -> Vec<bool> {
        let mut kept = vec![false; self.graph.nodes().len()];
        self.graph.outputs().iter().for_each(|o| kept[o.value.index()] = true);
        for unit in &self.units {
            let (own, l): (Option<Value>, Option<&Loop>) = match &unit.kind {
                UnitKind::Loop(l) => (None, Some(l)),
                UnitKind::Anchor(v, l) => (Some(*v), l.as_ref()),
                UnitKind::Gather(v) | UnitKind::Fold(v) | UnitKind::Pack(v) => (Some(*v), None),
                UnitKind::Gone => continue,
            };
            if let Some(v) = own {
                reads_of(self.graph, self.views, v).iter().for_each(|r| kept[r.base.index()] = true);
            }
            if let Some(l) = l {
                for read in self.reads(l) {
                    let same = l.values.contains(&read.base) && read.aligned;
                    kept[read.base.index()] |= !same;
                }
            }
        }
        kept
    }
}

/// Reads at other indices than the ones written.
fn out_of_line(reads: impl IntoIterator<Item = Read>) -> BTreeSet<Read> {
    reads.into_iter().map(|r| Read { aligned: false, ..r }).collect()
}

/// A name for how the right operand of anchor `v` is packed.
fn pack_layout(graph: &Graph, v: Value) -> String {
    match &graph.node(v).op {
        Op::Conv(c) if c.role == Role::FilterGrad => "pixels".into(),
        Op::Conv(c) => format!("{:?} {:?} {:?} {:?} {:?}", c.role, c.kernel, c.stride, c.pad, c.big),
        Op::Dot { tb, .. } => format!("dot {tb}"),
        _ => String::new(),
    }
}
