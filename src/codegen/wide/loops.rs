//! The loops of a nest.
//!
//! Loops are numbered from outside; level `n` is what lies inside of `n` loops. Addresses of accesses are kept in the frame, one for each
//! loop that moves them, and in registers inside the innermost loop.

use super::body::{Body, Id, Op, lower, step};
use super::encode::{Code, Gpr, Mem, One, Operand, RAX, RCX, RDX, Two, When, Ymm};
use super::straight::{Frame, Out, Place, Source, at, straight};
use crate::codegen::math::neutral;
use crate::schedule::nest::Nest;
use std::collections::HashMap;

/// Lanes of a vector.
const LANES: usize = 8;
/// Bytes of a vector.
const BYTES: i32 = 32;
/// Vectors per turn of the innermost loop of a nest without reductions.
const UNROLL: usize = 2;
/// Vectors of sums at a time.
const SUMS: usize = 8;
/// What the caller wants back.
const SAVED: [Gpr; 6] = [Gpr(3), Gpr(5), Gpr(12), Gpr(13), Gpr(14), Gpr(15)];
/// Registers for addresses. `rax` is for the moment, `rcx` the index of the loop of vectors, `rdx` the count of an innermost loop of others.
const ADDRESSES: [Gpr; 12] =
    [Gpr(6), Gpr(7), Gpr(8), Gpr(9), Gpr(10), Gpr(11), Gpr(3), Gpr(5), Gpr(12), Gpr(13), Gpr(14), Gpr(15)];
/// The largest frame: it must not reach past the page that guards the stack.
const LARGEST_FRAME: i32 = 3072;

/// The code of `nest` and its text; `None` where elements of a vector are not neighbours, or something is too large: Cranelift then does it.
pub fn emit(nest: &Nest) -> Option<(Vec<u8>, String)> {
    let last = nest.dims.len() - 1;
    let neighbours = |a: usize| nest.accesses[a].strides[last] == 1;
    let loads = nest.accesses.iter().all(|a| a.strides[last] <= 1 && a.strides.iter().all(|&s| i32::try_from(4 * s).is_ok()));
    let sizes = nest.dims.iter().all(|d| i32::try_from(4 * d.size).is_ok());
    let stores = nest.stores.iter().all(|s| neighbours(s.access));
    let sums = nest.sums_rows() || nest.reductions.iter().all(|r| neighbours(r.access));
    let reduced = nest.reductions.is_empty() || nest.dims.iter().any(|d| d.reduced);
    (loads && stores && sums && sizes && reduced && nest.reductions.len() <= SUMS).then_some(())?;
    let mut e = Emitter::new(nest);
    e.function();
    (e.frame.size <= LARGEST_FRAME).then_some(())?;
    e.code.finish((e.frame.size as usize).next_multiple_of(64))
}

/// What is done with the values of a level.
type Outs = Vec<(Id, Out)>;

struct Emitter<'n> {
    nest: &'n Nest,
    body: Body,
    /// Dims from outer to inner loop, and which of the loops runs over vectors.
    order: Vec<usize>,
    vectors: usize,
    /// For each level but the innermost: what is computed there, and what of it is kept.
    before: Vec<(Vec<Id>, Vec<Id>)>,
    /// What is computed for each point.
    inside: Vec<Id>,
    code: Code,
    frame: Frame,
    /// Where the address of each access is now.
    now: Vec<i32>,
    /// Addresses in registers.
    registers: HashMap<usize, Gpr>,
    /// Values that were computed before, by vector.
    kept: HashMap<(Id, usize), i32>,
    /// low, high, and the same of columns in bytes.
    ranges: [i32; 4],
    /// Whether sums of columns lie where they are to be written.
    sums_in_memory: bool,
    /// Whether `rcx` is to be added to addresses of vectors.
    indexed: bool,
    /// Vectors per turn, and the lanes that count in a last one.
    count: usize,
    mask: Option<Ymm>,
    /// By reduction and vector.
    sums: Vec<Vec<Ymm>>,
}

