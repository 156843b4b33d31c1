//! From a graph to a plan: what is fused with what, in which order, in which memory.
//!
//! On entry the graph holds primitives only. On exit every value that is stored has a buffer, every kernel knows its loops,
//! and kernels of one stage neither read what another of them writes nor share memory with it. All decisions depend on
//! shapes only, never on the number of threads.

mod body;
mod emit;
pub mod ends;
mod folds;
mod fuse;
mod lower;
mod memory;
pub mod narrow;
pub mod nest;
mod order;
mod panels;
pub mod text;
pub mod thin;
pub mod tiles;
mod views;
pub mod winograd;
pub mod work;

pub use views::contiguous;

use crate::build::Program;
use crate::graph::{FeedId, Graph, LiteralId, ScalarId, Sink, StateId, typed_id};
use crate::opt;
use ends::Reason;
use narrow::NarrowJob;
use nest::Nest;
use panels::Panels;
use rayon::prelude::*;
use std::collections::BTreeSet;
use thin::ThinJob;
use tiles::{Pack, Tiles};
use winograd::Winograd;

typed_id!(
    /// A buffer of a [`Plan`].
    BufferId,
    "b"
);

/// What the host's micro-kernels ask of the layout of packed matrices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Target {
    /// Columns of a packed panel.
    pub columns: usize,
    /// Most panels of a micro-kernel's tile.
    pub across: usize,
    /// Rows of a micro-kernel's tile.
    pub rows: usize,
    /// Whether convolutions may be computed by Winograd's minimal filtering: the host has kernels for it and nothing asks for the
    /// accuracy of direct computation.
    pub winograd: bool,
}

/// A scheduled graph.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The graph after lowering, which the buffers' names refer to.
    pub graph: Graph,
    /// What it was scheduled for.
    pub target: Target,
    /// All buffers.
    pub buffers: Vec<Buffer>,
    /// Kernels in order.
    pub kernels: Vec<Kernel>,
    /// How many of the first kernels need not run again until a state changes: a sampler's weights are packed once.
    pub lasting: usize,
    /// Zeros around images that nobody writes: the arena starts with them and nothing else comes to lie there.
    pub borders: Vec<Border>,
    /// Elements of the arena, which starts as zeros.
    pub arena: usize,
    /// Results: name and buffer.
    pub results: Vec<(String, BufferId)>,
}

/// A piece of memory.
#[derive(Clone, PartialEq, Debug)]
pub struct Buffer {
    /// Number of elements.
    pub len: usize,
    /// Where it lives.
    pub home: Home,
}

/// Where a buffer lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Home {
    /// It is a persistent tensor.
    State(StateId),
    /// It is given for each run.
    Feed(FeedId),
    /// It is a number given for each run.
    Scalar(ScalarId),
    /// It is a constant of the graph.
    Literal(LiteralId),
    /// It is read by the caller after the run.
    Result,
    /// At this element of the arena, which others use at other times.
    Arena(usize),
    /// Each task of the only kernel that uses it has a place for what it computes.
    Task,
}

/// One step of a plan.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// What it does.
    pub kind: Kind,
    /// Kernels of one stage may run at the same time.
    pub stage: usize,
    /// Buffers it reads.
    pub reads: Vec<BufferId>,
    /// Buffers it writes.
    pub writes: Vec<BufferId>,
    /// Why what it makes goes to memory instead of being used on the way, as fusion noted it.
    pub ends: Vec<Reason>,
}

/// What a kernel does.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Runs a loop nest.
    Nest(Nest, Split),
    /// Writes the zeros around an image (or under a dilated one).
    Border(Border),
    /// Copies a matrix into panels.
    Pack(Pack),
    /// A matrix product or convolution, with what is done to its result while it is in cache.
    Tiles(Box<Tiles>, Option<Nest>),
    /// Prepares an operand of a convolution that is computed by Winograd's minimal filtering.
    Transform(Box<Transform>),
    /// Such a convolution, with what is done to its result while it is in cache.
    Winograd(Box<Filtering>, Option<Nest>),
    /// A convolution whose result has few channels, with what is done to its result while it is in cache.
    Narrow(Box<NarrowJob>, Option<Nest>),
    /// A filter gradient where one of the images has few channels.
    Thin(Box<ThinJob>),
}

