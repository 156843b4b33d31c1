//! The two number types the interpreter runs in.

use std::fmt::Debug;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// `f32` or `f64`.
pub trait Number:
    Copy
    + Debug
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + 'static
{
    /// 0
    const ZERO: Self;
    /// 1
    const ONE: Self;
    /// The nearest number.
    fn from_f32(x: f32) -> Self;
    /// The number, possibly widened.
    fn to_f64(self) -> f64;
    /// `e^x`
    fn exp(self) -> Self;
    /// natural logarithm
    fn ln(self) -> Self;
    /// `log(1 + x)`
    fn ln_1p(self) -> Self;
    /// square root
    fn sqrt(self) -> Self;
    /// absolute value
    fn abs(self) -> Self;
    /// hyperbolic tangent
    fn tanh(self) -> Self;
    /// error function
    fn erf(self) -> Self;
}

macro_rules! number {
    ($t:ty, $erf:path) => {
        impl Number for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            fn from_f32(x: f32) -> Self {
                x.into()
            }
            fn to_f64(self) -> f64 {
                self.into()
            }
            fn exp(self) -> Self {
                self.exp()
            }
            fn ln(self) -> Self {
                self.ln()
            }
            fn ln_1p(self) -> Self {
                self.ln_1p()
            }
            fn sqrt(self) -> Self {
                self.sqrt()
            }
            fn abs(self) -> Self {
                self.abs()
            }
            fn tanh(self) -> Self {
                self.tanh()
            }
            fn erf(self) -> Self {
                $erf(self)
            }
        }
    };
}

number!(f32, libm::erff);
number!(f64, libm::erf);
