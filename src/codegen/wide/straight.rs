//! Operations without loops: which values are in which registers.
//!
//! Operations come in order. A value that memory holds anyway (a constant, an element that the nest does not write, what was computed
//! before the loop) is taken from there where it is used once more, and loaded where it is used again; when registers run out, the
//! value that is needed last is given up, and kept in the frame if memory does not hold it.

use super::body::{Body, Id, Op, step};
use super::encode::{Code, Mem, One, Operand, RAX, RCX, RSP, Two, Ymm};
use crate::codegen::math::neutral;
use crate::graph::Reduce;
use std::collections::{HashMap, HashSet};

/// The frame of a function: what lies above the stack pointer.
pub struct Frame {
    /// Bytes in use.
    pub size: i32,
    /// Vectors for values that registers have no room for, and how many of them are in use.
    spills: Vec<i32>,
    spilled: usize,
}

impl Frame {
    /// A frame that holds the caller's stack pointer.
    pub fn new() -> Frame {
        Frame { size: 8, spills: Vec::new(), spilled: 0 }
    }

    /// Room for an address or a count.
    pub fn word(&mut self) -> i32 {
        self.size += 8;
        self.size - 8
    }

    /// Room for a vector.
    pub fn vector(&mut self) -> i32 {
        self.size = (self.size + 31) / 32 * 32 + 32;
        self.size - 32
    }

    fn spill(&mut self) -> i32 {
        if self.spilled == self.spills.len() {
            let room = self.vector();
            self.spills.push(room);
        }
        self.spilled += 1;
        self.spills[self.spilled - 1]
    }
}

/// A place in the frame.
pub fn at(slot: i32) -> Mem {
    Mem::At { base: RSP, index: None, offset: slot }
}

/// A place whose address may first have to be fetched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    Direct(Mem),
    /// The address is in the frame; the index, if any, and the offset are added.
    Far {
        slot: i32,
        indexed: bool,
        offset: i32,
    },
}

/// Where a value that memory holds is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// A vector.
    Vector(Place),
    /// One number, for every lane.
    Single(Place),
}

/// What becomes of a value.
#[derive(Clone, Copy, Debug)]
pub enum Out {
    /// Kept in the frame.
    Keep(i32),
    /// Written; only some lanes of it, where there is a mask.
    Store(Place, Option<Ymm>),
    /// Taken into a sum; only some lanes of it, where there is a mask.
    Sum(Ymm, Reduce, Option<Ymm>),
    /// Taken into a sum in memory; only some lanes of it, where there is a mask.
    SumTo(Place, Reduce, Option<Ymm>),
}

/// Emits `list` and what becomes of `outs`, in the registers below `available`. What is not of the list is found in `sources`.
pub fn straight(
    code: &mut Code,
    frame: &mut Frame,
    body: &Body,
    (list, outs): (&[Id], &[(Id, Out)]),
    sources: &dyn Fn(Id) -> Option<Source>,
    available: u8,
) {
    let mut uses: HashMap<Id, Vec<usize>> = HashMap::new();
    for (n, &id) in list.iter().enumerate() {
        body.ops[id].operands().for_each(|o| uses.entry(o).or_default().push(n));
    }
    for (n, (id, _)) in outs.iter().enumerate() {
        uses.entry(*id).or_default().push(list.len() + n);
    }
    uses.values_mut().for_each(|u| u.reverse());
    frame.spilled = 0;
    let mut s = Straight {
        code,
        frame,
        sources,
        uses,
        registers: HashMap::new(),
        occupants: vec![None; usize::from(available)],
        locked: Vec::new(),
        spilled: HashMap::new(),
        read: HashSet::new(),
    };
    for &id in list {
        s.op(id, body.ops[id]);
    }
    for &(id, out) in outs {
        s.out(id, out);
    }
}

struct Straight<'a> {
    code: &'a mut Code,
    frame: &'a mut Frame,
    sources: &'a dyn Fn(Id) -> Option<Source>,
    /// Uses that are still to come, the next one last.
    uses: HashMap<Id, Vec<usize>>,
    registers: HashMap<Id, Ymm>,
    occupants: Vec<Option<Id>>,
    /// Registers of the operation under way.
    locked: Vec<Ymm>,
    spilled: HashMap<Id, i32>,
    /// Elements that the nest writes too and that were read already: their place may hold something else by now.
    read: HashSet<Id>,
}

