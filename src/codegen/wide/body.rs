//! The body of a nest as a list of vector operations, each with the loop it depends on.
//!
//! Holds on exit: operands come before what uses them; an operation's level is the highest of its operands', and that of a load is the
//! innermost loop that moves it, counted from 1; 0 is outside of all loops.

use super::encode::{One, Two};
use crate::codegen::math::{Arithmetic, Compare};
use crate::graph::{Binary, Reduce};
use crate::schedule::nest::{Inst, Nest};
use std::collections::HashMap;

/// A value: the index of its operation.
pub type Id = usize;

/// One vector operation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Op {
    /// An access of the nest.
    Load(usize),
    /// A number in every lane, as bits.
    Constant(u32),
    One(One, Id),
    Two(Two, Id, Id),
    /// Left or right, by bits.
    Shift(bool, Id, u8),
    /// `a*b + c`.
    Fma(Id, Id, Id),
    /// The third where the comparison of the first two holds, otherwise the fourth.
    Choose(Compare, Id, Id, Id, Id),
}

impl Op {
    /// What it reads.
    pub fn operands(&self) -> impl Iterator<Item = Id> {
        let (list, n) = match *self {
            Op::Load(_) | Op::Constant(_) => ([0; 4], 0),
            Op::One(_, a) | Op::Shift(_, a, _) => ([a, 0, 0, 0], 1),
            Op::Two(_, a, b) => ([a, b, 0, 0], 2),
            Op::Fma(a, b, c) => ([a, b, c, 0], 3),
            Op::Choose(_, l, r, a, b) => ([l, r, a, b], 4),
        };
        list.into_iter().take(n)
    }
}

/// The operations of a body; see the [module](self).
pub struct Body {
    pub ops: Vec<Op>,
    pub levels: Vec<usize>,
    /// What each instruction of the nest became.
    pub values: Vec<Id>,
}

/// Translates the body of `nest`, whose accesses have these levels.
pub fn lower(nest: &Nest, levels: &[usize]) -> Body {
    let mut b = Builder { ops: Vec::new(), levels: Vec::new(), known: HashMap::new(), accesses: levels };
    let mut values: Vec<Id> = Vec::new();
    for inst in &nest.body {
        let value = match *inst {
            Inst::Load(a) => b.push(Op::Load(a)),
            Inst::Const(bits) => b.constant(f32::from_bits(bits)),
            Inst::Unary(f, x) => b.unary(f, values[x]),
            Inst::Binary(f, x, y) => b.binary(f, values[x], values[y]),
            Inst::Select(c, x, y) => {
                let comparison = match nest.body[c] {
                    Inst::Binary(Binary::Lt, l, r) => Some((Compare::Less, l, r)),
                    Inst::Binary(Binary::Le, l, r) => Some((Compare::LessEqual, l, r)),
                    Inst::Binary(Binary::Eq, l, r) => Some((Compare::Equal, l, r)),
                    Inst::Load(_) | Inst::Const(_) | Inst::Unary(..) | Inst::Binary(..) | Inst::Select(..) => None,
                };
                match comparison {
                    // A comparison's 1 or 0 need not be made to be compared again.
                    Some((cc, l, r)) => b.choose(cc, values[l], values[r], values[x], values[y]),
                    None => b.select(values[c], values[x], values[y]),
                }
            }
        };
        values.push(value);
    }
    Body { ops: b.ops, levels: b.levels, values }
}

struct Builder<'a> {
    ops: Vec<Op>,
    levels: Vec<usize>,
    known: HashMap<Op, Id>,
    accesses: &'a [usize],
}

impl Builder<'_> {
    fn push(&mut self, op: Op) -> Id {
        let level = match op {
            Op::Load(a) => self.accesses[a],
            Op::Constant(_) => 0,
            Op::One(..) | Op::Two(..) | Op::Shift(..) | Op::Fma(..) | Op::Choose(..) => {
                op.operands().map(|i| self.levels[i]).max().unwrap_or(0)
            }
        };
        // What functions have in common is computed once.
        *self.known.entry(op).or_insert_with(|| {
            self.ops.push(op);
            self.levels.push(level);
            self.ops.len() - 1
        })
    }
}

impl Arithmetic for Builder<'_> {
    type V = Id;

    fn constant(&mut self, x: f32) -> Id {
        self.push(Op::Constant(x.to_bits()))
    }

    fn int_constant(&mut self, x: i32) -> Id {
        self.push(Op::Constant(x as u32))
    }

    fn add(&mut self, a: Id, b: Id) -> Id {
        self.push(Op::Two(Two::Add, a, b))
    }

    fn subtract(&mut self, a: Id, b: Id) -> Id {
        self.push(Op::Two(Two::Sub, a, b))
    }

    fn multiply(&mut self, a: Id, b: Id) -> Id {
        self.push(Op::Two(Two::Mul, a, b))
    }

    fn divide(&mut self, a: Id, b: Id) -> Id {
        self.push(Op::Two(Two::Div, a, b))
    }

    fn negate(&mut self, a: Id) -> Id {
        let sign = self.int_constant(i32::MIN);
        self.push(Op::Two(Two::Xor, a, sign))
    }

    fn absolute(&mut self, a: Id) -> Id {
        let rest = self.int_constant(i32::MAX);
        self.push(Op::Two(Two::And, a, rest))
    }

    fn square_root(&mut self, a: Id) -> Id {
        self.push(Op::One(One::Sqrt, a))
    }

    fn fma(&mut self, a: Id, b: Id, c: Id) -> Id {
        self.push(Op::Fma(a, b, c))
    }

    fn choose(&mut self, cc: Compare, left: Id, right: Id, a: Id, b: Id) -> Id {
        match cc {
            // What the instructions are defined to give, not ordered numbers included.
            Compare::Greater if (a, b) == (left, right) => self.push(Op::Two(Two::Max, a, b)),
            Compare::Less if (a, b) == (left, right) => self.push(Op::Two(Two::Min, a, b)),
            Compare::Greater if (a, b) == (right, left) => self.push(Op::Two(Two::Min, a, b)),
            Compare::Less if (a, b) == (right, left) => self.push(Op::Two(Two::Max, a, b)),
            Compare::Less | Compare::LessEqual | Compare::Greater | Compare::Equal | Compare::NotEqual => {
                self.push(Op::Choose(cc, left, right, a, b))
            }
        }
    }

    fn add_int(&mut self, a: Id, b: Id) -> Id {
        self.push(Op::Two(Two::AddInt, a, b))
    }

    fn subtract_int(&mut self, a: Id, b: Id) -> Id {
        self.push(Op::Two(Two::SubInt, a, b))
    }

    fn and(&mut self, a: Id, b: Id) -> Id {
        self.push(Op::Two(Two::And, a, b))
    }

    fn or(&mut self, a: Id, b: Id) -> Id {
        self.push(Op::Two(Two::Or, a, b))
    }

    fn shift_left(&mut self, a: Id, by: u8) -> Id {
        self.push(Op::Shift(true, a, by))
    }

    fn shift_right(&mut self, a: Id, by: u8) -> Id {
        self.push(Op::Shift(false, a, by))
    }

    fn from_int(&mut self, a: Id) -> Id {
        self.push(Op::One(One::FromInt, a))
    }
}

/// The instruction of one step of a reduction.
pub fn step(kind: Reduce) -> Two {
    match kind {
        Reduce::Sum => Two::Add,
        Reduce::Max => Two::Max,
    }
}
