//! Loop nests to CLIF.
//!
//! A compiled nest has the signature `fn(pointers, low, high, column_low, column_high)`: `pointers[i]` is the address of
//! the first element of access `i`; the first dim runs over `low..high`, the last over `column_low..column_high` where it is
//! kept, and over all of itself where it is reduced. The innermost loop takes vectors of four lanes, several at a time, then
//! single vectors, then single elements; each lane computes what the single element would.

use super::Machine;
use super::clif::{Lanes, below};
use super::math::{Arithmetic, neutral};
use crate::graph::Reduce;
use crate::schedule::nest::{Inst, Nest};
use cranelift_codegen::ir::{AbiParam, Endianness, Function, InstBuilder, MemFlagsData, Signature, Type, Value, types};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Variable};

/// Vectors per turn of the main loop of a nest without reductions.
const UNROLL: usize = 2;

/// The signature of every nest.
pub fn signature(call_conv: CallConv) -> Signature {
    let mut s = Signature::new(call_conv);
    s.params.extend([AbiParam::new(types::I64); 5]);
    s
}

/// Builds the function of `nest` into `function`.
pub fn emit(nest: &Nest, function: &mut Function, context: &mut FunctionBuilderContext, machine: Machine) {
    let mut b = FunctionBuilder::new(function, context);
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    let params = b.block_params(entry).to_vec();
    let written = nest.written();
    let pointers = (0..nest.accesses.len())
        .map(|i| b.ins().load(types::I64, MemFlagsData::trusted().with_readonly().with_can_move(), params[0], 8 * i as i32))
        .collect();
    let mut e = Emitter { nest, b, machine, written, ranges: [params[1], params[2], params[3], params[4]] };
    e.outer(0, pointers);
    e.b.ins().return_(&[]);
    e.b.seal_all_blocks();
    e.b.finalize(machine.frontend);
}

struct Emitter<'a, 'b> {
    nest: &'a Nest,
    b: FunctionBuilder<'b>,
    machine: Machine,
    /// Accesses whose buffer this nest writes: their loads must stay in order.
    written: Vec<bool>,
    /// low, high, column low, column high.
    ranges: [Value; 4],
}

/// Sums under way: a variable for each reduction and vector, and how wide they are.
struct Sums {
    vars: Vec<Vec<Variable>>,
    ty: Type,
}

