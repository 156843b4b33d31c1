//! Arithmetic as CLIF, for one lane and for four.

use super::math::{Arithmetic, Compare};
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{Endianness, InstBuilder, MemFlagsData, Type, Value, types};
use cranelift_frontend::FunctionBuilder;

/// Emits arithmetic on values of one type: `F32` or `F32X4`.
pub struct Lanes<'a, 'b> {
    /// Where instructions go.
    pub b: &'a mut FunctionBuilder<'b>,
    /// The type of all values.
    pub ty: Type,
    /// Whether the host multiplies and adds in one rounding.
    pub has_fma: bool,
}

impl Lanes<'_, '_> {
    fn cast(&mut self, ty: Type, x: Value) -> Value {
        self.b.ins().bitcast(ty, MemFlagsData::new().with_endianness(Endianness::Little), x)
    }

    fn as_int(&mut self, x: Value) -> Value {
        let ty = if self.ty == types::F32 { types::I32 } else { types::I32X4 };
        self.cast(ty, x)
    }

    fn as_float(&mut self, x: Value) -> Value {
        self.cast(self.ty, x)
    }
}

impl Arithmetic for Lanes<'_, '_> {
    type V = Value;

    fn constant(&mut self, x: f32) -> Value {
        let c = self.b.ins().f32const(x);
        if self.ty == types::F32 { c } else { self.b.ins().splat(self.ty, c) }
    }

    fn int_constant(&mut self, x: i32) -> Value {
        let c = self.b.ins().iconst(types::I32, i64::from(x as u32));
        let c = if self.ty == types::F32 { c } else { self.b.ins().splat(types::I32X4, c) };
        self.as_float(c)
    }

    fn add(&mut self, a: Value, b: Value) -> Value {
        self.b.ins().fadd(a, b)
    }

    fn subtract(&mut self, a: Value, b: Value) -> Value {
        self.b.ins().fsub(a, b)
    }

    fn multiply(&mut self, a: Value, b: Value) -> Value {
        self.b.ins().fmul(a, b)
    }

    fn divide(&mut self, a: Value, b: Value) -> Value {
        self.b.ins().fdiv(a, b)
    }

    fn negate(&mut self, a: Value) -> Value {
        self.b.ins().fneg(a)
    }

    fn absolute(&mut self, a: Value) -> Value {
        self.b.ins().fabs(a)
    }

    fn square_root(&mut self, a: Value) -> Value {
        self.b.ins().sqrt(a)
    }

    fn fma(&mut self, a: Value, b: Value, c: Value) -> Value {
        if self.has_fma {
            self.b.ins().fma(a, b, c)
        } else {
            let m = self.b.ins().fmul(a, b);
            self.b.ins().fadd(m, c)
        }
    }

    fn choose(&mut self, cc: Compare, left: Value, right: Value, a: Value, b: Value) -> Value {
        let cc = match cc {
            Compare::Less => FloatCC::LessThan,
            Compare::LessEqual => FloatCC::LessThanOrEqual,
            Compare::Greater => FloatCC::GreaterThan,
            Compare::Equal => FloatCC::Equal,
            Compare::NotEqual => FloatCC::NotEqual,
        };
        let mask = self.b.ins().fcmp(cc, left, right);
        if self.ty == types::F32 {
            self.b.ins().select(mask, a, b)
        } else {
            let mask = self.as_float(mask);
            self.b.ins().bitselect(mask, a, b)
        }
    }

    fn add_int(&mut self, a: Value, b: Value) -> Value {
        let (a, b) = (self.as_int(a), self.as_int(b));
        let x = self.b.ins().iadd(a, b);
        self.as_float(x)
    }

    fn subtract_int(&mut self, a: Value, b: Value) -> Value {
        let (a, b) = (self.as_int(a), self.as_int(b));
        let x = self.b.ins().isub(a, b);
        self.as_float(x)
    }

    fn and(&mut self, a: Value, b: Value) -> Value {
        let (a, b) = (self.as_int(a), self.as_int(b));
        let x = self.b.ins().band(a, b);
        self.as_float(x)
    }

    fn or(&mut self, a: Value, b: Value) -> Value {
        let (a, b) = (self.as_int(a), self.as_int(b));
        let x = self.b.ins().bor(a, b);
        self.as_float(x)
    }

    fn shift_left(&mut self, a: Value, by: u8) -> Value {
        let a = self.as_int(a);
        let x = self.b.ins().ishl_imm_u(a, i64::from(by));
        self.as_float(x)
    }

    fn shift_right(&mut self, a: Value, by: u8) -> Value {
        let a = self.as_int(a);
        let x = self.b.ins().sshr_imm_u(a, i64::from(by));
        self.as_float(x)
    }

    fn from_int(&mut self, a: Value) -> Value {
        let (a, ty) = (self.as_int(a), self.ty);
        self.b.ins().fcvt_from_sint(ty, a)
    }
}

/// The comparison on loop counters: `a < b`.
pub fn below(b: &mut FunctionBuilder<'_>, left: Value, right: Value) -> Value {
    b.ins().icmp(IntCC::SignedLessThan, left, right)
}
