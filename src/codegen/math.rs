//! Elementary functions as straight-line CLIF, the same for one lane and for four.
//!
//! No library is called: the polynomials below decide every bit, so a result does not depend on the host's `libm`. They were
//! fitted by iteratively reweighted least squares on Chebyshev nodes; the errors of the whole functions, in units in the last
//! place of the result, are asserted in `tests/kernels.rs`.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Type, Value, types};
use cranelift_frontend::FunctionBuilder;

/// `(e^r - 1 - r) / r^2` on `|r| <= ln(2)/2`.
const EXP: [f32; 6] = [0.5, 0.166_666_66, 0.041_666_295, 0.008_333_498, 0.001_394_470_3, 0.000_197_902_98];
/// `(log(1+m) - m + m^2/2) / m^3` on `sqrt(1/2) <= 1+m <= sqrt(2)`.
const LOG: [f32; 9] = [
    0.333_333_13,
    -0.250_000_1,
    0.200_021_19,
    -0.166_679_96,
    0.142_195_52,
    -0.124_055_89,
    0.118_881_62,
    -0.116_756_52,
    0.067_466_4,
];
/// `(tanh(x)/x - 1) / x^2` in `x^2`, on `|x| <= 0.625`.
const TANH: [f32; 6] = [-0.333_333_3, 0.133_332_1, -0.053_947_203, 0.021_702_97, -0.008_182_677, 0.002_147_54];
/// `erf(x)/x - 1` in `x^2`, on `|x| <= 1`.
const ERF_SMALL: [f32; 8] =
    [0.128_379_17, -0.376_126_38, 0.112_837_83, -0.026_865_445, 0.005_221_075, -0.000_848_471_2, 0.000_112_705_46, -9.680_14e-6];
