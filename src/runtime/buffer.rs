//! Memory for tensors.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};

/// Buffers start at cache lines; large ones at the size of a huge page, so that the system can use such pages.
const LINE: usize = 64;
const HUGE: usize = 2 << 20;
/// Vectors may read this much past the end.
const SLACK: usize = 64;

/// A zeroed array of numbers that other threads may fill through its address.
pub struct Buffer {
    start: *mut f32,
    len: usize,
    layout: Layout,
}

// SAFETY: a buffer owns its memory; who may touch it when is decided by the executor's stages.
unsafe impl Send for Buffer {}
// SAFETY: as above.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// `len` zeros.
    pub fn new(len: usize) -> Buffer {
        let bytes = len * 4 + SLACK;
        let align = if bytes >= HUGE { HUGE } else { LINE };
        let Ok(layout) = Layout::from_size_align(bytes.next_multiple_of(align), align) else {
            panic!("a buffer of {len} elements")
        };
        // SAFETY: the layout has a size above 0.
        let start = unsafe { alloc_zeroed(layout) }.cast::<f32>();
        if start.is_null() {
            handle_alloc_error(layout);
        }
        #[cfg(target_os = "linux")]
        if bytes >= HUGE {
            // SAFETY: the range is this allocation. Advice may be refused; nothing depends on it.
            unsafe { libc::madvise(start.cast(), layout.size(), libc::MADV_HUGEPAGE) };
        }
        Buffer { start, len, layout }
    }

    /// Address of the first element.
    pub fn address(&self) -> *mut f32 {
        self.start
    }

    /// The elements.
    pub fn slice(&self) -> &[f32] {
        // SAFETY: the memory is owned, initialised, and not written while a run is not under way.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }

    /// The elements, to be written.
    pub fn slice_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above, and `self` is borrowed for writing.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.len) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.start.cast(), self.layout) }
    }
}
