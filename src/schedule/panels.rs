//! States that lie in panels.
//!
//! The matrix of a dense layer, `[in, out]`, is multiplied by in panels of a tile's columns. Where it lies in memory that way, as
//! `[panel][in][column]`, products take it as it is, and what a task updates is one piece of memory. Rows are shared out by columns, so
//! that at the end of its part of each a core fetches ahead into what another one is writing.
//!
//! What belongs together lies alike: a weight, its moments and its average, the gradient, and all that is computed of them element by
//! element. On exit of [`arrange`] no graph of the program wants such a matrix in rows: they multiply by it, or by some rows of it transposed,
//! and compute new ones of nothing but such matrices and single numbers. Files on disk know nothing of panels: see
//! [`State::stored`](crate::build::State::stored).

use super::Target;
use super::views::{self, is_elementwise};
use crate::build::{Program, StateRole};
use crate::graph::{Graph, Op, Sink, Source, StateId, Value, volume};
use crate::opt;
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Elements of a matrix from which on it pays.
const LARGE: usize = 1 << 16;

/// Lays every state of `program` in panels of the target's width that all of its graphs can take so; `phases` are those of training, lowered.
pub fn arrange(program: &mut Program, phases: &[Graph], target: Target) {
    let width = target.columns;
    let mut states = candidates(program, width);
    let reads = |g: &&Graph| g.nodes().iter().any(|n| matches!(n.op, Op::Input(Source::State(id)) if states.contains(&id)));
    let samplers: Vec<&Graph> = program.samplers.iter().map(|s| &s.graph).filter(reads).collect();
    let samplers: Vec<Graph> = samplers.par_iter().map(|g| super::lowered(&opt::lower(g), target)).collect();
    let graphs: Vec<&Graph> = phases.iter().chain(&samplers).collect();
    loop {
        let unfit: BTreeSet<StateId> = graphs.iter().flat_map(|g| Panels::of(g, &states, width).1).collect();
        if unfit.is_empty() {
            break;
        }
        states.retain(|s| !unfit.contains(s));
    }
    states.iter().for_each(|s| program.states[s.index()].panels = Some(width));
}

/// Large matrices of whole panels that are learned, their moments and averages.
fn candidates(program: &Program, width: usize) -> BTreeSet<StateId> {
    let fits = |i: usize| {
        let s = &program.states[i];
        let whole = matches!(s.shape[..], [rows, columns] if columns % width == 0 && rows * columns >= LARGE);
        whole && s.layout.split.last() == s.shape.last()
    };
    let learned = |i: usize| match program.states[i].role {
        StateRole::Weight { .. } => true,
        StateRole::Moment { of, .. } | StateRole::Average { of } => program.states[of.index()].shape == program.states[i].shape,
        StateRole::Buffer { .. } | StateRole::History => false,
    };
    (0..program.states.len()).filter(|&i| fits(i) && learned(i)).map(|i| StateId(i as u32)).collect()
}

/// Which values of a graph lie in panels.
pub struct Panels {
    /// Columns of a panel.
    pub width: usize,
    values: Vec<bool>,
}

impl Panels {
    /// The panels of `graph` where `states` lie in some, and which of them cannot.
    pub fn of(graph: &Graph, states: &BTreeSet<StateId>, width: usize) -> (Panels, BTreeSet<StateId>) {
        let search = Search::new(graph, states);
        let (mut values, mut seen, mut unfit) = (vec![false; graph.nodes().len()], BTreeSet::new(), BTreeSet::new());
        for (&state, &input) in &search.inputs {
            if seen.contains(&input) || !states.contains(&state) {
                continue;
            }
            let group = search.group(input);
            match group.fits {
                true => group.values.iter().for_each(|v| values[v.index()] = true),
                false => unfit.extend(group.states),
            }
            seen.extend(group.values);
        }
        // What is made of something else lies in rows.
        let made = super::updates(graph).filter(|(s, v)| states.contains(s) && !values[v.index()]);
        unfit.extend(made.map(|(s, _)| s));
        (Panels { width, values }, unfit)
    }

    /// Whether `v`, a matrix, lies in panels.
    pub fn hold(&self, v: Value) -> bool {
        self.values[v.index()]
    }

    /// Whether the right operand of product `v` lies in the panels that it is multiplied by.
    pub fn are_ready_for(&self, graph: &Graph, v: Value) -> bool {
        let node = graph.node(v);
        matches!(node.op, Op::Dot { tb: false, .. }) && self.hold(node.args[1])
    }

