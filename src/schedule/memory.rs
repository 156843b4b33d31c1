//! The static memory plan: buffers that are never alive at the same stage may share a place in the arena. What lasting kernels leave to others
//! is alive throughout.
//!
//! Images among zeros share places only with images of the same shape among the same zeros: so the zeros stay from run to run, as the arena
//! starts with them, and no kernel writes them. Where that takes much more memory, kernels do.
//!
//! A matrix product that only what follows it reads has no place there: each task keeps its part to itself, in memory that stays in cache.

use super::order::Ordered;
use super::tiles::{Phase, Tiles};
use super::{Border, Buffer, BufferId, Home, Kernel, Kind, Plan, Target};
use crate::graph::Graph;
use std::collections::{BTreeMap, BTreeSet};

/// Places start at multiples of a cache line, and between neighbours lies one: vectors may read past the end of a row.
const LINE: usize = 16;
/// Of how many per cent the arena may be that keeps zeros, of one that does not.
const MOST_PERCENT: usize = 150;

/// Places every buffer of the arena.
pub fn place(graph: Graph, target: Target, ordered: Ordered) -> Plan {
    let Ordered { kernels, lasting, mut buffers, results } = ordered;
    for b in own_results(&kernels, buffers.len(), target.columns) {
        if buffers[b.index()].home == Home::Arena(0) {
            buffers[b.index()].home = Home::Task;
        }
    }
    let keeps = |k: &Kernel| kept_border(k, &buffers).is_some();
    let borders: Vec<Border> = kernels.iter().filter_map(|k| kept_border(k, &buffers).cloned()).collect();
    let rest: Vec<Kernel> = kernels.iter().filter(|k| !keeps(k)).cloned().collect();
    let rest_lasting = kernels.iter().take(lasting).filter(|k| !keeps(k)).count();
    let keeping = Arena::new(&rest, rest_lasting, &buffers, &borders);
    let shared = Arena::new(&kernels, lasting, &buffers, &[]);
    let (kernels, lasting, borders, arena) = match keeping.len * 100 <= shared.len * MOST_PERCENT {
        true => (rest, rest_lasting, borders, keeping),
        false => (kernels, lasting, Vec::new(), shared),
    };
    arena.places.iter().for_each(|&(b, at)| buffers[b].home = Home::Arena(at));
    Plan { graph, target, buffers, kernels, lasting, borders, arena: arena.len, results }
}

/// The results of matrix products that no kernel uses but the product's own.
fn own_results(kernels: &[Kernel], buffers: usize, width: usize) -> Vec<BufferId> {
    let mut users = vec![0; buffers];
    for k in kernels {
        let used: BTreeSet<BufferId> = k.reads.iter().chain(&k.writes).copied().collect();
        used.iter().for_each(|b| users[b.index()] += 1);
    }
    let plain = |t: &Tiles| {
        let one_piece = |p: &Phase| p.c == 0 && (p.c_y == t.n || t.makes_panels(width));
        t.role.is_none() && t.images == 1 && t.phases.iter().all(one_piece)
    };
    let result = |k: &Kernel| match &k.kind {
        Kind::Tiles(t, Some(_)) if plain(t) => Some(t.c),
        Kind::Tiles(..)
        | Kind::Border(_)
        | Kind::Nest(..)
        | Kind::Pack(_)
        | Kind::Transform(_)
        | Kind::Winograd(..)
        | Kind::Narrow(..)
        | Kind::Thin(_) => None,
    };
    kernels.iter().filter_map(result).filter(|c| users[c.index()] == 1).collect()
}

/// The zeros that `kernel` writes around an image of the arena.
fn kept_border<'k>(kernel: &'k Kernel, buffers: &[Buffer]) -> Option<&'k Border> {
    match &kernel.kind {
        Kind::Border(b) if !b.inner.is_empty() && buffers[b.buffer.index()].home == Home::Arena(0) => Some(b),
        Kind::Border(_)
        | Kind::Nest(..)
        | Kind::Pack(_)
        | Kind::Tiles(..)
        | Kind::Transform(_)
        | Kind::Winograd(..)
        | Kind::Narrow(..)
        | Kind::Thin(_) => None,
    }
}

