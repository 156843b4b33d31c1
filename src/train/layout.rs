//! Tensors between the layout of the graphs and PyTorch's, which files on disk use.

use crate::build::Layout;
use crate::model::layers::{inside, to_user};

/// Elements in PyTorch's order from elements in the inside order.
pub fn to_torch(layout: &Layout, inside: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; inside.len()];
    for_each(layout, |torch, at| out[torch] = inside[at]);
    out
}

/// Elements in the inside order from elements in PyTorch's order.
pub fn from_torch(layout: &Layout, torch: &[f32], inside: &mut [f32]) {
    for_each(layout, |from, at| inside[at] = torch[from]);
}

/// Calls `f(position in PyTorch's order, position inside)` for every element.
fn for_each(layout: &Layout, mut f: impl FnMut(usize, usize)) {
    let strides = crate::schedule::contiguous(&layout.split);
    let sizes: Vec<usize> = layout.perm.iter().map(|&p| layout.split[p]).collect();
    let steps: Vec<usize> = layout.perm.iter().map(|&p| strides[p]).collect();
    let mut index = vec![0; sizes.len()];
    let mut at = 0;
    for torch in 0..sizes.iter().product() {
        f(torch, at);
        for axis in (0..sizes.len()).rev() {
            index[axis] += 1;
            at += steps[axis];
            if index[axis] < sizes[axis] {
                break;
            }
            at -= steps[axis] * sizes[axis];
            index[axis] = 0;
        }
    }
}

/// The layout of `n` samples of a shape.
pub fn batched(n: usize, shape: &[usize]) -> Layout {
    let full = [vec![n], shape.to_vec()].concat();
    Layout { shape: full, split: [vec![n], inside(shape)].concat(), perm: to_user(shape.len()) }
}