/// An operand before its address is fetched.
enum Found {
    Reg(Ymm),
    Memory(Place),
}

impl Straight<'_> {
    fn source(&self, id: Id) -> Option<Source> {
        if let Some(&slot) = self.spilled.get(&id) {
            return Some(Source::Vector(Place::Direct(at(slot))));
        }
        if self.read.contains(&id) { None } else { (self.sources)(id) }
    }

    fn used_again(&self, id: Id) -> bool {
        self.uses.get(&id).is_some_and(|u| !u.is_empty())
    }

    /// A register that nothing needs for now.
    fn take(&mut self) -> Ymm {
        let free = (0..self.occupants.len()).find(|&r| self.occupants[r].is_none() && !self.locked.contains(&Ymm(r as u8)));
        if let Some(r) = free {
            return Ymm(r as u8);
        }
        let next = |id: &Id| self.uses.get(id).and_then(|u| u.last().copied()).unwrap_or(usize::MAX);
        let candidates = (0..self.occupants.len()).filter(|&r| !self.locked.contains(&Ymm(r as u8)));
        let last = candidates.filter_map(|r| self.occupants[r].map(|id| (next(&id), r, id))).max();
        let Some((_, r, id)) = last else { unreachable!("an operation has fewer operands than there are registers") };
        let r = Ymm(r as u8);
        if self.used_again(id) && self.source(id).is_none() {
            let slot = self.frame.spill();
            self.code.store(at(slot), r);
            self.spilled.insert(id, slot);
        }
        self.release(id);
        r
    }

    fn release(&mut self, id: Id) {
        if let Some(r) = self.registers.remove(&id) {
            self.occupants[usize::from(r.0)] = None;
        }
    }

    fn occupy(&mut self, id: Id, r: Ymm) {
        self.occupants[usize::from(r.0)] = Some(id);
        self.registers.insert(id, r);
    }

    fn address(&mut self, place: Place) -> Mem {
        match place {
            Place::Direct(mem) => mem,
            Place::Far { slot, indexed, offset } => {
                self.code.load(RAX, at(slot));
                Mem::At { base: RAX, index: indexed.then_some(RCX), offset }
            }
        }
    }

    fn load(&mut self, id: Id, to: Ymm) {
        match self.source(id) {
            Some(Source::Vector(place)) => {
                let mem = self.address(place);
                self.code.one(One::Move, to, Operand::Mem(mem));
            }
            Some(Source::Single(place)) => {
                let mem = self.address(place);
                self.code.one(One::Broadcast, to, Operand::Mem(mem));
            }
            None => unreachable!("a value is computed before it is used"),
        }
    }

    /// The value in a register, which stays its own until the operation is over.
    fn register(&mut self, id: Id) -> Ymm {
        let r = match self.registers.get(&id) {
            Some(&r) => r,
            None => {
                let r = self.take();
                self.load(id, r);
                self.occupy(id, r);
                r
            }
        };
        self.locked.push(r);
        r
    }

    /// The value in a register, or where memory holds it.
    fn operand(&mut self, id: Id) -> Found {
        if !self.registers.contains_key(&id)
            && !self.used_again(id)
            && let Some(Source::Vector(place)) = self.source(id)
        {
            return Found::Memory(place);
        }
        Found::Reg(self.register(id))
    }

    fn resolve(&mut self, found: Found) -> Operand {
        match found {
            Found::Reg(r) => Operand::Reg(r),
            Found::Memory(place) => Operand::Mem(self.address(place)),
        }
    }

    /// Gives up the operands that are not used again.
    fn finish(&mut self, operands: &[Id]) {
        self.locked.clear();
        for &id in operands {
            if !self.used_again(id) {
                self.release(id);
            }
        }
    }

    fn dies(&self, id: Id) -> bool {
        self.registers.contains_key(&id) && !self.used_again(id)
    }

    fn op(&mut self, id: Id, op: Op) {
        let operands: Vec<Id> = op.operands().collect();
        for o in &operands {
            self.uses.get_mut(o).map(Vec::pop);
            self.locked.extend(self.registers.get(o));
        }
        match op {
            Op::Constant(_) => unreachable!("constants are not computed"),
            Op::Load(_) => {
                let r = self.take();
                self.load(id, r);
                self.occupy(id, r);
                self.read.insert(id);
            }
            Op::One(f, a) => {
                let a = self.operand(a);
                self.finish(&operands);
                let to = self.take();
                let a = self.resolve(a);
                self.code.one(f, to, a);
                self.occupy(id, to);
            }
            Op::Shift(left, a, by) => {
                let a = self.register(a);
                self.finish(&operands);
                let to = self.take();
                self.code.shift(left, to, a, by);
                self.occupy(id, to);
            }
            Op::Two(f, a, b) => {
                let swaps = matches!(f, Two::Add | Two::Mul | Two::And | Two::Or | Two::Xor | Two::AddInt);
                let turned = swaps && !self.registers.contains_key(&a) && self.registers.contains_key(&b);
                let (a, b) = if turned { (b, a) } else { (a, b) };
                let a = self.register(a);
                let b = self.operand(b);
                self.finish(&operands);
                let to = self.take();
                let b = self.resolve(b);
                self.code.two(f, to, a, b);
                self.occupy(id, to);
            }
            Op::Fma(a, b, c) => self.fma(id, [a, b, c]),
            Op::Choose(cc, left, right, a, b) => {
                let l = self.register(left);
                let no = self.register(b);
                let right = self.operand(right);
                let yes = self.operand(a);
                let to = self.take();
                let right = self.resolve(right);
                self.code.compare(cc, to, l, right);
                let yes = self.resolve(yes);
                self.code.blend(to, no, yes, to);
                self.finish(&operands);
                self.occupy(id, to);
            }
        }
    }

    fn fma(&mut self, id: Id, [a, b, c]: [Id; 3]) {
        let (f, to, second, last) = if self.dies(a) || self.dies(b) {
            let (a, b) = if self.dies(a) { (a, b) } else { (b, a) };
            let to = self.register(a);
            (Two::Fma213, to, self.register(b), self.operand(c))
        } else if self.dies(c) {
            let to = self.register(c);
            (Two::Fma231, to, self.register(a), self.operand(b))
        } else {
            let second = self.register(b);
            let last = self.operand(c);
            let to = self.take();
            self.locked.push(to);
            match self.registers.get(&a) {
                Some(&r) => self.code.one(One::Move, to, Operand::Reg(r)),
                None => self.load(a, to),
            }
            (Two::Fma213, to, second, last)
        };
        let last = self.resolve(last);
        self.code.two(f, to, second, last);
        self.finish(&[a, b, c]);
        self.occupy(id, to);
    }

    fn out(&mut self, id: Id, out: Out) {
        self.uses.get_mut(&id).map(Vec::pop);
        match out {
            Out::Keep(slot) => {
                let r = self.register(id);
                self.code.store(at(slot), r);
            }
            Out::Store(place, mask) => {
                let r = self.register(id);
                let mem = self.address(place);
                match mask {
                    Some(mask) => self.code.store_some(mem, mask, r),
                    None => self.code.store(mem, r),
                }
            }
            Out::SumTo(place, kind, mask) => {
                let value = self.register(id);
                let sum = self.take();
                let mem = self.address(place);
                self.code.one(One::Move, sum, Operand::Mem(mem));
                self.code.two(step(kind), sum, sum, Operand::Reg(value));
                match mask {
                    Some(mask) => self.code.store_some(mem, mask, sum),
                    None => self.code.store(mem, sum),
                }
            }
            Out::Sum(sum, kind, None) => {
                let value = self.operand(id);
                let value = self.resolve(value);
                self.code.two(step(kind), sum, sum, value);
            }
            Out::Sum(sum, kind, Some(mask)) => {
                let r = self.register(id);
                let to = self.take();
                let nothing = self.code.constant([neutral(kind).to_bits(); 8]);
                self.code.one(One::Move, to, Operand::Mem(nothing));
                self.code.blend(to, to, Operand::Reg(r), mask);
                self.code.two(step(kind), sum, sum, Operand::Reg(to));
            }
        }
        self.finish(&[id]);
    }
}
