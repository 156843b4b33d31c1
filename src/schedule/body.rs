//! The body of one loop: values to instructions, stored values to accesses.

use super::BufferId;
use super::fuse::{Loop, shown};
use super::nest::{Access, Dim, Inst, Nest, Reduction, Reg, Store};
use super::views::{Class, Views, contiguous, is_elementwise};
use crate::graph::{Graph, Op, Value};
use std::collections::HashMap;

/// Builds the nest of one loop.
pub struct NestBuilder<'a> {
    graph: &'a Graph,
    views: &'a Views,
    l: &'a Loop,
    kept: &'a dyn Fn(Value) -> bool,
    home: &'a dyn Fn(Value) -> BufferId,
    nest: Nest,
    regs: HashMap<Value, Reg>,
    loads: HashMap<Access, Reg>,
}

impl<'a> NestBuilder<'a> {
    /// A builder for loop `l`: `kept` says which of its values need memory, `home` where a stored value lives.
    pub fn new(
        graph: &'a Graph,
        views: &'a Views,
        l: &'a Loop,
        kept: &'a dyn Fn(Value) -> bool,
        home: &'a dyn Fn(Value) -> BufferId,
    ) -> NestBuilder<'a> {
        let dims = l.shape.iter().enumerate().map(|(i, &size)| Dim { size, reduced: l.axes.contains(&i) }).collect();
        let nest = Nest { dims, accesses: Vec::new(), body: Vec::new(), stores: Vec::new(), reductions: Vec::new() };
        NestBuilder { graph, views, l, kept, home, nest, regs: HashMap::new(), loads: HashMap::new() }
    }

    /// The nest, its loops as the domain has them.
    pub fn build(mut self) -> Nest {
        for &v in &self.l.values {
            let node = self.graph.node(v);
            match &node.op {
                Op::Reduce(kind, axes) => {
                    let value = self.reg(node.args[0]);
                    let mut access = self.access(v);
                    axes.iter().for_each(|&a| access.strides[a] = 0);
                    self.nest.accesses.push(access);
                    self.nest.reductions.push(Reduction { kind: *kind, value, access: self.nest.accesses.len() - 1 });
                }
                Op::Reshape => {
                    // A copy in the order of the argument's elements.
                    let value = self.reg(node.args[0]);
                    let access = Access { buffer: (self.home)(v), offset: 0, strides: contiguous(&self.l.shape) };
                    self.store(value, access);
                }
                Op::Transpose(_) | Op::Broadcast | Op::Slice { .. } => {
                    let value = self.load_through(v);
                    self.regs.insert(v, value);
                    let access = self.access(v);
                    self.store(value, access);
                }
                _ => {
                    let value = self.compute(v);
                    self.regs.insert(v, value);
                    if (self.kept)(v) {
                        let access = self.access(v);
                        self.store(value, access);
                    }
                }
            }
        }
        self.nest
    }

    fn store(&mut self, value: Reg, access: Access) {
        self.nest.accesses.push(access);
        self.nest.stores.push(Store { value, access: self.nest.accesses.len() - 1 });
    }

    /// Where the elements of `v` are, which has memory.
    fn access(&self, v: Value) -> Access {
        match self.views.view(self.graph, v) {
            Some(view) => Access { buffer: (self.home)(view.base), offset: view.offset, strides: view.strides },
            None => unreachable!("{v} has no memory"),
        }
    }

    fn push(&mut self, inst: Inst) -> Reg {
        if let Some(r) = self.nest.body.iter().position(|i| *i == inst) {
            return r;
        }
        self.nest.body.push(inst);
        self.nest.body.len() - 1
    }

    fn load(&mut self, access: Access) -> Reg {
        if let Some(&r) = self.loads.get(&access) {
            return r;
        }
        self.nest.accesses.push(access.clone());
        let r = self.push(Inst::Load(self.nest.accesses.len() - 1));
        self.loads.insert(access, r);
        r
    }

    /// The elements of a view that is stored as a copy, seen through its argument.
    fn load_through(&mut self, v: Value) -> Reg {
        let node = self.graph.node(v);
        let from = self.access(node.args[0]);
        let source = self.graph.shape(node.args[0]);
        let access = match &node.op {
            Op::Transpose(perm) => Access { strides: perm.iter().map(|&p| from.strides[p]).collect(), ..from },
            Op::Broadcast => {
                let step = |i: usize| if source[i] == 1 && node.shape[i] != 1 { 0 } else { from.strides[i] };
                Access { strides: (0..source.len()).map(step).collect(), ..from }
            }
            Op::Slice { start, step } => Access {
                offset: from.offset + start.iter().zip(&from.strides).map(|(i, s)| i * s).sum::<usize>(),
                strides: step.iter().zip(&from.strides).map(|(a, b)| a * b).collect(),
                buffer: from.buffer,
            },
            Op::Input(_)
            | Op::Const(_)
            | Op::Literal(_)
            | Op::Unary(_)
            | Op::Binary(_)
            | Op::Select
            | Op::Reshape
            | Op::Pad { .. }
            | Op::Concat(_)
            | Op::Reduce(..)
            | Op::Dot { .. }
            | Op::Conv(_)
            | Op::Grad => {
                unreachable!("only views are seen through")
            }
        };
        self.load(access)
    }

    fn reg(&mut self, v: Value) -> Reg {
        if let Some(&r) = self.regs.get(&v) {
            return r;
        }
        let r = match &self.graph.node(v).op {
            Op::Const(bits) => self.push(Inst::Const(*bits)),
            op if is_elementwise(op) && !self.views.is_stored(v) => self.compute(v),
            _ if let Some(r) = self.made_here(v) => r,
            _ => {
                let access = self.access(v);
                self.load(access)
            }
        };
        self.regs.insert(v, r);
        r
    }

    /// The register of the value that the view `v` shows at the same index, where this loop has computed it: it is not in memory yet.
    fn made_here(&self, v: Value) -> Option<Reg> {
        let Class::View(view) = &self.views.class[v.index()] else { return None };
        let read = shown(self.graph, self.views, v, view);
        if read.aligned && self.l.values.contains(&read.base) { self.regs.get(&read.base).copied() } else { None }
    }

    fn compute(&mut self, v: Value) -> Reg {
        let node = self.graph.node(v);
        let args: Vec<Reg> = node.args.iter().map(|&a| self.reg(a)).collect();
        match &node.op {
            Op::Const(bits) => self.push(Inst::Const(*bits)),
            Op::Unary(f) => self.push(Inst::Unary(*f, args[0])),
            Op::Binary(f) => self.push(Inst::Binary(*f, args[0], args[1])),
            Op::Select => self.push(Inst::Select(args[0], args[1], args[2])),
            op => unreachable!("{op:?} is not computed element by element"),
        }
    }
}
