//! Memory for tensors.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};

/// Buffers start at cache lines.
const LINE: usize = 64;
/// From this size on, memory comes in pages straight from the system, which zeroes them when they are first touched, and may
/// be asked for huge ones.
const HUGE: usize = 2 << 20;
/// Vectors may read this much past the end.
const SLACK: usize = 64;

/// A zeroed array of numbers that other threads may fill through its address.
pub struct Buffer {
    start: *mut f32,
    len: usize,
    layout: Layout,
    mapped: bool,
}

// SAFETY: a buffer owns its memory; who may touch it when is decided by the executor's stages.
unsafe impl Send for Buffer {}
// SAFETY: as above.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// `len` zeros.
    pub fn new(len: usize) -> Buffer {
        let bytes = len * 4 + SLACK;
        let size = if bytes >= HUGE { bytes.next_multiple_of(HUGE) } else { bytes.next_multiple_of(LINE) };
        let Ok(layout) = Layout::from_size_align(size, LINE) else { panic!("a buffer of {len} elements") };
        if bytes >= HUGE
            && let Some(start) = map(size)
        {
            return Buffer { start, len, layout, mapped: true };
        }
        // SAFETY: the layout has a size above 0.
        let start = unsafe { alloc_zeroed(layout) }.cast::<f32>();
        if start.is_null() {
            handle_alloc_error(layout);
        }
        Buffer { start, len, layout, mapped: false }
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
        #[cfg(unix)]
        if self.mapped {
            // SAFETY: mapped with this size.
            unsafe { libc::munmap(self.start.cast(), self.layout.size()) };
            return;
        }
        debug_assert!(!self.mapped);
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.start.cast(), self.layout) }
    }
}

/// Fresh pages, huge ones where the system agrees.
#[cfg(unix)]
fn map(size: usize) -> Option<*mut f32> {
    // SAFETY: a new private mapping at a place of the system's choice.
    let start = unsafe {
        libc::mmap(std::ptr::null_mut(), size, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
    };
    if start == libc::MAP_FAILED {
        return None;
    }
    #[cfg(target_os = "linux")]
    // SAFETY: the range is this mapping. Advice may be refused; nothing depends on it.
    unsafe {
        libc::madvise(start, size, libc::MADV_HUGEPAGE)
    };
    Some(start.cast())
}

#[cfg(not(unix))]
fn map(_: usize) -> Option<*mut f32> {
    None
}