impl<'b> Emitter<'_, 'b> {
    fn last(&self) -> usize {
        self.nest.dims.len() - 1
    }

    fn number(&mut self, x: usize) -> Value {
        self.b.ins().iconst(types::I64, x as i64)
    }

    /// `for i in low..high step`, as long as `i + step <= high`; leaves the counter where it stopped.
    fn counted(&mut self, counter: Variable, high: Value, step: usize, body: impl FnOnce(&mut Self, Value)) {
        let (head, inside, after) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
        self.b.ins().jump(head, &[]);
        self.b.switch_to_block(head);
        let i = self.b.use_var(counter);
        let next = self.b.ins().iadd_imm_s(i, step as i64 - 1);
        let more = below(&mut self.b, next, high);
        self.b.ins().brif(more, inside, &[], after, &[]);
        self.b.switch_to_block(inside);
        body(self, i);
        let i = self.b.use_var(counter);
        let next = self.b.ins().iadd_imm_s(i, step as i64);
        self.b.def_var(counter, next);
        self.b.ins().jump(head, &[]);
        self.b.switch_to_block(after);
    }

    fn counter(&mut self, start: Value) -> Variable {
        let v = self.b.declare_var(types::I64);
        self.b.def_var(v, start);
        v
    }

    /// Pointers advanced by index `i` of `dim`.
    fn advance(&mut self, dim: usize, i: Value, pointers: &[Value]) -> Vec<Value> {
        (0..pointers.len())
            .map(|a| match self.nest.accesses[a].strides[dim] {
                0 => pointers[a],
                stride => {
                    let bytes = self.b.ins().imul_imm_s(i, 4 * stride as i64);
                    self.b.ins().iadd(pointers[a], bytes)
                }
            })
            .collect()
    }

    /// Loops over the kept dims outside; then what the kind of nest asks for.
    fn outer(&mut self, dim: usize, pointers: Vec<Value>) {
        if dim == self.last() || self.nest.dims[dim].reduced {
            return match (self.nest.reductions.is_empty(), self.nest.sums_rows()) {
                (true, _) => self.elementwise(&pointers),
                (false, false) => self.columns(dim, &pointers),
                (false, true) => self.rows(dim, &pointers),
            };
        }
        let (low, high) =
            if dim == 0 { (self.ranges[0], self.ranges[1]) } else { (self.number(0), self.number(self.nest.dims[dim].size)) };
        let counter = self.counter(low);
        self.counted(counter, high, 1, |e, i| {
            let inner = e.advance(dim, i, &pointers);
            e.outer(dim + 1, inner);
        });
    }

    fn elementwise(&mut self, pointers: &[Value]) {
        let (low, high) = (self.ranges[2], self.ranges[3]);
        let c = self.counter(low);
        for (ty, count) in [(types::F32X4, UNROLL), (types::F32X4, 1), (types::F32, 1)] {
            let lanes = ty.lane_count() as usize;
            self.counted(c, high, lanes * count, |e, i| {
                let here = e.advance_inner(i, pointers);
                for u in 0..count {
                    e.point(&here, u * lanes, ty);
                }
            });
        }
    }

    fn advance_inner(&mut self, i: Value, pointers: &[Value]) -> Vec<Value> {
        let last = self.last();
        self.advance(last, i, pointers)
    }

    /// Each lane of a vector along the last dim keeps its own sums.
    fn columns(&mut self, dim: usize, pointers: &[Value]) {
        let (low, high) = (self.ranges[2], self.ranges[3]);
        let c = self.counter(low);
        let wide = match self.nest.reductions.len() {
            1 => 8,
            2 => 4,
            _ => 2,
        };
        for (ty, count) in [(types::F32X4, wide), (types::F32X4, 1), (types::F32, 1)] {
            let lanes = ty.lane_count() as usize;
            self.counted(c, high, lanes * count, |e, i| {
                let here = e.advance_inner(i, pointers);
                let sums = e.start(ty, count);
                e.reduced_loops(dim, e.last(), here.clone(), &mut |e, at| {
                    for u in 0..count {
                        let regs = e.point(at, u * lanes, ty);
                        e.take(&sums, u, &regs);
                    }
                });
                for (r, reduction) in e.nest.reductions.iter().enumerate() {
                    for u in 0..count {
                        let sum = e.b.use_var(sums.vars[r][u]);
                        e.write(reduction.access, here[reduction.access], u * lanes, ty, sum);
                    }
                }
            });
        }
    }

    /// Vectors along the last dim are partial sums of one number.
    fn rows(&mut self, dim: usize, pointers: &[Value]) {
        let count = if self.nest.reductions.len() == 1 { 4 } else { 2 };
        let vectors = self.start(types::F32X4, count);
        let singles = self.start(types::F32, 1);
        self.reduced_loops(dim, self.last(), pointers.to_vec(), &mut |e, at| {
            let at = at.to_vec();
            let zero = e.number(0);
            let c = e.counter(zero);
            let high = e.number(e.nest.dims[e.last()].size);
            for (ty, count, sums) in [(types::F32X4, count, &vectors), (types::F32X4, 1, &vectors), (types::F32, 1, &singles)] {
                let lanes = ty.lane_count() as usize;
                e.counted(c, high, lanes * count, |e, i| {
                    let here = e.advance_inner(i, &at);
                    for u in 0..count {
                        let regs = e.point(&here, u * lanes, ty);
                        e.take(sums, u, &regs);
                    }
                });
            }
        });
        for (r, reduction) in self.nest.reductions.iter().enumerate() {
            let parts: Vec<Value> = vectors.vars[r].iter().map(|&v| self.b.use_var(v)).collect();
            let vector = self.tree(reduction.kind, types::F32X4, &parts);
            let mut parts: Vec<Value> = (0..4u8).map(|l| self.b.ins().extractlane(vector, l)).collect();
            parts.push(self.b.use_var(singles.vars[r][0]));
            let sum = self.tree(reduction.kind, types::F32, &parts);
            self.write(reduction.access, pointers[reduction.access], 0, types::F32, sum);
        }
    }

    /// Combines neighbours until one is left.
    fn tree(&mut self, kind: Reduce, ty: Type, parts: &[Value]) -> Value {
        let mut parts = parts.to_vec();
        while parts.len() > 1 {
            parts = parts.chunks(2).map(|p| if let [a, b] = *p { self.combine(kind, ty, a, b) } else { p[0] }).collect();
        }
        parts[0]
    }

    fn reduced_loops(&mut self, dim: usize, end: usize, pointers: Vec<Value>, body: &mut dyn FnMut(&mut Self, &[Value])) {
        if dim == end {
            return body(self, &pointers);
        }
        let (zero, high) = (self.number(0), self.number(self.nest.dims[dim].size));
        let counter = self.counter(zero);
        self.counted(counter, high, 1, |e, i| {
            let inner = e.advance(dim, i, &pointers);
            e.reduced_loops(dim + 1, end, inner, body);
        });
    }

    fn start(&mut self, ty: Type, count: usize) -> Sums {
        let mut vars = Vec::new();
        for r in &self.nest.reductions {
            let mut row = Vec::new();
            for _ in 0..count {
                let v = self.b.declare_var(ty);
                let start = self.lanes(ty).constant(neutral(r.kind));
                self.b.def_var(v, start);
                row.push(v);
            }
            vars.push(row);
        }
        Sums { vars, ty }
    }

    fn take(&mut self, sums: &Sums, u: usize, regs: &[Value]) {
        for (r, reduction) in self.nest.reductions.iter().enumerate() {
            let so_far = self.b.use_var(sums.vars[r][u]);
            let sum = self.combine(reduction.kind, sums.ty, so_far, regs[reduction.value]);
            self.b.def_var(sums.vars[r][u], sum);
        }
    }

    fn combine(&mut self, kind: Reduce, ty: Type, a: Value, b: Value) -> Value {
        self.lanes(ty).combine(kind, a, b)
    }

    fn lanes(&mut self, ty: Type) -> Lanes<'_, 'b> {
        Lanes { b: &mut self.b, ty, has_fma: self.machine.has_fma }
    }

    /// The body at the element `ahead` of the pointers, stores included.
    fn point(&mut self, pointers: &[Value], ahead: usize, ty: Type) -> Vec<Value> {
        let mut regs: Vec<Value> = Vec::with_capacity(self.nest.body.len());
        for inst in &self.nest.body {
            let value = match *inst {
                Inst::Load(a) => self.read(a, pointers[a], ahead, ty),
                Inst::Const(bits) => self.lanes(ty).constant(f32::from_bits(bits)),
                Inst::Unary(f, x) => self.lanes(ty).unary(f, regs[x]),
                Inst::Binary(f, x, y) => self.lanes(ty).binary(f, regs[x], regs[y]),
                Inst::Select(c, x, y) => self.lanes(ty).select(regs[c], regs[x], regs[y]),
            };
            regs.push(value);
        }
        for s in &self.nest.stores {
            self.write(s.access, pointers[s.access], ahead, ty, regs[s.value]);
        }
        regs
    }

    fn read(&mut self, access: usize, pointer: Value, ahead: usize, ty: Type) -> Value {
        let mut flags = MemFlagsData::trusted();
        if !self.written[access] {
            flags = flags.with_readonly().with_can_move();
        }
        let flags = flags_unaligned(flags);
        let stride = self.nest.accesses[access].strides[self.last()];
        let at = |lane: usize| (4 * stride * (ahead + lane)) as i32;
        if ty == types::F32 {
            return self.b.ins().load(types::F32, flags, pointer, at(0));
        }
        match stride {
            1 if self.machine.folds_loads => self.b.ins().load(types::F32X4, flags, pointer, at(0)),
            1 => {
                let bits = self.b.ins().load(types::I32X4, flags, pointer, at(0));
                let flags = MemFlagsData::new().with_endianness(Endianness::Little);
                self.b.ins().bitcast(types::F32X4, flags, bits)
            }
            0 => {
                let x = self.b.ins().load(types::F32, flags, pointer, 0);
                self.b.ins().splat(types::F32X4, x)
            }
            _ => {
                let first = self.b.ins().load(types::F32, flags, pointer, at(0));
                let mut v = self.b.ins().splat(types::F32X4, first);
                for lane in 1..4 {
                    let x = self.b.ins().load(types::F32, flags, pointer, at(lane));
                    v = self.b.ins().insertlane(v, x, lane as u8);
                }
                v
            }
        }
    }

    fn write(&mut self, access: usize, pointer: Value, ahead: usize, ty: Type, value: Value) {
        let flags = flags_unaligned(MemFlagsData::trusted());
        let stride = self.nest.accesses[access].strides[self.last()];
        let at = |lane: usize| (4 * stride * (ahead + lane)) as i32;
        if ty == types::F32 || stride == 1 {
            self.b.ins().store(flags, value, pointer, at(0));
        } else {
            for lane in 0..4 {
                let x = self.b.ins().extractlane(value, lane as u8);
                self.b.ins().store(flags, x, pointer, at(lane));
            }
        }
    }
}

/// Vectors may start at any element: `trusted` promises alignment, which only buffers have.
fn flags_unaligned(flags: MemFlagsData) -> MemFlagsData {
    let plain = MemFlagsData::new().with_notrap();
    let plain = if flags.readonly() { plain.with_readonly() } else { plain };
    if flags.can_move() { plain.with_can_move() } else { plain }
}
