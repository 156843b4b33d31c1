//! A loop nest: the body of one fused kernel, ready for code generation.
//!
//! Holds: there are at least two dims; the first is not reduced; reduced dims follow kept ones, except that the last dim may
//! be of either kind. Where the last dim is kept, vectors run along it and each holds its own sums ("columns"); where it is
//! reduced, vectors are partial sums of one number ("rows"). Every access has one stride for each dim, in elements;
//! an access that a reduction stores to has stride 0 along reduced dims.

use super::BufferId;
use crate::graph::{Binary, Reduce, Unary};

/// A loop nest; see the [module](self).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Nest {
    /// Loops from outer to inner.
    pub dims: Vec<Dim>,
    /// Memory the nest touches; an instruction or store names an access by its index.
    pub accesses: Vec<Access>,
    /// What is computed for each point, in order; a register is the index of its instruction.
    pub body: Vec<Inst>,
    /// Registers stored at each point.
    pub stores: Vec<Store>,
    /// Registers summed up over the reduced dims.
    pub reductions: Vec<Reduction>,
}

/// One loop.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Dim {
    /// How often it runs.
    pub size: usize,
    /// Whether reductions run over it.
    pub reduced: bool,
}

/// Elements of a buffer, by loop index.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Access {
    /// The buffer.
    pub buffer: BufferId,
    /// First element.
    pub offset: usize,
    /// Step in elements for each dim.
    pub strides: Vec<usize>,
}

/// The result of an instruction.
pub type Reg = usize;

/// One instruction on numbers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Inst {
    /// Reads an access.
    Load(usize),
    /// A number, as bits.
    Const(u32),
    /// A function of one register.
    Unary(Unary, Reg),
    /// A function of two registers.
    Binary(Binary, Reg, Reg),
    /// The second where the first is not zero, otherwise the third.
    Select(Reg, Reg, Reg),
}

/// `access[point] = value`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Store {
    /// What.
    pub value: Reg,
    /// Where.
    pub access: usize,
}

/// `access[kept point] = reduce(value over reduced dims)`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Reduction {
    /// How.
    pub kind: Reduce,
    /// What.
    pub value: Reg,
    /// Where.
    pub access: usize,
}

impl Nest {
    /// The elements of a tensor of so many along each axis, copied from one place to another.
    pub fn copy(shape: &[usize], from: Access, to: Access) -> Nest {
        Nest {
            dims: shape.iter().map(|&size| Dim { size, reduced: false }).collect(),
            accesses: vec![from, to],
            body: vec![Inst::Load(0)],
            stores: vec![Store { value: 0, access: 1 }],
            reductions: Vec::new(),
        }
    }

    /// Number of points.
    pub fn points(&self) -> usize {
        self.dims.iter().map(|d| d.size).product()
    }

    /// Rough cost of one point in elementary operations. What is stored must be fetched before and written back after.
    pub fn cost(&self) -> usize {
        let inst = |i: &Inst| match i {
            Inst::Load(_) => 1,
            Inst::Const(_) => 0,
            Inst::Unary(f, _) => unary_cost(*f),
            Inst::Binary(Binary::Div, ..) => 4,
            Inst::Binary(..) | Inst::Select(..) => 1,
        };
        self.body.iter().map(inst).sum::<usize>() + 2 * self.stores.len() + self.reductions.len()
    }

    /// Merges neighbouring loops that every access walks as one, and drops loops of one turn. The first `apart` dims are
    /// not merged with those after them: a driver that runs a range of them relies on it.
    pub fn canonicalise(&mut self, apart: usize) {
        let mut i = 0;
        let mut fence = apart;
        while i < self.dims.len() {
            if self.dims[i].size == 1 && i >= fence {
                self.remove(i);
            } else {
                i += 1;
            }
        }
        let mut i = 0;
        while i + 1 < self.dims.len() {
            let inner = self.dims[i + 1];
            let fenced = i + 1 == fence;
            if !fenced && self.dims[i].reduced == inner.reduced && self.accesses.iter().all(|a| self.walks(a, i)) {
                self.merge(i);
                if i < fence {
                    fence -= 1;
                }
            } else {
                i += 1;
            }
        }
        // The runner splits the first dim: it must be a kept one, and there must be an inner one.
        while self.dims.len() < 2 || self.dims[0].reduced {
            self.dims.insert(0, Dim { size: 1, reduced: false });
            self.accesses.iter_mut().for_each(|a| a.strides.insert(0, 0));
        }
    }

    /// Whether access `a` walks dim `i` and the one after it as one loop.
    pub fn walks(&self, a: &Access, i: usize) -> bool {
        a.strides[i] == a.strides[i + 1] * self.dims[i + 1].size
    }

