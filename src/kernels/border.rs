//! Zeros around an image.

/// Zeroes what lies in a tensor of `shape` at `start` but not in the inner tensor at `low` of shape `inner`; all of it where
/// `inner` is empty.
///
/// # Safety
/// `start` points to as many elements as `shape` has, which nobody else uses meanwhile.
pub unsafe fn zero_border(start: *mut f32, shape: &[usize], low: &[usize], inner: &[usize]) {
    let len: usize = shape.iter().product();
    if inner.is_empty() {
        // SAFETY: the whole tensor is the caller's to give.
        unsafe { std::ptr::write_bytes(start, 0, len) };
        return;
    }
    if shape == inner {
        return;
    }
    let block = len / shape[0];
    for i in 0..shape[0] {
        // SAFETY: `i` is inside the first axis.
        let at = unsafe { start.add(i * block) };
        if i < low[0] || i >= low[0] + inner[0] {
            // SAFETY: one block of the tensor.
            unsafe { std::ptr::write_bytes(at, 0, block) };
        } else if shape.len() > 1 {
            // SAFETY: one block of the tensor, which has the remaining axes.
            unsafe { zero_border(at, &shape[1..], &low[1..], &inner[1..]) };
        }
    }
}
