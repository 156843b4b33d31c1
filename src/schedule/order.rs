//! Stages: a kernel runs in the first stage after everything it waits for; one that only prepares something for others, in the last stage
//! before the first of them, so that what it makes is in memory for a short time and still in cache.
//!
//! On exit the lasting kernels, whose results are the same in every run until somebody changes a state, have the first stages to themselves.
//! A plan that updates states has none: its next run starts from others.

use super::emit::{Emitted, Raw};
use super::{Buffer, BufferId, Home, Kernel, Kind};

/// Kernels with stages, in order of them.
pub struct Ordered {
    /// All kernels.
    pub kernels: Vec<Kernel>,
    /// How many of the first of them are lasting.
    pub lasting: usize,
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
    let mut stages: Vec<usize> = stages.into_iter().map(|s| s.unwrap_or(0)).collect();
    let lasting = lasting(&kernels, &buffers);
    delay(&kernels, &lasting, &mut stages);
    let last = lasting.iter().zip(&stages).filter(|(l, _)| **l).map(|(_, s)| *s).max();
    let first = last.map_or(0, |s| s + 1);
    let mut ordered: Vec<Kernel> = kernels
        .into_iter()
        .zip(stages)
        .zip(&lasting)
        .map(|((raw, stage), lasts)| {
            let stage = stage + if *lasts { 0 } else { first };
            Kernel { kind: raw.kind, stage, reads: raw.reads, writes: raw.writes, ends: raw.ends }
        })
        .collect();
    ordered.sort_by_key(|k| k.stage);
    let lasting = lasting.into_iter().filter(|l| *l).count();
    Ordered { kernels: ordered, lasting, buffers, results }
}

/// Moves kernels that only prepare something to the stage before the first that waits for them.
fn delay(kernels: &[Raw], lasting: &[bool], stages: &mut [usize]) {
    let mut waiting: Vec<Vec<usize>> = vec![Vec::new(); kernels.len()];
    for (k, raw) in kernels.iter().enumerate() {
        raw.after.iter().for_each(|&a| waiting[a].push(k));
    }
    // Those that run last first: they may wait for others that only prepare.
    let mut order: Vec<usize> = (0..kernels.len()).collect();
    order.sort_by_key(|&k| std::cmp::Reverse((stages[k], k)));
    for k in order {
        let prepares = match kernels[k].kind {
            Kind::Border(_) | Kind::Pack(_) | Kind::Transform(_) => true,
            Kind::Nest(..) | Kind::Tiles(..) | Kind::Winograd(..) | Kind::Narrow(..) | Kind::Thin(_) => false,
        };
        if let Some(first) = waiting[k].iter().map(|&w| stages[w]).min()
            && prepares
            && !lasting[k]
        {
            stages[k] = first - 1;
        }
    }
}

/// Which kernels are lasting: they read states, literals and what other lasting kernels leave in the arena, and share what they write with no
/// other kernel.
fn lasting(kernels: &[Raw], buffers: &[Buffer]) -> Vec<bool> {
    let home = |b: BufferId| buffers[b.index()].home;
    let updates = kernels.iter().flat_map(|k| &k.writes).any(|&b| matches!(home(b), Home::State(_)));
    let mut lasting = vec![!updates; kernels.len()];
    let mut passing = vec![false; buffers.len()];
    // What one kernel turns out to be decides for those beside and after it, until nothing changes.
    loop {
        let before = lasting.iter().filter(|l| **l).count();
        for (k, lasts) in kernels.iter().zip(&mut lasting) {
            *lasts &= k.writes.iter().all(|&b| home(b) == Home::Arena(0) && !passing[b.index()]);
            *lasts &= k.reads.iter().all(|&b| match home(b) {
                Home::State(_) | Home::Literal(_) => true,
                Home::Arena(_) => !passing[b.index()],
                Home::Feed(_) | Home::Scalar(_) | Home::Result | Home::Task => false,
            });
            if !*lasts {
                k.writes.iter().for_each(|b| passing[b.index()] = true);
            }
        }
        if before == lasting.iter().filter(|l| **l).count() {
            return lasting;
        }
    }
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