/// `-log(erfc(x))` on `1 <= x <= 4`.
const ERF_LARGE: [f32; 10] = [
    -0.000_104_403_42,
    1.129_086_6,
    0.634_483_34,
    0.106_558_114,
    -0.023_478_897,
    0.003_152_823,
    -2.304_719e-5,
    -8.317_394_5e-5,
    1.503_023_9e-5,
    -9.382_385e-7,
];
/// Adding and subtracting `1.5 * 2^23` rounds to the nearest whole number.
const ROUND: f32 = 12_582_912.0;
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;

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
    fn int(&self) -> Type {
        if self.ty == types::F32 { types::I32 } else { types::I32X4 }
    }

    /// A number in every lane.
    pub fn constant(&mut self, x: f32) -> Value {
        let c = self.b.ins().f32const(x);
        if self.ty == types::F32 { c } else { self.b.ins().splat(self.ty, c) }
    }

    fn int_constant(&mut self, x: i32) -> Value {
        let c = self.b.ins().iconst(types::I32, i64::from(x as u32));
        if self.ty == types::F32 { c } else { self.b.ins().splat(types::I32X4, c) }
    }

    fn as_int(&mut self, x: Value) -> Value {
        let ty = self.int();
        self.b.ins().bitcast(ty, MemFlagsData::new().with_endianness(cranelift_codegen::ir::Endianness::Little), x)
    }

    fn as_float(&mut self, x: Value) -> Value {
        let ty = self.ty;
        self.b.ins().bitcast(ty, MemFlagsData::new().with_endianness(cranelift_codegen::ir::Endianness::Little), x)
    }

    /// `a*b + c`, in one rounding where the host can.
    pub fn fma(&mut self, a: Value, b: Value, c: Value) -> Value {
        if self.has_fma {
            self.b.ins().fma(a, b, c)
        } else {
            let m = self.b.ins().fmul(a, b);
            self.b.ins().fadd(m, c)
        }
    }

    /// `a` where the comparison holds, otherwise `b`.
    pub fn choose(&mut self, cc: FloatCC, left: Value, right: Value, a: Value, b: Value) -> Value {
        let mask = self.b.ins().fcmp(cc, left, right);
        self.pick(mask, a, b)
    }

    fn pick(&mut self, mask: Value, a: Value, b: Value) -> Value {
        if self.ty == types::F32 {
            self.b.ins().select(mask, a, b)
        } else {
            let mask = self.as_float(mask);
            self.b.ins().bitselect(mask, a, b)
        }
    }

    /// 1 where the comparison holds, otherwise 0.
    pub fn truth(&mut self, cc: FloatCC, left: Value, right: Value) -> Value {
        let (one, zero) = (self.constant(1.0), self.constant(0.0));
        self.choose(cc, left, right, one, zero)
    }

    fn polynomial(&mut self, coefficients: &[f32], x: Value) -> Value {
        let mut sum: Option<Value> = None;
        for &c in coefficients.iter().rev() {
            let c = self.constant(c);
            sum = Some(match sum {
                Some(s) => self.fma(s, x, c),
                None => c,
            });
        }
        sum.unwrap_or(x)
    }

    /// -1, 0 or 1.
    pub fn sign(&mut self, x: Value) -> Value {
        let zero = self.constant(0.0);
        let (up, down) = (self.truth(FloatCC::GreaterThan, x, zero), self.truth(FloatCC::LessThan, x, zero));
        self.b.ins().fsub(up, down)
    }

    /// `e^x`; infinity above 88.73, 0 below -87.
    pub fn exp(&mut self, x: Value) -> Value {
        let (high, low) = (self.constant(89.0), self.constant(-87.68));
        let x = self.choose(FloatCC::GreaterThan, x, high, high, x);
        let x = self.choose(FloatCC::LessThan, x, low, low, x);
        let (log2e, round) = (self.constant(std::f32::consts::LOG2_E), self.constant(ROUND));
        let shifted = self.fma(x, log2e, round);
        let n = self.b.ins().fsub(shifted, round);
        let (ln2_high, ln2_low) = (self.constant(-LN2_HIGH), self.constant(-LN2_LOW));
        let r = self.fma(n, ln2_high, x);
        let r = self.fma(n, ln2_low, r);
        let p = self.polynomial(&EXP, r);
        let square = self.b.ins().fmul(r, r);
        let p = self.fma(p, square, r);
        let one = self.constant(1.0);
        let p = self.b.ins().fadd(p, one);
        // 2^n as 2^(n-1) * 2, so that n = 128 overflows to infinity and n = -126, the least that -87.68 leads to, gives 0.
        let bits = self.as_int(shifted);
        let bias = self.int_constant(126 - 0x4B40_0000);
        let exponent = self.b.ins().iadd(bits, bias);
        let exponent = self.shift_left(exponent, 23);
        let scale = self.as_float(exponent);
        let p = self.b.ins().fmul(p, scale);
        let two = self.constant(2.0);
        self.b.ins().fmul(p, two)
    }

    fn shift_left(&mut self, x: Value, by: i64) -> Value {
        self.b.ins().ishl_imm_u(x, by)
    }

    /// Natural logarithm; -infinity of 0, NaN of negative numbers.
    pub fn log(&mut self, x: Value) -> Value {
        let bits = self.as_int(x);
        // Split so that the mantissa lies in [sqrt(1/2), sqrt(2)).
        let offset = self.int_constant(0x3F35_04F3);
        let moved = self.b.ins().isub(bits, offset);
        let exponent = self.b.ins().sshr_imm_u(moved, 23);
        let whole = self.shift_left(exponent, 23);
        let mantissa = self.b.ins().isub(bits, whole);
        let mantissa = self.as_float(mantissa);
        let float = self.ty;
        let e = self.b.ins().fcvt_from_sint(float, exponent);
        let one = self.constant(1.0);
        let m = self.b.ins().fsub(mantissa, one);
        let square = self.b.ins().fmul(m, m);
        let cube = self.b.ins().fmul(square, m);
        let p = self.polynomial(&LOG, m);
        let half = self.constant(-0.5);
        let tail = self.b.ins().fmul(p, cube);
        let tail = self.fma(square, half, tail);
        let (ln2_high, ln2_low) = (self.constant(LN2_HIGH), self.constant(LN2_LOW));
        let tail = self.fma(e, ln2_low, tail);
        let sum = self.b.ins().fadd(m, tail);
        let result = self.fma(e, ln2_high, sum);
        let (zero, infinity) = (self.constant(0.0), self.constant(f32::INFINITY));
        let (minus, nan) = (self.constant(f32::NEG_INFINITY), self.constant(f32::NAN));
        let result = self.choose(FloatCC::LessThan, x, infinity, result, x);
        // Subnormal numbers count as 0, as they do everywhere in a run.
        let tiny = self.constant(f32::MIN_POSITIVE);
        let below = self.choose(FloatCC::LessThan, x, zero, nan, minus);
        self.choose(FloatCC::LessThan, x, tiny, below, result)
    }

    /// `log(1 + e)` for `0 <= e <= 1`.
    fn log_1p_small(&mut self, e: Value) -> Value {
        let one = self.constant(1.0);
        let u = self.b.ins().fadd(one, e);
        let back = self.b.ins().fsub(u, one);
        let lost = self.b.ins().fsub(e, back);
        let fix = self.b.ins().fdiv(lost, u);
        let log = self.log(u);
        self.b.ins().fadd(log, fix)
    }

    /// `max(x, 0) + log1p(e^-|x|)`.
    pub fn softplus(&mut self, x: Value) -> Value {
        let zero = self.constant(0.0);
        let positive = self.choose(FloatCC::LessThan, x, zero, zero, x);
        let absolute = self.b.ins().fabs(x);
        let negative = self.b.ins().fneg(absolute);
        let e = self.exp(negative);
        let log = self.log_1p_small(e);
        self.b.ins().fadd(positive, log)
    }

    /// `1 / (1 + e^-x)`.
    pub fn sigmoid(&mut self, x: Value) -> Value {
        let negative = self.b.ins().fneg(x);
        let e = self.exp(negative);
        let one = self.constant(1.0);
        let below = self.b.ins().fadd(one, e);
        self.b.ins().fdiv(one, below)
    }

    /// Hyperbolic tangent.
    pub fn tanh(&mut self, x: Value) -> Value {
        let square = self.b.ins().fmul(x, x);
        let p = self.polynomial(&TANH, square);
        let cube = self.b.ins().fmul(square, x);
        let small = self.fma(p, cube, x);
        let absolute = self.b.ins().fabs(x);
        let double = self.b.ins().fadd(absolute, absolute);
        let e = self.exp(double);
        let (one, two) = (self.constant(1.0), self.constant(2.0));
        let below = self.b.ins().fadd(e, one);
        let part = self.b.ins().fdiv(two, below);
        let large = self.b.ins().fsub(one, part);
        let large = self.copy_sign(large, x);
        let bound = self.constant(0.625);
        self.choose(FloatCC::LessThan, absolute, bound, small, large)
    }

    fn copy_sign(&mut self, magnitude: Value, sign: Value) -> Value {
        let (m, s) = (self.as_int(magnitude), self.as_int(sign));
        let mask = self.int_constant(i32::MIN);
        let s = self.b.ins().band(s, mask);
        let joined = self.b.ins().bor(m, s);
        self.as_float(joined)
    }

    /// The error function.
    pub fn erf(&mut self, x: Value) -> Value {
        let square = self.b.ins().fmul(x, x);
        let p = self.polynomial(&ERF_SMALL, square);
        let small = self.fma(p, x, x);
        let absolute = self.b.ins().fabs(x);
        let four = self.constant(4.0);
        let clamped = self.choose(FloatCC::GreaterThan, absolute, four, four, absolute);
        let p = self.polynomial(&ERF_LARGE, clamped);
        let negative = self.b.ins().fneg(p);
        let e = self.exp(negative);
        let one = self.constant(1.0);
        let large = self.b.ins().fsub(one, e);
        let large = self.copy_sign(large, x);
        self.choose(FloatCC::LessThan, absolute, one, small, large)
    }

    /// Whether lanes of `mask` (1 or 0 as numbers) are set: `a` where not zero.
    pub fn select(&mut self, condition: Value, a: Value, b: Value) -> Value {
        let zero = self.constant(0.0);
        self.choose(FloatCC::NotEqual, condition, zero, a, b)
    }
}

/// The comparison on loop counters: `a < b`.
pub fn below(b: &mut FunctionBuilder<'_>, left: Value, right: Value) -> Value {
    b.ins().icmp(IntCC::SignedLessThan, left, right)
}