    /// The matrix in panels of which `v` is some rows, or all.
    pub fn rows_of(&self, graph: &Graph, v: Value) -> Option<Value> {
        let node = graph.node(v);
        let matrix = if let Op::Slice { .. } = node.op { node.args[0] } else { v };
        self.hold(matrix).then_some(matrix)
    }
}

/// Values that lie alike.
#[derive(Default)]
struct Group {
    values: BTreeSet<Value>,
    states: BTreeSet<StateId>,
    /// Whether nobody wants rows.
    fits: bool,
}

struct Search<'a> {
    graph: &'a Graph,
    states: &'a BTreeSet<StateId>,
    inputs: BTreeMap<StateId, Value>,
    users: Vec<Vec<Value>>,
    outputs: HashMap<Value, Vec<Sink>>,
}

impl<'a> Search<'a> {
    fn new(graph: &'a Graph, states: &'a BTreeSet<StateId>) -> Search<'a> {
        let inputs = graph.values().filter_map(|v| match graph.node(v).op {
            Op::Input(Source::State(id)) => Some((id, v)),
            _ => None,
        });
        let mut outputs: HashMap<Value, Vec<Sink>> = HashMap::new();
        graph.outputs().iter().for_each(|o| outputs.entry(o.value).or_default().push(o.sink));
        Search { graph, states, inputs: inputs.collect(), users: views::users(graph), outputs }
    }

    /// All that lies as `start` does.
    fn group(&self, start: Value) -> Group {
        let mut group = Group { fits: true, ..Group::default() };
        let mut work = vec![start];
        while let Some(v) = work.pop() {
            if group.values.insert(v) {
                let fits = self.comes_in_panels(v, &mut group, &mut work) && self.is_wanted_in_panels(v, &mut group, &mut work);
                group.fits &= fits;
            }
        }
        group
    }

    /// Whether `v` is made in panels where what it is made of lies in some.
    fn comes_in_panels(&self, v: Value, group: &mut Group, work: &mut Vec<Value>) -> bool {
        let node = self.graph.node(v);
        if let Op::Input(Source::State(id)) = &node.op {
            group.states.insert(*id);
            return self.states.contains(id);
        }
        if is_elementwise(&node.op) {
            work.extend(node.args.iter().filter(|a| !self.is_number(**a)));
            return true;
        }
        // The gradient.
        node.op == Op::Dot { ta: true, tb: false } && node.shape.len() == 2
    }

    /// Whether all that use `v` take it in panels.
    fn is_wanted_in_panels(&self, v: Value, group: &mut Group, work: &mut Vec<Value>) -> bool {
        let mut fits = true;
        for &u in &self.users[v.index()] {
            let user = self.graph.node(u);
            if is_elementwise(&user.op) {
                work.push(u);
            } else {
                fits &= self.multiplies_by(u, v, false) || self.takes_rows(u);
            }
        }
        for sink in self.outputs.get(&v).into_iter().flatten() {
            match sink {
                Sink::Update(id) => {
                    group.states.insert(*id);
                    work.extend(self.inputs.get(id));
                    fits &= self.states.contains(id);
                }
                Sink::Result => fits = false,
            }
        }
        fits
    }

    /// Whether `u` multiplies something else by `v`; by its transpose only where `turned`.
    fn multiplies_by(&self, u: Value, v: Value, turned: bool) -> bool {
        let user = self.graph.node(u);
        matches!(user.op, Op::Dot { ta: false, tb } if tb || !turned) && user.shape.len() == 2 && user.args[0] != v
    }

    /// Whether `u` is some rows of a matrix for products by their transpose.
    fn takes_rows(&self, u: Value) -> bool {
        let node = self.graph.node(u);
        let Op::Slice { start, step } = &node.op else { return false };
        let rows = start[1] == 0 && step[..] == [1, 1] && node.shape[1] == self.graph.shape(node.args[0])[1];
        rows && !self.outputs.contains_key(&u) && self.users[u.index()].iter().all(|&w| self.multiplies_by(w, u, true))
    }

    /// Whether all elements of `v` are one number.
    fn is_number(&self, v: Value) -> bool {
        let node = self.graph.node(v);
        matches!(node.op, Op::Const(_)) || node.op == Op::Broadcast && volume(self.graph.shape(node.args[0])) == 1
    }
}