    /// Makes one loop of dim `i` and the one after it, which every access must walk as one.
    pub fn merge(&mut self, i: usize) {
        self.dims[i + 1].size *= self.dims[i].size;
        self.remove(i);
    }

    /// Makes two loops of dim `i`: the inner one has `size` turns, a divisor of what the dim has.
    pub fn cut(&mut self, i: usize, size: usize) {
        let outer = Dim { size: self.dims[i].size / size, ..self.dims[i] };
        self.dims[i].size = size;
        self.dims.insert(i, outer);
        self.accesses.iter_mut().for_each(|a| a.strides.insert(i, a.strides[i] * size));
    }

    fn remove(&mut self, dim: usize) {
        self.dims.remove(dim);
        self.accesses.iter_mut().for_each(|a| {
            a.strides.remove(dim);
        });
    }

    /// Puts kept dims before reduced ones; the innermost stays where it is.
    pub fn order_for_reduction(&mut self) {
        if self.reductions.is_empty() || self.dims.len() < 2 {
            return;
        }
        let last = self.dims.len() - 1;
        let mut order: Vec<usize> = (0..last).filter(|&i| !self.dims[i].reduced).collect();
        order.extend((0..last).filter(|&i| self.dims[i].reduced));
        order.push(last);
        self.dims = order.iter().map(|&i| self.dims[i]).collect();
        self.accesses.iter_mut().for_each(|a| a.strides = order.iter().map(|&i| a.strides[i]).collect());
    }

    /// For each access, whether the nest writes its buffer.
    pub fn written(&self) -> Vec<bool> {
        let stores = self.stores.iter().map(|s| s.access);
        let targets = stores.chain(self.reductions.iter().map(|r| r.access));
        let buffers: Vec<BufferId> = targets.map(|a| self.accesses[a].buffer).collect();
        self.accesses.iter().map(|a| buffers.contains(&a.buffer)).collect()
    }

    /// Whether vectors are partial sums of one number.
    pub fn sums_rows(&self) -> bool {
        !self.reductions.is_empty() && self.dims.last().is_some_and(|d| d.reduced)
    }
}

/// Rough cost of a function in elementary operations.
pub fn unary_cost(f: Unary) -> usize {
    match f {
        Unary::Neg | Unary::Abs | Unary::Detach => 1,
        Unary::Sign => 3,
        Unary::Sqrt => 5,
        Unary::Exp => 14,
        Unary::Log => 20,
        Unary::Sigmoid => 18,
        Unary::Tanh => 25,
        Unary::Erf => 35,
        Unary::Softplus => 40,
    }
}

impl Nest {
    /// The loops as `rows` times `columns`; `None` where the accesses do not allow it.
    pub fn canonicalise_in_two(&mut self, rows: usize, columns: usize) -> Option<()> {
        let last = self.dims.len() - 1;
        (self.dims[last].size == columns).then_some(())?;
        // Merge everything before the last dim.
        let mut i = 0;
        while self.dims.len() > 2 {
            let inner = self.dims[i + 1];
            if self.dims[i].size == 1 {
                self.remove(i);
                continue;
            }
            if inner.size == 1 {
                self.remove(i + 1);
                continue;
            }
            self.accesses.iter().all(|a| self.walks(a, i)).then_some(())?;
            self.merge(i);
            i = 0;
        }
        (self.dims.len() == 2 && self.dims[0].size == rows).then_some(())
    }

    /// Makes `rows` and `columns` of the two loops of a nest that walks all that it reads from one end to the other, or not at all.
    pub fn recut(&mut self, rows: usize, columns: usize) {
        for a in &mut self.accesses {
            if a.strides[1] != 0 {
                a.strides[0] = columns * a.strides[1];
            }
        }
        (self.dims[0].size, self.dims[1].size) = (rows, columns);
    }

    /// Keeps dim `first` (of the given size) as the first loop and `columns` as the last, merging what lies between.
    pub fn canonicalise_apart(&mut self, first: usize, size: usize, columns: usize) -> Option<()> {
        let last = self.dims.len() - 1;
        (self.dims[first].size == size && self.dims[last].size == columns && first < last).then_some(())?;
        for _ in 0..first {
            (self.dims[0].size == 1).then_some(())?;
            self.remove(0);
        }
        let mut i = 1;
        while i + 1 < self.dims.len() {
            let is_last = i + 2 == self.dims.len();
            if self.dims[i].size == 1 {
                self.remove(i);
            } else if !is_last && self.accesses.iter().all(|a| self.walks(a, i)) {
                self.merge(i);
            } else {
                i += 1;
            }
        }
        Some(())
    }
}
