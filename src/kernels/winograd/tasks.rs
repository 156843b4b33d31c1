//! Which part of a convolution each task owns.
//!
//! The cut depends on shapes and the width of panels only. Every element of a result belongs to one task.

use super::MicroKernel;
use crate::schedule::winograd::{Order, Winograd};
use std::ops::Range;

/// Tiles that a task ordered by image takes through all stages, roughly.
const TASK_TILES: usize = 64;
/// Outputs of a task that transforms its own filters: one pass over the tiles is for so many. By channel, where tiles stay in cache; in turn, where each task transforms
/// them; and there with a part of the result each, so that there are enough tasks.
const FILTER_OUTPUTS: [usize; 3] = [32, 64, 128];
/// Channels of the big image in a task of a filter gradient.
const GRADIENT_INPUTS: usize = 32;
/// Most channels of the small image in a task of a filter gradient.
const GRADIENT_OUTPUTS: usize = 256;

/// What one task of the main stage owns.
#[derive(Clone, Debug)]
pub struct WinogradTask {
    /// Images; all of them in a filter gradient.
    pub images: Range<usize>,
    /// Rows of tiles.
    pub rows: Range<usize>,
    /// Panels of channels of the result.
    pub panels: Range<usize>,
    /// Parts.
    pub parts: Range<usize>,
    /// Products of all its tiles, of an image.
    pub products: usize,
    /// The channels of the big image, of a filter gradient.
    pub gradient: Option<Range<usize>>,
}

impl WinogradTask {
    /// What it takes, relative to other tasks of the convolution.
    pub fn size(&self) -> usize {
        let inputs = self.gradient.as_ref().map_or(1, Range::len);
        self.images.len() * self.panels.len() * self.products * inputs
    }
}

/// The tasks of the main stage; `followed` says that something runs behind each on whole images.
pub fn winograd_tasks(w: &Winograd, kernel: &MicroKernel, followed: bool) -> Vec<WinogradTask> {
    let panels = w.outputs / kernel.columns;
    let (images, rows) = (w.images, w.tiles[0]);
    let parts = 0..w.parts.len();
    let products = |parts: Range<usize>, rows: &Range<usize>| parts.map(|p| w.products(p, rows.clone())).sum();
    match w.order {
        Order::ByImage => {
            let some = TASK_TILES.div_ceil(w.tiles_of_image()).min(images);
            let bands = if images > 1 { rows } else { TASK_TILES.div_ceil(w.tiles[1]).min(rows) };
            let task = |first: usize| {
                let images = first..(first + some).min(images);
                (0..rows).step_by(bands).map(move |r| r..(r + bands).min(rows)).map(move |rows| WinogradTask {
                    images: images.clone(),
                    products: products(0..w.parts.len(), &rows),
                    rows,
                    panels: 0..panels,
                    parts: 0..w.parts.len(),
                    gradient: None,
                })
            };
            (0..images).step_by(some).flat_map(task).collect()
        }
        Order::ByChannel | Order::InTurn => {
            let [few, many, apart] = FILTER_OUTPUTS;
            // Parts of the result that do not add up may be made by tasks of their own.
            let each = if w.joined || followed { parts.len() } else { 1 };
            let outputs = match w.order == Order::ByChannel {
                true => few,
                false if each == parts.len() => many,
                false => apart,
            };
            let some = (outputs / kernel.columns).max(1);
            let task = |first: usize, p: usize| WinogradTask {
                images: 0..images,
                rows: 0..rows,
                panels: p..(p + some).min(panels),
                parts: first..first + each,
                products: products(first..first + each, &(0..rows)),
                gradient: None,
            };
            parts.step_by(each).flat_map(|first| (0..panels).step_by(some).map(move |p| task(first, p))).collect()
        }
        Order::Gradient => {
            let most = (GRADIENT_OUTPUTS / kernel.columns).max(1);
            let mut tasks = Vec::new();
            for part in parts {
                for c in (0..w.inputs).step_by(GRADIENT_INPUTS) {
                    for p in (0..panels).step_by(most) {
                        tasks.push(WinogradTask {
                            images: 0..images,
                            rows: 0..rows,
                            panels: p..(p + most).min(panels),
                            parts: part..part + 1,
                            products: products(part..part + 1, &(0..rows)),
                            gradient: Some(c..(c + GRADIENT_INPUTS).min(w.inputs)),
                        });
                    }
                }
            }
            tasks
        }
    }
}

/// Tasks of the stage before: filters by part and panel, images by row of tiles.
pub fn transform_tasks(w: &Winograd, kernel: &MicroKernel) -> usize {
    match w.order {
        Order::ByImage => w.parts.len() * (w.outputs / kernel.columns),
        Order::ByChannel | Order::Gradient => w.images * w.tiles[0],
        Order::InTurn => 0,
    }
}
