//! How states start.

use super::layout::{from_torch, to_torch};
use super::session::set_scalars;
use crate::build::{Init, Program, State, StateRole};
use crate::graph::StateId;
use crate::runtime::Memory;
use crate::runtime::random::Stream;
use rayon::prelude::*;

/// Streams of random numbers from here on are for the start of weights; a weight's is given by its place in the table.
const STREAM: u32 = 1 << 24;

/// Memory for `program` as it is before the first step of training.
pub fn fresh(program: &Program, seed: u64) -> Memory {
    let mut memory = Memory::new(program);
    start(program, &mut memory, seed);
    set_scalars(program, &mut memory, 0, &vec![0; program.players.len()]);
    memory
}

/// Sets every state of `program` to its start, with the threads of rayon's current pool: each draws from a stream of its own.
fn start(program: &Program, memory: &mut Memory, seed: u64) {
    memory.states_mut().into_par_iter().zip(&program.states).enumerate().for_each(|(i, (numbers, state))| match &state.role {
        StateRole::Weight { init, .. } | StateRole::Buffer { init, .. } => {
            let torch = weight(state, init, Stream { seed, step: 0, stream: STREAM + i as u32 });
            from_torch(&state.stored(), &torch, numbers);
        }
        StateRole::Moment { start, .. } => numbers.fill(*start),
        StateRole::History => numbers.fill(0.0),
        // Below, when what it averages is there.
        StateRole::Average { .. } => {}
    });
    for (i, state) in program.states.iter().enumerate() {
        if let StateRole::Average { of } = state.role {
            let torch = to_torch(&program.states[of.index()].stored(), memory.state(of));
            from_torch(&state.stored(), &torch, memory.state_mut(StateId(i as u32)));
        }
    }
}

/// A weight in PyTorch's layout.
fn weight(state: &State, init: &Init, stream: Stream) -> Vec<f32> {
    let mut w = vec![0.0; state.layout.shape.iter().product()];
    match *init {
        Init::Constant(x) => w.fill(x),
        Init::Normal(mean, std) => stream.normal(&mut w, mean, std),
        Init::Uniform(low, high) => stream.uniform(&mut w, low, high),
        Init::Orthogonal(gain) => {
            stream.normal(&mut w, 0.0, 1.0);
            let rows = state.layout.shape.first().copied().unwrap_or(1);
            orthogonal(&mut w, rows, gain);
        }
    }
    w
}

/// Makes the rows of a `rows x n` matrix (or its columns, where they are fewer) orthogonal, of length `gain`: modified
/// Gram-Schmidt, twice, in f64.
fn orthogonal(w: &mut [f32], rows: usize, gain: f32) {
    let columns = w.len() / rows;
    let (vectors, size) = if rows <= columns { (rows, columns) } else { (columns, rows) };
    let at = |v: usize, i: usize| if rows <= columns { v * columns + i } else { i * columns + v };
    let mut q: Vec<Vec<f64>> = (0..vectors).map(|v| (0..size).map(|i| f64::from(w[at(v, i)])).collect()).collect();
    for v in 0..vectors {
        let (before, rest) = q.split_at_mut(v);
        let x = &mut rest[0];
        for _ in 0..2 {
            for y in before.iter() {
                let dot: f64 = x.iter().zip(y).map(|(a, b)| a * b).sum();
                x.iter_mut().zip(y).for_each(|(a, b)| *a -= dot * b);
            }
        }
        let norm = x.iter().map(|a| a * a).sum::<f64>().sqrt();
        x.iter_mut().for_each(|a| *a /= norm);
    }
    for (v, x) in q.iter().enumerate() {
        x.iter().enumerate().for_each(|(i, a)| w[at(v, i)] = (a * f64::from(gain)) as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_or_columns_become_orthogonal() {
        for (rows, columns) in [(3, 8), (8, 3), (5, 5)] {
            let mut w = vec![0.0; rows * columns];
            Stream { seed: 1, step: 0, stream: 0 }.normal(&mut w, 0.0, 1.0);
            orthogonal(&mut w, rows, 2.0);
            let (n, size) = (rows.min(columns), rows.max(columns));
            let at = |v: usize, i: usize| if rows <= columns { w[v * columns + i] } else { w[i * columns + v] };
            for a in 0..n {
                for b in 0..n {
                    let dot: f32 = (0..size).map(|i| at(a, i) * at(b, i)).sum();
                    let expected = if a == b { 4.0 } else { 0.0 };
                    assert!((dot - expected).abs() < 1e-5, "{rows}x{columns}: {a}.{b} = {dot}");
                }
            }
        }
    }
}
