//! Loop nests as machine code with vectors of 256 bits, which Cranelift has not: for x86-64 with AVX2 and FMA.
//!
//! The code has the signature and the loops that `nest` describes; vectors have eight lanes, and what is left of a loop is one more vector
//! of which only some lanes are stored or summed up. Loads may read past the end of a row: buffers have room for it, and what they find
//! does not count. What a loop does not change is computed before it and kept in the frame.

mod body;
mod encode;
mod loops;
mod straight;

pub use loops::emit;
