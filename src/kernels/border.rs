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
    let (block, end) = (len / shape[0], low[0] + inner[0]);
    // SAFETY: the blocks before and after the inner ones; of those the remaining axes.
    unsafe {
        std::ptr::write_bytes(start, 0, low[0] * block);
        std::ptr::write_bytes(start.add(end * block), 0, (shape[0] - end) * block);
        if shape[1..] != inner[1..] {
            (low[0]..end).for_each(|i| zero_border(start.add(i * block), &shape[1..], &low[1..], &inner[1..]));
        }
    }
}
