//! Vectors as wide as the CPU has them.

use std::arch::x86_64::{
    __m256, __m512, _CMP_NEQ_UQ, _mm256_add_ps, _mm256_cmp_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_movemask_ps,
    _mm256_mul_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps, _mm256_stream_ps, _mm256_sub_ps, _mm512_add_ps,
    _mm512_cmp_ps_mask, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mul_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps,
    _mm512_stream_ps, _mm512_sub_ps,
};

/// A vector of numbers. Only for code that runs where the CPU has such vectors: whoever names a type of this trait vouches for it.
pub trait Lanes: Copy {
    /// Numbers in it.
    const WIDTH: usize;
    /// All zeros.
    fn zero() -> Self;
    /// # Safety
    /// `WIDTH` numbers are readable at `from`.
    unsafe fn load(from: *const f32) -> Self;
    /// # Safety
    /// `WIDTH` numbers are writable at `to`.
    unsafe fn store(self, to: *mut f32);
    /// Writes past the caches: for what is read much later.
    ///
    /// # Safety
    /// `WIDTH` numbers are writable at `to`, a multiple of the vector's size.
    unsafe fn stream(self, to: *mut f32);
    /// The sum.
    fn add(self, other: Self) -> Self;
    /// The difference.
    fn sub(self, other: Self) -> Self;
    /// The product with a number.
    fn times(self, factor: f32) -> Self;
    /// `self + other * factor`, rounded once.
    fn plus(self, other: Self, factor: f32) -> Self;
    /// Which numbers are not 0, the first in the lowest bit.
    fn not_zero(self) -> u32;
}

macro_rules! lanes {
    ($name:ident, $vector:ty, $width:literal, $doc:literal, $zero:ident $load:ident $store:ident $stream:ident $add:ident $sub:ident $mul:ident $set:ident $fma:ident, |$x:ident| $not_zero:expr) => {
        #[doc = $doc]
        #[derive(Clone, Copy)]
        pub struct $name($vector);

        impl Lanes for $name {
            const WIDTH: usize = $width;
            #[inline(always)]
            fn zero() -> Self {
                // SAFETY: the CPU has such vectors (see the trait).
                Self(unsafe { $zero() })
            }
            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                // SAFETY: passed on from the caller; the CPU has such vectors.
                Self(unsafe { $load(from) })
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                // SAFETY: passed on from the caller; the CPU has such vectors.
                unsafe { $store(to, self.0) }
            }
            #[inline(always)]
            unsafe fn stream(self, to: *mut f32) {
                // SAFETY: passed on from the caller; the CPU has such vectors.
                unsafe { $stream(to, self.0) }
            }
            #[inline(always)]
            fn add(self, other: Self) -> Self {
                // SAFETY: the CPU has such vectors.
                Self(unsafe { $add(self.0, other.0) })
            }
            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                // SAFETY: the CPU has such vectors.
                Self(unsafe { $sub(self.0, other.0) })
            }
            #[inline(always)]
            fn times(self, factor: f32) -> Self {
                // SAFETY: the CPU has such vectors.
                Self(unsafe { $mul(self.0, $set(factor)) })
            }
            #[inline(always)]
            fn plus(self, other: Self, factor: f32) -> Self {
                // SAFETY: the CPU has such vectors.
                Self(unsafe { $fma(other.0, $set(factor), self.0) })
            }
            #[inline(always)]
            fn not_zero(self) -> u32 {
                let $x = self.0;
                // SAFETY: the CPU has such vectors.
                unsafe { $not_zero }
            }
        }
    };
}

lanes!(Eight, __m256, 8, "Eight numbers, with AVX2 and FMA.",
    _mm256_setzero_ps _mm256_loadu_ps _mm256_storeu_ps _mm256_stream_ps _mm256_add_ps _mm256_sub_ps _mm256_mul_ps _mm256_set1_ps _mm256_fmadd_ps,
    |x| _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_NEQ_UQ>(x, _mm256_setzero_ps())) as u32);
lanes!(Sixteen, __m512, 16, "Sixteen numbers, with AVX-512.",
    _mm512_setzero_ps _mm512_loadu_ps _mm512_storeu_ps _mm512_stream_ps _mm512_add_ps _mm512_sub_ps _mm512_mul_ps _mm512_set1_ps _mm512_fmadd_ps,
    |x| u32::from(_mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(x, _mm512_setzero_ps())));
