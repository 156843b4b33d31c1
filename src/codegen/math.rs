//! Elementary functions as straight-line arithmetic, the same for every number of lanes and every emitter.
//!
//! No library is called: the polynomials below decide every bit, so a result does not depend on the host's `libm`. They were
//! fitted by iteratively reweighted least squares on Chebyshev nodes; the errors of the whole functions, in units in the last
//! place of the result, are asserted in `tests/kernels.rs`.

use crate::graph::{Binary, Reduce, Unary};

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

/// Comparisons; not ordered numbers are only not equal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Compare {
    Less,
    LessEqual,
    Greater,
    Equal,
    NotEqual,
}

/// What a reduction starts from.
pub fn neutral(kind: Reduce) -> f32 {
    match kind {
        Reduce::Sum => 0.0,
        Reduce::Max => f32::NEG_INFINITY,
    }
}

/// Arithmetic on lanes of 32 bits that an emitter provides, and what follows from it.
pub trait Arithmetic {
    /// A value in every lane.
    type V: Copy;

    /// A number in every lane.
    fn constant(&mut self, x: f32) -> Self::V;
    /// A whole number in every lane.
    fn int_constant(&mut self, x: i32) -> Self::V;
    fn add(&mut self, a: Self::V, b: Self::V) -> Self::V;
    fn subtract(&mut self, a: Self::V, b: Self::V) -> Self::V;
    fn multiply(&mut self, a: Self::V, b: Self::V) -> Self::V;
    fn divide(&mut self, a: Self::V, b: Self::V) -> Self::V;
    fn negate(&mut self, a: Self::V) -> Self::V;
    fn absolute(&mut self, a: Self::V) -> Self::V;
    fn square_root(&mut self, a: Self::V) -> Self::V;
    /// `a*b + c`, in one rounding where the host can.
    fn fma(&mut self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `a` where the comparison holds, otherwise `b`.
    fn choose(&mut self, cc: Compare, left: Self::V, right: Self::V, a: Self::V, b: Self::V) -> Self::V;
    fn add_int(&mut self, a: Self::V, b: Self::V) -> Self::V;
    fn subtract_int(&mut self, a: Self::V, b: Self::V) -> Self::V;
    fn and(&mut self, a: Self::V, b: Self::V) -> Self::V;
    fn or(&mut self, a: Self::V, b: Self::V) -> Self::V;
    fn shift_left(&mut self, a: Self::V, by: u8) -> Self::V;
    /// Keeps the sign.
    fn shift_right(&mut self, a: Self::V, by: u8) -> Self::V;
    /// Whole numbers as numbers.
    fn from_int(&mut self, a: Self::V) -> Self::V;

    /// 1 where the comparison holds, otherwise 0.
    fn truth(&mut self, cc: Compare, left: Self::V, right: Self::V) -> Self::V {
        let (one, zero) = (self.constant(1.0), self.constant(0.0));
        self.choose(cc, left, right, one, zero)
    }

    fn polynomial(&mut self, coefficients: &[f32], x: Self::V) -> Self::V {
        let mut sum: Option<Self::V> = None;
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
    fn sign(&mut self, x: Self::V) -> Self::V {
        let zero = self.constant(0.0);
        let (up, down) = (self.truth(Compare::Greater, x, zero), self.truth(Compare::Less, x, zero));
        self.subtract(up, down)
    }

    /// `e^x`; infinity above 88.73, 0 below -87.
    fn exp(&mut self, x: Self::V) -> Self::V {
        let high = self.constant(89.0);
        let x = self.choose(Compare::Greater, x, high, high, x);
        let (p, shifted) = self.exp_parts(x);
        // 2^n as 2^(n-1) * 2, so that n = 128 overflows to infinity and n = -126, the least that -87.68 leads to, gives 0.
        let bias = self.int_constant(126 - 0x4B40_0000);
        let exponent = self.add_int(shifted, bias);
        let scale = self.shift_left(exponent, 23);
        let p = self.multiply(p, scale);
        let two = self.constant(2.0);
        self.multiply(p, two)
    }

    /// `e^-|x|`, as [`Arithmetic::exp`] has it: of no more than 1, nothing overflows.
    fn exp_of_minus(&mut self, x: Self::V) -> Self::V {
        let sign = self.int_constant(i32::MIN);
        let negative = self.or(x, sign);
        let (p, shifted) = self.exp_parts(negative);
        let bias = self.int_constant(127 - 0x4B40_0000);
        let exponent = self.add_int(shifted, bias);
        let scale = self.shift_left(exponent, 23);
        self.multiply(p, scale)
    }

    /// `x` as `n*ln(2) + r`: `e^r`, and `n` as a whole number added to the bits of [`ROUND`].
    fn exp_parts(&mut self, x: Self::V) -> (Self::V, Self::V) {
        let low = self.constant(-87.68);
        let x = self.choose(Compare::Less, x, low, low, x);
        let (log2e, round) = (self.constant(std::f32::consts::LOG2_E), self.constant(ROUND));
        let shifted = self.fma(x, log2e, round);
        let n = self.subtract(shifted, round);
        let (ln2_high, ln2_low) = (self.constant(-LN2_HIGH), self.constant(-LN2_LOW));
        let r = self.fma(n, ln2_high, x);
        let r = self.fma(n, ln2_low, r);
        let p = self.polynomial(&EXP, r);
        let square = self.multiply(r, r);
        let p = self.fma(p, square, r);
        let one = self.constant(1.0);
        (self.add(p, one), shifted)
    }

    /// Natural logarithm; -infinity of 0, NaN of negative numbers.
    fn log(&mut self, x: Self::V) -> Self::V {
        let result = self.log_of_normal(x);
        let (zero, infinity) = (self.constant(0.0), self.constant(f32::INFINITY));
        let (minus, nan) = (self.constant(f32::NEG_INFINITY), self.constant(f32::NAN));
        let result = self.choose(Compare::Less, x, infinity, result, x);
        // Subnormal numbers count as 0, as they do everywhere in a run.
        let tiny = self.constant(f32::MIN_POSITIVE);
        let below = self.choose(Compare::Less, x, zero, nan, minus);
        self.choose(Compare::Less, x, tiny, below, result)
    }

    /// Natural logarithm of positive normal numbers.
    fn log_of_normal(&mut self, x: Self::V) -> Self::V {
        // Split so that the mantissa lies in [sqrt(1/2), sqrt(2)).
        let offset = self.int_constant(0x3F35_04F3);
        let moved = self.subtract_int(x, offset);
        let exponent = self.shift_right(moved, 23);
        let whole = self.shift_left(exponent, 23);
        let mantissa = self.subtract_int(x, whole);
        let e = self.from_int(exponent);
        let one = self.constant(1.0);
        let m = self.subtract(mantissa, one);
        self.log_of_split(m, e)
    }

    /// `log(1 + m) + e*ln(2)`, where `1 + m` lies between the square roots of 1/2 and 2.
    fn log_of_split(&mut self, m: Self::V, e: Self::V) -> Self::V {
        let square = self.multiply(m, m);
        let cube = self.multiply(square, m);
        let p = self.polynomial(&LOG, m);
        let half = self.constant(-0.5);
        let tail = self.multiply(p, cube);
        let tail = self.fma(square, half, tail);
        let (ln2_high, ln2_low) = (self.constant(LN2_HIGH), self.constant(LN2_LOW));
        let tail = self.fma(e, ln2_low, tail);
        let sum = self.add(m, tail);
        self.fma(e, ln2_high, sum)
    }

    /// `log(1 + x)` for `0 <= x <= 1`: above the square root of 2, `1 + x` is halved, which is `1 + (x - 1)/2`, so that the sum need not be
    /// rounded.
    fn log_1p_small(&mut self, x: Self::V) -> Self::V {
        let (most, half, minus) = (self.constant(std::f32::consts::SQRT_2 - 1.0), self.constant(0.5), self.constant(-0.5));
        let halved = self.fma(x, half, minus);
        let m = self.choose(Compare::Less, most, x, halved, x);
        let e = self.truth(Compare::Less, most, x);
        self.log_of_split(m, e)
    }

    /// `max(x, 0) + log1p(e^-|x|)`.
    fn softplus(&mut self, x: Self::V) -> Self::V {
        let zero = self.constant(0.0);
        let positive = self.choose(Compare::Less, x, zero, zero, x);
        let e = self.exp_of_minus(x);
        let log = self.log_1p_small(e);
        self.add(positive, log)
    }

    /// `1 / (1 + e^-x)`; `e^x / (1 + e^x)` below 0. So it has its exponential in common with [`Arithmetic::softplus`], whose gradient it is.
    fn sigmoid(&mut self, x: Self::V) -> Self::V {
        let (zero, one) = (self.constant(0.0), self.constant(1.0));
        let e = self.exp_of_minus(x);
        let below = self.add(one, e);
        let above = self.choose(Compare::Less, x, zero, e, one);
        self.divide(above, below)
    }

    /// Hyperbolic tangent.
    fn tanh(&mut self, x: Self::V) -> Self::V {
        let square = self.multiply(x, x);
        let p = self.polynomial(&TANH, square);
        let cube = self.multiply(square, x);
        let small = self.fma(p, cube, x);
        let absolute = self.absolute(x);
        let double = self.add(absolute, absolute);
        let e = self.exp(double);
        let (one, two) = (self.constant(1.0), self.constant(2.0));
        let below = self.add(e, one);
        let part = self.divide(two, below);
        let large = self.subtract(one, part);
        let large = self.copy_sign(large, x);
        let bound = self.constant(0.625);
        self.choose(Compare::Less, absolute, bound, small, large)
    }

    fn copy_sign(&mut self, magnitude: Self::V, sign: Self::V) -> Self::V {
        let mask = self.int_constant(i32::MIN);
        let sign = self.and(sign, mask);
        self.or(magnitude, sign)
    }

    /// The error function.
    fn erf(&mut self, x: Self::V) -> Self::V {
        let square = self.multiply(x, x);
        let p = self.polynomial(&ERF_SMALL, square);
        let small = self.fma(p, x, x);
        let absolute = self.absolute(x);
        let four = self.constant(4.0);
        let clamped = self.choose(Compare::Greater, absolute, four, four, absolute);
        let p = self.polynomial(&ERF_LARGE, clamped);
        let negative = self.negate(p);
        let e = self.exp(negative);
        let one = self.constant(1.0);
        let large = self.subtract(one, e);
        let large = self.copy_sign(large, x);
        self.choose(Compare::Less, absolute, one, small, large)
    }

    /// Whether lanes of `mask` (1 or 0 as numbers) are set: `a` where not zero.
    fn select(&mut self, condition: Self::V, a: Self::V, b: Self::V) -> Self::V {
        let zero = self.constant(0.0);
        self.choose(Compare::NotEqual, condition, zero, a, b)
    }

    /// A function of one register.
    fn unary(&mut self, f: Unary, x: Self::V) -> Self::V {
        match f {
            Unary::Neg => self.negate(x),
            Unary::Exp => self.exp(x),
            Unary::Log => self.log(x),
            Unary::Sqrt => self.square_root(x),
            Unary::Abs => self.absolute(x),
            Unary::Sign => self.sign(x),
            Unary::Tanh => self.tanh(x),
            Unary::Sigmoid => self.sigmoid(x),
            Unary::Softplus => self.softplus(x),
            Unary::Erf => self.erf(x),
            Unary::Detach => x,
        }
    }

    /// A function of two registers.
    fn binary(&mut self, f: Binary, x: Self::V, y: Self::V) -> Self::V {
        match f {
            Binary::Add => self.add(x, y),
            Binary::Sub => self.subtract(x, y),
            Binary::Mul => self.multiply(x, y),
            Binary::Div => self.divide(x, y),
            Binary::Max => self.choose(Compare::Greater, x, y, x, y),
            Binary::Min => self.choose(Compare::Less, x, y, x, y),
            Binary::Lt => self.truth(Compare::Less, x, y),
            Binary::Le => self.truth(Compare::LessEqual, x, y),
            Binary::Eq => self.truth(Compare::Equal, x, y),
        }
    }

    /// One step of a reduction.
    fn combine(&mut self, kind: Reduce, a: Self::V, b: Self::V) -> Self::V {
        match kind {
            Reduce::Sum => self.add(a, b),
            Reduce::Max => self.choose(Compare::Greater, a, b, a, b),
        }
    }
}