/// The first and the last stage that use a buffer.
type Life = (usize, usize);

/// Buffers that take the same place, one after the other.
struct Tenants {
    buffers: Vec<usize>,
    len: usize,
    life: Life,
}

/// Buffers, by index, and their first elements.
struct Arena {
    places: Vec<(usize, usize)>,
    len: usize,
}

impl Arena {
    /// Places the buffers that `kernels` use; images among the zeros of `borders` keep them.
    fn new(kernels: &[Kernel], lasting: usize, buffers: &[Buffer], borders: &[Border]) -> Arena {
        let end = kernels.last().map_or(0, |k| k.stage);
        let alive = alive(kernels, lasting, buffers.len(), end);
        let mut among: BTreeMap<(&[usize], &[usize], &[usize]), Vec<usize>> = BTreeMap::new();
        for b in borders {
            among.entry((&b.shape, &b.low, &b.inner)).or_default().push(b.buffer.index());
        }
        let kept: Vec<bool> = (0..buffers.len()).map(|i| among.values().flatten().any(|b| *b == i)).collect();
        let mut tenants: Vec<Tenants> = (0..buffers.len())
            .filter(|&b| buffers[b].home == Home::Arena(0) && !kept[b])
            .filter_map(|b| alive[b].map(|life| Tenants { buffers: vec![b], len: buffers[b].len, life }))
            .collect();
        for alike in among.values_mut() {
            alike.retain(|&b| alive[b].is_some());
            alike.sort_by_key(|&b| alive[b]);
            let first = tenants.len();
            for &b in alike.iter() {
                let Some(life) = alive[b] else { continue };
                let free = tenants[first..].iter_mut().find(|t| t.life.1 < life.0);
                match free {
                    Some(t) => {
                        t.buffers.push(b);
                        t.life.1 = life.1;
                    }
                    None => tenants.push(Tenants { buffers: vec![b], len: buffers[b].len, life }),
                }
            }
            tenants[first..].iter_mut().for_each(|t| t.life = (0, end));
        }
        // Large ones first, each at the lowest place that is free for its whole life.
        tenants.sort_by_key(|t| (std::cmp::Reverse(t.len), t.buffers[0]));
        let (mut places, mut len) = (Vec::new(), 0);
        let mut taken: Vec<(usize, usize, Life)> = Vec::new();
        for t in tenants {
            let size = (t.len + LINE).next_multiple_of(LINE);
            let (first, last) = t.life;
            let rivals = taken.iter().filter(|(_, _, life)| life.0 <= last && first <= life.1);
            let mut rivals: Vec<(usize, usize)> = rivals.map(|&(start, end, _)| (start, end)).collect();
            rivals.sort_unstable();
            let mut at = 0;
            for (start, end) in rivals {
                if at + size <= start {
                    break;
                }
                at = at.max(end);
            }
            taken.push((at, at + size, t.life));
            places.extend(t.buffers.iter().map(|&b| (b, at)));
            len = len.max(at + size);
        }
        Arena { places, len }
    }
}

/// The stages at which each buffer holds something that is still needed.
fn alive(kernels: &[Kernel], lasting: usize, buffers: usize, end: usize) -> Vec<Option<Life>> {
    let mut alive: Vec<Option<Life>> = vec![None; buffers];
    for k in kernels {
        for b in k.reads.iter().chain(&k.writes) {
            let (first, last) = alive[b.index()].unwrap_or((k.stage, k.stage));
            alive[b.index()] = Some((first.min(k.stage), last.max(k.stage)));
        }
    }
    for b in kernels.iter().take(lasting).flat_map(|k| &k.writes) {
        if kernels.iter().skip(lasting).any(|k| k.reads.contains(b)) {
            alive[b.index()] = alive[b.index()].map(|_| (0, end));
        }
    }
    alive
}
