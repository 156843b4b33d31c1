//! Asking for memory before it is needed.
//!
//! A product keeps the unit of arithmetic busy and leaves the way to memory idle; what the next product or the epilogue is going to read
//! is asked for meanwhile, a few lines with each tile, or several times while a large one is computed. Hardware does so by itself only within a page, and only when rows are long.
//!
//! A line that will be written is asked for as this core's own: what another core has read, too, must be taken from it before it can be
//! written, which takes as long as to fetch it from there.

/// Most operands of an epilogue that are asked for while its product runs.
pub const MOST_AHEAD: usize = 4;
/// Bytes of a line of the cache.
const LINE: usize = 64;

/// Rows of memory that will be read soon; asked for a few lines at a time. It is only a hint: nothing is read.
#[derive(Clone, Copy)]
pub struct Ahead {
    row: *const f32,
    rows: usize,
    /// From row to row, in numbers.
    step: usize,
    /// Lines of a row.
    lines: usize,
    /// Lines of the first row that were asked for.
    done: usize,
    /// Lines to ask for at a time.
    each: usize,
    /// Whether they will be written, too.
    written: bool,
}

impl Ahead {
    /// Nothing.
    pub const NOTHING: Ahead = Ahead { row: std::ptr::null(), rows: 0, step: 0, lines: 0, done: 0, each: 0, written: false };

    /// `rows` rows of `len` numbers, `step` apart, in `times` portions.
    pub fn new(from: *const f32, rows: usize, step: usize, len: usize, times: usize) -> Ahead {
        let lines = (len * 4).div_ceil(LINE);
        Ahead { row: from, rows, step, lines, done: 0, each: (rows * lines).div_ceil(times.max(1)), written: false }
    }

    /// As `self`, for memory that will also be written where `written` says so.
    pub fn to_write(self, written: bool) -> Ahead {
        Ahead { written, ..self }
    }

    /// Whether something is left to ask for.
    pub fn is_left(&self) -> bool {
        self.rows > 0 && self.each > 0
    }

    /// Asks for the next portion.
    #[inline(always)]
    pub fn ask(&mut self) {
        let mut left = self.each;
        while left > 0 && self.rows > 0 {
            let some = left.min(self.lines - self.done);
            for line in self.done..self.done + some {
                let line = self.row.wrapping_byte_add(line * LINE);
                if self.written { ask_to_write(line) } else { ask(line) }
            }
            left -= some;
            self.done += some;
            if self.done == self.lines {
                (self.done, self.rows, self.row) = (0, self.rows - 1, self.row.wrapping_add(self.step));
            }
        }
    }
}

/// Asks for one line, to be kept in the second-level cache.
#[inline(always)]
pub fn ask(address: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint; addresses that nobody may read are passed over.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(address.cast())
    };
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Asks for one line, to be written.
#[inline(always)]
pub fn ask_to_write(address: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint; addresses that nobody may write are passed over.
    unsafe {
        std::arch::asm!("prefetchw [{}]", in(reg) address, options(nostack, preserves_flags, readonly))
    };
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