impl<'n> Emitter<'n> {
    fn new(nest: &'n Nest) -> Emitter<'n> {
        let last = nest.dims.len() - 1;
        let kept: Vec<usize> = (0..last).filter(|&d| !nest.dims[d].reduced).collect();
        let reduced = (0..last).filter(|&d| nest.dims[d].reduced);
        let sums_in_memory = rows_are_long(nest);
        let (order, vectors): (Vec<usize>, usize) = match nest.dims[last].reduced || sums_in_memory {
            true => (kept.into_iter().chain(reduced).chain([last]).collect(), last),
            false => {
                let n = kept.len();
                (kept.into_iter().chain([last]).chain(reduced).collect(), n)
            }
        };
        let written = nest.written();
        let inner = order.len();
        let level = |a: usize| match written[a] {
            true => inner,
            false => (0..inner).rev().find(|&l| nest.accesses[a].strides[order[l]] > 0).map_or(0, |l| l + 1),
        };
        let levels: Vec<usize> = (0..nest.accesses.len()).map(level).collect();
        let body = lower(nest, &levels);
        let (before, inside) = split(nest, &body, &written, inner);
        Emitter {
            nest,
            body,
            vectors,
            order,
            before,
            inside,
            code: Code::default(),
            frame: Frame::new(),
            now: Vec::new(),
            registers: HashMap::new(),
            kept: HashMap::new(),
            ranges: [0; 4],
            sums_in_memory,
            indexed: false,
            count: 1,
            mask: None,
            sums: Vec::new(),
        }
    }

    fn function(&mut self) {
        self.code.enter(&SAVED);
        self.ranges = std::array::from_fn(|_| self.frame.word());
        // Arguments: addresses in rdi; low, high and the columns in rsi, rdx, rcx and r8.
        for (slot, (r, scale)) in self.ranges.into_iter().zip([(Gpr(6), 1), (RDX, 1), (RCX, 4), (Gpr(8), 4)]) {
            if scale > 1 {
                self.code.times(r, scale);
            }
            self.code.save(at(slot), r);
        }
        for a in 0..self.nest.accesses.len() {
            self.code.load(RAX, Mem::At { base: Gpr(7), index: None, offset: 8 * a as i32 });
            let slot = self.frame.word();
            self.code.save(at(slot), RAX);
            self.now.push(slot);
        }
        self.level(0);
        self.code.leave(&SAVED);
    }

    /// Registers for values: what sums and the mask leave.
    fn available(&self) -> u8 {
        16 - self.sums.iter().map(Vec::len).sum::<usize>() as u8 - u8::from(self.mask.is_some())
    }

    fn stride(&self, access: usize, level: usize) -> usize {
        self.nest.accesses[access].strides[self.order[level]]
    }

    /// Accesses that a loop moves.
    fn moved(&self, level: usize) -> Vec<usize> {
        (0..self.nest.accesses.len()).filter(|&a| self.stride(a, level) > 0).collect()
    }

    fn sums_rows(&self) -> bool {
        self.nest.sums_rows()
    }

    /// Whether each vector has sums of its own in registers, over the loops inside of it.
    fn sums_down_columns(&self) -> bool {
        !self.nest.reductions.is_empty() && !self.sums_rows() && !self.sums_in_memory
    }

    /// What lies inside of `level` loops.
    fn level(&mut self, level: usize) {
        if level == self.order.len() {
            return self.points();
        }
        self.compute_before(level);
        let reduced_from_here = self.order.iter().position(|&d| self.nest.dims[d].reduced) == Some(level);
        if self.sums_in_memory && reduced_from_here {
            self.clear_sums();
        }
        if self.sums_rows() && reduced_from_here {
            self.start_sums(if self.nest.reductions.len() == 1 { 4 } else { 2 }.min(SUMS / self.nest.reductions.len()));
            self.open(level);
            self.finish_rows();
        } else {
            self.open(level);
        }
    }

    fn open(&mut self, level: usize) {
        if level == self.vectors { self.vector_loop(level) } else { self.plain_loop(level) }
    }

    /// Where an access is, for vector `u`.
    fn place(&self, access: usize, u: usize) -> Place {
        let vector = self.nest.accesses[access].strides[self.nest.dims.len() - 1] == 1;
        let offset = if vector { u as i32 * BYTES } else { 0 };
        // The innermost loop adds its index to addresses; another loop of vectors has added it before.
        let indexed = vector && self.indexed;
        match self.registers.get(&access) {
            Some(&base) => Place::Direct(Mem::At { base, index: indexed.then_some(RCX), offset }),
            None => Place::Far { slot: self.now[access], indexed, offset },
        }
    }

    fn key(&self, id: Id, u: usize) -> (Id, usize) {
        (id, if self.body.levels[id] > self.vectors { u } else { 0 })
    }

    /// Emits `list` for vector `u`.
    fn straight(&mut self, list: &[Id], outs: &Outs, u: usize) {
        let mut sources: HashMap<Id, Source> = HashMap::new();
        let operands = list.iter().flat_map(|&id| self.body.ops[id].operands()).chain(outs.iter().map(|o| o.0));
        for id in operands.chain(list.iter().copied()) {
            let source = match (self.kept.get(&self.key(id, u)), self.body.ops[id]) {
                (Some(&slot), _) => Some(Source::Vector(Place::Direct(at(slot)))),
                (None, Op::Constant(bits)) => Some(Source::Vector(Place::Direct(self.code.constant([bits; LANES])))),
                (None, Op::Load(a)) if self.nest.accesses[a].strides[self.nest.dims.len() - 1] == 1 => {
                    Some(Source::Vector(self.place(a, u)))
                }
                (None, Op::Load(a)) => Some(Source::Single(self.place(a, u))),
                (None, Op::One(..) | Op::Two(..) | Op::Shift(..) | Op::Fma(..) | Op::Choose(..)) => None,
            };
            source.map(|s| sources.insert(id, s));
        }
        let available = self.available();
        let find = |id: Id| sources.get(&id).copied();
        straight(&mut self.code, &mut self.frame, &self.body, (list, outs), &find, available);
    }

    /// Computes what the loops from here on do not change.
    fn compute_before(&mut self, level: usize) {
        let (list, keep) = self.before[level].clone();
        let copies = if level > self.vectors { self.count } else { 1 };
        for u in 0..copies {
            let mut outs = Outs::new();
            for &id in &keep {
                // Code that is emitted again keeps it in the same place, where it is not yet.
                let slot = self.kept.remove(&self.key(id, u)).unwrap_or_else(|| self.frame.vector());
                outs.push((id, Out::Keep(slot)));
            }
            self.straight(&list, &outs, u);
            for (id, out) in outs {
                if let Out::Keep(slot) = out {
                    self.kept.insert(self.key(id, u), slot);
                }
            }
        }
    }

    /// The body, for each vector of a turn.
    fn points(&mut self) {
        for u in 0..self.count {
            let stores =
                self.nest.stores.iter().map(|s| (self.body.values[s.value], Out::Store(self.place(s.access, u), self.mask)));
            let only = if self.sums_rows() { self.mask } else { None };
            let sums = self.nest.reductions.iter().enumerate().map(|(n, r)| {
                let to = match self.sums_in_memory {
                    true => Out::SumTo(self.place(r.access, u), r.kind, self.mask),
                    false => Out::Sum(self.sums[n][u], r.kind, only),
                };
                (self.body.values[r.value], to)
            });
            let outs: Outs = stores.chain(sums).collect();
            let list = self.inside.clone();
            self.straight(&list, &outs, u);
        }
    }

    /// Addresses of the accesses that are needed inside, in registers as far as they reach.
    fn enter_innermost(&mut self) {
        let loads = self.inside.iter().flat_map(|&id| self.body.ops[id].operands().chain([id])).filter_map(|id| {
            match self.body.ops[id] {
                Op::Load(a) if self.kept.keys().all(|k| k.0 != id) => Some(a),
                Op::Load(_) | Op::Constant(_) | Op::One(..) | Op::Two(..) | Op::Shift(..) | Op::Fma(..) | Op::Choose(..) => None,
            }
        });
        let values = self.nest.stores.iter().map(|s| s.value).chain(self.nest.reductions.iter().map(|r| r.value));
        let direct = values.filter_map(|v| match self.body.ops[self.body.values[v]] {
            Op::Load(a) => Some(a),
            Op::Constant(_) | Op::One(..) | Op::Two(..) | Op::Shift(..) | Op::Fma(..) | Op::Choose(..) => None,
        });
        let sums = self.nest.reductions.iter().filter(|_| self.sums_in_memory).map(|r| r.access);
        let stores = self.nest.stores.iter().map(|s| s.access);
        let mut needed: Vec<usize> = loads.chain(direct).chain(stores).chain(sums).collect();
        needed.sort_unstable();
        needed.dedup();
        for (&a, r) in needed.iter().zip(ADDRESSES) {
            self.code.load(r, at(self.now[a]));
            self.registers.insert(a, r);
        }
    }

    /// A loop that takes one element at a time.
    fn plain_loop(&mut self, level: usize) {
        let (dim, moved) = (self.order[level], self.moved(level));
        let size = self.nest.dims[dim].size;
        if dim > 0 && size == 1 {
            if level + 1 == self.order.len() {
                self.enter_innermost();
            }
            self.level(level + 1);
            self.registers.clear();
            return;
        }
        let before = self.now.clone();
        let innermost = level + 1 == self.order.len();
        for &a in &moved {
            let slot = self.frame.word();
            if dim == 0 {
                self.code.load(RAX, at(self.ranges[0]));
                self.code.times(RAX, 4 * self.stride(a, level) as i32);
                self.code.add_memory(RAX, at(self.now[a]));
            } else {
                self.code.load(RAX, at(self.now[a]));
            }
            self.code.save(at(slot), RAX);
            self.now[a] = slot;
        }
        let (head, end) = (self.code.label(), self.code.label());
        if innermost {
            // Only reduced loops are inside of the loop of vectors, and those have a size.
            self.enter_innermost();
            self.code.number(RDX, size as i32);
            self.code.bind(head);
            self.level(level + 1);
            for &a in &moved {
                let bytes = 4 * self.stride(a, level) as i32;
                match self.registers.get(&a) {
                    Some(&r) => self.code.add_number(r, bytes),
                    None => self.code.add_to(at(self.now[a]), bytes),
                }
            }
            self.code.add_number(RDX, -1);
            self.code.jump(When::NotZero, head);
        } else {
            let counter = self.frame.word();
            if dim == 0 {
                self.code.load(RAX, at(self.ranges[0]));
            } else {
                self.code.number(RAX, 0);
            }
            self.code.save(at(counter), RAX);
            self.code.bind(head);
            self.code.load(RAX, at(counter));
            match dim {
                0 => self.code.compare_memory(RAX, at(self.ranges[1])),
                _inner => self.code.compare_number(RAX, size as i32),
            }
            self.code.jump(When::GreaterEqual, end);
            self.level(level + 1);
            self.code.add_to(at(counter), 1);
            for &a in &moved {
                self.code.add_to(at(self.now[a]), 4 * self.stride(a, level) as i32);
            }
            self.code.jump(When::Always, head);
        }
        self.code.bind(end);
        self.registers.clear();
        self.now = before;
    }

    /// A loop that takes vectors: some at a time, then one at a time, then what is left.
    fn vector_loop(&mut self, level: usize) {
        let innermost = level + 1 == self.order.len();
        let end = match self.nest.dims[self.order[level]].reduced {
            true => {
                let slot = self.frame.word();
                self.code.number(RAX, 4 * self.nest.dims[self.order[level]].size as i32);
                self.code.save(at(slot), RAX);
                self.code.number(RCX, 0);
                slot
            }
            false => {
                self.code.load(RCX, at(self.ranges[2]));
                self.ranges[3]
            }
        };
        if innermost {
            self.enter_innermost();
            self.indexed = true;
        }
        let most = match (self.nest.reductions.len(), self.sums_rows()) {
            (0, _) => UNROLL,
            (_, false) if self.sums_in_memory => UNROLL,
            (n, false) => (SUMS / n).max(1),
            (_, true) => self.sums[0].len(),
        };
        let outside = self.count;
        let counts: &[usize] = if most > 1 { &[most, 1] } else { &[1] };
        for &count in counts {
            self.count = count;
            let (head, over) = (self.code.label(), self.code.label());
            let bytes = count as i32 * BYTES;
            let ahead = Mem::At { base: RCX, index: None, offset: bytes };
            self.code.address(RAX, ahead);
            self.code.compare_memory(RAX, at(end));
            self.code.jump(When::Greater, over);
            self.code.bind(head);
            self.turn(level, innermost);
            self.code.add_number(RCX, bytes);
            self.code.address(RAX, ahead);
            self.code.compare_memory(RAX, at(end));
            self.code.jump(When::LessEqual, head);
            self.code.bind(over);
        }
        let done = self.code.label();
        self.count = 1;
        self.code.compare_memory(RCX, at(end));
        self.code.jump(When::GreaterEqual, done);
        // A turn with sums of its own takes the last registers for them.
        let own = if self.sums_down_columns() { self.nest.reductions.len() as u8 } else { 0 };
        self.mask_the_rest(Ymm(self.available() - 1 - own), end);
        self.turn(level, innermost);
        self.mask = None;
        self.code.bind(done);
        (self.count, self.indexed) = (outside, false);
        self.registers.clear();
    }

    /// Makes `mask` that of the lanes from the index to `end`: a window on eight set and eight cleared ones.
    fn mask_the_rest(&mut self, mask: Ymm, end: i32) {
        let window = self.code.window();
        self.code.load(RAX, at(end));
        self.code.subtract(RAX, RCX);
        self.code.address(RDX, window);
        self.code.subtract(RDX, RAX);
        self.code.one(One::Move, mask, Operand::Mem(Mem::At { base: RDX, index: None, offset: BYTES }));
        self.mask = Some(mask);
    }

    /// Sums in memory that hold nothing yet.
    fn clear_sums(&mut self) {
        let (nothing, mask, to) = (Ymm(0), Ymm(1), ADDRESSES[0]);
        for r in &self.nest.reductions {
            let constant = self.code.constant([neutral(r.kind).to_bits(); LANES]);
            let (head, rest, done) = (self.code.label(), self.code.label(), self.code.label());
            let place = Mem::At { base: to, index: Some(RCX), offset: 0 };
            self.code.one(One::Move, nothing, Operand::Mem(constant));
            self.code.load(to, at(self.now[r.access]));
            self.code.load(RCX, at(self.ranges[2]));
            self.code.bind(head);
            self.code.address(RAX, Mem::At { base: RCX, index: None, offset: BYTES });
            self.code.compare_memory(RAX, at(self.ranges[3]));
            self.code.jump(When::Greater, rest);
            self.code.store(place, nothing);
            self.code.add_number(RCX, BYTES);
            self.code.jump(When::Always, head);
            self.code.bind(rest);
            self.code.compare_memory(RCX, at(self.ranges[3]));
            self.code.jump(When::GreaterEqual, done);
            self.mask_the_rest(mask, self.ranges[3]);
            self.code.store_some(place, mask, nothing);
            self.code.bind(done);
        }
        self.mask = None;
    }

    /// One turn of the loop of vectors.
    fn turn(&mut self, level: usize, innermost: bool) {
        if !self.sums_down_columns() {
            debug_assert!(innermost);
            return self.level(level + 1);
        }
        let before = self.now.clone();
        for a in self.moved(level) {
            let slot = self.frame.word();
            self.code.load(RAX, at(self.now[a]));
            self.code.add(RAX, RCX);
            self.code.save(at(slot), RAX);
            self.now[a] = slot;
        }
        self.start_sums(self.count);
        self.level(level + 1);
        self.registers.clear();
        for (n, r) in self.nest.reductions.iter().enumerate() {
            for u in 0..self.count {
                self.code.load(RAX, at(self.now[r.access]));
                let to = Mem::At { base: RAX, index: None, offset: u as i32 * BYTES };
                match self.mask {
                    Some(mask) => self.code.store_some(to, mask, self.sums[n][u]),
                    None => self.code.store(to, self.sums[n][u]),
                }
            }
        }
        self.sums.clear();
        self.now = before;
    }

    /// Sums that hold nothing yet, from the last register down.
    fn start_sums(&mut self, count: usize) {
        let mut next = 16;
        for r in &self.nest.reductions {
            let nothing = self.code.constant([neutral(r.kind).to_bits(); LANES]);
            let mut sums = Vec::new();
            for _ in 0..count {
                next -= 1;
                self.code.one(One::Move, Ymm(next), Operand::Mem(nothing));
                sums.push(Ymm(next));
            }
            self.sums.push(sums);
        }
    }

    /// Combines the partial sums of each reduction, neighbours first, and writes what they give.
    fn finish_rows(&mut self) {
        let (low, high) = (Ymm(0), Ymm(1));
        for (n, r) in self.nest.reductions.iter().enumerate() {
            let f: Two = step(r.kind);
            let mut parts = self.sums[n].clone();
            while parts.len() > 1 {
                for pair in parts.chunks_exact(2) {
                    self.code.two(f, pair[0], pair[0], Operand::Reg(pair[1]));
                }
                parts = parts.into_iter().step_by(2).collect();
            }
            self.code.upper(high, parts[0]);
            self.code.two_half(f, low, parts[0], high);
            self.code.shuffle(high, low, 0b1110);
            self.code.two_half(f, low, low, high);
            self.code.shuffle(high, low, 0b01);
            self.code.two_half(f, low, low, high);
            self.code.load(RAX, at(self.now[r.access]));
            self.code.store_one(Mem::At { base: RAX, index: None, offset: 0 }, low);
        }
        self.sums.clear();
    }
}

/// Whether sums of columns are better kept in memory, while rows are walked from end to end: where a row is longer than the vectors whose
/// sums registers hold, walking down columns would jump through memory.
fn rows_are_long(nest: &Nest) -> bool {
    let Some(reduced) = nest.dims.iter().rposition(|d| d.reduced).filter(|_| !nest.sums_rows()) else { return false };
    let held = LANES * (SUMS / nest.reductions.len()).max(1);
    nest.accesses.iter().any(|a| a.strides[reduced] > held)
}

/// What is computed at each level before the innermost, with what of it is kept for inner ones, and what is computed inside.
fn split(nest: &Nest, body: &Body, written: &[bool], inner: usize) -> (Vec<(Vec<Id>, Vec<Id>)>, Vec<Id>) {
    let results = nest.stores.iter().map(|s| s.value).chain(nest.reductions.iter().map(|r| r.value));
    let results: Vec<Id> = results.map(|v| body.values[v]).collect();
    let mut needed = vec![false; body.ops.len()];
    let mut inside_uses = vec![0usize; body.ops.len()];
    results.iter().for_each(|&id| (needed[id], inside_uses[id]) = (true, inner));
    for id in (0..body.ops.len()).rev() {
        if needed[id] {
            for o in body.ops[id].operands() {
                needed[o] = true;
                inside_uses[o] = inside_uses[o].max(body.levels[id]);
            }
        }
    }
    let computed = |id: Id| match body.ops[id] {
        Op::Constant(_) => false,
        Op::Load(a) => written[a],
        Op::One(..) | Op::Two(..) | Op::Shift(..) | Op::Fma(..) | Op::Choose(..) => true,
    };
    let of = |level: usize| -> Vec<Id> { (0..body.ops.len()).filter(|&id| needed[id] && body.levels[id] == level).collect() };
    let before = (0..inner)
        .map(|level| {
            let list = of(level).into_iter().filter(|&id| computed(id)).collect();
            let kept =
                of(level).into_iter().filter(|&id| !matches!(body.ops[id], Op::Constant(_)) && inside_uses[id] > level).collect();
            (list, kept)
        })
        .collect();
    (before, of(inner).into_iter().filter(|&id| computed(id)).collect())
}
