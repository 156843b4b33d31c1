//! Stages: a kernel runs in the first stage after everything it waits for.

use super::emit::{Emitted, Raw};
use super::{Buffer, BufferId, Kernel};

/// Kernels with stages, in order of them.
pub struct Ordered {
    /// All kernels.
    pub kernels: Vec<Kernel>,
    /// All buffers.
    pub buffers: Vec<Buffer>,
    /// Results: name and buffer.
    pub results: Vec<(String, BufferId)>,
}

/// Gives every kernel its stage.
pub fn into_stages(emitted: Emitted) -> Ordered {
    let Emitted { kernels, buffers, results } = emitted;
    let mut stages: Vec<Option<usize>> = vec![None; kernels.len()];
    for k in 0..kernels.len() {
        stage_of(&kernels, &mut stages, k);
    }
    let mut ordered: Vec<Kernel> = kernels
        .into_iter()
        .zip(stages)
        .map(|(raw, stage)| Kernel {
            kind: raw.kind,
            stage: stage.unwrap_or(0),
            reads: raw.reads,
            writes: raw.writes,
            ends: raw.ends,
        })
        .collect();
    ordered.sort_by_key(|k| k.stage);
    Ordered { kernels: ordered, buffers, results }
}

/// Depth-first with a stack of its own: chains of kernels can be long.
fn stage_of(kernels: &[Raw], stages: &mut [Option<usize>], k: usize) {
    let mut work = vec![k];
    while let Some(&k) = work.last() {
        let missing = kernels[k].after.iter().copied().find(|&a| stages[a].is_none());
        match missing {
            Some(a) => {
                assert!(work.len() <= kernels.len(), "the kernels wait for each other in a circle");
                work.push(a);
            }
            None => {
                stages[k] = Some(kernels[k].after.iter().filter_map(|&a| stages[a]).map(|s| s + 1).max().unwrap_or(0));
                work.pop();
            }
        }
    }
}