/// The first stage of a [`Winograd`]: which operand it is depends on the order.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Transform {
    /// The convolution.
    pub winograd: Winograd,
    /// The operand and its first element.
    pub source: (BufferId, usize),
    /// What it becomes.
    pub target: BufferId,
}

/// The main stage of a [`Winograd`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Filtering {
    /// The convolution.
    pub winograd: Winograd,
    /// Left operand and its first element: the left image, or ordered by channel what it became.
    pub a: (BufferId, usize),
    /// Right operand and its first element: what the other operand became, or ordered by channel the filter.
    pub b: (BufferId, usize),
    /// Result.
    pub c: BufferId,
    /// What it computes, for reports.
    pub label: String,
}

/// How a nest is cut into tasks: ranges of its first dim times ranges of its last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Split {
    /// Rows of the first dim in a task.
    pub rows: usize,
    /// Elements of the last dim in a task.
    pub columns: usize,
}

/// Zeros around a tensor inside a larger one.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Border {
    /// The larger tensor.
    pub buffer: BufferId,
    /// Its shape.
    pub shape: Vec<usize>,
    /// First index of the inner tensor.
    pub low: Vec<usize>,
    /// Shape of the inner tensor; empty where everything is zeroed.
    pub inner: Vec<usize>,
}

/// Rewrites and schedules `graph`, one of `program`'s, for a host. Whatever is run or shown of a program is scheduled here, so that what
/// its spec asks of the computation holds everywhere.
pub fn plan_of(program: &Program, graph: &Graph, host: Target) -> Plan {
    let target = target_of(program, host);
    schedule_of(program, lowered(&opt::lower(graph), target), target)
}

/// The plans of all phases of `program`, which from now on keeps its states as they want them. Gradients are no results of theirs.
pub fn plans_of(program: &mut Program, host: Target) -> Vec<Plan> {
    let target = target_of(program, host);
    let lower = |graph: &Graph| lowered(&opt::lower(&opt::without_gradients(graph)), target);
    let phases: Vec<Graph> = program.phases.par_iter().map(|p| lower(&p.graph)).collect();
    panels::arrange(program, &phases, target);
    phases.into_par_iter().map(|g| schedule_of(program, g, target)).collect()
}

/// What the kernels of `program` may be on a host.
fn target_of(program: &Program, host: Target) -> Target {
    Target { winograd: host.winograd && !program.exact_conv, ..host }
}

/// Schedules a lowered graph, one of `program`'s, for a target.
fn schedule_of(program: &Program, graph: Graph, target: Target) -> Plan {
    let states = (0..program.states.len()).filter(|&i| program.states[i].panels.is_some());
    let same_width = program.states.iter().all(|s| s.panels.is_none_or(|width| width == target.columns));
    assert!(same_width, "states lie in panels of another host");
    schedule(graph, target, &states.map(|i| StateId(i as u32)).collect())
}

/// Schedules `graph`, which is rewritten already, for a host.
pub fn plan(graph: &Graph, target: Target) -> Plan {
    schedule(lowered(graph, target), target, &BTreeSet::new())
}

/// `graph` in the form that is scheduled for a target.
fn lowered(graph: &Graph, target: Target) -> Graph {
    opt::after_grad(&lower::run(graph, target))
}

/// Schedules `graph` for a host, with `states` in panels.
fn schedule(graph: Graph, target: Target, states: &BTreeSet<StateId>) -> Plan {
    let (panels, unfit) = Panels::of(&graph, states, target.columns);
    assert!(unfit.is_empty(), "{unfit:?} lie in panels and are wanted in rows");
    let views = views::analyse(&graph);
    let fusion = fuse::fuse(&graph, &views, &panels, target);
    let emitted = emit::emit(&graph, &views, &fusion, &panels, target);
    let ordered = order::into_stages(emitted);
    memory::place(graph, target, ordered)
}

/// The states a graph updates.
pub(crate) fn updates(graph: &Graph) -> impl Iterator<Item = (StateId, crate::graph::Value)> + '_ {
    graph.outputs().iter().filter_map(|o| match o.sink {
        Sink::Update(id) => Some((id, o.value)),
        Sink::Result => None,
    })
}
