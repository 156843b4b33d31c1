//! The portable micro-kernel: the tile of [`TileArgs`](crate::kernels::TileArgs) in 128-bit vectors, emitted as CLIF.

use super::Machine;
use super::clif::{Lanes, below};
use super::math::Arithmetic;
use crate::kernels::{MOST_ROWS, TileArgs};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{AbiParam, Function, InstBuilder, MemFlagsData, Signature, Value, types};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Variable};
use std::mem::offset_of;

/// Rows of a tile: with two vectors of columns, eight sums.
pub const ROWS: usize = 4;
/// Columns of a tile.
pub const COLUMNS: usize = 8;

const _: () = assert!(ROWS <= MOST_ROWS);

/// `fn(args)`.
pub fn signature(call_conv: CallConv) -> Signature {
    let mut s = Signature::new(call_conv);
    s.params.push(AbiParam::new(types::I64));
    s
}

/// Builds the micro-kernel for tiles of `rows` rows.
pub fn emit(rows: usize, function: &mut Function, context: &mut FunctionBuilderContext, machine: Machine) {
    let mut b = FunctionBuilder::new(function, context);
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    let args = b.block_params(entry)[0];
    let mut t = Tile { b, args, rows, has_fma: machine.has_fma };
    t.body();
    t.b.ins().return_(&[]);
    t.b.seal_all_blocks();
    t.b.finalize(machine.frontend);
}

struct Tile<'a> {
    b: FunctionBuilder<'a>,
    args: Value,
    rows: usize,
    has_fma: bool,
}

fn flags() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}

impl Tile<'_> {
    fn field(&mut self, offset: usize) -> Value {
        self.b.ins().load(types::I64, MemFlagsData::trusted().with_readonly(), self.args, offset as i32)
    }

    fn body(&mut self) {
        let c: Vec<Value> = (0..self.rows).map(|r| self.field(offset_of!(TileArgs, c_rows) + 8 * r)).collect();
        let sums: Vec<[Variable; 2]> = (0..self.rows).map(|_| [(); 2].map(|()| self.b.declare_var(types::F32X4))).collect();
        self.start(&sums, &c);
        let a: Vec<Value> = (0..self.rows).map(|r| self.field(offset_of!(TileArgs, a_rows) + 8 * r)).collect();
        let b = self.field(offset_of!(TileArgs, b));
        let segments = self.field(offset_of!(TileArgs, segments));
        let k = self.field(offset_of!(TileArgs, k));
        let steps = |t: &mut Self, a, b| (t.field(a), t.field(b));
        let segment = steps(self, offset_of!(TileArgs, a_segment), offset_of!(TileArgs, b_segment));
        let step = steps(self, offset_of!(TileArgs, a_step), offset_of!(TileArgs, b_step));
        self.repeat(segments, segment, a, b, &mut |t, a, b| {
            t.repeat(k, step, a, b, &mut |t, a, b| t.products(&sums, &a, b));
        });
        for (row, vars) in c.iter().zip(&sums) {
            for (half, &v) in vars.iter().enumerate() {
                let sum = self.b.use_var(v);
                self.b.ins().store(flags(), sum, *row, 16 * half as i32);
            }
        }
    }

    /// Sums start from the result where `accumulate` says so, otherwise from 0.
    fn start(&mut self, sums: &[[Variable; 2]], c: &[Value]) {
        let accumulate = self.field(offset_of!(TileArgs, accumulate));
        let (load, zero, after) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
        let wanted = self.b.ins().icmp_imm_u(IntCC::NotEqual, accumulate, 0);
        self.b.ins().brif(wanted, load, &[], zero, &[]);
        self.b.switch_to_block(load);
        for (row, vars) in c.iter().zip(sums) {
            for (half, &v) in vars.iter().enumerate() {
                let x = self.b.ins().load(types::F32X4, flags(), *row, 16 * half as i32);
                self.b.def_var(v, x);
            }
        }
        self.b.ins().jump(after, &[]);
        self.b.switch_to_block(zero);
        let nothing = Lanes { b: &mut self.b, ty: types::F32X4, has_fma: self.has_fma }.constant(0.0);
        sums.iter().flatten().for_each(|&v| self.b.def_var(v, nothing));
        self.b.ins().jump(after, &[]);
        self.b.switch_to_block(after);
    }

    /// Runs `body` `count` times while all addresses step on.
    #[allow(clippy::type_complexity)]
    fn repeat(
        &mut self,
        count: Value,
        step: (Value, Value),
        a: Vec<Value>,
        b: Value,
        body: &mut dyn FnMut(&mut Self, Vec<Value>, Value),
    ) {
        let variable = |t: &mut Self, start: Value| {
            let v = t.b.declare_var(types::I64);
            t.b.def_var(v, start);
            v
        };
        let a: Vec<Variable> = a.into_iter().map(|x| variable(self, x)).collect();
        let b = variable(self, b);
        let zero = self.b.ins().iconst(types::I64, 0);
        let i = variable(self, zero);
        let (head, inside, after) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
        self.b.ins().jump(head, &[]);
        self.b.switch_to_block(head);
        let at = self.b.use_var(i);
        let more = below(&mut self.b, at, count);
        self.b.ins().brif(more, inside, &[], after, &[]);
        self.b.switch_to_block(inside);
        let (here, there) = (a.iter().map(|&v| self.b.use_var(v)).collect(), self.b.use_var(b));
        body(self, here, there);
        for (v, by) in a.iter().map(|&v| (v, step.0)).chain([(b, step.1)]) {
            let x = self.b.use_var(v);
            let next = self.b.ins().iadd(x, by);
            self.b.def_var(v, next);
        }
        let at = self.b.use_var(i);
        let next = self.b.ins().iadd_imm_s(at, 1);
        self.b.def_var(i, next);
        self.b.ins().jump(head, &[]);
        self.b.switch_to_block(after);
    }

    fn products(&mut self, sums: &[[Variable; 2]], a: &[Value], b: Value) {
        let columns = [0, 16].map(|at| self.b.ins().load(types::F32X4, flags(), b, at));
        for (&row, vars) in a.iter().zip(sums) {
            let x = self.b.ins().load(types::F32, flags(), row, 0);
            let x = self.b.ins().splat(types::F32X4, x);
            for (&v, &column) in vars.iter().zip(&columns) {
                let sum = self.b.use_var(v);
                let sum = Lanes { b: &mut self.b, ty: types::F32X4, has_fma: self.has_fma }.fma(x, column, sum);
                self.b.def_var(v, sum);
            }
        }
    }
}
