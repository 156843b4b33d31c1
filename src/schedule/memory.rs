//! The static memory plan: buffers that are never alive at the same stage may share a place in the arena. What lasting kernels leave to others
//! is alive throughout.

use super::order::Ordered;
use super::{Home, Plan, Target};
use crate::graph::Graph;

/// Places start at multiples of a cache line, and between neighbours lies one: vectors may read past the end of a row.
const LINE: usize = 16;

/// Places every buffer of the arena.
pub fn place(graph: Graph, target: Target, ordered: Ordered) -> Plan {
    let Ordered { kernels, lasting, mut buffers, results } = ordered;
    let mut alive: Vec<Option<(usize, usize)>> = vec![None; buffers.len()];
    for k in &kernels {
        for b in k.reads.iter().chain(&k.writes) {
            let (first, last) = alive[b.index()].unwrap_or((k.stage, k.stage));
            alive[b.index()] = Some((first.min(k.stage), last.max(k.stage)));
        }
    }
    let end = kernels.last().map_or(0, |k| k.stage);
    for b in kernels.iter().take(lasting).flat_map(|k| &k.writes) {
        if kernels.iter().skip(lasting).any(|k| k.reads.contains(b)) {
            alive[b.index()] = alive[b.index()].map(|_| (0, end));
        }
    }
    // Large ones first, each at the lowest place that is free for its whole life.
    let mut order: Vec<usize> = (0..buffers.len()).filter(|&b| buffers[b].home == Home::Arena(0) && alive[b].is_some()).collect();
    order.sort_by_key(|&b| (std::cmp::Reverse(buffers[b].len), b));
    let mut placed: Vec<(usize, usize, usize)> = Vec::new();
    let mut arena = 0;
    for b in order {
        let Some((first, last)) = alive[b] else { continue };
        let size = (buffers[b].len + LINE).next_multiple_of(LINE);
        let mut rivals: Vec<(usize, usize)> = placed
            .iter()
            .filter(|&&(other, _, _)| alive[other].is_some_and(|(f, l)| f <= last && first <= l))
            .map(|&(_, start, end)| (start, end))
            .collect();
        rivals.sort_unstable();
        let mut at = 0;
        for (start, end) in rivals {
            if at + size <= start {
                break;
            }
            at = at.max(end);
        }
        placed.push((b, at, at + size));
        buffers[b].home = Home::Arena(at);
        arena = arena.max(at + size);
    }
    Plan { graph, target, buffers, kernels, lasting, arena, results }
}
